//! Worlds from seeds: the same every time, and without a failure.

use ferrosync_sim::{Verbosity, swarm};

#[test]
fn a_seed_is_a_world() {
    for seed in [3, 7] {
        let first = swarm::run(seed, Verbosity::Full, None);
        let second = swarm::run(seed, Verbosity::Full, None);
        assert!(first.lines.len() > 100, "something happens in seed {seed}");
        assert_eq!(first.lines, second.lines, "seed {seed}");
        assert_eq!(first.steps, second.steps, "seed {seed}");
    }
}

#[test]
fn worlds_end_well() {
    for seed in 0..60 {
        let outcome = swarm::run(seed, Verbosity::Transitions, None);
        let tail: Vec<&String> = outcome.lines.iter().rev().take(40).collect();
        assert_eq!(outcome.failure, None, "seed {seed}: {tail:#?}");
    }
}

/// Worlds that once failed, with what was wrong.
#[test]
fn old_failures_stay_mended() {
    let seeds = [
        (
            322,
            "joins that told nothing new were answered at the speed of the network",
        ),
        (18, "the same among seven nodes"),
        (
            437,
            "the end of a ring's synchronisation opened the regular lane of the next",
        ),
        (
            443,
            "two halves failed each other for ever by lists of an agreed membership",
        ),
        (
            684,
            "a node that failed itself and then everybody else gathered for ever",
        ),
        (
            1208,
            "two survivors sent the same until the window of recovery was full, and stood still",
        ),
        (
            1278,
            "who joined never heard of a process whose join was half sent before",
        ),
        (
            1606,
            "barriers of rings that never worked filled the transitional lane",
        ),
    ];
    for (seed, what) in seeds {
        let failure = swarm::run(seed, Verbosity::Silent, None).failure;
        assert_eq!(failure, None, "seed {seed}: {what}");
    }
}

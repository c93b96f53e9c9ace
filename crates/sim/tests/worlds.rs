//! Worlds from seeds: the same every time, and without a failure.

use ferrosync_sim::Verbosity;
use ferrosync_sim::swarm::{self, Worlds};

const BOTH: [Worlds; 2] = [Worlds::Udp, Worlds::Knet];

#[test]
fn a_seed_is_a_world() {
    for (worlds, seed) in BOTH.into_iter().flat_map(|w| [(w, 3), (w, 7)]) {
        let first = swarm::run(worlds, seed, Verbosity::Full, None);
        let second = swarm::run(worlds, seed, Verbosity::Full, None);
        assert!(first.lines.len() > 100, "something happens in seed {seed}");
        assert_eq!(first.lines, second.lines, "{worlds:?} seed {seed}");
        assert_eq!(first.steps, second.steps, "{worlds:?} seed {seed}");
    }
}

#[test]
fn worlds_end_well() {
    for (worlds, seed) in BOTH.into_iter().flat_map(|w| (0..60).map(move |s| (w, s))) {
        let outcome = swarm::run(worlds, seed, Verbosity::Transitions, None);
        let tail: Vec<&String> = outcome.lines.iter().rev().take(40).collect();
        assert_eq!(outcome.failure, None, "{worlds:?} seed {seed}: {tail:#?}");
    }
}

/// Worlds that fail when one mended thing is broken again; each was seen to.
#[test]
fn old_failures_stay_mended() {
    let seeds = [
        (
            1205,
            "two nodes that were alone failed each other at the speed of the network",
        ),
        (
            802_840_116_747_435_801,
            "nodes that were alone failed one another in step for ever",
        ),
        (
            32,
            "joins that told nothing new were answered at the speed of the network",
        ),
        (
            24,
            "the end of a ring's synchronisation opened the regular lane of the next",
        ),
        (
            2,
            "failed lists outlived the membership that agreed on them",
        ),
        (
            684,
            "a node that failed itself and then everybody else gathered for ever",
        ),
        (
            1208,
            "survivors repeated each other until the window of recovery was full",
        ),
    ];
    for (seed, what) in seeds {
        let failure = swarm::run(Worlds::Udp, seed, Verbosity::Silent, None).failure;
        assert_eq!(failure, None, "seed {seed}: {what}");
    }
}

/// The same, over knet.
#[test]
fn old_failures_over_knet_stay_mended() {
    let seeds = [
        (
            157,
            "a node that ended between its first message and its next ping was not seen to start anew",
        ),
        (
            3700,
            "links that may be silent for less than 200 ms were looked at every 200 ms, and never stayed up",
        ),
    ];
    for (seed, what) in seeds {
        let failure = swarm::run(Worlds::Knet, seed, Verbosity::Silent, None).failure;
        assert_eq!(failure, None, "seed {seed}: {what}");
    }
}

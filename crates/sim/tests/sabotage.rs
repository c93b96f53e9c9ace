//! Every planted bug is found by the checker that is there for it. `docs/simulator.md` lists the seeds.

use ferrosync_sim::swarm::Worlds;
use ferrosync_sim::{Sabotage, Verbosity, swarm};

#[test]
fn planted_bugs_are_found() {
    for bug in Sabotage::ALL {
        let (class, checker) = bug.expected();
        let found = (0..BUDGET).any(|seed| {
            let failure = swarm::run(Worlds::Udp, seed, Verbosity::Silent, Some(bug)).failure;
            failure.is_some_and(|f| f.class == class && f.checker == checker)
        });
        assert!(found, "{} was not found in {BUDGET} worlds", bug.name());
    }
}

/// Worlds tried per planted bug.
const BUDGET: u64 = 300;

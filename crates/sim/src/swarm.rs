//! One world from one seed: safety under faults first, then healing and liveness.

use std::panic::{AssertUnwindSafe, catch_unwind};

use ferrosync_wire::{Duration, Instant, RingId};

use crate::cluster::{Cluster, Event, Trouble};
use crate::options::{Options, Transport};
use crate::report::{Class, Failure, Report, Verbosity};
use crate::sabotage::Sabotage;

/// How a world ended.
#[derive(Debug)]
pub struct Outcome {
    /// Why it failed, if it did.
    pub failure: Option<Failure>,
    /// The lines it wrote.
    pub lines: Vec<String>,
    /// Events that it took.
    pub steps: u64,
    /// Virtual time from healing to convergence.
    pub settled_in: Option<Duration>,
}

/// Which worlds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Worlds {
    /// Nodes joined by plain UDP.
    Udp,
    /// Nodes joined by knet.
    Knet,
}

/// Runs the world of a seed to its end.
#[must_use]
pub fn run(worlds: Worlds, seed: u64, verbosity: Verbosity, bug: Option<Sabotage>) -> Outcome {
    let options = match worlds {
        Worlds::Udp => Options::swarm(seed),
        Worlds::Knet => Options::swarm_over_knet(seed),
    };
    run_options(options, verbosity, bug)
}

/// Runs a world to its end.
#[must_use]
pub fn run_options(options: Options, verbosity: Verbosity, sabotage: Option<Sabotage>) -> Outcome {
    let mut cluster = Cluster::new(options, verbosity, sabotage);
    let ran = catch_unwind(AssertUnwindSafe(|| live(&mut cluster, sabotage)));
    let (failure, settled_in) = match ran {
        Ok(Ok(settled_in)) => (None, Some(settled_in)),
        Ok(Err(failure)) => (Some(failure), None),
        Err(panic) => {
            let text = panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| panic.downcast_ref::<&str>().copied())
                .unwrap_or("a panic without words");
            (Some(assertion(cluster.now, text)), None)
        }
    };
    Outcome {
        failure,
        lines: Report::lines(cluster.report()).to_vec(),
        steps: cluster.steps(),
        settled_in,
    }
}

/// Returns how long it took to settle.
fn live(cluster: &mut Cluster, sabotage: Option<Sabotage>) -> Result<Duration, Failure> {
    begin(cluster);
    let trouble = cluster.options.trouble;
    cluster.run_for(trouble)?;
    cluster.heal_all();
    cluster.read_all();
    if sabotage == Some(Sabotage::NeverHeal) {
        cluster.network.cut(0, 1);
    }
    let healed = cluster.now;
    let everybody: Vec<u32> = (1..=cluster.options.nodes).collect();
    let within = settle_limit(&cluster.options);
    cluster.settle(&everybody, within)?;
    let settled_in = cluster.now.since(healed);
    cluster.finish(within)?;
    cluster.rest(&everybody)?;
    Ok(settled_in)
}

fn begin(cluster: &mut Cluster) {
    let options = cluster.options.clone();
    cluster.note(format!("{options:?}"));
    let token = u64::try_from(cluster.options.token.as_nanos()).unwrap_or(0);
    for i in 0..cluster.machines.len() {
        let at = cluster.now + Duration::from_nanos(cluster.rng.below(token));
        cluster.schedule(at, Event::Boot(i));
    }
    cluster.trouble = Trouble::On;
    let first = cluster.now + cluster.options.token * 2;
    if !cluster.options.faults.weights.is_empty() {
        cluster.schedule(first, Event::NextFault);
    }
    cluster.schedule(first, Event::NextAction);
}

/// How long a healed world may take: many rounds of gathering, each bounded by consensus and token timeouts.
fn settle_limit(options: &Options) -> Duration {
    match options.transport {
        Transport::Udpu | Transport::Udp => options.token * 30 + Duration::from_secs(5),
        // Links that were down are given time before they count as up, and their widths are searched with patience.
        Transport::Knet(_) => options.token * 100 + Duration::from_secs(60),
    }
}

impl Cluster {
    /// Lets the world go on until all of `core` are in one synchronised ring and every client has got what was
    /// sent to it. `within` is for the ring, and then for each message: how long a backlog takes is a matter of the
    /// network, but it must become smaller.
    pub fn settle(&mut self, core: &[u32], within: Duration) -> Result<(), Failure> {
        let mut end = self.now + within;
        let mut returned = self.watch.checkers.returned();
        loop {
            let missing = match self.converged(core) {
                Ok(()) => match self.watch.checkers.all_delivered() {
                    Ok(()) => return Ok(()),
                    Err(missing) => missing,
                },
                Err(missing) => missing,
            };
            let so_far = self.watch.checkers.returned();
            if so_far > returned && self.converged(core).is_ok() {
                returned = so_far;
                end = self.now + within;
            }
            if self.now >= end {
                self.note_states();
                return Err(self.fail(Class::Liveness, "convergence", &missing));
            }
            let step = (self.now + LOOK_INTERVAL).min(end);
            self.run_until(step)?;
        }
    }

    /// A healthy ring stays as it is, also when links are given no more time than those that were up for long. It may take
    /// some time to get there: what clogged arrives late, and a search for a path's width may have met the last fault.
    fn rest(&mut self, core: &[u32]) -> Result<(), Failure> {
        let mut unrest = String::new();
        for _ in 0..RESTS {
            let before = self.ring();
            self.run_for(REST)?;
            let after = self.ring();
            unrest = match self.converged(core) {
                Ok(()) if before == after => return Ok(()),
                Ok(()) => format!("ring {after:?} came after {before:?} without a reason"),
                Err(missing) => missing,
            };
        }
        self.note_states();
        Err(self.fail(Class::Liveness, "rest", &unrest))
    }

    /// The ring of the first machine.
    fn ring(&self) -> Option<RingId> {
        let node = self.machines.first()?.node.as_ref()?;
        Some(node.core().pg().srp().ring_id())
    }

    /// Writes down how each node sees the world, for the reader of a failure.
    fn note_states(&mut self) {
        let states: Vec<String> = self.machines.iter().map(|m| m.describe()).collect();
        for state in states {
            self.note(state);
        }
    }

    /// The last check of all: a last message of everybody, and then nothing is owed.
    pub(crate) fn finish(&mut self, within: Duration) -> Result<(), Failure> {
        let everybody: Vec<u32> = (1..=self.options.nodes).collect();
        self.read_all();
        self.settle(&everybody, within)?;
        if let Err(violation) = self.watch.checkers.finish() {
            return Err(self.fail(Class::Safety, violation.checker, &violation.text));
        }
        Ok(())
    }
}

fn assertion(at: Instant, text: &str) -> Failure {
    Failure {
        class: Class::Assert,
        checker: "panic",
        at,
        text: text.to_owned(),
    }
}

/// How long a ring is watched in the end: the timeouts of knet's links shrink for nine seconds after they come up.
const REST: Duration = Duration::from_secs(12);
/// In one of so many such times in a row it must stay.
const RESTS: usize = 5;
/// How often a world is asked whether it has settled.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

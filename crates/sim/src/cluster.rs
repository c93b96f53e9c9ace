//! The world: its events in the order of virtual time, and what they do to machines.

mod machine;
mod operator;
mod turn;
mod watch;
mod wire;

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use ferrosync_executive::core::Quorate;
use ferrosync_totem::rng::Rng;
use ferrosync_totem::srp::MembStateKind;
use ferrosync_wire::{Duration, Instant, NodeId};

use crate::checkers::Checkers;
use crate::faults::Fault;
use crate::host::{Act, Datagram, Machine, Saboteur, Socket};
use crate::network::Network;
use crate::options::{Options, Transport};
use crate::report::{Class, Failure, Report, Verbosity};
use crate::sabotage::Sabotage;
use machine::machine;

pub(crate) use watch::Watch;
pub(crate) use wire::{PORT, kind};

/// A world in motion.
#[derive(Debug)]
pub struct Cluster {
    pub(crate) options: Options,
    pub(crate) rng: Rng,
    pub(crate) now: Instant,
    pub(crate) machines: Vec<Machine>,
    pub(crate) network: Network,
    pub(crate) watch: Watch,
    pub(crate) next_conn: u64,
    pub(crate) next_pid: u32,
    pub(crate) trouble: Trouble,
    events: BinaryHeap<Reverse<Scheduled>>,
    order: u64,
    steps: u64,
    sabotage: Saboteur,
}

/// Whether faults and clients are at work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// They are.
    On,
    /// Nothing happens by itself.
    Off,
}

/// What happens at some time.
#[derive(Debug)]
pub(crate) enum Event {
    /// A machine has something to do.
    Wake(usize),
    /// A datagram arrives.
    Arrive {
        from: usize,
        to: usize,
        socket: Socket,
        datagram: Datagram,
        era: u64,
    },
    /// A machine's process starts.
    Boot(usize),
    /// A started process is done with its sockets.
    LinksReady { machine: usize, incarnation: u64 },
    /// Something goes wrong.
    NextFault,
    /// Something is over.
    FaultOver(Fault),
    /// Some client does something.
    NextAction,
}

#[derive(Debug)]
struct Scheduled {
    at: Instant,
    order: u64,
    event: Event,
}

impl Cluster {
    /// A world whose machines are all off.
    #[must_use]
    pub fn new(options: Options, verbosity: Verbosity, sabotage: Option<Sabotage>) -> Self {
        let mut rng = Rng::new(options.seed ^ 0x5EED_0000_0000_0003);
        let planted = Saboteur::new(sabotage, u32::try_from(rng.below(8)).unwrap_or(0));
        let nodes = usize::try_from(options.nodes).expect("a handful of nodes");
        let victim = usize::try_from(rng.below(u64::from(options.nodes))).unwrap_or(0);
        let machines = (0..nodes)
            .map(|i| machine(&options, i, sabotage.filter(|_| i == victim), &mut rng))
            .collect();
        Self {
            network: Network::new(
                nodes,
                options.transport.links(),
                options.network.clone(),
                options.seed,
            ),
            watch: Watch {
                checkers: Checkers::new(&options),
                report: Report::new(verbosity),
                failure: None,
            },
            rng,
            now: Instant::from_nanos(1_000_000_000),
            machines,
            next_conn: 1,
            next_pid: 1_000,
            trouble: Trouble::Off,
            events: BinaryHeap::new(),
            order: 0,
            steps: 0,
            sabotage: planted,
            options,
        }
    }

    /// A quiet world of `nodes` nodes for scripts; all are started.
    #[must_use]
    pub fn quiet(nodes: u32) -> Self {
        Self::script(Options::quiet(nodes))
    }

    /// A world for scripts; all nodes are started.
    #[must_use]
    pub fn script(options: Options) -> Self {
        let mut cluster = Self::new(options, Verbosity::Transitions, None);
        cluster.boot_all();
        cluster
    }

    /// Starts every machine that is off.
    pub fn boot_all(&mut self) {
        for i in 0..self.machines.len() {
            if self.machines[i].node.is_none() {
                self.schedule(self.now, Event::Boot(i));
            }
        }
    }

    /// Virtual time.
    #[must_use]
    pub const fn now(&self) -> Instant {
        self.now
    }

    /// Events handled so far.
    #[must_use]
    pub const fn steps(&self) -> u64 {
        self.steps
    }

    /// The first failure, if any.
    #[must_use]
    pub const fn failure(&self) -> Option<&Failure> {
        self.watch.failure.as_ref()
    }

    /// What was written down.
    #[must_use]
    pub const fn report(&self) -> &Report {
        &self.watch.report
    }

    pub(crate) fn schedule(&mut self, at: Instant, event: Event) {
        self.order += 1;
        let scheduled = Scheduled {
            at: at.max(self.now),
            order: self.order,
            event,
        };
        self.events.push(Reverse(scheduled));
    }

    /// Lets the world go on for `time`; ends early when a checker fails.
    pub fn run_for(&mut self, time: Duration) -> Result<(), Failure> {
        let end = self.now + time;
        self.run_until(end)
    }

    pub(crate) fn run_until(&mut self, end: Instant) -> Result<(), Failure> {
        while self.events.peek().is_some_and(|Reverse(e)| e.at <= end) {
            let Some(Reverse(next)) = self.events.pop() else {
                break;
            };
            self.now = next.at;
            self.steps += 1;
            self.happen(next.event);
            if let Some(failure) = &self.watch.failure {
                return Err(failure.clone());
            }
            if self.steps > self.steps_max() {
                return Err(self.fail(Class::Liveness, "bounds", "the world never rests"));
            }
        }
        self.now = end;
        Ok(())
    }

    const fn steps_max(&self) -> u64 {
        match self.options.transport {
            Transport::Udpu | Transport::Udp => STEPS_MAX,
            // A message of 1 MiB is a thousand packets on each of three links.
            Transport::Knet(_) => 20 * STEPS_MAX,
        }
    }

    /// Records and returns a failure of the world as a whole.
    pub(crate) fn fail(&mut self, class: Class, checker: &'static str, text: &str) -> Failure {
        let failure = Failure {
            class,
            checker,
            at: self.now,
            text: text.to_owned(),
        };
        self.watch.failure.get_or_insert(failure).clone()
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Wake(i) => {
                if self.machines[i].planned == Some(self.now) {
                    self.machines[i].planned = None;
                    self.turn(i);
                }
            }
            Event::Arrive {
                from,
                to,
                socket,
                datagram,
                era,
            } => {
                let machine = &mut self.machines[to];
                if machine.node.is_some() && era == self.network.era(from) {
                    machine.surroundings.inbox.push(socket, datagram);
                    self.plan(to);
                }
            }
            Event::Boot(i) => self.boot(i),
            Event::LinksReady {
                machine,
                incarnation,
            } => {
                if self.machines[machine].incarnation == incarnation {
                    self.act(machine, Act::LinksReady);
                }
            }
            Event::NextFault => self.next_fault(),
            Event::FaultOver(fault) => self.fault_over(&fault),
            Event::NextAction => self.next_action(),
        }
    }

    /// Queues something that the node is to do for a process or the operator.
    pub(crate) fn act(&mut self, i: usize, act: Act) {
        if self.machines[i].node.is_some() {
            self.machines[i].surroundings.acts.push_back(act);
            self.plan(i);
        }
    }

    /// Sees to it that a machine is woken when it has something to do.
    pub(crate) fn plan(&mut self, i: usize) {
        let now = self.now;
        let machine = &mut self.machines[i];
        let Some(at) = machine.next_wake().map(|at| at.max(now)) else {
            return;
        };
        if machine.planned.is_none_or(|planned| at < planned) {
            machine.planned = Some(at);
            self.schedule(at, Event::Wake(i));
        }
    }

    /// Whether all machines of `core` run, in one ring of just them, synchronised; if not, what is missing.
    pub fn converged(&self, core: &[u32]) -> Result<(), String> {
        let members: Vec<NodeId> = core.iter().map(|n| NodeId(*n)).collect();
        let mut rings = Vec::new();
        for id in core {
            let machine = &self.machines[index(*id)];
            let Some(node) = &machine.node else {
                return Err(format!("node {id} is off"));
            };
            let srp = node.core().pg().srp();
            if srp.state() != MembStateKind::Operational {
                return Err(format!("node {id} is in state {:?}", srp.state()));
            }
            if srp.members().as_slice() != members {
                let list = srp.members().as_slice();
                return Err(format!("node {id} is in a ring of {list:?}"));
            }
            if machine.surroundings.ready != Some(srp.ring_id()) {
                return Err(format!("node {id} is not synchronised"));
            }
            let majority = core.len() * 2 > self.machines.len();
            if majority && node.core().quorum().quorate == Quorate::No {
                return Err(format!("node {id} is not quorate"));
            }
            rings.push(srp.ring_id());
        }
        if rings.windows(2).all(|w| w[0] == w[1]) {
            Ok(())
        } else {
            Err(format!("the nodes are in rings {rings:?}"))
        }
    }
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order
    }
}

impl Eq for Scheduled {}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

/// Where in [`Cluster::machines`] a node is.
pub(crate) fn index(node: u32) -> usize {
    usize::try_from(node).expect("node ids are small") - 1
}

/// A world with more events than this does not come to rest.
const STEPS_MAX: u64 = 3_000_000;

//! The world: its events in the order of virtual time, and what they do to machines.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use ferrosync_executive::core::Quorate;
use ferrosync_executive::log::Record;
use ferrosync_executive::output::{Control, Credentials, LibInput, NodeInput};
use ferrosync_executive::{Admit, Boot, Node, pump};
use ferrosync_totem::rng::Rng;
use ferrosync_totem::srp::{MembStateKind, Output, RxOrder, SrpEvent};
use ferrosync_wire::totem::{Kind, Message};
use ferrosync_wire::{
    ConnId, Decode, Duration, Instant, LinkId, NodeId, Reader, RingId, RingSeq, ServiceId,
};

use crate::checkers::Checkers;
use crate::faults::Fault;
use crate::host::{
    Act, Datagram, Inbox, Machine, Saboteur, SimHost, Socket, StoreBehaviour, Surroundings,
};
use crate::network::Network;
use crate::observation::{Observation, Timing};
use crate::options::Options;
use crate::report::{Class, Failure, Report, Transition, Verbosity};
use crate::sabotage::Sabotage;

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

/// Those who look on.
#[derive(Debug)]
pub(crate) struct Watch {
    pub(crate) checkers: Checkers,
    pub(crate) report: Report,
    /// The first failure; nothing counts after it.
    pub(crate) failure: Option<Failure>,
}

/// What happens at some time.
#[derive(Debug)]
pub(crate) enum Event {
    /// A machine has something to do.
    Wake(usize),
    /// A datagram arrives.
    Arrive {
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

impl Watch {
    /// Shows something to the checkers.
    pub(crate) fn look(&mut self, at: Instant, node: NodeId, seen: &Observation<'_>) {
        if self.failure.is_some() {
            return;
        }
        if let Observation::Ring(Output::Event(event)) = seen {
            self.note_transition(at, node, event);
        }
        if let Observation::Sent(frame) = seen {
            self.report.log(at, node, || {
                let message = Message::parse(frame);
                format!("sends {message:.120?}")
            });
        }
        if let Err(violation) = self.checkers.observe(at, node, seen) {
            self.failure = Some(Failure {
                class: Class::Safety,
                checker: violation.checker,
                at,
                text: format!("node {node}: {}", violation.text),
            });
        }
    }

    fn note_transition(&mut self, at: Instant, node: NodeId, event: &SrpEvent) {
        if let SrpEvent::State {
            from,
            to,
            ring,
            reason,
        } = event
        {
            let members = self.checkers.members_of(node);
            let step = Transition {
                from: *from,
                to: *to,
                ring: *ring,
                reason: *reason,
                members,
            };
            self.report.transition(at, node, &step);
        }
    }

    /// Lines that say that the daemon is broken must not come.
    pub(crate) fn fail_on_log(&mut self, at: Instant, node: NodeId, record: &Record) {
        self.failure.get_or_insert_with(|| Failure {
            class: Class::Safety,
            checker: "log",
            at,
            text: format!("node {node}: {}", record.text),
        });
    }
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
            network: Network::new(nodes, options.network.clone(), options.seed),
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
        let options = Options::quiet(nodes);
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
            if self.steps > STEPS_MAX {
                return Err(self.fail(Class::Liveness, "bounds", "the world never rests"));
            }
        }
        self.now = end;
        Ok(())
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
                to,
                socket,
                datagram,
                era,
            } => {
                let machine = &mut self.machines[to];
                if machine.node.is_some() && era == self.network.era() {
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

    fn boot(&mut self, i: usize) {
        let now = self.now;
        if self.machines[i].node.is_some() {
            return;
        }
        let seed = self.rng.next_u64();
        let machine = &mut self.machines[i];
        machine.incarnation += 1;
        let incarnation = machine.incarnation;
        let around = &mut machine.surroundings;
        let me = around.me;
        let stored = around.stored;
        if incarnation > 1 && stored == RingSeq(0) {
            self.network.begin_era();
        }
        self.watch
            .report
            .line(now, || format!("{me} boots, stored ring seq {}", stored.0));
        self.watch.look(now, me, &Observation::Booted);
        let boot = Boot {
            config: around.config.clone(),
            stored: around.stored,
            seed,
        };
        machine.node = Some(Node::boot(boot, now));
        machine.busy_until = now;
        machine.paused_until = None;
        self.drain(i);
        let opens = now + Duration::from_millis(1 + self.rng.below(100));
        self.schedule(
            opens,
            Event::LinksReady {
                machine: i,
                incarnation,
            },
        );
        self.plan(i);
    }

    /// Ends a machine's process without a word.
    pub(crate) fn kill(&mut self, i: usize) {
        let now = self.now;
        let machine = &mut self.machines[i];
        if machine.node.take().is_none() {
            return;
        }
        machine.paused_until = None;
        machine.planned = None;
        let around = &mut machine.surroundings;
        around.inbox.clear();
        around.acts.clear();
        around.outbox.clear();
        around.ready = None;
        around.ring = RingId::ZERO;
        around.exit = None;
        around.store = StoreBehaviour::Works;
        let me = around.me;
        self.watch.report.line(now, || format!("{me} is off"));
        for conn in std::mem::take(&mut around.processes).into_keys() {
            self.watch.look(now, me, &Observation::ClientDown(conn));
        }
        self.watch.look(now, me, &Observation::Stopped);
    }

    /// One round of a machine's event loop: due timers first, then one thing that waits.
    fn turn(&mut self, i: usize) {
        let now = self.now;
        let machine = &mut self.machines[i];
        if machine.paused_until.is_some_and(|until| until > now) {
            return self.plan(i);
        }
        machine.paused_until = None;
        let Some(node) = &mut machine.node else {
            return;
        };
        if node.poll_timeout().is_some_and(|(at, _)| at <= now) {
            node.handle_timeout(now);
            self.drain(i);
        }
        self.take_datagram(i);
        if self.machines[i].surroundings.inbox.is_empty() {
            self.take_act(i);
        }
        let cost = TURN_COST + Duration::from_nanos(self.rng.below(TURN_JITTER_NANOS));
        self.machines[i].busy_until = now + cost;
        self.plan(i);
    }

    fn take_datagram(&mut self, i: usize) {
        let now = self.now;
        let machine = &mut self.machines[i];
        let (Some(node), Some((socket, datagram))) =
            (&mut machine.node, machine.surroundings.inbox.pop())
        else {
            return;
        };
        let token_waits = machine
            .surroundings
            .inbox
            .unicast
            .front()
            .is_some_and(|d| kind(&d.bytes) == Some(Kind::OrfToken));
        let order = if socket == Socket::Multicast && token_waits {
            RxOrder::AheadOfToken
        } else {
            RxOrder::Arrival
        };
        let input = |bytes| NodeInput::Datagram {
            link: LinkId(0),
            from: datagram.from,
            bytes,
            order,
        };
        node.handle(now, input(datagram.bytes.clone()));
        let is_token = kind(&datagram.bytes) == Some(Kind::OrfToken);
        if is_token
            && machine
                .surroundings
                .saboteur
                .strikes(Sabotage::HandInTooEarly)
        {
            node.handle(now, input(datagram.bytes.clone()));
        }
        self.drain(i);
    }

    fn take_act(&mut self, i: usize) {
        let now = self.now;
        let machine = &mut self.machines[i];
        let (Some(node), Some(act)) = (&mut machine.node, machine.surroundings.acts.pop_front())
        else {
            return;
        };
        match act {
            Act::LinksReady => node.handle(now, NodeInput::LinksReady),
            Act::Shutdown => node.handle(now, NodeInput::Control(Control::Shutdown)),
            Act::Connect(conn) => {
                let Some(process) = machine.surroundings.processes.get(&conn) else {
                    return;
                };
                let who = Credentials {
                    pid: process.pid,
                    uid: 0,
                    gid: 0,
                };
                let service = ServiceId::CPG;
                let connect = LibInput::Connect {
                    conn,
                    service,
                    who,
                    program: "workload",
                };
                node.handle(now, NodeInput::Lib(connect));
            }
            Act::Submit(conn) => return self.submit(i, conn),
            Act::Read(conn) => return self.read(i, conn),
            Act::Close(conn) => {
                if machine.surroundings.processes.remove(&conn).is_some() {
                    let me = machine.surroundings.me;
                    self.watch.look(now, me, &Observation::ClientDown(conn));
                    node.handle(now, NodeInput::Lib(LibInput::Closed { conn }));
                }
            }
        }
        self.drain(i);
    }

    /// Hands in what a process wants, as far as the node takes it.
    fn submit(&mut self, i: usize, conn: ConnId) {
        let now = self.now;
        loop {
            let machine = &mut self.machines[i];
            let (Some(node), Some(process)) = (
                &mut machine.node,
                machine.surroundings.processes.get_mut(&conn),
            ) else {
                return;
            };
            let Some(request) = process.waiting.front() else {
                return;
            };
            let id = i32::from_le_bytes(request[..4].try_into().expect("requests have a header"));
            if node.admit(conn, id, request.len()) == Admit::Later {
                return;
            }
            let Some(message) = process.waiting.pop_front() else {
                return;
            };
            let me = machine.surroundings.me;
            let seen = Observation::Request {
                conn,
                message: &message,
            };
            self.watch.look(now, me, &seen);
            let message = &message;
            node.handle(now, NodeInput::Lib(LibInput::Request { conn, message }));
            self.drain(i);
        }
    }

    /// A process reads everything, which may make room for what was held back.
    fn read(&mut self, i: usize, conn: ConnId) {
        let now = self.now;
        loop {
            let machine = &mut self.machines[i];
            let (Some(node), Some(process)) = (
                &mut machine.node,
                machine.surroundings.processes.get_mut(&conn),
            ) else {
                return;
            };
            if !process.read() {
                return;
            }
            node.handle(now, NodeInput::Lib(LibInput::Writable { conn }));
            let mut host = SimHost {
                now,
                around: &mut machine.surroundings,
                watch: &mut self.watch,
                timing: Timing::Late,
            };
            pump::drain_held(node, conn, &mut host);
            self.drain(i);
        }
    }

    /// Carries out what a node wants, by the production code, and passes on what comes of it.
    pub(crate) fn drain(&mut self, i: usize) {
        let now = self.now;
        let machine = &mut self.machines[i];
        let Some(node) = &mut machine.node else {
            return;
        };
        let mut host = SimHost {
            now,
            around: &mut machine.surroundings,
            watch: &mut self.watch,
            timing: Timing::Now,
        };
        let drained = pump::drain(node, now, &mut host);
        let me = machine.surroundings.me;
        let frames = machine.surroundings.outbox.len();
        let lie = machine
            .surroundings
            .saboteur
            .quorum_lie(node.core().quorum());
        let quorum = lie.as_ref().unwrap_or_else(|| node.core().quorum());
        let ended = Observation::TurnEnded {
            node,
            frames,
            quorum,
        };
        self.watch.look(now, me, &ended);
        self.send_all(i);
        if drained.is_err() {
            return self.end_process(i);
        }
        if self.machines[i].surroundings.exit.is_some() {
            return self.end_process(i);
        }
        self.after_turn(i);
    }

    /// Clients react to what the turn brought them.
    fn after_turn(&mut self, i: usize) {
        let around = &mut self.machines[i].surroundings;
        if std::mem::take(&mut around.gate_opened) {
            for (conn, process) in &around.processes {
                if !process.waiting.is_empty() {
                    around.acts.push_back(Act::Submit(*conn));
                }
            }
        }
        for (conn, process) in &around.processes {
            let prompt = process.pace == crate::process::Pace::Prompt;
            if prompt && process.has_unread() && !around.acts.contains(&Act::Read(*conn)) {
                around.acts.push_back(Act::Read(*conn));
            }
        }
    }

    /// The process ended by itself; it is started again after a while.
    fn end_process(&mut self, i: usize) {
        self.kill(i);
        let pause = self.options.token / 4 + Duration::from_millis(self.rng.below(500));
        self.schedule(self.now + pause, Event::Boot(i));
    }

    /// Hands a machine's frames to the network.
    fn send_all(&mut self, i: usize) {
        let from = self.machines[i].surroundings.me;
        let from = SocketAddr::new(Options::address(from.0), PORT);
        for (to, bytes) in std::mem::take(&mut self.machines[i].surroundings.outbox) {
            match self.receiver(to.ip()) {
                Some(to) => self.send(i, to, from, Socket::Unicast, &bytes),
                None => {
                    for to in (0..self.machines.len()).filter(|to| *to != i) {
                        self.send(i, to, from, Socket::Multicast, &bytes);
                    }
                }
            }
        }
    }

    /// Which machine an address belongs to; `None` for the group.
    fn receiver(&self, to: IpAddr) -> Option<usize> {
        let count = u32::try_from(self.machines.len()).unwrap_or(0);
        let node = (1..=count).find(|node| Options::address(*node) == to)?;
        usize::try_from(node - 1).ok()
    }

    fn send(&mut self, from: usize, to: usize, addr: SocketAddr, socket: Socket, bytes: &Bytes) {
        let mut arrivals = Vec::new();
        let altered = self.altered(bytes);
        let bytes = altered.as_ref().unwrap_or(bytes);
        self.network
            .send(self.now, from, to, bytes, |arrival| arrivals.push(arrival));
        let third = (0..self.machines.len()).find(|i| *i != from && *i != to);
        if let Some(third) = third
            && kind(bytes) == Some(Kind::OrfToken)
            && self.sabotage.strikes(Sabotage::ForgeToken)
        {
            let datagram = Datagram {
                from: addr,
                bytes: bytes.clone(),
            };
            let arrive = Event::Arrive {
                to: third,
                socket,
                datagram,
                era: self.network.era(),
            };
            self.schedule(self.now + self.options.network.delay, arrive);
        }
        for arrival in arrivals {
            let datagram = Datagram {
                from: addr,
                bytes: arrival.bytes,
            };
            let arrive = Event::Arrive {
                to,
                socket,
                datagram,
                era: arrival.era,
            };
            self.schedule(arrival.at, arrive);
        }
    }

    /// What a planted bug makes of a frame on its way.
    fn altered(&mut self, bytes: &Bytes) -> Option<Bytes> {
        self.sabotage.bug?;
        if kind(bytes) != Some(Kind::Mcast) {
            return None;
        }
        let mut copy = bytes.to_vec();
        if self.sabotage.strikes(Sabotage::CorruptFrame) {
            *copy.last_mut()? ^= 1;
        } else if self.sabotage.strikes(Sabotage::RenumberFrame) {
            copy[MCAST_SEQ] = copy[MCAST_SEQ].wrapping_add(1);
        } else {
            return None;
        }
        Some(copy.into())
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

impl Machine {
    /// How its node sees the world, in one line.
    pub(crate) fn describe(&self) -> String {
        let me = self.surroundings.me;
        let Some(node) = &self.node else {
            return format!("{me} off");
        };
        let pg = node.core().pg();
        format!(
            "{me} {:?} ring {} members {:?} ready {:?} free {}/{} {:?} {:?}",
            pg.srp().state(),
            pg.srp().ring_id(),
            pg.srp().members().as_slice(),
            self.surroundings.ready,
            pg.srp().free_frames(ferrosync_totem::srp::Lane::Regular),
            pg.srp()
                .free_frames(ferrosync_totem::srp::Lane::Transitional),
            pg.stats(),
            pg.srp().stats(),
        )
    }

    /// When this machine has something to do.
    fn next_wake(&self) -> Option<Instant> {
        let node = self.node.as_ref()?;
        if let Some(until) = self.paused_until {
            return Some(until);
        }
        let around = &self.surroundings;
        if !around.inbox.is_empty() || !around.acts.is_empty() {
            return Some(self.busy_until);
        }
        let (at, _) = node.poll_timeout()?;
        Some(at.max(self.busy_until))
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

/// A machine of a world, off.
fn machine(options: &Options, i: usize, bug: Option<Sabotage>, rng: &mut Rng) -> Machine {
    let id = u32::try_from(i + 1).expect("a handful of nodes");
    let mut conf = options.corosync_conf();
    if bug == Some(Sabotage::IgnoreWindow) {
        let wide = "totem {\n window_size: 4000\n max_messages: 2000\n";
        conf = conf.replacen("totem {\n", wide, 1);
    }
    let saboteur = Saboteur::new(bug, u32::try_from(rng.below(8)).unwrap_or(0));
    Machine {
        node: None,
        surroundings: Surroundings {
            me: NodeId(id),
            config: Options::load(&conf, id),
            stored: RingSeq(0),
            store: StoreBehaviour::Works,
            inbox: Inbox::default(),
            acts: std::collections::VecDeque::new(),
            processes: std::collections::BTreeMap::new(),
            outbox: Vec::new(),
            ring: RingId::ZERO,
            ready: None,
            exit: None,
            gate_opened: false,
            saboteur,
        },
        busy_until: Instant::ORIGIN,
        paused_until: None,
        planned: None,
        incarnation: 0,
    }
}

/// Where in [`Cluster::machines`] a node is.
pub(crate) fn index(node: u32) -> usize {
    usize::try_from(node).expect("node ids are small") - 1
}

/// What a frame is, if it is one.
pub(crate) fn kind(frame: &[u8]) -> Option<Kind> {
    let header = ferrosync_wire::totem::Header::decode(&mut Reader::new(frame));
    header.ok().map(|h| h.kind)
}

/// Where the sequence number of an mcast starts.
const MCAST_SEQ: usize = 17;

/// The port of every node.
const PORT: u16 = 5405;

/// What a turn of an event loop costs at least: without it a world could stand still in time.
const TURN_COST: Duration = Duration::from_micros(4);

/// What it may cost on top.
const TURN_JITTER_NANOS: u64 = 6_000;

/// A world with more events than this does not come to rest.
const STEPS_MAX: u64 = 3_000_000;

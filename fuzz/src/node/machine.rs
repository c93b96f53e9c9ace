//! What is around a node: time, its neighbours, its clients, its host.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use bytes::Bytes;
use ferrosync_executive::config::{self, Config, Environment, Family, SourceFile};
use ferrosync_executive::log::Record;
use ferrosync_executive::output::Reread;
use ferrosync_executive::output::{
    self, Control, Credentials, ExitReason, FlowControl, HostAnswer, HostRequest, LibInput,
    LibMessage, NodeInput, RxOrder,
};
use ferrosync_executive::pump::{Host, StoreFailed, WouldBlock, drain, drain_held};
use ferrosync_executive::transport::Secrets;
use ferrosync_executive::{Admit, Boot, Node};
use ferrosync_totem::srp::MembStateKind;
use ferrosync_wire::ipc::RequestHeader;
use ferrosync_wire::{
    ConnId, Decode, Duration, Encode, Instant, LinkId, NodeId, Reader, RingSeq, ServiceId, ipc,
};

use super::clients::{Clients, Reads, Stage};
use crate::puppet::{Carries, Puppets};

/// A node and what is around it.
pub(super) struct Machine {
    pub(super) puppets: Puppets,
    now: Instant,
    node: Node,
    outside: Outside,
    conns: u64,
}

/// What the node did to the world.
#[derive(Default)]
struct Outside {
    stored: RingSeq,
    sent: Vec<(SocketAddr, Bytes)>,
    /// What the neighbours answered.
    arriving: VecDeque<Vec<u8>>,
    clients: Clients,
    wishes: VecDeque<HostRequest>,
    /// How often services became ready.
    ready: usize,
    exit: Option<ExitReason>,
    /// Effects of the input that is being handled.
    effects: usize,
}

impl Machine {
    /// A node that is in one ring with its neighbour, synchronised.
    pub(super) fn start(choice: u8) -> Self {
        let now = Instant::from_nanos(1_000_000_000);
        let boot = Boot {
            config: config(choice),
            stored: RingSeq(0),
            kept: output::Kept::default(),
            seed: 7,
            secrets: Secrets::NONE,
        };
        let mut machine = Self {
            puppets: Puppets::new(ME, &[PUPPET.0]),
            now,
            node: Node::boot(boot, now),
            outside: Outside::default(),
            conns: 0,
        };
        machine.drain();
        machine.input(NodeInput::LinksReady);
        machine.until("the first ring is ready", |m| {
            m.outside.ready > 0 && m.node.core().pg().srp().members().len() == 2
        });
        machine
    }

    pub(super) const fn has_exited(&self) -> bool {
        self.outside.exit.is_some()
    }

    /// The neighbours answer and timers act, this many times.
    pub(super) fn cooperate(&mut self, times: usize) {
        for _ in 0..times {
            if self.has_exited() {
                return;
            }
            match self.outside.arriving.pop_front() {
                Some(frame) => {
                    self.now = self.now + LATENCY;
                    self.receive(&frame);
                }
                None => self.wake(),
            }
        }
    }

    fn wake(&mut self) {
        let (at, _) = self.node.poll_timeout().expect("a timer runs at all times");
        self.now = self.now.max(at);
        self.node.handle_timeout(self.now);
        self.drain();
    }

    /// The process does not run for a while.
    pub(super) fn sleep(&mut self, time: Duration) {
        self.now = self.now + time;
        for _ in 0..WAKES_AT_ONCE_MAX {
            let due = self
                .node
                .poll_timeout()
                .is_some_and(|(at, _)| at <= self.now);
            if !due || self.has_exited() {
                return;
            }
            self.node.handle_timeout(self.now);
            self.drain();
        }
        panic!("timers are due without end");
    }

    /// A datagram from the neighbour.
    pub(super) fn receive(&mut self, frame: &[u8]) {
        self.input(NodeInput::Datagram {
            link: LinkId(0),
            from: address(PUPPET.0),
            bytes: Bytes::copy_from_slice(frame),
            order: RxOrder::Arrival,
        });
    }

    pub(super) fn control(&mut self, control: Control) {
        self.input(NodeInput::Control(control));
    }

    pub(super) fn answer(&mut self, answer: HostAnswer<'_>) {
        self.input(NodeInput::Answer(answer));
    }

    pub(super) fn next_wish(&mut self) -> Option<HostRequest> {
        self.outside.wishes.pop_front()
    }

    pub(super) fn connect(&mut self, service: ServiceId, uid: u32) -> ConnId {
        self.conns += 1;
        let conn = ConnId(self.conns);
        self.outside.clients.add(conn);
        let who = Credentials {
            pid: u32::try_from(self.conns).expect("few clients"),
            uid,
            gid: uid,
        };
        self.input(NodeInput::Lib(LibInput::Connect {
            conn,
            service,
            who,
            program: "fuzz",
        }));
        conn
    }

    /// A client sends a request; the node takes it when it will.
    pub(super) fn request(&mut self, client: u8, request: Vec<u8>) {
        if let Some(conn) = self.outside.clients.choose(client) {
            self.request_of(conn, request);
        }
    }

    fn request_of(&mut self, conn: ConnId, request: Vec<u8>) {
        if let Some(client) = self.outside.clients.get_mut(conn)
            && client.waiting.len() < WAITING_MAX
        {
            client.waiting.push_back(request);
        }
        self.submit();
    }

    pub(super) fn close(&mut self, client: u8) {
        if let Some(conn) = self.outside.clients.choose(client) {
            self.outside.clients.remove(conn);
            self.input(NodeInput::Lib(LibInput::Closed { conn }));
        }
    }

    /// A client stops to read, or reads again.
    pub(super) fn toggle_reading(&mut self, client: u8) {
        let Some(conn) = self.outside.clients.choose(client) else {
            return;
        };
        let Some(client) = self.outside.clients.get_mut(conn) else {
            return;
        };
        match client.reads {
            Reads::Yes => client.reads = Reads::No,
            Reads::No => {
                client.reads = Reads::Yes;
                drain_held(&mut self.node, conn, &mut self.outside);
                self.input(NodeInput::Lib(LibInput::Writable { conn }));
            }
        }
    }

    fn input(&mut self, input: NodeInput<'_>) {
        self.node.handle(self.now, input);
        self.drain();
    }

    fn drain(&mut self) {
        self.outside.effects = 0;
        drain(&mut self.node, self.now, &mut self.outside).expect("memory does not fail");
        let carries = match self.node.core().pg().srp().state() {
            MembStateKind::Operational => Carries::Messages,
            MembStateKind::Gather | MembStateKind::Commit | MembStateKind::Recovery => {
                Carries::Nothing
            }
        };
        for (to, frame) in std::mem::take(&mut self.outside.sent) {
            let node = (1..=NODES).find(|id| address(*id) == to).map(NodeId);
            let node = node.expect("frames go to configured nodes");
            let answers = self.puppets.hear(node, &frame, carries);
            self.outside.arriving.extend(answers);
        }
        self.outside.arriving.truncate(ARRIVING_MAX);
        self.submit();
    }

    /// Hands in the requests that the node takes.
    fn submit(&mut self) {
        for conn in self.outside.clients.waiting() {
            while let Some(request) = self.next_request(conn) {
                let message = &request;
                let input = LibInput::Request { conn, message };
                self.node.handle(self.now, NodeInput::Lib(input));
                self.outside.effects = 0;
                drain(&mut self.node, self.now, &mut self.outside).expect("memory does not fail");
                if self.has_exited() {
                    return;
                }
            }
        }
    }

    /// As `ferrosync-ipc` does it: a request needs a header, and none is longer than the rings were made for.
    fn next_request(&mut self, conn: ConnId) -> Option<Vec<u8>> {
        let client = self.outside.clients.get_mut(conn)?;
        if client.stage != Stage::Open {
            return None;
        }
        let request = client.waiting.front()?;
        let len = request.len();
        let Ok(header) = RequestHeader::decode(&mut Reader::new(request)) else {
            client.waiting.pop_front();
            return None;
        };
        match self.node.admit(conn, header.id, len) {
            Admit::Take => self.outside.clients.get_mut(conn)?.take(),
            Admit::Later => None,
        }
    }

    /// Hostile members and clients leave. The node is alone, and serves a client that comes now.
    pub(super) fn recover(&mut self) {
        self.puppets.alive.clear();
        self.outside.arriving.clear();
        while let Some(conn) = self.outside.clients.choose(0) {
            self.outside.clients.remove(conn);
            self.input(NodeInput::Lib(LibInput::Closed { conn }));
        }
        self.until("alone and ready", |m| {
            let srp = m.node.core().pg().srp();
            srp.state() == MembStateKind::Operational && srp.members().as_slice() == [ME]
        });
        self.until("a client is served", |m| {
            let conn = m.connect(ServiceId::CPG, 0);
            m.request_of(conn, ipc::cpg::Request::LocalGet.to_vec());
            m.cooperate(1);
            let answered = m.outside.clients.get(conn).map(|client| client.answered);
            m.outside.clients.remove(conn);
            m.input(NodeInput::Lib(LibInput::Closed { conn }));
            answered == Some(1)
        });
    }

    fn until(&mut self, what: &str, mut is_so: impl FnMut(&mut Self) -> bool) {
        for _ in 0..TURNS_MAX {
            if is_so(self) || self.has_exited() {
                return;
            }
            self.cooperate(1);
        }
        panic!("never: {what}");
    }
}

impl Outside {
    fn effect(&mut self) {
        self.effects += 1;
        assert!(
            self.effects <= EFFECTS_MAX,
            "one input has effects without end"
        );
    }
}

impl Host for Outside {
    fn transmit(&mut self, _link: LinkId, to: SocketAddr, bytes: Bytes, _carries: output::Carries) {
        self.effect();
        self.sent.push((to, bytes));
    }

    fn store_ring_seq(&mut self, seq: RingSeq) -> Result<(), StoreFailed> {
        assert!(seq > self.stored, "{seq} after {}", self.stored);
        self.stored = seq;
        Ok(())
    }

    fn keep(&mut self, _keep: &output::Keep) -> Result<(), StoreFailed> {
        Ok(())
    }

    fn discard_received(&mut self) {
        self.arriving.clear();
    }

    fn lib_accept(&mut self, conn: ConnId) {
        self.clients.set_stage(conn, Stage::Open);
    }

    /// What is queued is read when the client is told so, never in between.
    fn lib_has_read(&mut self, _: ConnId) -> bool {
        false
    }

    fn lib_refuse(&mut self, conn: ConnId, errno: i32) {
        assert!(errno > 0);
        self.clients.set_stage(conn, Stage::Closed);
    }

    fn lib_send(&mut self, message: &LibMessage) -> Result<(), WouldBlock> {
        self.effect();
        let Some(client) = self.clients.get_mut(message.conn) else {
            return Ok(());
        };
        match client.reads {
            Reads::Yes => client.receive(message),
            Reads::No => return Err(WouldBlock),
        }
        Ok(())
    }

    fn lib_flow_control(&mut self, _conn: ConnId, _level: FlowControl) {}

    fn lib_close(&mut self, conn: ConnId) {
        self.clients.set_stage(conn, Stage::Closed);
    }

    fn gate_opened(&mut self) {}

    fn log(&mut self, record: &Record) {
        self.effect();
        assert!(record.text.len() <= LOG_LINE_MAX, "a line without end");
    }

    fn ready(&mut self) {
        self.ready += 1;
    }

    fn ask(&mut self, request: HostRequest) {
        self.effect();
        self.wishes.push_back(request);
    }

    fn exit(&mut self, reason: ExitReason) {
        self.exit = Some(reason);
    }
}

/// Three nodes, the first of them under test; the quorum section varies.
fn config(choice: u8) -> Config {
    let quorum = match choice % 4 {
        0 => "",
        1 => "quorum {\n provider: corosync_votequorum\n}\n",
        2 => {
            "quorum {\n provider: corosync_votequorum\n wait_for_all: 1\n last_man_standing: 1\n \
             auto_tie_breaker: 1\n}\n"
        }
        _ => "quorum {\n provider: corosync_votequorum\n device {\n model: net\n votes: 1\n }\n}\n",
    };
    let node = |id| {
        let ip = address(id).ip();
        format!("node {{\n nodeid: {id}\n name: n{id}\n ring0_addr: {ip}\n}}\n")
    };
    let nodes: String = (1..=NODES).map(node).collect();
    let text = format!(
        "totem {{\n version: 2\n cluster_name: fuzz\n transport: udpu\n token: 1000\n}}\n\
         nodelist {{\n{nodes}}}\n{quorum}"
    );
    let main = SourceFile {
        name: "corosync.conf",
        bytes: text.as_bytes(),
    };
    config::load(main, &[], &mut Place([address(ME.0).ip()])).expect("a good configuration")
}

/// What a reload finds: any of the configurations that a node may start with.
pub(super) fn reread(choice: u8) -> Reread {
    Reread {
        config: config(choice),
        key: None,
    }
}

fn address(id: u32) -> SocketAddr {
    let last = u8::try_from(id).expect("small ids");
    SocketAddr::new(Ipv4Addr::new(10, 0, 0, last).into(), 5405)
}

/// A machine with one address and no name service.
struct Place([IpAddr; 1]);

impl Environment for Place {
    fn node_name(&self) -> &'static str {
        "n1"
    }

    fn local_addresses(&self) -> &[IpAddr] {
        &self.0
    }

    fn resolve(&mut self, _name: &str, _family: Family) -> Vec<IpAddr> {
        Vec::new()
    }

    fn reverse(&mut self, _address: IpAddr) -> Option<String> {
        None
    }

    fn user_id(&mut self, _name: &str) -> Option<u32> {
        None
    }

    fn group_id(&mut self, _name: &str) -> Option<u32> {
        None
    }
}

/// The node under test.
const ME: NodeId = NodeId(1);
/// The neighbour.
pub(super) const PUPPET: NodeId = NodeId(2);
/// Configured nodes.
const NODES: u32 = 3;
/// How long a frame is on its way.
const LATENCY: Duration = Duration::from_micros(100);
/// Requests that wait in one client's ring.
const WAITING_MAX: usize = 16;
/// Frames on their way to the node.
const ARRIVING_MAX: usize = 512;
/// Effects of one input: a whole window of messages, each to all clients.
const EFFECTS_MAX: usize = 200_000;
/// Timers that may be due at one instant.
const WAKES_AT_ONCE_MAX: usize = 10_000;
/// Turns until something has to be the case.
const TURNS_MAX: usize = 20_000;
/// The longest line of the log: a membership of all nodes.
const LOG_LINE_MAX: usize = 16_384;

//! Whole nodes in memory, for tests of services: virtual time, a network whose links can be cut, clients.
//!
//! Nothing is random and nothing takes real time. Randomness and faults are the simulator's.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use ferrosync_wire::ipc::{Answer, Done, cmap};
use ferrosync_wire::{
    ConnId, Decode, Encode, Instant, LinkId, Name, NodeId, Reader, RingSeq, ServiceId, Value,
};

use crate::config::{self, Config, Environment, Family, Fixed, SourceFile};
use crate::log::{Priority, Record, Subsystem};
use crate::node::{Admit, Boot, Node};
use crate::output::{
    Carries, Credentials, ExitReason, FlowControl, HostAnswer, HostRequest, Keep, Kept, LibInput,
    LibKind, LibMessage, NodeInput, RxOrder,
};
use crate::pump::{Host, StoreFailed, WouldBlock, drain, drain_held};
use crate::transport::Secrets;

/// A cluster of nodes, each on its own machine.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) now: Instant,
    machines: BTreeMap<u32, Machine>,
    flying: VecDeque<Datagram>,
    /// Nodes of different islands do not hear each other; those of none are on one together.
    islands: Vec<Vec<u32>>,
    conns: u64,
}

/// A node and what is around it.
#[derive(Debug)]
struct Machine {
    config: Config,
    node: Option<Node>,
    outside: Outside,
}

/// What a node did to the world.
#[derive(Debug, Default)]
struct Outside {
    stored: RingSeq,
    kept: Kept,
    sent: Vec<(SocketAddr, Bytes)>,
    clients: BTreeMap<ConnId, Mailbox>,
    /// They read on and on, and never make room.
    slow_readers: BTreeSet<ConnId>,
    log: Vec<Record>,
    asked: VecDeque<HostRequest>,
    exit: Option<ExitReason>,
}

/// What a client sends and gets.
#[derive(Debug, Default)]
struct Mailbox {
    /// Requests that the node has not taken yet.
    requests: VecDeque<Vec<u8>>,
    answers: VecDeque<Vec<u8>>,
    events: Vec<Vec<u8>>,
    state: Mail,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Mail {
    #[default]
    Connecting,
    Accepted,
    /// By the node, with this errno.
    Refused(i32),
    /// By the node.
    Closed,
}

#[derive(Debug)]
struct Datagram {
    at: Instant,
    from: u32,
    to: SocketAddr,
    bytes: Bytes,
}

/// Whether a client reads its events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reads {
    Slowly,
    Nothing,
}

/// A client of one of the nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Client {
    pub(crate) node: u32,
    pub(crate) conn: ConnId,
}

impl Cluster {
    /// Nodes with these ids (1 to 250), booted and settled on one ring.
    pub(crate) fn start(ids: &[u32]) -> Self {
        Self::start_with(ids, "")
    }

    /// As [`Self::start`], with more sections in the configuration.
    pub(crate) fn start_with(ids: &[u32], sections: &str) -> Self {
        let mut cluster = Self::off(ids, sections);
        for id in ids {
            cluster.boot(*id);
        }
        cluster.settle();
        cluster
    }

    /// Nodes that are not booted yet.
    pub(crate) fn off(ids: &[u32], sections: &str) -> Self {
        let machines = ids.iter().map(|id| {
            let machine = Machine {
                config: config_of(*id, ids, sections),
                node: None,
                outside: Outside::default(),
            };
            (*id, machine)
        });
        Self {
            now: Instant::ORIGIN + Duration::from_secs(1),
            machines: machines.collect(),
            flying: VecDeque::new(),
            islands: Vec::new(),
            conns: 0,
        }
    }

    /// Changes the configuration that a node reads at its next start.
    pub(crate) fn configure(&mut self, id: u32, change: impl FnOnce(&mut Config)) {
        change(&mut self.machine(id).config);
    }

    /// Starts a node's process.
    pub(crate) fn boot(&mut self, id: u32) {
        self.boot_with(id, |_| {});
    }

    /// Starts a node's process, and does something to it before its links are there.
    pub(crate) fn boot_with(&mut self, id: u32, change: impl FnOnce(&mut Node)) {
        let now = self.now;
        let machine = self.machine(id);
        assert!(machine.node.is_none(), "node {id} runs already");
        let boot = Boot {
            config: machine.config.clone(),
            stored: machine.outside.stored,
            kept: machine.outside.kept.clone(),
            seed: u64::from(id),
            secrets: Secrets::NONE,
        };
        let mut node = Node::boot(boot, now);
        change(&mut node);
        machine.node = Some(node);
        self.drain(id);
        self.input(id, NodeInput::LinksReady);
    }

    /// Ends a node's process without a word; its clients see their connections close.
    pub(crate) fn crash(&mut self, id: u32) {
        let machine = self.machine(id);
        machine.node = None;
        for mailbox in machine.outside.clients.values_mut() {
            mailbox.state = Mail::Closed;
        }
    }

    /// Takes from a node that does not run what providers of quorum kept.
    pub(crate) fn forget(&mut self, id: u32) {
        let machine = self.machine(id);
        assert!(machine.node.is_none(), "node {id} runs");
        machine.outside.kept = Kept::default();
    }

    /// From now on only nodes of the same island hear each other.
    pub(crate) fn cut(&mut self, islands: &[&[u32]]) {
        self.islands = islands.iter().map(|island| island.to_vec()).collect();
    }

    /// From now on all nodes hear each other.
    pub(crate) fn heal(&mut self) {
        self.islands.clear();
    }

    /// Runs until every island has one ring of all its nodes that run, synchronised, and all requests and messages
    /// are through.
    pub(crate) fn settle(&mut self) {
        self.run_until("one synchronised ring an island", Self::is_settled);
        self.run_for(Duration::from_millis(20));
        self.run_until("all requests are taken", |c| {
            c.machines.values().all(|m| {
                m.node.is_none() || m.outside.clients.values().all(|b| b.requests.is_empty())
            })
        });
        self.run_for(Duration::from_millis(20));
    }

    fn is_settled(&self) -> bool {
        self.running().all(|(id, node)| {
            let core = node.core();
            let members: Vec<u32> = core.members.iter().map(|n| n.0).collect();
            let expected: Vec<u32> = self
                .running()
                .map(|(other, _)| other)
                .filter(|other| self.hears(id, *other))
                .collect();
            let same_ring = self
                .running()
                .filter(|(other, _)| self.hears(id, *other))
                .all(|(_, other)| other.core().ring == core.ring);
            members == expected && same_ring && !core.sync.in_progress()
        })
    }

    /// Runs until something is the case.
    ///
    /// # Panics
    ///
    /// When it is not after [`PATIENCE`].
    #[track_caller]
    pub(crate) fn run_until(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let deadline = self.now + PATIENCE;
        while !is_so(self) {
            assert!(self.now < deadline, "not within {PATIENCE:?}: {what}");
            self.step();
        }
    }

    /// Lets virtual time pass.
    pub(crate) fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        while self.next_at().is_some_and(|at| at <= end) {
            self.step();
        }
        self.now = end;
    }

    /// A node that runs.
    pub(crate) fn node(&self, id: u32) -> &Node {
        self.machines[&id].node.as_ref().expect("the node runs")
    }

    /// A node that runs, to do things to it; [`Self::drain`] carries out what came of it.
    pub(crate) fn node_mut(&mut self, id: u32) -> &mut Node {
        self.machine(id).node.as_mut().expect("the node runs")
    }

    /// Lines of a node's log at this priority or a more urgent one.
    pub(crate) fn log(&self, id: u32, priority: Priority) -> Vec<&str> {
        let log = &self.machines[&id].outside.log;
        let log = log.iter().filter(|r| r.priority <= priority);
        log.map(|r| r.text.as_str()).collect()
    }

    /// Of these, the lines of one subsystem.
    pub(crate) fn log_of(&self, id: u32, subsystem: Subsystem, priority: Priority) -> Vec<&str> {
        let log = &self.machines[&id].outside.log;
        let log = log
            .iter()
            .filter(|r| r.priority <= priority && r.subsystem == subsystem);
        log.map(|r| r.text.as_str()).collect()
    }

    /// Why a node wants to stop, if it does.
    pub(crate) fn exit(&self, id: u32) -> Option<ExitReason> {
        self.machines[&id].outside.exit
    }

    /// Hands something to a node.
    pub(crate) fn input(&mut self, id: u32, input: NodeInput<'_>) {
        let now = self.now;
        self.node_mut(id).handle(now, input);
        self.drain(id);
    }

    fn machine(&mut self, id: u32) -> &mut Machine {
        self.machines.get_mut(&id).expect("a node of the cluster")
    }

    fn running(&self) -> impl Iterator<Item = (u32, &Node)> {
        self.machines
            .iter()
            .filter_map(|(id, m)| Some((*id, m.node.as_ref()?)))
    }

    fn hears(&self, a: u32, b: u32) -> bool {
        let island = |node| self.islands.iter().position(|i| i.contains(&node));
        island(a) == island(b)
    }

    fn next_at(&self) -> Option<Instant> {
        let timers = self.running().filter_map(|(_, n)| n.poll_timeout());
        let timers = timers.map(|(at, _)| at.max(self.now));
        timers.chain(self.flying.front().map(|d| d.at)).min()
    }

    /// Lets the next thing happen.
    pub(crate) fn step(&mut self) {
        let at = self.next_at().expect("running nodes have timers");
        self.now = at;
        if self.flying.front().is_some_and(|d| d.at <= at) {
            return self.arrive();
        }
        let due = |(id, n): (u32, &Node)| n.poll_timeout().filter(|(t, _)| *t <= at).map(|_| id);
        let id = self.running().find_map(due).expect("something is due");
        self.node_mut(id).handle_timeout(at);
        self.drain(id);
    }

    fn arrive(&mut self) {
        let Some(datagram) = self.flying.pop_front() else {
            return;
        };
        let Some(to) = self
            .machines
            .keys()
            .copied()
            .find(|id| address(*id) == datagram.to)
        else {
            return;
        };
        if self.hears(datagram.from, to) && self.machine(to).node.is_some() {
            let input = NodeInput::Datagram {
                link: LinkId(0),
                from: address(datagram.from),
                bytes: datagram.bytes,
                order: RxOrder::Arrival,
            };
            self.input(to, input);
        }
    }

    /// Carries out what a node wants done.
    pub(crate) fn drain(&mut self, id: u32) {
        let now = self.now;
        let machine = self.machine(id);
        let Some(node) = &mut machine.node else {
            return;
        };
        drain(node, now, &mut machine.outside).expect("memory does not fail");
        let sent = std::mem::take(&mut machine.outside.sent);
        let at = now + LATENCY;
        self.flying
            .extend(sent.into_iter().map(|(to, bytes)| Datagram {
                at,
                from: id,
                to,
                bytes,
            }));
        self.submit(id);
    }

    /// Hands in the requests that the node takes.
    fn submit(&mut self, id: u32) {
        let now = self.now;
        let machine = self.machine(id);
        let Some(node) = &mut machine.node else {
            return;
        };
        for (conn, mailbox) in &mut machine.outside.clients {
            let Some(request) = mailbox.requests.front() else {
                continue;
            };
            let head = request.first_chunk().expect("requests have a header");
            let number = i32::from_le_bytes(*head);
            if mailbox.state != Mail::Accepted
                || node.admit(*conn, number, request.len()) == Admit::Later
            {
                continue;
            }
            let message = mailbox.requests.pop_front().expect("there is a first");
            let conn = *conn;
            let message = &message;
            node.handle(now, NodeInput::Lib(LibInput::Request { conn, message }));
            return self.drain(id);
        }
    }
}

/// Clients.
impl Cluster {
    /// A client that the node lets in.
    #[track_caller]
    pub(crate) fn connect(&mut self, node: u32, service: ServiceId) -> Client {
        let client = self.knock(node, service);
        assert_eq!(self.mailbox(client).state, Mail::Accepted);
        client
    }

    /// A client that the node lets in or not.
    fn knock(&mut self, node: u32, service: ServiceId) -> Client {
        self.conns += 1;
        let conn = ConnId(self.conns);
        let who = Credentials {
            pid: 1000 + u32::try_from(self.conns).expect("few clients"),
            uid: 0,
            gid: 0,
        };
        let clients = &mut self.machine(node).outside.clients;
        clients.insert(conn, Mailbox::default());
        let connect = LibInput::Connect {
            conn,
            service,
            who,
            program: "test",
        };
        self.input(node, NodeInput::Lib(connect));
        Client { node, conn }
    }

    /// The errno with which the node turns a client away.
    pub(crate) fn refusal(&mut self, node: u32, service: ServiceId) -> Option<i32> {
        let client = self.knock(node, service);
        match self.mailbox(client).state {
            Mail::Refused(errno) => Some(errno),
            Mail::Connecting | Mail::Accepted | Mail::Closed => None,
        }
    }

    /// A client sends a request and does not wait for an answer.
    pub(crate) fn send(&mut self, client: Client, request: &impl Encode) {
        self.send_bytes(client, request.to_vec());
    }

    /// As [`Self::send`], whatever the bytes mean.
    pub(crate) fn send_bytes(&mut self, client: Client, request: Vec<u8>) {
        self.mailbox(client).requests.push_back(request);
        self.submit(client.node);
    }

    /// A client sends a request and waits for its answer.
    #[track_caller]
    pub(crate) fn call(&mut self, client: Client, request: &impl Encode) -> Vec<u8> {
        assert_eq!(self.answer(client), None, "an answer nobody asked for");
        self.send(client, request);
        self.run_until("an answer", |c| !c.peek(client).answers.is_empty());
        self.answer(client).expect("it is there")
    }

    /// The oldest answer that the client has not taken.
    pub(crate) fn answer(&mut self, client: Client) -> Option<Vec<u8>> {
        self.mailbox(client).answers.pop_front()
    }

    /// The events since the last time.
    pub(crate) fn events(&mut self, client: Client) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.mailbox(client).events)
    }

    /// A client's process ends. Requests that the node has not taken go with it.
    pub(crate) fn close(&mut self, client: Client) {
        let conn = client.conn;
        self.machine(client.node).outside.clients.remove(&conn);
        self.input(client.node, NodeInput::Lib(LibInput::Closed { conn }));
    }

    /// Whether the node ended the client's connection.
    pub(crate) fn is_closed(&self, client: Client) -> bool {
        self.peek(client).state == Mail::Closed
    }

    /// A client has room for all that waits for it.
    pub(crate) fn read(&mut self, client: Client) {
        let machine = self.machine(client.node);
        if let Some(node) = &mut machine.node {
            drain_held(node, client.conn, &mut machine.outside);
        }
    }

    /// From now on a client reads a little all the time, or not at all any more.
    pub(crate) fn read_slowly(&mut self, client: Client, reads: Reads) {
        let readers = &mut self.machine(client.node).outside.slow_readers;
        match reads {
            Reads::Slowly => readers.insert(client.conn),
            Reads::Nothing => readers.remove(&client.conn),
        };
    }

    /// Has a client of the map set a key; it must be allowed.
    pub(crate) fn set_key(&mut self, client: Client, key: &str, value: &Value) {
        let bytes = value.to_wire();
        let request = cmap::Request::Set {
            key: Name::new(key.as_bytes()),
            value_type: value.type_code(),
            value: &bytes,
        };
        let answer = self.call(client, &request);
        let answer = Answer::<cmap::SetDone>::decode(&mut Reader::new(&answer));
        assert_eq!(answer.expect("an answer").0, Ok(Done), "{key}");
    }

    /// Has a client of the map delete a key; it must be there.
    pub(crate) fn delete_key(&mut self, client: Client, key: &str) {
        let key = Name::new(key.as_bytes());
        let answer = self.call(client, &cmap::Request::Delete { key });
        let answer = Answer::<cmap::Deleted>::decode(&mut Reader::new(&answer));
        assert_eq!(answer.expect("an answer").0, Ok(Done));
    }

    /// What stands under a key of a node's map.
    pub(crate) fn key(&self, node: u32, name: &str) -> Option<Value> {
        self.node(node).core().icmap.get(name)
    }

    /// What a node asked of its host and was not answered yet.
    pub(crate) fn asked(&mut self, node: u32) -> Option<HostRequest> {
        self.machine(node).outside.asked.pop_front()
    }

    /// Whether a node waits for its host.
    pub(crate) fn is_asking(&self, node: u32) -> bool {
        !self.machines[&node].outside.asked.is_empty()
    }

    /// Answers a node in its host's place.
    pub(crate) fn answer_host(&mut self, node: u32, answer: HostAnswer<'_>) {
        self.input(node, NodeInput::Answer(answer));
    }

    fn peek(&self, client: Client) -> &Mailbox {
        &self.machines[&client.node].outside.clients[&client.conn]
    }

    fn mailbox(&mut self, client: Client) -> &mut Mailbox {
        let clients = &mut self.machine(client.node).outside.clients;
        clients
            .get_mut(&client.conn)
            .expect("a client of this node")
    }
}

impl Outside {
    fn set_state(&mut self, conn: ConnId, state: Mail) {
        if let Some(mailbox) = self.clients.get_mut(&conn) {
            mailbox.state = state;
        }
    }
}

impl Host for Outside {
    fn transmit(&mut self, _link: LinkId, to: SocketAddr, bytes: Bytes, _carries: Carries) {
        self.sent.push((to, bytes));
    }
    fn store_ring_seq(&mut self, seq: RingSeq) -> Result<(), StoreFailed> {
        self.stored = seq;
        Ok(())
    }
    fn keep(&mut self, keep: &Keep) -> Result<(), StoreFailed> {
        match keep {
            Keep::ExpectedVotes(votes) => self.kept.expected_votes = *votes,
            Keep::Linear(memory) => self.kept.linear = Some(memory.clone()),
        }
        Ok(())
    }
    fn discard_received(&mut self) {}
    fn lib_accept(&mut self, conn: ConnId) {
        self.set_state(conn, Mail::Accepted);
    }
    fn lib_refuse(&mut self, conn: ConnId, errno: i32) {
        self.set_state(conn, Mail::Refused(errno));
    }
    fn lib_send(&mut self, message: &LibMessage) -> Result<(), WouldBlock> {
        let bytes = [message.head.as_slice(), &message.body].concat();
        if let Some(mailbox) = self.clients.get_mut(&message.conn) {
            match message.kind {
                LibKind::Response => mailbox.answers.push_back(bytes),
                LibKind::Event => mailbox.events.push(bytes),
            }
        }
        Ok(())
    }
    fn lib_has_read(&mut self, conn: ConnId) -> bool {
        self.slow_readers.contains(&conn)
    }
    fn lib_flow_control(&mut self, _conn: ConnId, _level: FlowControl) {}
    fn lib_close(&mut self, conn: ConnId) {
        self.set_state(conn, Mail::Closed);
    }
    fn gate_opened(&mut self) {}
    fn log(&mut self, record: &Record) {
        self.log.push(record.clone());
    }
    fn ready(&mut self) {}
    fn ask(&mut self, request: HostRequest) {
        self.asked.push_back(request);
    }
    fn exit(&mut self, reason: ExitReason) {
        self.exit = Some(reason);
    }
}

/// A udpu configuration of all these nodes, as the node `me` reads it.
pub(crate) fn config_of(me: u32, ids: &[u32], sections: &str) -> Config {
    let text = config_text(ids, "", sections);
    read_config(me, &text, &Fixed::NONE).expect("a good configuration")
}

/// A file that names nodes with these votes, node 1 first, with more sections.
pub(crate) fn config_of_votes(votes: &[u32], sections: &str) -> String {
    let ids: Vec<u32> = (1..).take(votes.len()).collect();
    let mut text = config_text(&ids, "", sections);
    for (id, votes) in ids.iter().zip(votes) {
        let line = format!(" nodeid: {id}\n");
        text = text.replace(&line, &format!("{line} quorum_votes: {votes}\n"));
    }
    text
}

/// A file that names these nodes, with more lines in section totem and more sections.
pub(crate) fn config_text(ids: &[u32], totem: &str, sections: &str) -> String {
    let node = |id: &u32| format!("node {{\n nodeid: {id}\n ring0_addr: {}\n}}\n", ip(*id));
    let nodes: String = ids.iter().map(node).collect();
    format!(
        "totem {{\n version: 2\n cluster_name: test\n transport: udpu\n{totem}\n}}\n\
         nodelist {{\n{nodes}}}\n{sections}"
    )
}

/// What the host of the node `me` makes of its file.
pub(crate) fn read_config(me: u32, text: &str, fixed: &Fixed) -> Result<Config, String> {
    let main = SourceFile {
        name: "corosync.conf",
        bytes: text.as_bytes(),
    };
    config::reload(main, &[], &mut Place([ip(me)]), fixed).map_err(|e| e.to_string())
}

/// A machine with one address and no name service.
struct Place([IpAddr; 1]);

impl Environment for Place {
    fn node_name(&self) -> &str {
        "test"
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

fn ip(id: u32) -> IpAddr {
    let last = u8::try_from(id).expect("small ids");
    Ipv4Addr::new(10, 0, 0, last).into()
}

fn address(id: u32) -> SocketAddr {
    SocketAddr::new(ip(id), 5405)
}

/// How long a datagram travels.
const LATENCY: Duration = Duration::from_micros(100);
/// How long a test waits for something, in virtual time.
const PATIENCE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_form_rings_as_islands_allow() {
        let mut cluster = Cluster::start(&[1, 2, 3]);
        cluster.cut(&[&[1], &[2, 3]]);
        cluster.settle();
        let members = |c: &Cluster, id| c.node(id).core().members.clone();
        assert_eq!(members(&cluster, 1), [NodeId(1)]);
        assert_eq!(members(&cluster, 3), [NodeId(2), NodeId(3)]);
        cluster.heal();
        cluster.settle();
        assert_eq!(members(&cluster, 2), [NodeId(1), NodeId(2), NodeId(3)]);
        cluster.crash(2);
        cluster.settle();
        assert_eq!(members(&cluster, 1), [NodeId(1), NodeId(3)]);
        cluster.boot(2);
        cluster.settle();
        assert_eq!(members(&cluster, 1), [NodeId(1), NodeId(2), NodeId(3)]);
    }

    #[test]
    fn clients_are_turned_away_before_the_first_ring() {
        let mut cluster = Cluster::off(&[1], "");
        cluster.boot(1);
        assert_eq!(cluster.refusal(1, ServiceId::CPG), Some(11));
        cluster.settle();
        let client = cluster.connect(1, ServiceId::CPG);
        assert!(!cluster.is_closed(client));
    }
}

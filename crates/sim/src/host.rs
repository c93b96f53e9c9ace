//! A machine of the world: a disk, sockets, client processes and the production node.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

use bytes::Bytes;
use ferrosync_executive::Node;
use ferrosync_executive::config::{Config, Fixed};
use ferrosync_executive::core::{Quorate, QuorumView};
use ferrosync_executive::log::{Priority, Record};
use ferrosync_executive::output::{
    Carries, ExitReason, FlowControl, HostRequest, Keep, Kept, LibKind, LibMessage, LinkTrouble,
};
use ferrosync_executive::pump::{Host, StoreFailed, WouldBlock};
use ferrosync_totem::pg::Seen;
use ferrosync_totem::srp::{ConfChg, ConfChgKind, Delivered, Output};
use ferrosync_wire::{ConnId, Instant, LinkId, NodeId, RingId, RingSeq};

use crate::cluster::Watch;
use crate::observation::{Observation, Timing};
use crate::process::{Process, Stage};
use crate::sabotage::Sabotage;

/// A machine, running or not.
#[derive(Debug)]
pub struct Machine {
    /// The production node, while its process runs.
    pub(crate) node: Option<Node>,
    /// Everything around it.
    pub(crate) surroundings: Surroundings,
    /// Until when it works on what it was given last.
    pub(crate) busy_until: Instant,
    /// Until when its process does not run.
    pub(crate) paused_until: Option<Instant>,
    /// When it is to be woken.
    pub(crate) planned: Option<Instant>,
    /// How often its process was started.
    pub(crate) incarnation: u64,
}

/// What is around a node on its machine.
#[derive(Debug)]
pub struct Surroundings {
    pub(crate) me: NodeId,
    /// Its corosync.conf, and what that was when its process started last.
    pub(crate) conf: String,
    pub(crate) config: Config,
    /// What the disk holds.
    pub(crate) stored: RingSeq,
    pub(crate) kept: Kept,
    pub(crate) store: StoreBehaviour,
    pub(crate) inbox: Inbox,
    /// What client processes and the operator want, oldest first.
    pub(crate) acts: VecDeque<Act>,
    /// What the node wants to know of its files, oldest first.
    pub(crate) reads: VecDeque<Read>,
    pub(crate) files_read: u64,
    pub(crate) processes: BTreeMap<ConnId, Process>,
    /// Frames that wait to be handed to the network.
    pub(crate) outbox: Vec<(LinkId, SocketAddr, Bytes)>,
    /// The ring installed last, and the one for which services are synchronised.
    pub(crate) ring: RingId,
    pub(crate) ready: Option<RingId>,
    pub(crate) exit: Option<ExitReason>,
    pub(crate) gate_opened: bool,
    pub(crate) saboteur: Saboteur,
}

/// What storing the ring sequence number does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StoreBehaviour {
    /// It works.
    Works,
    /// The process ends before the number is durable.
    CrashesBefore,
    /// The process ends right after.
    CrashesAfter,
}

/// What a client process or the operator wants of the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// A process connects.
    Connect(ConnId),
    /// A process hands in the requests that wait.
    Submit(ConnId),
    /// A process reads its events.
    Read(ConnId),
    /// A process ends.
    Close(ConnId),
    /// The sockets are open.
    LinksReady,
    /// The operator stops the node.
    Shutdown,
    /// The operator has all nodes reload.
    Reload,
    /// The files are read, as the node asked.
    ReadFiles,
    /// The network reports about a datagram.
    Trouble(LinkTrouble),
}

/// What the node wants to know of its files.
#[derive(Clone, Debug)]
pub(crate) enum Read {
    /// The configuration, of which this has to stay.
    All(Fixed),
    /// The key.
    Key,
}

/// A received datagram.
#[derive(Clone, Debug)]
pub(crate) struct Datagram {
    pub(crate) link: LinkId,
    pub(crate) from: SocketAddr,
    pub(crate) bytes: Bytes,
}

/// The receive buffers of a machine's sockets. With udpu everything comes through one.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    pub(crate) multicast: VecDeque<Datagram>,
    pub(crate) unicast: VecDeque<Datagram>,
    bytes: usize,
    /// Datagrams that found no room.
    pub(crate) overflowed: u64,
}

/// Which socket a datagram comes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Socket {
    Multicast,
    Unicast,
}

impl Inbox {
    pub(crate) fn push(&mut self, socket: Socket, datagram: Datagram) {
        if self.bytes + datagram.bytes.len() > SOCKET_BUFFER_BYTES {
            self.overflowed += 1;
            return;
        }
        self.bytes += datagram.bytes.len();
        match socket {
            Socket::Multicast => self.multicast.push_back(datagram),
            Socket::Unicast => self.unicast.push_back(datagram),
        }
    }

    pub(crate) fn pop(&mut self) -> Option<(Socket, Datagram)> {
        let multicast = self.multicast.pop_front().map(|d| (Socket::Multicast, d));
        let popped = multicast.or_else(|| Some((Socket::Unicast, self.unicast.pop_front()?)));
        if let Some((_, datagram)) = &popped {
            self.bytes -= datagram.bytes.len();
        }
        popped
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.multicast.is_empty() && self.unicast.is_empty()
    }

    pub(crate) fn clear(&mut self) {
        self.multicast.clear();
        self.unicast.clear();
        self.bytes = 0;
    }
}

/// Applies a planted bug once the time has come.
#[derive(Debug, Default)]
pub(crate) struct Saboteur {
    pub(crate) bug: Option<Sabotage>,
    /// Opportunities to let pass.
    patience: u32,
    /// A delivery held back by [`Sabotage::LoseTail`].
    tail: Option<Delivered>,
    /// An event held back by [`Sabotage::SwapClientEvents`].
    swapped: Option<LibMessage>,
}

impl Saboteur {
    /// Plants a bug that lets a few opportunities pass.
    pub(crate) fn new(bug: Option<Sabotage>, patience: u32) -> Self {
        Self {
            bug,
            patience,
            ..Self::default()
        }
    }

    /// Whether `bug` is planted and strikes at this opportunity.
    pub(crate) fn strikes(&mut self, bug: Sabotage) -> bool {
        if self.bug != Some(bug) {
            return false;
        }
        if self.patience > 0 {
            self.patience -= 1;
            return false;
        }
        self.bug = None;
        true
    }

    /// What a node with [`Sabotage::ExpectOneVote`] believes of its quorum.
    pub(crate) fn quorum_lie(&self, view: &QuorumView) -> Option<QuorumView> {
        let lies = self.has(Sabotage::ExpectOneVote) && !view.members.is_empty();
        lies.then(|| QuorumView {
            quorate: Quorate::Yes,
            ..view.clone()
        })
    }

    /// Whether `bug` is planted, for those that strike again and again.
    fn has(&self, bug: Sabotage) -> bool {
        self.bug == Some(bug)
    }
}

/// The machine as [`ferrosync_executive::pump`] sees it during one turn.
pub(crate) struct SimHost<'a> {
    pub(crate) now: Instant,
    pub(crate) around: &'a mut Surroundings,
    pub(crate) watch: &'a mut Watch,
    pub(crate) timing: Timing,
}

impl SimHost<'_> {
    fn look(&mut self, seen: &Observation<'_>) {
        self.watch.look(self.now, self.around.me, seen);
    }

    fn see_ring(&mut self, output: &Output) {
        if let Output::ConfChg(change) = output
            && change.kind == ConfChgKind::Regular
        {
            self.around.ring = change.ring;
        }
        if self.around.saboteur.bug.is_some() {
            return self.see_ring_sabotaged(output);
        }
        self.look(&Observation::Ring(output));
    }

    /// Tells the checkers what a node with a bug would have done.
    fn see_ring_sabotaged(&mut self, output: &Output) {
        let saboteur = &mut self.around.saboteur;
        if saboteur.has(Sabotage::LoseTail) {
            return self.lose_tail(output);
        }
        match output {
            Output::Deliver(d) => {
                if d.from == self.around.me && saboteur.strikes(Sabotage::LoseOwnMessage) {
                    return;
                }
                if saboteur.strikes(Sabotage::DeliverTwice) {
                    self.look(&Observation::Ring(output));
                }
            }
            Output::ConfChg(change) if change.kind == ConfChgKind::Transitional => {
                if saboteur.strikes(Sabotage::SkipTransitional) {
                    return;
                }
            }
            Output::ConfChg(change) => {
                if saboteur.strikes(Sabotage::InventMember) {
                    let lie = Output::ConfChg(with_one_more(change));
                    return self.look(&Observation::Ring(&lie));
                }
            }
            Output::Transmit(_)
            | Output::StoreRingSeq(_)
            | Output::DiscardReceived
            | Output::Stranger(_)
            | Output::TokenPassed
            | Output::Event(_) => {}
        }
        self.look(&Observation::Ring(output));
    }

    /// Every delivery waits until it is known not to be the last of its ring.
    fn lose_tail(&mut self, output: &Output) {
        match output {
            Output::Deliver(d) => {
                if let Some(before) = self.around.saboteur.tail.replace(d.clone()) {
                    self.look(&Observation::Ring(&Output::Deliver(before)));
                }
            }
            Output::ConfChg(change) if change.kind == ConfChgKind::Transitional => {
                let tail = self.around.saboteur.tail.take();
                // An own message would be missed as such.
                let from_other = tail.as_ref().is_some_and(|d| d.from != self.around.me);
                let strikes = from_other && self.around.saboteur.strikes(Sabotage::LoseTail);
                if let Some(tail) = tail.filter(|_| !strikes) {
                    self.look(&Observation::Ring(&Output::Deliver(tail)));
                }
                self.look(&Observation::Ring(output));
            }
            Output::ConfChg(_)
            | Output::Transmit(_)
            | Output::StoreRingSeq(_)
            | Output::DiscardReceived
            | Output::Stranger(_)
            | Output::TokenPassed
            | Output::Event(_) => self.look(&Observation::Ring(output)),
        }
    }

    /// Gives an event to a process and shows it to the checkers, or what a bug makes of it.
    fn give(&mut self, message: &LibMessage) -> Result<(), WouldBlock> {
        let Some(process) = self.around.processes.get_mut(&message.conn) else {
            return Ok(());
        };
        process.receive(message)?;
        let mut lie = message.clone();
        let saboteur = &mut self.around.saboteur;
        if saboteur.bug.is_some() && message.kind == LibKind::Event {
            let is_message = event_id(message) == Some(DELIVER);
            let is_change = event_id(message) == Some(CONFCHG);
            if is_message && saboteur.strikes(Sabotage::LoseClientEvent)
                || is_change && saboteur.strikes(Sabotage::LoseGroupChange)
            {
                return Ok(());
            }
            if is_message && saboteur.strikes(Sabotage::RepeatClientEvent) {
                self.look(&Observation::ToClient(message, self.timing));
            }
            if is_message && self.around.saboteur.strikes(Sabotage::SwapClientEvents) {
                self.around.saboteur.swapped = Some(lie);
                return Ok(());
            }
            if is_message && self.around.saboteur.strikes(Sabotage::CorruptClientEvent) {
                let mut body = lie.body.to_vec();
                if let Some(last) = body.last_mut() {
                    *last ^= 1;
                }
                lie.body = body.into();
            }
        }
        self.look(&Observation::ToClient(&lie, self.timing));
        if let Some(earlier) = self.around.saboteur.swapped.take() {
            self.look(&Observation::ToClient(&earlier, self.timing));
        }
        Ok(())
    }
}

impl Host for SimHost<'_> {
    fn transmit(&mut self, link: LinkId, to: SocketAddr, bytes: Bytes, _carries: Carries) {
        self.around.outbox.push((link, to, bytes));
    }

    fn store_ring_seq(&mut self, seq: RingSeq) -> Result<(), StoreFailed> {
        let failed = || Err(StoreFailed("the process ended".to_owned()));
        if self.around.store == StoreBehaviour::CrashesBefore {
            return failed();
        }
        if !self.around.saboteur.strikes(Sabotage::ForgetRingSeq) {
            self.around.stored = seq;
            self.look(&Observation::Stored(seq));
        }
        match self.around.store {
            StoreBehaviour::CrashesAfter => failed(),
            StoreBehaviour::Works | StoreBehaviour::CrashesBefore => Ok(()),
        }
    }

    fn keep(&mut self, keep: &Keep) -> Result<(), StoreFailed> {
        match keep {
            Keep::ExpectedVotes(votes) => self.around.kept.expected_votes = *votes,
            Keep::Linear(memory) => self.around.kept.linear = Some(memory.clone()),
        }
        Ok(())
    }

    fn discard_received(&mut self) {
        self.around.inbox.clear();
    }

    fn lib_accept(&mut self, conn: ConnId) {
        if let Some(process) = self.around.processes.get_mut(&conn) {
            process.stage = Stage::Connected;
            let pid = process.pid;
            self.look(&Observation::ClientUp { conn, pid });
        }
    }

    fn lib_refuse(&mut self, conn: ConnId, _errno: i32) {
        self.around.processes.remove(&conn);
    }

    fn lib_send(&mut self, message: &LibMessage) -> Result<(), WouldBlock> {
        self.give(message)
    }

    /// A process reads all at once, and says so itself.
    fn lib_has_read(&mut self, _conn: ConnId) -> bool {
        false
    }

    fn lib_flow_control(&mut self, conn: ConnId, level: FlowControl) {
        if let Some(process) = self.around.processes.get_mut(&conn) {
            process.flow = level;
        }
    }

    fn lib_close(&mut self, conn: ConnId) {
        if self.around.processes.remove(&conn).is_some() {
            self.look(&Observation::ClientDown(conn));
        }
    }

    fn gate_opened(&mut self) {
        self.around.gate_opened = true;
    }

    fn log(&mut self, record: &Record) {
        let me = self.around.me;
        self.watch.report.log(self.now, me, || {
            let subsystem = record.subsystem.name();
            format!("{:?} [{subsystem}] {}", record.priority, record.text)
        });
        if record.priority < Priority::Error {
            self.watch.fail_on_log(self.now, me, record);
        }
    }

    fn ready(&mut self) {
        self.around.ready = Some(self.around.ring);
        self.look(&Observation::Ready);
    }

    fn ask(&mut self, request: HostRequest) {
        let read = if let HostRequest::ReadConfig { fixed } = request {
            Read::All(fixed)
        } else if matches!(request, HostRequest::ReadKey) {
            Read::Key
        } else {
            return;
        };
        self.around.reads.push_back(read);
        self.around.acts.push_back(Act::ReadFiles);
    }

    fn exit(&mut self, reason: ExitReason) {
        self.around.exit = Some(reason);
    }

    fn see(&mut self, seen: Seen<'_>) {
        match seen {
            Seen::Ring(output) => {
                if let Output::Transmit(sent) = output {
                    self.look(&Observation::Sent(&sent.frame));
                }
                self.see_ring(output);
            }
            Seen::Message(message) => self.look(&Observation::Message(message)),
        }
    }
}

/// The id of a message for a client.
fn event_id(message: &LibMessage) -> Option<i32> {
    let head = message.head.as_slice();
    let bytes = if head.is_empty() {
        &message.body[..]
    } else {
        head
    };
    let id = bytes.get(..4)?.try_into().ok()?;
    Some(i32::from_le_bytes(id))
}

fn with_one_more(change: &ConfChg) -> ConfChg {
    let mut change = change.clone();
    change.members.push(NodeId(99));
    change.joined.push(NodeId(99));
    change
}

/// Event ids of cpg (corosync `ipc_cpg.h`, v3.1.7).
pub(crate) const CONFCHG: i32 = 4;
/// See [`CONFCHG`].
pub(crate) const DELIVER: i32 = 5;

/// Receive buffer of a machine's sockets.
const SOCKET_BUFFER_BYTES: usize = 4 << 20;

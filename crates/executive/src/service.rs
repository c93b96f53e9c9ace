//! What a service is, and what it may do.
//!
//! Services answer clients, tell their peers on the ring, and take part in the synchronisation after each
//! membership change. All effects go through [`Ctx`]; a service never sees a file descriptor or a clock.

use bytes::Bytes;
use ferrosync_totem::pg::Group;
use ferrosync_totem::srp::{Guarantee, QueueFull};
use ferrosync_wire::ipc::CsError;
use ferrosync_wire::{ConnId, Encode, Instant, NodeId, RingId, ServiceId};

use crate::core::{Core, Internal, QuorumView};
use crate::icmap::{Icmap, Notification};
use crate::log::{Priority, Record, Subsystem};
use crate::output::{
    Credentials, ExitReason, Head, HostRequest, Keep, LibKind, LibMessage, Measured, NodeOutput,
    WatchdogAnswer,
};
use crate::reload::{CryptoChange, CryptoPhase};

/// What is known of a service before it runs.
#[derive(Debug)]
pub struct ServiceInfo {
    /// Its number.
    pub id: ServiceId,
    /// Its name as a key and as a socket: `cpg`.
    pub name: &'static str,
    /// Its name in the log at start and stop, as corosync writes it.
    pub title: &'static str,
    /// Higher stops first.
    pub priority: u16,
    /// Whether clients can connect.
    pub library: Library,
    /// Whether it takes part in synchronisation.
    pub sync: TakesPart,
    /// What each client request needs, by request id.
    pub requests: &'static [Needs],
    /// How many kinds of messages it exchanges with its peers.
    pub exec_functions: u16,
}

/// Whether a service has a socket for clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Library {
    /// Clients connect to it.
    Yes,
    /// It works without clients.
    No,
}

/// Whether a service synchronises after a membership change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TakesPart {
    /// Its peers wait for it.
    Yes,
    /// It is skipped.
    No,
}

/// What must be the case before a request is handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Nothing: it is answered from what this node knows.
    Nothing,
    /// Room for a message on the ring, and no synchronisation going on (`CS_LIB_FLOW_CONTROL_REQUIRED`).
    Ring,
}

/// Whether a service has finished sending what its peers must know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncProgress {
    /// It has.
    Done,
    /// Call again at the next token.
    Again,
    /// Call again after [`Ctx::resume_sync`]. Asking for token after token instead would never end on a ring of
    /// one node, whose token takes no time.
    Wait,
}

/// The membership to which services synchronise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncView {
    /// Those who came along from this node's last ring.
    pub trans: Vec<NodeId>,
    /// All members, ascending.
    pub members: Vec<NodeId>,
    /// The ring.
    pub ring: RingId,
}

/// One service; the life cycle and its words are corosync's (`coroapi.h: struct corosync_service_engine`).
pub trait Service {
    /// What is known of it before it runs.
    fn info(&self) -> &'static ServiceInfo;

    /// Comes to life, before any ring exists.
    fn start(&mut self, _cx: &mut Ctx<'_>) {}

    /// Ends, in an orderly shutdown.
    fn stop(&mut self, _cx: &mut Ctx<'_>) {}

    /// A client was let in.
    fn lib_connect(&mut self, _cx: &mut Ctx<'_>, _conn: ConnId) {}

    /// A client asks; already past the flow control gate. `message` starts with the request header and is as long
    /// as what arrived, whatever its size field says.
    fn lib_request(&mut self, cx: &mut Ctx<'_>, conn: ConnId, message: &[u8]);

    /// A client is gone.
    fn lib_disconnect(&mut self, _cx: &mut Ctx<'_>, _conn: ConnId) {}

    /// A peer's message, or one of this node's own, in the ring's order. Starts with the exec header.
    fn exec_deliver(&mut self, _cx: &mut Ctx<'_>, _from: NodeId, _message: &Bytes) {}

    /// A new membership: nothing may be sent yet.
    fn sync_init(&mut self, _cx: &mut Ctx<'_>, _view: &SyncView) {}

    /// A message to a group of its own, from a node of the ring.
    fn group_deliver(&mut self, _cx: &mut Ctx<'_>, _group: Group, _from: NodeId, _body: &[u8]) {}

    /// Sends what the peers must know.
    fn sync_process(&mut self, _cx: &mut Ctx<'_>) -> SyncProgress {
        SyncProgress::Done
    }

    /// All peers have sent: the new state holds.
    fn sync_activate(&mut self, _cx: &mut Ctx<'_>) {}

    /// The membership changed again before all had sent.
    fn sync_abort(&mut self, _cx: &mut Ctx<'_>) {}

    /// All services are synchronised. What is sent from now on follows what was sent before the membership changed;
    /// what was sent in between went ahead of it.
    fn synced(&mut self, _cx: &mut Ctx<'_>) {}

    /// A timer set through [`Ctx::set_timer`] is due.
    fn timeout(&mut self, _cx: &mut Ctx<'_>, _timer: u32) {}

    /// A change of the configuration map that this service tracks.
    fn notified(&mut self, _cx: &mut Ctx<'_>, _change: &Notification) {}

    /// The quorum provider published a decision.
    fn quorum_changed(&mut self, _cx: &mut Ctx<'_>) {}

    /// The host mapped a zero-copy buffer and calls it by this number, or could not.
    fn zero_copy_mapped(
        &mut self,
        _cx: &mut Ctx<'_>,
        _conn: ConnId,
        _result: Result<u64, CsError>,
    ) {
    }

    /// The host unmapped a zero-copy buffer, or knows none of that number.
    fn zero_copy_freed(&mut self, _cx: &mut Ctx<'_>, _conn: ConnId, _result: Result<(), CsError>) {}

    /// The host read the request in a zero-copy buffer, or could not.
    fn zero_copy_read(
        &mut self,
        _cx: &mut Ctx<'_>,
        _conn: ConnId,
        _request: Result<&[u8], CsError>,
    ) {
    }

    /// The host opened the log files anew, or some could not be opened.
    fn logs_reopened(&mut self, _cx: &mut Ctx<'_>, _conn: ConnId, _result: Result<(), CsError>) {}

    /// The host looked at a figure of the machine.
    fn measured(&mut self, _cx: &mut Ctx<'_>, _measured: Measured) {}

    /// The host did something with the watchdog device.
    fn watchdog_answered(&mut self, _cx: &mut Ctx<'_>, _answer: WatchdogAnswer) {}

    /// The configuration was read again and holds, or nothing has changed.
    fn config_reloaded(&mut self, _cx: &mut Ctx<'_>, _result: Result<CryptoChange, CsError>) {}
}

/// What a service may do.
#[derive(Debug)]
pub struct Ctx<'a> {
    core: &'a mut Core,
    service: ServiceId,
}

impl<'a> Ctx<'a> {
    pub(crate) const fn new(core: &'a mut Core, service: ServiceId) -> Self {
        Self { core, service }
    }

    /// The time of the input that is being handled.
    #[must_use]
    pub const fn now(&self) -> Instant {
        self.core.now
    }

    /// This node.
    #[must_use]
    pub const fn me(&self) -> NodeId {
        self.core.me
    }

    /// The ring installed last.
    #[must_use]
    pub const fn ring(&self) -> RingId {
        self.core.ring
    }

    /// Members of the ring installed last, ascending.
    #[must_use]
    pub fn members(&self) -> &[NodeId] {
        &self.core.members
    }

    /// Whether services synchronise, or are about to: what is sent meanwhile goes ahead of what was sent before.
    #[must_use]
    pub const fn is_syncing(&self) -> bool {
        self.core.sync.in_progress()
    }

    /// What the quorum provider published last.
    #[must_use]
    pub const fn quorum(&self) -> &QuorumView {
        &self.core.quorum
    }

    /// The configuration map.
    pub const fn icmap(&mut self) -> &mut Icmap {
        &mut self.core.icmap
    }

    /// The whole node's state, to look at.
    #[must_use]
    pub const fn core(&self) -> &Core {
        self.core
    }

    /// Tells all members, this node included, in the ring's order. `message` starts with its exec header.
    ///
    /// # Errors
    ///
    /// [`QueueFull`] when the ring's queue has no room; nothing was sent. Requests marked [`Needs::Ring`] have
    /// room for one message of their own size.
    pub fn mcast(&mut self, message: &impl Encode) -> Result<(), QueueFull> {
        let mut bytes = std::mem::take(&mut self.core.scratch);
        bytes.clear();
        message.encode(&mut ferrosync_wire::Writer::new(&mut bytes));
        let sent = self.mcast_parts(&[&bytes]);
        self.core.scratch = bytes;
        sent
    }

    /// As [`Self::mcast`], for a message that lies in pieces; the first holds at least the exec header.
    pub fn mcast_parts(&mut self, parts: &[&[u8]]) -> Result<(), QueueFull> {
        self.core.count_exec_tx(parts[0]);
        self.core
            .pg
            .mcast(self.core.now, Group::Services, Guarantee::Agreed, parts)
    }

    /// As [`Self::mcast`], to a group of its own: the message has no exec header.
    ///
    /// # Errors
    /// [`QueueFull`] when the ring's queue has no room; nothing was sent.
    pub fn mcast_to(&mut self, group: Group, message: &[u8]) -> Result<(), QueueFull> {
        self.core
            .pg
            .mcast(self.core.now, group, Guarantee::Agreed, &[message])
    }

    /// Answers a client's request.
    pub fn respond(&mut self, conn: ConnId, answer: &impl Encode) {
        self.send(conn, LibKind::Response, Head::EMPTY, answer.to_vec().into());
    }

    /// Answers with bytes that are ready.
    pub fn respond_bytes(&mut self, conn: ConnId, answer: &[u8]) {
        let body = Bytes::copy_from_slice(answer);
        self.send(conn, LibKind::Response, Head::EMPTY, body);
    }

    /// Sends a client an event.
    pub fn event(&mut self, conn: ConnId, event: &impl Encode) {
        self.send(conn, LibKind::Event, Head::EMPTY, event.to_vec().into());
    }

    /// Sends a client an event whose body is shared with others.
    pub fn event_shared(&mut self, conn: ConnId, head: &[u8], body: Bytes) {
        self.send(conn, LibKind::Event, Head::new(head), body);
    }

    /// Sets the counters of the ring protocol to zero.
    pub fn clear_ring_stats(&mut self) {
        self.core.pg.srp_mut().clear_stats();
    }

    /// Sets the counters of all clients to zero.
    pub fn clear_client_stats(&mut self) {
        self.core.clients.clear_stats();
    }

    /// Sets the counters of all links to zero.
    pub fn clear_link_stats(&mut self) {
        self.core.transport.clear_stats();
    }

    /// Forgets when the process did not run.
    pub fn clear_pauses(&mut self) {
        self.core.pauses.clear();
    }

    fn send(&mut self, conn: ConnId, kind: LibKind, head: Head, body: Bytes) {
        self.core.clients.count(conn, |s| match kind {
            LibKind::Response => s.responses += 1,
            LibKind::Event => s.events += 1,
        });
        self.core.push(NodeOutput::LibSend(LibMessage {
            conn,
            kind,
            head,
            body,
        }));
    }

    /// Who a client is.
    #[must_use]
    pub fn credentials(&self, conn: ConnId) -> Option<Credentials> {
        self.core.clients.get(conn).map(|c| c.who)
    }

    /// Arms a timer of this service; an armed one is moved.
    pub fn set_timer(&mut self, timer: u32, at: Instant) {
        self.core.timers.insert((self.service, timer), at);
    }

    /// Disarms a timer of this service.
    pub fn cancel_timer(&mut self, timer: u32) {
        self.core.timers.remove(&(self.service, timer));
    }

    /// Publishes a quorum decision: the quorum service tells its clients.
    pub fn publish_quorum(&mut self, view: QuorumView) {
        self.core.quorum = view;
        self.core.internal.push_back(Internal::QuorumChanged);
    }

    /// Asks for the orderly end of this node.
    pub fn shut_down(&mut self, reason: ExitReason) {
        self.core.internal.push_back(Internal::Shutdown(reason));
    }

    /// Ends this node at once, without a word to the ring.
    pub fn exit_now(&mut self, reason: ExitReason) {
        self.core.push(NodeOutput::Exit(reason));
    }

    /// Behaves as if the token was lost.
    pub fn force_gather(&mut self) {
        self.core.internal.push_back(Internal::ForceGather);
    }

    /// Has the whole node read its configuration again; [`Service::config_reloaded`] tells the end.
    pub fn reload(&mut self) {
        self.core.internal.push_back(Internal::Reload);
    }

    /// Takes the transport one step from the old key to the one that the last reload brought.
    pub fn crypto_phase(&mut self, phase: CryptoPhase) {
        let Core {
            transport,
            outputs,
            now,
            ..
        } = &mut *self.core;
        transport.crypto_phase(*now, phase, outputs);
    }

    /// A node is known to open what the key seals that the last reload brought.
    pub fn opens_next_key(&mut self, node: NodeId) {
        let Core {
            transport,
            outputs,
            now,
            ..
        } = &mut *self.core;
        transport.opens_next_key(*now, node, outputs);
    }

    /// Has something kept over restarts of the process.
    pub fn keep(&mut self, keep: Keep) {
        self.core.push(NodeOutput::Keep(keep));
    }

    /// Asks the host for something that only it can do.
    pub fn ask(&mut self, request: HostRequest) {
        self.core.push(NodeOutput::Ask(request));
    }

    /// What [`SyncProgress::Wait`] waited for has come.
    pub fn resume_sync(&mut self) {
        self.core.pg.request_token_event(self.core.now);
    }

    /// Writes a line of log under a subsystem.
    #[track_caller]
    pub fn log(&mut self, subsystem: Subsystem, priority: Priority, text: impl Into<String>) {
        let record = Record::new(subsystem, priority, text.into());
        self.core.push(NodeOutput::Log(record));
    }
}

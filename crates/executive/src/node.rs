//! One node: transport, ring, synchronisation, services and clients put together.

use std::collections::{BTreeMap, VecDeque};

use ferrosync_totem::Srp;
use ferrosync_totem::pg::{Pg, PgOutput, QueueLevel, Seen};
use ferrosync_totem::srp::{Input, SrpEvent};
use ferrosync_wire::value::Value;
use ferrosync_wire::{ConnId, Instant, NodeId, RingId, RingSeq, ServiceId};

use crate::capabilities::Announced;
use crate::clients::Clients;
use crate::config::Config;
use crate::control::ControlKeys;
use crate::core::{Core, Internal, Quorate, QuorumView};
use crate::counters::ExecCounters;
use crate::icmap::Icmap;
use crate::log::{self, Priority, Subsystem};
use crate::output::{
    Control, Credentials, ExitReason, HostAnswer, Kept, LibInput, NodeInput, NodeOutput,
};
use crate::own_keys::Told;
use crate::pauses::Pauses;
use crate::reload::Running;
use crate::service::{Ctx, Needs, Service};
use crate::services::Services;
use crate::shutdown::Stopping;
use crate::strangers::Strangers;
use crate::sync::Sync;
use crate::transport::{Secrets, Transport};

/// A whole node without an operating system.
///
/// # Driving it
///
/// [`Self::handle`] and [`Self::handle_timeout`] change the node; after each, [`crate::pump::drain`] carries out
/// what came of it. Nothing else may happen in between.
#[derive(Debug)]
pub struct Node {
    pub(crate) core: Core,
    pub(crate) services: Services,
    pub(crate) synced_once: SyncedOnce,
    pub(crate) control: ControlKeys,
    gate: Gate,
    pub(crate) stopping: Stopping,
}

/// What a node starts from.
#[derive(Debug)]
pub struct Boot {
    /// The configuration.
    pub config: Config,
    /// The ring sequence number stored last; zero if none.
    pub stored: RingSeq,
    /// What else the node kept.
    pub kept: Kept,
    /// Decides this node's jitter.
    pub seed: u64,
    /// For encryption.
    pub secrets: Secrets,
}

/// Whether services ever worked: before that, clients are turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SyncedOnce {
    No,
    Yes,
}

/// Whether requests are waiting for room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gate {
    /// Nobody was refused.
    Open,
    /// Somebody was.
    Refused,
}

/// When the ring has room for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Room {
    Now,
    /// When others have gone.
    Later,
    /// It is longer than any message.
    Never,
}

/// Whether a request may be taken from the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admit {
    /// Yes.
    Take,
    /// It stays with the client until [`NodeOutput::GateOpened`].
    Later,
}

impl Node {
    /// A node that is about to start; its first outputs are waiting.
    #[must_use]
    pub fn boot(boot: Boot, now: Instant) -> Self {
        let mut config = boot.config;
        let me = config.me;
        let pauses = Pauses::new(now, config.srp.token);
        let srp = Srp::new(me, config.srp.clone(), boot.stored, boot.seed, now);
        let services = Services::new(&config, &boot.kept);
        let keys = std::mem::take(&mut config.keys);
        let mut core = Core {
            me,
            now,
            pg: Pg::new(srp),
            sync: Sync::new(services.synchronised().map(u32::from).collect()),
            sync_unsent: None,
            icmap: Icmap::new(),
            told_losses: Told::default(),
            clients: Clients::default(),
            quorum: QuorumView {
                quorate: Quorate::No,
                members: Vec::new(),
                ring: RingId::ZERO,
            },
            ring: RingId::ZERO,
            members: Vec::new(),
            outputs: VecDeque::new(),
            internal: VecDeque::new(),
            timers: BTreeMap::new(),
            exec_counters: ExecCounters::default(),
            announced: Announced::default(),
            strangers: Strangers::default(),
            level: QueueLevel::Low,
            scratch: Vec::new(),
            transport: Transport::new(&config, boot.secrets, now),
            running: Running::new(config),
            pauses,
        };
        for (key, value) in keys {
            core.set_own_key(key, value);
        }
        let mut node = Self {
            core,
            services,
            synced_once: SyncedOnce::No,
            control: ControlKeys::none(),
            gate: Gate::Open,
            stopping: Stopping::No,
        };
        node.start_services();
        node.track_control_keys();
        node
    }

    /// Hands in one thing that happened.
    pub fn handle(&mut self, now: Instant, input: NodeInput<'_>) {
        self.core.now = now;
        match input {
            NodeInput::Datagram {
                from, bytes, order, ..
            } => {
                let Core {
                    transport, outputs, ..
                } = &mut self.core;
                if let Some(frame) = transport.receive(now, from, bytes, outputs) {
                    self.core.pg.handle(now, Input::Packet { frame, order });
                } else if let Some(node) = transport.take_unopened() {
                    self.unopened(node);
                }
            }
            NodeInput::Trouble(trouble) => {
                let outputs = &mut self.core.outputs;
                self.core.transport.trouble(now, trouble, outputs);
            }
            NodeInput::LinksReady => self.core.pg.handle(now, Input::LinksReady),
            NodeInput::Lib(input) => self.handle_lib(input),
            NodeInput::Answer(answer) => self.handle_answer(answer),
            NodeInput::Control(Control::Shutdown) => {
                let internal = Internal::Shutdown(ExitReason::Shutdown);
                self.core.internal.push_back(internal);
                self.settle();
            }
            NodeInput::Control(Control::DumpState) => self.dump_state(),
        }
    }

    /// Lets due timers act.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.core.now = now;
        if let Some((at, id, timer)) = self.next_service_timer()
            && at <= now
        {
            self.core.timers.remove(&(id, timer));
            self.with_service(id, |s, cx| s.timeout(cx, timer));
            return self.settle();
        }
        if self.core.pauses.deadline() <= now {
            return self.check_pauses();
        }
        if self.core.clients.look_at().is_some_and(|at| at <= now) {
            return self.look_at_readers();
        }
        if self
            .core
            .transport
            .poll_timeout()
            .is_some_and(|at| at <= now)
        {
            let outputs = &mut self.core.outputs;
            return self.core.transport.handle_timeout(now, outputs);
        }
        self.core.pg.handle_timeout(now);
    }

    /// When [`Self::handle_timeout`] is wanted, and why.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        let ring = self.core.pg.poll_timeout().map(|(at, t)| (at, t.name()));
        let service = self
            .next_service_timer()
            .map(|(at, ..)| (at, "service timer"));
        let stop = self.stopping.deadline().map(|at| (at, "shutdown"));
        let links = self.core.transport.poll_timeout().map(|at| (at, "links"));
        let pauses = Some((self.core.pauses.deadline(), "pause check"));
        let readers = self.core.clients.look_at().map(|at| (at, "slow readers"));
        let all = [ring, service, stop, links, pauses, readers];
        all.into_iter().flatten().min_by_key(|(at, _)| *at)
    }

    /// The next effect; services react to deliveries while this is called.
    pub fn poll_output(&mut self, now: Instant) -> Option<NodeOutput> {
        self.poll_output_seen(now, |_| {})
    }

    /// As [`Self::poll_output`], with somebody looking on; see [`Pg::poll_output_seen`].
    pub fn poll_output_seen(
        &mut self,
        now: Instant,
        mut see: impl FnMut(Seen<'_>),
    ) -> Option<NodeOutput> {
        self.core.now = now;
        loop {
            if let Some(output) = self.core.outputs.pop_front() {
                return Some(output);
            }
            match self.core.pg.poll_output_seen(&mut see) {
                Some(output) => self.on_ring(output),
                None if self.retry_sync() => {}
                None if self.open_gate() => return Some(NodeOutput::GateOpened),
                None => return self.go_on_stopping(),
            }
        }
    }

    /// Whether a request of `size` bytes may be taken from a client now. What is taken is never lost
    /// (`docs/deviations.md`, D-09).
    pub fn admit(&mut self, conn: ConnId, request: i32, size: usize) -> Admit {
        let Some(client) = self.core.clients.get(conn) else {
            return Admit::Take;
        };
        match self.needs(client.service, request) {
            Some(Needs::Ring) => {}
            Some(Needs::Nothing) | None => return Admit::Take,
        }
        match self.room_for(size) {
            // Waiting would not help it; its service takes it and says what is wrong with it.
            Room::Now | Room::Never => Admit::Take,
            Room::Later => {
                self.gate = Gate::Refused;
                self.core.clients.count(conn, |s| s.recv_retries += 1);
                Admit::Later
            }
        }
    }

    /// The state that services share.
    #[must_use]
    pub const fn core(&self) -> &Core {
        &self.core
    }

    /// How frames travel.
    #[must_use]
    pub const fn transport(&self) -> &Transport {
        self.core.transport()
    }

    /// Services that clients can connect to: number and name of the socket.
    pub fn listening(&self) -> impl Iterator<Item = (ServiceId, &'static str)> + '_ {
        self.services.listening()
    }

    fn start_services(&mut self) {
        for id in self.services.ids() {
            self.with_service(id, |s, cx| s.start(cx));
            let Some(service) = self.services.get(id) else {
                continue;
            };
            let info = service.info();
            let core = &mut self.core;
            core.exec_counters.register(&mut core.icmap, info);
            core.publish_service(info);
            let text = format!("Service engine loaded: {} [{}]", info.title, id.0);
            self.log(Subsystem::Serv, Priority::Notice, text);
        }
        self.settle();
    }

    fn on_ring(&mut self, output: PgOutput) {
        match output {
            PgOutput::Message(message) => self.on_message(message),
            PgOutput::ConfChg(change) => self.on_confchg(change),
            PgOutput::Transmit(t) => {
                let now = self.core.now;
                let outputs = &mut self.core.outputs;
                self.core.transport.send(now, &t, outputs);
            }
            PgOutput::StoreRingSeq(seq) => self.core.push(NodeOutput::StoreRingSeq(seq)),
            PgOutput::DiscardReceived => self.core.push(NodeOutput::DiscardReceived),
            PgOutput::Stranger(node) => self.on_stranger(node),
            PgOutput::TokenPassed => self.on_token_passed(),
            PgOutput::Event(event) => self.on_srp_event(&event),
        }
    }

    fn on_srp_event(&mut self, event: &SrpEvent) {
        for record in log::of_srp(event, self.core.pg.srp().config()) {
            self.core.push(NodeOutput::Log(record));
        }
    }

    fn handle_lib(&mut self, input: LibInput<'_>) {
        match input {
            LibInput::Connect {
                conn,
                service,
                who,
                program,
            } => self.lib_connect(conn, service, who, program),
            LibInput::Request { conn, message } => self.lib_request(conn, message),
            LibInput::Writable { conn } => self.note_read(conn),
            LibInput::Closed { conn } => self.lib_closed(conn),
        }
    }

    fn handle_answer(&mut self, answer: HostAnswer<'_>) {
        match answer {
            HostAnswer::ZeroCopyMapped { conn, result } => {
                self.answered(conn, |s, cx| s.zero_copy_mapped(cx, conn, result));
            }
            HostAnswer::ZeroCopyFreed { conn, result } => {
                self.answered(conn, |s, cx| s.zero_copy_freed(cx, conn, result));
            }
            HostAnswer::ZeroCopyRead { conn, request } => {
                self.answered(conn, |s, cx| s.zero_copy_read(cx, conn, request));
            }
            HostAnswer::LogsReopened { conn, result } => {
                self.answered(conn, |s, cx| s.logs_reopened(cx, conn, result));
            }
            HostAnswer::ConfigRead { result } => self.config_read(result),
            HostAnswer::KeyRead { key } => self.key_read(key),
            HostAnswer::Measured(measured) => {
                self.with_service(ServiceId::MON, |s, cx| s.measured(cx, measured));
                self.settle();
            }
            HostAnswer::Watchdog(answer) => {
                self.with_service(ServiceId::WD, |s, cx| s.watchdog_answered(cx, answer));
                self.settle();
            }
            HostAnswer::Dated { pause, at_ms } => self.pause_dated(pause, at_ms),
        }
    }

    /// The host did what the service of a client wanted.
    fn answered(&mut self, conn: ConnId, act: impl FnOnce(&mut dyn Service, &mut Ctx<'_>)) {
        if let Some(service) = self.core.clients.get(conn).map(|c| c.service) {
            self.with_service(service, act);
            self.settle();
        }
    }

    pub(crate) fn lib_closed(&mut self, conn: ConnId) {
        if let Some(client) = self.core.clients.remove(conn) {
            self.with_service(client.service, |s, cx| s.lib_disconnect(cx, conn));
            self.settle();
        }
    }

    /// Who may use a service (corosync `ipc_glue.c:cs_ipcs_connection_accept`, v3.1.7).
    fn lib_connect(&mut self, conn: ConnId, service: ServiceId, who: Credentials, program: &str) {
        let refusal = if self.synced_once == SyncedOnce::No || self.stopping != Stopping::No {
            Some(EAGAIN)
        } else if self.services.get(service).is_none() {
            Some(ENOSYS)
        } else if !self.core.is_allowed(who) {
            let text = format!("Denied connection, {} from uid={}", conn.0, who.uid);
            self.log(Subsystem::Main, Priority::Error, text);
            Some(EACCES)
        } else {
            None
        };
        if let Some(errno) = refusal {
            return self.core.push(NodeOutput::LibRefuse(conn, errno));
        }
        // Told at once, where C waits for the next change (D-10).
        let level = self.flow_control();
        self.core.clients.insert(conn, service, who, program, level);
        self.core.push(NodeOutput::LibAccept(conn));
        self.core.push(NodeOutput::LibFlowControl(conn, level));
        self.with_service(service, |s, cx| s.lib_connect(cx, conn));
        self.settle();
    }

    /// Carries out what services asked of the node, until nothing is left.
    pub(crate) fn settle(&mut self) {
        loop {
            if let Some(change) = self.core.icmap.poll_notification() {
                self.control_changed(&change);
                for id in self.services.ids() {
                    self.with_service(id, |s, cx| s.notified(cx, &change));
                }
                continue;
            }
            match self.core.internal.pop_front() {
                Some(Internal::QuorumChanged) => {
                    for id in self.services.ids() {
                        self.with_service(id, |s, cx| s.quorum_changed(cx));
                    }
                }
                Some(Internal::Shutdown(reason)) => self.shut_down(reason),
                Some(Internal::Reload) => self.read_config(),
                Some(Internal::ForceGather) => {
                    let now = self.core.now;
                    self.core.pg.srp_mut().force_gather(now);
                }
                None => break,
            }
        }
        self.update_flow_control();
    }

    pub(crate) fn with_service(
        &mut self,
        id: ServiceId,
        act: impl FnOnce(&mut dyn Service, &mut Ctx<'_>),
    ) {
        if let Some(service) = self.services.get_mut(id) {
            act(service, &mut Ctx::new(&mut self.core, id));
        }
    }

    pub(crate) fn dump_state(&mut self) {
        let srp = self.core.pg.srp();
        let text = format!(
            "state {:?}, ring {}, members {:?}, clients {}",
            srp.state(),
            srp.ring_id(),
            srp.members().as_slice(),
            self.core.clients.iter().count()
        );
        self.log(Subsystem::Main, Priority::Notice, text);
        if let Some(knet) = self.core.transport.as_knet() {
            let text = format!("links: {}", knet.drops());
            self.log(Subsystem::Knet, Priority::Notice, text);
        }
    }

    /// Whether the ring takes what a service makes of a request of `size` bytes.
    fn room_for(&self, size: usize) -> Room {
        let size = size.saturating_add(EXEC_OVERHEAD);
        if size > Pg::MESSAGE_MAX {
            Room::Never
        } else if self.core.sync.in_progress() || !self.core.pg.accepts(size) {
            Room::Later
        } else {
            Room::Now
        }
    }

    /// Whether those who were refused should try again.
    fn open_gate(&mut self) -> bool {
        if self.gate == Gate::Open {
            return false;
        }
        self.core.level = self.core.pg.level(self.core.level);
        let open = !self.core.sync.in_progress() && self.core.level < QueueLevel::Critical;
        if open {
            self.gate = Gate::Open;
            self.update_flow_control();
        }
        open
    }

    fn next_service_timer(&self) -> Option<(Instant, ServiceId, u32)> {
        self.core
            .timers
            .iter()
            .map(|((id, timer), at)| (*at, *id, *timer))
            .min()
    }

    pub(crate) fn members_left(&mut self, left: &[NodeId]) {
        for node in left {
            self.core.set_member_status(*node, "left");
            let text = format!("Member left: {}", self.member_text(*node));
            self.log(Subsystem::Main, Priority::Debug, text);
        }
    }

    pub(crate) fn members_joined(&mut self, joined: &[NodeId]) {
        for node in joined {
            let ip = self.member_text(*node);
            self.core.member_joined(*node, &ip);
            let text = format!("Member joined: {ip}");
            self.log(Subsystem::Main, Priority::Debug, text);
        }
    }

    /// A node's addresses as corosync prints them: `r(0) ip(10.0.0.1) `, with the blank behind.
    fn member_text(&self, node: NodeId) -> String {
        let addresses = self.core.transport.peers().addresses_of(node).iter();
        addresses
            .map(|(link, ip)| format!("r({}) ip({ip}) ", link.0))
            .collect()
    }
}

impl Core {
    /// Root, and whom the configuration names.
    fn is_allowed(&self, who: Credentials) -> bool {
        let listed = |kind: &str, id: u32| {
            let is_set = |key: String| self.icmap.get(&key) == Some(Value::U8(1));
            is_set(format!("uidgid.{kind}.{id}")) || is_set(format!("uidgid.config.{kind}.{id}"))
        };
        who.uid == 0 || who.gid == 0 || listed("uid", who.uid) || listed("gid", who.gid)
    }
}

/// Bytes that a service adds to a client's request at most, on its way to the ring.
const EXEC_OVERHEAD: usize = 512;

/// Linux error numbers, part of the client protocol.
const EAGAIN: i32 = 11;
const EACCES: i32 = 13;
const ENOSYS: i32 = 38;

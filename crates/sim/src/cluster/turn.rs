//! One turn of a machine's event loop: a timer, a datagram or something a client does, and what follows.

use std::net::SocketAddr;

use bytes::Bytes;
use ferrosync_executive::config::{Config, CryptoConfig, KeySource, TransportConfig};
use ferrosync_executive::output::{Control, Credentials, LibInput, NodeInput};
use ferrosync_executive::transport::{Secrets, SharedKey};
use ferrosync_executive::{Admit, Boot, Node, pump};
use ferrosync_totem::srp::RxOrder;
use ferrosync_wire::totem::Kind;
use ferrosync_wire::{ConnId, Duration, LinkId, RingId, RingSeq, ServiceId};

use super::{Cluster, Event, kind};
use crate::host::{Act, SimHost, Socket, StoreBehaviour};
use crate::observation::{Observation, Timing};
use crate::options::Transport;
use crate::sabotage::Sabotage;

impl Cluster {
    pub(super) fn boot(&mut self, i: usize) {
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
        if matches!(self.options.transport, Transport::Knet(_)) {
            self.network.begin_era_of(i);
        }
        self.watch
            .report
            .line(now, || format!("{me} boots, stored ring seq {}", stored.0));
        self.watch.look(now, me, &Observation::Booted);
        let boot = Boot {
            config: around.config.clone(),
            stored: around.stored,
            kept: around.kept.clone(),
            seed,
            secrets: secrets(&around.config, seed),
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
        around.reads.clear();
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
    pub(super) fn turn(&mut self, i: usize) {
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
            link: datagram.link,
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
            Act::Trouble(trouble) => node.handle(now, NodeInput::Trouble(trouble)),
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
            Act::Reload => return self.request_reload(i),
            Act::ReadFiles => return self.read_files(i),
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

    /// A datagram that the network did not carry arrives at a machine.
    pub(crate) fn hear(&mut self, i: usize, from: SocketAddr, link: LinkId, bytes: Bytes) {
        if let Some(node) = &mut self.machines[i].node {
            let order = RxOrder::Arrival;
            let input = NodeInput::Datagram {
                link,
                from,
                bytes,
                order,
            };
            node.handle(self.now, input);
        }
        self.drain(i);
        self.plan(i);
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
    pub(super) fn end_process(&mut self, i: usize) {
        self.kill(i);
        let pause = self.options.token / 4 + Duration::from_millis(self.rng.below(500));
        self.schedule(self.now + pause, Event::Boot(i));
    }
}

/// The key of the configuration, and initialisation vectors that no other start of any node has.
fn secrets(config: &Config, seed: u64) -> Secrets {
    let mut secrets = Secrets::NONE;
    secrets.key = crypto_of(config).and_then(shared_key);
    if secrets.key.is_some() {
        secrets.ivs[..8].copy_from_slice(&seed.to_le_bytes());
    }
    secrets
}

/// What a configuration says of encryption.
pub(super) fn crypto_of(config: &Config) -> Option<&CryptoConfig> {
    match &config.transport {
        TransportConfig::Knet(knet) => knet.crypto.as_ref(),
        TransportConfig::Udpu(_) | TransportConfig::Udp(_) => None,
    }
}

/// The key that stands in the configuration.
pub(super) fn shared_key(crypto: &CryptoConfig) -> Option<SharedKey> {
    match &crypto.key {
        KeySource::Inline(bytes) => SharedKey::new(bytes).ok(),
        KeySource::File(_) => None,
    }
}

/// What a turn of an event loop costs at least: without it a world could stand still in time.
const TURN_COST: Duration = Duration::from_micros(4);

/// What it may cost on top.
const TURN_JITTER_NANOS: u64 = 6_000;

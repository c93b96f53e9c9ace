//! The whole of knet at one node: all hosts, all links, and the messages that pass.
//!
//! # Driving it
//!
//! ```text
//!   send, handle, handle_timeout   change the state; time never goes back
//!   poll_output                    what to do about it, in order, until nothing is left
//!   poll_timeout                   when handle_timeout is wanted
//! ```
//!
//! Packets come in and go out in the clear: whoever drives a [`Knet`] authenticates and decrypts before
//! [`Input::Packet`] and encrypts [`Output::Send`], once for all its destinations. Compression is the driver's too; the
//! model travels with the message. Citations are of kronosnet 1.x, `libknet`.

use core::fmt;
use core::net::IpAddr;
use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use ferrosync_wire::codec::{Decode, Encode, Reader};
use ferrosync_wire::knet::{
    Cast, DataHeader, Frame, HostId, LINKS_MAX, MESSAGE_MAX, PING_LEN, Packet, Part, Ping,
    PingReason, Probe, Seq,
};
use ferrosync_wire::time::Duration;
use ferrosync_wire::{Instant, LinkId};

use crate::defrag::{Fragment, Outcome};
use crate::host::{Host, Link, LinkConfig, Measured, Policy, Reach};
use crate::link::{Ping as PingDue, State, TICK, TICKS_PER_ADJUSTMENT};
use crate::mtu::CryptoOverhead;
use crate::pmtud::Step;
use crate::stamp;
use crate::window::Sighting;

/// What holds for all hosts.
#[derive(Clone, Copy, Debug)]
pub struct KnetConfig {
    /// This node.
    pub host: HostId,
    /// Time between two searches for a link's path MTU.
    pub pmtud_interval: Duration,
    /// What encryption adds to a packet.
    pub crypto: CryptoOverhead,
    /// Whose pings, pongs and probes are heard.
    pub sources: Sources,
}

/// Where packets other than data may come from; data must always come from one of its host's links.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sources {
    /// Anywhere.
    Any,
    /// Only from the address of the link that they name (`block_unlisted_ips`).
    Listed,
}

/// What happened outside.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// A packet arrived; `bytes` are authentic and in the clear.
    Packet {
        /// Where it came from.
        source: IpAddr,
        /// The packet.
        bytes: &'a [u8],
    },
    /// The kernel refused a probe.
    TooBig {
        /// The host it was for.
        host: HostId,
        /// The link it should have taken.
        link: LinkId,
        /// The probe's size.
        size: u16,
        /// What the kernel would take, if it says.
        kernel_mtu: Option<u16>,
    },
    /// The network reports that this link's peer cannot be reached.
    Unreachable {
        /// The host.
        host: HostId,
        /// The link.
        link: LinkId,
    },
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send this packet over each of these links.
    Send {
        /// The packet, in the clear.
        packet: Bytes,
        /// Where to.
        to: Vec<(HostId, LinkId)>,
    },
    /// A message for this node, and who sent it.
    Deliver(HostId, Message),
    /// A link came up or went down.
    Link(HostId, LinkId, State),
    /// A host can be reached, or no longer.
    Host(HostId, Reach),
    /// Longer messages than this are fragmented.
    DataMtu(usize),
}

/// One message, not in parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The channel it was sent on.
    pub channel: u8,
    /// Model with which the payload is compressed; 0 for none.
    pub compress: u8,
    /// Its bytes.
    pub payload: Bytes,
}

/// Whom a message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// All hosts, this one included.
    All,
    /// One host, which may be this one.
    One(HostId),
}

/// Why a message was not sent. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendError {
    /// It is empty, or longer than [`MESSAGE_MAX`].
    BadLength(usize),
    /// No host that it is for can be reached.
    Unreachable,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadLength(len) => write!(f, "a message of {len} bytes cannot be sent"),
            Self::Unreachable => f.write_str("no destination can be reached"),
        }
    }
}

impl std::error::Error for SendError {}

/// Packets that were dropped, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drops {
    /// No packet of knet.
    pub malformed: u64,
    /// From a host or over a link that is not configured, or from an address that is not the link's.
    pub strangers: u64,
    /// Data from a host that we cannot reach.
    pub unreachable: u64,
    /// Seen before.
    pub duplicates: u64,
    /// Fragments that are too late or contradict others.
    pub fragments: u64,
}

/// knet at one node; see the module.
#[derive(Debug)]
pub struct Knet {
    config: KnetConfig,
    hosts: BTreeMap<HostId, Host>,
    seq: Seq,
    data_mtu: usize,
    next_tick: Instant,
    ticks: u32,
    outputs: VecDeque<Output>,
    drops: Drops,
}

impl Knet {
    /// A node without peers, at time `now`.
    #[must_use]
    pub const fn new(config: KnetConfig, now: Instant) -> Self {
        Self {
            config,
            hosts: BTreeMap::new(),
            seq: Seq(0),
            data_mtu: config.crypto.smallest_data_mtu(),
            next_tick: now,
            ticks: 0,
            outputs: VecDeque::new(),
            drops: Drops {
                malformed: 0,
                strangers: 0,
                unreachable: 0,
                duplicates: 0,
                fragments: 0,
            },
        }
    }

    /// Adds a host, or gives it another policy and no links.
    pub fn add_host(&mut self, host: HostId, policy: Policy) {
        self.hosts.insert(host, Host::new(policy));
    }

    /// Adds a link to a host that was added, or replaces it.
    ///
    /// # Panics
    /// When the host is unknown or the link is none of [`LINKS_MAX`]; the configuration was checked for that.
    pub fn add_link(&mut self, host: HostId, link: LinkId, config: LinkConfig) {
        assert!(link.0 < LINKS_MAX, "{link:?}");
        let known = self.hosts.get_mut(&host).expect("the host was added");
        known
            .links
            .insert(link, Link::new(config, self.config.crypto));
        self.choose_links(host);
    }

    /// Payload of the longest packet that is sent.
    #[must_use]
    pub const fn data_mtu(&self) -> usize {
        self.data_mtu
    }

    /// What was dropped so far.
    #[must_use]
    pub const fn drops(&self) -> Drops {
        self.drops
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) is wanted.
    #[must_use]
    pub fn poll_timeout(&self) -> Instant {
        let links = self.hosts.values().flat_map(|host| host.links.values());
        let deadlines = links.filter_map(|link| link.path.deadline());
        deadlines.fold(self.next_tick, Instant::min)
    }

    /// Sends a message (threads_tx.c:_parse_recv_from_sock). This node's own copy comes first.
    pub fn send(
        &mut self,
        now: Instant,
        destination: Destination,
        message: &Message,
    ) -> Result<(), SendError> {
        let len = message.payload.len();
        if len == 0 || len > MESSAGE_MAX {
            return Err(SendError::BadLength(len));
        }
        let to_all = destination == Destination::All;
        let to_self = to_all || destination == Destination::One(self.config.host);
        if to_self {
            let copy = message.clone();
            self.outputs
                .push_back(Output::Deliver(self.config.host, copy));
        }
        let hosts: Vec<HostId> = match destination {
            Destination::All => self.hosts.keys().copied().collect(),
            Destination::One(host) => vec![host],
        };
        let reachable = hosts.into_iter().filter(|id| {
            let host = self.hosts.get(id);
            host.is_some_and(|host| host.reach() == Reach::Reachable)
        });
        let hosts: Vec<HostId> = reachable.collect();
        if hosts.is_empty() {
            return if to_self {
                Ok(())
            } else {
                Err(SendError::Unreachable)
            };
        }
        self.advance_seq(now);
        let header = DataHeader {
            seq: self.seq,
            compress: message.compress,
            cast: if to_all {
                Cast::Broadcast
            } else {
                Cast::Unicast
            },
            part: Part::Whole,
            channel: message.channel,
        };
        self.send_parts(&hosts, header, &message.payload);
        Ok(())
    }

    /// Takes note of what happened.
    pub fn handle(&mut self, now: Instant, input: Input<'_>) {
        match input {
            Input::Packet { source, bytes } => self.handle_packet(now, source, bytes),
            Input::TooBig {
                host,
                link,
                size,
                kernel_mtu,
            } => {
                let step = self.link_mut(host, link).and_then(|link| {
                    let timeout = link.heartbeat.timeout();
                    link.path.handle_too_big(now, size, kernel_mtu, timeout)
                });
                self.on_step(host, link, step);
            }
            Input::Unreachable { host, link } => {
                if let Some(link) = self.link_mut(host, link) {
                    link.heartbeat.handle_unreachable();
                }
            }
        }
    }

    /// Does what time alone brings about; harmless when too early.
    pub fn handle_timeout(&mut self, now: Instant) {
        if now >= self.next_tick {
            self.next_tick = now + TICK;
            self.tick(now);
        }
        for (host, id) in self.all_links() {
            let step = self.link_mut(host, id).and_then(|link| {
                let timeout = link.heartbeat.timeout();
                link.path.handle_timeout(now, timeout)
            });
            self.on_step(host, id, step);
        }
    }

    /// Looks at all links (threads_heartbeat.c:_handle_heartbt_thread, threads_pmtud.c:_handle_pmtud_link_thread).
    fn tick(&mut self, now: Instant) {
        self.ticks = (self.ticks + 1) % TICKS_PER_ADJUSTMENT;
        if self.ticks == 0 {
            let hosts = self.hosts.values_mut();
            let links = hosts.flat_map(|host| host.links.values_mut());
            links.for_each(|link| link.heartbeat.adjust());
        }
        self.beat_all(now, PingReason::Timer);
        let interval = self.config.pmtud_interval;
        for (host, id) in self.all_links() {
            let due = self
                .link_mut(host, id)
                .is_some_and(|link| link.is_up() && link.path.is_due(now, interval));
            if due {
                self.start_search(now, host, id);
            }
        }
    }

    fn beat_all(&mut self, now: Instant, reason: PingReason) {
        for (host, id) in self.all_links() {
            let Some(link) = self.link_mut(host, id) else {
                continue;
            };
            let beat = link.heartbeat.beat(now, reason);
            if beat.ping == PingDue::Send {
                let ping = Ping {
                    link: id,
                    time: stamp::write(now),
                    seq: self.seq,
                    reason,
                };
                self.push_packet(Packet::Ping(ping), vec![(host, id)]);
            }
            if let Some(state) = beat.change {
                self.on_link(now, host, id, state);
            }
        }
    }

    fn handle_packet(&mut self, now: Instant, source: IpAddr, bytes: &[u8]) {
        let Ok(Frame { from, packet }) = Frame::decode(&mut Reader::new(bytes)) else {
            self.drops.malformed += 1;
            return;
        };
        let link = match &packet {
            Packet::Data(..) => self.hosts.get(&from).and_then(|h| h.link_from(source)),
            Packet::Ping(Ping { link, .. })
            | Packet::Pong(Ping { link, .. })
            | Packet::Probe(Probe { link, .. }, _)
            | Packet::ProbeReply(Probe { link, .. }) => self.admit(from, *link, source),
        };
        let Some(link) = link else {
            self.drops.strangers += 1;
            return;
        };
        match packet {
            Packet::Data(header, payload) => self.on_data(now, from, link, header, payload),
            Packet::Ping(ping) => {
                if let Some(host) = self.hosts.get_mut(&from) {
                    host.on_ping(ping.seq, ping.reason);
                }
                self.push_packet(Packet::Pong(ping), vec![(from, link)]);
            }
            Packet::Pong(ping) => {
                let pong =
                    |link: &mut Link| link.heartbeat.handle_pong(now, stamp::read(ping.time));
                if let Some(state) = self.link_mut(from, link).and_then(pong) {
                    self.on_link(now, from, link, state);
                }
            }
            Packet::Probe(probe, _) => {
                self.push_packet(Packet::ProbeReply(probe), vec![(from, link)]);
            }
            Packet::ProbeReply(probe) => {
                let step = self.link_mut(from, link).and_then(|link| {
                    let timeout = link.heartbeat.timeout();
                    link.path.handle_reply(now, probe.size, timeout)
                });
                self.on_step(from, link, step);
            }
        }
    }

    fn on_data(
        &mut self,
        now: Instant,
        from: HostId,
        link: LinkId,
        header: DataHeader,
        payload: &[u8],
    ) {
        if !self.hears(now, from, link) {
            self.drops.unreachable += 1;
            return;
        }
        let Some(host) = self.hosts.get_mut(&from) else {
            return;
        };
        if payload.is_empty() || payload.len() > MESSAGE_MAX {
            self.drops.malformed += 1;
            return;
        }
        if host.on_data(header.seq) == Sighting::Again {
            self.drops.duplicates += 1;
            return;
        }
        let payload = match header.part {
            Part::Whole => Bytes::copy_from_slice(payload),
            Part::Fragment { number, count } => {
                let fragment = Fragment {
                    seq: header.seq,
                    number,
                    count,
                    payload,
                };
                match host.on_fragment(now, fragment) {
                    Outcome::Complete(payload) => payload,
                    Outcome::Kept => return,
                    Outcome::Duplicate => {
                        self.drops.duplicates += 1;
                        return;
                    }
                    Outcome::Expired | Outcome::Refused => {
                        self.drops.fragments += 1;
                        return;
                    }
                }
            }
        };
        host.mark_delivered(header.seq);
        let message = Message {
            channel: header.channel,
            compress: header.compress,
            payload,
        };
        self.outputs.push_back(Output::Deliver(from, message));
    }

    /// Whether data of this host counts; data after a pong may let its link up.
    fn hears(&mut self, now: Instant, from: HostId, id: LinkId) -> bool {
        let reachable = |knet: &Self| {
            let host = knet.hosts.get(&from);
            host.is_some_and(|host| host.reach() == Reach::Reachable)
        };
        if reachable(self) {
            return true;
        }
        let early = |link: &mut Link| link.heartbeat.handle_early_data();
        if let Some(state) = self.link_mut(from, id).and_then(early) {
            self.on_link(now, from, id, state);
        }
        reachable(self)
    }

    fn admit(&self, from: HostId, id: LinkId, source: IpAddr) -> Option<LinkId> {
        let link = self.hosts.get(&from)?.links.get(&id)?;
        match self.config.sources {
            Sources::Any => Some(id),
            Sources::Listed => (link.config.peer == source).then_some(id),
        }
    }

    /// A link came up or went down (links.c:_link_updown). Another path may be the narrowest now, so all are measured
    /// again when one comes up, and until then nothing relies on what was found.
    fn on_link(&mut self, now: Instant, host: HostId, id: LinkId, state: State) {
        self.outputs.push_back(Output::Link(host, id, state));
        match state {
            State::Down => {
                if let Some(link) = self.link_mut(host, id) {
                    link.path.stop();
                }
            }
            State::Up => {
                for (host, id) in self.all_links() {
                    if let Some(link) = self.link_mut(host, id)
                        && link.is_up()
                    {
                        link.measured = Measured::No;
                        self.start_search(now, host, id);
                    }
                }
            }
        }
        self.choose_links(host);
        self.choose_data_mtu();
    }

    fn start_search(&mut self, now: Instant, host: HostId, id: LinkId) {
        let ping_len = self.config.crypto.datagram_len(PING_LEN);
        let step = self.link_mut(host, id).map(|link| {
            let timeout = link.heartbeat.timeout();
            link.path.start(now, ping_len, timeout)
        });
        self.on_step(host, id, step);
    }

    fn on_step(&mut self, host: HostId, id: LinkId, step: Option<Step>) {
        match step {
            None => {}
            Some(Step::Probe(request)) => {
                let probe = Probe {
                    link: id,
                    size: request.size,
                };
                self.push_packet(Packet::Probe(probe, request.filling), vec![(host, id)]);
            }
            Some(Step::Found(_) | Step::Failed) => {
                if let Some(link) = self.link_mut(host, id) {
                    link.measured = Measured::Yes;
                }
                self.choose_links(host);
                self.choose_data_mtu();
            }
        }
    }

    fn choose_links(&mut self, id: HostId) {
        let change = self.hosts.get_mut(&id).and_then(Host::choose_links);
        if let Some(reach) = change {
            self.outputs.push_back(Output::Host(id, reach));
        }
    }

    /// A message goes to all hosts in the same parts, so the narrowest path counts.
    fn choose_data_mtu(&mut self) {
        let smallest = self.config.crypto.smallest_data_mtu();
        let links = self.hosts.values().flat_map(|host| host.links.values());
        let up = links.filter(|link| link.is_up());
        let mtus = up.filter_map(|link| match link.measured {
            Measured::Yes => link.path.mtu(),
            Measured::No => Some(smallest),
        });
        let Some(mtu) = mtus.min() else { return };
        if mtu != self.data_mtu {
            self.data_mtu = mtu;
            self.outputs.push_back(Output::DataMtu(mtu));
        }
    }

    /// Counts a message. At times all hosts are told the number, so that those to whom nothing is sent keep up.
    fn advance_seq(&mut self, now: Instant) {
        self.seq = Seq(self.seq.0.checked_add(1).unwrap_or(1));
        if self.seq.0.is_multiple_of(SEQ_PING_EACH) {
            self.beat_all(now, PingReason::Seq);
        }
    }

    fn send_parts(&mut self, hosts: &[HostId], header: DataHeader, payload: &[u8]) {
        let mut to = Vec::new();
        for id in hosts {
            if let Some(host) = self.hosts.get_mut(id) {
                to.extend(host.next_links().iter().map(|&link| (*id, link)));
            }
        }
        if payload.len() <= self.data_mtu {
            self.push_packet(Packet::Data(header, payload), to);
            return;
        }
        let parts = payload.chunks(self.data_mtu);
        let count = u8::try_from(parts.len()).expect("no MTU is below 258");
        for (number, part) in (1..=count).zip(parts) {
            let part_of = Part::Fragment { number, count };
            let header = DataHeader {
                part: part_of,
                ..header
            };
            self.push_packet(Packet::Data(header, part), to.clone());
        }
    }

    fn push_packet(&mut self, packet: Packet<'_>, to: Vec<(HostId, LinkId)>) {
        let from = self.config.host;
        let packet = Bytes::from(Frame { from, packet }.to_vec());
        self.outputs.push_back(Output::Send { packet, to });
    }

    fn all_links(&self) -> Vec<(HostId, LinkId)> {
        let hosts = self.hosts.iter();
        hosts
            .flat_map(|(&host, known)| known.links.keys().map(move |&link| (host, link)))
            .collect()
    }

    fn link_mut(&mut self, host: HostId, link: LinkId) -> Option<&mut Link> {
        self.hosts.get_mut(&host)?.links.get_mut(&link)
    }
}

/// Messages between two pings that tell the number (threads_tx.c: SEQ_MAX / 8).
const SEQ_PING_EACH: u16 = 8191;

#[cfg(test)]
mod tests;

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
//! Datagrams come in as the network brought them: nothing in them is looked at before they are authentic. Each packet
//! that leaves is sealed once, whatever number of links it goes over. Citations are of kronosnet 1.x, `libknet`.

mod admin;
mod receive;
mod send;

use core::net::{IpAddr, SocketAddr};
use std::collections::{BTreeMap, VecDeque};

use bytes::{Bytes, BytesMut};
use ferrosync_wire::knet::{HostId, PING_LEN, Packet, Ping, PingReason, Probe, Seq};
use ferrosync_wire::time::Duration;
use ferrosync_wire::{Instant, LinkId};

use crate::compress::{Compressor, Decompressor};
use crate::crypto::Ivs;
use crate::host::{Host, Link, Measured, Policy};
use crate::link::{ADJUSTMENT, Ping as PingDue, State, TICK_MAX, TICK_MIN, TICKS_PER_PING};
use crate::outbox::Outbox;
use crate::pmtud::Step;
use crate::stamp;
use crate::stats::{HandleStats, Kind};

pub use admin::LinkView;
pub use send::{Destination, SendError, Ways};

/// What holds for all hosts.
#[derive(Clone, Copy, Debug)]
pub struct KnetConfig {
    /// This node.
    pub host: HostId,
    /// Time between two searches for a link's path MTU.
    pub pmtud_interval: Duration,
    /// The on-wire size of packets where it is not to be searched.
    pub mtu: Option<u16>,
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
    /// A datagram arrived.
    Datagram {
        /// Where it came from.
        source: IpAddr,
        /// What it says.
        bytes: &'a Bytes,
    },
    /// The kernel refused a datagram for its length.
    TooBig {
        /// The link it should have taken.
        link: LinkId,
        /// Where it was to go.
        to: SocketAddr,
        /// Its length in bytes, without the headers of IP and UDP.
        len: usize,
        /// What the kernel would take, those headers included, if it says.
        kernel_mtu: Option<u16>,
    },
    /// The network reports that this peer cannot be reached.
    Unreachable {
        /// Over which link.
        link: LinkId,
        /// The peer.
        to: SocketAddr,
    },
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send a datagram.
    Send {
        /// From this node's address on this link.
        link: LinkId,
        /// To this address.
        to: SocketAddr,
        /// The datagram.
        datagram: Bytes,
    },
    /// A message for this node.
    Deliver {
        /// Who sent it.
        from: HostId,
        /// On which channel.
        channel: u8,
        /// What it says.
        payload: Bytes,
    },
    /// Something that the operator may want to know.
    Event(Event),
}

/// What became of links and hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A link came up or went down.
    Link(HostId, LinkId, State),
    /// These links of a host carry data now, with their priorities; none when it cannot be reached.
    Host(HostId, Policy, Vec<(LinkId, u8)>),
    /// The largest payload of a link was found anew.
    LinkMtu {
        /// The host.
        host: HostId,
        /// The link.
        link: LinkId,
        /// What was relied on before, in bytes.
        from: usize,
        /// What it is, in bytes.
        to: usize,
    },
    /// Nothing useful arrives over a link, though pings do.
    NoMtu(HostId, LinkId),
    /// Longer messages than this many bytes are sent in parts.
    DataMtu(usize),
}

/// Packets that were dropped, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drops {
    /// Sealed with no key of ours, or not sealed.
    pub unauthentic: u64,
    /// No packet of knet, or its payload does not decompress.
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
    next_adjustment: Instant,
    outbox: Outbox,
    compressor: Option<Compressor>,
    decompressor: Decompressor,
    /// The packet that was opened last.
    opened: Vec<u8>,
    /// Whole messages that were not in the clear are copied here.
    copies: BytesMut,
    /// The links of the message under way.
    route: Vec<Hop>,
    outputs: VecDeque<Output>,
    drops: Drops,
    stats: HandleStats,
}

/// One link that a message takes.
#[derive(Clone, Copy, Debug)]
struct Hop {
    host: HostId,
    link: LinkId,
    to: SocketAddr,
}

impl Knet {
    /// A node without peers and without a key, at time `now`.
    #[must_use]
    pub fn new(config: KnetConfig, ivs: Ivs, compressor: Option<Compressor>, now: Instant) -> Self {
        let outbox = Outbox::new(config.host, ivs);
        Self {
            config,
            hosts: BTreeMap::new(),
            seq: Seq(0),
            data_mtu: outbox.overhead().smallest_data_mtu(),
            next_tick: now,
            next_adjustment: now + ADJUSTMENT,
            outbox,
            compressor,
            decompressor: Decompressor::new(),
            opened: Vec::new(),
            copies: BytesMut::new(),
            route: Vec::new(),
            outputs: VecDeque::new(),
            drops: Drops::default(),
            stats: HandleStats::default(),
        }
    }

    /// Payload of the longest packet that is sent, in bytes.
    #[must_use]
    pub const fn data_mtu(&self) -> usize {
        self.data_mtu
    }

    /// What was dropped so far.
    #[must_use]
    pub const fn drops(&self) -> Drops {
        self.drops
    }

    /// What was counted so far.
    #[must_use]
    pub const fn stats(&self) -> HandleStats {
        HandleStats {
            tx_crypt_packets: self.outbox.sealed.packets,
            tx_crypt_byte_overhead: self.outbox.sealed.byte_overhead,
            ..self.stats
        }
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

    /// Takes note of what happened.
    pub fn handle(&mut self, now: Instant, input: Input<'_>) {
        match input {
            Input::Datagram { source, bytes } => self.handle_datagram(now, source, bytes),
            Input::TooBig {
                link,
                to,
                len,
                kernel_mtu,
            } => self.handle_too_big(now, link, to, len, kernel_mtu),
            Input::Unreachable { link, to } => {
                for host in self.hosts.values_mut() {
                    if let Some(link) = host.links.get_mut(&link)
                        && link.config.peer == to
                    {
                        link.heartbeat.handle_unreachable();
                    }
                }
            }
        }
    }

    /// Does what time alone brings about; harmless when too early.
    pub fn handle_timeout(&mut self, now: Instant) {
        if now >= self.next_tick {
            self.next_tick = now + self.tick_interval();
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

    /// Time between two looks at all links. One that is pinged every 75 ms and may be silent for 150 cannot be looked at
    /// every 200; C refuses such timers (links.c:knet_link_set_ping_timers), which a token below 400 ms asks for (D-103).
    fn tick_interval(&self) -> Duration {
        let links = self.hosts.values().flat_map(|host| host.links.values());
        let intervals = links.map(|link| link.config.heartbeat.ping_interval);
        let looks = intervals.map(|interval| interval / TICKS_PER_PING);
        looks.fold(TICK_MAX, Duration::min).max(TICK_MIN)
    }

    /// Looks at all links (threads_heartbeat.c:_handle_heartbt_thread, threads_pmtud.c:_handle_pmtud_link_thread).
    fn tick(&mut self, now: Instant) {
        if now >= self.next_adjustment {
            self.next_adjustment = now + ADJUSTMENT;
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
                self.push(Packet::Ping(ping), host, id);
            }
            if let Some(state) = beat.change {
                self.on_link(now, host, id, state);
            }
        }
    }

    /// A probe that the kernel refuses tells the interface's MTU. Data that it refuses tells nothing: the link's MTU
    /// became smaller meanwhile, and the next search finds it.
    fn handle_too_big(
        &mut self,
        now: Instant,
        id: LinkId,
        to: SocketAddr,
        len: usize,
        kernel_mtu: Option<u16>,
    ) {
        let mut hosts = self.hosts.iter_mut();
        let found = hosts.find_map(|(&host, known)| {
            let link = known.links.get_mut(&id)?;
            (link.config.peer == to).then_some((host, link))
        });
        let Some((host, link)) = found else { return };
        let size = len + link.family().overhead();
        let timeout = link.heartbeat.timeout();
        let step = u16::try_from(size)
            .ok()
            .and_then(|size| link.path.handle_too_big(now, size, kernel_mtu, timeout));
        self.on_step(host, id, step);
    }

    /// A link came up or went down (links.c:_link_updown). Another path may be the narrowest now, so all are measured
    /// again when one comes up, and until then nothing relies on what was found.
    fn on_link(&mut self, now: Instant, host: HostId, id: LinkId, state: State) {
        self.event(Event::Link(host, id, state));
        if let Some(link) = self.link_mut(host, id) {
            match state {
                State::Up => link.stats.up_count += 1,
                State::Down => {
                    link.stats.down_count += 1;
                    link.path.stop();
                }
            }
        }
        if state == State::Up {
            self.measure_all(now);
        }
        self.choose_links(host);
        self.tell_links(host);
        self.choose_data_mtu();
    }

    fn measure_all(&mut self, now: Instant) {
        self.measure(now, self.all_links());
    }

    fn measure(&mut self, now: Instant, links: Vec<(HostId, LinkId)>) {
        for (host, id) in links {
            if let Some(link) = self.link_mut(host, id)
                && link.is_up()
            {
                link.measured = Measured::No;
                self.start_search(now, host, id);
            }
        }
    }

    fn start_search(&mut self, now: Instant, host: HostId, id: LinkId) {
        let step = self.link_mut(host, id).map(|link| {
            let timeout = link.heartbeat.timeout();
            let ping_len = link.path.crypto().sealed_len(PING_LEN);
            link.path.start(now, ping_len, timeout)
        });
        self.on_step(host, id, step);
    }

    fn on_step(&mut self, host: HostId, id: LinkId, step: Option<Step>) {
        let to = match step {
            None => return,
            Some(Step::Probe(request)) => {
                let probe = Probe {
                    link: id,
                    size: request.size,
                };
                return self.push(Packet::Probe(probe, request.filling), host, id);
            }
            Some(Step::Found(to)) => Some(to),
            Some(Step::Failed) => None,
        };
        let Some(link) = self.link_mut(host, id) else {
            return;
        };
        link.measured = Measured::Yes;
        let from = core::mem::replace(&mut link.told_mtu, to.unwrap_or(0));
        match to {
            None if from != 0 => self.event(Event::NoMtu(host, id)),
            Some(to) if from != to => self.event(Event::LinkMtu {
                host,
                link: id,
                from,
                to,
            }),
            None | Some(_) => {}
        }
        if self.choose_links(host) {
            self.tell_links(host);
        }
        self.choose_data_mtu();
    }

    /// Returns whether other links carry data now.
    fn choose_links(&mut self, id: HostId) -> bool {
        self.hosts.get_mut(&id).is_some_and(Host::choose_links)
    }

    fn tell_links(&mut self, id: HostId) {
        if let Some(host) = self.hosts.get(&id) {
            let event = Event::Host(id, host.policy(), host.active());
            self.event(event);
        }
    }

    /// A message goes to all hosts in the same parts, so the narrowest path counts.
    fn choose_data_mtu(&mut self) {
        let links = self.hosts.values().flat_map(|host| host.links.values());
        let up = links.filter(|link| link.is_up());
        let mtus = up.filter_map(|link| match link.measured {
            Measured::Yes => link.path.mtu(),
            Measured::No => Some(link.path.crypto().smallest_data_mtu()),
        });
        let Some(mtu) = mtus.min() else { return };
        if mtu != self.data_mtu {
            self.data_mtu = mtu;
            self.event(Event::DataMtu(mtu));
        }
    }

    /// Sends a packet over one link.
    fn push(&mut self, packet: Packet<'_>, host: HostId, id: LinkId) {
        let Some(host) = self.hosts.get_mut(&host) else {
            return;
        };
        let Some(link) = host.links.get_mut(&id) else {
            return;
        };
        let kind = Kind::of(&packet);
        let datagram = self.outbox.seal(packet, host.opens);
        link.stats.tx.count(kind, datagram.len());
        self.outputs.push_back(Output::Send {
            link: id,
            to: link.config.peer,
            datagram,
        });
    }

    fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
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

#[cfg(test)]
mod tests;

//! knet under the ring: which hosts and links there are, and which frames pass (corosync `exec/totemknet.c`, v3.1.7).

use core::fmt;
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use ferrosync_knet::compress::Compressor;
use ferrosync_knet::crypto::Ivs;
use ferrosync_knet::handle::{self, Input, Knet, Output, Sources};
use ferrosync_knet::host::{LinkConfig, Policy};
use ferrosync_knet::link::HeartbeatConfig;
use ferrosync_totem::srp::{Destination, Transmit, Ways};
use ferrosync_wire::knet::HostId;
use ferrosync_wire::totem::Header;
use ferrosync_wire::{Decode as _, Instant, NodeId, Reader};

use super::complaints::Complaints;
use super::keys::Keys;
use super::{Peers, SharedKey, carries};
use crate::config::{
    BlockUnlisted, CompressionConfig, Config, CryptoConfig, KnetConfig, KnetLink, LinkMode,
};
use crate::log;
use crate::output::{Carries, HostRequest, LinkTrouble, NodeOutput, Trouble};
use crate::reload::links::{self, LinkChange, Network};
use crate::reload::{CryptoChange, CryptoPhase};

/// What only the host has: secrets that no simulation may share with a machine.
pub struct Secrets {
    /// The shared key, where the configuration asks for one.
    pub key: Option<SharedKey>,
    /// From the operating system; nobody may foresee the initialisation vectors that are made of it.
    pub ivs: [u8; 32],
}

impl Secrets {
    /// For transports that hide nothing.
    pub const NONE: Self = Self {
        key: None,
        ivs: [0; 32],
    };
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets")
    }
}

/// The links of the ring's members.
#[derive(Debug)]
pub struct KnetTransport {
    peers: Peers,
    knet: Knet,
    keys: Keys,
    policy: Policy,
    /// Frames for other nodes, and of channels that nobody uses.
    not_for_us: u64,
    complaints: Complaints,
    /// Where the last packet came from, if no key opened it.
    unopened: Option<IpAddr>,
}

impl KnetTransport {
    pub(super) fn new(
        config: &Config,
        transport: &KnetConfig,
        secrets: Secrets,
        now: Instant,
    ) -> Self {
        let knet_config = handle::KnetConfig {
            host: host_id(config.me),
            pmtud_interval: transport.pmtud_interval,
            mtu: transport.mtu,
            sources: sources(transport.block_unlisted_ips),
        };
        let compressor = transport.compression.as_ref().map(compressor);
        let ivs = Ivs::new(secrets.ivs);
        let mut knet = Knet::new(knet_config, ivs, compressor, now);
        let keys = Keys::new(&mut knet, now, transport.crypto.as_ref(), secrets.key);
        let mut this = Self {
            peers: Peers::new(config),
            knet,
            keys,
            policy: policy(transport.link_mode),
            not_for_us: 0,
            complaints: Complaints::default(),
            unopened: None,
        };
        let alone = Network {
            nodes: &[],
            links: &[],
            ..Network::of(config)
        };
        this.change(&alone, &Network::of(config));
        this
    }

    /// Goes from one network to another that is not refused.
    fn change(&mut self, old: &Network<'_>, new: &Network<'_>) {
        for change in links::changes(old, new).unwrap_or_default() {
            match change {
                LinkChange::RemoveLink(node, link) => self.knet.remove_link(host_id(node), link),
                LinkChange::RemoveNode(node) => self.knet.remove_host(host_id(node)),
                LinkChange::AddNode(node) => self.knet.set_host(host_id(node), self.policy),
                LinkChange::AddLink(node, id, ip, link) => {
                    let config = link_config(&link, SocketAddr::new(ip, link.port));
                    self.knet.add_link(host_id(node), id, config);
                }
                LinkChange::ChangeLink(node, id, link) => {
                    let timers = heartbeat_config(&link);
                    let host = host_id(node);
                    self.knet.change_link(host, id, link.priority, timers);
                }
            }
        }
    }

    pub(super) fn reload(
        &mut self,
        now: Instant,
        (old, new): (&Config, &Config),
        transport: &KnetConfig,
        key: Option<SharedKey>,
        outputs: &mut VecDeque<NodeOutput>,
    ) -> CryptoChange {
        self.peers = Peers::new(new);
        self.change(&Network::of(old), &Network::of(new));
        self.knet.set_sources(sources(transport.block_unlisted_ips));
        self.knet.set_pmtud_interval(transport.pmtud_interval);
        self.knet.set_mtu(now, transport.mtu);
        let compressor = transport.compression.as_ref().map(compressor);
        self.knet.set_compressor(compressor);
        let links = HostRequest::SetLinks(transport.links.clone());
        outputs.push_back(NodeOutput::Ask(links));
        let loaded = self
            .keys
            .load(&mut self.knet, now, transport.crypto.as_ref(), key);
        self.drain(Carries::Ring, outputs);
        loaded
    }

    pub(super) fn crypto_phase(
        &mut self,
        now: Instant,
        phase: CryptoPhase,
        outputs: &mut VecDeque<NodeOutput>,
    ) {
        self.keys.step(&mut self.knet, now, phase);
        self.drain(Carries::Ring, outputs);
    }

    pub(super) fn take_unopened(&mut self) -> Option<NodeId> {
        self.peers.node_at(self.unopened.take()?)
    }

    pub(super) fn foresee(
        &mut self,
        now: Instant,
        config: &CryptoConfig,
        key: SharedKey,
        outputs: &mut VecDeque<NodeOutput>,
    ) -> bool {
        let another = self.keys.foresee(&mut self.knet, now, config, key);
        self.drain(Carries::Ring, outputs);
        another
    }

    pub(super) fn forget_foreseen(&mut self, now: Instant, outputs: &mut VecDeque<NodeOutput>) {
        self.keys.forget_foreseen(&mut self.knet, now);
        self.drain(Carries::Ring, outputs);
    }

    pub(super) fn opens_next_key(
        &mut self,
        now: Instant,
        node: NodeId,
        outputs: &mut VecDeque<NodeOutput>,
    ) {
        // No other node has this transport.
        if let Ok(host) = u16::try_from(node.0) {
            self.knet.host_opens_next(now, HostId(host));
            self.drain(Carries::Ring, outputs);
        }
    }

    pub(super) fn send(
        &mut self,
        now: Instant,
        sent: &Transmit,
        outputs: &mut VecDeque<NodeOutput>,
    ) {
        let destination = match sent.to {
            Destination::Ring => handle::Destination::All,
            Destination::Node(node) => match u16::try_from(node.0) {
                Ok(host) => handle::Destination::One(HostId(host)),
                // A forged join may bring in a member that no nodelist can have: as far away as any that is off.
                Err(_) => return,
            },
        };
        // Nobody in reach is no fault: a node starts like that.
        let ways = match sent.ways {
            Ways::Chosen => handle::Ways::Chosen,
            Ways::All => handle::Ways::All,
        };
        let _unreachable = self.knet.send(now, destination, ways, CHANNEL, &sent.frame);
        self.drain(carries(sent.to), outputs);
    }

    pub(super) fn receive(
        &mut self,
        now: Instant,
        from: SocketAddr,
        bytes: &Bytes,
        outputs: &mut VecDeque<NodeOutput>,
    ) -> Option<Bytes> {
        let source = from.ip();
        let before = unreadable(&self.knet);
        self.knet.handle(now, Input::Datagram { source, bytes });
        self.unopened = (unreadable(&self.knet) > before).then_some(source);
        let drops = self.knet.drops();
        let complaint = self.complaints.about(now, &drops, from, bytes.len());
        outputs.extend(complaint.map(NodeOutput::Log));
        self.drain(Carries::Ring, outputs)
    }

    pub(super) fn trouble(
        &mut self,
        now: Instant,
        LinkTrouble { link, to, trouble }: LinkTrouble,
        outputs: &mut VecDeque<NodeOutput>,
    ) {
        let input = match trouble {
            Trouble::TooBig { len, mtu } => Input::TooBig {
                link,
                to,
                len,
                kernel_mtu: mtu,
            },
            Trouble::Unreachable => Input::Unreachable { link, to },
        };
        self.knet.handle(now, input);
        self.drain(Carries::Ring, outputs);
    }

    pub(super) fn poll_timeout(&self) -> Instant {
        self.knet.poll_timeout()
    }

    pub(super) fn handle_timeout(&mut self, now: Instant, outputs: &mut VecDeque<NodeOutput>) {
        self.knet.handle_timeout(now);
        self.drain(Carries::Ring, outputs);
    }

    pub(super) fn clear_stats(&mut self) {
        self.knet.clear_stats();
    }

    /// The configured members.
    #[must_use]
    pub const fn peers(&self) -> &Peers {
        &self.peers
    }

    /// What was dropped, in one line.
    pub(crate) fn drops(&self) -> String {
        format!("{:?}, not for us {}", self.knet.drops(), self.not_for_us)
    }

    /// Links and counters.
    #[must_use]
    pub const fn knet(&self) -> &Knet {
        &self.knet
    }

    /// Carries out what knet asks for. No input brings more than one message.
    fn drain(&mut self, carries: Carries, outputs: &mut VecDeque<NodeOutput>) -> Option<Bytes> {
        let mut delivered = None;
        while let Some(output) = self.knet.poll_output() {
            match output {
                Output::Send { link, to, datagram } => outputs.push_back(NodeOutput::Transmit {
                    link,
                    to,
                    bytes: datagram,
                    carries,
                }),
                Output::Deliver {
                    channel, payload, ..
                } => {
                    if channel == CHANNEL && self.is_for_us(&payload) {
                        delivered = Some(payload);
                    } else {
                        self.not_for_us += 1;
                    }
                }
                Output::Event(event) => {
                    outputs.extend(log::of_knet(&event).into_iter().map(NodeOutput::Log));
                }
            }
        }
        delivered
    }

    /// Whether the frame's target is this node or everybody (`totemknet.c:dst_host_filter_callback_fn`, v3.1.7). What
    /// is no frame passes: the ring protocol complains about it.
    fn is_for_us(&self, frame: &[u8]) -> bool {
        let header = Header::decode(&mut Reader::new(frame));
        header.map_or(true, |header| {
            header.target == NodeId(0) || header.target == self.peers.me
        })
    }
}

/// Packets that no key opened; without a key in use they are taken for packets that make no sense.
const fn unreadable(knet: &Knet) -> u64 {
    let drops = knet.drops();
    match knet.key_in_use() {
        Some(_) => drops.unauthentic,
        None => drops.unauthentic + drops.malformed,
    }
}

fn compressor(config: &CompressionConfig) -> Compressor {
    Compressor::new(config.model.name(), config.level, config.threshold)
        .ok()
        .flatten()
        .expect("the configuration was checked")
}

const fn policy(mode: LinkMode) -> Policy {
    match mode {
        LinkMode::Passive => Policy::Passive,
        LinkMode::Active => Policy::Active,
        LinkMode::RoundRobin => Policy::RoundRobin,
    }
}

const fn sources(block_unlisted: BlockUnlisted) -> Sources {
    match block_unlisted {
        BlockUnlisted::Drop => Sources::Listed,
        BlockUnlisted::Accept => Sources::Any,
    }
}

const fn link_config(link: &KnetLink, peer: SocketAddr) -> LinkConfig {
    LinkConfig {
        peer,
        priority: link.priority,
        heartbeat: heartbeat_config(link),
    }
}

const fn heartbeat_config(link: &KnetLink) -> HeartbeatConfig {
    HeartbeatConfig {
        ping_interval: link.ping_interval,
        pong_timeout: link.ping_timeout,
        precision: link.ping_precision,
        pong_count: link.pong_count,
    }
}

/// knet's name of a node of the nodelist.
///
/// # Panics
///
/// For ids beyond 65535, which the configuration refuses with this transport.
fn host_id(node: NodeId) -> HostId {
    HostId(u16::try_from(node.0).expect("the configuration was checked"))
}

/// What libknet says of the way from a node to itself, in bytes (`libknet/links.c:knet_link_set_config`, v1.25).
pub const LOOPBACK_MTU: u32 = 65_535;
/// corosync's messages; libnozzle would use the next one.
const CHANNEL: u8 = 0;

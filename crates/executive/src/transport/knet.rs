//! knet under the ring: which hosts and links there are, and which frames pass (corosync `exec/totemknet.c`, v3.1.7).

use core::fmt;
use std::collections::VecDeque;
use std::net::SocketAddr;

use bytes::Bytes;
use ferrosync_knet::compress::Compressor;
use ferrosync_knet::crypto::{ClearTraffic, Crypto, Instance, Ivs, Key, Slot, Suite};
use ferrosync_knet::handle::{self, Input, Knet, Output, Sources};
use ferrosync_knet::host::{LinkConfig, Policy};
use ferrosync_knet::link::HeartbeatConfig;
use ferrosync_totem::srp::Destination;
use ferrosync_wire::knet::HostId;
use ferrosync_wire::totem::Header;
use ferrosync_wire::{Decode as _, Instant, NodeId, Reader};

use super::{Peers, carries};
use crate::config::{
    BlockUnlisted, CompressionConfig, Config, CryptoConfig, KnetConfig, KnetLink, LinkMode,
};
use crate::log;
use crate::output::{Carries, LinkTrouble, NodeOutput, Trouble};

/// What only the host has: secrets that no simulation may share with a machine.
pub struct Secrets {
    /// The shared key, where the configuration asks for one.
    pub key: Option<Key>,
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
    /// Frames for other nodes, and of channels that nobody uses.
    not_for_us: u64,
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
            sources: match transport.block_unlisted_ips {
                BlockUnlisted::Drop => Sources::Listed,
                BlockUnlisted::Accept => Sources::Any,
            },
        };
        let crypto = crypto(transport.crypto.as_ref(), secrets.key.as_ref());
        let compressor = transport.compression.as_ref().map(compressor);
        let ivs = Ivs::new(secrets.ivs);
        let mut this = Self {
            peers: Peers::new(config),
            knet: Knet::new(knet_config, crypto, ivs, compressor, now),
            not_for_us: 0,
        };
        this.add_links(transport);
        this
    }

    fn add_links(&mut self, transport: &KnetConfig) {
        let me = self.peers.me;
        for node in self.peers.nodes().filter(|node| *node != me) {
            self.knet
                .set_host(host_id(node), policy(transport.link_mode));
            for link in &transport.links {
                if let Some(ip) = self.peers.address_on(node, link.id) {
                    let peer = SocketAddr::new(ip, link.port);
                    let config = link_config(link, peer);
                    self.knet.add_link(host_id(node), link.id, config);
                }
            }
        }
    }

    pub(super) fn send(
        &mut self,
        now: Instant,
        to: Destination,
        frame: &Bytes,
        outputs: &mut VecDeque<NodeOutput>,
    ) {
        let destination = match to {
            Destination::Ring => handle::Destination::All,
            Destination::Node(node) => handle::Destination::One(host_id(node)),
        };
        // Nobody in reach is no fault: a node starts like that.
        let _unreachable = self.knet.send(now, destination, CHANNEL, frame);
        self.drain(carries(to), outputs);
    }

    pub(super) fn receive(
        &mut self,
        now: Instant,
        from: SocketAddr,
        bytes: &Bytes,
        outputs: &mut VecDeque<NodeOutput>,
    ) -> Option<Bytes> {
        let source = from.ip();
        self.knet.handle(now, Input::Datagram { source, bytes });
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

fn crypto(config: Option<&CryptoConfig>, key: Option<&Key>) -> Crypto {
    let mut crypto = Crypto::new();
    if let Some(config) = config {
        let key = key.expect("the host read the key");
        let instance = Instance::new(suite(config), key);
        crypto
            .set(Slot::One, Some(instance))
            .and_then(|()| crypto.use_slot(Some(Slot::One)))
            .expect("a new one has two free slots");
        crypto.set_clear_traffic(ClearTraffic::Refused);
    }
    crypto
}

const fn suite(config: &CryptoConfig) -> Suite {
    match config.cipher {
        Some(cipher) => Suite::encrypted(cipher, config.hash),
        None => Suite::signed(config.hash),
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

const fn link_config(link: &KnetLink, peer: SocketAddr) -> LinkConfig {
    LinkConfig {
        peer,
        priority: link.priority,
        heartbeat: HeartbeatConfig {
            ping_interval: link.ping_interval,
            pong_timeout: link.ping_timeout,
            precision: link.ping_precision,
            pong_count: link.pong_count,
        },
    }
}

/// knet's name of a node.
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

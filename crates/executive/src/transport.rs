//! Where frames go: the addresses of the ring's members.
//!
//! A closed set, so an enum: `udpu`, `udp`, and later `knet`, which will be a state machine of its own behind
//! the same two questions.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use ferrosync_totem::srp::Destination;
use ferrosync_wire::{Instant, LinkId, NodeId};

use crate::config::{BlockUnlisted, Config, CryptoConfig, McastGroup, TransportConfig};
use crate::reload::CryptoPhase;

/// How this node reaches the others.
#[derive(Clone, Debug)]
pub enum Transport {
    /// A datagram to every member.
    Udpu(Peers),
    /// A multicast (or broadcast) for the ring, unicast for tokens.
    Udp {
        /// The members.
        peers: Peers,
        /// Where everybody listens.
        group: SocketAddr,
    },
}

/// The configured members.
#[derive(Clone, Debug)]
pub struct Peers {
    /// All nodes of the list, this one included.
    pub nodes: Vec<(NodeId, SocketAddr)>,
    /// This node.
    pub me: NodeId,
    /// Whether only members are heard.
    pub unlisted: BlockUnlisted,
}

/// The link of the transports that have just one.
pub const ONLY_LINK: LinkId = LinkId(0);

impl Transport {
    /// The transport that a configuration names.
    ///
    /// # Panics
    ///
    /// For knet, which hosts refuse before they boot a node.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        match &config.transport {
            TransportConfig::Udpu(udpu) => {
                let unlisted = udpu.block_unlisted_ips;
                Self::Udpu(Peers::new(config, udpu.port, unlisted))
            }
            TransportConfig::Udp(udp) => {
                let group = match udp.group {
                    McastGroup::Multicast(ip) => ip,
                    McastGroup::Broadcast => IpAddr::V4(Ipv4Addr::BROADCAST),
                };
                Self::Udp {
                    peers: Peers::new(config, udp.port, BlockUnlisted::Accept),
                    group: SocketAddr::new(group, udp.port),
                }
            }
            TransportConfig::Knet(_) => unreachable!("a host refuses knet before it boots a node"),
        }
    }

    /// Takes over another configuration of the same transport, of which [`crate::reload::links::refusals`] had nothing
    /// to refuse. What could not be changed comes back, a line of log each. A new key is only loaded: packets that are
    /// sealed with it are opened, none is sealed with it before [`Self::crypto_phase`].
    pub fn reload(&mut self, _now: Instant, new: &Config) -> Vec<String> {
        match self {
            // Ports and groups are among what stays (`Config::fixed`).
            Self::Udpu(_) | Self::Udp { .. } => *self = Self::new(new),
        }
        Vec::new()
    }

    /// Takes one step from the old key to the one of the last reload, `new`; `None` is no key at all.
    pub const fn crypto_phase(&mut self, _phase: CryptoPhase, _new: Option<&CryptoConfig>) {
        match self {
            Self::Udpu(_) | Self::Udp { .. } => {}
        }
    }

    /// Whether a datagram from this address is heard. Ports do not matter, as in C
    /// (`totemudpu.c:is_sender_allowed`, v3.1.7); udp hears everybody.
    #[must_use]
    pub fn hears(&self, from: IpAddr) -> bool {
        match self {
            Self::Udpu(peers) => {
                peers.unlisted == BlockUnlisted::Accept
                    || peers.nodes.iter().any(|(_, addr)| addr.ip() == from)
            }
            Self::Udp { .. } => true,
        }
    }

    /// Calls `send` for every address that a frame goes to.
    pub fn route(&self, to: Destination, mut send: impl FnMut(SocketAddr)) {
        match (self, to) {
            (Self::Udp { group, .. }, Destination::Ring) => send(*group),
            (Self::Udpu(peers), Destination::Ring) => {
                for (node, addr) in &peers.nodes {
                    if *node != peers.me {
                        send(*addr);
                    }
                }
            }
            (Self::Udpu(peers) | Self::Udp { peers, .. }, Destination::Node(node)) => {
                if let Some(addr) = peers.address_of(node) {
                    send(addr);
                }
            }
        }
    }

    /// The configured members.
    #[must_use]
    pub const fn peers(&self) -> &Peers {
        match self {
            Self::Udpu(peers) | Self::Udp { peers, .. } => peers,
        }
    }
}

impl Peers {
    fn new(config: &Config, port: u16, unlisted: BlockUnlisted) -> Self {
        let nodes = config
            .nodes
            .iter()
            .filter_map(|n| Some((n.id, SocketAddr::new(*n.addresses.get(&ONLY_LINK)?, port))))
            .collect();
        Self {
            nodes,
            me: config.me,
            unlisted,
        }
    }

    /// A member's address.
    #[must_use]
    pub fn address_of(&self, node: NodeId) -> Option<SocketAddr> {
        self.nodes
            .iter()
            .find(|(id, _)| *id == node)
            .map(|(_, addr)| *addr)
    }
}

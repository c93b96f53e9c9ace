//! `udpu` and `udp`: a datagram is a frame.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use ferrosync_totem::srp::Destination;
use ferrosync_wire::NodeId;

use super::{ONLY_LINK, Peers, carries};
use crate::config::{BlockUnlisted, Config, McastGroup, UdpConfig, UdpuConfig};
use crate::output::Carries;

/// Plain UDP.
#[derive(Clone, Debug)]
pub struct Udp {
    peers: Peers,
    /// Where each node listens, this one included.
    sockets: Vec<(NodeId, SocketAddr)>,
    group: Group,
}

/// How a frame for everybody goes.
#[derive(Clone, Copy, Debug)]
enum Group {
    /// To each member apart; whether only members are heard.
    Members(BlockUnlisted),
    /// To the address where all of them listen. Everybody is heard.
    Address(SocketAddr),
}

impl Udp {
    pub(super) fn to_each(config: &Config, udpu: &UdpuConfig) -> Self {
        Self::new(config, udpu.port, Group::Members(udpu.block_unlisted_ips))
    }

    pub(super) fn to_group(config: &Config, udp: &UdpConfig) -> Self {
        let group = match udp.group {
            McastGroup::Multicast(ip) => ip,
            McastGroup::Broadcast => IpAddr::V4(Ipv4Addr::BROADCAST),
        };
        let group = SocketAddr::new(group, udp.port);
        Self::new(config, udp.port, Group::Address(group))
    }

    fn new(config: &Config, port: u16, group: Group) -> Self {
        let peers = Peers::new(config);
        Self {
            sockets: peers.sockets_on(ONLY_LINK, port).collect(),
            peers,
            group,
        }
    }

    /// Whether a datagram from this address is heard. Ports do not matter, as in C
    /// (`totemudpu.c:is_sender_allowed`, v3.1.7); udp hears everybody.
    pub(crate) fn hears(&self, from: IpAddr) -> bool {
        match self.group {
            Group::Members(BlockUnlisted::Drop) => {
                self.sockets.iter().any(|(_, addr)| addr.ip() == from)
            }
            Group::Members(BlockUnlisted::Accept) | Group::Address(_) => true,
        }
    }

    /// Calls `send` for every address that a frame goes to.
    pub(super) fn route(&self, to: Destination, mut send: impl FnMut(SocketAddr, Carries)) {
        let carries = carries(to);
        match (self.group, to) {
            (Group::Address(group), Destination::Ring) => send(group, carries),
            (Group::Members(_), Destination::Ring) => {
                for (node, addr) in &self.sockets {
                    if *node != self.peers.me {
                        send(*addr, carries);
                    }
                }
            }
            (Group::Members(_) | Group::Address(_), Destination::Node(node)) => {
                if let Some((_, addr)) = self.sockets.iter().find(|(id, _)| *id == node) {
                    send(*addr, carries);
                }
            }
        }
    }

    pub(super) const fn is_to_each(&self) -> bool {
        matches!(self.group, Group::Members(_))
    }

    pub(super) const fn peers(&self) -> &Peers {
        &self.peers
    }
}

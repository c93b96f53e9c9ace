//! The configured members and their addresses.

use std::net::{IpAddr, SocketAddr};

use ferrosync_wire::{LinkId, NodeId};

use crate::config::Config;

/// The configured members.
#[derive(Clone, Debug)]
pub struct Peers {
    /// All nodes of the list, this one included, each with its addresses by ascending link.
    nodes: Vec<(NodeId, Vec<(LinkId, IpAddr)>)>,
    /// This node.
    pub me: NodeId,
}

impl Peers {
    /// Those of a configuration.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let nodes = config.nodes.iter().map(|node| {
            let addresses = node.addresses.iter().map(|(link, ip)| (*link, *ip));
            (node.id, addresses.collect())
        });
        Self {
            nodes: nodes.collect(),
            me: config.me,
        }
    }

    /// All nodes, this one included.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.nodes.iter().map(|(node, _)| *node)
    }

    /// A member's addresses by ascending link; none for a node that is not configured.
    #[must_use]
    pub fn addresses_of(&self, node: NodeId) -> &[(LinkId, IpAddr)] {
        let found = self.nodes.iter().find(|(id, _)| *id == node);
        found.map_or(&[], |(_, addresses)| addresses)
    }

    /// The member with an address.
    pub(super) fn node_at(&self, ip: IpAddr) -> Option<NodeId> {
        let at = |(_, addresses): &&(NodeId, Vec<(LinkId, IpAddr)>)| {
            addresses.iter().any(|(_, address)| *address == ip)
        };
        self.nodes.iter().find(at).map(|(node, _)| *node)
    }

    /// A member's address on a link.
    #[must_use]
    pub fn address_on(&self, node: NodeId, link: LinkId) -> Option<IpAddr> {
        let addresses = self.addresses_of(node).iter();
        addresses
            .filter(|(on, _)| *on == link)
            .map(|(_, ip)| *ip)
            .next()
    }

    /// Everybody's addresses on a link, with a port.
    pub fn sockets_on(
        &self,
        link: LinkId,
        port: u16,
    ) -> impl Iterator<Item = (NodeId, SocketAddr)> + '_ {
        self.nodes().filter_map(move |node| {
            let ip = self.address_on(node, link)?;
            Some((node, SocketAddr::new(ip, port)))
        })
    }
}

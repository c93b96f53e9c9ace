//! What clients are told about links and addresses, all of them (`docs/deviations.md`, D-24).
//!
//! `udpu` and `udp` have one link, which works as long as the daemon runs (corosync
//! `totemudpu.c:totemudpu_ifaces_get`, v3.1.7); whether a node answers on it is what the ring protocol believes. knet
//! knows for every node and link.

use std::net::IpAddr;

use ferrosync_knet::handle::LinkView;
use ferrosync_knet::host::Reach;
use ferrosync_knet::link::State;
use ferrosync_wire::ipc::cfg::{Interface, LinkStatus, NodeAddrs, NodeStatus, RingStatus};
use ferrosync_wire::ipc::{Answer, CsError};
use ferrosync_wire::knet::HostId;
use ferrosync_wire::{Encode, LinkId, NodeId};

use crate::core::Core;
use crate::transport::{KnetTransport, LOOPBACK_MTU, ONLY_LINK};

/// The answer about this node's links (corosync `cfg.c:message_handler_req_lib_cfg_ringstatusget`, v3.1.7).
pub(super) fn ring_status(core: &Core) -> Vec<u8> {
    let addresses = core.transport.peers().addresses_of(core.me).iter();
    let links: Vec<(String, String)> = match core.transport.as_knet() {
        Some(knet) => addresses
            .map(|(link, ip)| (format!("{} {ip}", link.0), status_of(knet, *link)))
            .collect(),
        None => addresses
            .filter(|(link, _)| *link == ONLY_LINK)
            .map(|(link, ip)| (format!("{} {ip}", link.0), "OK".to_owned()))
            .collect(),
    };
    let interfaces = links.iter().map(|(name, status)| Interface {
        name: name.as_bytes(),
        status: status.as_bytes(),
    });
    Answer(Ok(RingStatus(interfaces.collect()))).to_vec()
}

/// Addresses are told without a scope (D-63). One character for each node by ascending id: `n` for this one, `d` for one without this link, else a digit of
/// which 1 stands for enabled and 2 for connected (corosync `totemknet.c:totemknet_ifaces_get`, v3.1.7).
fn status_of(transport: &KnetTransport, link: LinkId) -> String {
    let peers = transport.peers();
    let mut nodes: Vec<NodeId> = peers.nodes().collect();
    nodes.sort_unstable();
    let of = |node| match view(transport, node, link) {
        _ if node == peers.me => 'n',
        None => 'd',
        Some(LinkView {
            state: State::Up, ..
        }) => '3',
        Some(LinkView {
            state: State::Down, ..
        }) => '1',
    };
    nodes.into_iter().map(of).collect()
}

fn view(transport: &KnetTransport, node: NodeId, link: LinkId) -> Option<LinkView> {
    let mut links = transport.knet().links();
    links.find(|view| u32::from(view.host.0) == node.0 && view.link == link)
}

/// The answer about a node's links. A node that is not configured has none, which is no error
/// (corosync `totemsrp.c:totemsrp_nodestatus_get`, `totemudpu.c:totemudpu_nodestatus_get`, v3.1.7).
pub(super) fn node_status(core: &Core, node: NodeId, version: u32) -> Vec<u8> {
    if version != NodeStatus::VERSION {
        return Answer::<NodeStatus<'_>>(Err(CsError::NotSupported)).to_vec();
    }
    match core.transport.as_knet() {
        Some(knet) => knet_node_status(knet, node),
        None => udp_node_status(core, node),
    }
}

fn udp_node_status(core: &Core, node: NodeId) -> Vec<u8> {
    let srp = core.pg.srp();
    let reachable = srp.known().contains(node);
    let address = core.transport.peers().address_on(node, ONLY_LINK);
    let address = address.map(|ip| ip.to_string());
    let mut links = [LinkStatus::default(); LINKS];
    if let Some(address) = &address {
        let mtu = srp.config().payload_mtu.get();
        links[usize::from(ONLY_LINK.0)] = LinkStatus {
            enabled: true,
            connected: reachable,
            mtu: u32::try_from(mtu).expect("a frame fits a datagram"),
            // The other node's address, and no destination: so it says for these transports.
            src: address.as_bytes(),
            ..LinkStatus::default()
        };
    }
    told(node, reachable, (0, 0), links)
}

/// This node reaches itself over a link of its own, which C calls loopback
/// (corosync `totemknet.c:totemknet_nodestatus_get`, v3.1.7).
fn knet_node_status(transport: &KnetTransport, node: NodeId) -> Vec<u8> {
    let peers = transport.peers();
    let mut links = [LinkStatus::default(); LINKS];
    if node == peers.me {
        links[0] = LinkStatus {
            enabled: true,
            connected: true,
            mtu: LOOPBACK_MTU,
            ..LinkStatus::default()
        };
        return told(node, true, ONWIRE, links);
    }
    let texts: Vec<(LinkView, String, String)> = transport
        .knet()
        .links()
        .filter(|view| u32::from(view.host.0) == node.0)
        .map(|view| {
            let own = peers.address_on(peers.me, view.link);
            let own = own.map_or_else(String::new, |ip| ip.to_string());
            (view, own, view.peer.ip().to_string())
        })
        .collect();
    for (view, own, peer) in &texts {
        links[usize::from(view.link.0)] = LinkStatus {
            enabled: true,
            connected: view.state == State::Up,
            mtu: u32::try_from(view.mtu).unwrap_or(u32::MAX),
            src: own.as_bytes(),
            dst: peer.as_bytes(),
            ..LinkStatus::default()
        };
    }
    let host = u16::try_from(node.0).ok().map(HostId);
    let reach = host.and_then(|host| transport.knet().reach(host));
    if reach.is_none() {
        return Answer::<NodeStatus<'_>>(Err(CsError::Library)).to_vec();
    }
    told(node, reach == Some(Reach::Reachable), ONWIRE, links)
}

fn told(
    nodeid: NodeId,
    reachable: bool,
    (onwire_min, onwire_max): (u8, u8),
    links: [LinkStatus<'_>; LINKS],
) -> Vec<u8> {
    Answer(Ok(NodeStatus {
        nodeid,
        reachable,
        remote: false,
        external: false,
        onwire_min,
        onwire_max,
        onwire_ver: onwire_min,
        links,
    }))
    .to_vec()
}

/// The answer about a node's addresses; node 0 is this one.
pub(super) fn node_addrs(core: &Core, node: NodeId) -> Vec<u8> {
    let node = if node.0 == 0 { core.me } else { node };
    let known = core.transport.peers().addresses_of(node);
    let answer = known.first().map(|(_, first)| NodeAddrs {
        family: match first {
            IpAddr::V4(_) => AF_INET,
            IpAddr::V6(_) => AF_INET6,
        },
        addresses: known.iter().map(|(_, ip)| bytes_of(*ip)).collect(),
    });
    Answer(answer.ok_or(CsError::NotExist)).to_vec()
}

fn bytes_of(ip: IpAddr) -> [u8; NodeAddrs::ADDRESS] {
    let mut address = [0; NodeAddrs::ADDRESS];
    match ip {
        IpAddr::V4(ip) => address[..4].copy_from_slice(&ip.octets()),
        IpAddr::V6(ip) => address = ip.octets(),
    }
    address
}

/// Links that an answer has room for.
const LINKS: usize = 8;
/// Versions of knet's protocol that this node speaks.
const ONWIRE: (u8, u8) = (1, 1);

/// Linux's numbers of address families, part of the client protocol.
const AF_INET: u32 = 2;
const AF_INET6: u32 = 10;

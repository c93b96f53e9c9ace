//! What clients are told about links and addresses, all of them (`docs/deviations.md`, D-24).
//!
//! `udpu` and `udp` have one link, which works as long as the daemon runs (corosync
//! `totemudpu.c:totemudpu_ifaces_get`, v3.1.7); whether a node answers on it is what the ring protocol believes.

use std::net::IpAddr;

use ferrosync_wire::ipc::cfg::{Interface, LinkStatus, NodeAddrs, NodeStatus, RingStatus};
use ferrosync_wire::ipc::{Answer, CsError};
use ferrosync_wire::{Encode, NodeId};

use crate::core::Core;
use crate::transport::ONLY_LINK;

/// The answer about this node's links (corosync `cfg.c:message_handler_req_lib_cfg_ringstatusget`, v3.1.7).
pub(super) fn ring_status(core: &Core) -> Vec<u8> {
    let names: Vec<String> = address_of(core, core.me)
        .into_iter()
        .map(|ip| format!("{} {ip}", ONLY_LINK.0))
        .collect();
    let interfaces = names.iter().map(|name| Interface {
        name: name.as_bytes(),
        status: b"OK",
    });
    Answer(Ok(RingStatus(interfaces.collect()))).to_vec()
}

/// The answer about a node's links. A node that is not configured has none, which is no error
/// (corosync `totemsrp.c:totemsrp_nodestatus_get`, `totemudpu.c:totemudpu_nodestatus_get`, v3.1.7).
pub(super) fn node_status(core: &Core, node: NodeId, version: u32) -> Vec<u8> {
    if version != NodeStatus::VERSION {
        return Answer::<NodeStatus<'_>>(Err(CsError::NotSupported)).to_vec();
    }
    let srp = core.pg.srp();
    let reachable = srp.known().contains(node);
    let address = address_of(core, node).map(|ip| ip.to_string());
    let mut links = [LinkStatus::default(); 8];
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
    let status = NodeStatus {
        nodeid: node,
        reachable,
        remote: false,
        external: false,
        onwire_min: 0,
        onwire_max: 0,
        onwire_ver: 0,
        links,
    };
    Answer(Ok(status)).to_vec()
}

/// The answer about a node's addresses; node 0 is this one.
pub(super) fn node_addrs(core: &Core, node: NodeId) -> Vec<u8> {
    let node = if node.0 == 0 { core.me } else { node };
    let addresses = address_of(core, node).ok_or(CsError::NotExist);
    Answer(addresses.map(|ip| {
        let mut address = [0; NodeAddrs::ADDRESS];
        let family = match ip {
            IpAddr::V4(ip) => {
                address[..4].copy_from_slice(&ip.octets());
                AF_INET
            }
            IpAddr::V6(ip) => {
                address = ip.octets();
                AF_INET6
            }
        };
        NodeAddrs {
            family,
            addresses: vec![address],
        }
    }))
    .to_vec()
}

fn address_of(core: &Core, node: NodeId) -> Option<IpAddr> {
    let peers = core.transport.peers();
    peers.address_of(node).map(|address| address.ip())
}

/// Linux's numbers of address families, part of the client protocol.
const AF_INET: u32 = 2;
const AF_INET6: u32 = 10;

//! The nodes of the cluster.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use ferrosync_wire::value::Value;
use ferrosync_wire::{LinkId, NodeId};

use super::environment::{IpVersion, Resolver};
use super::error::Findings;
use super::key_map::{KeyMap, node_key};
use super::keys::link_of_address_key;
use super::transport::TransportKind;

/// One node of the nodelist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeEntry {
    /// `nodeid`, or the IPv4 address of `ring0_addr` with udp and udpu; unique.
    pub id: NodeId,
    /// `name`.
    pub name: Option<String>,
    /// `ringX_addr`, resolved; the same links at every node and at least one.
    pub addresses: BTreeMap<LinkId, IpAddr>,
    /// `quorum_votes`, 1 when not given.
    pub votes: u32,
}

/// Most nodes (corosync `coroapi.h: PROCESSOR_COUNT_MAX`).
pub const NODES_MAX: usize = ferrosync_wire::totem::NODES_MAX;

/// Node ids of knet are 16 bits wide (kronosnet `libknet.h: KNET_MAX_HOST`, v1.25).
const KNET_NODE_ID_END: u32 = 65_536;

/// A node as the file has it.
#[derive(Clone, Debug, Default)]
pub(crate) struct RawNode {
    pub(crate) name: Option<String>,
    /// Texts of `ringX_addr`.
    pub(crate) addresses: BTreeMap<LinkId, String>,
    /// How many keys it has in the file.
    pub(crate) keys: usize,
}

/// For how many nodes corosync scales the token timeout: those with an address on link 0.
///
/// With udp and udpu a node that has `ring0_addr` and nothing else counts twice: corosync stores the generated
/// id while it walks the map, which makes it meet the address again. All nodes of a ring need the same
/// timeout, so we count as it does (`totemconfig.c:put_nodelist_members_to_config`, v3.1.7).
pub(crate) fn scaling_nodes(raw: &[RawNode], kind: TransportKind) -> usize {
    raw.iter()
        .filter(|node| node.addresses.contains_key(&LinkId(0)))
        .map(|node| {
            let met_again = kind != TransportKind::Knet && node.keys == 1;
            1 + usize::from(met_again)
        })
        .sum()
}

/// The nodes as the file has them, by position. What is not an address of a link was refused before.
pub(crate) fn raw_nodes(keys: &KeyMap) -> Vec<RawNode> {
    let mut nodes: BTreeMap<usize, RawNode> = BTreeMap::new();
    for (rest, value) in keys.under("nodelist.node.") {
        let Some((position, key)) = rest.split_once('.') else {
            continue;
        };
        let Ok(position) = position.parse() else {
            continue;
        };
        let node = nodes.entry(position).or_default();
        node.keys += 1;
        let Value::Str(text) = value else { continue };
        let text = text.to_string();
        if key == "name" {
            node.name = Some(text);
        } else if let Some(link) = link_of_address_key(key) {
            let link = LinkId(u8::try_from(link).unwrap_or(u8::MAX));
            node.addresses.insert(link, text);
        }
    }
    nodes.into_values().collect()
}

/// What the nodes' ids and addresses are derived with.
pub(crate) struct Rules {
    pub(crate) kind: TransportKind,
    pub(crate) ip_version: IpVersion,
    pub(crate) clear_high_bit: ClearHighBit,
}

/// `totem.clear_node_high_bit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClearHighBit {
    Keep,
    Clear,
}

/// Checks and resolves the nodes; ids that had to be generated are stored in `keys`.
pub(crate) fn nodes(
    raw: &[RawNode],
    rules: &Rules,
    keys: &mut KeyMap,
    resolver: &mut Resolver<'_>,
    findings: &mut Findings,
) -> Vec<NodeEntry> {
    if raw.len() > NODES_MAX {
        findings.error(
            keys.at("nodelist"),
            format!(
                "The nodelist has {} nodes, more than {NODES_MAX}",
                raw.len()
            ),
            "split the cluster",
        );
        return Vec::new();
    }
    let mut nodes = Vec::with_capacity(raw.len());
    for (position, node) in raw.iter().enumerate() {
        let mut reader = NodeReader {
            position,
            node,
            rules,
            keys,
            resolver,
            findings,
        };
        nodes.extend(reader.read());
    }
    check_duplicates(&nodes, keys, findings);
    check_links(raw, &nodes, keys, findings);
    nodes
}

struct NodeReader<'a, 'r> {
    position: usize,
    node: &'a RawNode,
    rules: &'a Rules,
    keys: &'a mut KeyMap,
    resolver: &'a mut Resolver<'r>,
    findings: &'a mut Findings,
}

impl NodeReader<'_, '_> {
    /// `None` after an error.
    fn read(&mut self) -> Option<NodeEntry> {
        if self.node.name.is_none() && !self.node.addresses.contains_key(&LinkId(0)) {
            self.error(
                "name",
                format!("Node {} has neither name nor ring0_addr", self.position),
                "give it a name, it could not be recognised",
            );
            return None;
        }
        if self.node.addresses.is_empty() {
            self.error(
                "ring0_addr",
                format!("Node {} has no address", self.position),
                "add ring0_addr",
            );
            return None;
        }
        let id = self.id()?;
        let mut addresses = BTreeMap::new();
        for (link, text) in &self.node.addresses {
            match self.resolver.address(text, self.rules.ip_version) {
                Some(address) => {
                    addresses.insert(*link, address);
                }
                None => self.error(
                    &format!("ring{}_addr", link.0),
                    format!("failed to parse node address '{text}'"),
                    "write an address, or a name that this node can resolve, of the family that ip_version wants",
                ),
            }
        }
        (addresses.len() == self.node.addresses.len()).then(|| NodeEntry {
            id,
            name: self.node.name.clone(),
            addresses,
            votes: self.keys.u32(&self.key("quorum_votes")).unwrap_or(1),
        })
    }

    /// The node's id (corosync `totemconfig.c:put_nodelist_members_to_config`, v3.1.7).
    fn id(&mut self) -> Option<NodeId> {
        let given = self.keys.u32(&self.key("nodeid")).unwrap_or(0);
        match (self.rules.kind, given) {
            (TransportKind::Knet, 0) => {
                let what = format!(
                    "Knet requires an explicit nodeid to be specified for address '{}'.",
                    self.first_address()
                );
                self.error("nodeid", what, "add a nodeid from 1 to 65535");
                None
            }
            (TransportKind::Knet, KNET_NODE_ID_END..) => {
                let what = format!(
                    "Knet requires nodeid to be less than {KNET_NODE_ID_END} for address '{}'.",
                    self.first_address()
                );
                self.error("nodeid", what, "use a nodeid from 1 to 65535");
                None
            }
            (TransportKind::Udp | TransportKind::Udpu, 0) => self.generated_id(),
            (_, id) => Some(NodeId(id)),
        }
    }

    /// The IPv4 address as a number (corosync `totemconfig.c:generate_nodeid`).
    fn generated_id(&mut self) -> Option<NodeId> {
        let text = self.node.addresses.get(&LinkId(0)).cloned();
        let address = text.and_then(|text| self.resolver.address(&text, IpVersion::V4));
        let id = match address {
            Some(IpAddr::V4(address)) => {
                let id = u32::from(address);
                match self.rules.clear_high_bit {
                    ClearHighBit::Keep => id,
                    ClearHighBit::Clear => id & 0x7FFF_FFFF,
                }
            }
            Some(IpAddr::V6(_)) | None => 0,
        };
        if id == 0 || id == u32::from(Ipv4Addr::BROADCAST) {
            let what = format!(
                "An IPV6 network requires that a node ID be specified for address '{}'.",
                self.first_address()
            );
            self.error("nodeid", what, "add a nodeid");
            return None;
        }
        self.keys.derive(&self.key("nodeid"), Value::U32(id));
        Some(NodeId(id))
    }

    fn first_address(&self) -> &str {
        self.node
            .addresses
            .values()
            .next()
            .map_or("", String::as_str)
    }

    fn key(&self, key: &str) -> String {
        node_key(self.position, key)
    }

    fn error(&mut self, key: &str, what: impl Into<String>, instead: &str) {
        let at = self.keys.at(&self.key(key));
        self.findings.error(at, what, instead);
    }
}

/// Every id and every address of a link belongs to one node.
fn check_duplicates(nodes: &[NodeEntry], keys: &KeyMap, findings: &mut Findings) {
    let mut ids = BTreeMap::new();
    let mut addresses = BTreeMap::new();
    for (position, node) in nodes.iter().enumerate() {
        if let Some(first) = ids.insert(node.id, position) {
            findings.error(
                keys.at(&node_key(position, "nodeid")),
                format!("Nodeid {} appears twice in corosync.conf", node.id),
                format!("nodes {first} and {position} need different ids"),
            );
        }
        for (link, address) in &node.addresses {
            if let Some(first) = addresses.insert((*link, *address), position) {
                findings.error(
                    keys.at(&node_key(position, &format!("ring{}_addr", link.0))),
                    format!("Address {address} of link {} appears twice", link.0),
                    format!("nodes {first} and {position} need different addresses"),
                );
            }
        }
    }
}

/// Every node has the same links, and each link has one family (corosync
/// `totemconfig.c:totem_volatile_config_validate`).
fn check_links(raw: &[RawNode], nodes: &[NodeEntry], keys: &KeyMap, findings: &mut Findings) {
    let Some(first) = raw.first() else { return };
    for (position, node) in raw.iter().enumerate() {
        if !node.addresses.keys().eq(first.addresses.keys()) {
            findings.error(
                keys.at(&node_key(position, "ring0_addr")),
                "Not all nodes have the same number of links",
                format!("give node {position} an address on the links of node 0 and on no other"),
            );
        }
        if node.name.is_none() && first.addresses.len() > 1 {
            findings.error(
                keys.at(&node_key(position, "name")),
                "for a multi-link configuration, all nodes must have a 'name' attribute",
                format!("give node {position} a name"),
            );
        }
    }
    let Some(first) = nodes.first() else { return };
    for (position, node) in nodes.iter().enumerate() {
        for (link, address) in &node.addresses {
            let Some(other) = first.addresses.get(link) else {
                continue;
            };
            if address.is_ipv4() != other.is_ipv4() {
                findings.error(
                    keys.at(&node_key(position, &format!("ring{}_addr", link.0))),
                    format!(
                        "Nodes for link {} have different IP families (compared {address} with {other})",
                        link.0
                    ),
                    "use one family on a link; ip_version chooses it for names",
                );
            }
        }
    }
}

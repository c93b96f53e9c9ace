//! From one network to the next: which links come, go and change, and what a running node refuses (corosync
//! `totemconfig.c:check_things_have_not_changed, compute_and_set_totempg_interfaces`, `totemknet.c:totemknet_member_add,
//! totemknet_member_remove, totemknet_refresh_config`, v3.1.7).

use std::collections::BTreeSet;
use std::net::IpAddr;

use ferrosync_wire::{LinkId, NodeId};

use crate::config::{Config, KnetLink, NodeEntry, TransportConfig};

/// A network as one node sees it.
#[derive(Clone, Copy, Debug)]
pub struct Network<'a> {
    /// This node.
    pub me: NodeId,
    /// All nodes, this one included.
    pub nodes: &'a [NodeEntry],
    /// The links of knet; none with `udpu` and `udp`.
    pub links: &'a [KnetLink],
}

/// One step from the old network to the new one. This node itself is never named: it reaches itself without a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkChange {
    /// A node is not reached over this link any more.
    RemoveLink(NodeId, LinkId),
    /// A node has left the nodelist; its links were removed before.
    RemoveNode(NodeId),
    /// A node is new in the nodelist; its links follow.
    AddNode(NodeId),
    /// A node is reached over one more link, at this address.
    AddLink(NodeId, LinkId, IpAddr, KnetLink),
    /// Priority, timers or counts of a link that stays are others now.
    ChangeLink(NodeId, LinkId, KnetLink),
}

impl<'a> Network<'a> {
    /// The network of a configuration.
    #[must_use]
    pub fn of(config: &'a Config) -> Self {
        let links = match &config.transport {
            TransportConfig::Knet(knet) => &knet.links[..],
            TransportConfig::Udpu(_) | TransportConfig::Udp(_) => &[],
        };
        Self {
            me: config.me,
            nodes: &config.nodes,
            links,
        }
    }

    fn node(&self, id: NodeId) -> Option<&'a NodeEntry> {
        self.nodes.iter().find(|node| node.id == id)
    }

    fn link(&self, id: LinkId) -> Option<&'a KnetLink> {
        self.links.iter().find(|link| link.id == id)
    }

    fn address(&self, node: NodeId, link: LinkId) -> Option<IpAddr> {
        self.node(node)?.addresses.get(&link).copied()
    }

    /// Links on which any node has an address.
    fn link_ids(&self) -> BTreeSet<LinkId> {
        let all = self.nodes.iter().flat_map(|node| node.addresses.keys());
        all.copied().collect()
    }
}

/// What a running node cannot do, in C's words; empty where the way from `old` to `new` is open. One refusal refuses
/// everything.
#[must_use]
pub fn refusals(old: &Network<'_>, new: &Network<'_>) -> Vec<String> {
    let mut refused = Vec::new();
    if old.me != new.me {
        // C goes on with two ids (D-68).
        refused.push(format!(
            "new config has different nodeid for this node (nodeid changed from {} to {}). {UNCHANGED}",
            old.me, new.me
        ));
    }
    for id in old.link_ids().intersection(&new.link_ids()) {
        for node in new.nodes {
            let (before, after) = (old.address(node.id, *id), new.address(node.id, *id));
            if let (Some(before), Some(after)) = (before, after)
                && before != after
            {
                refused.push(format!(
                    "new config has different address for link {} (addr changed from {before} to {after}). {UNCHANGED}",
                    id.0
                ));
            }
        }
    }
    refused
}

/// The steps from `old` to `new`, in C's order: link by link what goes, then what comes; at last what changes on links
/// that stay.
///
/// # Errors
///
/// See [`refusals`]; nothing is to be changed.
pub fn changes(old: &Network<'_>, new: &Network<'_>) -> Result<Vec<LinkChange>, Vec<String>> {
    let refused = refusals(old, new);
    if !refused.is_empty() {
        return Err(refused);
    }
    let mut steps = Steps::default();
    let all: BTreeSet<LinkId> = old.link_ids().union(&new.link_ids()).copied().collect();
    for id in all {
        steps.remove(id, old, new);
        steps.add(id, old, new);
    }
    for link in new.links {
        steps.change(link, old, new);
    }
    Ok(steps.list)
}

#[derive(Debug, Default)]
struct Steps {
    list: Vec<LinkChange>,
    added: BTreeSet<NodeId>,
}

impl Steps {
    fn remove(&mut self, link: LinkId, old: &Network<'_>, new: &Network<'_>) {
        for node in others(old).filter(|node| node.addresses.contains_key(&link)) {
            if new.address(node.id, link).is_some() {
                continue;
            }
            self.list.push(LinkChange::RemoveLink(node.id, link));
            let is_last = node.addresses.keys().next_back() == Some(&link);
            if is_last && new.node(node.id).is_none() {
                self.list.push(LinkChange::RemoveNode(node.id));
            }
        }
    }

    fn add(&mut self, id: LinkId, old: &Network<'_>, new: &Network<'_>) {
        let Some(link) = new.link(id) else {
            return;
        };
        for node in others(new) {
            let (before, after) = (old.address(node.id, id), node.addresses.get(&id));
            let (None, Some(address)) = (before, after) else {
                continue;
            };
            if old.node(node.id).is_none() && self.added.insert(node.id) {
                self.list.push(LinkChange::AddNode(node.id));
            }
            let link = link.clone();
            self.list
                .push(LinkChange::AddLink(node.id, id, *address, link));
        }
    }

    fn change(&mut self, link: &KnetLink, old: &Network<'_>, new: &Network<'_>) {
        if old.link(link.id).is_none_or(|before| before == link) {
            return;
        }
        for node in others(new) {
            let stays = old.address(node.id, link.id).is_some();
            if stays && node.addresses.contains_key(&link.id) {
                let link = link.clone();
                self.list
                    .push(LinkChange::ChangeLink(node.id, link.id, link));
            }
        }
    }
}

fn others<'a>(network: &Network<'a>) -> impl Iterator<Item = &'a NodeEntry> {
    let me = network.me;
    network.nodes.iter().filter(move |node| node.id != me)
}

/// How C ends every refusal.
const UNCHANGED: &str = "Internal value was NOT changed.";

#[cfg(test)]
mod tests;

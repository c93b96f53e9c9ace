//! The list of nodes, which Corosync 3 needs with every transport.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::args::{LINKS_MAX, NodeWish, Transport, Wishes};
use super::draft::{Draft, node};
use super::tree::Entry;

/// A node as the input tells it, before options have their say.
#[derive(Clone, Debug, Default)]
pub(crate) struct Node {
    pub(crate) name: Option<Said>,
    pub(crate) id: Option<Said>,
    pub(crate) votes: Option<Said>,
    /// By link.
    pub(crate) addresses: BTreeMap<usize, Said>,
}

/// A value, and the key of the input that it comes from, if one does.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    pub(crate) value: String,
    pub(crate) from: Option<Entry>,
    /// Why it is not what the input says word by word.
    pub(crate) why: &'static str,
}

impl Said {
    /// The value of a key.
    pub(crate) fn by(entry: &Entry) -> Self {
        Self {
            value: entry.value.clone(),
            from: Some(entry.clone()),
            why: "",
        }
    }
}

/// Writes all nodes: those of the input with what options add, then those that only options name.
pub(crate) fn write(draft: &mut Draft<'_>, mut nodes: Vec<Node>) {
    let wishes = draft.wishes;
    let mut free: Vec<&NodeWish> = wishes.nodes.iter().collect();
    for node in &mut nodes {
        if let Some(place) = free.iter().position(|wish| is_meant(node, wish)) {
            apply(node, free.remove(place));
        }
    }
    for wish in free {
        let mut node = Node::default();
        apply(&mut node, wish);
        nodes.push(node);
    }
    apply_local(draft, &mut nodes);
    check_ids(draft, &mut nodes);
    for (index, node) in nodes.iter().enumerate() {
        write_one(draft, index, node);
    }
    warn_of_gaps(draft, &nodes);
}

/// Whether the option speaks of this node: by name, or by the first address where the input has no name.
fn is_meant(node: &Node, wish: &NodeWish) -> bool {
    match &node.name {
        Some(name) => name.value == wish.name,
        None => {
            let first = node.addresses.get(&0).map(|said| said.value.as_str());
            first == wish.addresses.first().map(String::as_str) || first == Some(&wish.name)
        }
    }
}

fn apply(node: &mut Node, wish: &NodeWish) {
    let by_option = |value: &str, old: Option<&Said>| Said {
        value: value.to_owned(),
        from: old.and_then(|said| said.from.clone()),
        why: "asked for by --node",
    };
    if node
        .name
        .as_ref()
        .is_none_or(|name| name.value != wish.name)
    {
        node.name = Some(by_option(&wish.name, node.name.as_ref()));
    }
    for (link, address) in wish.addresses.iter().enumerate() {
        match node.addresses.get_mut(&link) {
            Some(old) if old.value == *address => {
                if old.why == PAIRED {
                    old.why = MEMBER;
                }
            }
            old => {
                let said = by_option(address, old.as_deref());
                node.addresses.insert(link, said);
            }
        }
    }
    let said = node.id.as_ref().map(|said| said.value.as_str());
    if let Some(id) = wish.id.filter(|id| said != Some(&id.to_string())) {
        node.id = Some(by_option(&id.to_string(), node.id.as_ref()));
    }
}

fn apply_local(draft: &mut Draft<'_>, nodes: &mut [Node]) {
    let Wishes {
        local_node,
        nodeid,
        votes,
        ..
    } = draft.wishes;
    let Some(local) = local_node else { return };
    let mut named = nodes.iter_mut().filter(|node| node.is_called(local));
    let Some(node) = named.next() else {
        let why = format!("--local-node {local} names no node of the list");
        return draft.report.decide(&why);
    };
    let by_option = |value: u32, old: &Option<Said>, why| Said {
        value: value.to_string(),
        from: old.as_ref().and_then(|said| said.from.clone()),
        why,
    };
    if let Some(id) = nodeid {
        node.id = Some(by_option(*id, &node.id, "asked for by --nodeid"));
    }
    if let Some(votes) = votes {
        node.votes = Some(by_option(*votes, &node.votes, "asked for by --votes"));
    }
}

impl Node {
    /// Whether that is its name or one of its addresses.
    pub(crate) fn is_called(&self, name: &str) -> bool {
        let names = self.name.iter().chain(self.addresses.values());
        names.into_iter().any(|said| said.value == name)
    }
}

/// knet needs an id for each node, of 16 bits (corosync `totemconfig.c:totem_config_validate`, v3.1.7); pcs and
/// Pacemaker want one with the other transports, too.
fn check_ids(draft: &mut Draft<'_>, nodes: &mut [Node]) {
    let knet = draft.transport == Transport::Knet;
    let small = |said: &Said| said.value.parse::<u16>().is_ok_and(|id| id > 0);
    let mut taken: BTreeSet<String> = BTreeSet::new();
    for said in nodes.iter().filter_map(|node| node.id.as_ref()) {
        if small(said) || !knet {
            taken.insert(said.value.clone());
        }
    }
    let mut next = 1_u32;
    let mut renumbered = false;
    for node in nodes {
        let old = node.id.take();
        if let Some(said) = old.as_ref().filter(|said| small(said) || !knet) {
            node.id = Some(said.clone());
            continue;
        }
        while taken.contains(&next.to_string()) {
            next += 1;
        }
        taken.insert(next.to_string());
        let why = if old.is_some() {
            renumbered = true;
            "knet takes ids from 1 to 65535"
        } else {
            "Corosync 3 wants the number of every node written down"
        };
        node.id = Some(Said {
            value: next.to_string(),
            from: old.and_then(|said| said.from),
            why,
        });
    }
    if renumbered {
        draft.report.decide(
            "nodes have other ids than before: programs that keep ids, such as Pacemaker, need their state on all nodes \
             to be looked after (docs/migrate.md)",
        );
    }
}

fn write_one(draft: &mut Draft<'_>, index: usize, this: &Node) {
    let slot = node(index);
    let mut put = |key: &str, said: &Said| match &said.from {
        Some(entry) => draft.write(entry, &slot, (key, &said.value), said.why),
        None => draft.add(&slot, (key, &said.value), said.why),
    };
    for (link, said) in &this.addresses {
        if *link < LINKS_MAX {
            put(&format!("ring{link}_addr"), said);
        }
    }
    if let Some(name) = &this.name {
        put("name", name);
    }
    if let Some(id) = &this.id {
        put("nodeid", id);
    }
    if let Some(votes) = &this.votes {
        put("quorum_votes", votes);
    }
    for (link, said) in this.addresses.range(LINKS_MAX..) {
        if let Some(entry) = &said.from {
            draft.decide(
                entry,
                &format!("knet has {LINKS_MAX} links; link {link} was left out"),
            );
        }
    }
}

/// What the list lacks, with the option that fills it in.
fn warn_of_gaps(draft: &mut Draft<'_>, nodes: &[Node]) {
    if nodes.is_empty() {
        return draft.report.decide(
            "the file does not say which nodes there are; name each with --node NAME=ADDRESS",
        );
    }
    let links: BTreeSet<usize> = nodes
        .iter()
        .flat_map(|node| node.addresses.keys().copied())
        .collect();
    for (position, node) in nodes.iter().enumerate() {
        let called = node.label(position);
        // With udp IPv4 alone is taken (corosync `totemconfig.c:totem_config_get_ip_version`, v3.1.7).
        let order = match draft.transport {
            Transport::Udp => "",
            Transport::Knet | Transport::Udpu => {
                ", and IPv6 comes first unless totem.ip_version says otherwise"
            }
        };
        for link in links
            .iter()
            .filter(|link| !node.addresses.contains_key(link))
        {
            let why = format!(
                "{called} has no address on link {link}; give all of them with --node {called}=ADDRESS,ADDRESS"
            );
            draft.report.decide(&why);
        }
        if links.len() > 1 && node.name.is_none() {
            let why = format!(
                "with several links each node needs the name that `uname -n` prints there; give it with --node NAME={called}"
            );
            draft.report.decide(&why);
        }
        if node.addresses.values().any(|said| said.why == PAIRED) {
            let why = format!(
                "which address of another ring belongs to {called} follows from the order of the members: confirm it with --node NAME={called},ADDRESS"
            );
            draft.report.decide(&why);
        }
        let by_name = node
            .addresses
            .values()
            .find(|said| said.value.parse::<IpAddr>().is_err());
        if let Some(said) = by_name.filter(|said| said.from.is_none() || said.why == BY_NAME) {
            let why = format!(
                "{called} is found by its name `{}`, which every node must resolve to the address on its ring{order}; \
                 addresses are safer: --node {called}=ADDRESS",
                said.value
            );
            draft.report.decide(&why);
        }
    }
}

impl Node {
    fn label(&self, position: usize) -> String {
        let name = self
            .name
            .as_ref()
            .or_else(|| self.addresses.values().next());
        name.map_or_else(
            || format!("node{}", position + 1),
            |said| said.value.clone(),
        )
    }
}

/// Why a name stands where an address is better.
pub(crate) const BY_NAME: &str = "the name stands for the address";
/// Why an address stands in the list of nodes.
pub(crate) const MEMBER: &str = "members stand in the list of nodes now";
/// The same for an address of a further ring.
pub(crate) const PAIRED: &str =
    "taken for the same node as the member at this place of the first ring";

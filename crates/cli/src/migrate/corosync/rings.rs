//! `totem.interface`: rings of the redundant ring protocol become links.

use std::collections::BTreeSet;

use super::super::args::Transport;
use super::super::draft::{Draft, interface};
use super::super::nodes::{MEMBER, Node, PAIRED, Said};
use super::super::tree::{Entry, Section};

/// The interface sections, by ring.
pub(super) struct Rings<'a> {
    rings: Vec<Ring<'a>>,
    /// Rings that the list of nodes has addresses for.
    listed: usize,
}

struct Ring<'a> {
    number: usize,
    section: &'a Section,
}

impl<'a> Rings<'a> {
    pub(super) fn of(root: &'a Section) -> Self {
        let sections = root
            .named("totem")
            .flat_map(|totem| totem.named("interface"));
        let rings = sections
            .enumerate()
            .map(|(position, section)| {
                let number = section
                    .value("ringnumber")
                    .and_then(|word| word.parse().ok());
                let number = number
                    .filter(|number| *number < RINGS_MAX)
                    .unwrap_or(position);
                Ring { number, section }
            })
            .collect();
        let nodes = root.named("nodelist").flat_map(|list| list.named("node"));
        let listed = nodes
            .flat_map(Section::entries)
            .filter_map(|entry| ferrosync_executive::config::keys::link_of_address_key(&entry.key))
            .collect::<BTreeSet<u32>>()
            .len();
        Self { rings, listed }
    }

    /// How many networks connect the nodes.
    pub(super) fn links(&self) -> usize {
        let numbers: BTreeSet<usize> = self.rings.iter().map(|ring| ring.number).collect();
        numbers.len().max(self.listed)
    }

    /// The nodes of a file without a list of nodes: the members of each ring, in their order.
    pub(super) fn members(&self) -> Vec<Node> {
        let mut nodes: Vec<Node> = Vec::new();
        for ring in &self.rings {
            for (position, entry) in ring.members().enumerate() {
                if nodes.len() <= position {
                    nodes.resize_with(position + 1, Node::default);
                }
                let why = if ring.number == 0 { MEMBER } else { PAIRED };
                let said = Said {
                    why,
                    ..Said::by(entry)
                };
                nodes[position].addresses.insert(ring.number, said);
            }
        }
        nodes
    }

    /// Says that members do not count beside a list of nodes.
    pub(super) fn drop_members(&self, draft: &mut Draft<'_>) {
        for entry in self.rings.iter().flat_map(Ring::members) {
            draft.drop(entry, "the list of nodes counts");
        }
    }
}

impl<'a> Ring<'a> {
    fn members(&self) -> impl Iterator<Item = &'a Entry> + use<'a> {
        let members = self.section.named("member");
        members.flat_map(|member| member.entries().filter(|entry| entry.key == "memberaddr"))
    }
}

/// Writes what is left of the interface sections, and says what became of the rest.
pub(super) fn write(draft: &mut Draft<'_>, rings: &Rings<'_>, transport: Transport) {
    for ring in &rings.rings {
        let slot = interface(ring.number);
        for entry in ring.section.entries() {
            one(draft, entry, &slot, transport);
        }
        let written = draft.conf.get(&slot, "mcastport").is_some()
            || draft.conf.get(&slot, "mcastaddr").is_some()
            || draft.conf.get(&slot, "broadcast").is_some();
        if written {
            let number = ring.number.to_string();
            draft.add(
                &slot,
                ("linknumber", &number),
                "which link this section speaks of",
            );
        }
        for member in ring.section.sections() {
            for entry in member.all() {
                if member.name != "member" || entry.key != "memberaddr" {
                    draft.unknown(entry);
                }
            }
        }
    }
    let wishes = draft.wishes;
    if let Some(port) = wishes.port {
        draft.insist(&interface(0), ("mcastport", &port.to_string()), "--port");
        draft.add(
            &interface(0),
            ("linknumber", "0"),
            "which link this section speaks of",
        );
    }
    if let Some(address) = wishes.mcast_address.filter(|_| transport == Transport::Udp) {
        draft.insist(
            &interface(0),
            ("mcastaddr", &address.to_string()),
            "--mcast-address",
        );
    }
}

fn one(draft: &mut Draft<'_>, entry: &Entry, slot: &[(&str, usize)], transport: Transport) {
    let udp = transport == Transport::Udp;
    match entry.key.as_str() {
        "ringnumber" => draft.write(
            entry,
            slot,
            ("linknumber", &entry.value),
            "rings are links now",
        ),
        "bindnetaddr" => draft.drop(entry, "the list of nodes says which address a node has"),
        "mcastport" => draft.copy(entry, slot),
        "mcastaddr" | "ttl" | "broadcast" if udp => draft.copy(entry, slot),
        "mcastaddr" | "ttl" | "broadcast" => {
            let why = format!(
                "transport {} sends to each node by itself",
                transport.word()
            );
            draft.drop(entry, &why);
        }
        _ => draft.unknown(entry),
    }
}

/// More rings than this no version had.
const RINGS_MAX: usize = 8;

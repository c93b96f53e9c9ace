//! From one network to the next, as a table: nodes and links before and after, and what is done or refused.

use std::time::Duration;

use super::*;

/// Nodes as `id=address,address`, one address for each link from 0 on; `-` is none.
fn nodes(text: &str) -> Vec<NodeEntry> {
    text.split_whitespace()
        .map(|word| {
            let (id, addresses) = word.split_once('=').unwrap();
            let addresses = addresses.split(',').zip(0..);
            let known = addresses.filter(|(address, _)| *address != "-");
            NodeEntry {
                id: NodeId(id.parse().unwrap()),
                name: None,
                addresses: known
                    .map(|(address, link)| (LinkId(link), address.parse().unwrap()))
                    .collect(),
                votes: 1,
            }
        })
        .collect()
}

/// A link for each that the first node has; `changed` are words such as `1:priority=5`.
fn links(nodes: &[NodeEntry], changed: &str) -> Vec<KnetLink> {
    let mut links: Vec<KnetLink> = nodes[0]
        .addresses
        .iter()
        .map(|(id, local)| KnetLink {
            id: *id,
            local: *local,
            port: 5405 + u16::from(id.0),
            priority: 1,
            ping_interval: Duration::from_millis(750),
            ping_timeout: Duration::from_millis(1500),
            ping_precision: 2048,
            pong_count: 2,
        })
        .collect();
    for word in changed.split_whitespace() {
        let (link, change) = word.split_once(':').unwrap();
        let id = LinkId(link.parse().unwrap());
        let link = links.iter_mut().find(|link| link.id == id).unwrap();
        match change.split_once('=').unwrap() {
            ("priority", value) => link.priority = value.parse().unwrap(),
            ("pong_count", value) => link.pong_count = value.parse().unwrap(),
            ("precision", value) => link.ping_precision = value.parse().unwrap(),
            ("interval", ms) => link.ping_interval = Duration::from_millis(ms.parse().unwrap()),
            ("timeout", ms) => link.ping_timeout = Duration::from_millis(ms.parse().unwrap()),
            other => panic!("unknown change {other:?}"),
        }
    }
    links
}

/// What is done, a word each: `-2/1` a link, `-2` a node, `+2` a node, `+2/1@address` a link, `~2/1` a change.
fn word(change: &LinkChange) -> String {
    match change {
        LinkChange::RemoveLink(node, link) => format!("-{node}/{}", link.0),
        LinkChange::RemoveNode(node) => format!("-{node}"),
        LinkChange::AddNode(node) => format!("+{node}"),
        LinkChange::AddLink(node, link, address, config) => {
            assert_eq!(*link, config.id);
            format!("+{node}/{}@{address}", link.0)
        }
        LinkChange::ChangeLink(node, link, config) => {
            assert_eq!(*link, config.id);
            format!("~{node}/{}", link.0)
        }
    }
}

/// Nodes, and what differs from the defaults of their links.
type Side = (&'static str, &'static str);

/// Runs a row as node 1, which is the first of both lists.
fn outcome(old: Side, new: Side) -> Result<String, Vec<String>> {
    let (old_nodes, new_nodes) = (nodes(old.0), nodes(new.0));
    let (old_links, new_links) = (links(&old_nodes, old.1), links(&new_nodes, new.1));
    let network = |nodes: &'static [NodeEntry], links: &'static [KnetLink]| Network {
        me: nodes[0].id,
        nodes,
        links,
    };
    let old = network(old_nodes.leak(), old_links.leak());
    let new = network(new_nodes.leak(), new_links.leak());
    let steps = changes(&old, &new)?;
    let words: Vec<String> = steps.iter().map(word).collect();
    Ok(words.join(" "))
}

const TWO: &str = "1=10.0.0.1 2=10.0.0.2";
const THREE: &str = "1=10.0.0.1 2=10.0.0.2 3=10.0.0.3";
const TWO_LINKS: &str = "1=10.0.0.1,10.1.0.1 2=10.0.0.2,10.1.0.2";

#[test]
fn links_come_go_and_change() {
    let rows: &[(Side, Side, &str)] = &[
        ((TWO, ""), (TWO, ""), ""),
        // Nodes.
        ((TWO, ""), (THREE, ""), "+3 +3/0@10.0.0.3"),
        ((THREE, ""), (TWO, ""), "-3/0 -3"),
        (
            (THREE, ""),
            ("1=10.0.0.1 2=10.0.0.2 4=10.0.0.4", ""),
            "-3/0 -3 +4 +4/0@10.0.0.4",
        ),
        // Another place in the list is no change.
        ((THREE, ""), ("1=10.0.0.1 3=10.0.0.3 2=10.0.0.2", ""), ""),
        // Links.
        ((TWO, ""), (TWO_LINKS, ""), "+2/1@10.1.0.2"),
        ((TWO_LINKS, ""), (TWO, ""), "-2/1"),
        // A node stays although its only link goes: another comes in the same reload.
        (
            (TWO, ""),
            ("1=-,10.1.0.1 2=-,10.1.0.2", ""),
            "-2/0 +2/1@10.1.0.2",
        ),
        // A node with two links comes and goes.
        (
            ("1=10.0.0.1,10.1.0.1", ""),
            (TWO_LINKS, ""),
            "+2 +2/0@10.0.0.2 +2/1@10.1.0.2",
        ),
        ((TWO_LINKS, ""), ("1=10.0.0.1,10.1.0.1", ""), "-2/0 -2/1 -2"),
        // Parameters: for every other node on the link, and after links have come.
        ((THREE, ""), (THREE, "0:priority=5"), "~2/0 ~3/0"),
        ((TWO, ""), (TWO, "0:pong_count=5"), "~2/0"),
        ((TWO, ""), (TWO, "0:precision=5"), "~2/0"),
        ((TWO, ""), (TWO, "0:interval=5"), "~2/0"),
        ((TWO, ""), (TWO, "0:timeout=5"), "~2/0"),
        ((TWO_LINKS, ""), (TWO_LINKS, "1:priority=5"), "~2/1"),
        (
            (TWO, ""),
            (TWO_LINKS, "0:priority=5 1:priority=6"),
            "+2/1@10.1.0.2 ~2/0",
        ),
        ((TWO, ""), (THREE, "0:priority=5"), "+3 +3/0@10.0.0.3 ~2/0"),
        // A node with another id is another node.
        (
            (TWO, ""),
            ("1=10.0.0.1 3=10.0.0.2", ""),
            "-2/0 -2 +3 +3/0@10.0.0.2",
        ),
    ];
    for (old, new, expected) in rows {
        assert_eq!(
            outcome(*old, *new).as_deref(),
            Ok(*expected),
            "{old:?} to {new:?}"
        );
    }
}

#[test]
fn what_works_is_not_changed_under_way() {
    let address = |link, from, to| {
        format!(
            "new config has different address for link {link} (addr changed from {from} to {to}). \
             Internal value was NOT changed."
        )
    };
    let rows: &[(Side, Side, &[String])] = &[
        (
            (TWO, ""),
            ("1=10.0.0.1 2=10.0.0.9", ""),
            &[address(0, "10.0.0.2", "10.0.0.9")],
        ),
        // This node's own address, and the family.
        (
            (TWO, ""),
            ("1=10.0.0.9 2=fd00::2", ""),
            &[
                address(0, "10.0.0.1", "10.0.0.9"),
                address(0, "10.0.0.2", "fd00::2"),
            ],
        ),
        // Everything that is wrong is named, and what would be right is not done.
        (
            (TWO_LINKS, ""),
            (
                "1=10.0.0.1,10.1.0.1 2=10.0.0.2,10.1.0.9 3=10.0.0.3,10.1.0.3",
                "",
            ),
            &[address(1, "10.1.0.2", "10.1.0.9")],
        ),
        (
            (TWO, ""),
            ("3=10.0.0.1 2=10.0.0.2", ""),
            &[
                "new config has different nodeid for this node (nodeid changed from 1 to 3). \
               Internal value was NOT changed."
                    .to_owned(),
            ],
        ),
    ];
    for (old, new, expected) in rows {
        assert_eq!(
            outcome(*old, *new),
            Err(expected.to_vec()),
            "{old:?} to {new:?}"
        );
    }
}

//! A cluster of three of which one is gone and one has a link that is down.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ferrosync_client::votequorum::{Info, InfoFlags, NodeState};
use ferrosync_client::{GroupName, NodeId, RingSeq};

use super::*;
use crate::status::look::{QuorumState, Traffic};

fn link(number: usize, connected: bool) -> (usize, PeerLink) {
    let link = PeerLink {
        enabled: true,
        connected,
        source: format!("10.0.{number}.1"),
        destination: format!("10.0.{number}.2"),
        ..PeerLink::default()
    };
    (number, link)
}

fn node(id: u32, is_member: bool, links: Vec<(usize, PeerLink)>) -> Node {
    Node {
        id: NodeId(id),
        name: Some(format!("node{id}")),
        addresses: vec![format!("10.0.0.{id}")],
        is_member,
        links,
    }
}

fn cluster() -> Cluster {
    let info = Info {
        node: NodeId(1),
        state: NodeState::Member,
        votes: 1,
        expected_votes: 3,
        highest_expected: 3,
        total_votes: 2,
        quorum: 2,
        flags: InfoFlags::QUORATE,
        device_votes: 0,
        device_name: String::new(),
    };
    Cluster {
        name: "lab".into(),
        transport: "knet".into(),
        local: NodeId(1),
        ring_seq: RingSeq(31),
        quorum: QuorumState {
            quorate: true,
            provider: Some("corosync_votequorum".into()),
            votes: Some(info),
        },
        nodes: vec![
            node(1, true, vec![]),
            node(2, true, vec![link(0, true), link(1, false)]),
            node(3, false, vec![link(0, false)]),
        ],
        groups: vec![(GroupName::new(b"crmd").unwrap(), 2)],
        traffic: Traffic {
            at: Instant::now(),
            counters: BTreeMap::from([("mcast_tx", 500), ("mcast_rx", 300)]),
        },
    }
}

#[test]
fn the_screen_shows_what_is_up_and_what_is_not() {
    assert_eq!(
        screen(&cluster(), None),
        "\
Cluster   lab, transport knet, node 1, ring sequence 1f
Quorum    yes, 2 of 3 votes, 2 needed (corosync_votequorum)
Nodes     2 of 3
                   1  node1                 here    10.0.0.1
                   2  node2                 member  0 up 10.0.0.2, 1 DOWN 10.0.1.2
                   3  node3                 GONE    0 DOWN 10.0.0.2
Groups    1  crmd (2)
Traffic   messages sent 500, received 300, sent again 0; rings formed 0
Warnings  node 3 (node3) is not there
          link 1 to node 2 (node2) is down (10.0.1.1 to 10.0.1.2)
"
    );
}

#[test]
fn rates_need_an_earlier_look() {
    let before = cluster();
    let mut now = cluster();
    now.traffic.at = before.traffic.at + Duration::from_secs(2);
    now.traffic.counters.insert("mcast_tx", 700);
    let text = traffic(&now, Some(&before));
    assert!(
        text.contains("sent 700 (100/s), received 300 (0/s)"),
        "{text}"
    );
    // Another daemon counts from zero.
    now.traffic.counters.insert("mcast_tx", 1);
    assert!(
        traffic(&now, Some(&before)).contains("sent 1, received"),
        "no rate"
    );
}

#[test]
fn trouble_is_warned_of() {
    let mut cluster = cluster();
    cluster.quorum.quorate = false;
    cluster.traffic.counters.insert("mcast_retx", 200);
    cluster.traffic.counters.insert("operational_token_lost", 3);
    let warnings = warnings(&cluster);
    for (count, word) in [(1, "no quorum"), (1, "lost 3 times"), (1, "200 messages")] {
        let found = warnings
            .iter()
            .filter(|warning| warning.contains(word))
            .count();
        assert_eq!(found, count, "{word} in {warnings:?}");
    }
}

#[test]
fn json_has_the_same() {
    let json = json(&cluster());
    assert_eq!(json["quorate"], true);
    assert_eq!(json["votes"]["needed"], 2);
    assert_eq!(json["nodes"][1]["links"][1]["connected"], false);
    assert_eq!(json["groups"][0]["group"], "crmd");
    assert_eq!(json["traffic"]["mcast_tx"], 500);
    assert_eq!(json["warnings"].as_array().unwrap().len(), 2);
}

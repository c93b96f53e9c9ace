//! What goes wrong for people who run Corosync, with the outcome that they wanted. Numbers are threads of the
//! corosync/corosync tracker.

use ferrosync_sim::Cluster;
use ferrosync_wire::{Duration, NodeId};

const TOKEN: Duration = Duration::from_secs(1);

fn formed(nodes: u32) -> Cluster {
    let mut cluster = Cluster::quiet(nodes);
    // All links are ready by then: a node does not look for others a second time.
    cluster.run_for(TOKEN / 2).expect("nothing goes wrong");
    let settled = cluster.settle_all(TOKEN * 10);
    settled.expect("a quiet world forms its ring");
    cluster
}

#[test]
fn nodes_form_one_ring() {
    let mut cluster = formed(5);
    let rings: Vec<_> = (1..=5).map(|n| cluster.node(n).ring()).collect();
    assert!(
        rings.iter().all(|r| *r == rings[0] && r.is_some()),
        "{rings:?}"
    );
}

/// A pause shorter than the token timeout costs nothing (threads 692, 520, 706).
#[test]
fn a_short_pause_costs_nothing() {
    let mut cluster = formed(3);
    let before: Vec<_> = (1..=3).map(|n| cluster.node(n).ring()).collect();
    for node in 1..=3 {
        cluster.node(node).pause(TOKEN * 6 / 10);
        cluster.run_for(TOKEN * 3).unwrap();
    }
    let after: Vec<_> = (1..=3).map(|n| cluster.node(n).ring()).collect();
    assert_eq!(before, after, "{:#?}", cluster.report().lines());
}

/// A node that slept long is missed, accuses nobody, and comes back (threads 692, 520, 706).
#[test]
fn a_node_that_slept_does_not_accuse() {
    let mut cluster = formed(3);
    cluster.node(2).pause(TOKEN * 5);
    cluster.run_for(TOKEN * 4).unwrap();
    let pair = vec![NodeId(1), NodeId(3)];
    let (ring, members) = cluster.node(1).ring().unwrap();
    let lines = cluster.report().lines();
    assert_eq!(members, pair, "{lines:#?}");
    cluster.run_for(TOKEN * 2).unwrap();
    cluster.settle_all(TOKEN * 6).unwrap();
    // One more membership, with everybody; not a detour over rings without the others.
    let (merged, _) = cluster.node(1).ring().unwrap();
    let lines = cluster.report().lines();
    assert_eq!(merged.seq.0, ring.seq.0 + 4, "{lines:#?}");
}

/// When the cut between two of three nodes is mended, everybody is back (thread 659).
#[test]
fn a_mended_pair_comes_back() {
    let mut cluster = formed(3);
    cluster.link(1, 2).cut();
    cluster.run_for(TOKEN * 20).unwrap();
    cluster.heal();
    cluster.settle_all(TOKEN * 10).unwrap();
    cluster.check(TOKEN).unwrap();
}

/// Both sides of a partition go on, and merge within seconds (thread 736).
#[test]
fn halves_merge() {
    let mut cluster = formed(5);
    cluster.partition(&[1, 2]);
    cluster.settle(&[1, 2], TOKEN * 10).unwrap();
    cluster.settle(&[3, 4, 5], TOKEN * 10).unwrap();
    cluster.heal();
    cluster.settle_all(TOKEN * 3).unwrap();
}

/// A node that restarts again and again does not disturb the others for longer than it takes (thread 660).
#[test]
fn a_node_that_restarts_again_and_again() {
    let mut cluster = formed(3);
    for _ in 0..10 {
        cluster.node(3).restart();
        cluster.run_for(TOKEN * 2).unwrap();
        cluster.settle_all(TOKEN * 6).unwrap();
    }
    cluster.check(TOKEN).unwrap();
}

/// A crash at any time is survived, and the node comes back with a larger ring sequence number.
#[test]
fn a_crashed_node_comes_back() {
    let mut cluster = formed(3);
    let (before, _) = cluster.node(1).ring().unwrap();
    cluster.node(1).crash();
    cluster.settle(&[2, 3], TOKEN * 6).unwrap();
    cluster.node(1).boot();
    cluster.settle_all(TOKEN * 6).unwrap();
    let (after, _) = cluster.node(1).ring().unwrap();
    assert!(after.seq > before.seq);
}

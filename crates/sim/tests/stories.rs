//! What goes wrong for people who run Corosync, with the outcome that they wanted. Numbers are threads of the
//! corosync/corosync tracker.

use ferrosync_sim::{Cluster, Options, Verbosity};
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

/// Two of three nodes do not hear each other. One membership with quorum comes about within two token timeouts of the
/// first change, it stays, and when the cut is mended everybody is back (threads 659, 750).
#[test]
fn a_cut_pair_settles_and_comes_back() {
    for (a, b) in [(1, 2), (1, 3), (2, 3)] {
        let mut cluster = formed(3);
        cluster.link(a, b).cut();
        // Token and consensus timeout until anybody knows.
        cluster.run_for(TOKEN * 22 / 10).unwrap();
        cluster.run_for(TOKEN * 2).unwrap();
        // The node that is left out goes on looking for the others; what counts is that it does not disturb them.
        let pairs = |cluster: &mut Cluster| -> Vec<_> {
            let rings = (1..=3).map(|n| cluster.node(n).ring().unwrap());
            rings.filter(|(_, members)| members.len() == 2).collect()
        };
        let settled = pairs(&mut cluster);
        assert_eq!(settled.len(), 2, "{a}-{b}: {settled:?}");
        cluster.run_for(TOKEN * 60).unwrap();
        let later = pairs(&mut cluster);
        let lines = cluster.report().lines();
        assert_eq!(settled, later, "{a}-{b}: {lines:#?}");
        cluster.heal();
        cluster.settle_all(TOKEN * 5).unwrap();
        cluster.check(TOKEN).unwrap();
    }
}

/// A node that hears the others but is not heard by one of them is let in no sooner than it is heard.
#[test]
fn a_one_way_cut_settles_and_is_mended() {
    for (from, to) in [(1, 2), (2, 1), (3, 1), (2, 3)] {
        let mut cluster = formed(3);
        cluster.one_way(from, to).cut();
        cluster.run_for(TOKEN * 30).unwrap();
        let before: Vec<_> = (1..=3).map(|n| cluster.node(n).gathers()).collect();
        cluster.run_for(TOKEN * 30).unwrap();
        let after: Vec<_> = (1..=3).map(|n| cluster.node(n).gathers()).collect();
        let disturbed = (0..3).map(|i| after[i] - before[i]).max().unwrap();
        let lines = cluster.report().lines();
        assert!(
            disturbed <= 30,
            "{from}>{to}: {before:?} {after:?} {lines:#?}"
        );
        cluster.heal();
        cluster.settle_all(TOKEN * 15).unwrap();
        cluster.check(TOKEN).unwrap();
    }
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

/// A receiver that gets what another sends late, again and again, is no broken receiver: the ring stays (threads 622, 725).
#[test]
fn a_delayed_receiver_stays() {
    let mut options = Options::quiet(3);
    // A fast network: the token visits a node ten thousand times in a second.
    options.network.delay = Duration::from_micros(20);
    options.network.jitter = Duration::from_micros(5);
    let mut cluster = Cluster::new(options, Verbosity::Transitions, None);
    cluster.boot_all();
    cluster.run_for(TOKEN / 2).unwrap();
    cluster.settle_all(TOKEN * 10).unwrap();
    let before: Vec<_> = (1..=3).map(|n| cluster.node(n).ring()).collect();
    cluster.load();
    for _ in 0..10 {
        // The token does not go this way.
        cluster.one_way(1, 3).clog(TOKEN * 95 / 100);
        cluster.run_for(TOKEN * 2).unwrap();
    }
    let after: Vec<_> = (1..=3).map(|n| cluster.node(n).ring()).collect();
    assert_eq!(before, after, "{:#?}", cluster.report().lines());
    cluster.heal();
    cluster.settle_all(TOKEN * 10).unwrap();
    cluster.check(TOKEN).unwrap();
}

/// A lost token is traced: the log of the node before the cut names the hop (threads 611, 389).
#[test]
fn the_log_names_the_hop_that_lost_the_token() {
    let mut cluster = Cluster::new(Options::quiet(3), Verbosity::Full, None);
    cluster.boot_all();
    cluster.settle_all(TOKEN * 10).unwrap();
    cluster.one_way(1, 2).cut();
    cluster.run_for(TOKEN * 2).unwrap();
    let lines = cluster.report().lines();
    let told = |line: &&String| {
        line.contains("The token came from node 3") && line.contains("was passed to node 2")
    };
    assert!(lines.iter().any(|line| told(&line)), "{lines:#?}");
}

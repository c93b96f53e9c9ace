//! What goes wrong with links, below the ring.

use ferrosync_sim::options::{Crypto, KnetWorld};
use ferrosync_sim::{Cluster, Options};
use ferrosync_wire::{Duration, LinkId};

const TOKEN: Duration = Duration::from_secs(1);

/// Three nodes in one ring, links measured and given their final timeouts.
fn formed(world: KnetWorld) -> Cluster {
    let mut cluster = Cluster::script(Options::quiet_over_knet(3, world));
    cluster.run_for(TOKEN * 5).expect("nothing goes wrong");
    let settled = cluster.settle_all(TOKEN * 60);
    settled.expect("a quiet world forms its ring");
    cluster.run_for(TOKEN * 15).expect("nothing goes wrong");
    cluster
}

fn rings(cluster: &mut Cluster) -> Vec<u64> {
    (1..=3)
        .map(|node| cluster.node(node).ring().map_or(0, |(ring, _)| ring.seq.0))
        .collect()
}

const TWO_LINKS: KnetWorld = KnetWorld {
    links: 2,
    ..KnetWorld::PLAIN
};

#[test]
fn pulling_one_of_two_links_loses_no_member_and_no_message() {
    for policy in ["passive", "active", "rr"] {
        let mut cluster = formed(KnetWorld {
            policy,
            ..TWO_LINKS
        });
        let before = rings(&mut cluster);
        for (node, link) in [(1, 0), (2, 1), (3, 0)] {
            cluster.load();
            cluster.node(node).unplug(LinkId(link));
            cluster.run_for(TOKEN * 4).unwrap();
            cluster.heal();
            cluster.run_for(TOKEN * 20).unwrap();
        }
        cluster.check(TOKEN * 30).unwrap();
        let after = rings(&mut cluster);
        let lines = cluster.report().lines();
        assert_eq!(after, before, "{policy}: {lines:#?}");
    }
}

/// A link that just came up is given ten times as long as one that is old, much longer than a ring waits for its token.
#[test]
fn a_young_link_may_break_while_there_is_another() {
    for policy in ["passive", "active", "rr"] {
        let world = KnetWorld {
            policy,
            ..TWO_LINKS
        };
        let mut cluster = Cluster::script(Options::quiet_over_knet(3, world));
        cluster.run_for(TOKEN * 2).unwrap();
        cluster.settle_all(TOKEN * 60).unwrap();
        let before = rings(&mut cluster);
        cluster.load();
        cluster.node(2).unplug(LinkId(0));
        cluster.run_for(TOKEN * 3).unwrap();
        cluster.heal();
        cluster.check(TOKEN * 30).unwrap();
        let after = rings(&mut cluster);
        let lines = cluster.report().lines();
        assert_eq!(after, before, "{policy}: {lines:#?}");
    }
}

#[test]
fn a_flapping_link_disturbs_nobody_while_there_is_another() {
    let mut cluster = formed(TWO_LINKS);
    let before = rings(&mut cluster);
    cluster.load();
    for _ in 0..20 {
        cluster.node(2).unplug(LinkId(0));
        cluster.run_for(TOKEN * 7 / 10).unwrap();
        cluster.node(2).plug(LinkId(0));
        cluster.run_for(TOKEN * 13 / 10).unwrap();
    }
    cluster.heal();
    cluster.check(TOKEN * 30).unwrap();
    let after = rings(&mut cluster);
    let lines = cluster.report().lines();
    assert_eq!(after, before, "{lines:#?}");
}

#[test]
fn a_path_that_swallows_long_packets_carries_long_messages() {
    for crypto in [Crypto::None, Crypto::Aes256] {
        for mtu in [1_280, 1_300] {
            let mut cluster = formed(KnetWorld {
                crypto,
                path_mtu: [mtu; 3],
                ..KnetWorld::PLAIN
            });
            cluster.load();
            cluster.run_for(TOKEN * 3).unwrap();
            cluster.heal();
            cluster.check(TOKEN * 30).unwrap();
            cluster.run_for(TOKEN * 100).unwrap();
            let narrow = mtu - 20 - 8 - 26;
            let found = cluster.node(1).data_mtu().unwrap();
            assert!(found <= narrow && found + 100 > narrow, "{mtu}: {found}");
        }
    }
}

/// Packets get through in one direction only: neither side may rely on the link.
#[test]
fn one_way_loss_on_the_only_link_parts_the_ring_cleanly() {
    let mut cluster = formed(KnetWorld::PLAIN);
    cluster.one_way(1, 2).cut();
    cluster.one_way(1, 3).cut();
    cluster.run_for(TOKEN * 20).unwrap();
    let (_, members) = cluster.node(2).ring().unwrap();
    assert_eq!(members.len(), 2, "{:#?}", cluster.report().lines());
    cluster.heal();
    cluster.settle_all(TOKEN * 60).unwrap();
    cluster.check(TOKEN * 30).unwrap();
}

/// Its peers still remember the numbers of its last packets.
#[test]
fn a_peer_that_starts_anew_at_once_is_heard() {
    let mut cluster = formed(KnetWorld::PLAIN);
    cluster.load();
    cluster.run_for(TOKEN * 5).unwrap();
    for _ in 0..5 {
        cluster.node(2).crash();
        cluster.node(2).boot();
        cluster.run_for(TOKEN * 8).unwrap();
    }
    cluster.heal();
    cluster.settle_all(TOKEN * 60).unwrap();
    cluster.check(TOKEN * 30).unwrap();
}

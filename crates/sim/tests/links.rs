//! What goes wrong with links, below the ring.

use bytes::BytesMut;
use ferrosync_knet::crypto::{Cipher, Hash, IV_LEN, Instance, Key, Suite};
use ferrosync_sim::options::{Crypto, KEY_LEN, KnetWorld};
use ferrosync_sim::{Cluster, Options};
use ferrosync_wire::knet::{Frame, HostId, Packet, Probe};
use ferrosync_wire::{Duration, Encode as _, LinkId};

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

/// With nothing wrong any more every message arrives, and nobody has left the ring for another one.
fn ends_in(cluster: &mut Cluster, before: &[u64], what: &str) {
    cluster.heal();
    let checked = cluster.check(TOKEN * 30);
    checked.expect("a healed world delivers everything");
    let after = rings(cluster);
    let lines = cluster.report().lines();
    assert_eq!(after, before, "{what} {lines:#?}");
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
        ends_in(&mut cluster, &before, policy);
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
        ends_in(&mut cluster, &before, policy);
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
    ends_in(&mut cluster, &before, "");
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

/// Each cut swallows one ping and the answer to another at the worst, whenever the links were pinged last.
#[test]
fn a_lost_ping_takes_no_link_down() {
    let mut cluster = formed(KnetWorld::PLAIN);
    let before = rings(&mut cluster);
    cluster.load();
    for _ in 0..40 {
        cluster.link(1, 2).cut();
        cluster.run_for(TOKEN * 15 / 100).unwrap();
        cluster.link(1, 2).mend();
        cluster.run_for(TOKEN * 107 / 100).unwrap();
    }
    ends_in(&mut cluster, &before, "");
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

/// What a node sends at the time of a reload does not reach another one at first, the reload itself least of all: that
/// node goes on with the old key while the others have heard each other's steps, and nobody cuts it off.
#[test]
fn a_node_that_is_late_to_reload_stays_in_the_ring() {
    let mut cluster = formed(SEALED);
    let before = rings(&mut cluster);
    cluster.load();
    for (turn, (node, late, letter)) in (0..).zip([(1, 3, 'l'), (2, 1, 'm'), (3, 2, 'n')]) {
        cluster.run_for(TOKEN).unwrap();
        cluster.write_key(letter);
        cluster.one_way(node, late).cut();
        cluster.node(node).reload();
        cluster.run_for(Duration::from_millis(20)).unwrap();
        assert_eq!(cluster.node(node).files_read(), turn + 1);
        assert_eq!(cluster.node(late).files_read(), turn);
        cluster.one_way(node, late).mend();
        cluster.run_for(TOKEN * 5).unwrap();
    }
    ends_in(&mut cluster, &before, "");
}

/// The files are read at most once a second for the key in them, whoever sends what no key opens in a member's name; the
/// reload that comes then changes the key as any other does.
#[test]
fn a_key_that_was_looked_at_before_the_reload_is_taken_over() {
    let mut cluster = formed(SEALED);
    let before = rings(&mut cluster);
    cluster.load();
    cluster.write_key('l');
    // No node has the first of these addresses.
    for (from, read) in [(9, 0), (1, 1)] {
        for _ in 0..100 {
            cluster.node(3).hears(from, LinkId(0), vec![7; 200]);
            cluster.run_for(TOKEN / 110).unwrap();
        }
        assert_eq!(cluster.node(3).files_read(), read);
    }
    cluster.node(2).reload();
    cluster.run_for(TOKEN * 15).unwrap();
    let read: Vec<u64> = (1..=3).map(|n| cluster.node(n).files_read()).collect();
    assert_eq!(read, [1, 1, 2]);
    ends_in(&mut cluster, &before, "");
}

/// The key that is in the files opens packets once somebody sent one in a member's name, and no longer when a ring was
/// formed without a reload. No other key does.
#[test]
fn a_key_ahead_of_its_reload_is_forgotten_with_the_ring() {
    let mut cluster = formed(SEALED);
    let opens = |cluster: &mut Cluster, letter: char| {
        let dropped = cluster.node(3).dropped();
        cluster.node(3).hears(1, LinkId(0), sealed_by(letter));
        cluster.run_for(Duration::from_millis(10)).unwrap();
        cluster.node(3).dropped() == dropped
    };
    assert!(opens(&mut cluster, 'k'));
    cluster.write_key('l');
    assert!(!opens(&mut cluster, 'l'));
    assert!(opens(&mut cluster, 'l'));
    assert!(opens(&mut cluster, 'k'));
    assert!(!opens(&mut cluster, 'm'));
    let before = rings(&mut cluster);
    cluster.write_key('k');
    cluster.node(2).pause(TOKEN * 2);
    cluster.run_for(TOKEN * 2).unwrap();
    cluster.settle_all(TOKEN * 60).unwrap();
    assert_ne!(rings(&mut cluster), before);
    assert!(!opens(&mut cluster, 'l'));
    // For somebody who is no member of the ring the files are not even read.
    cluster.node(1).crash();
    cluster.run_for(TOKEN * 5).unwrap();
    let read = cluster.node(3).files_read();
    assert!(!opens(&mut cluster, 'l'));
    assert_eq!(cluster.node(3).files_read(), read);
    cluster.heal();
    cluster.check(TOKEN * 30).unwrap();
}

/// What node 1 would send on link 0 with the key of this letter, and nobody waits for.
fn sealed_by(letter: char) -> Vec<u8> {
    let probe = Probe {
        link: LinkId(0),
        size: 0,
    };
    let frame = Frame {
        from: HostId(1),
        packet: Packet::ProbeReply(probe),
    };
    // The configuration's text and its end, as C counts it.
    let key = letter.to_string().repeat(KEY_LEN) + "\0";
    let key = Key::new(key.as_bytes()).expect("long enough");
    let suite = Suite::encrypted(Cipher::Aes256, Hash::Sha256);
    let mut sealed = BytesMut::new();
    Instance::new(suite, &key).seal(&[0; IV_LEN], &[&frame.to_vec()], &mut sealed);
    sealed.to_vec()
}

/// One node cannot read its files when the others turn encryption off, and does so with a second reload.
#[test]
fn a_node_that_turns_encryption_off_late_is_not_cut_off() {
    let mut cluster = formed(SEALED);
    let before = rings(&mut cluster);
    cluster.load();
    cluster.edit_files(|conf| conf.replace("crypto_cipher: aes256", "crypto_cipher: none"));
    cluster.edit_files(|conf| conf.replace("crypto_hash: sha256", "crypto_hash: none"));
    cluster.node(3).break_file();
    cluster.node(1).reload();
    cluster.run_for(TOKEN * 3).unwrap();
    cluster.node(3).mend_file();
    cluster.node(2).reload();
    cluster.run_for(TOKEN * 15).unwrap();
    ends_in(&mut cluster, &before, "");
}

const SEALED: KnetWorld = KnetWorld {
    crypto: Crypto::Aes256,
    ..KnetWorld::PLAIN
};

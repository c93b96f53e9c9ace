//! The packets behind published holes of corosync and kronosnet: a node drops and counts them, and its ring does not
//! notice. Each is sent as somebody would who can send in the name of a member over an unencrypted network, which is
//! as bad as it gets.

use ferrosync_sim::options::KnetWorld;
use ferrosync_sim::{Cluster, Options};
use ferrosync_wire::{Duration, LinkId};

const TOKEN: Duration = Duration::from_secs(1);

/// What the datagrams claim to come from, and go to.
const FROM: u32 = 2;
const TO: u32 = 1;

fn formed(options: Options) -> Cluster {
    let mut cluster = Cluster::script(options);
    cluster.run_for(TOKEN * 5).expect("nothing goes wrong");
    let settled = cluster.settle_all(TOKEN * 60);
    settled.expect("a quiet world forms its ring");
    cluster
}

/// A node hears each of `packets`, must drop it, and all go on as before with messages under way.
fn shrugs_off(options: Options, from_link: u8, packets: Vec<(String, Vec<u8>)>) {
    let mut cluster = formed(options);
    let before = cluster.node(TO).ring();
    cluster.load();
    for (name, packet) in packets {
        let dropped = cluster.node(TO).dropped();
        cluster.node(TO).hears(FROM, LinkId(from_link), packet);
        assert_eq!(cluster.node(TO).dropped(), dropped + 1, "{name}");
        cluster.run_for(TOKEN / 10).expect(&name);
    }
    cluster.check(TOKEN * 30).expect("all goes on");
    assert_eq!(cluster.node(TO).ring(), before);
    assert!(before.is_some_and(|(_, members)| members.len() == 3));
}

/// The byte orders in which a packet of the ring can come.
const ORDERS: [fn(u32) -> [u8; 4]; 2] = [u32::to_le_bytes, u32::to_be_bytes];

/// The header of a packet of the ring, with zeros behind it, in one of [`ORDERS`].
fn ring_packet(kind: u8, len: usize, order: fn(u32) -> [u8; 4]) -> Vec<u8> {
    let mut packet = vec![0; len.max(13)];
    let [high, .., low] = order(0xC000_0070);
    // As the first and last byte of a number show, 0x70 comes first in our order.
    (packet[0], packet[1]) = (high, low);
    packet[2] = 3;
    packet[3] = kind;
    packet[5..9].copy_from_slice(&order(FROM));
    packet.truncate(len);
    packet
}

fn put(packet: &mut [u8], at: usize, number: [u8; 4]) {
    packet[at..at + 4].copy_from_slice(&number);
}

/// CVE-2025-30472: more entries to be sent again than a token has room for, in either byte order
/// (`totemsrp.c:orf_token_endian_convert`).
#[test]
fn a_token_with_a_long_list() {
    let mut packets = Vec::new();
    for (n, order) in ORDERS.into_iter().enumerate() {
        for entries in [31, 1_000, 4_092, 0x1000_0000, 0x7fff_ffff, 0xffff_ffff] {
            let mut token = ring_packet(0, 65_535, order);
            put(&mut token, 53, order(entries));
            packets.push((format!("order {n}, {entries} entries"), token));
        }
    }
    shrugs_off(Options::quiet(3), 0, packets);
}

/// CVE-2026-35091: a commit token that ends before its fixed part does
/// (`totemsrp.c:check_memb_commit_token_sanity`).
#[test]
fn a_short_commit_token() {
    let mut packets = Vec::new();
    for (n, order) in ORDERS.into_iter().enumerate() {
        for len in 13..41 {
            let token = ring_packet(4, len, order);
            packets.push((format!("order {n}, {len} bytes"), token));
        }
        for entries in [1, 385, 0x0924_924a, 0x8000_0000, 0xffff_ffff] {
            let mut token = ring_packet(4, 41, order);
            put(&mut token, 37, order(entries));
            packets.push((format!("order {n}, {entries} addresses"), token));
        }
    }
    shrugs_off(Options::quiet(3), 0, packets);
}

/// CVE-2026-35092: a join whose lists together have as many entries as a number wraps at
/// (`totemsrp.c:check_memb_join_sanity`).
#[test]
fn a_join_whose_lists_wrap() {
    let lists = [
        (0x8000_0000, 0x8000_0000),
        (0xffff_ffff, 1),
        (0x4000_0000, 0),
        (0x2000_0000, 0x2000_0000),
        (385, 0),
        (0, 385),
    ];
    let mut packets = Vec::new();
    for (n, order) in ORDERS.into_iter().enumerate() {
        for (members, failed) in lists {
            let mut join = ring_packet(3, 33, order);
            put(&mut join, 13, order(FROM));
            put(&mut join, 17, order(members));
            put(&mut join, 21, order(failed));
            packets.push((format!("order {n}, {members:#x} and {failed:#x}"), join));
        }
    }
    shrugs_off(Options::quiet(3), 0, packets);
}

fn knet_data(seq: u16, parts: u8, part: u8, payload: usize) -> Vec<u8> {
    let [high, low] = seq.to_be_bytes();
    let mut packet = vec![1, 0, 0, 2, 0, 0, high, low, 0, 0, 1, parts, part, 0];
    packet.resize(packet.len() + payload, 7);
    packet
}

/// CVE-2026-15813: parts of messages that cannot be, as the numbers 0 and beyond the last
/// (`threads_rx.c:pckt_defrag`).
#[test]
fn a_part_that_cannot_be() {
    let mut packets = Vec::new();
    let mut seq = 30_000;
    for (parts, part) in [(0, 0), (0, 1), (2, 0), (2, 3), (2, 255), (255, 0), (1, 2)] {
        seq += 1;
        let packet = knet_data(seq, parts, part, 100);
        packets.push((format!("part {part} of {parts}"), packet));
    }
    packets.push(("no payload".into(), knet_data(30_100, 2, 1, 0)));
    packets.push((
        "half a header".into(),
        knet_data(30_101, 2, 1, 0)[..10].into(),
    ));
    shrugs_off(Options::quiet_over_knet(3, KnetWorld::PLAIN), 0, packets);
}

/// CVE-2026-15812: pings, pongs and probes that name a link which is not the one they come over, or none that there is
/// (`onwire_v1.c:get_link_from_pong_v1`).
#[test]
fn a_link_that_is_not_the_senders() {
    let world = KnetWorld {
        links: 2,
        ..KnetWorld::PLAIN
    };
    let mut packets = Vec::new();
    for (kind, len) in [(0x81, 26), (0x82, 26), (0x83, 400), (0x84, 9)] {
        for link in [1, 2, 7, 8, 9, 200, 255] {
            let mut packet = vec![0; len];
            packet[..7].copy_from_slice(&[1, kind, 0, 2, 0, 0, link]);
            packets.push((format!("type {kind:#x}, link {link}"), packet));
        }
    }
    shrugs_off(Options::quiet_over_knet(3, world), 0, packets);
}

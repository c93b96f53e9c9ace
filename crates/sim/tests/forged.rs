//! Packets that nobody has sent, well-formed but made to do harm, as one can who sends in the name of a member over an
//! unencrypted network: the ring may break and form again, a node may not.

use ferrosync_sim::options::KnetWorld;
use ferrosync_sim::{Cluster, Options};
use ferrosync_wire::{Duration, LinkId};

const TOKEN: Duration = Duration::from_secs(1);
const NODES: [u32; 3] = [1, 2, 3];
/// An id that libknet has no room for.
const STRANGER: u32 = 70_000;

/// A join of `from`, as a message of knet with the number `seq` from node `through`.
fn join(from: u32, members: &[u32], (through, seq): (u8, u16)) -> Vec<u8> {
    let [high, low] = seq.to_be_bytes();
    let mut packet = vec![1, 0, 0, through, 0, 0, high, low, 0, 0, 1, 1, 1, 0];
    packet.extend([0x70, 0xC0, 3, 3, 0]);
    for number in [from, 0, from] {
        packet.extend(number.to_le_bytes());
    }
    let members_count = u32::try_from(members.len()).expect("a few");
    for number in [members_count, 0, 1_000, 0] {
        packet.extend(number.to_le_bytes());
    }
    for member in members {
        packet.extend(member.to_le_bytes());
    }
    packet
}

/// The joins bring the ring to consensus about a member that knet cannot name, and some node owes it the commit token.
#[test]
fn a_member_that_knet_has_no_name_for() {
    let mut cluster = Cluster::script(Options::quiet_over_knet(3, KnetWorld::PLAIN));
    cluster.run_for(TOKEN * 5).expect("nothing goes wrong");
    cluster.settle_all(TOKEN * 60).expect("a ring");
    let before = cluster.node(1).ring();
    for round in 0..100_u16 {
        for node in NODES {
            let through = NODES.into_iter().find(|other| *other != node).expect("two");
            let seq = 200 + round * 4 + u16::try_from(node).expect("small");
            let short = u8::try_from(through).expect("small");
            let packet = join(STRANGER, &[1, 2, 3, STRANGER], (short, seq));
            cluster.node(node).hears(through, LinkId(0), packet);
        }
        cluster.run_for(TOKEN / 50).expect("nobody fails");
    }
    assert_ne!(cluster.node(1).ring(), before, "nobody believed a word");
    cluster.settle_all(TOKEN * 60).expect("the ring again");
}

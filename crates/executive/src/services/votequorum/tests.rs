//! votequorum in whole nodes.

use crate::core::Quorate;
use crate::testing::Cluster;

const VOTEQUORUM: &str = "quorum {\n provider: corosync_votequorum\n}\n";

#[test]
fn a_majority_is_quorate() {
    let mut cluster = Cluster::start_with(&[1, 2, 3], VOTEQUORUM);
    assert_eq!(cluster.node(1).core().quorum().quorate, Quorate::Yes);
    cluster.cut(&[&[1, 2], &[3]]);
    cluster.settle();
    assert_eq!(cluster.node(1).core().quorum().quorate, Quorate::Yes);
    assert_eq!(cluster.node(3).core().quorum().quorate, Quorate::No);
}

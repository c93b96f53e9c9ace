//! The load generator in whole nodes.

use ferrosync_wire::exec::pload::Message;
use ferrosync_wire::{Decode, Encode, Reader, ServiceId, Value};

use super::WORDS;
use crate::log::Priority;
use crate::output::ExitReason;
use crate::testing::Cluster;

#[test]
fn only_the_right_words_start_it() {
    let mut cluster = Cluster::start(&[1]);
    let client = cluster.connect(1, ServiceId::CMAP);
    cluster.set_key(client, "pload.count", &Value::U32(3));
    cluster.set_key(client, "pload.start", &Value::str("yes"));
    cluster.run_for(core::time::Duration::from_secs(1));
    assert_eq!(cluster.exit(1), None);
    cluster.set_key(client, "pload.start", &Value::str(WORDS));
    cluster.run_until("the end", |c| c.exit(1).is_some());
}

#[test]
fn every_member_loads_the_ring_and_ends() {
    let mut cluster = Cluster::start(&[1, 2]);
    let client = cluster.connect(1, ServiceId::CMAP);
    cluster.set_key(client, "pload.count", &Value::U32(5_000));
    cluster.set_key(client, "pload.size", &Value::U32(2_000));
    cluster.set_key(client, "pload.start", &Value::str(WORDS));
    for node in [1, 2] {
        cluster.run_until("the end", |c| c.exit(node).is_some());
        assert_eq!(cluster.exit(node), Some(ExitReason::LoadDone));
        let log = cluster.log(node, Priority::Notice);
        let is_report = |line: &&&str| line.starts_with(" 5000 Writes 2000 bytes per write ");
        assert_eq!(log.iter().filter(is_report).count(), 1, "{log:?}");
        assert_eq!(log.last(), Some(&"Stopping corosync the hard way"));
    }
}

#[test]
fn a_size_that_nobody_can_send_starts_nothing() {
    let mut cluster = Cluster::start(&[1]);
    let client = cluster.connect(1, ServiceId::CMAP);
    cluster.set_key(client, "pload.count", &Value::U32(1));
    cluster.set_key(client, "pload.size", &Value::U32(u32::MAX));
    cluster.set_key(client, "pload.start", &Value::str(WORDS));
    cluster.run_until("the end", |c| c.exit(1).is_some());
    let log = cluster.log(1, Priority::Warning);
    assert!(log.contains(&"pload size limited to 1048576"), "{log:?}");
}

#[test]
fn data_is_framed_as_c_does() {
    // 16 bytes more than there are; the decoder does not mind.
    let mut frame = ferrosync_wire::exec::Header::new(ServiceId::PLOAD, 1, 16 + 300).to_vec();
    frame.resize(300, 0);
    let message = Message::decode(&mut Reader::new(&frame));
    assert!(matches!(message, Ok(Message::Mcast(load)) if load.len() == 284));
}

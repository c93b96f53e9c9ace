//! The configuration map: what votequorum publishes, and what it reads again.

use ferrosync_wire::ipc::cmap;
use ferrosync_wire::{Key, Value};

use super::*;

fn set(cluster: &mut Cluster, node: u32, key: &str, value: &Value) -> Result<(), CsError> {
    let client = cluster.connect(node, ServiceId::CMAP);
    let bytes = value.to_wire();
    let request = cmap::Request::Set {
        key: ferrosync_wire::names::Name::new(key.as_bytes()),
        value_type: value.type_code(),
        value: &bytes,
    };
    let answer = cluster.call(client, &request);
    decoded::<cmap::SetDone>(&answer).map(|_| ())
}

fn keys(cluster: &Cluster, node: u32) -> Vec<(String, Value)> {
    let map = &cluster.node(node).core().icmap;
    let prefix = "runtime.votequorum.";
    map.iter(prefix)
        .map(|(key, value)| (key.as_str()[prefix.len()..].to_owned(), value.clone()))
        .collect()
}

fn named(keys: &[(&str, Value)]) -> Vec<(String, Value)> {
    let owned = |(name, value): &(&str, Value)| ((*name).to_owned(), value.clone());
    keys.iter().map(owned).collect()
}

#[test]
fn a_plain_node_publishes_what_corosync_does() {
    let cluster = Cluster::start_with(&[7], &quorum(""));
    let expected = [
        ("ev_barrier", Value::U32(1)),
        ("highest_node_id", Value::U32(7)),
        ("lowest_node_id", Value::U32(7)),
        ("this_node_id", Value::U32(7)),
        ("two_node", Value::U8(0)),
    ];
    assert_eq!(keys(&cluster, 7), named(&expected));
}

#[test]
fn modes_publish_more() {
    let lines = " wait_for_all: 1\n auto_tie_breaker: 1\n auto_tie_breaker_node: highest\n \
                 expected_votes_tracking: 1";
    let mut cluster = Cluster::off(&[1, 2], &quorum(lines));
    cluster.boot(1);
    cluster.settle();
    let expected = [
        ("atb_type", Value::U32(2)),
        ("ev_barrier", Value::U32(2)),
        ("ev_tracking_barrier", Value::U32(2)),
        ("this_node_id", Value::U32(1)),
        ("two_node", Value::U8(0)),
        ("wait_for_all_status", Value::U8(1)),
    ];
    assert_eq!(keys(&cluster, 1), named(&expected));
    assert_eq!(
        set(&mut cluster, 1, "quorum.wait_for_all", &Value::U8(0)),
        Err(CsError::Access)
    );
}

#[test]
fn waiting_can_be_cancelled() {
    let mut cluster = Cluster::off(&[1, 2, 3], &quorum(" wait_for_all: 1"));
    for id in [1, 2] {
        cluster.boot(id);
    }
    cluster.settle();
    assert_eq!(quorate(&cluster, &[1, 2]), []);
    let cancel = "quorum.cancel_wait_for_all";
    assert_eq!(set(&mut cluster, 1, cancel, &Value::U8(1)), Ok(()));
    cluster.settle();
    assert_eq!(quorate(&cluster, &[1, 2]), [1, 2]);
    let map = &cluster.node(1).core().icmap;
    assert_eq!(map.get(cancel), Some(Value::U8(0)));
}

#[test]
fn expected_votes_in_the_map_change_on_all_members() {
    let mut cluster = Cluster::start_with(&[1, 2, 3], &quorum(""));
    let key = "quorum.expected_votes";
    assert_eq!(set(&mut cluster, 2, key, &Value::U32(5)), Ok(()));
    cluster.settle();
    for node in [1, 2, 3] {
        let client = connect(&mut cluster, node);
        let info = info(&mut cluster, client, 0).unwrap();
        assert_eq!((info.expected_votes, info.quorum), (5, 3), "node {node}");
    }
}

#[test]
fn two_node_mode_can_be_switched_on() {
    let mut cluster = Cluster::start_with(&[1, 2], &quorum(""));
    for node in [1, 2] {
        let two_node = "quorum.two_node";
        assert_eq!(set(&mut cluster, node, two_node, &Value::U8(1)), Ok(()));
    }
    cluster.settle();
    cluster.crash(2);
    cluster.settle();
    assert_eq!(quorate(&cluster, &[1]), [1]);
    let map = &cluster.node(1).core().icmap;
    let key = "runtime.votequorum.two_node";
    assert_eq!(map.get(key), Some(Value::U8(1)));
}

#[test]
fn cancelling_keeps_what_an_operator_set() {
    let mut cluster = Cluster::start_with(&[1, 2, 3], &quorum(" wait_for_all: 1"));
    let operator = connect(&mut cluster, 1);
    let request = Request::SetExpected { votes: 4 };
    assert_eq!(status(&mut cluster, operator, &request), Ok(()));
    let cancel = "quorum.cancel_wait_for_all";
    assert_eq!(set(&mut cluster, 1, cancel, &Value::U8(1)), Ok(()));
    cluster.settle();
    assert_eq!(info(&mut cluster, operator, 0).unwrap().expected_votes, 4);
}

#[test]
fn contradictions_disable_the_device_and_say_so() {
    let mut cluster = Cluster::start_with(&[1, 2], &quorum(" last_man_standing: 1"));
    let model = Value::str("net");
    let key = Key::new("quorum.device.model").unwrap();
    assert_eq!(set(&mut cluster, 1, key.as_str(), &model), Ok(()));
    cluster.settle();
    let log = cluster.log(1, crate::log::Priority::Critical);
    assert_eq!(
        log,
        [
            "configuration error: quorum.device is not compatible with last_man_standing",
            "disabling quorum device operations",
        ]
    );
    let device = connect(&mut cluster, 1);
    let register = Request::DeviceRegister { name: b"q" };
    let denied = Err(CsError::Access);
    assert_eq!(status(&mut cluster, device, &register), denied);
    let map = &cluster.node(1).core().icmap;
    let key = "runtime.votequorum.qdevice_can_operate";
    assert_eq!(map.get(key), Some(Value::U8(0)));
}

//! Figures of a machine that a test makes up.

use core::time::Duration;

use ferrosync_wire::{ServiceId, Value};

use crate::log::Priority;
use crate::output::{Figure, HostAnswer, HostRequest, Measured};
use crate::testing::Cluster;

const MAX: &str = "resources.system.memory_used.max";
const STATE: &str = "resources.system.memory_used.state";
const CURRENT: &str = "resources.system.memory_used.current";
const PERIOD: &str = "resources.system.memory_used.poll_period";

fn memory(cluster: &mut Cluster, percent: u8) {
    assert_eq!(
        cluster.asked(1),
        Some(HostRequest::Measure(Figure::MemoryUsed))
    );
    let measured = Measured::MemoryUsed(Ok(percent));
    cluster.answer_host(1, HostAnswer::Measured(measured));
}

#[test]
fn nobody_looks_without_a_limit() {
    let mut cluster = Cluster::start(&[1]);
    cluster.run_for(Duration::from_secs(10));
    assert_eq!(cluster.asked(1), None);
    assert_eq!(cluster.key(1, STATE), Some(Value::str("stopped")));
    assert_eq!(cluster.key(1, CURRENT), Some(Value::I32(0)));
    assert_eq!(cluster.key(1, PERIOD), Some(Value::U64(3_000)));
    let load = "resources.system.load_15min.current";
    assert_eq!(cluster.key(1, load), Some(Value::F64(0.0)));
}

#[test]
fn a_figure_above_its_limit_fails_until_the_limit_changes() {
    let section =
        "resources {\n system {\n memory_used {\n max: 80%\n poll_period: 1000\n }\n }\n}\n";
    let mut cluster = Cluster::start_with(&[1], section);
    let client = cluster.connect(1, ServiceId::CMAP);
    memory(&mut cluster, 80);
    assert_eq!(cluster.key(1, STATE), Some(Value::str("running")));
    assert_eq!(cluster.key(1, CURRENT), Some(Value::U32(80)));
    assert_eq!(cluster.asked(1), None, "the period is not over");
    cluster.run_for(Duration::from_millis(1_100));
    memory(&mut cluster, 81);
    let now = Value::U64(cluster.now.as_nanos());
    let updated = "resources.system.memory_used.last_updated";
    assert_eq!(cluster.key(1, updated), Some(now));
    assert_eq!(cluster.key(1, STATE), Some(Value::str("failed")));
    cluster.set_key(client, MAX, &Value::U32(90));
    assert_eq!(cluster.key(1, STATE), Some(Value::str("running")));
    memory(&mut cluster, 81);
    assert_eq!(cluster.key(1, STATE), Some(Value::str("running")));
    cluster.delete_key(client, MAX);
    assert_eq!(cluster.key(1, STATE), Some(Value::str("stopped")));
    cluster.run_for(Duration::from_secs(5));
    assert_eq!(cluster.asked(1), None);
    let log = cluster.log(1, Priority::Info).join("\n");
    let failed = "Fsm:memory_used event \"failure\", state \"running\" --> \"failed\"";
    let gone = "resource \"memory_used\" deleted from cmap!";
    let gone_by = cluster.log(1, Priority::Warning).join("\n");
    assert!(log.contains(failed), "{log}");
    assert!(gone_by.contains(gone), "{gone_by}");
}

#[test]
fn odd_limits_and_periods_change_nothing_for_the_worse() {
    let mut cluster = Cluster::start(&[1]);
    let client = cluster.connect(1, ServiceId::CMAP);
    for period in [Value::U64(499), Value::U64(u64::MAX), Value::str("soon")] {
        cluster.set_key(client, PERIOD, &period);
    }
    cluster.set_key(client, MAX, &Value::str("plenty"));
    assert_eq!(cluster.asked(1), None);
    cluster.set_key(client, MAX, &Value::F64(50.0));
    memory(&mut cluster, 50);
    cluster.run_for(Duration::from_millis(2_900));
    assert_eq!(cluster.asked(1), None, "the period is still the old one");
    cluster.run_for(Duration::from_millis(200));
    memory(&mut cluster, 0);
    assert_eq!(cluster.key(1, CURRENT), Some(Value::U32(50)));
}

#[test]
fn a_machine_that_does_not_tell_is_named_once() {
    let mut cluster = Cluster::start(&[1]);
    let client = cluster.connect(1, ServiceId::CMAP);
    let load = "resources.system.load_15min.max";
    cluster.set_key(client, load, &Value::str("2.5"));
    for _ in 0..3 {
        assert_eq!(cluster.asked(1), Some(HostRequest::Measure(Figure::Load15)));
        let measured = Measured::Load15(Err("no /proc".to_owned()));
        cluster.answer_host(1, HostAnswer::Measured(measured));
        cluster.run_for(Duration::from_millis(3_100));
    }
    let log = cluster.log(1, Priority::Error);
    assert_eq!(log, ["Unable to get load stats: no /proc"]);
}

//! A machine with a watchdog that a test plays. Nothing here reaches a machine.

use core::time::Duration;

use ferrosync_wire::{ServiceId, Value};

use crate::log::Priority;
use crate::output::{
    Control, HostAnswer, HostRequest, MachineEnd, NodeInput, WatchdogAnswer, WatchdogRequest,
};
use crate::testing::{Client, Cluster};

const DEVICE: &str = "resources {\n watchdog_device: /dev/dog\n watchdog_timeout: 10\n}\n";

fn wish(cluster: &mut Cluster) -> Option<WatchdogRequest> {
    match cluster.asked(1)? {
        HostRequest::Watchdog(request) => Some(request),
        other => panic!("{other:?}"),
    }
}

fn answer(cluster: &mut Cluster, answer: WatchdogAnswer) {
    cluster.answer_host(1, HostAnswer::Watchdog(answer));
}

/// A node whose device is open and set to 10 seconds.
fn tickling() -> (Cluster, Client) {
    let mut cluster = Cluster::start_with(&[1], DEVICE);
    let device = "/dev/dog".to_owned();
    assert_eq!(wish(&mut cluster), Some(WatchdogRequest::Open { device }));
    let timeout_s = Some(60);
    answer(&mut cluster, WatchdogAnswer::Opened { timeout_s });
    assert_eq!(wish(&mut cluster), Some(WatchdogRequest::SetTimeout(10)));
    let timeout_s = Some(10);
    answer(&mut cluster, WatchdogAnswer::TimeoutSet { timeout_s });
    assert_eq!(wish(&mut cluster), Some(WatchdogRequest::Tickle));
    let client = cluster.connect(1, ServiceId::CMAP);
    (cluster, client)
}

/// How often the dog is tickled within a time.
fn tickles(cluster: &mut Cluster, time: Duration) -> usize {
    cluster.run_for(time);
    core::iter::from_fn(|| wish(cluster))
        .inspect(|wish| assert_eq!(*wish, WatchdogRequest::Tickle))
        .count()
}

fn watch(cluster: &mut Cluster, client: Client, recovery: &str) {
    let keys = [
        ("recovery", Value::str(recovery)),
        ("poll_period", Value::U64(1_000)),
        ("last_updated", Value::U64(0)),
        ("state", Value::str("running")),
    ];
    for (key, value) in keys {
        let key = format!("resources.process.42.{key}");
        cluster.set_key(client, &key, &value);
    }
}

/// Who watches the resource has looked, and it is not well.
fn fails(cluster: &mut Cluster, client: Client) {
    let now = Value::U64(cluster.now.as_nanos());
    says(cluster, client, "last_updated", &now);
    says(cluster, client, "state", &Value::str("failed"));
}

fn says(cluster: &mut Cluster, client: Client, key: &str, value: &Value) {
    let key = format!("resources.process.42.{key}");
    cluster.set_key(client, &key, value);
}

#[test]
fn without_a_device_nobody_is_tickled() {
    let mut cluster = Cluster::start(&[1]);
    cluster.run_for(Duration::from_secs(20));
    assert_eq!(cluster.asked(1), None);
    let timeout = cluster.key(1, "resources.watchdog_timeout");
    assert_eq!(timeout, Some(Value::U32(6)));
    let log = cluster.log(1, Priority::Warning);
    assert!(
        log.contains(&"Watchdog not enabled by configuration"),
        "{log:?}"
    );
    for device in ["off", "\"\""] {
        let section = format!("resources {{\n watchdog_device: {device}\n}}\n");
        let mut off = Cluster::start_with(&[1], &section);
        off.run_for(Duration::from_secs(1));
        if device == "off" {
            assert_eq!(off.asked(1), None);
        }
    }
}

#[test]
fn the_dog_is_tickled_twice_within_its_timeout() {
    let (mut cluster, client) = tickling();
    assert_eq!(tickles(&mut cluster, Duration::from_secs(51)), 10);
    cluster.set_key(client, "resources.watchdog_timeout", &Value::U32(4));
    assert_eq!(wish(&mut cluster), Some(WatchdogRequest::SetTimeout(4)));
    // It is one that does as it likes.
    let timeout_s = Some(2);
    answer(&mut cluster, WatchdogAnswer::TimeoutSet { timeout_s });
    assert_eq!(tickles(&mut cluster, Duration::from_millis(10_500)), 11);
    let log = cluster.log(1, Priority::Warning).join("\n");
    let line = "Could not change the Watchdog timeout from 2 to 4 seconds";
    assert!(log.contains(line), "{log}");
}

#[test]
fn a_timeout_out_of_range_is_put_right() {
    let (mut cluster, client) = tickling();
    for wrong in [Value::U32(1), Value::U32(121), Value::str("10")] {
        cluster.set_key(client, "resources.watchdog_timeout", &wrong);
        let timeout = cluster.key(1, "resources.watchdog_timeout");
        assert_eq!(timeout, Some(Value::U32(10)), "{wrong:?}");
    }
    assert_eq!(wish(&mut cluster), None);
}

#[test]
fn a_device_that_cannot_be_opened_is_named() {
    for (told, expected) in [
        (
            WatchdogAnswer::Missing,
            "No watchdog /dev/dog, try modprobe <a watchdog>",
        ),
        (
            WatchdogAnswer::Refused("busy".to_owned()),
            "Watchdog /dev/dog exists but couldn't be opened. busy",
        ),
    ] {
        let mut cluster = Cluster::start_with(&[1], DEVICE);
        let _open = wish(&mut cluster);
        answer(&mut cluster, told);
        assert_eq!(tickles(&mut cluster, Duration::from_secs(30)), 0);
        let log = cluster.log(1, Priority::Warning);
        assert!(log.contains(&expected), "{log:?}");
    }
}

#[test]
fn the_dog_sleeps_when_the_node_leaves_in_order() {
    let (mut cluster, _) = tickling();
    cluster.input(1, NodeInput::Control(Control::Shutdown));
    assert_eq!(wish(&mut cluster), Some(WatchdogRequest::Close));
    assert_eq!(tickles(&mut cluster, Duration::from_secs(20)), 0);
}

#[test]
fn a_resource_that_fails_starves_the_dog() {
    let (mut cluster, client) = tickling();
    watch(&mut cluster, client, "watchdog");
    assert_eq!(tickles(&mut cluster, Duration::from_secs(20)), 4);
    fails(&mut cluster, client);
    // Those who look have one period more to say otherwise.
    assert_eq!(tickles(&mut cluster, Duration::from_millis(900)), 0);
    tickles(&mut cluster, Duration::from_secs(6));
    assert_eq!(tickles(&mut cluster, Duration::from_secs(60)), 0);
    let log = cluster.log(1, Priority::Critical);
    let starved = "NOT tickling the watchdog!";
    assert_eq!(log, ["watchdog resource \"42\" failed!", starved]);
}

#[test]
fn a_resource_that_nobody_looks_at_any_more_has_failed() {
    let (mut cluster, client) = tickling();
    watch(&mut cluster, client, "none");
    for _ in 0..10 {
        let now = Value::U64(cluster.now.as_nanos());
        says(&mut cluster, client, "last_updated", &now);
        tickles(&mut cluster, Duration::from_secs(1));
    }
    assert_eq!(cluster.log(1, Priority::Critical), [""; 0]);
    tickles(&mut cluster, Duration::from_secs(5));
    let log = cluster.log(1, Priority::Critical);
    assert_eq!(log, ["none resource \"42\" failed!"]);
    let late = cluster.log(1, Priority::Error).join("\n");
    assert!(late.contains(" ms too late, period:1000."), "{late}");
    assert_eq!(tickles(&mut cluster, Duration::from_secs(51)), 10);
}

#[test]
fn the_machine_goes_down_where_a_resource_says_so() {
    for (recovery, end) in [
        ("reboot", MachineEnd::Reboot),
        ("shutdown", MachineEnd::PowerOff),
    ] {
        let mut cluster = Cluster::start(&[1]);
        let client = cluster.connect(1, ServiceId::CMAP);
        watch(&mut cluster, client, recovery);
        fails(&mut cluster, client);
        cluster.run_for(Duration::from_secs(2));
        assert_eq!(cluster.asked(1), Some(HostRequest::Machine(end)));
        cluster.run_for(Duration::from_secs(20));
        assert_eq!(cluster.asked(1), None);
    }
}

#[test]
fn a_resource_that_stops_or_goes_harms_nobody() {
    let (mut cluster, client) = tickling();
    watch(&mut cluster, client, "reboot");
    says(&mut cluster, client, "state", &Value::str("stopped"));
    tickles(&mut cluster, Duration::from_secs(20));
    // C would end here: a failure of a resource that is stopped.
    says(&mut cluster, client, "state", &Value::str("running"));
    cluster.delete_key(client, "resources.process.42.recovery");
    says(&mut cluster, client, "poll_period", &Value::U64(2_000));
    fails(&mut cluster, client);
    tickles(&mut cluster, Duration::from_secs(20));
    cluster.delete_key(client, "resources.process.42.state");
    assert_eq!(tickles(&mut cluster, Duration::from_secs(51)), 10);
    let log = cluster.log(1, Priority::Warning);
    for line in [
        "resource 42 missing a recovery key.",
        "resource \"42\" deleted from cmap!",
    ] {
        assert!(log.contains(&line), "{log:?}");
    }
    assert_eq!(cluster.log(1, Priority::Critical), [""; 0]);
}

#[test]
fn names_of_any_length_are_watched_or_not() {
    let (mut cluster, client) = tickling();
    let name = "x".repeat(255 - "resources.process..state".len());
    let key = format!("resources.process.{name}.state");
    cluster.set_key(client, &key, &Value::str("running"));
    for odd in [
        "resources.state",
        "resources.process.state",
        "resources.other.x.state",
    ] {
        cluster.set_key(client, odd, &Value::str("failed"));
    }
    assert_eq!(tickles(&mut cluster, Duration::from_secs(51)), 10);
}

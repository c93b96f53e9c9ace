//! Pauses in virtual time.

use core::time::Duration;

use ferrosync_wire::ipc::cmap;
use ferrosync_wire::{ServiceId, Value};

use super::Pauses;
use crate::log::Priority;
use crate::output::{HostAnswer, HostRequest, Pause};
use crate::testing::Cluster;

const TOKEN: Duration = Duration::from_millis(1_000);

#[test]
fn a_gap_of_four_fifths_of_the_token_timeout_is_no_pause_yet() {
    let start = ferrosync_wire::Instant::from_nanos(5);
    let mut pauses = Pauses::new(start, TOKEN);
    assert_eq!(pauses.deadline(), start + TOKEN / 3);
    let at = start + Duration::from_millis(800);
    assert_eq!(pauses.check(at, TOKEN), None);
    let late = at + Duration::from_millis(801);
    let pause = Pause {
        delay: Duration::from_millis(801),
        threshold: Duration::from_millis(800),
    };
    // The token timeout that holds from now on does not count for what is over.
    assert_eq!(pauses.check(late, TOKEN * 3), Some(pause));
    let later = late + Duration::from_millis(2_400);
    assert_eq!(pauses.check(later, TOKEN), None);
}

#[test]
fn the_last_ten_pauses_are_told_youngest_first_until_they_are_cleared() {
    let mut cluster = Cluster::start(&[1]);
    let client = cluster.connect(1, ServiceId::CMAP);
    for n in 1..=12 {
        let pause = Pause {
            delay: Duration::from_secs(n),
            threshold: Duration::from_millis(800),
        };
        let at_ms = 1_000 + n;
        cluster.answer_host(1, HostAnswer::Dated { pause, at_ms });
    }
    let told: Vec<u64> = cluster
        .node(1)
        .core()
        .pauses
        .last()
        .map(|p| p.at_ms)
        .collect();
    assert_eq!(told, (1_003..=1_012).rev().collect::<Vec<_>>());
    let log = cluster.log(1, Priority::Warning);
    let line = "Corosync main process was not scheduled (@1001) for 1000.0000 ms (threshold is 800.0000 ms). \
                Consider token timeout increase.";
    assert_eq!(log.iter().filter(|l| **l == line).count(), 1, "{log:?}");
    let map = cmap::Request::SetCurrentMap {
        map: cmap::MAP_STATS,
    };
    cluster.call(client, &map);
    cluster.set_key(client, "stats.clear.schedmiss", &Value::U8(1));
    assert_eq!(cluster.node(1).core().pauses.last().count(), 0);
}

#[test]
fn a_process_that_was_not_scheduled_asks_for_the_date() {
    let mut cluster = Cluster::start(&[1]);
    cluster.run_for(Duration::from_secs(10));
    assert_eq!(cluster.asked(1), None, "it ran all the time");
    let later = cluster.now + Duration::from_secs(7);
    cluster.now = later;
    for _ in 0..16 {
        cluster.node_mut(1).handle_timeout(later);
        cluster.drain(1);
    }
    let Some(HostRequest::Date(pause)) = cluster.asked(1) else {
        panic!("it was not noticed");
    };
    assert!(pause.delay >= Duration::from_secs(7), "{pause:?}");
}

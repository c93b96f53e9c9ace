//! Lines of log about packets that were dropped, which anybody could repeat with every packet.

use std::net::SocketAddr;

use ferrosync_knet::handle::Drops;
use ferrosync_wire::{Duration, Instant};

use crate::log::{self, Priority, Record};

/// What was dropped when the log last told of it.
#[derive(Debug, Default)]
pub(super) struct Complaints {
    unauthentic: Told,
    strangers: Told,
    malformed: Told,
}

#[derive(Debug, Default)]
struct Told {
    count: u64,
    at: Option<Instant>,
}

impl Complaints {
    /// What is to be logged of a packet, after which `drops` were counted.
    pub(super) fn about(
        &mut self,
        now: Instant,
        drops: &Drops,
        from: SocketAddr,
        len: usize,
    ) -> Option<Record> {
        let (told, count, priority, what) = if drops.unauthentic > self.unauthentic.count {
            let what = "Unable to decrypt packet";
            (
                &mut self.unauthentic,
                drops.unauthentic,
                Priority::Error,
                what,
            )
        } else if drops.strangers > self.strangers.count {
            let what = "No host or link is configured for packet";
            (
                &mut self.strangers,
                drops.strangers,
                Priority::Warning,
                what,
            )
        } else if drops.malformed > self.malformed.count {
            let what = "Unable to understand packet";
            (
                &mut self.malformed,
                drops.malformed,
                Priority::Warning,
                what,
            )
        } else {
            return None;
        };
        if told.at.is_some_and(|at| now.since(at) < INTERVAL) {
            return None;
        }
        let more = match count - told.count - 1 {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        *told = Told {
            count,
            at: Some(now),
        };
        let text = format!("rx: {what} from {from} (size {len}){more}!");
        Some(log::knet(priority, text))
    }
}

/// Between two lines of one kind.
const INTERVAL: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_told_at_most_once_an_interval() {
        let mut complaints = Complaints::default();
        let from = "10.0.0.9:5405".parse().expect("an address");
        let mut told = |seconds: u64, unauthentic, strangers, malformed| {
            let drops = Drops {
                unauthentic,
                strangers,
                malformed,
                ..Drops::default()
            };
            let now = Instant::from_nanos(seconds * 1_000_000_000);
            let record = complaints.about(now, &drops, from, 77);
            record.map(|record| record.text)
        };
        let line = |what: &str, more: &str| {
            Some(format!("rx: {what} from 10.0.0.9:5405 (size 77){more}!"))
        };
        assert_eq!(told(1, 0, 0, 0), None);
        assert_eq!(told(1, 1, 0, 0), line("Unable to decrypt packet", ""));
        assert_eq!(told(10, 2, 0, 0), None);
        let strange = "No host or link is configured for packet";
        assert_eq!(
            told(11, 3, 0, 0),
            line("Unable to decrypt packet", " and 1 more")
        );
        assert_eq!(told(11, 3, 1, 0), line(strange, ""));
        assert_eq!(
            told(12, 3, 1, 5),
            line("Unable to understand packet", " and 4 more")
        );
        assert_eq!(told(30, 3, 1, 5), None);
    }
}

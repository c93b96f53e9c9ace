//! Looks at a node's daemon from inside the node, and reports to the lab.

use std::thread::{self, sleep};
use std::time::Duration;

use anyhow::Result;
use nix::sys::prctl::set_name;

use super::node::tell;
use super::plan::NodeSet;
use super::report::{Report, Seen};
use crate::args::{Manager, NodeArgs};

mod client;
mod pacemaker;

/// Looks again and again until the node ends, which ends this process too.
pub(super) fn run(args: &NodeArgs) -> Result<()> {
    set_name(c"lab-probe")?;
    let rest = Duration::from_millis(args.probe_ms);
    match args.manager {
        Manager::None => {}
        // Of its own: what it asks may be long in answering.
        Manager::Pacemaker => {
            let name = args.number.name();
            thread::spawn(move || pacemaker::watch(&name));
        }
    }
    let mut probe = client::Client::default();
    let mut pace = Pace::new(rest);
    loop {
        let report = match probe.look() {
            Ok(seen) => Report::Seen(seen),
            Err(error) => Report::Unseen(format!("{error:#}")),
        };
        tell(&report)?;
        sleep(pace.after(&report));
    }
}

/// Looks often while things change, and seldom, to cost little, while they do not.
struct Pace {
    slowest: Duration,
    pause: Duration,
    last: Option<(NodeSet, String, bool)>,
}

impl Pace {
    const FASTEST: Duration = Duration::from_millis(100);

    fn new(slowest: Duration) -> Self {
        Self {
            slowest,
            pause: Self::FASTEST,
            last: None,
        }
    }

    /// Time to the next look, after one that brought `report`.
    fn after(&mut self, report: &Report) -> Duration {
        let now = match report {
            Report::Seen(seen) => Some((seen.members.clone(), seen.ring.clone(), seen.quorate)),
            Report::Unseen(_)
            | Report::Init(_)
            | Report::Network
            | Report::Running
            | Report::Ended(_)
            | Report::ManagerEnded(_)
            | Report::Off
            | Report::Managed(_)
            | Report::Unmanaged
            | Report::Failed(_) => None,
        };
        self.pause = if now == self.last {
            (self.pause * 2).min(self.slowest)
        } else {
            Self::FASTEST.min(self.slowest)
        };
        self.last = now;
        self.pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_become_rare_until_something_changes() {
        let mut pace = Pace::new(Duration::from_millis(350));
        let seen = |delivered| {
            let ring = "1.c".to_owned();
            Report::Seen(Seen {
                ring,
                delivered,
                ..Seen::default()
            })
        };
        let mut ms = |report: &Report| pace.after(report).as_millis();
        // Counters are no change.
        assert_eq!([ms(&seen(0)), ms(&seen(1)), ms(&seen(2))], [100, 200, 350]);
        assert_eq!(ms(&Report::Unseen(String::new())), 100);
        assert_eq!(ms(&Report::Unseen("still".into())), 200);
    }
}

//! What the configuration map shows of a supervised program, in the keys of libsam (corosync
//! `lib/sam.c:sam_cmap_update_key`, v3.1.7): `resources.process.PID.*`, PID being the supervisor's.

use std::time::Duration;

use ferrosync_wire::Value;
use nix::time::{ClockId, clock_gettime};

use super::Recovery;
use crate::Options;
use crate::cmap::{Cmap, Error};

/// The keys of this supervisor.
#[derive(Debug)]
pub(super) struct Shown {
    map: Cmap,
    prefix: String,
}

/// `state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Stopped,
    WaitsForQuorum,
    Running,
    Failed,
}

impl Shown {
    pub(super) fn begin(
        options: &Options,
        recovery: Recovery,
        health: Option<Duration>,
    ) -> Result<Self, Error> {
        let mut shown = Self {
            map: Cmap::connect(options)?,
            prefix: format!("resources.process.{}.", std::process::id()),
        };
        let recovery = match recovery {
            Recovery::Quit => "quit",
            Recovery::Restart => "restart",
        };
        let period = health.map_or(0, |period| period.as_millis());
        let period = u64::try_from(period).unwrap_or(u64::MAX);
        shown.set("recovery", &text(recovery))?;
        shown.set("poll_period", &Value::U64(period))?;
        Ok(shown)
    }

    /// What the program does.
    pub(super) fn state(&mut self, state: State) -> Result<(), Error> {
        let word = match state {
            State::Stopped => "stopped",
            State::WaitsForQuorum => "waiting for quorum",
            State::Running => "running",
            State::Failed => "failed",
        };
        self.set("state", &text(word))
    }

    /// The program said something just now.
    pub(super) fn heard(&mut self) -> Result<(), Error> {
        // The clock by which the daemon's watchdog service judges (corosync `corotypes.h:cs_timestamp_get`, v3.1.7).
        let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map(Duration::from);
        let nanos = now.unwrap_or_default().as_nanos();
        let nanos = u64::try_from(nanos).unwrap_or(u64::MAX);
        self.set("last_updated", &Value::U64(nanos))
    }

    /// The program has ended in order.
    pub(super) fn remove(&mut self) {
        for key in ["recovery", "poll_period", "state", "last_updated"] {
            // One that never said anything has not all of them; and a daemon that is gone has none.
            let _ = self.map.delete(&format!("{}{key}", self.prefix));
        }
    }

    fn set(&mut self, key: &str, value: &Value) -> Result<(), Error> {
        self.map.set(&format!("{}{key}", self.prefix), value)
    }
}

fn text(word: &str) -> Value {
    Value::str(word)
}

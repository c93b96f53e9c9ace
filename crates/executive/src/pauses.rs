//! Notices when the process did not run (corosync `main.c:timer_function_scheduler_timeout`, v3.1.7).
//!
//! A timer three times within the token timeout shows it: when two of them lie further apart than four fifths of the token
//! timeout, the ring was about to lose its token here. The last such pauses stand in `stats.schedmiss.`.

use std::collections::VecDeque;

use ferrosync_wire::{Duration, Instant};

use crate::log::{Priority, Subsystem};
use crate::node::Node;
use crate::output::{HostRequest, NodeOutput, Pause};

/// When the process was last seen to run, and when it was not.
#[derive(Debug)]
pub(crate) struct Pauses {
    seen: Instant,
    next: Instant,
    threshold: Duration,
    last: VecDeque<Dated>,
}

/// A pause that the host has given a date.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Dated {
    /// Milliseconds since 1970 when it was over.
    pub(crate) at_ms: u64,
    /// For how long the process did not run.
    pub(crate) delay: Duration,
}

impl Pauses {
    /// The process runs now.
    pub(crate) fn new(now: Instant, token: Duration) -> Self {
        Self {
            seen: now,
            next: now + token / CHECKS,
            threshold: threshold(token),
            last: VecDeque::new(),
        }
    }

    /// When to look next.
    pub(crate) const fn deadline(&self) -> Instant {
        self.next
    }

    /// Looks; a token timeout that has changed meanwhile counts from now on.
    fn check(&mut self, now: Instant, token: Duration) -> Option<Pause> {
        let delay = now.since(self.seen);
        let pause = Pause {
            delay,
            threshold: self.threshold,
        };
        self.seen = now;
        self.next = now + token / CHECKS;
        self.threshold = threshold(token);
        (delay > pause.threshold).then_some(pause)
    }

    fn note(&mut self, dated: Dated) {
        self.last.truncate(KEPT - 1);
        self.last.push_front(dated);
    }

    /// The last pauses, the youngest first.
    pub(crate) fn last(&self) -> impl Iterator<Item = Dated> + '_ {
        self.last.iter().copied()
    }

    /// Forgets them.
    pub(crate) fn clear(&mut self) {
        self.last.clear();
    }
}

impl Node {
    pub(crate) fn check_pauses(&mut self) {
        let now = self.core.now;
        let token = self.core.pg.srp().config().token;
        if let Some(pause) = self.core.pauses.check(now, token) {
            self.core.push(NodeOutput::Ask(HostRequest::Date(pause)));
        }
        self.tell_losses();
    }

    pub(crate) fn pause_dated(&mut self, pause: Pause, at_ms: u64) {
        let Pause { delay, threshold } = pause;
        let text = format!(
            "Corosync main process was not scheduled (@{at_ms}) for {:.4} ms (threshold is {:.4} ms). \
             Consider token timeout increase.",
            milliseconds(delay),
            milliseconds(threshold)
        );
        self.log(Subsystem::Main, Priority::Warning, text);
        self.core.pauses.note(Dated { at_ms, delay });
    }
}

fn threshold(token: Duration) -> Duration {
    token * 4 / 5
}

/// As fractions, as C tells them.
pub(crate) fn milliseconds(time: Duration) -> f32 {
    time.as_nanos() as f32 / 1_000_000.0
}

/// Looks within a token timeout.
const CHECKS: u32 = 3;
/// Pauses that are remembered (`stats.c: MAX_SCHEDMISS_EVENTS`).
const KEPT: usize = 10;

#[cfg(test)]
mod tests;

//! Signs of life for systemd (`WatchdogSec=`, sd_watchdog_enabled(3)).
//!
//! Corosync has none: a daemon that hangs goes on holding its clients' connections for ever. A sign is given by the
//! event loop between two turns, so it says that the loop turns, not merely that the process exists (D-90).

use std::io;
use std::time::Duration;

use ferrosync_wire::Instant;

/// When the next sign is due; nothing where systemd did not ask for any.
#[derive(Debug)]
pub(crate) struct Watchdog {
    beat: Option<Beat>,
}

#[derive(Debug)]
struct Beat {
    interval: Duration,
    next: Instant,
}

impl Watchdog {
    /// What systemd asked this process for.
    pub(crate) fn of_environment(now: Instant) -> Self {
        Self::with_timeout(sd_notify::watchdog_enabled(), now)
    }

    /// Signs at half the timeout, as sd_watchdog_enabled(3) recommends; the first one at once.
    fn with_timeout(timeout: Option<Duration>, now: Instant) -> Self {
        let beat = timeout
            .filter(|timeout| !timeout.is_zero())
            .map(|timeout| Beat {
                interval: timeout / 2,
                next: now,
            });
        Self { beat }
    }

    /// Whether a sign is due; if so the next one is due an interval later.
    fn is_due(&mut self, now: Instant) -> bool {
        match &mut self.beat {
            Some(beat) if beat.next <= now => {
                beat.next = now + beat.interval;
                true
            }
            Some(_) | None => false,
        }
    }

    /// Gives a sign if one is due.
    pub(crate) fn turn(&mut self, now: Instant) -> io::Result<()> {
        if self.is_due(now) {
            sd_notify::notify(&[sd_notify::NotifyState::Watchdog])?;
        }
        Ok(())
    }

    /// How long the loop may wait before a sign is due.
    pub(crate) fn wait(&self, now: Instant) -> Option<Duration> {
        self.beat.as_ref().map(|beat| beat.next.since(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_come_at_half_the_timeout() {
        let start = Instant::from_nanos(1_000_000_000);
        let mut watchdog = Watchdog::with_timeout(Some(Duration::from_secs(30)), start);
        assert!(watchdog.is_due(start));
        assert!(!watchdog.is_due(start));
        assert_eq!(watchdog.wait(start), Some(Duration::from_secs(15)));
        let late = start + Duration::from_secs(20);
        assert_eq!(watchdog.wait(late), Some(Duration::ZERO));
        assert!(watchdog.is_due(late));
        assert_eq!(watchdog.wait(late), Some(Duration::from_secs(15)));
    }

    #[test]
    fn without_a_timeout_there_are_none() {
        let now = Instant::from_nanos(1);
        for timeout in [None, Some(Duration::ZERO)] {
            let mut watchdog = Watchdog::with_timeout(timeout, now);
            assert!(!watchdog.is_due(now));
            assert_eq!(watchdog.wait(now), None);
        }
    }
}

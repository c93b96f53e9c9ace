//! The ring protocol's timers: an enum, and a table of deadlines.

use ferrosync_wire::Instant;

/// Why the protocol wants to be woken. All are one-shot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timer {
    /// No token for `token`.
    Token,
    /// Much of `token` passed without one.
    TokenWarning,
    /// The token sent last was not seen to move on.
    TokenRetransmit,
    /// The representative held the token long enough.
    Hold,
    /// Send the join again.
    Join,
    /// Consensus took too long.
    Consensus,
    /// Announce an idle ring.
    Merge,
    /// Stamp the time, to notice later that the process did not run.
    Pause,
    /// Too many heartbeats missed.
    Heartbeat,
    /// A join that was delayed at random is due.
    SendJoin,
    /// A frame to this node itself is waiting.
    Loopback,
}

impl Timer {
    const ALL: [Self; 11] = [
        Self::Loopback,
        Self::Pause,
        Self::Token,
        Self::TokenWarning,
        Self::TokenRetransmit,
        Self::Hold,
        Self::Join,
        Self::Consensus,
        Self::Merge,
        Self::Heartbeat,
        Self::SendJoin,
    ];

    /// The timer's name in logs and in reasons for waking.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::TokenWarning => "token warning",
            Self::TokenRetransmit => "token retransmit",
            Self::Hold => "hold",
            Self::Join => "join",
            Self::Consensus => "consensus",
            Self::Merge => "merge",
            Self::Pause => "pause",
            Self::Heartbeat => "heartbeat",
            Self::SendJoin => "send join",
            Self::Loopback => "loopback",
        }
    }
}

/// One optional deadline per timer.
#[derive(Clone, Debug, Default)]
pub(super) struct TimerTable([Option<Instant>; Timer::ALL.len()]);

impl TimerTable {
    /// Arms or re-arms a timer.
    pub(super) const fn set(&mut self, timer: Timer, at: Instant) {
        self.0[timer as usize] = Some(at);
    }

    /// Disarms a timer.
    pub(super) const fn cancel(&mut self, timer: Timer) {
        self.0[timer as usize] = None;
    }

    /// When a timer is due.
    #[must_use]
    pub(super) const fn get(&self, timer: Timer) -> Option<Instant> {
        self.0[timer as usize]
    }

    /// The earliest deadline; between equal ones the order of the declaration of priorities decides.
    #[must_use]
    pub(super) fn next(&self) -> Option<(Instant, Timer)> {
        Timer::ALL
            .into_iter()
            .filter_map(|t| Some((self.get(t)?, t)))
            .min_by_key(|(at, _)| *at)
    }

    /// Takes one timer that is due at `now`.
    pub(super) fn expire(&mut self, now: Instant) -> Option<Timer> {
        let (at, timer) = self.next()?;
        if at > now {
            return None;
        }
        self.cancel(timer);
        Some(timer)
    }
}

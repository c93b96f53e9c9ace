//! The machine's monotonic clock as the node counts time.

use ferrosync_wire::Instant;

/// Reads the clock, once per turn of the event loop.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: std::time::Instant,
}

impl Clock {
    /// A clock whose origin lies one second back, so that no instant is the origin.
    #[must_use]
    pub fn new() -> Self {
        Self {
            origin: std::time::Instant::now(),
        }
    }

    /// The time now.
    #[must_use]
    pub fn now(self) -> Instant {
        let nanos = self.origin.elapsed().as_nanos();
        Instant::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)) + START
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

const START: std::time::Duration = std::time::Duration::from_secs(1);

//! The machine's monotonic clock as the node counts time.

use ferrosync_wire::Instant;
use nix::time::{ClockId, clock_gettime};

/// Reads the clock, once per turn of the event loop. Its origin is that of `CLOCK_MONOTONIC`, so that the node can compare
/// its time with what other programs write into the map (corosync `corotypes.h:cs_timestamp_get`, v3.1.7).
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock(());

impl Clock {
    /// The clock.
    #[must_use]
    pub const fn new() -> Self {
        Self(())
    }

    /// The time now.
    #[must_use]
    pub fn now(self) -> Instant {
        let time = clock_gettime(ClockId::CLOCK_MONOTONIC)
            .expect("Linux has this clock, and the address is that of a local");
        let nanos = std::time::Duration::from(time).as_nanos();
        Instant::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

//! The time in our pings: what C writes there, a `struct timespec` of 64-bit Linux.

use ferrosync_wire::Instant;

/// `now` as seconds and nanoseconds, eight bytes each.
pub(crate) fn write(now: Instant) -> [u8; 16] {
    let nanos = now.as_nanos();
    let mut time = [0; 16];
    time[..8].copy_from_slice(&(nanos / SECOND).to_le_bytes());
    time[8..].copy_from_slice(&(nanos % SECOND).to_le_bytes());
    time
}

/// The time that comes back in a pong; `None` when it cannot be ours.
pub(crate) fn read(time: [u8; 16]) -> Option<Instant> {
    let (seconds, nanos) = time.split_at(8);
    let seconds = u64::from_le_bytes(seconds.try_into().ok()?);
    let nanos = u64::from_le_bytes(nanos.try_into().ok()?);
    let whole = seconds.checked_mul(SECOND)?;
    let total = whole.checked_add(nanos).filter(|_| nanos < SECOND)?;
    Some(Instant::from_nanos(total))
}

const SECOND: u64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_come_back_and_others_do_not() {
        for nanos in [0, 1, SECOND - 1, SECOND, u64::MAX] {
            let time = Instant::from_nanos(nanos);
            assert_eq!(read(write(time)), Some(time));
        }
        let mut strange = write(Instant::ORIGIN);
        strange[8..].copy_from_slice(&SECOND.to_le_bytes());
        assert_eq!(read(strange), None);
        assert_eq!(read([0xff; 16]), None);
    }
}

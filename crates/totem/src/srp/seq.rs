//! Sequence numbers that wrap, compared the way every C node compares them.

use core::fmt;

/// A message or token sequence number. No `Ord` on purpose: order means something only between numbers
/// that are less than 2^16 apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seq(pub u32);

impl Seq {
    /// Where a ring starts (`SEQNO_START_MSG`, corosync `totemsrp.c`, v3.1.7).
    pub const START: Self = Self(0);

    /// Whether `self` comes before `other`.
    ///
    /// Not serial-number arithmetic: both are shifted down by 2^16 when either lies in the upper half, so that
    /// the numbers just past 0 become the largest. The difference shows when a token carries its initial
    /// aru 0xFFFFFFFF, so it is kept to the letter (corosync `sq.h:sq_lt_compare`, v3.1.7).
    #[must_use]
    pub const fn before(self, other: Self) -> bool {
        let (a, b) = self.adjusted(other);
        a < b
    }

    /// Whether `self` comes before `other` or equals it (`sq_lte_compare`).
    #[must_use]
    pub const fn up_to(self, other: Self) -> bool {
        let (a, b) = self.adjusted(other);
        a <= b
    }

    /// The number `n` places later.
    #[must_use]
    pub const fn plus(self, n: u32) -> Self {
        Self(self.0.wrapping_add(n))
    }

    /// How many places `self` lies behind `earlier`; wraps when it does not.
    #[must_use]
    pub const fn distance_from(self, earlier: Self) -> u32 {
        self.0.wrapping_sub(earlier.0)
    }

    /// The earlier of two.
    #[must_use]
    pub const fn min(self, other: Self) -> Self {
        if other.before(self) { other } else { self }
    }

    const fn adjusted(self, other: Self) -> (u32, u32) {
        if self.0 > ROLLOVER_POINT || other.0 > ROLLOVER_POINT {
            (self.0.wrapping_sub(SHIFT), other.0.wrapping_sub(SHIFT))
        } else {
            (self.0, other.0)
        }
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

const ROLLOVER_POINT: u32 = 0x8000_0000;
const SHIFT: u32 = 0x1_0000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_compare_at_every_boundary() {
        for base in [0u32, 0x7FFF_FFFE, 0x8000_0000, 0xFFFE_FFFF, 0xFFFF_FFF0] {
            for step in 1..100 {
                let (a, b) = (Seq(base), Seq(base).plus(step));
                assert!(a.before(b), "{a} {b}");
                assert!(!b.before(a), "{a} {b}");
                assert!(a.up_to(a) && a.up_to(b) && !b.up_to(a));
            }
        }
    }

    #[test]
    fn the_initial_token_aru_is_not_above_zero() {
        // The first rotation depends on this: only the representative corrects the aru.
        assert!(!Seq(0).before(Seq(u32::MAX)));
        assert!(Seq(u32::MAX).before(Seq(0)));
    }
}

//! Initialisation vectors, which nobody may foresee.

use core::fmt;

use chacha20::ChaCha20Rng;
use chacha20::rand_core::{Rng as _, SeedableRng as _};

use super::IV_LEN;

/// A stream of initialisation vectors, as secret as its seed.
pub struct Ivs(ChaCha20Rng);

impl Ivs {
    /// From a seed that was never used before; the operating system's random numbers are right.
    #[must_use]
    pub fn new(seed: [u8; 32]) -> Self {
        Self(ChaCha20Rng::from_seed(seed))
    }

    /// The next one.
    #[expect(clippy::should_implement_trait, reason = "it has no end")]
    pub fn next(&mut self) -> [u8; IV_LEN] {
        let mut iv = [0; IV_LEN];
        self.0.fill_bytes(&mut iv);
        iv
    }
}

impl fmt::Debug for Ivs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ivs")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_two_are_equal() {
        let all: BTreeSet<_> = [[1; 32], [2; 32]]
            .into_iter()
            .flat_map(|seed| {
                let mut ivs = Ivs::new(seed);
                core::iter::repeat_with(move || ivs.next()).take(1_000)
            })
            .collect();
        assert_eq!(all.len(), 2_000);
    }
}

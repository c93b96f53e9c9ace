//! The key that all nodes share.

use core::fmt;

use zeroize::Zeroizing;

/// A shared key of 128 to 4096 bytes, wiped from memory when it is dropped and never printed.
///
/// Whoever read the bytes from a file wipes that buffer too.
pub struct Key(Zeroizing<Box<[u8]>>);

impl Key {
    /// Copies `bytes`.
    ///
    /// # Errors
    ///
    /// Fewer bytes than [`MIN_KEY_LEN`] or more than [`MAX_KEY_LEN`].
    pub fn new(bytes: &[u8]) -> Result<Self, KeyError> {
        match bytes.len() {
            len @ ..MIN_KEY_LEN => Err(KeyError::TooShort(len)),
            MIN_KEY_LEN..=MAX_KEY_LEN => Ok(Self(Zeroizing::new(bytes.into()))),
            len => Err(KeyError::TooLong(len)),
        }
    }

    /// The key of the HMAC: all of it.
    pub(super) fn whole(&self) -> &[u8] {
        &self.0
    }

    /// The key of the cipher: the first `N` bytes.
    pub(super) fn first<const N: usize>(&self) -> &[u8; N] {
        const { assert!(N <= MIN_KEY_LEN) }
        self.0
            .first_chunk()
            .expect("a key has MIN_KEY_LEN bytes at least")
    }
}

/// Takes as long for keys that differ early as for those that differ late.
impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        let differences = self.0.iter().zip(&*other.0).map(|(a, b)| a ^ b);
        self.0.len() == other.0.len() && differences.fold(0, |all, one| all | one) == 0
    }
}

impl Eq for Key {}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({} bytes)", self.0.len())
    }
}

/// Why bytes are no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// That many bytes are too few.
    TooShort(usize),
    /// That many bytes are too many.
    TooLong(usize),
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooShort(len) => {
                write!(f, "key of {len} bytes is shorter than {MIN_KEY_LEN}")
            }
            Self::TooLong(len) => write!(f, "key of {len} bytes is longer than {MAX_KEY_LEN}"),
        }
    }
}

impl core::error::Error for KeyError {}

/// Shortest key, bytes (`libknet/libknet.h:KNET_MIN_KEY_LEN`, v1.x).
pub const MIN_KEY_LEN: usize = 128;

/// Longest key, bytes (`libknet/libknet.h:KNET_MAX_KEY_LEN`, v1.x).
pub const MAX_KEY_LEN: usize = 4096;

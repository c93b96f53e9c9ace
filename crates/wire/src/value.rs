//! Keys and typed values of the configuration map.

use core::fmt;

/// A key of the configuration map: 1 to 255 bytes of `a-zA-Z0-9._-/:`.
///
/// Creation demands at least 3 (corosync `icmap.c:icmap_is_valid_name_char` and `icmap_set_r`, v3.1.7).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Box<str>);

impl Key {
    /// Longest key in bytes, without a terminating NUL.
    pub const MAX: usize = 255;
    /// Shortest key that may be created.
    pub const MIN: usize = 3;

    /// Checks length and characters.
    pub fn new(name: &str) -> Result<Self, BadKey> {
        let fits = (Self::MIN..=Self::MAX).contains(&name.len());
        let clean = name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._-/:".contains(&b));
        if fits && clean {
            Ok(Self(name.into()))
        } else {
            Err(BadKey)
        }
    }

    /// The key's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl core::borrow::Borrow<str> for Key {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// A text that cannot be a [`Key`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadKey;

/// A value of the configuration map with its type.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Type 1.
    I8(i8),
    /// Type 2.
    U8(u8),
    /// Type 3.
    I16(i16),
    /// Type 4.
    U16(u16),
    /// Type 5.
    I32(i32),
    /// Type 6.
    U32(u32),
    /// Type 7.
    I64(i64),
    /// Type 8.
    U64(u64),
    /// Type 9.
    F32(f32),
    /// Type 10.
    F64(f64),
    /// Type 11; the text, without the NUL that travels behind it.
    Str(Box<str>),
    /// Type 12.
    Bin(Box<[u8]>),
}

impl Value {
    /// Type number in client messages (corosync `include/corosync/icmap.h`, v3.1.7).
    #[must_use]
    pub const fn type_code(&self) -> u8 {
        match self {
            Self::I8(_) => 1,
            Self::U8(_) => 2,
            Self::I16(_) => 3,
            Self::U16(_) => 4,
            Self::I32(_) => 5,
            Self::U32(_) => 6,
            Self::I64(_) => 7,
            Self::U64(_) => 8,
            Self::F32(_) => 9,
            Self::F64(_) => 10,
            Self::Str(_) => 11,
            Self::Bin(_) => 12,
        }
    }

    /// Bytes that the value occupies in a client message; a string's NUL included.
    #[must_use]
    pub fn wire_len(&self) -> usize {
        match self {
            Self::I8(_) | Self::U8(_) => 1,
            Self::I16(_) | Self::U16(_) => 2,
            Self::I32(_) | Self::U32(_) | Self::F32(_) => 4,
            Self::I64(_) | Self::U64(_) | Self::F64(_) => 8,
            Self::Str(s) => s.len() + 1,
            Self::Bin(b) => b.len(),
        }
    }

    /// A string value.
    #[must_use]
    pub fn str(text: &str) -> Self {
        Self::Str(text.into())
    }
}

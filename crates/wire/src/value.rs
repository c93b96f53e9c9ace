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

/// A text of any bytes but NUL; kept with the NUL that travels behind it.
///
/// Nothing makes C's strings UTF-8, and what was put must come back as it was.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text(Box<[u8]>);

impl Text {
    /// The bytes in front of the first NUL of `bytes`, all of them if there is none.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        let text = until_nul(bytes);
        let mut own = Vec::with_capacity(text.len() + 1);
        own.extend_from_slice(text);
        own.push(0);
        Self(own.into())
    }

    /// The text without its NUL.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8] {
        match self.0.split_last() {
            Some((_nul, text)) => text,
            None => &[],
        }
    }

    /// The text with its NUL.
    #[must_use]
    pub const fn as_bytes_with_nul(&self) -> &[u8] {
        &self.0
    }

    /// The text, if it is UTF-8.
    #[must_use]
    pub const fn to_str(&self) -> Option<&str> {
        match str::from_utf8(self.as_bytes()) {
            Ok(text) => Some(text),
            Err(_) => None,
        }
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self::new(text.as_bytes())
    }
}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        String::from_utf8_lossy(self.as_bytes()).fmt(f)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(self.as_bytes()))
    }
}

/// The bytes in front of the first NUL; all of them if there is none.
pub(crate) fn until_nul(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
    &bytes[..end]
}

/// What a value is, numbered as in client messages (corosync `include/corosync/icmap.h`, v3.1.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum ValueType {
    /// Signed, 1 byte.
    I8 = 1,
    /// Unsigned, 1 byte.
    U8 = 2,
    /// Signed, 2 bytes.
    I16 = 3,
    /// Unsigned, 2 bytes.
    U16 = 4,
    /// Signed, 4 bytes.
    I32 = 5,
    /// Unsigned, 4 bytes.
    U32 = 6,
    /// Signed, 8 bytes.
    I64 = 7,
    /// Unsigned, 8 bytes.
    U64 = 8,
    /// IEEE 754, 4 bytes.
    F32 = 9,
    /// IEEE 754, 8 bytes.
    F64 = 10,
    /// Text that ends with its NUL.
    Str = 11,
    /// Any bytes.
    Bin = 12,
}

impl ValueType {
    const ALL: [Self; 12] = [
        Self::I8,
        Self::U8,
        Self::I16,
        Self::U16,
        Self::I32,
        Self::U32,
        Self::I64,
        Self::U64,
        Self::F32,
        Self::F64,
        Self::Str,
        Self::Bin,
    ];

    /// The type with this number.
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Self> {
        if code >= 1 && (code as usize) <= Self::ALL.len() {
            Some(Self::ALL[code as usize - 1])
        } else {
            None
        }
    }

    /// The type's number.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }
}

/// A value of the configuration map with its type.
///
/// Two values are equal when their types and bytes are, so a NaN equals itself: that is how C decides whether
/// setting a key changed it (corosync `icmap.c:icmap_item_eq`, v3.1.7).
#[derive(Clone, Debug)]
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
    /// Type 11.
    Str(Text),
    /// Type 12.
    Bin(Box<[u8]>),
}

impl Value {
    /// Most bytes that a client may put (corosync `icmap.c: ICMAP_MAX_VALUE_LEN`, v3.1.7); a text put without
    /// its NUL occupies one more.
    pub const MAX: usize = 16 * 1024;

    /// Reads what a client puts under a type number.
    ///
    /// A text may come with or without its NUL, but with nothing behind it
    /// (corosync `icmap.c:icmap_check_value_len`, v3.1.7).
    pub fn from_wire(type_code: u8, bytes: &[u8]) -> Result<Self, WrongValue> {
        let kind = ValueType::from_code(type_code).ok_or(WrongValue::Type(type_code))?;
        if bytes.len() > Self::MAX {
            return Err(WrongValue::Length);
        }
        let value = match kind {
            ValueType::I8 => Self::I8(i8::from_le_bytes(number(bytes)?)),
            ValueType::U8 => Self::U8(u8::from_le_bytes(number(bytes)?)),
            ValueType::I16 => Self::I16(i16::from_le_bytes(number(bytes)?)),
            ValueType::U16 => Self::U16(u16::from_le_bytes(number(bytes)?)),
            ValueType::I32 => Self::I32(i32::from_le_bytes(number(bytes)?)),
            ValueType::U32 => Self::U32(u32::from_le_bytes(number(bytes)?)),
            ValueType::I64 => Self::I64(i64::from_le_bytes(number(bytes)?)),
            ValueType::U64 => Self::U64(u64::from_le_bytes(number(bytes)?)),
            ValueType::F32 => Self::F32(f32::from_le_bytes(number(bytes)?)),
            ValueType::F64 => Self::F64(f64::from_le_bytes(number(bytes)?)),
            ValueType::Str => {
                let text = until_nul(bytes);
                if bytes.len() > text.len() + 1 {
                    return Err(WrongValue::Length);
                }
                Self::Str(Text::new(text))
            }
            ValueType::Bin => Self::Bin(bytes.into()),
        };
        Ok(value)
    }

    /// The bytes that travel in client messages; a text's NUL included.
    #[must_use]
    pub fn to_wire(&self) -> WireBytes<'_> {
        match self {
            Self::I8(v) => WireBytes::number(v.to_le_bytes()),
            Self::U8(v) => WireBytes::number(v.to_le_bytes()),
            Self::I16(v) => WireBytes::number(v.to_le_bytes()),
            Self::U16(v) => WireBytes::number(v.to_le_bytes()),
            Self::I32(v) => WireBytes::number(v.to_le_bytes()),
            Self::U32(v) => WireBytes::number(v.to_le_bytes()),
            Self::I64(v) => WireBytes::number(v.to_le_bytes()),
            Self::U64(v) => WireBytes::number(v.to_le_bytes()),
            Self::F32(v) => WireBytes::number(v.to_le_bytes()),
            Self::F64(v) => WireBytes::number(v.to_le_bytes()),
            Self::Str(text) => WireBytes(Bytes::Borrowed(text.as_bytes_with_nul())),
            Self::Bin(bytes) => WireBytes(Bytes::Borrowed(bytes)),
        }
    }

    /// What the value is.
    #[must_use]
    pub const fn kind(&self) -> ValueType {
        match self {
            Self::I8(_) => ValueType::I8,
            Self::U8(_) => ValueType::U8,
            Self::I16(_) => ValueType::I16,
            Self::U16(_) => ValueType::U16,
            Self::I32(_) => ValueType::I32,
            Self::U32(_) => ValueType::U32,
            Self::I64(_) => ValueType::I64,
            Self::U64(_) => ValueType::U64,
            Self::F32(_) => ValueType::F32,
            Self::F64(_) => ValueType::F64,
            Self::Str(_) => ValueType::Str,
            Self::Bin(_) => ValueType::Bin,
        }
    }

    /// Type number in client messages.
    #[must_use]
    pub const fn type_code(&self) -> u8 {
        self.kind().code()
    }

    /// Bytes that the value occupies in a client message; a text's NUL included.
    #[must_use]
    pub fn wire_len(&self) -> usize {
        self.to_wire().len()
    }

    /// A string value.
    #[must_use]
    pub fn str(text: &str) -> Self {
        Self::Str(text.into())
    }

    /// The text of a string value that is UTF-8.
    #[must_use]
    pub const fn as_str(&self) -> Option<&str> {
        if let Self::Str(text) = self {
            text.to_str()
        } else {
            None
        }
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        self.kind() == other.kind() && *self.to_wire() == *other.to_wire()
    }
}

impl Eq for Value {}

/// A value's bytes, borrowed where they lie in memory as they travel.
#[derive(Clone, Copy, Debug)]
pub struct WireBytes<'a>(Bytes<'a>);

#[derive(Clone, Copy, Debug)]
enum Bytes<'a> {
    Number { bytes: [u8; 8], len: usize },
    Borrowed(&'a [u8]),
}

impl WireBytes<'_> {
    fn number<const N: usize>(number: [u8; N]) -> Self {
        let mut bytes = [0; 8];
        bytes[..N].copy_from_slice(&number);
        Self(Bytes::Number { bytes, len: N })
    }
}

impl core::ops::Deref for WireBytes<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Bytes::Number { bytes, len } => &bytes[..*len],
            Bytes::Borrowed(bytes) => bytes,
        }
    }
}

/// Why bytes are not a [`Value`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WrongValue {
    /// Nobody defined a type with this number. C takes such a value when it is empty; we refuse it.
    Type(u8),
    /// The type needs another number of bytes, or nothing may be that long.
    Length,
}

impl fmt::Display for WrongValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Type(code) => write!(f, "unknown value type {code}"),
            Self::Length => f.write_str("length does not fit the value's type"),
        }
    }
}

impl std::error::Error for WrongValue {}

fn number<const N: usize>(bytes: &[u8]) -> Result<[u8; N], WrongValue> {
    bytes.try_into().map_err(|_| WrongValue::Length)
}

#[cfg(test)]
mod tests;

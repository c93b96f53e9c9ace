//! The one codec: total decoding, infallible encoding, little endian.
//!
//! C writes its structures in the byte order of the sender; Ferrosync speaks little endian only, and a frame
//! of the other order is recognised by its magic before a [`Reader`] sees it (`docs/deviations.md`).

use core::fmt;

/// Reads a value from the front of a [`Reader`]; any input gives a value or an error, never a panic.
pub trait Decode<'a>: Sized {
    /// Consumes what the value occupies. After an error the reader's position means nothing.
    fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError>;
}

/// Appends a value to a [`Writer`].
pub trait Encode {
    /// Writes the value; cannot fail.
    fn encode(&self, w: &mut Writer<'_>);

    /// The value's bytes in a vector of their own; for tests and rare messages.
    fn to_vec(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode(&mut Writer::new(&mut out));
        out
    }
}

/// Why bytes are not a message. Nothing was changed by the attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// The input ends inside `what`.
    Truncated {
        /// The field that is cut.
        what: &'static str,
    },
    /// The first two bytes are not a totem magic in our byte order.
    BadMagic(u16),
    /// A header version other than ours.
    BadVersion(u8),
    /// A message type nobody defined.
    UnknownType(u8),
    /// A field that counts something says more than anybody may send.
    TooMany {
        /// The field.
        what: &'static str,
        /// What it says.
        count: u32,
        /// What is allowed.
        max: u32,
    },
    /// A field holds a value that it cannot have.
    BadValue {
        /// The field.
        what: &'static str,
    },
    /// This many bytes are left after a message whose length is known.
    TrailingBytes(usize),
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated { what } => write!(f, "input ends inside {what}"),
            Self::BadMagic(m) => write!(f, "bad magic {m:#06x}"),
            Self::BadVersion(v) => write!(f, "unknown header version {v}"),
            Self::UnknownType(t) => write!(f, "unknown message type {t}"),
            Self::TooMany { what, count, max } => {
                write!(f, "{what} says {count}, at most {max} allowed")
            }
            Self::BadValue { what } => write!(f, "{what} has an impossible value"),
            Self::TrailingBytes(n) => write!(f, "{n} bytes after the message"),
        }
    }
}

impl std::error::Error for DecodeError {}

/// A position in received bytes.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts at the first byte of `bytes`.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Everything not yet read.
    #[must_use]
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next `n` bytes, borrowed from the input.
    pub const fn bytes(&mut self, n: usize, what: &'static str) -> Result<&'a [u8], DecodeError> {
        let Some((head, rest)) = self.rest.split_at_checked(n) else {
            return Err(DecodeError::Truncated { what });
        };
        self.rest = rest;
        Ok(head)
    }

    /// Steps over padding, whose content C leaves undefined.
    pub fn skip(&mut self, n: usize, what: &'static str) -> Result<(), DecodeError> {
        self.bytes(n, what).map(|_| ())
    }

    /// The next `N` bytes as an array.
    pub fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], DecodeError> {
        let head = self.bytes(N, what)?;
        Ok(head.try_into().expect("bytes(N) returned N bytes"))
    }

    /// One byte.
    pub fn u8(&mut self, what: &'static str) -> Result<u8, DecodeError> {
        Ok(self.array::<1>(what)?[0])
    }

    /// Two bytes, little endian.
    pub fn u16(&mut self, what: &'static str) -> Result<u16, DecodeError> {
        Ok(u16::from_le_bytes(self.array(what)?))
    }

    /// Four bytes, little endian.
    pub fn u32(&mut self, what: &'static str) -> Result<u32, DecodeError> {
        Ok(u32::from_le_bytes(self.array(what)?))
    }

    /// Four bytes, little endian, signed.
    pub fn i32(&mut self, what: &'static str) -> Result<i32, DecodeError> {
        Ok(i32::from_le_bytes(self.array(what)?))
    }

    /// Eight bytes, little endian.
    pub fn u64(&mut self, what: &'static str) -> Result<u64, DecodeError> {
        Ok(u64::from_le_bytes(self.array(what)?))
    }
}

/// Appends to a vector that the caller owns and may reuse.
#[derive(Debug)]
pub struct Writer<'a> {
    out: &'a mut Vec<u8>,
    start: usize,
}

impl<'a> Writer<'a> {
    /// Appends behind what `out` already holds.
    pub const fn new(out: &'a mut Vec<u8>) -> Self {
        let start = out.len();
        Self { out, start }
    }

    /// Bytes written through this writer.
    #[must_use]
    pub const fn written(&self) -> usize {
        self.out.len() - self.start
    }

    /// Raw bytes.
    pub fn bytes(&mut self, b: &[u8]) {
        self.out.extend_from_slice(b);
    }

    /// `n` zero bytes: padding, or a field nobody reads.
    pub fn zeros(&mut self, n: usize) {
        self.out.resize(self.out.len() + n, 0);
    }

    /// `b` cut or zero-filled to exactly `n` bytes.
    pub fn fixed(&mut self, b: &[u8], n: usize) {
        let used = b.len().min(n);
        self.bytes(&b[..used]);
        self.zeros(n - used);
    }

    /// One byte.
    pub fn u8(&mut self, v: u8) {
        self.bytes(&[v]);
    }

    /// Two bytes, little endian.
    pub fn u16(&mut self, v: u16) {
        self.bytes(&v.to_le_bytes());
    }

    /// Four bytes, little endian.
    pub fn u32(&mut self, v: u32) {
        self.bytes(&v.to_le_bytes());
    }

    /// Four bytes, little endian, signed.
    pub fn i32(&mut self, v: i32) {
        self.bytes(&v.to_le_bytes());
    }

    /// Eight bytes, little endian.
    pub fn u64(&mut self, v: u64) {
        self.bytes(&v.to_le_bytes());
    }
}

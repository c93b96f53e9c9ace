//! Choices read from fuzz input, from its front to its end, so that seeds can be written by hand.

use arbitrary::Unstructured;

/// The rest of an input. What is asked for behind its end is zero.
#[derive(Debug)]
pub(crate) struct Feed<'a>(Unstructured<'a>);

impl<'a> Feed<'a> {
    pub(crate) fn new(data: &'a [u8]) -> Self {
        Self(Unstructured::new(data))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn u8(&mut self) -> u8 {
        self.0.arbitrary().unwrap_or(0)
    }

    pub(crate) fn u16(&mut self) -> u16 {
        self.0.arbitrary().unwrap_or(0)
    }

    pub(crate) fn u32(&mut self) -> u32 {
        self.0.arbitrary().unwrap_or(0)
    }

    pub(crate) fn u64(&mut self) -> u64 {
        self.0.arbitrary().unwrap_or(0)
    }

    /// Up to `len` bytes: those that are left.
    pub(crate) fn bytes(&mut self, len: usize) -> &'a [u8] {
        let len = len.min(self.0.len());
        self.0.bytes(len).unwrap_or(&[])
    }

    /// A length of one byte and as many bytes.
    pub(crate) fn short_bytes(&mut self) -> &'a [u8] {
        let len = usize::from(self.u8());
        self.bytes(len)
    }

    /// A length of two bytes and as many bytes.
    pub(crate) fn long_bytes(&mut self) -> &'a [u8] {
        let len = usize::from(self.u16());
        self.bytes(len)
    }

    /// One of a list's items.
    pub(crate) fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[usize::from(self.u8()) % items.len()]
    }

    /// A number near `base`, or any number at all: one byte of distance, four bytes behind the distance -128.
    pub(crate) fn near(&mut self, base: u32) -> u32 {
        match self.u8().cast_signed() {
            i8::MIN => self.u32(),
            distance => base.wrapping_add_signed(distance.into()),
        }
    }
}

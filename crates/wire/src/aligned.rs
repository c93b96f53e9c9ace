//! Pieces that C's client and service structures share: almost every member starts on an eighth byte.
//!
//! Readers step over padding, whose content C leaves undefined; writers leave zeros.

use crate::codec::{DecodeError, Reader, Writer};
use crate::ids::{NodeId, RingId, RingSeq};
use crate::value::until_nul;

/// A `u8` with 7 bytes of padding.
pub(crate) fn get_u8(r: &mut Reader<'_>, what: &'static str) -> Result<u8, DecodeError> {
    let v = r.u8(what)?;
    r.skip(7, what)?;
    Ok(v)
}

/// A `u32` with 4 bytes of padding.
pub(crate) fn get_u32(r: &mut Reader<'_>, what: &'static str) -> Result<u32, DecodeError> {
    let v = r.u32(what)?;
    r.skip(4, what)?;
    Ok(v)
}

/// An `i32` with 4 bytes of padding.
pub(crate) fn get_i32(r: &mut Reader<'_>, what: &'static str) -> Result<i32, DecodeError> {
    get_u32(r, what).map(u32::cast_signed)
}

/// A ring id whose members are aligned: 16 bytes, unlike the ring protocol's 12.
pub(crate) fn get_ring(r: &mut Reader<'_>) -> Result<RingId, DecodeError> {
    Ok(RingId {
        rep: NodeId(get_u32(r, "ring id nodeid")?),
        seq: RingSeq(r.u64("ring id seq")?),
    })
}

/// `count` node ids without padding.
pub(crate) fn get_nodes(
    r: &mut Reader<'_>,
    count: u32,
    what: &'static str,
) -> Result<Vec<NodeId>, DecodeError> {
    let ids = get_array(r, count, 4, what)?;
    Ok(ids
        .chunks_exact(4)
        .map(|id| NodeId(u32::from_le_bytes([id[0], id[1], id[2], id[3]])))
        .collect())
}

/// `count` elements of `size` bytes. Only what the input holds can be counted, so callers may allocate for it.
pub(crate) fn get_array<'a>(
    r: &mut Reader<'a>,
    count: u32,
    size: usize,
    what: &'static str,
) -> Result<&'a [u8], DecodeError> {
    usize::try_from(count)
        .ok()
        .and_then(|count| count.checked_mul(size))
        .ok_or(DecodeError::Truncated { what })
        .and_then(|len| r.bytes(len, what))
}

/// `len` bytes, a length that the message itself states.
pub(crate) fn get_bytes<'a>(
    r: &mut Reader<'a>,
    len: u64,
    what: &'static str,
) -> Result<&'a [u8], DecodeError> {
    let len = usize::try_from(len).map_err(|_| DecodeError::Truncated { what })?;
    r.bytes(len, what)
}

/// A C string in an array of `n` bytes: what stands in front of its NUL. The last byte is never text: C reads on
/// behind an array without a NUL, so nobody sends one on purpose, and [`put_chars`] could not write it again
/// (`docs/deviations.md`, D-47).
pub(crate) fn get_chars<'a>(
    r: &mut Reader<'a>,
    n: usize,
    what: &'static str,
) -> Result<&'a [u8], DecodeError> {
    r.bytes(n, what).map(|array| until_nul(&array[..n - 1]))
}

/// A `u8` with 7 bytes of padding.
pub(crate) fn put_u8(w: &mut Writer<'_>, v: u8) {
    w.u64(u64::from(v));
}

/// A `u32` with 4 bytes of padding.
pub(crate) fn put_u32(w: &mut Writer<'_>, v: u32) {
    w.u64(u64::from(v));
}

/// An `i32` with 4 bytes of padding.
pub(crate) fn put_i32(w: &mut Writer<'_>, v: i32) {
    put_u32(w, v.cast_unsigned());
}

/// A ring id whose members are aligned.
pub(crate) fn put_ring(w: &mut Writer<'_>, ring: RingId) {
    put_u32(w, ring.rep.0);
    w.u64(ring.seq.0);
}

/// Node ids without padding.
pub(crate) fn put_nodes(w: &mut Writer<'_>, nodes: &[NodeId]) {
    for node in nodes {
        w.u32(node.0);
    }
}

/// A C string in an array of `n` bytes, cut so that a NUL always ends it.
pub(crate) fn put_chars(w: &mut Writer<'_>, text: &[u8], n: usize) {
    let text = until_nul(text);
    w.fixed(&text[..text.len().min(n - 1)], n);
}

/// A length as messages state it.
pub(crate) fn len32(len: usize) -> u32 {
    u32::try_from(len).expect("messages are bounded far below 4 GiB")
}

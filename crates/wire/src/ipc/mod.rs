//! What clients and the daemon say to each other (corosync `include/corosync/ipc_*.h`, v3.1.7).
//!
//! A client sends requests behind a [`RequestHeader`]. Most get one [`Answer`]; besides, the daemon sends events.
//! Answers and events have a [`ResponseHeader`]. Each service has a `Request` and, but for cmap's one event, an
//! `Event`; answers are a type each, as only the question tells which answer it is.
//!
//! Everything decodes from the start of a whole message. A size field that promises more than is there is an
//! error; a message ends where its size field says. Structures padded to 8 bytes whose list starts right behind
//! the last member are written as C does: the size counts the padding, which ends up behind the list.

use crate::aligned::{get_i32, get_u32, len32, put_i32, put_u32};
use crate::codec::{Decode, DecodeError, Encode, Reader, Writer};

pub mod cfg;
pub mod cmap;
pub mod cpg;
mod error;
pub mod quorum;
pub mod votequorum;

pub use error::CsError;

/// The 16 bytes in front of a request: `id i32@0, size i32@8` (`struct qb_ipc_request_header`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestHeader {
    /// Which of the service's requests; negative numbers are libqb's own.
    pub id: i32,
    /// Bytes of the whole request.
    pub size: u32,
}

impl RequestHeader {
    /// Bytes of the header.
    pub const LEN: usize = 16;
    /// The id with which a client says goodbye (libqb `include/qb/qbipc_common.h`, v2.0.6).
    pub const DISCONNECT: i32 = -3;

    fn new(id: i32, size: usize) -> Self {
        Self {
            id,
            size: len32(size),
        }
    }

    /// Reads the header of the request that `r` starts with; what follows it, up to the end that its size field
    /// states, is left to read in the second reader and taken out of `r`.
    pub fn open<'a>(r: &mut Reader<'a>) -> Result<(Self, Reader<'a>), DecodeError> {
        let header = Self::decode(r)?;
        let body = get_body(r, header.size, Self::LEN)?;
        Ok((header, body))
    }
}

impl Decode<'_> for RequestHeader {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            id: get_i32(r, "request id")?,
            size: get_u32(r, "request size")?,
        })
    }
}

impl Encode for RequestHeader {
    fn encode(&self, w: &mut Writer<'_>) {
        put_i32(w, self.id);
        put_u32(w, self.size);
    }
}

/// The 24 bytes in front of an answer or event: `id i32@0, size i32@8, error i32@16`
/// (`struct qb_ipc_response_header`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseHeader {
    /// Which of the service's answers and events.
    pub id: i32,
    /// Bytes of the whole message.
    pub size: u32,
    /// How the call ended. A code that nobody defined is read as [`CsError::Library`].
    pub status: Result<(), CsError>,
}

impl ResponseHeader {
    /// Bytes of the header.
    pub const LEN: usize = 24;

    /// The header of a message of `size` bytes in all.
    #[must_use]
    pub fn new(id: i32, size: usize, status: Result<(), CsError>) -> Self {
        Self {
            id,
            size: len32(size),
            status,
        }
    }

    /// The whole answer to a request that no service saw, which C gives id 0
    /// (corosync `exec/ipc_glue.c:cs_ipcs_msg_process`, v3.1.7).
    #[must_use]
    pub fn refusal(error: CsError) -> [u8; Self::LEN] {
        Self::new(0, Self::LEN, Err(error)).to_array()
    }

    /// As [`RequestHeader::open`].
    pub fn open<'a>(r: &mut Reader<'a>) -> Result<(Self, Reader<'a>), DecodeError> {
        let header = Self::decode(r)?;
        let body = get_body(r, header.size, Self::LEN)?;
        Ok((header, body))
    }

    /// The header as it travels.
    pub(crate) fn to_array(self) -> [u8; Self::LEN] {
        let mut out = [0; Self::LEN];
        out[..4].copy_from_slice(&self.id.to_le_bytes());
        out[8..12].copy_from_slice(&self.size.to_le_bytes());
        out[16..20].copy_from_slice(&CsError::code_of(self.status).to_le_bytes());
        out
    }
}

impl Decode<'_> for ResponseHeader {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            id: get_i32(r, "response id")?,
            size: get_u32(r, "response size")?,
            status: CsError::status(get_i32(r, "response error")?),
        })
    }
}

impl Encode for ResponseHeader {
    fn encode(&self, w: &mut Writer<'_>) {
        w.bytes(&self.to_array());
    }
}

fn get_body<'a>(r: &mut Reader<'a>, size: u32, head: usize) -> Result<Reader<'a>, DecodeError> {
    const WHAT: &str = "message size";
    let size = usize::try_from(size).map_err(|_| DecodeError::Truncated { what: WHAT })?;
    let body = size
        .checked_sub(head)
        .ok_or(DecodeError::BadValue { what: WHAT })?;
    r.bytes(body, WHAT).map(Reader::new)
}

/// The answer to a request: what was asked for, or why not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer<T>(pub Result<T, CsError>);

/// What an [`Answer`] holds behind its header.
pub trait Body<'a>: Sized {
    /// The answer's id.
    const ID: i32;
    /// Bytes of a whole answer that says no: C sends the structure all the same, its contents mean nothing.
    const FAILED_LEN: usize;

    /// Bytes of the body.
    fn body_len(&self) -> usize {
        Self::FAILED_LEN - ResponseHeader::LEN
    }

    /// Reads the body, which fills `r`.
    fn get(r: &mut Reader<'a>) -> Result<Self, DecodeError>;

    /// Writes exactly [`Body::body_len`] bytes.
    fn put(&self, w: &mut Writer<'_>);
}

impl<'a, T: Body<'a>> Encode for Answer<T> {
    fn encode(&self, w: &mut Writer<'_>) {
        match &self.0 {
            Ok(body) => {
                let size = ResponseHeader::LEN + body.body_len();
                ResponseHeader::new(T::ID, size, Ok(())).encode(w);
                let before = w.written();
                body.put(w);
                assert_eq!(w.written() - before, body.body_len(), "answer {}", T::ID);
            }
            Err(error) => {
                ResponseHeader::new(T::ID, T::FAILED_LEN, Err(*error)).encode(w);
                w.zeros(T::FAILED_LEN - ResponseHeader::LEN);
            }
        }
    }
}

impl<'a, T: Body<'a>> Decode<'a> for Answer<T> {
    fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let (header, mut body) = ResponseHeader::open(r)?;
        match header.status {
            Ok(()) if header.id == T::ID => T::get(&mut body).map(|body| Self(Ok(body))),
            Ok(()) => Err(DecodeError::BadValue { what: "answer id" }),
            // A refusal has id 0 and is shorter than the answer that was waited for.
            Err(error) => Ok(Self(Err(error))),
        }
    }
}

/// The body of an answer that says nothing but yes or no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Done<const ID: i32>;

impl<const ID: i32> Body<'_> for Done<ID> {
    const ID: i32 = ID;
    const FAILED_LEN: usize = ResponseHeader::LEN;

    fn get(_: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self)
    }

    fn put(&self, _: &mut Writer<'_>) {}
}

impl<const ID: i32> From<Result<(), CsError>> for Answer<Done<ID>> {
    fn from(status: Result<(), CsError>) -> Self {
        Self(status.map(|()| Done))
    }
}

/// The body of an answer that is one handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handle<const ID: i32>(pub u64);

impl<const ID: i32> Body<'_> for Handle<ID> {
    const ID: i32 = ID;
    const FAILED_LEN: usize = 32;

    fn get(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        r.u64("handle").map(Self)
    }

    fn put(&self, w: &mut Writer<'_>) {
        w.u64(self.0);
    }
}

/// The body of an answer that is one number of 4 bytes and their padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number<const ID: i32>(pub u32);

impl<const ID: i32> Body<'_> for Number<ID> {
    const ID: i32 = ID;
    const FAILED_LEN: usize = 32;

    fn get(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        r.u32("number").map(Self)
    }

    fn put(&self, w: &mut Writer<'_>) {
        put_u32(w, self.0);
    }
}

/// The error for a request or event that a service does not have.
const UNKNOWN_ID: DecodeError = DecodeError::BadValue { what: "message id" };

#[cfg(test)]
mod tests;

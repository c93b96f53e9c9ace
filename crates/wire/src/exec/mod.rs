//! Messages that services multicast to their peers (corosync `exec/*.c`, v3.1.7).
//!
//! Each travels as one totempg message behind the group header of [`crate::pg`] and starts with a [`Header`].
//! A service's `Message` decodes from and encodes to the whole of it, header included.

use crate::aligned::len32;
use crate::codec::{Decode, DecodeError, Encode, Reader, Writer};
use crate::ids::{NodeId, ServiceId};

pub mod cfg;
pub mod cmap;
pub mod cpg;
pub mod pload;
pub mod sync;
pub mod votequorum;
pub mod ykd;

/// The 16 bytes in front of every message: `id i32@0, size i32@8` (`struct qb_ipc_request_header`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Whose message it is: the upper half of the id.
    pub service: ServiceId,
    /// Which of the service's messages: the lower half of the id.
    pub function: u16,
    /// What the sender takes for the message's size. Nobody may rely on it: C leaves it unset in the load
    /// generator's start message and too large in its data (corosync `pload.c:pload_send_start`, v3.1.7).
    pub size: u32,
}

impl Header {
    /// Bytes on the wire.
    pub const LEN: usize = 16;

    /// The header of a message of `size` bytes in all.
    #[must_use]
    pub fn new(service: ServiceId, function: u16, size: usize) -> Self {
        Self {
            service,
            function,
            size: len32(size),
        }
    }

    const fn id(self) -> u32 {
        ((self.service.0 as u32) << 16) | self.function as u32
    }

    /// The header as it travels.
    pub(crate) fn to_array(self) -> [u8; Self::LEN] {
        let mut out = [0; Self::LEN];
        out[..4].copy_from_slice(&self.id().to_le_bytes());
        out[8..12].copy_from_slice(&self.size.to_le_bytes());
        out
    }

    /// Reads the header of a message that `service` got.
    fn expect(r: &mut Reader<'_>, service: ServiceId) -> Result<Self, DecodeError> {
        let header = Self::decode(r)?;
        if header.service == service {
            Ok(header)
        } else {
            Err(DecodeError::BadValue { what: "service id" })
        }
    }
}

impl Decode<'_> for Header {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let function = r.u16("message id")?;
        let service = ServiceId(r.u16("message id")?);
        r.skip(4, "message id")?;
        let size = r.u32("message size")?;
        r.skip(4, "message size")?;
        Ok(Self {
            service,
            function,
            size,
        })
    }
}

impl Encode for Header {
    fn encode(&self, w: &mut Writer<'_>) {
        w.bytes(&self.to_array());
    }
}

/// Who asked for a message (`mar_message_source_t`, 16 bytes: `nodeid u32@0, conn u64@8`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// The node whose client it was.
    pub nodeid: NodeId,
    /// The client's connection; means something on that node alone. C puts a pointer here.
    pub conn: u64,
}

impl Source {
    /// Bytes on the wire.
    pub const LEN: usize = 16;

    pub(crate) fn to_array(self) -> [u8; Self::LEN] {
        let mut out = [0; Self::LEN];
        out[..4].copy_from_slice(&self.nodeid.0.to_le_bytes());
        out[8..].copy_from_slice(&self.conn.to_le_bytes());
        out
    }
}

impl Decode<'_> for Source {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let nodeid = NodeId(r.u32("source nodeid")?);
        r.skip(4, "source nodeid")?;
        Ok(Self {
            nodeid,
            conn: r.u64("source connection")?,
        })
    }
}

impl Encode for Source {
    fn encode(&self, w: &mut Writer<'_>) {
        w.bytes(&self.to_array());
    }
}

/// The error for a function that a service does not have.
const UNKNOWN_FUNCTION: DecodeError = DecodeError::BadValue {
    what: "message function",
};

#[cfg(test)]
mod tests;

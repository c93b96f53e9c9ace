//! The load generator on the ring (corosync `exec/pload.c`, v3.1.7).

use super::{Header, UNKNOWN_FUNCTION};
use crate::codec::{Decode, DecodeError, Encode, Reader, Writer};
use crate::ids::ServiceId;

/// One message of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// 0: every node starts to send.
    Start {
        /// How many messages each.
        count: u32,
        /// Bytes of each, the 16 of its header included; at least those are sent.
        size: u32,
    },
    /// 1: load; what it holds means nothing.
    Mcast(&'a [u8]),
}

impl Message<'_> {
    /// Number of the message within the service.
    #[must_use]
    pub const fn function(&self) -> u16 {
        match self {
            Self::Start { .. } => 0,
            Self::Mcast(_) => 1,
        }
    }
}

impl<'a> Decode<'a> for Message<'a> {
    fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let header = Header::expect(r, ServiceId::PLOAD)?;
        match header.function {
            0 => Ok(Self::Start {
                count: r.u32("message count")?,
                size: r.u32("message size")?,
            }),
            1 => {
                let load = r.rest();
                r.skip(load.len(), "load")?;
                Ok(Self::Mcast(load))
            }
            _ => Err(UNKNOWN_FUNCTION),
        }
    }
}

impl Encode for Message<'_> {
    fn encode(&self, w: &mut Writer<'_>) {
        match self {
            Self::Start { count, size } => {
                Header::new(ServiceId::PLOAD, self.function(), 24).encode(w);
                w.u32(*count);
                w.u32(*size);
            }
            Self::Mcast(load) => {
                let size = Header::LEN + load.len();
                Header::new(ServiceId::PLOAD, self.function(), size).encode(w);
                w.bytes(load);
            }
        }
    }
}

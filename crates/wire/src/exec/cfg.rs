//! Administration on the ring (corosync `exec/cfg.c`, v3.1.7).

use super::{Header, Source, UNKNOWN_FUNCTION};
use crate::aligned::{get_u32, put_u32};
use crate::codec::{Decode, DecodeError, Encode, Reader, Writer};
use crate::ids::{NodeId, ServiceId};
use crate::names::Name;

/// One message of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// 0: meant nothing for long and is not sent any more.
    RingReenable(Source),
    /// 1: the named node ends at once.
    KillNode {
        /// The node.
        nodeid: NodeId,
        /// What its log is to say.
        reason: Name<'a>,
    },
    /// 2: the sender shuts down; the others log it.
    Shutdown,
    /// 3: every node reads its configuration file again.
    Reload(Source),
    /// 4: the sender is about to change its key.
    CryptoReconfig {
        /// 1 activates the new key, 2 forgets the old one.
        phase: u32,
    },
}

impl Message<'_> {
    /// [`Message::CryptoReconfig`]: send with the new key.
    pub const CRYPTO_ACTIVATE: u32 = 1;
    /// [`Message::CryptoReconfig`]: forget the old key.
    pub const CRYPTO_CLEANUP: u32 = 2;

    /// Number of the message within the service.
    #[must_use]
    pub const fn function(&self) -> u16 {
        match self {
            Self::RingReenable(_) => 0,
            Self::KillNode { .. } => 1,
            Self::Shutdown => 2,
            Self::Reload(_) => 3,
            Self::CryptoReconfig { .. } => 4,
        }
    }

    const fn size(&self) -> usize {
        match self {
            Self::RingReenable(_) | Self::Reload(_) => 32,
            Self::KillNode { .. } => 288,
            Self::Shutdown => 16,
            Self::CryptoReconfig { .. } => 24,
        }
    }
}

impl<'a> Decode<'a> for Message<'a> {
    fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let header = Header::expect(r, ServiceId::CFG)?;
        Ok(match header.function {
            0 => Self::RingReenable(Source::decode(r)?),
            1 => Self::KillNode {
                nodeid: NodeId(get_u32(r, "nodeid")?),
                reason: Name::decode(r)?,
            },
            2 => Self::Shutdown,
            3 => Self::Reload(Source::decode(r)?),
            4 => Self::CryptoReconfig {
                phase: r.u32("crypto phase")?,
            },
            _ => return Err(UNKNOWN_FUNCTION),
        })
    }
}

impl Encode for Message<'_> {
    fn encode(&self, w: &mut Writer<'_>) {
        Header::new(ServiceId::CFG, self.function(), self.size()).encode(w);
        match self {
            Self::RingReenable(source) | Self::Reload(source) => source.encode(w),
            Self::KillNode { nodeid, reason } => {
                put_u32(w, nodeid.0);
                reason.encode(w);
            }
            Self::Shutdown => {}
            Self::CryptoReconfig { phase } => put_u32(w, *phase),
        }
    }
}

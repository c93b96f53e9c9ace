//! What Ferrosync nodes tell each other of themselves after every membership change.
//!
//! Sent to [`crate::pg::Group::Ferrosync`], which C nodes ignore. What is not compatible with C is used
//! only while every member of the ring has announced it.

use crate::codec::{Decode, DecodeError, Encode, Reader, Writer};
use crate::ids::{NodeId, RingId};

/// One node's announcement: 24 bytes, `format u32@0, ring id 12@4, capabilities u64@16`. Longer ones are of later
/// versions and start the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// The ring for which it holds.
    pub ring: RingId,
    /// What the node can do.
    pub capabilities: Capabilities,
}

/// A set of abilities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities(pub u64);

impl Capabilities {
    /// A message of which a part was sent before the membership change is sent again whole, and its part forgotten.
    pub const WHOLE_MESSAGES: Self = Self(1);

    /// A stranger is gathered with when all members have reported it, see [`StrangerReport`].
    pub const STRANGERS: Self = Self(2);

    /// Both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` is in it.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// One member hears a node outside the ring: 20 bytes, `format u32@0, ring id 12@4, node id u32@16`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StrangerReport {
    /// The ring for which it holds.
    pub ring: RingId,
    /// Who is heard.
    pub stranger: NodeId,
}

/// A message among Ferrosync nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// What the sender can do.
    Announcement(Announcement),
    /// Whom the sender hears.
    Stranger(StrangerReport),
}

impl Decode<'_> for Notice {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match r.u32("notice format")? {
            ANNOUNCEMENT => Ok(Self::Announcement(Announcement {
                ring: RingId::decode(r)?,
                capabilities: Capabilities(r.u64("capabilities")?),
            })),
            STRANGER => Ok(Self::Stranger(StrangerReport {
                ring: RingId::decode(r)?,
                stranger: NodeId(r.u32("stranger")?),
            })),
            _ => Err(DecodeError::BadValue {
                what: "notice format",
            }),
        }
    }
}

impl Encode for Notice {
    fn encode(&self, w: &mut Writer<'_>) {
        match self {
            Self::Announcement(announcement) => {
                w.u32(ANNOUNCEMENT);
                announcement.ring.encode(w);
                w.u64(announcement.capabilities.0);
            }
            Self::Stranger(report) => {
                w.u32(STRANGER);
                report.ring.encode(w);
                w.u32(report.stranger.0);
            }
        }
    }
}

const ANNOUNCEMENT: u32 = 1;
const STRANGER: u32 = 2;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::RingSeq;

    const RING: RingId = RingId {
        rep: NodeId(3),
        seq: RingSeq(0x1_0000_0001),
    };

    #[test]
    fn notices_survive_a_round_trip() {
        let announcement = Notice::Announcement(Announcement {
            ring: RING,
            capabilities: Capabilities::WHOLE_MESSAGES,
        });
        let report = Notice::Stranger(StrangerReport {
            ring: RING,
            stranger: NodeId(7),
        });
        for (notice, length) in [(announcement, 24), (report, 20)] {
            let mut bytes = notice.to_vec();
            assert_eq!(bytes.len(), length);
            bytes.extend_from_slice(b"what a later version adds");
            let again = Notice::decode(&mut Reader::new(&bytes));
            assert_eq!(again, Ok(notice));
            assert!(Notice::decode(&mut Reader::new(&bytes[..length - 1])).is_err());
        }
    }

    #[test]
    fn a_notice_of_a_later_kind_is_not_understood() {
        let bytes = 3u32.to_le_bytes();
        assert!(Notice::decode(&mut Reader::new(&bytes)).is_err());
    }
}

//! What Ferrosync nodes tell each other of themselves after every membership change.
//!
//! Sent to the group of [`crate::pg::FERROSYNC_GROUP`], which C nodes ignore. What is not compatible with C is used
//! only while every member of the ring has announced it.

use crate::codec::{Decode, DecodeError, Encode, Reader, Writer};
use crate::ids::RingId;

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

    /// Whether all of `other` is in it.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl Decode<'_> for Announcement {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if r.u32("announcement format")? != FORMAT {
            return Err(DecodeError::BadValue {
                what: "announcement format",
            });
        }
        Ok(Self {
            ring: RingId::decode(r)?,
            capabilities: Capabilities(r.u64("capabilities")?),
        })
    }
}

impl Encode for Announcement {
    fn encode(&self, w: &mut Writer<'_>) {
        w.u32(FORMAT);
        self.ring.encode(w);
        w.u64(self.capabilities.0);
    }
}

const FORMAT: u32 = 1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{NodeId, RingSeq};

    #[test]
    fn an_announcement_survives_a_round_trip() {
        let announcement = Announcement {
            ring: RingId {
                rep: NodeId(3),
                seq: RingSeq(0x1_0000_0001),
            },
            capabilities: Capabilities::WHOLE_MESSAGES,
        };
        let mut bytes = announcement.to_vec();
        assert_eq!(bytes.len(), 24);
        bytes.extend_from_slice(b"what a later version adds");
        let again = Announcement::decode(&mut Reader::new(&bytes));
        assert_eq!(again, Ok(announcement));
        assert!(Announcement::decode(&mut Reader::new(&bytes[..23])).is_err());
    }
}

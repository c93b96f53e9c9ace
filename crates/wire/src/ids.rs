//! Identifiers that cross module boundaries; no bare `u32` does.

use core::fmt;

use crate::codec::{Decode, DecodeError, Encode, Reader, Writer};

/// A node's id as `corosync.conf` and every message carries it; 0 is never a real node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u32);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The 64-bit counter of a ring id; grows by 4 per membership and by 1 per start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RingSeq(pub u64);

impl fmt::Display for RingSeq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

/// Names one membership: who represents it and its sequence number.
///
/// 12 bytes on the wire, packed: `rep u32, seq u64` (corosync `totemsrp.c: struct memb_ring_id`, v3.1.7).
/// Ring ids are compared for identity only, hence no `Ord`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RingId {
    /// The representative: lowest node id of the membership when it was formed.
    pub rep: NodeId,
    /// The ring's sequence number.
    pub seq: RingSeq,
}

impl RingId {
    /// Bytes on the wire.
    pub const LEN: usize = 12;
    /// What C has before the first ring: all zero.
    pub const ZERO: Self = Self {
        rep: NodeId(0),
        seq: RingSeq(0),
    };
}

impl fmt::Display for RingId {
    /// As corosync logs it: `rep.seq`, both hexadecimal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}.{:x}", self.rep.0, self.seq.0)
    }
}

impl Decode<'_> for RingId {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            rep: NodeId(r.u32("ring id rep")?),
            seq: RingSeq(r.u64("ring id seq")?),
        })
    }
}

impl Encode for RingId {
    fn encode(&self, w: &mut Writer<'_>) {
        w.u32(self.rep.0);
        w.u64(self.seq.0);
    }
}

/// Index of a link (`ringX_addr`): 0..=7.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u8);

/// One client connection of this daemon; never reused while the daemon runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u64);

/// A service of the executive, numbered as in corosync `include/corosync/corodefs.h` (v3.1.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceId(pub u16);

impl ServiceId {
    /// The configuration map.
    pub const CMAP: Self = Self(0);
    /// Configuration and administration.
    pub const CFG: Self = Self(1);
    /// Closed process groups.
    pub const CPG: Self = Self(2);
    /// Quorum state, whichever provider decides it.
    pub const QUORUM: Self = Self(3);
    /// The load generator.
    pub const PLOAD: Self = Self(4);
    /// The voting quorum provider.
    pub const VOTEQUORUM: Self = Self(5);
    /// Resource monitoring.
    pub const MON: Self = Self(6);
    /// The watchdog.
    pub const WD: Self = Self(7);
}

//! Quorum for clients (corosync `include/corosync/ipc_quorum.h`, v3.1.7).

use super::{Done, Number, RequestHeader, ResponseHeader, UNKNOWN_ID};
use crate::aligned::{get_nodes, get_ring, get_u32, len32, put_nodes, put_ring, put_u32};
use crate::codec::{Decode, DecodeError, Encode, Reader, Writer};
use crate::ids::{NodeId, RingId, RingSeq};

/// Flag of a tracker: tell the state now (`CS_TRACK_CURRENT`).
pub const TRACK_CURRENT: u32 = 1;
/// Flag of a tracker: tell the state now and every change (`CS_TRACK_CHANGES`).
pub const TRACK_CHANGES: u32 = 2;
/// Flag of a tracker: tell every change (`CS_TRACK_CHANGES_ONLY`).
pub const TRACK_CHANGES_ONLY: u32 = 4;

/// One request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// 0: whether there is quorum.
    GetQuorate,
    /// 1: tell about changes.
    TrackStart {
        /// A set of the track flags.
        flags: u32,
    },
    /// 2: tell no more.
    TrackStop,
    /// 3: whether anybody decides about quorum.
    GetType,
    /// 4: choose the events' layout, 0 or 1, and ask as [`Request::GetType`].
    ModelGetType {
        /// The layout.
        model: u32,
    },
}

impl Request {
    /// Number of the request.
    #[must_use]
    pub const fn id(&self) -> i32 {
        match self {
            Self::GetQuorate => 0,
            Self::TrackStart { .. } => 1,
            Self::TrackStop => 2,
            Self::GetType => 3,
            Self::ModelGetType { .. } => 4,
        }
    }
}

impl Decode<'_> for Request {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (header, mut r) = RequestHeader::open(r)?;
        Ok(match header.id {
            0 => Self::GetQuorate,
            1 => Self::TrackStart {
                flags: r.u32("track flags")?,
            },
            2 => Self::TrackStop,
            3 => Self::GetType,
            4 => Self::ModelGetType {
                model: r.u32("model")?,
            },
            _ => return Err(UNKNOWN_ID),
        })
    }
}

impl Encode for Request {
    fn encode(&self, w: &mut Writer<'_>) {
        match *self {
            Self::GetQuorate | Self::TrackStop | Self::GetType => {
                RequestHeader::new(self.id(), 16).encode(w);
            }
            Self::TrackStart { flags: number } | Self::ModelGetType { model: number } => {
                RequestHeader::new(self.id(), 24).encode(w);
                put_u32(w, number);
            }
        }
    }
}

/// Answer to [`Request::GetQuorate`]: 1 with quorum, 0 without.
pub type Quorate = Number<0>;
/// Answer to [`Request::TrackStart`].
pub type TrackStarted = Done<1>;
/// Answer to [`Request::TrackStop`].
pub type TrackStopped = Done<2>;
/// Answer to [`Request::GetType`]: 1 with a provider, 0 without.
pub type Type = Number<4>;
/// Answer to [`Request::ModelGetType`]: 1 with a provider, 0 without.
pub type ModelType = Number<5>;

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// 3: quorum, layout 0.
    V0 {
        /// 1 with quorum, 0 without.
        quorate: u32,
        /// The ring's sequence number.
        ring_seq: RingSeq,
        /// The ring's members.
        view: Vec<NodeId>,
    },
    /// 6: quorum, layout 1.
    Quorum {
        /// 1 with quorum, 0 without.
        quorate: u32,
        /// The ring.
        ring: RingId,
        /// Its members.
        view: Vec<NodeId>,
    },
    /// 7: the membership, layout 1.
    NodeList {
        /// The ring.
        ring: RingId,
        /// Its members.
        members: Vec<NodeId>,
        /// Those of them that came.
        joined: Vec<NodeId>,
        /// Those that went.
        left: Vec<NodeId>,
    },
}

impl Decode<'_> for Event {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (header, mut body) = ResponseHeader::open(r)?;
        let r = &mut body;
        match header.id {
            3 => {
                let quorate = get_u32(r, "quorate")?;
                let ring_seq = RingSeq(r.u64("ring seq")?);
                let count = r.u32("view count")?;
                Ok(Self::V0 {
                    quorate,
                    ring_seq,
                    view: get_nodes(r, count, "view list")?,
                })
            }
            6 => {
                let quorate = get_u32(r, "quorate")?;
                let ring = get_ring(r)?;
                let count = r.u32("view count")?;
                Ok(Self::Quorum {
                    quorate,
                    ring,
                    view: get_nodes(r, count, "view list")?,
                })
            }
            7 => get_node_list(r),
            _ => Err(UNKNOWN_ID),
        }
    }
}

fn get_node_list(r: &mut Reader<'_>) -> Result<Event, DecodeError> {
    let ring = get_ring(r)?;
    let members = get_u32(r, "member count")?;
    let joined = get_u32(r, "joined count")?;
    let left = r.u32("left count")?;
    Ok(Event::NodeList {
        ring,
        members: get_nodes(r, members, "member list")?,
        joined: get_nodes(r, joined, "joined list")?,
        left: get_nodes(r, left, "left list")?,
    })
}

impl Encode for Event {
    /// Behind each list stand the 4 bytes of padding that C's size counts in front of it.
    fn encode(&self, w: &mut Writer<'_>) {
        match self {
            Self::V0 {
                quorate,
                ring_seq,
                view,
            } => {
                ResponseHeader::new(3, 48 + 4 * view.len(), Ok(())).encode(w);
                put_u32(w, *quorate);
                w.u64(ring_seq.0);
                w.u32(len32(view.len()));
                put_nodes(w, view);
            }
            Self::Quorum {
                quorate,
                ring,
                view,
            } => {
                ResponseHeader::new(6, 56 + 4 * view.len(), Ok(())).encode(w);
                put_u32(w, *quorate);
                put_ring(w, *ring);
                w.u32(len32(view.len()));
                put_nodes(w, view);
            }
            Self::NodeList {
                ring,
                members,
                joined,
                left,
            } => {
                let count = members.len() + joined.len() + left.len();
                ResponseHeader::new(7, 64 + 4 * count, Ok(())).encode(w);
                put_ring(w, *ring);
                put_u32(w, len32(members.len()));
                put_u32(w, len32(joined.len()));
                w.u32(len32(left.len()));
                for list in [members, joined, left] {
                    put_nodes(w, list);
                }
            }
        }
        w.zeros(4);
    }
}

#[cfg(test)]
mod tests;

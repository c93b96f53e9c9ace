//! The voting quorum provider for clients (corosync `include/corosync/ipc_votequorum.h`, v3.1.7).

use super::{Body, Done, RequestHeader, ResponseHeader, UNKNOWN_ID};
use crate::aligned::{
    get_array, get_chars, get_nodes, get_ring, get_u32, len32, put_chars, put_nodes, put_ring,
    put_u32,
};
use crate::codec::{Decode, DecodeError, Encode, Reader, Writer};
use crate::exec::votequorum::DEVICE_NAME;
use crate::ids::{NodeId, RingId};

/// One request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request<'a> {
    /// 0: what is known of a node.
    GetInfo {
        /// The node; 0 for this one.
        nodeid: NodeId,
    },
    /// 1: how many votes to expect.
    SetExpected {
        /// The votes.
        votes: u32,
    },
    /// 2: how many votes a node has.
    SetVotes {
        /// The votes.
        votes: u32,
        /// The node.
        nodeid: NodeId,
    },
    /// 3: tell about changes.
    TrackStart {
        /// What the client calls its tracker.
        context: u64,
        /// A set of the track flags of [`super::quorum`].
        flags: u32,
    },
    /// 4: tell no more.
    TrackStop,
    /// 5: a quorum device comes.
    DeviceRegister {
        /// Its name.
        name: &'a [u8],
    },
    /// 6: it goes.
    DeviceUnregister {
        /// Its name.
        name: &'a [u8],
    },
    /// 7: it changes its name.
    DeviceUpdate {
        /// The name so far.
        old: &'a [u8],
        /// The name from now on.
        new: &'a [u8],
    },
    /// 8: it is alive, and votes.
    DevicePoll {
        /// Its name.
        name: &'a [u8],
        /// Anything but 0 gives its votes.
        cast_vote: u32,
        /// The ring that it knows.
        ring: RingId,
    },
    /// 9: whether its vote decides a tie.
    DeviceMasterWins {
        /// Its name.
        name: &'a [u8],
        /// Anything but 0 does.
        allow: u32,
    },
}

impl Request<'_> {
    /// Number of the request.
    #[must_use]
    pub const fn id(&self) -> i32 {
        match self {
            Self::GetInfo { .. } => 0,
            Self::SetExpected { .. } => 1,
            Self::SetVotes { .. } => 2,
            Self::TrackStart { .. } => 3,
            Self::TrackStop => 4,
            Self::DeviceRegister { .. } => 5,
            Self::DeviceUnregister { .. } => 6,
            Self::DeviceUpdate { .. } => 7,
            Self::DevicePoll { .. } => 8,
            Self::DeviceMasterWins { .. } => 9,
        }
    }

    const fn size(&self) -> usize {
        match self {
            Self::GetInfo { .. } | Self::SetExpected { .. } | Self::SetVotes { .. } => 24,
            Self::TrackStart { .. } => 32,
            Self::TrackStop => 16,
            Self::DeviceRegister { .. } | Self::DeviceUnregister { .. } => 272,
            Self::DeviceUpdate { .. } => 528,
            Self::DevicePoll { .. } => 296,
            Self::DeviceMasterWins { .. } => 280,
        }
    }
}

impl<'a> Decode<'a> for Request<'a> {
    fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let (header, mut body) = RequestHeader::open(r)?;
        let r = &mut body;
        Ok(match header.id {
            0 => Self::GetInfo {
                nodeid: NodeId(r.u32("nodeid")?),
            },
            1 => Self::SetExpected {
                votes: r.u32("expected votes")?,
            },
            2 => Self::SetVotes {
                votes: r.u32("votes")?,
                nodeid: NodeId(r.u32("nodeid")?),
            },
            3 => Self::TrackStart {
                context: r.u64("context")?,
                flags: r.u32("track flags")?,
            },
            4 => Self::TrackStop,
            5 => Self::DeviceRegister { name: get_name(r)? },
            6 => Self::DeviceUnregister { name: get_name(r)? },
            7 => Self::DeviceUpdate {
                old: get_name(r)?,
                new: get_name(r)?,
            },
            8 => {
                let name = get_name(r)?;
                r.skip(1, "device name")?;
                Self::DevicePoll {
                    name,
                    cast_vote: get_u32(r, "cast vote")?,
                    ring: get_ring(r)?,
                }
            }
            9 => {
                let name = get_name(r)?;
                r.skip(1, "device name")?;
                Self::DeviceMasterWins {
                    name,
                    allow: r.u32("allow")?,
                }
            }
            _ => return Err(UNKNOWN_ID),
        })
    }
}

fn get_name<'a>(r: &mut Reader<'a>) -> Result<&'a [u8], DecodeError> {
    get_chars(r, DEVICE_NAME, "device name")
}

impl Encode for Request<'_> {
    fn encode(&self, w: &mut Writer<'_>) {
        RequestHeader::new(self.id(), self.size()).encode(w);
        match *self {
            Self::GetInfo { nodeid } => put_u32(w, nodeid.0),
            Self::SetExpected { votes } => put_u32(w, votes),
            Self::SetVotes { votes, nodeid } => {
                w.u32(votes);
                w.u32(nodeid.0);
            }
            Self::TrackStart { context, flags } => {
                w.u64(context);
                put_u32(w, flags);
            }
            Self::TrackStop => {}
            Self::DeviceRegister { name } | Self::DeviceUnregister { name } => put_name(w, name),
            Self::DeviceUpdate { old, new } => {
                put_chars(w, old, DEVICE_NAME);
                put_chars(w, new, DEVICE_NAME);
                w.zeros(2);
            }
            Self::DevicePoll {
                name,
                cast_vote,
                ring,
            } => {
                put_name(w, name);
                put_u32(w, cast_vote);
                put_ring(w, ring);
            }
            Self::DeviceMasterWins { name, allow } => {
                put_name(w, name);
                put_u32(w, allow);
            }
        }
    }
}

fn put_name(w: &mut Writer<'_>, name: &[u8]) {
    put_chars(w, name, DEVICE_NAME);
    w.zeros(1);
}

/// Answer to every request but [`Request::GetInfo`].
pub type Status = Done<0>;

/// A member of the cluster as this node sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeState(pub u32);

impl NodeState {
    /// It is in the ring.
    pub const MEMBER: Self = Self(1);
    /// It is not.
    pub const DEAD: Self = Self(2);
    /// It is about to go.
    pub const LEAVING: Self = Self(3);
}

/// Settings and state in an [`Info`], as a set of bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InfoFlags(pub u32);

impl InfoFlags {
    /// `two_node` is set.
    pub const TWONODE: Self = Self(1);
    /// There is quorum.
    pub const QUORATE: Self = Self(2);
    /// `wait_for_all` is set.
    pub const WAIT_FOR_ALL: Self = Self(4);
    /// `last_man_standing` is set.
    pub const LAST_MAN_STANDING: Self = Self(8);
    /// `auto_tie_breaker` is set.
    pub const AUTO_TIE_BREAKER: Self = Self(16);
    /// `allow_downscale` is set.
    pub const ALLOW_DOWNSCALE: Self = Self(32);
    /// The node has a quorum device.
    pub const QDEVICE_REGISTERED: Self = Self(64);
    /// It polls in time.
    pub const QDEVICE_ALIVE: Self = Self(128);
    /// It gives its votes.
    pub const QDEVICE_CAST_VOTE: Self = Self(256);
    /// Its vote decides a tie.
    pub const QDEVICE_MASTER_WINS: Self = Self(512);

    /// Whether every bit of `other` is set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// With the bits of `other`.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Answer to [`Request::GetInfo`] (`res_lib_votequorum_getinfo`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Info<'a> {
    /// The node.
    pub nodeid: NodeId,
    /// Whether it is there.
    pub state: NodeState,
    /// Its votes.
    pub votes: u32,
    /// The votes that it expects.
    pub expected_votes: u32,
    /// The most that any member expects.
    pub highest_expected: u32,
    /// The votes that are there.
    pub total_votes: u32,
    /// The votes that make quorum.
    pub quorum: u32,
    /// Settings and state.
    pub flags: InfoFlags,
    /// Votes of the quorum device.
    pub device_votes: u32,
    /// Its name; empty without one.
    pub device_name: &'a [u8],
}

impl<'a> Body<'a> for Info<'a> {
    const ID: i32 = 1;
    const FAILED_LEN: usize = 320;

    fn get(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self {
            nodeid: NodeId(r.u32("nodeid")?),
            state: NodeState(r.u32("state")?),
            votes: r.u32("votes")?,
            expected_votes: r.u32("expected votes")?,
            highest_expected: r.u32("highest expected")?,
            total_votes: r.u32("total votes")?,
            quorum: r.u32("quorum")?,
            flags: InfoFlags(r.u32("flags")?),
            device_votes: r.u32("device votes")?,
            device_name: get_name(r)?,
        })
    }

    fn put(&self, w: &mut Writer<'_>) {
        w.u32(self.nodeid.0);
        w.u32(self.state.0);
        w.u32(self.votes);
        w.u32(self.expected_votes);
        w.u32(self.highest_expected);
        w.u32(self.total_votes);
        w.u32(self.quorum);
        w.u32(self.flags.0);
        w.u32(self.device_votes);
        put_chars(w, self.device_name, DEVICE_NAME);
        w.zeros(5);
    }
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// 3: quorum and nodes.
    Quorum {
        /// 1 with quorum, 0 without.
        quorate: u32,
        /// What the client calls its tracker.
        context: u64,
        /// The nodes; node id 0 is the quorum device.
        nodes: Vec<(NodeId, NodeState)>,
    },
    /// 4: the expected votes changed.
    ExpectedVotes {
        /// What the client calls its tracker.
        context: u64,
        /// The votes.
        votes: u32,
    },
    /// 5: the membership.
    NodeList {
        /// What the client calls its tracker.
        context: u64,
        /// The ring.
        ring: RingId,
        /// Its members.
        nodes: Vec<NodeId>,
    },
}

impl Decode<'_> for Event {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (header, mut body) = ResponseHeader::open(r)?;
        let r = &mut body;
        match header.id {
            3 => get_quorum(r),
            4 => Ok(Self::ExpectedVotes {
                context: r.u64("context")?,
                votes: r.u32("expected votes")?,
            }),
            5 => {
                let context = r.u64("context")?;
                let ring = get_ring(r)?;
                let count = get_u32(r, "node count")?;
                Ok(Self::NodeList {
                    context,
                    ring,
                    nodes: get_nodes(r, count, "node list")?,
                })
            }
            _ => Err(UNKNOWN_ID),
        }
    }
}

fn get_quorum(r: &mut Reader<'_>) -> Result<Event, DecodeError> {
    let quorate = get_u32(r, "quorate")?;
    let context = r.u64("context")?;
    let count = get_u32(r, "node count")?;
    let mut list = Reader::new(get_array(r, count, 8, "node list")?);
    let node = |_| Ok((NodeId(list.u32("nodeid")?), NodeState(list.u32("state")?)));
    Ok(Event::Quorum {
        quorate,
        context,
        nodes: (0..count).map(node).collect::<Result<_, _>>()?,
    })
}

impl Encode for Event {
    fn encode(&self, w: &mut Writer<'_>) {
        match self {
            Self::Quorum {
                quorate,
                context,
                nodes,
            } => {
                ResponseHeader::new(3, 48 + 8 * nodes.len(), Ok(())).encode(w);
                put_u32(w, *quorate);
                w.u64(*context);
                put_u32(w, len32(nodes.len()));
                for (nodeid, state) in nodes {
                    w.u32(nodeid.0);
                    w.u32(state.0);
                }
            }
            Self::ExpectedVotes { context, votes } => {
                ResponseHeader::new(4, 40, Ok(())).encode(w);
                w.u64(*context);
                put_u32(w, *votes);
            }
            Self::NodeList {
                context,
                ring,
                nodes,
            } => {
                ResponseHeader::new(5, 56 + 4 * nodes.len(), Ok(())).encode(w);
                w.u64(*context);
                put_ring(w, *ring);
                put_u32(w, len32(nodes.len()));
                put_nodes(w, nodes);
            }
        }
    }
}

#[cfg(test)]
mod tests;

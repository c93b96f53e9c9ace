//! What closed process groups tell clients unasked.

use super::{Address, PieceKind, get_addresses};
use crate::aligned::{
    get_bytes, get_nodes, get_ring, get_u32, len32, put_nodes, put_ring, put_u32,
};
use crate::codec::{Decode, DecodeError, Encode, Reader, Writer};
use crate::ids::{NodeId, RingId};
use crate::ipc::{ResponseHeader, UNKNOWN_ID};
use crate::names::GroupName;

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// 4: the membership of a group changed.
    Confchg(Confchg),
    /// 5: a message to a group.
    Deliver(Deliver<'a>),
    /// 13: the membership of the ring.
    TotemConfchg(TotemConfchg),
    /// 17: a piece of a message to a group.
    PartialDeliver(PartialDeliver<'a>),
}

impl<'a> Decode<'a> for Event<'a> {
    fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let (header, mut body) = ResponseHeader::open(r)?;
        let r = &mut body;
        match header.id {
            4 => Confchg::get(r).map(Self::Confchg),
            5 => Deliver::get(r).map(Self::Deliver),
            13 => TotemConfchg::get(r).map(Self::TotemConfchg),
            17 => PartialDeliver::get(r).map(Self::PartialDeliver),
            _ => Err(UNKNOWN_ID),
        }
    }
}

impl Encode for Event<'_> {
    fn encode(&self, w: &mut Writer<'_>) {
        match self {
            Self::Confchg(event) => event.put(w),
            Self::Deliver(event) => {
                w.bytes(&event.head());
                w.bytes(event.data);
            }
            Self::TotemConfchg(event) => event.put(w),
            Self::PartialDeliver(event) => {
                w.bytes(&event.head());
                w.bytes(event.data);
            }
        }
    }
}

/// The membership of a group changed (`res_lib_cpg_confchg_callback`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confchg {
    /// The group.
    pub group: GroupName,
    /// Who is in it now.
    pub members: Vec<Address>,
    /// Who went.
    pub left: Vec<Address>,
    /// Who came; they are members too.
    pub joined: Vec<Address>,
}

impl Confchg {
    /// Bytes in front of the lists: members, left, joined. The counts stand in another order.
    pub const HEAD: usize = 184;

    fn get(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let group = GroupName::decode(r)?;
        let members = get_u32(r, "member count")?;
        let joined = get_u32(r, "joined count")?;
        let left = get_u32(r, "left count")?;
        Ok(Self {
            group,
            members: get_addresses(r, members)?,
            left: get_addresses(r, left)?,
            joined: get_addresses(r, joined)?,
        })
    }

    fn put(&self, w: &mut Writer<'_>) {
        let entries = self.members.len() + self.left.len() + self.joined.len();
        header(4, Self::HEAD + Address::LEN * entries).encode(w);
        self.group.encode(w);
        put_u32(w, len32(self.members.len()));
        put_u32(w, len32(self.joined.len()));
        put_u32(w, len32(self.left.len()));
        for list in [&self.members, &self.left, &self.joined] {
            for address in list {
                address.encode(w);
            }
        }
    }
}

/// Bytes in front of a message's data.
pub const DELIVER_HEAD: usize = 184;

/// A message to a group (`res_lib_cpg_deliver_callback`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deliver<'a> {
    /// The group.
    pub group: GroupName,
    /// The sender's node.
    pub nodeid: NodeId,
    /// The sender there.
    pub pid: u32,
    /// The message.
    pub data: &'a [u8],
}

impl<'a> Deliver<'a> {
    /// Everything in front of the data, header included, so that the data need not be copied.
    #[must_use]
    pub fn head(&self) -> [u8; DELIVER_HEAD] {
        let mut out = [0; DELIVER_HEAD];
        out[..24].copy_from_slice(&header(5, DELIVER_HEAD + self.data.len()).to_array());
        out[24..160].copy_from_slice(&self.group.to_array());
        out[160..164].copy_from_slice(&len32(self.data.len()).to_le_bytes());
        out[168..172].copy_from_slice(&self.nodeid.0.to_le_bytes());
        out[176..180].copy_from_slice(&self.pid.to_le_bytes());
        out
    }

    fn get(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let group = GroupName::decode(r)?;
        let msglen = get_u32(r, "msglen")?;
        Ok(Self {
            group,
            nodeid: NodeId(get_u32(r, "nodeid")?),
            pid: get_u32(r, "pid")?,
            data: get_bytes(r, msglen.into(), "message")?,
        })
    }
}

/// The membership of the ring (`res_lib_cpg_totem_confchg_callback`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TotemConfchg {
    /// The ring.
    pub ring: RingId,
    /// Its members.
    pub members: Vec<NodeId>,
}

impl TotemConfchg {
    fn get(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let ring = get_ring(r)?;
        let members = r.u32("member count")?;
        Ok(Self {
            ring,
            members: get_nodes(r, members, "member list")?,
        })
    }

    fn put(&self, w: &mut Writer<'_>) {
        header(13, 48 + 4 * self.members.len()).encode(w);
        put_ring(w, self.ring);
        w.u32(len32(self.members.len()));
        put_nodes(w, &self.members);
        w.zeros(4);
    }
}

/// Bytes in front of a piece's data.
pub const PARTIAL_DELIVER_HEAD: usize = 200;

/// A piece of a message to a group (`res_lib_cpg_partial_deliver_callback`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartialDeliver<'a> {
    /// The group.
    pub group: GroupName,
    /// Bytes of the whole message.
    pub msglen: u32,
    /// The sender's node.
    pub nodeid: NodeId,
    /// The sender there.
    pub pid: u32,
    /// Where the piece stands.
    pub kind: PieceKind,
    /// The piece.
    pub data: &'a [u8],
}

impl<'a> PartialDeliver<'a> {
    /// Everything in front of the data, header included.
    #[must_use]
    pub fn head(&self) -> [u8; PARTIAL_DELIVER_HEAD] {
        let mut out = [0; PARTIAL_DELIVER_HEAD];
        out[..24].copy_from_slice(&header(17, PARTIAL_DELIVER_HEAD + self.data.len()).to_array());
        out[24..160].copy_from_slice(&self.group.to_array());
        out[160..164].copy_from_slice(&self.msglen.to_le_bytes());
        out[168..172].copy_from_slice(&len32(self.data.len()).to_le_bytes());
        out[176..180].copy_from_slice(&self.nodeid.0.to_le_bytes());
        out[184..188].copy_from_slice(&self.pid.to_le_bytes());
        out[192..196].copy_from_slice(&self.kind.0.to_le_bytes());
        out
    }

    fn get(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let group = GroupName::decode(r)?;
        let msglen = get_u32(r, "msglen")?;
        let fraglen = get_u32(r, "fraglen")?;
        Ok(Self {
            group,
            msglen,
            nodeid: NodeId(get_u32(r, "nodeid")?),
            pid: get_u32(r, "pid")?,
            kind: PieceKind(get_u32(r, "type")?),
            data: get_bytes(r, fraglen.into(), "fragment")?,
        })
    }
}

fn header(id: i32, size: usize) -> ResponseHeader {
    ResponseHeader::new(id, size, Ok(()))
}

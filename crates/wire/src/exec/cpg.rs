//! Closed process groups on the ring (corosync `exec/cpg.c`, v3.1.7).

use super::{Header, Source, UNKNOWN_FUNCTION};
use crate::aligned::{get_bytes, get_nodes, get_u32, len32, put_nodes, put_u32};
use crate::codec::{Decode, DecodeError, Encode, Reader, Writer};
use crate::ids::{NodeId, ServiceId};
use crate::names::GroupName;
use crate::totem::NODES_MAX;

/// One message of the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// 0: a process joins a group; the reason is not read.
    ProcJoin(ProcChange),
    /// 1: a process leaves a group.
    ProcLeave(ProcChange),
    /// 2: every process of the sending node, during sync.
    JoinList(Vec<JoinEntry>),
    /// 3: a message to a group.
    Mcast(Mcast<'a>),
    /// 4: sent by versions before 2; ignored whatever it holds.
    DownlistOld,
    /// 5: which members the sending node lost, during sync.
    Downlist(Downlist),
    /// 6: a piece of a message to a group.
    PartialMcast(PartialMcast<'a>),
}

impl Message<'_> {
    /// Number of the message within the service.
    #[must_use]
    pub const fn function(&self) -> u16 {
        match self {
            Self::ProcJoin(_) => 0,
            Self::ProcLeave(_) => 1,
            Self::JoinList(_) => 2,
            Self::Mcast(_) => 3,
            Self::DownlistOld => 4,
            Self::Downlist(_) => 5,
            Self::PartialMcast(_) => 6,
        }
    }

    fn header(&self, size: usize) -> Header {
        Header::new(ServiceId::CPG, self.function(), size)
    }
}

impl<'a> Decode<'a> for Message<'a> {
    fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let header = Header::expect(r, ServiceId::CPG)?;
        Ok(match header.function {
            0 => Self::ProcJoin(ProcChange::decode(r)?),
            1 => Self::ProcLeave(ProcChange::decode(r)?),
            2 => Self::JoinList(get_join_list(r, header.size)?),
            3 => Self::Mcast(Mcast::decode_body(r)?),
            4 => Self::DownlistOld,
            5 => Self::Downlist(Downlist::decode(r)?),
            6 => Self::PartialMcast(PartialMcast::decode_body(r)?),
            _ => return Err(UNKNOWN_FUNCTION),
        })
    }
}

impl Encode for Message<'_> {
    fn encode(&self, w: &mut Writer<'_>) {
        match self {
            Self::ProcJoin(change) | Self::ProcLeave(change) => {
                self.header(ProcChange::LEN).encode(w);
                change.encode(w);
            }
            Self::JoinList(entries) => {
                self.header(JOIN_LIST_HEAD + JoinEntry::LEN * entries.len())
                    .encode(w);
                w.zeros(8);
                for entry in entries {
                    entry.encode(w);
                }
            }
            Self::Mcast(mcast) => {
                w.bytes(&mcast.head());
                w.bytes(mcast.data);
            }
            Self::DownlistOld => {
                self.header(DOWNLIST_OLD).encode(w);
                w.zeros(DOWNLIST_OLD - Header::LEN);
            }
            Self::Downlist(downlist) => {
                self.header(Downlist::LEN).encode(w);
                downlist.encode(w);
            }
            Self::PartialMcast(mcast) => {
                w.bytes(&mcast.head());
                w.bytes(mcast.data);
            }
        }
    }
}

/// Why a membership of a group changed, as clients see it too.
///
/// Peers' numbers are passed on unchanged: to drop a leave because of its reason would make memberships differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reason(pub u32);

impl Reason {
    /// No reason given; what clients see of unchanged members.
    pub const UNDEFINED: Self = Self(0);
    /// The process joined.
    pub const JOIN: Self = Self(1);
    /// The process left.
    pub const LEAVE: Self = Self(2);
    /// Its node left the membership.
    pub const NODEDOWN: Self = Self(3);
    /// Its node joined the membership.
    pub const NODEUP: Self = Self(4);
    /// The process died.
    pub const PROCDOWN: Self = Self(5);
}

/// A process joins or leaves (`req_exec_cpg_procjoin`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcChange {
    /// The group.
    pub group: GroupName,
    /// The process, on the sending node.
    pub pid: u32,
    /// Why.
    pub reason: Reason,
}

impl ProcChange {
    /// Bytes of the whole message.
    pub const LEN: usize = 168;
}

impl Decode<'_> for ProcChange {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            group: GroupName::decode(r)?,
            pid: get_u32(r, "pid")?,
            reason: Reason(get_u32(r, "reason")?),
        })
    }
}

impl Encode for ProcChange {
    fn encode(&self, w: &mut Writer<'_>) {
        self.group.encode(w);
        put_u32(w, self.pid);
        put_u32(w, self.reason.0);
    }
}

/// A process in a join list (`join_list_entry`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinEntry {
    /// The process.
    pub pid: u32,
    /// Its group.
    pub group: GroupName,
}

impl JoinEntry {
    /// Bytes on the wire.
    pub const LEN: usize = 144;
}

impl Decode<'_> for JoinEntry {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            pid: get_u32(r, "pid")?,
            group: GroupName::decode(r)?,
        })
    }
}

impl Encode for JoinEntry {
    fn encode(&self, w: &mut Writer<'_>) {
        put_u32(w, self.pid);
        self.group.encode(w);
    }
}

/// A join list is the one message whose header is a response's, 24 bytes, and whose size field counts
/// (corosync `cpg.c:message_handler_req_exec_cpg_joinlist`, v3.1.7).
fn get_join_list(r: &mut Reader<'_>, size: u32) -> Result<Vec<JoinEntry>, DecodeError> {
    r.skip(JOIN_LIST_HEAD - Header::LEN, "join list")?;
    let entries = u64::from(size).saturating_sub(JOIN_LIST_HEAD as u64);
    let mut entries = Reader::new(get_bytes(r, entries, "join list")?);
    let mut list = Vec::with_capacity(entries.rest().len() / JoinEntry::LEN);
    while !entries.rest().is_empty() {
        list.push(JoinEntry::decode(&mut entries)?);
    }
    Ok(list)
}

/// Bytes in front of a message's data.
pub const MCAST_HEAD: usize = 184;

/// A message to a group (`req_exec_cpg_mcast`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mcast<'a> {
    /// The group.
    pub group: GroupName,
    /// The sending process.
    pub pid: u32,
    /// The sending connection.
    pub source: Source,
    /// The message.
    pub data: &'a [u8],
}

impl<'a> Mcast<'a> {
    /// Everything in front of the data, header included, so that the data need not be copied.
    #[must_use]
    pub fn head(&self) -> [u8; MCAST_HEAD] {
        let mut out = [0; MCAST_HEAD];
        let header = Header::new(ServiceId::CPG, 3, MCAST_HEAD + self.data.len());
        out[..16].copy_from_slice(&header.to_array());
        out[16..152].copy_from_slice(&self.group.to_array());
        out[152..156].copy_from_slice(&len32(self.data.len()).to_le_bytes());
        out[160..164].copy_from_slice(&self.pid.to_le_bytes());
        out[168..].copy_from_slice(&self.source.to_array());
        out
    }

    fn decode_body(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let group = GroupName::decode(r)?;
        let msglen = get_u32(r, "msglen")?;
        Ok(Self {
            group,
            pid: get_u32(r, "pid")?,
            source: Source::decode(r)?,
            data: get_bytes(r, msglen.into(), "cpg message")?,
        })
    }
}

/// Where a piece stands in its message (`lib_cpg_partial_types`); receivers pass it to clients unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PieceKind(pub u32);

impl PieceKind {
    /// The first of several.
    pub const FIRST: Self = Self(1);
    /// Neither first nor last.
    pub const CONTINUED: Self = Self(2);
    /// The last.
    pub const LAST: Self = Self(3);
}

/// Bytes in front of a piece's data.
pub const PARTIAL_MCAST_HEAD: usize = 200;

/// A piece of a message to a group (`req_exec_cpg_partial_mcast`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartialMcast<'a> {
    /// The group.
    pub group: GroupName,
    /// Bytes of the whole message.
    pub msglen: u32,
    /// The sending process.
    pub pid: u32,
    /// Where the piece stands.
    pub kind: PieceKind,
    /// The sending connection.
    pub source: Source,
    /// The piece.
    pub data: &'a [u8],
}

impl<'a> PartialMcast<'a> {
    /// Everything in front of the data, header included.
    #[must_use]
    pub fn head(&self) -> [u8; PARTIAL_MCAST_HEAD] {
        let mut out = [0; PARTIAL_MCAST_HEAD];
        let header = Header::new(ServiceId::CPG, 6, PARTIAL_MCAST_HEAD + self.data.len());
        out[..16].copy_from_slice(&header.to_array());
        out[16..152].copy_from_slice(&self.group.to_array());
        out[152..156].copy_from_slice(&self.msglen.to_le_bytes());
        out[160..164].copy_from_slice(&len32(self.data.len()).to_le_bytes());
        out[168..172].copy_from_slice(&self.pid.to_le_bytes());
        out[176..180].copy_from_slice(&self.kind.0.to_le_bytes());
        out[184..].copy_from_slice(&self.source.to_array());
        out
    }

    fn decode_body(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let group = GroupName::decode(r)?;
        let msglen = get_u32(r, "msglen")?;
        let fraglen = get_u32(r, "fraglen")?;
        Ok(Self {
            group,
            msglen,
            pid: get_u32(r, "pid")?,
            kind: PieceKind(get_u32(r, "type")?),
            source: Source::decode(r)?,
            data: get_bytes(r, fraglen.into(), "cpg fragment")?,
        })
    }
}

/// Members that a node lost (`req_exec_cpg_downlist`); receivers only log it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Downlist {
    /// How many members the node had before.
    pub old_members: u32,
    /// Those that are gone, at most [`NODES_MAX`]; what goes beyond is not written.
    pub left: Vec<NodeId>,
}

impl Downlist {
    /// Bytes of the whole message.
    pub const LEN: usize = 1568;
}

impl Decode<'_> for Downlist {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let old_members = get_u32(r, "old members")?;
        let count = get_u32(r, "left nodes")?;
        if count > len32(NODES_MAX) {
            return Err(DecodeError::TooMany {
                what: "left nodes",
                count,
                max: len32(NODES_MAX),
            });
        }
        let mut left = get_nodes(r, len32(NODES_MAX), "left nodes")?;
        left.truncate(count as usize);
        Ok(Self { old_members, left })
    }
}

impl Encode for Downlist {
    fn encode(&self, w: &mut Writer<'_>) {
        let left = &self.left[..self.left.len().min(NODES_MAX)];
        put_u32(w, self.old_members);
        put_u32(w, len32(left.len()));
        put_nodes(w, left);
        w.zeros(4 * (NODES_MAX - left.len()));
    }
}

/// Bytes in front of a join list's entries.
const JOIN_LIST_HEAD: usize = 24;
/// Bytes of the old downlist.
const DOWNLIST_OLD: usize = 1560;

//! What clients ask of closed process groups.

use super::PieceKind;
use crate::aligned::{get_bytes, get_chars, get_u32, len32, put_chars, put_u32};
use crate::codec::{Decode, DecodeError, Encode, Reader, Writer};
use crate::ipc::{RequestHeader, UNKNOWN_ID};
use crate::names::GroupName;

/// Flag of [`Request::Join`]: tell the ring's membership once after joining
/// (`CPG_MODEL_V1_DELIVER_INITIAL_TOTEM_CONF`).
pub const JOIN_INITIAL_TOTEM_CONF: u32 = 1;

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request<'a> {
    /// 0: join a group.
    Join {
        /// The group.
        group: GroupName,
        /// The process as which to join.
        pid: u32,
        /// A set of flags.
        flags: u32,
    },
    /// 1: leave it.
    Leave {
        /// The group.
        group: GroupName,
        /// The process.
        pid: u32,
    },
    /// 2: send a message to the group; not answered.
    Mcast {
        /// How it is to be ordered; without effect.
        guarantee: u32,
        /// The message.
        data: &'a [u8],
    },
    /// 3: who is in a group.
    Membership {
        /// The group.
        group: GroupName,
    },
    /// 4: this node's id.
    LocalGet,
    /// 5: iterate over groups or processes.
    IterInit(IterScope),
    /// 6: the next one.
    IterNext {
        /// The iteration.
        handle: u64,
    },
    /// 7: enough.
    IterFinalize {
        /// The iteration.
        handle: u64,
    },
    /// 8: say goodbye.
    Finalize,
    /// 9: share memory.
    ZeroCopyAlloc {
        /// Bytes to map.
        map_size: u64,
        /// The file to map.
        path: &'a [u8],
    },
    /// 10: share it no longer.
    ZeroCopyFree {
        /// Bytes mapped.
        map_size: u64,
        /// What the daemon calls the mapping.
        server_address: u64,
    },
    /// 11: send the message that lies in shared memory.
    ZeroCopyExecute {
        /// What the daemon calls the mapping.
        server_address: u64,
    },
    /// 12: send a piece of a message to the group.
    PartialMcast {
        /// How it is to be ordered; without effect.
        guarantee: u32,
        /// Bytes of the whole message.
        msglen: u32,
        /// Where the piece stands.
        kind: PieceKind,
        /// The piece.
        data: &'a [u8],
    },
}

/// What an iteration goes over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IterScope {
    /// 1: every group once.
    Names,
    /// 2: the processes of one group.
    Group(GroupName),
    /// 3: the processes of all groups.
    All,
}

impl Request<'_> {
    /// Bytes in front of the data of [`Request::Mcast`].
    pub const MCAST_HEAD: usize = 40;
    /// Bytes in front of the data of [`Request::PartialMcast`].
    pub const PARTIAL_MCAST_HEAD: usize = 56;
    /// Array for the path of [`Request::ZeroCopyAlloc`], its NUL included (`CPG_ZC_PATH_LEN`).
    pub const PATH: usize = 128;

    /// Number of the request.
    #[must_use]
    pub const fn id(&self) -> i32 {
        match self {
            Self::Join { .. } => 0,
            Self::Leave { .. } => 1,
            Self::Mcast { .. } => 2,
            Self::Membership { .. } => 3,
            Self::LocalGet => 4,
            Self::IterInit(_) => 5,
            Self::IterNext { .. } => 6,
            Self::IterFinalize { .. } => 7,
            Self::Finalize => 8,
            Self::ZeroCopyAlloc { .. } => 9,
            Self::ZeroCopyFree { .. } => 10,
            Self::ZeroCopyExecute { .. } => 11,
            Self::PartialMcast { .. } => 12,
        }
    }

    /// Everything in front of the data of a [`Request::Mcast`] of `len` bytes, so that they need not be copied.
    #[must_use]
    pub fn mcast_head(guarantee: u32, len: usize) -> [u8; Request::<'static>::MCAST_HEAD] {
        let mut out = [0; Self::MCAST_HEAD];
        out[..4].copy_from_slice(&2_i32.to_le_bytes());
        out[8..12].copy_from_slice(&len32(Self::MCAST_HEAD + len).to_le_bytes());
        out[24..28].copy_from_slice(&guarantee.to_le_bytes());
        out[32..36].copy_from_slice(&len32(len).to_le_bytes());
        out
    }

    /// Everything in front of the data of a [`Request::PartialMcast`] of `len` bytes.
    #[must_use]
    pub fn partial_mcast_head(
        guarantee: u32,
        msglen: u32,
        kind: PieceKind,
        len: usize,
    ) -> [u8; Request::<'static>::PARTIAL_MCAST_HEAD] {
        let mut out = [0; Self::PARTIAL_MCAST_HEAD];
        out[..4].copy_from_slice(&12_i32.to_le_bytes());
        out[8..12].copy_from_slice(&len32(Self::PARTIAL_MCAST_HEAD + len).to_le_bytes());
        out[24..28].copy_from_slice(&guarantee.to_le_bytes());
        out[32..36].copy_from_slice(&msglen.to_le_bytes());
        out[40..44].copy_from_slice(&len32(len).to_le_bytes());
        out[48..52].copy_from_slice(&kind.0.to_le_bytes());
        out
    }

    const fn size(&self) -> usize {
        match self {
            Self::Join { .. } => 168,
            Self::Leave { .. } | Self::IterInit(_) => 160,
            Self::Mcast { data, .. } => Self::MCAST_HEAD + data.len(),
            Self::Membership { .. } | Self::ZeroCopyAlloc { .. } => 152,
            Self::LocalGet | Self::Finalize => 16,
            Self::IterNext { .. } | Self::IterFinalize { .. } | Self::ZeroCopyExecute { .. } => 24,
            Self::ZeroCopyFree { .. } => 32,
            Self::PartialMcast { data, .. } => Self::PARTIAL_MCAST_HEAD + data.len(),
        }
    }
}

impl<'a> Decode<'a> for Request<'a> {
    fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let (header, mut body) = RequestHeader::open(r)?;
        let r = &mut body;
        Ok(match header.id {
            0 => Self::Join {
                group: GroupName::decode(r)?,
                pid: get_u32(r, "pid")?,
                flags: r.u32("flags")?,
            },
            1 => Self::Leave {
                group: GroupName::decode(r)?,
                pid: r.u32("pid")?,
            },
            2 => get_mcast(r)?,
            3 => Self::Membership {
                group: GroupName::decode(r)?,
            },
            4 => Self::LocalGet,
            5 => Self::IterInit(IterScope::decode(r)?),
            6 => Self::IterNext {
                handle: r.u64("iteration handle")?,
            },
            7 => Self::IterFinalize {
                handle: r.u64("iteration handle")?,
            },
            8 => Self::Finalize,
            9 => Self::ZeroCopyAlloc {
                map_size: r.u64("map size")?,
                path: get_chars(r, Self::PATH, "path")?,
            },
            10 => Self::ZeroCopyFree {
                map_size: r.u64("map size")?,
                server_address: r.u64("server address")?,
            },
            11 => Self::ZeroCopyExecute {
                server_address: r.u64("server address")?,
            },
            12 => get_partial_mcast(r)?,
            _ => return Err(UNKNOWN_ID),
        })
    }
}

/// The header of messages is a response's: 8 bytes longer than that of other requests.
fn get_mcast<'a>(r: &mut Reader<'a>) -> Result<Request<'a>, DecodeError> {
    r.skip(8, "mcast header")?;
    let guarantee = get_u32(r, "guarantee")?;
    let msglen = get_u32(r, "msglen")?;
    Ok(Request::Mcast {
        guarantee,
        data: get_bytes(r, msglen.into(), "message")?,
    })
}

fn get_partial_mcast<'a>(r: &mut Reader<'a>) -> Result<Request<'a>, DecodeError> {
    r.skip(8, "mcast header")?;
    let guarantee = get_u32(r, "guarantee")?;
    let msglen = get_u32(r, "msglen")?;
    let fraglen = get_u32(r, "fraglen")?;
    Ok(Request::PartialMcast {
        guarantee,
        msglen,
        kind: PieceKind(get_u32(r, "type")?),
        data: get_bytes(r, fraglen.into(), "fragment")?,
    })
}

impl Decode<'_> for IterScope {
    /// Clients leave the group unset unless they ask for one (corosync `lib/cpg.c:cpg_iteration_initialize`,
    /// v3.1.7), so it is looked at only then.
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let group = r.bytes(GroupName::LEN, "group")?;
        match r.u32("iteration type")? {
            1 => Ok(Self::Names),
            2 => GroupName::decode(&mut Reader::new(group)).map(Self::Group),
            3 => Ok(Self::All),
            _ => Err(DecodeError::BadValue {
                what: "iteration type",
            }),
        }
    }
}

impl Encode for IterScope {
    fn encode(&self, w: &mut Writer<'_>) {
        let (group, kind) = match self {
            Self::Names => (&GroupName::EMPTY, 1),
            Self::Group(group) => (group, 2),
            Self::All => (&GroupName::EMPTY, 3),
        };
        group.encode(w);
        put_u32(w, kind);
    }
}

impl Encode for Request<'_> {
    fn encode(&self, w: &mut Writer<'_>) {
        RequestHeader::new(self.id(), self.size()).encode(w);
        match self {
            Self::Join { group, pid, flags } => {
                group.encode(w);
                put_u32(w, *pid);
                put_u32(w, *flags);
            }
            Self::Leave { group, pid } => {
                group.encode(w);
                put_u32(w, *pid);
            }
            Self::Mcast { guarantee, data } => {
                let head = Self::mcast_head(*guarantee, data.len());
                w.bytes(&head[RequestHeader::LEN..]);
                w.bytes(data);
            }
            Self::Membership { group } => group.encode(w),
            Self::LocalGet | Self::Finalize => {}
            Self::IterInit(scope) => scope.encode(w),
            Self::IterNext { handle } | Self::IterFinalize { handle } => w.u64(*handle),
            Self::ZeroCopyAlloc { map_size, path } => {
                w.u64(*map_size);
                put_chars(w, path, Self::PATH);
            }
            Self::ZeroCopyFree {
                map_size,
                server_address,
            } => {
                w.u64(*map_size);
                w.u64(*server_address);
            }
            Self::ZeroCopyExecute { server_address } => w.u64(*server_address),
            Self::PartialMcast {
                guarantee,
                msglen,
                kind,
                data,
            } => {
                let head = Self::partial_mcast_head(*guarantee, *msglen, *kind, data.len());
                w.bytes(&head[RequestHeader::LEN..]);
                w.bytes(data);
            }
        }
    }
}

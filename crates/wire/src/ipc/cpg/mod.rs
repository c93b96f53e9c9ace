//! Closed process groups for clients (corosync `include/corosync/ipc_cpg.h`, v3.1.7).

use super::{Body, Done, Handle, Number, ResponseHeader};
use crate::aligned::{get_array, get_u32, len32, put_u32};
use crate::codec::{Decode, DecodeError, Encode, Reader, Writer};
use crate::ids::NodeId;
use crate::names::GroupName;
use crate::totem::NODES_MAX;

mod event;
mod request;

pub use crate::exec::cpg::{PieceKind, Reason};
pub use event::{
    Confchg, DELIVER_HEAD, Deliver, Event, PARTIAL_DELIVER_HEAD, PartialDeliver, TotemConfchg,
};
pub use request::{IterScope, JOIN_INITIAL_TOTEM_CONF, Request};

/// A process of a group, as clients see it (`mar_cpg_address_t`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// Its node.
    pub nodeid: NodeId,
    /// Its process id there.
    pub pid: u32,
    /// Why it came or went; undefined for those that stay.
    pub reason: Reason,
}

impl Address {
    /// Bytes in messages.
    pub const LEN: usize = 24;
}

impl Decode<'_> for Address {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            nodeid: NodeId(get_u32(r, "address nodeid")?),
            pid: get_u32(r, "address pid")?,
            reason: Reason(get_u32(r, "address reason")?),
        })
    }
}

impl Encode for Address {
    fn encode(&self, w: &mut Writer<'_>) {
        put_u32(w, self.nodeid.0);
        put_u32(w, self.pid);
        put_u32(w, self.reason.0);
    }
}

fn get_addresses(r: &mut Reader<'_>, count: u32) -> Result<Vec<Address>, DecodeError> {
    let mut list = Reader::new(get_array(r, count, Address::LEN, "address list")?);
    (0..count).map(|_| Address::decode(&mut list)).collect()
}

/// Answer to [`Request::Join`].
pub type Joined = Done<0>;
/// Answer to [`Request::Leave`].
pub type Left = Done<1>;
/// Answer to [`Request::ZeroCopyExecute`]; [`Request::Mcast`] gets none.
pub type Sent = Done<2>;
/// Answer to [`Request::LocalGet`]: the node id.
pub type LocalNode = Number<7>;
/// Answer to [`Request::IterInit`].
pub type IterStarted = Handle<9>;
/// Answer to [`Request::IterFinalize`].
pub type IterEnded = Done<11>;
/// Answer to [`Request::Finalize`].
pub type Finalized = Done<12>;
/// Answer to [`Request::PartialMcast`].
pub type PartSent = Done<18>;
/// Answer to [`Request::ZeroCopyAlloc`] and [`Request::ZeroCopyFree`]. C leaves its status unset
/// (corosync `cpg.c:message_handler_req_lib_cpg_zc_alloc`, v3.1.7), so clients must not look at it.
pub type ZeroCopyDone = Done<0>;

/// Answer to [`Request::Membership`]: who is in the group, at most [`NODES_MAX`] processes; what goes beyond is
/// not written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership(pub Vec<Address>);

impl Body<'_> for Membership {
    const ID: i32 = 3;
    const FAILED_LEN: usize = 32 + Address::LEN * NODES_MAX;

    fn get(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let count = get_u32(r, "member count")?;
        get_addresses(r, count).map(Self)
    }

    fn put(&self, w: &mut Writer<'_>) {
        let members = &self.0[..self.0.len().min(NODES_MAX)];
        put_u32(w, len32(members.len()));
        for member in members {
            member.encode(w);
        }
        w.zeros(Address::LEN * (NODES_MAX - members.len()));
    }
}

/// Answer to [`Request::IterNext`]; at the end, [`super::CsError::NoSections`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IterItem {
    /// The group.
    pub group: GroupName,
    /// The process's node; 0 when only names are iterated.
    pub nodeid: NodeId,
    /// The process; 0 when only names are iterated.
    pub pid: u32,
}

impl Body<'_> for IterItem {
    const ID: i32 = 10;
    const FAILED_LEN: usize = ResponseHeader::LEN + 144;

    fn get(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            group: GroupName::decode(r)?,
            nodeid: NodeId(r.u32("iteration nodeid")?),
            pid: r.u32("iteration pid")?,
        })
    }

    fn put(&self, w: &mut Writer<'_>) {
        self.group.encode(w);
        w.u32(self.nodeid.0);
        w.u32(self.pid);
    }
}

/// What lies at the start of memory that a client shares for zero copy (`struct coroipcs_zc_header`):
/// `map_size i32@0, server_address u64@8`, then at [`ZeroCopy::MCAST`] a [`Request::Mcast`] whose header's id and
/// size nobody fills in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ZeroCopy {
    /// Bytes of the mapping; written by the client, 32 bits whatever its size.
    pub map_size: u32,
    /// What the daemon calls the mapping; the client returns it in its requests.
    pub server_address: u64,
}

impl ZeroCopy {
    /// Bytes of the header.
    pub const LEN: usize = 16;
    /// Offset of `server_address`.
    pub const SERVER_ADDRESS: usize = 8;
    /// Offset of the message.
    pub const MCAST: usize = 16;
    /// Offset of the message's `msglen`, a `u32`.
    pub const MSGLEN: usize = Self::MCAST + 32;
    /// Offset of the message's data.
    pub const DATA: usize = Self::MCAST + Request::MCAST_HEAD;
}

impl Decode<'_> for ZeroCopy {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            map_size: get_u32(r, "map size")?,
            server_address: r.u64("server address")?,
        })
    }
}

impl Encode for ZeroCopy {
    fn encode(&self, w: &mut Writer<'_>) {
        put_u32(w, self.map_size);
        w.u64(self.server_address);
    }
}

#[cfg(test)]
mod tests;

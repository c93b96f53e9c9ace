//! The voting quorum provider on the ring (corosync `exec/votequorum.c`, v3.1.7).

use super::{Header, UNKNOWN_FUNCTION};
use crate::aligned::{get_chars, put_chars};
use crate::codec::{Decode, DecodeError, Encode, Reader, Writer};
use crate::ids::{NodeId, ServiceId};

/// Array for a quorum device's name, its NUL included (`VOTEQUORUM_QDEVICE_MAX_NAME_LEN`).
pub const DEVICE_NAME: usize = 255;

/// One message of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// 0: what a node contributes.
    NodeInfo(NodeInfo),
    /// 1: a parameter changes at run time.
    Reconfigure(Reconfigure),
    /// 2: a quorum device registers or goes.
    DeviceReg {
        /// 0 unregisters, 1 registers; C ignores anything else.
        operation: u32,
        /// The device's name.
        name: &'a [u8],
    },
    /// 3: a quorum device changes its name.
    DeviceReconfigure {
        /// The name so far.
        old: &'a [u8],
        /// The name from now on.
        new: &'a [u8],
    },
}

impl Message<'_> {
    /// [`Message::DeviceReg`]: the device goes.
    pub const UNREGISTER: u32 = 0;
    /// [`Message::DeviceReg`]: the device registers.
    pub const REGISTER: u32 = 1;

    /// Number of the message within the service.
    #[must_use]
    pub const fn function(&self) -> u16 {
        match self {
            Self::NodeInfo(_) => 0,
            Self::Reconfigure(_) => 1,
            Self::DeviceReg { .. } => 2,
            Self::DeviceReconfigure { .. } => 3,
        }
    }

    const fn size(&self) -> usize {
        match self {
            Self::NodeInfo(_) | Self::Reconfigure(_) => 32,
            Self::DeviceReg { .. } => 280,
            Self::DeviceReconfigure { .. } => 528,
        }
    }
}

impl<'a> Decode<'a> for Message<'a> {
    fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let header = Header::expect(r, ServiceId::VOTEQUORUM)?;
        Ok(match header.function {
            0 => Self::NodeInfo(NodeInfo::decode(r)?),
            1 => Self::Reconfigure(Reconfigure::decode(r)?),
            2 => Self::DeviceReg {
                operation: r.u32("operation")?,
                name: get_chars(r, DEVICE_NAME, "device name")?,
            },
            3 => Self::DeviceReconfigure {
                old: get_chars(r, DEVICE_NAME, "old device name")?,
                new: get_chars(r, DEVICE_NAME, "new device name")?,
            },
            _ => return Err(UNKNOWN_FUNCTION),
        })
    }
}

impl Encode for Message<'_> {
    fn encode(&self, w: &mut Writer<'_>) {
        Header::new(ServiceId::VOTEQUORUM, self.function(), self.size()).encode(w);
        match *self {
            Self::NodeInfo(info) => info.encode(w),
            Self::Reconfigure(change) => change.encode(w),
            Self::DeviceReg { operation, name } => {
                w.u32(operation);
                put_chars(w, name, DEVICE_NAME);
                w.zeros(5);
            }
            Self::DeviceReconfigure { old, new } => {
                put_chars(w, old, DEVICE_NAME);
                put_chars(w, new, DEVICE_NAME);
                w.zeros(2);
            }
        }
    }
}

/// What a node, or the quorum device seen by it, contributes (`req_exec_quorum_nodeinfo`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeInfo {
    /// The node; 0 is the sender's quorum device.
    pub nodeid: NodeId,
    /// Its votes.
    pub votes: u32,
    /// Votes that it expects in all.
    pub expected_votes: u32,
    /// Its state.
    pub flags: NodeFlags,
}

impl Decode<'_> for NodeInfo {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            nodeid: NodeId(r.u32("nodeid")?),
            votes: r.u32("votes")?,
            expected_votes: r.u32("expected votes")?,
            flags: NodeFlags(r.u32("flags")?),
        })
    }
}

impl Encode for NodeInfo {
    fn encode(&self, w: &mut Writer<'_>) {
        w.u32(self.nodeid.0);
        w.u32(self.votes);
        w.u32(self.expected_votes);
        w.u32(self.flags.0);
    }
}

/// A node's state as a set of bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeFlags(pub u32);

impl NodeFlags {
    /// The node's partition has quorum.
    pub const QUORATE: Self = Self(1);
    /// The node shuts down and its votes may be forgotten.
    pub const LEAVING: Self = Self(2);
    /// The node still waits for all others.
    pub const WFASTATUS: Self = Self(4);
    /// The node has seen no other one yet.
    pub const FIRST: Self = Self(8);
    /// A quorum device is registered.
    pub const QDEVICE_REGISTERED: Self = Self(16);
    /// It polls in time.
    pub const QDEVICE_ALIVE: Self = Self(32);
    /// It gives its votes.
    pub const QDEVICE_CAST_VOTE: Self = Self(64);
    /// Its vote decides a tie.
    pub const QDEVICE_MASTER_WINS: Self = Self(128);

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

    /// Without the bits of `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

/// A parameter changes (`req_exec_quorum_reconfigure`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reconfigure {
    /// The node that it concerns.
    pub nodeid: NodeId,
    /// The new value.
    pub value: u32,
    /// Which parameter; C ignores numbers that it does not know.
    pub param: u8,
}

impl Reconfigure {
    /// `param`: votes that the cluster expects.
    pub const EXPECTED_VOTES: u8 = 1;
    /// `param`: votes of the node.
    pub const NODE_VOTES: u8 = 2;
    /// `param`: nobody waits for all any longer.
    pub const CANCEL_WAIT_FOR_ALL: u8 = 3;
}

impl Decode<'_> for Reconfigure {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            nodeid: NodeId(r.u32("nodeid")?),
            value: r.u32("value")?,
            param: r.u8("parameter")?,
        })
    }
}

impl Encode for Reconfigure {
    fn encode(&self, w: &mut Writer<'_>) {
        w.u32(self.nodeid.0);
        w.u32(self.value);
        w.u8(self.param);
        w.zeros(7);
    }
}

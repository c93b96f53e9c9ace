//! Administration for clients (corosync `include/corosync/ipc_cfg.h`, `cfg.h`, v3.1.7).

use super::{Body, CsError, Done, Number, RequestHeader, ResponseHeader, UNKNOWN_ID};
use crate::aligned::{get_array, get_chars, get_u32, len32, put_chars, put_u8, put_u32};
use crate::codec::{Decode, DecodeError, Encode, Reader, Writer};
use crate::ids::NodeId;
use crate::names::Name;

/// Flags of a wish to shut down (`corosync_cfg_shutdown_flags_t`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShutdownFlags(pub u32);

impl ShutdownFlags {
    /// Trackers may say no.
    pub const REQUEST: Self = Self(0);
    /// Trackers are told, but what they say does not count.
    pub const REGARDLESS: Self = Self(1);
    /// Trackers are not told.
    pub const IMMEDIATE: Self = Self(2);
}

/// One request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request<'a> {
    /// 0: the state of this node's links.
    RingStatusGet,
    /// 1: meant nothing for long.
    RingReenable,
    /// 2: end another node.
    KillNode {
        /// The node.
        nodeid: NodeId,
        /// What its log is to say.
        reason: Name<'a>,
    },
    /// 3: shut this node down.
    TryShutdown(ShutdownFlags),
    /// 4: a tracker's vote on that.
    ReplyToShutdown {
        /// 1 agrees, 0 does not.
        response: u32,
    },
    /// 5: a node's addresses.
    GetNodeAddrs {
        /// The node; 0 for this one.
        nodeid: NodeId,
    },
    /// 6: this node's id.
    LocalGet,
    /// 7: every node reads its configuration again.
    ReloadConfig,
    /// 8: open the log files again.
    ReopenLogFiles,
    /// 9: the state of a node's links.
    NodeStatusGet {
        /// The node.
        nodeid: NodeId,
        /// Layout of the answer; only 1 exists.
        version: u32,
    },
    /// 10: ask me before a shutdown.
    TrackStart {
        /// Not looked at.
        flags: u8,
    },
    /// 11: do not ask me.
    TrackStop,
}

impl Request<'_> {
    /// Number of the request.
    #[must_use]
    pub const fn id(&self) -> i32 {
        match self {
            Self::RingStatusGet => 0,
            Self::RingReenable => 1,
            Self::KillNode { .. } => 2,
            Self::TryShutdown(_) => 3,
            Self::ReplyToShutdown { .. } => 4,
            Self::GetNodeAddrs { .. } => 5,
            Self::LocalGet => 6,
            Self::ReloadConfig => 7,
            Self::ReopenLogFiles => 8,
            Self::NodeStatusGet { .. } => 9,
            Self::TrackStart { .. } => 10,
            Self::TrackStop => 11,
        }
    }

    const fn size(&self) -> usize {
        match self {
            Self::RingStatusGet
            | Self::RingReenable
            | Self::LocalGet
            | Self::ReloadConfig
            | Self::ReopenLogFiles
            | Self::TrackStop => 16,
            Self::KillNode { .. } => 288,
            Self::TryShutdown(_)
            | Self::ReplyToShutdown { .. }
            | Self::GetNodeAddrs { .. }
            | Self::TrackStart { .. } => 24,
            Self::NodeStatusGet { .. } => 32,
        }
    }
}

impl<'a> Decode<'a> for Request<'a> {
    fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let (header, mut body) = RequestHeader::open(r)?;
        let r = &mut body;
        Ok(match header.id {
            0 => Self::RingStatusGet,
            1 => Self::RingReenable,
            2 => Self::KillNode {
                nodeid: NodeId(get_u32(r, "nodeid")?),
                reason: Name::get_unpadded(r)?,
            },
            3 => Self::TryShutdown(ShutdownFlags(r.u32("shutdown flags")?)),
            4 => Self::ReplyToShutdown {
                response: r.u32("shutdown response")?,
            },
            5 => Self::GetNodeAddrs {
                nodeid: NodeId(r.u32("nodeid")?),
            },
            6 => Self::LocalGet,
            7 => Self::ReloadConfig,
            8 => Self::ReopenLogFiles,
            9 => Self::NodeStatusGet {
                nodeid: NodeId(get_u32(r, "nodeid")?),
                version: r.u32("version")?,
            },
            10 => Self::TrackStart {
                flags: r.u8("track flags")?,
            },
            11 => Self::TrackStop,
            _ => return Err(UNKNOWN_ID),
        })
    }
}

impl Encode for Request<'_> {
    fn encode(&self, w: &mut Writer<'_>) {
        RequestHeader::new(self.id(), self.size()).encode(w);
        match self {
            Self::RingStatusGet
            | Self::RingReenable
            | Self::LocalGet
            | Self::ReloadConfig
            | Self::ReopenLogFiles
            | Self::TrackStop => {}
            Self::KillNode { nodeid, reason } => {
                put_u32(w, nodeid.0);
                reason.put_unpadded(w);
                w.zeros(6);
            }
            Self::TryShutdown(flags) => put_u32(w, flags.0),
            Self::ReplyToShutdown { response } => put_u32(w, *response),
            Self::GetNodeAddrs { nodeid } => put_u32(w, nodeid.0),
            Self::NodeStatusGet { nodeid, version } => {
                put_u32(w, nodeid.0);
                put_u32(w, *version);
            }
            Self::TrackStart { flags } => put_u8(w, *flags),
        }
    }
}

/// Answer to [`Request::RingReenable`]; always [`CsError::NotSupported`].
pub type RingReenabled = Done<1>;
/// Answer to [`Request::TrackStart`].
pub type TrackStarted = Done<2>;
/// Answer to [`Request::TrackStop`].
pub type TrackStopped = Done<3>;
/// Answer to [`Request::KillNode`].
pub type NodeKilled = Done<8>;
/// Answer to [`Request::TryShutdown`].
pub type ShutdownTried = Done<9>;
/// Answer to [`Request::LocalGet`]: the node id.
pub type LocalNode = Number<12>;
/// Answer to [`Request::ReplyToShutdown`].
pub type ShutdownReplied = Done<13>;
/// Answer to [`Request::ReloadConfig`].
pub type ConfigReloaded = Done<14>;
/// Answer to [`Request::ReopenLogFiles`].
pub type LogFilesReopened = Done<15>;

/// Answer to [`Request::RingStatusGet`]: this node's links, at most [`RingStatus::MAX`]; what goes beyond is not
/// written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RingStatus<'a>(pub Vec<Interface<'a>>);

/// One link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interface<'a> {
    /// Its number, a blank, its address.
    pub name: &'a [u8],
    /// Its state in words or figures, as the transport has it.
    pub status: &'a [u8],
}

impl RingStatus<'_> {
    /// Most links in an answer (`CFG_MAX_INTERFACES`).
    pub const MAX: usize = 16;
    /// Array for a name, its NUL included (`CFG_INTERFACE_NAME_MAX_LEN`).
    pub const NAME: usize = 128;
    /// Array for a state, its NUL included (`CFG_INTERFACE_STATUS_MAX_LEN`).
    pub const STATUS: usize = 512;
}

impl<'a> Body<'a> for RingStatus<'a> {
    const ID: i32 = 0;
    const FAILED_LEN: usize = 32 + (Self::NAME + Self::STATUS) * Self::MAX;

    fn get(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        const WHAT: &str = "interface count";
        let count = get_u32(r, WHAT)?;
        let max = len32(Self::MAX);
        if count > max {
            return Err(DecodeError::TooMany {
                what: WHAT,
                count,
                max,
            });
        }
        let mut names = Reader::new(get_array(r, max, Self::NAME, "interface names")?);
        let interface = |_| {
            Ok(Interface {
                name: get_chars(&mut names, Self::NAME, "interface name")?,
                status: get_chars(r, Self::STATUS, "interface status")?,
            })
        };
        (0..count)
            .map(interface)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    fn put(&self, w: &mut Writer<'_>) {
        let interfaces = &self.0[..self.0.len().min(Self::MAX)];
        let unused = Self::MAX - interfaces.len();
        put_u32(w, len32(interfaces.len()));
        for interface in interfaces {
            put_chars(w, interface.name, Self::NAME);
        }
        w.zeros(Self::NAME * unused);
        for interface in interfaces {
            put_chars(w, interface.status, Self::STATUS);
        }
        w.zeros(Self::STATUS * unused);
    }
}

/// Answer to [`Request::GetNodeAddrs`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeAddrs {
    /// The addresses' family as the system numbers it.
    pub family: u32,
    /// An address per link, in network order; of IPv4 the first 4 bytes count.
    pub addresses: Vec<[u8; Self::ADDRESS]>,
}

impl NodeAddrs {
    /// Bytes of an address (`TOTEMIP_ADDRLEN`).
    pub const ADDRESS: usize = 16;
}

impl Body<'_> for NodeAddrs {
    const ID: i32 = 11;
    const FAILED_LEN: usize = 32;

    fn body_len(&self) -> usize {
        8 + Self::ADDRESS * self.addresses.len()
    }

    fn get(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let family = r.u32("address family")?;
        let count = r.u32("address count")?;
        let mut addresses = Reader::new(get_array(r, count, Self::ADDRESS, "addresses")?);
        Ok(Self {
            family,
            addresses: (0..count)
                .map(|_| addresses.array("address"))
                .collect::<Result<_, _>>()?,
        })
    }

    fn put(&self, w: &mut Writer<'_>) {
        w.u32(self.family);
        w.u32(len32(self.addresses.len()));
        for address in &self.addresses {
            w.bytes(address);
        }
    }
}

/// Answer to [`Request::NodeStatusGet`] in version 1; another version is [`CsError::NotSupported`]
/// (`struct corosync_cfg_node_status_v1`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeStatus<'a> {
    /// The node.
    pub nodeid: NodeId,
    /// Some link reaches it.
    pub reachable: bool,
    /// It is reached over another node.
    pub remote: bool,
    /// It does not belong to the cluster's own nodes.
    pub external: bool,
    /// Oldest kronosnet version that it speaks; 0 where unknown.
    pub onwire_min: u8,
    /// Newest kronosnet version that it speaks.
    pub onwire_max: u8,
    /// The kronosnet version in use.
    pub onwire_ver: u8,
    /// Its links by number.
    pub links: [LinkStatus<'a>; 8],
}

/// One link to a node (`struct corosync_knet_link_status_v1`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkStatus<'a> {
    /// It is configured and may be used.
    pub enabled: bool,
    /// It carries data.
    pub connected: bool,
    /// The other side told its address.
    pub dynconnected: bool,
    /// Bytes that fit its packets.
    pub mtu: u32,
    /// Address of this node.
    pub src: &'a [u8],
    /// Address of the other node.
    pub dst: &'a [u8],
}

impl NodeStatus<'_> {
    /// The layout's number.
    pub const VERSION: u32 = 1;
    /// Array for an address, its NUL included (`CFG_MAX_HOST_LEN`).
    pub const HOST: usize = 256;
}

impl<'a> Body<'a> for NodeStatus<'a> {
    const ID: i32 = 16;
    const FAILED_LEN: usize = 32;

    fn body_len(&self) -> usize {
        16 + LinkStatus::LEN * self.links.len()
    }

    fn get(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        if r.u32("status version")? != Self::VERSION {
            return Err(DecodeError::BadValue {
                what: "status version",
            });
        }
        let nodeid = NodeId(r.u32("nodeid")?);
        let [
            reachable,
            remote,
            external,
            onwire_min,
            onwire_max,
            onwire_ver,
            _,
            _,
        ] = r.array("node status")?;
        let mut links = [LinkStatus::default(); 8];
        for link in &mut links {
            *link = LinkStatus::decode(r)?;
        }
        Ok(Self {
            nodeid,
            reachable: reachable != 0,
            remote: remote != 0,
            external: external != 0,
            onwire_min,
            onwire_max,
            onwire_ver,
            links,
        })
    }

    fn put(&self, w: &mut Writer<'_>) {
        w.u32(Self::VERSION);
        w.u32(self.nodeid.0);
        w.u8(self.reachable.into());
        w.u8(self.remote.into());
        w.u8(self.external.into());
        w.u8(self.onwire_min);
        w.u8(self.onwire_max);
        w.u8(self.onwire_ver);
        w.zeros(2);
        for link in &self.links {
            link.encode(w);
        }
    }
}

impl LinkStatus<'_> {
    /// Bytes in the answer.
    pub const LEN: usize = 520;
}

impl<'a> Decode<'a> for LinkStatus<'a> {
    fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let [enabled, connected, dynconnected, _] = r.array("link status")?;
        Ok(Self {
            enabled: enabled != 0,
            connected: connected != 0,
            dynconnected: dynconnected != 0,
            mtu: r.u32("link mtu")?,
            src: get_chars(r, NodeStatus::HOST, "link source")?,
            dst: get_chars(r, NodeStatus::HOST, "link destination")?,
        })
    }
}

impl Encode for LinkStatus<'_> {
    fn encode(&self, w: &mut Writer<'_>) {
        w.u8(self.enabled.into());
        w.u8(self.connected.into());
        w.u8(self.dynconnected.into());
        w.zeros(1);
        w.u32(self.mtu);
        put_chars(w, self.src, NodeStatus::HOST);
        put_chars(w, self.dst, NodeStatus::HOST);
    }
}

/// Event 10, the only one: somebody wants to shut this node down (`res_lib_cfg_testshutdown`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TestShutdown {
    /// [`CsError::Timeout`] when trackers took too long to vote, which calls the shutdown off.
    pub status: Result<(), CsError>,
    /// How urgent it is.
    pub flags: ShutdownFlags,
}

impl TestShutdown {
    /// The event's number.
    pub const ID: i32 = 10;
}

impl Decode<'_> for TestShutdown {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (header, mut body) = ResponseHeader::open(r)?;
        if header.id != Self::ID {
            return Err(UNKNOWN_ID);
        }
        Ok(Self {
            status: header.status,
            flags: ShutdownFlags(body.u32("shutdown flags")?),
        })
    }
}

impl Encode for TestShutdown {
    fn encode(&self, w: &mut Writer<'_>) {
        ResponseHeader::new(Self::ID, 32, self.status).encode(w);
        put_u32(w, self.flags.0);
    }
}

#[cfg(test)]
mod tests;

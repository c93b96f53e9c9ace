//! Administration: links and nodes as the daemon sees them, and its orderly end.
//!
//! What `libcfg` calls `corosync_cfg_*` is a method of [`Cfg`] here.

use core::time::Duration;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, BorrowedFd};

use ferrosync_wire::ipc::cfg::{
    ConfigReloaded, Interface, LinkStatus, LocalNode, LogFilesReopened, NodeAddrs, NodeKilled,
    NodeStatus as WireNodeStatus, Request, RingStatus, ShutdownFlags, ShutdownReplied,
    ShutdownTried, TestShutdown, TrackStarted, TrackStopped,
};
use ferrosync_wire::ipc::{Body, Number};
use ferrosync_wire::{Decode, Name, NodeId, Reader};

use crate::connection::{Connection, Options};
use crate::error::{ConnectionError, service_error};

/// A connection.
#[derive(Debug)]
pub struct Cfg {
    connection: Connection,
}

service_error! {
    /// Why a call failed. Unless said otherwise nothing was done, and the connection is as it was.
    pub enum Error {
        /// No such node.
        NotFound = NotExist, "there is no such node";
        /// Nothing is voted on.
        NoBallot = Access, "nobody wants to shut this node down";
        /// A vote on another program's wish goes on.
        Voting = Exist, "a vote on a shutdown goes on";
        /// Programs that were asked said no, or said nothing in time.
        Vetoed = Busy, "other programs do not want this node to shut down";
        /// The new configuration is not acceptable; the daemon goes on with the old one.
        BadConfiguration = InvalidParam, "the new configuration is refused";
        /// The reason has more than 255 bytes.
        TooLong = NameTooLong, "the reason is too long";
    }
}

/// What the transport says of one of this node's links.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its number, a blank, its address.
    pub name: String,
    /// Its state in words or figures, as the transport has it.
    pub status: String,
}

/// A node as this one sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeStatus {
    /// The node.
    pub node: NodeId,
    /// Some link reaches it.
    pub reachable: bool,
    /// It is reached over another node.
    pub remote: bool,
    /// It does not belong to the cluster's own nodes.
    pub external: bool,
    /// Versions of kronosnet's protocol.
    pub onwire: Onwire,
    /// Its links by number.
    pub links: [PeerLink; Self::LINKS],
}

impl NodeStatus {
    /// Most links between two nodes (`CFG_MAX_LINKS`).
    pub const LINKS: usize = 8;
}

/// Versions of kronosnet's protocol; all 0 where unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Onwire {
    /// The oldest that a node speaks.
    pub min: u8,
    /// The newest that it speaks.
    pub max: u8,
    /// The one in use.
    pub current: u8,
}

/// One link to a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerLink {
    /// It is configured and may be used.
    pub enabled: bool,
    /// It carries data.
    pub connected: bool,
    /// The other side told its address.
    pub dynconnected: bool,
    /// Bytes that fit its packets.
    pub mtu: u32,
    /// Address of this node.
    pub source: String,
    /// Address of the other node.
    pub destination: String,
}

/// How much a shutdown depends on other programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// They may say no.
    Request,
    /// They are told, but what they say does not count.
    Regardless,
    /// They are not told.
    Immediate,
    /// The daemon says something else.
    Unknown(u32),
}

/// An answer to [`Event::ShutdownWanted`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vote {
    /// This program does not mind.
    Yes,
    /// It does.
    No,
}

/// What a connection that tracks is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Somebody wants to shut this node down; [`Cfg::vote`] answers.
    ShutdownWanted(Urgency),
    /// The vote took too long, and the shutdown is off.
    ShutdownOff(Urgency),
}

impl Cfg {
    /// Connects (`corosync_cfg_initialize`).
    ///
    /// # Errors
    /// [`Error::Connection`].
    pub fn connect(options: &Options) -> Result<Self, Error> {
        Ok(Self {
            connection: Connection::open("cfg", options)?,
        })
    }

    /// This node's id (`corosync_cfg_local_get`).
    ///
    /// # Errors
    /// [`Error::Connection`].
    pub fn local_node(&mut self) -> Result<NodeId, Error> {
        let Number(node) = self
            .connection
            .call::<LocalNode, Error>(&Request::LocalGet)?;
        Ok(NodeId(node))
    }

    /// This node's links (`corosync_cfg_ring_status_get`).
    ///
    /// # Errors
    /// [`Error::Connection`].
    pub fn links(&mut self) -> Result<Vec<Link>, Error> {
        let RingStatus(interfaces) = self.connection.call::<_, Error>(&Request::RingStatusGet)?;
        Ok(interfaces.iter().map(Link::from).collect())
    }

    /// A node and the links to it (`corosync_cfg_node_status_get`, version 1).
    ///
    /// # Errors
    /// [`Error::Other`]: C's daemon says [`FailedOperation`](crate::CsError::FailedOperation) for an unknown node.
    pub fn node_status(&mut self, node: NodeId) -> Result<NodeStatus, Error> {
        let request = Request::NodeStatusGet {
            nodeid: node,
            version: WireNodeStatus::VERSION,
        };
        let status = self
            .connection
            .call::<WireNodeStatus<'_>, Error>(&request)?;
        Ok(NodeStatus::from(&status))
    }

    /// A node's addresses by link (`corosync_cfg_get_node_addrs`); node 0 is this one. Unspecified addresses stand
    /// for links that the node does not have.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn node_addresses(&mut self, node: NodeId) -> Result<Vec<IpAddr>, Error> {
        let request = Request::GetNodeAddrs { nodeid: node };
        let found = self.connection.call::<NodeAddrs, Error>(&request)?;
        let family = found.family;
        let address = |bytes| address(family, bytes);
        found.addresses.into_iter().map(address).collect()
    }

    /// Ends the daemon of another node, or of this one (`corosync_cfg_kill_node`). The reason goes into its log.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a node that is not in the ring; [`Error::TooLong`].
    pub fn kill_node(&mut self, node: NodeId, reason: &str) -> Result<(), Error> {
        if reason.len() >= Name::ARRAY {
            return Err(Error::TooLong);
        }
        let reason = Name::new(reason.as_bytes());
        self.order::<NodeKilled>(&Request::KillNode {
            nodeid: node,
            reason,
        })
    }

    /// Makes every node read its configuration again (`corosync_cfg_reload_config`).
    ///
    /// # Errors
    /// [`Error::BadConfiguration`]; [`Error::Other`] where the file cannot be read.
    pub fn reload(&mut self) -> Result<(), Error> {
        self.order::<ConfigReloaded>(&Request::ReloadConfig)
    }

    /// Makes this node's daemon close its log files and open them again (`corosync_cfg_reopen_log_files`).
    ///
    /// # Errors
    /// [`Error::Connection`].
    pub fn reopen_log_files(&mut self) -> Result<(), Error> {
        self.order::<LogFilesReopened>(&Request::ReopenLogFiles)
    }

    /// Wants this node to leave the cluster and its daemon to end (`corosync_cfg_try_shutdown`). Blocks while
    /// other programs vote.
    ///
    /// # Errors
    /// [`Error::Vetoed`], [`Error::Voting`].
    pub fn shut_down(&mut self, urgency: Urgency) -> Result<(), Error> {
        self.order::<ShutdownTried>(&Request::TryShutdown(urgency.flags()))
    }

    /// From now on [`Self::dispatch`] tells of wishes to shut down, and a vote waits for this program
    /// (`corosync_cfg_trackstart`).
    ///
    /// # Errors
    /// [`Error::Connection`].
    pub fn track(&mut self) -> Result<(), Error> {
        self.order::<TrackStarted>(&Request::TrackStart { flags: 0 })
    }

    /// Tracks no longer (`corosync_cfg_trackstop`), which is a yes in a vote that goes on.
    ///
    /// # Errors
    /// [`Error::Connection`].
    pub fn untrack(&mut self) -> Result<(), Error> {
        self.order::<TrackStopped>(&Request::TrackStop)
    }

    /// Votes on a shutdown (`corosync_cfg_replyto_shutdown`).
    ///
    /// # Errors
    /// [`Error::NoBallot`].
    pub fn vote(&mut self, vote: Vote) -> Result<(), Error> {
        let response = (vote == Vote::Yes).into();
        self.order::<ShutdownReplied>(&Request::ReplyToShutdown { response })
    }

    /// The next event (`corosync_cfg_dispatch`), when one comes in time. A zero timeout does not wait.
    ///
    /// # Errors
    /// [`Error::Connection`].
    pub fn dispatch(&mut self, timeout: Duration) -> Result<Option<Event>, Error> {
        let Some(bytes) = self.connection.event(timeout)? else {
            return Ok(None);
        };
        let asked = TestShutdown::decode(&mut Reader::new(bytes)).map_err(ConnectionError::from)?;
        let urgency = asked.flags.into();
        Ok(Some(match asked.status {
            Ok(()) => Event::ShutdownWanted(urgency),
            Err(_) => Event::ShutdownOff(urgency),
        }))
    }

    /// A request whose answer holds nothing but how it went.
    fn order<T: for<'a> Body<'a>>(&mut self, request: &Request<'_>) -> Result<(), Error> {
        self.connection.call::<T, Error>(request).map(drop)
    }
}

impl AsFd for Cfg {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.connection.fd()
    }
}

impl Urgency {
    const fn flags(self) -> ShutdownFlags {
        match self {
            Self::Request => ShutdownFlags::REQUEST,
            Self::Regardless => ShutdownFlags::REGARDLESS,
            Self::Immediate => ShutdownFlags::IMMEDIATE,
            Self::Unknown(flags) => ShutdownFlags(flags),
        }
    }
}

impl From<ShutdownFlags> for Urgency {
    fn from(flags: ShutdownFlags) -> Self {
        match flags {
            ShutdownFlags::REQUEST => Self::Request,
            ShutdownFlags::REGARDLESS => Self::Regardless,
            ShutdownFlags::IMMEDIATE => Self::Immediate,
            ShutdownFlags(other) => Self::Unknown(other),
        }
    }
}

impl From<&Interface<'_>> for Link {
    fn from(interface: &Interface<'_>) -> Self {
        Self {
            name: text(interface.name),
            status: text(interface.status),
        }
    }
}

impl From<&WireNodeStatus<'_>> for NodeStatus {
    fn from(status: &WireNodeStatus<'_>) -> Self {
        Self {
            node: status.nodeid,
            reachable: status.reachable,
            remote: status.remote,
            external: status.external,
            onwire: Onwire {
                min: status.onwire_min,
                max: status.onwire_max,
                current: status.onwire_ver,
            },
            links: status.links.map(|link| PeerLink::from(&link)),
        }
    }
}

impl From<&LinkStatus<'_>> for PeerLink {
    fn from(link: &LinkStatus<'_>) -> Self {
        Self {
            enabled: link.enabled,
            connected: link.connected,
            dynconnected: link.dynconnected,
            mtu: link.mtu,
            source: text(link.src),
            destination: text(link.dst),
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// An address of a family as Linux numbers it; of IPv4 the first 4 bytes count.
fn address(family: u32, bytes: [u8; NodeAddrs::ADDRESS]) -> Result<IpAddr, Error> {
    let [a, b, c, d, ..] = bytes;
    match family {
        AF_INET => Ok(Ipv4Addr::new(a, b, c, d).into()),
        AF_INET6 => Ok(Ipv6Addr::from(bytes).into()),
        other => Err(ConnectionError::Protocol(format!("address family {other}")).into()),
    }
}

const AF_INET: u32 = 2;
const AF_INET6: u32 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_follow_their_family() {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&[10, 77, 0, 1]);
        assert_eq!(address(2, bytes).unwrap().to_string(), "10.77.0.1");
        assert_eq!(address(10, bytes).unwrap().to_string(), "a4d:1::");
        let error = address(1, bytes).unwrap_err();
        assert!(matches!(
            error,
            Error::Connection(ConnectionError::Protocol(_))
        ));
    }

    #[test]
    fn urgencies_are_flags() {
        for urgency in [
            Urgency::Request,
            Urgency::Regardless,
            Urgency::Immediate,
            Urgency::Unknown(7),
        ] {
            assert_eq!(Urgency::from(urgency.flags()), urgency);
        }
        assert_eq!(Urgency::Regardless.flags(), ShutdownFlags(1));
    }
}

//! The votes behind quorum: who has how many, how many are expected, and who may change that.
//!
//! What `libvotequorum` calls `votequorum_*` is a method of [`Votequorum`] here, those of quorum devices are under
//! [`Votequorum::device`]. The daemon offers this only where the configuration names `corosync_votequorum` as
//! quorum provider; elsewhere, connecting fails with [`ConnectionError::NotRunning`].

mod device;

use core::time::Duration;
use std::os::fd::{AsFd, BorrowedFd};

use ferrosync_wire::ipc::Done;
use ferrosync_wire::ipc::votequorum::{Event as WireEvent, Info as WireInfo, Request, Status};
use ferrosync_wire::{Decode, NodeId, Reader, RingId};

use crate::connection::{Connection, Options};
use crate::error::{ConnectionError, service_error};

pub use crate::quorum::Track;
pub use device::{Cast, Device, MasterWins};
pub use ferrosync_wire::ipc::votequorum::InfoFlags;

/// A connection.
#[derive(Debug)]
pub struct Votequorum {
    connection: Connection,
}

service_error! {
    /// Why a call failed. Unless said otherwise nothing was done, and the connection is as it was.
    pub enum Error {
        /// No such node, nothing is tracked, or the quorum device is not registered.
        NotFound = NotExist, "there is no such node, tracker or device";
        /// No such node to give votes to.
        UnknownNode = NameNotFound, "there is no such node";
        /// So many votes are not allowed: fewer than there are, or the cluster would lose its quorum. For quorum
        /// devices: this is not the name of the device.
        Invalid = InvalidParam, "such votes, or this name, are not allowed";
        /// This connection tracks already, or another quorum device is registered.
        AlreadyThere = Exist, "it is there already";
        /// The configuration allows no quorum device besides its settings.
        NoDevice = Access, "no quorum device is allowed";
        /// The quorum device voted on a ring that is gone.
        OldRing = MessageError, "this ring is gone";
    }
}

/// What is known of a node and its votes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    /// The node.
    pub node: NodeId,
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
    pub device_name: String,
}

/// Whether a node is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeState {
    /// It is in the ring.
    Member,
    /// It is not.
    Dead,
    /// It is about to go.
    Leaving,
    /// The daemon says something else.
    Unknown(u32),
}

/// What a connection is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The nodes of the ring changed; [`Event::Quorum`] follows.
    Nodes {
        /// The ring.
        ring: RingId,
        /// Its nodes.
        members: Vec<NodeId>,
    },
    /// Votes were counted.
    Quorum {
        /// Whether they suffice.
        quorate: bool,
        /// All nodes that were ever seen; node 0 is the quorum device.
        nodes: Vec<(NodeId, NodeState)>,
    },
    /// The expected votes changed.
    ExpectedVotes(u32),
}

impl Votequorum {
    /// Connects (`votequorum_initialize`).
    ///
    /// # Errors
    /// [`Error::Connection`].
    pub fn connect(options: &Options) -> Result<Self, Error> {
        Ok(Self {
            connection: Connection::open("votequorum", options)?,
        })
    }

    /// What is known of a node; node 0 is this one (`votequorum_getinfo`).
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn info(&mut self, node: NodeId) -> Result<Info, Error> {
        let request = Request::GetInfo { nodeid: node };
        let info = self.connection.call::<WireInfo<'_>, Error>(&request)?;
        Ok(Info::from(&info))
    }

    /// How many votes the cluster is to expect (`votequorum_setexpected`).
    ///
    /// # Errors
    /// [`Error::Invalid`].
    pub fn set_expected(&mut self, votes: u32) -> Result<(), Error> {
        self.change(&Request::SetExpected { votes })
    }

    /// Gives a node votes; node 0 is this one (`votequorum_setvotes`).
    ///
    /// # Errors
    /// [`Error::UnknownNode`], [`Error::Invalid`].
    pub fn set_votes(&mut self, node: NodeId, votes: u32) -> Result<(), Error> {
        self.change(&Request::SetVotes {
            votes,
            nodeid: node,
        })
    }

    /// From now on [`Self::dispatch`] tells (`votequorum_trackstart`).
    ///
    /// # Errors
    /// [`Error::AlreadyThere`].
    pub fn track(&mut self, what: Track) -> Result<(), Error> {
        let flags = what.flags();
        self.change(&Request::TrackStart { context: 0, flags })
    }

    /// Tracks no longer (`votequorum_trackstop`). Events that were on their way still come.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn untrack(&mut self) -> Result<(), Error> {
        self.change(&Request::TrackStop)
    }

    /// The quorum device of this name, for the program that is one.
    #[must_use]
    pub const fn device<'a>(&'a mut self, name: &'a str) -> Device<'a> {
        Device::new(self, name)
    }

    /// The next event (`votequorum_dispatch`), when one comes in time. A zero timeout does not wait.
    ///
    /// # Errors
    /// [`Error::Connection`].
    pub fn dispatch(&mut self, timeout: Duration) -> Result<Option<Event>, Error> {
        let Some(bytes) = self.connection.event(timeout)? else {
            return Ok(None);
        };
        let event = WireEvent::decode(&mut Reader::new(bytes)).map_err(ConnectionError::from)?;
        Ok(Some(event.into()))
    }

    fn change(&mut self, request: &Request<'_>) -> Result<(), Error> {
        let Done = self.connection.call::<Status, Error>(request)?;
        Ok(())
    }
}

impl AsFd for Votequorum {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.connection.fd()
    }
}

impl From<&WireInfo<'_>> for Info {
    fn from(info: &WireInfo<'_>) -> Self {
        Self {
            node: info.nodeid,
            state: info.state.into(),
            votes: info.votes,
            expected_votes: info.expected_votes,
            highest_expected: info.highest_expected,
            total_votes: info.total_votes,
            quorum: info.quorum,
            flags: info.flags,
            device_votes: info.device_votes,
            device_name: String::from_utf8_lossy(info.device_name).into_owned(),
        }
    }
}

impl From<ferrosync_wire::ipc::votequorum::NodeState> for NodeState {
    fn from(state: ferrosync_wire::ipc::votequorum::NodeState) -> Self {
        use ferrosync_wire::ipc::votequorum::NodeState as Wire;
        match state {
            Wire::MEMBER => Self::Member,
            Wire::DEAD => Self::Dead,
            Wire::LEAVING => Self::Leaving,
            Wire(other) => Self::Unknown(other),
        }
    }
}

impl From<WireEvent> for Event {
    fn from(event: WireEvent) -> Self {
        match event {
            WireEvent::Quorum { quorate, nodes, .. } => Self::Quorum {
                quorate: quorate != 0,
                nodes: nodes.into_iter().map(|(n, s)| (n, s.into())).collect(),
            },
            WireEvent::ExpectedVotes { votes, .. } => Self::ExpectedVotes(votes),
            WireEvent::NodeList { ring, nodes, .. } => Self::Nodes {
                ring,
                members: nodes,
            },
        }
    }
}

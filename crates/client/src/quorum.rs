//! Whether this part of the cluster may act.
//!
//! What `libquorum` calls `quorum_*` is a method of [`Quorum`] here; both of its models are there.

use core::time::Duration;
use std::os::fd::{AsFd, BorrowedFd};

use ferrosync_wire::ipc::quorum::{
    Event as WireEvent, ModelType, Quorate, Request, TRACK_CHANGES, TRACK_CHANGES_ONLY,
    TRACK_CURRENT, TrackStarted, TrackStopped, Type,
};
use ferrosync_wire::ipc::{Done, Number};
use ferrosync_wire::{Decode, NodeId, Reader, RingId, RingSeq};

use crate::connection::{Connection, Options};
use crate::error::{ConnectionError, service_error};

/// A connection.
#[derive(Debug)]
pub struct Quorum {
    connection: Connection,
    provider: Provider,
}

service_error! {
    /// Why a call failed. Unless said otherwise nothing was done, and the connection is as it was.
    pub enum Error {
        /// This connection tracks already. What was asked for is told all the same.
        AlreadyTracking = Exist, "quorum is tracked already";
        /// The daemon does not know the model.
        BadModel = InvalidParam, "the daemon does not know this model";
    }
}

/// What events tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Model {
    /// [`Event::V0`].
    V0,
    /// [`Event::Nodes`] and [`Event::Quorum`].
    V1,
}

/// Whether anybody decides about quorum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provider {
    /// Nobody: the cluster always has quorum.
    None,
    /// The configuration names a provider.
    Configured,
}

/// What to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Track {
    /// The state now, once.
    Current,
    /// The state now, and every change.
    Changes,
    /// Every change.
    ChangesOnly,
}

/// What a connection is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Model 0: quorum and the nodes that share it.
    V0 {
        /// Whether they have quorum.
        quorate: bool,
        /// Sequence number of their ring.
        ring_seq: RingSeq,
        /// The nodes.
        members: Vec<NodeId>,
    },
    /// Model 1: quorum and the nodes that share it.
    Quorum {
        /// Whether they have quorum.
        quorate: bool,
        /// Their ring.
        ring: RingId,
        /// The nodes.
        members: Vec<NodeId>,
    },
    /// Model 1: the nodes of the ring changed; [`Event::Quorum`] follows.
    Nodes {
        /// The ring.
        ring: RingId,
        /// Its nodes.
        members: Vec<NodeId>,
        /// Those of them that came.
        joined: Vec<NodeId>,
        /// Those that went.
        left: Vec<NodeId>,
    },
}

impl Quorum {
    /// Connects (`quorum_model_initialize`).
    ///
    /// # Errors
    /// [`Error::Connection`], [`Error::BadModel`].
    pub fn connect(model: Model, options: &Options) -> Result<Self, Error> {
        let mut connection = Connection::open("quorum", options)?;
        let number = match model {
            Model::V0 => {
                let Number(number) = connection.call::<Type, Error>(&Request::GetType)?;
                number
            }
            Model::V1 => {
                let request = Request::ModelGetType { model: 1 };
                let Number(number) = connection.call::<ModelType, Error>(&request)?;
                number
            }
        };
        let provider = match number {
            0 => Provider::None,
            _ => Provider::Configured,
        };
        Ok(Self {
            connection,
            provider,
        })
    }

    /// Whether anybody decides about quorum.
    #[must_use]
    pub const fn provider(&self) -> Provider {
        self.provider
    }

    /// Whether this part of the cluster has quorum (`quorum_getquorate`).
    ///
    /// # Errors
    /// [`Error::Connection`].
    pub fn is_quorate(&mut self) -> Result<bool, Error> {
        let Number(quorate) = self
            .connection
            .call::<Quorate, Error>(&Request::GetQuorate)?;
        Ok(quorate != 0)
    }

    /// From now on [`Self::dispatch`] tells (`quorum_trackstart`). Without a provider there is nothing to tell.
    ///
    /// # Errors
    /// [`Error::AlreadyTracking`].
    pub fn track(&mut self, what: Track) -> Result<(), Error> {
        let flags = what.flags();
        let Done = self
            .connection
            .call::<TrackStarted, Error>(&Request::TrackStart { flags })?;
        Ok(())
    }

    /// Tracks no longer (`quorum_trackstop`). Events that were on their way still come.
    ///
    /// # Errors
    /// [`Error::Connection`].
    pub fn untrack(&mut self) -> Result<(), Error> {
        let Done = self
            .connection
            .call::<TrackStopped, Error>(&Request::TrackStop)?;
        Ok(())
    }

    /// The next event (`quorum_dispatch`), when one comes in time. A zero timeout does not wait.
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
}

impl AsFd for Quorum {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.connection.fd()
    }
}

impl Track {
    pub(crate) const fn flags(self) -> u32 {
        match self {
            Self::Current => TRACK_CURRENT,
            Self::Changes => TRACK_CHANGES,
            Self::ChangesOnly => TRACK_CHANGES_ONLY,
        }
    }
}

impl From<WireEvent> for Event {
    fn from(event: WireEvent) -> Self {
        match event {
            WireEvent::V0 {
                quorate,
                ring_seq,
                view: members,
            } => Self::V0 {
                quorate: quorate != 0,
                ring_seq,
                members,
            },
            WireEvent::Quorum {
                quorate,
                ring,
                view: members,
            } => Self::Quorum {
                quorate: quorate != 0,
                ring,
                members,
            },
            WireEvent::NodeList {
                ring,
                members,
                joined,
                left,
            } => Self::Nodes {
                ring,
                members,
                joined,
                left,
            },
        }
    }
}

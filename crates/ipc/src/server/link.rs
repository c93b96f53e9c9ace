//! How messages of an open connection travel, behind one interface for both kinds.

use std::io;
use std::path::Path;

use ferrosync_wire::Reader;

use super::RequestHead;
use super::shm_link::ShmLink;
use super::socket_link::SocketLink;
use crate::handshake::{Accepted, Credentials, Kind};

/// The channels of one connection; dropping it says goodbye to the client and removes its files.
#[derive(Debug)]
pub(super) enum Link {
    Shm(ShmLink),
    Socket(SocketLink),
}

/// What waits at the front of the request channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Front {
    Empty,
    Waiting(RequestHead),
    /// Only messages of strangers so far; there may be more behind them.
    LookAgain,
}

/// Why a message did not go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unsent {
    /// The client has to make room.
    Full,
    /// The client's datagram socket is not there yet; nobody tells when it is.
    NotListening,
    /// Longer than any message of this connection may be.
    TooBig,
    /// The connection is to be closed.
    Broken,
}

/// The client did what no correct client does; the connection is to be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Broken;

/// What a new link is made from.
#[derive(Clone, Copy, Debug)]
pub(super) struct LinkRequest<'a> {
    pub(super) kind: Kind,
    pub(super) shm_dir: &'a Path,
    pub(super) service: &'a str,
    pub(super) client: Credentials,
    /// Number of the setup socket; part of the directory's name.
    pub(super) descriptor: i32,
    pub(super) max_msg_size: u32,
    /// The opaque number that the client is told.
    pub(super) connection: u64,
}

impl Link {
    pub(super) fn create(request: LinkRequest<'_>) -> io::Result<(Self, Accepted)> {
        match request.kind {
            Kind::Shm => ShmLink::create(request).map(|(link, told)| (Self::Shm(link), told)),
            Kind::Socket => {
                SocketLink::create(request).map(|(link, told)| (Self::Socket(link), told))
            }
        }
    }

    /// Looks at the next request without taking it; the same one until it is taken.
    pub(super) fn front(&mut self) -> Result<Front, Broken> {
        match self {
            Self::Shm(link) => link.front(),
            Self::Socket(link) => link.front(),
        }
    }

    /// Takes what [`Link::front`] showed.
    pub(super) fn take(&mut self, into: &mut Vec<u8>) -> Result<(), Broken> {
        match self {
            Self::Shm(link) => link.take(into),
            Self::Socket(link) => link.take(into),
        }
    }

    pub(super) fn respond(&mut self, parts: &[&[u8]]) -> Result<(), Unsent> {
        match self {
            Self::Shm(link) => link.respond(parts),
            Self::Socket(link) => link.respond(parts),
        }
    }

    pub(super) fn event(&mut self, parts: &[&[u8]]) -> Result<(), Unsent> {
        match self {
            Self::Shm(link) => link.event(parts),
            Self::Socket(link) => link.event(parts),
        }
    }

    /// Whether an event of `len` bytes would go out now, and leave room for more like it.
    pub(super) fn has_room(&mut self, len: usize) -> Result<bool, Broken> {
        match self {
            Self::Shm(link) => link.has_room(len),
            Self::Socket(link) => Ok(link.has_room()),
        }
    }

    pub(super) fn set_flow_control(&self, level: u32) {
        match self {
            Self::Shm(link) => link.set_flow_control(level),
            Self::Socket(link) => link.set_flow_control(level),
        }
    }

    /// Requests that wait, as far as the client tells the truth.
    pub(super) fn queued_requests(&self) -> u32 {
        match self {
            Self::Shm(link) => link.queued_requests(),
            Self::Socket(link) => link.queued_requests(),
        }
    }

    /// Differs from before when the client has taken an event and none was written meanwhile.
    pub(super) fn events_mark(&self) -> u32 {
        match self {
            Self::Shm(link) => link.events_mark(),
            Self::Socket(link) => link.queued_events(),
        }
    }

    /// Events that the client has not taken yet, as far as it tells the truth.
    pub(super) fn queued_events(&self) -> u32 {
        match self {
            Self::Shm(link) => link.queued_events(),
            Self::Socket(link) => link.queued_events(),
        }
    }
}

/// The header that every request begins with; `None` when the message is too short to have one.
pub(super) fn request_head(front: &[u8], len: usize) -> Option<RequestHead> {
    let mut r = Reader::new(front);
    let id = r.i32("request id").ok()?;
    r.skip(4, "padding").ok()?;
    let size = r.i32("request size").ok()?;
    r.skip(4, "padding").ok()?;
    Some(RequestHead { id, size, len })
}

/// Bytes of a request header (libqb `qbipc_common.h: struct qb_ipc_request_header`, aligned to 8).
pub(super) const REQUEST_HEAD_LEN: usize = 16;

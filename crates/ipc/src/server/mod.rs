//! The server: listening sockets, connections, and one ordered list of what happened.
//!
//! # Contract of the caller's loop
//!
//! ```text
//! loop {
//!     wait until server.as_fd() is readable, or, while server.wants_retry(), for RETRY_INTERVAL at most
//!     server.poll()?;
//!     while let Some(event) = server.next_event(&mut buf, admit) { ... accept, respond, event, close ... }
//!     server.flush();
//! }
//! ```
//!
//! Nothing here blocks. `next_event` ends when nothing is left or every connection had its share of this turn; what
//! is left then makes the descriptor readable at once after `flush`. `respond`, `event` and the others may be
//! called at any time; a `flush` must follow before the caller waits again.

mod accepting;
mod conn;
mod conns;
mod handshaking;
mod link;
mod shm_link;
mod socket_link;
mod token;
mod zerocopy;

use core::fmt;
use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use ferrosync_wire::{ConnId, ServiceId};
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::address::Addresses;
use crate::handshake::{Credentials, Kind, Limits};
use accepting::Listener;
use conn::{Conn, EventOutcome, Life, Listed, Open, Phase, Turn};
use conns::Conns;
use link::Unsent;
use token::{Source, source, token};
pub use zerocopy::ZeroCopyError;

/// How a server works.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where connections have their files; clients find them by absolute path. `/dev/shm`.
    pub shm_dir: PathBuf,
    /// How messages travel.
    pub kind: Kind,
    /// Where services listen.
    pub addresses: Addresses,
    /// How many connections are served.
    pub limits: Limits,
}

/// Serves libqb clients of any number of services.
#[derive(Debug)]
pub struct Server {
    options: Options,
    epoll: Epoll,
    /// Makes the epoll readable while work is left over from a turn.
    reminder: EventFd,
    reminded: bool,
    listeners: BTreeMap<ServiceId, Listener>,
    conns: Conns,
    /// Connections in the handshake, oldest first; bounded by dropping the oldest.
    handshaking: VecDeque<ConnId>,
    events: VecDeque<ServerEvent>,
    /// Connections that may have requests; each is in one of the three lists at most, and [`Listed`] says which.
    ready: VecDeque<ConnId>,
    deferred: VecDeque<ConnId>,
    stalled: Vec<ConnId>,
    /// Connections whose clients have to be notified.
    owing: Vec<ConnId>,
    /// Connections whose clients do not listen yet.
    unconnected: Vec<ConnId>,
    turn: u64,
    happened: Vec<EpollEvent>,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerEvent {
    /// Somebody asks to come in: answer with [`Server::accept`] or [`Server::refuse`].
    Connecting {
        /// The connection to be.
        conn: ConnId,
        /// What it wants to talk to.
        service: ServiceId,
        /// Who it is.
        credentials: Credentials,
    },
    /// A request is in the buffer.
    Request {
        /// From whom.
        conn: ConnId,
    },
    /// After [`SendError::Full`]: there is room for events again.
    Writable {
        /// Where.
        conn: ConnId,
    },
    /// The connection is over and its files are gone. Nothing follows for this id.
    Closed {
        /// Which.
        conn: ConnId,
    },
}

/// What a request claims, before it is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestHead {
    /// The message id in its header.
    pub id: i32,
    /// The size in its header; C's libraries put the size of the message there, but nobody forces a client to.
    pub size: i32,
    /// The size that it really has, in bytes; at least 16.
    pub len: usize,
}

/// Whether a request may be taken now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admit {
    /// Take it.
    Take,
    /// Leave it and everything behind it to the client until [`Server::retry_stalled`].
    Later,
}

/// Why a message did not go to the client. Nothing was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendError {
    /// The client has to read first. For events, [`ServerEvent::Writable`] follows, and until then every event gets
    /// this error. For responses nothing follows: a client that leaves so many unread is broken.
    Full,
    /// The message is longer than this client can take.
    TooBig,
    /// There is no such connection, or its end is near and [`ServerEvent::Closed`] follows.
    Gone,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "the client does not read",
            Self::TooBig => "the message is too long for the client",
            Self::Gone => "the client is gone",
        })
    }
}

impl std::error::Error for SendError {}

/// An open connection, for `stats.ipcs.*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnInfo<'a> {
    /// What it talks to.
    pub service: ServiceId,
    /// Who it is.
    pub credentials: Credentials,
    /// The client's program name, at most 15 bytes; empty when it was gone too soon.
    pub process_name: &'a str,
    /// What was counted.
    pub stats: ConnStats,
    /// Requests that wait, as far as the client tells the truth.
    pub queued_requests: u32,
    /// Events that the client has not taken, as far as it tells the truth.
    pub queued_events: u32,
}

/// Counters of a connection, named as in libqb `qbipcs.h: struct qb_ipcs_connection_stats` (v2.0.6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnStats {
    /// Requests taken.
    pub requests: u64,
    /// Responses sent.
    pub responses: u64,
    /// Events sent.
    pub events: u64,
    /// Responses and events that found no room.
    pub send_retries: u64,
    /// Times that a request was left to the client.
    pub recv_retries: u64,
    /// The flow control level.
    pub flow_control_state: u32,
    /// Changes of the flow control level.
    pub flow_control_count: u64,
}

impl Options {
    /// What every libqb server of this machine does by default.
    #[must_use]
    pub fn of_this_machine() -> Self {
        Self {
            shm_dir: PathBuf::from("/dev/shm"),
            kind: Kind::default(),
            addresses: Addresses::of_this_machine(),
            limits: Limits::default(),
        }
    }
}

impl Server {
    /// Serves nothing yet.
    ///
    /// # Errors
    /// The kernel refuses an epoll or event descriptor.
    pub fn new(options: Options) -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        let reminder = EventFd::from_flags(flags)?;
        let event = EpollEvent::new(EpollFlags::EPOLLIN, token(Source::Reminder));
        epoll.add(&reminder, event)?;
        Ok(Self {
            options,
            epoll,
            reminder,
            reminded: false,
            listeners: BTreeMap::new(),
            conns: Conns::default(),
            handshaking: VecDeque::new(),
            events: VecDeque::new(),
            ready: VecDeque::new(),
            deferred: VecDeque::new(),
            stalled: Vec::new(),
            owing: Vec::new(),
            unconnected: Vec::new(),
            turn: 0,
            happened: vec![EpollEvent::empty(); HAPPENINGS_PER_POLL],
        })
    }

    /// Readable when [`Server::poll`] has work.
    #[must_use]
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.0.as_fd()
    }

    /// Collects what happened since, without blocking, and begins a new turn.
    ///
    /// # Errors
    /// The event descriptor failed, which leaves the server useless.
    pub fn poll(&mut self) -> io::Result<()> {
        self.turn += 1;
        self.ready.append(&mut self.deferred);
        let mut happened = core::mem::take(&mut self.happened);
        let count = match self.epoll.wait(&mut happened, EpollTimeout::ZERO) {
            Ok(count) => count,
            Err(Errno::EINTR) => 0,
            Err(error) => {
                self.happened = happened;
                return Err(error.into());
            }
        };
        for event in &happened[..count] {
            self.handle(source(event.data()), event.events());
        }
        self.happened = happened;
        self.accept_clients();
        self.retry_unconnected();
        Ok(())
    }

    /// The next thing that happened. A request is copied once, out of the client's reach, into `buf`, which is
    /// cleared first; for other events `buf` means nothing.
    ///
    /// `admit` sees the connection and what the request claims before it is taken. After [`Admit::Later`] nothing
    /// more is read from this connection until [`Server::retry_stalled`]; when its client goes away meanwhile, the
    /// requests that it left are lost with it.
    pub fn next_event(
        &mut self,
        buf: &mut Vec<u8>,
        mut admit: impl FnMut(ConnId, RequestHead) -> Admit,
    ) -> Option<ServerEvent> {
        if let Some(event) = self.events.pop_front() {
            return Some(event);
        }
        while let Some(conn) = self.ready.pop_front() {
            if let Some(event) = self.serve(conn, buf, &mut admit) {
                return Some(event);
            }
        }
        None
    }

    /// The gate may have opened: looks at every stalled connection again.
    pub fn retry_stalled(&mut self) {
        for conn in core::mem::take(&mut self.stalled) {
            if let Some(found) = self.conns.get_mut(conn)
                && found.listed == Listed::Stalled
            {
                found.listed = Listed::Ready;
                self.ready.push_back(conn);
            }
        }
    }

    /// Whether a client is awaited that gives no sign of being ready: call [`Server::poll`] again after
    /// [`RETRY_INTERVAL`]. Only ever so for [`Kind::Socket`], just after a connection was accepted.
    #[must_use]
    pub fn wants_retry(&self) -> bool {
        !self.unconnected.is_empty()
    }

    /// Answers a request.
    ///
    /// # Errors
    /// See [`SendError`].
    pub fn respond(&mut self, conn: ConnId, parts: &[&[u8]]) -> Result<(), SendError> {
        let open = self.open_mut(conn)?;
        match open.link.respond(parts) {
            Ok(()) => {
                open.stats.responses += 1;
                Ok(())
            }
            Err(Unsent::Full | Unsent::NotListening) => {
                open.stats.send_retries += 1;
                Err(SendError::Full)
            }
            Err(Unsent::TooBig) => Err(SendError::TooBig),
            Err(Unsent::Broken) => {
                self.doom(conn);
                Err(SendError::Gone)
            }
        }
    }

    /// Sends something that the client did not ask for. It hears of it at the next [`Server::flush`].
    ///
    /// # Errors
    /// See [`SendError`].
    pub fn event(&mut self, conn: ConnId, parts: &[&[u8]]) -> Result<(), SendError> {
        let found = self.conns.get_mut(conn).ok_or(SendError::Gone)?;
        match found.send_event(&self.epoll, parts) {
            EventOutcome::Sent => {
                if !found.in_owing {
                    found.in_owing = true;
                    self.owing.push(conn);
                }
                Ok(())
            }
            EventOutcome::Full => Err(SendError::Full),
            EventOutcome::NotListening => {
                self.unconnected.push(conn);
                Err(SendError::Full)
            }
            EventOutcome::TooBig => Err(SendError::TooBig),
            EventOutcome::Broken => {
                if found.life != Life::Alive {
                    self.enlist(conn);
                }
                Err(SendError::Gone)
            }
        }
    }

    /// Whether a client for which an event found no room has taken any since then, or since this was asked last. A slow
    /// one does so long before [`ServerEvent::Writable`] tells of room that is worth waking up for.
    pub fn has_read(&mut self, conn: ConnId) -> bool {
        self.conns.get_mut(conn).is_some_and(Conn::has_read)
    }

    /// Tells the client whether it may send: 0 yes; 1 no; 2 no for those that can wait, which are CPG's multicasts
    /// (libqb `ipcc.c:qb_ipcc_sendv` and `lib/cpg.c:cpg_mcast_joined`). Requests are read in either case.
    pub fn set_flow_control(&mut self, conn: ConnId, level: u32) {
        let Ok(open) = self.open_mut(conn) else {
            return;
        };
        if open.stats.flow_control_state != level {
            open.link.set_flow_control(level);
            open.stats.flow_control_state = level;
            open.stats.flow_control_count += 1;
        }
    }

    /// Ends a connection and removes its files. No [`ServerEvent::Closed`] follows.
    pub fn close(&mut self, conn: ConnId) {
        self.events.retain(|event| event.conn() != conn);
        self.conns.remove(conn);
    }

    /// Sends the notifications that are owed, many events in one.
    pub fn notify(&mut self) {
        // Nothing below owes anything new, so the list comes back empty, with its room.
        let mut owing = core::mem::take(&mut self.owing);
        for conn in owing.drain(..) {
            let Some(found) = self.conns.get_mut(conn) else {
                continue;
            };
            found.in_owing = false;
            found.send_notifications();
            found.watch_as_needed(&self.epoll, conn);
            if found.life != Life::Alive {
                self.enlist(conn);
            }
        }
        self.owing = owing;
    }

    /// Sends the notifications that are owed, and makes the descriptor readable when work is left. To be called at
    /// the end of every turn.
    pub fn flush(&mut self) {
        self.notify();
        let left = !(self.events.is_empty() && self.ready.is_empty() && self.deferred.is_empty());
        if (left || self.more_to_accept()) && !self.reminded {
            // Fails only when the counter is at its maximum, and then it is readable.
            let _readable_either_way = self.reminder.write(1);
            self.reminded = true;
        }
    }

    /// What is known about an open connection.
    #[must_use]
    pub fn conn_info(&self, conn: ConnId) -> Option<ConnInfo<'_>> {
        let found = self.conns.get(conn)?;
        let Phase::Open(open) = &found.phase else {
            return None;
        };
        Some(ConnInfo {
            service: found.service,
            credentials: open.client,
            process_name: &open.process_name,
            stats: open.stats,
            queued_requests: open.link.queued_requests(),
            queued_events: open.link.queued_events(),
        })
    }

    /// Sets the counters of every connection to zero (`stats.clear.ipc`).
    pub fn clear_stats(&mut self) {
        for conn in self.conns.iter_mut() {
            if let Phase::Open(open) = &mut conn.phase {
                open.stats = ConnStats {
                    flow_control_state: open.stats.flow_control_state,
                    ..ConnStats::default()
                };
            }
        }
    }

    /// Takes over a zero copy buffer: the client's file `path` of `size` bytes. Returns the address under which the
    /// client will name it, which is also written into the file.
    ///
    /// # Errors
    /// See [`ZeroCopyError`]; the client may name any path and size.
    pub fn zero_copy_alloc(
        &mut self,
        conn: ConnId,
        path: &Path,
        size: u64,
    ) -> Result<u64, ZeroCopyError> {
        let open = self.conns.get_mut(conn).and_then(Conn::open_mut);
        let open = open.ok_or(ZeroCopyError::Gone)?;
        let shm_dir = &self.options.shm_dir;
        open.zero_copy.alloc(open.client, shm_dir, path, size)
    }

    /// Appends the message in a buffer to `into`, as if it had come as a request: a header of 40 bytes
    /// (`ipc_cpg.h: struct req_lib_cpg_mcast`) and as much data as its `msglen` says. It is copied once; what
    /// the client does to the buffer afterwards does not matter.
    ///
    /// # Errors
    /// See [`ZeroCopyError`]; the client may name any address. `into` is as before.
    pub fn zero_copy_read(
        &mut self,
        conn: ConnId,
        address: u64,
        into: &mut Vec<u8>,
    ) -> Result<(), ZeroCopyError> {
        let open = self.open_mut(conn).map_err(|_| ZeroCopyError::Gone)?;
        open.zero_copy.read(address, into)
    }

    /// Gives a buffer back. Those that are left go with the connection.
    ///
    /// # Errors
    /// The client has no buffer there.
    pub fn zero_copy_free(&mut self, conn: ConnId, address: u64) -> Result<(), ZeroCopyError> {
        let open = self.open_mut(conn).map_err(|_| ZeroCopyError::Gone)?;
        open.zero_copy.free(address)
    }

    fn open_mut(&mut self, conn: ConnId) -> Result<&mut Open, SendError> {
        let found = self.conns.get_mut(conn);
        found.and_then(Conn::open_mut).ok_or(SendError::Gone)
    }

    fn serve(
        &mut self,
        id: ConnId,
        buf: &mut Vec<u8>,
        admit: &mut impl FnMut(ConnId, RequestHead) -> Admit,
    ) -> Option<ServerEvent> {
        let conn = self.conns.get_mut(id)?;
        match conn.next_request(self.turn, buf, admit) {
            Turn::Request => {
                self.ready.push_back(id);
                Some(ServerEvent::Request { conn: id })
            }
            Turn::Idle => {
                conn.listed = Listed::Nowhere;
                None
            }
            Turn::Stalled => {
                conn.listed = Listed::Stalled;
                self.stalled.push(id);
                None
            }
            Turn::Enough => {
                self.deferred.push_back(id);
                None
            }
            Turn::Over => {
                self.conns.remove(id);
                Some(ServerEvent::Closed { conn: id })
            }
        }
    }

    fn handle(&mut self, source: Source, flags: EpollFlags) {
        match source {
            Source::Setup(conn) => self.handle_stream(conn, flags),
            Source::Request(conn) => self.enlist(conn),
            Source::Event(conn) => self.handle_room(conn),
            Source::Listener(service) => self.note_arrivals(service),
            Source::Reminder => {
                let _was_readable = self.reminder.read();
                self.reminded = false;
            }
        }
    }

    fn handle_stream(&mut self, id: ConnId, flags: EpollFlags) {
        let Some(conn) = self.conns.get_mut(id) else {
            return;
        };
        if matches!(conn.phase, Phase::Handshaking(_)) {
            self.continue_handshake(id);
            return;
        }
        if flags.contains(EpollFlags::EPOLLIN) {
            conn.swallow_notifications();
        }
        if flags.intersects(GONE) {
            conn.hung_up();
        }
        if flags.contains(EpollFlags::EPOLLOUT) {
            self.handle_room(id);
        }
        self.enlist(id);
    }

    fn handle_room(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(id) else {
            return;
        };
        if conn.room_again(&self.epoll).is_some() {
            self.events.push_back(ServerEvent::Writable { conn: id });
        }
        if conn.life != Life::Alive {
            self.enlist(id);
        }
    }

    fn retry_unconnected(&mut self) {
        for conn in core::mem::take(&mut self.unconnected) {
            let Some(found) = self.conns.get_mut(conn) else {
                continue;
            };
            match found.room_again(&self.epoll) {
                Some(_) => self.events.push_back(ServerEvent::Writable { conn }),
                None if found.is_blocked() => self.unconnected.push(conn),
                None => {}
            }
        }
    }

    /// Puts an open connection where [`Server::next_event`] looks; a stalled one only when its client is gone.
    fn enlist(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(id) else {
            return;
        };
        let wanted = match conn.listed {
            Listed::Nowhere => true,
            Listed::Stalled => conn.life != Life::Alive,
            Listed::Ready => false,
        };
        if wanted && matches!(conn.phase, Phase::Open(_)) {
            conn.listed = Listed::Ready;
            self.ready.push_back(id);
        }
    }

    fn doom(&mut self, id: ConnId) {
        if let Some(conn) = self.conns.get_mut(id) {
            conn.life = Life::Broken;
            self.enlist(id);
        }
    }
}

impl ServerEvent {
    /// The connection that it is about.
    #[must_use]
    pub const fn conn(&self) -> ConnId {
        match self {
            Self::Connecting { conn, .. }
            | Self::Request { conn }
            | Self::Writable { conn }
            | Self::Closed { conn } => *conn,
        }
    }
}

/// See [`Server::wants_retry`].
pub const RETRY_INTERVAL: Duration = Duration::from_millis(1);
const GONE: EpollFlags = EpollFlags::EPOLLRDHUP
    .union(EpollFlags::EPOLLHUP)
    .union(EpollFlags::EPOLLERR);
/// Sockets looked at per poll; more stay readable.
const HAPPENINGS_PER_POLL: usize = 256;

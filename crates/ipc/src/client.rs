//! A blocking client, for programs in Rust; it talks to this daemon and to C's.

mod connecting;
mod shm;
mod socket;

use core::fmt;
use core::time::Duration;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::Instant;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::address::Addresses;
use crate::handshake::{Credentials, HandshakeError};
use crate::ring::{PushError, RingCorrupt};
use shm::ShmChannels;
use socket::SocketChannels;

/// A connection to one service. One thread uses it at a time.
#[derive(Debug)]
pub struct Client {
    stream: UnixStream,
    channels: Channels,
    server: Credentials,
    max_msg_size: u32,
    state: State,
}

#[derive(Debug)]
enum Channels {
    Shm(Box<ShmChannels>),
    Socket(SocketChannels),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Usable,
    /// A response was not waited for: when it comes, it would be taken for the answer to the next request.
    OutOfStep,
}

/// Why something did not work. Unless said otherwise the connection is as it was.
#[derive(Debug)]
pub enum ClientError {
    /// The server did not let us in; carries a positive `errno`.
    Refused(i32),
    /// The server answers something that is not the protocol.
    Handshake(HandshakeError),
    /// The server does not want messages now, or its queue is full. Nothing was sent.
    TryAgain,
    /// Time is over. After a request the connection cannot be used for another one.
    TimedOut,
    /// The message is longer than this connection can carry. Nothing was sent.
    TooBig,
    /// The connection is over.
    NotConnected,
    /// The shared memory holds what no correct server writes; the connection is useless.
    Corrupt,
    /// The kernel refuses.
    Io(io::Error),
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(errno) => write!(f, "refused: {}", Errno::from_raw(*errno).desc()),
            Self::Handshake(error) => error.fmt(f),
            Self::TryAgain => f.write_str("the server is busy; try again"),
            Self::TimedOut => f.write_str("no answer in time"),
            Self::TooBig => f.write_str("the message is too long"),
            Self::NotConnected => f.write_str("not connected"),
            Self::Corrupt => f.write_str("the shared memory is corrupt"),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ClientError {}

impl Client {
    /// Connects to the service `name` of this machine, asking for messages of up to [`DEFAULT_MAX_MSG_SIZE`].
    ///
    /// # Errors
    /// Nobody listens (`Io`), the server refuses or is silent, or it cannot be understood.
    pub fn connect(name: &str, timeout: Duration) -> Result<Self, ClientError> {
        let addresses = Addresses::of_this_machine();
        Self::connect_at(&addresses, name, DEFAULT_MAX_MSG_SIZE, timeout)
    }

    /// Connects to the service `name` wherever servers listen, asking for messages of up to `max_msg_size` bytes.
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub fn connect_at(
        addresses: &Addresses,
        name: &str,
        max_msg_size: u32,
        timeout: Duration,
    ) -> Result<Self, ClientError> {
        connecting::connect(addresses, name, max_msg_size, Deadline::after(timeout))
    }

    /// Sends a request and waits for its answer, which replaces what is in `response`. An answer belongs to the
    /// request before it; there are no others.
    ///
    /// # Errors
    /// `TryAgain` and `TooBig` before anything was sent; the others mean that there is no answer.
    pub fn request(
        &mut self,
        parts: &[&[u8]],
        response: &mut Vec<u8>,
        timeout: Duration,
    ) -> Result<(), ClientError> {
        if self.state == State::OutOfStep {
            return Err(ClientError::NotConnected);
        }
        let deadline = Deadline::after(timeout);
        self.send_unless(FLOW_CONTROL_OFF, parts)?;
        response.clear();
        let result = match &mut self.channels {
            Channels::Shm(shm) => shm.recv_response(&self.stream, response, deadline),
            Channels::Socket(socket) => socket.recv_response(&self.stream, response, deadline),
        };
        if result.is_err() {
            self.state = State::OutOfStep;
        }
        result
    }

    /// Sends a message that is not answered: a multicast. Unlike requests these are held back while the server is
    /// merely busy, as `cpg_mcast_joined` does.
    ///
    /// # Errors
    /// Nothing was sent.
    pub fn send(&mut self, parts: &[&[u8]]) -> Result<(), ClientError> {
        self.send_unless(FLOW_CONTROL_BUSY, parts)
    }

    /// Waits for something that the server sends by itself; it replaces what is in `event`.
    ///
    /// # Errors
    /// `TimedOut` when nothing came; otherwise the connection is over. What came before it was over is still
    /// delivered.
    pub fn recv_event(
        &mut self,
        event: &mut Vec<u8>,
        timeout: Duration,
    ) -> Result<(), ClientError> {
        let deadline = Deadline::after(timeout);
        event.clear();
        match &mut self.channels {
            Channels::Shm(shm) => shm.recv_event(&self.stream, event, deadline),
            Channels::Socket(socket) => socket.recv_event(&self.stream, event, deadline),
        }
    }

    /// Readable when [`Client::recv_event`] has something.
    #[must_use]
    pub fn fd(&self) -> BorrowedFd<'_> {
        match &self.channels {
            Channels::Shm(_) => self.stream.as_fd(),
            Channels::Socket(socket) => socket.event_fd(),
        }
    }

    /// 0, or what [`Client::request`] (1) and [`Client::send`] (1 or 2) answer `TryAgain` to.
    #[must_use]
    pub fn flow_control(&self) -> u32 {
        match &self.channels {
            Channels::Shm(shm) => shm.flow_control(),
            Channels::Socket(socket) => socket.flow_control(),
        }
    }

    /// The longest message in bytes, of either direction.
    #[must_use]
    pub const fn max_msg_size(&self) -> u32 {
        self.max_msg_size
    }

    /// Who the server is, as the kernel says it.
    #[must_use]
    pub const fn server(&self) -> Credentials {
        self.server
    }

    fn send_unless(&mut self, highest_level: u32, parts: &[&[u8]]) -> Result<(), ClientError> {
        if parts.iter().map(|part| part.len()).sum::<usize>() > self.max_msg_size as usize {
            return Err(ClientError::TooBig);
        }
        if (FLOW_CONTROL_OFF..=highest_level).contains(&self.flow_control()) {
            return Err(ClientError::TryAgain);
        }
        match &mut self.channels {
            Channels::Shm(shm) => shm.send(&self.stream, parts),
            Channels::Socket(socket) => socket.send(parts),
        }
    }
}

impl From<Errno> for ClientError {
    fn from(error: Errno) -> Self {
        if matches!(error, Errno::EPIPE | Errno::ECONNRESET | Errno::ENOTCONN) {
            return Self::NotConnected;
        }
        Self::Io(error.into())
    }
}

impl From<io::Error> for ClientError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<HandshakeError> for ClientError {
    fn from(error: HandshakeError) -> Self {
        Self::Handshake(error)
    }
}

impl From<RingCorrupt> for ClientError {
    fn from(_: RingCorrupt) -> Self {
        Self::Corrupt
    }
}

impl From<PushError> for ClientError {
    fn from(error: PushError) -> Self {
        match error {
            PushError::Full => Self::TryAgain,
            PushError::TooBig => Self::TooBig,
            PushError::Corrupt => Self::Corrupt,
        }
    }
}

/// When to give up; never, for a timeout beyond the clock's range.
#[derive(Clone, Copy, Debug)]
struct Deadline(Option<Instant>);

impl Deadline {
    fn after(timeout: Duration) -> Self {
        Self(Instant::now().checked_add(timeout))
    }

    /// What is left, at most `longest`.
    fn left(self, longest: Duration) -> Duration {
        let left = self
            .0
            .map(|at| at.saturating_duration_since(Instant::now()));
        left.map_or(longest, |left| left.min(longest))
    }

    fn is_over(self) -> bool {
        self.0.is_some_and(|at| at <= Instant::now())
    }

    /// Waits until one of the descriptors has something to say, and returns what.
    fn wait_for<const N: usize>(
        self,
        fds: [(BorrowedFd<'_>, PollFlags); N],
    ) -> Result<[PollFlags; N], ClientError> {
        let mut fds = fds.map(|(fd, flags)| PollFd::new(fd, flags));
        loop {
            // Rounded up, so that the last wait does not become a busy loop.
            let left = self.left(LONGEST_POLL) + Duration::from_millis(1);
            let millis = u16::try_from(left.as_millis()).unwrap_or(u16::MAX);
            match poll(&mut fds, PollTimeout::from(millis)) {
                Ok(0) | Err(Errno::EINTR) if self.is_over() => return Err(ClientError::TimedOut),
                Ok(0) | Err(Errno::EINTR) => {}
                Ok(_) => return Ok(fds.map(|fd| fd.revents().unwrap_or(PollFlags::empty()))),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// What Corosync's libraries ask for (`lib/cpg.c: IPC_REQUEST_SIZE`, v3.1.7).
pub const DEFAULT_MAX_MSG_SIZE: u32 = 1 << 20;
/// Nobody may send.
const FLOW_CONTROL_OFF: u32 = 1;
/// Multicasts are to wait.
const FLOW_CONTROL_BUSY: u32 = 2;
const LONGEST_POLL: Duration = Duration::from_secs(60);

//! Two datagram sockets and a page of counters (libqb `ipc_socket.c`, v2.0.6).
//!
//! The server's sockets have abstract names, which everybody in the network namespace can send to; C believes
//! whatever arrives. Here a request must come from the client's user, and after the first one the socket is
//! connected to the client, so that the kernel turns everybody else away.

use core::sync::atomic::{AtomicU32, Ordering};
use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket::sockopt::{PassCred, SndBuf, SndBufForce};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, UnixCredentials, bind, connect, recvmsg,
    send, setsockopt, socket,
};

use super::RequestHead;
use super::link::{Broken, Front, LinkRequest, REQUEST_HEAD_LEN, Unsent, request_head};
use crate::address::datagram_address;
use crate::credentials;
use crate::files::{ConnDir, NewConnDir, control_file_name};
use crate::handshake::{Accepted, Credentials, Kind};
use crate::shm::{CONTROL_FILE_LEN, ControlMap};

/// The server's ends of a datagram connection.
#[derive(Debug)]
pub(super) struct SocketLink {
    /// Receives requests and sends responses.
    request: Peer,
    event: Peer,
    control: ControlMap,
    client: Credentials,
    inbox: Vec<u8>,
    /// The message in `inbox` that nobody has taken yet.
    front: Option<RequestHead>,
    outbox: Vec<u8>,
    max_msg_size: usize,
    _dir: ConnDir,
}

/// A socket of ours and the client's socket that it talks to.
#[derive(Debug)]
struct Peer {
    socket: OwnedFd,
    address: UnixAddr,
    state: PeerState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PeerState {
    Unconnected,
    Connected,
}

impl SocketLink {
    pub(super) fn create(request: LinkRequest<'_>) -> io::Result<(Self, Accepted)> {
        let mut dir = NewConnDir::create(request.shm_dir, request.client, request.descriptor)?;
        let control_name = control_file_name(request.service);
        let (control, control_path) = dir.create_file(&control_name, CONTROL_FILE_LEN)?;
        let base = dir.path_of(&format!("qb-{}", request.service))?;
        let max_msg_size = request.max_msg_size as usize;
        let link = Self {
            request: Peer::new(&base, "request", "response", max_msg_size)?,
            event: Peer::new(&base, "event-tx", "event", max_msg_size)?,
            control: ControlMap::new(&control)?,
            client: request.client,
            inbox: vec![0; max_msg_size],
            front: None,
            outbox: Vec::new(),
            max_msg_size,
            _dir: dir.hand_over()?,
        };
        setsockopt(&link.request.socket, PassCred, &true)?;
        let told = Accepted {
            kind: Kind::Socket,
            max_msg_size: request.max_msg_size,
            connection: request.connection,
            request: control_path,
            response: base,
            event: String::new(),
        };
        Ok((link, told))
    }

    /// Becomes readable with requests.
    pub(super) fn request_fd(&self) -> BorrowedFd<'_> {
        self.request.socket.as_fd()
    }

    /// Becomes writable when events can go out again.
    pub(super) fn event_fd(&self) -> BorrowedFd<'_> {
        self.event.socket.as_fd()
    }

    pub(super) fn front(&mut self) -> Result<Front, Broken> {
        if let Some(head) = self.front {
            return Ok(Front::Waiting(head));
        }
        for _ in 0..STRANGERS_PER_LOOK {
            match self.receive()? {
                Received::Nothing => return Ok(Front::Empty),
                Received::FromStranger => {}
                Received::Request(len) => {
                    self.counter(REQUEST_SENT).fetch_sub(1, Ordering::AcqRel);
                    self.request.connect_if_needed();
                    let front = &self.inbox[..len];
                    let head = request_head(front, len).ok_or(Broken)?;
                    self.front = Some(head);
                    return Ok(Front::Waiting(head));
                }
            }
        }
        Ok(Front::LookAgain)
    }

    pub(super) fn take(&mut self, into: &mut Vec<u8>) -> Result<(), Broken> {
        let head = self.front.take().ok_or(Broken)?;
        into.extend_from_slice(&self.inbox[..head.len]);
        Ok(())
    }

    pub(super) fn respond(&mut self, parts: &[&[u8]]) -> Result<(), Unsent> {
        self.gather(parts)?;
        self.request.send(&self.outbox)?;
        self.counter(RESPONSE_SENT).fetch_add(1, Ordering::AcqRel);
        Ok(())
    }

    pub(super) fn event(&mut self, parts: &[&[u8]]) -> Result<(), Unsent> {
        self.gather(parts)?;
        self.event.send(&self.outbox)?;
        self.counter(EVENT_SENT).fetch_add(1, Ordering::AcqRel);
        Ok(())
    }

    /// The kernel only tells by trying, so the answer is a guess; at worst another "full" follows.
    pub(super) fn has_room(&mut self) -> bool {
        self.event.connect_if_needed() == PeerState::Connected
    }

    pub(super) fn set_flow_control(&self, level: u32) {
        self.counter(REQUEST_FLOW_CONTROL)
            .store(level, Ordering::Release);
    }

    pub(super) fn queued_requests(&self) -> u32 {
        self.counter(REQUEST_SENT).load(Ordering::Relaxed)
    }

    pub(super) fn queued_events(&self) -> u32 {
        self.counter(EVENT_SENT).load(Ordering::Relaxed)
    }

    fn counter(&self, index: usize) -> &AtomicU32 {
        self.control.counter(index)
    }

    fn gather(&mut self, parts: &[&[u8]]) -> Result<(), Unsent> {
        if self.control.is_lost() {
            return Err(Unsent::Broken);
        }
        if parts.iter().map(|part| part.len()).sum::<usize>() > self.max_msg_size {
            return Err(Unsent::TooBig);
        }
        self.outbox.clear();
        for part in parts {
            self.outbox.extend_from_slice(part);
        }
        Ok(())
    }

    fn receive(&mut self) -> Result<Received, Broken> {
        if self.control.is_lost() {
            return Err(Broken);
        }
        let mut space = cmsg_space!(UnixCredentials);
        let mut iov = [IoSliceMut::new(&mut self.inbox)];
        let fd = self.request.socket.as_raw_fd();
        let flags = MsgFlags::MSG_DONTWAIT;
        // Without the sender's address: nix 0.31 hands out uninitialised memory for a sender that has none.
        let message = match recvmsg::<()>(fd, &mut iov, Some(&mut space), flags) {
            Ok(message) => message,
            Err(Errno::EAGAIN) => return Ok(Received::Nothing),
            // A connected socket says once that its peer is gone; the setup socket says it too.
            Err(_) => return Err(Broken),
        };
        let sender = credentials::sender(&message);
        if sender.is_none_or(|sender| sender.uid != self.client.uid) {
            return Ok(Received::FromStranger);
        }
        if message.flags.contains(MsgFlags::MSG_TRUNC) || message.bytes < REQUEST_HEAD_LEN {
            return Err(Broken);
        }
        Ok(Received::Request(message.bytes))
    }
}

enum Received {
    Nothing,
    FromStranger,
    Request(usize),
}

impl Peer {
    fn new(base: &str, ours: &str, theirs: &str, max_msg_size: usize) -> io::Result<Self> {
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let socket = socket(AddressFamily::Unix, SockType::Datagram, flags, None)?;
        let path = |name| PathBuf::from(format!("{base}-{name}"));
        bind(socket.as_raw_fd(), &datagram_address(&path(ours))?)?;
        // Without privileges the system's limit applies, and longer messages than it allows are refused one by one.
        setsockopt(&socket, SndBufForce, &max_msg_size)
            .or_else(|_| setsockopt(&socket, SndBuf, &max_msg_size))?;
        Ok(Self {
            socket,
            address: datagram_address(&path(theirs))?,
            state: PeerState::Unconnected,
        })
    }

    fn connect_if_needed(&mut self) -> PeerState {
        if self.state == PeerState::Unconnected
            && connect(self.socket.as_raw_fd(), &self.address).is_ok()
        {
            self.state = PeerState::Connected;
        }
        self.state
    }

    fn send(&mut self, message: &[u8]) -> Result<(), Unsent> {
        match self.connect_if_needed() {
            PeerState::Unconnected => return Err(Unsent::NotListening),
            PeerState::Connected => {}
        }
        let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
        match send(self.socket.as_raw_fd(), message, flags) {
            Ok(_) => Ok(()),
            Err(Errno::EAGAIN | Errno::ENOBUFS) => Err(Unsent::Full),
            Err(Errno::EMSGSIZE) => Err(Unsent::TooBig),
            Err(_) => Err(Unsent::Broken),
        }
    }
}

/// Indices into the control file: request, response and event, each `sent` and `flow_control`
/// (libqb `ipc_socket.c: struct ipc_us_control`).
const REQUEST_SENT: usize = 0;
const REQUEST_FLOW_CONTROL: usize = 1;
const RESPONSE_SENT: usize = 2;
const EVENT_SENT: usize = 4;
/// Foreign datagrams thrown away before the other connections get their turn.
const STRANGERS_PER_LOOK: usize = 32;

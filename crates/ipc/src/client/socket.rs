//! The client's ends of two datagram sockets.

use core::sync::atomic::Ordering;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use nix::errno::Errno;
use nix::poll::PollFlags;
use nix::sys::socket::sockopt::{SndBuf, SndBufForce};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, bind, connect, recv, send, setsockopt, socket,
};

use super::{ClientError, Deadline};
use crate::address::datagram_address;
use crate::handshake::Accepted;
use crate::shm::ControlMap;

#[derive(Debug)]
pub(super) struct SocketChannels {
    /// Requests out, responses in.
    request: OwnedFd,
    event: OwnedFd,
    control: ControlMap,
    max_msg_size: usize,
}

impl SocketChannels {
    pub(super) fn open(accepted: &Accepted) -> Result<Self, ClientError> {
        let control = File::options()
            .read(true)
            .write(true)
            .open(&accepted.request)?;
        let base = &accepted.response;
        let max_msg_size = accepted.max_msg_size as usize;
        Ok(Self {
            request: open_socket(base, "response", "request", max_msg_size)?,
            event: open_socket(base, "event", "event-tx", max_msg_size)?,
            control: ControlMap::new(&control)?,
            max_msg_size,
        })
    }

    pub(super) fn event_fd(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }

    pub(super) fn flow_control(&self) -> u32 {
        let level = self.control.counter(REQUEST_FLOW_CONTROL);
        level.load(Ordering::Acquire)
    }

    pub(super) fn send(&mut self, parts: &[&[u8]]) -> Result<(), ClientError> {
        let message = parts.concat();
        let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
        match send(self.request.as_raw_fd(), &message, flags) {
            Ok(_) => {}
            Err(Errno::EAGAIN | Errno::ENOBUFS) => return Err(ClientError::TryAgain),
            Err(Errno::EMSGSIZE) => return Err(ClientError::TooBig),
            Err(Errno::ECONNREFUSED) => return Err(ClientError::NotConnected),
            Err(error) => return Err(error.into()),
        }
        self.control
            .counter(REQUEST_SENT)
            .fetch_add(1, Ordering::AcqRel);
        Ok(())
    }

    pub(super) fn recv_response(
        &mut self,
        stream: &UnixStream,
        into: &mut Vec<u8>,
        deadline: Deadline,
    ) -> Result<(), ClientError> {
        self.recv(&self.request, RESPONSE_SENT, stream, into, deadline)
    }

    pub(super) fn recv_event(
        &mut self,
        stream: &UnixStream,
        into: &mut Vec<u8>,
        deadline: Deadline,
    ) -> Result<(), ClientError> {
        self.recv(&self.event, EVENT_SENT, stream, into, deadline)
    }

    fn recv(
        &self,
        socket: &OwnedFd,
        sent: usize,
        stream: &UnixStream,
        into: &mut Vec<u8>,
        deadline: Deadline,
    ) -> Result<(), ClientError> {
        into.resize(self.max_msg_size, 0);
        loop {
            match recv(socket.as_raw_fd(), into, MsgFlags::MSG_DONTWAIT) {
                Ok(len) => {
                    into.truncate(len);
                    let counter = self.control.counter(sent);
                    counter.fetch_sub(1, Ordering::AcqRel);
                    return Ok(());
                }
                Err(Errno::EAGAIN | Errno::EINTR) => {}
                Err(Errno::ECONNREFUSED) => return Err(ClientError::NotConnected),
                Err(error) => return Err(error.into()),
            }
            let input = PollFlags::POLLIN;
            let ready = deadline.wait_for([(socket.as_fd(), input), (stream.as_fd(), input)])?;
            let [message, setup] = ready;
            if message.is_empty() && !setup.is_empty() {
                return Err(ClientError::NotConnected);
            }
        }
    }
}

fn open_socket(base: &str, ours: &str, theirs: &str, max_msg_size: usize) -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let socket = socket(AddressFamily::Unix, SockType::Datagram, flags, None)?;
    let address = |name| datagram_address(&PathBuf::from(format!("{base}-{name}")));
    bind(socket.as_raw_fd(), &address(ours)?)?;
    connect(socket.as_raw_fd(), &address(theirs)?)?;
    setsockopt(&socket, SndBufForce, &max_msg_size)
        .or_else(|_| setsockopt(&socket, SndBuf, &max_msg_size))?;
    Ok(socket)
}

/// Indices into the control file, as in the server.
const REQUEST_SENT: usize = 0;
const REQUEST_FLOW_CONTROL: usize = 1;
const RESPONSE_SENT: usize = 2;
const EVENT_SENT: usize = 4;

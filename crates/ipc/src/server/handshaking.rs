//! Reading the 24 bytes of a client that has just connected, and who sent them.

use std::io::IoSliceMut;
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixStream;

use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, UnixCredentials, recvmsg};

use crate::credentials;
use crate::handshake::{ConnectRequest, Credentials};

/// The part of a request that has arrived.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Handshaking {
    bytes: [u8; ConnectRequest::LEN],
    have: usize,
    client: Option<Credentials>,
}

/// What came of reading on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// The rest has not arrived.
    Waiting,
    Done {
        request: ConnectRequest,
        client: Credentials,
    },
    /// Not a client of ours: it is disconnected without an answer.
    Hopeless,
}

impl Handshaking {
    /// Never reads beyond the request, and loops at most once per byte of it.
    pub(super) fn read(&mut self, stream: &UnixStream) -> Progress {
        while self.have < self.bytes.len() {
            let mut space = cmsg_space!(UnixCredentials);
            let mut iov = [IoSliceMut::new(&mut self.bytes[self.have..])];
            let flags = MsgFlags::MSG_DONTWAIT;
            let message = recvmsg::<()>(stream.as_raw_fd(), &mut iov, Some(&mut space), flags);
            let message = match message {
                Ok(message) if message.bytes > 0 => message,
                Err(Errno::EAGAIN) => return Progress::Waiting,
                Ok(_) | Err(_) => return Progress::Hopeless,
            };
            self.client = credentials::sender(&message);
            let received = message.bytes;
            self.have += received;
        }
        match (ConnectRequest::parse(&self.bytes), self.client) {
            (Ok(request), Some(client)) => Progress::Done { request, client },
            (Ok(_) | Err(_), _) => Progress::Hopeless,
        }
    }
}

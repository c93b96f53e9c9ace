//! The client's ends of three rings.

use core::sync::atomic::Ordering;
use core::time::Duration;
use std::fs::File;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::os::unix::net::UnixStream;

use nix::errno::Errno;
use nix::poll::PollFlags;
use nix::sys::socket::{MsgFlags, recv, send};

use super::{ClientError, Deadline};
use crate::handshake::Accepted;
use crate::ring::{Consumer, HeaderWord, Producer, SharedMemory as _, data_file_len};
use crate::shm::{RingMap, page_size};

#[derive(Debug)]
pub(super) struct ShmChannels {
    request: Producer<RingMap>,
    response: Consumer<RingMap>,
    event: Consumer<RingMap>,
}

impl ShmChannels {
    pub(super) fn open(accepted: &Accepted) -> Result<Self, ClientError> {
        let open = |name| open_ring(name, accepted.max_msg_size);
        Ok(Self {
            request: Producer::new(open(&accepted.request)?),
            response: Consumer::new(open(&accepted.response)?),
            event: Consumer::new(open(&accepted.event)?),
        })
    }

    pub(super) fn flow_control(&self) -> u32 {
        let level = self.request.memory().header(HeaderWord::User);
        level.load(Ordering::Acquire)
    }

    /// Puts a message into the ring and wakes the server.
    pub(super) fn send(&mut self, stream: &UnixStream, parts: &[&[u8]]) -> Result<(), ClientError> {
        let users = self.request.memory().header(HeaderWord::RefCount);
        if users.load(Ordering::Acquire) != BOTH_SIDES {
            return Err(ClientError::NotConnected);
        }
        self.request.try_push(parts)?;
        loop {
            match send(stream.as_raw_fd(), &[0], MsgFlags::MSG_NOSIGNAL) {
                Ok(_) => return Ok(()),
                // The message is in the ring, so this has to succeed or the connection is over; the server reads
                // these bytes even while it does not read requests.
                Err(Errno::EAGAIN) => {
                    let writable = [(stream.as_fd(), PollFlags::POLLOUT)];
                    Deadline(None).wait_for(writable)?;
                }
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The semaphore wakes us when the answer is there, but not when the server dies; hence the slices.
    pub(super) fn recv_response(
        &mut self,
        stream: &UnixStream,
        into: &mut Vec<u8>,
        deadline: Deadline,
    ) -> Result<(), ClientError> {
        let mut alive = true;
        loop {
            if let Some(chunk) = self.response.peek()? {
                return Ok(self.response.take(chunk, into)?);
            }
            if !alive {
                return Err(ClientError::NotConnected);
            }
            if deadline.is_over() {
                return Err(ClientError::TimedOut);
            }
            self.response
                .memory()
                .sleep(deadline.left(LIVENESS_INTERVAL));
            alive = is_alive(stream)?;
        }
    }

    /// One byte on the socket stands for one event in the ring, and the event is there first.
    pub(super) fn recv_event(
        &mut self,
        stream: &UnixStream,
        into: &mut Vec<u8>,
        deadline: Deadline,
    ) -> Result<(), ClientError> {
        deadline.wait_for([(stream.as_fd(), PollFlags::POLLIN)])?;
        let chunk = self.event.peek()?;
        if let Some(chunk) = chunk {
            self.event.take(chunk, into)?;
        }
        let taken = !into.is_empty();
        let mut byte = [0];
        match (
            taken,
            recv(stream.as_raw_fd(), &mut byte, MsgFlags::MSG_DONTWAIT),
        ) {
            (true, Ok(_) | Err(_)) => Ok(()),
            (false, Ok(0)) => Err(ClientError::NotConnected),
            (false, Ok(_)) => Err(ClientError::Corrupt),
            (false, Err(error)) => Err(error.into()),
        }
    }
}

impl Drop for ShmChannels {
    fn drop(&mut self) {
        for memory in [
            self.request.memory(),
            self.response.memory(),
            self.event.memory(),
        ] {
            let users = memory.header(HeaderWord::RefCount);
            users.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

fn open_ring(name: &str, max_msg_size: u32) -> Result<RingMap, ClientError> {
    let open = |suffix| {
        let path = format!("{name}-{suffix}");
        File::options().read(true).write(true).open(path)
    };
    let data_len = data_file_len(max_msg_size, page_size());
    let map = RingMap::new(&open("header")?, &open("data")?, data_len)?;
    if map.header(HeaderWord::WordCount).load(Ordering::Relaxed) != map.word_count() {
        return Err(ClientError::Corrupt);
    }
    let users = map.header(HeaderWord::RefCount);
    users.fetch_add(1, Ordering::AcqRel);
    Ok(map)
}

fn is_alive(stream: &UnixStream) -> Result<bool, ClientError> {
    let over = PollFlags::POLLHUP | PollFlags::POLLERR;
    let now = Deadline::after(Duration::ZERO);
    match now.wait_for([(stream.as_fd(), PollFlags::empty())]) {
        Ok([flags]) => Ok(!flags.intersects(over)),
        Err(ClientError::TimedOut) => Ok(true),
        Err(error) => Err(error),
    }
}

/// Value of the reference count while client and server are there.
const BOTH_SIDES: u32 = 2;
/// How often a client that waits for an answer looks whether the server is alive; libqb takes 2 s.
const LIVENESS_INTERVAL: Duration = Duration::from_millis(500);

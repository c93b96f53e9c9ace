//! Reading datagrams: many small ones that the kernel joined come with one system call.

use std::collections::VecDeque;
use std::io::IoSliceMut;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use bytes::{Bytes, BytesMut};
use nix::errno::Errno;
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt, sockopt::UdpGroSegment,
};

/// A socket that is read.
#[derive(Debug)]
pub(super) struct Receiver {
    fd: OwnedFd,
    /// Where the kernel writes; what was written is copied out, so that a small datagram does not keep 64 KiB.
    scratch: Box<[u8]>,
    control: Vec<u8>,
    pool: BytesMut,
    /// Whether the kernel has something to say about datagrams that were sent.
    error: Told,
}

/// Whether the kernel told of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Nothing,
    Error,
}

/// Datagrams that were read and not yet handed on.
#[derive(Debug, Default)]
pub(super) struct Datagrams(VecDeque<(SocketAddr, Bytes)>);

impl Receiver {
    pub(super) fn new(fd: OwnedFd) -> Self {
        // Kernels before 5.0 do not join datagrams: then each comes alone.
        let _one_by_one = setsockopt(&fd, UdpGroSegment, &true);
        Self {
            fd,
            scratch: vec![0; SCRATCH].into_boxed_slice(),
            control: nix::cmsg_space!(i32),
            pool: BytesMut::new(),
            error: Told::Nothing,
        }
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Notes that the kernel has something to say about datagrams that were sent.
    pub(super) const fn note_error(&mut self) {
        self.error = Told::Error;
    }

    /// Whether it has, since this was asked last.
    pub(super) fn take_error(&mut self) -> bool {
        std::mem::replace(&mut self.error, Told::Nothing) == Told::Error
    }

    /// Reads once; `None` when nothing waits.
    fn read(&mut self, into: &mut VecDeque<(SocketAddr, Bytes)>) -> Option<()> {
        let (length, from, segment) = loop {
            let mut parts = [IoSliceMut::new(&mut self.scratch)];
            let flags = MsgFlags::MSG_DONTWAIT;
            let fd = self.fd.as_raw_fd();
            match recvmsg::<SockaddrStorage>(fd, &mut parts, Some(&mut self.control), flags) {
                Ok(m) => break (m.bytes, m.address, segment_of(&m)),
                Err(Errno::EINTR) => {}
                // An ICMP error of an earlier send is reported once; the datagrams behind it are fine.
                Err(Errno::ECONNREFUSED | Errno::EHOSTUNREACH | Errno::ENETUNREACH) => {
                    self.error = Told::Error;
                }
                Err(_) => return None,
            }
        };
        let from = from.as_ref().and_then(address)?;
        if self.pool.capacity() < length {
            self.pool.reserve(POOL_CHUNK.max(length));
        }
        self.pool.extend_from_slice(&self.scratch[..length]);
        let mut rest = self.pool.split().freeze();
        let segment = segment.unwrap_or(length).max(1);
        while rest.len() > segment {
            into.push_back((from, rest.split_to(segment)));
        }
        into.push_back((from, rest));
        Some(())
    }

    pub(super) fn discard(&mut self) {
        let mut dropped = VecDeque::new();
        for _ in 0..DISCARD_MAX {
            if self.read(&mut dropped).is_none() {
                return;
            }
            dropped.clear();
        }
    }
}

impl Datagrams {
    pub(super) const fn new() -> Self {
        Self(VecDeque::new())
    }

    /// Reads once when nothing is left. What comes with one system call is handled before the next one is made.
    pub(super) fn fill(&mut self, from: &mut Receiver) {
        if self.0.is_empty() {
            let _nothing_waits = from.read(&mut self.0);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn next(&mut self) -> Option<(SocketAddr, Bytes)> {
        self.0.pop_front()
    }
}

fn segment_of<S>(message: &nix::sys::socket::RecvMsg<'_, '_, S>) -> Option<usize> {
    message.cmsgs().ok()?.find_map(|control| {
        if let ControlMessageOwned::UdpGroSegments(size) = control {
            usize::try_from(size).ok()
        } else {
            None
        }
    })
}

pub(super) fn address(from: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = from.as_sockaddr_in().map(|a| SocketAddr::V4((*a).into()));
    v4.or_else(|| from.as_sockaddr_in6().map(|a| SocketAddr::V6((*a).into())))
}

/// The longest datagram, joined or not.
const SCRATCH: usize = 65_536;
/// Frames are cut from chunks of this many bytes, which come back when all their frames are released.
const POOL_CHUNK: usize = 256 << 10;
/// Reads after which discarding gives up: more than that arrives faster than it can be thrown away.
const DISCARD_MAX: usize = 10_000;

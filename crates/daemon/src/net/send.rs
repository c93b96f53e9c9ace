//! Sending datagrams: frames of one size to one address leave with one system call, and the kernel cuts them.

use std::io::IoSlice;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};

use bytes::Bytes;
use nix::errno::Errno;
use nix::sys::socket::{ControlMessage, MsgFlags, SockaddrStorage, sendmsg};

/// A socket that is written.
#[derive(Debug)]
pub(super) struct Sender {
    fd: OwnedFd,
    /// What waits, apart by address: frames to one address keep their order.
    queues: Vec<(SocketAddr, Vec<Bytes>)>,
    segmentation: Segmentation,
    failures: u64,
}

/// Whether the kernel cuts long buffers into datagrams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Segmentation {
    Works,
    /// It refused: each frame leaves alone.
    Refused,
}

impl Sender {
    pub(super) const fn new(fd: OwnedFd) -> Self {
        Self {
            fd,
            queues: Vec::new(),
            segmentation: Segmentation::Works,
            failures: 0,
        }
    }

    pub(super) fn push(&mut self, to: SocketAddr, bytes: Bytes) {
        if let Some((_, queue)) = self.queues.iter_mut().find(|(addr, _)| *addr == to) {
            queue.push(bytes);
        } else {
            self.queues.push((to, vec![bytes]));
        }
    }

    pub(super) fn flush(&mut self) {
        let mut queues = std::mem::take(&mut self.queues);
        for (to, queue) in &mut queues {
            self.flush_queue(*to, queue);
        }
        self.queues = queues;
    }

    /// Sends everything, the token behind all else. What goes to the token's target goes next to last, so that the
    /// token can leave together with it and wakes the target only once.
    pub(super) fn flush_with_token(&mut self, to: SocketAddr, token: Bytes) {
        let mut queues = std::mem::take(&mut self.queues);
        for (other, queue) in &mut queues {
            if *other != to {
                self.flush_queue(*other, queue);
            }
        }
        self.queues = queues;
        self.push(to, token);
        self.flush();
    }

    fn flush_queue(&mut self, to: SocketAddr, queue: &mut Vec<Bytes>) {
        let to = SockaddrStorage::from(to);
        let mut rest = queue.as_slice();
        while !rest.is_empty() {
            let run = self.run_length(rest);
            let (now, later) = rest.split_at(run);
            self.send_run(&to, now);
            rest = later;
        }
        queue.clear();
    }

    /// How many frames can leave together: all as long as the first, but for a shorter last one.
    fn run_length(&self, frames: &[Bytes]) -> usize {
        if self.segmentation == Segmentation::Refused {
            return 1;
        }
        let segment = frames[0].len();
        let mut total = 0;
        for (i, frame) in frames.iter().enumerate().take(SEGMENTS_MAX) {
            total += frame.len();
            if frame.len() > segment || total > RUN_BYTES_MAX {
                return i.max(1);
            }
            if frame.len() < segment {
                return i + 1;
            }
        }
        frames.len().min(SEGMENTS_MAX)
    }

    fn send_run(&mut self, to: &SockaddrStorage, frames: &[Bytes]) {
        if frames.len() > 1 {
            match self.send(to, frames) {
                Ok(()) => return,
                Err(Errno::EINVAL | Errno::EIO | Errno::EOPNOTSUPP | Errno::EMSGSIZE) => {
                    self.segmentation = Segmentation::Refused;
                }
                Err(_) => {
                    self.failures += 1;
                    return;
                }
            }
        }
        for frame in frames {
            // What is not sent is lost like any datagram: the ring asks for it again.
            if self.send(to, std::slice::from_ref(frame)).is_err() {
                self.failures += 1;
            }
        }
    }

    fn send(&self, to: &SockaddrStorage, frames: &[Bytes]) -> Result<(), Errno> {
        let mut parts = [IoSlice::new(&[]); SEGMENTS_MAX];
        for (part, frame) in parts.iter_mut().zip(frames) {
            *part = IoSlice::new(frame);
        }
        let segment = u16::try_from(frames[0].len()).unwrap_or(u16::MAX);
        let control = [ControlMessage::UdpGsoSegments(&segment)];
        let control = if frames.len() > 1 { &control[..] } else { &[] };
        let parts = &parts[..frames.len()];
        let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
        loop {
            match sendmsg(self.fd.as_raw_fd(), parts, control, flags, Some(to)) {
                Ok(_) => return Ok(()),
                Err(Errno::EINTR) => {}
                Err(e) => return Err(e),
            }
        }
    }
}

/// Most datagrams that a kernel cuts from one buffer (`UDP_MAX_SEGMENTS` of Linux before 6.9).
const SEGMENTS_MAX: usize = 64;
/// Most bytes of one such buffer: what an IPv6 packet carries.
const RUN_BYTES_MAX: usize = 65_000;

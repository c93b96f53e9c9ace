//! Sending datagrams: frames of one size to one address leave with one system call, and the kernel cuts them.

use std::collections::VecDeque;
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
    too_big: VecDeque<(SocketAddr, usize)>,
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
            too_big: VecDeque::new(),
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

    /// Sends everything; what goes to `last` behind all else, so that a token leaves together with the frames before it
    /// and wakes its target only once.
    pub(super) fn flush(&mut self, last: Option<SocketAddr>) {
        let mut queues = std::mem::take(&mut self.queues);
        for (to, queue) in queues.iter_mut().filter(|(to, _)| Some(*to) != last) {
            self.flush_queue(*to, queue);
        }
        for (to, queue) in queues.iter_mut().filter(|(to, _)| Some(*to) == last) {
            self.flush_queue(*to, queue);
        }
        self.queues = queues;
    }

    /// The oldest datagram that was too long for the kernel: where it was to go, and its length.
    pub(super) fn next_too_big(&mut self) -> Option<(SocketAddr, usize)> {
        self.too_big.pop_front()
    }

    fn flush_queue(&mut self, to: SocketAddr, queue: &mut Vec<Bytes>) {
        let mut rest = queue.as_slice();
        while !rest.is_empty() {
            let run = self.run_length(rest);
            let (now, later) = rest.split_at(run);
            self.send_run(to, now);
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

    fn send_run(&mut self, to: SocketAddr, frames: &[Bytes]) {
        let address = SockaddrStorage::from(to);
        if frames.len() > 1 {
            match self.send(&address, frames) {
                Ok(()) => return,
                Err(Errno::EINVAL | Errno::EIO | Errno::EOPNOTSUPP) => {
                    self.segmentation = Segmentation::Refused;
                }
                // One by one the kernel takes them, in fragments of IP, or says of each that it does not.
                Err(Errno::EMSGSIZE) => {}
                Err(_) => {
                    self.failures += 1;
                    return;
                }
            }
        }
        for frame in frames {
            match self.send(&address, std::slice::from_ref(frame)) {
                Ok(()) => {}
                Err(Errno::EMSGSIZE) => {
                    if self.too_big.len() < TOO_BIG_MAX {
                        self.too_big.push_back((to, frame.len()));
                    }
                }
                // What is not sent is lost like any datagram: the ring asks for it again.
                Err(_) => self.failures += 1,
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
        let mut reports = 0;
        loop {
            match sendmsg(self.fd.as_raw_fd(), parts, control, flags, Some(to)) {
                Ok(_) => return Ok(()),
                Err(Errno::EINTR) => {}
                // What became of an earlier datagram is told first; this one was not tried yet.
                Err(Errno::ECONNREFUSED | Errno::EHOSTUNREACH) if reports < REPORTS_MAX => {
                    reports += 1;
                }
                Err(e) => return Err(e),
            }
        }
    }
}

/// Datagrams that were too long and not yet told.
const TOO_BIG_MAX: usize = 64;
/// Reports of earlier datagrams that are passed over at one attempt to send.
const REPORTS_MAX: u32 = 4;
/// Most datagrams that a kernel cuts from one buffer (`UDP_MAX_SEGMENTS` of Linux before 6.9).
const SEGMENTS_MAX: usize = 64;
/// Most bytes of one such buffer: what an IPv6 packet carries.
const RUN_BYTES_MAX: usize = 65_000;

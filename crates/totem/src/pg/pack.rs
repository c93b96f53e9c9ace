//! Filling packets with messages and pieces of messages.

use std::collections::VecDeque;

use bytes::{BufMut, BytesMut};
use ferrosync_wire::pg::PacketHeader;
use ferrosync_wire::{Encode, Writer};

use crate::srp::Srp;

/// Collects messages of one lane into packets of at most the ring's MTU.
///
/// Any split that keeps the format is right for receivers; this one fills every packet to the last byte.
#[derive(Debug)]
pub(super) struct Packer {
    mtu: usize,
    /// Lengths of the pieces collected so far.
    lengths: Vec<u16>,
    /// Their bytes.
    data: Vec<u8>,
    /// `fragmented` of the packet closed last.
    continuation: u8,
    /// Id of the next packet whose last piece goes on.
    next_fragment: u8,
    /// Bytes of the message begun that were not added yet.
    remaining: usize,
    full: VecDeque<BytesMut>,
    pool: BytesMut,
    scratch: Vec<u8>,
}

impl Packer {
    pub(super) fn new(mtu: usize) -> Self {
        Self {
            mtu,
            lengths: Vec::new(),
            data: Vec::new(),
            continuation: 0,
            next_fragment: 1,
            remaining: 0,
            full: VecDeque::new(),
            pool: BytesMut::new(),
            scratch: Vec::new(),
        }
    }

    /// Starts a message of `size` bytes, which [`Self::add`] then brings.
    pub(super) fn begin(&mut self, size: usize) {
        assert_eq!(self.remaining, 0, "one message at a time");
        assert!(size > 0, "a message has at least its group header");
        self.remaining = size;
        self.lengths.push(0);
        if self.room() == 0 {
            self.lengths.pop();
            self.close(0);
            self.lengths.push(0);
        }
        if size <= self.room() {
            self.next_fragment = 1;
        }
    }

    /// The message's next bytes.
    pub(super) fn add(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let take = bytes.len().min(self.room());
            let (now, later) = bytes.split_at(take);
            self.data.extend_from_slice(now);
            let piece = self.lengths.last_mut().expect("begin pushed a piece");
            *piece += u16::try_from(take).expect("the MTU fits 16 bits");
            self.remaining -= take;
            bytes = later;
            if self.remaining > 0 && self.room() == 0 {
                self.close_fragmented();
            }
        }
    }

    /// All bytes of the message were added.
    pub(super) fn end(&mut self) {
        assert_eq!(self.remaining, 0, "the message is as long as announced");
        if self.mtu - self.used() < MIN_ROOM {
            self.close(0);
        }
    }

    /// A closed packet with room for the mcast header in front.
    pub(super) fn take_full(&mut self) -> Option<BytesMut> {
        self.full.pop_front()
    }

    /// Closes what was collected, however little; `None` when there is nothing.
    pub(super) fn take_rest(&mut self) -> Option<BytesMut> {
        assert_eq!(self.remaining, 0, "never in the middle of a message");
        if !self.lengths.is_empty() {
            self.close(0);
        }
        self.full.pop_front()
    }

    /// Whether nothing waits for company.
    pub(super) fn is_empty(&self) -> bool {
        self.lengths.is_empty() && self.full.is_empty()
    }

    const fn used(&self) -> usize {
        PacketHeader::LEN + 2 * self.lengths.len() + self.data.len()
    }

    const fn room(&self) -> usize {
        self.mtu.saturating_sub(self.used())
    }

    fn close_fragmented(&mut self) {
        let id = self.next_fragment;
        // 0 says "complete", so it is left out.
        self.next_fragment = id.checked_add(1).unwrap_or(1);
        self.close(id);
        self.lengths.push(0);
    }

    fn close(&mut self, fragmented: u8) {
        let header = PacketHeader {
            fragmented,
            continuation: self.continuation,
            msg_count: u16::try_from(self.lengths.len()).expect("the MTU bounds the count"),
        };
        self.scratch.clear();
        header.encode(&mut Writer::new(&mut self.scratch));
        let size = Srp::FRAME_HEAD + self.used();
        if self.pool.capacity() < size {
            self.pool.reserve(POOL_CHUNK.max(size));
        }
        self.pool.put_bytes(0, Srp::FRAME_HEAD);
        self.pool.put_slice(&self.scratch);
        for length in self.lengths.drain(..) {
            self.pool.put_u16_le(length);
        }
        self.pool.put_slice(&self.data);
        self.data.clear();
        self.continuation = fragmented;
        self.full.push_back(self.pool.split());
    }
}

/// Frames with the beginning of a message whose rest waits under the fragment id `fragment`.
pub(super) fn beginning(bytes: &[u8], fragment: u8, mtu: usize) -> VecDeque<BytesMut> {
    let room = mtu - PacketHeader::LEN - 2;
    let mut frames = VecDeque::new();
    let mut continuation = 0;
    for piece in bytes.chunks(room) {
        let header = PacketHeader {
            fragmented: fragment,
            continuation,
            msg_count: 1,
        };
        let mut frame = vec![0; Srp::FRAME_HEAD];
        header.encode(&mut Writer::new(&mut frame));
        let mut frame = BytesMut::from(&frame[..]);
        frame.put_u16_le(u16::try_from(piece.len()).expect("the MTU fits 16 bits"));
        frame.put_slice(piece);
        frames.push_back(frame);
        continuation = fragment;
    }
    frames
}

/// With less room than this a packet is closed: a length and a few bytes are not worth waiting for.
const MIN_ROOM: usize = 16;

/// Packets are cut from chunks of this many bytes, which come back when all their packets are released.
const POOL_CHUNK: usize = 128 << 10;

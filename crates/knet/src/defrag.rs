//! Puts fragments of one peer's messages together again (libknet/threads_rx.c:pckt_defrag, kronosnet 1.x).
//!
//! Fragments come in any order, over any link, more than once. All but the last have one length, which is learned
//! from the first of them; a last fragment that arrives earlier waits at the side. At most [`BUFFERS`] messages are
//! in the making, none longer than [`MESSAGE_MAX`], so a peer costs 2 MiB at most.

use bytes::Bytes;
use ferrosync_wire::Instant;
use ferrosync_wire::knet::{MESSAGE_MAX, Seq};
use ferrosync_wire::time::Duration;

use crate::window::{Sighting, Window};

/// Messages of one peer that may be in the making (libknet/internals.h: KNET_DEFRAG_BUFFERS, kronosnet 1.x).
pub const BUFFERS: usize = 32;

/// Unfinished messages of one peer.
#[derive(Clone, Debug, Default)]
pub struct Defrag {
    buffers: Vec<Buffer>,
}

/// One fragment as it arrived.
#[derive(Clone, Copy, Debug)]
pub struct Fragment<'a> {
    /// The message's number.
    pub seq: Seq,
    /// Its place in the message, from 1 to `count`.
    pub number: u8,
    /// How many fragments the message has, at least 2.
    pub count: u8,
    /// Its share of the message.
    pub payload: &'a [u8],
}

/// What became of a fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was the missing one: the whole message.
    Complete(Bytes),
    /// Kept; others are missing.
    Kept,
    /// Came before; nothing changed.
    Duplicate,
    /// Its message was given up or finished earlier; nothing changed.
    Expired,
    /// Contradicts its message's other fragments or could not be part of any; nothing was kept.
    Refused,
}

impl Defrag {
    /// Takes a fragment of a message that `window` has been asked about and has not delivered.
    pub fn accept(&mut self, window: &mut Window, now: Instant, fragment: Fragment<'_>) -> Outcome {
        self.expire(window.newest(), now);
        let found = self.buffers.iter().position(|b| b.seq == fragment.seq);
        let Some(index) = found else {
            return self.accept_first(window, now, fragment);
        };
        let buffer = &mut self.buffers[index];
        buffer.touched = now;
        let outcome = buffer.add(fragment);
        if outcome == Outcome::Kept && buffer.missing == 0 {
            return Outcome::Complete(self.buffers.swap_remove(index).finish());
        }
        outcome
    }

    /// Forgets all that is unfinished.
    pub fn clear(&mut self) {
        self.buffers.clear();
    }

    /// Gives up messages that are no longer near the newest (libknet/host.c:_reclaim_old_defrag_bufs, kronosnet 1.x), and
    /// those that nothing came for (`docs/deviations.md`, D-107).
    fn expire(&mut self, newest: Seq, now: Instant) {
        self.buffers.retain(|buffer| {
            newest.0.wrapping_sub(buffer.seq.0) <= REACH && now.since(buffer.touched) < PATIENCE
        });
    }

    fn accept_first(
        &mut self,
        window: &mut Window,
        now: Instant,
        fragment: Fragment<'_>,
    ) -> Outcome {
        if window.look_up_started(fragment.seq) == Sighting::Again {
            return Outcome::Expired;
        }
        let mut buffer = Buffer::new(now, fragment);
        let outcome = buffer.add(fragment);
        if outcome == Outcome::Kept {
            window.mark_started(fragment.seq);
            self.insert(buffer);
        }
        outcome
    }

    /// Adds a buffer, if need be in the place of the one that waited longest.
    fn insert(&mut self, buffer: Buffer) {
        if self.buffers.len() >= BUFFERS {
            let by_age = self.buffers.iter().enumerate();
            let oldest = by_age.min_by_key(|(_, b)| b.touched);
            let (index, _) = oldest.expect("BUFFERS is not 0");
            self.buffers.swap_remove(index);
        }
        self.buffers.push(buffer);
    }
}

/// One unfinished message.
#[derive(Clone, Debug)]
struct Buffer {
    seq: Seq,
    count: u8,
    missing: u8,
    arrived: [u64; 4],
    /// Length of all fragments but the last; 0 while unknown.
    size: usize,
    /// The message, from the moment that `size` is known; its end is cut when the last fragment comes.
    bytes: Vec<u8>,
    last: Vec<u8>,
    touched: Instant,
}

impl Buffer {
    const fn new(now: Instant, fragment: Fragment<'_>) -> Self {
        Self {
            seq: fragment.seq,
            count: fragment.count,
            missing: fragment.count,
            arrived: [0; 4],
            size: 0,
            bytes: Vec::new(),
            last: Vec::new(),
            touched: now,
        }
    }

    fn add(&mut self, fragment: Fragment<'_>) -> Outcome {
        let Fragment {
            number,
            count,
            payload,
            ..
        } = fragment;
        let possible = count >= 2 && (1..=count).contains(&number) && !payload.is_empty();
        if !possible || count != self.count {
            return Outcome::Refused;
        }
        let (word, mask) = (usize::from(number / 64), 1 << (number % 64));
        if self.arrived[word] & mask != 0 {
            return Outcome::Duplicate;
        }
        let fits = if number == count {
            self.fits(self.size, payload.len())
        } else {
            (self.size == 0 || self.size == payload.len())
                && self.fits(payload.len(), self.last.len())
        };
        if !fits {
            return Outcome::Refused;
        }
        if number == count {
            self.last = payload.to_vec();
        } else {
            self.place(usize::from(number - 1), payload);
        }
        self.arrived[word] |= mask;
        self.missing -= 1;
        Outcome::Kept
    }

    /// Whether fragments of these lengths make a possible message; 0 stands for an unknown length.
    ///
    /// C would write behind its buffer (libknet/threads_rx.c:pckt_defrag, kronosnet 1.x).
    fn fits(&self, size: usize, last: usize) -> bool {
        let before_last = (usize::from(self.count) - 1) * size;
        before_last + last <= MESSAGE_MAX && (size == 0 || last <= size)
    }

    fn place(&mut self, index: usize, payload: &[u8]) {
        if self.size == 0 {
            self.size = payload.len();
            self.bytes = vec![0; (usize::from(self.count) - 1) * self.size];
        }
        let start = index * self.size;
        self.bytes[start..start + self.size].copy_from_slice(payload);
    }

    fn finish(mut self) -> Bytes {
        self.bytes.extend_from_slice(&self.last);
        Bytes::from(self.bytes)
    }
}

/// How far below the newest number an unfinished message may be; one more than [`BUFFERS`] are in reach.
const REACH: u16 = 32;
/// How long an unfinished message waits for its next fragment. They leave together; and a host that starts anew unnoticed
/// takes longer than this to come back to the same number.
const PATIENCE: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests;

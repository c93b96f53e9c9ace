//! Messages of one ring by sequence number, with what is known about completeness.

use std::collections::VecDeque;

use bytes::Bytes;

use super::seq::Seq;

/// Sequence numbers that one ring can have in flight (`QUEUE_RTR_ITEMS_SIZE_MAX`, corosync `totemsrp.c`, v3.1.7).
pub(crate) const WINDOW: u32 = 16_384;

/// Received and own frames of one ring, from the first that is not released.
#[derive(Clone, Debug)]
pub(crate) struct SortQueue {
    /// Sequence number of `slots[0]`.
    head: Seq,
    slots: VecDeque<Slot>,
    /// Everything up to here is present or was (`my_aru`).
    aru: Seq,
    /// Highest sequence number seen (`my_high_seq_received`).
    high_seq: Seq,
}

#[derive(Clone, Debug, Default)]
struct Slot {
    frame: Option<Bytes>,
    /// Token visits that found this slot empty.
    missed: u32,
}

impl SortQueue {
    /// An empty queue of a new ring.
    #[must_use]
    pub(crate) const fn new() -> Self {
        Self {
            head: Seq(1),
            slots: VecDeque::new(),
            aru: Seq::START,
            high_seq: Seq::START,
        }
    }

    /// Everything up to here is present or was released (`my_aru`).
    #[doc(alias = "my_aru")]
    #[must_use]
    pub(crate) const fn aru(&self) -> Seq {
        self.aru
    }

    /// Highest sequence number seen.
    #[doc(alias = "my_high_seq_received")]
    #[must_use]
    pub(crate) const fn high_seq(&self) -> Seq {
        self.high_seq
    }

    /// Whether nothing is missing up to the highest number seen.
    #[must_use]
    pub(crate) fn is_complete(&self) -> bool {
        self.aru == self.high_seq
    }

    /// Whether a frame with this number can be held: not released, and inside the window.
    #[must_use]
    pub(crate) const fn in_range(&self, seq: Seq) -> bool {
        seq.distance_from(self.head) < WINDOW
    }

    /// The frame with this number.
    #[must_use]
    pub(crate) fn get(&self, seq: Seq) -> Option<&Bytes> {
        self.slots.get(self.index(seq)?)?.frame.as_ref()
    }

    /// Keeps a frame, unless its number is out of range or taken. Says whether it was new.
    pub(crate) fn store(&mut self, seq: Seq, frame: Bytes) -> Stored {
        let Some(index) = self.index(seq) else {
            return Stored::OutOfRange;
        };
        if index >= self.slots.len() {
            self.slots.resize_with(index + 1, Slot::default);
        }
        let slot = &mut self.slots[index];
        if slot.frame.is_some() {
            return Stored::Duplicate;
        }
        slot.frame = Some(frame);
        if self.high_seq.before(seq) {
            self.high_seq = seq;
        }
        self.advance_aru();
        Stored::New
    }

    /// Counts one more token visit that found `seq` missing; returns the count.
    pub(crate) fn count_miss(&mut self, seq: Seq) -> u32 {
        let Some(index) = self.index(seq) else {
            return 0;
        };
        if index >= self.slots.len() {
            self.slots.resize_with(index + 1, Slot::default);
        }
        let missed = &mut self.slots[index].missed;
        *missed = missed.saturating_add(1);
        *missed
    }

    /// Frees everything up to and including `seq`.
    pub(crate) fn release_to(&mut self, seq: Seq) {
        let count = seq.plus(1).distance_from(self.head);
        if count > WINDOW {
            return; // `seq` lies before the head: released already
        }
        for _ in 0..count {
            if self.slots.pop_front().is_none() {
                break;
            }
        }
        self.head = seq.plus(1);
    }

    fn advance_aru(&mut self) {
        while self.aru != self.high_seq && self.get(self.aru.plus(1)).is_some() {
            self.aru = self.aru.plus(1);
        }
    }

    fn index(&self, seq: Seq) -> Option<usize> {
        self.in_range(seq)
            .then(|| seq.distance_from(self.head) as usize)
    }
}

impl Default for SortQueue {
    fn default() -> Self {
        Self::new()
    }
}

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stored {
    /// Kept.
    New,
    /// There was one with this number.
    Duplicate,
    /// Released already, or too far ahead.
    OutOfRange,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(n: u32) -> Bytes {
        Bytes::copy_from_slice(&n.to_le_bytes())
    }

    #[test]
    fn aru_stops_at_the_first_hole() {
        let mut q = SortQueue::new();
        for n in [1, 2, 4, 5] {
            assert_eq!(q.store(Seq(n), frame(n)), Stored::New);
        }
        assert_eq!((q.aru(), q.high_seq()), (Seq(2), Seq(5)));
        assert_eq!(q.count_miss(Seq(3)), 1);
        assert_eq!(q.count_miss(Seq(3)), 2);
        assert_eq!(q.store(Seq(3), frame(3)), Stored::New);
        assert!(q.is_complete());
        assert_eq!(q.store(Seq(3), frame(3)), Stored::Duplicate);
    }

    #[test]
    fn released_numbers_do_not_come_back() {
        let mut q = SortQueue::new();
        for n in 1..=10 {
            q.store(Seq(n), frame(n));
        }
        q.release_to(Seq(4));
        assert_eq!(q.get(Seq(4)), None);
        assert_eq!(q.store(Seq(4), frame(4)), Stored::OutOfRange);
        assert_eq!(q.get(Seq(5)), Some(&frame(5)));
        q.release_to(Seq(2));
        assert_eq!(q.get(Seq(5)), Some(&frame(5)));
        q.release_to(Seq(12));
        assert_eq!(q.store(Seq(13), frame(13)), Stored::New);
    }

    #[test]
    fn numbers_wrap() {
        let mut q = SortQueue {
            head: Seq(u32::MAX - 1),
            aru: Seq(u32::MAX - 2),
            high_seq: Seq(u32::MAX - 2),
            slots: VecDeque::new(),
        };
        for i in 0..6 {
            let seq = Seq(u32::MAX - 1).plus(i);
            assert_eq!(q.store(seq, frame(i)), Stored::New);
            assert_eq!(q.aru(), seq);
        }
        assert_eq!(q.aru(), Seq(3));
        q.release_to(Seq(1));
        assert_eq!(q.get(Seq(2)), Some(&frame(4)));
        assert!(!q.in_range(Seq(2).plus(WINDOW)));
    }
}

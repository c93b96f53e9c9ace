//! Which messages of a peer have been seen: kronosnet's circular buffers, with its rules about distance.
//!
//! Several links bring the same message more than once, and only the first copy counts. A window remembers
//! [`WINDOW`] numbers below the newest, twice: what was delivered, and what began to be put together from fragments.

use ferrosync_wire::knet::Seq;

/// How many numbers a window remembers (libknet/internals.h: KNET_CBUFFER_SIZE, kronosnet 1.x).
pub const WINDOW: u16 = 4096;

/// What one peer has sent lately.
#[derive(Clone, Debug)]
pub struct Window {
    newest: Seq,
    /// How far `newest` went since the last [`Self::mark`], in numbers; the highest value where that is not known.
    progress: u32,
    delivered: Bits,
    started: Bits,
}

/// Whether a number was seen before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sighting {
    /// Not that we know.
    First,
    /// Its bit is set.
    Again,
}

impl Window {
    /// Remembers nothing; the first number seen becomes the newest.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            newest: Seq(0),
            progress: u32::MAX,
            delivered: Bits::CLEAR,
            started: Bits::CLEAR,
        }
    }

    /// The newest number seen; 0 for none.
    #[must_use]
    pub const fn newest(&self) -> Seq {
        self.newest
    }

    /// Whether message `seq` was delivered; moves the window up to it (libknet/host.c:_seq_num_lookup, kronosnet 1.x).
    pub fn look_up(&mut self, seq: Seq) -> Sighting {
        self.look_up_in(seq, Record::Delivered)
    }

    /// Whether fragments of message `seq` arrived before; moves the window up to it.
    pub fn look_up_started(&mut self, seq: Seq) -> Sighting {
        self.look_up_in(seq, Record::Started)
    }

    /// Remembers that message `seq`, just looked up, was delivered.
    pub const fn mark_delivered(&mut self, seq: Seq) {
        self.delivered.set(seq);
    }

    /// Remembers that a fragment of message `seq`, just looked up, arrived.
    pub const fn mark_started(&mut self, seq: Seq) {
        self.started.set(seq);
    }

    /// Forgets everything: the peer starts over behind `seq`.
    pub const fn restart_at(&mut self, seq: Seq) {
        *self = Self::new();
        self.newest = seq;
    }

    /// Marks the newest number, for [`Self::is_before_mark`].
    pub const fn mark(&mut self) {
        self.progress = 0;
    }

    /// Whether `seq` comes before the number that was the newest at the last mark, and not so long before that
    /// [`Self::look_up`] would see a leap.
    #[must_use]
    pub const fn is_before_mark(&self, seq: Seq) -> bool {
        let behind = self.newest.0.wrapping_sub(seq.0);
        behind < WINDOW && behind as u32 > self.progress
    }

    fn look_up_in(&mut self, seq: Seq, record: Record) -> Sighting {
        if self.newest == Seq(0) {
            self.newest = seq;
        }
        match place(self.newest, seq) {
            Place::Inside => {
                let bits = match record {
                    Record::Delivered => &self.delivered,
                    Record::Started => &self.started,
                };
                return bits.get(seq);
            }
            Place::Elsewhere => {
                self.delivered = Bits::CLEAR;
                self.started = Bits::CLEAR;
                self.progress = u32::MAX;
            }
            Place::Ahead => {
                let steps = seq.0.wrapping_sub(self.newest.0);
                self.progress = self.progress.saturating_add(u32::from(steps));
                for step in 1..=steps {
                    let passed = Seq(self.newest.0.wrapping_add(step));
                    self.delivered.clear(passed);
                    self.started.clear(passed);
                }
            }
        }
        self.newest = seq;
        Sighting::First
    }
}

impl Default for Window {
    fn default() -> Self {
        Self::new()
    }
}

#[derive(Clone, Copy)]
enum Record {
    Delivered,
    Started,
}

/// Where a number lies, seen from the newest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Among the remembered ones.
    Inside,
    /// Too far away in either direction for the window to say anything.
    Elsewhere,
    /// At most a window's length newer.
    Ahead,
}

/// C counts one too few below the newest and, across the wrap, above it (libknet/host.c:_seq_num_lookup, kronosnet 1.x). It
/// matters at the edges: the number one whole window below the newest shares its bit with the newest.
const fn place(newest: Seq, seq: Seq) -> Place {
    let distance = if seq.0 < newest.0 {
        (u16::MAX - seq.0).wrapping_add(newest.0)
    } else {
        newest.0.wrapping_sub(seq.0)
    };
    if distance < WINDOW {
        Place::Inside
    } else if distance <= u16::MAX - WINDOW {
        Place::Elsewhere
    } else {
        Place::Ahead
    }
}

/// One bit for each remembered number.
#[derive(Clone, Debug)]
struct Bits([u64; WORDS]);

impl Bits {
    const CLEAR: Self = Self([0; WORDS]);

    const fn get(&self, seq: Seq) -> Sighting {
        let (word, mask) = slot(seq);
        if self.0[word] & mask == 0 {
            Sighting::First
        } else {
            Sighting::Again
        }
    }

    const fn set(&mut self, seq: Seq) {
        let (word, mask) = slot(seq);
        self.0[word] |= mask;
    }

    const fn clear(&mut self, seq: Seq) {
        let (word, mask) = slot(seq);
        self.0[word] &= !mask;
    }
}

const fn slot(seq: Seq) -> (usize, u64) {
    let slot = seq.0 % WINDOW;
    ((slot / 64) as usize, 1 << (slot % 64))
}

const WORDS: usize = WINDOW as usize / 64;

#[cfg(test)]
mod tests {
    use super::*;

    /// A window whose newest number is `newest`, and which has delivered it.
    fn at(newest: u16) -> Window {
        let mut window = Window::new();
        window.restart_at(Seq(newest));
        window.mark_delivered(Seq(newest));
        window
    }

    #[test]
    fn distances_are_those_of_c() {
        let cases = [
            // newest, seq, place
            (10_000, 10_000, Place::Inside),
            (10_000, 9_999, Place::Inside),
            // 4096 below: one more than would be right.
            (10_000, 5_904, Place::Inside),
            (10_000, 5_903, Place::Elsewhere),
            (10_000, 0, Place::Elsewhere),
            (10_000, 10_001, Place::Ahead),
            (10_000, 14_096, Place::Ahead),
            (10_000, 14_097, Place::Elsewhere),
            (10_000, 65_535, Place::Elsewhere),
            // Across the wrap it is the other way round.
            (5, 65_535, Place::Inside),
            (5, 61_446, Place::Inside),
            (5, 61_445, Place::Elsewhere),
            (65_530, 5, Place::Ahead),
            (65_530, 4_089, Place::Ahead),
            (65_530, 4_090, Place::Elsewhere),
        ];
        for (newest, seq, expected) in cases {
            assert_eq!(place(Seq(newest), Seq(seq)), expected, "{newest} {seq}");
        }
    }

    #[test]
    fn each_message_counts_once() {
        let mut window = Window::new();
        let mut delivered = 0;
        // Twice around; every third message is overtaken by its successor, and the others come twice.
        for step in 0..=2 * u32::from(u16::MAX) {
            let order = if step % 3 == 0 {
                [step + 1, step]
            } else {
                [step, step]
            };
            for number in order {
                let seq = Seq(u16::try_from(number % 65_535 + 1).unwrap());
                if window.look_up(seq) == Sighting::First {
                    window.mark_delivered(seq);
                    delivered += 1;
                }
            }
        }
        assert_eq!(delivered, 2 * u32::from(u16::MAX) + 2);
    }

    #[test]
    fn messages_passed_over_are_new_when_they_come() {
        let mut window = at(100);
        assert_eq!(window.look_up(Seq(200)), Sighting::First);
        for late in 101..=200 {
            assert_eq!(window.look_up(Seq(late)), Sighting::First, "{late}");
        }
        assert_eq!(window.look_up(Seq(100)), Sighting::Again);
        assert_eq!(window.newest(), Seq(200));
    }

    #[test]
    fn a_step_ahead_clears_what_it_passes() {
        let mut window = at(100);
        // 4196 has the slot of 100.
        assert_eq!(window.look_up(Seq(4_195)), Sighting::First);
        assert_eq!(window.look_up(Seq(100)), Sighting::Again);
        assert_eq!(window.look_up(Seq(4_196)), Sighting::First);
        assert_eq!(window.look_up(Seq(4_196)), Sighting::First);
    }

    #[test]
    fn a_jump_forgets_everything() {
        for target in [30_000, 5_000] {
            let mut window = at(10_000);
            window.mark_started(Seq(9_999));
            assert_eq!(window.look_up(Seq(target)), Sighting::First);
            assert_eq!(window.newest(), Seq(target));
            window.newest = Seq(10_000);
            assert_eq!(window.look_up(Seq(10_000)), Sighting::First);
            assert_eq!(window.look_up_started(Seq(9_999)), Sighting::First);
        }
    }

    #[test]
    fn the_first_message_sets_the_place() {
        let mut window = Window::new();
        assert_eq!(window.look_up(Seq(40_000)), Sighting::First);
        assert_eq!(window.newest(), Seq(40_000));
        window.mark_delivered(Seq(40_000));
        assert_eq!(window.look_up(Seq(40_000)), Sighting::Again);
    }

    #[test]
    fn delivered_and_started_are_told_apart() {
        let mut window = at(7);
        assert_eq!(window.look_up_started(Seq(7)), Sighting::First);
        window.mark_started(Seq(6));
        assert_eq!(window.look_up_started(Seq(6)), Sighting::Again);
        assert_eq!(window.look_up(Seq(6)), Sighting::First);
    }
}

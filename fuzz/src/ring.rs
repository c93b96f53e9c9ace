//! A ring buffer whose memory the peer scribbles over between any two operations.

use core::cell::Cell;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::collections::VecDeque;
use std::rc::Rc;

use ferrosync_ipc::ring::{Consumer, HeaderWord, MIN_WORDS, Producer, PushError, SharedMemory};

use crate::feed::Feed;

/// One ring, with both of its sides and a peer that may write every word.
///
/// Until the peer has written something, messages come out as they went in. Afterwards nothing that happens leads
/// outside the memory (it panics then), and no message is longer than the ring.
pub fn ipc_ring(data: &[u8]) {
    let mut feed = Feed::new(data);
    let words = MIN_WORDS + u32::from(feed.u8());
    let mut world = World::new(words);
    for _ in 0..STEPS_MAX {
        if feed.is_empty() {
            break;
        }
        world.step(&mut feed);
    }
}

struct World {
    memory: Shared,
    producer: Producer<Shared>,
    consumer: Consumer<Shared>,
    /// What is in the ring, while the peer has written nothing.
    model: Option<VecDeque<Vec<u8>>>,
}

impl World {
    fn new(words: u32) -> Self {
        let memory = Shared(Rc::new(Memory::new(words)));
        Self {
            producer: Producer::new(memory.clone()),
            consumer: Consumer::new(memory.clone()),
            memory,
            model: Some(VecDeque::new()),
        }
    }

    fn step(&mut self, feed: &mut Feed<'_>) {
        match feed.u8() % 8 {
            0 | 1 => self.push(feed),
            2 | 3 => self.pop(),
            4 => self.pop_while_scribbling(feed),
            5 => self.look(),
            6 => self.scribble(feed),
            _ => {
                let lost = self.memory.0.lost.get();
                self.memory.0.lost.set(!lost);
                self.model = None;
            }
        }
    }

    fn push(&mut self, feed: &mut Feed<'_>) {
        let parts = [feed.short_bytes(), feed.short_bytes()];
        let len = parts[0].len() + parts[1].len();
        let room = self.producer.room();
        let pushed = self.producer.try_push(&parts);
        if len > self.producer.capacity() {
            return assert_eq!(pushed, Err(PushError::TooBig));
        }
        match (pushed, &mut self.model) {
            (Ok(()), Some(model)) => model.push_back(parts.concat()),
            (Err(PushError::Full), Some(model)) => {
                assert!(!model.is_empty(), "an empty ring takes every message");
                assert!(room.is_ok_and(|room| room < len || room == 0));
            }
            (Err(error), Some(_)) => panic!("{error:?} without a hostile peer"),
            (_, None) => {}
        }
    }

    fn pop(&mut self) {
        let mut taken = Vec::new();
        let popped = self.consumer.peek().and_then(|chunk| match chunk {
            Some(chunk) => self.consumer.take(chunk, &mut taken).map(|()| true),
            None => Ok(false),
        });
        assert!(taken.len() <= self.producer.capacity());
        if let Some(model) = &mut self.model {
            let expected = model.pop_front();
            assert_eq!(popped, Ok(expected.is_some()));
            assert_eq!(taken, expected.unwrap_or_default());
        }
    }

    /// The peer writes after the chunk was looked at.
    fn pop_while_scribbling(&mut self, feed: &mut Feed<'_>) {
        let Ok(Some(chunk)) = self.consumer.peek() else {
            return;
        };
        self.scribble(feed);
        let head = self.consumer.front::<24>(&chunk);
        assert_eq!(head.is_some(), chunk.len() >= 24);
        self.scribble(feed);
        let (len, mut taken) = (chunk.len(), Vec::new());
        if self.consumer.take(chunk, &mut taken).is_ok() {
            assert_eq!(taken.len(), len, "the length is read once");
        }
    }

    fn look(&self) {
        if let Ok(room) = self.producer.room() {
            assert!(room <= self.producer.capacity());
        }
        if let Some(model) = &self.model {
            assert_eq!(self.consumer.queued() as usize, model.len());
            assert_eq!(self.producer.queued(), self.consumer.queued());
        }
    }

    fn scribble(&mut self, feed: &mut Feed<'_>) {
        self.model = None;
        let words = self.memory.word_count();
        let target = feed.u8();
        let value = match feed.u8() {
            0 => feed.u32(),
            1 => MAGIC_COMMITTED,
            2 => words,
            3 => words - 1,
            4 => words * 4 - 12,
            5 => u32::MAX,
            small => u32::from(small) - 6,
        };
        match target {
            0 => {
                let semaphore = u64::from(value) << 32 | u64::from(feed.u32());
                self.memory.0.semaphore.store(semaphore, Ordering::Relaxed);
            }
            1..=5 => self.memory.0.header[usize::from(target) - 1].store(value, Ordering::Relaxed),
            _ => {
                let at = (u32::from(target) * 256 + u32::from(feed.u8())) % words;
                self.memory.word(at).store(value, Ordering::Relaxed);
            }
        }
    }
}

/// The memory as both sides and the peer see it.
#[derive(Clone)]
struct Shared(Rc<Memory>);

/// A ring in the heap; the second mapping is arithmetic.
struct Memory {
    header: [AtomicU32; 5],
    semaphore: AtomicU64,
    data: Vec<AtomicU32>,
    lost: Cell<bool>,
}

impl Memory {
    fn new(words: u32) -> Self {
        Self {
            header: Default::default(),
            semaphore: AtomicU64::new(0),
            data: (0..words).map(|_| AtomicU32::new(0)).collect(),
            lost: Cell::new(false),
        }
    }

    /// The word that holds a byte of either mapping, and where in it.
    fn byte(&self, offset: usize) -> (&AtomicU32, usize) {
        (&self.data[offset / 4 % self.data.len()], offset % 4 * 8)
    }

    fn check(&self, offset: usize, len: usize) {
        assert!(offset + len <= 2 * 4 * self.data.len(), "outside the ring");
    }
}

impl SharedMemory for Shared {
    fn header(&self, word: HeaderWord) -> &AtomicU32 {
        &self.0.header[word as usize]
    }

    fn semaphore(&self) -> &AtomicU64 {
        &self.0.semaphore
    }

    fn word_count(&self) -> u32 {
        u32::try_from(self.0.data.len()).expect("made from a u32")
    }

    fn word(&self, index: u32) -> &AtomicU32 {
        &self.0.data[index as usize]
    }

    fn copy_in(&self, offset: usize, bytes: &[u8]) {
        self.0.check(offset, bytes.len());
        for (i, byte) in bytes.iter().enumerate() {
            let (word, shift) = self.0.byte(offset + i);
            let others = word.load(Ordering::Relaxed) & !(0xff << shift);
            word.store(others | u32::from(*byte) << shift, Ordering::Relaxed);
        }
    }

    fn copy_out(&self, offset: usize, len: usize, into: &mut Vec<u8>) {
        self.0.check(offset, len);
        into.extend((offset..offset + len).map(|at| {
            let (word, shift) = self.0.byte(at);
            (word.load(Ordering::Relaxed) >> shift).to_le_bytes()[0]
        }));
    }

    fn wake(&self) {}

    fn is_lost(&self) -> bool {
        self.0.lost.get()
    }
}

/// Operations of one input; longer inputs only repeat.
const STEPS_MAX: usize = 2_000;

/// What a writer puts in front of a chunk that may be read (libqb `ringbuffer.c`, v2.0.6).
const MAGIC_COMMITTED: u32 = 0xA1A1_A1A1;

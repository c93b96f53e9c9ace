//! One direction of a connection: a ring of chunks with one writer and one reader in different processes.
//!
//! A chunk is `length u32, magic u32, data`, beginning at a word boundary. The data area is mapped twice back to
//! back, so that data may run over its end; the two header words may not and wrap one by one. A counting
//! semaphore says how many chunks wait; writer and reader each move an index of their own (libqb
//! `ringbuffer.c`, v2.0.6).
//!
//! The peer can write every shared byte at any time. Therefore each side keeps its own index privately and only
//! publishes it, the size of the ring comes from the mapping and never from the shared header, and a word that
//! was read once is not read again. Whatever the peer does, nothing is accessed outside the ring, no loop depends
//! on it, and no step waits for it. What it can spoil is its own messages.
//!
//! There is no memory here: [`SharedMemory`] hides the mapping, so that the same code runs over ordinary memory
//! in tests and under miri.

use core::fmt;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Words of the ring's shared header, by byte offset (libqb `ringbuffer_int.h: struct qb_ringbuffer_shared_s`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderWord {
    /// Word index at which the writer continues.
    WriteIndex,
    /// Word index at which the reader continues.
    ReadIndex,
    /// Words of the data area.
    WordCount,
    /// 2 while both sides are there; C's client refuses to send otherwise.
    RefCount,
    /// First word behind the header: the flow control level, in the request ring.
    User,
}

impl HeaderWord {
    /// Byte offset in the header file.
    #[must_use]
    pub const fn offset(self) -> usize {
        match self {
            Self::WriteIndex => 0,
            Self::ReadIndex => 4,
            Self::WordCount => 8,
            Self::RefCount => 8204,
            Self::User => 8240,
        }
    }
}

/// The memory under a ring. Offsets and lengths outside it are bugs of the caller, and implementations panic.
pub trait SharedMemory {
    /// A word of the header.
    fn header(&self, word: HeaderWord) -> &AtomicU32;
    /// glibc's `sem_t`: the count in the low half, the number of sleepers in the high half (glibc
    /// `sysdeps/nptl/internaltypes.h: struct new_sem`, 64-bit form).
    fn semaphore(&self) -> &AtomicU64;
    /// Number of words in the data area, at least [`MIN_WORDS`].
    fn word_count(&self) -> u32;
    /// A word of the data area; `index` is below [`SharedMemory::word_count`].
    fn word(&self, index: u32) -> &AtomicU32;
    /// Writes at a byte offset of the double-mapped data area.
    fn copy_in(&self, offset: usize, bytes: &[u8]);
    /// Appends `len` bytes from a byte offset of the double-mapped data area. The peer may be changing them; each
    /// is read once.
    fn copy_out(&self, offset: usize, len: usize, into: &mut Vec<u8>);
    /// Wakes one sleeper on the semaphore.
    fn wake(&self);
    /// Whether the memory was lost: the peer cut the file, and what is there now is not shared any more.
    fn is_lost(&self) -> bool;
}

/// The writing side.
#[derive(Debug)]
pub struct Producer<M> {
    memory: M,
    write: u32,
}

/// The reading side.
#[derive(Debug)]
pub struct Consumer<M> {
    memory: M,
    read: u32,
}

/// A chunk that waits at the front of a ring.
#[derive(Debug)]
pub struct Chunk {
    at: u32,
    len: u32,
}

/// Why a message was not written. The ring is as it was before, unless it is corrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PushError {
    /// The reader has to make room first.
    Full,
    /// The message does not fit even into an empty ring.
    TooBig,
    /// See [`RingCorrupt`].
    Corrupt,
}

/// The peer wrote something that no correct peer writes, or cut the file; the connection is to be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingCorrupt;

impl fmt::Display for RingCorrupt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the shared ring buffer is corrupt")
    }
}

impl std::error::Error for RingCorrupt {}

impl From<RingCorrupt> for PushError {
    fn from(_: RingCorrupt) -> Self {
        Self::Corrupt
    }
}

impl<M: SharedMemory> Producer<M> {
    /// Starts at the beginning of a ring that nobody has used yet.
    ///
    /// # Panics
    /// When the memory is too small to be a ring.
    pub fn new(memory: M) -> Self {
        assert!(memory.word_count() >= MIN_WORDS);
        Self { memory, write: 0 }
    }

    /// The memory.
    pub const fn memory(&self) -> &M {
        &self.memory
    }

    /// Bytes that the longest message may have when the ring is empty.
    pub fn capacity(&self) -> usize {
        data_bytes(&self.memory) - CHUNK_MARGIN
    }

    /// Bytes that the longest message may have now; 0 also when not even an empty one fits.
    ///
    /// # Errors
    /// The reader's index is not one.
    pub fn room(&self) -> Result<usize, RingCorrupt> {
        Ok(self.free_bytes()?.saturating_sub(CHUNK_MARGIN))
    }

    /// Chunks that the reader has not taken yet, as far as it tells the truth.
    pub fn queued(&self) -> u32 {
        count(self.memory.semaphore().load(Ordering::Relaxed))
    }

    /// Where the reader is, as far as it tells the truth.
    pub fn reader(&self) -> u32 {
        self.memory
            .header(HeaderWord::ReadIndex)
            .load(Ordering::Relaxed)
    }

    /// Appends one message, given in parts, and wakes the reader if it sleeps.
    ///
    /// # Errors
    /// See [`PushError`].
    pub fn try_push(&mut self, parts: &[&[u8]]) -> Result<(), PushError> {
        let len: usize = parts.iter().map(|part| part.len()).sum();
        if len > self.capacity() {
            return Err(PushError::TooBig);
        }
        if self.free_bytes()? < len + CHUNK_MARGIN {
            return Err(PushError::Full);
        }
        let len_word = u32::try_from(len).map_err(|_| PushError::TooBig)?;
        let words = self.memory.word_count();
        let at = self.write;
        let next = step(at, len_word, words);
        let magic = self.memory.word((at + 1) % words);
        self.memory.word(at).store(0, Ordering::Relaxed);
        magic.store(MAGIC_ALLOC, Ordering::Release);
        let mut offset = byte_offset((at + HEADER_WORDS) % words);
        for part in parts {
            self.memory.copy_in(offset, part);
            offset += part.len();
        }
        self.memory.word(at).store(len_word, Ordering::Relaxed);
        self.memory
            .header(HeaderWord::WriteIndex)
            .store(next, Ordering::Release);
        magic.store(MAGIC_COMMITTED, Ordering::Release);
        self.write = next;
        self.post();
        if self.memory.is_lost() {
            return Err(PushError::Corrupt);
        }
        Ok(())
    }

    /// What glibc's `sem_post` does, without trusting the shared `sem_t`: that function takes the futex operation
    /// from a field which the peer can write, and with the wrong one it waits for ever or aborts the process.
    fn post(&self) {
        let before = self.memory.semaphore().fetch_add(1, Ordering::Release);
        if before >> SLEEPERS_SHIFT != 0 {
            self.memory.wake();
        }
    }

    /// libqb `ringbuffer.c:qb_rb_space_free`. A ring whose indices are equal is empty: a chunk never fills the
    /// last words, so the writer cannot catch up with the reader.
    fn free_bytes(&self) -> Result<usize, RingCorrupt> {
        let words = self.memory.word_count();
        let read = self
            .memory
            .header(HeaderWord::ReadIndex)
            .load(Ordering::Acquire);
        if read >= words || self.memory.is_lost() {
            return Err(RingCorrupt);
        }
        let free = match self.write.cmp(&read) {
            core::cmp::Ordering::Greater => read + words - self.write - 1,
            core::cmp::Ordering::Less => read - self.write - 1,
            core::cmp::Ordering::Equal => words,
        };
        Ok(byte_offset(free))
    }
}

impl<M: SharedMemory> Consumer<M> {
    /// Starts at the beginning of a ring that nobody has used yet.
    ///
    /// # Panics
    /// When the memory is too small to be a ring.
    pub fn new(memory: M) -> Self {
        assert!(memory.word_count() >= MIN_WORDS);
        Self { memory, read: 0 }
    }

    /// The memory.
    pub const fn memory(&self) -> &M {
        &self.memory
    }

    /// Chunks that wait, as far as the writer tells the truth.
    pub fn queued(&self) -> u32 {
        count(self.memory.semaphore().load(Ordering::Relaxed))
    }

    /// The chunk at the front, if one is there. It stays there.
    ///
    /// # Errors
    /// The semaphore promises a chunk and there is none, or it is longer than a ring can hold.
    pub fn peek(&self) -> Result<Option<Chunk>, RingCorrupt> {
        if self.memory.is_lost() {
            return Err(RingCorrupt);
        }
        if count(self.memory.semaphore().load(Ordering::Acquire)) == 0 {
            return Ok(None);
        }
        let words = self.memory.word_count();
        let magic = self.memory.word((self.read + 1) % words);
        if magic.load(Ordering::Acquire) != MAGIC_COMMITTED {
            return Err(RingCorrupt);
        }
        let len = self.memory.word(self.read).load(Ordering::Relaxed);
        let capacity = data_bytes(&self.memory) - CHUNK_MARGIN;
        if usize::try_from(len).map_or(true, |len| len > capacity) {
            return Err(RingCorrupt);
        }
        Ok(Some(Chunk { at: self.read, len }))
    }

    /// The first bytes of a chunk; `None` when it is shorter.
    pub fn front<const N: usize>(&self, chunk: &Chunk) -> Option<[u8; N]> {
        if chunk.len() < N {
            return None;
        }
        let words = self.memory.word_count();
        let mut front = [0; N];
        let mut at = (chunk.at + HEADER_WORDS) % words;
        for bytes in front.chunks_mut(WORD_BYTES) {
            let word = self.memory.word(at).load(Ordering::Relaxed);
            bytes.copy_from_slice(&word.to_le_bytes()[..bytes.len()]);
            at = (at + 1) % words;
        }
        Some(front)
    }

    /// Appends the chunk to `into` and gives its room back to the writer.
    ///
    /// # Errors
    /// The writer took the chunk back or cut the file. `into` may have grown by then.
    ///
    /// # Panics
    /// When `chunk` is not what the last [`Consumer::peek`] of this ring returned.
    pub fn take(&mut self, chunk: Chunk, into: &mut Vec<u8>) -> Result<(), RingCorrupt> {
        assert_eq!(chunk.at, self.read, "a chunk of this ring's front");
        let before = self.memory.semaphore().fetch_sub(1, Ordering::Acquire);
        if count(before) == 0 {
            return Err(RingCorrupt);
        }
        let words = self.memory.word_count();
        let data = byte_offset((chunk.at + HEADER_WORDS) % words);
        self.memory.copy_out(data, chunk.len(), into);
        self.memory.word(chunk.at).store(0, Ordering::Relaxed);
        self.memory
            .word((chunk.at + 1) % words)
            .store(MAGIC_RECLAIMED, Ordering::Release);
        self.read = step(chunk.at, chunk.len, words);
        self.memory
            .header(HeaderWord::ReadIndex)
            .store(self.read, Ordering::Release);
        if self.memory.is_lost() {
            return Err(RingCorrupt);
        }
        Ok(())
    }
}

impl Chunk {
    /// Bytes of the message.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether the message has no bytes at all.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// Bytes of the data file of a ring whose messages have at most `max_msg_size` bytes; both sides compute it
/// (libqb `ringbuffer.c:qb_rb_open_2`).
#[must_use]
pub const fn data_file_len(max_msg_size: u32, page_size: usize) -> usize {
    (max_msg_size as usize + CHUNK_MARGIN + 1).next_multiple_of(page_size)
}

/// The index behind a chunk; libqb `ringbuffer.c:qb_rb_chunk_step`. `len` is at most the capacity of the ring.
const fn step(at: u32, len: u32, words: u32) -> u32 {
    (at + HEADER_WORDS + len.div_ceil(4)) % words
}

/// The semaphore's low half.
const fn count(semaphore: u64) -> u32 {
    (semaphore & 0xffff_ffff) as u32
}

const fn byte_offset(words: u32) -> usize {
    words as usize * WORD_BYTES
}

fn data_bytes<M: SharedMemory>(memory: &M) -> usize {
    byte_offset(memory.word_count())
}

/// Bytes of a header file that has one user word.
pub const HEADER_FILE_LEN: usize = 8252;
/// Offset and size of the two path fields of the header: where the header and the data file are.
pub const HEADER_PATHS: [usize; 2] = [12, 4108];
/// Bytes of a path field.
pub const PATH_LEN: usize = 4096;
/// Offset of the semaphore.
pub const SEMAPHORE_OFFSET: usize = 8208;
/// Offset of the word by which glibc tells a semaphore shared between processes.
pub const SEMAPHORE_SHARED_OFFSET: usize = 8216;
/// Its value then (glibc `futex-internal.h: FUTEX_SHARED`).
pub const SEMAPHORE_SHARED: u32 = 128;
/// One sleeper, in the semaphore's high half.
pub const SLEEPERS_SHIFT: u32 = 32;
/// The smallest ring that holds a message at all.
pub const MIN_WORDS: u32 = 8;
const WORD_BYTES: usize = 4;
const HEADER_WORDS: u32 = 2;
/// What must be free besides the message: the two header words and one for its last, unfilled word.
const CHUNK_MARGIN: usize = 12;
const MAGIC_COMMITTED: u32 = 0xA1A1_A1A1;
const MAGIC_ALLOC: u32 = 0xA110_CED0;
const MAGIC_RECLAIMED: u32 = 0xD0D0_D0D0;

#[cfg(test)]
mod tests;

//! Files that libqb's blackbox writes (libqb `lib/log_blackbox.c` and `lib/ringbuffer.c`, v2.0.6).
//!
//! In front five words that say that times have nanoseconds, in older files nothing; then the ring buffer: its size in
//! words, the place to write next, the oldest chunk, version 1, the sum of these, and the words themselves. A chunk is its
//! length in bytes, a magic word, and the record. Numbers are in the byte order of the machine that wrote.

use std::fmt;

use super::printf;

/// A file's content.
#[derive(Debug)]
pub(super) struct Dump<'a> {
    pub(super) ring: Ring,
    words: &'a [u8],
    clock: Clock,
}

/// How times are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Clock {
    Seconds,
    Nanoseconds,
}

/// The ring buffer, in words of 4 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ring {
    pub(super) words: u32,
    pub(super) write: u32,
    pub(super) read: u32,
}

impl Ring {
    /// Bytes that could still be written.
    pub(super) fn free(self) -> u64 {
        let (words, write, read) = self.wide();
        let free = match write.cmp(&read) {
            std::cmp::Ordering::Greater => (read + words).saturating_sub(write + 1),
            std::cmp::Ordering::Less => read - write - 1,
            std::cmp::Ordering::Equal => words,
        };
        free * 4
    }

    /// Bytes that are in use.
    pub(super) fn used(self) -> u64 {
        let (words, write, read) = self.wide();
        let used = match write.cmp(&read) {
            std::cmp::Ordering::Greater => write - read,
            std::cmp::Ordering::Less => (write + words).saturating_sub(read + 1),
            std::cmp::Ordering::Equal => 0,
        };
        used * 4
    }

    fn wide(self) -> (u64, u64, u64) {
        (self.words.into(), self.write.into(), self.read.into())
    }
}

/// One line of the flight recorder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) line: u32,
    pub(super) tags: u32,
    /// As syslog numbers it; 8 is a trace.
    pub(super) priority: u8,
    pub(super) function: Vec<u8>,
    pub(super) seconds: i64,
    pub(super) nanoseconds: i64,
    /// At most 511 bytes, without an end of line.
    pub(super) message: Vec<u8>,
}

/// What is wrong with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Corrupt {
    /// It ends too early; it may still be written.
    Short,
    /// Its head contradicts itself, or is of another version.
    Head,
    /// A record is shorter than any.
    Record,
    /// The length of a function's name is impossible.
    Function(u32),
    /// The length of a message is impossible.
    Message(u32),
}

impl fmt::Display for Corrupt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short => f.write_str("the file ends too early"),
            Self::Head => f.write_str("this is no file of a flight recorder"),
            Self::Record => f.write_str("blackbox header too small"),
            Self::Function(len) => write!(f, "fn_size way too big {len}"),
            Self::Message(len) => write!(f, "msg_len out of bounds {len}"),
        }
    }
}

impl<'a> Dump<'a> {
    /// Reads the head.
    pub(super) fn open(file: &'a [u8]) -> Result<Self, Corrupt> {
        let mut bytes = file;
        let mut clock = Clock::Seconds;
        if head(bytes)? == NEW_HEAD {
            clock = Clock::Nanoseconds;
            bytes = &bytes[HEAD_LEN..];
        }
        let [words, write, read, version, sum] = head(bytes)?;
        let is_sum = [words, write, read, version]
            .into_iter()
            .fold(0, u32::wrapping_add)
            == sum;
        if !is_sum || version != VERSION || read >= words || write >= words {
            return Err(Corrupt::Head);
        }
        let bytes = &bytes[HEAD_LEN..];
        let len = usize::try_from(words).map_err(|_| Corrupt::Head)?;
        let words_bytes = len.checked_mul(4).and_then(|len| bytes.get(..len));
        Ok(Self {
            ring: Ring { words, write, read },
            words: words_bytes.ok_or(Corrupt::Short)?,
            clock,
        })
    }

    /// The records, oldest first, until the first place where there is none.
    pub(super) const fn records(&self) -> Records<'_> {
        Records {
            dump: self,
            at: self.ring.read,
            passed: 0,
        }
    }

    fn word(&self, at: u32) -> u32 {
        let from = self.place(at) * 4;
        let bytes = self
            .words
            .get(from..from + 4)
            .and_then(|b| b.try_into().ok());
        bytes.map_or(0, u32::from_ne_bytes)
    }

    /// Bytes from a word on, in one piece unless they go over the end of the buffer.
    fn bytes(&self, at: u32, len: usize) -> Option<std::borrow::Cow<'a, [u8]>> {
        let from = self.place(at) * 4;
        if len > self.words.len() {
            return None;
        }
        match self.words.get(from..from + len) {
            Some(bytes) => Some(bytes.into()),
            None => {
                let (rest, front) = (self.words.get(from..)?, self.words.get(..len)?);
                let wrapped = len - rest.len();
                Some([rest, &front[..wrapped]].concat().into())
            }
        }
    }

    fn place(&self, at: u32) -> usize {
        usize::try_from(u64::from(at) % u64::from(self.ring.words)).unwrap_or(0)
    }
}

/// Records, one by one.
#[derive(Debug)]
pub(super) struct Records<'a> {
    dump: &'a Dump<'a>,
    at: u32,
    /// Words that have been read; when it is all of them, what follows was read before.
    passed: u64,
}

impl Iterator for Records<'_> {
    type Item = Result<Record, Corrupt>;

    fn next(&mut self) -> Option<Self::Item> {
        let ring = self.dump.ring;
        if self.passed >= u64::from(ring.words) || self.dump.word(self.at.wrapping_add(1)) != MAGIC
        {
            return None;
        }
        let len = self.dump.word(self.at);
        let step = CHUNK_HEAD_WORDS + u64::from(len.div_ceil(4));
        let data = usize::try_from(len).ok().filter(|len| *len <= CHUNK_MAX);
        let data = data.and_then(|len| self.dump.bytes(self.at.wrapping_add(2), len));
        self.passed += step;
        let next = (u64::from(self.at) + step) % u64::from(ring.words);
        self.at = u32::try_from(next).unwrap_or(0);
        let record = data
            .ok_or(Corrupt::Record)
            .and_then(|data| parse(&data, self.dump.clock));
        if record.is_err() {
            self.passed = u64::MAX;
        }
        Some(record)
    }
}

fn parse(chunk: &[u8], clock: Clock) -> Result<Record, Corrupt> {
    if chunk.len() < RECORD_MIN {
        return Err(Corrupt::Record);
    }
    let mut rest = Rest(chunk);
    let line = rest.number()?;
    let tags = rest.number()?;
    let [priority] = rest.take()?;
    let name_len = rest.number()?;
    let too_long = Corrupt::Function(name_len);
    let name_bytes = usize::try_from(name_len).map_err(|_| too_long)?;
    if name_bytes == 0 || name_bytes + RECORD_MIN > chunk.len() {
        return Err(too_long);
    }
    let function = until_nul(rest.slice(name_bytes)?).to_vec();
    let seconds = i64::from_ne_bytes(rest.take()?);
    let nanoseconds = match clock {
        Clock::Seconds => 0,
        Clock::Nanoseconds => i64::from_ne_bytes(rest.take()?),
    };
    let message_len = rest.number()?;
    if message_len == 0 || message_len > MESSAGE_MAX {
        return Err(Corrupt::Message(message_len));
    }
    let mut message = printf::expand(rest.0);
    // The first byte stays, whatever it is.
    while message.len() > 1 && message.last() == Some(&b'\n') {
        message.pop();
    }
    Ok(Record {
        line,
        tags,
        priority,
        function,
        seconds,
        nanoseconds,
        message,
    })
}

/// What is still to be read of a record.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn slice(&mut self, len: usize) -> Result<&'a [u8], Corrupt> {
        let (bytes, rest) = self.0.split_at_checked(len).ok_or(Corrupt::Record)?;
        self.0 = rest;
        Ok(bytes)
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], Corrupt> {
        self.slice(N)?.try_into().map_err(|_| Corrupt::Record)
    }

    fn number(&mut self) -> Result<u32, Corrupt> {
        self.take().map(u32::from_ne_bytes)
    }
}

/// The five words at the beginning.
fn head(bytes: &[u8]) -> Result<[u32; 5], Corrupt> {
    let mut rest = Rest(bytes);
    let mut words = [0; 5];
    for word in &mut words {
        *word = rest.number().map_err(|_| Corrupt::Short)?;
    }
    Ok(words)
}

/// What lies in front of the first NUL.
pub(super) fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// What says that times have nanoseconds.
const NEW_HEAD: [u32; 5] = [0, 0xCCBB_CCBB, 0xBBCC_BBCC, 2, 0];
const HEAD_LEN: usize = 20;
/// Of the ring buffer's file.
const VERSION: u32 = 1;
/// A chunk that is complete.
const MAGIC: u32 = 0xA1A1_A1A1;
const CHUNK_HEAD_WORDS: u64 = 2;
/// Longest chunk that libqb reads: twice `QB_LOG_MAX_LEN`.
const CHUNK_MAX: usize = 1024;
/// `BB_MIN_ENTRY_SIZE` on 64 bits.
const RECORD_MIN: usize = 27;
/// `QB_LOG_MAX_LEN`.
const MESSAGE_MAX: u32 = 512;

#[cfg(test)]
mod tests;

//! The flight recorder: the last log records of a daemon, in memory that outlives it.
//!
//! Records stand in a ring of words in a file of `/dev/shm`, whose oldest give way to new ones. The layout inside the ring
//! is that of libqb's recorder (`lib/log_blackbox.c, lib/ringbuffer.c`, v2.0.6), and a dump is a file that `qb-blackbox`
//! reads. libqb's ring is gone with its process unless a signal handler saves it; here a daemon that was killed leaves
//! the file behind, and the next one finds and dumps it (`docs/deviations.md`, D-97).
//!
//! The file: a page with `MAGIC`, `VERSION`, the number of words, where to read and where to write, then the words.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use nix::fcntl::posix_fallocate;

use crate::shm::RecorderMap;

/// A record for [`FlightRecorder::record`].
#[derive(Clone, Copy, Debug)]
pub struct FlightRecord<'a> {
    /// Seconds since 1970, and nanoseconds.
    pub time: (i64, u32),
    /// syslog's priority, or 8 for a trace.
    pub priority: u8,
    /// A number for the subsystem, shown behind the line.
    pub tag: u32,
    /// Who writes, at most [`FUNCTION_MAX`] bytes of it.
    pub function: &'a str,
    /// The line in the source.
    pub line: u32,
    /// What is said, at most [`TEXT_MAX`] bytes of it.
    pub text: &'a str,
}

/// The recorder of a daemon that runs. Its file goes when this is dropped.
#[derive(Debug)]
pub struct FlightRecorder {
    map: RecorderMap,
    ring: Ring,
    /// The record under construction.
    chunk: Vec<u8>,
    path: PathBuf,
    /// Locked while the daemon lives.
    _file: File,
}

/// Where in its words a ring stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ring {
    words: u32,
    read: u32,
    write: u32,
}

impl Ring {
    const fn after(self, at: u32, words: u32) -> u32 {
        // A ring has far fewer words than would make this overflow.
        (at + words) % self.words
    }

    const fn used(self) -> u32 {
        self.after(self.write, self.words - self.read)
    }

    /// One word stays free, so that a full ring is not taken for an empty one.
    const fn free(self) -> u32 {
        self.words - 1 - self.used()
    }
}

impl FlightRecorder {
    /// A new recorder for this process in a directory for shared memory.
    ///
    /// # Errors
    /// There is no room, or the file is there and belongs to a daemon that runs.
    pub fn create(dir: &Path) -> io::Result<Self> {
        Self::with_bytes(dir, DATA_BYTES)
    }

    fn with_bytes(dir: &Path, bytes: usize) -> io::Result<Self> {
        let path = dir.join(format!("{NAME}{}", std::process::id()));
        let words = u32::try_from(bytes / 4).map_err(|_| io::ErrorKind::InvalidInput)?;
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        let made = file.try_lock().map_err(io::Error::from).and_then(|()| {
            // All of it now: a file without memory behind it would be a signal later.
            let len =
                i64::try_from(HEADER_BYTES + bytes).map_err(|_| io::ErrorKind::InvalidInput)?;
            posix_fallocate(&file, 0, len)?;
            RecorderMap::new(&file, HEADER_BYTES + bytes)
        });
        let map = match made {
            Ok(map) => map,
            Err(error) => {
                std::fs::remove_file(&path)?;
                return Err(error);
            }
        };
        let header = [
            (Header::Words, words),
            (Header::Version, VERSION),
            (Header::Magic, MAGIC),
        ];
        for (word, value) in header {
            map.word(word as usize).store(value, Ordering::Release);
        }
        Ok(Self {
            map,
            ring: Ring {
                words,
                read: 0,
                write: 0,
            },
            chunk: Vec::with_capacity(CHUNK_MAX),
            path,
            _file: file,
        })
    }

    /// Adds a record; the oldest make room. Allocates nothing.
    pub fn record(&mut self, record: &FlightRecord<'_>) {
        let mut chunk = std::mem::take(&mut self.chunk);
        chunk.clear();
        compose(record, &mut chunk);
        let len = chunk.len();
        chunk.resize(len.next_multiple_of(4), 0);
        self.push(len, &chunk);
        self.chunk = chunk;
    }

    /// What a dump holds now.
    ///
    /// # Errors
    /// Somebody cut the file.
    pub fn dump(&self) -> io::Result<Vec<u8>> {
        if self.map.is_lost() {
            return Err(io::Error::other("the flight recorder's file was cut"));
        }
        let mut words = Vec::new();
        self.map
            .copy_out(HEADER_BYTES, self.ring.words as usize * 4, &mut words);
        Ok(dump_of(self.ring, &words))
    }

    fn push(&mut self, len: usize, chunk: &[u8]) {
        let words = CHUNK_HEADER_WORDS + u32::try_from(chunk.len() / 4).expect("a chunk is short");
        while self.ring.free() < words + MARGIN_WORDS {
            self.forget_oldest();
        }
        let Ring { write, .. } = self.ring;
        let end = self.ring.after(write, words);
        let mut at = self.ring.after(write, CHUNK_HEADER_WORDS);
        for word in chunk.chunks_exact(4) {
            let word = u32::from_le_bytes(word.try_into().expect("four bytes"));
            self.store(at, word);
            at = self.ring.after(at, 1);
        }
        // What was here before must not pass for the next chunk.
        self.store(self.ring.after(end, 1), 0);
        self.store(write, u32::try_from(len).expect("a chunk is short"));
        self.store(self.ring.after(write, 1), CHUNK_MAGIC);
        self.ring.write = end;
        self.header(Header::Write).store(end, Ordering::Release);
    }

    fn forget_oldest(&mut self) {
        let read = self.ring.read;
        let len = self.map.word(HEADER_WORDS + read as usize);
        let len = len.load(Ordering::Relaxed);
        let words = CHUNK_HEADER_WORDS + len.div_ceil(4);
        // Only somebody else's hand in the file can make this wrong: then all is forgotten.
        let sane = len as usize <= CHUNK_MAX && words <= self.ring.used();
        let next = if sane {
            self.ring.after(read, words)
        } else {
            self.ring.write
        };
        self.ring.read = next;
        self.header(Header::Read).store(next, Ordering::Release);
    }

    fn store(&self, at: u32, value: u32) {
        let word = self.map.word(HEADER_WORDS + at as usize);
        word.store(value, Ordering::Release);
    }

    fn header(&self, word: Header) -> &std::sync::atomic::AtomicU32 {
        self.map.word(word as usize)
    }
}

impl Drop for FlightRecorder {
    fn drop(&mut self) {
        // Left behind it would be reported as that of a daemon that was killed.
        let _already_gone = std::fs::remove_file(&self.path);
    }
}

/// The record of a daemon that ended without a word.
#[derive(Debug)]
pub struct Leftover {
    /// Its process id.
    pub pid: u32,
    /// What a dump of it holds.
    pub dump: Vec<u8>,
}

/// Finds what daemons left that ended without a word, and removes it. What is no recorder is removed as well.
///
/// # Errors
/// The directory cannot be read.
pub fn take_leftovers(dir: &Path) -> io::Result<Vec<Leftover>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir)?.flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.strip_prefix(NAME));
        let Some(pid) = pid.and_then(|pid| pid.parse().ok()) else {
            continue;
        };
        if found.len() >= LEFTOVERS_MAX {
            break;
        }
        let path = entry.path();
        // What is no file of ours, or cannot be read, or is in use, stays where it is.
        let Ok(Some(dump)) = take(&path) else {
            continue;
        };
        found.extend(dump.map(|dump| Leftover { pid, dump }));
    }
    Ok(found)
}

/// `None` while a daemon holds it; nothing inside when it is no recorder.
fn take(path: &Path) -> io::Result<Option<Option<Vec<u8>>>> {
    let mut options = OpenOptions::new();
    options
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    let mut file = options.open(path)?;
    if file.try_lock().is_err() {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    if file.metadata()?.is_file() {
        let most = HEADER_BYTES + DATA_BYTES;
        (&mut file).take(most as u64).read_to_end(&mut bytes)?;
    }
    std::fs::remove_file(path)?;
    Ok(Some(dump_of_file(&bytes)))
}

fn dump_of_file(bytes: &[u8]) -> Option<Vec<u8>> {
    let word = |at: Header| {
        let at = at as usize * 4;
        let word = bytes.get(at..at + 4)?;
        Some(u32::from_le_bytes(word.try_into().ok()?))
    };
    if word(Header::Magic)? != MAGIC || word(Header::Version)? != VERSION {
        return None;
    }
    let ring = Ring {
        words: word(Header::Words)?,
        read: word(Header::Read)?,
        write: word(Header::Write)?,
    };
    let data = bytes.get(HEADER_BYTES..)?;
    let sane =
        data.len() / 4 == ring.words as usize && ring.read < ring.words && ring.write < ring.words;
    sane.then(|| dump_of(ring, data))
}

/// A dump as libqb reads it: a head that tells of times with nanoseconds, the ring's head, the ring. The records are
/// moved to its beginning, so that a dump is no longer than what it tells.
fn dump_of(ring: Ring, data: &[u8]) -> Vec<u8> {
    let used = ring.used();
    let page_words = PAGE_BYTES / 4;
    let words = (used as usize + MARGIN_WORDS as usize).next_multiple_of(page_words);
    let words = u32::try_from(words).unwrap_or(u32::MAX);
    let ring_hash = words.wrapping_add(used).wrapping_add(RING_VERSION);
    let heads = [
        [0, 0xCCBB_CCBB, 0xBBCC_BBCC, 2, 0],
        [words, used, 0, RING_VERSION, ring_hash],
    ];
    let mut dump = Vec::with_capacity(heads.len() * 20 + words as usize * 4);
    for word in heads.as_flattened() {
        dump.extend_from_slice(&word.to_le_bytes());
    }
    let (read, write) = (ring.read as usize * 4, ring.write as usize * 4);
    if ring.read <= ring.write {
        dump.extend_from_slice(&data[read..write]);
    } else {
        dump.extend_from_slice(&data[read..]);
        dump.extend_from_slice(&data[..write]);
    }
    dump.resize(heads.len() * 20 + words as usize * 4, 0);
    dump
}

/// A chunk's content (`log_blackbox.c:_blackbox_vlogger`, v2.0.6). The text is the argument of a format that says
/// "a string", so that no per cent sign in it means anything.
fn compose(record: &FlightRecord<'_>, chunk: &mut Vec<u8>) {
    let function = head(record.function, FUNCTION_MAX);
    let text = head(record.text, TEXT_MAX);
    let put = |chunk: &mut Vec<u8>, n: usize| {
        let n = u32::try_from(n).expect("lengths are bounded");
        chunk.extend_from_slice(&n.to_le_bytes());
    };
    chunk.extend_from_slice(&record.line.to_le_bytes());
    chunk.extend_from_slice(&record.tag.to_le_bytes());
    chunk.push(record.priority);
    put(chunk, function.len() + 1);
    chunk.extend_from_slice(function.as_bytes());
    chunk.push(0);
    chunk.extend_from_slice(&record.time.0.to_le_bytes());
    chunk.extend_from_slice(&i64::from(record.time.1).to_le_bytes());
    put(chunk, FORMAT.len() + text.len() + 1);
    chunk.extend_from_slice(FORMAT);
    chunk.extend_from_slice(text.as_bytes());
    chunk.push(0);
}

/// As much of a text as fits and has no NUL.
fn head(text: &str, max: usize) -> &str {
    let text = text.split('\0').next().unwrap_or("");
    &text[..text.floor_char_boundary(max)]
}

/// Writes a dump into a new file that only its owner reads, and makes the name `link` lead there, as C does
/// (corosync `main.c:corosync_blackbox_write_to_file`, v3.1.7).
///
/// # Errors
/// The file or the link cannot be made.
pub fn save_dump(dump: &[u8], path: &Path, link: &Path) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(dump)?;
    match std::fs::remove_file(link) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    std::os::unix::fs::symlink(path, link)
}

/// The words of the file's first page.
#[derive(Clone, Copy, Debug)]
enum Header {
    Magic = 0,
    Version = 1,
    Words = 2,
    Read = 3,
    Write = 4,
}

/// What a recorder's file is called, before the process id.
const NAME: &str = "ferrosync-blackbox-";
/// "FsBx".
const MAGIC: u32 = 0x7842_7346;
const VERSION: u32 = 1;
const PAGE_BYTES: usize = 4_096;
/// Room for the header, and a multiple of any page's size.
const HEADER_BYTES: usize = 65_536;
const HEADER_WORDS: usize = HEADER_BYTES / 4;
/// Bytes of records that are kept (corosync `logsys.c: IPC_LOGSYS_SIZE`).
const DATA_BYTES: usize = 8_192 * 1_024;
/// `ringbuffer.c: QB_RB_FILE_HEADER_VERSION`.
const RING_VERSION: u32 = 1;
/// Length and magic.
const CHUNK_HEADER_WORDS: u32 = 2;
/// `ringbuffer.c: QB_RB_CHUNK_MAGIC`.
const CHUNK_MAGIC: u32 = 0xA1A1_A1A1;
/// Free words behind the youngest chunk, in which a reader finds no chunk.
const MARGIN_WORDS: u32 = 4;
/// The longest text that libqb's reader takes is 512 bytes, format and NULs included (`qblog.h: QB_LOG_MAX_LEN`).
pub const TEXT_MAX: usize = 500;
/// The longest name of a writer.
pub const FUNCTION_MAX: usize = 100;
const FORMAT: &[u8] = b"%s\0";
/// The longest chunk, padded.
const CHUNK_MAX: usize = 37 + FUNCTION_MAX + TEXT_MAX + 8;
/// Files of dead daemons that are taken at one start.
const LEFTOVERS_MAX: usize = 16;

#[cfg(test)]
mod tests;

//! Memory shared with another process: the only file with `unsafe`.
//!
//! What makes this sound: nobody gets a reference to mapped bytes. Words are reached as atomics, byte ranges are
//! copied in and out, every offset is checked against the length of the mapping, and no value found there is
//! believed by this file.
//!
//! The other process owns the files behind the mapping and may cut them, after which the first touch of a page
//! that is gone raises SIGBUS. Looking at the file's length first does not help (it can be cut after the look),
//! and sealed memory files cannot be opened by path by a client without privileges. So the handler installed
//! here puts zeros in place of the whole mapping, marks it as lost, and lets the access go on; whoever uses the
//! mapping sees the mark and closes the connection. A SIGBUS from anywhere else goes where it went before.

use core::fmt;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use core::time::Duration;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::sync::OnceLock;

use crate::ring::{
    HEADER_FILE_LEN, HeaderWord, SEMAPHORE_OFFSET, SEMAPHORE_SHARED, SEMAPHORE_SHARED_OFFSET,
    SLEEPERS_SHIFT, SharedMemory,
};

/// The two files of a ring: the header, and the data twice back to back.
#[derive(Debug)]
pub(crate) struct RingMap {
    mapping: Mapping,
    data: usize,
    words: u32,
}

/// The control file of a datagram connection: three pairs of counters.
#[derive(Debug)]
pub(crate) struct ControlMap {
    mapping: Mapping,
}

impl RingMap {
    /// Maps both files.
    ///
    /// # Errors
    /// A file is shorter than it has to be, or the kernel refuses.
    pub(crate) fn new(header: &File, data: &File, data_len: usize) -> io::Result<Self> {
        let header_span = HEADER_FILE_LEN.next_multiple_of(page_size());
        let words = u32::try_from(data_len / 4).map_err(|_| io::ErrorKind::InvalidInput)?;
        // The user word's page is mapped even where the file ends before it: the page is there.
        require_len(header, HEADER_FILE_LEN - 4)?;
        require_len(data, data_len)?;
        let mapping = Mapping::new(&[(header, header_span), (data, data_len), (data, data_len)])?;
        Ok(Self {
            mapping,
            data: header_span,
            words,
        })
    }

    /// Fills in the header of a new, zeroed ring: its size, the paths of its two files, a semaphore shared between
    /// processes, and one user.
    pub(crate) fn initialise(&self, paths: [(usize, &str); 2]) {
        for (offset, path) in paths {
            self.mapping.copy_in(offset, path.as_bytes());
        }
        self.header(HeaderWord::WordCount)
            .store(self.words, Ordering::Relaxed);
        self.mapping
            .atomic_u32(SEMAPHORE_SHARED_OFFSET)
            .store(SEMAPHORE_SHARED, Ordering::Relaxed);
        self.header(HeaderWord::RefCount)
            .store(1, Ordering::Release);
    }

    /// Sleeps until the semaphore counts something, or something else happened, or the time is over.
    pub(crate) fn sleep(&self, at_most: Duration) {
        let one_sleeper = 1 << SLEEPERS_SHIFT;
        self.semaphore().fetch_add(one_sleeper, Ordering::Relaxed);
        futex_wait_zero(self.mapping.atomic_u32(SEMAPHORE_OFFSET), at_most);
        self.semaphore().fetch_sub(one_sleeper, Ordering::Relaxed);
    }
}

impl SharedMemory for RingMap {
    fn header(&self, word: HeaderWord) -> &AtomicU32 {
        self.mapping.atomic_u32(word.offset())
    }

    fn semaphore(&self) -> &AtomicU64 {
        self.mapping.atomic_u64(SEMAPHORE_OFFSET)
    }

    fn word_count(&self) -> u32 {
        self.words
    }

    fn word(&self, index: u32) -> &AtomicU32 {
        self.mapping.atomic_u32(self.data + index as usize * 4)
    }

    fn copy_in(&self, offset: usize, bytes: &[u8]) {
        self.mapping.copy_in(self.data + offset, bytes);
    }

    fn copy_out(&self, offset: usize, len: usize, into: &mut Vec<u8>) {
        self.mapping.copy_out(self.data + offset, len, into);
    }

    fn wake(&self) {
        futex_wake_one(self.mapping.atomic_u32(SEMAPHORE_OFFSET));
    }

    fn is_lost(&self) -> bool {
        self.mapping.slot.lost.load(Ordering::Relaxed)
    }
}

impl ControlMap {
    /// Maps the file.
    ///
    /// # Errors
    /// It is too short, or the kernel refuses.
    pub(crate) fn new(file: &File) -> io::Result<Self> {
        require_len(file, CONTROL_FILE_LEN)?;
        let mapping = Mapping::new(&[(file, page_size())])?;
        Ok(Self { mapping })
    }

    /// One of the six counters.
    pub(crate) fn counter(&self, index: usize) -> &AtomicU32 {
        assert!(index * 4 < CONTROL_FILE_LEN);
        self.mapping.atomic_u32(index * 4)
    }

    /// Whether the client cut the file.
    pub(crate) fn is_lost(&self) -> bool {
        self.mapping.slot.lost.load(Ordering::Relaxed)
    }
}

/// The file of a flight recorder.
#[derive(Debug)]
pub(crate) struct RecorderMap {
    mapping: Mapping,
}

impl RecorderMap {
    /// Maps `len` bytes of the file, a multiple of a page.
    ///
    /// # Errors
    /// It is too short, or the kernel refuses.
    pub(crate) fn new(file: &File, len: usize) -> io::Result<Self> {
        require_len(file, len)?;
        let mapping = Mapping::new(&[(file, len)])?;
        Ok(Self { mapping })
    }

    /// One of its words.
    pub(crate) fn word(&self, index: usize) -> &AtomicU32 {
        self.mapping.atomic_u32(index * 4)
    }

    /// Appends `len` bytes of it to `into`.
    pub(crate) fn copy_out(&self, offset: usize, len: usize, into: &mut Vec<u8>) {
        self.mapping.copy_out(offset, len, into);
    }

    /// Whether somebody cut the file.
    pub(crate) fn is_lost(&self) -> bool {
        self.mapping.slot.lost.load(Ordering::Relaxed)
    }
}

/// Asks a watchdog device how long it waits for a tickle, or tells it; in seconds.
///
/// # Errors
/// It is no watchdog, or has no timeout to tell or to be told.
pub(crate) fn watchdog_timeout(device: &File, wanted: Option<u32>) -> io::Result<u32> {
    let mut seconds = libc::c_int::try_from(wanted.unwrap_or(0)).unwrap_or(libc::c_int::MAX);
    let request = match wanted {
        Some(_) => WDIOC_SETTIMEOUT,
        None => WDIOC_GETTIMEOUT,
    };
    // SAFETY: for these two requests a watchdog reads and writes one int, whose address is valid for the call; other files
    // do not know them and answer with an error.
    let result = unsafe { libc::ioctl(device.as_raw_fd(), request, &raw mut seconds) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    u32::try_from(seconds).map_err(|_| io::ErrorKind::InvalidData.into())
}

/// Bytes of a page.
pub(crate) fn page_size() -> usize {
    // SAFETY: sysconf takes a number and returns a number.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(size).expect("Linux knows its page size")
}

fn require_len(file: &File, len: usize) -> io::Result<()> {
    if file.metadata()?.len() < len as u64 {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "a shared memory file is too short",
        ));
    }
    Ok(())
}

/// Files mapped shared, readable and writable, one after another in one range of addresses.
struct Mapping {
    base: NonNull<u8>,
    len: usize,
    slot: &'static Slot,
}

// SAFETY: the mapping belongs to the process, not to a thread; access goes through atomics and copies.
unsafe impl Send for Mapping {}

impl fmt::Debug for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mapping({} bytes)", self.len)
    }
}

impl Mapping {
    fn new(parts: &[(&File, usize)]) -> io::Result<Self> {
        install_handler()?;
        let page = page_size();
        assert!(parts.iter().all(|(_, len)| len % page == 0 && *len > 0));
        let len = parts.iter().map(|(_, len)| len).sum();
        let slot = Slot::claim().ok_or_else(|| io::Error::from(io::ErrorKind::OutOfMemory))?;
        let base = match map(None, len, libc::PROT_NONE, Backing::Zeros) {
            Ok(base) => base,
            Err(error) => {
                slot.release();
                return Err(error);
            }
        };
        // From here on dropping it undoes everything.
        let mapping = Self { base, len, slot };
        let mut offset = 0;
        for (file, part) in parts {
            // SAFETY: the parts sum up to `len`, so the address is inside the range that was just reserved.
            let at = unsafe { base.add(offset) };
            let backing = Backing::File(file);
            map(Some(at), *part, READ_WRITE, backing)?;
            offset += part;
        }
        slot.publish(base, len);
        Ok(mapping)
    }

    fn atomic_u32(&self, offset: usize) -> &AtomicU32 {
        assert!(offset.is_multiple_of(4) && offset + 4 <= self.len);
        // SAFETY: inside the mapping and aligned (checked above, the base is a page); it stays mapped while `self`
        // lives; all of this process reaches these four bytes through this atomic or through copies made by the
        // same thread.
        unsafe { AtomicU32::from_ptr(self.base.add(offset).cast().as_ptr()) }
    }

    fn atomic_u64(&self, offset: usize) -> &AtomicU64 {
        assert!(offset.is_multiple_of(8) && offset + 8 <= self.len);
        // SAFETY: as in `atomic_u32`; its lower half is also reached as the futex word, by the kernel alone.
        unsafe { AtomicU64::from_ptr(self.base.add(offset).cast().as_ptr()) }
    }

    fn copy_in(&self, offset: usize, bytes: &[u8]) {
        self.check_range(offset, bytes.len());
        // SAFETY: the destination is inside the mapping (checked above) and `bytes` is memory of ours, so they do
        // not overlap. No reference to mapped bytes exists. Another process may write them at the same time, as a
        // device could: the compiler sees one writer.
        unsafe {
            let to = self.base.add(offset).as_ptr();
            ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len());
        }
    }

    fn copy_out(&self, offset: usize, len: usize, into: &mut Vec<u8>) {
        self.check_range(offset, len);
        into.reserve(len);
        // SAFETY: the source is inside the mapping (checked above), the destination is spare capacity that was
        // just reserved, and is initialised before the length says so. Another process may change the source
        // meanwhile: any bytes are valid, and the copy is what gets looked at.
        unsafe {
            let to = into.as_mut_ptr().add(into.len());
            ptr::copy_nonoverlapping(self.base.add(offset).as_ptr(), to, len);
            into.set_len(into.len() + len);
        }
    }

    fn check_range(&self, offset: usize, len: usize) {
        let end = offset.checked_add(len);
        assert!(end.is_some_and(|end| end <= self.len));
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // First: as soon as the range is free, another thread may map something there, and the signal handler must not
        // find it under this name.
        self.slot.release();
        // SAFETY: the range was mapped by `new`, belongs to this value alone, and no reference into it outlives it.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.len) };
    }
}

enum Backing<'a> {
    File(&'a File),
    Zeros,
}

/// Maps `len` bytes; at `at` exactly when given, which must be inside a range of ours.
fn map(
    at: Option<NonNull<u8>>,
    len: usize,
    protection: libc::c_int,
    backing: Backing<'_>,
) -> io::Result<NonNull<u8>> {
    let (mut flags, fd) = match backing {
        Backing::File(file) => (libc::MAP_SHARED, file.as_raw_fd()),
        Backing::Zeros => (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1),
    };
    let hint = at.map_or(ptr::null_mut(), NonNull::as_ptr);
    if at.is_some() {
        flags |= libc::MAP_FIXED;
    }
    // SAFETY: without an address the kernel picks a free range; with one, the caller owns the range there and only
    // it replaces its own pages.
    let base = unsafe { libc::mmap(hint.cast(), len, protection, flags, fd, 0) };
    if base == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    NonNull::new(base.cast()).ok_or_else(|| io::Error::from(io::ErrorKind::OutOfMemory))
}

/// Whoever sleeps on this word in any process; the kernel answers bad addresses with an error.
fn futex_wake_one(word: &AtomicU32) {
    // SAFETY: FUTEX_WAKE reads nothing but the address, which is valid while `word` is borrowed.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, 1) };
}

fn futex_wait_zero(word: &AtomicU32, at_most: Duration) {
    let timeout = libc::timespec {
        // Decades are as good as for ever.
        tv_sec: at_most
            .as_secs()
            .try_into()
            .unwrap_or_else(|_| i32::MAX.into()),
        tv_nsec: libc::c_long::from(at_most.subsec_nanos()),
    };
    let expected = 0_u32;
    // SAFETY: the word and the timeout are valid for the time of the call; the kernel writes neither.
    unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            libc::FUTEX_WAIT,
            expected,
            &raw const timeout,
        );
    }
}

/// A mapping as the signal handler knows it.
#[derive(Debug)]
struct Slot {
    taken: AtomicBool,
    /// 0 while nothing is mapped.
    base: AtomicUsize,
    len: AtomicUsize,
    lost: AtomicBool,
}

impl Slot {
    const fn free() -> Self {
        Self {
            taken: AtomicBool::new(false),
            base: AtomicUsize::new(0),
            len: AtomicUsize::new(0),
            lost: AtomicBool::new(false),
        }
    }

    fn claim() -> Option<&'static Self> {
        SLOTS.iter().find(|slot| {
            !slot.taken.load(Ordering::Relaxed) && !slot.taken.swap(true, Ordering::Acquire)
        })
    }

    fn publish(&self, base: NonNull<u8>, len: usize) {
        self.lost.store(false, Ordering::Relaxed);
        self.len.store(len, Ordering::Relaxed);
        self.base.store(base.as_ptr() as usize, Ordering::Release);
    }

    fn release(&self) {
        self.base.store(0, Ordering::Release);
        self.taken.store(false, Ordering::Release);
    }
}

fn install_handler() -> io::Result<()> {
    let installed = PREVIOUS_HANDLER.get_or_init(|| {
        // SAFETY: both structures are plain data, valid when zeroed; the handler does only what is allowed in one.
        unsafe {
            let mut action: libc::sigaction = core::mem::zeroed();
            let mut previous: libc::sigaction = core::mem::zeroed();
            action.sa_sigaction = on_sigbus as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
            libc::sigemptyset(&raw mut action.sa_mask);
            match libc::sigaction(libc::SIGBUS, &raw const action, &raw mut previous) {
                0 => Some(previous),
                _ => None,
            }
        }
    });
    match installed {
        Some(_) => Ok(()),
        None => Err(io::Error::other("cannot handle SIGBUS")),
    }
}

/// Runs on the thread that touched a page which is gone. Uses atomics and three system calls, nothing else.
extern "C" fn on_sigbus(_: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: the kernel passes a valid siginfo to a SA_SIGINFO handler of SIGBUS.
    let (address, code) = unsafe { ((*info).si_addr() as usize, (*info).si_code) };
    // SAFETY: errno of this thread; restored so that the interrupted code does not see ours.
    let errno = unsafe { *libc::__errno_location() };
    let slot = SLOTS.iter().find(|slot| {
        let base = slot.base.load(Ordering::Acquire);
        base != 0 && address.wrapping_sub(base) < slot.len.load(Ordering::Relaxed)
    });
    let from_kernel = code > 0;
    if !from_kernel || !slot.is_some_and(replace_with_zeros) {
        hand_back_sigbus();
    }
    if !from_kernel {
        // SAFETY: sends a signal to this thread; it stays blocked until this handler returns.
        unsafe { libc::raise(libc::SIGBUS) };
    }
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = errno };
}

fn replace_with_zeros(slot: &Slot) -> bool {
    let base = NonNull::new(slot.base.load(Ordering::Acquire) as *mut u8);
    let len = slot.len.load(Ordering::Relaxed);
    slot.lost.store(true, Ordering::Relaxed);
    base.is_some() && map(base, len, READ_WRITE, Backing::Zeros).is_ok()
}

/// Not our page: restores the previous handler and returns, so that the access faults again and ends there.
fn hand_back_sigbus() {
    // SAFETY: sigaction and its arguments are valid; a zeroed action is SIG_DFL.
    unsafe {
        let default: libc::sigaction = core::mem::zeroed();
        let previous = PREVIOUS_HANDLER.get().and_then(Option::as_ref);
        let action = previous.unwrap_or(&default);
        libc::sigaction(libc::SIGBUS, action, ptr::null_mut());
    }
}

static SLOTS: [Slot; MAX_MAPPINGS] = [const { Slot::free() }; MAX_MAPPINGS];
/// `Some(None)` when the handler could not be installed.
static PREVIOUS_HANDLER: OnceLock<Option<libc::sigaction>> = OnceLock::new();
/// Mappings at a time: three per connection of a full server, as many again for clients in the process, and the flight
/// recorder.
const MAX_MAPPINGS: usize = 3 * 2 * crate::handshake::MAX_CONNECTIONS + 1;
/// `linux/watchdog.h`: both take an int there and back, `_IOWR('W', 6, int)` and `_IOR('W', 7, int)`.
const WDIOC_SETTIMEOUT: libc::Ioctl = libc::_IOWR::<libc::c_int>(b'W' as u32, 6);
const WDIOC_GETTIMEOUT: libc::Ioctl = libc::_IOR::<libc::c_int>(b'W' as u32, 7);
const READ_WRITE: libc::c_int = libc::PROT_READ | libc::PROT_WRITE;
/// Bytes of the control file (libqb `ipc_socket.c: SHM_CONTROL_SIZE`, v2.0.6).
pub(crate) const CONTROL_FILE_LEN: usize = 24;

#[cfg(test)]
mod tests;

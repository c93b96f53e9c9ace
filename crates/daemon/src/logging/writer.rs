//! Lines to files and to standard error, written by a thread: the ring must not wait for a disk, nor for whoever reads.
//!
//! The thread has the priority of the one that runs the node: they share the locks of the queue and of the allocator, and
//! neither may wait for a thread that has to wait for others (main.c:main, v3.1.7, ends where it cannot have it so).

use std::fs::File;
use std::io::{self, Write};
use std::sync::mpsc::{
    Receiver, RecvTimeoutError, SyncSender, TrySendError, channel, sync_channel,
};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use nix::sys::signal::SigSet;

/// Where a line goes.
#[derive(Clone, Debug)]
pub(super) enum Target {
    File(Arc<LogFile>),
    Stderr,
}

/// A file that can be replaced by one of the same name, for the lines that wait too: who has rotated the old one may
/// compress it at once (libqb `log_file.c:qb_log_file_reopen`, v2.0.6, locks its thread).
#[derive(Debug)]
pub(super) struct LogFile(Mutex<Arc<File>>);

impl LogFile {
    pub(super) fn new(file: File) -> Self {
        Self(Mutex::new(Arc::new(file)))
    }

    pub(super) fn replace(&self, file: File) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(file);
    }

    /// Writing is not done under the lock: it can take for ever.
    fn current(&self) -> Arc<File> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Writes lines in their order.
#[derive(Debug, Default)]
pub(super) struct Writer {
    how: How,
    /// Lines that found the queue full and were not told of.
    lost: u64,
}

#[derive(Debug, Default)]
enum How {
    /// Before [`Writer::start`], and after [`Writer::stop`].
    #[default]
    AtOnce,
    ByThread(Thread),
    /// The thread did not come to an end: whoever writes to the same target would not either.
    Never,
}

#[derive(Debug)]
struct Thread {
    lines: SyncSender<Line>,
    /// Closed when the thread has ended.
    ended: Receiver<()>,
}

#[derive(Debug, PartialEq, Eq)]
struct QueueFull;

#[derive(Debug)]
struct Line {
    to: Target,
    text: String,
}

impl Writer {
    /// Starts the thread. Signals that this thread blocks are blocked there too, so they must be by now.
    ///
    /// # Errors
    /// The kernel refuses it; lines are written at once as before.
    pub(super) fn start(&mut self) -> io::Result<()> {
        let (lines, waiting) = sync_channel::<Line>(WAITING_MAX);
        let (alive, ended) = channel::<()>();
        let run = move || {
            let _until_the_end = alive;
            let _those_of_the_process_stay_with_the_loop = SigSet::all().thread_block();
            for line in waiting {
                line.to.write(&line.text);
            }
        };
        let builder = thread::Builder::new().name("log".to_owned());
        builder.stack_size(STACK).spawn(run)?;
        self.how = How::ByThread(Thread { lines, ended });
        Ok(())
    }

    /// Takes a line. One that finds the queue full is lost; how many were, a line of `notice` says before the next.
    pub(super) fn write(&mut self, to: Target, text: String, notice: impl FnOnce(u64) -> String) {
        let thread = match &self.how {
            How::ByThread(thread) => thread,
            How::AtOnce => return to.write(&text),
            How::Never => return,
        };
        if self.lost > 0 {
            match thread.post(to.clone(), notice(self.lost)) {
                Ok(()) => self.lost = 0,
                Err(QueueFull) => {
                    self.lost += 1;
                    return;
                }
            }
        }
        if thread.post(to, text) == Err(QueueFull) {
            self.lost += 1;
        }
    }

    /// Waits for the thread to write what it has, but not for ever.
    pub(super) fn stop(&mut self) {
        if let How::ByThread(Thread { lines, ended }) = std::mem::take(&mut self.how) {
            drop(lines);
            if ended.recv_timeout(LAST_WORDS) == Err(RecvTimeoutError::Timeout) {
                self.how = How::Never;
            }
        }
    }
}

impl Thread {
    fn post(&self, to: Target, text: String) -> Result<(), QueueFull> {
        match self.lines.try_send(Line { to, text }) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(_)) => Err(QueueFull),
            Err(TrySendError::Disconnected(line)) => {
                line.to.write(&line.text);
                Ok(())
            }
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Target {
    /// Nothing is to be done about a full disk, or where nobody listens any more; other targets have the line.
    fn write(&self, text: &str) {
        let _lost = match self {
            Self::File(file) => (&*file.current()).write_all(text.as_bytes()),
            Self::Stderr => io::stderr().lock().write_all(text.as_bytes()),
        };
    }
}

/// Lines that wait for the thread at most; C keeps 512,000 bytes (libqb `log_thread.c:qb_log_thread_log_post`,
/// v2.0.6).
const WAITING_MAX: usize = 4_096;
/// How long the end of the process waits for them.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// Bytes; they are locked into memory like all others.
const STACK: usize = 128 << 10;

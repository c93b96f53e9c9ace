//! The machine's watchdog: a device that resets it unless it is written to.
//!
//! Opening it makes it watch, any byte is a tickle, `V` before closing makes it stop (Linux
//! `Documentation/watchdog/watchdog-api.rst`).

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use libc::O_NONBLOCK;

use crate::shm;

/// An open device. Dropped without [`Self::disarm`] it goes on to watch, and resets the machine.
#[derive(Debug)]
pub struct Watchdog(File);

impl Watchdog {
    /// Opens a device, which watches from now on. Nothing that happens to it makes this process wait.
    ///
    /// # Errors
    /// It is not there, is in use, or this process may not write to it.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.write(true).custom_flags(O_NONBLOCK);
        options.open(path).map(Self)
    }

    /// How long it waits for a tickle, in seconds.
    ///
    /// # Errors
    /// It does not tell.
    pub fn timeout(&self) -> io::Result<u32> {
        shm::watchdog_timeout(&self.0, None)
    }

    /// Has it wait this many seconds; what it does then, which may be something else.
    ///
    /// # Errors
    /// It does as it likes.
    pub fn set_timeout(&self, seconds: u32) -> io::Result<u32> {
        shm::watchdog_timeout(&self.0, Some(seconds))
    }

    /// Tells it that all is well.
    ///
    /// # Errors
    /// It did not hear.
    pub fn tickle(&mut self) -> io::Result<()> {
        self.0.write_all(b"\0")
    }

    /// Makes it stop watching, if it can, and closes it.
    ///
    /// # Errors
    /// It did not hear, and resets the machine.
    pub fn disarm(mut self) -> io::Result<()> {
        self.0.write_all(b"V")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_watchdog_hears_tickles_and_has_no_timeout() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("dog");
        assert!(Watchdog::open(&path).is_err());
        std::fs::write(&path, "").unwrap();
        let mut dog = Watchdog::open(&path).unwrap();
        assert!(dog.timeout().is_err());
        assert!(dog.set_timeout(10).is_err());
        dog.tickle().unwrap();
        dog.tickle().unwrap();
        dog.disarm().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"\0\0V");
    }
}

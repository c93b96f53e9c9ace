//! Lines to the machine's syslog daemon.

use std::fmt;
use std::io::{self, ErrorKind};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use ferrosync_executive::log::Priority;
use syslog::{Error, Facility, Formatter3164, Logger, LoggerBackend};

/// The connection to syslog. Where no daemon listens, lines vanish as they do for every program; it is looked for
/// again with the next line. So do lines for a daemon that does not keep up: the ring must not wait for it.
pub(super) struct Syslog {
    facility: Facility,
    path: PathBuf,
    connected: Option<Logger<LoggerBackend, Formatter3164>>,
}

impl Syslog {
    /// For lines of a facility by its name in `corosync.conf`; an unknown one counts as `daemon`.
    pub(super) fn new(facility: &str) -> Self {
        Self::at(Path::new(SOCKET), facility)
    }

    fn at(path: &Path, facility: &str) -> Self {
        Self {
            facility: facility.parse().unwrap_or(Facility::LOG_DAEMON),
            path: path.to_owned(),
            connected: None,
        }
    }

    /// The facility's number.
    pub(super) const fn facility(&self) -> u32 {
        self.facility as u32 >> 3
    }

    /// What matters less than `info` moves up one step, so that debug lines are not lost among other programs' (libqb
    /// `log_syslog.c:_syslog_logger`, v2.0.6, with the bump that corosync asks for).
    pub(super) fn write(&mut self, priority: Priority, line: &str) {
        if self.connected.is_none() {
            self.connected = self.connect().ok();
        }
        let Some(logger) = &mut self.connected else {
            return;
        };
        let sent = match priority {
            Priority::Emergency => logger.emerg(line),
            Priority::Alert => logger.alert(line),
            Priority::Critical => logger.crit(line),
            Priority::Error => logger.err(line),
            Priority::Warning => logger.warning(line),
            Priority::Notice => logger.notice(line),
            Priority::Info | Priority::Debug => logger.info(line),
            Priority::Trace => logger.debug(line),
        };
        match sent {
            Err(Error::Write(e)) if e.kind() == ErrorKind::WouldBlock => {}
            Err(_) => self.connected = None,
            Ok(()) => {}
        }
    }

    fn connect(&self) -> io::Result<Logger<LoggerBackend, Formatter3164>> {
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        socket.connect(&self.path)?;
        let formatter = Formatter3164 {
            facility: self.facility,
            hostname: None,
            process: "corosync".to_owned(),
            pid: std::process::id(),
        };
        Ok(Logger::new(LoggerBackend::Unix(socket), formatter))
    }
}

impl fmt::Debug for Syslog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Syslog")
            .field("connected", &self.connected.is_some())
            .finish_non_exhaustive()
    }
}

/// Where the daemon listens (`_PATH_LOG` of glibc).
const SOCKET: &str = "/dev/log";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_arrive_with_their_priority_and_a_full_daemon_stops_nobody() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("log");
        let mut syslog = Syslog::at(&path, "local6");
        syslog.write(Priority::Notice, "nobody is there");
        let daemon = UnixDatagram::bind(&path).expect("a socket");
        syslog.write(Priority::Warning, "  [MAIN  ] one");
        syslog.write(Priority::Debug, "  [MAIN  ] two");
        let line = || {
            let mut bytes = [0; 200];
            let len = daemon.recv(&mut bytes).expect("a line");
            String::from_utf8_lossy(&bytes[..len]).into_owned()
        };
        let pid = std::process::id();
        for (priority, text) in [("<180>", "one"), ("<182>", "two")] {
            let line = line();
            assert!(line.starts_with(priority), "{line}");
            let end = format!(" corosync[{pid}]:   [MAIN  ] {text}");
            assert!(line.ends_with(&end), "{line}");
        }
        // Many more than a socket holds.
        for _ in 0..10_000 {
            syslog.write(Priority::Info, "much");
        }
        assert!(syslog.connected.is_some());
        assert_eq!(syslog.facility(), 22);
    }
}

//! Lines to the machine's syslog daemon.

use std::fmt;

use ferrosync_executive::log::Priority;
use syslog::{Facility, Formatter3164, Logger, LoggerBackend};

/// The connection to syslog. Where no daemon listens, lines vanish as they do for every program; it is looked for
/// again with the next line.
pub(super) struct Syslog {
    facility: Facility,
    connected: Option<Logger<LoggerBackend, Formatter3164>>,
}

impl Syslog {
    /// For lines of a facility by its name in `corosync.conf`; an unknown one counts as `daemon`.
    pub(super) fn new(facility: &str) -> Self {
        Self {
            facility: facility.parse().unwrap_or(Facility::LOG_DAEMON),
            connected: None,
        }
    }

    pub(super) fn write(&mut self, priority: Priority, line: &str) {
        if self.connected.is_none() {
            self.connected = syslog::unix(self.formatter()).ok();
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
            Priority::Info => logger.info(line),
            Priority::Debug | Priority::Trace => logger.debug(line),
        };
        if sent.is_err() {
            self.connected = None;
        }
    }

    fn formatter(&self) -> Formatter3164 {
        Formatter3164 {
            facility: self.facility,
            hostname: None,
            process: "corosync".to_owned(),
            pid: std::process::id(),
        }
    }
}

impl fmt::Debug for Syslog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Syslog")
            .field("connected", &self.connected.is_some())
            .finish_non_exhaustive()
    }
}

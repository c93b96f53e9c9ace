//! Lines for syslog, and for people who watch.

use std::io::Write as _;

use syslog::{Facility, Formatter3164, Logger, LoggerBackend};

/// Where lines go.
pub(super) struct Log {
    printed: Printed,
    syslog: Option<Logger<LoggerBackend, Formatter3164>>,
}

/// What of it stands on standard error as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Printed {
    Nothing,
    /// Events are printed in another form.
    Complaints,
    Everything,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Severity {
    Error,
    Warning,
    Notice,
}

impl Severity {
    /// What libqb calls it.
    const fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Notice => "notice",
        }
    }
}

impl Log {
    pub(super) const fn new(printed: Printed) -> Self {
        Self {
            printed,
            syslog: None,
        }
    }

    /// Logs an event.
    pub(super) fn event(&mut self, line: &str) {
        if self.printed == Printed::Everything {
            print(Severity::Notice, line);
        }
        self.write_syslog(Severity::Notice, line);
    }

    /// Logs something else.
    pub(super) fn line(&mut self, severity: Severity, line: &str) {
        if self.printed != Printed::Nothing {
            print(severity, line);
        }
        self.write_syslog(severity, line);
    }

    /// Where no syslog daemon listens, lines vanish as they do for every program.
    fn write_syslog(&mut self, severity: Severity, line: &str) {
        if self.syslog.is_none() {
            self.syslog = syslog::unix(Formatter3164 {
                facility: Facility::LOG_DAEMON,
                hostname: None,
                process: "notifyd".to_owned(),
                pid: std::process::id(),
            })
            .ok();
        }
        let Some(logger) = &mut self.syslog else {
            return;
        };
        let sent = match severity {
            Severity::Error => logger.err(line),
            Severity::Warning => logger.warning(line),
            Severity::Notice => logger.notice(line),
        };
        if sent.is_err() {
            self.syslog = None;
        }
    }
}

fn print(severity: Severity, line: &str) {
    // Who does not look misses it.
    let _ = writeln!(std::io::stderr(), "[{}] {line}", severity.word());
}

//! How lines look, option for option as corosync's (`logconfig.c:corosync_main_config_format_set,
//! logsys.c:logsys_format_set`, v3.1.7).

use std::fmt::{self, Display};

use ferrosync_executive::config::{LoggingConfig, Timestamp};
use ferrosync_executive::log::{Priority, Record};

/// A line for standard error.
pub(super) fn to_stderr(config: &LoggingConfig, record: &Record) -> String {
    let time = time(config.timestamp);
    let gap = if time.is_empty() { "" } else { " " };
    let word = word(record.priority);
    format!("{time}{gap}{word:<7}{}\n", Message(config, record))
}

/// A line for a log file.
pub(super) fn to_file(config: &LoggingConfig, record: &Record, host: &str) -> String {
    let time = time(config.timestamp);
    let word = word(record.priority);
    let message = Message(config, record);
    let pid = std::process::id();
    if time.is_empty() {
        // Without a time C puts nothing between name and priority either.
        format!("[{pid}] {host} corosync{word:<7}{message}\n")
    } else {
        format!("{time} [{pid}] {host} corosync {word:<7}{message}\n")
    }
}

/// A message for syslog or the journal, which know time and priority themselves. C leaves the blanks behind both.
pub(super) fn to_syslog(config: &LoggingConfig, record: &Record) -> String {
    let gap = match config.timestamp {
        Timestamp::Off => "",
        Timestamp::Seconds | Timestamp::Milliseconds => " ",
    };
    format!("{gap}{}", Message(config, record))
}

/// Subsystem, place and text, with a blank in front.
struct Message<'a>(&'a LoggingConfig, &'a Record);

impl Display for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(config, record) = self;
        let place = record.place;
        write!(f, " [{:<6.6}] ", record.subsystem.name())?;
        match (config.fileline, config.function_name) {
            (true, true) => write!(f, "{}:{}:{} ", place.file(), place.module(), place.line())?,
            (true, false) => write!(f, "{}:{} ", place.file(), place.line())?,
            (false, true) => write!(f, "{} ", place.module())?,
            (false, false) => {}
        }
        f.write_str(record.text.trim_end())
    }
}

fn time(timestamp: Timestamp) -> String {
    let format = match timestamp {
        Timestamp::Off => return String::new(),
        Timestamp::Seconds => "%b %d %H:%M:%S",
        Timestamp::Milliseconds => "%b %d %H:%M:%S%.3f",
    };
    jiff::Zoned::now().strftime(format).to_string()
}

const fn word(priority: Priority) -> &'static str {
    match priority {
        Priority::Emergency => "emerg",
        Priority::Alert => "alert",
        Priority::Critical => "crit",
        Priority::Error => "error",
        Priority::Warning => "warning",
        Priority::Notice => "notice",
        Priority::Info => "info",
        Priority::Debug => "debug",
        Priority::Trace => "trace",
    }
}

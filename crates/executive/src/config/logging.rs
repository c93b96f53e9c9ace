//! Where log lines go (corosync `logconfig.c`, v3.1.7).

use std::collections::BTreeMap;

use super::error::{ConfigErrors, Findings};
use super::key_map::KeyMap;
use super::value::priority;

/// The logging section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggingConfig {
    /// `timestamp`.
    pub timestamp: Timestamp,
    /// `fileline`: lines name file and line of the source.
    pub fileline: bool,
    /// `function_name`: lines name the function.
    pub function_name: bool,
    /// `blackbox`: the flight recorder runs.
    pub blackbox: bool,
    /// `syslog_facility`, a name known to syslog.
    pub syslog_facility: String,
    /// Everything without a section of its own.
    pub default: Logger,
    /// `logger_subsys` by the subsystem's name; complete, what is not given is taken from the default.
    pub subsystems: BTreeMap<String, Logger>,
}

/// What stands in front of a line in a log file or on standard error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Timestamp {
    /// `off`.
    Off,
    /// `on`: seconds.
    Seconds,
    /// `hires`, the default: milliseconds.
    #[default]
    Milliseconds,
}

/// Destinations and levels of one subsystem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logger {
    /// `to_stderr`.
    pub to_stderr: bool,
    /// `to_syslog`.
    pub to_syslog: bool,
    /// `to_logfile`.
    pub to_logfile: bool,
    /// `logfile`.
    pub logfile: Option<String>,
    /// `logfile_priority`: 0 (emerg) to 7 (debug); ignored when `debug` is on.
    pub logfile_priority: u8,
    /// `syslog_priority`: 0 (emerg) to 7 (debug); ignored when `debug` is on.
    pub syslog_priority: u8,
    /// `debug`.
    pub debug: Debug,
}

/// `debug`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Debug {
    /// `off`.
    #[default]
    Off,
    /// `on`.
    On,
    /// `trace`.
    Trace,
}

/// The syslog priority `info`.
const INFO: u8 = 6;

/// Subsystems that can be configured beside those that corosync has itself (corosync
/// `logsys.h: LOGSYS_MAX_SUBSYS_COUNT`).
pub const SUBSYSTEMS_MAX: usize = 32;

impl LoggingConfig {
    /// The section as it is in the live configuration map. Words that mean nothing count as not given.
    ///
    /// # Errors
    ///
    /// There are more subsystems than [`SUBSYSTEMS_MAX`].
    pub fn from_map(keys: &KeyMap) -> Result<Self, ConfigErrors> {
        let mut findings = Findings::default();
        let logging = read(keys, &mut findings);
        findings.finish().map(|_| logging)
    }
}

/// Reads the section.
pub(crate) fn read(keys: &KeyMap, findings: &mut Findings) -> LoggingConfig {
    let default = read_logger(keys, "logging", None, findings);
    let mut subsystems = BTreeMap::new();
    for (rest, _) in keys.under("logging.logger_subsys.") {
        let Some((name, "subsys")) = rest.split_once('.') else {
            continue;
        };
        let path = format!("logging.logger_subsys.{name}");
        let logger = read_logger(keys, &path, Some(&default), findings);
        subsystems.insert(name.to_owned(), logger);
    }
    if subsystems.len() > SUBSYSTEMS_MAX {
        findings.error(
            keys.at("logging.logger_subsys"),
            "unable to create new logging subsystem",
            format!("configure at most {SUBSYSTEMS_MAX} subsystems"),
        );
    }
    let is_on = |key: &str, default: bool| {
        keys.text(&format!("logging.{key}"))
            .map_or(default, |text| text == "on")
    };
    LoggingConfig {
        timestamp: match keys.text("logging.timestamp") {
            Some("off") => Timestamp::Off,
            Some("on") => Timestamp::Seconds,
            _ => Timestamp::Milliseconds,
        },
        fileline: is_on("fileline", false),
        function_name: is_on("function_name", false),
        blackbox: is_on("blackbox", true),
        syslog_facility: keys
            .text("logging.syslog_facility")
            .unwrap_or("daemon")
            .to_owned(),
        default,
        subsystems,
    }
}

/// One logger; `parent` is where a subsystem takes what it does not say. `debug` is not inherited: a
/// subsystem that says nothing is not debugged (`logconfig.c:corosync_main_config_set`).
fn read_logger(
    keys: &KeyMap,
    path: &str,
    parent: Option<&Logger>,
    findings: &mut Findings,
) -> Logger {
    let text = |key: &str| keys.text(&format!("{path}.{key}"));
    let switch = |key: &str| text(key).map(|text| matches!(text, "yes" | "on"));
    let level = |key: &str| text(key).and_then(priority);
    for (old, new) in [
        ("to_file", "to_logfile"),
        ("syslog_level", "syslog_priority"),
    ] {
        let key = format!("{path}.{old}");
        if keys.get(&key).is_some() {
            findings.warn(
                keys.at(&key),
                format!("the {old} config parameter has been obsoleted; write {new}"),
            );
        }
    }
    let logger = Logger {
        to_stderr: switch("to_stderr").unwrap_or_else(|| parent.is_none_or(|p| p.to_stderr)),
        to_syslog: switch("to_syslog").unwrap_or_else(|| parent.is_none_or(|p| p.to_syslog)),
        to_logfile: switch("to_logfile")
            // At the top level corosync overrides the old key with the new one's default.
            .or_else(|| switch("to_file").filter(|_| parent.is_some()))
            .unwrap_or_else(|| parent.is_some_and(|p| p.to_logfile)),
        logfile: text("logfile")
            .map(str::to_owned)
            .or_else(|| parent.and_then(|p| p.logfile.clone())),
        logfile_priority: level("logfile_priority")
            .unwrap_or_else(|| parent.map_or(INFO, |p| p.logfile_priority)),
        syslog_priority: level("syslog_priority")
            .or_else(|| level("syslog_level").filter(|_| parent.is_some()))
            .unwrap_or_else(|| parent.map_or(INFO, |p| p.syslog_priority)),
        debug: match text("debug") {
            Some("on") => Debug::On,
            Some("trace") => Debug::Trace,
            _ => Debug::Off,
        },
    };
    if logger.to_logfile && logger.logfile.as_deref().is_none_or(str::is_empty) {
        findings.warn(
            keys.at(&format!("{path}.to_logfile")),
            "to_logfile without logfile writes no file",
        );
    }
    logger
}

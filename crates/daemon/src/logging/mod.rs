//! Log lines to stderr, syslog, the journal and files, formatted as corosync's, and all of them to the flight recorder.

mod flight;
mod format;
mod to_journal;
mod to_syslog;
mod writer;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ferrosync_executive::config::{Debug, Logger, LoggingConfig};
use ferrosync_executive::log::{Priority, Record, Subsystem};

use flight::Flight;
use to_journal::Journal;
use to_syslog::Syslog;
use writer::{LogFile, Target, Writer};

/// Where the daemon's lines go.
#[derive(Debug)]
pub struct Log {
    config: LoggingConfig,
    host: String,
    syslog: Syslog,
    /// Takes the place of syslog and standard error.
    journal: Option<Journal>,
    files: BTreeMap<String, Arc<LogFile>>,
    writer: Writer,
    flight: Flight,
    /// Where recordings go; set when the daemon is in the background.
    state_dir: Option<PathBuf>,
}

/// A log file that cannot be opened.
#[derive(Debug)]
pub struct NotOpened {
    /// Its name.
    pub file: String,
    /// Why not.
    pub error: std::io::Error,
}

impl Log {
    /// Opens what the configuration names. A file that cannot be opened is reported on the other targets.
    #[must_use]
    pub fn open(config: LoggingConfig) -> Self {
        let host = nix::unistd::gethostname().map_or_else(
            |_| "localhost".to_owned(),
            |h| h.to_string_lossy().into_owned(),
        );
        let mut log = Self {
            syslog: Syslog::new(&config.syslog_facility),
            config,
            host,
            journal: Journal::detect(),
            files: BTreeMap::new(),
            writer: Writer::default(),
            flight: Flight::early(),
            state_dir: None,
        };
        if let Err(failed) = log.open_files() {
            let NotOpened { file, error } = failed;
            let line = format!("Can't open logfile '{file}' for reason: {error}\n");
            let _lost = std::io::stderr().lock().write_all(line.as_bytes());
        }
        log
    }

    /// Writes as another configuration says from now on. Files that it does not name are closed, others stay open.
    ///
    /// # Errors
    /// A file that cannot be opened, the first of them; its lines go to the other targets.
    pub fn configure(&mut self, config: LoggingConfig) -> Result<(), NotOpened> {
        if config.syslog_facility != self.config.syslog_facility {
            self.syslog = Syslog::new(&config.syslog_facility);
        }
        self.config = config;
        self.switch_recorder();
        let named: BTreeSet<String> = self.logfiles().collect();
        self.files.retain(|name, _| named.contains(name));
        self.open_files()
    }

    /// Opens the log files anew, after they were rotated away.
    ///
    /// # Errors
    /// A file that cannot be opened, the first of them; such files are written to as before.
    pub fn reopen(&mut self) -> Result<(), NotOpened> {
        let mut result = Ok(());
        for (name, old) in &self.files {
            match open(name) {
                Ok(file) => old.replace(file),
                Err(failed) => result = result.and(Err(failed)),
            }
        }
        let opened = self.open_files();
        result.and(opened)
    }

    /// Starts the flight recorder of this process, if it is configured, and saves what daemons recorded that ended
    /// without a word. Called when the process is the one that will run.
    pub fn start_recorder(&mut self, state_dir: &Path) {
        self.state_dir = Some(state_dir.to_owned());
        for (pid, saved) in flight::save_leftovers(state_dir) {
            let (priority, text) = match saved {
                Ok(path) => {
                    let path = path.display();
                    let text = format!(
                        "Process {pid} ended without a word, its flight recorder is saved in {path}"
                    );
                    (Priority::Warning, text)
                }
                Err(e) => (
                    Priority::Error,
                    format!("Can't store blackbox file of process {pid}: {e}"),
                ),
            };
            self.write(&Record::new(Subsystem::Main, priority, text));
        }
        self.switch_recorder();
    }

    /// From now on no file and nobody who reads standard error makes this process wait. Called when the process has
    /// blocked the signals that it handles.
    pub fn start_writer(&mut self) {
        if let Err(e) = self.writer.start() {
            let text = format!("Log lines are written at once, a slow disk holds up the node: {e}");
            self.write(&Record::new(Subsystem::Main, Priority::Warning, text));
        }
    }

    /// Waits until what was said is written, half a second at most. What is said after this is written at once, or not at
    /// all if that was not enough.
    pub fn stop_writer(&mut self) {
        self.writer.stop();
    }

    /// Writes what the flight recorder holds into a file of the state directory; its name.
    ///
    /// # Errors
    /// Nothing is recorded, or the file cannot be written.
    pub fn dump_recorder(&self) -> std::io::Result<PathBuf> {
        let state_dir = self.state_dir.as_deref();
        let state_dir = state_dir.ok_or(std::io::ErrorKind::NotFound)?;
        self.flight.dump(state_dir)
    }

    /// Records no more: what was recorded is saved, and nobody needs to find it.
    pub fn stop_recorder(&mut self) {
        self.flight.stop();
    }

    fn switch_recorder(&mut self) {
        if self.state_dir.is_none() {
            return;
        }
        if !self.config.blackbox {
            return self.flight.stop();
        }
        if let Err(e) = self.flight.start() {
            let text = format!(
                "Unable to initialize log flight recorder. The most common cause of this error is not enough space on \
                 /dev/shm. Corosync will continue work, but blackbox will not be available: {e}"
            );
            self.write(&Record::new(Subsystem::Main, Priority::Warning, text));
        }
    }

    /// Writes a line wherever its subsystem's configuration says (`docs/deviations.md`, D-99).
    pub fn write(&mut self, record: &Record) {
        self.flight.record(record);
        let logger = self.config.subsystems.get(record.subsystem.name());
        let logger = logger.unwrap_or(&self.config.default);
        let to = |target, limit| target && wanted(record.priority, limit, logger.debug);
        let mut stderr = to(logger.to_stderr, logger.logfile_priority);
        let mut syslog = to(logger.to_syslog, logger.syslog_priority);
        let file = to(logger.to_logfile, logger.logfile_priority)
            .then_some(logger.logfile.as_ref())
            .flatten();
        if let Some(file) = file.and_then(|name| self.files.get(name)) {
            let line = |record: &Record| format::to_file(&self.config, record, &self.host);
            let to = Target::File(Arc::clone(file));
            self.writer.write(to, line(record), |n| line(&lost(n)));
        }
        if let Some(journal) = self.journal.as_mut().filter(|_| stderr || syslog) {
            let message = format::to_syslog(&self.config, record);
            let sent = journal.write(record, self.syslog.facility(), &message);
            if sent.is_ok() {
                (stderr, syslog) = (false, false);
            }
        }
        if syslog {
            let line = format::to_syslog(&self.config, record);
            self.syslog.write(record.priority, &line);
        }
        if stderr {
            let line = |record: &Record| format::to_stderr(&self.config, record);
            self.writer
                .write(Target::Stderr, line(record), |n| line(&lost(n)));
        }
    }

    /// The files that the configuration names.
    fn logfiles(&self) -> impl Iterator<Item = String> + '_ {
        let loggers = std::iter::once(&self.config.default).chain(self.config.subsystems.values());
        loggers.filter_map(logfile)
    }

    /// Opens what is not open; goes on behind a failure.
    fn open_files(&mut self) -> Result<(), NotOpened> {
        let mut result = Ok(());
        let names: Vec<String> = self.logfiles().collect();
        for name in names {
            if self.files.contains_key(&name) {
                continue;
            }
            match open(&name) {
                Ok(file) => {
                    self.files.insert(name, Arc::new(LogFile::new(file)));
                }
                Err(failed) => result = result.and(Err(failed)),
            }
        }
        result
    }
}

fn open(name: &str) -> Result<File, NotOpened> {
    let opened = OpenOptions::new().append(true).create(true).open(name);
    opened.map_err(|error| NotOpened {
        file: name.to_owned(),
        error,
    })
}

fn lost(lines: u64) -> Record {
    let text = format!("{lines} messages lost: what the log is written to is too slow");
    Record::new(Subsystem::Main, Priority::Warning, text)
}

fn logfile(logger: &Logger) -> Option<String> {
    logger.to_logfile.then(|| logger.logfile.clone()).flatten()
}

/// Whether a line of this priority is written where `limit` is the least important one (a syslog number), unless `debug`
/// says otherwise (logsys.c:_logsys_config_apply_per_file).
const fn wanted(priority: Priority, limit: u8, debug: Debug) -> bool {
    let limit = match debug {
        Debug::Off => limit,
        Debug::On => Priority::Debug as u8,
        Debug::Trace => Priority::Trace as u8,
    };
    priority as u8 <= limit
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::{BufRead, BufReader, Read};
    use std::path::Path;
    use std::time::{Duration, Instant};

    use ferrosync_executive::config::Timestamp;
    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;

    use super::*;

    fn to_file(path: &Path, debug: Debug) -> LoggingConfig {
        LoggingConfig {
            timestamp: Timestamp::Off,
            fileline: false,
            function_name: false,
            blackbox: false,
            syslog_facility: "daemon".to_owned(),
            default: Logger {
                to_stderr: false,
                to_syslog: false,
                to_logfile: true,
                logfile: Some(path.display().to_string()),
                logfile_priority: 6,
                syslog_priority: 6,
                debug,
            },
            subsystems: BTreeMap::new(),
        }
    }

    fn say(log: &mut Log, priority: Priority, text: &str) {
        let record = Record::new(Subsystem::Main, priority, text.to_owned());
        log.write(&record);
    }

    /// The last words of the lines in a file.
    fn texts(path: &Path) -> Vec<String> {
        let text = fs::read_to_string(path).expect("the file is there");
        let last = |line: &str| line.rsplit(' ').next().unwrap_or("").to_owned();
        text.lines().map(last).collect()
    }

    #[test]
    fn another_configuration_holds_for_the_next_line() {
        let dir = tempfile::tempdir().expect("a directory");
        let (first, second) = (dir.path().join("first"), dir.path().join("second"));
        let mut log = Log::open(to_file(&first, Debug::Off));
        say(&mut log, Priority::Debug, "hidden");
        say(&mut log, Priority::Notice, "one");
        log.configure(to_file(&first, Debug::On))
            .expect("it is open");
        say(&mut log, Priority::Debug, "two");
        log.configure(to_file(&second, Debug::Off))
            .expect("it can be");
        say(&mut log, Priority::Debug, "hidden");
        say(&mut log, Priority::Notice, "three");
        assert_eq!(texts(&first), ["one", "two"]);
        assert_eq!(texts(&second), ["three"]);
        // A file that is named again may have been rotated away meanwhile.
        fs::rename(&first, dir.path().join("old")).expect("same directory");
        log.configure(to_file(&first, Debug::Off))
            .expect("it can be");
        say(&mut log, Priority::Notice, "four");
        assert_eq!(texts(&first), ["four"]);
    }

    #[test]
    fn a_limit_of_debug_is_as_good_as_debug() {
        for (priority, limit, debug, expected) in [
            (Priority::Debug, 7, Debug::Off, true),
            (Priority::Trace, 7, Debug::Off, false),
            (Priority::Debug, 6, Debug::Off, false),
            (Priority::Debug, 1, Debug::On, true),
            (Priority::Trace, 1, Debug::On, false),
            (Priority::Trace, 1, Debug::Trace, true),
            (Priority::Error, 2, Debug::Off, false),
        ] {
            assert_eq!(wanted(priority, limit, debug), expected, "{priority:?}");
        }
    }

    /// A pipe that takes what it holds and no more until somebody reads.
    fn pipe(path: &Path) -> File {
        mkfifo(path, Mode::S_IRWXU).expect("a pipe");
        let pipe = OpenOptions::new().read(true).write(true).open(path);
        pipe.expect("it is there")
    }

    /// A pipe that nobody reads holds far less. Without a thread the test would never end.
    #[test]
    fn a_target_that_takes_nothing_stops_nobody() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("log");
        let mut pipe = BufReader::new(pipe(&path));
        let mut log = Log::open(to_file(&path, Debug::Off));
        log.start_writer();
        let said = 20_000;
        for _ in 0..said {
            say(&mut log, Priority::Notice, &"x".repeat(100));
        }
        // The pipe is given room until the writer has told of all that found none.
        let mut lost = 0;
        while lost < said / 2 {
            let mut line = String::new();
            pipe.read_line(&mut line).expect("it can be read");
            let told = line.split_once(" messages lost");
            let told = told.and_then(|(before, _)| before.rsplit(' ').next());
            lost += told.map_or(0, |n| n.parse::<u32>().expect("a number"));
            say(&mut log, Priority::Notice, "anything");
        }
        // Nor does the end.
        for _ in 0..said {
            say(&mut log, Priority::Notice, &"x".repeat(100));
        }
        log.stop_writer();
        say(&mut log, Priority::Notice, "nobody will read this");
    }

    /// Also of what waits: the pipe that takes nothing stands for a slow disk.
    #[test]
    fn nothing_is_written_to_a_rotated_file() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("log");
        let mut pipe = pipe(&path);
        let mut log = Log::open(to_file(&path, Debug::Off));
        log.start_writer();
        for _ in 0..2_000 {
            say(&mut log, Priority::Notice, &"x".repeat(100));
        }
        // The thread has begun with the first line, of which the rest is in the pipe.
        pipe.read_exact(&mut [0]).expect("a byte");
        fs::rename(&path, dir.path().join("old")).expect("same directory");
        log.reopen().expect("it can be");
        // Lets the line through that the thread is at.
        let read = pipe.read(&mut [0; 8_192]).expect("something");
        assert!(read > 0);
        let deadline = Instant::now() + Duration::from_secs(60);
        while texts(&path).len() < 1_000 {
            assert!(Instant::now() < deadline, "lines that waited are lost");
            std::thread::yield_now();
        }
    }

    #[test]
    fn everything_is_written_in_order_before_the_end() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("log");
        let mut log = Log::open(to_file(&path, Debug::Off));
        say(&mut log, Priority::Notice, "0");
        log.start_writer();
        for n in 1..1_000 {
            say(&mut log, Priority::Notice, &n.to_string());
        }
        log.stop_writer();
        say(&mut log, Priority::Notice, "1000");
        let expected: Vec<String> = (0..=1_000).map(|n| n.to_string()).collect();
        assert_eq!(texts(&path), expected);
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_named() {
        let dir = tempfile::tempdir().expect("a directory");
        let good = dir.path().join("good");
        let bad = dir.path().join("no/such");
        let mut log = Log::open(to_file(&good, Debug::Off));
        let failed = log.configure(to_file(&bad, Debug::Off));
        let failed = failed.expect_err("there is no such directory");
        assert_eq!(failed.file, bad.display().to_string());
        log.configure(to_file(&good, Debug::Off))
            .expect("it can be");
        say(&mut log, Priority::Notice, "heard");
        assert_eq!(texts(&good), ["heard"]);
    }
}

//! `corosync-blackbox`: makes the daemon write its flight recorder to a file, and prints it (`tools/corosync-blackbox.sh`,
//! v3.1.7, with libqb's `tools/qb_blackbox.c`, v2.0.6).
//!
//! What libqb says about itself on standard error is left out (`docs/deviations.md`, D-84).

mod dump;
mod printf;

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::{Arg, Command};
use ferrosync_client::Value;
use ferrosync_client::cmap::Cmap;
use serde_json::{Value as Json, json};

use super::getopt::{self, Format, Getopt, Opt, Style, format_option};
use super::{Output, Stop, Tool, options};
use dump::{Corrupt, Dump, Record};

/// No option of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {}

const OPTIONS: [Opt<What>; 0] = [];

/// The declaration of the options.
pub(super) fn command() -> Command {
    getopt::command(Tool::Blackbox.name(), &OPTIONS)
        .about("Makes the daemon write its flight recorder to a file, and prints it")
        .arg(format_option())
        .arg(
            Arg::new("file")
                .value_name("FILE")
                .num_args(0..)
                .help("Print this file instead, and leave the daemon alone"),
        )
}

/// Runs the tool. That something cannot be read is no reason for an exit code, as in C.
pub(super) fn run(words: Vec<OsString>, output: &mut Output<'_>) -> Result<(), Stop> {
    let mut getopt = Getopt::new(&OPTIONS, Style::Letters, words);
    match getopt.next() {
        Ok(None) => {}
        Ok(Some((what, _))) => match what {},
        Err(refused) => return output.refuse(&refused),
    }
    let format = getopt.format();
    let mut files = getopt.operands();
    if files.is_empty() {
        files.push(written_by_daemon(output).into());
    }
    for file in files {
        print(&file, format, output)?;
    }
    Ok(())
}

/// Makes the daemon write, and waits until it has; the path of what it writes.
fn written_by_daemon(output: &mut Output<'_>) -> PathBuf {
    let mut path = Path::new(STATE_DIR).join(FILE);
    match Cmap::connect(&options()) {
        Ok(mut cmap) => {
            if let Ok(Value::Str(dir)) = cmap.get("system.state_dir") {
                path = Path::new(OsStr::from_bytes(dir.as_bytes())).join(FILE);
            }
            let before = identity(&path);
            for key in TRIGGERS {
                trigger(&mut cmap, key, output);
            }
            let deadline = Instant::now() + WRITTEN_WITHIN;
            while identity(&path) == before && Instant::now() < deadline {
                thread::sleep(POLL);
            }
        }
        Err(error) => {
            // Once for each key, as the script calls corosync-cmapctl for each.
            for _ in TRIGGERS {
                let error = error.code();
                output.complain(format_args!(
                    "Failed to initialize the cmap API. Error {error}"
                ));
            }
        }
    }
    path
}

/// Any other value than before does it; the script takes the time.
fn trigger(cmap: &mut Cmap, key: &str, output: &mut Output<'_>) {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let value = Value::str(&since.as_nanos().to_string());
    if let Err(error) = cmap.set(key, &value) {
        let error = error.code();
        output.complain(format_args!("Failed to set key {key}. Error {error}"));
    }
}

/// What changes when a dump is written: where the link leads, and when that was written.
fn identity(path: &Path) -> Option<(PathBuf, SystemTime)> {
    let target = fs::canonicalize(path).ok()?;
    let modified = fs::metadata(&target).ok()?.modified().ok()?;
    Some((target, modified))
}

/// Prints a dump, once it is complete.
fn print(file: &OsStr, format: Format, output: &mut Output<'_>) -> Result<(), Stop> {
    if format == Format::Text {
        output.bytes(b"Dumping the contents of ")?;
        output.bytes(file.as_bytes())?;
        output.bytes(b"\n")?;
    }
    let deadline = Instant::now() + WRITTEN_WITHIN;
    let bytes = loop {
        let bytes = match read(file) {
            Ok(bytes) => bytes,
            Err(error) => {
                output.complain(format_args!("{}: {error}", file.display()));
                return Ok(());
            }
        };
        match Dump::open(&bytes) {
            Err(Corrupt::Short) if Instant::now() < deadline => thread::sleep(POLL),
            Ok(_) | Err(_) => break bytes,
        }
    };
    let dump = match Dump::open(&bytes) {
        Ok(dump) => dump,
        Err(error) => {
            output.complain(format_args!("{}: {error}", file.display()));
            return Ok(());
        }
    };
    match format {
        Format::Text => print_dump(&dump, output),
        Format::Json => output.json(&dump_json(&dump)),
    }
}

fn read(file: &OsStr) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(file)?.take(FILE_MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn print_dump(dump: &Dump<'_>, output: &mut Output<'_>) -> Result<(), Stop> {
    let ring = &dump.ring;
    writeln!(output, "Ringbuffer: \n ->NORMAL")?;
    writeln!(output, " ->write_pt [{}]", ring.write)?;
    writeln!(output, " ->read_pt [{}]", ring.read)?;
    writeln!(output, " ->size [{} words]", ring.words)?;
    writeln!(output, " =>free [{} bytes]", ring.free())?;
    writeln!(output, " =>used [{} bytes]", ring.used())?;
    for record in dump.records() {
        match record {
            Ok(record) => output.bytes(&line(&record))?,
            Err(corrupt) => {
                writeln!(output, "ERROR Corrupt file: {corrupt}.")?;
                return Ok(());
            }
        }
    }
    Ok(())
}

fn line(record: &Record) -> Vec<u8> {
    let priority = priority(record.priority);
    let time = local_time(record);
    let (line, tags) = (record.line, record.tags);
    [
        format!("{priority:<7} {time} ").as_bytes(),
        &record.function,
        format!("({line}):{tags}: ").as_bytes(),
        &record.message,
        b"\n",
    ]
    .concat()
}

/// The time of a record as qb-blackbox prints it.
fn local_time(record: &Record) -> String {
    let millis = record.nanoseconds / 1_000_000;
    match jiff::Timestamp::from_second(record.seconds) {
        Ok(time) => {
            let local = time.to_zoned(jiff::tz::TimeZone::system());
            format!("{}.{millis:03}", local.strftime("%b %d %H:%M:%S"))
        }
        Err(_) => record.seconds.to_string(),
    }
}

fn dump_json(dump: &Dump<'_>) -> Json {
    let mut corrupt = None;
    let mut records = Vec::new();
    for record in dump.records() {
        match record {
            Ok(record) => records.push(json!({
                "priority": priority(record.priority),
                "seconds": record.seconds,
                "nanoseconds": record.nanoseconds,
                "function": String::from_utf8_lossy(&record.function),
                "line": record.line,
                "tags": record.tags,
                "message": String::from_utf8_lossy(&record.message),
            })),
            Err(error) => corrupt = Some(error.to_string()),
        }
    }
    json!({ "records": records, "corrupt": corrupt })
}

/// libqb's names of priorities; what lies beyond is a trace.
fn priority(number: u8) -> &'static str {
    PRIORITIES
        .get(usize::from(number))
        .copied()
        .unwrap_or("trace")
}

const PRIORITIES: [&str; 9] = [
    "emerg", "alert", "crit", "error", "warning", "notice", "info", "debug", "trace",
];
/// Keys that make the daemon write, in the order of the script.
const TRIGGERS: [&str; 2] = [
    "runtime.blackbox.dump_state",
    "runtime.blackbox.dump_flight_data",
];
/// Where the daemon writes unless told otherwise.
const STATE_DIR: &str = "/var/lib/corosync";
/// A link to the latest dump.
const FILE: &str = "fdata";
/// C has written when it answers.
const WRITTEN_WITHIN: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(20);
/// Most of a file that is read; corosync's have 8 MiB.
const FILE_MAX: u64 = 64 << 20;

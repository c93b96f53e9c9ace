//! The flight recorder's place in the daemon's life.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use ferrosync_executive::log::Record;
use ferrosync_ipc::flight::{self, FlightRecord, FlightRecorder};

/// Every record of the daemon, whatever the configuration shows of them.
#[derive(Debug)]
pub(super) enum Flight {
    /// The process that is to be recorded has not begun; what is said meanwhile.
    Early(Vec<(SystemTime, Record)>),
    /// `blackbox: off`, or there is no room.
    Off,
    /// It records.
    On(FlightRecorder),
}

impl Flight {
    /// Before the daemon goes into the background.
    pub(super) const fn early() -> Self {
        Self::Early(Vec::new())
    }

    /// Records from now on, and what was said so far.
    ///
    /// # Errors
    /// There is no room; nothing is recorded.
    pub(super) fn start(&mut self) -> io::Result<()> {
        let said = match std::mem::replace(self, Self::Off) {
            Self::Early(said) => said,
            Self::Off => Vec::new(),
            Self::On(recorder) => {
                *self = Self::On(recorder);
                return Ok(());
            }
        };
        *self = Self::On(FlightRecorder::create(Path::new(MEMORY))?);
        for (time, record) in said {
            self.record_at(time, &record);
        }
        Ok(())
    }

    /// Records no more and forgets what was recorded.
    pub(super) fn stop(&mut self) {
        *self = Self::Off;
    }

    pub(super) fn record(&mut self, record: &Record) {
        self.record_at(SystemTime::now(), record);
    }

    fn record_at(&mut self, time: SystemTime, record: &Record) {
        match self {
            Self::Early(said) => {
                if said.len() < EARLY_MAX {
                    said.push((time, record.clone()));
                }
            }
            Self::Off => {}
            Self::On(recorder) => {
                let time = time.duration_since(UNIX_EPOCH).unwrap_or_default();
                let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
                recorder.record(&FlightRecord {
                    time: (seconds, time.subsec_nanos()),
                    priority: record.priority as u8,
                    tag: record.subsystem as u32,
                    function: record.place.module(),
                    line: record.place.line(),
                    text: record.text.trim_end(),
                });
            }
        }
    }

    /// Writes what is recorded into a file of the state directory; its name.
    ///
    /// # Errors
    /// Nothing is recorded, or the file cannot be written.
    pub(super) fn dump(&self, state_dir: &Path) -> io::Result<PathBuf> {
        let dump = match self {
            Self::On(recorder) => recorder.dump()?,
            Self::Early(_) | Self::Off => return Err(io::ErrorKind::NotFound.into()),
        };
        save(&dump, state_dir, std::process::id())
    }
}

/// Writes the recordings of daemons that ended without a word into the state directory: their process ids, and the file
/// or why there is none.
pub(super) fn save_leftovers(state_dir: &Path) -> Vec<(u32, io::Result<PathBuf>)> {
    // A directory that cannot be read has no room for a recorder either, which will be said.
    let left = flight::take_leftovers(Path::new(MEMORY)).unwrap_or_default();
    let save = |left: flight::Leftover| (left.pid, save(&left.dump, state_dir, left.pid));
    left.into_iter().map(save).collect()
}

fn save(dump: &[u8], state_dir: &Path, pid: u32) -> io::Result<PathBuf> {
    let now = jiff::Zoned::now().strftime("%Y-%m-%dT%H:%M:%S");
    let path = state_dir.join(format!("fdata-{now}-{pid}"));
    flight::save_dump(dump, &path, &state_dir.join("fdata"))?;
    Ok(path)
}

/// Where recorders live: memory that belongs to no process.
const MEMORY: &str = "/dev/shm";
/// Lines before the daemon is in the background.
const EARLY_MAX: usize = 256;

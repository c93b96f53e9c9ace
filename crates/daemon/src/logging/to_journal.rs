//! Lines to systemd's journal, in its own protocol: a datagram of fields
//! (<https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>).
//!
//! Used where standard error is the journal: then what C would send there twice, over syslog and as bare text without a
//! priority, is sent once, with the place in the source (`docs/deviations.md`, D-96).

use std::ffi::OsStr;
use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use ferrosync_executive::log::{Priority, Record};

/// The way to the journal.
#[derive(Debug)]
pub(super) struct Journal {
    socket: UnixDatagram,
    path: PathBuf,
    /// The datagram under construction.
    fields: Vec<u8>,
}

impl Journal {
    /// The journal, if standard error leads there.
    pub(super) fn detect() -> Option<Self> {
        let stream = std::env::var_os("JOURNAL_STREAM")?;
        let stat = nix::sys::stat::fstat(io::stderr()).ok()?;
        is_same(&stream, stat.st_dev, stat.st_ino)
            .then(|| Self::at(Path::new(SOCKET)).ok())
            .flatten()
    }

    fn at(path: &Path) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        // The ring must not wait for a journal that does not keep up.
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket,
            path: path.to_owned(),
            fields: Vec::new(),
        })
    }

    /// Sends one line; `message` is what syslog would get.
    ///
    /// # Errors
    /// The journal is not there or has no room, and the line is lost.
    pub(super) fn write(
        &mut self,
        record: &Record,
        facility: u32,
        message: &str,
    ) -> io::Result<()> {
        self.fields.clear();
        let place = record.place;
        // The journal's priorities end with debug.
        let priority = record.priority.min(Priority::Debug) as u8;
        self.field("PRIORITY", &priority.to_string());
        self.field("SYSLOG_FACILITY", &facility.to_string());
        self.field("SYSLOG_IDENTIFIER", "corosync");
        self.field("SYSLOG_PID", &std::process::id().to_string());
        self.field("CODE_FILE", place.file());
        self.field("CODE_LINE", &place.line().to_string());
        self.field("CODE_FUNC", place.module());
        self.field("COROSYNC_SUBSYSTEM", record.subsystem.name());
        self.field("MESSAGE", message);
        self.socket.send_to(&self.fields, &self.path).map(drop)
    }

    /// Adds a field in the form that bears any value.
    fn field(&mut self, name: &str, value: &str) {
        self.fields.extend_from_slice(name.as_bytes());
        self.fields.push(b'\n');
        let len = value.len() as u64;
        self.fields.extend_from_slice(&len.to_le_bytes());
        self.fields.extend_from_slice(value.as_bytes());
        self.fields.push(b'\n');
    }
}

/// Whether `JOURNAL_STREAM`, device and inode with a colon between them, names a file (systemd.exec(5)).
fn is_same(stream: &OsStr, device: u64, inode: u64) -> bool {
    let numbers = stream.to_str().and_then(|text| text.split_once(':'));
    numbers.is_some_and(|(d, i)| d.parse() == Ok(device) && i.parse() == Ok(inode))
}

const SOCKET: &str = "/run/systemd/journal/socket";

#[cfg(test)]
mod tests {
    use ferrosync_executive::log::Subsystem;

    use super::*;

    #[test]
    fn a_record_becomes_one_datagram_of_fields() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("socket");
        let mut journal = Journal::at(&path).expect("a socket");
        let text = "a line\nwith more".to_owned();
        let record = Record::new(Subsystem::Totem, Priority::Trace, text);
        assert!(journal.write(&record, 3, "lost").is_err());
        let server = UnixDatagram::bind(&path).expect("a socket");
        journal
            .write(&record, 3, &record.text)
            .expect("it is there");
        let mut bytes = [0; 1_000];
        let len = server.recv(&mut bytes).expect("a datagram");
        let fields = fields(&bytes[..len]);
        let expected = [
            ("PRIORITY", "7"),
            ("SYSLOG_FACILITY", "3"),
            ("SYSLOG_IDENTIFIER", "corosync"),
            ("CODE_FILE", "to_journal.rs"),
            ("CODE_FUNC", "logging/to_journal"),
            ("COROSYNC_SUBSYSTEM", "TOTEM"),
            ("MESSAGE", "a line\nwith more"),
        ];
        for (name, value) in expected {
            let found = fields.iter().find(|(n, _)| n == name);
            assert_eq!(found.map(|(_, v)| &**v), Some(value), "{name}");
        }
        assert_eq!(fields.len(), 9);
    }

    /// Takes a datagram apart as systemd describes it.
    fn fields(mut bytes: &[u8]) -> Vec<(String, String)> {
        let mut fields = Vec::new();
        while !bytes.is_empty() {
            let end = bytes.iter().position(|b| *b == b'\n').expect("a name");
            let name = String::from_utf8_lossy(&bytes[..end]).into_owned();
            let (len, rest) = bytes[end + 1..].split_first_chunk().expect("a length");
            let len = usize::try_from(u64::from_le_bytes(*len)).expect("it is short");
            let value = String::from_utf8_lossy(&rest[..len]).into_owned();
            assert_eq!(rest[len], b'\n');
            fields.push((name, value));
            bytes = &rest[len + 1..];
        }
        fields
    }

    #[test]
    fn the_stream_is_told_by_device_and_inode() {
        let is = |text: &str| is_same(OsStr::new(text), 8, 4_711);
        assert!(is("8:4711"));
        for other in ["8:4712", "9:4711", "8", "", "8:4711:1", "x:y"] {
            assert!(!is(other), "{other}");
        }
    }
}

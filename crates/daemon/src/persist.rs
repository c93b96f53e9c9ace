//! What survives the process: the ring sequence number, what quorum providers remember, and the pid file.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use ferrosync_executive::config::{QuorumConfig, YkdRule};
use ferrosync_executive::output::Kept;
use ferrosync_wire::linear::Memory;
use ferrosync_wire::{Decode, Encode, NodeId, Reader, RingSeq};
use nix::fcntl::{Flock, FlockArg};

/// The files of a node in its state directory.
#[derive(Debug)]
pub struct State {
    /// The ring sequence number.
    pub ring_id: RingIdFile,
    /// The highest number of expected votes.
    pub expected_votes: ExpectedVotesFile,
    /// What `ferrosync_ykd` remembers.
    pub linear: LinearFile,
}

impl State {
    /// The files of a node in a state directory.
    #[must_use]
    pub fn new(state_dir: &Path, node: NodeId) -> Self {
        Self {
            ring_id: RingIdFile::new(state_dir, node),
            expected_votes: ExpectedVotesFile(state_dir.join("ev_tracking")),
            linear: LinearFile(state_dir.join(format!("ferrosync_ykd_{node}"))),
        }
    }

    /// What the provider that is configured goes on from. As with C, a file that nobody uses is not opened.
    ///
    /// # Errors
    /// Says which file is there and cannot be used.
    pub fn kept(&self, quorum: &QuorumConfig) -> Result<Kept, String> {
        let votequorum = quorum.votequorum.as_ref();
        let expected_votes = if votequorum.is_some_and(|v| v.expected_votes_tracking) {
            self.expected_votes.load()
        } else {
            Ok(0)
        };
        let linear = match quorum.ykd {
            Some(YkdRule::Linear) => self.linear.load(),
            Some(YkdRule::Corosync) | None => Ok(None),
        };
        Ok(Kept {
            expected_votes: expected_votes
                .map_err(|e| format!("Unable to load ev_tracking file! {e}"))?,
            linear: linear.map_err(|e| e.to_string())?,
        })
    }
}

/// The file that holds the highest number of expected votes ever seen: 4 bytes, little endian, mode 0700 (corosync
/// `votequorum.c:load_ev_tracking_barrier`, v3.1.7).
#[derive(Debug)]
pub struct ExpectedVotesFile(PathBuf);

impl ExpectedVotesFile {
    /// What was stored last; zero where nothing was, or too little, which C takes for nothing too.
    ///
    /// # Errors
    /// The file is there and cannot be read.
    pub fn load(&self) -> io::Result<u32> {
        let number = read_number::<4>(&self.0)?;
        Ok(number.map_or(0, u32::from_le_bytes))
    }

    /// Makes a number durable. C closes the file before it writes to it, so that every update is lost, or lands in
    /// whatever else has taken the descriptor (`docs/deviations.md`, D-100).
    ///
    /// # Errors
    /// It is not durable; the file holds the old or the new number.
    pub fn store(&self, votes: u32) -> io::Result<()> {
        replace(&self.0, &votes.to_le_bytes(), 0o700)
    }
}

/// The file that holds what the quorum provider `ferrosync_ykd` remembers of primary components: a [`Memory`] as it
/// travels, mode 0600. Without it the node is anew: it does not count until a primary component takes it in.
#[derive(Debug)]
pub struct LinearFile(PathBuf);

impl LinearFile {
    /// What was stored last, if anything.
    ///
    /// # Errors
    /// The file is there and cannot be read, or is damaged: a node that forgets could act beside others that remember.
    pub fn load(&self) -> io::Result<Option<Memory>> {
        let bytes = match std::fs::read(&self.0) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e),
        };
        let mut reader = Reader::new(&bytes);
        let damaged = |what: &str| {
            let text = format!("{} is damaged: {what}", self.0.display());
            io::Error::new(ErrorKind::InvalidData, text)
        };
        let memory = Memory::decode(&mut reader).map_err(|e| damaged(&e.to_string()))?;
        if reader.rest().is_empty() {
            Ok(Some(memory))
        } else {
            Err(damaged("it is too long"))
        }
    }

    /// Makes it durable.
    ///
    /// # Errors
    /// It is not durable; the file holds the old or the new one.
    pub fn store(&self, memory: &Memory) -> io::Result<()> {
        replace(&self.0, &memory.to_vec(), 0o600)
    }
}

/// The number in a file; `None` where there is no file, or not enough in it.
fn read_number<const N: usize>(path: &Path) -> io::Result<Option<[u8; N]>> {
    let mut bytes = [0; N];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut bytes));
    match read {
        Ok(()) => Ok(Some(bytes)),
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::UnexpectedEof) => Ok(None),
        Err(e) => Err(e),
    }
}

/// A new file takes the old one's place when it is on the disk; that it has is on the disk, too, in the end.
fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(&beside)?;
    file.write_all(bytes)?;
    file.sync_data()?;
    std::fs::rename(&beside, path)?;
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    File::open(dir.unwrap_or_else(|| Path::new(".")))?.sync_all()
}

/// The file that holds this node's ring sequence number: 8 bytes, little endian, mode 0600 (corosync
/// `main.c:corosync_ring_id_create_or_load`, v3.1.7).
#[derive(Debug)]
pub struct RingIdFile(PathBuf);

impl RingIdFile {
    /// The file of a node in a state directory.
    #[must_use]
    pub fn new(state_dir: &Path, node: NodeId) -> Self {
        Self(state_dir.join(format!("ringid_{node}")))
    }

    /// What was stored last; zero where nothing was, or too little, which C takes for nothing too.
    ///
    /// # Errors
    /// The file is there and cannot be read.
    pub fn load(&self) -> io::Result<RingSeq> {
        let number = read_number::<8>(&self.0)?;
        Ok(RingSeq(number.map_or(0, u64::from_le_bytes)))
    }

    /// Makes a sequence number durable: a new file takes the old one's place when it is on the disk.
    ///
    /// C overwrites the file in place and does not wait for the disk (`docs/deviations.md`, D-02): after a power
    /// cut it can be empty, and the node would count from zero.
    ///
    /// # Errors
    /// It is not durable; the file holds the old or the new number.
    pub fn store(&self, seq: RingSeq) -> io::Result<()> {
        replace(&self.0, &seq.0.to_le_bytes(), 0o600)
    }
}

/// The pid file, locked while the daemon runs.
#[derive(Debug)]
pub struct PidFile {
    _locked: Flock<File>,
    path: PathBuf,
}

/// Why there is no pid file.
#[derive(Debug)]
pub enum PidFileError {
    /// Another daemon holds it.
    AlreadyRunning,
    /// It cannot be made.
    Io(io::Error),
}

impl PidFile {
    /// Creates, locks and writes the file, mode 0640 (corosync `main.c:corosync_flock`, v3.1.7).
    ///
    /// # Errors
    /// See [`PidFileError`].
    pub fn create(path: &Path) -> Result<Self, PidFileError> {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o640)
            .open(path)
            .map_err(PidFileError::Io)?;
        let locked = Flock::lock(file, FlockArg::LockExclusiveNonblock)
            .map_err(|_| PidFileError::AlreadyRunning)?;
        let pid = format!("{}\n", std::process::id());
        locked
            .set_len(0)
            .and_then(|()| (&*locked).write_all(pid.as_bytes()))
            .map_err(PidFileError::Io)?;
        Ok(Self {
            _locked: locked,
            path: path.to_owned(),
        })
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // Left behind it would do no harm: the lock is what counts.
        let _already_gone = std::fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use ferrosync_executive::config::Fixed;
    use ferrosync_wire::linear::Session;

    use super::*;
    use crate::start::read_config;

    #[test]
    fn a_stored_number_comes_back() {
        let dir = tempfile::tempdir().unwrap();
        let file = RingIdFile::new(dir.path(), NodeId(7));
        assert_eq!(file.load().unwrap(), RingSeq(0));
        file.store(RingSeq(0x1234)).unwrap();
        assert_eq!(file.load().unwrap(), RingSeq(0x1234));
        let bytes = std::fs::read(dir.path().join("ringid_7")).unwrap();
        assert_eq!(bytes, [0x34, 0x12, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn expected_votes_come_back() {
        let dir = tempfile::tempdir().unwrap();
        let file = State::new(dir.path(), NodeId(7)).expected_votes;
        assert_eq!(file.load().unwrap(), 0);
        file.store(5).unwrap();
        assert_eq!(file.load().unwrap(), 5);
        let bytes = std::fs::read(dir.path().join("ev_tracking")).unwrap();
        assert_eq!(bytes, [5, 0, 0, 0]);
    }

    #[test]
    fn a_memory_of_components_comes_back() {
        let dir = tempfile::tempdir().unwrap();
        let file = State::new(dir.path(), NodeId(7)).linear;
        assert_eq!(file.load().unwrap(), None);
        let memory = Memory {
            session: 3,
            last_primary: Session {
                number: 2,
                members: vec![NodeId(7)],
            },
            ..Memory::default()
        };
        file.store(&memory).unwrap();
        assert_eq!(file.load().unwrap(), Some(memory.clone()));
        let whole = memory.to_vec();
        let longer = [whole.as_slice(), &[0]].concat();
        for damaged in [&[][..], &whole[1..], &longer] {
            std::fs::write(dir.path().join("ferrosync_ykd_7"), damaged).unwrap();
            let error = file.load().expect_err("it is no memory");
            assert_eq!(error.kind(), ErrorKind::InvalidData);
        }
    }

    #[test]
    fn only_files_that_are_used_can_keep_a_node_from_starting() {
        let dir = tempfile::tempdir().unwrap();
        let state = State::new(dir.path(), NodeId(7));
        // They are there and cannot be read.
        for name in ["ev_tracking", "ferrosync_ykd_7"] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
        }
        let tracking = "corosync_votequorum\n expected_votes_tracking: 1";
        for (provider, complaint) in [
            ("corosync_votequorum", None),
            (tracking, Some("Unable to load ev_tracking file!")),
            ("corosync_ykd", None),
            ("ferrosync_ykd", Some("Is a directory")),
        ] {
            let conf = dir.path().join("corosync.conf");
            let text = format!(
                "totem {{\n version: 2\n transport: udpu\n}}\nquorum {{\n provider: {provider}\n}}\n\
                 nodelist {{\nnode {{\n nodeid: 7\n ring0_addr: 127.0.0.1\n}}\n}}\n"
            );
            std::fs::write(&conf, text).unwrap();
            let config = read_config(&conf, &Fixed::NONE).unwrap();
            match (state.kept(&config.quorum), complaint) {
                (Ok(kept), None) => assert_eq!(kept, Kept::default()),
                (Err(text), Some(complaint)) => assert!(text.contains(complaint), "{text}"),
                (kept, _) => panic!("{provider}: {kept:?}"),
            }
        }
    }

    #[test]
    fn a_short_file_counts_as_none() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("ringid_1"), [1, 2, 3]).unwrap();
        let file = RingIdFile::new(dir.path(), NodeId(1));
        assert_eq!(file.load().unwrap(), RingSeq(0));
    }

    #[test]
    fn only_one_daemon_holds_the_pid_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pid");
        let first = PidFile::create(&path).unwrap();
        assert!(matches!(
            PidFile::create(&path),
            Err(PidFileError::AlreadyRunning)
        ));
        drop(first);
        PidFile::create(&path).unwrap();
    }
}

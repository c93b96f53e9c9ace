//! The directory of a connection under `/dev/shm`, and what dead daemons left there.
//!
//! The client owns its directory, because it has to open the files and may have to remove them. So it can rename
//! the directory, put links in it, or swap it for another one. Everything is therefore done relative to a
//! directory that was opened without following links, by fixed names, and nothing is handed over to the client
//! before it is complete.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat, posix_fallocate};
use nix::sys::signal::kill;
use nix::sys::stat::{Mode, fchmod};
use nix::unistd::{Gid, Pid, Uid, UnlinkatFlags, fchown, mkdtemp, unlinkat};

use crate::handshake::Credentials;

/// A connection's directory and what is in it; both are removed when this is dropped.
#[derive(Debug)]
pub(crate) struct ConnDir {
    shm_dir: PathBuf,
    name: PathBuf,
    files: Vec<String>,
}

/// A directory that is still ours alone.
#[derive(Debug)]
pub(crate) struct NewConnDir {
    dir: OwnedFd,
    conn: ConnDir,
    owner: Credentials,
}

impl NewConnDir {
    /// Makes the directory `qb-<our pid>-<client pid>-<descriptor>-XXXXXX`
    /// (libqb `ipc_setup.c:handle_new_connection`, v2.0.6).
    pub(crate) fn create(shm_dir: &Path, owner: Credentials, descriptor: i32) -> io::Result<Self> {
        let pid = std::process::id();
        let template = shm_dir.join(format!("qb-{pid}-{}-{descriptor}-XXXXXX", owner.pid));
        let path = mkdtemp(&template)?;
        let name = path.file_name().map(PathBuf::from);
        let name = name.ok_or(io::ErrorKind::InvalidInput)?;
        let conn = ConnDir {
            shm_dir: shm_dir.to_owned(),
            name,
            files: Vec::new(),
        };
        let dir = open(&path, DIRECTORY, Mode::empty())?;
        Ok(Self { dir, conn, owner })
    }

    /// Makes a file of `len` zero bytes with its memory reserved, owned by the client. Its name in the directory
    /// is `name`; its absolute path is returned.
    pub(crate) fn create_file(&mut self, name: &str, len: usize) -> io::Result<(File, String)> {
        let flags =
            OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let file = openat(&self.dir, name, flags, CLIENT_ONLY)?;
        self.conn.files.push(name.to_owned());
        let len = i64::try_from(len).map_err(|_| io::ErrorKind::InvalidInput)?;
        posix_fallocate(&file, 0, len)?;
        chown_if_allowed(&file, self.owner)?;
        // The process's umask had a say when the file was made.
        fchmod(&file, CLIENT_ONLY)?;
        Ok((File::from(file), self.conn.path_of(name)?))
    }

    /// Gives the directory to the client.
    pub(crate) fn hand_over(self) -> io::Result<ConnDir> {
        chown_if_allowed(&self.dir, self.owner)?;
        fchmod(&self.dir, Mode::S_IRWXU | Mode::S_IRWXG)?;
        Ok(self.conn)
    }

    /// The absolute path that `name` has in this directory.
    pub(crate) fn path_of(&self, name: &str) -> io::Result<String> {
        self.conn.path_of(name)
    }
}

impl ConnDir {
    fn path_of(&self, name: &str) -> io::Result<String> {
        let path = self.shm_dir.join(&self.name).join(name);
        let path = path.into_os_string().into_string();
        path.map_err(|_| io::ErrorKind::InvalidInput.into())
    }
}

impl Drop for ConnDir {
    fn drop(&mut self) {
        let names = self.files.iter().map(String::as_str);
        remove(&self.shm_dir.join(&self.name), names);
    }
}

/// The two files of a ring, by channel and service.
pub(crate) fn ring_file_names(channel: &str, service: &str) -> [String; 2] {
    let ring = ring_name(channel, service);
    [format!("{ring}-header"), format!("{ring}-data")]
}

/// What both file names of a ring begin with.
pub(crate) fn ring_name(channel: &str, service: &str) -> String {
    format!("qb-{channel}-{service}")
}

/// The control file of a datagram connection.
pub(crate) fn control_file_name(service: &str) -> String {
    format!("qb-control-{service}")
}

/// Removes what connections of `service` left behind when their server died.
///
/// Called by whoever has just bound the service's name, so no other server of that service is alive here. Of
/// this process's own pid there is nothing yet, and what carries it is from a former life in a container.
/// Directories of other services are not touched: other programs use libqb too.
pub(crate) fn remove_leftovers(shm_dir: &Path, service: &str) -> io::Result<()> {
    let mut names: Vec<String> = CHANNELS
        .iter()
        .flat_map(|channel| ring_file_names(channel, service))
        .collect();
    names.push(control_file_name(service));
    for entry in std::fs::read_dir(shm_dir)? {
        let entry = entry?;
        let name = entry.file_name();
        if name.to_str().and_then(server_pid).is_some_and(is_gone) {
            remove(&entry.path(), names.iter().map(String::as_str));
        }
    }
    Ok(())
}

/// The pid in `qb-<pid>-<client pid>-...`.
fn server_pid(dir_name: &str) -> Option<i32> {
    let (pid, _) = dir_name.strip_prefix("qb-")?.split_once('-')?;
    pid.parse().ok().filter(|&pid| pid > 0)
}

fn is_gone(pid: i32) -> bool {
    let ours = u32::try_from(pid) == Ok(std::process::id());
    ours || kill(Pid::from_raw(pid), None) == Err(Errno::ESRCH)
}

/// Removes these names from a directory, and the directory when nothing is left in it. Failures are the normal
/// case: the client may have been first.
fn remove<'a>(path: &Path, names: impl Iterator<Item = &'a str>) {
    let dir = OpenOptions::new()
        .read(true)
        .custom_flags((OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW).bits())
        .open(path);
    let Ok(dir) = dir else {
        return;
    };
    for name in names {
        let _gone_already = unlinkat(dir.as_fd(), name, UnlinkatFlags::NoRemoveDir);
    }
    let _not_empty = std::fs::remove_dir(path);
}

/// Without privileges a server serves its own user, and this changes nothing (libqb ignores it too).
fn chown_if_allowed(fd: &impl AsFd, owner: Credentials) -> io::Result<()> {
    let (uid, gid) = (Uid::from_raw(owner.uid), Gid::from_raw(owner.gid));
    match fchown(fd, Some(uid), Some(gid)) {
        Ok(()) | Err(Errno::EPERM) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The three rings of a connection.
pub(crate) const CHANNELS: [&str; 3] = ["request", "response", "event"];
const DIRECTORY: OFlag = OFlag::O_RDONLY
    .union(OFlag::O_DIRECTORY)
    .union(OFlag::O_NOFOLLOW)
    .union(OFlag::O_CLOEXEC);
const CLIENT_ONLY: Mode = Mode::S_IRUSR.union(Mode::S_IWUSR);

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    const NOBODY_PID: i32 = i32::MAX;

    fn me() -> Credentials {
        Credentials {
            pid: 77,
            uid: Uid::current().as_raw(),
            gid: Gid::current().as_raw(),
        }
    }

    fn entries(dir: &Path) -> usize {
        std::fs::read_dir(dir).unwrap().count()
    }

    #[test]
    fn a_directory_lives_as_long_as_its_connection() {
        let shm = tempfile::tempdir().unwrap();
        let mut new = NewConnDir::create(shm.path(), me(), 9).unwrap();
        let (file, path) = new.create_file("qb-request-x-data", 5000).unwrap();
        assert_eq!(file.metadata().unwrap().len(), 5000);
        assert!(Path::new(&path).is_file());
        let prefix = format!("qb-{}-77-9-", std::process::id());
        assert!(path.contains(&prefix), "{path}");
        let conn = new.hand_over().unwrap();
        drop(conn);
        assert_eq!(entries(shm.path()), 0);
    }

    #[test]
    fn an_unfinished_directory_is_removed_too() {
        let shm = tempfile::tempdir().unwrap();
        let mut new = NewConnDir::create(shm.path(), me(), 9).unwrap();
        new.create_file("a", 1).unwrap();
        assert!(new.create_file("a", 1).is_err(), "never opens what exists");
        drop(new);
        assert_eq!(entries(shm.path()), 0);
    }

    #[test]
    fn a_directory_swapped_for_a_link_is_not_followed() {
        let shm = tempfile::tempdir().unwrap();
        let victim = tempfile::tempdir().unwrap();
        let precious = victim.path().join("qb-request-x-data");
        std::fs::write(&precious, "precious").unwrap();
        let mut new = NewConnDir::create(shm.path(), me(), 9).unwrap();
        new.create_file("qb-request-x-data", 1).unwrap();
        let conn = new.hand_over().unwrap();
        let ours = shm.path().join(&conn.name);
        std::fs::rename(&ours, shm.path().join("elsewhere")).unwrap();
        symlink(victim.path(), &ours).unwrap();
        drop(conn);
        assert!(precious.exists());
    }

    #[test]
    fn leftovers_of_dead_servers_of_the_service_go() {
        let shm = tempfile::tempdir().unwrap();
        let make = |dir: String, file: &str| {
            let dir = shm.path().join(dir);
            std::fs::create_dir(&dir).unwrap();
            std::fs::write(dir.join(file), "").unwrap();
            dir
        };
        let dead = make(format!("qb-{NOBODY_PID}-1-9-abcdef"), "qb-event-cpg-data");
        let socket = make(format!("qb-{NOBODY_PID}-1-9-fedcba"), "qb-control-cpg");
        let former = make(
            format!("qb-{}-1-9-abcdef", std::process::id()),
            "qb-event-cpg-header",
        );
        let other_service = make(format!("qb-{NOBODY_PID}-2-9-abcdef"), "qb-event-cmap-data");
        let alive = make("qb-1-2-9-abcdef".into(), "qb-event-cpg-data");
        let stranger = make("qb-x".into(), "qb-event-cpg-data");
        remove_leftovers(shm.path(), "cpg").unwrap();
        assert!(!dead.exists() && !socket.exists() && !former.exists());
        assert!(other_service.exists() && alive.exists() && stranger.exists());
    }
}

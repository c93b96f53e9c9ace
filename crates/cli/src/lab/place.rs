//! Where a lab keeps its files: one directory per lab, one lock beside it.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use nix::unistd::geteuid;

use super::plan::{LabName, NodeNumber};

/// Name of the control socket in the lab's directory.
pub(super) const SOCKET: &str = "control";

/// Whether the files outlive the lab.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    Nothing,
    Files,
}

/// The paths of a lab, whether it runs or not.
#[derive(Clone, Debug)]
pub(super) struct Paths {
    base: PathBuf,
    name: LabName,
}

impl Paths {
    /// Paths under $XDG_RUNTIME_DIR where that is this user's, otherwise under /tmp. To be asked outside the
    /// user namespace, in which every user is root.
    pub(super) fn of(name: &LabName) -> Self {
        let uid = geteuid();
        let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
        let own = |dir: &PathBuf| {
            dir.is_absolute()
                && fs::metadata(dir).is_ok_and(|meta| meta.is_dir() && meta.uid() == uid.as_raw())
        };
        let base = match runtime.filter(own) {
            Some(dir) => dir.join("ferrosync-lab"),
            None => PathBuf::from(format!("/tmp/ferrosync-lab-{uid}")),
        };
        Self {
            base,
            name: name.clone(),
        }
    }

    /// Directory of the lab.
    pub(super) fn dir(&self) -> PathBuf {
        self.base.join(self.name.as_str())
    }

    /// The control socket.
    pub(super) fn socket(&self) -> PathBuf {
        self.dir().join(SOCKET)
    }

    /// Directory of a node's files.
    pub(super) fn node(&self, node: NodeNumber) -> PathBuf {
        self.dir().join(node.name())
    }

    /// The lock, which a lab removes last.
    pub(super) fn lock(&self) -> PathBuf {
        self.base.join(format!("{}.lock", self.name.as_str()))
    }
}

/// The files of a running lab. Dropping it removes them, unless they are to be kept.
pub(super) struct Place {
    paths: Paths,
    keep: Keep,
    /// Held for as long as the lab lives.
    _lock: File,
}

impl Place {
    /// Takes the name, or says that a lab of that name runs.
    pub(super) fn take(name: &LabName, keep: Keep) -> Result<Self> {
        let paths = Paths::of(name);
        make_private(&paths.base)?;
        let lock = lock(&paths.lock()).with_context(|| {
            format!(
                "lab `{}` runs already (another --name starts a second one)",
                name.as_str()
            )
        })?;
        Ok(Self {
            paths,
            keep,
            _lock: lock,
        })
    }

    /// Removes what a lab left that was killed, and starts with an empty directory. To be called inside the
    /// user namespace: only there may files of mapped users be removed.
    pub(super) fn prepare(&self) -> Result<()> {
        let dir = self.paths.dir();
        remove(&dir)?;
        DirBuilder::new()
            .mode(0o700)
            .create(&dir)
            .with_context(|| format!("cannot make {}", dir.display()))
    }

    pub(super) fn paths(&self) -> &Paths {
        &self.paths
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let dir = self.paths.dir();
        match self.keep {
            Keep::Nothing => {
                if let Err(error) = remove(&dir) {
                    eprintln!("ferrosync lab: {error:#}");
                }
            }
            // The socket leads nowhere any more.
            Keep::Files => drop(fs::remove_file(self.paths.socket())),
        }
        // While the lock is still held; the directory goes with the last lab.
        drop(fs::remove_file(self.paths.lock()));
        drop(fs::remove_dir(&self.paths.base));
    }
}

/// Makes a directory that only this user can enter, or checks that it is one: /tmp belongs to everybody.
fn make_private(dir: &Path) -> Result<()> {
    match DirBuilder::new().mode(0o700).create(dir) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error).with_context(|| format!("cannot make {}", dir.display())),
    }
    let meta =
        fs::symlink_metadata(dir).with_context(|| format!("cannot look at {}", dir.display()))?;
    if !meta.is_dir() || meta.uid() != geteuid().as_raw() || meta.mode() & 0o077 != 0 {
        bail!(
            "{} is not a directory that belongs to you alone: remove it",
            dir.display()
        );
    }
    Ok(())
}

/// Locks the file at `path`, which another lab may be removing as it ends.
fn lock(path: &Path) -> Result<File> {
    for _ in 0..LOCK_TRIES {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => bail!("{} is locked", path.display()),
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        let same =
            |there: fs::Metadata| file.metadata().is_ok_and(|here| here.ino() == there.ino());
        if fs::metadata(path).is_ok_and(same) {
            return Ok(file);
        }
    }
    bail!("{} is removed again and again", path.display())
}

const LOCK_TRIES: usize = 100;

fn remove(dir: &Path) -> Result<()> {
    match fs::remove_dir_all(dir) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).with_context(|| format!("cannot remove {}", dir.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_held_once_and_free_again() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("x.lock");
        let first = lock(&path).expect("free");
        assert!(lock(&path).is_err());
        fs::remove_file(&path).expect("removed");
        drop(first);
        lock(&path).expect("free again");
    }

    #[test]
    fn a_directory_open_to_others_is_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        let open = dir.path().join("open");
        DirBuilder::new().mode(0o755).create(&open).expect("made");
        assert!(make_private(&open).is_err());
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(dir.path(), &link).expect("linked");
        assert!(make_private(&link).is_err());
        let own = dir.path().join("own");
        make_private(&own).expect("made");
        make_private(&own).expect("still ours");
    }
}

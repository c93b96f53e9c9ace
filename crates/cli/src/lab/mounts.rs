//! The files that a node sees: those of the machine, with its own /run, /dev/shm, /proc and its own state,
//! configuration and logs of the cluster.

use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use nix::mount::{MsFlags, mount};
use nix::unistd::{Group, User, chown};

use super::{fence, place};
use crate::args::Manager;

/// The daemon's log, inside a node.
pub(super) const LOG_FILE: &str = "/var/log/corosync/corosync.log";
/// What the daemon writes to standard output and error, inside a node.
pub(super) const OUTPUT_FILE: &str = "/var/log/corosync/output.log";
/// What runs on top of the daemon writes this to standard output and error, inside a node.
pub(super) const MANAGER_OUTPUT_FILE: &str = "/var/log/pacemaker/output.log";
/// The configuration, inside a node.
pub(super) const CONF_FILE: &str = "/etc/corosync/corosync.conf";

/// A directory of the node's own: its place inside, and its name in the node's directory on the machine.
pub(super) struct Own {
    inside: &'static str,
    pub(super) name: &'static str,
}

/// The configuration.
pub(super) const CONF: Own = Own {
    inside: "/etc/corosync",
    name: "etc",
};
/// The logs.
pub(super) const LOG: Own = Own {
    inside: "/var/log/corosync",
    name: "log",
};
/// The ring id and votes that survive a crash.
pub(super) const STATE: Own = Own {
    inside: "/var/lib/corosync",
    name: "lib",
};
/// Pacemaker's, where the machine has it.
const PACEMAKER: [Own; 2] = [
    Own {
        inside: "/var/lib/pacemaker",
        name: "pacemaker-lib",
    },
    Own {
        inside: "/var/log/pacemaker",
        name: "pacemaker-log",
    },
];

/// Name of the node's hosts file in its directory.
pub(super) const HOSTS: &str = "hosts";

/// The lab's control socket, inside a node that has something to ask: what runs on top of the daemon fences nodes.
pub(super) const CONTROL_SOCKET: &str = "/run/ferrosync/control";
/// This program, inside such a node.
const PROGRAM: &str = "/run/ferrosync/program";
/// Pacemaker looks for fence agents in this directory and in no other (`RH_STONITH_DIR`).
const FENCE_AGENTS: &str = "/usr/sbin";

/// Lays a node's files out. The process is alone in a fresh mount namespace; `dir` is the node's directory.
pub(super) fn set_up(dir: &Path, manager: Manager) -> Result<()> {
    mount(
        None::<&str>,
        "/",
        None::<&str>,
        MsFlags::MS_REC | MsFlags::MS_PRIVATE,
        None::<&str>,
    )
    .context("mounts cannot be made private")?;
    // A container may forbid it. The machine's /proc shows too much and otherwise serves.
    let _ = mount_fresh("proc", "/proc", "");

    if Path::new("/etc/hosts").is_file() {
        bind(&dir.join(HOSTS), "/etc/hosts")?;
    }
    mount_fresh("tmpfs", "/dev/shm", "mode=1777")?;
    // Made beside the real /run, because `dir` itself may lie below that.
    let run = dir.join("run");
    fs::create_dir(&run).with_context(|| format!("cannot make {}", run.display()))?;
    mount_fresh("tmpfs", &run, "mode=755")?;
    fill_run(&run, manager)?;
    let mut machine = Machine::hidden(&run);
    match manager {
        Manager::None => {}
        Manager::Pacemaker => offer_fencing(dir, &mut machine)?,
    }
    grow_missing(&mut machine)?;
    for own in [&CONF, &LOG, &STATE] {
        bind(&dir.join(own.name), own.inside)?;
    }
    for own in &PACEMAKER {
        if Path::new(own.inside).is_dir() {
            copy_directories(Path::new(own.inside), &dir.join(own.name), 0)?;
            bind(&dir.join(own.name), own.inside)?;
        }
    }
    bind(&run, "/run")
}

/// Forgets what a machine forgets without power: /run and shared memory. No process may be left to use them.
pub(super) fn forget_memory(manager: Manager) -> Result<()> {
    let (run, shm) = (Path::new("/run"), Path::new("/dev/shm"));
    for dir in [run, shm] {
        clear(dir, fs::metadata(dir)?.dev())?;
    }
    fill_run(run, manager)
}

/// Empties a directory, but for what the lab has put there and for other filesystems: behind a mount may be a disk.
fn clear(dir: &Path, device: u64) -> Result<()> {
    for entry in fs::read_dir(dir)?.flatten() {
        let path = entry.path();
        let meta = entry.metadata()?;
        if meta.dev() != device || path == Path::new(LAB_OWN) {
            continue;
        }
        let gone = if meta.is_dir() {
            clear(&path, device)?;
            // A directory with something else mounted below it stays.
            fs::remove_dir(&path).or(Ok(()))
        } else {
            fs::remove_file(&path)
        };
        gone.with_context(|| format!("cannot remove {}", path.display()))?;
    }
    Ok(())
}

/// Puts the fence agent where Pacemaker looks for it, and what it needs to reach the lab.
fn offer_fencing(dir: &Path, machine: &mut Machine<'_>) -> Result<()> {
    let own = machine.run.join(Path::new(LAB_OWN).strip_prefix("/run")?);
    fs::create_dir_all(&own)?;
    let lab = dir.parent().context("a node without a lab")?;
    for (from, name) in [
        (lab.join(place::SOCKET), CONTROL_SOCKET),
        (std::env::current_exe()?, PROGRAM),
    ] {
        let to = machine.run.join(Path::new(name).strip_prefix("/run")?);
        File::create(&to).with_context(|| format!("cannot make {}", to.display()))?;
        bind(&from, to)?;
    }
    cover(Path::new(FENCE_AGENTS), machine.shown()?)?;
    let agent = Path::new(FENCE_AGENTS).join(fence::NAME);
    // That of a package is another version.
    drop(fs::remove_file(&agent));
    symlink(PROGRAM, &agent).with_context(|| format!("cannot link {}", agent.display()))
}

/// A machine without Corosync lacks its directories, and an ordinary user cannot make them. Their parents are
/// covered with a tmpfs of links to what was there, in which they can be made.
fn grow_missing(machine: &mut Machine<'_>) -> Result<()> {
    let missing = |own: &&Own| !Path::new(own.inside).is_dir();
    for own in [&CONF, &LOG, &STATE].into_iter().filter(missing) {
        let parent = Path::new(own.inside)
            .parent()
            .context("a place without parent")?;
        cover(parent, machine.shown()?)?;
        fs::create_dir(own.inside).with_context(|| format!("cannot make {}", own.inside))?;
    }
    Ok(())
}

/// Covers a directory with a writable one of the same entries. `machine` is the tree that [`MACHINE`] will be.
fn cover(dir: &Path, machine: &Path) -> Result<()> {
    let below = dir.strip_prefix("/")?;
    let entries = fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))?;
    let entries: Vec<_> = entries.collect::<Result<_, _>>()?;
    mount_fresh("tmpfs", dir, "mode=755")?;
    for entry in entries {
        let name = entry.file_name();
        // A link that may be relative keeps its meaning only as it is.
        let target = match fs::read_link(machine.join(below).join(&name)) {
            Ok(target) => target,
            Err(_) => Path::new(MACHINE).join(below).join(&name),
        };
        let link = dir.join(&name);
        symlink(target, &link).with_context(|| format!("cannot link {}", link.display()))?;
    }
    Ok(())
}

/// What the lab has put below a node's /run.
const LAB_OWN: &str = "/run/ferrosync";
/// Where a node finds the files of the machine that were covered.
const MACHINE: &str = "/run/ferrosync/machine";

/// The machine's whole tree, bound to what will be [`MACHINE`] once something of it is covered.
struct Machine<'a> {
    /// What will be /run.
    run: &'a Path,
    shown: Option<PathBuf>,
}

impl<'a> Machine<'a> {
    fn hidden(run: &'a Path) -> Self {
        Self { run, shown: None }
    }

    fn shown(&mut self) -> Result<&Path> {
        if self.shown.is_none() {
            let machine = self.run.join(Path::new(MACHINE).strip_prefix("/run")?);
            fs::create_dir_all(&machine)?;
            bind(Path::new("/"), &machine)?;
            self.shown = Some(machine);
        }
        Ok(self.shown.as_deref().expect("it was set just above"))
    }
}

/// What programs expect in /run and do not make themselves.
fn fill_run(run: &Path, manager: Manager) -> Result<()> {
    fs::create_dir_all(run.join("lock")).context("no /run/lock")?;
    let user = User::from_name("hacluster").ok().flatten();
    let group = Group::from_name("haclient").ok().flatten();
    if let (Some(user), Some(group)) = (user, group) {
        let crm = run.join("crm");
        make_dir(&crm, 0o750)?;
        // Without a range of user ids everything belongs to root, which Pacemaker will say itself.
        let _ = chown(&crm, Some(user.uid), Some(group.gid));
    }
    match manager {
        Manager::None => Ok(()),
        // Resource agents note there what they have started.
        Manager::Pacemaker => make_dir(&run.join("resource-agents"), 0o1755),
    }
}

/// Copies the directories below `from`, with mode and owner, and none of the files.
fn copy_directories(from: &Path, to: &Path, depth: usize) -> Result<()> {
    const DEPTH_MAX: usize = 3;
    let meta = fs::metadata(from)?;
    make_dir(to, meta.mode() & 0o7777)?;
    let _ = chown(to, Some(meta.uid().into()), Some(meta.gid().into()));
    // What this user may not read has no directories that the node could use.
    let Ok(entries) = fs::read_dir(from) else {
        return Ok(());
    };
    for entry in entries.flatten() {
        if depth < DEPTH_MAX && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            let name = entry.file_name();
            copy_directories(&from.join(&name), &to.join(&name), depth + 1)?;
        }
    }
    Ok(())
}

fn make_dir(dir: &Path, mode: u32) -> Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(dir)
        .with_context(|| format!("cannot make {}", dir.display()))
}

fn mount_fresh(kind: &str, at: impl AsRef<Path>, options: &str) -> Result<()> {
    let at = at.as_ref();
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some(kind), at, Some(kind), flags, Some(options))
        .with_context(|| format!("cannot mount {kind} at {}", at.display()))
}

fn bind(from: &Path, to: impl AsRef<Path>) -> Result<()> {
    let to = to.as_ref();
    let flags = MsFlags::MS_BIND | MsFlags::MS_REC;
    mount(Some(from), to, None::<&str>, flags, None::<&str>)
        .with_context(|| format!("cannot mount {} at {}", from.display(), to.display()))
}

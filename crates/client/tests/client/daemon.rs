//! Daemons under test, and the namespaces they live in.

use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use ferrosync_client::quorum::{Model, Quorum};
use ferrosync_client::{ConnectionError, Options};
use tempfile::TempDir;

/// Whose daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Ferrosync,
    Corosync,
}

/// How its clients' messages travel (`system.qb_ipc_type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ipc {
    Shm,
    Socket,
}

/// A running daemon: the only node of its cluster. Ends with this value.
#[derive(Debug)]
pub(crate) struct Daemon {
    child: Child,
    _dir: TempDir,
}

impl Daemon {
    /// Starts a daemon and waits until it serves.
    pub(crate) fn start(kind: Kind, ipc: Ipc) -> Self {
        let dir = TempDir::new().unwrap();
        let conf = dir.path().join("corosync.conf");
        let ipc = format!("{ipc:?}").to_lowercase();
        let state = dir.path().display().to_string();
        let text = CONF.replace("STATE", &state).replace("IPC", &ipc);
        fs::write(&conf, text).unwrap();
        let mut command = match kind {
            Kind::Ferrosync => {
                let mut command = this_program_as("ferrosyncd");
                command.env(CONF_FILE, &conf);
                command
            }
            Kind::Corosync => {
                let mut command = mortal(COROSYNC);
                command.arg("-f").arg("-c").arg(&conf);
                command
            }
        };
        let child = command.stdin(Stdio::null()).spawn().unwrap();
        let mut daemon = Self { child, _dir: dir };
        daemon.wait_until_it_serves();
        daemon
    }

    fn wait_until_it_serves(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match Quorum::connect(Model::V1, &options()) {
                Ok(_) => return,
                Err(error) => assert!(
                    Instant::now() < deadline,
                    "the daemon does not serve: {error}"
                ),
            }
            assert_eq!(self.child.try_wait().unwrap(), None, "the daemon ended");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends it at once.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended already.
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}

/// Options with a generous timeout.
pub(crate) fn options() -> Options {
    Options {
        timeout: PATIENCE,
        ..Options::default()
    }
}

/// Whether an error says that the daemon is gone.
pub(crate) fn is_lost(error: &ConnectionError) -> bool {
    matches!(error, ConnectionError::Lost)
}

/// A command that runs its further arguments in namespaces with a network and shared memory of their own; none
/// where the machine has no such.
fn namespaces() -> Option<Command> {
    let works = |more: &[&str]| {
        let mut command = Command::new("unshare");
        command
            .args(more)
            .args(["-n", "-m", "--", "sh", "-c", SETUP]);
        let ran = command.args(["sh", "true"]).output();
        ran.is_ok_and(|output| output.status.success())
    };
    let more: &[&str] = [&[][..], &["-U", "-r"]]
        .into_iter()
        .find(|more| works(more))?;
    let mut command = Command::new("unshare");
    command
        .args(more)
        .args(["-n", "-m", "--", "sh", "-c", SETUP, "sh"]);
    Some(command)
}

/// Runs [`crate::inside`] where nobody else's daemon is.
pub(crate) fn in_namespaces(kind: Kind, ipc: Ipc) {
    if kind == Kind::Corosync && !Path::new(COROSYNC).exists() {
        return skipped(&format!(
            "client tests with {COROSYNC}: it is not installed"
        ));
    }
    let Some(mut command) = namespaces() else {
        skipped(&format!(
            "client tests with {kind:?}: no namespaces, or no `ip`"
        ));
        return;
    };
    let this = std::env::current_exe().unwrap();
    let output = command
        .arg(this)
        .args(["--exact", "inside", "--nocapture"])
        .env(INSIDE, name_of(kind, ipc))
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    assert!(output.status.success(), "{text}");
    assert!(text.contains(ALL_DONE), "{text}");
}

/// What a combination is called.
pub(crate) fn name_of(kind: Kind, ipc: Ipc) -> String {
    format!("{kind:?} over {ipc:?}")
}

/// A child process that is this program again, and ends with this one.
pub(crate) fn this_program_as(role: &str) -> Command {
    as_role(mortal(std::env::current_exe().unwrap()), role)
}

/// A child process that is this program again.
pub(crate) fn this_program(role: &str) -> Command {
    as_role(Command::new(std::env::current_exe().unwrap()), role)
}

fn as_role(mut command: Command, role: &str) -> Command {
    command
        .args(["--exact", "child", "--nocapture"])
        .env(CHILD, role)
        .env_remove(INSIDE);
    command
}

/// A program that ends with this process, however that ends.
fn mortal(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command
}

/// Says so even when the test harness captures output.
pub(crate) fn skipped(what: &str) {
    let line = format!("SKIPPED: {what}\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}

/// This process becomes the daemon.
pub(crate) fn as_ferrosyncd() -> ! {
    let conf = std::env::var_os(CONF_FILE).unwrap();
    let args = ["ferrosyncd".into(), "-f".into(), "-c".into(), conf];
    // Its own exit status does not matter here: it is killed.
    let _status = ferrosync_daemon::run(args);
    std::process::exit(1)
}

/// What [`crate::inside`] says at its end.
pub(crate) const ALL_DONE: &str = "all client tests done";
/// Whose daemon [`crate::inside`] is to start.
pub(crate) const INSIDE: &str = "FERROSYNC_CLIENT_TEST";
/// What [`crate::child`] is to be.
pub(crate) const CHILD: &str = "FERROSYNC_CLIENT_TEST_CHILD";
const CONF_FILE: &str = "FERROSYNC_CLIENT_TEST_CONF";
/// Debian's daemon.
const COROSYNC: &str = "/usr/sbin/corosync";
/// How long anything may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

const SETUP: &str = "mount --make-rprivate / && mount -t tmpfs none /run && \
    mount -t tmpfs none /dev/shm && ip link set lo up && exec setpriv --pdeathsig KILL -- \"$@\"";

const CONF: &str = "totem {
    version: 2
    cluster_name: client
    transport: udpu
}
nodelist {
    node {
        nodeid: 7
        name: seven
        ring0_addr: 127.0.0.1
    }
}
quorum {
    provider: corosync_votequorum
}
system {
    sched_rr: no
    move_to_root_cgroup: no
    state_dir: STATE
    qb_ipc_type: IPC
}
logging {
    to_syslog: no
    to_stderr: yes
}
";

//! What the daemon tells systemd: that it is ready, and that it lives.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

const SETUP: &str = "mount --make-rprivate / && mount -t tmpfs none /run && \
    mount -t tmpfs none /dev/shm && ip link set lo up && exec setpriv --pdeathsig KILL -- \"$@\"";

const CONF: &str = "totem {
    version: 2
    transport: udpu
}
nodelist {
    node {
        nodeid: 7
        ring0_addr: 127.0.0.1
    }
}
system {
    sched_rr: no
    move_to_root_cgroup: no
    state_dir: STATE
}
logging {
    to_syslog: no
}
";

/// A daemon in namespaces of its own, and the socket on which it reports.
struct Node {
    daemon: Child,
    socket: UnixDatagram,
    _dir: TempDir,
}

impl Node {
    /// Starts a daemon; `None` where the machine has no namespaces.
    fn start(watchdog: Option<Duration>) -> Option<Self> {
        let unshare = unshare()?;
        let dir = TempDir::new().expect("a directory");
        let conf = dir.path().join("corosync.conf");
        let state = dir.path().display().to_string();
        fs::write(&conf, CONF.replace("STATE", &state)).expect("written");
        let socket = UnixDatagram::bind(dir.path().join("notify")).expect("a socket");
        socket.set_read_timeout(Some(PATIENCE)).expect("set");
        let mut command = Command::new("unshare");
        command
            .args(unshare)
            .args(["-n", "-m", "--", "sh", "-c", SETUP, "sh"])
            .arg(env!("CARGO_BIN_EXE_ferrosyncd"))
            .args(["-f", "-c"])
            .arg(&conf)
            .env("NOTIFY_SOCKET", dir.path().join("notify"))
            .env_remove("WATCHDOG_PID")
            .env_remove("WATCHDOG_USEC")
            .stdin(Stdio::null());
        if let Some(timeout) = watchdog {
            command.env("WATCHDOG_USEC", timeout.as_micros().to_string());
        }
        let daemon = command.spawn().expect("it starts");
        let _dir = dir;
        Some(Self {
            daemon,
            socket,
            _dir,
        })
    }

    /// What the daemon says next.
    fn next(&self) -> io::Result<String> {
        let mut buffer = [0; 4_096];
        let len = self.socket.recv(&mut buffer)?;
        Ok(String::from_utf8_lossy(&buffer[..len]).trim().to_owned())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended already.
        let _ended = self.daemon.kill();
        let _status = self.daemon.wait();
    }
}

/// The options with which namespaces can be had here.
fn unshare() -> Option<&'static [&'static str]> {
    let works = |more: &&[&str]| {
        let mut command = Command::new("unshare");
        command
            .args(*more)
            .args(["-n", "-m", "--", "sh", "-c", SETUP]);
        let ran = command.args(["sh", "true"]).output();
        ran.is_ok_and(|output| output.status.success())
    };
    let found = [&[][..], &["-U", "-r"]].into_iter().find(works);
    if found.is_none() {
        let line = "SKIPPED: what the daemon tells systemd: no namespaces, or no `ip`\n";
        std::io::stderr()
            .write_all(line.as_bytes())
            .expect("written");
    }
    found
}

#[test]
fn readiness_comes_once_and_signs_of_life_go_on() {
    let Some(node) = Node::start(Some(Duration::from_millis(400))) else {
        return;
    };
    let mut ready = 0;
    let mut alive = 0;
    let deadline = Instant::now() + PATIENCE;
    while (ready, alive) < (1, 10) && Instant::now() < deadline {
        match node.next().expect("a message").as_str() {
            "READY=1" => ready += 1,
            "WATCHDOG=1" => alive += 1,
            other => panic!("nobody asked for {other}"),
        }
    }
    assert_eq!(ready, 1);
    assert!(alive >= 10);
}

#[test]
fn a_process_that_does_not_run_gives_no_sign() {
    let Some(node) = Node::start(Some(Duration::from_millis(200))) else {
        return;
    };
    while node.next().expect("a message") != "READY=1" {}
    while node.next().expect("a message") != "WATCHDOG=1" {}
    let pid = nix::unistd::Pid::from_raw(node.daemon.id().cast_signed());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGSTOP).expect("stopped");
    wait_until_stopped(node.daemon.id());
    // What was on its way is read first.
    node.socket.set_nonblocking(true).expect("set");
    while node.next().is_ok() {}
    node.socket.set_nonblocking(false).expect("set");
    // Five times what would have brought one.
    node.socket
        .set_read_timeout(Some(Duration::from_secs(1)))
        .expect("set");
    let silent = node.next().expect_err("a stopped process says nothing");
    assert!(matches!(
        silent.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    ));
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGCONT).expect("goes on");
    node.socket.set_read_timeout(Some(PATIENCE)).expect("set");
    assert_eq!(node.next().expect("a message"), "WATCHDOG=1");
}

#[test]
fn without_a_watchdog_there_is_readiness_alone() {
    let Some(node) = Node::start(None) else {
        return;
    };
    assert_eq!(node.next().expect("a message"), "READY=1");
    node.socket
        .set_read_timeout(Some(Duration::from_secs(1)))
        .expect("set");
    assert!(node.next().is_err());
}

fn wait_until_stopped(pid: u32) {
    let deadline = Instant::now() + PATIENCE;
    let path = format!("/proc/{pid}/stat");
    loop {
        let stat = fs::read_to_string(Path::new(&path)).expect("it is there");
        let state = stat
            .rsplit_once(')')
            .and_then(|(_, rest)| rest.split_whitespace().next());
        if state == Some("T") {
            return;
        }
        assert!(Instant::now() < deadline, "it does not stop");
        std::thread::sleep(Duration::from_millis(10));
    }
}

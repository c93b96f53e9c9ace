//! A C client linked with the system's libqb against our server: `tests/c/qb_client.c`.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command as Process, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use ferrosync_ipc::{Kind, Limits};
use nix::sys::eventfd::EventFd;

use crate::support::{Command, PATIENCE, Seen, Service, TestServer, directories, serve, skipped};

const KINDS: [Kind; 2] = [Kind::Shm, Kind::Socket];
const NOBODY: u32 = 65534;

/// A running client; killed when the test is over before it is.
struct CClient {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl CClient {
    fn start(scenario: &str, service: &str, numbers: &[u32]) -> Option<Self> {
        let child = Process::new(program()?)
            .args([scenario, service])
            .args(numbers.iter().map(u32::to_string))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Some(Self::new(child))
    }

    fn new(mut child: Child) -> Self {
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines }
    }

    /// Waits for the client to reach a place, where it then waits for [`CClient::go`].
    #[track_caller]
    fn meet(&mut self, place: &str) {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        assert_eq!(line.trim_end(), place);
    }

    fn go(&mut self) {
        let input = self.child.stdin.as_mut().unwrap();
        input.write_all(b"go\n").unwrap();
    }

    fn ended(mut self) -> ExitStatus {
        let give_up = Instant::now() + 2 * PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < give_up, "the client hangs");
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }

    #[track_caller]
    fn assert_success(self) {
        let status = self.ended();
        assert!(status.success(), "{status}");
    }
}

impl Drop for CClient {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _ended_already = self.child.wait();
    }
}

/// The compiled client, once per run; `None` when this machine cannot compile it.
fn program() -> Option<&'static Path> {
    static PROGRAM: OnceLock<Option<PathBuf>> = OnceLock::new();
    PROGRAM.get_or_init(compile).as_deref()
}

fn compile() -> Option<PathBuf> {
    let has_headers = Process::new("cc")
        .args(["-E", "-x", "c", "-include", "qb/qbipcc.h", "/dev/null"])
        .output();
    match has_headers {
        Ok(output) if output.status.success() => {}
        Ok(_) => {
            skipped("libqb clients: qb/qbipcc.h is missing (package libqb-dev)");
            return None;
        }
        Err(_) => {
            skipped("libqb clients: no C compiler `cc`");
            return None;
        }
    }
    let program =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("qb_client-{}", std::process::id()));
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/c/qb_client.c");
    let status = Process::new("cc")
        .args(["-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror", "-o"])
        .args([&program, &source])
        .arg("-lqb")
        .status()
        .unwrap();
    assert!(status.success(), "{} does not compile", source.display());
    Some(program)
}

/// Runs a scenario from beginning to end; `None` when it cannot be run here.
fn run(scenario: &str, server: &TestServer, numbers: &[u32]) -> Option<()> {
    CClient::start(scenario, &server.name, numbers)?.assert_success();
    Some(())
}

#[test]
fn requests_of_every_length_come_back() {
    for kind in KINDS {
        let server = TestServer::start(kind, "c-echo");
        for numbers in [[1500, 1], [150_000, 1001]] {
            if run("echo", &server, &numbers).is_none() {
                return;
            }
        }
        let seen = server.wait_until("both went", |seen| seen.closed == 2);
        assert_eq!(seen.requests, 1500 + 150);
        assert!(seen.process_name.starts_with("qb_client"));
        server.wait_until_clean();
    }
}

#[test]
fn messages_of_a_mebibyte_pass() {
    let server = TestServer::start(Kind::Shm, "c-longest");
    run("longest", &server, &[]);
}

#[test]
fn datagrams_of_a_mebibyte_pass_for_root() {
    if nix::unistd::geteuid().is_root() {
        let server = TestServer::start(Kind::Socket, "c-longest-datagram");
        run("echo", &server, &[200_000, 66_000]);
    } else {
        skipped("datagrams longer than net.core.wmem_max, which only root can send");
    }
}

#[test]
fn events_wait_for_a_client_that_does_not_read_and_flow_when_it_does() {
    for kind in KINDS {
        for (count, len) in [(100_000, 28), (20_000, 501), (100, 100_000), (10, 1 << 20)] {
            if kind == Kind::Socket && len > 100_000 {
                continue;
            }
            let server = TestServer::start(kind, "c-events");
            let Some(mut client) = CClient::start("events", &server.name, &[count, len]) else {
                return;
            };
            client.meet("asked");
            server.wait_until("the ring is full", |seen| seen.full > 0);
            client.go();
            client.assert_success();
            let seen = server.wait_until("closed", |seen| seen.closed == 1);
            assert_eq!(seen.queued_events, 0);
        }
    }
}

#[test]
fn requests_and_events_mix() {
    for kind in KINDS {
        let server = TestServer::start(kind, "c-mixed");
        run("mixed", &server, &[10_000, 700]);
    }
}

#[test]
fn flow_control_holds_back_what_it_is_for() {
    for kind in KINDS {
        let server = TestServer::start(kind, "c-levels");
        let Some(mut client) = CClient::start("levels", &server.name, &[]) else {
            return;
        };
        for level in [1, 2, 0] {
            client.meet(&format!("level {level} please"));
            server.tell(Command::SetLevel(level));
            client.go();
        }
        client.assert_success();
        let seen = server.wait_until("closed", |seen| seen.closed == 1);
        assert_eq!(seen.async_bodies, [b"a", b"c", b"e"]);
    }
}

#[test]
fn nothing_of_a_flood_is_lost_even_when_the_client_vanishes() {
    for kind in KINDS {
        for scenario in ["flood", "vanish"] {
            let server = TestServer::start(kind, "c-flood");
            if run(scenario, &server, &[30_000]).is_none() {
                return;
            }
            let seen = server.wait_until("closed", |seen| seen.closed == 1);
            let expected: Vec<_> = (0..30_000_u32).map(|i| i.to_le_bytes().to_vec()).collect();
            assert!(seen.async_bodies == expected, "{kind:?} {scenario}");
        }
    }
}

#[test]
fn a_killed_client_leaves_nothing() {
    for kind in KINDS {
        let server = TestServer::start(kind, "c-killed");
        let numbers = [100_000, 1000];
        let Some(mut client) = CClient::start("hold", &server.name, &numbers) else {
            return;
        };
        client.meet("holding");
        server.wait_until("its ring is full", |seen| seen.full > 0);
        client.child.kill().unwrap();
        server.wait_until("closed", |seen| seen.closed == 1);
        server.wait_until_clean();
        run("echo", &server, &[100, 1]);
    }
}

#[test]
fn the_end_from_the_servers_side_reaches_the_client() {
    for kind in KINDS {
        for command in [Command::CloseAll, Command::Unlisten] {
            let server = TestServer::start(kind, "c-over");
            let Some(mut client) = CClient::start("over", &server.name, &[]) else {
                return;
            };
            client.meet("connected");
            server.tell(command);
            client.go();
            client.assert_success();
            server.wait_until_clean();
        }
        let server = TestServer::start(kind, "c-closed");
        run("closed-by-request", &server, &[]);
    }
}

#[test]
fn a_refused_client_learns_why() {
    let server = TestServer::start(Kind::Shm, "c-refused");
    for errno in [nix::errno::Errno::EAGAIN, nix::errno::Errno::EACCES] {
        let errno = errno as i32;
        server.tell(Command::RefuseWith(Some(errno)));
        run("refused", &server, &[errno.unsigned_abs()]);
    }
}

#[test]
fn many_clients_at_once() {
    for kind in KINDS {
        let server = TestServer::start(kind, "c-many");
        let start = || CClient::start("mixed", &server.name, &[500, 3000]);
        let Some(clients) = (0..30).map(|_| start()).collect::<Option<Vec<_>>>() else {
            return;
        };
        for client in clients {
            client.assert_success();
        }
        server.wait_until("all are gone", |seen| seen.closed == 30);
        server.wait_until_clean();
    }
}

/// The daemon is root and the client is not: the files must be the client's, and nobody else's.
#[test]
fn a_client_of_another_user_gets_files_of_its_own() {
    if !nix::unistd::geteuid().is_root() {
        skipped("a client of another user, which only root can start");
        return;
    }
    let Some(program) = program() else {
        return;
    };
    for kind in KINDS {
        let server = TestServer::start(kind, "c-user");
        let open_to_all = || std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(server.shm.path(), open_to_all()).unwrap();
        let bin = tempfile::tempdir().unwrap();
        std::fs::set_permissions(bin.path(), open_to_all()).unwrap();
        let copy = bin.path().join("qb_client");
        std::fs::copy(program, &copy).unwrap();
        let child = Process::new(copy)
            .args(["hold", &server.name, "1", "100"])
            .uid(NOBODY)
            .gid(NOBODY)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut client = CClient::new(child);
        client.meet("holding");
        let seen = server.seen().credentials.unwrap();
        assert_eq!((seen.uid, seen.gid), (NOBODY, NOBODY));
        let [dir] = server.directories().try_into().unwrap();
        let about = dir.metadata().unwrap();
        let owner = (about.uid(), about.gid(), about.mode() & 0o7777);
        assert_eq!(owner, (NOBODY, NOBODY, 0o770));
        let files: Vec<_> = std::fs::read_dir(&dir).unwrap().collect();
        assert_eq!(files.len(), if kind == Kind::Shm { 6 } else { 1 });
        for file in files {
            let about = file.unwrap().metadata().unwrap();
            let owner = (about.uid(), about.gid(), about.mode() & 0o7777);
            assert_eq!(owner, (NOBODY, NOBODY, 0o600));
        }
        client.go();
        client.assert_success();
        server.wait_until_clean();
    }
}

/// A server in a process of its own, killed without warning: the clients notice, and the next server of the
/// service removes what is left.
#[test]
fn a_killed_server_is_noticed_and_cleaned_up_after() {
    for kind in ["shm", "socket"] {
        let shm = tempfile::tempdir_in("/dev/shm").unwrap();
        let service = format!("fs-test-killed-{kind}-{}", std::process::id());
        let mut server = Process::new(std::env::current_exe().unwrap())
            .args(["--exact", "libqb::serves_when_told_to", "--nocapture"])
            .env("FERROSYNC_IPC_TEST_SERVER", kind)
            .env("FERROSYNC_IPC_TEST_NAME", &service)
            .env("FERROSYNC_IPC_TEST_SHM", shm.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(server.stdout.take().unwrap());
        let up = output.lines().any(|line| line.unwrap().contains("serving"));
        assert!(up, "the server process ended early");
        let client = CClient::start("over", &service, &[]);
        let Some(mut client) = client else {
            server.kill().unwrap();
            server.wait().unwrap();
            return;
        };
        client.meet("connected");
        server.kill().unwrap();
        server.wait().unwrap();
        let left = directories(shm.path()).len();
        assert_eq!(left, 1, "a killed server leaves its files");
        client.go();
        client.assert_success();
        // Whether the client removed them depends on how soon it saw the process gone.
        let kind = if kind == "shm" {
            Kind::Shm
        } else {
            Kind::Socket
        };
        let successor = serve(kind, shm.path(), &service, Limits::default());
        assert!(directories(shm.path()).is_empty());
        drop(successor);
    }
}

/// Not a test of its own: the server process of the test above.
#[test]
fn serves_when_told_to() {
    let Ok(kind) = std::env::var("FERROSYNC_IPC_TEST_SERVER") else {
        return;
    };
    let name = std::env::var("FERROSYNC_IPC_TEST_NAME").unwrap();
    let shm = std::env::var("FERROSYNC_IPC_TEST_SHM").unwrap();
    let kind = if kind == "shm" {
        Kind::Shm
    } else {
        Kind::Socket
    };
    let server = serve(kind, Path::new(&shm), &name, Limits::default());
    std::io::stdout().write_all(b"serving\n").unwrap();
    let (_commands, receiver) = channel();
    let seen = Arc::new(Mutex::new(Seen::default()));
    let wake = Arc::new(EventFd::new().unwrap());
    Service::new(server, seen, receiver, wake).run();
}

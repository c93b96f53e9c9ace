//! Starts labs and asks them, as a user in two terminals would.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::rc::Rc;
use std::sync::OnceLock;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

/// Far longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// Proof that labs of Corosync can run here.
#[derive(Clone, Copy)]
pub(crate) struct Ground(());

/// Whether labs of Corosync can run here; if not, says why.
pub(crate) fn corosync_or_skip() -> Option<Ground> {
    static OBSTACLE: OnceLock<Option<String>> = OnceLock::new();
    let obstacle = OBSTACLE.get_or_init(|| {
        if !Path::new("/usr/sbin/corosync").exists() {
            return Some("no /usr/sbin/corosync (Debian package `corosync`)".into());
        }
        // A lab that ends at once: all that can be missing is missing by then.
        let home = Home::new();
        let output = command(&home.runtime())
            .args(["--nodes=1", "--corosync=all", "--plain", "--duration=0s"])
            .stdin(Stdio::null())
            .output()
            .expect("the binary runs");
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        complaint.contains("namespace").then_some(complaint)
    });
    match obstacle {
        Some(obstacle) => {
            eprintln!("SKIPPED: {obstacle}");
            None
        }
        None => Some(Ground(())),
    }
}

/// Waits for a condition, and fails if it does not come.
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        sleep(Duration::from_millis(50));
    }
}

/// Names of the network interfaces of this process.
pub(crate) fn interfaces() -> Vec<String> {
    let table = fs::read_to_string("/proc/self/net/dev").expect("a table");
    let lines = table.lines().skip(2);
    lines
        .filter_map(|line| line.trim().split(':').next().map(str::to_owned))
        .collect()
}

/// What a verb came to.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: i32,
    pub(crate) text: String,
    pub(crate) complaint: String,
}

/// A lab in another terminal. Dropping it ends it.
pub(crate) struct Lab {
    child: Child,
    home: Rc<Home>,
}

/// The files of a lab and what it printed.
pub(crate) struct Home(TempDir);

impl Home {
    fn new() -> Rc<Self> {
        let home = Self(tempfile::tempdir().expect("a directory"));
        fs::create_dir(home.runtime()).expect("a directory");
        Rc::new(home)
    }

    /// What the lab takes for $XDG_RUNTIME_DIR.
    pub(crate) fn runtime(&self) -> PathBuf {
        self.0.path().join("run")
    }

    fn printed(&self) -> PathBuf {
        self.0.path().join("printed")
    }
}

impl Lab {
    /// Starts a lab that prints plain lines.
    pub(crate) fn start(_: Ground, arguments: &[&str]) -> Self {
        Self::start_in(Home::new(), arguments)
    }

    /// Starts a lab where one was before.
    pub(crate) fn start_in(home: Rc<Home>, arguments: &[&str]) -> Self {
        let out = fs::File::create(home.printed()).expect("a file");
        Self::spawn(home, arguments, Stdio::null(), out.into())
    }

    /// Starts a lab on a terminal.
    pub(crate) fn start_on(_: Ground, arguments: &[&str], input: Stdio, output: Stdio) -> Self {
        Self::spawn(Home::new(), arguments, input, output)
    }

    fn spawn(home: Rc<Home>, arguments: &[&str], input: Stdio, output: Stdio) -> Self {
        let child = command(&home.runtime())
            .args(arguments)
            .stdin(input)
            .stdout(output)
            .spawn()
            .expect("the binary runs");
        let mut lab = Self { child, home };
        // Until it answers, or has ended because it should.
        wait_until("the lab answers", || {
            lab.run(&["status"]).code == 0 || lab.child.try_wait().expect("a child").is_some()
        });
        lab
    }

    /// Runs a verb.
    pub(crate) fn run(&self, arguments: &[&str]) -> Outcome {
        let mut child = command(&self.home.runtime())
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let mut input = child.stdin.take().expect("a pipe");
        // A command that reads nothing may have gone.
        let _ = input.write_all(b"given\n");
        drop(input);
        let output = child.wait_with_output().expect("it ends");
        Outcome {
            code: output.status.code().expect("no signal"),
            text: String::from_utf8_lossy(&output.stdout).into_owned(),
            complaint: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Runs a verb that must do what it says.
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        let outcome = self.run(arguments);
        let printed = || fs::read_to_string(self.home.printed()).unwrap_or_default();
        assert_eq!(outcome.code, 0, "{arguments:?}: {outcome:?}\n{}", printed());
        outcome.text
    }

    /// Runs a shell command in a node: its exit code and output.
    pub(crate) fn exec(&self, node: u8, script: &str) -> (i32, String) {
        let outcome = self.run(&["exec", &node.to_string(), "--", "sh", "-c", script]);
        (outcome.code, outcome.text)
    }

    /// The processes of all nodes.
    pub(crate) fn processes(&self) -> Vec<Process> {
        let mut children: BTreeMap<u32, Vec<Process>> = BTreeMap::new();
        for entry in fs::read_dir("/proc").expect("processes").flatten() {
            let pid = entry.file_name().to_string_lossy().parse();
            if let Some((parent, process)) = pid.ok().and_then(Process::look) {
                children.entry(parent).or_default().push(process);
            }
        }
        let mut found = Vec::new();
        let mut parents = vec![self.child.id()];
        while let Some(parent) = parents.pop() {
            let own = children.remove(&parent).unwrap_or_default();
            parents.extend(own.iter().map(|process| process.pid));
            found.extend(own);
        }
        found
    }

    /// The files, to be looked at when the lab has ended.
    pub(crate) fn home(&self) -> Rc<Home> {
        Rc::clone(&self.home)
    }

    /// Ends the lab with a signal; it must end well. Returns what it has printed.
    pub(crate) fn end(mut self, signal: Signal) -> String {
        kill(self.pid(), signal).expect("ours");
        assert!(self.wait().success());
        fs::read_to_string(self.home.printed()).expect("a file")
    }

    /// Ends the lab as a crash would.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("ours");
        self.child.wait().expect("a child");
    }

    /// Waits for the lab to end of its own.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        wait_until("the lab ends", || {
            status = self.child.try_wait().expect("a child");
            status.is_some()
        });
        status.expect("it has ended")
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).expect("a process id"))
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = kill(self.pid(), Signal::SIGTERM);
            let _ = self.child.wait();
        }
    }
}

/// A process, told from another that gets its number later.
#[derive(Debug)]
pub(crate) struct Process {
    pid: u32,
    started: String,
}

impl Process {
    /// The process and its parent's number, from proc_pid_stat(5); none if it has ended.
    fn look(pid: u32) -> Option<(u32, Self)> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let mut fields = stat.rsplit_once(") ")?.1.split(' ');
        let state = fields.next()?;
        let parent = fields.next()?.parse().ok()?;
        let started = fields.nth(17)?.to_owned();
        (state != "Z").then_some((parent, Self { pid, started }))
    }

    pub(crate) fn lives(&self) -> bool {
        Self::look(self.pid).is_some_and(|(_, now)| now.started == self.started)
    }
}

fn command(runtime: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ferrosync"));
    command.arg("lab").env("XDG_RUNTIME_DIR", runtime);
    command
}

//! Process 1 of a node: lays out its files and network, starts and ends what runs in it, as its orders say.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, chdir, sethostname};

use super::lines::{LineReader, Lines};
use super::links::LinkNumber;
use super::mounts;
use super::netlink::Netlink;
use super::node::{become_part_of_lab, command, spawn_unblocked, tell};
use super::report::{Order, Report};
use crate::args::{DaemonKind, IpVersion, LinkState, Manager, NodeArgs, Stage};

/// Debian's daemon.
pub(super) const COROSYNC: &str = "/usr/sbin/corosync";
/// Debian's Pacemaker.
pub(super) const PACEMAKERD: &str = "/usr/sbin/pacemakerd";

/// Runs until the lab has gone. When it returns, the kernel ends everything in the node.
pub(super) fn run(args: &NodeArgs) -> Result<()> {
    become_part_of_lab(c"lab-init")?;
    mounts::set_up(&args.dir, args.manager)?;
    chdir("/")?;
    sethostname(args.number.name()).context("no host name")?;
    Netlink::open()?.set_state("lo", LinkState::Up)?;

    let mut signals = SigSet::empty();
    signals.add(Signal::SIGCHLD);
    signals.thread_block()?;
    let signals = SignalFd::with_flags(&signals, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
    let mut init = Init {
        args,
        kind: args.daemon,
        daemon: None,
        manager: None,
        closing: false,
        powered: true,
        orders: LineReader::default(),
    };
    loop {
        let stdin = io::stdin();
        let mut ready = [
            PollFd::new(stdin.as_fd(), PollFlags::POLLIN),
            PollFd::new(signals.as_fd(), PollFlags::POLLIN),
        ];
        match poll(&mut ready, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let [orders, children] = ready.map(|fd| fd.any().unwrap_or(false));
        if children {
            while signals.read_signal()?.is_some() {}
        }
        if orders && !init.take_orders()? {
            return Ok(());
        }
        init.reap()?;
    }
}

struct Init<'a> {
    args: &'a NodeArgs,
    /// What the next start starts.
    kind: DaemonKind,
    daemon: Option<Daemon>,
    /// What runs on top of the daemon.
    manager: Option<Pid>,
    /// The daemon is to end as soon as what runs on top of it has ended.
    closing: bool,
    powered: bool,
    orders: LineReader,
}

/// A daemon that was started and has not ended.
struct Daemon {
    pid: Pid,
    fate: Fate,
}

/// What is meant to become of a daemon.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Live,
    End,
    StartAgain,
}

impl Init<'_> {
    /// Whether the lab is still there.
    fn take_orders(&mut self) -> Result<bool> {
        let lines = match self.orders.read(io::stdin().lock())? {
            Lines::Some(lines) => lines,
            Lines::End => return Ok(false),
        };
        for line in lines {
            let Ok(order) = line.parse() else {
                tell(&Report::Failed(format!("unknown order `{line}`")))?;
                continue;
            };
            if let Err(error) = self.obey(order) {
                tell(&Report::Failed(format!("{order}: {error:#}")))?;
            }
        }
        Ok(true)
    }

    fn obey(&mut self, order: Order) -> Result<()> {
        match order {
            Order::Network => {
                self.set_up_network()?;
                self.start_probe()?;
                tell(&Report::Network)?;
                Ok(())
            }
            Order::Start => match &mut self.daemon {
                None => self.start(),
                Some(daemon) => {
                    if daemon.fate == Fate::End {
                        daemon.fate = Fate::StartAgain;
                    }
                    Ok(())
                }
            },
            Order::Use(kind) => {
                self.kind = kind;
                Ok(())
            }
            Order::Manager => self.start_manager(),
            Order::Kill => {
                self.doom();
                self.signal(Signal::SIGKILL)
            }
            Order::Shutdown => self.shut_down(),
            Order::Off => self.power_off(),
            Order::Stop => self.signal(Signal::SIGSTOP),
            Order::Cont => self.signal(Signal::SIGCONT),
        }
    }

    fn set_up_network(&self) -> Result<()> {
        let mut netlink = Netlink::open()?;
        for link in LinkNumber::all(self.args.links) {
            let interface = link.interface();
            netlink.set_state(&interface, LinkState::Up)?;
            for (version, prefix) in [(IpVersion::V4, 24), (IpVersion::V6, 64)] {
                let address = self.args.number.address(link, version);
                match netlink.add_address(&interface, address, prefix) {
                    // A machine may have only one of them.
                    Err(error) if version == self.args.ip.of(link) => return Err(error),
                    Err(_) | Ok(()) => {}
                }
            }
        }
        Ok(())
    }

    fn start_probe(&self) -> Result<()> {
        let mut probe = command(self.args, Stage::Probe);
        spawn_unblocked(probe.stdin(Stdio::null())).context("cannot start the probe")?;
        Ok(())
    }

    fn start(&mut self) -> Result<()> {
        if !self.powered {
            self.set_up_network()?;
            self.powered = true;
        }
        let mut command = match self.kind {
            DaemonKind::Corosync => Command::new(COROSYNC),
            DaemonKind::Ferrosync => {
                let mut command = Command::new("/proc/self/exe");
                command.arg0("ferrosync").arg("daemon");
                command
            }
        };
        command.args(["-f", "-c", mounts::CONF_FILE]);
        let pid =
            spawn_into(&mut command, mounts::OUTPUT_FILE).context("cannot start the daemon")?;
        self.daemon = Some(Daemon {
            pid,
            fate: Fate::Live,
        });
        tell(&Report::Running)?;
        Ok(())
    }

    /// Starts what runs on top of the daemon, as systemd does it after a daemon that is ready.
    fn start_manager(&mut self) -> Result<()> {
        let live = self
            .daemon
            .as_ref()
            .is_some_and(|daemon| daemon.fate == Fate::Live);
        if self.manager.is_some() || !live {
            return Ok(());
        }
        let mut command = match self.args.manager {
            Manager::None => return Ok(()),
            Manager::Pacemaker => Command::new(PACEMAKERD),
        };
        // A service has no other variables, and the machine's syslog is not the node's.
        command
            .env_clear()
            .env("PATH", SERVICE_PATH)
            .env("PCMK_logfacility", "none");
        match spawn_into(&mut command, mounts::MANAGER_OUTPUT_FILE) {
            Ok(pid) => self.manager = Some(pid),
            Err(error) => tell(&Report::ManagerEnded(format!("cannot start: {error:#}")))?,
        }
        Ok(())
    }

    /// Ends the daemon in order: what needs it ends before it, as with systemd.
    fn shut_down(&mut self) -> Result<()> {
        self.doom();
        match self.manager {
            Some(manager) => {
                self.closing = true;
                // A frozen daemon would hold it up.
                self.signal(Signal::SIGCONT)?;
                kill(manager, Signal::SIGTERM).context("no signal")
            }
            None => self.end_daemon(),
        }
    }

    fn end_daemon(&self) -> Result<()> {
        self.signal(Signal::SIGTERM)?;
        self.signal(Signal::SIGCONT)
    }

    /// Ends every process at once and forgets what a machine forgets without power.
    fn power_off(&mut self) -> Result<()> {
        end_all()?;
        self.daemon = None;
        self.manager = None;
        self.closing = false;
        self.powered = false;
        let mut netlink = Netlink::open()?;
        for link in LinkNumber::all(self.args.links) {
            let interface = link.interface();
            netlink.remove_addresses(&interface)?;
            netlink.set_state(&interface, LinkState::Down)?;
        }
        mounts::forget_memory(self.args.manager)?;
        self.start_probe()?;
        tell(&Report::Off)?;
        Ok(())
    }

    /// The daemon is meant to end.
    fn doom(&mut self) {
        if let Some(daemon) = &mut self.daemon {
            daemon.fate = Fate::End;
        }
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        // A daemon that is not reaped yet keeps its process id.
        match &self.daemon {
            Some(daemon) => kill(daemon.pid, signal).context("no signal"),
            None => Ok(()),
        }
    }

    /// Takes leave of every process that has ended; those without a parent in the node are ours too.
    fn reap(&mut self) -> Result<()> {
        loop {
            let (pid, how) = match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, code)) => (pid, format!("exit code {code}")),
                Ok(WaitStatus::Signaled(pid, signal, _)) => (pid, signal.as_str().to_owned()),
                Ok(_) | Err(Errno::ECHILD) => return Ok(()),
                Err(Errno::EINTR) => continue,
                Err(errno) => return Err(errno.into()),
            };
            if self.manager.take_if(|manager| *manager == pid).is_some() {
                tell(&Report::ManagerEnded(how))?;
                if std::mem::take(&mut self.closing) {
                    self.end_daemon()?;
                }
            } else if let Some(daemon) = self.daemon.take_if(|daemon| daemon.pid == pid) {
                self.closing = false;
                tell(&Report::Ended(how + &last_words(daemon.fate)))?;
                if daemon.fate == Fate::StartAgain
                    && let Err(error) = self.start()
                {
                    tell(&Report::Failed(format!("start: {error:#}")))?;
                }
            }
        }
    }
}

/// Starts a program whose output goes to the end of a file.
fn spawn_into(command: &mut Command, path: &str) -> Result<Pid> {
    let output = OpenOptions::new().create(true).append(true).open(path);
    let output = output.with_context(|| format!("cannot write {path}"))?;
    command
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output);
    let child = spawn_unblocked(command)?;
    Ok(Pid::from_raw(i32::try_from(child.id())?))
}

/// Ends all processes of the node but this one, those that entered from elsewhere too.
fn end_all() -> Result<()> {
    let deadline = Instant::now() + END_WITHIN;
    loop {
        // Minus one is everybody in the process namespace except its process 1.
        match kill(Pid::from_raw(-1), Signal::SIGKILL) {
            Err(Errno::ESRCH) => return Ok(()),
            Ok(()) => {}
            Err(errno) => return Err(errno).context("no signal"),
        }
        while matches!(waitpid(None, Some(WaitPidFlag::WNOHANG)), Ok(status) if status != WaitStatus::StillAlive)
        {
        }
        if Instant::now() >= deadline {
            bail!("processes do not end");
        }
        sleep(END_STEP);
    }
}

/// Time for the kernel to end processes that are killed.
const END_WITHIN: Duration = Duration::from_secs(10);
const END_STEP: Duration = Duration::from_millis(2);

/// systemd.exec(5): what services find programs with.
const SERVICE_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The last line that a daemon printed which ended of its own: most often why.
fn last_words(fate: Fate) -> String {
    let output = match fate {
        Fate::Live => fs::read(mounts::OUTPUT_FILE).unwrap_or_default(),
        Fate::End | Fate::StartAgain => Vec::new(),
    };
    let tail = &output[output.len().saturating_sub(TAIL_LEN)..];
    let text = String::from_utf8_lossy(tail);
    let line = text.lines().rfind(|line| !line.trim().is_empty());
    line.map_or_else(String::new, |line| format!(": {}", line.trim()))
}

/// Bytes at the end of a daemon's output in which its last line is looked for.
const TAIL_LEN: usize = 400;

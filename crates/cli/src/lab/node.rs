//! The processes of one node: the keeper makes its namespaces, init lives in them as process 1.

use std::ffi::CStr;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitCode, Stdio};

use anyhow::{Context as _, Result};
use clap::ValueEnum;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl::{set_name, set_pdeathsig};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, chdir, sethostname, setsid};

use super::lines::{LineReader, Lines};
use super::links::LinkNumber;
use super::netlink::Netlink;
use super::report::{Order, Report};
use super::{mounts, probe};
use crate::args::{DaemonKind, IpVersion, LinkState, NodeArgs, Stage};

/// Debian's daemon.
pub(super) const COROSYNC: &str = "/usr/sbin/corosync";

/// Runs one process of a node to its end.
pub(super) fn main(args: &NodeArgs) -> ExitCode {
    let outcome = match args.stage {
        Stage::Keeper => keep(args),
        Stage::Init => init(args),
        Stage::Probe => probe::run(args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // A lab that has gone cannot be told.
            let _ = tell(&Report::Failed(format!("{error:#}")));
            ExitCode::FAILURE
        }
    }
}

/// `ferrosync lab-node STAGE` for a node.
pub(super) fn command(args: &NodeArgs, stage: Stage) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command
        .arg0("ferrosync")
        .arg("lab-node")
        .arg(word(&stage))
        .arg(format!("--number={}", args.number))
        .arg(format!("--daemon={}", word(&args.daemon)))
        .arg(format!("--links={}", args.links))
        .arg(format!("--ip={}", word(&args.ip)))
        .arg(format!("--probe-ms={}", args.probe_ms))
        .arg("--dir")
        .arg(&args.dir);
    command
}

/// A value as the command line has it.
pub(super) fn word(value: &impl ValueEnum) -> String {
    let value = value.to_possible_value();
    value.map_or_else(String::new, |value| value.get_name().to_owned())
}

/// Writes a line to the lab.
pub(super) fn tell(report: &Report) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(format!("{report}\n").as_bytes())?;
    out.flush()
}

/// Makes the namespaces and waits for the init in them: only a child of this process can be process 1.
fn keep(args: &NodeArgs) -> Result<()> {
    become_part_of_lab(c"lab-keeper")?;
    // Ctrl-C in the lab's terminal is for the lab alone.
    setsid().context("no session")?;
    unshare(
        CloneFlags::CLONE_NEWNET
            | CloneFlags::CLONE_NEWNS
            | CloneFlags::CLONE_NEWUTS
            | CloneFlags::CLONE_NEWIPC
            | CloneFlags::CLONE_NEWPID,
    )
    .context("no namespaces for a node")?;
    let mut init = command(args, Stage::Init)
        .spawn()
        .context("cannot start a node's init")?;
    tell(&Report::Init(init.id()))?;
    init.wait()?;
    Ok(())
}

/// Process 1 of a node. When it returns, the kernel ends everything in the node.
fn init(args: &NodeArgs) -> Result<()> {
    become_part_of_lab(c"lab-init")?;
    mounts::set_up(&args.dir)?;
    chdir("/")?;
    sethostname(args.number.name()).context("no host name")?;
    Netlink::open()?.set_state("lo", LinkState::Up)?;

    let mut signals = SigSet::empty();
    signals.add(Signal::SIGCHLD);
    signals.thread_block()?;
    let signals = SignalFd::with_flags(&signals, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
    let mut init = Init {
        args,
        daemon: None,
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

/// Asks the kernel to end this process with the one that started it, takes a name that `ps` shows, and forgets
/// which signals the parent had blocked.
fn become_part_of_lab(name: &CStr) -> Result<()> {
    set_pdeathsig(Signal::SIGKILL).context("cannot be tied to the lab")?;
    set_name(name)?;
    SigSet::empty().thread_set_mask()?;
    Ok(())
}

/// Starts a child with no signal blocked. A SIGCHLD that comes meanwhile is lost, so look for ended children
/// afterwards.
fn spawn_unblocked(command: &mut Command) -> Result<Child> {
    let blocked = SigSet::empty().thread_swap_mask(SigmaskHow::SIG_SETMASK)?;
    let child = command.spawn();
    blocked.thread_set_mask()?;
    Ok(child?)
}

struct Init<'a> {
    args: &'a NodeArgs,
    daemon: Option<Daemon>,
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
            Order::Network => self.set_up_network(),
            Order::Start => match &mut self.daemon {
                None => self.start(),
                Some(daemon) => {
                    if daemon.fate == Fate::End {
                        daemon.fate = Fate::StartAgain;
                    }
                    Ok(())
                }
            },
            Order::Kill => self.end(&[Signal::SIGKILL]),
            Order::Shutdown => self.end(&[Signal::SIGTERM, Signal::SIGCONT]),
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
        spawn_unblocked(command(self.args, Stage::Probe).stdin(Stdio::null()))
            .context("cannot start the probe")?;
        tell(&Report::Network)?;
        Ok(())
    }

    fn start(&mut self) -> Result<()> {
        let output = OpenOptions::new()
            .create(true)
            .append(true)
            .open(mounts::OUTPUT_FILE)
            .context("no file for the daemon's output")?;
        let mut command = match self.args.daemon {
            DaemonKind::Corosync => Command::new(COROSYNC),
            DaemonKind::Ferrosync => {
                let mut command = Command::new("/proc/self/exe");
                command.arg0("ferrosync").arg("daemon");
                command
            }
        };
        command
            .args(["-f", "-c", mounts::CONF_FILE])
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output);
        let child = spawn_unblocked(&mut command).context("cannot start the daemon")?;
        self.daemon = Some(Daemon {
            pid: Pid::from_raw(i32::try_from(child.id())?),
            fate: Fate::Live,
        });
        tell(&Report::Running)?;
        Ok(())
    }

    fn end(&mut self, signals: &[Signal]) -> Result<()> {
        for signal in signals {
            self.signal(*signal)?;
        }
        if let Some(daemon) = &mut self.daemon {
            daemon.fate = Fate::End;
        }
        Ok(())
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
            let Some(daemon) = self.daemon.take_if(|daemon| daemon.pid == pid) else {
                continue;
            };
            tell(&Report::Ended(how + &last_words(daemon.fate)))?;
            if daemon.fate == Fate::StartAgain
                && let Err(error) = self.start()
            {
                tell(&Report::Failed(format!("start: {error:#}")))?;
            }
        }
    }
}

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

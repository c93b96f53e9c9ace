//! The processes of one node: the keeper makes its namespaces, init lives in them as process 1.

use std::ffi::CStr;
use std::io::{self, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitCode};

use anyhow::{Context as _, Result};
use clap::ValueEnum;
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl::{set_name, set_pdeathsig};
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::unistd::setsid;

use super::report::Report;
use super::{init, probe};
use crate::args::{NodeArgs, Stage};

/// Runs one process of a node to its end.
pub(super) fn main(args: &NodeArgs) -> ExitCode {
    let outcome = match args.stage {
        Stage::Keeper => keep(args),
        Stage::Init => init::run(args),
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
        .arg(format!("--manager={}", word(&args.manager)))
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

/// Asks the kernel to end this process with the one that started it, takes a name that `ps` shows, and forgets
/// which signals the parent had blocked.
pub(super) fn become_part_of_lab(name: &CStr) -> Result<()> {
    set_pdeathsig(Signal::SIGKILL).context("cannot be tied to the lab")?;
    set_name(name)?;
    SigSet::empty().thread_set_mask()?;
    Ok(())
}

/// Starts a child with no signal blocked. A SIGCHLD that comes meanwhile is lost, so look for ended children
/// afterwards.
pub(super) fn spawn_unblocked(command: &mut Command) -> Result<Child> {
    let blocked = SigSet::empty().thread_swap_mask(SigmaskHow::SIG_SETMASK)?;
    let child = command.spawn();
    blocked.thread_set_mask()?;
    Ok(child?)
}

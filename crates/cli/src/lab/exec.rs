//! Runs a command inside a node, from another terminal.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitCode};

use anyhow::{Context as _, Result, anyhow};
use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::Pid;

/// Enters the node whose init has this process id, and runs `command` there with this terminal. The exit code is
/// the command's, or 128 and the signal that ended it, as a shell says it.
pub(super) fn run(init: u32, command: &[OsString]) -> Result<ExitCode> {
    let here = std::env::current_dir().ok();
    enter(init)?;
    // The directory of the same name in the node, which most often is the same directory.
    let here = here
        .filter(|dir| dir.is_dir())
        .unwrap_or_else(|| "/".into());
    let (program, arguments) = command.split_first().context("no command")?;

    let child = Command::new(program)
        .args(arguments)
        .current_dir(here)
        .env("PATH", search_path())
        .spawn();
    match child {
        Ok(child) => wait_passing_signals(child),
        Err(error) => {
            eprintln!("ferrosync lab: cannot run {}: {error}", program.display());
            // As a shell says it.
            let found = error.kind() != ErrorKind::NotFound;
            Ok(ExitCode::from(if found { 126 } else { 127 }))
        }
    }
}

/// Moves this process, which must have one thread, into the namespaces of process `pid`; its children will be in
/// the process namespace too.
fn enter(pid: u32) -> Result<()> {
    let open = |name: &str| {
        let path = format!("/proc/{pid}/ns/{name}");
        File::open(&path).with_context(|| format!("cannot open {path}"))
    };
    let user = open("user")?;
    let rest = [
        (open("net")?, CloneFlags::CLONE_NEWNET),
        (open("uts")?, CloneFlags::CLONE_NEWUTS),
        (open("ipc")?, CloneFlags::CLONE_NEWIPC),
        (open("pid")?, CloneFlags::CLONE_NEWPID),
        // Last: /proc changes with it.
        (open("mnt")?, CloneFlags::CLONE_NEWNS),
    ];
    // The user namespace gives the rights to enter the others; a lab of root has none of its own.
    let own = fs::metadata("/proc/self/ns/user")?;
    if user.metadata()?.ino() != own.ino() {
        setns(user, CloneFlags::CLONE_NEWUSER).context("cannot enter the user namespace")?;
    }
    for (namespace, kind) in rest {
        setns(namespace, kind).with_context(|| format!("cannot enter {kind:?}"))?;
    }
    Ok(())
}

/// The tools of a cluster live where an ordinary user does not look.
fn search_path() -> OsString {
    let mut path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
    let known: Vec<_> = std::env::split_paths(&path).collect();
    for dir in ["/usr/sbin", "/sbin"] {
        if !known.iter().any(|place| place == Path::new(dir)) {
            path.push(":");
            path.push(dir);
        }
    }
    path
}

fn wait_passing_signals(mut child: Child) -> Result<ExitCode> {
    // Only now: a child inherits what is blocked.
    let mut signals = SigSet::empty();
    for signal in [
        Signal::SIGCHLD,
        Signal::SIGINT,
        Signal::SIGQUIT,
        Signal::SIGTERM,
        Signal::SIGHUP,
    ] {
        signals.add(signal);
    }
    signals.thread_block()?;
    let pid = Pid::from_raw(i32::try_from(child.id())?);
    loop {
        if let Some(status) = child.try_wait()? {
            let code = status.code().or_else(|| Some(128 + status.signal()?));
            let code = code.ok_or_else(|| anyhow!("the command ended without a word"))?;
            return Ok(ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX)));
        }
        let signal = signals.wait()?;
        // The terminal sends Ctrl-C and Ctrl-\ to the command itself.
        if matches!(signal, Signal::SIGTERM | Signal::SIGHUP) {
            kill(pid, signal)?;
        }
    }
}

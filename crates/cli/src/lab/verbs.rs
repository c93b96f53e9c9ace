//! What a second terminal does to a running lab.

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use std::{fs, thread};

use anyhow::{Context as _, Result, bail};

use super::control::{DaemonVerb, Request, ask};
use super::exec;
use super::mounts::LOG;
use super::place::Paths;
use super::plan::{LabName, NodeSet};
use crate::args::{OneNode, Verb};

/// Runs a verb to its end.
pub(super) fn run(verb: Verb) -> Result<ExitCode> {
    match verb {
        Verb::Exec {
            which,
            node,
            command,
        } => {
            let init = ask(&which.name, &Request::Init(node))?;
            return exec::run(init.trim().parse()?, &command);
        }
        Verb::Kill(node) => daemon(&node, DaemonVerb::Kill)?,
        Verb::Stop(node) => daemon(&node, DaemonVerb::Stop)?,
        Verb::Cont(node) => daemon(&node, DaemonVerb::Cont)?,
        Verb::Shutdown(node) => daemon(&node, DaemonVerb::Shutdown)?,
        Verb::Start(node) => daemon(&node, DaemonVerb::Start)?,
        Verb::Restart(node) => daemon(&node, DaemonVerb::Restart)?,
        Verb::Off(node) => daemon(&node, DaemonVerb::Off)?,
        Verb::Replace {
            which,
            node,
            daemon,
        } => print(&ask(&which.name, &Request::Replace(node, daemon))?),
        Verb::Partition { which, sides } => print(&ask(&which.name, &Request::Partition(sides))?),
        Verb::Heal { which } => print(&ask(&which.name, &Request::Heal)?),
        Verb::Link {
            which,
            node,
            change,
        } => {
            let order = change.join(" ").parse()?;
            print(&ask(&which.name, &Request::Link(node, order))?);
        }
        Verb::Status { which, format } => print(&ask(&which.name, &Request::Status(format))?),
        Verb::Wait {
            which,
            members,
            timeout,
        } => wait(&which.name, members, timeout)?,
        Verb::Logs(node) => logs(&node)?,
        Verb::Down { which } => down(&which.name)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn daemon(node: &OneNode, verb: DaemonVerb) -> Result<()> {
    let answer = ask(&node.which.name, &Request::Daemon(verb, node.node))?;
    print(&answer);
    Ok(())
}

/// Time between two questions to the lab.
const WAIT_STEP: Duration = Duration::from_millis(200);

fn wait(name: &LabName, members: Option<NodeSet>, timeout: Duration) -> Result<()> {
    let deadline = Instant::now() + timeout;
    let request = Request::Formed(members);
    loop {
        let answer = ask(name, &request)?;
        if answer.trim() == "yes" {
            return Ok(());
        }
        if Instant::now() >= deadline {
            bail!("not within {timeout:?}: {}", answer.trim());
        }
        thread::sleep(WAIT_STEP);
    }
}

/// Time for a lab to end all of its processes and remove its files.
const END_WITHIN: Duration = Duration::from_secs(30);

fn down(name: &LabName) -> Result<()> {
    ask(name, &Request::Down)?;
    let lock = Paths::of(name).lock();
    let deadline = Instant::now() + END_WITHIN;
    while lock.exists() {
        if Instant::now() >= deadline {
            bail!("the lab is still ending");
        }
        thread::sleep(WAIT_STEP);
    }
    Ok(())
}

fn logs(node: &OneNode) -> Result<()> {
    // Asking also tells a node that does not exist from one that has not logged.
    ask(&node.which.name, &Request::Init(node.node))?;
    let dir = Paths::of(&node.which.name).node(node.node).join(LOG.name);
    let mut out = io::stdout().lock();
    for name in ["output.log", "corosync.log"] {
        match fs::read(dir.join(name)) {
            Ok(text) => drop(out.write_all(&text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| format!("cannot read {name}")),
        }
    }
    Ok(())
}

/// A reader that has gone is no error of ours.
fn print(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes());
}

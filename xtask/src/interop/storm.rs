//! A storm: on every node a client that multicasts, while daemons die and the network is cut. What the clients saw is
//! checked against what extended virtual synchrony promises.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::lab::{DaemonVerb, Lab, Peers, Plan};
use super::records::{self, Coverage, Promise};
use super::step::{Step, run_steps};
use super::{Outcome, Setup};

/// Runs a storm called `name` through `steps` and checks what its clients saw, which got `bodies` as arguments besides.
pub(super) fn run(
    setup: &Setup,
    name: &str,
    plan: &Plan,
    bodies: &[&str],
    steps: &[Step],
) -> anyhow::Result<Outcome> {
    let lab = Lab::start(setup, name, plan)?;
    let mut clients = Vec::new();
    for node in 1..=plan.nodes {
        let arguments = [&["--rate", RATE], bodies].concat();
        clients.push(Client::start(setup, &lab, name, node, &arguments)?);
    }
    let taken = run_steps(&lab, plan.nodes, steps);
    if taken.is_err() {
        lab.keep_logs(&setup.dir, name, plan.nodes);
    }
    taken?;
    let mut read = Vec::new();
    for client in &clients {
        client.stop()?;
    }
    for client in clients {
        read.push(client.finish()?);
    }
    let promise = if plan.corosync == Peers::NONE {
        Promise::Full
    } else {
        Promise::Corosync
    };
    let coverage = records::check(&read, promise).map_err(anyhow::Error::msg)?;
    must_cover(coverage, steps)?;
    Ok(Outcome::Passed(format!(
        "{} deliveries, {} joint passages, {} connections ended in order, {} lost, {} torn messages",
        coverage.deliveries, coverage.passages, coverage.ends, coverage.disconnects, coverage.torn
    )))
}

/// A storm in which nothing happened proves nothing.
fn must_cover(coverage: Coverage, steps: &[Step]) -> anyhow::Result<()> {
    let kills = |step: &&Step| matches!(step, Step::Daemon(DaemonVerb::Kill, _));
    let cuts = |step: &&Step| {
        matches!(
            step,
            Step::Daemon(DaemonVerb::Kill | DaemonVerb::Shutdown, _) | Step::Partition(_)
        )
    };
    let killed = steps.iter().filter(kills).count();
    if coverage.deliveries == 0 || coverage.ends == 0 {
        bail!("nothing was delivered: {coverage:?}");
    }
    if coverage.disconnects < killed {
        bail!("{killed} daemons were killed: {coverage:?}");
    }
    if steps.iter().any(|step| cuts(&step)) && coverage.passages == 0 {
        bail!("no two clients passed from one ring to the next together: {coverage:?}");
    }
    Ok(())
}

/// One running client.
pub(super) struct Client {
    name: String,
    child: Child,
    record: PathBuf,
}

impl Client {
    /// Starts one on a node of a lab. Its arguments must give the rate.
    pub(super) fn start(
        setup: &Setup,
        lab: &Lab,
        name: &str,
        node: u8,
        arguments: &[&str],
    ) -> anyhow::Result<Self> {
        let name = format!("{name}-{node}");
        let record = setup.dir.join(format!("{name}.record"));
        let log = File::create(setup.dir.join(format!("{name}.log")))?;
        let storm = setup.clients.program("cpg_storm");
        let child = lab
            .command(node, &storm.to_string_lossy())
            .args(["--seed", &node.to_string(), "--record"])
            .arg(&record)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        Ok(Self {
            name,
            child,
            record,
        })
    }

    /// Asks it to end; `lab exec` passes the signal on.
    pub(super) fn stop(&self) -> anyhow::Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.child.id())?);
        kill(pid, Signal::SIGTERM).with_context(|| self.name.clone())
    }

    /// Waits for its end and reads its record.
    pub(super) fn finish(mut self) -> anyhow::Result<records::Record> {
        let deadline = Instant::now() + END_WITHIN;
        let status = loop {
            match self.child.try_wait()? {
                Some(status) => break status,
                None if Instant::now() >= deadline => bail!("{} does not end", self.name),
                None => thread::sleep(POLL),
            }
        };
        let text = fs::read_to_string(&self.record)
            .with_context(|| format!("{}", self.record.display()))?;
        let record = records::parse(&self.name, &text)?;
        // The record says more than the exit code; a client that failed in another way must not pass all the same.
        if !status.success() {
            records::check(std::slice::from_ref(&record), Promise::Full)
                .map_err(anyhow::Error::msg)?;
            bail!("{} ended with {status}", self.name);
        }
        Ok(record)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // After a failed step; both calls do nothing when the client has ended.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Messages a second that each client tries to send.
const RATE: &str = "2000";
/// The client drains its own messages for 20 seconds at most.
const END_WITHIN: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);

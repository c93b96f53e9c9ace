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
use super::{Outcome, Setup};

/// One thing that happens to the cluster during a storm.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// Wait until each of these nodes has delivered this many more messages.
    Traffic(Vec<u8>, u64),
    /// Do this to a node's daemon.
    Daemon(DaemonVerb, u8),
    /// Let a node's daemon sleep for a second.
    Nap(u8),
    /// Cut the network, as `1,2/3`.
    Partition(String),
    /// Undo the cuts.
    Heal,
    /// Wait until these nodes are one quorate cluster.
    Members(Vec<u8>),
}

/// Runs a storm called `name` through `steps` and checks what its clients saw.
pub(super) fn run(
    setup: &Setup,
    name: &str,
    plan: &Plan,
    steps: &[Step],
) -> anyhow::Result<Outcome> {
    let lab = Lab::start(setup, name, plan)?;
    let mut clients = Vec::new();
    for node in 1..=plan.nodes {
        clients.push(Client::start(setup, &lab, name, node)?);
    }
    for step in steps {
        run_step(&lab, step).with_context(|| format!("{step:?}"))?;
    }
    let mut read = Vec::new();
    for client in &clients {
        client.stop()?;
    }
    for client in clients {
        read.push(client.finish()?);
    }
    let promise = match plan.corosync {
        Peers::None => Promise::Full,
        Peers::All | Peers::These(_) => Promise::Corosync,
    };
    let coverage = records::check(&read, promise).map_err(anyhow::Error::msg)?;
    must_cover(coverage, steps)?;
    Ok(Outcome::Passed(format!(
        "{} deliveries, {} joint passages, {} connections ended in order, {} lost, {} torn messages",
        coverage.deliveries, coverage.passages, coverage.ends, coverage.disconnects, coverage.torn
    )))
}

fn run_step(lab: &Lab, step: &Step) -> anyhow::Result<()> {
    match step {
        Step::Daemon(verb, node) => lab.daemon(*verb, *node),
        Step::Nap(node) => {
            lab.daemon(DaemonVerb::Stop, *node)?;
            thread::sleep(NAP);
            lab.daemon(DaemonVerb::Cont, *node)
        }
        Step::Partition(sides) => lab.partition(sides),
        Step::Heal => lab.heal(),
        Step::Members(members) => lab.wait(members),
        Step::Traffic(nodes, messages) => {
            let mut goals = Vec::new();
            for node in nodes {
                goals.push((*node, lab.delivered(*node)? + messages));
            }
            let deadline = Instant::now() + TRAFFIC_WITHIN;
            for (node, goal) in goals {
                while lab.delivered(node)? < goal {
                    if Instant::now() >= deadline {
                        bail!("node {node} does not deliver");
                    }
                    thread::sleep(POLL);
                }
            }
            Ok(())
        }
    }
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
struct Client {
    name: String,
    child: Child,
    record: PathBuf,
}

impl Client {
    fn start(setup: &Setup, lab: &Lab, name: &str, node: u8) -> anyhow::Result<Self> {
        let name = format!("{name}-{node}");
        let record = setup.dir.join(format!("{name}.record"));
        let log = File::create(setup.dir.join(format!("{name}.log")))?;
        let storm = setup.clients.program("cpg_storm");
        let child = lab
            .command(node, &storm.to_string_lossy())
            .args(["--seed", &node.to_string(), "--rate", RATE, "--record"])
            .arg(&record)
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
    fn stop(&self) -> anyhow::Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.child.id())?);
        kill(pid, Signal::SIGTERM).with_context(|| self.name.clone())
    }

    /// Waits for its end and reads its record.
    fn finish(mut self) -> anyhow::Result<records::Record> {
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
/// What a [`Step::Nap`] lasts: not a deadline but the trouble itself.
const NAP: Duration = Duration::from_secs(1);
const TRAFFIC_WITHIN: Duration = Duration::from_secs(60);
/// The client drains its own messages for 20 seconds at most.
const END_WITHIN: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);

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
    /// Let links grow old: for ten seconds after they came up, knet gives each more time before it counts as down, and a
    /// ring does not wait that long.
    Age,
    /// Cut the network, as `1,2/3`.
    Partition(String),
    /// Undo the cuts.
    Heal,
    /// Wait until these nodes are one quorate cluster.
    Members(Vec<u8>),
    /// Pull or plug the cable of a node at a link.
    Cable(u8, u8, Cable),
    /// Wait until the node and all others find their link to one another so.
    Linked(u8, u8, Cable),
    /// Take these steps, during which no node may see another ring.
    Still(Vec<Self>),
    /// Check that every daemon has counted some of this in its statistics.
    Counted(&'static str),
}

/// Whether a cable is plugged, or a link found to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cable {
    /// Plugged.
    Up,
    /// Pulled.
    Down,
}

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
    run_steps(&lab, plan.nodes, steps)?;
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

fn run_steps(lab: &Lab, nodes: u8, steps: &[Step]) -> anyhow::Result<()> {
    for step in steps {
        run_step(lab, nodes, step).with_context(|| format!("{step:?}"))?;
    }
    Ok(())
}

fn run_step(lab: &Lab, count: u8, step: &Step) -> anyhow::Result<()> {
    match step {
        Step::Daemon(verb, node) => lab.daemon(*verb, *node),
        Step::Age => {
            thread::sleep(AGE);
            Ok(())
        }
        Step::Nap(node) => {
            lab.daemon(DaemonVerb::Stop, *node)?;
            thread::sleep(NAP);
            lab.daemon(DaemonVerb::Cont, *node)
        }
        Step::Partition(sides) => lab.partition(sides),
        Step::Heal => lab.heal(),
        Step::Members(members) => lab.wait(members),
        Step::Traffic(nodes, messages) => traffic(lab, nodes, *messages),
        Step::Cable(node, link, Cable::Up) => lab.cable(*node, &format!("{link} up")),
        Step::Cable(node, link, Cable::Down) => lab.cable(*node, &format!("{link} down")),
        Step::Linked(node, link, cable) => linked(lab, count, (*node, *link), *cable),
        Step::Still(steps) => {
            let before = rings(lab, count)?;
            run_steps(lab, count, steps)?;
            let after = rings(lab, count)?;
            if before != after {
                bail!("the membership changed: rings {before:?} became {after:?}");
            }
            Ok(())
        }
        Step::Counted(key) => (1..=count).try_for_each(|node| match lab.statistic(node, key)? {
            0 => bail!("{key} of node {node} is 0"),
            _ => Ok(()),
        }),
    }
}

/// Waits until each of `nodes` has delivered so many more messages.
fn traffic(lab: &Lab, nodes: &[u8], messages: u64) -> anyhow::Result<()> {
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

/// Waits until a node and each of the others find their link to one another as wanted.
fn linked(lab: &Lab, count: u8, (node, link): (u8, u8), wanted: Cable) -> anyhow::Result<()> {
    let deadline = Instant::now() + LINKED_WITHIN;
    let key = |peer: u8| format!("stats.knet.node{peer}.link{link}.connected");
    for other in (1..=count).filter(|other| *other != node) {
        for (at, peer) in [(node, other), (other, node)] {
            // A daemon that has just started may not know its peer yet.
            while lab.statistic(at, &key(peer)).ok() != Some(u64::from(wanted == Cable::Up)) {
                if Instant::now() >= deadline {
                    bail!("node {at} does not find link {link} to node {peer} {wanted:?}");
                }
                thread::sleep(POLL);
            }
        }
    }
    Ok(())
}

/// The rings that the nodes see. Numbers of rings only grow: what is equal before and after was so in between.
fn rings(lab: &Lab, count: u8) -> anyhow::Result<Vec<String>> {
    let ring = |node| {
        let text = lab.output(node, &["corosync-quorumtool", "-s"])?;
        let line = text.lines().find_map(|line| line.strip_prefix("Ring ID:"));
        let ring = line.map(|ring| ring.trim().to_owned());
        ring.with_context(|| format!("node {node} sees no ring"))
    };
    (1..=count).map(ring).collect()
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
/// What a [`Step::Age`] lasts: the nodes' own clocks count it (`libknet/links.h: KNET_LINK_PONG_TIMEOUT_BACKOFF`, v1.25).
const AGE: Duration = Duration::from_secs(11);
/// What a [`Step::Nap`] lasts: not a deadline but the trouble itself.
const NAP: Duration = Duration::from_secs(1);
const TRAFFIC_WITHIN: Duration = Duration::from_secs(60);
/// Some ping timeouts of knet.
const LINKED_WITHIN: Duration = Duration::from_secs(30);
/// The client drains its own messages for 20 seconds at most.
const END_WITHIN: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);

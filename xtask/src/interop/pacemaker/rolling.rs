//! Each node's corosync is replaced by our package, one after the other, and then ours by corosync again, as an upgrade
//! does it: Pacemaker ends on the node, then its daemon; both start again, from other files. Meanwhile every node
//! multicasts, and attributes in the CIB change all the time.
//!
//! A node's `/usr/sbin` is its own and full of links, so that the files of the package take their places in one node alone.
//! What the package's scripts do is tested elsewhere (`cargo xtask dist --check`): here nothing is to be found but that the
//! cluster goes on.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, bail};

use super::super::lab::{Lab, Peers, Plan};
use super::super::records::{self, Promise};
use super::super::storm::Client;
use super::super::{Outcome, Setup};
use super::configuration::{Configuration, Placement};
use super::{Cluster, Runs};
use crate::{dist, process};

/// Runs the case.
pub(super) fn run(setup: &Setup) -> anyhow::Result<Outcome> {
    let configuration = Configuration {
        placement: Placement::Sticky,
        fencing: "reboot",
    };
    let package = Package::unpack(setup)?;
    let plan = Plan::new(NODES, Peers::ALL, "knet");
    let cluster = Cluster::start(setup, "pacemaker-rolling", &plan, &configuration)?;
    let mut storms = Vec::new();
    let mut writers = Vec::new();
    for node in 1..=NODES {
        let arguments = ["--rate", "100", "--max", "4000"];
        storms.push(Client::start(
            setup,
            &cluster.lab,
            "pacemaker-rolling",
            node,
            &arguments,
        )?);
        writers.push(Writer::start(&cluster.lab, node)?);
    }
    let mut moved = 0;
    for (node, software) in restarts() {
        moved += restart(&cluster, node, software, &package)
            .with_context(|| format!("node {node} gets {software:?}"))?;
    }
    let written = written(&cluster)?;
    drop(writers);
    for storm in &storms {
        storm.stop()?;
    }
    let read: Vec<_> = storms
        .into_iter()
        .map(Client::finish)
        .collect::<Result<_, _>>()?;
    let coverage = records::check(&read, Promise::Corosync).map_err(anyhow::Error::msg)?;
    for (node, record) in (1..=NODES).zip(&read) {
        must_lose_only_restarted(node, &record.rings()).with_context(|| format!("node {node}"))?;
        must_keep_quorum(&cluster, node)?;
    }
    must_not_fence(&cluster)?;
    if moved == 0 || coverage.deliveries == 0 {
        bail!("nothing happened: {moved} resources moved, {coverage:?}");
    }
    Ok(Outcome::Passed(format!(
        "{} restarts, {moved} resources moved off nodes that were restarted and no other one; {} messages, {written} changes of the CIB",
        restarts().len(),
        coverage.deliveries
    )))
}

const NODES: u8 = 3;

/// What a node runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Software {
    /// Our package's files.
    Ours,
    /// The machine's corosync.
    Corosync,
}

/// Which nodes are restarted, in order, and with what.
fn restarts() -> Vec<(u8, Software)> {
    let to = |software| (1..=NODES).map(move |node| (node, software));
    to(Software::Ours).chain(to(Software::Corosync)).collect()
}

/// Replaces what a node runs; the number of resources that had to leave the node.
fn restart(
    cluster: &Cluster,
    node: u8,
    software: Software,
    package: &Package,
) -> anyhow::Result<usize> {
    let before = cluster.runs()?;
    package.put(cluster, node, software)?;
    cluster.restart(node)?;
    cluster.lab.wait(&cluster.all())?;
    cluster.settle_when(&cluster.all(), "all resources run", |cluster| {
        Ok(cluster.runs()?.values().all(|places| places.len() == 1))
    })?;
    if package.running(cluster, node)? != software {
        bail!("another daemon runs");
    }
    must_stay(&before, &cluster.runs()?, node)
}

/// The files of our package, unpacked.
struct Package {
    dir: PathBuf,
}

impl Package {
    /// Builds and unpacks it.
    fn unpack(setup: &Setup) -> anyhow::Result<Self> {
        let package = dist::package(&setup.workspace)?;
        let dir = setup.dir.join("package");
        if dir.exists() {
            fs::remove_dir_all(&dir).with_context(|| dir.display().to_string())?;
        }
        process::output(
            Command::new("dpkg-deb")
                .arg("--extract")
                .arg(package)
                .arg(&dir),
        )?;
        Ok(Self { dir })
    }

    /// Puts the package's programs into a node, or the machine's back.
    fn put(&self, cluster: &Cluster, node: u8, software: Software) -> anyhow::Result<()> {
        let from = match software {
            Software::Ours => self.dir.display().to_string(),
            Software::Corosync => "/run/ferrosync/machine".to_owned(),
        };
        let script = "set -e; for program in \"$1\"/usr/sbin/*; do \
                      name=${program##*/}; test ! -e \"$2/usr/sbin/$name\" || ln -sfn \"$program\" \"/usr/sbin/$name\"; done";
        let names = self.dir.display().to_string();
        cluster
            .lab
            .output(node, &["sh", "-c", script, "sh", &from, &names])
            .map(drop)
    }

    /// What a node's daemon was started from.
    fn running(&self, cluster: &Cluster, node: u8) -> anyhow::Result<Software> {
        let script = "readlink /proc/$(cat /run/corosync.pid)/exe";
        let program = cluster.lab.output(node, &["sh", "-c", script])?;
        let ours = program.trim().starts_with(&self.dir.display().to_string());
        Ok(if ours {
            Software::Ours
        } else {
            Software::Corosync
        })
    }
}

/// What did not run on `node` was neither moved nor stopped; how many ran there.
fn must_stay(before: &Runs, after: &Runs, node: u8) -> anyhow::Result<usize> {
    let mut left = 0;
    for (name, places) in before {
        if places.len() != 1 {
            bail!("{name} ran on {places:?}");
        }
        if places.contains_key(&node) {
            left += 1;
        } else if after.get(name) != Some(places) {
            bail!("{name} ran on {places:?} and runs on {:?}", after.get(name));
        }
    }
    Ok(left)
}

/// Node `node` saw every other node leave exactly when that one was restarted, one at a time, and come back.
fn must_lose_only_restarted(node: u8, connections: &[Vec<BTreeSet<u32>>]) -> anyhow::Result<()> {
    let lost = restarts();
    let lost: Vec<u8> = lost.into_iter().map(|(node, _)| node).collect();
    let expected: Vec<&[u8]> = lost.split(|restarted| *restarted == node).collect();
    // A client may connect and be cut off again while its daemon comes up or goes down.
    let connections: Vec<_> = connections
        .iter()
        .filter(|rings| rings.iter().any(is_whole))
        .collect();
    if connections.len() != expected.len() {
        bail!(
            "{} connections saw the whole cluster, not {}",
            connections.len(),
            expected.len()
        );
    }
    for (rings, expected) in connections.iter().zip(expected) {
        let losses = losses(rings)?;
        if losses != expected {
            bail!("saw {losses:?} leave instead of {expected:?}: {rings:?}");
        }
    }
    Ok(())
}

fn is_whole(members: &BTreeSet<u32>) -> bool {
    members.len() == usize::from(NODES)
}

/// The nodes that left a whole cluster one at a time and came back. Before it is whole, a cluster is still forming.
fn losses(rings: &[BTreeSet<u32>]) -> anyhow::Result<Vec<u8>> {
    let mut rings: Vec<_> = rings
        .iter()
        .skip_while(|members| !is_whole(members))
        .collect();
    rings.dedup();
    let mut losses = Vec::new();
    for (at, members) in rings.iter().enumerate() {
        let gone: Vec<u8> = (1..=NODES)
            .filter(|node| !members.contains(&u32::from(*node)))
            .collect();
        match gone.as_slice() {
            [] => {}
            [node] if is_whole(rings[at - 1]) => losses.push(*node),
            _ => bail!("{members:?} follows {:?}", rings[at - 1]),
        }
    }
    Ok(losses)
}

/// Pacemaker's log, which lives as long as the node, says whenever quorum comes or goes.
fn must_keep_quorum(cluster: &Cluster, node: u8) -> anyhow::Result<()> {
    let log = cluster
        .lab
        .output(node, &["cat", "/var/log/pacemaker/pacemaker.log"])?;
    if !log.contains("Quorum acquired") {
        bail!("node {node} never had quorum");
    }
    match log.lines().find(|line| line.contains("Quorum lost")) {
        Some(line) => bail!("node {node}: {line}"),
        None => Ok(()),
    }
}

fn must_not_fence(cluster: &Cluster) -> anyhow::Result<()> {
    for node in cluster.all() {
        let history = cluster
            .lab
            .output(node, &["stonith_admin", "--history", "*"])?;
        if !history.contains("0 events found") {
            bail!("somebody was fenced: {history}");
        }
    }
    Ok(())
}

/// Changes of the CIB that the writers made: each counts in an attribute of its node.
fn written(cluster: &Cluster) -> anyhow::Result<u64> {
    let mut written = 0;
    for node in cluster.all() {
        let name = format!("node{node}");
        let argv = [
            "crm_attribute",
            "--node",
            &name,
            "--name",
            "load",
            "--lifetime",
            "reboot",
            "--query",
            "--quiet",
        ];
        let text = cluster.lab.output(node, &argv)?;
        let count: u64 = text.trim().parse().with_context(|| text.clone())?;
        if count == 0 {
            bail!("node {node} has written nothing");
        }
        written += count;
    }
    Ok(written)
}

/// Counts in an attribute of its node. Each change makes Pacemaker decide anew where everything should run: without a pause
/// it would never be seen at rest.
///
/// The attribute is of the CIB's status, not of its configuration. A change of configuration while a node joins starts the
/// count of smaller changes afresh everywhere, so that the joining node's CIB may count as newer than the one that it
/// should take, and stay without the others' status for good (seen with Pacemaker 2.1.5, all messages in order).
struct Writer(Child);

impl Writer {
    fn start(lab: &Lab, node: u8) -> anyhow::Result<Self> {
        let script = format!(
            "n=1; while :; do crm_attribute --node node{node} --name load --lifetime reboot --update $n && n=$((n + 1)); sleep 3; done"
        );
        let child = lab
            .command(node, "sh")
            .args(["-c", &script])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self(child))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // What it started in the node ends with the node.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sets(lists: &[&[u32]]) -> Vec<BTreeSet<u32>> {
        lists
            .iter()
            .map(|list| list.iter().copied().collect())
            .collect()
    }

    #[test]
    fn a_node_sees_each_other_one_leave_in_its_turn() {
        let all: &[u32] = &[1, 2, 3];
        let of_node_2 = [
            sets(&[all, &[2, 3], all]),
            sets(&[&[2], all, &[1, 2], all, &[2, 3], all, all]),
            sets(&[]),
            sets(&[&[2], &[2, 3], all, &[1, 2], all]),
        ];
        must_lose_only_restarted(2, &of_node_2).unwrap();
        assert!(must_lose_only_restarted(1, &of_node_2).is_err());
        let mut lost = of_node_2.clone();
        lost[0] = sets(&[all, &[2, 3], all, &[1, 2], all]);
        assert!(must_lose_only_restarted(2, &lost).is_err());
    }

    #[test]
    fn a_cluster_that_falls_apart_is_an_error() {
        let all: &[u32] = &[1, 2, 3];
        assert_eq!(losses(&sets(&[all, &[1, 3], all])).unwrap(), [2]);
        assert!(losses(&sets(&[all, &[1]])).is_err());
        assert!(losses(&sets(&[all, &[1, 2], &[1, 3]])).is_err());
    }

    #[test]
    fn a_resource_that_was_started_again_has_not_stayed() {
        let runs = |start: &str| Runs::from([("a".to_owned(), [(2, start.to_owned())].into())]);
        assert_eq!(must_stay(&runs("12:00"), &runs("12:00"), 1).unwrap(), 0);
        assert_eq!(must_stay(&runs("12:00"), &runs("12:01"), 2).unwrap(), 1);
        assert!(must_stay(&runs("12:00"), &runs("12:01"), 1).is_err());
        assert!(must_stay(&Runs::from([("a".to_owned(), [].into())]), &runs("1"), 1).is_err());
    }
}

//! Pacemaker on a ring of one corosync and two of ours: everybody is a member, every node has the same CIB whoever changes
//! it, resources leave a node in standby and one that dies, and the shells of both kinds work.

use std::collections::BTreeSet;

use anyhow::{Context as _, bail};

use super::super::lab::{DaemonVerb, Peers, Plan};
use super::super::{Outcome, Setup};
use super::configuration::{Configuration, Placement};
use super::{Cluster, RESOURCES};

/// Runs the case.
pub(super) fn run(setup: &Setup) -> anyhow::Result<Outcome> {
    let configuration = Configuration {
        placement: Placement::Ranked,
        fencing: "reboot",
    };
    let plan = Plan {
        settings: &["totem.token=1500"],
        ..Plan::new(3, setup.corosync.unwrap_or(Peers::these(&[THEIRS])), "knet")
    };
    let cluster = Cluster::start(setup, "pacemaker-mixed", &plan, &configuration)?;
    membership(&cluster)?;
    replication(&cluster)?;
    standby(&cluster)?;
    shells(&cluster)?;
    let deciders = deciders(&cluster)?;
    for node in [THEIRS, OURS] {
        fail_over(&cluster, node).with_context(|| format!("node {node} dies"))?;
    }
    Ok(Outcome::Passed(format!(
        "members, CIB, standby, fail-over, crm and pcs; {deciders} nodes were DC"
    )))
}

const THEIRS: u8 = 2;
const OURS: u8 = 1;

/// Pacemaker on every node lists all three as members.
fn membership(cluster: &Cluster) -> anyhow::Result<()> {
    for node in cluster.all() {
        let text = cluster.lab.output(node, &["crm_node", "--list"])?;
        let members = text
            .lines()
            .filter(|line| line.ends_with(" member"))
            .count();
        if members != 3 {
            bail!("node {node} lists {text}");
        }
        let text = cluster.lab.output(node, &["crm_node", "--quorum"])?;
        if text.trim() != "1" {
            bail!("node {node} has no quorum");
        }
    }
    Ok(())
}

/// What any node writes all nodes have, word for word.
fn replication(cluster: &Cluster) -> anyhow::Result<()> {
    for writer in cluster.all() {
        let value = format!("from-{writer}");
        cluster.set_option(writer, "ferrosync-note", &value)?;
        cluster.settle(&cluster.all())?;
        cluster.wait(&format!("every node has what node {writer} wrote"), || {
            let mut copies = BTreeSet::new();
            for node in cluster.all() {
                let argv = ["cibadmin", "--query", "--local", "--scope", "configuration"];
                copies.insert(cluster.lab.output(node, &argv)?);
            }
            Ok(copies.len() == 1 && copies.iter().all(|copy| copy.contains(&value)))
        })?;
    }
    Ok(())
}

/// Resources leave a node in standby and come back to it.
fn standby(cluster: &Cluster) -> anyhow::Result<()> {
    for node in [THEIRS, OURS] {
        let before = on(cluster, node)?;
        if before.is_empty() {
            bail!("nothing runs on node {node}");
        }
        let name = format!("node{node}");
        let order = |value| {
            let argv = ["crm_standby", "--node", &name, "--update", value];
            cluster.lab.output(3, &argv).map(drop)
        };
        order("on")?;
        cluster.settle_when(&cluster.all(), "a node in standby is empty", |cluster| {
            Ok(on(cluster, node)?.is_empty() && all_run(cluster)?)
        })?;
        order("off")?;
        cluster.settle_when(&cluster.all(), "resources come back", |cluster| {
            Ok(on(cluster, node)? == before && all_run(cluster)?)
        })?;
    }
    Ok(())
}

/// The two shells show the cluster and change it.
fn shells(cluster: &Cluster) -> anyhow::Result<()> {
    for (node, status) in [(THEIRS, ["crm", "status"]), (OURS, ["pcs", "status"])] {
        let text = cluster.lab.output(node, &status)?;
        if !text.contains("Online: [ node1 node2 node3 ]") {
            bail!("{status:?} on node {node} says {text}");
        }
    }
    for (node, create, delete) in [
        (
            THEIRS,
            "crm -F configure primitive extra ocf:pacemaker:Dummy params state=/run/extra",
            "crm -F resource stop extra; crm_resource --wait --timeout=200s && crm -F configure delete extra",
        ),
        (
            OURS,
            "pcs resource create extra ocf:pacemaker:Dummy state=/run/extra",
            "pcs resource delete extra",
        ),
    ] {
        let run = |script: &str| cluster.lab.output(node, &["sh", "-c", script]);
        run(create)?;
        cluster.settle_when(&cluster.all(), "a new resource runs", |cluster| {
            Ok(!cluster.monitor(node)?.places("extra").is_empty())
        })?;
        run(delete)?;
        cluster.settle_when(&cluster.all(), "a resource is gone", |cluster| {
            Ok(cluster.monitor(node)?.places("extra").is_empty())
        })?;
    }
    Ok(())
}

/// Whoever decides leaves in order, and another one takes over; how many nodes have decided.
fn deciders(cluster: &Cluster) -> anyhow::Result<usize> {
    let mut seen = BTreeSet::new();
    for _ in 0..2 {
        cluster.settle(&cluster.all())?;
        let dc = cluster.dc(1)?;
        let node: u8 = dc.trim_start_matches("node").parse()?;
        seen.insert(dc);
        cluster.lab.daemon(DaemonVerb::Shutdown, node)?;
        let others: Vec<u8> = cluster
            .all()
            .into_iter()
            .filter(|other| *other != node)
            .collect();
        cluster.settle_when(&others, "a node that left is empty", |cluster| {
            all_run(cluster)
        })?;
        cluster.bring_back(node)?;
    }
    if seen.len() < 2 {
        bail!("the same node decided all the time: {seen:?}");
    }
    Ok(seen.len())
}

/// A node dies, is fenced and comes back; its resources run elsewhere meanwhile.
fn fail_over(cluster: &Cluster, node: u8) -> anyhow::Result<()> {
    let before = cluster.runs()?;
    cluster.lab.daemon(DaemonVerb::Kill, node)?;
    // It comes back at once: what shows that it was away is that its resources were started again.
    cluster.settle_when(
        &cluster.all(),
        "resources of a dead node run again",
        |cluster| {
            let now = cluster.runs()?;
            let again = before
                .iter()
                .all(|(name, places)| !places.contains_key(&node) || now.get(name) != Some(places));
            Ok(again && all_run(cluster)?)
        },
    )?;
    let history = cluster
        .lab
        .output(3, &["stonith_admin", "--history", &format!("node{node}")])?;
    if !history.contains("reboot of") || !history.contains("successful") {
        bail!("nobody was fenced: {history}");
    }
    Ok(())
}

fn on(cluster: &Cluster, node: u8) -> anyhow::Result<BTreeSet<String>> {
    let runs = cluster.runs()?;
    let here = runs
        .into_iter()
        .filter(|(_, places)| places.contains_key(&node));
    Ok(here.map(|(name, _)| name).collect())
}

fn all_run(cluster: &Cluster) -> anyhow::Result<bool> {
    let once = cluster
        .runs()?
        .values()
        .filter(|places| places.len() == 1)
        .count();
    Ok(once == RESOURCES.len())
}

//! Nodes die, freeze and are cut off, on three nodes of corosync and on three of ours: after each trouble the same nodes
//! are left, with and without power, and each resource runs in the same place.

use std::fs;
use std::thread;

use anyhow::{Context as _, bail};

use super::super::calls::difference;
use super::super::lab::{DaemonVerb, Peers, Plan};
use super::super::{Outcome, Setup};
use super::configuration::{Configuration, FENCE_DEVICE, Placement};
use super::{Cluster, places};

/// Runs the case: both clusters at once, because most of the time they wait.
pub(super) fn run(setup: &Setup) -> anyhow::Result<Outcome> {
    let asked = setup.corosync.unwrap_or(Peers::NONE);
    let (theirs, ours) = thread::scope(|scope| {
        let theirs = scope.spawn(|| story(setup, "corosync", Peers::ALL));
        let ours = story(setup, "ferrosync", asked);
        let theirs = theirs
            .join()
            .unwrap_or_else(|_| bail!("the cluster of corosync panicked"));
        (theirs, ours)
    });
    let (theirs, ours) = (theirs.context("on corosync")?, ours.context("on ours")?);
    let steps = theirs.lines().filter(|line| !line.starts_with(' ')).count();
    match difference(&theirs, &ours) {
        None => Ok(Outcome::Passed(format!("{steps} troubles ended alike"))),
        Some(difference) => bail!("resources ended elsewhere:\n{difference}"),
    }
}

/// All troubles of one cluster, and what was left after each.
fn story(setup: &Setup, daemon: &str, corosync: Peers) -> anyhow::Result<String> {
    let name = format!("pacemaker-faults-{daemon}");
    let configuration = Configuration {
        placement: Placement::Ranked,
        fencing: "off",
    };
    let plan = Plan {
        settings: &["totem.token=1500"],
        ..Plan::new(3, corosync, "knet")
    };
    let cluster = Cluster::start(setup, &name, &plan, &configuration)?;
    let mut story = Story {
        cluster: &cluster,
        text: String::new(),
    };
    let told = story
        .fenced_troubles()
        .and_then(|()| (0..setup.rounds).try_for_each(|_| story.unfenced_troubles()));
    fs::write(setup.dir.join(format!("{name}.answers")), &story.text)?;
    told?;
    Ok(story.text)
}

struct Story<'a> {
    cluster: &'a Cluster,
    text: String,
}

impl Story<'_> {
    /// With fencing: who leaves without a word loses its power.
    fn fenced_troubles(&mut self) -> anyhow::Result<()> {
        let cluster = self.cluster;
        self.tell("start", &[1, 2, 3])?;

        cluster.lab.daemon(DaemonVerb::Kill, 1)?;
        cluster.wait_off(1)?;
        self.tell("the daemon of node 1 is killed", &[2, 3])?;
        cluster.bring_back(1)?;
        self.tell("node 1 is back", &[1, 2, 3])?;

        cluster.lab.daemon(DaemonVerb::Stop, 2)?;
        cluster.wait_off(2)?;
        self.tell("the daemon of node 2 is frozen", &[1, 3])?;
        cluster.bring_back(2)?;
        self.tell("node 2 is back", &[1, 2, 3])?;

        cluster.lab.partition("1,2/3")?;
        cluster.wait_off(3)?;
        self.tell("node 3 is cut off", &[1, 2])?;
        cluster.lab.heal()?;
        cluster.bring_back(3)?;
        self.tell("node 3 is back", &[1, 2, 3])?;

        cluster.lab.daemon(DaemonVerb::Shutdown, 1)?;
        self.tell("node 1 leaves in order", &[2, 3])?;
        cluster.bring_back(1)?;
        self.tell("node 1 comes again", &[1, 2, 3])
    }

    /// Without fencing: what a node does that has lost quorum.
    fn unfenced_troubles(&mut self) -> anyhow::Result<()> {
        let cluster = self.cluster;
        cluster.set_option(1, "stonith-enabled", "false")?;
        for policy in ["stop", "freeze", "ignore"] {
            cluster.set_option(1, "no-quorum-policy", policy)?;
            cluster.settle(&cluster.all())?;
            cluster.lab.partition("1/2/3")?;
            for node in cluster.all() {
                cluster
                    .settle(&[node])
                    .with_context(|| format!("policy {policy}"))?;
            }
            self.note(&format!("policy {policy}: no node sees another"))?;
            cluster.lab.heal()?;
            cluster.lab.wait(&cluster.all())?;
            self.tell(
                &format!("policy {policy}: all see each other"),
                &cluster.all(),
            )?;
        }
        Ok(())
    }

    /// Waits until these nodes are all that is online and settled, and notes what they are left with.
    fn tell(&mut self, trouble: &str, online: &[u8]) -> anyhow::Result<()> {
        let monitor = self
            .cluster
            .settle(online)
            .with_context(|| trouble.to_owned())?;
        self.note(trouble)?;
        let quorum = if monitor.quorum() {
            "quorum"
        } else {
            "no quorum"
        };
        // Which node fences is nobody's business, whether one does is.
        let fencing = monitor.places(FENCE_DEVICE).len();
        self.text += &format!("  online {online:?}, {quorum}, {fencing} node that fences\n");
        Ok(())
    }

    fn note(&mut self, trouble: &str) -> anyhow::Result<()> {
        self.text += &format!("{trouble}\n{}", places(&self.cluster.runs()?));
        for node in self.cluster.all() {
            if self.cluster.lab.status(node)?["state"] == "off" {
                self.text += &format!("  node {node} has no power\n");
            }
        }
        Ok(())
    }
}

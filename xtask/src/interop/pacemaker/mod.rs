//! Debian's Pacemaker, unmodified, on clusters of corosync and of our daemon.
//!
//! The resources are Pacemaker's own `Dummy`, which is running where its state file is: the files tell the truth even where
//! no Pacemaker answers. Each start makes a new file, so that a file that is still the same was never stopped.

mod configuration;
mod faults;
mod locks;
mod mixed;
mod monitor;
mod rolling;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use super::Setup;
use super::cases::{Case, What};
use super::lab::{DaemonVerb, Lab, OnTop, Plan};
use crate::{dist, process};
use configuration::{Configuration, RESOURCES};
use monitor::Monitor;

/// The cases.
pub(super) const CASES: &[Case] = &[
    Case::new(
        "pacemaker-rolling",
        "each node's corosync is replaced by our package and back: no resource elsewhere notices",
        What::Upgrade(rolling::run),
    ),
    Case::new(
        "pacemaker-faults",
        "nodes die, freeze and are cut off: resources end where they end with corosync",
        What::Pacemaker(faults::run),
    )
    .asked(),
    Case::new(
        "pacemaker-mixed",
        "Pacemaker on a ring of both daemons: membership, CIB, fail-over, standby, crm and pcs",
        What::Pacemaker(mixed::run),
    )
    .asked(),
    Case::new(
        "pacemaker-locks",
        "dlm_controld and sbd on a ring of both daemons, with fencing",
        What::Locks(locks::run),
    )
    .asked(),
];

/// What keeps Pacemaker, or a package to be put below it, from this machine, if anything.
pub(super) fn upgrade_missing() -> Option<String> {
    missing().or_else(dist::cannot_build)
}

/// What keeps `dlm_controld` and `sbd` from running on this machine, if anything.
pub(super) fn locks_missing() -> Option<String> {
    missing().or_else(locks::missing)
}

/// What keeps Pacemaker from running on this machine, if anything.
pub(super) fn missing() -> Option<String> {
    let programs = ["pacemakerd", "crm_mon", "crm", "pcs"];
    if let Some(program) = programs.iter().find(|name| process::find(name).is_none()) {
        return Some(format!("{program} is not installed"));
    }
    let user = process::output(Command::new("id").arg("--user")).unwrap_or_default();
    // Its processes have users of their own.
    let mapped = process::find("newuidmap").is_some();
    (user.trim() != "0" && !mapped).then(|| "neither root nor newuidmap to have other users".into())
}

/// A cluster with Pacemaker on every node.
struct Cluster {
    lab: Lab,
    nodes: u8,
    /// What its logs are called where they are kept, and where.
    name: String,
    dir: PathBuf,
}

/// Where each resource runs, and for each place what tells this start of it from any other.
type Runs = BTreeMap<String, BTreeMap<u8, String>>;

impl Cluster {
    /// Starts it, and loads `configuration` once all nodes are online.
    fn start(
        setup: &Setup,
        name: &str,
        plan: &Plan,
        configuration: &Configuration,
    ) -> anyhow::Result<Self> {
        let plan = Plan {
            on_top: OnTop::Pacemaker,
            ..*plan
        };
        let cluster = Self {
            lab: Lab::start(setup, name, &plan)?,
            nodes: plan.nodes,
            name: name.to_owned(),
            dir: setup.dir.clone(),
        };
        cluster
            .settle(&cluster.all())
            .context("start of Pacemaker")?;
        cluster.configure(1, configuration)?;
        cluster.settle_when(&cluster.all(), "all resources run", |cluster| {
            Ok(cluster
                .runs()?
                .values()
                .filter(|places| places.len() == 1)
                .count()
                == RESOURCES.len())
        })?;
        Ok(cluster)
    }

    fn all(&self) -> Vec<u8> {
        (1..=self.nodes).collect()
    }

    /// Adds to the CIB, or changes in it, what `configuration` says.
    fn configure(&self, node: u8, configuration: &Configuration) -> anyhow::Result<()> {
        let xml = configuration.xml();
        let argv = ["cibadmin", "--modify", "--allow-create", "--xml-text", &xml];
        self.lab.output(node, &argv).map(drop)
    }

    /// Sets an option of the cluster.
    fn set_option(&self, node: u8, name: &str, value: &str) -> anyhow::Result<()> {
        let argv = [
            "crm_attribute",
            "--type",
            "crm_config",
            "--name",
            name,
            "--update",
            value,
        ];
        self.lab.output(node, &argv).map(drop)
    }

    /// Where the resources run, whatever Pacemaker thinks.
    fn runs(&self) -> anyhow::Result<Runs> {
        let mut runs: Runs = RESOURCES
            .iter()
            .map(|name| ((*name).to_owned(), BTreeMap::new()))
            .collect();
        for node in self.all() {
            let script = "cd /run && stat --format '%n %i %y' dummy-* 2>/dev/null; true";
            for line in self.lab.output(node, &["sh", "-c", script])?.lines() {
                let (name, start) = line.split_once(' ').context("a file without a time")?;
                let name = name.trim_start_matches("dummy-");
                let places = runs
                    .get_mut(name)
                    .with_context(|| format!("unknown resource {name}"))?;
                places.insert(node, start.to_owned());
            }
        }
        Ok(runs)
    }

    /// Waits until Pacemaker on each of `nodes` sees exactly these online, none of the others of unknown fate, and has
    /// nothing left to do.
    fn settle(&self, nodes: &[u8]) -> anyhow::Result<Monitor> {
        self.settle_when(nodes, "settled", |_| Ok(true))
    }

    /// Waits for the same, and for a condition besides.
    fn settle_when(
        &self,
        nodes: &[u8],
        what: &str,
        holds: impl Fn(&Self) -> anyhow::Result<bool>,
    ) -> anyhow::Result<Monitor> {
        let deadline = Instant::now() + SETTLED_WITHIN;
        let mut before = None;
        loop {
            let now = self.look(nodes).and_then(|monitor| match holds(self)? {
                true => Ok((monitor, self.runs()?)),
                false => bail!("not yet: {what}"),
            });
            match now {
                // Seen twice: Pacemaker is idle for a moment between hearing of something and acting on it.
                Ok(now) if before.as_ref() == Some(&now) => return Ok(now.0),
                Ok(now) => before = Some(now),
                Err(error) if Instant::now() >= deadline => {
                    self.keep_logs();
                    return Err(error.context(format!("nodes {nodes:?}: {what}")));
                }
                Err(_) => before = None,
            }
            thread::sleep(POLL);
        }
    }

    /// Keeps what the daemons and Pacemaker have logged, to be read after a failure.
    fn keep_logs(&self) {
        self.lab.keep_logs(&self.dir, &self.name, self.nodes);
        for node in 1..=self.nodes {
            let file = self.dir.join(format!("{}-{node}.pacemaker.log", self.name));
            let kept = self
                .lab
                .output(node, &["cat", "/var/log/pacemaker/pacemaker.log"])
                .and_then(|text| Ok(fs::write(&file, text)?));
            if let Err(error) = kept {
                eprintln!("{}: {error:#}", file.display());
            }
        }
    }

    /// What Pacemaker tells on all of `nodes` alike; an error says why they are not settled.
    fn look(&self, nodes: &[u8]) -> anyhow::Result<Monitor> {
        let mut agreed: Option<Monitor> = None;
        for node in nodes {
            let monitor = self.monitor(*node)?;
            monitor.must_be_settled(nodes)?;
            match &agreed {
                None => agreed = Some(monitor),
                Some(agreed) if *agreed == monitor => {}
                Some(_) => bail!("node {node} sees something else"),
            }
        }
        let agreed = agreed.context("no nodes")?;
        let dc = self.dc(nodes[0])?;
        let state = self.lab.output(nodes[0], &["crmadmin", "--status", &dc])?;
        if !state.contains("S_IDLE") {
            bail!("the DC is busy: {}", state.trim());
        }
        Ok(agreed)
    }

    /// The node that decides, as the controllers have it. The CIB, and `crm_mon` with it, may name another one for good:
    /// where several that were alone come together, one that gives the role up writes itself down after the one that
    /// takes it (seen on corosync alone, Pacemaker 2.1.5).
    fn dc(&self, node: u8) -> anyhow::Result<String> {
        let answer = self.lab.output(node, &["crmadmin", "--dc_lookup"])?;
        let dc = answer.split_whitespace().next_back();
        let dc = dc.filter(|dc| dc.starts_with("node"));
        Ok(dc.with_context(|| answer.trim().to_owned())?.to_owned())
    }

    fn monitor(&self, node: u8) -> anyhow::Result<Monitor> {
        let text = self
            .lab
            .output(node, &["crm_mon", "-1", "--output-as=xml"])?;
        Monitor::read(&text)
    }

    /// Waits until a node has no power.
    fn wait_off(&self, node: u8) -> anyhow::Result<()> {
        self.wait(&format!("node {node} is fenced"), || {
            Ok(self.lab.status(node)?["state"] == "off")
        })
    }

    /// Waits for a condition that does not depend on Pacemaker being settled.
    fn wait(&self, what: &str, holds: impl Fn() -> anyhow::Result<bool>) -> anyhow::Result<()> {
        let deadline = Instant::now() + SETTLED_WITHIN;
        while !holds()? {
            if Instant::now() >= deadline {
                bail!("not in time: {what}");
            }
            thread::sleep(POLL);
        }
        Ok(())
    }

    /// Switches a node on, or starts its daemon, and waits until all are online and settled.
    fn bring_back(&self, node: u8) -> anyhow::Result<Monitor> {
        self.lab.daemon(DaemonVerb::Start, node)?;
        self.settle(&self.all())
    }

    /// Ends Pacemaker on a node and then its daemon, and starts both again.
    fn restart(&self, node: u8) -> anyhow::Result<()> {
        self.lab.daemon(DaemonVerb::Restart, node)?;
        self.wait(&format!("the daemon of node {node} runs again"), || {
            Ok(self.lab.status(node)?["state"] == "running")
        })
    }
}

/// Resources and the nodes they run on, a line each.
fn places(runs: &Runs) -> String {
    let line = |(name, places): (&String, &BTreeMap<u8, String>)| {
        let nodes: BTreeSet<String> = places.keys().map(u8::to_string).collect();
        let nodes: Vec<String> = nodes.into_iter().collect();
        format!("  {name}: {}\n", nodes.join(" "))
    };
    runs.iter().map(line).collect()
}

/// Generous: Pacemaker asks its resources every few seconds, gives up a lost controller after 20, and two cores may be
/// shared with a build.
const SETTLED_WITHIN: Duration = Duration::from_secs(240);
const POLL: Duration = Duration::from_millis(400);

//! Debian's `corosync-qdevice` and `corosync-qnetd`, unmodified: which partitions are quorate.
//!
//! The last node of each lab runs no cluster engine but `corosync-qnetd`. A partition is made of routes into nowhere, so
//! that two sides can lose each other and both reach the arbitrator. The table says what nodes of corosync decide;
//! `cargo xtask interop --corosync all qdevice` compares it with them.

use std::fs::File;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, bail};

use super::lab::{DaemonVerb, Lab, Peers, Plan};
use super::reload::without_node;
use super::sides::{self, Sides, View};
use super::{Outcome, Setup};
use crate::process;

/// A cluster and its partitions.
struct Cluster {
    name: &'static str,
    nodes: u8,
    algorithm: &'static str,
    rows: &'static [Row],
}

/// One partition of a cluster that was whole before.
struct Row {
    /// Nodes that hear each other, such as `1,2/3`.
    sides: &'static str,
    /// Nodes that reach the arbitrator.
    reach: &'static [u8],
    /// Nodes with quorum in the end.
    quorate: &'static [u8],
}

const fn row(sides: &'static str, reach: &'static [u8], quorate: &'static [u8]) -> Row {
    Row {
        sides,
        reach,
        quorate,
    }
}

const CLUSTERS: [Cluster; 4] = [
    Cluster {
        name: "ffsplit-2",
        nodes: 2,
        algorithm: "ffsplit",
        rows: &[
            row("1/2", &[1, 2], &[1]),
            row("1/2", &[2], &[2]),
            row("1/2", &[], &[]),
            row("1,2", &[], &[1, 2]),
            row("1,2", &[2], &[1, 2]),
        ],
    },
    Cluster {
        name: "ffsplit-4",
        nodes: 4,
        algorithm: "ffsplit",
        rows: &[
            row("1,2/3,4", &[1, 2, 3, 4], &[1, 2]),
            row("1,2/3,4", &[3, 4], &[3, 4]),
            row("1,2/3,4", &[], &[]),
            row("1/2,3,4", &[1, 2, 3, 4], &[2, 3, 4]),
            row("1/2,3,4", &[1], &[2, 3, 4]),
            row("1,2/3/4", &[1, 2, 3, 4], &[1, 2]),
        ],
    },
    Cluster {
        name: "lms-3",
        nodes: 3,
        algorithm: "lms",
        rows: &[
            row("1/2,3", &[1, 2, 3], &[2, 3]),
            row("1/2,3", &[1], &[1]),
            row("1/2/3", &[2], &[2]),
            row("1/2/3", &[1, 2, 3], &[1]),
        ],
    },
    Cluster {
        name: "lms-4",
        nodes: 4,
        algorithm: "lms",
        rows: &[
            row("1,2/3,4", &[1, 2, 3, 4], &[1, 2]),
            row("1/2,3,4", &[1], &[1]),
            row("1,2,3,4", &[], &[1, 2, 3, 4]),
            row("1,2/3,4", &[4], &[4]),
        ],
    },
];

/// What keeps the case from running on this machine, if anything.
pub(super) fn missing() -> Option<String> {
    let program = PROGRAMS
        .into_iter()
        .find(|name| process::find(name).is_none())?;
    Some(format!("{program} is not installed"))
}

/// Runs all clusters at once: most of the time is waiting.
pub(super) fn run(setup: &Setup) -> anyhow::Result<Outcome> {
    let results: Vec<anyhow::Result<()>> = thread::scope(|scope| {
        let threads: Vec<_> = CLUSTERS
            .iter()
            .map(|cluster| scope.spawn(|| try_all(setup, cluster)))
            .collect();
        let join = |thread: thread::ScopedJoinHandle<'_, _>| thread.join();
        threads
            .into_iter()
            .map(|thread| join(thread).expect("failures are results"))
            .collect()
    });
    let faults: Vec<String> = results
        .into_iter()
        .filter_map(|result| Some(format!("{:#}", result.err()?)))
        .collect();
    if !faults.is_empty() {
        bail!("{}", faults.join("\n"));
    }
    let rows: usize = CLUSTERS.iter().map(|cluster| cluster.rows.len()).sum();
    Ok(Outcome::Passed(format!(
        "{rows} partitions decided as corosync decides them"
    )))
}

fn try_all(setup: &Setup, cluster: &Cluster) -> anyhow::Result<()> {
    let run = Run::start(setup, cluster).with_context(|| cluster.name.to_owned())?;
    let mut faults = Vec::new();
    for row in cluster.rows {
        let all: Vec<u8> = (1..=cluster.nodes).collect();
        let whole = row_of_all(cluster.nodes);
        run.cut(&whole, &all)?;
        run.settle(&whole, &all)
            .with_context(|| format!("{}: the whole cluster", cluster.name))?;
        run.cut(row.sides, row.reach)?;
        if let Err(error) = run.settle(row.sides, row.quorate) {
            faults.push(format!(
                "{}: {} with {:?} at the arbitrator: {error:#}",
                cluster.name, row.sides, row.reach
            ));
        }
    }
    if faults.is_empty() {
        Ok(())
    } else {
        bail!("{}", faults.join("\n"))
    }
}

/// A cluster with its arbitrator.
struct Run<'a> {
    lab: Lab,
    cluster: &'a Cluster,
    /// Programs inside nodes; they end with the lab.
    programs: Vec<Child>,
}

impl<'a> Run<'a> {
    fn start(setup: &Setup, cluster: &'a Cluster) -> anyhow::Result<Self> {
        let arbitrator = cluster.nodes + 1;
        let plan = Plan {
            settings: &["totem.token=1000"],
            ..Plan::new(arbitrator, setup.corosync.unwrap_or(Peers::NONE), "udpu")
        };
        let lab = Lab::start(setup, &format!("qdevice-{}", cluster.name), &plan)?;
        let conf = lab.output(1, &["cat", CONF])?;
        let conf = without_node(&conf, arbitrator)?.replace(
            "provider: corosync_votequorum\n",
            &format!("provider: corosync_votequorum\n{}", device(cluster)),
        );
        let mut run = Self {
            lab,
            cluster,
            programs: Vec::new(),
        };
        for node in 1..=arbitrator {
            run.lab.daemon(DaemonVerb::Kill, node)?;
        }
        let script = format!("mkdir -p /run/corosync-qdevice && printf %s \"$1\" > {CONF}");
        for node in run.nodes() {
            run.lab.output(node, &["sh", "-c", &script, "sh", &conf])?;
            run.lab.daemon(DaemonVerb::Start, node)?;
        }
        run.program(
            setup,
            arbitrator,
            "mkdir -p /run/corosync-qnetd; exec corosync-qnetd -f -s off -S dpd_interval=1000",
        )?;
        for node in run.nodes() {
            let program = format!(
                "until corosync-quorumtool -s > /dev/null || test $? -ne 1; do sleep 0.2; done; exec {}",
                "corosync-qdevice -f"
            );
            run.program(setup, node, &program)?;
        }
        Ok(run)
    }

    fn nodes(&self) -> std::ops::RangeInclusive<u8> {
        1..=self.cluster.nodes
    }

    fn program(&mut self, setup: &Setup, node: u8, script: &str) -> anyhow::Result<()> {
        let log = setup
            .dir
            .join(format!("qdevice-{}-{node}.log", self.cluster.name));
        let log = File::create(&log).with_context(|| format!("{}", log.display()))?;
        let child = self
            .lab
            .command(node, "sh")
            .args(["-c", script])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        self.programs.push(child);
        Ok(())
    }

    /// Makes nodes of different sides unreachable for each other, and the arbitrator for all but some.
    fn cut(&self, sides: &str, reach: &[u8]) -> anyhow::Result<()> {
        let sides = Sides::parse(sides)?;
        let mut children = Vec::new();
        for node in self.nodes() {
            let own = sides.of(node)?;
            let mut gone: Vec<u8> = self.nodes().filter(|other| !own.contains(other)).collect();
            if !reach.contains(&node) {
                gone.push(self.cluster.nodes + 1);
            }
            let mut script = "ip route flush type blackhole".to_owned();
            for other in gone {
                script += &format!(" && ip route add blackhole 10.77.0.{other}/32");
            }
            // Side by side, so that the sides lose each other at one time.
            children.push(self.lab.command(node, "sh").args(["-c", &script]).spawn()?);
        }
        for mut child in children {
            let status = child.wait()?;
            if !status.success() {
                bail!("routes could not be changed: {status}");
            }
        }
        Ok(())
    }

    /// Waits until every node sees its side and these have quorum, for long enough.
    fn settle(&self, sides: &str, quorate: &[u8]) -> anyhow::Result<()> {
        sides::settle(sides, quorate, self.nodes(), STAYS_FOR, |node| {
            self.view(node)
        })
    }

    fn view(&self, node: u8) -> Option<View> {
        let mut ask: Command = self.lab.command(node, "corosync-quorumtool");
        // It ends with another exit code where there is no quorum.
        let answer = ask.arg("-s").output().ok()?;
        seen(&String::from_utf8_lossy(&answer.stdout))
    }
}

/// What `corosync-quorumtool -s` tells.
fn seen(text: &str) -> Option<View> {
    let quorate = text
        .lines()
        .find_map(|line| line.strip_prefix("Quorate:"))?;
    let table = text
        .lines()
        .skip_while(|line| !line.trim_start().starts_with("Nodeid"));
    let nodes = table
        .skip(1)
        .filter_map(|line| line.split_whitespace().next()?.parse().ok());
    Some(View {
        // The device is there as node 0.
        members: nodes.filter(|&node| node != 0).collect(),
        quorate: quorate.trim() == "Yes",
    })
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        for child in &mut self.programs {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

/// The quorum device in corosync.conf.
fn device(cluster: &Cluster) -> String {
    // `lms` has one vote less than there are nodes, as it is where nothing is written.
    let votes = if cluster.algorithm == "ffsplit" {
        "        votes: 1\n"
    } else {
        ""
    };
    let arbitrator = cluster.nodes + 1;
    format!(
        "    device {{\n        model: net\n{votes}        timeout: 3000\n        sync_timeout: 5000\n        net {{\n            \
         tls: off\n            host: 10.77.0.{arbitrator}\n            algorithm: {}\n            \
         tie_breaker: lowest\n        }}\n    }}\n",
        cluster.algorithm
    )
}

fn row_of_all(nodes: u8) -> String {
    let words: Vec<String> = (1..=nodes).map(|node| node.to_string()).collect();
    words.join(",")
}

const PROGRAMS: [&str; 3] = ["corosync-qdevice", "corosync-qnetd", "ip"];
const CONF: &str = "/etc/corosync/corosync.conf";

/// Longer than a device that is cut off keeps its vote.
const STAYS_FOR: Duration = Duration::from_secs(4);

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_node_is_on_one_side_and_no_two_sides_are_quorate() {
        for cluster in &CLUSTERS {
            for row in cluster.rows {
                let sides = Sides::parse(row.sides).unwrap();
                let sides = sides.all();
                let nodes: usize = sides.iter().map(BTreeSet::len).sum();
                assert_eq!(nodes, usize::from(cluster.nodes), "{}", row.sides);
                let wins =
                    |side: &&BTreeSet<u8>| side.iter().any(|node| row.quorate.contains(node));
                assert!(sides.iter().filter(wins).count() <= 1, "{}", row.sides);
            }
        }
        let rows: usize = CLUSTERS.iter().map(|cluster| cluster.rows.len()).sum();
        assert!(rows >= 12);
    }

    #[test]
    fn what_the_tool_prints_is_understood() {
        let text = "Nodes:            2\nQuorate:          Yes\n\nMembership information\n----------------------\n    \
             Nodeid      Votes    Qdevice Name\n         1          1    A,V,NMW node1 (local)\n         \
             2          1    A,V,NMW node2\n         0          1            Qdevice\n";
        let view = seen(text).unwrap();
        assert_eq!((view.members, view.quorate), ([1, 2].into(), true));
        assert_eq!(seen("Cannot initialize CFG service\n"), None);
    }
}

//! Debian's `dlm_controld` and `sbd`, unmodified, on a ring of both daemons. Each node has its own pretence of the kernel's
//! part: files where `dlm_controld` looks for its devices and for configfs. The lock spaces of a kernel cannot be had here,
//! but everything that the two ask of the cluster.

use std::collections::BTreeSet;
use std::process::Command;

use anyhow::{Context as _, bail};

use super::super::lab::{DaemonVerb, Peers, Plan};
use super::super::{Outcome, Setup};
use super::Cluster;
use super::configuration::{Configuration, Placement};
use crate::process;

/// What keeps them from running on this machine, if anything.
pub(super) fn missing() -> Option<String> {
    let programs = ["dlm_controld", "dlm_stonith", "dlm_tool", "sbd"];
    if let Some(program) = programs.iter().find(|name| process::find(name).is_none()) {
        return Some(format!("{program} is not installed"));
    }
    let user = process::output(Command::new("id").arg("--user")).unwrap_or_default();
    (user.trim() != "0").then(|| "only root can make device files".into())
}

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
    let cluster = Cluster::start(setup, "pacemaker-locks", &plan, &configuration)?;
    for node in cluster.all() {
        shell(&cluster, node, PRETENCE)?;
        start(&cluster, node)?;
    }
    await_all(&cluster)?;
    for node in [OURS, THEIRS] {
        lose(&cluster, node).with_context(|| format!("node {node} dies"))?;
        cluster.settle(&cluster.all())?;
        start(&cluster, node)?;
        await_all(&cluster)?;
    }
    Ok(Outcome::Passed(
        "dlm_controld and sbd on all nodes found each other, twice had one fenced and took it back"
            .into(),
    ))
}

const OURS: u8 = 1;
const THEIRS: u8 = 2;

fn shell(cluster: &Cluster, node: u8, script: &str) -> anyhow::Result<()> {
    cluster.lab.output(node, &["sh", "-c", script]).map(drop)
}

fn start(cluster: &Cluster, node: u8) -> anyhow::Result<()> {
    shell(cluster, node, START)
}

/// Every node's `dlm_controld` knows every other as a member, and all of `sbd` are in one group.
fn await_all(cluster: &Cluster) -> anyhow::Result<()> {
    for node in cluster.all() {
        cluster.wait(&format!("node {node} knows all daemons"), || {
            let status = cluster.lab.output(node, &["dlm_tool", "status"])?;
            let known = |member: u8| is_in(&status, member, 'M');
            Ok(status.contains("quorate 1") && cluster.all().into_iter().all(known))
        })?;
        await_groups(cluster, node, &cluster.all())?;
    }
    Ok(())
}

/// Both groups have one process on each of `members`, as `node` sees it.
fn await_groups(cluster: &Cluster, node: u8, members: &[u8]) -> anyhow::Result<()> {
    let members: BTreeSet<u8> = members.iter().copied().collect();
    cluster.wait(
        &format!("node {node} sees the groups of {members:?}"),
        || {
            let text = cluster.lab.output(node, &["corosync-cpgtool"])?;
            let has = |group: &str| group_members(&text, group) == members;
            Ok(has("dlm:controld") && has("sbd:cluster"))
        },
    )
}

/// A node dies; the others' `dlm_controld` learn it, and that it was fenced.
fn lose(cluster: &Cluster, node: u8) -> anyhow::Result<()> {
    let others: Vec<u8> = cluster
        .all()
        .into_iter()
        .filter(|other| *other != node)
        .collect();
    cluster.lab.daemon(DaemonVerb::Kill, node)?;
    for other in others.iter().copied() {
        cluster.wait(
            &format!("node {other} knows that node {node} was fenced"),
            || {
                let status = cluster.lab.output(other, &["dlm_tool", "status"])?;
                Ok(is_in(&status, node, 'X') && was_fenced(&status, node))
            },
        )?;
        await_groups(cluster, other, &others)?;
    }
    let history = cluster.lab.output(
        others[0],
        &["stonith_admin", "--history", &format!("node{node}")],
    )?;
    if !history.contains("successful") {
        bail!("Pacemaker has not fenced it: {history}");
    }
    Ok(())
}

/// Whether `dlm_tool status` gives a node this mark: M for a member, X for one that has gone.
fn is_in(status: &str, node: u8, mark: char) -> bool {
    let wanted = format!("node {node} {mark} ");
    status.lines().any(|line| line.starts_with(&wanted))
}

/// Whether it has a time at which the node was fenced.
fn was_fenced(status: &str, node: u8) -> bool {
    let prefix = format!("node {node} ");
    let line = status.lines().find(|line| line.starts_with(&prefix));
    let mut words = line.unwrap_or_default().split(' ');
    words.any(|word| word == "fence") && words.next().is_some_and(|time| time != "0")
}

/// The nodes with a process in a group, from what corosync-cpgtool prints.
fn group_members(text: &str, group: &str) -> BTreeSet<u8> {
    let lines = text
        .lines()
        .skip_while(|line| !line.starts_with(group))
        .skip(1);
    let members = lines.take_while(|line| line.starts_with('\t'));
    let node = |line: &str| {
        line.split_whitespace()
            .nth(1)
            .and_then(|node| node.parse().ok())
    };
    members.filter_map(node).collect()
}

/// Devices, configfs and a list of devices, in the node's own mounts. `dlm_plock` is a terminal that nobody types on: the
/// other devices of the memory driver have always something to be read.
const PRETENCE: &str = r"set -e
cd /
own=/run/ferrosync-dlm
mkdir -p $own/dev
mount -t tmpfs none $own/dev
for device in 'null 3' 'zero 5' 'random 8' 'urandom 9'; do
    set -- $device
    mknod -m 666 $own/dev/$1 c 1 $2
done
mkdir -p $own/dev/shm $own/dev/misc/pts
mount --bind /dev/shm $own/dev/shm
mount -t devpts none $own/dev/misc/pts
mknod $own/dev/misc/dlm-control c 1 3
mknod $own/dev/misc/dlm-monitor c 1 3
mknod $own/dev/misc/dlm_plock c 5 2
mount --rbind $own/dev /dev
mount -t tmpfs none /sys/kernel
cluster=/sys/kernel/config/dlm/cluster
mkdir -p /sys/kernel/dlm $cluster/comms $cluster/spaces
for file in cluster_name mark protocol recover_callbacks tcp_port log_debug; do : > $cluster/$file; done
printf '2 dlm_plock\n3 dlm-monitor\n3 dlm-control\n' > $own/misc
mount --bind $own/misc /proc/misc
";

/// `sbd` without disks and without a watchdog. The switch with which it would reset the machine, the only one there is for
/// all nodes, is covered first.
const START: &str = "set -e
cd /
if [ -e /proc/sysrq-trigger ]; then mount --bind /dev/null /proc/sysrq-trigger; fi
dlm_controld --enable_plock 0 </dev/null >/dev/null 2>&1
sbd -w /dev/null -P -c -R -Z watch </dev/null >/dev/null 2>&1
";

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "cluster nodeid 3 quorate 1 ring seq 17 17\ndaemon now 40128 fence_pid 0 \n\
        node 1 X add 40104 rem 40126 fail 40126 fence 40130 at 2 1795423659\n\
        node 2 M add 40104 rem 0 fail 0 fence 0 at 0 0\n";

    #[test]
    fn the_status_tells_members_and_who_was_fenced() {
        assert!(is_in(STATUS, 1, 'X') && !is_in(STATUS, 1, 'M') && !is_in(STATUS, 3, 'X'));
        assert!(was_fenced(STATUS, 1) && !was_fenced(STATUS, 2) && !was_fenced(STATUS, 3));
    }

    #[test]
    fn a_group_ends_where_the_next_begins() {
        let text = "Group Name\t       PID\t   Node ID\nsbd:cluster\\x00\n\t\t        48\t         1 (10.77.0.1)\n\
            \t\t        59\t         3 (10.77.0.3)\ncrmd\\x00\n\t\t        12\t         2 (10.77.0.2)\n";
        assert_eq!(group_members(text, "sbd:cluster"), [1, 3].into());
        assert_eq!(group_members(text, "crmd"), [2].into());
        assert!(group_members(text, "dlm:controld").is_empty());
    }
}

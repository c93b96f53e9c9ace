//! Every key of both maps, on corosync and on our daemon: the same keys of the same types, and where a value says nothing
//! about time or traffic, the same values.

use std::collections::BTreeSet;
use std::fs;

use anyhow::Context as _;

use super::calls::difference;
use super::lab::{Lab, Peers, Plan};
use super::{Outcome, Setup};

/// Compares a cluster of corosync with one made as `plan` says, node by node.
pub(super) fn run(setup: &Setup, name: &str, plan: &Plan) -> anyhow::Result<Outcome> {
    let theirs = Plan {
        corosync: Peers::ALL,
        ..*plan
    };
    let theirs = keys(setup, &format!("{name}-corosync"), &theirs)?;
    let ours = keys(setup, &format!("{name}-asked"), plan)?;
    match difference(&theirs, &ours) {
        None => Ok(Outcome::Passed(format!(
            "{} keys alike",
            theirs.lines().count()
        ))),
        Some(difference) => anyhow::bail!("the maps differ:\n{difference}"),
    }
}

fn keys(setup: &Setup, name: &str, plan: &Plan) -> anyhow::Result<String> {
    let lab = Lab::start(setup, name, plan)?;
    let mut text = String::new();
    for node in 1..=plan.nodes {
        let map = lab.output(node, &["corosync-cmapctl"])?;
        let stats = lab.output(node, &["corosync-cmapctl", "-m", "stats"])?;
        for line in compared(&map)?.union(&compared(&stats)?) {
            text += &format!("node {node}: {line}\n");
        }
    }
    fs::write(setup.dir.join(format!("{name}.keys")), &text)?;
    Ok(text)
}

/// The lines of a map as far as they must be alike.
fn compared(map: &str) -> anyhow::Result<BTreeSet<String>> {
    let mut lines = BTreeSet::new();
    for line in map.lines().filter(|line| !line.starts_with(PAUSES)) {
        let (key, _) = line.split_once(" = ").context("a key without value")?;
        let settled = SETTLED.iter().any(|start| line.starts_with(start))
            || key.ends_with(".service_id (u16)");
        lines.insert(if settled {
            line.to_owned()
        } else {
            of_any_client(key)
        });
    }
    Ok(lines)
}

/// A key about a client's connection without process id and address.
fn of_any_client(key: &str) -> String {
    let parts: Vec<&str> = key.split('.').collect();
    match parts[..] {
        ["stats", "ipcs", service, _, _, last] => {
            format!("stats.ipcs.{service}.PID.ADDRESS.{last}")
        }
        _ => key.to_owned(),
    }
}

/// Whose values must be alike as well.
const SETTLED: [&str; 4] = [
    "internal_configuration.",
    "resources.",
    "runtime.blackbox.",
    "runtime.force_gather",
];
/// They come when the machine is busy.
const PAUSES: &str = "stats.schedmiss.";

#[cfg(test)]
mod tests {
    use super::compared;

    #[test]
    fn values_that_change_and_clients_that_come_and_go_do_not_count() {
        let map = "resources.watchdog_timeout (u32) = 6\n\
                   stats.schedmiss.0.delay (flt) = 1.5\n\
                   stats.ipcs.service0.12.0x55.sent (u32) = 3\n\
                   stats.ipcs.service0.13.0x56.sent (u32) = 4\n\
                   stats.srp.mcast_tx (u64) = 5\n";
        let lines: Vec<String> = compared(map).unwrap().into_iter().collect();
        assert_eq!(
            lines,
            [
                "resources.watchdog_timeout (u32) = 6",
                "stats.ipcs.service0.PID.ADDRESS.sent (u32)",
                "stats.srp.mcast_tx (u64)",
            ]
        );
        assert!(compared("key\n").is_err());
    }
}

//! A reload over a ring of both daemons: whoever starts it, both end with the same map.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use super::calls::difference;
use super::lab::{DaemonVerb, Lab, Peers, Plan};
use super::{Outcome, Setup};

/// Node 1 is corosync's, nodes 2 and 3 are ours; node 3 leaves the nodelist and comes back.
pub(super) fn run(setup: &Setup) -> anyhow::Result<Outcome> {
    let plan = Plan {
        settings: &["totem.token=1000"],
        ..Plan::new(3, Peers::these(&[THEIRS]), "udpu")
    };
    let case = Case {
        setup,
        lab: Lab::start(setup, "reload", &plan)?,
    };
    let file = case.lab.output(THEIRS, &["cat", CONF])?;
    let mut keys = case.same_maps("start")?;

    // Theirs starts a reload, in which a node goes.
    case.lab.daemon(DaemonVerb::Shutdown, 3)?;
    case.lab.wait(&[1, 2])?;
    let without = file.replace(
        "token: 1000",
        "token: 1500\n    join: 70\n    config_version: 5",
    );
    case.write(&[1, 2], &without_node(&without, 3)?)?;
    case.reload(THEIRS, OK)?;
    keys += case.same_maps("removed")?;

    // Ours does, and it comes back. A reload sets what clients had changed to what is written.
    case.lab.output(
        OURS,
        &["corosync-cmapctl", "-s", "totem.merge", "u32", "250"],
    )?;
    case.lab.output(
        THEIRS,
        &["corosync-cmapctl", "-s", "totem.merge", "u32", "250"],
    )?;
    let with = file
        .replace(
            "provider: corosync_votequorum",
            "provider: corosync_votequorum\n    expected_votes: 5",
        )
        .replace("timestamp: hires", "timestamp: on\n    debug: on")
        .replace("cluster_name: lab", "cluster_name: other");
    case.write(&[1, 2, 3], &with)?;
    case.reload(OURS, OK)?;
    case.lab.daemon(DaemonVerb::Start, 3)?;
    // Three of five votes are a majority.
    case.lab.wait(&[1, 2, 3])?;
    keys += case.same_maps("added")?;

    // Neither changes an address under way, nor reads what is no configuration.
    for (name, wrong) in [
        ("address", with.replace("10.77.0.3", "10.77.0.9")),
        (
            "join",
            with.replace("token: 1000", "token: 1000\n    join: 5"),
        ),
        ("brace", with.replacen('}', "", 1)),
    ] {
        case.write(&[1, 2, 3], &wrong)?;
        for node in [THEIRS, OURS] {
            case.reload(node, INVALID_PARAM).context(name)?;
        }
    }
    case.write(&[1, 2, 3], &file)?;
    case.reload(OURS, OK)?;
    keys += case.same_maps("back")?;
    Ok(Outcome::Passed(format!("{keys} keys alike after 4 steps")))
}

struct Case<'a> {
    setup: &'a Setup,
    lab: Lab,
}

impl Case<'_> {
    fn write(&self, nodes: &[u8], text: &str) -> anyhow::Result<()> {
        let script = format!("printf %s \"$1\" > {CONF}");
        for node in nodes {
            self.lab.output(*node, &["sh", "-c", &script, "sh", text])?;
        }
        Ok(())
    }

    /// `corosync-cfgtool -R` on a node, which ends with `expected`.
    fn reload(&self, node: u8, expected: i32) -> anyhow::Result<()> {
        let output = self
            .lab
            .command(node, "corosync-cfgtool")
            .arg("-R")
            .output()?;
        if output.status.code() != Some(expected) {
            let stderr = String::from_utf8_lossy(&output.stderr);
            bail!(
                "corosync-cfgtool -R on node {node} ended with {}: {stderr}",
                output.status
            );
        }
        Ok(())
    }

    /// Waits until both daemons have the same map and the same idea of quorum; how many keys that are.
    fn same_maps(&self, step: &str) -> anyhow::Result<usize> {
        let deadline = Instant::now() + SAME_WITHIN;
        loop {
            let (theirs, ours) = (self.knows(THEIRS)?, self.knows(OURS)?);
            for (who, text) in [("corosync", &theirs), ("ferrosync", &ours)] {
                fs::write(
                    self.setup.dir.join(format!("reload-{step}-{who}.map")),
                    text,
                )?;
            }
            let Some(difference) = difference(&theirs, &ours) else {
                return Ok(theirs.lines().count());
            };
            if Instant::now() >= deadline {
                bail!("step `{step}` left the maps different:\n{difference}");
            }
            thread::sleep(POLL);
        }
    }

    fn knows(&self, node: u8) -> anyhow::Result<String> {
        let map = self.lab.output(node, &["corosync-cmapctl"])?;
        let mut text = compared(&map);
        let quorum = self.lab.output(node, &["corosync-quorumtool", "-s"])?;
        let votes = quorum.lines().filter(|line| line.contains("votes:"));
        for line in votes {
            text.push_str(line);
            text.push('\n');
        }
        Ok(text)
    }
}

/// The lines of a map on which both must agree.
fn compared(map: &str) -> String {
    let mut text = String::new();
    for line in map.lines() {
        let named = |names: &[&str]| names.iter().any(|name| line.starts_with(name));
        if named(&COMPARED) && !named(&DIFFERENT) {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

/// The file without the node of this number.
pub(super) fn without_node(file: &str, node: u8) -> anyhow::Result<String> {
    let id = format!("nodeid: {node}\n");
    let at = file.find(&id).context("the node is in the file")?;
    let start = file[..at].rfind("node {").context("a node is a section")?;
    let end = at + file[at..].find('}').context("a section ends")? + 1;
    Ok(format!("{}{}", &file[..start], &file[end..]))
}

const THEIRS: u8 = 1;
const OURS: u8 = 2;
const CONF: &str = "/etc/corosync/corosync.conf";

/// Exit codes of `corosync-cfgtool -R`.
const OK: i32 = 0;
const INVALID_PARAM: i32 = 7;

const COMPARED: [&str; 8] = [
    "config.",
    "logging.",
    "nodelist.",
    "quorum.",
    "runtime.config.",
    "runtime.members.1.config_version",
    "runtime.votequorum.",
    "totem.",
];

/// What differs from node to node, and in C what follows from the file and is lost, or computed with the token before
/// the reload (`docs/deviations.md`, D-66 and D-67).
const DIFFERENT: [&str; 5] = [
    "nodelist.local_node_pos",
    "runtime.config.totem.interface.",
    "runtime.votequorum.this_node_id",
    "runtime.votequorum.lowest_node_id",
    "totem.interface.0.bindnetaddr",
];

/// Generous: two cores may be shared with a build.
const SAME_WITHIN: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_cut_out_of_the_file() {
        let file =
            "nodelist {\n node {\n  nodeid: 1\n  ring0_addr: a\n }\n node {\n  nodeid: 2\n }\n}\n";
        let expected = "nodelist {\n \n node {\n  nodeid: 2\n }\n}\n";
        assert_eq!(without_node(file, 1).unwrap(), expected);
        assert!(without_node(file, 3).is_err());
    }

    #[test]
    fn what_must_differ_is_not_compared() {
        let map = "nodelist.local_node_pos (u32) = 0\nnodelist.node.0.nodeid (u32) = 1\nruntime.blackbox.x (str) = y\n";
        assert_eq!(compared(map), "nodelist.node.0.nodeid (u32) = 1\n");
    }
}

//! `quorum.provider: corosync_ykd`: which partitions are quorate, on a ring of both daemons.
//!
//! The table says what nodes of corosync decide, their faults included; `cargo xtask interop --corosync all ykd` compares
//! it with them. What a cluster remembers counts, so the rows follow each other.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use super::lab::{Lab, Plan};
use super::qdevice::{parse, side_of};
use super::{Outcome, Setup};

/// One partition, and the nodes that are quorate in the end.
type Row = (&'static str, &'static [u8]);

const ROWS: [Row; 8] = [
    ("1,2,3,4", &[1, 2, 3, 4]),
    // Both halves.
    ("1,2/3,4", &[1, 2, 3, 4]),
    ("1,2,3,4", &[1, 2, 3, 4]),
    ("1/2,3,4", &[2, 3, 4]),
    // Two of the last three.
    ("1/2/3,4", &[3, 4]),
    // One of the last two each.
    ("1,3/2,4", &[1, 2, 3, 4]),
    // Node 2 was with node 4 last, and node 1 with node 3.
    ("1,2/3/4", &[1, 2, 3, 4]),
    ("1,2,3,4", &[1, 2, 3, 4]),
];

/// Goes through the table.
pub(super) fn run(setup: &Setup, name: &str, plan: &Plan) -> anyhow::Result<Outcome> {
    let lab = Lab::start(setup, name, plan)?;
    for (number, (sides, quorate)) in ROWS.iter().enumerate() {
        lab.partition(sides)?;
        let outcome = settle(&lab, sides, quorate);
        if let Err(error) = outcome {
            lab.keep_logs(&setup.dir, name, plan.nodes);
            return Err(error).with_context(|| format!("row {number}, {sides}"));
        }
    }
    let rows = ROWS.len();
    Ok(Outcome::Passed(format!(
        "{rows} partitions decided as corosync decides them"
    )))
}

/// Waits until every node sees its side and these have quorum, for long enough.
fn settle(lab: &Lab, sides: &str, quorate: &[u8]) -> anyhow::Result<()> {
    let sides = parse(sides)?;
    let deadline = Instant::now() + SETTLED_WITHIN;
    let mut since = None;
    loop {
        let mut wrong = Vec::new();
        for node in sides.iter().flatten().copied() {
            let status = lab.status(node)?;
            let members = serde_json::json!(side_of(&sides, node)?);
            if status["members"] != members || status["quorate"] != quorate.contains(&node) {
                wrong.push(format!(
                    "{node}: {} members, quorate: {}",
                    status["members"], status["quorate"]
                ));
            }
        }
        match wrong.as_slice() {
            [] if since.get_or_insert_with(Instant::now).elapsed() >= STAYS_FOR => return Ok(()),
            [] => {}
            _ => since = None,
        }
        if Instant::now() >= deadline {
            bail!("{quorate:?} should be quorate, but {}", wrong.join("; "));
        }
        thread::sleep(POLL);
    }
}

/// Generous: two cores may be shared with a build.
const SETTLED_WITHIN: Duration = Duration::from_secs(60);
/// States and attempts need a few rounds of the token.
const STAYS_FOR: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(200);

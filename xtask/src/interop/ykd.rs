//! `quorum.provider: corosync_ykd`: which partitions are quorate, on a ring of both daemons.
//!
//! The table says what nodes of corosync decide, their faults included; `cargo xtask interop --corosync all ykd` compares
//! it with them. What a cluster remembers counts, so the rows follow each other.

use std::time::Duration;

use anyhow::Context as _;

use super::lab::{Lab, Plan};
use super::sides::{View, settle};
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
        let outcome = settle(sides, quorate, 1..=plan.nodes, STAYS_FOR, |node| {
            view(&lab, node)
        });
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

/// What a node knows.
fn view(lab: &Lab, node: u8) -> Option<View> {
    let status = lab.status(node).ok()?;
    let members = status["members"].as_array()?.iter();
    Some(View {
        members: members
            .map(|id| u8::try_from(id.as_u64()?).ok())
            .collect::<Option<_>>()?,
        quorate: status["quorate"].as_bool()?,
    })
}

/// States and attempts need a few rounds of the token.
const STAYS_FOR: Duration = Duration::from_secs(2);

//! The flight recorder: `corosync-blackbox` dumps and prints it, on corosync and on our daemon alike; and when ours is
//! killed, the next one saves what it recorded.

use anyhow::{Context as _, bail};

use super::lab::{DaemonVerb, Lab, Peers, Plan};
use super::wait::wait_for;
use super::{Outcome, Setup};
use crate::process;

/// Dumps on both daemons, then kills ours.
pub(super) fn run(setup: &Setup) -> anyhow::Result<Outcome> {
    let theirs = Lab::start(setup, "blackbox-corosync", &plan(Peers::ALL))?;
    let theirs = dumped(&theirs)?;
    let lab = Lab::start(setup, "blackbox-ferrosync", &plan(Peers::NONE))?;
    let ours = dumped(&lab)?;
    switched(&lab)?;
    killed(&lab)?;
    Ok(Outcome::Passed(format!(
        "{theirs} records of corosync and {ours} of ours read"
    )))
}

/// What keeps the case from running on this machine, if anything.
pub(super) fn missing() -> Option<String> {
    let missing = process::find(PRINT).is_none();
    missing.then(|| format!("{PRINT} is not installed (Debian package libqb-tools)"))
}

/// Has a daemon dump what it recorded; how many records there are.
fn dumped(lab: &Lab) -> anyhow::Result<usize> {
    lab.output(NODE, &["corosync-cmapctl", "-s", GATHER, "str", "yes"])?;
    let text = lab.output(NODE, &["corosync-blackbox"])?;
    let count = records(&text)?;
    let link = lab.output(NODE, &["readlink", FDATA])?;
    let (_, name) = link.trim().rsplit_once('/').context("an absolute path")?;
    // fdata-2026-01-31T23:59:59-4711
    let shape: String = name
        .chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect();
    if !shape.starts_with("fdata-0000-00-00T00:00:00-0") {
        bail!("a dump is called {name}");
    }
    Ok(count)
}

/// Counts the records that the printed dump holds, among which must be what was caused, and debug lines, which no other
/// target has.
fn records(text: &str) -> anyhow::Result<usize> {
    let with = |start: &str, part: &str| {
        let mut lines = text.lines();
        lines.any(|line| line.starts_with(start) && line.contains(part))
    };
    let expected = with("error   ", "): Forcing into GATHER state")
        || with("error   ", ": Forcing into GATHER state");
    if !expected || !with("debug   ", "entering GATHER state") {
        bail!("records are missing in what was printed:\n{text:.2000}");
    }
    Ok(text.lines().count())
}

/// Switches the recorder off and on.
fn switched(lab: &Lab) -> anyhow::Result<()> {
    let set = |value| {
        lab.output(
            NODE,
            &["corosync-cmapctl", "-s", "logging.blackbox", "str", value],
        )
    };
    set("off")?;
    let files = || lab.output(NODE, &["ls", "/dev/shm"]);
    if files()?.contains(RECORDER) {
        bail!("the recorder is off and its memory is not");
    }
    let dump = ["corosync-cmapctl", "-s", DUMP, "str", "while off"];
    lab.output(NODE, &dump)?;
    wait_for("a complaint", || said(lab, "Can't store blackbox file"))?;
    set("on")?;
    if !files()?.contains(RECORDER) {
        bail!("the recorder is on and has no memory");
    }
    Ok(())
}

/// Ends the daemon as crashes end it, starts it again, and reads what it had recorded.
fn killed(lab: &Lab) -> anyhow::Result<()> {
    for (number, signal) in ["KILL", "SEGV", "ABRT"].iter().enumerate() {
        lab.output(NODE, &["corosync-cmapctl", "-s", GATHER, "str", "yes"])?;
        lab.output(NODE, &["rm", FDATA])?;
        // Rust's handler of SIGSEGV takes the first one for a stack that overflowed, and returns to where it happens again.
        let kill = format!(
            "pid=$(cat /run/corosync.pid); while kill -{signal} $pid 2>/dev/null; do sleep 0.1; done"
        );
        lab.output(NODE, &["sh", "-c", &kill])?;
        wait_for("the end", || Ok(!lab.status(NODE)?["ended"].is_null()))?;
        lab.daemon(DaemonVerb::Start, NODE)?;
        lab.wait(&[NODE])?;
        let last = "ended without a word, its flight recorder is saved in /var/lib/corosync/fdata-";
        wait_for("a line about it", || Ok(times_said(lab, last)? > number))?;
        let text = lab.output(NODE, &[PRINT, FDATA])?;
        records(&text).with_context(|| format!("what was recorded before SIG{signal}"))?;
    }
    // An orderly end leaves nothing to be found.
    lab.daemon(DaemonVerb::Shutdown, NODE)?;
    wait_for("the end", || {
        Ok(!lab.output(NODE, &["ls", "/dev/shm"])?.contains(RECORDER))
    })
}

fn said(lab: &Lab, text: &str) -> anyhow::Result<bool> {
    Ok(times_said(lab, text)? > 0)
}

fn times_said(lab: &Lab, text: &str) -> anyhow::Result<usize> {
    let log = lab.output(NODE, &["cat", "/var/log/corosync/corosync.log"])?;
    Ok(log.matches(text).count())
}

const fn plan(corosync: Peers) -> Plan {
    Plan::new(1, corosync, "udpu")
}

const NODE: u8 = 1;
const GATHER: &str = "runtime.force_gather";
const DUMP: &str = "runtime.blackbox.dump_flight_data";
/// The name that leads to the last dump.
const FDATA: &str = "/var/lib/corosync/fdata";
/// What our recorder's memory is called, before the process id.
const RECORDER: &str = "ferrosync-blackbox-";
/// libqb's program, which `corosync-blackbox` uses.
const PRINT: &str = "qb-blackbox";

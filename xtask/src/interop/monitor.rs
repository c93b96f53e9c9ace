//! The services `mon` and `wd` with a file in the place of a watchdog: both daemons say the same of the same history, and
//! both put the dog to sleep when they leave in order.

use std::fs;

use anyhow::bail;

use super::calls::difference;
use super::lab::{DaemonVerb, Lab, Peers, Plan};
use super::wait::wait_for;
use super::{Outcome, Setup};

/// Compares what the services say.
pub(super) fn run(setup: &Setup) -> anyhow::Result<Outcome> {
    let theirs = history(setup, "monitor-corosync", Peers::ALL)?;
    let ours = history(
        setup,
        "monitor-asked",
        setup.corosync.unwrap_or(Peers::NONE),
    )?;
    match difference(&theirs, &ours) {
        None => Ok(Outcome::Passed(format!(
            "{} lines alike",
            theirs.lines().count()
        ))),
        Some(difference) => bail!("the services say different things:\n{difference}"),
    }
}

/// More memory is in use than the limit allows, which nothing follows from. A process says that it has failed.
fn history(setup: &Setup, name: &str, corosync: Peers) -> anyhow::Result<String> {
    let plan = Plan {
        settings: &[
            "resources.watchdog_device=/run/dog",
            "resources.watchdog_timeout=4",
            "resources.system.memory_used.max=0",
            "resources.system.memory_used.recovery=none",
        ],
        ..Plan::new(1, corosync, "udpu")
    };
    let lab = Lab::start(setup, name, &plan)?;
    wait_for("a complaint about the device", || {
        said(&lab, "try modprobe")
    })?;
    lab.daemon(DaemonVerb::Shutdown, NODE)?;
    wait_for("the end", || said(&lab, "exiting normally"))?;
    lab.output(
        NODE,
        &["sh", "-c", "> /run/dog; > /var/log/corosync/corosync.log"],
    )?;
    lab.daemon(DaemonVerb::Start, NODE)?;
    lab.wait(&[NODE])?;
    for (key, kind, value) in [
        ("recovery", "str", "ignore"),
        ("poll_period", "u64", "1000"),
        ("last_updated", "u64", "1"),
        ("state", "str", "running"),
    ] {
        let key = format!("resources.process.7.{key}");
        lab.output(NODE, &["corosync-cmapctl", "-s", &key, kind, value])?;
    }
    wait_for("the failures", || {
        Ok(said(&lab, "\"7\" failed!")? && said(&lab, "\"memory_used\" failed!")?)
    })?;
    lab.output(
        NODE,
        &["corosync-cmapctl", "-d", "resources.process.7.state"],
    )?;
    let timeout = [
        "corosync-cmapctl",
        "-s",
        "resources.watchdog_timeout",
        "u32",
        "500",
    ];
    lab.output(NODE, &timeout)?;
    let map = lab.output(NODE, &["corosync-cmapctl", "resources."])?;
    lab.daemon(DaemonVerb::Shutdown, NODE)?;
    wait_for("the last tickle", || {
        Ok(lab.output(NODE, &["cat", "/run/dog"])?.ends_with('V'))
    })?;
    let log = lab.output(NODE, &["cat", "/var/log/corosync/corosync.log"])?;
    let text = told(&log) + &states(&map);
    fs::write(setup.dir.join(format!("{name}.lines")), &text)?;
    Ok(text)
}

/// What the services said, each thing once and in no order: both watch at their own times.
fn told(log: &str) -> String {
    let text = |line: &str| {
        let at = line.find("[MON   ]").or_else(|| line.find("[WD    ]"))?;
        // How late somebody is, is a matter of time.
        let late = line.contains("ms too late");
        Some(if late {
            "late\n".to_owned()
        } else {
            format!("{}\n", &line[at..])
        })
    };
    let lines: std::collections::BTreeSet<String> = log.lines().filter_map(text).collect();
    lines.into_iter().collect()
}

/// The keys of the services without figures and times.
fn states(map: &str) -> String {
    let lines = map.lines().filter_map(|line| {
        let (key, value) = line.split_once(" = ")?;
        let figure = key.contains(".current ") || key.contains(".last_updated ");
        Some(if figure {
            format!("{key}\n")
        } else {
            format!("{key} = {value}\n")
        })
    });
    lines.collect()
}

fn said(lab: &Lab, text: &str) -> anyhow::Result<bool> {
    let log = lab.output(NODE, &["cat", "/var/log/corosync/corosync.log"])?;
    Ok(log.contains(text))
}

const NODE: u8 = 1;

#[cfg(test)]
mod tests {
    use super::{states, told};

    #[test]
    fn what_is_said_twice_or_at_another_time_is_the_same() {
        let log = "x [WD    ] b\nx [MAIN  ] c\ny [MON   ] a\nz [WD    ] b\nz [WD    ] last_updated 5 ms too late\n";
        assert_eq!(told(log), "[MON   ] a\n[WD    ] b\nlate\n");
    }

    #[test]
    fn figures_do_not_count_and_states_do() {
        let map = "resources.system.memory_used.current (u32) = 5\n\
                   resources.system.memory_used.state (str) = failed\n";
        assert_eq!(
            states(map),
            "resources.system.memory_used.current (u32)\nresources.system.memory_used.state (str) = failed\n"
        );
    }
}

//! The figures of one daemon in one run.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use super::ring::Priority;
use super::{Args, NODES};
use crate::interop::Setup;
use crate::interop::lab::{DaemonVerb, Lab};

/// What a figure counts, and which way is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Metric {
    /// Messages a second, one sender, bodies of this many bytes.
    Throughput(u32),
    /// Microseconds from sending 64 bytes to the own delivery: the median.
    LatencyP50,
    /// The same: 99 of 100 are faster.
    LatencyP99,
    /// Processor time of all daemons of an idle cluster, in thousandths of one processor.
    IdleCpu,
    /// Resident memory of the sender's daemon after the load, in KiB.
    SenderMemory,
    /// Resident memory of the largest other daemon after the load, in KiB.
    OtherMemory,
    /// Milliseconds from SIGKILL of a node to the new membership at a survivor.
    KillToMembership,
}

/// Which direction of a figure is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Better {
    Higher,
    Lower,
}

impl Metric {
    /// What tables and files call it, with its unit.
    pub(super) fn label(self) -> String {
        match self {
            Self::Throughput(size) => format!("throughput {size} B, messages/s"),
            Self::LatencyP50 => "latency 64 B p50, us".into(),
            Self::LatencyP99 => "latency 64 B p99, us".into(),
            Self::IdleCpu => "idle processor time, 1/1000".into(),
            Self::SenderMemory => "memory of the sender, KiB".into(),
            Self::OtherMemory => "memory of the others, KiB".into(),
            Self::KillToMembership => "kill to new membership, ms".into(),
        }
    }

    /// Which direction is good.
    pub(super) fn better(self) -> Better {
        match self {
            Self::Throughput(_) => Better::Higher,
            Self::LatencyP50
            | Self::LatencyP99
            | Self::IdleCpu
            | Self::SenderMemory
            | Self::OtherMemory
            | Self::KillToMembership => Better::Lower,
        }
    }
}

/// The figures of one run.
pub(super) type Measured = BTreeMap<Metric, f64>;

/// Takes every figure; the last one costs the lab a node.
pub(super) fn all(setup: &Setup, lab: &Lab, args: &Args) -> anyhow::Result<Measured> {
    let mut measured = Measured::new();
    measured.insert(Metric::IdleCpu, idle_cpu(lab, args.idle)?);
    let latency = probe(setup, lab, &["latency", "64", LATENCY_COUNT])?;
    measured.insert(Metric::LatencyP50, value(&latency, "p50")?);
    measured.insert(Metric::LatencyP99, value(&latency, "p99")?);
    for size in SIZES {
        let (bytes, seconds) = (size.to_string(), args.seconds.to_string());
        let line = probe(setup, lab, &["throughput", &bytes, &seconds])?;
        measured.insert(Metric::Throughput(size), value(&line, "msgs_per_s")?);
    }
    measured.insert(Metric::SenderMemory, resident_kib(lab, 1)?);
    let mut others: f64 = 0.0;
    for node in 2..=NODES {
        others = others.max(resident_kib(lab, node)?);
    }
    measured.insert(Metric::OtherMemory, others);
    measured.insert(Metric::KillToMembership, kill_to_membership(lab)?);
    Ok(measured)
}

fn probe(setup: &Setup, lab: &Lab, arguments: &[&str]) -> anyhow::Result<String> {
    let program = setup.clients.program("cpg_probe");
    let program = program.to_string_lossy();
    let mut argv = vec![program.as_ref()];
    argv.extend(arguments);
    let line = lab.output(1, &argv)?;
    println!("  {}", line.trim());
    Ok(line)
}

/// The number of `key=number` in a line of such pairs.
fn value(line: &str, key: &str) -> anyhow::Result<f64> {
    let pair = line
        .split_whitespace()
        .filter_map(|pair| pair.split_once('='))
        .find(|(name, _)| *name == key);
    let (_, number) = pair.with_context(|| format!("no {key} in `{}`", line.trim()))?;
    number.parse().with_context(|| format!("{key}={number}"))
}

/// A file of the daemon's directory in /proc; both daemons write the same process id file.
fn daemon_file(lab: &Lab, node: u8, name: &str) -> anyhow::Result<String> {
    let script = format!("cat /proc/$(cat /run/corosync.pid)/{name}");
    lab.output(node, &["sh", "-c", &script])
}

fn resident_kib(lab: &Lab, node: u8) -> anyhow::Result<f64> {
    let status = daemon_file(lab, node, "status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let words = line.context("no VmRSS")?;
    let number = words.split_whitespace().next().context("no VmRSS")?;
    Ok(number.parse()?)
}

/// Clock ticks that all daemons have used together.
fn ticks(lab: &Lab) -> anyhow::Result<f64> {
    let mut sum = 0.0;
    for node in 1..=NODES {
        sum += ticks_of_stat(&daemon_file(lab, node, "stat")?)?;
    }
    Ok(sum)
}

/// Fails unless the kernel runs every daemon as it should be measured: both go on with a warning where they may not
/// have real-time priority.
pub(super) fn check_priority(lab: &Lab, priority: Priority) -> anyhow::Result<()> {
    for node in 1..=NODES {
        let real_time = is_real_time(&daemon_file(lab, node, "stat")?)?;
        if real_time != (priority == Priority::RealTime) {
            bail!("node {node} should have {priority:?} priority; real-time: {real_time}");
        }
    }
    Ok(())
}

/// Whether the scheduling policy, the 41st field of proc_pid_stat(5), is another than SCHED_OTHER.
fn is_real_time(stat: &str) -> anyhow::Result<bool> {
    Ok(stat_field(stat, 41)? > 0.0)
}

/// The ticks of utime and stime, the 14th and 15th field.
fn ticks_of_stat(stat: &str) -> anyhow::Result<f64> {
    Ok(stat_field(stat, 14)? + stat_field(stat, 15)?)
}

/// A field of proc_pid_stat(5), counted from 1; the second one may contain blanks.
fn stat_field(stat: &str, number: usize) -> anyhow::Result<f64> {
    let (_, rest) = stat.rsplit_once(')').context("no name in stat")?;
    let field = rest.split_whitespace().nth(number - 3);
    Ok(field.context("stat is short")?.parse()?)
}

fn idle_cpu(lab: &Lab, seconds: u32) -> anyhow::Result<f64> {
    let before = ticks(lab)?;
    thread::sleep(Duration::from_secs(seconds.into()));
    let used = (ticks(lab)? - before) / TICKS_PER_SECOND;
    Ok(used / f64::from(seconds.max(1)) * 1000.0)
}

fn kill_to_membership(lab: &Lab) -> anyhow::Result<f64> {
    let start = Instant::now();
    lab.daemon(DaemonVerb::Kill, NODES)?;
    let wanted = usize::from(NODES) - 1;
    while start.elapsed() < MEMBERSHIP_WITHIN {
        // A daemon that is forming a ring may answer with an error.
        let seen = lab
            .output(1, &["corosync-quorumtool", "-s"])
            .unwrap_or_default();
        if nodes_of_quorumtool(&seen) == Some(wanted) {
            return Ok(start.elapsed().as_secs_f64() * 1000.0);
        }
        thread::sleep(POLL);
    }
    bail!("no new membership within {MEMBERSHIP_WITHIN:?}")
}

fn nodes_of_quorumtool(text: &str) -> Option<usize> {
    let line = text.lines().find_map(|line| line.strip_prefix("Nodes:"))?;
    line.trim().parse().ok()
}

/// Bodies of the throughput figures, in bytes.
const SIZES: [u32; 5] = [64, 1024, 8192, 65_536, 1_000_000];
const LATENCY_COUNT: &str = "2000";
/// USER_HZ is 100 on every architecture Debian has.
const TICKS_PER_SECOND: f64 = 100.0;
const MEMBERSHIP_WITHIN: Duration = Duration::from_secs(60);
/// A tenth of the shortest membership change there is.
const POLL: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_the_probe_are_found_by_name() {
        let line = "mode=latency size=64 p50=152 p99=349.5\n";
        assert_eq!(value(line, "p99").unwrap(), 349.5);
        assert!(value(line, "p9").is_err());
        assert!(value(line, "mode").is_err());
    }

    #[test]
    fn fields_of_stat_are_counted_whatever_the_name() {
        let stat = "7 (a (b) c) S 1 2 3 4 5 6 7 8 9 10 30 12 0 0 20 0";
        assert_eq!(ticks_of_stat(stat).unwrap(), 42.0);
        let more = format!("{stat}{} ", " 0".repeat(21));
        assert!(is_real_time(&(more.clone() + "2 0")).unwrap());
        assert!(!is_real_time(&(more + "0 9")).unwrap());
        assert!(ticks_of_stat("7 (a) S 1 2").is_err());
    }

    #[test]
    fn the_number_of_nodes_is_read() {
        assert_eq!(
            nodes_of_quorumtool("Date: x\nNodes:            2\n"),
            Some(2)
        );
        assert_eq!(
            nodes_of_quorumtool("Cannot initialize CMAP service\n"),
            None
        );
    }
}

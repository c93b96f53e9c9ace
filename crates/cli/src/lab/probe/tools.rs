//! Asks the daemon through Debian's tools, which speak to both daemons.

use std::io::Read as _;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::{Probe, Seen};

const QUORUMTOOL: &str = "/usr/sbin/corosync-quorumtool";
const CMAPCTL: &str = "/usr/sbin/corosync-cmapctl";
const CPGTOOL: &str = "/usr/sbin/corosync-cpgtool";

/// Time for a tool to answer. A daemon that is stopped accepts connections and says nothing.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);
/// Most output that is read of a tool.
const OUTPUT_MAX: u64 = 1024 * 1024;

/// The tools of this machine.
pub(super) struct Tools(());

impl Tools {
    /// The tools, if they are here.
    pub(super) fn find() -> Option<Self> {
        let all = [QUORUMTOOL, CMAPCTL, CPGTOOL];
        all.iter()
            .all(|tool| Path::new(tool).exists())
            .then_some(Self(()))
    }
}

impl Probe for Tools {
    fn look(&mut self) -> Result<Seen> {
        // Without quorum its exit code is not 0.
        let mut seen = quorum_status(&output(QUORUMTOOL, &["-s"])?)
            .context("corosync-quorumtool gave no status")?;
        // The groups and counters are only for show.
        seen.groups = output(CPGTOOL, &["-n"]).map_or(0, |text| count_lines(&text));
        seen.delivered = output(CMAPCTL, &["-g", "runtime.services.cpg.3.rx"])
            .ok()
            .and_then(|text| cmap_value(&text))
            .unwrap_or_default();
        seen.frames = output(CMAPCTL, &["-m", "stats", "-g", "stats.srp.mcast_rx"])
            .ok()
            .and_then(|text| cmap_value(&text))
            .unwrap_or_default();
        Ok(seen)
    }
}

/// Runs a tool and takes its output, whatever its exit code.
fn output(tool: &str, arguments: &[&str]) -> Result<String> {
    let mut child = Command::new(tool)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("cannot run {tool}"))?;
    let text = read_within(&mut child, Instant::now() + ANSWER_WITHIN);
    // One that has ended already is not harmed.
    let _ = child.kill();
    child.wait()?;
    text.with_context(|| tool.to_owned())
}

fn read_within(child: &mut Child, deadline: Instant) -> Result<String> {
    let mut stdout = child.stdout.take().ok_or_else(|| anyhow!("no pipe"))?;
    let mut text = Vec::new();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let mut ready = [PollFd::new(stdout.as_fd(), PollFlags::POLLIN)];
        if poll(
            &mut ready,
            PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX),
        )? == 0
        {
            bail!("the daemon does not answer");
        }
        let mut chunk = [0; 4096];
        let len = stdout.read(&mut chunk)?;
        if len == 0 {
            return Ok(String::from_utf8_lossy(&text).into_owned());
        }
        text.extend_from_slice(&chunk[..len]);
        if text.len() as u64 > OUTPUT_MAX {
            bail!("output beyond {OUTPUT_MAX} bytes");
        }
    }
}

/// What `corosync-quorumtool -s` prints: `Ring ID:`, `Quorate:`, and a table of members after `Nodeid`.
fn quorum_status(text: &str) -> Option<Seen> {
    let value = |name: &str| {
        let mut values = text.lines().filter_map(|line| line.strip_prefix(name));
        values.next().map(str::trim)
    };
    let table = text
        .lines()
        .skip_while(|line| line.split_whitespace().next() != Some("Nodeid"));
    let members = table
        .skip(1)
        .filter_map(|line| line.split_whitespace().next()?.parse().ok());
    Some(Seen {
        ring: value("Ring ID:")?.to_owned(),
        quorate: value("Quorate:")? == "Yes",
        members: members.collect(),
        ..Seen::default()
    })
}

/// The number in `key (u64) = 12`.
fn cmap_value(text: &str) -> Option<u64> {
    text.split_once(" = ")?.1.trim().parse().ok()
}

fn count_lines(text: &str) -> u32 {
    let lines = text.lines().filter(|line| !line.trim().is_empty()).count();
    u32::try_from(lines).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_has_members_ring_and_quorum() {
        let text = "Quorum information\n------------------\nNodes:            2\nNode ID:          3\n\
                    Ring ID:          1.2a\nQuorate:          No\n\nMembership information\n\
                    ----------------------\n    Nodeid      Votes    Qdevice Name\n         \
                    1          1         NR node1\n         3          1         NR node3 (local)\n         \
                    0          1            Qdevice\n";
        let seen = quorum_status(text).expect("a status");
        assert_eq!(seen.members.to_string(), "1,3");
        assert_eq!((seen.ring.as_str(), seen.quorate), ("1.2a", false));
        assert_eq!(quorum_status("Cannot initialize QUORUM service\n"), None);
        assert_eq!(quorum_status(""), None);
    }

    #[test]
    fn a_cmap_value_is_the_number_after_the_equals_sign() {
        assert_eq!(cmap_value("stats.srp.mcast_rx (u64) = 17\n"), Some(17));
        assert_eq!(
            cmap_value("Can't get key x. Error CS_ERR_NOT_EXIST\n"),
            None
        );
    }

    #[test]
    fn a_tool_that_says_nothing_is_not_waited_for() {
        let mut child = Command::new("sleep")
            .arg("600")
            .stdout(Stdio::piped())
            .spawn()
            .expect("sleep");
        let error = read_within(&mut child, Instant::now()).expect_err("nothing to read");
        assert!(error.to_string().contains("does not answer"));
        child.kill().expect("ours");
        child.wait().expect("ended");
    }
}

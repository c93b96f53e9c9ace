//! Reads the daemon's log: enough to see members, ring and quorum on a machine without any tools.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use anyhow::{Context as _, Result, bail};

use super::{Probe, Seen};
use crate::lab::mounts::LOG_FILE;

/// The log as far as it was read.
#[derive(Debug, Default)]
pub(super) struct Log {
    offset: u64,
    /// The line under way.
    partial: Vec<u8>,
    seen: Option<Seen>,
}

/// Most of a log that is read at one look; the rest waits for the next.
const READ_MAX: usize = 4 * 1024 * 1024;

impl Probe for Log {
    fn look(&mut self) -> Result<Seen> {
        let file = File::open(LOG_FILE).context("the daemon has not logged yet")?;
        let mut chunk = vec![0; 64 * 1024];
        for _ in 0..READ_MAX / chunk.len() {
            let len = file.read_at(&mut chunk, self.offset)?;
            if len == 0 {
                break;
            }
            self.offset += len as u64;
            self.partial.extend_from_slice(&chunk[..len]);
            while let Some(end) = self.partial.iter().position(|byte| *byte == b'\n') {
                let rest = self.partial.split_off(end + 1);
                let line = std::mem::replace(&mut self.partial, rest);
                self.take(&String::from_utf8_lossy(&line));
            }
        }
        match &self.seen {
            Some(seen) if !seen.ring.is_empty() => Ok(seen.clone()),
            Some(_) | None => bail!("the daemon has no membership yet"),
        }
    }
}

impl Log {
    /// Takes note of a line. Wording: corosync `main.c:main`, `main.c:corosync_exit_error`, `totemsrp.c:memb_state_operational_enter`,
    /// `vsf_quorum.c:quorum_api_set_quorum` and `log_view_list` (v3.1.7).
    fn take(&mut self, line: &str) {
        let line = line.trim_end();
        let after = |words: &str| line.split_once(words).map(|(_, rest)| rest);
        if after("Corosync Cluster Engine ").is_some_and(|rest| rest.ends_with("starting up")) {
            self.seen = Some(Seen::default());
        }
        if after("Corosync Cluster Engine exiting").is_some() {
            self.seen = None;
        }
        let Some(seen) = &mut self.seen else {
            return;
        };
        if let Some(rest) = after("A new membership (") {
            seen.ring = rest.split(')').next().unwrap_or_default().to_owned();
        } else if let Some(rest) = after("[QUORUM] Members[") {
            let members = rest.split_once("]:").map_or("", |(_, list)| list);
            let members = members
                .split_whitespace()
                .filter_map(|word| word.parse().ok());
            seen.members = members.collect();
        } else if after("This node is within the primary component").is_some() {
            seen.quorate = true;
        } else if after("This node is within the non-primary component").is_some() {
            seen.quorate = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_tells_members_ring_and_quorum() {
        let mut log = Log::default();
        let mut read = |lines: &[&str]| {
            for line in lines {
                log.take(line);
            }
            log.seen.clone()
        };
        let formed = read(&[
            "x [QUORUM] Members[1]: 7",
            "Nov 22 notice  [MAIN  ] Corosync Cluster Engine 3.1.7 starting up",
            "Nov 22 notice  [TOTEM ] A new membership (1.c) was formed. Members joined: 2 3",
            "Nov 22 notice  [QUORUM] This node is within the primary component and will provide service.",
            "Nov 22 notice  [QUORUM] Members[3]: 1 2 3",
        ]);
        let seen = formed.expect("started");
        assert_eq!(
            (
                seen.members.to_string().as_str(),
                seen.ring.as_str(),
                seen.quorate
            ),
            ("1,2,3", "1.c", true)
        );
        let lost = read(&[
            "notice  [TOTEM ] A new membership (3.10) was formed. Members left: 1 2",
            "notice  [QUORUM] This node is within the non-primary component and will NOT provide any services.",
            "notice  [QUORUM] Members[1]: 3",
        ]);
        let seen = lost.expect("running");
        assert_eq!(
            (
                seen.members.to_string().as_str(),
                seen.ring.as_str(),
                seen.quorate
            ),
            ("3", "3.10", false)
        );
        assert_eq!(
            read(&["notice  [MAIN  ] Corosync Cluster Engine exiting normally"]),
            None
        );
    }
}

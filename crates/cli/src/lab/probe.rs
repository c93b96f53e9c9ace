//! Looks at a node's daemon from inside the node, and reports to the lab.

use std::thread::sleep;
use std::time::Duration;

use anyhow::Result;

use super::node::tell;
use super::report::{Report, Seen};
use crate::args::NodeArgs;

mod log;
mod tools;

/// A way to ask a daemon how it is.
trait Probe {
    /// Asks, within a few seconds. An error says why the daemon did not answer.
    fn look(&mut self) -> Result<Seen>;
}

/// Looks again and again until the node ends, which ends this process too.
pub(super) fn run(args: &NodeArgs) -> Result<()> {
    let mut probe = choose();
    let mut last = None;
    loop {
        let report = match probe.look() {
            Ok(seen) => Report::Seen(seen),
            Err(error) => Report::Unseen(format!("{error:#}")),
        };
        // What delivers nothing and changes nothing need not be repeated.
        if last.as_ref() != Some(&report) {
            tell(&report)?;
            last = Some(report);
        }
        sleep(Duration::from_millis(args.probe_ms));
    }
}

/// Debian's tools ask the daemon itself; without them its log tells the most important.
fn choose() -> Box<dyn Probe> {
    match tools::Tools::find() {
        Some(tools) => Box::new(tools),
        None => Box::new(log::Log::default()),
    }
}

//! Waiting for what a daemon does in its own time.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::bail;

/// Waits until something is there; an error names it.
pub(super) fn wait_for(
    what: &str,
    mut there: impl FnMut() -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    let deadline = Instant::now() + WITHIN;
    while !there()? {
        if Instant::now() >= deadline {
            bail!("{what} did not come");
        }
        thread::sleep(POLL);
    }
    Ok(())
}

/// Generous: two cores may be shared with a build.
const WITHIN: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(100);

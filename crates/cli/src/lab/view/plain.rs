//! Lines, for a pipe, a file or a log.

use std::io::{self, Write as _};
use std::time::Duration;

use super::super::cluster::Node;
use super::Picture;

/// Prints to standard output.
#[derive(Default)]
pub(in crate::lab) struct Plain {
    rates_at: Duration,
}

/// Time between two lines on message rates.
const RATES_EVERY: Duration = Duration::from_secs(10);

impl Plain {
    pub(super) fn note(&self, elapsed: Duration, text: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        writeln!(out, "[{:9.3}] {text}", elapsed.as_secs_f64())?;
        out.flush()
    }

    /// Rates change all the time: a line now and then is enough.
    pub(super) fn show(&mut self, picture: &Picture<'_>) -> io::Result<()> {
        if picture.elapsed.saturating_sub(self.rates_at) >= RATES_EVERY {
            self.rates_at = picture.elapsed;
            self.note(picture.elapsed, &rates(picture.nodes))?;
        }
        Ok(())
    }
}

fn rates(nodes: &[Node]) -> String {
    let rate = |node: &Node| {
        let rates = node.rates;
        format!("{}: {}/{}", node.number, rates.delivered, rates.frames)
    };
    let nodes: Vec<String> = nodes.iter().map(rate).collect();
    format!("messages/frames per second  {}", nodes.join("  "))
}

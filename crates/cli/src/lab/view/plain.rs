//! Lines, for a pipe, a file or a log.

use std::io::{self, Write as _};
use std::time::Duration;

use super::super::cluster::Node;
use super::{Picture, quorum};

/// Remembers what was said, to say only what is new.
#[derive(Default)]
pub(in crate::lab) struct Plain {
    said: Vec<String>,
    sides: Option<String>,
    rates_at: Duration,
}

/// Time between two lines on message rates.
const RATES_EVERY: Duration = Duration::from_secs(10);

impl Plain {
    pub(super) fn note(&mut self, elapsed: Duration, text: &str) -> io::Result<()> {
        say(elapsed, text)
    }

    pub(super) fn show(&mut self, picture: &Picture<'_>) -> io::Result<()> {
        let sides = picture.sides.map(ToString::to_string);
        if sides != self.sides {
            let text = match &sides {
                Some(sides) => format!("network cut into {sides}"),
                None => "network whole".to_owned(),
            };
            say(picture.elapsed, &text)?;
            self.sides = sides;
        }
        self.said.resize(picture.nodes.len(), String::new());
        for (node, said) in picture.nodes.iter().zip(&mut self.said) {
            let text = describe(node);
            if *said != text {
                say(picture.elapsed, &text)?;
                *said = text;
            }
        }
        if picture.elapsed.saturating_sub(self.rates_at) >= RATES_EVERY {
            self.rates_at = picture.elapsed;
            say(picture.elapsed, &rates(picture.nodes))?;
        }
        Ok(())
    }
}

fn describe(node: &Node) -> String {
    let state = &node.state;
    match &node.seen {
        Some(seen) => format!(
            "node {} {state}: members {} ring {} quorum {} groups {}",
            node.number,
            seen.members,
            seen.ring,
            quorum(seen.quorate),
            seen.groups
        ),
        None => format!("node {} {state}", node.number),
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

fn say(elapsed: Duration, text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "[{:9.3}] {text}", elapsed.as_secs_f64())?;
    out.flush()
}

//! What an onlooker sees: a screen that is redrawn, or plain lines on every change.

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use serde_json::json;

use super::cluster::Node;
use super::node::word;
use super::plan::Groups;

mod plain;
mod screen;

/// The lab at a moment.
pub(super) struct Picture<'a> {
    pub(super) name: &'a str,
    pub(super) nodes: &'a [Node],
    pub(super) sides: Option<&'a Groups>,
    pub(super) elapsed: Duration,
    pub(super) formed: Option<Duration>,
}

/// One of the two ways to show it.
pub(super) enum View {
    Plain(plain::Plain),
    Screen(screen::Screen),
}

/// Whether the onlooker may have a screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Screen,
    Plain,
}

impl View {
    /// A screen where there is a terminal to draw and to type on, unless plain lines were asked for.
    pub(super) fn open(style: Style) -> io::Result<Self> {
        let terminal = io::stdout().is_terminal() && io::stdin().is_terminal();
        if terminal && style == Style::Screen {
            Ok(Self::Screen(screen::Screen::open()?))
        } else {
            Ok(Self::Plain(plain::Plain::default()))
        }
    }

    /// Whether standard input is a keyboard for this view.
    pub(super) fn wants_keys(&self) -> bool {
        matches!(self, Self::Screen(_))
    }

    /// Shows a line of text. Fails if there is nobody to read it any more.
    pub(super) fn note(&mut self, elapsed: Duration, text: &str) -> io::Result<()> {
        match self {
            Self::Plain(plain) => plain.note(elapsed, text),
            Self::Screen(screen) => {
                screen.note(elapsed, text);
                Ok(())
            }
        }
    }

    /// Shows the lab as it is now. Fails if there is nobody to see it any more.
    pub(super) fn show(&mut self, picture: &Picture<'_>) -> io::Result<()> {
        match self {
            Self::Plain(plain) => plain.show(picture),
            Self::Screen(screen) => screen.show(picture),
        }
    }
}

/// The status as a table.
pub(super) fn status_text(picture: &Picture<'_>) -> String {
    let mut lines = vec![headline(picture)];
    lines.extend(table(picture.nodes));
    lines.join("\n") + "\n"
}

/// The status for programs, on one line.
pub(super) fn status_json(picture: &Picture<'_>) -> String {
    let node = |node: &Node| {
        let seen = node.seen.as_ref();
        json!({
            "number": node.number.get(),
            "daemon": word(&node.daemon),
            "state": node.state.word(),
            "ended": node.state.how_ended(),
            "link": word(&node.link),
            "members": seen.map(|seen| seen.members.iter().map(|node| node.get()).collect::<Vec<_>>()),
            "ring": seen.map(|seen| &seen.ring),
            "quorate": seen.map(|seen| seen.quorate),
            "groups": seen.map(|seen| seen.groups),
            "delivered": seen.map(|seen| seen.delivered),
            "frames": seen.map(|seen| seen.frames),
            "delivered_per_second": node.rates.delivered,
            "frames_per_second": node.rates.frames,
        })
    };
    let status = json!({
        "name": picture.name,
        "elapsed_ms": ms(picture.elapsed),
        "formed_after_ms": picture.formed.map(ms),
        "partition": picture.sides.map(ToString::to_string),
        "nodes": picture.nodes.iter().map(node).collect::<Vec<_>>(),
    });
    format!("{status}\n")
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn headline(picture: &Picture<'_>) -> String {
    let network = match picture.sides {
        Some(sides) => format!("cut into {sides}"),
        None => "whole".to_owned(),
    };
    format!(
        "lab `{}`   {:.0} s   network {network}",
        picture.name,
        picture.elapsed.as_secs_f64()
    )
}

const COLUMNS: [&str; 10] = [
    "node",
    "daemon",
    "state",
    "link",
    "quorum",
    "ring",
    "groups",
    "messages/s",
    "frames/s",
    "members",
];

/// One line of headings and one per node, in columns as wide as needed.
fn table(nodes: &[Node]) -> Vec<String> {
    let mut rows = vec![COLUMNS.map(str::to_owned)];
    rows.extend(nodes.iter().map(row));
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = (0..COLUMNS.len()).filter_map(width).collect();
    let line = |row: &[String; COLUMNS.len()]| {
        let cells = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}"));
        let cells: Vec<String> = cells.collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

fn row(node: &Node) -> [String; COLUMNS.len()] {
    let known = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let seen = node.seen.as_ref();
    [
        node.number.to_string(),
        word(&node.daemon),
        node.state.to_string(),
        word(&node.link),
        known(seen.map(|seen| quorum(seen.quorate).to_owned())),
        known(seen.map(|seen| seen.ring.clone())),
        known(seen.map(|seen| seen.groups.to_string())),
        known(seen.map(|_| node.rates.delivered.to_string())),
        known(seen.map(|_| node.rates.frames.to_string())),
        known(seen.map(|seen| seen.members.to_string())),
    ]
}

fn quorum(quorate: bool) -> &'static str {
    if quorate { "yes" } else { "no" }
}

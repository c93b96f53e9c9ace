//! What an onlooker sees: a screen that is redrawn, or plain lines on every change.

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use serde_json::json;

use super::cluster::{ManagerState, Node};
use super::links::Cable;
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
    Plain(plain::Plain, Changes),
    Screen(screen::Screen, Changes),
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
            Ok(Self::Screen(screen::Screen::open()?, Changes::default()))
        } else {
            Ok(Self::Plain(plain::Plain::default(), Changes::default()))
        }
    }

    /// Whether standard input is a keyboard for this view.
    pub(super) fn wants_keys(&self) -> bool {
        matches!(self, Self::Screen(..))
    }

    /// Shows a line of text. Fails if there is nobody to read it any more.
    pub(super) fn note(&mut self, elapsed: Duration, text: &str) -> io::Result<()> {
        match self {
            Self::Plain(plain, _) => plain.note(elapsed, text),
            Self::Screen(screen, _) => {
                screen.note(elapsed, text);
                Ok(())
            }
        }
    }

    /// Shows the lab as it is now. Fails if there is nobody to see it any more.
    pub(super) fn show(&mut self, picture: &Picture<'_>) -> io::Result<()> {
        let (Self::Plain(_, changes) | Self::Screen(_, changes)) = self;
        for news in changes.take(picture) {
            self.note(picture.elapsed, &news)?;
        }
        match self {
            Self::Plain(plain, _) => plain.show(picture),
            Self::Screen(screen, _) => screen.show(picture),
        }
    }
}

/// Remembers what was said, to say only what is new.
#[derive(Default)]
pub(super) struct Changes {
    nodes: Vec<String>,
    sides: Option<String>,
}

impl Changes {
    fn take(&mut self, picture: &Picture<'_>) -> Vec<String> {
        let mut news = Vec::new();
        let sides = picture.sides.map(ToString::to_string);
        if sides != self.sides {
            news.push(network(picture.sides));
            self.sides = sides;
        }
        self.nodes.resize(picture.nodes.len(), String::new());
        for (node, said) in picture.nodes.iter().zip(&mut self.nodes) {
            let text = describe(node);
            if *said != text {
                news.push(text.clone());
                *said = text;
            }
        }
        news
    }
}

fn describe(node: &Node) -> String {
    let mut text = format!("node {} {}", node.number, node.state);
    if let Some(seen) = &node.seen {
        let quorum = quorum(seen.quorate);
        text += &format!(
            ": members {} ring {} quorum {quorum} groups {}",
            seen.members, seen.ring, seen.groups
        );
    }
    if let Some(manager) = &node.manager {
        text += &format!(", Pacemaker {}", managed(node, manager));
    }
    if !node.cables.are_whole() {
        text += &format!(", link {}", node.cables);
    }
    text
}

fn network(sides: Option<&Groups>) -> String {
    match sides {
        Some(sides) => format!("network cut into {sides}"),
        None => "network whole".to_owned(),
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
    let cable = |cable: &Cable| json!({ "state": word(&cable.state), "mtu": cable.mtu });
    let node = |node: &Node| {
        let seen = node.seen.as_ref();
        json!({
            "number": node.number.get(),
            "daemon": word(&node.daemon),
            "state": node.state.word(),
            "ended": node.state.how_ended(),
            "link": node.cables.to_string(),
            "links": node.cables.iter().map(cable).collect::<Vec<_>>(),
            "silence": node.silence,
            "members": seen.map(|seen| seen.members.iter().map(|node| node.get()).collect::<Vec<_>>()),
            "ring": seen.map(|seen| &seen.ring),
            "quorate": seen.map(|seen| seen.quorate),
            "groups": seen.map(|seen| seen.groups),
            "delivered": seen.map(|seen| seen.delivered),
            "frames": seen.map(|seen| seen.frames),
            "delivered_per_second": node.rates.delivered,
            "frames_per_second": node.rates.frames,
            "pacemaker": node.manager.as_ref().map(|manager| json!({
                "state": manager.to_string(),
                "dc": node.managed.as_ref().and_then(|managed| managed.dc.as_ref()),
                "resources": node.managed.as_ref().map(|managed| &managed.resources),
            })),
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
    format!(
        "lab `{}`   {:.0} s   {}",
        picture.name,
        picture.elapsed.as_secs_f64(),
        network(picture.sides)
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
/// One more where something runs on top of the daemons.
const MANAGER_COLUMN: &str = "pacemaker";

/// One line of headings and one per node, in columns as wide as needed.
fn table(nodes: &[Node]) -> Vec<String> {
    let managed = nodes.iter().any(|node| node.manager.is_some());
    let mut headings = COLUMNS.map(str::to_owned).to_vec();
    headings.extend(managed.then(|| MANAGER_COLUMN.to_owned()));
    let columns = headings.len();
    let mut rows = vec![headings];
    rows.extend(nodes.iter().map(row));
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = (0..columns).filter_map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}"));
        let cells: Vec<String> = cells.collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

fn row(node: &Node) -> Vec<String> {
    let known = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let seen = node.seen.as_ref();
    let mut cells = vec![
        node.number.to_string(),
        word(&node.daemon),
        node.state.to_string(),
        node.cables.to_string(),
        known(seen.map(|seen| quorum(seen.quorate).to_owned())),
        known(seen.map(|seen| seen.ring.clone())),
        known(seen.map(|seen| seen.groups.to_string())),
        known(seen.map(|_| node.rates.delivered.to_string())),
        known(seen.map(|_| node.rates.frames.to_string())),
        known(seen.map_or_else(
            || node.silence.as_ref().map(|why| format!("({why})")),
            |seen| Some(seen.members.to_string()),
        )),
    ];
    cells.extend(node.manager.as_ref().map(|manager| managed(node, manager)));
    cells
}

/// What Pacemaker does on a node: who decides, and what runs there.
fn managed(node: &Node, manager: &ManagerState) -> String {
    let Some(managed) = &node.managed else {
        return manager.to_string();
    };
    let mut words = match &managed.dc {
        Some(dc) if *dc == node.number.name() => vec!["DC".to_owned()],
        Some(_) => Vec::new(),
        None => vec!["no DC".to_owned()],
    };
    words.extend(managed.resources.iter().cloned());
    if words.is_empty() {
        words.push(manager.to_string());
    }
    words.join(" ")
}

fn quorum(quorate: bool) -> &'static str {
    if quorate { "yes" } else { "no" }
}

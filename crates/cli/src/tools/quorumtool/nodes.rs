//! The nodes of a view: `-l`, and the end of `-s`.

use ferrosync_client::NodeId;
use ferrosync_client::quorum::Track;
use ferrosync_client::votequorum::{Info, InfoFlags};
use serde_json::{Value as Json, json};

use super::Names;
use super::session::{Session, View};
use crate::tools::getopt::Format;
use crate::tools::{Output, Stop, options};

/// How nodes are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Look {
    pub(super) names: Names,
    pub(super) order: Order,
    /// Node ids in hexadecimal.
    pub(super) hexadecimal: bool,
    /// The same columns with and without a quorum device.
    pub(super) parsable: bool,
    pub(super) format: Format,
}

/// The order of nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Order {
    /// That of the daemon.
    #[default]
    AsTold,
    Id,
    Name,
}

/// A node of the view.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) node: NodeId,
    pub(super) name: String,
    /// What votequorum knows of it.
    pub(super) info: Option<Info>,
    pub(super) is_local: bool,
}

/// `-l`: the nodes.
pub(super) fn list(session: &mut Session, look: Look, output: &mut Output<'_>) -> Result<(), Stop> {
    session.track(Track::Current, output)?;
    let view = session.view(options().timeout, output)?;
    let rows = rows(session, &view, look, output)?;
    match look.format {
        Format::Text => print(&rows, session.votequorum.is_some(), look, output),
        Format::Json => {
            output.json(&json!({ "nodes": rows.iter().map(Row::json).collect::<Vec<_>>() }))
        }
    }
}

/// What is known of the nodes of a view.
///
/// C sorts nodes but not their votes, which it shows beside other nodes then (`docs/deviations.md`, D-83).
pub(super) fn rows(
    session: &mut Session,
    view: &View,
    look: Look,
    output: &mut Output<'_>,
) -> Result<Vec<Row>, Stop> {
    let mut rows = Vec::with_capacity(view.members.len());
    for &node in &view.members {
        let info = match &mut session.votequorum {
            None => None,
            Some(votequorum) => match votequorum.info(node) {
                Ok(info) => Some(info),
                Err(_) => {
                    if look.format == Format::Text {
                        writeln!(output, "Unable to get node {node} info")?;
                    }
                    None
                }
            },
        };
        rows.push(Row {
            node,
            name: String::new(),
            info,
            is_local: node == session.local,
        });
    }
    for row in &mut rows {
        row.name = look
            .names
            .of(row.node, &mut session.cmap, &mut session.cfg, output);
    }
    match look.order {
        Order::AsTold => {}
        // C compares signed numbers.
        Order::Id => rows.sort_by_key(|row| row.node.0.cast_signed()),
        Order::Name => rows.sort_by(|a, b| a.name.cmp(&b.name)),
    }
    Ok(rows)
}

/// The table of nodes.
pub(super) fn print(
    rows: &[Row],
    with_votes: bool,
    look: Look,
    output: &mut Output<'_>,
) -> Result<(), Stop> {
    let device = rows.iter().find_map(Row::device);
    let with_device = with_votes && (device.is_some() || look.parsable);
    writeln!(output, "\nMembership information\n----------------------")?;
    write!(output, "{:>10} ", "Nodeid")?;
    if with_votes {
        write!(output, "{:>10} ", "Votes")?;
    }
    if with_device {
        write!(output, "{:>10} ", "Qdevice")?;
    }
    writeln!(output, "Name")?;
    for row in rows {
        print_id(row.node, look, output)?;
        if with_votes {
            write!(
                output,
                "{:>10} ",
                row.info.as_ref().map_or(0, |info| info.votes)
            )?;
        }
        if with_device {
            write!(
                output,
                "{:>10} ",
                row.device().map_or_else(|| "NR".to_owned(), states)
            )?;
        }
        let local = if row.is_local { " (local)" } else { "" };
        writeln!(output, "{}{local}", row.name)?;
    }
    match device {
        Some(device) => print_device(device, casts(rows), look, output),
        None => Ok(()),
    }
}

/// The quorum device as a node of its own; it has no votes here while it gives none.
fn print_device(
    device: &Info,
    casts: bool,
    look: Look,
    output: &mut Output<'_>,
) -> Result<(), Stop> {
    let (votes, name) = (device.device_votes, &device.device_name);
    print_id(NodeId(0), look, output)?;
    write!(output, "{:>10} ", if casts { votes } else { 0 })?;
    write!(output, "           {name}")?;
    if casts {
        writeln!(output)
    } else {
        writeln!(output, " (votes {})", votes.cast_signed())
    }
}

fn print_id(node: NodeId, look: Look, output: &mut Output<'_>) -> Result<(), Stop> {
    if look.hexadecimal {
        write!(output, "{:#010x} ", node.0)
    } else {
        write!(output, "{:>10} ", node.0)
    }
}

/// Whether the quorum device of this node gives its votes.
fn casts(rows: &[Row]) -> bool {
    let local = rows.iter().find(|row| row.is_local);
    let info = local.and_then(|row| row.info.as_ref());
    info.is_some_and(|info| info.flags.contains(InfoFlags::QDEVICE_CAST_VOTE))
}

/// What the column of a node's quorum device says.
fn states(info: &Info) -> String {
    let word = |flag, yes, no| if info.flags.contains(flag) { yes } else { no };
    let alive = word(InfoFlags::QDEVICE_ALIVE, "A", "NA");
    let casts = word(InfoFlags::QDEVICE_CAST_VOTE, "V", "NV");
    let wins = word(InfoFlags::QDEVICE_MASTER_WINS, "MW", "NMW");
    format!("{alive},{casts},{wins}")
}

impl Row {
    /// What votequorum knows, where the node has a quorum device.
    fn device(&self) -> Option<&Info> {
        self.info
            .as_ref()
            .filter(|info| info.flags.contains(REGISTERED))
    }

    pub(super) fn json(&self) -> Json {
        let device = self.device().map(|info| {
            json!({
                "name": info.device_name,
                "votes": info.device_votes,
                "alive": info.flags.contains(InfoFlags::QDEVICE_ALIVE),
                "casts_vote": info.flags.contains(InfoFlags::QDEVICE_CAST_VOTE),
                "master_wins": info.flags.contains(InfoFlags::QDEVICE_MASTER_WINS),
            })
        });
        json!({
            "node": self.node.0,
            "name": self.name,
            "local": self.is_local,
            "votes": self.info.as_ref().map(|info| info.votes),
            "device": device,
        })
    }
}

/// The node has a quorum device.
pub(super) const REGISTERED: InfoFlags = InfoFlags::QDEVICE_REGISTERED;

#[cfg(test)]
mod tests {
    use super::*;
    use ferrosync_client::votequorum::NodeState;

    fn row(node: u32, name: &str, flags: InfoFlags) -> Row {
        let info = Info {
            node: NodeId(node),
            state: NodeState::Member,
            votes: node,
            expected_votes: 3,
            highest_expected: 3,
            total_votes: 3,
            quorum: 2,
            flags,
            device_votes: 1,
            device_name: "Qdevice".into(),
        };
        Row {
            node: NodeId(node),
            name: name.into(),
            info: Some(info),
            is_local: node == 1,
        }
    }

    fn printed(rows: &[Row], look: Look) -> String {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut output = Output::new(&mut out, &mut err);
        print(rows, true, look, &mut output).unwrap();
        assert!(err.is_empty());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn nodes_are_a_table() {
        let rows = [
            row(1, "one", InfoFlags(0)),
            row(2, "two, 10.0.0.2", InfoFlags(0)),
        ];
        assert_eq!(
            printed(&rows, Look::default()),
            "\nMembership information\n----------------------\n\
             \x20   Nodeid      Votes Name\n\
             \x20        1          1 one (local)\n\
             \x20        2          2 two, 10.0.0.2\n"
        );
    }

    #[test]
    fn a_quorum_device_is_a_node_and_a_column() {
        let flags = REGISTERED
            .with(InfoFlags::QDEVICE_ALIVE)
            .with(InfoFlags::QDEVICE_CAST_VOTE);
        let rows = [row(1, "one", flags), row(2, "two", InfoFlags(0))];
        let look = Look {
            hexadecimal: true,
            ..Look::default()
        };
        assert_eq!(
            printed(&rows, look),
            "\nMembership information\n----------------------\n\
             \x20   Nodeid      Votes    Qdevice Name\n\
             0x00000001          1    A,V,NMW one (local)\n\
             0x00000002          2         NR two\n\
             0x00000000          1            Qdevice\n"
        );
        let silent = [row(1, "one", REGISTERED)];
        let text = printed(&silent, Look::default());
        assert!(
            text.ends_with("         0          0            Qdevice (votes 1)\n"),
            "{text}"
        );
    }
}

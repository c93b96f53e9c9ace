//! `corosync-quorumtool`: quorum and votes (`tools/corosync-quorumtool.c`, v3.1.7).

mod names;
mod nodes;
mod session;
mod status;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;

use clap::Command;
use ferrosync_client::NodeId;
use serde_json::json;

use super::getopt::{self, Format, Getopt, Opt, Style, format_option};
use super::{Output, Stop, Tool, scan};
use names::Names;
use nodes::{Look, Order};
use session::Session;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Version,
    Hexadecimal,
    AllNames,
    Status,
    List,
    Parsable,
    Monitor,
    Unregister,
    Expected,
    Votes,
    Help,
    Addresses,
    Node,
    Sort,
}

const OPTIONS: [Opt<What>; 14] = [
    Opt::short(What::Version, b'V', "Show the version"),
    Opt::short(What::Hexadecimal, b'H', "Show node ids in hexadecimal"),
    Opt::short(
        What::AllNames,
        b'a',
        "Show all names or addresses of each node",
    ),
    Opt::short(
        What::Status,
        b's',
        "Show quorum and nodes; this is what is done without options",
    ),
    Opt::short(What::List, b'l', "Show nodes"),
    Opt::short(
        What::Parsable,
        b'p',
        "With -s or -l, print the same columns with and without a quorum device",
    ),
    Opt::short(
        What::Monitor,
        b'm',
        "Show quorum and nodes again when they change",
    ),
    Opt::short(
        What::Unregister,
        b'f',
        "Take the quorum device away by force",
    ),
    Opt::short(
        What::Expected,
        b'e',
        "Change the votes that the cluster expects",
    )
    .with("VOTES"),
    Opt::short(What::Votes, b'v', "Change the votes of a node").with("VOTES"),
    Opt::short(What::Help, b'h', "Show a summary of the options"),
    Opt::short(What::Addresses, b'i', "Show addresses, not names"),
    Opt::short(
        What::Node,
        b'n',
        "The node that -v means; this one unless given",
    )
    .with("NODEID"),
    Opt::short(
        What::Sort,
        b'o',
        "Order nodes by a (address), i (node id) or n (name)",
    )
    .with("ORDER"),
];

/// The declaration of the options.
pub(super) fn command() -> Command {
    getopt::command(Tool::Quorumtool.name(), &OPTIONS)
        .about("Shows and changes quorum and votes")
        .arg(format_option())
}

/// What is done; of several the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Nodes,
    Status,
    SetVotes(u32),
    SetExpected(u32),
    Monitor,
    Unregister,
}

/// What the options say.
struct Wish {
    action: Action,
    look: Look,
    /// The node whose votes are set.
    node: Option<NodeId>,
}

/// Runs the tool.
pub(super) fn run(words: Vec<OsString>, output: &mut Output<'_>) -> Result<(), Stop> {
    let Some(wish) = read(words, output)? else {
        return Ok(());
    };
    let look = wish.look;
    let mut session = Session::open(output)?;
    match wish.action {
        Action::Nodes => nodes::list(&mut session, look, output),
        Action::Status => status::show(&mut session, look, output),
        Action::Monitor => status::monitor(&mut session, look, output),
        Action::SetVotes(votes) => set_votes(&mut session, wish.node, votes, look.format, output),
        Action::SetExpected(votes) => set_expected(&mut session, votes, look.format, output),
        Action::Unregister => unregister(&mut session, look.format, output),
    }
}

/// Reads the options; none when there is nothing more to do.
fn read(words: Vec<OsString>, output: &mut Output<'_>) -> Result<Option<Wish>, Stop> {
    let mut getopt = Getopt::new(&OPTIONS, Style::Letters, words);
    let mut wish = Wish {
        action: Action::Status,
        look: Look::default(),
        node: None,
    };
    loop {
        let (what, value) = match getopt.next() {
            Ok(Some(option)) => option,
            Ok(None) => break,
            Err(refused) => {
                output.complain_bytes(&[&refused.0]);
                usage(getopt.program(), output)?;
                return Err(Stop::FAILURE);
            }
        };
        match what {
            What::Unregister => wish.action = Action::Unregister,
            What::Status => wish.action = Action::Status,
            What::Monitor => wish.action = Action::Monitor,
            What::List => wish.action = Action::Nodes,
            What::AllNames => wish.look.names.all = true,
            What::Addresses => wish.look.names.resolve = false,
            What::Hexadecimal => wish.look.hexadecimal = true,
            What::Parsable => wish.look.parsable = true,
            What::Expected => {
                let votes = number(&value, 1, i32::MAX.unsigned_abs(), BAD_EXPECTED, output)?;
                wish.action = Action::SetExpected(votes);
            }
            What::Node => {
                let node = number(&value, 1, u32::MAX, BAD_NODE, output)?;
                wish.node = Some(NodeId(node));
            }
            What::Votes => {
                let votes = number(&value, 0, i32::MAX.unsigned_abs(), BAD_VOTES, output)?;
                wish.action = Action::SetVotes(votes);
            }
            What::Sort => wish.look.order = order(&value, output)?,
            What::Version => {
                writeln!(output, "corosync-quorumtool version: {VERSION}")?;
                return Ok(None);
            }
            What::Help => {
                usage(getopt.program(), output)?;
                return Ok(None);
            }
        }
    }
    wish.look.format = getopt.format();
    Ok(Some(wish))
}

fn number(
    word: &OsStr,
    least: u32,
    most: u32,
    complaint: &str,
    output: &mut Output<'_>,
) -> Result<u32, Stop> {
    let range = i64::from(least)..=i64::from(most);
    match scan::number(word, range).and_then(|number| u32::try_from(number).ok()) {
        Some(number) => Ok(number),
        None => output.fail(complaint),
    }
}

fn order(word: &OsStr, output: &mut Output<'_>) -> Result<Order, Stop> {
    match word.as_bytes() {
        b"a" => Ok(Order::AsTold),
        b"i" => Ok(Order::Id),
        b"n" => Ok(Order::Name),
        _ => output
            .fail("Invalid ordering option. valid orders are a(address), i(node ID) or n(name)"),
    }
}

fn set_votes(
    session: &mut Session,
    node: Option<NodeId>,
    votes: u32,
    format: Format,
    output: &mut Output<'_>,
) -> Result<(), Stop> {
    let local = session.local;
    let Some(votequorum) = &mut session.votequorum else {
        return output.fail("You cannot change node votes, corosync is not using votequorum");
    };
    let node = node.unwrap_or(local);
    if let Err(error) = votequorum.set_votes(node, votes) {
        let error = error.code();
        return output.fail(format_args!(
            "Unable to set votes {votes} for nodeid: {node}: {error}"
        ));
    }
    match format {
        Format::Text => Ok(()),
        Format::Json => output.json(&json!({ "node": node.0, "votes": votes })),
    }
}

fn set_expected(
    session: &mut Session,
    votes: u32,
    format: Format,
    output: &mut Output<'_>,
) -> Result<(), Stop> {
    let Some(votequorum) = &mut session.votequorum else {
        return output.fail("You cannot change expected votes, corosync is not using votequorum");
    };
    if let Err(error) = votequorum.set_expected(votes) {
        let error = error.code();
        return output.fail(format_args!("Unable to set expected votes: {error}"));
    }
    match format {
        Format::Text => Ok(()),
        Format::Json => output.json(&json!({ "expected_votes": votes })),
    }
}

fn unregister(session: &mut Session, format: Format, output: &mut Output<'_>) -> Result<(), Stop> {
    let local = session.local;
    let Some(votequorum) = &mut session.votequorum else {
        return output
            .fail("You cannot unregister quorum device, corosync is not using votequorum");
    };
    let info = votequorum.info(local).or_else(|error| {
        let error = error.code();
        output.fail(format_args!("Unable to get quorum device info: {error}"))
    })?;
    let registered = info.flags.contains(nodes::REGISTERED);
    if registered && let Err(error) = votequorum.device(&info.device_name).unregister() {
        let error = error.code();
        return output.fail(format_args!("Unable to unregister quorum device: {error}"));
    }
    match format {
        Format::Text => Ok(()),
        Format::Json => output.json(&json!({ "unregistered": registered })),
    }
}

fn usage(program: &OsStr, output: &mut Output<'_>) -> Result<(), Stop> {
    output.bytes(b"usage: \n")?;
    output.bytes(program.as_bytes())?;
    output.bytes(USAGE.as_bytes())
}

/// The version of corosync that this stands for; programs look at it.
const VERSION: &str = "3.1.7";

const BAD_EXPECTED: &str = "New expected votes value was not valid, try a positive number";
const BAD_NODE: &str = "The nodeid was not valid, try a positive number";
const BAD_VOTES: &str = "New votes value was not valid, try a positive number or zero";

const USAGE: &str = " <options>

  options:

  -s             show quorum status
  -m             constantly monitor quorum status
  -l             list nodes
  -a             show all names or addresses for each node
  -p             when used with -s or -l, generates machine parsable output
  -v <votes>     change the number of votes for a node (*)
  -n <nodeid>    optional nodeid of node for -v
  -e <expected>  change expected votes for the cluster (*)
  -H             show nodeids in hexadecimal rather than decimal
  -i             show node IP addresses instead of the resolved name
  -o <a|n|i>     order by [a] IP address (default), [n] name, [i] nodeid
  -f             forcefully unregister a quorum device *DANGEROUS* (*)
  -h             show this help text
  -V             show version and exit

  (*) Starred items only work if votequorum is the quorum provider for corosync

";

//! `corosync-cfgtool`: links and nodes, and orders to the daemon (`tools/corosync-cfgtool.c`, v3.1.7).

mod links;

use std::ffi::OsString;
use std::thread;
use std::time::Duration;

use clap::Command;
use ferrosync_client::cfg::{Cfg, Urgency};
use ferrosync_client::{CsError, NodeId};
use serde_json::json;

use super::getopt::{self, Format, Getopt, Opt, Style, format_option};
use super::{Output, Stop, Tool, options, scan};

/// What the options ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Interface,
    Status,
    Nodes,
    Brief,
    Reload,
    Reopen,
    Kill,
    Address,
    Help,
    Shutdown,
    Force,
}

/// What is done; of several the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Usage,
    Links,
    Nodes,
    Reload,
    Reopen,
    Kill(NodeId),
    Address(NodeId),
    Shutdown,
}

/// The order of the long names is C's, which decides how ambiguous ones are listed.
const OPTIONS: [Opt<What>; 11] = [
    Opt::short(What::Interface, b'i', "Nothing any more; scripts give it")
        .or("if")
        .with("ADDRESS"),
    Opt::short(What::Status, b's', "Show the links of this node").or("status"),
    Opt::short(
        What::Nodes,
        b'n',
        "Show the nodes that are connected, and the links to them",
    )
    .or("nodes"),
    Opt::short(What::Brief, b'b', "With -s, show a digit for each node").or("brief"),
    Opt::short(
        What::Reload,
        b'R',
        "Make every node of the cluster read corosync.conf again",
    )
    .or("reload"),
    Opt::short(
        What::Reopen,
        b'L',
        "Make this node open its log files again",
    )
    .or("reopen"),
    Opt::short(What::Kill, b'k', "End the daemon of a node")
        .or("kill")
        .with("NODEID"),
    Opt::short(What::Address, b'a', "Show the addresses of a node")
        .or("address")
        .with("NODEID"),
    Opt::short(
        What::Shutdown,
        b'H',
        "Leave the cluster and end the daemon of this node",
    )
    .or("shutdown"),
    Opt::long(
        What::Force,
        "force",
        "With -H, even if other programs object",
    ),
    Opt::short(What::Help, b'h', "Show a summary of the options"),
];

/// The declaration of the options.
pub(super) fn command() -> Command {
    getopt::command(Tool::Cfgtool.name(), &OPTIONS)
        .about("Shows links and nodes of the cluster, and gives orders to its daemons")
        .arg(format_option())
}

/// Runs the tool.
pub(super) fn run(words: Vec<OsString>, output: &mut Output<'_>) -> Result<(), Stop> {
    let mut getopt = Getopt::new(&OPTIONS, Style::Words, words);
    let mut action = Action::Usage;
    let mut detail = links::Detail::Full;
    let mut urgency = Urgency::Request;
    loop {
        let (what, value) = match getopt.next() {
            Ok(Some(option)) => option,
            Ok(None) => break,
            Err(refused) => return output.refuse(&refused),
        };
        match what {
            What::Interface | What::Help => {}
            What::Status => action = Action::Links,
            What::Nodes => action = Action::Nodes,
            What::Brief => detail = links::Detail::Brief,
            What::Reload => action = Action::Reload,
            What::Reopen => action = Action::Reopen,
            What::Kill => action = Action::Kill(node_id(&value, output)?),
            What::Address => action = Action::Address(node_id(&value, output)?),
            What::Shutdown => action = Action::Shutdown,
            What::Force => urgency = Urgency::Regardless,
        }
    }
    let format = getopt.format();
    match action {
        Action::Usage => output.bytes(USAGE.as_bytes()),
        Action::Links => links::show_links(detail, format, output),
        Action::Nodes => links::show_nodes(format, output),
        Action::Reload => reload(format, output),
        Action::Reopen => reopen(format, output),
        Action::Kill(node) => kill(node, format, output),
        Action::Address(node) => show_addresses(node, format, output),
        Action::Shutdown => shut_down(urgency, format, output),
    }
}

fn node_id(word: &OsString, output: &mut Output<'_>) -> Result<NodeId, Stop> {
    match scan::number(word, 1..=i64::from(u32::MAX)).and_then(|n| u32::try_from(n).ok()) {
        Some(id) => Ok(NodeId(id)),
        None => output.fail("The nodeid was not valid, try a positive number"),
    }
}

/// Connects; C says the error's number, or its name where a configuration is reloaded or logs are reopened.
fn connect(name: fn(CsError) -> String, output: &mut Output<'_>) -> Result<Cfg, Stop> {
    Cfg::connect(&options()).or_else(|error| {
        let error = name(error.code());
        output.fail(format_args!(
            "Could not initialize corosync configuration API error {error}"
        ))
    })
}

fn by_number(error: CsError) -> String {
    error.code().to_string()
}

fn by_name(error: CsError) -> String {
    error.name().to_owned()
}

/// The exit code is the number of the error.
fn failed_with(error: CsError) -> Stop {
    Stop::Code(u8::try_from(error.code()).unwrap_or(1))
}

fn reload(format: Format, output: &mut Output<'_>) -> Result<(), Stop> {
    if format == Format::Text {
        writeln!(output, "Reloading corosync.conf...")?;
    }
    let mut cfg = connect(by_name, output)?;
    if let Err(error) = cfg.reload() {
        let error = error.code();
        output.complain(format_args!(
            "Could not reload configuration. Error {error}"
        ));
        return Err(failed_with(error));
    }
    match format {
        Format::Text => writeln!(output, "Done"),
        Format::Json => output.json(&json!({ "reloaded": true })),
    }
}

fn reopen(format: Format, output: &mut Output<'_>) -> Result<(), Stop> {
    let mut cfg = connect(by_name, output)?;
    if let Err(error) = cfg.reopen_log_files() {
        let error = error.code();
        output.complain(format_args!(
            "Could not reopen corosync logging files. Error {error}"
        ));
        return Err(failed_with(error));
    }
    match format {
        Format::Text => Ok(()),
        Format::Json => output.json(&json!({ "reopened": true })),
    }
}

fn kill(node: NodeId, format: Format, output: &mut Output<'_>) -> Result<(), Stop> {
    if format == Format::Text {
        writeln!(output, "Killing node {node}")?;
    }
    let mut cfg = connect(by_number, output)?;
    if let Err(error) = cfg.kill_node(node, "Killed by corosync-cfgtool") {
        return output.fail(format_args!(
            "Could not kill node (error = {})",
            error.code()
        ));
    }
    match format {
        Format::Text => Ok(()),
        Format::Json => output.json(&json!({ "killed": node.0 })),
    }
}

/// A refusal is told, but no reason for an exit code.
fn shut_down(urgency: Urgency, format: Format, output: &mut Output<'_>) -> Result<(), Stop> {
    let mut cfg = connect(by_number, output)?;
    if format == Format::Text {
        writeln!(output, "Shutting down corosync")?;
    }
    let mut result = cfg.shut_down(urgency);
    for _ in 1..SHUTDOWN_ATTEMPTS {
        match &result {
            Err(error) if error.code() == CsError::TryAgain => {}
            Ok(()) | Err(_) => break,
        }
        thread::sleep(Duration::from_secs(1));
        result = cfg.shut_down(urgency);
    }
    let accepted = result.is_ok();
    if let Err(error) = result {
        output.complain(format_args!(
            "Could not shutdown (error = {})",
            error.code().code()
        ));
    }
    match format {
        Format::Text => Ok(()),
        Format::Json => output.json(&json!({ "shutdown": accepted })),
    }
}

fn show_addresses(node: NodeId, format: Format, output: &mut Output<'_>) -> Result<(), Stop> {
    let mut cfg = connect(by_number, output)?;
    let Ok(addresses) = cfg.node_addresses(node) else {
        // C prints the id as a signed number.
        let node = node.0.cast_signed();
        return output.fail(format_args!("Could not get node address for nodeid {node}"));
    };
    let addresses = addresses.iter().filter(|address| !address.is_unspecified());
    let words: Vec<String> = addresses.map(ToString::to_string).collect();
    match format {
        Format::Text => writeln!(output, "{}", words.join(" ")),
        Format::Json => output.json(&json!({ "node": node.0, "addresses": words })),
    }
}

const SHUTDOWN_ATTEMPTS: usize = 30;

const USAGE: &str = "\
corosync-cfgtool [[-i <interface ip>] [-b] -s] [-R] [-L] [-k nodeid] [-a nodeid] [-h] [-H]

A tool for displaying and configuring active parameters within corosync.
options:
\t-i\tFinds only information about the specified interface IP address or link id when used with -s..
\t-s\tDisplays the status of the current links on this node.
\t-n\tDisplays the status of the connected nodes and their links.
\t-b\tDisplays the brief status of the current links on this node when used with -s.
\t-R\tTell all instances of corosync in this cluster to reload corosync.conf.
\t-L\tTell corosync to reopen all logging files.
\t-k\tKill a node identified by node id.
\t-a\tDisplay the IP address(es) of a node
\t-h\tPrint basic usage.
\t-H\tShutdown corosync cleanly on this node.
\t\t--force will shut down corosync regardless of daemon vetos
";

//! The `ferrosync` command: a cluster of real daemons on this machine, and tools.

mod args;
mod generate;
mod keygen;
mod lab;
mod migrate;
mod status;
mod tools;

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::ExitCode;

use args::{Args, Command, ToolArgs};
use clap::Parser as _;
use tools::Tool;

fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().collect();
    if let Some(tool) = words.first().and_then(|program| Tool::called(program)) {
        return tool.main(words);
    }
    let called = words
        .first()
        .and_then(|program| Path::new(program).file_name());
    if called == Some(OsStr::new(lab::fence::NAME)) {
        return lab::fence::main(words.into_iter());
    }
    match Args::parse().command {
        Command::Status(args) => status::main(&args),
        Command::Blackbox(words) => as_tool(Tool::Blackbox, &words),
        Command::Cfgtool(words) => as_tool(Tool::Cfgtool, &words),
        Command::Cmapctl(words) => as_tool(Tool::Cmapctl, &words),
        Command::Cpgtool(words) => as_tool(Tool::Cpgtool, &words),
        Command::Keygen(words) => as_tool(Tool::Keygen, &words),
        Command::Notifyd(words) => as_tool(Tool::Notifyd, &words),
        Command::Quorumtool(words) => as_tool(Tool::Quorumtool, &words),
        Command::Generate(args) => generate::main(&args),
        Command::Lab(lab) => lab::main(lab),
        Command::Migrate(migrate) => migrate::main(&migrate),
        Command::LabNode(node) => lab::node_main(&node),
        Command::LabMap(map) => lab::map_main(&map),
        Command::Daemon(daemon) => daemon_main(&daemon.arguments),
    }
}

fn as_tool(tool: Tool, words: &ToolArgs) -> ExitCode {
    tool.main(with_name(tool.name(), &words.arguments).collect())
}

/// `ferrosyncd` inside this binary, for the nodes of the lab.
fn daemon_main(arguments: &[OsString]) -> ExitCode {
    ferrosync_daemon::run(with_name("ferrosyncd", arguments))
}

/// The arguments as a program of that name gets them.
fn with_name(name: &str, arguments: &[OsString]) -> impl Iterator<Item = OsString> {
    std::iter::once(OsString::from(name)).chain(arguments.iter().cloned())
}

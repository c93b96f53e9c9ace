//! The `ferrosync` command: a cluster of real daemons on this machine, and tools.

mod args;
mod keygen;
mod lab;
mod migrate;

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::ExitCode;

use args::{Args, Command};
use clap::Parser as _;

fn main() -> ExitCode {
    let called = std::env::args_os().next().unwrap_or_default();
    let called = Path::new(&called).file_name();
    if called == Some(OsStr::new(keygen::NAME)) {
        return keygen::main(std::env::args_os());
    }
    if called == Some(OsStr::new(lab::fence::NAME)) {
        return lab::fence::main(std::env::args_os());
    }
    match Args::parse().command {
        Command::Keygen(keygen) => keygen::main(with_name(keygen::NAME, &keygen.arguments)),
        Command::Lab(lab) => lab::main(lab),
        Command::Migrate(migrate) => migrate::main(&migrate),
        Command::LabNode(node) => lab::node_main(&node),
        Command::LabMap(map) => lab::map_main(&map),
        Command::Daemon(daemon) => daemon_main(&daemon.arguments),
    }
}

/// `ferrosyncd` inside this binary, for the nodes of the lab.
fn daemon_main(arguments: &[OsString]) -> ExitCode {
    ferrosync_daemon::run(with_name("ferrosyncd", arguments))
}

/// The arguments as a program of that name gets them.
fn with_name(name: &str, arguments: &[OsString]) -> impl Iterator<Item = OsString> {
    std::iter::once(OsString::from(name)).chain(arguments.iter().cloned())
}

//! The `ferrosync` command: a cluster of real daemons on this machine, and tools.

mod args;
mod lab;

use std::process::ExitCode;

use args::{Args, Command};
use clap::Parser as _;

fn main() -> ExitCode {
    match Args::parse().command {
        Command::Lab(lab) => lab::main(lab),
        Command::LabNode(node) => lab::node_main(&node),
        Command::LabMap(map) => lab::map_main(&map),
        Command::Daemon(daemon) => daemon_main(&daemon.arguments),
    }
}

/// `ferrosyncd` inside this binary, for the nodes of the lab.
fn daemon_main(arguments: &[std::ffi::OsString]) -> ExitCode {
    let name = std::ffi::OsString::from("ferrosyncd");
    ferrosync_daemon::run(std::iter::once(name).chain(arguments.iter().cloned()))
}

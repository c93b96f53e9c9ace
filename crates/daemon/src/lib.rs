//! `ferrosyncd`: what a node needs of the operating system, and nothing that decides for it.
//!
//! [`event_loop::EventLoop`] drives a [`ferrosync_executive::Node`] over sockets, client connections and timers;
//! [`host::OsHost`] carries out what comes of it. Everything that can fail at start fails before the loop.

#![forbid(unsafe_code)]

mod answers;
pub mod args;
mod attention;
pub mod clock;
mod crash;
pub mod environment;
pub mod event_loop;
pub mod exit;
mod figures;
pub mod host;
pub mod logging;
mod machine;
pub mod net;
pub mod persist;
pub mod realtime;
mod secrets;
pub mod signals;
mod start;
mod version;
mod watchdog;

use std::ffi::OsString;
use std::process::ExitCode;

/// Runs the daemon with a command line, the program's name first.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    match args::Args::read(args) {
        Ok(args) => start::start(&args).into(),
        Err(e) => {
            let help = e.kind() == clap::error::ErrorKind::DisplayHelp;
            // Without a terminal nobody misses the usage.
            let _closed = e.print();
            if help {
                ExitCode::SUCCESS
            } else {
                exit::Exit::Usage.into()
            }
        }
    }
}

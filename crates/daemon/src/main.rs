//! `ferrosyncd`: the Corosync cluster engine.

use std::process::ExitCode;

fn main() -> ExitCode {
    ferrosync_daemon::run(std::env::args_os())
}

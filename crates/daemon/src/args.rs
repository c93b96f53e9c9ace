//! The command line of corosync(8).

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Parser;

/// The Ferrosync cluster engine: Corosync's protocols, files and client interfaces.
#[derive(Debug, Parser)]
#[command(name = "ferrosyncd", disable_version_flag = true)]
pub struct Args {
    /// Corosync config file path.
    #[arg(
        short = 'c',
        value_name = "FILE",
        default_value = "/etc/corosync/corosync.conf"
    )]
    pub config: PathBuf,
    /// Start application in foreground.
    #[arg(short = 'f')]
    pub foreground: bool,
    /// Test configuration and exit.
    #[arg(short = 't')]
    pub test: bool,
    /// Display version and some useful information and exit.
    #[arg(short = 'v')]
    pub version: bool,
    /// Where the pid file goes.
    #[arg(long, value_name = "FILE", default_value = "/run/corosync.pid")]
    pub pid_file: PathBuf,
}

impl Args {
    /// Reads a command line, the program's name first.
    pub fn read(args: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        Self::try_parse_from(args)
    }
}

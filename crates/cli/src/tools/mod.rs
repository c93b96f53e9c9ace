//! The tools that operators and other programs know from corosync, in this one binary: `ferrosync cfgtool`, or the same
//! program under the name `corosync-cfgtool`.
//!
//! Options, output, exit codes and complaints are those of `tools/` (corosync v3.1.7), byte for byte;
//! `cargo xtask interop tools-same` compares. Besides they know `--format json` ([`docs/tools.md`]; D-80).
//!
//! [`docs/tools.md`]: ../../../docs/tools.md

pub(crate) mod blackbox;
mod cfgtool;
pub(crate) mod cmapctl;
mod cpgtool;
pub(crate) mod getopt;
pub(crate) mod nodelist;
mod notifyd;
mod output;
mod quorumtool;
pub(crate) mod scan;

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::Command;
use ferrosync_client::Options;

use crate::keygen;
pub(crate) use output::{Output, Stop};

/// One of corosync's tools.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tool {
    Blackbox,
    Cfgtool,
    Cmapctl,
    Cpgtool,
    Keygen,
    Notifyd,
    Quorumtool,
}

impl Tool {
    /// Every tool, by name.
    pub(crate) const ALL: [Self; 7] = [
        Self::Blackbox,
        Self::Cfgtool,
        Self::Cmapctl,
        Self::Cpgtool,
        Self::Keygen,
        Self::Notifyd,
        Self::Quorumtool,
    ];

    /// The tool that a program of this name is.
    pub(crate) fn called(program: &OsStr) -> Option<Self> {
        let name = Path::new(program).file_name()?;
        Self::ALL.into_iter().find(|tool| name == tool.name())
    }

    /// What it is called in corosync's packages.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Blackbox => "corosync-blackbox",
            Self::Cfgtool => "corosync-cfgtool",
            Self::Cmapctl => "corosync-cmapctl",
            Self::Cpgtool => "corosync-cpgtool",
            Self::Keygen => keygen::NAME,
            Self::Notifyd => "corosync-notifyd",
            Self::Quorumtool => "corosync-quorumtool",
        }
    }

    /// The declaration of its options, for manual pages and completions.
    pub(crate) fn command(self) -> Command {
        match self {
            Self::Blackbox => blackbox::command(),
            Self::Cfgtool => cfgtool::command(),
            Self::Cmapctl => cmapctl::command(),
            Self::Cpgtool => cpgtool::command(),
            Self::Keygen => keygen::command(),
            Self::Notifyd => notifyd::command(),
            Self::Quorumtool => quorumtool::command(),
        }
    }

    /// Runs it with these words, the program's name first.
    pub(crate) fn main(self, words: Vec<OsString>) -> ExitCode {
        let run = match self {
            Self::Keygen => return keygen::main(words),
            Self::Blackbox => blackbox::run,
            Self::Cfgtool => cfgtool::run,
            Self::Cmapctl => cmapctl::run,
            Self::Cpgtool => cpgtool::run,
            Self::Notifyd => notifyd::run,
            Self::Quorumtool => quorumtool::run,
        };
        let (mut out, mut err) = (io::stdout().lock(), io::stderr().lock());
        let mut output = Output::new(&mut out, &mut err);
        let ended = run(words, &mut output);
        ended
            .and_then(|()| output.flush())
            .err()
            .map_or(ExitCode::SUCCESS, Stop::code)
    }
}

/// How the tools reach the daemon. A daemon that is busy or frozen is waited for, where C's tools fail at once or wait
/// without end (`docs/deviations.md`, D-81).
pub(crate) fn options() -> Options {
    Options {
        timeout: PATIENCE,
        ..Options::default()
    }
}

/// How long a call may take: a reload or a vote on a shutdown takes seconds.
const PATIENCE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tools_are_known_by_the_last_part_of_their_path() {
        let called = |name: &str| Tool::called(OsStr::new(name));
        assert_eq!(called("/usr/sbin/corosync-cfgtool"), Some(Tool::Cfgtool));
        assert_eq!(called("corosync-keygen"), Some(Tool::Keygen));
        assert_eq!(called("ferrosync"), None);
        assert_eq!(called(""), None);
    }

    #[test]
    fn declarations_are_valid() {
        for tool in Tool::ALL {
            let command = tool.command();
            assert_eq!(command.get_name(), tool.name());
            assert!(command.get_about().is_some(), "{tool:?}");
            command.debug_assert();
        }
    }
}

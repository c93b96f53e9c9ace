//! What tools print, and how they end.

use std::fmt::{self, Arguments};
use std::io::{self, Write};
use std::process::ExitCode;

use super::getopt::Refused;

/// Standard output and standard error of a tool.
pub(crate) struct Output<'a> {
    out: &'a mut dyn Write,
    err: &'a mut dyn Write,
}

/// Why a tool ends without having done all it was asked for. What is to be said has been said.
#[derive(Debug)]
pub(crate) enum Stop {
    /// With this exit code.
    Code(u8),
    /// Nobody takes its output.
    Output(io::Error),
}

impl Stop {
    /// `EXIT_FAILURE`.
    pub(crate) const FAILURE: Self = Self::Code(1);

    /// The exit code.
    pub(crate) fn code(self) -> ExitCode {
        match self {
            Self::Code(code) => ExitCode::from(code),
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                ExitCode::from(BROKEN_PIPE)
            }
            Self::Output(_) => ExitCode::FAILURE,
        }
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl<'a> Output<'a> {
    /// Writes to these.
    pub(crate) const fn new(out: &'a mut dyn Write, err: &'a mut dyn Write) -> Self {
        Self { out, err }
    }

    /// Prints bytes as they are.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        Ok(self.out.write_all(bytes)?)
    }

    /// Prints a JSON value on a line.
    pub(crate) fn json(&mut self, value: &serde_json::Value) -> Result<(), Stop> {
        writeln!(self.out, "{value}")?;
        self.flush()
    }

    /// Complains with bytes as they are. That nobody hears it changes nothing.
    pub(crate) fn complain_bytes(&mut self, parts: &[&[u8]]) {
        let _ = self.err.write_all(&parts.concat());
    }

    /// Complains, and ends with `EXIT_FAILURE`.
    pub(crate) fn fail<T>(&mut self, complaint: impl fmt::Display) -> Result<T, Stop> {
        self.complain(complaint);
        Err(Stop::FAILURE)
    }

    /// Complains on a line.
    pub(crate) fn complain(&mut self, complaint: impl fmt::Display) {
        let _ = writeln!(self.err, "{complaint}");
    }

    /// Complains about options, and ends with `EXIT_FAILURE`.
    pub(crate) fn refuse<T>(&mut self, refused: &Refused) -> Result<T, Stop> {
        self.complain_bytes(&[&refused.0]);
        Err(Stop::FAILURE)
    }

    /// Makes sure that what was printed is on its way.
    pub(crate) fn flush(&mut self) -> Result<(), Stop> {
        Ok(self.out.flush()?)
    }

    /// What `write!` calls.
    pub(crate) fn write_fmt(&mut self, arguments: Arguments<'_>) -> Result<(), Stop> {
        Ok(self.out.write_fmt(arguments)?)
    }
}

/// What a shell says of a program that SIGPIPE ended, as it ends C's tools.
const BROKEN_PIPE: u8 = 128 + 13;

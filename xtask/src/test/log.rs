//! What the programs of a step print goes to a file, and of a failed step the part that tells why goes to the console.
//!
//! A passing run says a line or two for each step, so that what failed is found at the end of it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;

use crate::process;
use crate::workspace::Workspace;

/// The file of one step, `target/xtask-test/STEP.log`.
pub(crate) struct Log {
    path: PathBuf,
}

impl Log {
    /// An empty file for `step`; that of an earlier run is gone.
    pub(super) fn new(workspace: &Workspace, step: &str) -> anyhow::Result<Self> {
        let dir = workspace.target.join("xtask-test");
        fs::create_dir_all(&dir)?;
        Self::at(dir.join(format!("{step}.log")))
    }

    fn at(path: PathBuf) -> anyhow::Result<Self> {
        File::create(&path).with_context(|| format!("{}", path.display()))?;
        Ok(Self { path })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Runs `command`; all that it prints is appended here, and an exit code other than 0 is an error.
    pub(super) fn run(&self, command: &mut Command) -> anyhow::Result<()> {
        let file = File::options().append(true).open(&self.path)?;
        command.stdout(file.try_clone()?).stderr(file);
        process::run(command)
    }

    /// All that was printed; bytes that are no text are replaced.
    pub(super) fn text(&self) -> anyhow::Result<String> {
        let bytes = fs::read(&self.path).with_context(|| format!("{}", self.path.display()))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// The lines of a failed step's output that tell why it failed, and the last ones.
pub(super) fn telling(text: &str) -> Vec<&str> {
    let lines: Vec<&str> = text.lines().collect();
    let last = lines.len().saturating_sub(LAST);
    let mut found = Vec::new();
    let mut wanted = 0;
    for (at, line) in lines.iter().enumerate() {
        match starts(line) {
            Some(length) => wanted = wanted.max(length),
            None if line.starts_with("test result:") => wanted = wanted.min(1),
            None => {}
        }
        if at >= last || (wanted > 0 && found.len() < MOST) {
            found.push(*line);
        }
        wanted = usize::saturating_sub(wanted, 1);
    }
    found
}

/// With how many lines an account of a failure goes on that starts with `line`, itself included.
fn starts(line: &str) -> Option<usize> {
    match line {
        "failures:" => Some(FAILURES),
        _ if line.starts_with("error") || line.starts_with("warning") => Some(COMPLAINT),
        _ if line.starts_with("E: ") || line.contains(": FAILED in ") => Some(1),
        _ => None,
    }
}

/// The last lines that are shown in any case.
const LAST: usize = 15;
/// Lines of a test binary's list of failures.
const FAILURES: usize = 60;
/// Lines of a complaint of the compiler.
const COMPLAINT: usize = 12;
/// More lines than these are left to the file.
const MOST: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_in_the_middle_is_told_with_the_end() {
        let quiet = "test a ... ok\n".repeat(1000);
        let failure = "failures:\n---- b ----\nplanted\ntest result: FAILED. 1 failed\n";
        let text = format!("{quiet}{failure}{quiet}the end\n");
        let told = telling(&text);
        assert_eq!(told[..4].join("\n") + "\n", failure);
        assert_eq!((told.len(), told.last()), (4 + LAST, Some(&"the end")));
    }

    #[test]
    fn what_was_planted_everywhere_has_a_bound() {
        let text = "error: planted\n".repeat(10_000);
        assert_eq!(telling(&text).len(), MOST + LAST);
    }

    #[test]
    fn both_streams_of_a_command_are_kept_and_a_bad_end_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let log = Log::at(dir.path().join("step.log")).unwrap();
        let mut shell = Command::new("sh");
        log.run(shell.args(["-c", "echo one; echo two >&2"]))
            .unwrap();
        let mut shell = Command::new("sh");
        log.run(shell.args(["-c", "echo three; false"]))
            .unwrap_err();
        assert_eq!(log.text().unwrap(), "one\ntwo\nthree\n");
    }
}

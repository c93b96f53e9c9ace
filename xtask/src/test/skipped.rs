//! Tests that could not run on this machine say so; this collects what they say.
//!
//! A test that skips itself prints a line starting with `SKIPPED:`. A test whose output nobody captures, such as one in
//! a child process, appends the line to the file named by the environment variable [`ENV`] instead.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::workspace::Workspace;

/// The variable that names the file.
pub(super) const ENV: &str = "FERROSYNC_SKIPPED";

/// The notes of one test run.
pub(super) struct Notes {
    path: PathBuf,
    seen: BTreeSet<String>,
}

impl Notes {
    /// An empty collection; whatever an earlier run left in the file is removed.
    pub(super) fn new(workspace: &Workspace) -> anyhow::Result<Self> {
        fs::create_dir_all(&workspace.target)?;
        Self::at(workspace.target.join("skipped.txt"))
    }

    fn at(path: PathBuf) -> anyhow::Result<Self> {
        fs::write(&path, "").with_context(|| format!("{}", path.display()))?;
        Ok(Self {
            path,
            seen: BTreeSet::new(),
        })
    }

    /// The file that tests append to.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Looks at what the tests printed.
    pub(super) fn see(&mut self, output: &str) {
        output.lines().for_each(|line| self.see_line(line));
    }

    fn see_line(&mut self, line: &str) {
        if let Some(note) = line.trim().strip_prefix(MARK)
            && self.seen.len() < MAX_NOTES
        {
            self.seen.insert(note.trim().to_owned());
        }
    }

    /// Every note, each once.
    pub(super) fn collect(mut self) -> anyhow::Result<BTreeSet<String>> {
        let file = fs::read_to_string(&self.path)?;
        self.see(&file);
        Ok(self.seen)
    }
}

const MARK: &str = "SKIPPED:";
/// More notes than there are tests means somebody prints them in a loop.
const MAX_NOTES: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_come_from_output_and_file_each_once() {
        let dir = tempfile::tempdir().unwrap();
        let mut notes = Notes::at(dir.path().join("skipped.txt")).unwrap();
        notes.see("test result: ok. 3 passed; 0 failed; SKIPPED: not at the start");
        notes.see("SKIPPED: no namespaces");
        fs::write(
            notes.path(),
            "SKIPPED: no corosync\nSKIPPED: no namespaces\n",
        )
        .unwrap();
        let collected: Vec<String> = notes.collect().unwrap().into_iter().collect();
        assert_eq!(collected, ["no corosync", "no namespaces"]);
    }
}

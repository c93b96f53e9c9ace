//! The rules of STYLE.md that no compiler knows.
//!
//! Every check is a function from the work tree, held in memory, to its findings: its test plants a violation in a
//! tree of three lines and sees it found.

mod deviations;
mod layering;
mod lengths;
mod manifests;
mod modules;
mod places;
mod tokens;
mod unsafety;
mod words;

use std::collections::BTreeMap;
use std::fmt;

use anyhow::bail;

use crate::workspace::{Package, Workspace};

/// Runs every check and prints what it finds; any finding is an error.
pub(crate) fn run(workspace: &Workspace) -> anyhow::Result<()> {
    let tree = Tree {
        files: workspace.text_files()?,
        packages: workspace.packages.clone(),
    };
    let mut count = 0;
    for (name, check) in CHECKS {
        for finding in check(&tree) {
            println!("{name}: {finding}");
            count += 1;
        }
    }
    if count > 0 {
        bail!("tidy: {count} finding(s)");
    }
    println!(
        "tidy: {} files, {} checks, nothing found",
        tree.files.len(),
        CHECKS.len()
    );
    Ok(())
}

/// The work tree as the checks see it.
#[derive(Default)]
struct Tree {
    /// Text by path relative to the root.
    files: BTreeMap<String, String>,
    /// The members of the workspace.
    packages: Vec<Package>,
}

impl Tree {
    /// The files whose name ends in `extension` (with its dot).
    fn files_ending<'a>(&'a self, extension: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.files
            .iter()
            .filter(move |(path, _)| path.ends_with(extension))
            .map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// The Rust sources.
    fn rust(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files_ending(".rs")
    }

    #[cfg(test)]
    fn of(files: &[(&str, &str)]) -> Self {
        let files = files
            .iter()
            .map(|(path, text)| ((*path).into(), (*text).into()));
        Self {
            files: files.collect(),
            packages: Vec::new(),
        }
    }
}

/// One broken rule.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    /// The file, relative to the root.
    file: String,
    /// The line, from 1; 0 when the file as a whole is meant.
    line: usize,
    /// What is wrong and what to do instead.
    message: String,
}

impl Finding {
    fn new(file: &str, line: usize, message: impl Into<String>) -> Self {
        Self {
            file: file.into(),
            line,
            message: message.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.message)
    }
}

type Check = fn(&Tree) -> Vec<Finding>;

/// Crates without IO, clock or randomness of their own, by directory.
const PURE_CRATES: [&str; 5] = [
    "crates/wire",
    "crates/totem",
    "crates/knet",
    "crates/executive",
    "crates/sim",
];

const CHECKS: [(&str, Check); 8] = [
    ("lengths", lengths::check),
    ("words", words::check),
    ("unsafe", unsafety::check),
    ("layering", layering::check),
    ("manifests", manifests::check),
    ("modules", modules::check),
    ("deviations", deviations::check),
    ("places", places::check),
];

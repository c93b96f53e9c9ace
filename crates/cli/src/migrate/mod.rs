//! `ferrosync migrate`: a corosync.conf for Corosync 3 from older configurations, with an account of every key.
//!
//! A reader turns each format into one tree of keys with their lines; a translator for each kind writes the new file
//! through a [`Draft`], which writes and reports in one step; the new file is read by the parser of
//! the daemon before anybody gets it.

pub(crate) mod args;
mod check;
mod cman;
mod conf;
mod corosync;
mod draft;
mod heartbeat;
mod kind;
mod nodes;
mod read;
mod report;
mod tree;

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use ferrosync_executive::config::FILE_BYTES_MAX;

use args::{MigrateArgs, ReportFormat, Wishes};
use draft::Draft;
use kind::Kind;
use report::Summary;
use tree::Tree;

/// Runs the command.
pub(crate) fn main(args: &MigrateArgs) -> ExitCode {
    match run(args) {
        Ok(outcome) => ExitCode::from(outcome.exit_code()),
        Err(error) => {
            eprintln!("ferrosync migrate: {error:#}");
            ExitCode::from(EXIT_FAILED)
        }
    }
}

/// How a translation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// The new file says all that the old one said.
    Clean,
    /// It was written, and somebody has to look at something.
    Decide,
    /// It was not written: a node would refuse it.
    Incomplete,
}

impl Outcome {
    const fn exit_code(self) -> u8 {
        match self {
            Self::Clean => 0,
            Self::Decide => 3,
            Self::Incomplete => 4,
        }
    }
}

fn run(args: &MigrateArgs) -> anyhow::Result<Outcome> {
    let name = args.input.display().to_string();
    let bytes = read_bounded(&args.input).with_context(|| name.clone())?;
    let (text, summary) = migrate(&name, &bytes, args.from, &args.wishes)?;
    let outcome = match (summary.refused.is_empty(), summary.needs_decision()) {
        (false, _) => Outcome::Incomplete,
        (true, true) => Outcome::Decide,
        (true, false) => Outcome::Clean,
    };
    let report = match args.format {
        ReportFormat::Text => summary.text(),
        ReportFormat::Json => format!("{}\n", summary.json()),
    };
    let complete = outcome != Outcome::Incomplete;
    match &args.output {
        Some(path) => {
            if complete {
                write_new(path, &text).with_context(|| path.display().to_string())?;
            }
            std::io::stdout().write_all(report.as_bytes())?;
        }
        None => {
            if complete {
                std::io::stdout().write_all(text.as_bytes())?;
            }
            std::io::stderr().write_all(report.as_bytes())?;
        }
    }
    Ok(outcome)
}

/// Translates a file: the new one's text, and what became of every key.
fn migrate(
    name: &str,
    bytes: &[u8],
    from: Option<Kind>,
    wishes: &Wishes,
) -> anyhow::Result<(String, Summary)> {
    let format = read::format_of(bytes);
    let tree = read::read(name, bytes, format).with_context(|| name.to_owned())?;
    let detected = kind::detect(&tree, format);
    let (kind, sign) = match (from, detected) {
        (Some(kind), _) => (kind, "--from says so".to_owned()),
        (None, Some(known)) => known,
        (None, None) => bail!("{name}: nothing tells what this file is; say it with --from"),
    };
    let mut draft = Draft::new(&tree, wishes);
    translate(&mut draft, &tree, kind).with_context(|| name.to_owned())?;
    if kind != Kind::Corosync3 {
        draft.conf.put_in_order();
    }
    draft.report_vain_wishes();
    let body = draft.conf.render();
    let first = draft::node(0);
    let refused = check::refusals(
        &body,
        draft.conf.get(&first, "ring0_addr"),
        draft.conf.get(&first, "name"),
    );
    let file = Path::new(name)
        .file_name()
        .unwrap_or_default()
        .to_string_lossy();
    let heading: String = file
        .chars()
        .filter(|c| !c.is_control())
        .take(NAME_CHARS_MAX)
        .collect();
    let text = format!(
        "# Written by ferrosync migrate from {heading} ({}).\n{body}",
        kind.name()
    );
    let summary = Summary {
        input: name.to_owned(),
        kind: format!("{}, {sign}", kind.name()),
        findings: draft.report.finish(&tree),
        refused,
    };
    Ok((text, summary))
}

fn translate(draft: &mut Draft<'_>, tree: &Tree, kind: Kind) -> anyhow::Result<()> {
    let inner = tree.root.named("corosync").next();
    match kind {
        Kind::Corosync1 | Kind::Corosync2 => {
            corosync::translate(draft, inner.unwrap_or(&tree.root), kind)
        }
        Kind::Corosync3 => corosync::copy(draft, inner.unwrap_or(&tree.root)),
        Kind::Cman => match tree.root.named("cluster").next() {
            Some(cluster) => cman::translate(draft, cluster),
            None => bail!("a cluster.conf begins with the element `cluster`"),
        },
        Kind::Heartbeat => heartbeat::translate(draft, &tree.root),
    }
    Ok(())
}

/// The file's content; a file that is longer than any configuration is cut off one byte behind the limit.
fn read_bounded(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(FILE_BYTES_MAX).unwrap_or(u64::MAX);
    File::open(path)?.take(limit + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Nobody's configuration is overwritten: the file must be new.
fn write_new(path: &Path, text: &str) -> anyhow::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    Ok(())
}

/// The input cannot be read or the output not written.
const EXIT_FAILED: u8 = 1;
/// Of the input's name in the heading.
const NAME_CHARS_MAX: usize = 100;

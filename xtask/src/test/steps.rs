//! The steps of a test run, in order.

use std::process::Command;

use super::{Report, packages, skipped};
use crate::process::{self, cargo};
use crate::workspace::Workspace;
use crate::{clients, dist, interop, tidy};

/// One step: a failure is reported and the next step runs all the same.
pub(super) struct Step {
    /// What `--only` and `--skip` call it.
    pub(super) name: &'static str,
    /// One line for `--list` and the header.
    pub(super) about: &'static str,
    /// Runs it; what it could not run goes into the report.
    pub(super) run: fn(&Workspace, &mut Report) -> anyhow::Result<()>,
}

pub(super) const STEPS: [Step; 13] = [
    Step {
        name: "packages",
        about: "Debian packages of the daemon and libraries we are compared with",
        run: packages::run,
    },
    Step {
        name: "tidy",
        about: "the rules of STYLE.md that no compiler knows",
        run: |workspace, _| tidy::run(workspace),
    },
    Step {
        name: "fmt",
        about: "cargo fmt --check",
        run: |workspace, report| {
            report.run(cargo(&workspace.root).args(["fmt", "--all", "--check"]))
        },
    },
    Step {
        name: "clippy",
        about: "every lint is an error",
        run: clippy,
    },
    Step {
        name: "doc",
        about: "the documentation builds without a warning",
        run: doc,
    },
    Step {
        name: "build",
        about: "the programs, as users get them",
        run: |workspace, report| {
            report.run(cargo(&workspace.root).args([
                "build",
                "--release",
                "--package",
                "ferrosync",
                "--package",
                "ferrosync-sim",
            ]))
        },
    },
    Step {
        name: "test",
        about: "unit, integration and documentation tests of the workspace",
        run: test,
    },
    Step {
        name: "fuzz",
        about: "every input that fuzzing ever kept, once more",
        run: fuzz,
    },
    Step {
        name: "sim",
        about: "the deterministic cluster, seeds derived from the commit",
        run: simulate,
    },
    Step {
        name: "clients",
        about: "the C clients of interop/ compile without a warning",
        run: compile_clients,
    },
    Step {
        name: "interop",
        about: "rings with real corosync nodes, real C clients on our daemon",
        run: interop::step,
    },
    Step {
        name: "dist",
        about: "the package takes corosync's place and gives it back, the tarball comes and goes",
        run: dist::step,
    },
    Step {
        name: "deny",
        about: "licences and origins of all dependencies",
        run: deny,
    },
];

fn clippy(workspace: &Workspace, report: &mut Report) -> anyhow::Result<()> {
    let mut command = cargo(&workspace.root);
    command.args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ]);
    report.run(&mut command)
}

fn doc(workspace: &Workspace, report: &mut Report) -> anyhow::Result<()> {
    let mut command = cargo(&workspace.root);
    command
        .args([
            "doc",
            "--workspace",
            "--no-deps",
            "--document-private-items",
        ])
        .env("RUSTDOCFLAGS", "-D warnings");
    report.run(&mut command)
}

fn test(workspace: &Workspace, report: &mut Report) -> anyhow::Result<()> {
    let mut notes = skipped::Notes::new(workspace)?;
    let mut command = cargo(&workspace.root);
    // A passing test's output is hidden unless asked for, and with it the line that says it skipped itself.
    command
        .args([
            "test",
            "--workspace",
            "--no-fail-fast",
            "--",
            "--show-output",
        ])
        .env(skipped::ENV, notes.path());
    let outcome = report.run(&mut command);
    notes.see(&report.text()?);
    for note in notes.collect()? {
        report.not_run("test", &note);
    }
    outcome
}

fn fuzz(workspace: &Workspace, report: &mut Report) -> anyhow::Result<()> {
    let manifest = workspace.root.join("fuzz/Cargo.toml");
    if !manifest.exists() {
        report.not_run("fuzz", "there is no fuzz/ yet");
        return Ok(());
    }
    let mut command = cargo(&workspace.root);
    // What both need is built alike, so once.
    command
        .args(["test", "--target-dir"])
        .arg(&workspace.target);
    command.arg("--manifest-path").arg(manifest);
    report.run(&mut command)
}

fn simulate(workspace: &Workspace, report: &mut Report) -> anyhow::Result<()> {
    let first = first_seed(workspace);
    let seeds = format!("{first}..{}", first + SEEDS);
    for worlds in [&["--seeds"][..], &["--knet", "--seeds"]] {
        let mut arguments: Vec<String> = worlds.iter().map(|&word| word.into()).collect();
        arguments.push(seeds.clone());
        report.run(&mut sim(workspace, &arguments))?;
    }
    // A checker that finds nothing is believed only if it finds what was planted.
    report.run(&mut sim(workspace, &["--self-test".into()]))
}

/// The simulator with these arguments.
pub(crate) fn sim(workspace: &Workspace, arguments: &[String]) -> Command {
    let mut command = cargo(&workspace.root);
    command.args([
        "run",
        "--quiet",
        "--release",
        "--package",
        "ferrosync-sim",
        "--",
    ]);
    command.args(arguments);
    command
}

/// The commit's first 60 bits, so that every commit explores seeds of its own and a failure can be repeated.
fn first_seed(workspace: &Workspace) -> u64 {
    let mut git = Command::new("git");
    git.args(["rev-parse", "HEAD"]).current_dir(&workspace.root);
    let hash = process::output(&mut git).unwrap_or_default();
    let digits = hash.get(..15).unwrap_or("1");
    u64::from_str_radix(digits, 16).unwrap_or(1)
}

fn compile_clients(workspace: &Workspace, report: &mut Report) -> anyhow::Result<()> {
    match clients::missing() {
        Some(what) => report.not_run("clients", &what),
        None => {
            clients::Clients::build(workspace)?;
        }
    }
    Ok(())
}

fn deny(workspace: &Workspace, report: &mut Report) -> anyhow::Result<()> {
    let found = process::find("cargo-deny").is_some();
    if !found {
        report.not_run("deny", "cargo-deny is not installed");
        return Ok(());
    }
    report.not_run(
        "deny advisories",
        "the list of advisories is fetched nightly, not here",
    );
    report.run(cargo(&workspace.root).args(["deny", "check", "bans", "licenses", "sources"]))
}

/// How many simulated clusters of each kind one test run explores.
const SEEDS: u64 = 60;

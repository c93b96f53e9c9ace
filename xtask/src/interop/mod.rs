//! `cargo xtask interop`: our daemon among real corosync nodes and under real C clients.
//!
//! Every case starts labs of its own (`ferrosync lab`, each node in namespaces of its own) and leaves its logs, records
//! and answers in `target/interop/`.

mod blackbox;
mod calls;
mod cases;
mod histories;
mod keys;
mod knet;
pub(crate) mod lab;
mod logs;
mod monitor;
mod pacemaker;
mod qdevice;
mod records;
mod reload;
mod same;
mod sides;
mod step;
mod storm;
mod tools;
mod trouble;
mod wait;
mod ykd;

use std::fs;
use std::num::NonZero;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use anyhow::{Context as _, bail};
use tempfile::TempDir;

use crate::clients::{self, Clients};
use crate::process::{self, cargo};
use crate::test::Report;
use crate::workspace::Workspace;
use cases::{Case, Extent};
use histories::Histories;
use lab::Peers;

/// Options of `cargo xtask interop`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run these cases alone.
    #[arg(value_name = "CASE")]
    only: Vec<String>,
    /// Run those too that no test run has.
    #[arg(long, conflicts_with = "only")]
    all: bool,
    /// Print the cases and stop.
    #[arg(long)]
    list: bool,
    /// Rounds of trouble in each storm.
    #[arg(long, default_value_t = 1)]
    rounds: u8,
    /// Nodes that run corosync, such as all, none or 1,3; otherwise each case has its own. Cases that compare the two
    /// daemons put these nodes beside a cluster of corosync alone.
    #[arg(long, value_name = "LIST")]
    corosync: Option<Peers>,
    /// Histories of votes to play.
    #[arg(long, value_enum, default_value = "some")]
    histories: Histories,
    /// Cases that run at the same time.
    #[arg(long, default_value_t = JOBS)]
    jobs: NonZero<u8>,
    /// Use this `ferrosync` instead of building one with optimisations.
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
}

/// What every case needs.
pub(crate) struct Setup {
    /// What is tested.
    pub(crate) workspace: Workspace,
    /// The `ferrosync` program.
    pub(crate) program: PathBuf,
    /// The compiled C clients.
    pub(crate) clients: Clients,
    /// Where logs and records go.
    pub(crate) dir: PathBuf,
    /// Where the labs keep their files while they run: apart from those of anybody else on this machine.
    pub(crate) labs: TempDir,
    /// Rounds of trouble in each storm.
    pub(crate) rounds: u8,
    /// Nodes that run corosync, where not those of the case.
    pub(crate) corosync: Option<Peers>,
    /// Histories of votes to play.
    pub(crate) histories: Histories,
    /// Cases that run at the same time.
    pub(crate) jobs: NonZero<u8>,
    /// The work tree.
    pub(crate) root: PathBuf,
}

impl Setup {
    /// Builds the program and the clients.
    pub(crate) fn build(workspace: &Workspace) -> anyhow::Result<Self> {
        process::run(cargo(&workspace.root).args(["build", "--release", "--package", PACKAGE]))?;
        Self::with(workspace, workspace.target.join("release").join(PACKAGE))
    }

    /// Builds the clients for a program that is there.
    fn with(workspace: &Workspace, program: PathBuf) -> anyhow::Result<Self> {
        let clients = Clients::build(workspace)?;
        let dir = clients.dir().join("runs");
        fs::create_dir_all(&dir).with_context(|| format!("{}", dir.display()))?;
        Ok(Self {
            workspace: workspace.clone(),
            program,
            clients,
            dir,
            rounds: 1,
            corosync: None,
            histories: Histories::Some,
            jobs: JOBS,
            root: workspace.root.clone(),
            labs: tempfile::Builder::new().prefix("ferrosync-").tempdir()?,
        })
    }
}

/// How a case ended, when it did not fail.
pub(crate) enum Outcome {
    /// It passed; what it covered.
    Passed(String),
}

/// Runs the chosen cases; any failure is an error.
pub(crate) fn run(workspace: &Workspace, args: &Args) -> anyhow::Result<()> {
    if args.list {
        for case in cases::all() {
            let extent = match case.extent {
                Extent::Always => "",
                Extent::Asked => " (only where asked for)",
            };
            println!("{:20} {}{extent}", case.name, case.about);
        }
        return Ok(());
    }
    let known = |name: &String| cases::all().any(|case| case.name == name);
    if let Some(name) = args.only.iter().find(|name| !known(name)) {
        bail!("there is no case `{name}`; see --list");
    }
    if let Some(why) = missing() {
        bail!("cannot run here: {why}");
    }
    let wanted = |case: &&Case| match case.extent {
        _ if !args.only.is_empty() => args.only.iter().any(|name| name == case.name),
        Extent::Always => true,
        Extent::Asked => args.all,
    };
    for case in cases::all().filter(&wanted) {
        if let Some(why) = case.missing() {
            bail!("cannot run {} here: {why}", case.name);
        }
    }
    let built = match &args.program {
        Some(program) => Setup::with(workspace, program.clone())?,
        None => Setup::build(workspace)?,
    };
    let setup = Setup {
        rounds: args.rounds,
        corosync: args.corosync,
        histories: args.histories,
        jobs: args.jobs,
        ..built
    };
    run_cases(&setup, cases::all().filter(wanted))
}

/// The step of a test run: the cases that every one has, or a note why none was run.
pub(crate) fn step(workspace: &Workspace, report: &mut Report) -> anyhow::Result<()> {
    let missing = missing();
    let mut can = Vec::new();
    for case in cases::all() {
        let why = match case.extent {
            Extent::Asked => Some("only where asked for: `cargo xtask interop --all`".to_owned()),
            Extent::Always => missing.clone().or_else(|| case.missing()),
        };
        match why {
            Some(why) => report.not_run(&format!("interop {}", case.name), &why),
            None => can.push(case),
        }
    }
    if can.is_empty() {
        return Ok(());
    }
    run_cases(&Setup::build(workspace)?, can.into_iter())
}

/// Runs cases, several at a time: most of them wait for timeouts most of the time.
fn run_cases<'a>(
    setup: &Setup,
    cases: impl Iterator<Item = &'a Case> + Send,
) -> anyhow::Result<()> {
    let (cases, failed) = (Mutex::new(cases), Mutex::new(Vec::new()));
    let next = || cases.lock().expect("no panic in between").next();
    let work = || {
        while let Some(case) = next() {
            if !run_case(setup, case) {
                failed.lock().expect("no panic in between").push(case.name);
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..setup.jobs.get() {
            scope.spawn(work);
        }
    });
    let failed = failed.into_inner().expect("no panic in between");
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(())
}

/// Whether it passed.
fn run_case(setup: &Setup, case: &Case) -> bool {
    println!("interop {}: {}", case.name, case.about);
    let start = Instant::now();
    let outcome = case.run(setup);
    let took = start.elapsed().as_secs_f64();
    match outcome {
        Ok(Outcome::Passed(what)) => {
            println!("interop {}: passed in {took:.1} s: {what}", case.name);
            true
        }
        Err(error) => {
            println!("interop {}: FAILED in {took:.1} s: {error:#}", case.name);
            false
        }
    }
}

/// What keeps every case from running on this machine, if anything.
pub(crate) fn missing() -> Option<String> {
    if process::find("corosync").is_none() {
        return Some("corosync is not installed".into());
    }
    if let Some(what) = clients::missing() {
        return Some(what);
    }
    let mut unshare = Command::new("unshare");
    unshare.args([
        "--user",
        "--map-root-user",
        "--net",
        "--mount",
        "--pid",
        "--fork",
        "true",
    ]);
    process::output(&mut unshare)
        .err()
        .map(|error| format!("no namespaces for tests: {error:#}"))
}

/// With more than these, two cores would be busy rather than waiting.
const JOBS: NonZero<u8> = NonZero::new(2).expect("not zero");
/// The package of the command-line tool, and its program.
const PACKAGE: &str = "ferrosync";

//! `cargo xtask bench`: our daemon and corosync side by side, in one run, under the same C client.
//!
//! Runs alternate between the daemons, so that a machine that slows down slows both; each figure is the median of its
//! runs. The ratios are printed and written as JSON and as a picture to `target/bench/`.

mod measure;
mod picture;
mod summary;

use std::fs;

use anyhow::{Context as _, bail};

use crate::interop::lab::{Lab, Peers, Plan};
use crate::interop::{self, Setup};
use crate::workspace::Workspace;
use measure::Measured;
use summary::Summary;

/// Options of `cargo xtask bench`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Runs of each daemon; an odd number has a median of its own.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..))]
    runs: u8,
    /// How the nodes talk.
    #[arg(long, default_value = "udpu", value_parser = ["udpu", "udp"])]
    transport: String,
    /// Seconds of sending for each message size.
    #[arg(long, default_value_t = 3)]
    seconds: u32,
    /// Seconds over which the idle daemons' processor time is taken.
    #[arg(long, default_value_t = 10)]
    idle: u32,
}

/// A daemon to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Daemon {
    Corosync,
    Ferrosync,
}

impl Daemon {
    fn name(self) -> &'static str {
        match self {
            Self::Corosync => "corosync",
            Self::Ferrosync => "ferrosync",
        }
    }

    fn peers(self) -> Peers {
        match self {
            Self::Corosync => Peers::All,
            Self::Ferrosync => Peers::None,
        }
    }
}

/// Measures both daemons and writes the comparison.
pub(crate) fn run(workspace: &Workspace, args: &Args) -> anyhow::Result<()> {
    if let Some(why) = interop::missing() {
        bail!("cannot run here: {why}");
    }
    let setup = Setup::build(workspace)?;
    let (mut theirs, mut ours) = (Vec::new(), Vec::new());
    for round in 1..=args.runs {
        for (daemon, results) in [
            (Daemon::Corosync, &mut theirs),
            (Daemon::Ferrosync, &mut ours),
        ] {
            println!("run {round} of {}: {}", args.runs, daemon.name());
            results.push(measure_one(&setup, daemon, args)?);
        }
    }
    let summary = Summary::of(&theirs, &ours);
    print!("{}", summary.table());
    let dir = workspace.target.join("bench");
    fs::create_dir_all(&dir).with_context(|| format!("{}", dir.display()))?;
    let conditions = serde_json::json!({
        "nodes": NODES,
        "transport": args.transport,
        "runs": args.runs,
        "seconds_per_size": args.seconds,
        "idle_seconds": args.idle,
        "processors": std::thread::available_parallelism().map_or(0, usize::from),
    });
    let json = serde_json::to_string_pretty(&summary.json(&conditions))?;
    fs::write(dir.join("results.json"), json + "\n")?;
    fs::write(dir.join("ratios.svg"), picture::draw(&summary))?;
    println!("written to {}", dir.display());
    Ok(())
}

fn measure_one(setup: &Setup, daemon: Daemon, args: &Args) -> anyhow::Result<Measured> {
    let plan = Plan {
        nodes: NODES,
        corosync: daemon.peers(),
        transport: if args.transport == "udp" {
            "udp"
        } else {
            "udpu"
        },
        settings: &[],
    };
    let lab = Lab::start(setup, &format!("bench-{}", daemon.name()), &plan)?;
    measure::all(setup, &lab, args).with_context(|| daemon.name())
}

const NODES: u8 = 3;

//! `cargo xtask bench`: our daemon and corosync side by side, in one run, under the same C client.
//!
//! Runs alternate between the rings and the daemons, so that a machine that slows down slows all; each figure is the
//! median of its runs. The ratios are printed and written as JSON and as a picture to `target/bench/`.

mod measure;
mod picture;
mod ring;
mod summary;

use std::fs;

use anyhow::{Context as _, bail};

use crate::interop::lab::{Lab, Peers, Plan};
use crate::interop::{self, Setup};
use crate::process;
use crate::workspace::Workspace;
use measure::Measured;
use ring::{Crypto, Priority, Ring, Transport};
use summary::Summary;

/// Options of `cargo xtask bench`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Runs of each daemon; an odd number has a median of its own.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..))]
    runs: u8,
    /// How the nodes talk; several, separated by commas, are shown side by side.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "udpu,knet")]
    transport: Vec<Transport>,
    /// Cipher and hash of rings over knet; several are shown side by side.
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "none,aes256/sha256"
    )]
    crypto: Vec<Crypto>,
    /// How the kernel runs the daemons; several are shown side by side. Without this real-time, which is corosync's
    /// default, for root, and normal for others, who cannot have it.
    #[arg(long, value_enum, value_delimiter = ',')]
    priority: Vec<Priority>,
    /// The daemons to measure.
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "corosync,ferrosync"
    )]
    daemon: Vec<Daemon>,
    /// Seconds of sending for each message size.
    #[arg(long, default_value_t = 3)]
    seconds: u32,
    /// Seconds over which the idle daemons' processor time is taken.
    #[arg(long, default_value_t = 10)]
    idle: u32,
}

/// A daemon to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
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
            Self::Corosync => Peers::ALL,
            Self::Ferrosync => Peers::NONE,
        }
    }
}

/// The runs of both daemons on rings of one kind.
struct Runs {
    ring: Ring,
    corosync: Vec<Measured>,
    ferrosync: Vec<Measured>,
}

/// Measures the daemons and writes the comparison.
pub(crate) fn run(workspace: &Workspace, args: &Args) -> anyhow::Result<()> {
    if let Some(why) = interop::missing() {
        bail!("cannot run here: {why}");
    }
    let priorities = priorities(&args.priority)?;
    let setup = Setup::build(workspace)?;
    let mut all: Vec<Runs> = ring::rings(&args.transport, &args.crypto, &priorities)
        .into_iter()
        .map(|ring| Runs {
            ring,
            corosync: Vec::new(),
            ferrosync: Vec::new(),
        })
        .collect();
    for round in 1..=args.runs {
        for runs in &mut all {
            for daemon in &args.daemon {
                let (name, ring) = (daemon.name(), runs.ring.label());
                println!("run {round} of {}: {name} over {ring}", args.runs);
                let measured = measure_one(&setup, *daemon, runs.ring, args)
                    .with_context(|| format!("{name} over {ring}"))?;
                match daemon {
                    Daemon::Corosync => runs.corosync.push(measured),
                    Daemon::Ferrosync => runs.ferrosync.push(measured),
                }
            }
        }
    }
    let summaries = all.iter().map(Summary::of).collect::<Vec<_>>();
    for summary in &summaries {
        print!("{}", summary.table());
    }
    write(workspace, args, &summaries)
}

/// Those that were asked for, otherwise the best that this user can have.
fn priorities(asked: &[Priority]) -> anyhow::Result<Vec<Priority>> {
    match (asked, process::is_root()) {
        ([], true) => Ok(vec![Priority::RealTime]),
        ([], false) => Ok(vec![Priority::Normal]),
        (asked, false) if asked.contains(&Priority::RealTime) => {
            bail!("real-time priority needs root")
        }
        (asked, _) => Ok(asked.to_vec()),
    }
}

fn write(workspace: &Workspace, args: &Args, summaries: &[Summary]) -> anyhow::Result<()> {
    let dir = workspace.target.join("bench");
    fs::create_dir_all(&dir).with_context(|| format!("{}", dir.display()))?;
    let conditions = serde_json::json!({
        "nodes": NODES,
        "runs": args.runs,
        "seconds_per_size": args.seconds,
        "idle_seconds": args.idle,
        "processors": std::thread::available_parallelism().map_or(0, usize::from),
    });
    let json = serde_json::to_string_pretty(&summary::json(summaries, &conditions))?;
    fs::write(dir.join("results.json"), json + "\n")?;
    fs::write(dir.join("ratios.svg"), picture::draw(summaries))?;
    println!("written to {}", dir.display());
    Ok(())
}

fn measure_one(setup: &Setup, daemon: Daemon, ring: Ring, args: &Args) -> anyhow::Result<Measured> {
    let plan = Plan {
        crypto: ring.crypto.words(),
        settings: ring.priority.settings(),
        ..Plan::new(NODES, daemon.peers(), ring.transport.word())
    };
    let lab = Lab::start(setup, &format!("bench-{}", daemon.name()), &plan)?;
    measure::check_priority(&lab, ring.priority)?;
    measure::all(setup, &lab, args)
}

const NODES: u8 = 3;

//! `ferrosync-sim`: runs worlds. `cargo xtask sim` passes its arguments on to here.

#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "a command-line tool speaks on stdout")]

use std::ops::Range;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use ferrosync_sim::report::repro_line;
use ferrosync_sim::swarm::{self, Outcome, Worlds};
use ferrosync_sim::{Sabotage, Verbosity};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let command = match Command::parse(&args) {
        Ok(command) => command,
        Err(error) => {
            eprintln!("error: {error}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match command {
        Command::One(worlds, seed, verbosity) => one(worlds, seed, verbosity),
        Command::Many(worlds, seeds) => many(worlds, seeds),
        Command::SelfTest(budget) => self_test(budget),
        Command::Help => {
            println!("{USAGE}");
            ExitCode::SUCCESS
        }
    }
}

const USAGE: &str =
    "usage: cargo xtask sim [--knet] [--seed N] [--log full] | [--seeds A..B] | [--self-test] [--budget N]

  --knet        worlds over knet: several links, path MTUs, encryption
  --seed N      run one world and print its transitions; --log full adds the nodes' logs
  --seeds A..B  run many worlds on all processors and print the failures (default 0..200)
  --self-test   run worlds with planted bugs, each of which must be found
  --budget N    most seeds tried per planted bug (default 2000)";

enum Command {
    One(Worlds, u64, Verbosity),
    Many(Worlds, Range<u64>),
    SelfTest(u64),
    Help,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Worlds,
    SelfTest,
}

impl Command {
    fn parse(args: &[String]) -> Result<Self, String> {
        let mut seed = None;
        let mut worlds = Worlds::Udp;
        let mut seeds = 0..200;
        let mut verbosity = Verbosity::Transitions;
        let mut mode = Mode::Worlds;
        let mut budget = 2_000;
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or_else(|| format!("{arg} needs a value"));
            match arg.as_str() {
                "--seed" => seed = Some(number(value()?)?),
                "--seeds" => seeds = range(value()?)?,
                "--budget" => budget = number(value()?)?,
                "--log" if value()? == "full" => verbosity = Verbosity::Full,
                "--knet" => worlds = Worlds::Knet,
                "--self-test" => mode = Mode::SelfTest,
                "--help" | "-h" => return Ok(Self::Help),
                _ => return Err(format!("unknown argument {arg}")),
            }
        }
        Ok(match (mode, seed) {
            (Mode::SelfTest, _) => Self::SelfTest(budget),
            (Mode::Worlds, Some(seed)) => Self::One(worlds, seed, verbosity),
            (Mode::Worlds, None) => Self::Many(worlds, seeds),
        })
    }
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("{text} is not a number"))
}

fn range(text: &str) -> Result<Range<u64>, String> {
    let (from, to) = text
        .split_once("..")
        .ok_or_else(|| format!("{text} is not a range A..B"))?;
    Ok(number(from)?..number(to)?)
}

fn one(worlds: Worlds, seed: u64, verbosity: Verbosity) -> ExitCode {
    let outcome = swarm::run(worlds, seed, verbosity, None);
    for line in &outcome.lines {
        println!("{line}");
    }
    match &outcome.failure {
        None => {
            let settled = outcome.settled_in.unwrap_or_default();
            println!("ok after {} events, settled in {settled:?}", outcome.steps);
            ExitCode::SUCCESS
        }
        Some(failure) => {
            println!("{failure}\n{}", repro_line(worlds, seed));
            ExitCode::from(failure.class.exit_code())
        }
    }
}

fn many(worlds: Worlds, seeds: Range<u64>) -> ExitCode {
    quiet_panics();
    let total = seeds.end.saturating_sub(seeds.start);
    let next = AtomicU64::new(seeds.start);
    let tally = Mutex::new(Tally::default());
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    let outcome = swarm::run(worlds, seed, Verbosity::Silent, None);
                    if let Ok(mut tally) = tally.lock() {
                        tally.add(worlds, seed, &outcome);
                    }
                }
            });
        }
    });
    let tally = tally.into_inner().unwrap_or_else(|e| e.into_inner());
    println!(
        "{total} worlds, {} failed, {} events, slowest to settle {:?} (seed {})",
        tally.failed, tally.steps, tally.slowest.0, tally.slowest.1
    );
    tally.exit.map_or(ExitCode::SUCCESS, ExitCode::from)
}

#[derive(Default)]
struct Tally {
    failed: u64,
    steps: u64,
    slowest: (core::time::Duration, u64),
    exit: Option<u8>,
}

impl Tally {
    fn add(&mut self, worlds: Worlds, seed: u64, outcome: &Outcome) {
        self.steps += outcome.steps;
        if let Some(settled) = outcome.settled_in {
            self.slowest = self.slowest.max((settled, seed));
        }
        if let Some(failure) = &outcome.failure {
            self.failed += 1;
            self.exit.get_or_insert_with(|| failure.class.exit_code());
            println!("{failure}\n  {}", repro_line(worlds, seed));
        }
    }
}

fn self_test(budget: u64) -> ExitCode {
    quiet_panics();
    let mut missed = 0;
    for bug in Sabotage::ALL {
        let (class, checker) = bug.expected();
        // Another checker may see the same bug first in some worlds; each has to see its own in one.
        let found = (0..budget).find_map(|seed| {
            let failure = swarm::run(Worlds::Udp, seed, Verbosity::Silent, Some(bug)).failure?;
            let is_expected = failure.class == class && failure.checker == checker;
            is_expected.then_some((seed, failure))
        });
        match found {
            Some((seed, f)) => {
                let first_line = f.to_string().chars().take(160).collect::<String>();
                println!("{:22} seed {seed:5}  {first_line}", bug.name());
            }
            None => {
                missed += 1;
                println!("{:22} NOT FOUND in {budget} seeds", bug.name());
            }
        }
    }
    if missed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    }
}

/// A panic inside a node is reported like any other failure.
fn quiet_panics() {
    std::panic::set_hook(Box::new(|_| {}));
}

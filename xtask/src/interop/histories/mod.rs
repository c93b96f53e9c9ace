//! Histories of votes: what corosync's votequorum decides when nodes come, go and part, and when votes change.
//!
//! The outcomes lie in the work tree, and our own votequorum must come to the same in every test run
//! (`crates/executive/src/services/votequorum/tests/histories.rs`). This case shows that they are what corosync decides:
//! it plays some of them, or all, on rings of corosync nodes.

mod generate;
mod history;
mod play;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use anyhow::{Context as _, bail};

use self::generate::generate;
use self::history::{History, parse};
use self::play::{Patience, Played, Stage};
use super::calls::difference;
use super::lab::Peers;
use super::{Outcome, Setup};

/// What `cargo xtask interop` is asked to do with the histories.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Histories {
    /// Play some of them and compare.
    Some,
    /// Play all and compare.
    All,
    /// Play on corosync those that the work tree does not have, and write what it decides there.
    Record,
}

/// Plays them.
pub(super) fn run(setup: &Setup) -> anyhow::Result<Outcome> {
    let dir = setup.root.join(DIR);
    let mut known = read(&dir)?;
    if setup.histories == Histories::Record {
        known.retain(|history| history.question() == generate(history.number));
    }
    let is_unknown = |number: &u64| known.iter().all(|history| history.number != *number);
    let numbers: Vec<u64> = match setup.histories {
        Histories::Some => (0..COUNT).step_by(EVERY).collect(),
        Histories::All => (0..COUNT).collect(),
        Histories::Record => (0..COUNT).filter(is_unknown).collect(),
    };
    let job = Job {
        setup,
        known,
        numbers,
        next: AtomicUsize::new(0),
        played: Mutex::default(),
        faults: Mutex::default(),
    };
    thread::scope(|scope| {
        for worker in 0..WORKERS {
            let job = &job;
            scope.spawn(move || job.work(worker));
        }
    });
    let faults = job.faults.into_inner().unwrap_or_else(|e| e.into_inner());
    let played = job.played.into_inner().unwrap_or_else(|e| e.into_inner());
    if setup.histories == Histories::Record {
        let mut all = [job.known, played.clone()].concat();
        all.sort_by_key(|history| history.number);
        write(&dir, &all)?;
    }
    if !faults.is_empty() {
        bail!(
            "{} of {} failed:\n{}",
            faults.len(),
            job.numbers.len(),
            faults.join("\n")
        );
    }
    let steps: usize = played.iter().map(|history| history.steps.len()).sum();
    Ok(Outcome::Passed(format!(
        "{} histories of {steps} steps",
        played.len()
    )))
}

/// The histories to play, shared by workers with a lab each.
struct Job<'a> {
    setup: &'a Setup,
    /// With their outcomes.
    known: Vec<History>,
    numbers: Vec<u64>,
    next: AtomicUsize,
    played: Mutex<Vec<History>>,
    faults: Mutex<Vec<String>>,
}

impl Job<'_> {
    fn work(&self, worker: usize) {
        if let Err(error) = self.work_on_a_stage(worker) {
            self.fault(format!("lab {worker}: {error:#}"));
        }
    }

    /// What is written is what corosync does alone. Played again, half of the labs have nodes of both kinds, which must
    /// understand each other's votes.
    fn peers(&self, worker: usize) -> Peers {
        match self.setup.histories {
            Histories::Record => Peers::ALL,
            Histories::Some | Histories::All if worker.is_multiple_of(2) => Peers::ALL,
            Histories::Some | Histories::All => Peers::these(&[2, 3]),
        }
    }

    fn work_on_a_stage(&self, worker: usize) -> anyhow::Result<()> {
        let corosync = self.setup.corosync.unwrap_or_else(|| self.peers(worker));
        let mut stage = Stage::start(
            self.setup,
            &format!("votequorum-histories-{worker}"),
            corosync,
        )?;
        loop {
            let at = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(number) = self.numbers.get(at) else {
                return Ok(());
            };
            let start = Instant::now();
            match self.settle(&mut stage, *number) {
                Ok(history) => {
                    println!(
                        "history {number}: played in {:.1} s",
                        start.elapsed().as_secs_f64()
                    );
                    self.keep(history);
                }
                Err(error) => self.fault(format!("history {number}: {error:#}")),
            }
        }
    }

    /// Plays a history until it takes no detour and has the outcome that is written.
    fn settle(&self, stage: &mut Stage, number: u64) -> anyhow::Result<History> {
        let known = self.known.iter().find(|history| history.number == number);
        let question = generate(number);
        if self.setup.histories != Histories::Record
            && known.map(History::question).as_ref() != Some(&question)
        {
            bail!("what is written in {DIR} is another one: record it");
        }
        let mut failures = Vec::new();
        while failures.len() < TRIES_MAX {
            let patience = known.map_or(Patience::Quiet, Patience::Until);
            match stage.play(&question, &patience)? {
                Played::Detour(how) => failures.push(how),
                Played::Whole(played) => {
                    let Some(known) = known else {
                        return Ok(played);
                    };
                    let (mut expected, mut got) = (String::new(), String::new());
                    known.write(&mut expected);
                    played.write(&mut got);
                    match difference(&expected, &got) {
                        None => return Ok(played),
                        Some(text) => failures.push(text),
                    }
                }
            }
        }
        bail!(
            "each try took a detour or had another outcome than what is written (`corosync:` below):\n{}",
            failures.join("\n")
        )
    }

    fn keep(&self, history: History) {
        self.played
            .lock()
            .unwrap_or_else(|e| e.into_inner())
            .push(history);
    }

    fn fault(&self, text: String) {
        eprintln!("{text}");
        self.faults
            .lock()
            .unwrap_or_else(|e| e.into_inner())
            .push(text);
    }
}

fn read(dir: &Path) -> anyhow::Result<Vec<History>> {
    let mut histories = Vec::new();
    for file in 0..COUNT / PER_FILE {
        let path = path_of(dir, file);
        let text = fs::read_to_string(&path).with_context(|| format!("{}", path.display()))?;
        histories.extend(parse(&text).with_context(|| format!("{}", path.display()))?);
    }
    Ok(histories)
}

fn write(dir: &Path, histories: &[History]) -> anyhow::Result<()> {
    for file in 0..COUNT / PER_FILE {
        let mut text = String::new();
        for history in histories
            .iter()
            .filter(|history| history.number / PER_FILE == file)
        {
            history.write(&mut text);
        }
        let path = path_of(dir, file);
        fs::write(&path, text).with_context(|| format!("{}", path.display()))?;
    }
    Ok(())
}

fn path_of(dir: &Path, file: u64) -> PathBuf {
    dir.join(format!("votequorum_histories_{file}.txt"))
}

/// How many there are, and how many in a file.
const COUNT: u64 = 200;
const PER_FILE: u64 = 20;
/// One of so many is played in a test run.
const EVERY: usize = 20;
/// Labs at the same time: most of the time is waiting.
const WORKERS: usize = 8;
/// On a busy machine other rings can form on the way to the one that is wanted, and timers of the nodes run out before
/// all have spoken.
const TRIES_MAX: usize = 5;
const DIR: &str = "crates/executive/src/services/testdata";

//! `cargo xtask test`: everything that must pass before a change lands, in one command.
//!
//! A step that fails does not stop the others. The run ends with what was not run and why, so that a green run on a
//! poor machine is never mistaken for a full one.

mod log;
mod packages;
mod skipped;
mod steps;

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use crate::workspace::Workspace;
use log::Log;
pub(crate) use steps::sim;
use steps::{STEPS, Step};

/// Options of `cargo xtask test`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run this step alone; may be given several times.
    #[arg(long, value_name = "STEP")]
    only: Vec<String>,
    /// Leave this step out; may be given several times.
    #[arg(long, value_name = "STEP")]
    skip: Vec<String>,
    /// Print the steps and stop.
    #[arg(long)]
    list: bool,
}

/// Runs the chosen steps; any failure is an error.
pub(crate) fn run(workspace: &Workspace, args: &Args) -> anyhow::Result<()> {
    if args.list {
        for step in &STEPS {
            println!("{:10} {}", step.name, step.about);
        }
        return Ok(());
    }
    let chosen = choose(&args.only, &args.skip)?;
    let mut report = Report::default();
    for step in &STEPS {
        if chosen.contains(&step.name) {
            report.step(step, workspace);
        } else {
            report.not_run(step.name, "left out on the command line");
        }
    }
    report.finish()
}

/// What a run has to tell at its end.
#[derive(Default)]
pub(crate) struct Report {
    passed: usize,
    failed: Vec<Failure>,
    /// What was not run, by the reason.
    not_run: Vec<(String, Vec<String>)>,
    /// What the programs of the step that runs print.
    log: Option<Log>,
}

/// A step that failed.
struct Failure {
    step: &'static str,
    error: anyhow::Error,
    /// Why, as far as the step's log knows, and where that is.
    told: Vec<String>,
}

impl Report {
    /// Notes that `what` was not run.
    pub(crate) fn not_run(&mut self, what: &str, why: &str) {
        match self.not_run.iter_mut().find(|(known, _)| known == why) {
            Some((_, whats)) => whats.push(what.to_owned()),
            None => self.not_run.push((why.to_owned(), vec![what.to_owned()])),
        }
    }

    /// Runs `command` as a part of the step; what it prints goes to the step's log.
    fn run(&self, command: &mut Command) -> anyhow::Result<()> {
        self.log.as_ref().context(NO_LOG)?.run(command)
    }

    /// What the commands of the step printed so far.
    fn text(&self) -> anyhow::Result<String> {
        self.log.as_ref().context(NO_LOG)?.text()
    }

    fn step(&mut self, step: &Step, workspace: &Workspace) {
        println!("== {}: {}", step.name, step.about);
        let start = Instant::now();
        let outcome = Log::new(workspace, step.name).and_then(|log| {
            self.log = Some(log);
            (step.run)(workspace, self)
        });
        let took = seconds(start.elapsed());
        match &outcome {
            Ok(()) => println!("-- {}: done in {took}", step.name),
            Err(error) => println!("-- {}: FAILED in {took}: {error:#}", step.name),
        }
        self.note(step.name, outcome);
    }

    fn note(&mut self, step: &'static str, outcome: anyhow::Result<()>) {
        match outcome {
            Ok(()) => self.passed += 1,
            Err(error) => {
                let told = self.why();
                self.failed.push(Failure { step, error, told });
            }
        }
    }

    /// Why the step failed, as far as its log knows.
    fn why(&self) -> Vec<String> {
        let text = self.text().unwrap_or_default();
        let mut told: Vec<String> = log::telling(&text).into_iter().map(String::from).collect();
        if let Some(log) = &self.log
            && !told.is_empty()
        {
            told.push(format!("(all of it: {})", log.path().display()));
        }
        told
    }

    fn finish(self) -> anyhow::Result<()> {
        println!("\n{}", self.closing());
        match self.failed.len() {
            0 => Ok(()),
            failed => bail!("{failed} step(s) failed"),
        }
    }

    /// The last words. What failed, and why, comes after all else: the end of a long output is what is read, or kept.
    fn closing(&self) -> String {
        let mut lines: Vec<String> = Vec::new();
        for (why, what) in &self.not_run {
            lines.push(format!("NOT RUN: {}: {why}", what.join(", ")));
        }
        for Failure { step, error, told } in &self.failed {
            lines.push(format!("FAILED: {step}: {error:#}"));
            lines.extend(told.iter().map(|line| format!("   {line}")));
        }
        let not_run: usize = self.not_run.iter().map(|(_, what)| what.len()).sum();
        lines.push(format!(
            "xtask test: {} steps done, {} failed, {not_run} things not run",
            self.passed,
            self.failed.len(),
        ));
        lines.join("\n")
    }
}

/// The names of the steps to run; a name nobody knows is an error.
fn choose(only: &[String], skip: &[String]) -> anyhow::Result<Vec<&'static str>> {
    let known = |name: &String| STEPS.iter().any(|step| step.name == name);
    if let Some(name) = only.iter().chain(skip).find(|name| !known(name)) {
        bail!("there is no step `{name}`; see --list");
    }
    let wanted = |step: &&Step| {
        let is = |name: &String| name == step.name;
        (only.is_empty() || only.iter().any(is)) && !skip.iter().any(is)
    };
    Ok(STEPS.iter().filter(wanted).map(|step| step.name).collect())
}

/// Commands belong to a step.
const NO_LOG: &str = "no step runs";

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(only: &[&str], skip: &[&str]) -> anyhow::Result<Vec<&'static str>> {
        let own = |names: &[&str]| {
            names
                .iter()
                .map(|name| (*name).to_owned())
                .collect::<Vec<_>>()
        };
        choose(&own(only), &own(skip))
    }

    #[test]
    fn without_options_every_step_runs() {
        assert_eq!(names(&[], &[]).unwrap().len(), STEPS.len());
    }

    #[test]
    fn only_and_skip_choose() {
        assert_eq!(names(&["fmt", "tidy"], &["fmt"]).unwrap(), ["tidy"]);
        assert_eq!(names(&[], &["fmt"]).unwrap().len(), STEPS.len() - 1);
    }

    #[test]
    fn an_unknown_step_is_an_error() {
        assert!(names(&["tidyy"], &[]).is_err());
        assert!(names(&[], &["tidyy"]).is_err());
    }

    #[test]
    fn a_failed_step_fails_the_run_and_is_told_last() {
        let mut report = Report::default();
        report.not_run("b", "no namespaces");
        report.note("a", Err(anyhow::anyhow!("planted")));
        report.note("c", Ok(()));
        report.failed[0].told.push("the reason".into());
        assert_eq!(
            report.closing(),
            "NOT RUN: b: no namespaces\nFAILED: a: planted\n   the reason\n\
             xtask test: 1 steps done, 1 failed, 1 things not run"
        );
        report.finish().unwrap_err();
    }

    #[test]
    fn what_was_not_run_does_not_fail_the_run() {
        let mut report = Report::default();
        report.not_run("a", "no namespaces");
        report.not_run("b", "no time");
        report.not_run("c", "no namespaces");
        assert_eq!(
            report.closing(),
            "NOT RUN: a, c: no namespaces\nNOT RUN: b: no time\n\
             xtask test: 0 steps done, 0 failed, 3 things not run"
        );
        report.finish().unwrap();
    }
}

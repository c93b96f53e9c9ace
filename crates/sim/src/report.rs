//! What a run tells: one line per membership transition, how it ended, and how to see it again.

use std::fmt;

use crate::swarm::Worlds;

use ferrosync_totem::srp::{GatherReason, MembStateKind};
use ferrosync_wire::{Instant, NodeId, RingId};

/// How a run failed; decides the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The node's own assertion.
    Assert,
    /// What should happen after healing did not.
    Liveness,
    /// What must never happen did.
    Safety,
}

impl Class {
    /// The exit code of the process.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Assert => 127,
            Self::Liveness => 128,
            Self::Safety => 129,
        }
    }
}

/// Why a run failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What kind of failure.
    pub class: Class,
    /// Which checker says so.
    pub checker: &'static str,
    /// Virtual time.
    pub at: Instant,
    /// What it saw.
    pub text: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let class = match self.class {
            Class::Assert => "ASSERT",
            Class::Liveness => "LIVENESS",
            Class::Safety => "SAFETY",
        };
        write!(f, "{} {class} {}: {}", self.at, self.checker, self.text)
    }
}

/// What a run writes down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Nothing: thousands of worlds are run.
    Silent,
    /// Faults and membership transitions.
    Transitions,
    /// The nodes' logs, too.
    Full,
}

/// The lines of one run.
#[derive(Debug)]
pub struct Report {
    verbosity: Verbosity,
    lines: Vec<String>,
    dropped: u64,
}

impl Report {
    /// An empty report.
    #[must_use]
    pub const fn new(verbosity: Verbosity) -> Self {
        Self {
            verbosity,
            lines: Vec::new(),
            dropped: 0,
        }
    }

    /// Whether lines of this kind are kept.
    #[must_use]
    pub fn wants(&self, verbosity: Verbosity) -> bool {
        self.verbosity >= verbosity
    }

    /// The lines so far.
    #[must_use]
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// A node changed its membership state.
    pub fn transition(&mut self, at: Instant, node: NodeId, step: &Transition<'_>) {
        if !self.wants(Verbosity::Transitions) {
            return;
        }
        let reason = step.reason.map_or_else(String::new, |r| {
            format!(
                " reason={}",
                r.text().trim_end_matches('.').replace(' ', "-")
            )
        });
        let members: Vec<String> = step.members.iter().map(ToString::to_string).collect();
        self.push(format!(
            "{at} {node} {}>{} ring=({},{}){reason} members={}",
            step.from.letter(),
            step.to.letter(),
            step.ring.rep,
            step.ring.seq.0,
            members.join(","),
        ));
    }

    /// Something else that happened.
    pub fn line(&mut self, at: Instant, text: impl FnOnce() -> String) {
        if self.wants(Verbosity::Transitions) {
            self.push(format!("{at} {}", text()));
        }
    }

    /// A line of a node's log.
    pub fn log(&mut self, at: Instant, node: NodeId, text: impl FnOnce() -> String) {
        if self.wants(Verbosity::Full) {
            self.push(format!("{at} {node} log {}", text()));
        }
    }

    fn push(&mut self, line: String) {
        if self.lines.len() < LINES_MAX {
            self.lines.push(line);
        } else {
            self.dropped += 1;
        }
    }
}

/// One membership transition.
#[derive(Clone, Copy, Debug)]
pub struct Transition<'a> {
    /// Where the node was.
    pub from: MembStateKind,
    /// Where it is.
    pub to: MembStateKind,
    /// The ring that it belongs to or forms.
    pub ring: RingId,
    /// For GATHER: why.
    pub reason: Option<GatherReason>,
    /// Members of the ring that it installed last.
    pub members: &'a [NodeId],
}

/// The line that shows a failure again.
#[must_use]
pub fn repro_line(worlds: Worlds, seed: u64) -> String {
    let worlds = match worlds {
        Worlds::Udp => "",
        Worlds::Knet => " --knet",
    };
    format!("cargo xtask sim{worlds} --seed {seed}")
}

/// Most lines kept of one run.
const LINES_MAX: usize = 2_000_000;

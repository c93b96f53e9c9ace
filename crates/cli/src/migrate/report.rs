//! What became of every key: the text for people and the JSON for programs.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::tree::{Entry, Tree};

/// What became of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It stands in the new file with the same value.
    Copied,
    /// It stands there under another name, with another value, or both.
    Changed,
    /// Nothing in corosync 3 corresponds to it.
    Dropped,
    /// Written although no line of the input says it.
    Added,
    /// Somebody has to look at it.
    Decide,
}

impl Verdict {
    /// The word of the report.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Copied => "copied",
            Self::Changed => "changed",
            Self::Dropped => "dropped",
            Self::Added => "added",
            Self::Decide => "decide",
        }
    }
}

/// One line of the report.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    /// Line of the input; `None` where no line says it.
    pub(crate) line: Option<u32>,
    /// The key of the input with its sections; empty where there is none.
    pub(crate) key: String,
    /// Its value, unless it is a secret.
    pub(crate) value: String,
    pub(crate) verdict: Verdict,
    /// What was written: keys of corosync.conf with their values.
    pub(crate) output: Vec<(String, String)>,
    /// The reason; empty for what was copied.
    pub(crate) why: String,
}

/// What became of every key of one file.
#[derive(Debug)]
pub(crate) struct Report {
    /// By the number of the key; `None` for keys that nothing was said about yet.
    keys: Vec<Option<Finding>>,
    /// What no line of the input says.
    free: Vec<Finding>,
}

/// The finished report.
#[derive(Debug)]
pub(crate) struct Summary {
    /// The input's name.
    pub(crate) input: String,
    /// What it was taken for, and why.
    pub(crate) kind: String,
    /// In the order of the input, then what was added.
    pub(crate) findings: Vec<Finding>,
    /// Why a daemon would refuse the new file; empty when it would not.
    pub(crate) refused: Vec<String>,
}

impl Report {
    /// A report in which nothing has been said yet.
    pub(crate) fn new(tree: &Tree) -> Self {
        Self {
            keys: tree.root.all().iter().map(|_| None).collect(),
            free: Vec::new(),
        }
    }

    /// Says what became of a key; what was said before about the same key is extended by the new output.
    pub(crate) fn say(
        &mut self,
        entry: &Entry,
        verdict: Verdict,
        output: Option<(String, String)>,
        why: &str,
    ) {
        let secret = is_secret(entry);
        let hide = |value: String| {
            if secret { HIDDEN.to_owned() } else { value }
        };
        let output = output.map(|(key, value)| (key, hide(value)));
        let slot = &mut self.keys[entry.number];
        if let Some(said) = slot {
            said.output.extend(output);
            if said.verdict != verdict {
                let decide = [said.verdict, verdict].contains(&Verdict::Decide);
                said.verdict = if decide {
                    Verdict::Decide
                } else {
                    Verdict::Changed
                };
            }
            if said.why.is_empty() {
                why.clone_into(&mut said.why);
            }
            return;
        }
        *slot = Some(Finding {
            line: Some(entry.line),
            key: entry.path.clone(),
            value: hide(entry.value.clone()),
            verdict,
            output: output.into_iter().collect(),
            why: why.to_owned(),
        });
    }

    /// The key of that number gave way to a later one.
    pub(crate) fn overridden(&mut self, number: usize, by: &str) {
        if let Some(said) = &mut self.keys[number] {
            said.verdict = Verdict::Dropped;
            said.output.clear();
            said.why = format!("given again: {by} counts");
        }
    }

    /// A line of the new file that no line of the input asks for.
    pub(crate) fn added(&mut self, key: String, value: &str, why: &str) {
        self.free.push(Finding {
            line: None,
            key: String::new(),
            value: String::new(),
            verdict: Verdict::Added,
            output: vec![(key, value.to_owned())],
            why: why.to_owned(),
        });
    }

    /// Something to look at that no single line of the input stands for.
    pub(crate) fn decide(&mut self, why: &str) {
        self.free.push(Finding {
            line: None,
            key: String::new(),
            value: String::new(),
            verdict: Verdict::Decide,
            output: Vec::new(),
            why: why.to_owned(),
        });
    }

    /// Everything that was said; keys that nothing was said about become decisions, so that none is lost silently.
    pub(crate) fn finish(self, tree: &Tree) -> Vec<Finding> {
        let keys = tree.root.all();
        let said = self.keys.into_iter().zip(keys).map(|(said, entry)| {
            said.unwrap_or_else(|| Finding {
                line: Some(entry.line),
                key: entry.path.clone(),
                value: if is_secret(entry) {
                    HIDDEN.to_owned()
                } else {
                    entry.value.clone()
                },
                verdict: Verdict::Decide,
                output: Vec::new(),
                why: UNKNOWN.to_owned(),
            })
        });
        said.chain(self.free).collect()
    }
}

impl Summary {
    /// Whether somebody has to look at something.
    pub(crate) fn needs_decision(&self) -> bool {
        self.findings
            .iter()
            .any(|finding| finding.verdict == Verdict::Decide)
    }

    /// The report for people.
    pub(crate) fn text(&self) -> String {
        let mut text = format!("{}: {}\n", self.input, self.kind);
        for finding in &self.findings {
            text.push_str(&finding.text());
            text.push('\n');
        }
        let count = |verdict| {
            let all = self.findings.iter();
            all.filter(|finding| finding.verdict == verdict).count()
        };
        let counts = [
            Verdict::Copied,
            Verdict::Changed,
            Verdict::Dropped,
            Verdict::Added,
            Verdict::Decide,
        ]
        .map(|verdict| format!("{} {}", count(verdict), verdict.word()));
        writeln!(text, "{}", counts.join(", ")).expect("writing to a string cannot fail");
        for reason in &self.refused {
            writeln!(text, "a node would refuse the new file: {reason}")
                .expect("writing to a string cannot fail");
        }
        text
    }

    /// The report for programs.
    pub(crate) fn json(&self) -> Value {
        let findings: Vec<Value> = self.findings.iter().map(Finding::json).collect();
        json!({
            "format": 1,
            "input": self.input,
            "kind": self.kind,
            "complete": self.refused.is_empty(),
            "refused": self.refused,
            "findings": findings,
        })
    }
}

impl Finding {
    fn text(&self) -> String {
        let mut text = match self.line {
            Some(line) => format!("{line:>5}  {:<8}", self.verdict.word()),
            None => format!("    -  {:<8}", self.verdict.word()),
        };
        if !self.key.is_empty() {
            let _ = write!(text, " {}: {}", self.key, printable(&self.value));
        }
        let output: Vec<String> = self
            .output
            .iter()
            .map(|(key, value)| format!("{key}: {}", printable(value)))
            .collect();
        if self.verdict != Verdict::Copied && !output.is_empty() {
            let arrow = if self.key.is_empty() { " " } else { " -> " };
            text.push_str(arrow);
            text.push_str(&output.join(", "));
        }
        if !self.why.is_empty() {
            let _ = write!(text, "  ({})", self.why);
        }
        text
    }

    fn json(&self) -> Value {
        let output: Vec<Value> = self
            .output
            .iter()
            .map(|(key, value)| json!({ "key": key, "value": value }))
            .collect();
        json!({
            "line": self.line,
            "key": self.key,
            "value": self.value,
            "verdict": self.verdict.word(),
            "output": output,
            "why": self.why,
        })
    }
}

/// A value on one line of a terminal, whatever the file holds.
fn printable(value: &str) -> String {
    value
        .chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}

/// Passwords of fence devices and keys of the ring do not belong into a report.
fn is_secret(entry: &Entry) -> bool {
    let key = entry.key.to_ascii_lowercase();
    SECRET.iter().any(|word| key.contains(word)) || entry.path == "totem.key"
}

const SECRET: [&str; 4] = ["passw", "passphrase", "community", "secret"];
const HIDDEN: &str = "(hidden)";
/// Said of a key that no rule speaks of.
pub(crate) const UNKNOWN: &str =
    "no version of this format that we know has this key; it was left out";

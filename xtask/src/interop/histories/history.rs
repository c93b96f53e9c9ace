//! A history as text: a cluster, steps, and what its nodes know after each step.
//!
//! ```text
//! history 17: votes 1 1 2; auto_tie_breaker=1 wait_for_all=1
//! boot 1
//!   1 [1] inquorate votes=1 expected=4 ...
//! net 1,2/3
//!   1 [1,2] ...
//!   2 [1,2] ...
//! ```
//!
//! Nodes are numbered from 1. A line of an outcome is a node with what it knows, if that is new, or `answer` with what
//! the call of the step said.

use std::fmt::Write as _;

use anyhow::{Context as _, bail};

/// A cluster and what happens to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct History {
    /// Its number, from which it is generated.
    pub(super) number: u64,
    /// The votes of each node.
    pub(super) votes: Vec<u32>,
    /// Settings of section quorum, such as `device.model=net`.
    pub(super) settings: Vec<String>,
    /// What happens.
    pub(super) steps: Vec<Step>,
}

/// One step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Step {
    /// What is done.
    pub(super) what: String,
    /// What came of it; empty before anybody tried.
    pub(super) outcome: Vec<String>,
}

impl History {
    /// How many nodes the cluster has.
    pub(super) fn nodes(&self) -> u8 {
        u8::try_from(self.votes.len()).expect("a few nodes")
    }

    /// A setting's value.
    pub(super) fn setting(&self, key: &str) -> Option<&str> {
        self.settings
            .iter()
            .find_map(|setting| setting.strip_prefix(key)?.strip_prefix('='))
    }

    /// The same without its outcomes.
    pub(super) fn question(&self) -> Self {
        let mut question = self.clone();
        for step in &mut question.steps {
            step.outcome.clear();
        }
        question
    }

    /// The text.
    pub(super) fn write(&self, text: &mut String) {
        let votes: Vec<String> = self.votes.iter().map(u32::to_string).collect();
        let _ = writeln!(
            text,
            "history {}: votes {}; {}",
            self.number,
            votes.join(" "),
            self.settings.join(" ")
        );
        for step in &self.steps {
            let _ = writeln!(text, "{}", step.what);
            for line in &step.outcome {
                let _ = writeln!(text, "  {line}");
            }
        }
        text.push('\n');
    }
}

/// The histories of a file.
pub(super) fn parse(text: &str) -> anyhow::Result<Vec<History>> {
    let mut histories: Vec<History> = Vec::new();
    for line in text.lines() {
        if let Some(head) = line.strip_prefix("history ") {
            histories.push(parse_head(head).with_context(|| format!("`{line}`"))?);
            continue;
        }
        if line.is_empty() {
            continue;
        }
        let Some(history) = histories.last_mut() else {
            bail!("`{line}` stands in front of the first history");
        };
        match (line.strip_prefix("  "), history.steps.last_mut()) {
            (Some(outcome), Some(step)) => step.outcome.push(outcome.to_owned()),
            (Some(_), None) => bail!("`{line}` comes of no step"),
            (None, _) => history.steps.push(Step {
                what: line.to_owned(),
                outcome: Vec::new(),
            }),
        }
    }
    Ok(histories)
}

fn parse_head(head: &str) -> anyhow::Result<History> {
    let (number, rest) = head.split_once(": votes ").context("no votes")?;
    let (votes, settings) = rest.split_once("; ").context("no settings")?;
    let votes = votes.split(' ').map(str::parse);
    Ok(History {
        number: number.parse()?,
        votes: votes.collect::<Result<_, _>>()?,
        settings: settings.split_whitespace().map(str::to_owned).collect(),
        steps: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_comes_back() {
        let text = "history 3: votes 1 2; two_node=1 device.model=net\nboot 1\n  1 [1] inquorate\nnet 1,2\n\n\
                    history 4: votes 1; \nboot 1\n\n";
        let histories = parse(text).unwrap();
        let mut again = String::new();
        for history in &histories {
            history.write(&mut again);
        }
        assert_eq!(again, text);
        assert_eq!(histories[0].setting("device.model"), Some("net"));
        assert_eq!(histories[0].question().steps[0].outcome, [""; 0]);
    }

    #[test]
    fn what_is_no_history_is_refused() {
        for text in [
            "boot 1\n",
            "history 1: votes x; \n",
            "history 1: votes 1; \n  1 [1]\n",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}

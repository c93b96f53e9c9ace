//! Two daemons, one unmodified client library: every call must answer the same.

use std::fs;

use anyhow::bail;

use super::lab::{Lab, Peers, Plan};
use super::{Outcome, Setup};

/// Runs the client `program` on node 1 of a fresh cluster of corosync and of one of ours, and compares the answers.
pub(super) fn run(
    setup: &Setup,
    program: &str,
    arguments: &[&str],
    nodes: u8,
) -> anyhow::Result<Outcome> {
    let answers = |daemon, corosync| {
        let plan = Plan::new(nodes, corosync, "udpu");
        answers(setup, program, arguments, daemon, &plan)
    };
    let theirs = answers("corosync", Peers::ALL)?;
    let ours = answers("ferrosync", setup.corosync.unwrap_or(Peers::NONE))?;
    let lines = theirs.lines().count();
    if lines == 0 {
        bail!("{program} said nothing");
    }
    match difference(&theirs, &ours) {
        None => Ok(Outcome::Passed(format!("{lines} lines alike"))),
        Some(difference) => bail!("{program} was answered differently:\n{difference}"),
    }
}

fn answers(
    setup: &Setup,
    program: &str,
    arguments: &[&str],
    daemon: &str,
    plan: &Plan,
) -> anyhow::Result<String> {
    let name = format!("{program}-{daemon}");
    let lab = Lab::start(setup, &name, plan)?;
    let path = setup.clients.program(program);
    let mut argv = vec![path.to_string_lossy().into_owned()];
    argv.extend(arguments.iter().map(|argument| (*argument).to_owned()));
    let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
    let text = lab.output(1, &argv)?;
    fs::write(setup.dir.join(format!("{name}.answers")), &text)?;
    Ok(text)
}

/// The first lines that differ, with what stands before them; `None` when nothing does.
pub(super) fn difference(theirs: &str, ours: &str) -> Option<String> {
    let (theirs, ours): (Vec<_>, Vec<_>) = (theirs.lines().collect(), ours.lines().collect());
    let same = theirs.iter().zip(&ours).take_while(|(a, b)| a == b).count();
    if same == theirs.len() && same == ours.len() {
        return None;
    }
    let from = same.saturating_sub(CONTEXT_LINES);
    let mut text = format!("at line {}:\n", same + 1);
    for line in &theirs[from..same] {
        text.push_str(&format!("  {line}\n"));
    }
    for (mark, lines) in [("corosync:  ", &theirs), ("ferrosync: ", &ours)] {
        let shown: Vec<_> = lines.iter().skip(same).take(SHOWN_LINES).collect();
        if shown.is_empty() {
            text.push_str(&format!("{mark}(nothing more)\n"));
        }
        for line in shown {
            text.push_str(&format!("{mark}{line}\n"));
        }
    }
    Some(text)
}

const CONTEXT_LINES: usize = 3;
const SHOWN_LINES: usize = 10;

#[cfg(test)]
mod tests {
    use super::difference;

    #[test]
    fn equal_answers_do_not_differ() {
        assert_eq!(difference("a\nb\n", "a\nb\n"), None);
    }

    #[test]
    fn the_first_line_that_differs_is_shown_with_its_context() {
        let text = difference("a\nb\nc\n", "a\nx\n").unwrap();
        assert_eq!(
            text,
            "at line 2:\n  a\ncorosync:  b\ncorosync:  c\nferrosync: x\n"
        );
    }

    #[test]
    fn missing_lines_are_a_difference() {
        assert!(
            difference("a\nb\n", "a\n")
                .unwrap()
                .contains("ferrosync: (nothing more)")
        );
        assert!(
            difference("a\n", "a\nb\n")
                .unwrap()
                .contains("corosync:  (nothing more)")
        );
    }
}

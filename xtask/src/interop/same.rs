//! Debian's tools and ours on the same daemon: standard output, standard error and exit code must be the same, for every
//! option, right and wrong, with and without a daemon.

mod notify;
mod questions;

use std::fmt;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, bail};

use super::calls::difference;
use super::lab::{DaemonVerb, Lab, Peers, Plan};
use super::wait::wait_for;
use super::{Outcome, Setup};
use crate::process;
use questions::{ABSENT, ENDINGS, PRESENT, Question};

/// Compares on a cluster of corosync and on one of ours.
pub(super) fn run(setup: &Setup, name: &str, plan: &Plan) -> anyhow::Result<Outcome> {
    let names = Names::make(setup)?;
    let mut asked = 0;
    let mut different = Vec::new();
    for (daemon, corosync) in [("corosync", Peers::ALL), ("ferrosync", Peers::NONE)] {
        let plan = Plan { corosync, ..*plan };
        let lab = Lab::start(setup, &format!("{name}-{daemon}"), &plan)?;
        let both = Both {
            lab: &lab,
            names: &names,
            storm: setup.clients.program("cpg_storm"),
        };
        let mut found = both.compare_all(&mut asked)?;
        found.extend(notify::compare(&both, &plan)?);
        let found = found.into_iter().map(|text| format!("on {daemon}: {text}"));
        different.extend(found);
    }
    let report = different.join("\n");
    fs::write(setup.dir.join(format!("{name}.differences")), &report)?;
    if !different.is_empty() {
        bail!("{} of {asked} calls differ:\n{report}", different.len());
    }
    Ok(Outcome::Passed(format!("{asked} calls alike")))
}

/// The directory in which our program has the names of Debian's tools.
struct Names(PathBuf);

impl Names {
    fn make(setup: &Setup) -> anyhow::Result<Self> {
        let dir = setup.labs.path().join("names");
        if !dir.exists() {
            fs::create_dir(&dir)?;
            let program = fs::canonicalize(&setup.program)?;
            for tool in TOOLS.into_iter().chain(["ferrosync"]) {
                symlink(&program, dir.join(tool)).with_context(|| tool.to_owned())?;
            }
        }
        Ok(Self(dir))
    }
}

/// Whose tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    Debian,
    Ours,
}

/// Both sets of tools in one lab.
struct Both<'a> {
    lab: &'a Lab,
    names: &'a Names,
    /// The C client that joins a group.
    storm: PathBuf,
}

impl Both<'_> {
    /// Everything that is asked while there is a daemon, what ends it, and what is asked without one.
    fn compare_all(&self, asked: &mut usize) -> anyhow::Result<Vec<String>> {
        let mut different = Vec::new();
        let mut group = self.join_group()?;
        for question in PRESENT {
            *asked += 1;
            different.extend(self.compare(question)?);
            if question.is_json() {
                self.check_json(question)?;
            }
        }
        self.check_status()?;
        // It ends with its daemon, or has ended.
        let _ended = group.kill();
        let _status = group.wait();
        for question in ENDINGS {
            *asked += 1;
            let theirs = self.ask(question, Whose::Debian)?;
            self.restart()?;
            let ours = self.ask(question, Whose::Ours)?;
            self.restart()?;
            different.extend(tell(question, &theirs, &ours));
        }
        self.lab.daemon(DaemonVerb::Shutdown, NODE)?;
        self.wait_until_gone()?;
        for question in ABSENT {
            *asked += 1;
            different.extend(self.compare(question)?);
        }
        self.restart()?;
        Ok(different)
    }

    fn compare(&self, question: &Question) -> anyhow::Result<Option<String>> {
        let theirs = self.ask(question, Whose::Debian)?;
        let ours = self.ask(question, Whose::Ours)?;
        Ok(tell(question, &theirs, &ours))
    }

    fn ask(&self, question: &Question, whose: Whose) -> anyhow::Result<Answer> {
        let mut command = self.command(NODE, "sh", whose);
        command
            .args(["-c", question.script, "sh"])
            .args(question.words);
        let output = command
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("{question}"))?;
        let text = |bytes: &[u8]| question.narrowed(&String::from_utf8_lossy(bytes));
        Ok(Answer {
            code: output.status.code(),
            out: text(&output.stdout),
            err: text(&output.stderr),
        })
    }

    /// A command inside a node that finds one set of tools.
    fn command(&self, node: u8, program: &str, whose: Whose) -> Command {
        let mut command = self.lab.command(node, program);
        if whose == Whose::Ours {
            let path = std::env::var("PATH").unwrap_or_default();
            command.env("PATH", format!("{}:{path}", self.names.0.display()));
        }
        // Name look-ups of a tool that is in no network take seconds otherwise.
        command.env("RES_OPTIONS", "attempts:1 timeout:1");
        command
    }

    /// With `--format json` our tool prints one JSON value.
    fn check_json(&self, question: &Question) -> anyhow::Result<()> {
        let mut command = self.command(NODE, question.words[0], Whose::Ours);
        let output = command
            .args(&question.words[1..])
            .args(["--format", "json"])
            .output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        serde_json::from_str::<serde_json::Value>(&text)
            .with_context(|| format!("{question} --format json: {text}"))?;
        Ok(())
    }

    /// `ferrosync status` shows a cluster of two with quorum.
    fn check_status(&self) -> anyhow::Result<()> {
        let status = |more: &[&str]| {
            let mut command = self.command(NODE, "ferrosync", Whose::Ours);
            process::output(command.arg("status").args(more))
        };
        let screen = status(&[])?;
        let json: serde_json::Value = serde_json::from_str(&status(&["--format", "json"])?)?;
        let members = json["nodes"].as_array().map_or(0, |nodes| {
            nodes.iter().filter(|node| node["member"] == true).count()
        });
        let groups = json["groups"].as_array().map_or(0, Vec::len);
        if json["quorate"] != true || members != 2 || groups != 1 || !screen.contains("2 of 2") {
            bail!(
                "ferrosync status shows something else than two nodes with quorum:\n{screen}{json}"
            );
        }
        Ok(())
    }

    /// A process group with a member, whose name does not print.
    fn join_group(&self) -> anyhow::Result<Child> {
        let script =
            "exec \"$0\" --record /dev/null --rate 1 --group \"$(printf 'a\\\\b\\001\\351')\"";
        let mut command = self.command(NODE, "sh", Whose::Debian);
        let child = command
            .args(["-c", script])
            .arg(&self.storm)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        wait_for("a process group", || {
            let groups = self.lab.output(NODE, &["corosync-cpgtool", "-n"])?;
            Ok(!groups.is_empty())
        })?;
        Ok(child)
    }

    /// The cluster is whole again.
    fn restart(&self) -> anyhow::Result<()> {
        self.wait_until_gone()?;
        self.lab.daemon(DaemonVerb::Start, NODE)?;
        self.lab.wait(&[1, 2])
    }

    fn wait_until_gone(&self) -> anyhow::Result<()> {
        wait_for("the end of the daemon", || {
            Ok(!self.lab.status(NODE)?["ended"].is_null())
        })
    }
}

/// How a call went.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Answer {
    code: Option<i32>,
    out: String,
    err: String,
}

/// What is different, if anything.
fn tell(question: &Question, theirs: &Answer, ours: &Answer) -> Option<String> {
    if theirs == ours {
        return None;
    }
    let mut text = format!("{question}\n");
    if theirs.code != ours.code {
        text += &format!("exit code {:?}, ours {:?}\n", theirs.code, ours.code);
    }
    for (what, theirs, ours) in [
        ("standard output", &theirs.out, &ours.out),
        ("standard error", &theirs.err, &ours.err),
    ] {
        if let Some(difference) = difference(theirs, ours) {
            text += &format!("{what} {difference}");
        } else if theirs != ours {
            text += &format!("{what} differs in its last end of line\n");
        }
    }
    Some(text)
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words.join(" "))
    }
}

/// The node where everything is asked. It is the last one, so that lists end with it.
const NODE: u8 = 2;
const TOOLS: [&str; 7] = [
    "corosync-blackbox",
    "corosync-cfgtool",
    "corosync-cmapctl",
    "corosync-cpgtool",
    "corosync-keygen",
    "corosync-notifyd",
    "corosync-quorumtool",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_an_answer_counts() {
        let answer = |code, out: &str, err: &str| Answer {
            code: Some(code),
            out: out.into(),
            err: err.into(),
        };
        let question = &PRESENT[0];
        let theirs = answer(0, "a\nb\n", "");
        assert_eq!(tell(question, &theirs, &theirs), None);
        for ours in [
            answer(1, "a\nb\n", ""),
            answer(0, "a\nc\n", ""),
            answer(0, "a\nb", ""),
            answer(0, "a\nb\n", "x\n"),
        ] {
            assert!(tell(question, &theirs, &ours).is_some(), "{ours:?}");
        }
    }
}

//! Plays histories on a ring of real daemons.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use super::super::Setup;
use super::super::lab::{DaemonVerb, Lab, Peers, Plan};
use super::super::reload::without_node;
use super::generate::WINDOW_MS;
use super::history::{History, Step};

/// A lab whose nodes play one history after the other.
pub(super) struct Stage {
    lab: Lab,
    /// The lab's own corosync.conf.
    conf: String,
    helpers: BTreeMap<u8, Helper>,
}

/// How it ended when a history was played.
#[derive(Debug)]
pub(super) enum Played {
    /// These are the outcomes.
    Whole(History),
    /// Other rings than the history means formed on the way, which is a matter of time: it must be played again.
    Detour(String),
}

/// When an outcome is taken for final.
pub(super) enum Patience<'a> {
    /// When it is this one, or does not become it within a generous time.
    Until(&'a History),
    /// When it has not changed for a while.
    Quiet,
}

impl Stage {
    /// Starts the lab and ends its daemons.
    pub(super) fn start(setup: &Setup, name: &str, corosync: Peers) -> anyhow::Result<Self> {
        let plan = Plan {
            settings: &["totem.token=600"],
            ..Plan::new(NODES, corosync, "udpu")
        };
        let lab = Lab::start(setup, name, &plan)?;
        let conf = lab.output(1, &["cat", CONF])?;
        let program = setup.clients.program("votequorum_node");
        let program = program.to_string_lossy();
        let helpers = (1..=NODES)
            .map(|node| Ok((node, Helper::start(&lab, node, &program)?)))
            .collect::<anyhow::Result<_>>()?;
        Ok(Self { lab, conf, helpers })
    }

    /// Plays one history from its first step.
    pub(super) fn play(
        &mut self,
        history: &History,
        patience: &Patience<'_>,
    ) -> anyhow::Result<Played> {
        self.clear(history)?;
        let mut run = Run {
            stage: self,
            history,
            running: BTreeSet::new(),
            sides: Vec::new(),
            rings: BTreeMap::new(),
            known: BTreeMap::new(),
        };
        let mut played = history.question();
        for at in 0..played.steps.len() {
            let what = history.steps[at].what.clone();
            let expected = match patience {
                Patience::Until(told) => Some(told.steps[at].outcome.as_slice()),
                Patience::Quiet => None,
            };
            match run
                .step(&what, expected)
                .with_context(|| format!("`{what}`"))?
            {
                Done::Outcome(outcome) => played.steps[at] = Step { what, outcome },
                Done::Detour(how) => return Ok(Played::Detour(format!("`{what}`: {how}"))),
            }
        }
        Ok(Played::Whole(played))
    }

    /// No daemon runs, no state is left, and the configuration is that of the history.
    fn clear(&mut self, history: &History) -> anyhow::Result<()> {
        for node in 1..=NODES {
            // Most have ended.
            let _ = self.lab.daemon(DaemonVerb::Kill, node);
        }
        let conf = conf_of(&self.conf, history)?;
        let script = format!("rm -f {STATE}/* && printf %s \"$1\" > {CONF}");
        for node in 1..=history.nodes() {
            self.lab.output(node, &["sh", "-c", &script, "sh", &conf])?;
        }
        Ok(())
    }
}

enum Done {
    Outcome(Vec<String>),
    Detour(String),
}

/// A history under way.
struct Run<'a> {
    stage: &'a mut Stage,
    history: &'a History,
    running: BTreeSet<u8>,
    sides: Vec<Vec<u8>>,
    /// How many rings each running node has been part of.
    rings: BTreeMap<u8, u64>,
    /// What each running node knew after the last step.
    known: BTreeMap<u8, String>,
}

/// What a running node says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
struct State {
    rings: u64,
    members: String,
    /// Members included.
    text: String,
}

impl Run<'_> {
    fn step(&mut self, what: &str, expected: Option<&[String]>) -> anyhow::Result<Done> {
        let before = self.memberships();
        let words: Vec<&str> = what.split(' ').collect();
        let casts = self.casts(&words);
        let mut outcome = Vec::new();
        match words[0] {
            "boot" => self.boot(words[1].parse()?)?,
            "net" => {
                self.sides = sides(words[1])?;
                self.cut()?;
            }
            "kill" => self.stop(DaemonVerb::Kill, words[1].parse()?)?,
            "leave" => self.stop(DaemonVerb::Shutdown, words[1].parse()?)?,
            verb => {
                let helper = self.helper(words[1].parse()?)?;
                helper.say(&format!("{verb} {}", words[2..].join(" ")))?;
                outcome.push(format!("answer {}", helper.hear()?));
            }
        }
        self.cast(&casts)?;
        let after = self.memberships();
        let is_new = |node: &u8| before.get(node) != after.get(node);
        let grown: BTreeSet<u8> = after.keys().copied().filter(|node| is_new(node)).collect();
        let expected = expected.map(|lines| (outcome.clone(), lines));
        let states = self.settle(&after, expected)?;
        if let Some(how) = self.detour(&states, &grown) {
            return Ok(Done::Detour(how));
        }
        outcome.extend(news(&self.known, &states));
        self.rings = states
            .iter()
            .map(|(node, state)| (*node, state.rings))
            .collect();
        self.known = states
            .into_iter()
            .map(|(node, state)| (node, state.text))
            .collect();
        Ok(Done::Outcome(outcome))
    }

    fn helper(&mut self, node: u8) -> anyhow::Result<&mut Helper> {
        self.stage.helpers.get_mut(&node).context("no such node")
    }

    /// The members that each running node should see.
    fn memberships(&self) -> BTreeMap<u8, String> {
        let mut memberships = BTreeMap::new();
        for side in &self.sides {
            let members: Vec<u8> = side
                .iter()
                .copied()
                .filter(|node| self.running.contains(node))
                .collect();
            let words: Vec<String> = members.iter().map(u8::to_string).collect();
            memberships.extend(members.iter().map(|node| (*node, words.join(","))));
        }
        memberships
    }

    fn boot(&mut self, node: u8) -> anyhow::Result<()> {
        for side in &mut self.sides {
            side.retain(|other| *other != node);
        }
        self.sides.retain(|side| !side.is_empty());
        self.sides.push(vec![node]);
        self.cut()?;
        // A daemon that was asked to leave takes a moment.
        let deadline = Instant::now() + SETTLED_WITHIN;
        while let Err(error) = self.stage.lab.daemon(DaemonVerb::Start, node) {
            if Instant::now() >= deadline {
                return Err(error);
            }
            thread::sleep(POLL);
        }
        self.running.insert(node);
        self.rings.remove(&node);
        self.known.remove(&node);
        Ok(())
    }

    fn stop(&mut self, verb: DaemonVerb, node: u8) -> anyhow::Result<()> {
        self.running.remove(&node);
        self.rings.remove(&node);
        self.known.remove(&node);
        self.stage.lab.daemon(verb, node)
    }

    /// Every node of the lab is named, as those that are not would hear each other.
    fn cut(&self) -> anyhow::Result<()> {
        let named = |node: &u8| self.sides.iter().any(|side| side.contains(node));
        let others = (1..=NODES)
            .filter(|node| !named(node))
            .map(|node| vec![node]);
        let sides: Vec<String> = self
            .sides
            .iter()
            .cloned()
            .chain(others)
            .map(|side| list(&side))
            .collect();
        self.stage.lab.partition(&sides.join("/"))
    }

    /// The devices that vote for the ring to come: `cast 1=0,2=1` at the end of a step.
    fn casts(&self, words: &[&str]) -> Vec<(u8, String)> {
        let Some(at) = words.iter().position(|word| *word == "cast") else {
            return Vec::new();
        };
        let cast = |word: &str| {
            let (node, vote) = word.split_once('=')?;
            Some((node.parse().ok()?, vote.to_owned()))
        };
        words[at + 1].split(',').filter_map(cast).collect()
    }

    fn cast(&mut self, casts: &[(u8, String)]) -> anyhow::Result<()> {
        let memberships = self.memberships();
        for (node, vote) in casts {
            let members = memberships
                .get(node)
                .context("a device of a node that runs")?;
            let line = format!("cast {vote} {members}");
            self.helper(*node)?.say(&line)?;
        }
        for (node, _) in casts {
            let answer = self.helper(*node)?.hear()?;
            if answer != "CS_OK" {
                bail!("the device of node {node} could not vote: {answer}");
            }
        }
        Ok(())
    }

    /// Waits until all running nodes are members of the rings that they should be members of, and know what they
    /// will know.
    fn settle(
        &mut self,
        memberships: &BTreeMap<u8, String>,
        expected: Option<(Vec<String>, &[String])>,
    ) -> anyhow::Result<BTreeMap<u8, State>> {
        let deadline = Instant::now() + SETTLED_WITHIN;
        let quiet = QUIET + self.window()?;
        let mut last = BTreeMap::new();
        let mut since = Instant::now();
        loop {
            let states = self.ask(memberships)?;
            if states != last {
                since = Instant::now();
                last.clone_from(&states);
            }
            let formed = states.len() == memberships.len();
            if formed && let Some((said, lines)) = &expected {
                let outcome: Vec<String> = said
                    .iter()
                    .cloned()
                    .chain(news(&self.known, &states))
                    .collect();
                if outcome == *lines {
                    return Ok(states);
                }
            }
            let patience = if expected.is_some() {
                WRONG_FOR
            } else {
                Duration::ZERO
            };
            if formed && since.elapsed() >= quiet + patience {
                return Ok(states);
            }
            if Instant::now() >= deadline {
                bail!("rings {memberships:?} do not form; {states:?}");
            }
            thread::sleep(POLL);
        }
    }

    /// How long votes go on changing by themselves.
    fn window(&self) -> anyhow::Result<Duration> {
        let window = self.history.setting("last_man_standing_window");
        let window = window.map(|_| WINDOW_MS.parse().map(Duration::from_millis));
        Ok(window.transpose()?.unwrap_or_default())
    }

    /// What those nodes say that are synchronised members of their rings.
    fn ask(&mut self, memberships: &BTreeMap<u8, String>) -> anyhow::Result<BTreeMap<u8, State>> {
        for node in memberships.keys() {
            self.helper(*node)?.say("state")?;
        }
        let mut states = BTreeMap::new();
        for (node, members) in memberships {
            let line = self.helper(*node)?.hear()?;
            if let Some(state) = State::parse(&line)
                && state.members == *members
            {
                states.insert(*node, state);
            }
        }
        Ok(states)
    }

    /// A node has been part of more rings than the step explains.
    fn detour(&self, states: &BTreeMap<u8, State>, grown: &BTreeSet<u8>) -> Option<String> {
        states.iter().find_map(|(node, state)| {
            let before = *self.rings.get(node).unwrap_or(&0);
            let expected = before + u64::from(grown.contains(node));
            let text = format!(
                "node {node} was part of {} rings, not {expected}",
                state.rings
            );
            (state.rings != expected).then_some(text)
        })
    }
}

impl State {
    /// `settled 3 [1,2] quorate ...`; `None` for a node that is not there or synchronises.
    fn parse(line: &str) -> Option<Self> {
        let (rings, text) = line.strip_prefix("settled ")?.split_once(' ')?;
        let members = text.strip_prefix('[')?.split_once(']')?.0;
        Some(Self {
            rings: rings.parse().ok()?,
            members: members.to_owned(),
            text: text.to_owned(),
        })
    }
}

/// What nodes know that they did not know before.
fn news(known: &BTreeMap<u8, String>, states: &BTreeMap<u8, State>) -> Vec<String> {
    let is_new = |(node, state): &(&u8, &State)| known.get(*node) != Some(&state.text);
    let line = |(node, state): (&u8, &State)| format!("{node} {}", state.text);
    states.iter().filter(is_new).map(line).collect()
}

/// The program beside a daemon that asks and calls it.
struct Helper {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Helper {
    fn start(lab: &Lab, node: u8, program: &str) -> anyhow::Result<Self> {
        let mut child = lab
            .command(node, program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {program}"))?;
        Ok(Self {
            stdin: child.stdin.take().expect("piped just above"),
            stdout: BufReader::new(child.stdout.take().expect("piped just above")),
            child,
        })
    }

    fn say(&mut self, line: &str) -> anyhow::Result<()> {
        writeln!(self.stdin, "{line}").context("the helper is gone")
    }

    fn hear(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        if self.stdout.read_line(&mut line)? == 0 {
            bail!("the helper is gone");
        }
        Ok(line.trim_end().to_owned())
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        // It has ended already where the lab has.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The lab's file with the nodes and the quorum section of a history.
fn conf_of(lab: &str, history: &History) -> anyhow::Result<String> {
    let start = lab.find("quorum {").context("a quorum section")?;
    let end = start + lab[start..].find("}\n").context("a section ends")?;
    let mut section = "quorum {\n    provider: corosync_votequorum\n".to_owned();
    let mut device = String::new();
    for setting in &history.settings {
        let (key, value) = setting.split_once('=').context("KEY=VALUE")?;
        let value = value.replace('_', " ");
        match key.strip_prefix("device.") {
            Some(key) => device += &format!("        {key}: {value}\n"),
            None => section += &format!("    {key}: {value}\n"),
        }
    }
    if !device.is_empty() {
        section += &format!("    device {{\n{device}    }}\n");
    }
    let mut conf = format!("{}{section}{}", &lab[..start], &lab[end..]);
    for node in history.nodes() + 1..=NODES {
        conf = without_node(&conf, node)?;
    }
    for (node, votes) in (1..).zip(&history.votes) {
        let id = format!("nodeid: {node}\n");
        conf = conf.replace(
            &id,
            &format!("nodeid: {node}\n        quorum_votes: {votes}\n"),
        );
    }
    Ok(conf)
}

fn sides(words: &str) -> anyhow::Result<Vec<Vec<u8>>> {
    let side = |side: &str| side.split(',').map(str::parse).collect::<Result<_, _>>();
    Ok(words.split('/').map(side).collect::<Result<_, _>>()?)
}

fn list(nodes: &[u8]) -> String {
    let words: Vec<String> = nodes.iter().map(u8::to_string).collect();
    words.join(",")
}

/// The largest cluster of a history.
const NODES: u8 = 5;
const CONF: &str = "/etc/corosync/corosync.conf";
const STATE: &str = "/var/lib/corosync";

/// Generous: many labs share two cores.
const SETTLED_WITHIN: Duration = Duration::from_secs(60);
/// What does not change for this long is final.
const QUIET: Duration = Duration::from_millis(400);
/// What is not what it should be for this long will not become it.
const WRONG_FOR: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(30);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interop::histories::history::parse;

    #[test]
    fn the_configuration_is_that_of_the_history() {
        let lab = "totem {\n}\nquorum {\n    provider: x\n}\nlogging {\n}\nnodelist {\n    node {\n        nodeid: 1\n    \
                   }\n    node {\n        nodeid: 2\n    }\n    node {\n        nodeid: 3\n    }\n    node {\n        \
                   nodeid: 4\n    }\n    node {\n        nodeid: 5\n    }\n}\n";
        let text = "history 1: votes 2; two_node=1 auto_tie_breaker_node=2_1 device.model=net\n";
        let history = &parse(text).unwrap()[0];
        let conf = conf_of(lab, history).unwrap();
        assert!(conf.contains("    two_node: 1\n    auto_tie_breaker_node: 2 1\n    device {\n        model: net\n    }\n}\n"));
        assert!(conf.contains("nodeid: 1\n        quorum_votes: 2\n"));
        assert!(!conf.contains("nodeid: 2"));
    }

    #[test]
    fn a_node_that_synchronises_has_no_state() {
        assert_eq!(State::parse("busy 3 [1] quorate"), None);
        assert_eq!(State::parse("down"), None);
        let state = State::parse("settled 3 [1,2] quorate votes=1").unwrap();
        assert_eq!((state.rings, state.members.as_str()), (3, "1,2"));
        assert_eq!(state.text, "[1,2] quorate votes=1");
    }
}

//! Decision tables: histories of one node's knowledge in text, with what must follow.
//!
//! A block is some steps, `----`, and the state behind them; blocks of one file follow one another, `start` begins
//! anew. What corosync 3.1.7 answers to the same histories is what stands in the files.

use core::fmt::Write;
use core::str::FromStr;
use core::time::Duration;

use ferrosync_wire::NodeId;
use ferrosync_wire::exec::votequorum::{NodeFlags, NodeInfo, Reconfigure};

use super::decide::{Cause, Ends, Outcome, Policy, Waiting, decide};
use super::model::{Effect, Model, Settings};
use super::nodes::{Node, Presence};
use crate::config::{TieBreaker, WaitForAll};
use crate::core::Quorate;

macro_rules! tables {
    ($($test:ident $file:literal;)*) => {
        $(
            #[test]
            fn $test() {
                check(include_str!(concat!("../testdata/", $file)));
            }
        )*
    };
}

tables! {
    majority "votequorum_majority.txt";
    expected_votes "votequorum_expected_votes.txt";
    two_node "votequorum_two_node.txt";
    wait_for_all "votequorum_wait_for_all.txt";
    auto_tie_breaker "votequorum_auto_tie_breaker.txt";
    last_man_standing "votequorum_last_man_standing.txt";
    allow_downscale "votequorum_allow_downscale.txt";
    quorum_device "votequorum_device.txt";
    what_if "votequorum_decide.txt";
}

/// What a file has come to.
#[derive(Default)]
struct Table {
    model: Option<Model>,
    /// Verdicts asked for in this block; without any, the outcome is the state.
    verdicts: String,
}

/// Plays a file and compares it with what came out.
fn check(text: &str) {
    let played = play(text);
    assert!(
        played == text,
        "the table differs from what came out, which is:\n{played}"
    );
}

/// The file with the outcome of each block as it is.
fn play(text: &str) -> String {
    let mut table = Table::default();
    let mut out = String::new();
    let mut in_outcome = false;
    for line in text.lines() {
        if line == "----" {
            out.push_str("----\n");
            out.push_str(&table.outcome());
            in_outcome = true;
        } else if line.is_empty() {
            in_outcome = false;
            out.push('\n');
        } else if !in_outcome {
            writeln!(out, "{line}").expect("memory");
            if !line.starts_with('#') {
                table.step(&Words::new(line));
            }
        }
    }
    out
}

/// One step of a history.
struct Words<'a> {
    verb: &'a str,
    rest: Vec<&'a str>,
}

impl<'a> Words<'a> {
    fn new(line: &'a str) -> Self {
        let mut words = line.split_ascii_whitespace();
        Self {
            verb: words.next().expect("a step has a verb"),
            rest: words.collect(),
        }
    }

    fn at(&self, n: usize) -> &'a str {
        self.rest[n]
    }

    fn number<T: FromStr>(&self, n: usize) -> T {
        parse(self.at(n))
    }

    fn value(&self, name: &str) -> Option<&'a str> {
        self.rest
            .iter()
            .find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
    }

    fn get<T: FromStr>(&self, name: &str, default: T) -> T {
        self.value(name).map_or(default, parse)
    }

    fn has(&self, word: &str) -> bool {
        self.rest.contains(&word)
    }
}

fn parse<T: FromStr>(text: &str) -> T {
    let number = text.parse().ok();
    number.unwrap_or_else(|| panic!("not a number: {text}"))
}

fn ids(text: &str) -> Vec<NodeId> {
    text.split(',').map(|id| NodeId(parse(id))).collect()
}

impl Table {
    fn step(&mut self, words: &Words<'_>) {
        if words.verb == "start" {
            self.model = Some(start(words));
            return;
        }
        let model = self.model.as_mut().expect("a table begins with `start`");
        match words.verb {
            "ring" => model.begin(&ids(words.at(0))),
            "info" => model.node_info(NodeId(words.number(0)), &info(words, words.number(0))),
            "own" => model.node_info(model.view.nodes.me(), &model.my_info()),
            "device" => model.node_info(NodeId(words.number(0)), &info(words, 0)),
            "activate" => model.activate(),
            "expect" => model.reconfigure(&change(Reconfigure::EXPECTED_VOTES, 1, words.number(0))),
            "votes" => {
                let (id, votes) = (words.number(0), words.number(1));
                model.reconfigure(&change(Reconfigure::NODE_VOTES, id, votes));
            }
            "cancel" => model.reconfigure(&change(Reconfigure::CANCEL_WAIT_FOR_ALL, 1, 0)),
            "window" => model.window_closed(),
            "leave" => model.leave(),
            "casts" => flag(model, NodeFlags::QDEVICE_CAST_VOTE),
            "master" => flag(model, NodeFlags::QDEVICE_MASTER_WINS),
            "wins" => model.view.device.master_wins = true,
            "view" => look(model, words),
            "node" => put(model, words),
            "decide" => self.verdicts.push_str(&verdict(model, words.at(0))),
            verb => panic!("no such step: {verb}"),
        }
    }

    fn outcome(&mut self) -> String {
        let state = state(self.model.as_mut().expect("a table begins with `start`"));
        if self.verdicts.is_empty() {
            state
        } else {
            std::mem::take(&mut self.verdicts)
        }
    }
}

/// What this node's device says.
fn flag(model: &mut Model, flag: NodeFlags) {
    let mine = model.view.nodes.mine_mut();
    mine.flags = mine.flags.with(flag);
}

/// What this node is to have in view, whichever way it came about.
fn look(model: &mut Model, words: &Words<'_>) {
    let view = &mut model.view;
    view.quorum = words.get("quorum", view.quorum);
    view.barrier = words.get("barrier", view.barrier);
    view.tracked = words.get("tracked", view.tracked);
    view.device.votes = words.get("device", view.device.votes);
    if let Some(members) = words.value("members") {
        view.members = ids(members);
    }
    if let Some(previous) = words.value("previous") {
        view.previous = ids(previous);
    }
    if let Some((lowest, highest)) = words.value("ends").and_then(|ends| ends.split_once("..")) {
        view.ends = Some(Ends {
            lowest: NodeId(parse(lowest)),
            highest: NodeId(parse(highest)),
        });
    }
}

/// A node in view: `node ID PRESENCE VOTES/EXPECTED`.
fn put(model: &mut Model, words: &Words<'_>) {
    let id = NodeId(words.number(0));
    let nodes = &mut model.view.nodes;
    if nodes.get(id).is_none() {
        nodes.add(id);
    }
    let node = nodes.get_mut(id).expect("just added");
    node.presence = match words.at(1) {
        "member" => Presence::Member,
        "dead" => Presence::Dead,
        "leaving" => Presence::Leaving,
        text => panic!("no such presence: {text}"),
    };
    let (votes, expected) = words.at(2).split_once('/').expect("VOTES/EXPECTED");
    node.votes = parse(votes);
    node.expected = parse(expected);
    node.flags = info(words, id.0).flags;
}

fn verdict(model: &Model, cause: &str) -> String {
    let cause = match cause {
        "change" => Cause::Change,
        "reconfigured" => Cause::Reconfigured,
        "nodes-left" => Cause::NodesLeft,
        text => panic!("no such cause: {text}"),
    };
    let verdict = decide(&model.view, &model.policy, cause);
    let outcome = match verdict.outcome {
        Outcome::Waiting { expected } => format!("waiting for {expected}"),
        Outcome::Majority(Ends { lowest, highest }) => format!("majority {lowest}..{highest}"),
        Outcome::Tie => "tie".to_owned(),
        Outcome::MasterWins => "master wins".to_owned(),
        Outcome::TooFew => "too few".to_owned(),
    };
    let mut out = format!(
        "{outcome}: {} votes, quorum {}",
        verdict.votes, verdict.quorum
    );
    for (what, number) in [
        ("expected raised to", verdict.raised),
        ("tracked", verdict.tracked),
        ("all expect", verdict.expected_of_all),
    ] {
        if let Some(number) = number {
            write!(out, ", {what} {number}").expect("memory");
        }
    }
    out.push('\n');
    out
}

fn start(words: &Words<'_>) -> Model {
    let policy = Policy {
        two_node: words.has("two_node"),
        wait_for_all: WaitForAll::Set {
            on: words.has("wait_for_all"),
        },
        last_man_standing: words
            .has("last_man_standing")
            .then_some(Duration::from_secs(10)),
        tie_breaker: words.value("tie_breaker").map(|text| match text {
            "lowest" => TieBreaker::Lowest,
            "highest" => TieBreaker::Highest,
            list => TieBreaker::Nodes(ids(list)),
        }),
        allow_downscale: words.has("allow_downscale"),
        tracking: words.has("tracking") || words.has("allow_downscale"),
    };
    let settings = Settings {
        policy,
        votes: words.get("votes", 1),
        expected_votes: words.get("expected", 1),
        device_votes: words.value("device").map(parse),
    };
    let mut model = Model::new(
        NodeId(words.get("me", 1)),
        settings,
        words.get("tracked", 0),
    );
    // Nobody listens yet.
    model.take_effects();
    model
}

fn info(words: &Words<'_>, nodeid: u32) -> NodeInfo {
    let flags = words.value("flags").unwrap_or("");
    NodeInfo {
        nodeid: NodeId(nodeid),
        votes: words.get("votes", 1),
        expected_votes: words.get("expected", 0),
        flags: flags
            .split(',')
            .filter(|name| !name.is_empty())
            .map(|name| {
                let known = FLAGS.iter().find(|(flag, _)| *flag == name);
                known.unwrap_or_else(|| panic!("no such flag: {name}")).1
            })
            .fold(NodeFlags::default(), NodeFlags::with),
    }
}

const fn change(param: u8, nodeid: u32, value: u32) -> Reconfigure {
    Reconfigure {
        nodeid: NodeId(nodeid),
        value,
        param,
    }
}

const FLAGS: [(&str, NodeFlags); 8] = [
    ("quorate", NodeFlags::QUORATE),
    ("leaving", NodeFlags::LEAVING),
    ("waiting", NodeFlags::WFASTATUS),
    ("first", NodeFlags::FIRST),
    ("registered", NodeFlags::QDEVICE_REGISTERED),
    ("alive", NodeFlags::QDEVICE_ALIVE),
    ("casts", NodeFlags::QDEVICE_CAST_VOTE),
    ("master", NodeFlags::QDEVICE_MASTER_WINS),
];

/// The state, and what the steps since the last time wanted.
fn state(model: &mut Model) -> String {
    let effects = model.take_effects();
    let view = &model.view;
    let quorate = match view.quorate {
        Quorate::Yes => "quorate",
        Quorate::No => "inquorate",
    };
    let votes = view
        .nodes
        .present()
        .fold(0, |sum: u32, node| sum.saturating_add(node.votes));
    let mine = view.nodes.mine();
    let mut out = format!(
        "{quorate} quorum={} votes={votes} expected={} barrier={}",
        view.quorum, mine.expected, view.barrier
    );
    if view.device.votes > 0 {
        write!(out, " device={}", view.device.votes).expect("memory");
    }
    if model.policy.tracking {
        write!(out, " tracked={}", view.tracked).expect("memory");
    }
    match view.waiting {
        Some(Waiting::Yes) => out.push_str(" waiting=yes"),
        Some(Waiting::No) => out.push_str(" waiting=no"),
        None => {}
    }
    if let Some(Ends { lowest, highest }) = view.ends {
        write!(out, " ends={lowest}..{highest}").expect("memory");
    }
    out.push('\n');
    for node in view.nodes.iter() {
        out.push_str(&line_of(node));
    }
    for effect in effects {
        let what = match effect {
            Effect::TellExpectedVotes => "tell expected votes",
            Effect::TellQuorum => "tell quorum",
            Effect::OpenWindow => "open window",
            Effect::Track(_) | Effect::CloseWindow | Effect::Log(..) => continue,
        };
        writeln!(out, "{what}").expect("memory");
    }
    out
}

fn line_of(node: &Node) -> String {
    let presence = match node.presence {
        Presence::Member => "member",
        Presence::Dead => "dead",
        Presence::Leaving => "leaving",
    };
    let flags = FLAGS
        .iter()
        .filter(|(_, flag)| node.flags.contains(*flag))
        .map(|(name, _)| format!(" {name}"));
    format!(
        "{} {presence} {}/{}{}\n",
        node.id,
        node.votes,
        node.expected,
        flags.collect::<String>()
    )
}

//! 200 histories of clusters, with what nodes of corosync 3.1.7 knew after each step: ours must know the same.
//!
//! `cargo xtask interop --histories record votequorum-histories` wrote the files from rings of corosync nodes, and
//! `--histories all` compares them with such rings again. `xtask/src/interop/histories/history.rs` says how to read
//! them.

use core::fmt::Write;
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use ferrosync_wire::ipc::cmap;
use ferrosync_wire::ipc::votequorum::InfoFlags;
use ferrosync_wire::names::Name;

use super::*;
use crate::testing::{config_of_votes, read_config};

macro_rules! histories {
    ($($test:ident $file:literal;)*) => {
        $(
            #[test]
            fn $test() {
                check(include_str!(concat!("../../testdata/votequorum_histories_", $file, ".txt")));
            }
        )*
    };
}

histories! {
    histories_0_to_19 "0";
    histories_20_to_39 "1";
    histories_40_to_59 "2";
    histories_60_to_79 "3";
    histories_80_to_99 "4";
    histories_100_to_119 "5";
    histories_120_to_139 "6";
    histories_140_to_159 "7";
    histories_160_to_179 "8";
    histories_180_to_199 "9";
}

/// Plays every history of a file; differences in any are told together.
fn check(text: &str) {
    let mut differences = String::new();
    let mut played = 0;
    for history in text.split("\n\n").filter(|history| !history.is_empty()) {
        let expected = history.trim_end();
        let got = play(expected);
        played += 1;
        if got != expected {
            let _ = writeln!(differences, "{}", difference(expected, &got));
        }
    }
    assert_eq!(played, 20, "histories in the file");
    assert!(differences.is_empty(), "{differences}");
}

/// The history as it went here.
fn play(history: &str) -> String {
    let mut lines = history.lines();
    let head = lines.next().expect("a history has a head");
    let mut out = format!("{head}\n");
    let mut run = Run::new(head);
    for step in lines.filter(|line| !line.starts_with("  ")) {
        let _ = writeln!(out, "{step}");
        run.step(step, &mut out);
    }
    out.trim_end().to_owned()
}

struct Run {
    cluster: Cluster,
    running: BTreeSet<u32>,
    sides: Vec<Vec<u32>>,
    /// What each running node was known to know.
    known: BTreeMap<u32, String>,
    /// How long votes go on changing by themselves.
    window: Duration,
}

impl Run {
    /// `history 17: votes 1 1 2; auto_tie_breaker=1 device.model=net`
    fn new(head: &str) -> Self {
        let (_, rest) = head.split_once(": votes ").expect("votes");
        let (votes, settings) = rest.split_once("; ").expect("settings");
        let votes: Vec<u32> = votes
            .split(' ')
            .map(|word| word.parse().expect("votes"))
            .collect();
        let ids: Vec<u32> = (1..).take(votes.len()).collect();
        let mut cluster = Cluster::off(&ids, "");
        let (sections, window) = quorum_section(settings);
        let text = config_of_votes(&votes, &sections);
        for id in &ids {
            let read =
                read_config(*id, &text, &crate::config::Fixed::NONE).expect("a good configuration");
            cluster.configure(*id, |config| *config = read);
        }
        Self {
            cluster,
            running: BTreeSet::new(),
            sides: Vec::new(),
            known: BTreeMap::new(),
            window,
        }
    }

    fn step(&mut self, step: &str, out: &mut String) {
        let words: Vec<&str> = step.split(' ').collect();
        match words[0] {
            "boot" => self.boot(number(words[1])),
            "net" => {
                let side = |side: &str| side.split(',').map(number).collect();
                self.sides = words[1].split('/').map(side).collect();
                self.cut();
            }
            "kill" => {
                let id = number(words[1]);
                self.gone(id);
                self.cluster.crash(id);
            }
            "leave" => self.leave(number(words[1])),
            _ => {
                let answer = self.call(&words);
                let _ = writeln!(out, "  answer {}", name_of(answer));
            }
        }
        self.cast(&words);
        self.cluster.settle();
        self.cluster.run_for(self.window + QUIET);
        self.news(out);
    }

    fn boot(&mut self, id: u32) {
        for side in &mut self.sides {
            side.retain(|other| *other != id);
        }
        self.sides.retain(|side| !side.is_empty());
        self.sides.push(vec![id]);
        self.cut();
        self.running.insert(id);
        self.known.remove(&id);
        self.cluster.boot(id);
    }

    fn cut(&mut self) {
        let sides: Vec<&[u32]> = self.sides.iter().map(Vec::as_slice).collect();
        self.cluster.cut(&sides);
    }

    fn gone(&mut self, id: u32) {
        self.running.remove(&id);
        self.known.remove(&id);
    }

    fn leave(&mut self, id: u32) {
        self.gone(id);
        let control = crate::output::Control::Shutdown;
        self.cluster
            .input(id, crate::output::NodeInput::Control(control));
        self.cluster
            .run_until("the end of a node that leaves", |c| c.exit(id).is_some());
        self.cluster.crash(id);
    }

    /// The running nodes of a node's side.
    fn members(&self, id: u32) -> Vec<u32> {
        let side = self.sides.iter().find(|side| side.contains(&id));
        let side = side.expect("a node that ran");
        let mut members: Vec<u32> = side
            .iter()
            .copied()
            .filter(|id| self.running.contains(id))
            .collect();
        members.sort_unstable();
        members
    }

    fn call(&mut self, words: &[&str]) -> Result<(), CsError> {
        let id = number(words[1]);
        let argument = |at: usize| words.get(at).map_or(0, |word| number(word));
        if words[0] == "cancel" {
            return self.cancel(id);
        }
        let client = connect(&mut self.cluster, id);
        let request = match words[0] {
            "expect" => Request::SetExpected { votes: argument(2) },
            "votes" => Request::SetVotes {
                nodeid: NodeId(argument(2)),
                votes: argument(3),
            },
            "register" => Request::DeviceRegister { name: DEVICE },
            "unregister" => Request::DeviceUnregister { name: DEVICE },
            "poll" => self.poll(id, argument(2)),
            "wins" => Request::DeviceMasterWins {
                name: DEVICE,
                allow: argument(2),
            },
            verb => panic!("no such step: {verb}"),
        };
        status(&mut self.cluster, client, &request)
    }

    fn poll(&self, id: u32, cast_vote: u32) -> Request<'static> {
        Request::DevicePoll {
            name: DEVICE,
            cast_vote,
            ring: self.cluster.node(id).core().ring,
        }
    }

    fn cancel(&mut self, id: u32) -> Result<(), CsError> {
        let client = self.cluster.connect(id, ServiceId::CMAP);
        let value = ferrosync_wire::Value::U8(1);
        let request = cmap::Request::Set {
            key: Name::new(b"quorum.cancel_wait_for_all"),
            value_type: value.type_code(),
            value: &value.to_wire(),
        };
        let answer = self.cluster.call(client, &request);
        decoded::<cmap::SetDone>(&answer).map(|_| ())
    }

    /// Devices vote for the ring that forms: `cast 1=0,2=1` at the end of a step.
    fn cast(&mut self, words: &[&str]) {
        let Some(at) = words.iter().position(|word| *word == "cast") else {
            return;
        };
        for word in words[at + 1].split(',') {
            let (id, vote) = word.split_once('=').expect("NODE=VOTE");
            let id = number(id);
            let members = ids(&self.members(id));
            let forms = |c: &Cluster| {
                c.node(id).core().members == members && c.node(id).core().sync.in_progress()
            };
            self.cluster.run_until("the ring to vote for", forms);
            let client = connect(&mut self.cluster, id);
            let request = self.poll(id, number(vote));
            assert_eq!(status(&mut self.cluster, client, &request), Ok(()));
        }
    }

    /// What nodes know that they did not know before.
    fn news(&mut self, out: &mut String) {
        for id in self.running.clone() {
            let state = self.state(id);
            if self.known.get(&id) != Some(&state) {
                let _ = writeln!(out, "  {id} {state}");
                self.known.insert(id, state);
            }
        }
    }

    fn state(&mut self, id: u32) -> String {
        let client = connect(&mut self.cluster, id);
        let info = info(&mut self.cluster, client, 0).expect("a node knows itself");
        self.cluster.close(client);
        let members = &self.cluster.node(id).core().members;
        let members: Vec<String> = members.iter().map(|id| id.0.to_string()).collect();
        let quorate = if info.flags.contains(InfoFlags::QUORATE) {
            "quorate"
        } else {
            "inquorate"
        };
        let flags = FLAGS.iter().filter(|(flag, _)| info.flags.contains(*flag));
        let flags: String = flags.map(|(_, name)| format!(" {name}")).collect();
        format!(
            "[{}] {quorate} votes={} expected={} highest={} total={} quorum={} device={}{flags}",
            members.join(","),
            info.votes,
            info.expected_votes,
            info.highest_expected,
            info.total_votes,
            info.quorum,
            info.device_votes
        )
    }
}

/// The section, and the window of the last man standing in it.
fn quorum_section(settings: &str) -> (String, Duration) {
    let (mut lines, mut device, mut window) = (String::new(), String::new(), 0);
    for setting in settings.split_whitespace() {
        let (key, value) = setting.split_once('=').expect("KEY=VALUE");
        let value = value.replace('_', " ");
        if key == "last_man_standing_window" {
            window = value.parse().expect("milliseconds");
        }
        let _ = match key.strip_prefix("device.") {
            Some(key) => writeln!(device, "  {key}: {value}"),
            None => writeln!(lines, " {key}: {value}"),
        };
    }
    if !device.is_empty() {
        let _ = write!(lines, " device {{\n{device} }}");
    }
    (quorum(&lines), Duration::from_millis(window))
}

fn number(word: &str) -> u32 {
    word.parse().unwrap_or_else(|_| panic!("no number: {word}"))
}

fn name_of(answer: Result<(), CsError>) -> &'static str {
    match answer {
        Ok(()) => "CS_OK",
        Err(CsError::InvalidParam) => "CS_ERR_INVALID_PARAM",
        Err(CsError::NotExist) => "CS_ERR_NOT_EXIST",
        Err(CsError::NameNotFound) => "CS_ERR_NAME_NOT_FOUND",
        Err(CsError::Access) => "CS_ERR_ACCESS",
        Err(other) => panic!("{other:?}"),
    }
}

/// The first line that differs, with the history's head and what stands before it.
fn difference(expected: &str, got: &str) -> String {
    let same = expected
        .lines()
        .zip(got.lines())
        .take_while(|(a, b)| a == b)
        .count();
    let before: Vec<&str> = expected.lines().take(same).collect();
    format!(
        "{}\n* corosync: {}\n* here:     {}\n",
        before.join("\n"),
        expected.lines().nth(same).unwrap_or("(nothing more)"),
        got.lines().nth(same).unwrap_or("(nothing more)")
    )
}

const DEVICE: &[u8] = b"history";
/// Longer than messages travel, and than a device that is late is waited for.
const QUIET: Duration = Duration::from_millis(200);

const FLAGS: [(InfoFlags, &str); 9] = [
    (InfoFlags::TWONODE, "two-node"),
    (InfoFlags::WAIT_FOR_ALL, "wait-for-all"),
    (InfoFlags::LAST_MAN_STANDING, "last-man"),
    (InfoFlags::AUTO_TIE_BREAKER, "tie-breaker"),
    (InfoFlags::ALLOW_DOWNSCALE, "downscale"),
    (InfoFlags::QDEVICE_REGISTERED, "registered"),
    (InfoFlags::QDEVICE_ALIVE, "alive"),
    (InfoFlags::QDEVICE_CAST_VOTE, "casts"),
    (InfoFlags::QDEVICE_MASTER_WINS, "master-wins"),
];

//! Closed process groups.

use std::io::{BufRead, BufReader, Write as _, stdout};
use std::os::fd::AsFd;
use std::process::{Child, ChildStdout, Stdio};
use std::time::Duration;

use ferrosync_client::cpg::{Cause, Change, Cpg, Error, Event, Found, IterScope, Process};
use ferrosync_client::{CsError, GroupName, NodeId};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::daemon::{PATIENCE, is_lost as lost, options, this_program_as};

const NODE: NodeId = NodeId(7);

pub(crate) fn connect() -> Cpg {
    Cpg::connect(&options()).unwrap()
}

fn group(name: &str) -> GroupName {
    GroupName::new(name.as_bytes()).unwrap()
}

fn me() -> Process {
    Process {
        node: NODE,
        pid: std::process::id(),
    }
}

fn next(cpg: &mut Cpg) -> Event {
    cpg.dispatch(PATIENCE).unwrap().expect("an event in time")
}

fn next_data(cpg: &mut Cpg) -> Vec<u8> {
    let event = next(cpg);
    let Event::Message(message) = event else {
        panic!("not a message: {event:?}");
    };
    assert_eq!(message.sender, me());
    message.data
}

fn next_change(cpg: &mut Cpg) -> Change {
    let event = next(cpg);
    let Event::Membership(change) = event else {
        panic!("not a change: {event:?}");
    };
    change
}

/// A connection that has seen itself join.
fn joined(name: &str) -> Cpg {
    let mut cpg = connect();
    cpg.join(&group(name)).unwrap();
    let change = next_change(&mut cpg);
    assert_eq!(change.joined, [(me(), Cause::Joined)]);
    cpg
}

/// Bytes that are different everywhere.
fn body(len: usize, seed: u8) -> Vec<u8> {
    let byte = |i: u32| (i.wrapping_mul(31) >> 3).to_le_bytes()[0] ^ seed;
    (0..).take(len).map(byte).collect()
}

pub(crate) fn messages_come_back_in_order() {
    let mut cpg = joined("order");
    assert_eq!(cpg.local_node().unwrap(), NODE);
    let lengths = [0, 1, 64, 1000, 65_536, Cpg::ATOMIC_MAX];
    for (seed, len) in (0..).zip(lengths) {
        let body = body(len, seed);
        let (a, b) = body.split_at(len / 3);
        cpg.mcast(&[a, b]).unwrap();
    }
    cpg.try_mcast(&[b"last"]).unwrap();
    for (seed, len) in (0..).zip(lengths) {
        assert!(next_data(&mut cpg) == body(len, seed), "{len} bytes");
    }
    assert_eq!(next_data(&mut cpg), b"last");
    assert_eq!(cpg.dispatch(Duration::ZERO).unwrap(), None);
    cpg.close().unwrap();
}

pub(crate) fn long_messages_come_back_whole() {
    let mut cpg = joined("long");
    let long = vec![0; Cpg::ATOMIC_MAX + 1];
    let refused = cpg.try_mcast(&[&long]).unwrap_err();
    assert!(matches!(refused, Error::TooBig), "{refused}");
    for len in [Cpg::ATOMIC_MAX + 1, 2 * Cpg::ATOMIC_MAX, 3_500_000] {
        let body = body(len, 9);
        let parts: Vec<&[u8]> = body.chunks(700_001).collect();
        cpg.mcast(&parts).unwrap();
        cpg.mcast(&[b"short"]).unwrap();
        assert!(next_data(&mut cpg) == body, "{len} bytes");
        assert_eq!(next_data(&mut cpg), b"short");
    }
    let mut outsider = connect();
    let refused = outsider.mcast(&[&long]).unwrap_err();
    assert!(matches!(refused, Error::NotJoined), "{refused}");
}

pub(crate) fn a_flood_is_held_back_but_not_lost() {
    const COUNT: u32 = 20_000;
    let mut cpg = joined("flood");
    let mut refused = 0;
    for n in 0..COUNT {
        let data: [&[u8]; 2] = [&n.to_le_bytes(), &[7; 1000]];
        // Now and then the other way to send: both keep the order.
        if n % 2 == 0 {
            match cpg.try_mcast(&data) {
                Ok(()) => continue,
                Err(error) => assert_eq!(error.code(), CsError::TryAgain),
            }
            refused += 1;
        }
        cpg.mcast(&data).unwrap();
    }
    eprintln!("{refused} of {} attempts were refused", COUNT / 2);
    for n in 0..COUNT {
        let data = next_data(&mut cpg);
        assert_eq!(data[..4], n.to_le_bytes());
        assert_eq!(data.len(), 1004);
    }
}

pub(crate) fn who_joins_and_leaves_is_told() {
    let (name, other) = (group("told"), group("other"));
    let mut cpg = joined("told");
    assert_eq!(cpg.membership(&name).unwrap(), [me()]);
    assert_eq!(cpg.membership(&other).unwrap(), []);
    let again = cpg.join(&other).unwrap_err();
    assert!(matches!(again, Error::AlreadyJoined), "{again}");
    let twice = connect().join(&name).unwrap_err();
    assert!(matches!(twice, Error::AlreadyJoined), "{twice}");
    let mut outsider = connect();
    let not_in = outsider.leave(&name).unwrap_err();
    assert!(matches!(not_in, Error::NotJoined), "{not_in}");
    cpg.leave(&name).unwrap();
    let change = next_change(&mut cpg);
    assert_eq!(change.group, name);
    assert_eq!(change.left, [(me(), Cause::Left)]);
    assert_eq!((change.members, change.joined), (vec![], vec![]));
    assert_eq!(outsider.membership(&name).unwrap(), []);
}

/// Another process in the same group.
struct Member {
    child: Child,
    process: Process,
    /// Kept open: it writes there again when it ends.
    _stdout: BufReader<ChildStdout>,
}

impl Member {
    fn start(name: &str) -> Self {
        let mut child = this_program_as("member")
            .env(GROUP, name)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let pid = child.id();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        while !line.contains(JOINED) {
            line.clear();
            let len = stdout.read_line(&mut line).unwrap();
            assert_ne!(len, 0, "the other process ended");
        }
        let process = Process { node: NODE, pid };
        Self {
            child,
            process,
            _stdout: stdout,
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}

/// Joins a group, answers what is no answer, and leaves when told.
pub(crate) fn as_member() {
    let name = group(&std::env::var(GROUP).unwrap());
    let mut cpg = connect();
    cpg.join(&name).unwrap();
    loop {
        match next(&mut cpg) {
            Event::Membership(change) => {
                if change.left.iter().any(|(p, _)| p.pid == me().pid) {
                    return;
                }
                writeln!(stdout(), "\n{JOINED}").unwrap();
            }
            Event::Message(message) if message.data == b"leave" => cpg.leave(&name).unwrap(),
            Event::Message(message) if !message.data.starts_with(b"re: ") => {
                cpg.mcast(&[b"re: ", &message.data]).unwrap();
            }
            Event::Message(_) | Event::Ring(_) => {}
        }
    }
}

pub(crate) fn other_processes_come_and_die() {
    let mut cpg = joined("others");
    let mut a = Member::start("others");
    let mut b = Member::start("others");
    for member in [&a, &b] {
        let change = next_change(&mut cpg);
        assert_eq!(change.joined, [(member.process, Cause::Joined)]);
    }
    cpg.mcast(&[b"hello"]).unwrap();
    assert_eq!(next_data(&mut cpg), b"hello");
    let mut answers: Vec<Process> = (0..2)
        .map(|_| {
            let event = next(&mut cpg);
            let Event::Message(message) = event else {
                panic!("not an answer: {event:?}");
            };
            assert_eq!(message.data, b"re: hello");
            message.sender
        })
        .collect();
    answers.sort_unstable();
    let mut all = [a.process, b.process];
    all.sort_unstable();
    assert_eq!(answers, all);
    a.child.kill().unwrap();
    let change = next_change(&mut cpg);
    assert_eq!(change.left, [(a.process, Cause::Died)]);
    assert_eq!(change.members.len(), 2);
    cpg.mcast(&[b"leave"]).unwrap();
    assert_eq!(next_data(&mut cpg), b"leave");
    let change = next_change(&mut cpg);
    assert_eq!(change.left, [(b.process, Cause::Left)]);
    assert_eq!(change.members, [me()]);
    assert!(b.child.wait().unwrap().success());
}

pub(crate) fn groups_and_processes_are_found() {
    let names = ["find-a", "find-b"];
    let members = names.map(joined);
    let mut cpg = connect();
    let found = |cpg: &mut Cpg, scope| -> Vec<Found> {
        let items = cpg.iterate(scope).unwrap().map(Result::unwrap);
        let ours = |f: &Found| names.iter().any(|n| group(n) == f.group);
        let mut found: Vec<Found> = items.filter(ours).collect();
        found.sort_by(|a, b| a.group.cmp(&b.group));
        found
    };
    let of = |name: &str, process| Found {
        group: group(name),
        process,
    };
    let all = found(&mut cpg, IterScope::All);
    assert_eq!(all, names.map(|n| of(n, Some(me()))));
    let one = found(&mut cpg, IterScope::Group(group("find-b")));
    assert_eq!(one, [of("find-b", Some(me()))]);
    let only_names = found(&mut cpg, IterScope::Names);
    assert_eq!(only_names, names.map(|n| of(n, None)));
    let groups = cpg.groups().unwrap();
    assert!(
        names.iter().all(|n| groups.contains(&group(n))),
        "{groups:?}"
    );
    // Many iterations that are given up early are no burden.
    for _ in 0..1000 {
        drop(cpg.iterate(IterScope::All).unwrap());
    }
    drop(members);
}

pub(crate) fn the_ring_is_told_on_request() {
    let mut cpg = connect();
    cpg.join_and_see_ring(&group("ring")).unwrap();
    // The end of an earlier group may be what both daemons take as the occasion.
    let (mut rings, mut changes) = (Vec::new(), Vec::new());
    for _ in 0..2 {
        match next(&mut cpg) {
            Event::Ring(ring) => rings.push((ring.members, ring.id.rep)),
            Event::Membership(change) => changes.push(change.members),
            Event::Message(message) => panic!("nobody said {message:?}"),
        }
    }
    assert_eq!(rings, [(vec![NODE], NODE)]);
    assert_eq!(changes, [[me()]]);
}

pub(crate) fn the_descriptor_tells_of_events() {
    let mut cpg = joined("poll");
    let is_readable = |cpg: &Cpg, timeout: PollTimeout| {
        let mut fds = [PollFd::new(cpg.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, timeout).unwrap() == 1
    };
    assert!(!is_readable(&cpg, PollTimeout::ZERO));
    for _ in 0..3 {
        cpg.mcast(&[b"wake up"]).unwrap();
    }
    for _ in 0..3 {
        assert!(is_readable(&cpg, PollTimeout::from(60_000_u16)));
        assert_eq!(next_data(&mut cpg), b"wake up");
    }
    assert!(!is_readable(&cpg, PollTimeout::ZERO));
    assert!(!cpg.is_held_back());
}

/// The daemon was killed.
pub(crate) fn is_lost(cpg: &mut Cpg) {
    let error = cpg.local_node().unwrap_err();
    assert!(matches!(&error, Error::Connection(e) if lost(e)), "{error}");
    let error = cpg.dispatch(PATIENCE).unwrap_err();
    assert!(matches!(&error, Error::Connection(e) if lost(e)), "{error}");
    assert_eq!(error.code(), CsError::Library);
}

const GROUP: &str = "FERROSYNC_CLIENT_TEST_GROUP";
const JOINED: &str = "the other process sees a membership";

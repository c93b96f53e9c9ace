//! Random histories: the service against a model that walks plain lists as C does
//! (corosync `exec/cpg.c`, v3.1.7), with the differences that `docs/deviations.md` lists.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ferrosync_wire::exec::Source;
use ferrosync_wire::exec::cpg::{JoinEntry, Mcast, Message, ProcChange};
use ferrosync_wire::ipc::cpg::{Confchg, Deliver, TotemConfchg};
use ferrosync_wire::{ConnId, Encode, Instant, NodeId, RingId, RingSeq};
use proptest::prelude::*;

use super::*;
use crate::node::{Boot, Node};
use crate::output::{Kept, LibKind, NodeOutput};
use crate::service::{Ctx, Service, SyncView};
use crate::testing::config_of;
use crate::transport::Secrets;

/// This node.
const ME: u32 = 1;

/// A process in a group: node, pid, group.
type Process = (u32, u32, &'static str);

#[derive(Clone, Debug)]
enum Op {
    Connect,
    Join(usize, &'static str, u32, u32),
    Leave(usize),
    Mcast(usize),
    Finalize(usize),
    Disconnect(usize),
    /// The ring brings back the oldest of this node's own messages.
    Own,
    RemoteJoin(Process),
    RemoteLeave(Process, u32),
    RemoteMcast(Process),
    Sync(Change),
}

/// A change of the ring's membership.
#[derive(Clone, Debug)]
struct Change {
    /// Of the other nodes 2 to 4: who came along, and who is a member.
    trans: BTreeSet<u32>,
    others: BTreeSet<u32>,
    lists: Vec<Process>,
    died: Option<Process>,
    ends: bool,
}

/// What the service is to be like.
#[derive(Default)]
struct Model {
    conns: BTreeMap<u64, Conn>,
    processes: Vec<Process>,
    own: VecDeque<Own>,
    old: Vec<u32>,
    away: BTreeSet<u32>,
    ring: u64,
    told_ring: u64,
    expected: BTreeMap<u64, Vec<Vec<u8>>>,
}

#[derive(Clone, Debug)]
enum Own {
    Join(Process),
    Leave(Process, Reason),
    Mcast(Process),
}

#[derive(Clone, Debug, Default)]
struct Conn {
    state: CpdState,
    group: &'static str,
    pid: u32,
    wants_ring: bool,
    got_ring: bool,
    finalized: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum CpdState {
    #[default]
    Unjoined,
    JoinStarted,
    JoinCompleted,
    LeaveStarted,
}

impl Model {
    fn tell(&mut self, conn: u64, event: &Event<'_>) {
        self.expected.entry(conn).or_default().push(event.to_vec());
    }

    fn ring_event(&self) -> Event<'static> {
        Event::TotemConfchg(TotemConfchg {
            ring: ring(self.told_ring),
            members: self.old.iter().map(|n| NodeId(*n)).collect(),
        })
    }

    /// `notify_lib_joinlist`.
    fn notify(&mut self, name: &str, left: Vec<(Process, Reason)>, joined: Vec<(Process, Reason)>) {
        let went = |p: &Process| left.iter().any(|(l, _)| (l.0, l.1) == (p.0, p.1));
        let list = |list: &[(Process, Reason)]| list.iter().map(|(p, r)| entry(*p, *r)).collect();
        let members = self.processes.iter().filter(|p| p.2 == name && !went(p));
        let event = Event::Confchg(Confchg {
            group: group(name),
            members: members.map(|p| entry(*p, Reason::UNDEFINED)).collect(),
            left: list(&left),
            joined: list(&joined),
        });
        for conn in self.conns.values_mut().filter(|c| !c.finalized) {
            let is_it = |(p, _): &(Process, Reason)| *p == (ME, conn.pid, conn.group);
            if conn.state == CpdState::JoinStarted && joined.iter().any(is_it) {
                conn.state = CpdState::JoinCompleted;
            }
        }
        for conn in self.listeners(name) {
            self.tell(conn, &event);
        }
        for conn in self.conns.values_mut() {
            let own = ((ME, conn.pid, conn.group), Reason::LEAVE);
            if conn.state == CpdState::LeaveStarted && left.contains(&own) {
                conn.state = CpdState::Unjoined;
            }
        }
        let ring = self.ring_event();
        let owed = self.conns.iter_mut();
        let owed = owed.filter(|(_, c)| c.wants_ring && !c.got_ring && !c.finalized);
        let owed: Vec<u64> = owed
            .map(|(id, c)| {
                c.got_ring = true;
                *id
            })
            .collect();
        for conn in owed {
            self.tell(conn, &ring);
        }
    }

    fn listeners(&self, name: &str) -> Vec<u64> {
        let listens = |c: &Conn| {
            matches!(c.state, CpdState::JoinCompleted | CpdState::LeaveStarted) && !c.finalized
        };
        let conns = self.conns.iter();
        let conns = conns.filter(|(_, c)| listens(c) && c.group == name);
        conns.map(|(id, _)| *id).collect()
    }

    /// `do_proc_join`; says whether the process was new.
    fn insert(&mut self, process: Process) -> bool {
        if self.processes.contains(&process) {
            return false;
        }
        let behind = |p: &Process| (p.0, p.1) > (process.0, process.1);
        let at = self.processes.iter().position(behind);
        let at = at.unwrap_or(self.processes.len());
        self.processes.insert(at, process);
        true
    }

    fn proc_join(&mut self, process: Process) {
        if self.insert(process) {
            self.notify(process.2, vec![], vec![(process, Reason::JOIN)]);
        }
    }

    fn proc_leave(&mut self, process: Process, reason: Reason) {
        if self.processes.contains(&process) {
            self.notify(process.2, vec![(process, reason)], vec![]);
            self.processes.retain(|p| *p != process);
        }
    }

    fn mcast(&mut self, from: Process) {
        let known = self
            .processes
            .iter()
            .any(|p| (p.0, p.2) == (from.0, from.2));
        let event = Event::Deliver(Deliver {
            group: group(from.2),
            nodeid: NodeId(from.0),
            pid: from.1,
            data: b"data",
        });
        for conn in self.listeners(from.2) {
            if known {
                self.tell(conn, &event);
            }
        }
    }

    /// `message_handler_req_lib_cpg_join`, and D-32.
    fn join(&mut self, id: u64, name: &'static str, pid: u32, flags: u32) -> Result<(), CsError> {
        let seat = (ME, pid, name);
        let leaving = self.own.iter().any(|own| match own {
            Own::Leave(process, reason) => *process == seat && *reason == Reason::PROCDOWN,
            Own::Join(_) | Own::Mcast(_) => false,
        });
        let conns = self.conns.iter();
        let holder = conns
            .filter(|(_, c)| c.state != CpdState::Unjoined)
            .find(|(_, c)| (c.pid, c.group) == (pid, name));
        let own = &self.conns[&id];
        match holder {
            _ if own.finalized => return Err(CsError::BadHandle),
            Some((other, c)) if *other != id => {
                let gives_up = c.finalized || c.state == CpdState::LeaveStarted;
                return Err(if gives_up {
                    CsError::TryAgain
                } else {
                    CsError::Exist
                });
            }
            None if leaving || self.processes.contains(&seat) => return Err(CsError::TryAgain),
            Some(_) | None => {}
        }
        match own.state {
            CpdState::Unjoined => {}
            CpdState::LeaveStarted => return Err(CsError::Busy),
            CpdState::JoinStarted | CpdState::JoinCompleted => return Err(CsError::Exist),
        }
        let conn = self.conns.get_mut(&id).unwrap();
        (conn.state, conn.pid, conn.group) = (CpdState::JoinStarted, pid, name);
        conn.wants_ring |= flags == 1;
        self.own.push_back(Own::Join(seat));
        Ok(())
    }

    fn leave(&mut self, id: u64) -> Result<(), CsError> {
        let conn = self.conns.get_mut(&id).unwrap();
        match conn.state {
            CpdState::Unjoined | CpdState::LeaveStarted => Err(CsError::NotExist),
            CpdState::JoinStarted => Err(CsError::Busy),
            CpdState::JoinCompleted => {
                conn.state = CpdState::LeaveStarted;
                let seat = (ME, conn.pid, conn.group);
                self.own.push_back(Own::Leave(seat, Reason::LEAVE));
                Ok(())
            }
        }
    }

    fn sends(&self, id: u64) -> Option<Process> {
        let conn = &self.conns[&id];
        let may = matches!(conn.state, CpdState::JoinStarted | CpdState::JoinCompleted);
        may.then_some((ME, conn.pid, conn.group))
    }

    fn disconnect(&mut self, id: u64) {
        if let Some(seat) = self.sends(id) {
            self.own.push_back(Own::Leave(seat, Reason::PROCDOWN));
        }
        self.conns.remove(&id);
    }

    fn sync(&mut self, change: &Change) {
        self.ring += 4;
        let gone = |n: &&u32| **n != ME && !change.trans.contains(*n);
        self.away.extend(self.old.iter().filter(gone));
        if let Some(died) = change.died {
            self.proc_leave(died, Reason::PROCDOWN);
        }
        if !change.ends {
            return;
        }
        let away = std::mem::take(&mut self.away);
        self.old = change.members();
        self.told_ring = self.ring;
        let lost = |p: &Process| away.contains(&p.0);
        let (left, rest) = self.processes.iter().partition(|p| lost(p));
        self.processes = rest;
        self.notify_all(left, Reason::NODEDOWN);
        let died = |p: &&Process| Some(**p) != change.died;
        let lists: Vec<Process> = change.lists.iter().filter(died).copied().collect();
        let lists_backwards = lists.iter().rev();
        let new: Vec<Process> = lists_backwards
            .filter(|p| self.insert(**p))
            .copied()
            .collect();
        self.notify_all(new, Reason::NODEUP);
        for process in self.processes.clone() {
            if process.0 != ME && !lists.contains(&process) {
                self.proc_leave(process, Reason::PROCDOWN);
            }
        }
        let ring = self.ring_event();
        let conns = self.conns.iter().filter(|(_, c)| !c.finalized);
        let conns: Vec<u64> = conns.map(|(id, _)| *id).collect();
        for conn in conns {
            self.tell(conn, &ring);
        }
    }

    /// One event a group.
    fn notify_all(&mut self, processes: Vec<Process>, reason: Reason) {
        for name in GROUPS {
            let of_group = processes.iter().filter(|p| p.2 == name);
            let list: Vec<(Process, Reason)> = of_group.map(|p| (*p, reason)).collect();
            match (list.is_empty(), reason) {
                (true, _) => {}
                (false, Reason::NODEDOWN) => self.notify(name, list, vec![]),
                (false, _) => self.notify(name, vec![], list),
            }
        }
    }
}

impl Change {
    fn members(&self) -> Vec<u32> {
        std::iter::once(ME)
            .chain(self.others.iter().copied())
            .collect()
    }
}

const fn entry(process: Process, reason: Reason) -> Address {
    Address {
        nodeid: NodeId(process.0),
        pid: process.1,
        reason,
    }
}

const fn ring(seq: u64) -> RingId {
    RingId {
        rep: NodeId(ME),
        seq: RingSeq(seq),
    }
}

/// The service in a node that never finds a ring: the history plays the ring.
struct Subject {
    node: Node,
    events: BTreeMap<u64, Vec<Vec<u8>>>,
    answers: Vec<Vec<u8>>,
}

impl Subject {
    fn new() -> Self {
        let boot = Boot {
            config: config_of(ME, &[1, 2, 3, 4], ""),
            stored: RingSeq(0),
            kept: Kept::default(),
            seed: 1,
            secrets: Secrets::NONE,
        };
        Self {
            node: Node::boot(boot, Instant::ORIGIN),
            events: BTreeMap::new(),
            answers: Vec::new(),
        }
    }

    fn act(&mut self, act: impl FnOnce(&mut dyn Service, &mut Ctx<'_>)) {
        self.node.with_service(ServiceId::CPG, act);
        for output in self.node.core.outputs.drain(..) {
            let NodeOutput::LibSend(message) = output else {
                continue;
            };
            let bytes = [message.head.as_slice(), &message.body].concat();
            match message.kind {
                LibKind::Response => self.answers.push(bytes),
                LibKind::Event => self.events.entry(message.conn.0).or_default().push(bytes),
            }
        }
    }

    fn request(&mut self, conn: u64, request: &Request<'_>) -> Option<Result<(), CsError>> {
        let request = request.to_vec();
        self.act(|s, cx| s.lib_request(cx, ConnId(conn), &request));
        let answer = self.answers.pop()?;
        assert_eq!(self.answers.len(), 0);
        Some(status(&answer).1)
    }

    fn deliver(&mut self, from: u32, message: &Message<'_>) {
        let bytes = message.to_vec().into();
        self.act(|s, cx| s.exec_deliver(cx, NodeId(from), &bytes));
    }

    fn proc_change(&mut self, process: Process, reason: Reason) {
        let change = ProcChange {
            group: group(process.2),
            pid: process.1,
            reason,
        };
        let message = match reason {
            Reason::JOIN => Message::ProcJoin(change),
            _ => Message::ProcLeave(change),
        };
        self.deliver(process.0, &message);
    }

    fn mcast(&mut self, from: Process) {
        let mcast = Mcast {
            group: group(from.2),
            pid: from.1,
            source: Source {
                nodeid: NodeId(from.0),
                conn: 7,
            },
            data: b"data",
        };
        self.deliver(from.0, &Message::Mcast(mcast));
    }

    fn sync(&mut self, seq: u64, change: &Change) {
        let view = SyncView {
            trans: std::iter::once(ME)
                .chain(change.trans.iter().copied())
                .map(NodeId)
                .collect(),
            members: change.members().into_iter().map(NodeId).collect(),
            ring: ring(seq),
        };
        self.act(|s, cx| s.sync_init(cx, &view));
        self.act(|s, cx| {
            s.sync_process(cx);
        });
        let (before, after) = change.lists.split_at(change.lists.len() / 2);
        self.lists(before);
        if let Some(died) = change.died {
            self.proc_change(died, Reason::PROCDOWN);
        }
        self.lists(after);
        if change.ends {
            self.act(|s, cx| s.sync_activate(cx));
            self.act(|s, cx| s.synced(cx));
        } else {
            self.act(|s, cx| s.sync_abort(cx));
            // What comes after its end counts no more than what came before.
            self.lists(before);
        }
    }

    fn lists(&mut self, processes: &[Process]) {
        for (node, pid, name) in processes {
            let group = group(name);
            let list = vec![JoinEntry { pid: *pid, group }];
            self.deliver(*node, &Message::JoinList(list));
        }
    }
}

/// Both, side by side.
struct Pair {
    model: Model,
    subject: Subject,
    conns: u64,
}

fn run(ops: Vec<Op>) {
    let mut pair = Pair {
        model: Model::default(),
        subject: Subject::new(),
        conns: 0,
    };
    // Clients are let in when there is a ring.
    let first = Op::Sync(Change {
        trans: BTreeSet::new(),
        others: BTreeSet::new(),
        lists: Vec::new(),
        died: None,
        ends: true,
    });
    for op in std::iter::once(first).chain(ops) {
        pair.apply(&op);
        let expected = std::mem::take(&mut pair.model.expected);
        let found = std::mem::take(&mut pair.subject.events);
        assert_same(&expected, &found, &op);
    }
}

impl Pair {
    fn apply(&mut self, op: &Op) {
        let (model, subject) = (&mut self.model, &mut self.subject);
        match op {
            Op::Connect => {
                self.conns += 1;
                model.conns.insert(self.conns, Conn::default());
                subject.act(|s, cx| s.lib_connect(cx, ConnId(self.conns)));
            }
            Op::Join(i, ..) | Op::Leave(i) | Op::Mcast(i) | Op::Finalize(i) | Op::Disconnect(i) => {
                let count = model.conns.len().max(1);
                if let Some(id) = model.conns.keys().copied().nth(i % count) {
                    self.request(id, op);
                }
            }
            Op::Own => match model.own.pop_front() {
                Some(Own::Join(process)) => self.arrive(process, Reason::JOIN),
                Some(Own::Leave(process, reason)) => self.arrive(process, reason),
                Some(Own::Mcast(process)) => self.mcast(process),
                None => {}
            },
            Op::RemoteJoin(process) => self.arrive(*process, Reason::JOIN),
            Op::RemoteLeave(process, reason) => self.arrive(*process, Reason(*reason)),
            Op::RemoteMcast(process) => self.mcast(*process),
            Op::Sync(change) => {
                model.sync(change);
                subject.sync(model.ring, change);
            }
        }
    }

    /// What one client does.
    fn request(&mut self, id: u64, op: &Op) {
        let (model, subject) = (&mut self.model, &mut self.subject);
        match op {
            Op::Join(_, name, pid, flags) => {
                let request = Request::Join {
                    group: group(name),
                    pid: *pid,
                    flags: *flags,
                };
                let expected = model.join(id, name, *pid, *flags);
                assert_eq!(subject.request(id, &request), Some(expected), "{op:?}");
            }
            Op::Leave(_) => {
                let request = leave_request(model.conns[&id].group);
                let expected = model.leave(id);
                assert_eq!(subject.request(id, &request), Some(expected), "{op:?}");
            }
            Op::Mcast(_) => {
                model.own.extend(model.sends(id).map(Own::Mcast));
                assert_eq!(subject.request(id, &mcast_request(b"data")), None);
            }
            Op::Finalize(_) => {
                model.conns.get_mut(&id).unwrap().finalized = true;
                assert_eq!(subject.request(id, &Request::Finalize), Some(Ok(())));
            }
            Op::Disconnect(_)
            | Op::Connect
            | Op::Own
            | Op::RemoteJoin(_)
            | Op::RemoteLeave(..)
            | Op::RemoteMcast(_)
            | Op::Sync(_) => {
                model.disconnect(id);
                subject.act(|s, cx| s.lib_disconnect(cx, ConnId(id)));
            }
        }
    }

    fn arrive(&mut self, process: Process, reason: Reason) {
        match reason {
            Reason::JOIN => self.model.proc_join(process),
            _ => self.model.proc_leave(process, reason),
        }
        self.subject.proc_change(process, reason);
    }

    fn mcast(&mut self, process: Process) {
        self.model.mcast(process);
        self.subject.mcast(process);
    }
}

#[track_caller]
fn assert_same(
    expected: &BTreeMap<u64, Vec<Vec<u8>>>,
    found: &BTreeMap<u64, Vec<Vec<u8>>>,
    op: &Op,
) {
    let texts = |of: &BTreeMap<u64, Vec<Vec<u8>>>| -> Vec<(u64, Vec<String>)> {
        let text_of = |events: &Vec<Vec<u8>>| events.iter().map(|e| text(e)).collect();
        of.iter()
            .map(|(conn, events)| (*conn, text_of(events)))
            .collect()
    };
    assert_eq!(texts(expected), texts(found), "after {op:?}");
    assert!(expected == found, "bytes differ after {op:?}");
}

/// In the order in which they are told.
const GROUPS: [&str; 3] = ["", "aa", "b"];

fn name() -> impl Strategy<Value = &'static str> {
    prop::sample::select(&GROUPS[..])
}

fn remote() -> impl Strategy<Value = Process> {
    (2_u32..5, 1_u32..4, name())
}

fn nodes() -> impl Strategy<Value = BTreeSet<u32>> {
    prop::collection::btree_set(2_u32..5, 0..4)
}

fn change() -> impl Strategy<Value = Change> {
    let lists = prop::collection::vec(remote(), 0..8);
    (
        nodes(),
        nodes(),
        lists,
        prop::option::of(remote()),
        prop::bool::weighted(0.7),
    )
        .prop_map(|(trans, joined, mut lists, died, ends)| {
            let others: BTreeSet<u32> = trans.union(&joined).copied().collect();
            lists.retain(|p| others.contains(&p.0));
            Change {
                died: died.filter(|p| others.contains(&p.0)),
                trans,
                others,
                lists,
                ends,
            }
        })
}

fn op() -> impl Strategy<Value = Op> {
    let conn = 0_usize..6;
    prop_oneof![
        2 => Just(Op::Connect),
        4 => (conn.clone(), name(), 1_u32..4, 0_u32..2)
            .prop_map(|(c, g, p, f)| Op::Join(c, g, p, f)),
        2 => conn.clone().prop_map(Op::Leave),
        2 => conn.clone().prop_map(Op::Mcast),
        1 => conn.clone().prop_map(Op::Finalize),
        1 => conn.prop_map(Op::Disconnect),
        8 => Just(Op::Own),
        3 => remote().prop_map(Op::RemoteJoin),
        2 => (remote(), 2_u32..6).prop_map(|(p, r)| Op::RemoteLeave(p, r)),
        2 => remote().prop_map(Op::RemoteMcast),
        2 => change().prop_map(Op::Sync),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn clients_are_told_what_the_model_says(ops in prop::collection::vec(op(), 1..80)) {
        run(ops);
    }
}

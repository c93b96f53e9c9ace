//! Closed process groups as their clients see them: messages whole, once, in the ring's order and without gaps;
//! changes that add up; the same members everywhere at the same place of the order.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ferrosync_executive::output::{LibKind, LibMessage};
use ferrosync_totem::pg::{Group, GroupMessage};
use ferrosync_totem::srp::{ConfChgKind, Output};
use ferrosync_wire::exec::{self, cpg as ring};
use ferrosync_wire::ipc::cpg::{Address, Confchg, Deliver, Event, Request};
use ferrosync_wire::names::GroupName;
use ferrosync_wire::{ConnId, Decode, NodeId, Reader, ServiceId};

use super::{Checker, Violation};
use crate::observation::{Observation, Place, RingKey, Timing};
use crate::process::{Body, whole};

/// The checker.
#[derive(Debug, Default)]
pub(super) struct Cpg {
    clients: BTreeMap<ConnId, Client>,
    nodes: BTreeMap<NodeId, View>,
    /// Members of a group behind a frame, as the first node said.
    agreed: BTreeMap<(RingKey, u32, GroupName), (NodeId, Members)>,
}

type Process = (NodeId, u32);
type Members = BTreeSet<Process>;

/// What is known of one client.
#[derive(Debug)]
struct Client {
    node: NodeId,
    pid: u32,
    group: Option<GroupName>,
    stage: Stage,
    /// Messages that the ring brought for it, oldest first.
    expected: VecDeque<Expected>,
    /// As its changes say.
    members: Members,
    /// The next message of each sender.
    next: BTreeMap<Process, u64>,
    /// Own messages that the node took, and those that came back.
    accepted: u64,
    returned: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Outside,
    Inside,
    Leaving,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Expected {
    body: Body,
    certain: Certain,
}

/// Whether a message must be delivered. One that its sender's node sends behind the sender's last sign of life may
/// be dropped, as C does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Certain {
    Yes,
    No,
}

/// Behind the transitional change only those who go on together deliver the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Part {
    #[default]
    Regular,
    Tail,
}

/// A node's groups.
#[derive(Debug, Default)]
struct View {
    /// Number of the frame delivered last, where all of the ring deliver it.
    seq: Option<u32>,
    part: Part,
    groups: BTreeMap<GroupName, Members>,
    changed: BTreeSet<GroupName>,
}

impl Checker for Cpg {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "a checker looks at what concerns it, whatever else there is to see"
    )]
    fn observe(&mut self, place: Place, seen: &Observation<'_>) -> Result<(), Violation> {
        match seen {
            Observation::Booted | Observation::Stopped => {
                self.nodes.remove(&place.node);
                self.clients.retain(|_, c| c.node != place.node);
            }
            Observation::ClientUp { conn, pid } => {
                self.clients.insert(*conn, Client::new(place.node, *pid));
            }
            Observation::ClientDown(conn) => {
                self.clients.remove(conn);
            }
            Observation::Request { conn, message } => self.request(*conn, message),
            Observation::Message(message) => self.message(place, message),
            Observation::ToClient(message, timing) if message.kind == LibKind::Event => {
                return self.event(place, message, *timing);
            }
            Observation::Ring(Output::Deliver(d)) => {
                self.compare(place)?;
                let view = self.nodes.entry(place.node).or_default();
                view.seq = Some(d.seq.0).filter(|_| view.part == Part::Regular);
            }
            Observation::Ring(Output::ConfChg(change)) => {
                self.compare(place)?;
                let view = self.nodes.entry(place.node).or_default();
                view.seq = None;
                view.part = match change.kind {
                    ConfChgKind::Transitional => Part::Tail,
                    ConfChgKind::Regular => Part::Regular,
                };
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), Violation> {
        self.all_delivered().or_else(violation)
    }
}

impl Client {
    const fn new(node: NodeId, pid: u32) -> Self {
        Self {
            node,
            pid,
            group: None,
            stage: Stage::Outside,
            expected: VecDeque::new(),
            members: Members::new(),
            next: BTreeMap::new(),
            accepted: 0,
            returned: 0,
        }
    }

    fn is_in(&self, node: NodeId, group: &GroupName) -> bool {
        self.node == node && self.stage == Stage::Inside && self.group.as_ref() == Some(group)
    }

    fn change(&mut self, change: &Confchg) -> Result<(), Violation> {
        let mut members = std::mem::take(&mut self.members);
        let joined = set(&change.joined);
        if members.is_empty() && joined.contains(&(self.node, self.pid)) {
            // The first change is about this process itself: the others were there before.
            members = set(&change.members);
        }
        let before = members.clone();
        for gone in set(&change.left) {
            self.next.remove(&gone);
            members.remove(&gone);
        }
        members.extend(joined);
        self.members = set(&change.members);
        if self.members != members {
            return violation(format!(
                "process {} knew {before:?} and is told {change:?}",
                self.pid
            ));
        }
        Ok(())
    }

    fn deliver(&mut self, event: &Deliver<'_>) -> Result<(), Violation> {
        let body = match Body::parse(event.data) {
            Ok(body) => body,
            Err(damaged) => return violation(format!("process {}: {damaged:?}", self.pid)),
        };
        if (body.node, body.pid) != (event.nodeid, event.pid) {
            return violation(format!("{body:?} is said to come from {}", event.nodeid));
        }
        self.take_expected(body)?;
        let sender = (body.node, body.pid);
        let next = self.next.entry(sender).or_insert(body.number);
        if *next != body.number {
            return violation(format!(
                "process {} gets {body:?} where number {next} is next",
                self.pid
            ));
        }
        *next += 1;
        if sender == (self.node, self.pid) {
            self.returned = body.number + 1;
        }
        Ok(())
    }

    fn take_expected(&mut self, body: Body) -> Result<(), Violation> {
        while let Some(next) = self.expected.pop_front() {
            if next.body == body {
                return Ok(());
            }
            if next.certain == Certain::Yes {
                return violation(format!(
                    "process {} gets {body:?} instead of {:?}",
                    self.pid, next.body
                ));
            }
        }
        if self.stage == Stage::Leaving {
            return Ok(());
        }
        violation(format!(
            "process {} gets {body:?}, which the ring did not bring",
            self.pid
        ))
    }

    fn owes(&self) -> Option<String> {
        let pid = self.pid;
        if self.stage != Stage::Inside {
            return None;
        }
        if let Some(missing) = self.expected.iter().find(|e| e.certain == Certain::Yes) {
            return Some(format!("process {pid} did not get {:?}", missing.body));
        }
        (self.accepted != self.returned).then(|| {
            let (sent, back) = (self.accepted, self.returned);
            format!("process {pid} sent {sent} messages and got {back} of them")
        })
    }
}

impl Cpg {
    /// Whether everybody has everything; if not, what is missing.
    pub(super) fn all_delivered(&self) -> Result<(), String> {
        if let Some(owed) = self.clients.values().find_map(Client::owes) {
            return Err(owed);
        }
        for client in self.clients.values().filter(|c| c.stage == Stage::Inside) {
            let members: Members = self
                .clients
                .values()
                .filter(|c| c.stage == Stage::Inside && c.group == client.group)
                .map(|c| (c.node, c.pid))
                .collect();
            if members != client.members {
                return Err(format!(
                    "process {} of node {} believes in {:?}, its group has {members:?}",
                    client.pid, client.node, client.members
                ));
            }
        }
        Ok(())
    }

    /// Messages that came back to who sent them, by clients that are still there.
    pub(super) fn returned(&self) -> u64 {
        self.clients.values().map(|c| c.returned).sum()
    }

    fn request(&mut self, conn: ConnId, message: &[u8]) {
        let Some(client) = self.clients.get_mut(&conn) else {
            return;
        };
        match Request::decode(&mut Reader::new(message)) {
            Ok(Request::Join { group, .. }) => client.group = Some(group),
            Ok(Request::Mcast { data, .. }) => {
                // From its own join on, delivered or not, what a process sends is sent.
                let joins = client.group.is_some() && client.stage != Stage::Leaving;
                if let (true, Ok(body)) = (joins, Body::parse(data)) {
                    client.accepted = body.number + 1;
                }
            }
            Ok(_) | Err(_) => {}
        }
    }

    /// A message of the services that the ring brought to a node.
    fn message(&mut self, place: Place, message: &GroupMessage) {
        let mut r = Reader::new(&message.body);
        let is_ours = message.group == Group::Services
            && exec::Header::decode(&mut Reader::new(&message.body))
                .is_ok_and(|h| h.service == ServiceId::CPG);
        if !is_ours {
            return;
        }
        match ring::Message::decode(&mut r) {
            Ok(ring::Message::ProcJoin(change)) => {
                self.step(place, message.from, &change, Stage::Inside);
            }
            Ok(ring::Message::ProcLeave(change)) => {
                self.step(place, message.from, &change, Stage::Leaving);
            }
            Ok(ring::Message::Mcast(mcast)) => self.mcast(place, message.from, &mcast),
            Ok(_) | Err(_) => {}
        }
    }

    fn step(&mut self, place: Place, from: NodeId, change: &ring::ProcChange, stage: Stage) {
        let view = self.nodes.entry(place.node).or_default();
        let members = view.groups.entry(change.group.clone()).or_default();
        match stage {
            Stage::Inside => members.insert((from, change.pid)),
            Stage::Leaving | Stage::Outside => members.remove(&(from, change.pid)),
        };
        for client in self.clients.values_mut() {
            let is_own = client.node == place.node && from == place.node;
            if is_own && client.pid == change.pid && client.group.as_ref() == Some(&change.group) {
                client.stage = stage;
            }
        }
    }

    fn mcast(&mut self, place: Place, from: NodeId, mcast: &ring::Mcast<'_>) {
        let Ok(body) = Body::parse(mcast.data) else {
            return; // the client will say so
        };
        let view = self.nodes.entry(place.node).or_default();
        let members = view.groups.get(&mcast.group);
        let known = members.is_some_and(|m| m.iter().any(|(node, _)| *node == from));
        let certain = if known { Certain::Yes } else { Certain::No };
        for client in self.clients.values_mut() {
            if client.is_in(place.node, &mcast.group) {
                client.expected.push_back(Expected { body, certain });
            }
        }
    }

    fn event(
        &mut self,
        place: Place,
        message: &LibMessage,
        timing: Timing,
    ) -> Result<(), Violation> {
        let Some(client) = self.clients.get_mut(&message.conn) else {
            return Ok(());
        };
        let bytes = whole(message);
        match Event::decode(&mut Reader::new(&bytes)) {
            Ok(Event::Confchg(change)) => {
                client.change(&change)?;
                if timing == Timing::Now {
                    let view = self.nodes.entry(place.node).or_default();
                    view.changed.insert(change.group.clone());
                    view.groups
                        .insert(change.group.clone(), set(&change.members));
                }
                Ok(())
            }
            Ok(Event::Deliver(deliver)) => client.deliver(&deliver),
            Ok(Event::TotemConfchg(_) | Event::PartialDeliver(_)) => Ok(()),
            Err(error) => violation(format!("process {} gets {error:?}", client.pid)),
        }
    }

    /// Behind each frame every node that tells its clients about a group tells the same.
    fn compare(&mut self, place: Place) -> Result<(), Violation> {
        let view = self.nodes.entry(place.node).or_default();
        let changed = std::mem::take(&mut view.changed);
        let Some(seq) = view.seq else {
            return Ok(());
        };
        for group in changed {
            let members = view.groups.get(&group).cloned().unwrap_or_default();
            let key = (place.ring, seq, group);
            let (other, theirs) = self
                .agreed
                .entry(key)
                .or_insert_with(|| (place.node, members.clone()));
            if *theirs != members {
                return violation(format!(
                    "tells {members:?} behind number {seq:x} of {:?}, node {other} told {theirs:?}",
                    place.ring
                ));
            }
        }
        Ok(())
    }
}

fn set(addresses: &[Address]) -> Members {
    addresses.iter().map(|a| (a.nodeid, a.pid)).collect()
}

const fn violation<T>(text: String) -> Result<T, Violation> {
    Err(Violation {
        checker: "cpg",
        text,
    })
}

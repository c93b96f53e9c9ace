//! What the clients of a storm saw, checked against what extended virtual synchrony promises.
//!
//! Each client of `interop/cpg_storm.c` writes one record; [`parse()`] reads it, [`check()`] compares all records of a run:
//!
//! * **damage**: every body arrived as it was sent;
//! * **duplicates**: nobody received a message twice;
//! * **first in, first out**: a receiver sees each sender's messages in order, without a gap while both are members;
//! * **own messages**: what a client's daemon accepted comes back to it, while the connection lives;
//! * **order**: any two clients saw their common messages in the same order;
//! * **views**: two clients in the same ring see the same members of the group at the same message;
//! * **virtual synchrony**: clients that go from one ring to the same next one received the same messages in it, and in
//!   a ring that both stay in until their end, one's messages are a beginning of the other's.
//!
//! Corosync keeps all of this but for one case, see [`Promise::Corosync`].

mod check;
mod pairs;
mod parse;
mod sessions;
#[cfg(test)]
mod tests;

pub(crate) use check::check;
pub(crate) use parse::parse;

use std::collections::BTreeSet;
use std::fmt;

/// One process of the group, as CPG names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Process {
    /// The node it runs on.
    pub(crate) node: u32,
    /// Its process id there.
    pub(crate) pid: u32,
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.node, self.pid)
    }
}

/// A sender between two connections to its daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Sender {
    /// Who.
    pub(crate) process: Process,
    /// Which of its connections, from 1.
    pub(crate) incarnation: u32,
}

impl fmt::Display for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.process, self.incarnation)
    }
}

/// Names one message of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct MessageId {
    /// Who sent it.
    pub(crate) sender: Sender,
    /// The sender's count, from 0.
    pub(crate) seq: u32,
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.sender, self.seq)
    }
}

/// Length and hash of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Body {
    length: u32,
    hash: u64,
}

/// A totem configuration as CPG reports it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ring {
    representative: u32,
    seq: u64,
    members: BTreeSet<u32>,
}

impl fmt::Display for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.representative, self.seq)
    }
}

/// What the sender's client judged the body to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition {
    Sound,
    Damaged,
}

/// One line of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Event {
    Connect(Sender),
    Ring(Ring),
    View(View),
    Sent(u32, Body),
    Got(MessageId, Body, Condition),
    Disconnect(String),
    End { accepted: u32, came_back: u32 },
}

/// A change of the group's membership.
#[derive(Clone, Debug, PartialEq, Eq)]
struct View {
    members: BTreeSet<Process>,
    left: BTreeSet<Process>,
    joined: BTreeSet<Process>,
}

/// What one client saw, in order.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    /// What findings call it.
    name: String,
    /// Its events, each with its line.
    events: Vec<(usize, Event)>,
}

impl Record {
    /// The members of the rings that the client saw, in order, for each of its connections.
    pub(crate) fn rings(&self) -> Vec<Vec<BTreeSet<u32>>> {
        let mut connections = vec![Vec::new()];
        for (_, event) in &self.events {
            match event {
                Event::Ring(ring) => {
                    let now = connections.last_mut().expect("there is one from the start");
                    now.push(ring.members.clone());
                }
                Event::Disconnect(_) => connections.push(Vec::new()),
                Event::Connect(_)
                | Event::View(_)
                | Event::Sent(..)
                | Event::Got(..)
                | Event::End { .. } => {}
            }
        }
        connections
    }
}

/// How much a ring promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Promise {
    /// Everything, without exception.
    Full,
    /// Everything but this: a message whose first fragments were sent in the sender's old ring and whose last ones are
    /// sent in the new ring reaches only those that were in the old ring too. Members from elsewhere never see it, nor
    /// what is packed behind it, until a packet of that sender ends with a whole message (corosync
    /// `totempg.c:totempg_deliver_fn`, `throw_away_mode`, v3.1.7; issue 660 of its tracker).
    Corosync,
}

/// What a check looked at, so that an empty run is not taken for a good one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Coverage {
    /// Messages received, by all clients together.
    pub(crate) deliveries: usize,
    /// Pairs of clients that passed together from one ring to the next.
    pub(crate) passages: usize,
    /// Connections that ended in order.
    pub(crate) ends: usize,
    /// Connections that the daemon's death ended.
    pub(crate) disconnects: usize,
    /// Messages that a ring change kept from members from elsewhere, see [`Promise::Corosync`].
    pub(crate) torn: usize,
}

/// How many violations of one run are worth reading.
const MAX_VIOLATIONS: usize = 50;

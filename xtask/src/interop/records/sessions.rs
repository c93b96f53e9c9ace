//! Records cut into connections, and connections into the rings they lived in.

use std::collections::BTreeSet;

use super::{Body, Condition, Event, MessageId, Process, Record, Ring, Sender};

/// One connection of a client to its daemon.
#[derive(Debug)]
pub(super) struct Session<'a> {
    /// The record's name.
    pub(super) name: &'a str,
    /// Who this client was, in this connection.
    pub(super) who: Sender,
    /// What its daemon accepted, in order.
    pub(super) sent: Vec<(usize, u32, Body)>,
    /// The group's members over time; a delivery names its place in here.
    pub(super) views: Vec<BTreeSet<Process>>,
    /// Processes that left, each with the number of deliveries before it did.
    pub(super) departures: Vec<(usize, Process)>,
    /// What it saw, ring by ring.
    pub(super) segments: Vec<Segment>,
    /// How it ended.
    pub(super) ending: Ending,
}

/// What a client saw of one ring. Messages of a new ring that come before CPG announces it count to the old one; they do
/// so at every client that comes from there.
#[derive(Debug)]
pub(super) struct Segment {
    /// The ring; `None` before the first was announced.
    pub(super) ring: Option<RingKey>,
    /// The messages, in order.
    pub(super) got: Vec<Got>,
}

/// What tells one ring from another.
pub(super) type RingKey = (u32, u64);

/// One delivery.
#[derive(Clone, Copy, Debug)]
pub(super) struct Got {
    /// The record's line.
    pub(super) line: usize,
    /// Which message.
    pub(super) id: MessageId,
    /// What arrived.
    pub(super) body: Body,
    /// What the receiving client thought of it.
    pub(super) condition: Condition,
    /// Index into [`Session::views`].
    pub(super) view: usize,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// The client was told to stop and drained its own messages.
    InOrder {
        /// How many messages the client counted as accepted.
        accepted: u32,
        /// How many of them it counted as come back.
        came_back: u32,
    },
    /// The daemon went away, or the record breaks off.
    Lost,
}

/// What follows a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Another ring.
    Ring(RingKey),
    /// Nothing: the connection ended in this ring.
    Nothing,
}

impl Session<'_> {
    /// Every delivery, in order.
    pub(super) fn deliveries(&self) -> impl Iterator<Item = &Got> {
        self.segments.iter().flat_map(|segment| &segment.got)
    }

    /// What follows the segment `at`.
    pub(super) fn next(&self, at: usize) -> Next {
        match self.segments.get(at + 1) {
            Some(Segment {
                ring: Some(key), ..
            }) => Next::Ring(*key),
            Some(Segment { ring: None, .. }) | None => Next::Nothing,
        }
    }

    /// The ring before the segment `at`.
    pub(super) fn previous(&self, at: usize) -> Option<RingKey> {
        at.checked_sub(1)
            .and_then(|before| self.segments[before].ring)
    }

    fn last_segment(&mut self) -> &mut Segment {
        self.segments
            .last_mut()
            .expect("a session starts with one segment")
    }

    fn enter(&mut self, ring: &Ring) {
        let key = (ring.representative, ring.seq);
        let last = self.last_segment();
        // The ring that a new member is told first is told again when it was just being installed.
        if last.ring == Some(key) {
            return;
        }
        if last.ring.is_none() && last.got.is_empty() {
            last.ring = Some(key);
            return;
        }
        self.segments.push(Segment {
            ring: Some(key),
            got: Vec::new(),
        });
    }
}

/// Cuts `record` into connections.
pub(super) fn sessions(record: &Record) -> Vec<Session<'_>> {
    let mut sessions = Vec::new();
    let mut open: Option<Session<'_>> = None;
    // A ring may be announced to a connection that has not joined the group yet.
    let mut ring: Option<&Ring> = None;
    for (line, event) in &record.events {
        match (event, &mut open) {
            (Event::Connect(who), _) => {
                sessions.extend(open.take());
                open = Some(start(&record.name, *who, ring.take()));
            }
            (Event::Ring(entered), Some(session)) => session.enter(entered),
            (Event::Ring(entered), None) => ring = Some(entered),
            (Event::View(view), Some(session)) => {
                let before = session.deliveries().count();
                session
                    .departures
                    .extend(view.left.iter().map(|process| (before, *process)));
                session.views.push(view.members.clone());
            }
            (Event::Sent(seq, body), Some(session)) => session.sent.push((*line, *seq, *body)),
            (Event::Got(id, body, condition), Some(session)) => {
                let view = session.views.len() - 1;
                session.last_segment().got.push(Got {
                    line: *line,
                    id: *id,
                    body: *body,
                    condition: *condition,
                    view,
                });
            }
            (
                &Event::End {
                    accepted,
                    came_back,
                },
                Some(session),
            ) => {
                session.ending = Ending::InOrder {
                    accepted,
                    came_back,
                };
                sessions.extend(open.take());
            }
            (Event::Disconnect(_), _) => {
                ring = None;
                sessions.extend(open.take());
            }
            // Nothing of the group reaches a client that has not joined it.
            (Event::View(_) | Event::Sent(..) | Event::Got(..) | Event::End { .. }, None) => {}
        }
    }
    sessions.extend(open);
    sessions
}

fn start<'a>(name: &'a str, who: Sender, ring: Option<&Ring>) -> Session<'a> {
    Session {
        name,
        who,
        sent: Vec::new(),
        views: vec![BTreeSet::new()],
        departures: Vec::new(),
        segments: vec![Segment {
            ring: ring.map(|ring| (ring.representative, ring.seq)),
            got: Vec::new(),
        }],
        ending: Ending::Lost,
    }
}

//! The rule of `ferrosync_ykd`: dynamic linear voting after Yeger Lotem, Keidar and Dolev ("Dynamic voting for
//! consistent primary components", PODC 1997).
//!
//! Primary components form a chain: each holds a majority of the one before, or the half with its lowest node. The
//! first one in the chain is the nodelist. A node writes to disk that it tries to form a component before it says
//! so, and a component is formed for those who heard so from all of its members. Whoever does not know whether
//! somebody heard it from all keeps the session as ambiguous: no component without a majority of it, until somebody
//! knows more.

use std::collections::{BTreeMap, BTreeSet};

use ferrosync_wire::linear::{Content, Formed, Memory, Message, Session};
use ferrosync_wire::{NodeId, RingId};

use super::Effect;
use crate::core::Quorate;
use crate::log::Priority;

/// What a node knows.
#[derive(Debug)]
pub(crate) struct Linear {
    me: NodeId,
    mine: Memory,
    ring: RingId,
    /// Ascending.
    view: Vec<NodeId>,
    stage: Stage,
}

/// What is being waited for.
#[derive(Debug)]
enum Stage {
    /// The memories of all members; those that came.
    Memories(BTreeMap<NodeId, Memory>),
    /// The attempts of all members to form this session; those that came.
    Attempts(Session, BTreeSet<NodeId>),
    /// Nothing, until the ring changes.
    Decided,
}

impl Linear {
    /// A node that starts with what it kept, or for the first time, when the nodes of its configuration count as the
    /// last primary component.
    pub(crate) fn new(
        me: NodeId,
        listed: impl Iterator<Item = NodeId>,
        kept: Option<Memory>,
    ) -> Self {
        let first = || Memory {
            last_primary: Session {
                number: 0,
                members: listed.collect::<BTreeSet<_>>().into_iter().collect(),
            },
            ..Memory::default()
        };
        Self {
            me,
            mine: kept.unwrap_or_else(first),
            ring: RingId::ZERO,
            view: Vec::new(),
            stage: Stage::Decided,
        }
    }

    /// A new ring.
    pub(crate) fn changed(&mut self, ring: RingId, members: &[NodeId]) -> Vec<Effect<Message>> {
        self.ring = ring;
        self.view = members.to_vec();
        self.view.sort_unstable();
        self.stage = Stage::Memories(BTreeMap::new());
        let content = Content::Memory(self.mine.clone());
        vec![
            Effect::Decide(Quorate::No),
            Effect::Send(Message { ring, content }),
        ]
    }

    /// A message; those of other rings and of strangers are ignored.
    pub(crate) fn deliver(&mut self, from: NodeId, message: Message) -> Vec<Effect<Message>> {
        if message.ring != self.ring || !self.view.contains(&from) {
            return Vec::new();
        }
        match (&mut self.stage, message.content) {
            (Stage::Memories(heard), Content::Memory(memory)) => {
                heard.insert(from, memory);
                if heard.len() == self.view.len() {
                    let memories = std::mem::take(heard);
                    return self.try_to_form(memories);
                }
            }
            (Stage::Attempts(session, heard), Content::Attempt) => {
                heard.insert(from);
                if heard.len() == self.view.len() {
                    let session = std::mem::take(session);
                    return self.form(session);
                }
            }
            // The last memory comes before the first attempt: whoever attempts has heard all memories.
            (Stage::Memories(_) | Stage::Attempts(..) | Stage::Decided, _) => {}
        }
        Vec::new()
    }

    /// All members come to the same decision, as all have the same memories.
    fn try_to_form(&mut self, mut memories: BTreeMap<NodeId, Memory>) -> Vec<Effect<Message>> {
        resolve(&mut memories);
        if let Some(mine) = memories.get(&self.me) {
            self.mine.clone_from(mine);
        }
        if let Some(obstacle) = obstacle(&self.view, &memories) {
            self.stage = Stage::Decided;
            let text = format!("No primary component: {obstacle}.");
            return vec![
                Effect::Keep(self.mine.clone()),
                Effect::Log(Priority::Notice, text),
            ];
        }
        let highest = memories.values().map(|memory| memory.session).max();
        let session = Session {
            number: highest.unwrap_or(0).saturating_add(1),
            members: self.view.clone(),
        };
        self.mine.session = session.number;
        self.mine.ambiguous.push(session.clone());
        self.stage = Stage::Attempts(session, BTreeSet::new());
        let attempt = Message {
            ring: self.ring,
            content: Content::Attempt,
        };
        vec![Effect::Keep(self.mine.clone()), Effect::Send(attempt)]
    }

    fn form(&mut self, session: Session) -> Vec<Effect<Message>> {
        self.stage = Stage::Decided;
        let text = format!("Primary component {} is formed.", describe(&session));
        learn(&mut self.mine, &session);
        vec![
            Effect::Keep(self.mine.clone()),
            Effect::Log(Priority::Notice, text),
            Effect::Decide(Quorate::Yes),
        ]
    }
}

/// Applies what the members know of each other's ambiguous sessions.
fn resolve(memories: &mut BTreeMap<NodeId, Memory>) {
    let told = memories.clone();
    for (me, mine) in memories {
        let others = || told.values().flat_map(|memory| &memory.formed);
        let formed: BTreeSet<&Session> = others()
            .map(|formed| &formed.session)
            .filter(|session| session.members.contains(me))
            .filter(|session| session.number > mine.last_primary.number)
            .collect();
        for session in formed {
            learn(mine, session);
        }
        mine.ambiguous.retain(|session| {
            let formed_none = |id: &NodeId| {
                told.get(id)
                    .is_some_and(|theirs| last_with(theirs, *me) < session.number)
            };
            let others = session.members.iter().filter(|id| *id != me);
            !others.into_iter().all(formed_none)
        });
    }
}

/// Number of the last session that a node formed together with another; 0 if it formed none.
fn last_with(memory: &Memory, other: NodeId) -> u64 {
    let with = |formed: &&Formed| formed.with.contains(&other);
    let found = memory.formed.iter().find(with);
    found.map_or(0, |formed| formed.session.number)
}

/// A session is known to have been formed: it takes the place of all that came before.
fn learn(memory: &mut Memory, session: &Session) {
    if session.number > memory.last_primary.number {
        memory.last_primary = session.clone();
    }
    memory.session = memory.session.max(session.number);
    memory
        .ambiguous
        .retain(|tried| tried.number > session.number);
    for formed in &mut memory.formed {
        formed.with.retain(|id| !session.members.contains(id));
    }
    memory.formed.retain(|formed| !formed.with.is_empty());
    memory.formed.push(Formed {
        session: session.clone(),
        with: session.members.clone(),
    });
}

/// Sessions that a node may have tried without knowing how they ended. It is the number of times in a row that the
/// membership changed between the first and the last attempt.
const AMBIGUOUS_MAX: usize = 256;

/// What stands against these members as a primary component; `None` when nothing does.
fn obstacle(view: &[NodeId], memories: &BTreeMap<NodeId, Memory>) -> Option<String> {
    if memories
        .values()
        .any(|m| m.ambiguous.len() >= AMBIGUOUS_MAX)
    {
        return Some("too many were tried, all nodes must come together".to_owned());
    }
    let primaries = || memories.values().map(|memory| &memory.last_primary);
    let newest = primaries().map(|session| session.number).max()?;
    // Of number 0 there are several where nodes started from different nodelists.
    let last = primaries().filter(|session| session.number == newest);
    let ambiguous = memories.values().flat_map(|memory| &memory.ambiguous);
    let newer = ambiguous.filter(|session| session.number > newest);
    last.chain(newer)
        .find(|session| !holds_majority(view, session))
        .map(|session| format!("too few of {} are here", describe(session)))
}

/// More than half of a session's members, or half of them with the lowest.
fn holds_majority(view: &[NodeId], session: &Session) -> bool {
    let members = &session.members;
    let common = members.iter().filter(|id| view.contains(id)).count();
    let has_lowest = members.first().is_some_and(|lowest| view.contains(lowest));
    2 * common > members.len() || (2 * common == members.len() && has_lowest)
}

fn describe(session: &Session) -> String {
    let members: Vec<String> = session.members.iter().map(NodeId::to_string).collect();
    format!("{} ({})", session.number, members.join(" "))
}

//! The rule of `ferrosync_ykd`: dynamic linear voting after Yeger Lotem, Keidar and Dolev ("Dynamic voting for
//! consistent primary components", PODC 1997).
//!
//! Primary components form a chain: each holds a majority of the one before, or the half with its lowest node. The
//! first one in the chain is the nodelist. A node writes to disk that it tries to form a component before it says
//! so, and a component is formed for those who heard so from all of its members. Whoever does not know whether
//! somebody heard it from all keeps the session as ambiguous: no component without a majority of it, until somebody
//! knows more.
//!
//! The paper has disks that are never lost. Here a node without a memory is anew: it may have forgotten any session,
//! so it neither counts in a majority nor bears witness, until the attempt that takes it along. Its memory says where
//! it begins, and means nothing for what was before. Only where every node of the nodelist is present can nobody else
//! be acting, whatever was forgotten: that is how the first component comes about, and how a cluster goes on that
//! lost too many memories.

use std::collections::{BTreeMap, BTreeSet};

use ferrosync_wire::linear::{Content, Formed, Memory, Message, Session, State};
use ferrosync_wire::{NodeId, RingId};

use super::Effect;
use crate::core::Quorate;
use crate::log::Priority;

/// What a node knows.
#[derive(Debug)]
pub(crate) struct Linear {
    me: NodeId,
    /// `None` while the node is anew.
    mine: Option<Memory>,
    ring: RingId,
    /// Ascending.
    view: Vec<NodeId>,
    stage: Stage,
}

/// What is being waited for.
#[derive(Debug)]
enum Stage {
    /// The states of all members; those that came.
    States(BTreeMap<NodeId, State>),
    /// The attempts of all members to form this session; those that came.
    Attempts(Session, BTreeSet<NodeId>),
    /// Nothing, until the ring changes.
    Decided,
}

/// Who is present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attendance {
    /// Every node that there is: nobody acts elsewhere.
    Complete,
    Partial,
}

impl Linear {
    /// A node that starts with what it kept; without, it is anew.
    pub(crate) const fn new(me: NodeId, kept: Option<Memory>) -> Self {
        Self {
            me,
            mine: kept,
            ring: RingId::ZERO,
            view: Vec::new(),
            stage: Stage::Decided,
        }
    }

    /// A new ring, and the nodelist as it is now.
    pub(crate) fn changed(
        &mut self,
        ring: RingId,
        members: &[NodeId],
        listed: BTreeSet<NodeId>,
    ) -> Vec<Effect<Message>> {
        self.ring = ring;
        self.view = members.to_vec();
        self.view.sort_unstable();
        self.stage = Stage::States(BTreeMap::new());
        let content = Content::State(State {
            listed: listed.into_iter().collect(),
            memory: self.mine.clone(),
        });
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
            (Stage::States(heard), Content::State(state)) => {
                heard.insert(from, state);
                if heard.len() == self.view.len() {
                    let states = std::mem::take(heard);
                    return self.try_to_form(states);
                }
            }
            (Stage::Attempts(session, heard), Content::Attempt) => {
                heard.insert(from);
                if heard.len() == self.view.len() {
                    let session = std::mem::take(session);
                    return self.form(session);
                }
            }
            // The last state comes before the first attempt: whoever attempts has heard all states.
            (Stage::States(_) | Stage::Attempts(..) | Stage::Decided, _) => {}
        }
        Vec::new()
    }

    /// All members come to the same decision, as all have heard the same.
    fn try_to_form(&mut self, states: BTreeMap<NodeId, State>) -> Vec<Effect<Message>> {
        let mut listed = BTreeSet::new();
        let mut memories = BTreeMap::new();
        for (id, state) in states {
            listed.extend(state.listed);
            memories.extend(state.memory.map(|memory| (id, memory)));
        }
        resolve(&mut memories);
        let attendance = attendance(&self.view, &listed, &memories);
        if attendance == Attendance::Complete {
            begin_or_settle(&self.view, listed.clone(), &mut memories);
        }
        self.mine = memories.get(&self.me).cloned();
        let obstacle = match attendance {
            Attendance::Complete => None,
            Attendance::Partial => obstacle(&self.view, &listed, &memories),
        };
        match (obstacle, newest(&memories)) {
            (Some(obstacle), _) => self.give_up(&obstacle),
            (None, Some(last)) => {
                let highest = memories.values().map(|memory| memory.session).max();
                self.attempt(last, highest.unwrap_or(0).saturating_add(1))
            }
            (None, None) => self.give_up("nobody is here"),
        }
    }

    fn give_up(&mut self, obstacle: &str) -> Vec<Effect<Message>> {
        self.stage = Stage::Decided;
        let keep = self.mine.clone().map(Effect::Keep);
        let text = format!("No primary component: {obstacle}.");
        let log = Effect::Log(Priority::Notice, text);
        keep.into_iter().chain([log]).collect()
    }

    /// The memory of a node that is anew begins with this session.
    fn attempt(&mut self, last: &Session, number: u64) -> Vec<Effect<Message>> {
        let session = Session {
            number,
            members: self.view.clone(),
        };
        let mine = self.mine.get_or_insert_with(|| Memory {
            last_primary: last.clone(),
            since: number,
            ..Memory::default()
        });
        mine.session = number;
        mine.ambiguous.push(session.clone());
        let keep = Effect::Keep(mine.clone());
        self.stage = Stage::Attempts(session, BTreeSet::new());
        let attempt = Message {
            ring: self.ring,
            content: Content::Attempt,
        };
        vec![keep, Effect::Send(attempt)]
    }

    fn form(&mut self, session: Session) -> Vec<Effect<Message>> {
        self.stage = Stage::Decided;
        let text = format!("Primary component {} is formed.", describe(&session));
        let mine = self.mine.as_mut().expect("whoever attempts remembers it");
        learn(mine, &session);
        vec![
            Effect::Keep(mine.clone()),
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
            // Who is anew, or was when the session was tried, knows of no session for another reason.
            let formed_none = |id: &NodeId| {
                told.get(id).is_some_and(|theirs| {
                    theirs.since <= session.number && last_with(theirs, *me) < session.number
                })
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

/// Whether every node that there is, by anybody's nodelist or by the sessions that count, is in the view.
fn attendance(
    view: &[NodeId],
    listed: &BTreeSet<NodeId>,
    memories: &BTreeMap<NodeId, Memory>,
) -> Attendance {
    let members = counting(memories).flat_map(|session| &session.members);
    if listed.iter().chain(members).all(|id| view.contains(id)) {
        Attendance::Complete
    } else {
        Attendance::Partial
    }
}

/// All nodes are present. Where none remembers anything, they are the last primary component from now on; and a
/// session that none of them remembers as formed is over, whoever may have forgotten it.
fn begin_or_settle(
    view: &[NodeId],
    listed: BTreeSet<NodeId>,
    memories: &mut BTreeMap<NodeId, Memory>,
) {
    if memories.is_empty() {
        let first = Memory {
            last_primary: Session {
                number: 0,
                members: listed.into_iter().collect(),
            },
            ..Memory::default()
        };
        memories.extend(view.iter().map(|id| (*id, first.clone())));
    }
    for memory in memories.values_mut() {
        memory.ambiguous.clear();
    }
}

/// Sessions that a node may have tried without knowing how they ended. It is the number of times in a row that the
/// membership changed between the first and the last attempt.
const AMBIGUOUS_MAX: usize = 256;

/// What stands against these members, who are not all, as a primary component; `None` when nothing does.
fn obstacle(
    view: &[NodeId],
    listed: &BTreeSet<NodeId>,
    memories: &BTreeMap<NodeId, Memory>,
) -> Option<String> {
    if memories.is_empty() {
        let missing = listed.iter().filter(|id| !view.contains(id));
        let missing = join(missing);
        return Some(format!("none is remembered, the first one needs {missing}"));
    }
    if memories
        .values()
        .any(|m| m.ambiguous.len() >= AMBIGUOUS_MAX)
    {
        return Some("too many were tried, all nodes must come together".to_owned());
    }
    counting(memories).find_map(|session| {
        let counts = |id: &NodeId| memories.get(id).is_some_and(|m| m.since <= session.number);
        if holds_majority(session, counts) {
            return None;
        }
        let described = describe(session);
        let members = session.members.iter();
        let forgot = join(members.filter(|id| view.contains(id) && !counts(id)));
        Some(if forgot.is_empty() {
            format!("too few of {described} are here")
        } else {
            format!("too few of {described} are here that remember it, {forgot} not")
        })
    })
}

/// The last primary component that anybody knows.
fn newest(memories: &BTreeMap<NodeId, Memory>) -> Option<&Session> {
    let primaries = memories.values().map(|memory| &memory.last_primary);
    primaries.max_by_key(|session| session.number)
}

/// The sessions of which a majority is needed: the last primary component and what was tried since. The last one is
/// there as often as it is remembered.
fn counting(memories: &BTreeMap<NodeId, Memory>) -> impl Iterator<Item = &Session> {
    let newest = newest(memories).map_or(0, |session| session.number);
    let primaries = memories.values().map(|memory| &memory.last_primary);
    let last = primaries.filter(move |session| session.number == newest);
    let ambiguous = memories.values().flat_map(|memory| &memory.ambiguous);
    last.chain(ambiguous.filter(move |session| session.number > newest))
}

/// More than half of a session's members count, or half of them with the lowest.
fn holds_majority(session: &Session, counts: impl Fn(&NodeId) -> bool) -> bool {
    let members = &session.members;
    let common = members.iter().filter(|id| counts(id)).count();
    let has_lowest = members.first().is_some_and(&counts);
    2 * common > members.len() || (2 * common == members.len() && has_lowest)
}

fn describe(session: &Session) -> String {
    format!("{} ({})", session.number, join(session.members.iter()))
}

fn join<'a>(nodes: impl Iterator<Item = &'a NodeId>) -> String {
    let nodes: Vec<String> = nodes.map(NodeId::to_string).collect();
    nodes.join(" ")
}

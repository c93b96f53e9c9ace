//! The rule of `corosync_ykd` (corosync `exec/vsf_ykd.c`, v3.1.7), with what makes it unsafe: both halves of an even
//! split may act, tried sessions never count because their numbers are never written, nothing survives the process,
//! and messages of an earlier ring are taken for those of this one. Only what would break memory in C is mended.

use ferrosync_wire::NodeId;
use ferrosync_wire::exec::ykd::{MEMBERS_MAX, Message, Session, State};

use super::Effect;
use crate::core::Quorate;
use crate::log::Priority;

/// What a node knows.
#[derive(Debug)]
pub(crate) struct Corosync {
    mine: State,
    stage: Stage,
    /// The members, and what they said on this ring.
    peers: Vec<Peer>,
}

/// What is being waited for (`ykd_mode`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The states of all members.
    States,
    /// The attempts of all members, which do not come when the states speak against it.
    Attempts,
    /// A ring that is too large for the messages.
    TooMany,
}

#[derive(Debug)]
struct Peer {
    id: NodeId,
    /// Some message came, of whichever kind.
    heard: Heard,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heard {
    No,
    Yes,
}

impl Corosync {
    /// A node that starts: it takes itself for the last primary component.
    pub(crate) fn new(me: NodeId) -> Self {
        let members = vec![me];
        Self {
            mine: State {
                last_primary: Session { members, id: 0 },
                ..State::default()
            },
            stage: Stage::States,
            peers: Vec::new(),
        }
    }

    /// A new ring (`ykd_confchg_fn`).
    pub(crate) fn changed(&mut self, members: &[NodeId]) -> Vec<Effect<Message>> {
        let peer = |id: &NodeId| Peer {
            id: *id,
            heard: Heard::No,
            state: State::default(),
        };
        self.peers = members.iter().map(peer).collect();
        let mut effects = vec![Effect::Decide(Quorate::No)];
        if members.len() > MEMBERS_MAX {
            self.stage = Stage::TooMany;
            let text = format!("corosync_ykd cannot decide for more than {MEMBERS_MAX} nodes.");
            effects.push(Effect::Log(Priority::Error, text));
        } else {
            self.stage = Stage::States;
            let mine = Box::new(self.mine.clone());
            effects.push(Effect::Send(Message::State(mine)));
        }
        effects
    }

    /// A message (`ykd_deliver_fn`). Also one that is out of place counts as a sign of its sender.
    pub(crate) fn deliver(&mut self, from: NodeId, message: Message) -> Vec<Effect<Message>> {
        let mut peer = self.peers.iter_mut().find(|peer| peer.id == from);
        if let Some(peer) = &mut peer {
            peer.heard = Heard::Yes;
        }
        match (self.stage, message) {
            (Stage::States, Message::State(state)) => {
                // C writes the state of a stranger behind its last member's.
                if let Some(peer) = peer {
                    peer.state = *state;
                }
                self.all_heard().then(|| self.try_to_form())
            }
            (Stage::Attempts, Message::Attempt) => self.all_heard().then(|| self.form()),
            (Stage::States | Stage::Attempts | Stage::TooMany, _) => None,
        }
        .unwrap_or_default()
    }

    fn all_heard(&self) -> bool {
        self.peers.iter().all(|peer| peer.heard == Heard::Yes)
    }

    fn view(&self) -> Vec<NodeId> {
        self.peers.iter().map(|peer| peer.id).collect()
    }

    fn try_to_form(&mut self) -> Vec<Effect<Message>> {
        for peer in &mut self.peers {
            peer.heard = Heard::No;
        }
        self.stage = Stage::Attempts;
        let view = self.view();
        if !may_act(&view, &self.peers) {
            return Vec::new();
        }
        let highest = self.peers.iter().map(|peer| peer.state.session_id).max();
        self.mine.session_id = highest.unwrap_or(0).max(0).saturating_add(1);
        // C leaves its number at zero, and writes beyond the list when that is full.
        if self.mine.ambiguous.len() < MEMBERS_MAX {
            let (members, id) = (view, 0);
            self.mine.ambiguous.push(Session { members, id });
        }
        vec![Effect::Send(Message::Attempt)]
    }

    fn form(&mut self) -> Vec<Effect<Message>> {
        self.mine.last_primary = Session {
            members: self.view(),
            id: self.mine.session_id,
        };
        self.mine.ambiguous.clear();
        let text = "This processor is within the primary component.";
        vec![
            Effect::Log(Priority::Notice, text.to_owned()),
            Effect::Decide(Quorate::Yes),
        ]
    }
}

/// Whether a view holds half of the last primary component and of every ambiguous session that is newer (`compute`,
/// `decide`). What is newer is judged by the newest primary component among those that were looked at before.
fn may_act(view: &[NodeId], peers: &[Peer]) -> bool {
    let Some(first) = peers.first() else {
        return false;
    };
    let mut newest = &first.state.last_primary;
    let mut ambiguous = Vec::new();
    for Peer { state, .. } in peers {
        if state.last_primary.id > newest.id {
            newest = &state.last_primary;
        }
        let newer = |session: &&Session| session.id > newest.id;
        ambiguous.extend(state.ambiguous.iter().filter(newer));
    }
    holds_half(view, newest) && ambiguous.into_iter().all(|s| holds_half(view, s))
}

/// Half is enough, whichever (`subquorum`).
fn holds_half(view: &[NodeId], session: &Session) -> bool {
    let pairs = |id: &NodeId| {
        session
            .members
            .iter()
            .filter(|member| *member == id)
            .count()
    };
    let common: usize = view.iter().map(pairs).sum();
    2 * common >= session.members.len()
}

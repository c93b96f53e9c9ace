//! Dynamic linear voting: a membership may act when it holds a majority of the last one that could.
//!
//! [`corosync`] decides and speaks as C's provider `corosync_ykd` does, faults included: the members of a ring must
//! decide alike. [`linear`] is the provider `ferrosync_ykd`, which C does not have, without those faults
//! (`docs/deviations.md`, D-101 and D-102). Both are pure; [`Ykd`] connects them to the ring.

pub(crate) mod corosync;
pub(crate) mod linear;
#[cfg(test)]
mod tests;

use core::time::Duration;
use std::collections::{BTreeSet, VecDeque};

use ferrosync_totem::pg::Group;
use ferrosync_wire::linear::Memory;
use ferrosync_wire::{Decode, Encode, NodeId, Reader, exec};

use self::corosync::Corosync;
use self::linear::Linear;
use crate::config::{Config, YkdRule};
use crate::core::{Quorate, QuorumView};
use crate::icmap::Icmap;
use crate::log::{Priority, Subsystem};
use crate::output::{Keep, Kept};
use crate::service::{Ctx, SyncView};

/// The provider.
#[derive(Debug)]
pub(crate) struct Ykd {
    rule: Rule,
    /// What found no room on the ring yet.
    unsent: VecDeque<Vec<u8>>,
}

#[derive(Debug)]
enum Rule {
    Corosync(Corosync),
    Linear(Linear),
}

/// What a rule wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Effect<M> {
    /// To be on disk before anything that follows is sent.
    Keep(Memory),
    /// To all members.
    Send(M),
    /// The members may act, or not.
    Decide(Quorate),
    /// What a log should say.
    Log(Priority, String),
}

/// When the ring's queue may have room again.
const RETRY_INTERVAL: Duration = Duration::from_millis(10);

impl Ykd {
    /// The provider, where the configuration names it.
    pub(crate) fn from_config(config: &Config, kept: &Kept) -> Option<Self> {
        let rule = match config.quorum.ykd? {
            YkdRule::Corosync => Rule::Corosync(Corosync::new(config.me)),
            YkdRule::Linear => Rule::Linear(Linear::new(config.me, kept.linear.clone())),
        };
        let unsent = VecDeque::new();
        Some(Self { rule, unsent })
    }

    /// The value of `quorum.provider`.
    pub(crate) const fn name(&self) -> &'static str {
        match self.rule {
            Rule::Corosync(_) => "corosync_ykd",
            Rule::Linear(_) => "ferrosync_ykd",
        }
    }

    /// The timer by which [`Self::retry`] is called.
    pub(crate) const TIMER: u32 = 0;

    /// A new ring: whoever was quorate is not until the members have told what they remember.
    pub(crate) fn changed(&mut self, cx: &mut Ctx<'_>, view: &SyncView) {
        // What the last ring did not hear anymore, the new one need not hear.
        self.unsent.clear();
        match &mut self.rule {
            Rule::Corosync(rule) => {
                let effects = rule.changed(&view.members);
                self.carry_out(cx, effects);
            }
            Rule::Linear(rule) => {
                let listed = listed(cx.icmap());
                let effects = rule.changed(view.ring, &view.members, listed);
                self.carry_out(cx, effects);
            }
        }
    }

    /// A message to one of the providers' groups. What cannot be read is no message.
    pub(crate) fn deliver(&mut self, cx: &mut Ctx<'_>, group: Group, from: NodeId, body: &[u8]) {
        let mut reader = Reader::new(body);
        match (&mut self.rule, group) {
            (Rule::Corosync(rule), Group::Ykd) => {
                if let Ok(message) = exec::ykd::Message::decode(&mut reader) {
                    let effects = rule.deliver(from, message);
                    self.carry_out(cx, effects);
                }
            }
            (Rule::Linear(rule), Group::FerrosyncYkd) => {
                if let Ok(message) = ferrosync_wire::linear::Message::decode(&mut reader) {
                    let effects = rule.deliver(from, message);
                    self.carry_out(cx, effects);
                }
            }
            (Rule::Corosync(_) | Rule::Linear(_), _) => {}
        }
    }

    /// Sends what found no room.
    pub(crate) fn retry(&mut self, cx: &mut Ctx<'_>) {
        let group = match self.rule {
            Rule::Corosync(_) => Group::Ykd,
            Rule::Linear(_) => Group::FerrosyncYkd,
        };
        while let Some(message) = self.unsent.pop_front() {
            if cx.mcast_to(group, &message).is_err() {
                self.unsent.push_front(message);
                cx.set_timer(Self::TIMER, cx.now() + RETRY_INTERVAL);
                return;
            }
        }
    }

    fn carry_out(&mut self, cx: &mut Ctx<'_>, effects: Vec<Effect<impl Encode>>) {
        for effect in effects {
            match effect {
                Effect::Keep(memory) => cx.keep(Keep::Linear(memory)),
                Effect::Send(message) => self.unsent.push_back(message.to_vec()),
                Effect::Decide(quorate) => cx.publish_quorum(QuorumView {
                    quorate,
                    members: cx.members().to_vec(),
                    ring: cx.ring(),
                }),
                Effect::Log(priority, text) => cx.log(Subsystem::Ykd, priority, text),
            }
        }
        self.retry(cx);
    }
}

/// The nodelist as the last start or reload left it.
fn listed(map: &Icmap) -> BTreeSet<NodeId> {
    let keys = map.iter("nodelist.node.").map(|(key, _)| key.as_str());
    let ids = keys.filter(|key| key.ends_with(".nodeid"));
    ids.filter_map(|key| map.get_u32(key).ok().map(NodeId))
        .collect()
}

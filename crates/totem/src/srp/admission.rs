//! Whom an installed ring is left for: a stranger with whom all members can form the next one.
//!
//! C gathers with every stranger that any member hears. When another member does not hear that stranger, the gathering
//! fails when consensus takes too long, and begins again with the stranger's next sign of life: the ring is never at
//! rest (D-52).

use std::collections::BTreeMap;

use ferrosync_wire::totem::NODES_MAX;
use ferrosync_wire::{Instant, NodeId};

use super::membership::NodeSet;
use super::output::Output;
use super::state::{GatherReason, MembStateKind};
use super::{Srp, SrpConfig};

/// Strangers and what became of them.
#[derive(Debug, Default)]
pub(super) struct Admission {
    rule: Rule,
    /// Everybody who was considered since the last ring was installed.
    considered: NodeSet,
    refused: BTreeMap<NodeId, Refusal>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Rule {
    /// Whoever is heard is gathered with, as in C.
    #[default]
    Anybody,
    /// Strangers are reported, and the layer above admits them.
    WhoIsAdmitted,
}

/// A stranger with whom gathering failed.
#[derive(Clone, Copy, Debug)]
struct Refusal {
    times: u32,
    until: Instant,
}

/// What was heard of a stranger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    /// A join: it gathers.
    OfGathering,
    /// It is on another ring.
    OfRing,
}

impl Admission {
    /// A gathering considered these.
    pub(super) fn consider(&mut self, nodes: &NodeSet) {
        self.considered.merge(nodes);
    }

    /// A ring of `members` is installed; with those who are not in it and were not in the ring before either
    /// gathering has failed. `gone` said goodbye.
    pub(super) fn installed(
        &mut self,
        now: Instant,
        config: &SrpConfig,
        [old, members, gone]: [&NodeSet; 3],
    ) {
        self.rule = Rule::Anybody;
        self.refused.retain(|node, _| !members.contains(*node));
        let considered = std::mem::take(&mut self.considered);
        for stranger in considered.minus(old).minus(members).minus(gone).iter() {
            self.refuse(now, config, stranger);
        }
    }

    fn refuse(&mut self, now: Instant, config: &SrpConfig, stranger: NodeId) {
        if self.refused.len() >= NODES_MAX && !self.refused.contains_key(&stranger) {
            return;
        }
        let entry = self.refused.entry(stranger).or_insert(Refusal {
            times: 0,
            until: now,
        });
        entry.until = now + config.token * 2u32.pow(entry.times);
        entry.times = (entry.times + 1).min(DOUBLINGS_MAX);
    }

    fn is_refused(&self, now: Instant, stranger: NodeId) -> bool {
        self.refused
            .get(&stranger)
            .is_some_and(|refusal| now < refusal.until)
    }
}

impl Srp {
    /// From now on, until the next ring, strangers are reported by [`Output::Stranger`] and gathered with only after
    /// [`Self::admit`].
    pub fn admit_only(&mut self) {
        self.admission.rule = Rule::WhoIsAdmitted;
    }

    /// All members hear this stranger: time to gather with it.
    pub fn admit(&mut self, now: Instant, stranger: NodeId) {
        let fits = self.state.kind() == MembStateKind::Operational;
        if fits && !self.members.contains(stranger) {
            self.proposal.proc.insert(stranger);
            self.gather_enter(now, GatherReason::MergeInOperational);
        }
    }

    /// A sign of life on an installed ring. Whether to gather with who gave it.
    pub(super) fn lets_in(&mut self, now: Instant, node: NodeId, sign: Sign) -> bool {
        if self.members.contains(node) {
            return true;
        }
        // Who gathers is not refused: two that refuse each other would take turns for ever.
        if sign == Sign::OfRing && self.admission.is_refused(now, node) {
            self.stats.rx_msg_dropped += 1;
            return false;
        }
        if self.admission.rule == Rule::WhoIsAdmitted {
            self.push(Output::Stranger(node));
            return false;
        }
        true
    }
}

/// How often the time of a refusal doubles, from one token timeout on.
const DOUBLINGS_MAX: u32 = 2;

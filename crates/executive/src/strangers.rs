//! Nodes outside the ring: they are let in when all members hear them (D-52).
//!
//! Each member that hears a stranger tells the others; the reports are ordered like all messages. When all members have
//! reported the same stranger lately, everybody gathers with it at once.

use std::collections::BTreeMap;

use ferrosync_totem::pg::Group;
use ferrosync_totem::srp::Guarantee;
use ferrosync_wire::capability::{Notice, StrangerReport};
use ferrosync_wire::totem::NODES_MAX;
use ferrosync_wire::{Duration, Encode, Instant, NodeId};

use crate::node::Node;

/// Who outside the ring was reported by which member, and when.
#[derive(Debug, Default)]
pub(crate) struct Strangers(BTreeMap<NodeId, BTreeMap<NodeId, Instant>>);

impl Strangers {
    /// Whether this member said so already.
    fn is_told(&self, now: Instant, stranger: NodeId, member: NodeId) -> bool {
        let told = self.0.get(&stranger).and_then(|by| by.get(&member));
        told.is_some_and(|at| now.since(*at) < REPEAT)
    }

    fn tell(&mut self, now: Instant, stranger: NodeId, member: NodeId) {
        if self.0.len() < NODES_MAX || self.0.contains_key(&stranger) {
            self.0.entry(stranger).or_default().insert(member, now);
        }
    }

    fn is_heard_by_all(&self, now: Instant, stranger: NodeId, members: &[NodeId]) -> bool {
        let Some(by) = self.0.get(&stranger) else {
            return false;
        };
        let lately = |member| by.get(member).is_some_and(|at| now.since(*at) < VALID);
        members.iter().all(lately)
    }
}

impl Node {
    /// This node hears somebody outside the ring.
    pub(crate) fn on_stranger(&mut self, stranger: NodeId) {
        let core = &mut self.core;
        let me = core.me;
        if core.strangers.is_told(core.now, stranger, me) {
            return;
        }
        let report = Notice::Stranger(StrangerReport {
            ring: core.ring,
            stranger,
        });
        let bytes = report.to_vec();
        let parts = [bytes.as_slice()];
        // When the queue is full, the stranger's next sign of life is reported.
        let sent = core
            .pg
            .mcast(core.now, Group::Ferrosync, Guarantee::Agreed, &parts);
        if sent.is_ok() {
            core.strangers.tell(core.now, stranger, me);
        }
    }

    /// A member hears somebody outside the ring.
    pub(crate) fn on_report(&mut self, member: NodeId, stranger: NodeId) {
        let core = &mut self.core;
        if core.members.contains(&stranger) {
            return;
        }
        core.strangers.tell(core.now, stranger, member);
        if core
            .strangers
            .is_heard_by_all(core.now, stranger, &core.members)
        {
            let now = core.now;
            core.pg.srp_mut().admit(now, stranger);
        }
    }
}

/// A member repeats its report after this time at the earliest.
const REPEAT: Duration = Duration::from_millis(500);
/// How long a report holds: longer than the pause between two signs of life of any ring (`totem.merge`, 200 ms) and
/// [`REPEAT`] together.
const VALID: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    const MEMBERS: [NodeId; 2] = [NodeId(1), NodeId(3)];

    fn at(ms: u64) -> Instant {
        Instant::default() + Duration::from_millis(ms)
    }

    #[test]
    fn all_members_must_hear_a_stranger_lately() {
        let mut strangers = Strangers::default();
        let heard = |s: &Strangers, ms| s.is_heard_by_all(at(ms), NodeId(2), &MEMBERS);
        assert!(!heard(&strangers, 0));
        strangers.tell(at(0), NodeId(2), NodeId(3));
        assert!(!heard(&strangers, 0), "node 1 does not hear it");
        strangers.tell(at(1_000), NodeId(2), NodeId(1));
        assert!(heard(&strangers, 1_000));
        assert!(!heard(&strangers, 2_000), "node 3 does not any more");
    }
}

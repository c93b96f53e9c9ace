//! Synchronisation of services after a membership change (corosync `exec/sync.c`, v3.1.7).
//!
//! All members first tell which services they have; then, one service of the union after the other, each member
//! sends what its peers must know and a barrier behind it. As everything is totally ordered, all barriers of a
//! service mean that everybody has everything of it.

use std::collections::BTreeSet;

use ferrosync_totem::srp::NodeSet;
use ferrosync_wire::exec::sync::Message;
use ferrosync_wire::{NodeId, RingId, ServiceId};

use crate::service::SyncView;

/// Where synchronisation stands.
#[derive(Debug)]
pub(crate) struct Sync {
    /// The services of this node that take part.
    mine: BTreeSet<u32>,
    /// Who came along, from the transitional change.
    trans: Vec<NodeId>,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// Nothing to do.
    Idle,
    /// A transitional change came; its regular one is next.
    Announced,
    /// Waiting for everybody's list of services.
    Building(Round),
    /// One service of the union after the other.
    Processing(Round),
}

#[derive(Debug)]
struct Round {
    view: SyncView,
    /// The union of all members' services, in the order in which they synchronise.
    services: BTreeSet<u32>,
    /// Those that are done.
    current: Option<u32>,
    heard: NodeSet,
    barrier: Barrier,
}

/// Whether this node has sent its barrier for the current service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Barrier {
    Owed,
    Sent,
}

/// What the node has to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Wait.
    Nothing,
    /// Ask for the next token and then call [`Sync::token_passed`].
    WantToken,
    /// Activate this service, then ask for the next token.
    Activate(ServiceId),
    /// Activate this service; everything is synchronised.
    Finish(ServiceId),
    /// Everything is synchronised, no service took part.
    Complete,
}

impl Sync {
    pub(crate) const fn new(mine: BTreeSet<u32>) -> Self {
        Self {
            mine,
            trans: Vec::new(),
            stage: Stage::Idle,
        }
    }

    /// Whether services are being synchronised or about to be.
    pub(crate) const fn in_progress(&self) -> bool {
        !matches!(self.stage, Stage::Idle)
    }

    /// The service whose turn it is while it is being processed; it must be told when that is aborted.
    pub(crate) fn aborts(&self) -> Option<ServiceId> {
        match &self.stage {
            Stage::Processing(round) => round.current.and_then(|s| self.own(s)),
            Stage::Idle | Stage::Announced | Stage::Building(_) => None,
        }
    }

    /// A transitional change: who comes along.
    pub(crate) fn announce(&mut self, trans: Vec<NodeId>) {
        self.trans = trans;
        self.stage = Stage::Announced;
    }

    /// A regular change: returns the view for the services and the message to be sent to the sync group.
    pub(crate) fn begin(&mut self, members: Vec<NodeId>, ring: RingId) -> (SyncView, Message) {
        let trans = std::mem::take(&mut self.trans);
        let view = SyncView {
            trans: trans.into_iter().filter(|n| members.contains(n)).collect(),
            members,
            ring,
        };
        let services = self.mine.iter().copied().collect();
        self.stage = Stage::Building(Round {
            view: view.clone(),
            services: self.mine.clone(),
            current: None,
            heard: NodeSet::EMPTY,
            barrier: Barrier::Owed,
        });
        (view, Message::ServiceBuild { ring, services })
    }

    /// A message to the sync group; those of other rings are ignored.
    pub(crate) fn message(&mut self, from: NodeId, message: &Message) -> Step {
        match (message, &mut self.stage) {
            (Message::ServiceBuild { ring, services }, Stage::Building(round))
                if *ring == round.view.ring =>
            {
                round.services.extend(services);
                round.heard.insert(from);
                if round.all_heard() {
                    return self.next_service();
                }
                Step::Nothing
            }
            (Message::Barrier { ring }, Stage::Processing(round)) if *ring == round.view.ring => {
                round.heard.insert(from);
                if round.all_heard() {
                    return self.barrier_complete();
                }
                Step::Nothing
            }
            (Message::ServiceBuild { .. } | Message::Barrier { .. }, _) => Step::Nothing,
        }
    }

    /// The service to be processed at this token, if its barrier is still owed. `None` inside for a service that
    /// only other members have: they wait for our barrier all the same.
    pub(crate) fn token_passed(&self) -> Option<Option<ServiceId>> {
        match &self.stage {
            Stage::Processing(round) if round.barrier == Barrier::Owed => {
                Some(round.current.and_then(|s| self.own(s)))
            }
            Stage::Processing(_) | Stage::Idle | Stage::Announced | Stage::Building(_) => None,
        }
    }

    /// This node has sent all for the current service: the barrier to be sent behind it.
    pub(crate) fn barrier(&mut self) -> Option<Message> {
        match &mut self.stage {
            Stage::Processing(round) => {
                round.barrier = Barrier::Sent;
                Some(Message::Barrier {
                    ring: round.view.ring,
                })
            }
            Stage::Idle | Stage::Announced | Stage::Building(_) => None,
        }
    }

    fn own(&self, service: u32) -> Option<ServiceId> {
        let id = u16::try_from(service).ok()?;
        self.mine.contains(&service).then_some(ServiceId(id))
    }

    /// All barriers of the current service are in.
    fn barrier_complete(&mut self) -> Step {
        let done = match &self.stage {
            Stage::Processing(round) => round.current.and_then(|s| self.own(s)),
            Stage::Idle | Stage::Announced | Stage::Building(_) => None,
        };
        match (self.next_service(), done) {
            (Step::WantToken, Some(service)) => Step::Activate(service),
            (Step::Complete, Some(service)) => Step::Finish(service),
            (step, _) => step,
        }
    }

    /// Turns to the next service of the union, or ends.
    fn next_service(&mut self) -> Step {
        let stage = std::mem::replace(&mut self.stage, Stage::Idle);
        let (Stage::Building(mut round) | Stage::Processing(mut round)) = stage else {
            return Step::Nothing;
        };
        let next = match round.current {
            None => round.services.first().copied(),
            Some(s) => round.services.range(s.saturating_add(1)..).next().copied(),
        };
        let Some(next) = next.filter(|n| Some(*n) != round.current) else {
            return Step::Complete;
        };
        round.current = Some(next);
        round.heard = NodeSet::EMPTY;
        round.barrier = Barrier::Owed;
        self.stage = Stage::Processing(round);
        Step::WantToken
    }
}

impl Round {
    fn all_heard(&self) -> bool {
        self.view.members.iter().all(|n| self.heard.contains(*n))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferrosync_wire::RingSeq;

    const RING: RingId = RingId {
        rep: NodeId(1),
        seq: RingSeq(8),
    };

    fn begun(mine: &[u32]) -> Sync {
        let mut sync = Sync::new(mine.iter().copied().collect());
        sync.announce(vec![NodeId(1)]);
        sync.begin(vec![NodeId(1), NodeId(2)], RING);
        sync
    }

    fn build(services: &[u32]) -> Message {
        Message::ServiceBuild {
            ring: RING,
            services: services.to_vec(),
        }
    }

    #[test]
    fn the_union_is_walked_in_order_with_a_barrier_each() {
        let mut sync = begun(&[0, 2]);
        assert_eq!(sync.message(NodeId(1), &build(&[0, 2])), Step::Nothing);
        assert_eq!(sync.message(NodeId(2), &build(&[0, 5])), Step::WantToken);
        let barrier = Message::Barrier { ring: RING };
        for (own, step) in [
            (Some(ServiceId(0)), Step::Activate(ServiceId(0))),
            (Some(ServiceId(2)), Step::Activate(ServiceId(2))),
            (None, Step::Complete),
        ] {
            assert_eq!(sync.token_passed(), Some(own));
            assert_eq!(sync.barrier(), Some(barrier.clone()));
            assert_eq!(sync.token_passed(), None);
            assert_eq!(sync.message(NodeId(2), &barrier), Step::Nothing);
            assert_eq!(sync.message(NodeId(1), &barrier), step);
        }
        assert!(!sync.in_progress());
    }

    #[test]
    fn messages_of_another_ring_are_ignored() {
        let mut sync = begun(&[0]);
        let other = Message::ServiceBuild {
            ring: RingId::ZERO,
            services: vec![0],
        };
        assert_eq!(sync.message(NodeId(1), &other), Step::Nothing);
        assert_eq!(sync.message(NodeId(2), &other), Step::Nothing);
        assert_eq!(sync.token_passed(), None);
    }

    #[test]
    fn a_change_in_the_middle_starts_again() {
        let mut sync = begun(&[0, 2]);
        sync.message(NodeId(1), &build(&[0]));
        sync.message(NodeId(2), &build(&[0]));
        assert_eq!(sync.aborts(), Some(ServiceId(0)));
        sync.announce(vec![NodeId(1)]);
        assert!(sync.in_progress());
        assert_eq!(sync.aborts(), None);
        let (view, _) = sync.begin(vec![NodeId(1)], RING);
        assert_eq!(view.trans, vec![NodeId(1)]);
        assert_eq!(sync.message(NodeId(1), &build(&[0, 2])), Step::WantToken);
    }
}

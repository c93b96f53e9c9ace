//! GATHER: nodes tell one another whom they see until all that answer say the same.

use ferrosync_wire::totem::{Header, Join, MergeDetect};
use ferrosync_wire::{Instant, NodeId};

use super::admission::Sign;
use super::event::{CONTINUOUS_GATHER_MAX, SrpEvent};
use super::membership::NodeSet;
use super::output::{Output, RxOrder, Ways};
use super::state::{GatherReason, MembState, MembStateKind};
use super::{FailedToRecv, Srp, Timer};

/// What a join changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Merged {
    /// It told of something new: gathering starts again.
    New,
    /// It says what this node says.
    Same,
    /// It says nothing that this node did not know, or comes from a failed node.
    Nothing,
}

impl Srp {
    /// Starts to gather (corosync `totemsrp.c:memb_state_gather_enter`, v3.1.7).
    pub(super) fn gather_enter(&mut self, now: Instant, reason: GatherReason) {
        self.token.originated = super::token::Originated::No;
        self.proposal.proc.insert(self.me);
        self.join_send(now);
        self.arm(now, Timer::Join, self.config.join);
        self.arm(now, Timer::Consensus, self.config.consensus);
        for timer in [
            Timer::TokenRetransmit,
            Timer::Token,
            Timer::TokenWarning,
            Timer::Merge,
            Timer::Hold,
            Timer::Heartbeat,
        ] {
            self.timers.cancel(timer);
        }
        self.proposal.restart(self.me);
        self.stats.gather_entered += 1;
        if reason == GatherReason::ConsensusTimeoutExpired {
            self.stats.continuous_gather += 1;
            if self.stats.continuous_gather > CONTINUOUS_GATHER_MAX {
                self.event(SrpEvent::CannotForm);
            }
        }
        self.set_state(MembState::Gather, Some(reason));
    }

    /// Sends a join, after a random delay where `send_join` asks for one: C sleeps, we set a timer (D-11).
    fn join_send(&mut self, now: Instant) {
        let bound = u64::try_from(self.config.send_join.as_nanos()).unwrap_or(u64::MAX);
        if bound == 0 {
            self.join_send_now(now);
        } else {
            let delay = ferrosync_wire::Duration::from_nanos(self.rng.below(bound));
            self.arm(now, Timer::SendJoin, delay);
        }
    }

    pub(super) fn join_send_now(&mut self, now: Instant) {
        let frame = self.join_frame();
        self.stats.memb_join_tx += 1;
        self.send_to_all(now, frame, Ways::All);
    }

    pub(super) fn join_again(&mut self, now: Instant) {
        match self.state.kind() {
            MembStateKind::Gather | MembStateKind::Commit => {
                self.join_send(now);
                self.arm(now, Timer::Join, self.config.join);
            }
            MembStateKind::Operational | MembStateKind::Recovery => {}
        }
    }

    /// Says goodbye: one frame, not repeated.
    pub(super) fn leave_send(&mut self) {
        let frame = self.leave_frame();
        self.stats.memb_join_tx += 1;
        self.transmit(super::Destination::Ring, frame.into(), Ways::All);
    }

    /// Consensus took too long: who agrees waits for the representative, who is silent is failed (corosync
    /// `totemsrp.c:memb_state_consensus_timeout_expired`, v3.1.7).
    pub(super) fn consensus_expired(&mut self, now: Instant) {
        if self.state.kind() != MembStateKind::Gather {
            return;
        }
        if self.proposal.is_agreed() {
            self.proposal.restart(self.me);
            self.arm_token(now);
            return;
        }
        let silent = self.proposal.silent();
        self.stats.consensus_timeouts += 1;
        self.event(SrpEvent::Silent(silent.as_slice().to_vec()));
        self.proposal.failed.merge(&silent);
        self.gather_enter(now, GatherReason::ConsensusTimeout);
    }

    pub(super) fn on_join(&mut self, now: Instant, header: &Header, join: &Join, order: RxOrder) {
        if let Some(pause) = self.take_pause(now) {
            self.event(SrpEvent::Paused(pause));
            self.push(Output::DiscardReceived);
            self.stats.rx_msg_dropped += 1;
            return;
        }
        if join.ring_seq >= super::RING_SEQ_LIMIT {
            self.stats.rx_msg_dropped += 1;
            return;
        }
        // Even from joins that are ignored otherwise: the next ring's number must exceed everybody's.
        self.highest_ring_seq = self.highest_ring_seq.max(join.ring_seq);
        let sender = join.system_from;
        match &self.state {
            MembState::Operational => {
                if !self.is_stale_join(join) && self.lets_in(now, sender, Sign::OfGathering) {
                    self.join_process(now, header, join, order);
                }
            }
            MembState::Gather => self.join_process(now, header, join, order),
            MembState::Commit(commit) => {
                if commit.members.contains(sender) && join.ring_seq >= self.ring.seq {
                    self.join_merge_only(header, join, order);
                    self.gather_enter(now, GatherReason::JoinInCommit);
                }
            }
            MembState::Recovery(recovery) => {
                if recovery.members.contains(sender) && join.ring_seq >= self.ring.seq {
                    self.join_merge_only(header, join, order);
                    self.gather_enter(now, GatherReason::JoinInRecovery);
                }
            }
        }
    }

    /// Joins that a node on an installed ring does not react to (corosync
    /// `totemsrp.c:ignore_join_under_operational`, v3.1.7).
    fn is_stale_join(&self, join: &Join) -> bool {
        join.failed_list.contains(&self.me)
            || (self.members.contains(join.system_from) && join.ring_seq < self.ring.seq)
    }

    fn join_process(&mut self, now: Instant, header: &Header, join: &Join, order: RxOrder) {
        if self.discarded_in_flush(header, join, order) {
            return;
        }
        self.remember_leaver(header, join);
        match self.join_merge(header, join) {
            Merged::New => self.gather_enter(now, GatherReason::MergeDuringJoin),
            Merged::Same if self.try_commit(now) => {}
            Merged::Same | Merged::Nothing => {
                if self.state.kind() == MembStateKind::Operational {
                    self.gather_enter(now, GatherReason::JoinInOperational);
                }
            }
        }
    }

    /// In COMMIT and RECOVERY a join only adds to what is known; gathering starts again whatever it says
    /// (D-12).
    fn join_merge_only(&mut self, header: &Header, join: &Join, order: RxOrder) {
        if self.discarded_in_flush(header, join, order) {
            return;
        }
        self.remember_leaver(header, join);
        self.join_merge(header, join);
    }

    /// A join that waits together with a token was sent before it: the ring has moved on.
    fn discarded_in_flush(&mut self, header: &Header, join: &Join, order: RxOrder) -> bool {
        if order == RxOrder::Arrival {
            return false;
        }
        self.stats.rx_msg_dropped += 1;
        let event = match leaver(header, join) {
            Some(node) => {
                self.leavers.insert(node);
                SrpEvent::LeaveDiscardedInFlush(node)
            }
            None => SrpEvent::JoinDiscardedInFlush(header.nodeid),
        };
        self.event(event);
        true
    }

    fn remember_leaver(&mut self, header: &Header, join: &Join) {
        if let Some(node) = leaver(header, join) {
            self.leavers.insert(node);
            self.event(SrpEvent::LeaveReceived(node));
        }
    }

    /// Takes in what a join says (corosync `totemsrp.c:memb_join_process`, v3.1.7).
    fn join_merge(&mut self, header: &Header, join: &Join) -> Merged {
        let sender = join.system_from;
        let proc: NodeSet = join.proc_list.iter().copied().collect();
        self.proposal.hear(sender, join.ring_seq);
        let failed: NodeSet = join.failed_list.iter().copied().collect();
        if proc == self.proposal.proc && failed == self.proposal.failed {
            if header.nodeid != LEAVE_NODEID {
                self.proposal.agreeing.insert(sender);
            }
            return Merged::Same;
        }
        let known = proc.is_subset(&self.proposal.proc) && failed.is_subset(&self.proposal.failed);
        // What this node itself said earlier is news to nobody. C believes even the goodbye of its own former life,
        // fails itself and is never part of a ring again.
        let stale = sender == self.me;
        let fails_me = failed.contains(self.me);
        let alone = self.members.len() == 1;
        // Two that are alone would fail each other for what the other was a ring ago, at the speed of the network.
        let overtaken = alone && fails_me && join.ring_seq < self.ring.seq;
        if known || stale || overtaken {
            return Merged::Nothing;
        }
        let mut merged = Merged::Nothing;
        if self.proposal.failed.contains(sender) {
            if fails_me || !alone || !self.proposal.has_moved_on(sender, join.ring_seq) {
                return Merged::Nothing;
            }
            self.proposal.forgive(sender);
            merged = Merged::New;
        }
        let before = (self.proposal.proc.len(), self.proposal.failed.len());
        self.proposal.proc.merge(&proc);
        // Only nodes that are considered can be failed: were there others in the list, it could be full when one of
        // these has to go in, and the gathering would never end.
        let failed = if fails_me {
            // Who fails us is failed by us: the two sides form rings of their own.
            NodeSet::single(sender)
        } else if self.members.contains(sender) {
            failed
        } else {
            NodeSet::EMPTY
        };
        let considered = failed
            .iter()
            .filter(|node| self.proposal.proc.contains(*node));
        self.proposal.failed.merge(&considered.collect());
        // The list of a stranger is not believed: it knows less about this ring than its members do. C starts to
        // gather again even so, and two strangers who differ answer each other at the speed of the network, their
        // consensus timers never running out (`docs/deviations.md`, D-20).
        if before == (self.proposal.proc.len(), self.proposal.failed.len()) {
            merged
        } else {
            Merged::New
        }
    }

    /// Creates the commit token when all agree and it is this node's turn to.
    fn try_commit(&mut self, now: Instant) -> bool {
        // Who fails itself goes its own way even if it has failed everybody else since.
        let fails_itself = self.failed_to_recv == FailedToRecv::Yes;
        let deserted = fails_itself && self.proposal.candidates().is_empty();
        if !self.proposal.is_agreed() && !deserted {
            return false;
        }
        if fails_itself {
            self.failed_to_recv = FailedToRecv::No;
            self.proposal.proc = NodeSet::single(self.me);
            self.proposal.failed = NodeSet::EMPTY;
        } else if !self.proposal.is_represented_by(self.me) {
            return false;
        }
        self.commit_create(now);
        true
    }

    pub(super) fn on_merge_detect(&mut self, now: Instant, m: &MergeDetect) {
        if m.ring != self.ring {
            self.foreign(
                now,
                m.system_from,
                GatherReason::MergeInOperational,
                GatherReason::MergeInGather,
            );
        }
    }

    /// A message of another ring: its sender is considered for the next one.
    pub(super) fn foreign(
        &mut self,
        now: Instant,
        from: NodeId,
        in_operational: GatherReason,
        in_gather: GatherReason,
    ) {
        match self.state.kind() {
            MembStateKind::Operational if self.lets_in(now, from, Sign::OfRing) => {
                self.proposal.proc.insert(from);
                self.gather_enter(now, in_operational);
            }
            MembStateKind::Operational => {}
            MembStateKind::Gather => {
                if !self.proposal.proc.contains(from) {
                    self.proposal.proc.insert(from);
                    self.gather_enter(now, in_gather);
                }
            }
            MembStateKind::Commit | MembStateKind::Recovery => self.stats.rx_msg_dropped += 1,
        }
    }
}

/// Header node id of a leave.
const LEAVE_NODEID: NodeId = NodeId(0);

/// Who says goodbye with this join, if it is a leave.
fn leaver(header: &Header, join: &Join) -> Option<NodeId> {
    (header.nodeid == LEAVE_NODEID)
        .then(|| join.failed_list.last().copied())
        .flatten()
}

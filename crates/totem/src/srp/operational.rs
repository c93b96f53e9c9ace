//! OPERATIONAL: installing a ring, and delivering its messages in order.

use ferrosync_wire::totem::{ENCAPSULATED, FRAME_MAX, Header, Mcast};
use ferrosync_wire::{Instant, NodeId, RingId};

use bytes::Bytes;

use super::event::SrpEvent;
use super::membership::NodeSet;
use super::output::{ConfChg, ConfChgKind, Delivered, Output, Ways};
use super::recovery::{Recovery, is_encapsulated};
use super::sort_queue::Stored;
use super::state::{GatherReason, MembState, MembStateKind};
use super::{Lane, Seq, Srp, Timer};

impl Srp {
    /// Installs the ring that was recovered. The order of the steps is what extended virtual synchrony means
    /// (corosync `totemsrp.c:memb_state_operational_enter`, v3.1.7).
    pub(super) fn operational_enter(&mut self, now: Instant) {
        let MembState::Recovery(recovery) =
            std::mem::replace(&mut self.state, MembState::Operational)
        else {
            unreachable!("only a recovered ring is installed");
        };
        self.recovered_to_regular(&recovery);
        self.deliver_without_gaps();

        let left = self.members.minus(&recovery.trans);
        let joined = recovery.members.minus(&recovery.trans);
        self.push(Output::ConfChg(ConfChg {
            kind: ConfChgKind::Transitional,
            ring: self.ring,
            members: recovery.trans.as_slice().to_vec(),
            left: left.as_slice().to_vec(),
            joined: Vec::new(),
        }));
        self.lane = Lane::Transitional;
        self.deliver_across_gaps(&recovery.trans);
        self.push(Output::ConfChg(ConfChg {
            kind: ConfChgKind::Regular,
            ring: self.ring,
            members: recovery.ordered.clone(),
            left: Vec::new(),
            joined: joined.as_slice().to_vec(),
        }));
        self.install(*recovery, now);
        self.tell_formed(&joined, &left);
    }

    /// The new ring's queue becomes the one that messages are delivered from; numbering goes on.
    fn install(&mut self, recovery: Recovery, now: Instant) {
        let old_seq = self.regular_ring.seq;
        assert!(self.ring.seq > old_seq, "ring sequence numbers increase");
        self.delivered = end_of_recovered(&recovery);
        let old = std::mem::replace(&mut self.members, recovery.members);
        let sets = [&old, &self.members, &self.leavers];
        self.admission.installed(now, &self.config, sets);
        self.regular = recovery.queue;
        self.regular.release_to(self.delivered);
        self.last_released = self.delivered;
        self.regular_ring = self.ring;
        self.token.last_aru = Seq::START;
        self.proposal.begin_with(self.members.clone());
        self.proposal.agreeing = NodeSet::EMPTY;
        self.stats.operational_entered += 1;
        self.stats.continuous_gather = 0;
        self.pause_stamp = now;
        self.arm(now, Timer::Pause, self.pause_interval());
    }

    fn tell_formed(&mut self, joined: &NodeSet, left: &NodeSet) {
        let failed = left.minus(&self.leavers);
        self.leavers = NodeSet::EMPTY;
        self.event(SrpEvent::State {
            from: MembStateKind::Recovery,
            to: MembStateKind::Operational,
            ring: self.ring,
            reason: None,
        });
        self.event(SrpEvent::Formed {
            ring: self.ring,
            joined: joined.as_slice().to_vec(),
            left: left.as_slice().to_vec(),
            failed: failed.as_slice().to_vec(),
        });
    }

    pub(super) fn on_mcast(&mut self, now: Instant, header: &Header, mcast: &Mcast, frame: &Bytes) {
        if mcast.ring != self.ring {
            let (operational, gather) = (
                GatherReason::ForeignMessageInOperational,
                GatherReason::ForeignMessageInGather,
            );
            return self.foreign(now, mcast.system_from, operational, gather);
        }
        let encapsulated = header.encapsulated == ENCAPSULATED;
        if let Some(visit) = &mut self.token.visit {
            visit.see(mcast.system_from, Seq(mcast.seq));
        }
        if !encapsulated && frame.len() > WRAPPABLE_MAX {
            self.stats.rx_msg_dropped += 1;
            return;
        }
        match self.state.kind() {
            MembStateKind::Recovery => self.store_in_recovery(Seq(mcast.seq), frame),
            MembStateKind::Operational if !encapsulated => {
                self.store_regular(Seq(mcast.seq), frame);
                self.deliver_without_gaps();
            }
            // Until the commit the old ring's messages still count; then `ring` names the new one.
            MembStateKind::Gather if !encapsulated && self.ring == self.regular_ring => {
                self.store_regular(Seq(mcast.seq), frame);
            }
            MembStateKind::Operational | MembStateKind::Gather | MembStateKind::Commit => {
                self.stats.rx_msg_dropped += 1;
            }
        }
    }

    fn store_regular(&mut self, seq: Seq, frame: &Bytes) {
        match self.regular.store(seq, frame.clone()) {
            Stored::New | Stored::Duplicate => {}
            Stored::OutOfRange => self.stats.rx_msg_dropped += 1,
        }
    }

    /// Delivers in order up to the first hole.
    pub(super) fn deliver_without_gaps(&mut self) {
        while self.delivered != self.regular.high_seq() {
            let next = self.delivered.plus(1);
            let Some(frame) = self.regular.get(next) else {
                break;
            };
            let delivered = delivery(next, frame);
            self.delivered = next;
            self.push(Output::Deliver(delivered));
        }
    }

    /// Delivers the rest of the old ring: what nobody of the survivors has is skipped, and so is what comes
    /// from those who did not come along, as it may depend on a message that was lost with them.
    fn deliver_across_gaps(&mut self, survivors: &NodeSet) {
        while self.delivered != self.regular.high_seq() {
            self.delivered = self.delivered.plus(1);
            let Some(frame) = self.regular.get(self.delivered) else {
                continue;
            };
            if survivors.contains(system_from(frame)) {
                let delivered = delivery(self.delivered, frame);
                self.push(Output::Deliver(delivered));
            }
        }
    }

    /// Frees what every member has and this node has delivered (corosync `totemsrp.c:messages_free`, v3.1.7).
    pub(super) fn messages_free(&mut self, token_aru: Seq) {
        let release_to = token_aru.min(self.token.last_aru).min(self.delivered);
        if release_to.before(self.last_released) {
            return;
        }
        self.regular.release_to(release_to);
        self.last_released = release_to;
    }

    /// Announces this ring to nodes outside it; only the representative of an idle ring gets here.
    pub(super) fn merge_detect_send(&mut self) {
        if self.state.kind() != MembStateKind::Operational || !self.is_rep() {
            return;
        }
        let frame = self.merge_detect_frame();
        self.stats.memb_merge_detect_tx += 1;
        self.transmit(super::Destination::Ring, frame.into(), Ways::All);
    }

    pub(super) fn on_token_hold_cancel(&mut self, now: Instant, ring: RingId) {
        if ring != self.ring {
            return;
        }
        self.token.unchanged_visits = 0;
        if self.is_rep() {
            self.token_retransmit(now);
        }
    }
}

/// Last message of the new ring that belongs to recovery: what follows is for the application.
fn end_of_recovered(recovery: &Recovery) -> Seq {
    let mut end = Seq::START;
    let mut seq = Seq::START;
    while seq != recovery.queue.high_seq() {
        seq = seq.plus(1);
        match recovery.queue.get(seq) {
            Some(frame) if is_encapsulated(frame) => end = seq,
            Some(_) => break,
            None => {}
        }
    }
    end
}

/// A stored frame as the layer above sees it: the sender of the header, and what follows the mcast head.
fn delivery(seq: Seq, frame: &Bytes) -> Delivered {
    Delivered {
        seq,
        from: NodeId(word(frame, HEADER_NODEID)),
        payload: frame.slice(Mcast::LEN..),
    }
}

fn system_from(frame: &Bytes) -> NodeId {
    NodeId(word(frame, Header::LEN))
}

/// A field of a stored frame; only frames that parsed as an mcast are stored, so it is there.
fn word(frame: &Bytes, at: usize) -> u32 {
    let bytes = frame[at..at + 4].try_into();
    u32::from_le_bytes(bytes.expect("four bytes were sliced"))
}

/// The longest message that a later recovery can wrap in one of its own; no member sends a longer one.
const WRAPPABLE_MAX: usize = FRAME_MAX - Mcast::LEN;
/// Where a header says who sent the frame first.
const HEADER_NODEID: usize = 5;

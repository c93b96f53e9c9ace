//! RECOVERY: the new ring's first messages are those of the old ring that some survivor misses.

use std::collections::VecDeque;

use bytes::Bytes;
use ferrosync_wire::totem::{CommitToken, ENCAPSULATED, Mcast, Message, OrfToken};
use ferrosync_wire::{Instant, NodeId};

use super::membership::NodeSet;
use super::sort_queue::{SortQueue, Stored};
use super::state::{MembState, MembStateKind};
use super::{Seq, Srp, Timer};

/// Data of the recovery state.
#[derive(Debug)]
pub(crate) struct Recovery {
    /// Members of the new ring, in the order of the commit token.
    pub(crate) ordered: Vec<NodeId>,
    /// The same as a set.
    pub(crate) members: NodeSet,
    /// Those who come from this node's old ring.
    pub(crate) trans: NodeSet,
    /// The new ring's messages.
    pub(crate) queue: SortQueue,
    /// Frames of the old ring that this node still has to send.
    pub(crate) retrans: VecDeque<Bytes>,
    rules: RotationRules,
}

/// When the new ring may be installed: counted in token visits, so that every member decides in the same
/// rotation (corosync `totemsrp.c:message_handler_orf_token`, v3.1.7). A recovery that is aborted leaves nothing
/// behind (`docs/deviations.md`, D-05).
#[derive(Debug, Default)]
struct RotationRules {
    flag: RetransFlag,
    /// Visits in a row with the flag set although nobody sent anything, and the token's number at the last one.
    idle_visits: u32,
    idle_seq: Seq,
    /// Visits in a row that found nobody with old messages to send.
    quiet_visits: u32,
    install_seq: Seq,
    /// Visits in a row at which everybody had everything up to `install_seq`.
    complete_visits: u32,
}

/// Whether it was this node that set the token's retransmit flag.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum RetransFlag {
    #[default]
    NotMine,
    Mine,
}

/// What a token visit decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Install {
    NotYet,
    Now,
}

impl Srp {
    /// corosync `totemsrp.c:memb_state_recovery_enter` (v3.1.7).
    pub(super) fn recovery_enter(&mut self, now: Instant, token: CommitToken) {
        let members: NodeSet = token.addr.iter().copied().collect();
        let trans: NodeSet = token
            .addr
            .iter()
            .zip(&token.members)
            .filter(|(node, entry)| {
                self.members.contains(**node) && entry.ring == self.regular_ring
            })
            .map(|(node, _)| *node)
            .collect();
        let retrans = self.missing_of_survivors(&token, &trans);
        // All members have agreed, so what it took to agree is done with. C keeps the failed list until the ring is
        // installed: a node that is pulled back before carries it into the next round, where two halves that have
        // each other's lists fail each other for ever (`docs/deviations.md`, D-21).
        self.admission.consider(&self.proposal.proc);
        self.proposal.proc.clone_from(&members);
        self.proposal.failed = NodeSet::EMPTY;
        let recovery = Recovery {
            ordered: token.addr.clone(),
            members,
            trans,
            queue: SortQueue::new(),
            retrans,
            rules: RotationRules::default(),
        };
        self.token.reset_for_ring();
        self.commit_token_send(now, token);
        self.stats.recovery_entered += 1;
        self.set_state(MembState::Recovery(Box::new(recovery)), None);
        self.arm(now, Timer::TokenRetransmit, self.config.token_retransmit);
        self.arm_token(now);
    }

    /// Frames of the old ring that somebody coming along lacks and this node has. Everybody who has them sends
    /// them; duplicates are expected.
    fn missing_of_survivors(&self, token: &CommitToken, trans: &NodeSet) -> VecDeque<Bytes> {
        let entries = || {
            token
                .addr
                .iter()
                .zip(&token.members)
                .filter(|(node, _)| trans.contains(**node))
                .map(|(_, entry)| entry)
        };
        if entries().all(|entry| entry.received_flg != 0) {
            return VecDeque::new();
        }
        let low = entries()
            .map(|entry| Seq(entry.aru))
            .fold(self.regular.high_seq(), Seq::min);
        let range = self.regular.high_seq().distance_from(low);
        if range > super::sort_queue::WINDOW {
            // Nobody's aru can lag that far behind what we hold: the entry is not to be believed.
            return VecDeque::new();
        }
        (1..=range)
            .filter_map(|i| self.regular.get(low.plus(i)).cloned())
            .collect()
    }

    /// The rules of one token visit in RECOVERY, after this node sent and updated the aru.
    pub(super) fn recovery_visit(&mut self, token: &mut OrfToken) -> Install {
        let MembState::Recovery(recovery) = &mut self.state else {
            return Install::NotYet;
        };
        recovery.rules.visit(token, recovery.retrans.is_empty())
    }

    /// The representative that starts the token with the flag set also clears it.
    pub(super) fn mark_initial_flag(&mut self) {
        if let MembState::Recovery(recovery) = &mut self.state
            && !recovery.retrans.is_empty()
        {
            recovery.rules.flag = RetransFlag::Mine;
        }
    }

    /// The next frame of the old ring to be sent on the new one.
    pub(super) fn next_retrans(&mut self) -> Option<Bytes> {
        match &mut self.state {
            MembState::Recovery(recovery) => recovery.retrans.pop_front(),
            MembState::Operational | MembState::Gather | MembState::Commit(_) => None,
        }
    }

    /// Puts the frames that recovery brought into the old ring's queue, where they were missing.
    pub(super) fn recovered_to_regular(&mut self, recovery: &Recovery) {
        let mut seq = Seq::START;
        while seq != recovery.queue.aru() {
            seq = seq.plus(1);
            let Some(outer) = recovery.queue.get(seq) else {
                continue;
            };
            if !is_encapsulated(outer) {
                continue;
            }
            let inner = outer.slice(Mcast::LEN..);
            let Ok((_, Message::Mcast(mcast, _))) = Message::parse(&inner) else {
                self.stats.rx_msg_dropped += 1;
                continue;
            };
            if mcast.ring == self.regular_ring {
                self.regular.store(Seq(mcast.seq), inner);
            }
        }
    }

    /// A message of the ring being formed. What recovery sends is told from ordinary messages by its flag:
    /// a member that installed the ring a moment earlier may already send the latter (D-07).
    pub(super) fn store_in_recovery(&mut self, seq: Seq, frame: &Bytes) {
        if let MembState::Recovery(recovery) = &mut self.state {
            match recovery.queue.store(seq, frame.clone()) {
                Stored::New if is_encapsulated(frame) => recovery.sent_by_another(frame),
                Stored::New | Stored::Duplicate => {}
                Stored::OutOfRange => self.stats.rx_msg_dropped += 1,
            }
        }
    }

    /// The queue whose completeness the token carries: the new ring's in RECOVERY, else the installed one's.
    pub(super) const fn queue(&self) -> &SortQueue {
        match &self.state {
            MembState::Recovery(recovery) => &recovery.queue,
            MembState::Operational | MembState::Gather | MembState::Commit(_) => &self.regular,
        }
    }

    /// Members of the ring whose token goes round: the new ring in RECOVERY, else the installed one.
    pub(super) const fn ring_members(&self) -> &NodeSet {
        match &self.state {
            MembState::Recovery(recovery) => &recovery.members,
            MembState::Operational | MembState::Gather | MembState::Commit(_) => &self.members,
        }
    }

    pub(super) const fn queue_mut(&mut self) -> &mut SortQueue {
        match &mut self.state {
            MembState::Recovery(recovery) => &mut recovery.queue,
            MembState::Operational | MembState::Gather | MembState::Commit(_) => &mut self.regular,
        }
    }

    pub(super) fn retrans_backlog(&self) -> usize {
        match &self.state {
            MembState::Recovery(recovery) => recovery.retrans.len(),
            MembState::Operational | MembState::Gather | MembState::Commit(_) => 0,
        }
    }

    pub(super) fn is_recovering(&self) -> bool {
        self.state.kind() == MembStateKind::Recovery
    }
}

impl Recovery {
    /// What one survivor has sent, the others need not. C has every survivor send everything, and stands still for
    /// ever when that is more than the new ring's window holds (`docs/deviations.md`, D-22).
    fn sent_by_another(&mut self, outer: &Bytes) {
        let inner = &outer[Mcast::LEN..];
        let (Some(first), Some(seq)) =
            (self.retrans.front().and_then(|f| seq_of(f)), seq_of(inner))
        else {
            return;
        };
        let offset = seq.distance_from(first);
        let at = self
            .retrans
            .partition_point(|f| seq_of(f).is_some_and(|s| s.distance_from(first) < offset));
        if self.retrans.get(at).is_some_and(|frame| frame == inner) {
            self.retrans.remove(at);
        }
    }
}

/// The number of an mcast frame.
fn seq_of(frame: &[u8]) -> Option<Seq> {
    let bytes = frame.get(SEQ..SEQ + 4)?.try_into().ok()?;
    Some(Seq(u32::from_le_bytes(bytes)))
}

/// Where the number of an mcast frame starts.
const SEQ: usize = 17;

impl RotationRules {
    fn visit(&mut self, token: &mut OrfToken, nothing_to_send: bool) -> Install {
        let abandoned = self.is_abandoned(token);
        if nothing_to_send {
            if token.retrans_flg != 0 && (self.flag == RetransFlag::Mine || abandoned) {
                token.retrans_flg = 0;
                self.flag = RetransFlag::NotMine;
            }
        } else if token.retrans_flg == 0 {
            token.retrans_flg = 1;
            self.flag = RetransFlag::Mine;
        }
        if token.retrans_flg == 0 {
            self.quiet_visits += 1;
        } else {
            self.quiet_visits = 0;
        }
        if self.quiet_visits == 2 {
            self.install_seq = Seq(token.seq);
        }
        let all_have_it = self.install_seq.up_to(Seq(token.aru));
        if self.quiet_visits >= 3 && all_have_it {
            self.complete_visits += 1;
        } else {
            self.complete_visits = 0;
        }
        if self.complete_visits == 2 {
            Install::Now
        } else {
            Install::NotYet
        }
    }

    /// Whether the flag was set by nobody who is there to clear it. It does no harm to clear it by mistake: who has
    /// something to send sets it again in the same rotation.
    fn is_abandoned(&mut self, token: &OrfToken) -> bool {
        let idle = token.retrans_flg != 0 && self.idle_seq == Seq(token.seq);
        self.idle_seq = Seq(token.seq);
        self.idle_visits = if idle { self.idle_visits + 1 } else { 0 };
        self.idle_visits >= ABANDONED_VISITS
    }
}

/// Whether a stored frame wraps one of the old ring.
pub(super) fn is_encapsulated(frame: &[u8]) -> bool {
    frame.get(4) == Some(&ENCAPSULATED)
}

/// Rotations in which nobody sends anything although somebody says to have something; flow control never holds
/// everybody back for so long.
const ABANDONED_VISITS: u32 = 50;

//! COMMIT: the agreed membership goes round and collects what each member has of its old ring.

use ferrosync_wire::totem::{CommitMember, CommitToken};
use ferrosync_wire::{Instant, NodeId, RingId, RingSeq};

use super::membership::NodeSet;
use super::output::{Output, Ways};
use super::state::{Accepted, Commit, MembState, SentToken};
use super::{FlowControl, Srp, Timer};

impl Srp {
    /// This node represents the agreed membership: it starts the commit token (corosync
    /// `totemsrp.c:memb_state_commit_token_create`, v3.1.7).
    pub(super) fn commit_create(&mut self, now: Instant) {
        let members = self.proposal.candidates();
        let ring = RingId {
            rep: self.me,
            seq: RingSeq(self.highest_ring_seq.0.saturating_add(RING_SEQ_STEP)),
        };
        let token = CommitToken {
            token_seq: 0,
            ring,
            retrans_flg: 0,
            memb_index: 0,
            addr: members.as_slice().to_vec(),
            members: vec![EMPTY_ENTRY; members.len()],
        };
        self.commit_enter(now, Accepted { token, members });
    }

    pub(super) fn on_commit_token(&mut self, now: Instant, token: CommitToken) {
        match &self.state {
            MembState::Operational => {}
            MembState::Gather => {
                if let Some(accepted) = self.acceptable(token) {
                    self.commit_enter(now, accepted);
                }
            }
            MembState::Commit(commit) => {
                let is_ours = token.ring == self.ring && is_set(&token.addr, &commit.members);
                if is_ours && token.memb_index as usize == token.addr.len() {
                    self.recovery_enter(now, token);
                }
            }
            MembState::Recovery(_) => {
                if token.ring == self.ring && self.is_rep() {
                    self.orf_token_originate(now);
                }
            }
        }
    }

    /// A commit token for exactly the membership that this node proposes, newer than anything it took part in,
    /// and with this node's entry the next to be filled in (D-16).
    fn acceptable(&self, token: CommitToken) -> Option<Accepted> {
        let members = self.proposal.candidates();
        let my_turn = token.addr.get(token.memb_index as usize) == Some(&self.me);
        let newer = token.ring.seq > self.ring.seq && token.ring.seq < super::RING_SEQ_LIMIT;
        (is_set(&token.addr, &members) && newer && my_turn).then_some(Accepted { token, members })
    }

    /// corosync `totemsrp.c:memb_state_commit_enter` (v3.1.7); the ring's number is stored before the token
    /// leaves, where C stores it afterwards (`docs/deviations.md`, D-01).
    fn commit_enter(&mut self, now: Instant, accepted: Accepted) {
        let Accepted { mut token, members } = accepted;
        self.fill_entry(&mut token);
        self.target = token.addr[token.memb_index as usize % token.addr.len()];
        self.timers.cancel(Timer::Join);
        self.timers.cancel(Timer::SendJoin);
        self.timers.cancel(Timer::Consensus);
        self.ring = token.ring;
        self.highest_ring_seq = token.ring.seq;
        self.push(Output::StoreRingSeq(token.ring.seq));
        self.flow = FlowControl::default();
        self.stats.commit_entered += 1;
        self.stats.continuous_gather = 0;
        self.set_state(MembState::Commit(Commit { members }), None);
        self.commit_token_send(now, token);
        self.arm(now, Timer::TokenRetransmit, self.config.token_retransmit);
        self.arm_token(now);
    }

    /// Says what this node has of its old ring (corosync `totemsrp.c:memb_state_commit_token_update`, v3.1.7).
    fn fill_entry(&self, token: &mut CommitToken) {
        let index = token.memb_index as usize;
        token.members[index] = CommitMember {
            ring: self.regular_ring,
            aru: self.regular.aru().0,
            high_delivered: self.delivered.0,
            received_flg: u32::from(self.regular.is_complete()),
        };
        let filled = &mut token.members[..=index];
        let ours = |m: &&mut CommitMember| m.ring == self.regular_ring;
        let best = filled
            .iter_mut()
            .filter(ours)
            .map(|m| super::Seq(m.aru))
            .reduce(|a, b| if a.before(b) { b } else { a });
        for entry in filled.iter_mut().filter(ours) {
            if best.is_some_and(|best| super::Seq(entry.aru).before(best)) {
                entry.received_flg = 0;
            }
        }
        token.memb_index += 1;
    }

    /// Passes the commit token on, and keeps it for retransmission.
    pub(super) fn commit_token_send(&mut self, now: Instant, mut token: CommitToken) {
        token.token_seq = token.token_seq.wrapping_add(1);
        let frame = self.commit_token_frame(&token);
        self.stats.memb_commit_token_tx += 1;
        self.sent_token = Some(SentToken {
            frame: frame.clone(),
        });
        self.send_to(now, self.target, frame, Ways::All);
    }
}

/// Whether a list names every member of a set exactly once.
fn is_set(list: &[NodeId], set: &NodeSet) -> bool {
    list.len() == set.len() && list.iter().copied().collect::<NodeSet>() == *set
}

/// How much the ring sequence number grows with each membership.
const RING_SEQ_STEP: u64 = 4;

const EMPTY_ENTRY: CommitMember = CommitMember {
    ring: RingId::ZERO,
    aru: 0,
    high_delivered: 0,
    received_flg: 0,
};

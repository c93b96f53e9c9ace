//! The ordering token: accept, free, retransmit, originate, account, pass on.

use ferrosync_wire::totem::{OrfToken, RTR_MAX, RtrItem};
use ferrosync_wire::{Instant, NodeId};

use super::event::SrpEvent;
use super::flow;
use super::output::{Destination, Output, Ways};
use super::recovery::Install;
use super::sort_queue::WINDOW;
use super::state::{GatherReason, MembStateKind, SentToken};
use super::trace::Visit;
use super::{FailedToRecv, Seq, Srp, Timer};
use crate::config::CancelHold;

/// What a node remembers of the token from visit to visit.
#[derive(Clone, Debug)]
pub(super) struct TokenState {
    /// Of the last token accepted (`my_token_seq`).
    #[doc(alias = "my_token_seq")]
    pub(super) last_token_seq: Seq,
    /// Highest message number in the last token seen (`my_last_seq`).
    pub(super) last_seq: Seq,
    /// The aru of the last token (`my_last_aru`).
    pub(super) last_aru: Seq,
    /// Tokens in a row that carried no new message (`my_seq_unchanged`).
    pub(super) unchanged_visits: u32,
    /// Visits in a row at which the aru did not rise (`my_aru_count`).
    pub(super) stuck_visits: u32,
    /// Since when.
    pub(super) stuck_since: Instant,
    pub(super) hold: Hold,
    pub(super) originated: Originated,
    pub(super) event_wanted: EventWanted,
    pub(super) accepted_at: Option<Instant>,
    /// The last visit on this ring.
    pub(super) visit: Option<Visit>,
}

/// Whether the token may be held by the representative (`my_token_held`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hold {
    No,
    Yes,
}

/// Whether this representative started the ring's token (`originated_orf_token`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Originated {
    No,
    Yes,
}

/// Whether the layer above wants to know of the next token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EventWanted {
    No,
    Yes,
}

impl Default for TokenState {
    fn default() -> Self {
        Self {
            last_token_seq: BEFORE_FIRST_TOKEN,
            last_seq: Seq::START,
            last_aru: Seq::START,
            unchanged_visits: 0,
            stuck_visits: 0,
            stuck_since: Instant::default(),
            visit: None,
            hold: Hold::No,
            originated: Originated::No,
            event_wanted: EventWanted::No,
            accepted_at: None,
        }
    }
}

impl TokenState {
    /// A new ring's token starts from the beginning.
    pub(super) const fn reset_for_ring(&mut self) {
        self.last_token_seq = BEFORE_FIRST_TOKEN;
        self.unchanged_visits = 0;
        self.stuck_visits = 0;
        self.visit = None;
        self.hold = Hold::No;
        self.originated = Originated::No;
    }
}

impl Srp {
    /// One visit of the token (corosync `totemsrp.c:message_handler_orf_token`, v3.1.7).
    pub(super) fn on_orf_token(&mut self, now: Instant, from: NodeId, mut token: OrfToken) {
        match self.state.kind() {
            MembStateKind::Operational | MembStateKind::Recovery => {}
            MembStateKind::Gather | MembStateKind::Commit => return,
        }
        self.note_activity(now, &token);
        let mut hold = self.decide_hold();
        if token.ring != self.ring || !self.token.last_token_seq.before(Seq(token.token_seq)) {
            return;
        }
        if !self.is_credible(&token) {
            self.stats.rx_msg_dropped += 1;
            return;
        }
        if self.state.kind() == MembStateKind::Operational {
            self.messages_free(Seq(token.aru));
        }
        self.token.hold = hold;
        self.note_rotation(now);
        let last_aru = std::mem::replace(&mut self.token.last_aru, Seq(token.aru));
        let mut allowed = self.allowed(&token);
        let resent = self.retransmit_requested(&mut token, allowed);
        allowed -= resent;
        self.request_missing(&mut token);
        let cancels = self.config.cancel_hold_on_retransmit == CancelHold::OnRetransmit;
        if cancels && (resent > 0 || !token.rtr.is_empty()) {
            hold = Hold::No;
            self.token.hold = hold;
        }
        allowed = flow::window_limit(allowed, self.limits(), self.released(), Seq(token.seq));
        let sent = self.originate(&mut token, allowed);
        (token.fcc, token.backlog) = self.flow.update(resent + sent, token.fcc, token.backlog);
        self.update_aru(now, &mut token, last_aru);
        self.token.visit = Some(Visit {
            from,
            at: now,
            seq: Seq(token.seq),
            to: self.target,
            beyond: None,
        });
        if self.cannot_receive(now, &token) {
            return self.fail_to_receive(now);
        }
        self.pass_on(now, token, hold);
    }

    /// Whether a member can have sent this. Flow control keeps every member within the window; C asserts it (D-13).
    /// And only who lowered the aru can raise it again or find that it cannot receive: when a stranger's name stands
    /// there, the token goes round for ever and the ring stands still.
    fn is_credible(&self, token: &OrfToken) -> bool {
        let within_window = Seq(token.seq).distance_from(self.queue().aru()) < WINDOW;
        let raisable = token.aru_addr == NOBODY || self.ring_members().contains(token.aru_addr);
        within_window && raisable
    }

    /// Up to where the ring whose token this is needs nothing any more: nothing is released before it is installed.
    fn released(&self) -> Seq {
        if self.is_recovering() {
            Seq::START
        } else {
            self.last_released
        }
    }

    /// Any token tells whether the ring is idle, even one that is dropped afterwards.
    fn note_activity(&mut self, now: Instant, token: &OrfToken) {
        if Seq(token.seq) == self.token.last_seq {
            if self.timers.get(Timer::Merge).is_none() {
                self.arm(now, Timer::Merge, self.config.merge);
            }
            self.token.unchanged_visits = self.token.unchanged_visits.saturating_add(1);
        } else {
            self.timers.cancel(Timer::Merge);
            self.timers.cancel(Timer::Hold);
            self.token.unchanged_visits = 0;
        }
        self.token.last_seq = Seq(token.seq);
    }

    /// On an idle ring the representative keeps the token; the others know that it may.
    fn decide_hold(&self) -> Hold {
        let limit = self.config.seqno_unchanged_const;
        let held = if self.is_rep() {
            self.token.unchanged_visits > limit
        } else {
            self.token.unchanged_visits >= limit
        };
        if held { Hold::Yes } else { Hold::No }
    }

    fn note_rotation(&mut self, now: Instant) {
        let backlog = u32::try_from(self.backlog()).unwrap_or(u32::MAX);
        if let Some(before) = self.token.accepted_at.replace(now) {
            self.stats.token.visit(now.since(before), backlog);
        }
    }

    /// Frames that wait for the token in the lane that is open.
    fn backlog(&self) -> usize {
        if self.is_recovering() {
            self.retrans_backlog()
        } else {
            self.queues.lane(self.lane).len()
        }
    }

    fn allowed(&mut self, token: &OrfToken) -> u32 {
        let backlog = u32::try_from(self.backlog()).unwrap_or(u32::MAX);
        self.flow
            .allowed(self.limits(), token.fcc, token.backlog, backlog)
    }

    /// Sends again what others miss and this node has; such requests leave the token.
    fn retransmit_requested(&mut self, token: &mut OrfToken, allowed: u32) -> u32 {
        self.forget_needless(token);
        if token.rtr.is_empty() {
            return 0;
        }
        let list = token.rtr.iter().map(|item| Seq(item.seq)).collect();
        self.event(SrpEvent::RetransmitList(list));
        let mut resent = 0;
        let mut kept = Vec::with_capacity(token.rtr.len());
        for item in std::mem::take(&mut token.rtr) {
            let frame = self.queue().get(Seq(item.seq));
            match frame.cloned() {
                Some(frame) if resent < allowed && item.ring == self.ring => {
                    self.transmit(Destination::Ring, frame, Ways::All);
                    self.stats.mcast_retx += 1;
                    resent += 1;
                }
                Some(_) | None => kept.push(item),
            }
        }
        token.rtr = kept;
        resent
    }

    /// Drops requests that nobody can need: for another ring's message, one that all members have, or one that was
    /// never sent. Who does miss a message asks again at its next visit. C keeps them: a request whose message came
    /// after all, late, then goes round for ever.
    fn forget_needless(&self, token: &mut OrfToken) {
        let sent = Seq(token.seq);
        token.rtr.retain(|item| {
            let seq = Seq(item.seq);
            item.ring == self.ring && self.queue().in_range(seq) && seq.up_to(sent)
        });
    }

    /// Asks for messages that were missing at several visits; earlier they may only be late.
    fn request_missing(&mut self, token: &mut OrfToken) {
        let threshold = self.config.miss_count_const;
        let ring = self.ring;
        let aru = self.queue().aru();
        let range = Seq(token.seq).distance_from(aru);
        let queue = self.queue_mut();
        for i in 1..=range {
            let seq = aru.plus(i);
            if token.rtr.len() >= RTR_MAX || !queue.in_range(seq) {
                break;
            }
            if queue.get(seq).is_some() || queue.count_miss(seq) < threshold {
                continue;
            }
            if !token.rtr.iter().any(|item| item.seq == seq.0) {
                token.rtr.push(RtrItem { ring, seq: seq.0 });
            }
        }
    }

    /// Gives numbers to waiting frames and sends them: the old ring's in RECOVERY, else the open lane's.
    fn originate(&mut self, token: &mut OrfToken, allowed: u32) -> u32 {
        if self.is_recovering() {
            return self.originate_recovery(token, allowed);
        }
        let mut sent = 0;
        while sent < allowed {
            let Some(queued) = self.queues.lane_mut(self.lane).pop_front() else {
                break;
            };
            token.seq = token.seq.wrapping_add(1);
            let seq = Seq(token.seq);
            let frame = self.complete_frame(queued.frame, queued.guarantee, seq);
            self.regular.store(seq, frame.clone());
            self.transmit(Destination::Ring, frame, Ways::Chosen);
            sent += 1;
        }
        sent
    }

    fn originate_recovery(&mut self, token: &mut OrfToken, allowed: u32) -> u32 {
        let mut sent = 0;
        while sent < allowed {
            let Some(inner) = self.next_retrans() else {
                break;
            };
            token.seq = token.seq.wrapping_add(1);
            let seq = Seq(token.seq);
            let frame = self.encapsulate(&inner, seq);
            self.queue_mut().store(seq, frame.clone());
            self.transmit(Destination::Ring, frame, Ways::Chosen);
            sent += 1;
        }
        sent
    }

    /// The token's aru is the lowest of all members': who lowered it may raise it again.
    fn update_aru(&mut self, now: Instant, token: &mut OrfToken, last_aru: Seq) {
        let aru = self.queue().aru();
        let mine = token.aru_addr == self.me || token.aru_addr == NOBODY;
        if mine || aru.before(Seq(token.aru)) {
            token.aru = aru.0;
            token.aru_addr = if token.aru == token.seq {
                NOBODY
            } else {
                self.me
            };
        }
        if Seq(token.aru) == last_aru && token.aru_addr != NOBODY {
            if self.token.stuck_visits == 0 {
                self.token.stuck_since = now;
            }
            self.token.stuck_visits = self.token.stuck_visits.saturating_add(1);
        } else {
            self.token.stuck_visits = 0;
        }
    }

    /// Not by the number of visits alone, as in C: on a fast network 2,500 of them take a quarter of a second, and a
    /// receiver that is held up for so long is no broken one (D-53). Who is alone waits for nobody.
    fn cannot_receive(&self, now: Instant, token: &OrfToken) -> bool {
        let alone = self.ring_members().len() == 1;
        self.token.stuck_visits > self.config.fail_recv_const
            && (alone || now.since(self.token.stuck_since) >= self.config.token)
            && token.aru_addr == self.me
    }

    /// The opposite of the paper, where others fail the node that does not keep up: this node fails itself,
    /// forms a ring of its own and merges back.
    fn fail_to_receive(&mut self, now: Instant) {
        self.event(SrpEvent::FailedToReceive);
        self.failed_to_recv = FailedToRecv::Yes;
        self.proposal.failed.insert(self.me);
        self.gather_enter(now, GatherReason::FailedToReceive);
    }

    fn pass_on(&mut self, now: Instant, mut token: OrfToken, hold: Hold) {
        self.token.last_token_seq = Seq(token.token_seq);
        token.token_seq = token.token_seq.wrapping_add(1);
        let install = self.recovery_visit(&mut token);
        if install == Install::Now {
            self.operational_enter(now);
        }
        let frame = self.orf_token_frame(&token);
        self.sent_token = Some(SentToken {
            frame: frame.clone(),
        });
        let held_here = hold == Hold::Yes && self.is_rep();
        if held_here {
            self.arm(now, Timer::Hold, self.config.hold);
        } else {
            self.send_to(now, self.target, frame, Ways::Chosen);
        }
        // After the token left: the ring does not wait for the application.
        if self.state.kind() == MembStateKind::Operational {
            self.deliver_without_gaps();
        }
        self.arm_token(now);
        self.arm_heartbeat(now, held_here);
        self.arm(now, Timer::TokenRetransmit, self.config.token_retransmit);
        if std::mem::replace(&mut self.token.event_wanted, EventWanted::No) == EventWanted::Yes {
            self.push(Output::TokenPassed);
        }
    }

    /// The representative of a committed ring starts its token, once (corosync
    /// `totemsrp.c:orf_token_send_initial`, v3.1.7).
    pub(super) fn orf_token_originate(&mut self, now: Instant) {
        if self.token.originated == Originated::Yes {
            return;
        }
        self.token.originated = Originated::Yes;
        let token = OrfToken {
            seq: 0,
            token_seq: 0,
            aru: u32::MAX,
            aru_addr: self.me,
            ring: self.ring,
            backlog: 0,
            fcc: 0,
            retrans_flg: i32::from(self.retrans_backlog() > 0),
            rtr: Vec::new(),
        };
        self.mark_initial_flag();
        let frame = self.orf_token_frame(&token);
        self.stats.orf_token_tx += 1;
        self.sent_token = Some(SentToken {
            frame: frame.clone(),
        });
        self.send_to(now, self.target, frame, Ways::Chosen);
        self.arm_token(now);
        self.arm(now, Timer::TokenRetransmit, self.config.token_retransmit);
    }

    /// Sends the token again that was not seen to move on.
    pub(super) fn token_retransmit(&mut self, now: Instant) {
        match self.state.kind() {
            MembStateKind::Gather => {}
            MembStateKind::Commit | MembStateKind::Operational | MembStateKind::Recovery => {
                self.resend_token(now, Ways::All);
                self.arm(now, Timer::TokenRetransmit, self.config.token_retransmit);
            }
        }
    }

    /// The held token goes round once.
    pub(super) fn hold_expired(&mut self, now: Instant) {
        match self.state.kind() {
            MembStateKind::Gather | MembStateKind::Commit => {}
            MembStateKind::Operational | MembStateKind::Recovery => {
                self.resend_token(now, Ways::Chosen);
            }
        }
    }

    fn resend_token(&mut self, now: Instant, ways: Ways) {
        if let Some(sent) = self.sent_token.clone() {
            self.send_to(now, self.target, sent.frame, ways);
        }
    }

    /// Something is to be sent: asks the representative not to hold the token (corosync
    /// `totemsrp.c:token_hold_cancel_send`, v3.1.7).
    pub(super) fn hold_cancel(&mut self, now: Instant) {
        if std::mem::replace(&mut self.token.hold, Hold::No) == Hold::No {
            return;
        }
        let frame = self.hold_cancel_frame();
        self.stats.token_hold_cancel_tx += 1;
        self.send_to_all(now, frame, Ways::Chosen);
    }

    pub(super) fn arm_token(&mut self, now: Instant) {
        self.arm(now, Timer::Token, self.config.token);
        let percent = u32::from(self.config.token_warning_percent);
        if percent > 0 {
            let after = self.config.token * percent / 100;
            self.arm(now, Timer::TokenWarning, after);
        }
    }

    fn arm_heartbeat(&mut self, now: Instant, held_here: bool) {
        let allowed = self.config.heartbeat_failures_allowed;
        let limit = self.config.token_retransmit * allowed + self.config.max_network_delay;
        if allowed == 0 || held_here || limit >= self.config.token {
            self.timers.cancel(Timer::Heartbeat);
        } else {
            self.arm(now, Timer::Heartbeat, limit);
        }
    }

    pub(super) fn token_warning(&mut self, now: Instant) {
        let silence = self.silence(now);
        self.event(SrpEvent::TokenWarning { silence });
        let percent = u32::from(self.config.token_warning_percent);
        self.arm(now, Timer::TokenWarning, self.config.token * percent / 100);
    }

    fn silence(&self, now: Instant) -> ferrosync_wire::Duration {
        self.token
            .accepted_at
            .map_or(ferrosync_wire::Duration::ZERO, |at| now.since(at))
    }

    /// No token for too long; what follows depends on the state (corosync
    /// `totemsrp.c:timer_function_orf_token_timeout`, v3.1.7).
    pub(super) fn token_lost(&mut self, now: Instant) {
        let state = self.state.kind();
        let silence = self.silence(now);
        let trace = self.token.visit.map(|visit| visit.trace(now));
        self.event(SrpEvent::TokenLost {
            state,
            silence,
            trace,
        });
        match state {
            MembStateKind::Operational => {
                self.stats.operational_token_lost += 1;
                self.gather_enter(now, GatherReason::TokenLostInOperational);
            }
            MembStateKind::Gather => {
                self.stats.gather_token_lost += 1;
                self.consensus_expired(now);
                self.gather_enter(now, GatherReason::ConsensusTimeoutExpired);
            }
            MembStateKind::Commit => {
                self.stats.commit_token_lost += 1;
                self.gather_enter(now, GatherReason::TokenLostInCommit);
            }
            MembStateKind::Recovery => {
                self.stats.recovery_token_lost += 1;
                self.gather_enter(now, GatherReason::TokenLostInRecovery);
            }
        }
    }
}

/// `aru_addr` when the aru is not held down by anybody.
const NOBODY: NodeId = NodeId(0);

/// One before the first token's number.
const BEFORE_FIRST_TOKEN: Seq = Seq(u32::MAX);

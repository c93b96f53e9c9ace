//! The single-ring protocol: one total order of messages among the members of a ring, and rings that follow
//! one another as nodes come and go.
//!
//! | state | token timeout | join | commit token | orf token | foreign mcast, merge detect |
//! |---|---|---|---|---|---|
//! | OPERATIONAL | gather(2) | gather(11, 12) unless stale | dropped | pipeline of `token.rs` | gather(7, 9) |
//! | GATHER | fail the silent, gather(0), gather(3) | merge, agree, or gather(11) | COMMIT if it is our proposal | dropped | gather(8, 10) if new |
//! | COMMIT | gather(4) | gather(13) if from a member that saw it | RECOVERY on its second pass | dropped | dropped |
//! | RECOVERY | gather(5) | gather(14) if from a member that saw it | representative starts the token | pipeline, recovery rules | dropped |
//!
//! Numbers in brackets are [`GatherReason`]s. `docs/totem.md` has the long version.

mod admission;
mod commit;
mod event;
mod flow;
mod frames;
mod gather;
mod membership;
mod operational;
mod output;
mod recovery;
mod seq;
mod sort_queue;
mod state;
mod stats;
mod timer;
mod token;
mod trace;

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use ferrosync_wire::totem::{Header, Kind, Message};
use ferrosync_wire::{DecodeError, Duration, Instant, NodeId, RingId, RingSeq};

use crate::config::SrpConfig;
use crate::rng::Rng;
use admission::Admission;
use flow::{FlowControl, Limits};
use membership::Proposal;
use sort_queue::SortQueue;
use state::{MembState, SentToken};
use timer::TimerTable;

pub use event::{CONTINUOUS_GATHER_MAX, SrpEvent};
pub use membership::NodeSet;
pub use output::{
    ConfChg, ConfChgKind, Delivered, Destination, Input, Output, RxOrder, Transmit, Ways,
};
pub use seq::Seq;
pub use state::{GatherReason, MembStateKind};
pub use stats::{SrpStats, TokenStats};
pub use timer::Timer;
pub use trace::TokenTrace;

/// The ring protocol of one node.
///
/// # Driving it
///
/// Mutators are [`Self::handle`], [`Self::handle_timeout`], [`Self::mcast`], [`Self::trans_ack`],
/// [`Self::request_token_event`], [`Self::force_gather`], [`Self::leave`] and [`Self::reconfigure`]. After each, call [`Self::poll_output`] until it
/// returns `None` and carry out every output in that order: extended virtual synchrony *is* an order between
/// deliveries and configuration changes, and the ring sequence number must be durable before what follows it
/// is sent. `handle` and `handle_timeout` assert that nothing is left over; `mcast` and the others may be called
/// while draining, they only append.
///
/// Time never goes backwards between calls. [`Self::poll_timeout`] tells when `handle_timeout` is wanted next;
/// calling it early or late is allowed, late is noticed (pause detection).
///
/// Every multicast packet that waits in a socket is handed in before a token that waits behind it.
#[derive(Debug)]
pub struct Srp {
    me: NodeId,
    config: SrpConfig,
    rng: Rng,
    outputs: VecDeque<Output>,
    /// Frames to this node itself.
    loopback: VecDeque<Bytes>,
    timers: TimerTable,
    stats: SrpStats,
    state: MembState,
    proposal: Proposal,
    admission: Admission,
    /// The ring this node belongs to or forms.
    #[doc(alias = "my_ring_id")]
    ring: RingId,
    /// Largest ring sequence number that anybody mentioned.
    #[doc(alias = "token_ring_id_seq")]
    highest_ring_seq: RingSeq,
    /// The ring whose messages are in `regular`.
    #[doc(alias = "my_old_ring_id")]
    regular_ring: RingId,
    /// Members of that ring.
    #[doc(alias = "my_memb")]
    members: NodeSet,
    /// Messages of that ring.
    #[doc(alias = "regular_sort_queue")]
    regular: SortQueue,
    /// Everything up to here went up.
    #[doc(alias = "my_high_delivered")]
    delivered: Seq,
    last_released: Seq,
    /// Next member after this node on the ring being formed or installed.
    target: NodeId,
    sent_token: Option<SentToken>,
    token: token::TokenState,
    flow: FlowControl,
    /// Said goodbye since the last ring.
    leavers: NodeSet,
    /// This node found that it cannot receive; its next ring is its own.
    failed_to_recv: FailedToRecv,
    lane: Lane,
    queues: Queues,
    /// Sender-local message counter that nobody reads.
    global_seqno: i32,
    pause_stamp: Instant,
    /// When a pause was found, and how long it was; the next join may have been queued during it.
    paused_at: Option<(Instant, Duration)>,
    /// For headers that are written in place.
    scratch: Vec<u8>,
}

/// Which of the two queues a message waits in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Application messages.
    Regular,
    /// Messages of the synchronisation after a membership change; only these are sent until it is done.
    Transitional,
}

/// What the sender was promised; corosync treats both alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guarantee {
    /// Ordered.
    Agreed = 0,
    /// Ordered; the stronger promise is not kept by C corosync either.
    Safe = 1,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FailedToRecv {
    No,
    Yes,
}

/// Frames that wait for the token.
#[derive(Debug, Default)]
struct Queues {
    regular: VecDeque<Queued>,
    transitional: VecDeque<Queued>,
    capacity: usize,
}

#[derive(Debug)]
struct Queued {
    /// With room for the mcast header in front.
    frame: BytesMut,
    guarantee: Guarantee,
}

/// The lane holds as many frames as it may; nothing was queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueFull;

impl Srp {
    /// A node that belongs to no ring yet. `stored` is the ring sequence number that it last stored, zero if
    /// none; `seed` decides its jitter.
    ///
    /// # Panics
    ///
    /// When `me` is 0, which marks "nobody" on the wire, or when `config` does not validate.
    #[must_use]
    pub fn new(me: NodeId, config: SrpConfig, stored: RingSeq, seed: u64, now: Instant) -> Self {
        assert_ne!(me.0, 0, "node id 0 means nobody");
        assert_eq!(config.validate(), Ok(()), "the configuration was checked");
        // The first ring's number is above the stored one even when the store was lost half-way: one for the
        // start, in memory only (corosync totemsrp.c:main_iface_change_fn, v3.1.7).
        let ring = RingId {
            rep: me,
            seq: RingSeq(stored.0.saturating_add(1)),
        };
        let capacity = QUEUE_BYTES / config.payload_mtu.get();
        let mut srp = Self {
            me,
            rng: Rng::new(seed),
            outputs: VecDeque::new(),
            loopback: VecDeque::new(),
            timers: TimerTable::default(),
            stats: SrpStats::default(),
            state: MembState::Operational,
            proposal: Proposal::default(),
            admission: Admission::default(),
            ring,
            highest_ring_seq: ring.seq,
            regular_ring: ring,
            members: NodeSet::EMPTY,
            regular: SortQueue::new(),
            delivered: Seq::START,
            last_released: Seq::START,
            target: me,
            sent_token: None,
            token: token::TokenState::default(),
            flow: FlowControl::default(),
            leavers: NodeSet::EMPTY,
            failed_to_recv: FailedToRecv::No,
            lane: Lane::Transitional,
            queues: Queues {
                capacity,
                ..Queues::default()
            },
            global_seqno: 0,
            pause_stamp: now,
            paused_at: None,
            scratch: Vec::new(),
            config,
        };
        srp.arm(now, Timer::Pause, srp.pause_interval());
        srp
    }

    /// Hands in one thing that happened.
    ///
    /// # Panics
    ///
    /// When outputs of an earlier call were not taken.
    pub fn handle(&mut self, now: Instant, input: Input) {
        assert!(self.outputs.is_empty(), "drain the outputs first");
        match input {
            Input::Packet { frame, order } => self.handle_frame(now, &frame, order),
            Input::LinksReady => self.gather_enter(now, GatherReason::InterfaceChange),
        }
    }

    /// Lets the timers act that are due.
    ///
    /// # Panics
    ///
    /// When outputs of an earlier call were not taken.
    pub fn handle_timeout(&mut self, now: Instant) {
        assert!(self.outputs.is_empty(), "drain the outputs first");
        self.detect_pause(now);
        let Some(timer) = self.timers.expire(now) else {
            return;
        };
        match timer {
            Timer::Token => self.token_lost(now),
            Timer::TokenWarning => self.token_warning(now),
            Timer::TokenRetransmit => self.token_retransmit(now),
            Timer::Hold => self.hold_expired(now),
            Timer::Join => self.join_again(now),
            Timer::Consensus => self.consensus_expired(now),
            Timer::Merge => self.merge_detect_send(),
            Timer::Pause => {
                self.pause_stamp = now;
                self.arm(now, Timer::Pause, self.pause_interval());
            }
            Timer::Heartbeat => self.token_lost(now),
            Timer::SendJoin => self.join_send_now(now),
            Timer::Loopback => self.handle_loopback(now),
        }
    }

    /// The next effect to carry out.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When `handle_timeout` is wanted, and why.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<(Instant, Timer)> {
        self.timers.next()
    }

    /// Queues a frame until the token comes. The first [`Self::FRAME_HEAD`] bytes of `frame` are room for the
    /// header; their content does not matter.
    ///
    /// # Errors
    ///
    /// [`QueueFull`] when the lane holds [`Self::queue_capacity`] frames; nothing changed.
    ///
    /// # Panics
    ///
    /// When the frame is shorter than its head or longer than the ring's MTU.
    pub fn mcast(
        &mut self,
        now: Instant,
        lane: Lane,
        guarantee: Guarantee,
        frame: BytesMut,
    ) -> Result<(), QueueFull> {
        assert!(frame.len() >= Self::FRAME_HEAD, "room for the header");
        assert!(
            frame.len() <= Self::FRAME_HEAD + self.config.payload_mtu.get(),
            "a frame fits the MTU"
        );
        let capacity = self.queues.capacity;
        let queue = self.queues.lane_mut(lane);
        if queue.len() >= capacity {
            return Err(QueueFull);
        }
        queue.push_back(Queued { frame, guarantee });
        self.stats.mcast_tx += 1;
        self.hold_cancel(now);
        Ok(())
    }

    /// Puts frames in front of those that wait in a lane. They may be more than the lane holds otherwise: they were in
    /// it before.
    pub fn requeue(&mut self, lane: Lane, frames: VecDeque<BytesMut>) {
        for frame in frames.into_iter().rev() {
            let guarantee = Guarantee::Agreed;
            let queued = Queued { frame, guarantee };
            self.queues.lane_mut(lane).push_front(queued);
        }
    }

    /// Something is about to be queued: the token should not be held any longer.
    pub fn announce_message(&mut self, now: Instant) {
        self.hold_cancel(now);
    }

    /// The layer above has come to a membership change: only messages of its synchronisation are sent.
    pub const fn trans_begin(&mut self) {
        self.lane = Lane::Transitional;
    }

    /// The synchronisation after the last membership change is complete: application messages flow again.
    pub const fn trans_ack(&mut self) {
        self.lane = Lane::Regular;
    }

    /// Asks for one [`Output::TokenPassed`] after the next token was passed on.
    pub fn request_token_event(&mut self, now: Instant) {
        self.token.event_wanted = token::EventWanted::Yes;
        self.hold_cancel(now);
    }

    /// Behaves as if the token was lost (`runtime.force_gather`).
    pub fn force_gather(&mut self, now: Instant) {
        self.token_lost(now);
    }

    /// Says goodbye; the node is about to stop.
    pub fn leave(&mut self) {
        self.leave_send();
    }

    /// Takes new parameters; running timers keep what they were armed with. The MTU does not change.
    pub fn reconfigure(&mut self, config: SrpConfig) {
        assert_eq!(config.validate(), Ok(()), "the configuration was checked");
        let payload_mtu = self.config.payload_mtu;
        self.config = SrpConfig {
            payload_mtu,
            ..config
        };
    }

    /// Bytes that every frame given to [`Self::mcast`] reserves in front.
    pub const FRAME_HEAD: usize = ferrosync_wire::totem::Mcast::LEN;

    /// Frames that may still be queued in a lane.
    #[must_use]
    pub fn free_frames(&self, lane: Lane) -> usize {
        let waiting = self.queues.lane(lane).len();
        self.queues.capacity.saturating_sub(waiting)
    }

    /// Frames that a lane holds at most: 4 MiB worth (`MESSAGE_QUEUE_MAX`, corosync `totem.h`, v3.1.7).
    #[must_use]
    pub const fn queue_capacity(&self) -> usize {
        self.queues.capacity
    }

    /// This node.
    #[must_use]
    pub const fn me(&self) -> NodeId {
        self.me
    }

    /// The membership state.
    #[must_use]
    pub const fn state(&self) -> MembStateKind {
        self.state.kind()
    }

    /// The ring this node belongs to or forms.
    #[must_use]
    pub const fn ring_id(&self) -> RingId {
        self.ring
    }

    /// Members of the ring installed last.
    #[must_use]
    pub const fn members(&self) -> &NodeSet {
        &self.members
    }

    /// Nodes that take part as far as this one knows: the members, or while it gathers, everybody it heard of and
    /// the members it lost (`my_proc_list`).
    #[must_use]
    #[doc(alias = "my_proc_list")]
    pub const fn known(&self) -> &NodeSet {
        &self.proposal.proc
    }

    /// The parameters in force.
    #[must_use]
    pub const fn config(&self) -> &SrpConfig {
        &self.config
    }

    /// Counters.
    #[must_use]
    pub const fn stats(&self) -> &SrpStats {
        &self.stats
    }

    /// Sets all counters to zero.
    pub fn clear_stats(&mut self) {
        self.stats = SrpStats {
            continuous_gather: self.stats.continuous_gather,
            ..SrpStats::default()
        };
    }

    /// When the last token of this node's ring was accepted; `None` before the first.
    #[must_use]
    pub const fn last_token_at(&self) -> Option<Instant> {
        self.token.accepted_at
    }

    fn handle_frame(&mut self, now: Instant, frame: &Bytes, order: RxOrder) {
        let (header, message) = match Message::parse(frame) {
            Ok(parsed) => parsed,
            Err(e) => return self.malformed(e),
        };
        match message {
            Message::OrfToken(token) => {
                self.stats.orf_token_rx += 1;
                self.on_orf_token(now, header.nodeid, token);
            }
            Message::Mcast(mcast, _) => {
                self.stats.mcast_rx += 1;
                self.on_mcast(now, &header, &mcast, frame);
            }
            Message::MergeDetect(m) => {
                self.stats.memb_merge_detect_rx += 1;
                self.on_merge_detect(now, &m);
            }
            Message::Join(join) => {
                self.stats.memb_join_rx += 1;
                self.on_join(now, &header, &join, order);
            }
            Message::CommitToken(token) => {
                self.stats.memb_commit_token_rx += 1;
                self.on_commit_token(now, token);
            }
            Message::TokenHoldCancel(m) => {
                self.stats.token_hold_cancel_rx += 1;
                self.on_token_hold_cancel(now, m.ring);
            }
        }
    }

    fn malformed(&mut self, error: DecodeError) {
        self.stats.rx_msg_dropped += 1;
        let event = if error == DecodeError::BadMagic(ferrosync_wire::totem::FOREIGN_MAGIC) {
            SrpEvent::ForeignByteOrder
        } else {
            SrpEvent::Malformed(error)
        };
        self.event(event);
    }

    fn handle_loopback(&mut self, now: Instant) {
        let Some(frame) = self.loopback.pop_front() else {
            return;
        };
        if !self.loopback.is_empty() {
            self.timers.set(Timer::Loopback, now);
        }
        self.handle_frame(now, &frame, RxOrder::Arrival);
    }

    /// The process did not run for a while: what it missed is no evidence against others.
    ///
    /// Timers that accuse somebody get a grace in which the packets that waited meanwhile are read first;
    /// C fails the silent ones at once (`docs/deviations.md`, D-03).
    fn detect_pause(&mut self, now: Instant) {
        let late = now.since(self.pause_stamp);
        if late <= self.config.token / 2 {
            return;
        }
        self.pause_stamp = now;
        self.paused_at = Some((now, late));
        self.arm(now, Timer::Pause, self.pause_interval());
        for timer in [Timer::Token, Timer::Heartbeat] {
            if self.timers.get(timer).is_some_and(|at| at <= now) {
                self.timers.set(timer, now + self.config.join);
            }
        }
        if self
            .timers
            .get(Timer::Consensus)
            .is_some_and(|at| at <= now)
        {
            self.timers
                .set(Timer::Consensus, now + self.config.consensus);
        }
    }

    /// How long the process did not run while a join that is handled now may have waited. Afterwards joins count
    /// again: what waited was thrown away.
    ///
    /// It takes a while to read what waited, so that joins shortly after the pause are suspect, too; who gathers
    /// sends his again.
    fn take_pause(&mut self, now: Instant) -> Option<Duration> {
        let late = now.since(self.pause_stamp);
        let pause = match self.paused_at.take() {
            Some((at, pause)) if now.since(at) <= self.config.join => pause,
            Some(_) | None if late > self.config.token / 2 => late,
            Some(_) | None => return None,
        };
        self.pause_stamp = now;
        Some(pause)
    }

    fn pause_interval(&self) -> Duration {
        self.config.token / 5
    }

    fn arm(&mut self, now: Instant, timer: Timer, after: Duration) {
        self.timers.set(timer, now + after);
    }

    fn push(&mut self, output: Output) {
        self.outputs.push_back(output);
    }

    fn event(&mut self, event: SrpEvent) {
        self.push(Output::Event(event));
    }

    const fn limits(&self) -> Limits {
        Limits {
            window_size: self.config.window_size,
            max_messages: self.config.max_messages,
        }
    }

    fn is_rep(&self) -> bool {
        self.ring.rep == self.me
    }

    /// The one place where the membership state changes.
    fn set_state(&mut self, state: MembState, reason: Option<GatherReason>) {
        let from = self.state.kind();
        self.state = state;
        self.event(SrpEvent::State {
            from,
            to: self.state.kind(),
            ring: self.ring,
            reason,
        });
    }
}

impl Queues {
    const fn lane(&self, lane: Lane) -> &VecDeque<Queued> {
        match lane {
            Lane::Regular => &self.regular,
            Lane::Transitional => &self.transitional,
        }
    }

    const fn lane_mut(&mut self, lane: Lane) -> &mut VecDeque<Queued> {
        match lane {
            Lane::Regular => &mut self.regular,
            Lane::Transitional => &mut self.transitional,
        }
    }
}

/// No ring gets here, four per membership, in the lifetime of a cluster: who names such a number is not believed,
/// so that arithmetic with ring sequence numbers cannot overflow.
pub const RING_SEQ_LIMIT: RingSeq = RingSeq(1 << 62);

/// Four of the largest application messages.
const QUEUE_BYTES: usize = 4 << 20;

const _: () = assert!(Header::LEN == 13 && Kind::OrfToken as u8 == 0);

#[cfg(test)]
mod tests;

//! Application messages of any size up to 1 MiB over the ring's frames: packed, fragmented, put together again.
//!
//! Two lanes: while services synchronise after a membership change only the transitional lane is sent, and what
//! arrives then is put together apart, so that a message half sent before the change goes on after it. Each lane is
//! packed by itself (`docs/deviations.md`, D-14).

mod assembly;
mod pack;

use std::collections::VecDeque;

use bytes::Bytes;
pub use ferrosync_wire::pg::Group;
use ferrosync_wire::pg::Grouped;
use ferrosync_wire::{Instant, NodeId, RingSeq};

use crate::srp::{
    ConfChg, ConfChgKind, Guarantee, Input, Lane, Output, QueueFull, Srp, SrpEvent, Timer, Transmit,
};
use assembly::Assemblies;
pub use assembly::Company;
use pack::Packer;

/// Message packing on top of [`Srp`]; drive it exactly as that.
#[derive(Debug)]
pub struct Pg {
    srp: Srp,
    /// The lane that new messages go to; flips when a driver takes the transitional change off the queue, as
    /// reactions to what comes before it belong to the old ring.
    lane: Lane,
    regular: Packer,
    transitional: Packer,
    assemblies: Assemblies,
    ready: VecDeque<PgOutput>,
    stats: PgStats,
}

/// One effect, in the order in which it must take effect.
#[derive(Clone, Debug)]
pub enum PgOutput {
    /// A message in the ring's total order.
    Message(GroupMessage),
    /// The membership changes at this point of the order.
    ConfChg(ConfChg),
    /// Send a frame.
    Transmit(Transmit),
    /// Must be durable before any later `Transmit` leaves.
    StoreRingSeq(RingSeq),
    /// Throw away what waits on the sockets.
    DiscardReceived,
    /// See [`Output::Stranger`].
    Stranger(NodeId),
    /// The token asked for has been passed on.
    TokenPassed,
    /// Something worth telling.
    Event(SrpEvent),
}

/// One message for a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMessage {
    /// Who sent it.
    pub from: NodeId,
    /// For whom it is.
    pub group: Group,
    /// The message without its group header.
    pub body: Bytes,
}

/// What an onlooker is shown as it passes, see [`Pg::poll_output_seen`].
#[derive(Clone, Copy, Debug)]
pub enum Seen<'a> {
    /// An effect of the ring protocol, frames in their order among them.
    Ring(&'a Output),
    /// A message made of such frames.
    Message(&'a GroupMessage),
}

/// Counters of this layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PgStats {
    /// Packets that did not add up or did not continue what was begun.
    pub packets_dropped: u64,
    /// Messages for groups that nobody here belongs to.
    pub messages_ignored: u64,
}

/// How full the queue of outgoing messages is, with hysteresis where the levels do not touch (corosync
/// `totempg.c:check_q_level`, v3.1.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum QueueLevel {
    /// Under 30 %.
    Low,
    /// 41 to 49 %.
    Good,
    /// 61 to 69 %.
    High,
    /// 75 % and more: clients are held back.
    Critical,
}

impl Pg {
    /// Largest message that an application may send, its service's header included (`MESSAGE_SIZE_MAX`,
    /// corosync `totem.h`, v3.1.7, and room for the header).
    pub const MESSAGE_MAX: usize = assembly::MESSAGE_MAX;

    /// Packing over a ring protocol that has not started yet.
    #[must_use]
    pub fn new(srp: Srp) -> Self {
        let mtu = srp.config().payload_mtu.get();
        Self {
            srp,
            lane: Lane::Transitional,
            regular: Packer::new(mtu),
            transitional: Packer::new(mtu),
            assemblies: Assemblies::default(),
            ready: VecDeque::new(),
            stats: PgStats::default(),
        }
    }

    /// See [`Srp::handle`].
    pub fn handle(&mut self, now: Instant, input: Input) {
        if let Input::Packet { frame, .. } = &input
            && is_orf_token(frame)
        {
            self.flush(now);
        }
        self.srp.handle(now, input);
    }

    /// See [`Srp::handle_timeout`].
    pub fn handle_timeout(&mut self, now: Instant) {
        if let Some((_, Timer::Loopback)) = self.srp.poll_timeout() {
            self.flush(now);
        }
        self.srp.handle_timeout(now);
    }

    /// See [`Srp::poll_timeout`].
    #[must_use]
    pub fn poll_timeout(&self) -> Option<(Instant, Timer)> {
        self.srp.poll_timeout()
    }

    /// The next effect to carry out.
    pub fn poll_output(&mut self) -> Option<PgOutput> {
        self.poll_output_seen(|_| {})
    }

    /// As [`Self::poll_output`], with somebody looking on: the simulator's checkers need the frames that
    /// messages are made of. An onlooker that does nothing costs nothing.
    pub fn poll_output_seen(&mut self, mut see: impl FnMut(Seen<'_>)) -> Option<PgOutput> {
        loop {
            if let Some(ready) = self.ready.pop_front() {
                if let PgOutput::Message(message) = &ready {
                    see(Seen::Message(message));
                }
                return Some(ready);
            }
            let output = self.srp.poll_output()?;
            see(Seen::Ring(&output));
            match output {
                Output::Deliver(d) => self.unpack(d.from, &d.payload),
                Output::ConfChg(change) => {
                    self.on_confchg(&change);
                    return Some(PgOutput::ConfChg(change));
                }
                Output::Transmit(t) => return Some(PgOutput::Transmit(t)),
                Output::StoreRingSeq(seq) => return Some(PgOutput::StoreRingSeq(seq)),
                Output::DiscardReceived => return Some(PgOutput::DiscardReceived),
                Output::Stranger(node) => return Some(PgOutput::Stranger(node)),
                Output::TokenPassed => return Some(PgOutput::TokenPassed),
                Output::Event(e) => return Some(PgOutput::Event(e)),
            }
        }
    }

    /// Queues a message made of `parts` for a group.
    ///
    /// # Errors
    ///
    /// [`QueueFull`] when [`Self::accepts`] says no; nothing was queued.
    pub fn mcast(
        &mut self,
        now: Instant,
        group: Group,
        guarantee: Guarantee,
        parts: &[&[u8]],
    ) -> Result<(), QueueFull> {
        let size = parts.iter().map(|p| p.len()).sum();
        if !self.accepts(size) {
            return Err(QueueFull);
        }
        let head = group.header();
        let (packer, lane) = match self.lane {
            Lane::Regular => (&mut self.regular, Lane::Regular),
            Lane::Transitional => (&mut self.transitional, Lane::Transitional),
        };
        packer.begin(head.len() + size);
        packer.add(head);
        for part in parts {
            packer.add(part);
        }
        packer.end();
        while let Some(frame) = packer.take_full() {
            self.srp
                .mcast(now, lane, guarantee, frame)
                .expect("room for the whole message was checked");
        }
        self.srp.announce_message(now);
        Ok(())
    }

    /// Whether a message of `size` bytes fits into the queue that is open now.
    #[must_use]
    pub fn accepts(&self, size: usize) -> bool {
        let payload = self.srp.config().payload_mtu.get() - PACKET_OVERHEAD;
        let frames = size / payload + 2;
        size <= Self::MESSAGE_MAX && frames <= self.srp.free_frames(self.lane)
    }

    /// Frames that the open queue still takes.
    #[must_use]
    pub fn free_frames(&self) -> usize {
        self.srp.free_frames(self.lane)
    }

    /// Whether nothing waits to be sent in the open lane.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        let packer = match self.lane {
            Lane::Regular => &self.regular,
            Lane::Transitional => &self.transitional,
        };
        packer.is_empty() && self.srp.free_frames(self.lane) == self.srp.queue_capacity()
    }

    /// How full the open queue is; `before` decides inside the gaps between levels.
    #[must_use]
    pub fn level(&self, before: QueueLevel) -> QueueLevel {
        let capacity = self.srp.queue_capacity();
        let used = capacity - self.srp.free_frames(self.lane);
        match used * 100 / capacity {
            75.. => QueueLevel::Critical,
            61..70 => QueueLevel::High,
            41..50 => QueueLevel::Good,
            0..30 => QueueLevel::Low,
            _ => before,
        }
    }

    /// The synchronisation after the last membership change is complete. All members must say the same of `company`,
    /// at the same place of the order.
    pub fn trans_ack(&mut self, now: Instant, company: Company) {
        self.assemblies.use_company(company);
        if company == Company::Mending {
            self.mend_torn();
        }
        // What synchronisation still holds back must not wait for the next membership change.
        while let Some(frame) = self.transitional.take_rest() {
            if self
                .srp
                .mcast(now, Lane::Transitional, Guarantee::Agreed, frame)
                .is_err()
            {
                break;
            }
        }
        self.lane = Lane::Regular;
        self.srp.trans_ack();
        self.assemblies.use_lane(Lane::Regular);
    }

    /// Makes messages whole that the membership change tore: every member forgets the parts that it has, and who sent
    /// a part sends its message again from the start. Only right when all members do it at the same place of the
    /// order, before the regular lane opens.
    fn mend_torn(&mut self) {
        let me = self.srp.me();
        if let Some(torn) = self.assemblies.forget_all(me) {
            let mtu = self.srp.config().payload_mtu.get();
            let frames = pack::beginning(&torn.bytes, torn.fragment, mtu);
            self.srp.requeue(Lane::Regular, frames);
        }
    }

    /// See [`Srp::request_token_event`].
    pub fn request_token_event(&mut self, now: Instant) {
        self.srp.request_token_event(now);
    }

    /// The ring protocol below.
    #[must_use]
    pub const fn srp(&self) -> &Srp {
        &self.srp
    }

    /// The ring protocol below, for its mutators other than `handle*`.
    pub const fn srp_mut(&mut self) -> &mut Srp {
        &mut self.srp
    }

    /// Counters.
    #[must_use]
    pub const fn stats(&self) -> &PgStats {
        &self.stats
    }

    /// Sends what waits for company: the token is here.
    fn flush(&mut self, now: Instant) {
        let lane = self.lane;
        if self.srp.free_frames(lane) == 0 {
            return;
        }
        let packer = match lane {
            Lane::Regular => &mut self.regular,
            Lane::Transitional => &mut self.transitional,
        };
        if let Some(frame) = packer.take_rest() {
            self.srp
                .mcast(now, lane, Guarantee::Agreed, frame)
                .expect("a free frame was checked");
        }
    }

    fn on_confchg(&mut self, change: &ConfChg) {
        match change.kind {
            ConfChgKind::Transitional => {
                // Here and not where the ring was installed: a message in front of this change may have completed
                // the synchronisation of the old ring, which must not open the regular lane of the new one.
                self.lane = Lane::Transitional;
                self.srp.trans_begin();
                self.assemblies.forget(&change.left);
            }
            ConfChgKind::Regular => self.assemblies.use_lane(Lane::Transitional),
        }
    }

    fn unpack(&mut self, from: NodeId, packet: &Bytes) {
        let (ready, ignored) = (&mut self.ready, &mut self.stats.messages_ignored);
        let unpacked =
            self.assemblies
                .unpack(from, packet, |message| match addressed(from, message) {
                    Some(m) => ready.push_back(PgOutput::Message(m)),
                    None => *ignored += 1,
                });
        if unpacked.is_err() {
            self.stats.packets_dropped += 1;
        }
    }
}

/// Strips the group header; `None` for groups that do not exist here.
fn addressed(from: NodeId, message: &Bytes) -> Option<GroupMessage> {
    let grouped = Grouped::parse(message).ok()?;
    Some(GroupMessage {
        from,
        group: grouped.group?,
        body: message.slice(grouped.body_offset..),
    })
}

fn is_orf_token(frame: &[u8]) -> bool {
    frame.get(3) == Some(&(ferrosync_wire::totem::Kind::OrfToken as u8))
}

/// Packet header, one length and the group header, generously: what C reckons per packet (`totempg.c`).
const PACKET_OVERHEAD: usize = 24;

#[cfg(test)]
mod tests;

//! The ring protocol among members that answer correctly and frames that no correct member sends.

mod craft;
mod watch;

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use ferrosync_totem::config::{CancelHold, PayloadMtu};
use ferrosync_totem::srp::{
    Destination, Guarantee, Input, Lane, MembStateKind, Output, RxOrder, Transmit,
};
use ferrosync_totem::{Srp, SrpConfig};
use ferrosync_wire::{Duration, Instant, NodeId, RingSeq};

use crate::feed::Feed;
use crate::puppet::{Carries, Puppets};
use watch::Watch;

/// A node, neighbours, and a sequence of frames, timers and requests.
///
/// Whatever arrives: no panic; outputs of one input are bounded; every frame that leaves can be parsed and fits a
/// datagram; ring sequence numbers are stored before their ring is used and only grow; messages are delivered
/// in order, each once, and changes come in pairs. And when the network falls silent, the node forms a ring of its own.
pub fn srp_inputs(data: &[u8]) {
    let mut feed = Feed::new(data);
    let mut world = World::new(&mut feed);
    world.input(None);
    for _ in 0..STEPS_MAX {
        if feed.is_empty() {
            break;
        }
        world.step(&mut feed);
    }
    world.fall_silent();
}

/// The node and what is around it.
struct World {
    now: Instant,
    srp: Srp,
    puppets: Puppets,
    watch: Watch,
    /// Frames that the puppets have answered with, not yet handed in.
    arriving: VecDeque<Vec<u8>>,
    /// Frames that the node sent lately.
    history: VecDeque<Bytes>,
}

impl World {
    fn new(feed: &mut Feed<'_>) -> Self {
        let now = Instant::from_nanos(1_000_000_000);
        let stored = RingSeq(u64::from(feed.u8()));
        let config = config(feed.u8());
        Self {
            now,
            srp: Srp::new(ME, config, stored, 7, now),
            puppets: Puppets::new(ME, &[1, 3]),
            watch: Watch::new(ME, stored),
            arriving: VecDeque::new(),
            history: VecDeque::new(),
        }
    }

    fn step(&mut self, feed: &mut Feed<'_>) {
        let what = feed.u8();
        let order = if what & 0x80 == 0 {
            RxOrder::Arrival
        } else {
            RxOrder::AheadOfToken
        };
        match what % 16 {
            0 | 1 => self.cooperate(usize::from(feed.u8())),
            2 => self.wake(),
            3 => self.sleep(Duration::from_millis(feed.u16().into())),
            4 => self.mcast(feed),
            5 => self.request(feed),
            6 => self.receive(feed.long_bytes(), order),
            7 => self.receive_again(feed, order),
            8 => {
                let mask = feed.u8();
                let alive = [1, 3, 4].into_iter().filter(|id| mask & (1 << id) != 0);
                self.puppets.alive = alive.map(NodeId).collect();
            }
            9 => {
                let from = self.puppets.alive.first().copied().unwrap_or(NodeId(3));
                self.puppets.send(from, feed.short_bytes().to_vec());
            }
            _ => {
                let frame = craft::frame(feed, &self.srp, self.history.back());
                self.receive(&frame, order);
            }
        }
    }

    /// The neighbours answer and timers act, this many times.
    fn cooperate(&mut self, times: usize) {
        for _ in 0..times {
            match self.arriving.pop_front() {
                Some(frame) => {
                    self.now = self.now + LATENCY;
                    self.receive(&frame, RxOrder::Arrival);
                }
                None => self.wake(),
            }
        }
    }

    /// The next timer acts when it is due.
    fn wake(&mut self) {
        let (at, _) = self.srp.poll_timeout().expect("a timer runs at all times");
        self.now = self.now.max(at);
        self.srp.handle_timeout(self.now);
        self.drain();
    }

    /// The process does not run for a while.
    fn sleep(&mut self, time: Duration) {
        self.now = self.now + time;
        for _ in 0..WAKES_AT_ONCE_MAX {
            if self.srp.poll_timeout().is_none_or(|(at, _)| at > self.now) {
                return;
            }
            self.srp.handle_timeout(self.now);
            self.drain();
        }
        panic!("timers are due without end");
    }

    fn mcast(&mut self, feed: &mut Feed<'_>) {
        let lane = feed.pick(&[Lane::Regular, Lane::Transitional]);
        let len = usize::from(feed.u16()) % (self.srp.config().payload_mtu.get() + 1);
        let frame = BytesMut::zeroed(Srp::FRAME_HEAD + len);
        let free = self.srp.free_frames(lane);
        let queued = self.srp.mcast(self.now, lane, Guarantee::Agreed, frame);
        assert_eq!(queued.is_ok(), free > 0);
        self.drain();
    }

    fn request(&mut self, feed: &mut Feed<'_>) {
        match feed.u8() % 6 {
            0 => self.srp.trans_ack(),
            1 => self.srp.request_token_event(self.now),
            2 => self.srp.force_gather(self.now),
            3 => self.srp.leave(),
            4 => self.srp.reconfigure(config(feed.u8())),
            _ => self.srp.clear_stats(),
        }
        self.drain();
    }

    fn receive(&mut self, frame: &[u8], order: RxOrder) {
        self.input(Some((frame, order)));
    }

    /// A frame of the node comes back, with a few bytes changed.
    fn receive_again(&mut self, feed: &mut Feed<'_>, order: RxOrder) {
        let Some(frame) = self.history.get(usize::from(feed.u8()) % HISTORY) else {
            return;
        };
        let mut frame = frame.to_vec();
        for _ in 0..feed.u8() % 4 {
            let at = usize::from(feed.u8()) % frame.len();
            frame[at] = feed.u8();
        }
        self.receive(&frame, order);
    }

    fn input(&mut self, frame: Option<(&[u8], RxOrder)>) {
        let input = match frame {
            None => Input::LinksReady,
            Some((frame, order)) => Input::Packet {
                frame: Bytes::copy_from_slice(frame),
                order,
            },
        };
        self.srp.handle(self.now, input);
        self.drain();
    }

    fn drain(&mut self) {
        let mut outputs = 0;
        while let Some(output) = self.srp.poll_output() {
            outputs += 1;
            assert!(outputs <= OUTPUTS_MAX, "one input has effects without end");
            self.watch.see(&output);
            match output {
                Output::Transmit(transmit) => self.transmit(transmit),
                Output::DiscardReceived => self.arriving.clear(),
                Output::StoreRingSeq(_)
                | Output::Deliver(_)
                | Output::ConfChg(_)
                | Output::Stranger(_)
                | Output::TokenPassed
                | Output::Event(_) => {}
            }
        }
    }

    fn transmit(&mut self, transmit: Transmit) {
        let carries = match self.srp.state() {
            MembStateKind::Operational => Carries::Messages,
            MembStateKind::Gather | MembStateKind::Commit | MembStateKind::Recovery => {
                Carries::Nothing
            }
        };
        let hearers: Vec<NodeId> = match transmit.to {
            Destination::Ring => self.puppets.alive.iter().copied().collect(),
            Destination::Node(node) => vec![node],
        };
        for node in hearers {
            let answers = self.puppets.hear(node, &transmit.frame, carries);
            self.arriving.extend(answers);
        }
        self.arriving.truncate(ARRIVING_MAX);
        self.history.push_front(transmit.frame);
        self.history.truncate(HISTORY);
    }

    /// Nobody else is there any more.
    fn fall_silent(&mut self) {
        self.puppets.alive.clear();
        self.arriving.clear();
        for _ in 0..WAKES_ALONE_MAX {
            let alone = self.srp.members().as_slice() == [ME];
            if alone && self.srp.state() == MembStateKind::Operational {
                return;
            }
            self.wake();
        }
        panic!(
            "alone, but in {:?} with {:?} knowing {:?}",
            self.srp.state(),
            self.srp.members(),
            self.srp.known()
        );
    }
}

/// Short timers and low thresholds, so that few inputs reach them.
fn config(choice: u8) -> SrpConfig {
    let defaults = SrpConfig::for_token(Duration::from_millis(1_000));
    let netmtu = if choice & 1 == 0 { 1_500 } else { 256 };
    SrpConfig {
        payload_mtu: PayloadMtu::from_netmtu(netmtu).expect("within its range"),
        fail_recv_const: if choice & 2 == 0 { 2_500 } else { 3 },
        seqno_unchanged_const: if choice & 4 == 0 { 30 } else { 2 },
        miss_count_const: if choice & 8 == 0 { 5 } else { 1 },
        heartbeat_failures_allowed: if choice & 16 == 0 { 0 } else { 2 },
        cancel_hold_on_retransmit: if choice & 32 == 0 {
            CancelHold::Never
        } else {
            CancelHold::OnRetransmit
        },
        send_join: Duration::from_millis(if choice & 64 == 0 { 0 } else { 80 }),
        window_size: if choice & 128 == 0 { 50 } else { 4_096 },
        max_messages: if choice & 128 == 0 { 17 } else { 4_096 },
        ..defaults
    }
}

/// The node under test: not the lowest, so that others represent rings too.
const ME: NodeId = NodeId(2);
/// How long a frame is on its way.
const LATENCY: Duration = Duration::from_micros(100);
/// Operations of one input.
const STEPS_MAX: usize = 400;
/// Frames of the node that can come back.
const HISTORY: usize = 8;
/// Frames on their way to the node.
const ARRIVING_MAX: usize = 256;
/// Effects of one input: a whole window of messages may become deliverable at once.
const OUTPUTS_MAX: usize = 40_000;
/// Timers that may be due at one instant, each a few times: a node alone passes its token to itself in no time.
const WAKES_AT_ONCE_MAX: usize = 10_000;
/// Timers that act before a node alone has its ring.
const WAKES_ALONE_MAX: usize = 10_000;

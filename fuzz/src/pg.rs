//! Packets of application messages: their layout, and putting messages together from them.

use bytes::Bytes;
use ferrosync_totem::pg::{Company, Group, GroupMessage, Pg, PgOutput};
use ferrosync_totem::srp::{Input, MembStateKind, RxOrder};
use ferrosync_totem::{Srp, SrpConfig};
use ferrosync_wire::pg::{Grouped, Packet, PacketHeader};
use ferrosync_wire::totem::{FRAME_MAX, Mcast};
use ferrosync_wire::{Encode, Instant, NodeId, RingSeq};

use crate::feed::Feed;
use crate::puppet::{mcast_frame, packet};

/// The whole input as a packet and as a message, then the input as a sequence of packets of several senders.
///
/// A packet that parses encodes to the same bytes; no message is longer than the limit; and whatever was sent
/// before, the second packet that holds a whole message delivers it: among C nodes the first one may be thrown away.
pub fn wire_pg(data: &[u8]) {
    layout(data);
    let mut assembly = Assembly::new();
    let mut feed = Feed::new(data);
    for _ in 0..STEPS_MAX {
        if feed.is_empty() {
            break;
        }
        assembly.step(&mut feed);
    }
    assembly.finish();
}

fn layout(data: &[u8]) {
    if let Ok(grouped) = Grouped::parse(data) {
        assert!(grouped.body_offset <= data.len());
    }
    let Ok(packet) = Packet::parse(data) else {
        return;
    };
    assert_eq!(packet.lengths().sum::<usize>(), packet.data().len());
    assert_eq!(
        packet.lengths().count(),
        usize::from(packet.header.msg_count)
    );
    let mut again = packet.header.to_vec();
    for length in packet.lengths() {
        let length = u16::try_from(length).expect("read from two bytes");
        again.extend_from_slice(&length.to_le_bytes());
    }
    assert_eq!(again.len(), packet.data_offset());
    again.extend_from_slice(packet.data());
    // Version and type are read by nobody.
    assert_eq!(again[4..], data[4..]);
}

/// A node alone on its ring, to which frames of others are handed in.
struct Assembly {
    now: Instant,
    pg: Pg,
    seq: u32,
    delivered: Vec<GroupMessage>,
}

impl Assembly {
    fn new() -> Self {
        let now = Instant::from_nanos(1_000_000_000);
        let srp = Srp::new(NodeId(1), SrpConfig::for_nodes(4), RingSeq(0), 0, now);
        let mut assembly = Self {
            now,
            pg: Pg::new(srp),
            seq: 0,
            delivered: Vec::new(),
        };
        assembly.pg.handle(now, Input::LinksReady);
        assembly.drain();
        for _ in 0..FORMING_STEPS_MAX {
            if assembly.pg.srp().state() == MembStateKind::Operational {
                return assembly;
            }
            let (at, _) = assembly.pg.poll_timeout().expect("a timer runs");
            assembly.now = at;
            assembly.pg.handle_timeout(at);
            assembly.drain();
        }
        panic!("a node alone forms a ring");
    }

    fn step(&mut self, feed: &mut Feed<'_>) {
        let what = feed.u8();
        let from = NodeId(2 + u32::from(what >> 4) % SENDERS);
        match what % 8 {
            0..=4 => {
                let payload = crafted(feed);
                self.receive(from, &payload);
            }
            5 | 6 => self.receive(from, feed.long_bytes()),
            _ => {
                let company = if what & 8 == 0 {
                    Company::Mixed
                } else {
                    Company::Mending
                };
                self.pg.trans_ack(self.now, company);
                self.drain();
            }
        }
    }

    fn receive(&mut self, from: NodeId, payload: &[u8]) {
        let payload = &payload[..payload.len().min(FRAME_MAX - 2 * Mcast::LEN)];
        self.seq += 1;
        let frame = mcast_frame(self.pg.srp().ring_id(), self.seq, from, payload);
        let input = Input::Packet {
            frame: Bytes::from(frame),
            order: RxOrder::Arrival,
        };
        self.pg.handle(self.now, input);
        self.drain();
    }

    fn drain(&mut self) {
        self.delivered.clear();
        while let Some(output) = self.pg.poll_output() {
            if let PgOutput::Message(message) = output {
                assert!(message.body.len() <= Pg::MESSAGE_MAX);
                self.delivered.push(message);
            }
        }
    }

    /// Nothing that came before hides a whole message.
    fn finish(&mut self) {
        for sender in 0..SENDERS {
            let from = NodeId(2 + sender);
            self.receive(from, &packet(Group::Services.header(), b"first"));
            self.receive(from, &packet(Group::Services.header(), b"whole"));
            let expected = GroupMessage {
                from,
                group: Group::Services,
                body: Bytes::from_static(b"whole"),
            };
            assert_eq!(self.delivered, [expected]);
        }
    }
}

/// A packet whose lengths mostly add up.
fn crafted(feed: &mut Feed<'_>) -> Vec<u8> {
    let header = PacketHeader {
        fragmented: feed.u8() % 4,
        continuation: feed.u8() % 4,
        msg_count: u16::from(feed.u8() % 8),
    };
    let pieces: Vec<Vec<u8>> = (0..header.msg_count).map(|_| piece(feed)).collect();
    let mut out = header.to_vec();
    for piece in &pieces {
        let len = u16::try_from(piece.len()).unwrap_or(u16::MAX);
        out.extend_from_slice(&len.to_le_bytes());
    }
    for piece in &pieces {
        out.extend_from_slice(piece);
    }
    out
}

fn piece(feed: &mut Feed<'_>) -> Vec<u8> {
    let (head, len): (&[u8], usize) = match feed.u8() % 6 {
        0 => (Group::Services.header(), usize::from(feed.u8())),
        1 => (Group::Sync.header(), usize::from(feed.u8())),
        2 => (Group::Services.header(), usize::from(feed.u16())),
        3 => (&[], usize::from(feed.u16())),
        4 => return feed.short_bytes().to_vec(),
        _ => (&[2, 0, 1, 0], usize::from(feed.u8())),
    };
    let mut out = head.to_vec();
    out.resize(head.len() + len, 0);
    out
}

/// Senders besides the node itself.
const SENDERS: u32 = 4;
/// Packets of one input: enough for several messages of the greatest length.
const STEPS_MAX: usize = 200;
/// Timers that act until a node alone has its ring.
const FORMING_STEPS_MAX: usize = 1_000;

//! Frames made of plausible parts that do not have to fit together.

use bytes::Bytes;
use ferrosync_totem::Srp;
use ferrosync_wire::totem::{
    CommitMember, CommitToken, ENCAPSULATED, FRAME_MAX, Header, Join, Kind, Mcast, MergeDetect,
    Message, NODES_MAX, NOT_ENCAPSULATED, OrfToken, RTR_MAX, RtrItem, TokenHoldCancel,
    frame as encode,
};
use ferrosync_wire::{NodeId, RingId, RingSeq};

use crate::feed::Feed;
use crate::puppet::mcast_frame;

/// One frame of any kind; `last` is what the node sent last.
pub(super) fn frame(feed: &mut Feed<'_>, srp: &Srp, last: Option<&Bytes>) -> Vec<u8> {
    let around = Around::new(srp, last);
    let kind = feed.u8();
    let from = node(feed);
    let header = |kind| Header::new(kind, 0, from);
    match kind % 6 {
        0 => encode(header(Kind::OrfToken), &around.orf_token(feed)),
        1 => around.mcast(feed, from),
        2 => encode(
            header(Kind::MergeDetect),
            &MergeDetect {
                system_from: from,
                ring: around.ring(feed),
            },
        ),
        3 => {
            let from = if feed.u8().is_multiple_of(4) {
                NodeId(0)
            } else {
                from
            };
            encode(Header::new(Kind::Join, 0, from), &around.join(feed))
        }
        4 => encode(header(Kind::CommitToken), &around.commit_token(feed)),
        _ => {
            let ring = around.ring(feed);
            encode(header(Kind::TokenHoldCancel), &TokenHoldCancel { ring })
        }
    }
}

/// What an onlooker knows of the node.
struct Around {
    ring: RingId,
    members: Vec<NodeId>,
    known: Vec<NodeId>,
    /// The token seen last.
    token: OrfToken,
}

impl Around {
    fn new(srp: &Srp, last: Option<&Bytes>) -> Self {
        let mut token = OrfToken {
            seq: 0,
            token_seq: 0,
            aru: 0,
            aru_addr: NodeId(0),
            ring: srp.ring_id(),
            backlog: 0,
            fcc: 0,
            retrans_flg: 0,
            rtr: Vec::new(),
        };
        match last.map(|frame| Message::parse(frame)) {
            Some(Ok((_, Message::OrfToken(seen)))) => token = seen,
            Some(Ok((_, Message::Mcast(seen, _)))) => token.seq = seen.seq,
            Some(_) | None => {}
        }
        Self {
            ring: srp.ring_id(),
            members: srp.members().as_slice().to_vec(),
            known: srp.known().as_slice().to_vec(),
            token,
        }
    }

    fn ring(&self, feed: &mut Feed<'_>) -> RingId {
        match feed.u8() % 4 {
            0 | 1 => self.ring,
            2 => RingId {
                rep: node(feed),
                seq: self.ring_seq(feed),
            },
            _ => RingId {
                rep: self.ring.rep,
                seq: self.ring_seq(feed),
            },
        }
    }

    fn ring_seq(&self, feed: &mut Feed<'_>) -> RingSeq {
        match feed.u8() {
            255 => RingSeq(feed.u64()),
            distance => {
                let distance = i64::from(distance.cast_signed());
                RingSeq(self.ring.seq.0.wrapping_add_signed(distance))
            }
        }
    }

    fn orf_token(&self, feed: &mut Feed<'_>) -> OrfToken {
        let count = usize::from(feed.u8()) % (RTR_MAX + 1);
        OrfToken {
            seq: feed.near(self.token.seq),
            token_seq: feed.near(self.token.token_seq),
            aru: feed.near(self.token.aru),
            aru_addr: node(feed),
            ring: self.ring(feed),
            backlog: feed.near(self.token.backlog),
            fcc: feed.near(self.token.fcc),
            retrans_flg: i32::from(feed.u8() % 2),
            rtr: (0..count)
                .map(|_| RtrItem {
                    ring: self.ring(feed),
                    seq: feed.near(self.token.seq),
                })
                .collect(),
        }
    }

    /// An ordinary message, a long one, or one that wraps one of another ring.
    fn mcast(&self, feed: &mut Feed<'_>, from: NodeId) -> Vec<u8> {
        let (ring, seq) = (self.ring(feed), feed.near(self.token.seq));
        match feed.u8() % 4 {
            0 => {
                let len = usize::from(feed.u16()).min(FRAME_MAX - Mcast::LEN);
                mcast_frame(ring, seq, from, &vec![0; len])
            }
            1 => {
                let (inner_ring, inner_seq) = (self.ring(feed), feed.near(self.token.seq));
                let inner = mcast_frame(inner_ring, inner_seq, node(feed), feed.short_bytes());
                let mut outer = mcast_frame(ring, seq, from, &inner);
                outer[ENCAPSULATED_AT] = ENCAPSULATED;
                outer
            }
            _ => {
                let mut bytes = mcast_frame(ring, seq, from, feed.short_bytes());
                bytes[ENCAPSULATED_AT] = feed.pick(&[NOT_ENCAPSULATED, ENCAPSULATED, 0]);
                bytes
            }
        }
    }

    fn join(&self, feed: &mut Feed<'_>) -> Join {
        Join {
            system_from: node(feed),
            ring_seq: self.ring_seq(feed),
            proc_list: self.nodes(feed),
            failed_list: self.nodes(feed),
        }
    }

    fn nodes(&self, feed: &mut Feed<'_>) -> Vec<NodeId> {
        match feed.u8() {
            mask @ 0..32 => (0..5)
                .filter(|id| mask & (1 << id) != 0)
                .map(NodeId)
                .collect(),
            32..64 => self.known.clone(),
            64..96 => self.members.clone(),
            96..128 => {
                let first = feed.u32();
                let count = usize::from(feed.u16()) % (NODES_MAX + 1);
                let distances = (0_u32..).take(count);
                distances.map(|i| NodeId(first.wrapping_add(i))).collect()
            }
            count => (0..count % 16).map(|_| node(feed)).collect(),
        }
    }

    fn commit_token(&self, feed: &mut Feed<'_>) -> CommitToken {
        let mut addr = self.nodes(feed);
        if addr.is_empty() {
            addr.push(NodeId(2));
        }
        let members: Vec<CommitMember> = addr
            .iter()
            .map(|_| CommitMember {
                ring: self.ring(feed),
                aru: feed.near(self.token.seq),
                high_delivered: feed.near(self.token.seq),
                received_flg: u32::from(feed.u8() % 2),
            })
            .collect();
        let len = u32::try_from(addr.len()).expect("few nodes");
        CommitToken {
            token_seq: feed.near(self.token.token_seq),
            ring: self.ring(feed),
            retrans_flg: 0,
            memb_index: u32::from(feed.u8()) % (len + 1),
            addr,
            members,
        }
    }
}

/// Mostly one of those that exist.
fn node(feed: &mut Feed<'_>) -> NodeId {
    match feed.u8() {
        255 => NodeId(feed.u32()),
        few => NodeId(u32::from(few % 6)),
    }
}

/// Offset of the header's field.
const ENCAPSULATED_AT: usize = 4;

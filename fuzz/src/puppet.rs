//! Members of the ring besides the node under test: they answer what a correct member would, so that inputs reach
//! the states that need others.
//!
//! All of them together behave like one neighbour: a token that goes to one of them comes back as if it had gone
//! round all of them. They have every message of the ring and never lose one.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ferrosync_wire::pg::{Group, Grouped, Packet};
use ferrosync_wire::totem::{
    CommitMember, CommitToken, Header, Join, Kind, Mcast, Message, NOT_ENCAPSULATED, OrfToken,
    frame,
};
use ferrosync_wire::{NodeId, RingId, RingSeq};

/// The other members.
#[derive(Debug)]
pub(crate) struct Puppets {
    me: NodeId,
    /// Those that answer.
    pub(crate) alive: BTreeSet<NodeId>,
    /// Highest ring sequence number heard of.
    highest: RingSeq,
    /// The ring whose token they saw last, and the highest message number on it.
    ring: RingId,
    seq: u32,
    /// Messages that wait for the token: sender and payload.
    unsent: VecDeque<(NodeId, Vec<u8>)>,
    /// What they sent on this ring, to send it again.
    sent: BTreeMap<u32, Vec<u8>>,
}

/// Whether the ring may carry messages of applications now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carries {
    /// Recovery goes on.
    Nothing,
    /// The node under test has installed the ring.
    Messages,
}

impl Puppets {
    pub(crate) fn new(me: NodeId, alive: &[u32]) -> Self {
        Self {
            me,
            alive: alive.iter().copied().map(NodeId).collect(),
            highest: RingSeq(0),
            ring: RingId::ZERO,
            seq: 0,
            unsent: VecDeque::new(),
            sent: BTreeMap::new(),
        }
    }

    /// Has a member send a payload at the next token. What waits is bounded; more is forgotten.
    pub(crate) fn send(&mut self, from: NodeId, payload: Vec<u8>) {
        if self.unsent.len() < UNSENT_MAX {
            self.unsent.push_back((from, payload));
        }
    }

    /// What the members answer to a frame that one of them gets.
    pub(crate) fn hear(&mut self, to: NodeId, bytes: &[u8], carries: Carries) -> Vec<Vec<u8>> {
        if !self.alive.contains(&to) {
            return Vec::new();
        }
        let Ok((header, message)) = Message::parse(bytes) else {
            panic!("the node sends what cannot be parsed: {bytes:x?}");
        };
        match message {
            Message::Join(join) if header.nodeid == self.me => self.on_join(to, &join),
            Message::CommitToken(token) => self.on_commit(token),
            Message::OrfToken(token) => self.on_token(token, carries),
            Message::Mcast(_, payload) => {
                self.on_mcast(to, &header, payload);
                Vec::new()
            }
            Message::MergeDetect(_) => vec![self.introduction(to)],
            Message::Join(_) | Message::TokenHoldCancel(_) => Vec::new(),
        }
    }

    /// Agrees, or tells of itself; the lowest member of an agreed membership starts the commit token.
    fn on_join(&mut self, to: NodeId, join: &Join) -> Vec<Vec<u8>> {
        self.highest = self.highest.max(join.ring_seq);
        let failed: BTreeSet<NodeId> = join.failed_list.iter().copied().collect();
        if failed.contains(&to) {
            return Vec::new();
        }
        let mut proc: BTreeSet<NodeId> = join.proc_list.iter().copied().collect();
        let agrees = self.alive.is_subset(&proc);
        proc.extend(&self.alive);
        let answer = Join {
            system_from: to,
            ring_seq: self.ring.seq,
            proc_list: proc.iter().copied().collect(),
            failed_list: failed.iter().copied().collect(),
        };
        let mut out = vec![frame(Header::new(Kind::Join, 0, to), &answer)];
        let members: Vec<NodeId> = proc.difference(&failed).copied().collect();
        let present = |node: &NodeId| *node == self.me || self.alive.contains(node);
        if agrees && members.first() == Some(&to) && members.iter().all(present) {
            out.push(self.start_commit(&members));
        }
        out
    }

    /// A member that heard of the node's ring wants to come in.
    fn introduction(&self, from: NodeId) -> Vec<u8> {
        let mut proc = self.alive.clone();
        proc.insert(self.me);
        let join = Join {
            system_from: from,
            ring_seq: self.ring.seq,
            proc_list: proc.into_iter().collect(),
            failed_list: Vec::new(),
        };
        frame(Header::new(Kind::Join, 0, from), &join)
    }

    fn start_commit(&mut self, members: &[NodeId]) -> Vec<u8> {
        self.highest = RingSeq(self.highest.0.saturating_add(4));
        let rep = members[0];
        let mut token = CommitToken {
            token_seq: 1,
            ring: RingId {
                rep,
                seq: self.highest,
            },
            retrans_flg: 0,
            memb_index: 0,
            addr: members.to_vec(),
            members: vec![EMPTY; members.len()],
        };
        self.fill_until_ours(&mut token);
        frame(Header::new(Kind::CommitToken, 0, rep), &token)
    }

    /// Fills in entries up to that of the node under test.
    fn fill_until_ours(&self, token: &mut CommitToken) {
        while let Some(node) = token.addr.get(token.memb_index as usize).copied()
            && node != self.me
        {
            let own_ring = RingId {
                rep: node,
                seq: RingSeq(4),
            };
            token.members[token.memb_index as usize] = CommitMember {
                ring: if self.ring == RingId::ZERO {
                    own_ring
                } else {
                    self.ring
                },
                aru: self.seq,
                high_delivered: self.seq,
                received_flg: 1,
            };
            token.memb_index += 1;
            token.token_seq = token.token_seq.wrapping_add(1);
        }
    }

    fn on_commit(&mut self, mut token: CommitToken) -> Vec<Vec<u8>> {
        let from = token.addr[0];
        let was_full = token.memb_index as usize == token.addr.len();
        self.highest = self.highest.max(token.ring.seq);
        self.fill_until_ours(&mut token);
        token.token_seq = token.token_seq.wrapping_add(1);
        if was_full {
            self.ring = token.ring;
            self.seq = 0;
            self.sent.clear();
            if from != self.me {
                return vec![self.first_token(from)];
            }
        }
        vec![frame(Header::new(Kind::CommitToken, 0, from), &token)]
    }

    fn first_token(&self, rep: NodeId) -> Vec<u8> {
        let token = OrfToken {
            seq: 0,
            token_seq: 0,
            aru: u32::MAX,
            aru_addr: rep,
            ring: self.ring,
            backlog: 0,
            fcc: 0,
            retrans_flg: 0,
            rtr: Vec::new(),
        };
        frame(Header::new(Kind::OrfToken, 0, rep), &token)
    }

    /// One rotation: what is asked for is sent again, what waits is sent, the token comes back.
    fn on_token(&mut self, mut token: OrfToken, carries: Carries) -> Vec<Vec<u8>> {
        if token.ring != self.ring {
            return Vec::new();
        }
        let mut out = Vec::new();
        token.rtr.retain(|item| match self.sent.get(&item.seq) {
            Some(frame) => {
                out.push(frame.clone());
                false
            }
            None => true,
        });
        while carries == Carries::Messages
            && out.len() < PER_TOKEN_MAX
            && let Some((from, payload)) = self.unsent.pop_front()
        {
            token.seq = token.seq.wrapping_add(1);
            let bytes = mcast_frame(token.ring, token.seq, from, &payload);
            self.sent.insert(token.seq, bytes.clone());
            out.push(bytes);
        }
        while self.sent.len() > SENT_MAX {
            self.sent.pop_first();
        }
        self.seq = token.seq;
        token.token_seq = token.token_seq.wrapping_add(1);
        if token.aru_addr != self.me {
            token.aru = token.seq;
            token.aru_addr = NodeId(0);
        }
        let from = self.alive.first().copied().unwrap_or(NodeId(1));
        out.push(frame(Header::new(Kind::OrfToken, 0, from), &token));
        out
    }

    /// Synchronises as the node under test does: it has the same services.
    fn on_mcast(&mut self, to: NodeId, header: &Header, payload: &[u8]) {
        if header.nodeid != self.me || header.encapsulated != NOT_ENCAPSULATED {
            return;
        }
        let Ok(packet) = Packet::parse(payload) else {
            return;
        };
        let mut data = packet.data();
        for length in packet.lengths() {
            let (piece, rest) = data.split_at(length);
            data = rest;
            if Grouped::parse(piece).is_ok_and(|grouped| grouped.group == Some(Group::Sync)) {
                return self.send(to, payload.to_vec());
            }
        }
    }
}

/// An ordinary message of the ring.
pub(crate) fn mcast_frame(ring: RingId, seq: u32, from: NodeId, payload: &[u8]) -> Vec<u8> {
    let mcast = Mcast {
        system_from: from,
        seq,
        this_seqno: 0,
        ring,
        node_id: 0,
        guarantee: 0,
    };
    let mut bytes = frame(Header::new(Kind::Mcast, NOT_ENCAPSULATED, from), &mcast);
    bytes.extend_from_slice(payload);
    bytes
}

/// A packet that holds one whole message.
pub(crate) fn packet(group: &[u8], body: &[u8]) -> Vec<u8> {
    let len = u16::try_from(group.len() + body.len()).expect("inputs are shorter than a frame");
    let mut out = vec![0; 6];
    out.extend_from_slice(&1_u16.to_le_bytes());
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(group);
    out.extend_from_slice(body);
    out
}

const EMPTY: CommitMember = CommitMember {
    ring: RingId::ZERO,
    aru: 0,
    high_delivered: 0,
    received_flg: 0,
};

/// Messages that wait for the token.
const UNSENT_MAX: usize = 256;
/// Messages of one token visit.
const PER_TOKEN_MAX: usize = 16;
/// Messages kept for those who ask for them.
const SENT_MAX: usize = 256;

//! Messages of the ring protocol (corosync `exec/totemsrp.c`, `include/corosync/totem/totem.h`, v3.1.7).
//!
//! Every message starts with a 13-byte [`Header`]; all structures are packed. Datagrams may be longer than the
//! message they carry, so trailing bytes are accepted except behind a [`Mcast`], whose payload is the rest.

use crate::codec::{Decode, DecodeError, Encode, Reader, Writer};
use crate::ids::{NodeId, RingId, RingSeq};

/// First two bytes of every message in our byte order (`TOTEM_MH_MAGIC`).
pub const MAGIC: u16 = 0xC070;
/// The magic as a big-endian peer writes it.
pub const FOREIGN_MAGIC: u16 = MAGIC.swap_bytes();
/// Header version (`TOTEM_MH_VERSION`).
pub const VERSION: u8 = 3;
/// Largest frame of any kind (`FRAME_SIZE_MAX`).
pub const FRAME_MAX: usize = 65_536;
/// Most members of a ring (`PROCESSOR_COUNT_MAX`).
pub const NODES_MAX: usize = 384;
/// Most retransmit requests in one token (`RETRANSMIT_ENTRIES_MAX`); C peers without Debian's patch overflow
/// a buffer when sent more.
pub const RTR_MAX: usize = 30;

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The token that orders the ring's messages.
    OrfToken = 0,
    /// An application message, or one that recovery sends again.
    Mcast = 1,
    /// Announces a ring to nodes outside it.
    MergeDetect = 2,
    /// Proposes a membership.
    Join = 3,
    /// Commits a membership.
    CommitToken = 4,
    /// Asks the representative to stop holding the token.
    TokenHoldCancel = 5,
}

/// The 13 bytes in front of every message (`struct totem_message_header`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What follows.
    pub kind: Kind,
    /// For `Mcast`: whether it carries a message of the old ring; zero elsewhere.
    pub encapsulated: u8,
    /// Who put this copy on the wire last; 0 marks a leave.
    pub nodeid: NodeId,
    /// Destination on knet, 0 for everybody; meaningless on udp and udpu.
    pub target: NodeId,
}

/// Header field `encapsulated` of an mcast that wraps a message of the old ring.
pub const ENCAPSULATED: u8 = 1;
/// Header field `encapsulated` of an ordinary mcast.
pub const NOT_ENCAPSULATED: u8 = 2;

impl Header {
    /// Bytes on the wire.
    pub const LEN: usize = 13;

    /// A header with no target.
    #[must_use]
    pub const fn new(kind: Kind, encapsulated: u8, nodeid: NodeId) -> Self {
        Self {
            kind,
            encapsulated,
            nodeid,
            target: NodeId(0),
        }
    }
}

impl Decode<'_> for Header {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let magic = r.u16("magic")?;
        if magic != MAGIC {
            return Err(DecodeError::BadMagic(magic));
        }
        let version = r.u8("version")?;
        if version != VERSION {
            return Err(DecodeError::BadVersion(version));
        }
        let kind = match r.u8("type")? {
            0 => Kind::OrfToken,
            1 => Kind::Mcast,
            2 => Kind::MergeDetect,
            3 => Kind::Join,
            4 => Kind::CommitToken,
            5 => Kind::TokenHoldCancel,
            other => return Err(DecodeError::UnknownType(other)),
        };
        Ok(Self {
            kind,
            encapsulated: r.u8("encapsulated")?,
            nodeid: NodeId(r.u32("nodeid")?),
            target: NodeId(r.u32("target nodeid")?),
        })
    }
}

impl Encode for Header {
    fn encode(&self, w: &mut Writer<'_>) {
        w.u16(MAGIC);
        w.u8(VERSION);
        w.u8(self.kind as u8);
        w.u8(self.encapsulated);
        w.u32(self.nodeid.0);
        w.u32(self.target.0);
    }
}

/// One message of the ring, borrowed from its datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// See [`Kind::OrfToken`].
    OrfToken(OrfToken),
    /// See [`Kind::Mcast`]; with its payload.
    Mcast(Mcast, &'a [u8]),
    /// See [`Kind::MergeDetect`].
    MergeDetect(MergeDetect),
    /// See [`Kind::Join`].
    Join(Join),
    /// See [`Kind::CommitToken`].
    CommitToken(CommitToken),
    /// See [`Kind::TokenHoldCancel`].
    TokenHoldCancel(TokenHoldCancel),
}

impl<'a> Message<'a> {
    /// Parses one datagram. Total: any input gives a message or an error, never a panic.
    pub fn parse(datagram: &'a [u8]) -> Result<(Header, Self), DecodeError> {
        if datagram.len() > FRAME_MAX {
            return Err(DecodeError::TrailingBytes(datagram.len() - FRAME_MAX));
        }
        let mut r = Reader::new(datagram);
        let header = Header::decode(&mut r)?;
        let message = match header.kind {
            Kind::OrfToken => Self::OrfToken(OrfToken::decode(&mut r)?),
            Kind::Mcast => Self::Mcast(Mcast::decode(&mut r)?, r.rest()),
            Kind::MergeDetect => Self::MergeDetect(MergeDetect::decode(&mut r)?),
            Kind::Join => Self::Join(Join::decode(&mut r)?),
            Kind::CommitToken => Self::CommitToken(CommitToken::decode(&mut r)?),
            Kind::TokenHoldCancel => Self::TokenHoldCancel(TokenHoldCancel::decode(&mut r)?),
        };
        Ok((header, message))
    }
}

/// One entry of a token's retransmit list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RtrItem {
    /// Ring of the missing message.
    pub ring: RingId,
    /// Sequence number of the missing message.
    pub seq: u32,
}

/// The ordering token: 57 bytes and 16 per retransmit request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrfToken {
    /// Highest message sequence number on the ring.
    pub seq: u32,
    /// Grows by one per hop; a repeated token is recognised by it.
    pub token_seq: u32,
    /// All members are believed to have every message up to here.
    pub aru: u32,
    /// Who lowered `aru`; 0 for nobody.
    pub aru_addr: NodeId,
    /// Ring that this token orders.
    pub ring: RingId,
    /// Messages waiting at all members together.
    pub backlog: u32,
    /// Messages sent during the last rotation.
    pub fcc: u32,
    /// Recovery: non-zero while somebody still has old messages to send.
    pub retrans_flg: i32,
    /// Messages that somebody misses; at most [`RTR_MAX`].
    pub rtr: Vec<RtrItem>,
}

impl OrfToken {
    /// Bytes on the wire without retransmit requests, header included.
    pub const MIN_LEN: usize = 57;
}

impl Decode<'_> for OrfToken {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut token = Self {
            seq: r.u32("token seq")?,
            token_seq: r.u32("token token_seq")?,
            aru: r.u32("token aru")?,
            aru_addr: NodeId(r.u32("token aru_addr")?),
            ring: RingId::decode(r)?,
            backlog: r.u32("token backlog")?,
            fcc: r.u32("token fcc")?,
            retrans_flg: r.i32("token retrans_flg")?,
            rtr: Vec::new(),
        };
        let count = list_len(r.u32("token rtr count")?, RTR_MAX, "token rtr count")?;
        token.rtr.reserve_exact(count);
        for _ in 0..count {
            token.rtr.push(RtrItem {
                ring: RingId::decode(r)?,
                seq: r.u32("rtr seq")?,
            });
        }
        Ok(token)
    }
}

impl Encode for OrfToken {
    fn encode(&self, w: &mut Writer<'_>) {
        assert!(self.rtr.len() <= RTR_MAX, "longer lists crash C peers");
        w.u32(self.seq);
        w.u32(self.token_seq);
        w.u32(self.aru);
        w.u32(self.aru_addr.0);
        self.ring.encode(w);
        w.u32(self.backlog);
        w.u32(self.fcc);
        w.i32(self.retrans_flg);
        w.u32(wire_len(self.rtr.len()));
        for item in &self.rtr {
            item.ring.encode(w);
            w.u32(item.seq);
        }
    }
}

/// Fixed part of an ordered message; the payload follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mcast {
    /// Who originated this copy.
    pub system_from: NodeId,
    /// Position in the ring's total order.
    pub seq: u32,
    /// Sender-local counter that nobody reads.
    pub this_seqno: i32,
    /// Ring in whose order `seq` counts.
    pub ring: RingId,
    /// Never written by C.
    pub node_id: u32,
    /// What the caller asked for: 0 agreed, 1 safe; nobody reads it.
    pub guarantee: i32,
}

impl Mcast {
    /// Bytes on the wire in front of the payload, header included.
    pub const LEN: usize = 45;
}

impl Decode<'_> for Mcast {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            system_from: NodeId(r.u32("mcast system_from")?),
            seq: r.u32("mcast seq")?,
            this_seqno: r.i32("mcast this_seqno")?,
            ring: RingId::decode(r)?,
            node_id: r.u32("mcast node_id")?,
            guarantee: r.i32("mcast guarantee")?,
        })
    }
}

impl Encode for Mcast {
    fn encode(&self, w: &mut Writer<'_>) {
        w.u32(self.system_from.0);
        w.u32(self.seq);
        w.i32(self.this_seqno);
        self.ring.encode(w);
        w.u32(self.node_id);
        w.i32(self.guarantee);
    }
}

/// Tells nodes outside a ring that it exists: 29 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MergeDetect {
    /// The representative that sends it.
    pub system_from: NodeId,
    /// Its ring.
    pub ring: RingId,
}

impl Decode<'_> for MergeDetect {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            system_from: NodeId(r.u32("merge detect system_from")?),
            ring: RingId::decode(r)?,
        })
    }
}

impl Encode for MergeDetect {
    fn encode(&self, w: &mut Writer<'_>) {
        w.u32(self.system_from.0);
        self.ring.encode(w);
    }
}

/// A proposed membership: 33 bytes and 4 per listed node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Join {
    /// Who proposes; a leave keeps the real node here while the header says 0.
    pub system_from: NodeId,
    /// Ring sequence number that the proposer has seen.
    pub ring_seq: RingSeq,
    /// Nodes considered, failed ones included. A set: order carries no meaning.
    pub proc_list: Vec<NodeId>,
    /// Nodes considered failed. In a leave the last entry is the leaver.
    pub failed_list: Vec<NodeId>,
}

impl Decode<'_> for Join {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let system_from = NodeId(r.u32("join system_from")?);
        let procs = list_len(r.u32("join proc count")?, NODES_MAX, "join proc count")?;
        let faileds = list_len(r.u32("join failed count")?, NODES_MAX, "join failed count")?;
        Ok(Self {
            system_from,
            ring_seq: RingSeq(r.u64("join ring_seq")?),
            proc_list: node_list(r, procs, "join proc list")?,
            failed_list: node_list(r, faileds, "join failed list")?,
        })
    }
}

impl Encode for Join {
    fn encode(&self, w: &mut Writer<'_>) {
        w.u32(self.system_from.0);
        w.u32(wire_len(self.proc_list.len()));
        w.u32(wire_len(self.failed_list.len()));
        w.u64(self.ring_seq.0);
        for node in self.proc_list.iter().chain(&self.failed_list) {
            w.u32(node.0);
        }
    }
}

/// What one member says of itself in a commit token: 24 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommitMember {
    /// The ring it comes from; all zero while not yet filled in.
    pub ring: RingId,
    /// It has every message of that ring up to here.
    pub aru: u32,
    /// It delivered up to here.
    pub high_delivered: u32,
    /// Non-zero when it misses nothing that a survivor of its old ring has.
    pub received_flg: u32,
}

/// Carries an agreed membership round twice: 41 bytes and 28 per member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitToken {
    /// Grows by one per hop.
    pub token_seq: u32,
    /// The ring to be formed.
    pub ring: RingId,
    /// Unused by C, always 0.
    pub retrans_flg: u32,
    /// How many entries are filled in; at most `addr.len()`.
    pub memb_index: u32,
    /// Members in ascending order.
    pub addr: Vec<NodeId>,
    /// One entry per member, same order.
    pub members: Vec<CommitMember>,
}

impl Decode<'_> for CommitToken {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let token_seq = r.u32("commit token_seq")?;
        let ring = RingId::decode(r)?;
        let retrans_flg = r.u32("commit retrans_flg")?;
        let memb_index = r.u32("commit memb_index")?;
        let count = list_len(r.u32("commit count")?, NODES_MAX, "commit count")?;
        if count == 0 {
            return Err(DecodeError::BadValue {
                what: "commit count",
            });
        }
        list_len(memb_index, count, "commit memb_index")?;
        let addr = node_list(r, count, "commit addr")?;
        let mut members = Vec::with_capacity(count);
        for _ in 0..count {
            members.push(CommitMember {
                ring: RingId::decode(r)?,
                aru: r.u32("commit aru")?,
                high_delivered: r.u32("commit high_delivered")?,
                received_flg: r.u32("commit received_flg")?,
            });
        }
        Ok(Self {
            token_seq,
            ring,
            retrans_flg,
            memb_index,
            addr,
            members,
        })
    }
}

impl Encode for CommitToken {
    fn encode(&self, w: &mut Writer<'_>) {
        assert_eq!(self.addr.len(), self.members.len(), "one entry per member");
        w.u32(self.token_seq);
        self.ring.encode(w);
        w.u32(self.retrans_flg);
        w.u32(self.memb_index);
        w.u32(wire_len(self.addr.len()));
        for node in &self.addr {
            w.u32(node.0);
        }
        for m in &self.members {
            m.ring.encode(w);
            w.u32(m.aru);
            w.u32(m.high_delivered);
            w.u32(m.received_flg);
        }
    }
}

/// Asks the representative of `ring` to pass the token on at once: 25 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenHoldCancel {
    /// The ring whose token is held.
    pub ring: RingId,
}

impl Decode<'_> for TokenHoldCancel {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            ring: RingId::decode(r)?,
        })
    }
}

impl Encode for TokenHoldCancel {
    fn encode(&self, w: &mut Writer<'_>) {
        self.ring.encode(w);
    }
}

/// A header and a body as one frame in a vector.
pub fn frame(header: Header, body: &impl Encode) -> Vec<u8> {
    let mut out = Vec::with_capacity(128);
    let mut w = Writer::new(&mut out);
    header.encode(&mut w);
    body.encode(&mut w);
    out
}

fn list_len(count: u32, max: usize, what: &'static str) -> Result<usize, DecodeError> {
    match usize::try_from(count) {
        Ok(n) if n <= max => Ok(n),
        _ => Err(DecodeError::TooMany {
            what,
            count,
            max: wire_len(max),
        }),
    }
}

fn node_list(
    r: &mut Reader<'_>,
    count: usize,
    what: &'static str,
) -> Result<Vec<NodeId>, DecodeError> {
    // The bytes are taken before anything is allocated for them.
    let bytes = r.bytes(count * 4, what)?;
    Ok(bytes
        .chunks_exact(4)
        .map(|c| NodeId(u32::from_le_bytes([c[0], c[1], c[2], c[3]])))
        .collect())
}

fn wire_len(n: usize) -> u32 {
    u32::try_from(n).expect("lists of messages are bounded far below 2^32")
}

#[cfg(test)]
mod tests;

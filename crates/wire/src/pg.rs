//! The packing of application messages into ring messages (corosync `exec/totempg.c`, v3.1.7).
//!
//! A packet is the payload of one mcast: an 8-byte [`PacketHeader`], the lengths of its pieces, the pieces.
//! The first piece may end a message begun in the sender's previous packet, the last may go on in its next.

use crate::codec::{Decode, DecodeError, Encode, Reader, Writer};

/// Fixed part of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketHeader {
    /// 0: the last piece is complete; else the fragment id under which it goes on.
    pub fragmented: u8,
    /// `fragmented` of the sender's previous packet; 0: the first piece starts a message.
    pub continuation: u8,
    /// Number of pieces.
    pub msg_count: u16,
}

impl PacketHeader {
    /// Bytes on the wire.
    pub const LEN: usize = 8;
}

impl Encode for PacketHeader {
    fn encode(&self, w: &mut Writer<'_>) {
        w.u16(0); // version, which nobody reads
        w.u16(0); // type, which nobody reads
        w.u8(self.fragmented);
        w.u8(self.continuation);
        w.u16(self.msg_count);
    }
}

/// A packet whose lengths add up to exactly its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Fixed part.
    pub header: PacketHeader,
    lengths: &'a [u8],
    data: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Parses the payload of one mcast; C ignores whatever does not add up (`totempg.c:totempg_deliver_fn`).
    pub fn parse(payload: &'a [u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(payload);
        let packet = Self::decode(&mut r)?;
        if r.rest().is_empty() {
            Ok(packet)
        } else {
            Err(DecodeError::TrailingBytes(r.rest().len()))
        }
    }

    /// Offset of the first piece from the start of the packet.
    #[must_use]
    pub const fn data_offset(&self) -> usize {
        PacketHeader::LEN + self.lengths.len()
    }

    /// Lengths of the pieces, in order; they add up to the packet's data.
    pub fn lengths(&self) -> impl Iterator<Item = usize> + use<'a> {
        self.lengths
            .chunks_exact(2)
            .map(|c| usize::from(u16::from_le_bytes([c[0], c[1]])))
    }

    /// The pieces' bytes, one after the other.
    #[must_use]
    pub const fn data(&self) -> &'a [u8] {
        self.data
    }
}

impl<'a> Decode<'a> for Packet<'a> {
    fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        r.skip(4, "packet version and type")?;
        let header = PacketHeader {
            fragmented: r.u8("packet fragmented")?,
            continuation: r.u8("packet continuation")?,
            msg_count: r.u16("packet msg_count")?,
        };
        let mut packet = Self {
            header,
            lengths: r.bytes(usize::from(header.msg_count) * 2, "packet lengths")?,
            data: &[],
        };
        packet.data = r.bytes(packet.lengths().sum(), "packet data")?;
        Ok(packet)
    }
}

/// For whom a message is: the groups that nodes join.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// `a`: messages between services.
    Services,
    /// `sync`: messages of the synchronisation engine.
    Sync,
    /// `ykd`: messages of the quorum provider `corosync_ykd` (corosync `vsf_ykd.c:ykd_group`, v3.1.7).
    Ykd,
    /// `ferrosync`: messages among Ferrosync nodes. C nodes belong to no such group and ignore what is sent to it
    /// (corosync `totempg.c:app_deliver_fn`, v3.1.7).
    Ferrosync,
    /// `ferrosync_ykd`: messages of the quorum provider `ferrosync_ykd`, which C nodes ignore, too.
    FerrosyncYkd,
}

impl Group {
    const ALL: [Self; 5] = [
        Self::Services,
        Self::Sync,
        Self::Ykd,
        Self::Ferrosync,
        Self::FerrosyncYkd,
    ];

    /// The header that sends a message to this group alone: the number of groups, the lengths of their names, the
    /// names.
    #[must_use]
    pub const fn header(self) -> &'static [u8] {
        match self {
            Self::Services => b"\x01\x00\x01\x00a",
            Self::Sync => b"\x01\x00\x04\x00sync",
            Self::Ykd => b"\x01\x00\x03\x00ykd",
            Self::Ferrosync => b"\x01\x00\x09\x00ferrosync",
            Self::FerrosyncYkd => b"\x01\x00\x0d\x00ferrosync_ykd",
        }
    }

    fn named(name: &[u8]) -> Option<Self> {
        let is_it = |group: &Self| &group.header()[NAME_OFFSET..] == name;
        Self::ALL.into_iter().find(is_it)
    }
}

/// Where the name starts in the header of one group.
const NAME_OFFSET: usize = 4;

/// For whom a message is, and its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grouped {
    /// The first group named that exists; nobody sends to several.
    pub group: Option<Group>,
    /// Where the body starts.
    pub body_offset: usize,
}

impl Grouped {
    /// Reads the group header in front of every application message.
    pub fn parse(message: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(message);
        let count = usize::from(r.u16("group count")?);
        let lengths = r.bytes(count * 2, "group lengths")?;
        let mut group = None;
        for c in lengths.chunks_exact(2) {
            let name = r.bytes(usize::from(u16::from_le_bytes([c[0], c[1]])), "group name")?;
            group = group.or_else(|| Group::named(name));
        }
        Ok(Self {
            group,
            body_offset: message.len() - r.rest().len(),
        })
    }
}

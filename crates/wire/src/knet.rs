//! Packets of kronosnet 1.x, on-wire version 1 (kronosnet `libknet/onwire.h`).
//!
//! Host ids and sequence numbers travel in network order, a probe's size in the sender's own. Packets may be longer
//! than their kind needs, and what is behind it is ignored, as by C. What C would follow out of its buffers
//! (fragment numbers beyond their count, channels and links that nobody can have) is refused here.

use crate::codec::{Decode, DecodeError, Encode, Reader, Writer};
use crate::ids::LinkId;

/// First byte of every packet (`KNET_HEADER_VERSION`).
pub const VERSION: u8 = 1;
/// Bytes in front of every kind's own fields (`KNET_HEADER_SIZE`).
pub const HEADER_LEN: usize = 6;
/// Bytes in front of a data packet's payload (`KNET_HEADER_DATA_SIZE`).
pub const DATA_HEADER_LEN: usize = 14;
/// Bytes of a ping and of a pong (`KNET_HEADER_PING_SIZE`).
pub const PING_LEN: usize = 26;
/// Bytes of a probe without its filling, and of its reply (`KNET_HEADER_PMTUD_SIZE`).
pub const PROBE_LEN: usize = 9;
/// What MTU arithmetic sets aside for a header: that of the longest kind (`KNET_HEADER_ALL_SIZE`).
pub const LONGEST_HEADER: usize = PING_LEN;
/// Most links between two hosts (`libknet.h: KNET_MAX_LINK`).
pub const LINKS_MAX: u8 = 8;
/// Most channels of a handle (`libknet.h: KNET_DATAFD_MAX`).
pub const CHANNELS_MAX: u8 = 32;
/// Largest message before fragmentation (`libknet.h: KNET_MAX_PACKET_SIZE`).
pub const MESSAGE_MAX: usize = 65_536;

/// A host of knet; corosync uses the node id, which must therefore be below 65,536.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostId(pub u16);

/// Number of a message of one sender; wraps, and 0 is never that of data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Seq(pub u16);

/// One packet and who sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The sending host.
    pub from: HostId,
    /// What it sent.
    pub packet: Packet<'a>,
}

/// What a host sends to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// A message or a fragment of one.
    Data(DataHeader, &'a [u8]),
    /// Asks for a pong.
    Ping(Ping),
    /// A ping sent back.
    Pong(Ping),
    /// Asks whether packets of this size arrive; filled with this many zeros.
    Probe(Probe, usize),
    /// Says that a probe arrived.
    ProbeReply(Probe),
}

/// In front of each data packet's payload (`struct knet_header_payload_data`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataHeader {
    /// The message's number, the same in all its fragments.
    pub seq: Seq,
    /// Compression model of the whole message; 0 for none.
    pub compress: u8,
    /// Whom the sender meant; corosync's receivers look into the message instead.
    pub cast: Cast,
    /// Which part of the message this is.
    pub part: Part,
    /// The channel, below [`CHANNELS_MAX`].
    pub channel: u8,
}

/// Whether a message goes to everybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cast {
    /// To chosen hosts.
    Unicast = 0,
    /// To all hosts.
    Broadcast = 1,
}

/// A part of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    Whole,
    /// One of several; `1 <= number <= count` and `count >= 2`.
    Fragment {
        /// Its place, from 1.
        number: u8,
        /// How many there are.
        count: u8,
    },
}

/// A heartbeat (`struct knet_header_payload_ping`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ping {
    /// The link of the pair.
    pub link: LinkId,
    /// The pinging host's clock, which only that host understands: C writes its `struct timespec`.
    pub time: [u8; 16],
    /// The pinging host's current data sequence number; 0 before its first message.
    pub seq: Seq,
    /// Why it pings.
    pub reason: PingReason,
}

/// Why a host pings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PingReason {
    /// Its sequence number reached a multiple of 8,191.
    Seq = 0,
    /// The ping interval passed.
    Timer = 1,
}

/// A question about a size (`struct knet_header_payload_pmtud`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The link of the pair.
    pub link: LinkId,
    /// Size of the asking packet, IP header included.
    pub size: u16,
}

impl<'a> Decode<'a> for Frame<'a> {
    fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let version = r.u8("version")?;
        if version != VERSION {
            return Err(DecodeError::BadVersion(version));
        }
        let kind = r.u8("type")?;
        let from = HostId(u16::from_be_bytes(r.array("host id")?));
        r.skip(2, "padding")?;
        let packet = match kind {
            DATA => {
                let header = DataHeader::decode(r)?;
                let payload = r.rest();
                Packet::Data(header, r.bytes(payload.len(), "payload")?)
            }
            PING => Packet::Ping(Ping::decode(r)?),
            PONG => Packet::Pong(Ping::decode(r)?),
            PROBE => {
                let probe = Probe::decode(r)?;
                let filling = r.rest().len();
                r.skip(filling, "filling")?;
                Packet::Probe(probe, filling)
            }
            PROBE_REPLY => Packet::ProbeReply(Probe::decode(r)?),
            other => return Err(DecodeError::UnknownType(other)),
        };
        Ok(Self { from, packet })
    }
}

impl Encode for Frame<'_> {
    fn encode(&self, w: &mut Writer<'_>) {
        let kind = match &self.packet {
            Packet::Data(..) => DATA,
            Packet::Ping(_) => PING,
            Packet::Pong(_) => PONG,
            Packet::Probe(..) => PROBE,
            Packet::ProbeReply(_) => PROBE_REPLY,
        };
        w.u8(VERSION);
        w.u8(kind);
        w.bytes(&self.from.0.to_be_bytes());
        w.zeros(2);
        match &self.packet {
            Packet::Data(header, payload) => {
                header.encode(w);
                w.bytes(payload);
            }
            Packet::Ping(ping) | Packet::Pong(ping) => ping.encode(w),
            Packet::Probe(probe, filling) => {
                probe.encode(w);
                w.zeros(*filling);
            }
            Packet::ProbeReply(probe) => probe.encode(w),
        }
    }
}

impl Decode<'_> for DataHeader {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let seq = Seq(u16::from_be_bytes(r.array("seq")?));
        let compress = r.u8("compression model")?;
        r.skip(1, "padding")?;
        let cast = match r.u8("broadcast")? {
            0 => Cast::Unicast,
            _ => Cast::Broadcast,
        };
        let count = r.u8("fragment count")?;
        let number = r.u8("fragment number")?;
        let channel = r.u8("channel")?;
        if channel >= CHANNELS_MAX {
            return Err(DecodeError::BadValue { what: "channel" });
        }
        Ok(Self {
            seq,
            compress,
            cast,
            part: Part::new(number, count)?,
            channel,
        })
    }
}

impl Encode for DataHeader {
    fn encode(&self, w: &mut Writer<'_>) {
        let (number, count) = match self.part {
            // C leaves the number 0 in a message that is whole (libknet/threads_tx.c:_parse_recv_from_sock).
            Part::Whole => (0, 1),
            Part::Fragment { number, count } => (number, count),
        };
        w.bytes(&self.seq.0.to_be_bytes());
        w.u8(self.compress);
        w.zeros(1);
        w.u8(self.cast as u8);
        w.u8(count);
        w.u8(number);
        w.u8(self.channel);
    }
}

impl Part {
    /// C uses the number as an index without a look (libknet/threads_rx.c:pckt_defrag).
    const fn new(number: u8, count: u8) -> Result<Self, DecodeError> {
        if count == 0 {
            return Err(DecodeError::BadValue {
                what: "fragment count",
            });
        }
        if count == 1 {
            return Ok(Self::Whole);
        }
        if number == 0 || number > count {
            return Err(DecodeError::BadValue {
                what: "fragment number",
            });
        }
        Ok(Self::Fragment { number, count })
    }
}

impl Decode<'_> for Ping {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            link: link(r)?,
            time: r.array("ping time")?,
            seq: Seq(u16::from_be_bytes(r.array("seq")?)),
            reason: match r.u8("timed")? {
                0 => PingReason::Seq,
                _ => PingReason::Timer,
            },
        })
    }
}

impl Encode for Ping {
    fn encode(&self, w: &mut Writer<'_>) {
        w.u8(self.link.0);
        w.bytes(&self.time);
        w.bytes(&self.seq.0.to_be_bytes());
        w.u8(self.reason as u8);
    }
}

impl Decode<'_> for Probe {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            link: link(r)?,
            size: r.u16("probe size")?,
        })
    }
}

impl Encode for Probe {
    fn encode(&self, w: &mut Writer<'_>) {
        w.u8(self.link.0);
        w.u16(self.size);
    }
}

/// C takes the remainder of a division by eight; nobody sends more than seven.
fn link(r: &mut Reader<'_>) -> Result<LinkId, DecodeError> {
    match r.u8("link")? {
        link if link < LINKS_MAX => Ok(LinkId(link)),
        _ => Err(DecodeError::BadValue { what: "link" }),
    }
}

const DATA: u8 = 0x00;
const PING: u8 = 0x81;
const PONG: u8 = 0x82;
const PROBE: u8 = 0x83;
const PROBE_REPLY: u8 = 0x84;

#[cfg(test)]
mod tests;

//! What is counted, as `libknet.h: struct knet_link_stats, struct knet_handle_stats` have it (v1.x).

use ferrosync_wire::knet::Packet;

/// The kinds of packets that are counted apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A message or a part of one.
    Data,
    /// A ping.
    Ping,
    /// A pong.
    Pong,
    /// A probe of the path's MTU, or the reply.
    Pmtu,
}

impl Kind {
    pub(crate) const fn of(packet: &Packet<'_>) -> Self {
        match packet {
            Packet::Data(..) => Self::Data,
            Packet::Ping(_) => Self::Ping,
            Packet::Pong(_) => Self::Pong,
            Packet::Probe(..) | Packet::ProbeReply(_) => Self::Pmtu,
        }
    }
}

/// Packets in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// How many.
    pub packets: u64,
    /// Their bytes: datagrams that leave, packets in the clear that arrive.
    pub bytes: u64,
}

/// Packets in one direction, by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrafficByKind([Traffic; 4]);

impl TrafficByKind {
    /// Those of one kind.
    #[must_use]
    pub const fn of(&self, kind: Kind) -> Traffic {
        self.0[kind as usize]
    }

    /// All of them.
    #[must_use]
    pub fn total(&self) -> Traffic {
        let sum = |field: fn(&Traffic) -> u64| self.0.iter().map(field).sum();
        Traffic {
            packets: sum(|traffic| traffic.packets),
            bytes: sum(|traffic| traffic.bytes),
        }
    }

    pub(crate) const fn count(&mut self, kind: Kind, bytes: usize) {
        let traffic = &mut self.0[kind as usize];
        traffic.packets += 1;
        traffic.bytes += bytes as u64;
    }
}

/// What happened on one link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkStats {
    /// What left.
    pub tx: TrafficByKind,
    /// What arrived.
    pub rx: TrafficByKind,
    /// Times it came up.
    pub up_count: u32,
    /// Times it went down.
    pub down_count: u32,
}

/// Payloads before and after compression, in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compressed {
    /// How many were compressed.
    pub packets: u64,
    /// Their bytes without.
    pub original_bytes: u64,
    /// Their bytes with.
    pub size_bytes: u64,
}

/// What happened at the host as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HandleStats {
    /// Messages that left as they were.
    pub tx_uncompressed_packets: u64,
    /// Messages that left smaller.
    pub tx_compressed: Compressed,
    /// Messages that arrived smaller.
    pub rx_compressed: Compressed,
    /// Packets that were sealed.
    pub tx_crypt_packets: u64,
    /// Bytes by which they grew.
    pub tx_crypt_byte_overhead: u64,
    /// Packets that were opened.
    pub rx_crypt_packets: u64,
}

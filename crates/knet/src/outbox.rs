//! Where packets are made: each is sealed once, whatever number of links it goes over, in memory that comes back when
//! all who hold a piece of it let go.

use core::fmt;

use bytes::{Bytes, BytesMut};
use ferrosync_wire::codec::{Encode, Writer};
use ferrosync_wire::knet::{Frame, HostId, Packet};

use crate::crypto::{Crypto, Ivs, Opens, Overhead};

/// Makes the datagrams of one host.
pub(crate) struct Outbox {
    from: HostId,
    pub(crate) crypto: Crypto,
    ivs: Ivs,
    /// The packet under construction, but for a message's payload.
    plain: Vec<u8>,
    pool: BytesMut,
    pub(crate) sealed: Sealed,
}

/// What encryption cost so far; nothing while there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sealed {
    /// Packets that were sealed.
    pub(crate) packets: u64,
    /// Bytes by which they grew.
    pub(crate) byte_overhead: u64,
}

impl Outbox {
    pub(crate) fn new(from: HostId, ivs: Ivs) -> Self {
        Self {
            from,
            crypto: Crypto::new(),
            ivs,
            plain: Vec::new(),
            pool: BytesMut::new(),
            sealed: Sealed {
                packets: 0,
                byte_overhead: 0,
            },
        }
    }

    /// What the key in use adds.
    pub(crate) fn overhead(&self) -> Overhead {
        self.crypto.overhead(Opens::Present)
    }

    /// The datagram of a packet for hosts that open so much.
    pub(crate) fn seal(&mut self, packet: Packet<'_>, opens: Opens) -> Bytes {
        let (packet, payload) = match packet {
            Packet::Data(header, payload) => (Packet::Data(header, &[]), payload),
            Packet::Ping(_) | Packet::Pong(_) | Packet::Probe(..) | Packet::ProbeReply(_) => {
                (packet, &[][..])
            }
        };
        self.plain.clear();
        let from = self.from;
        Frame { from, packet }.encode(&mut Writer::new(&mut self.plain));
        let len = self.plain.len() + payload.len();
        let sealed_len = self.crypto.overhead(opens).sealed_len(len);
        if self.pool.capacity() < sealed_len {
            self.pool.reserve(CHUNK.max(sealed_len));
        }
        let parts = [&self.plain[..], payload];
        let iv = self.ivs.next();
        self.crypto.seal(opens, &iv, &parts, &mut self.pool);
        if self.crypto.seals(opens).is_some() {
            self.sealed.packets += 1;
            self.sealed.byte_overhead += (sealed_len - len) as u64;
        }
        self.pool.split().freeze()
    }
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Outbox({:?})", self.crypto)
    }
}

/// Bytes from which datagrams are cut.
const CHUNK: usize = 256 << 10;

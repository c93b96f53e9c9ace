//! Frames between machines.

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use ferrosync_wire::totem::{Header, Kind};
use ferrosync_wire::{Decode, Reader};

use super::{Cluster, Event};
use crate::host::{Datagram, Socket};
use crate::options::Options;
use crate::sabotage::Sabotage;

impl Cluster {
    /// Hands a machine's frames to the network.
    pub(super) fn send_all(&mut self, i: usize) {
        let from = self.machines[i].surroundings.me;
        let from = SocketAddr::new(Options::address(from.0), PORT);
        for (to, bytes) in std::mem::take(&mut self.machines[i].surroundings.outbox) {
            match self.receiver(to.ip()) {
                Some(to) => self.send(i, to, from, Socket::Unicast, &bytes),
                None => {
                    for to in (0..self.machines.len()).filter(|to| *to != i) {
                        self.send(i, to, from, Socket::Multicast, &bytes);
                    }
                }
            }
        }
    }

    /// Which machine an address belongs to; `None` for the group.
    fn receiver(&self, to: IpAddr) -> Option<usize> {
        let count = u32::try_from(self.machines.len()).unwrap_or(0);
        let node = (1..=count).find(|node| Options::address(*node) == to)?;
        usize::try_from(node - 1).ok()
    }

    fn send(&mut self, from: usize, to: usize, addr: SocketAddr, socket: Socket, bytes: &Bytes) {
        let mut arrivals = Vec::new();
        let altered = self.altered(bytes);
        let bytes = altered.as_ref().unwrap_or(bytes);
        self.network
            .send(self.now, from, to, bytes, |arrival| arrivals.push(arrival));
        let third = (0..self.machines.len()).find(|i| *i != from && *i != to);
        if let Some(third) = third
            && kind(bytes) == Some(Kind::OrfToken)
            && self.sabotage.strikes(Sabotage::ForgeToken)
        {
            let datagram = Datagram {
                from: addr,
                bytes: bytes.clone(),
            };
            let arrive = Event::Arrive {
                to: third,
                socket,
                datagram,
                era: self.network.era(),
            };
            self.schedule(self.now + self.options.network.delay, arrive);
        }
        for arrival in arrivals {
            let datagram = Datagram {
                from: addr,
                bytes: arrival.bytes,
            };
            let arrive = Event::Arrive {
                to,
                socket,
                datagram,
                era: arrival.era,
            };
            self.schedule(arrival.at, arrive);
        }
    }

    /// What a planted bug makes of a frame on its way.
    fn altered(&mut self, bytes: &Bytes) -> Option<Bytes> {
        self.sabotage.bug?;
        if kind(bytes) != Some(Kind::Mcast) {
            return None;
        }
        let mut copy = bytes.to_vec();
        if self.sabotage.strikes(Sabotage::CorruptFrame) {
            *copy.last_mut()? ^= 1;
        } else if self.sabotage.strikes(Sabotage::RenumberFrame) {
            copy[MCAST_SEQ] = copy[MCAST_SEQ].wrapping_add(1);
        } else {
            return None;
        }
        Some(copy.into())
    }
}

/// What a frame is, if it is one.
pub(crate) fn kind(frame: &[u8]) -> Option<Kind> {
    let header = Header::decode(&mut Reader::new(frame));
    header.ok().map(|h| h.kind)
}

/// Where the sequence number of an mcast starts.
const MCAST_SEQ: usize = 17;

/// The port of every node.
const PORT: u16 = 5405;

//! Frames between machines.

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use ferrosync_executive::output::{LinkTrouble, Trouble};
use ferrosync_wire::totem::{Header, Kind};
use ferrosync_wire::{Decode, LinkId, Reader};

use super::{Cluster, Event};
use crate::host::{Act, Datagram, Socket};
use crate::options::{INTERFACE_MTU, Options, Refusal, Transport};
use crate::sabotage::Sabotage;

impl Cluster {
    /// Hands a machine's frames to the network.
    pub(super) fn send_all(&mut self, i: usize) {
        let from = self.machines[i].surroundings.me;
        for (link, to, bytes) in std::mem::take(&mut self.machines[i].surroundings.outbox) {
            let from = SocketAddr::new(Options::address(from.0, link), PORT);
            let way = Way { link, from };
            if !self.passes(i, link, to, &bytes) {
                continue;
            }
            match self.receiver(to.ip(), link) {
                Some(to) => self.send(i, to, way, Socket::Unicast, &bytes),
                None => {
                    for to in (0..self.machines.len()).filter(|to| *to != i) {
                        self.send(i, to, way, Socket::Multicast, &bytes);
                    }
                }
            }
        }
    }

    /// Whether a datagram is short enough for its path, and there is somebody at the other end; the sender hears of it
    /// where machines would tell.
    fn passes(&mut self, i: usize, link: LinkId, to: SocketAddr, bytes: &Bytes) -> bool {
        let Transport::Knet(world) = self.options.transport else {
            return true;
        };
        let on_wire = bytes.len() + IP_AND_UDP;
        let tell = |trouble| Act::Trouble(LinkTrouble { link, to, trouble });
        if on_wire > INTERFACE_MTU {
            let trouble = Trouble::TooBig {
                len: bytes.len(),
                mtu: u16::try_from(INTERFACE_MTU).ok(),
            };
            self.act(i, tell(trouble));
            return false;
        }
        let there = self.receiver(to.ip(), link);
        let runs = there.is_some_and(|there| self.machines[there].node.is_some());
        if !runs && world.refusal == Refusal::Told {
            self.act(i, tell(Trouble::Unreachable));
        }
        on_wire <= world.path_mtu[usize::from(link.0)]
    }

    /// Which machine an address belongs to; `None` for the group.
    fn receiver(&self, to: IpAddr, link: LinkId) -> Option<usize> {
        let count = u32::try_from(self.machines.len()).unwrap_or(0);
        let node = (1..=count).find(|node| Options::address(*node, link) == to)?;
        usize::try_from(node - 1).ok()
    }

    fn send(&mut self, from: usize, to: usize, way: Way, socket: Socket, bytes: &Bytes) {
        let mut arrivals = Vec::new();
        let altered = self.altered(bytes);
        let bytes = altered.as_ref().unwrap_or(bytes);
        let link = (from, to, way.link);
        self.network
            .send(self.now, link, bytes, |arrival| arrivals.push(arrival));
        let third = (0..self.machines.len()).find(|i| *i != from && *i != to);
        if let Some(third) = third
            && kind(bytes) == Some(Kind::OrfToken)
            && self.sabotage.strikes(Sabotage::ForgeToken)
        {
            let arrive = Event::Arrive {
                from,
                to: third,
                socket,
                datagram: way.datagram(bytes.clone()),
                era: self.network.era(from),
            };
            self.schedule(self.now + self.options.network.delay, arrive);
        }
        for arrival in arrivals {
            let arrive = Event::Arrive {
                from,
                to,
                socket,
                datagram: way.datagram(arrival.bytes),
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

/// Where a datagram comes from.
#[derive(Clone, Copy)]
struct Way {
    link: LinkId,
    from: SocketAddr,
}

impl Way {
    const fn datagram(self, bytes: Bytes) -> Datagram {
        Datagram {
            link: self.link,
            from: self.from,
            bytes,
        }
    }
}

/// What a frame is, if it is one.
pub(crate) fn kind(frame: &[u8]) -> Option<Kind> {
    let header = Header::decode(&mut Reader::new(frame));
    header.ok().map(|h| h.kind)
}

/// Where the sequence number of an mcast starts.
const MCAST_SEQ: usize = 17;

/// Bytes of the headers of IPv4 and UDP.
const IP_AND_UDP: usize = 28;

/// The port of every node.
pub(crate) const PORT: u16 = 5405;

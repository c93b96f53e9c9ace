//! Putting messages together from the packets of each sender (corosync `totempg.c:totempg_deliver_fn`, v3.1.7).

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use ferrosync_wire::pg::Packet;
use ferrosync_wire::{DecodeError, NodeId};

use crate::srp::Lane;

/// Unfinished messages of all senders, apart for the two lanes.
#[derive(Debug, Default)]
pub(super) struct Assemblies {
    regular: BTreeMap<NodeId, Assembly>,
    transitional: BTreeMap<NodeId, Assembly>,
    lane: UsedLane,
    company: Company,
}

/// Who is in the ring, as far as what it does with broken messages goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Company {
    /// Somebody who throws away whole packets: what one node delivers all must.
    #[default]
    Mixed,
    /// All members make messages whole that a membership change tore.
    Mending,
}

#[derive(Debug, Default)]
struct UsedLane(Option<Lane>);

/// The beginning of a message whose rest is not sent yet.
#[derive(Debug)]
pub(super) struct Torn {
    pub(super) bytes: Bytes,
    /// Fragment id under which the rest goes on.
    pub(super) fragment: u8,
}

/// The unfinished message of one sender.
#[derive(Debug, Default)]
struct Assembly {
    buffer: BytesMut,
    /// `fragmented` of the packet handled last.
    last_fragment: u8,
    broken: Broken,
    /// Whether C would be in its `throw_away_mode`.
    throws_away: bool,
}

/// Whether the beginning of what arrives is missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Broken {
    #[default]
    No,
    /// Until a packet that ends a message.
    Yes,
}

/// The packet was not understood or does not continue what was begun; whole messages in it were delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unusable {
    /// The bytes do not add up.
    Malformed(DecodeError),
    /// The beginning of a message is missing.
    Discontinued,
    /// A message grew over the limit.
    TooLong,
}

impl Assemblies {
    /// From now on packets belong to this lane.
    pub(super) const fn use_lane(&mut self, lane: Lane) {
        self.lane = UsedLane(Some(lane));
    }

    /// Tells what the others do with messages whose beginning they missed.
    pub(super) const fn use_company(&mut self, company: Company) {
        self.company = company;
    }

    /// Forgets what was begun by nodes that are gone.
    pub(super) fn forget(&mut self, left: &[NodeId]) {
        for node in left {
            self.regular.remove(node);
            self.transitional.remove(node);
        }
    }

    /// Forgets what was begun by anybody in the regular lane; what `me` had begun is returned.
    pub(super) fn forget_all(&mut self, me: NodeId) -> Option<Torn> {
        let own = self.regular.remove(&me);
        self.regular.clear();
        let own = own.filter(|a| a.last_fragment != 0 && a.broken == Broken::No)?;
        Some(Torn {
            bytes: own.buffer.freeze(),
            fragment: own.last_fragment,
        })
    }

    /// Takes a packet apart; `deliver` gets every message that is complete with it.
    pub(super) fn unpack(
        &mut self,
        from: NodeId,
        payload: &Bytes,
        deliver: impl FnMut(&Bytes),
    ) -> Result<(), Unusable> {
        let packet = Packet::parse(payload).map_err(Unusable::Malformed)?;
        let (map, company) = match self.lane.0 {
            // Synchronisation belongs to one ring, which all members began together.
            None | Some(Lane::Transitional) => (&mut self.transitional, Company::Mending),
            Some(Lane::Regular) => (&mut self.regular, self.company),
        };
        let assembly = map.entry(from).or_default();
        let result = match company {
            Company::Mixed => assembly.packet_among_corosync(&packet, payload, deliver),
            Company::Mending => assembly.packet(&packet, payload, deliver),
        };
        if packet.header.fragmented == 0 && map.len() > KEPT_ASSEMBLIES {
            map.remove(&from);
        }
        result
    }
}

impl Assembly {
    fn packet(
        &mut self,
        packet: &Packet<'_>,
        payload: &Bytes,
        mut deliver: impl FnMut(&Bytes),
    ) -> Result<(), Unusable> {
        let mut result = self.check_continuation(packet);
        let mut first_is_tail = packet.header.continuation != 0;
        let last = usize::from(packet.header.msg_count).checked_sub(1);
        let mut at = packet.data_offset();
        for (i, length) in packet.lengths().enumerate() {
            let piece = payload.slice(at..at + length);
            at += length;
            let is_tail = std::mem::take(&mut first_is_tail);
            let goes_on = packet.header.fragmented != 0 && Some(i) == last;
            match self.piece(&piece, is_tail, goes_on, &mut deliver) {
                Ok(()) => {}
                Err(e) => result = Err(e),
            }
        }
        self.last_fragment = packet.header.fragmented;
        result
    }

    /// A C node drops a packet whose first piece continues something unknown, complete messages behind it included,
    /// and then goes on dropping, sometimes far behind the end of the broken message. Its clients and ours must see
    /// the same, so the same is dropped here (corosync `totempg.c:totempg_deliver_fn`, v3.1.7).
    fn packet_among_corosync(
        &mut self,
        packet: &Packet<'_>,
        payload: &Bytes,
        deliver: impl FnMut(&Bytes),
    ) -> Result<(), Unusable> {
        let header = &packet.header;
        let usable = !self.throws_away && header.continuation == self.last_fragment;
        let result = if usable {
            self.packet(packet, payload, deliver)
        } else {
            self.throws_away = !self.throws_away || header.fragmented > 1;
            Err(Unusable::Discontinued)
        };
        if header.fragmented == 0 {
            *self = Self {
                buffer: std::mem::take(&mut self.buffer),
                ..Self::default()
            };
            self.buffer.clear();
        }
        result
    }

    /// C drops a packet whose first piece continues something unknown, complete messages behind it included; where
    /// all members can, we drop only that piece (`docs/deviations.md`, D-04).
    fn check_continuation(&mut self, packet: &Packet<'_>) -> Result<(), Unusable> {
        if packet.header.continuation == self.last_fragment {
            return Ok(());
        }
        self.buffer.clear();
        if packet.header.continuation == 0 {
            self.broken = Broken::No;
        } else {
            self.broken = Broken::Yes;
        }
        Err(Unusable::Discontinued)
    }

    fn piece(
        &mut self,
        piece: &Bytes,
        is_tail: bool,
        goes_on: bool,
        deliver: &mut impl FnMut(&Bytes),
    ) -> Result<(), Unusable> {
        if is_tail && self.broken == Broken::Yes {
            if !goes_on {
                self.broken = Broken::No;
            }
            return Ok(());
        }
        if !is_tail && !goes_on {
            deliver(piece);
            return Ok(());
        }
        if !is_tail {
            self.buffer.clear();
            self.broken = Broken::No;
        }
        if self.buffer.len() + piece.len() > MESSAGE_MAX {
            self.buffer.clear();
            self.broken = if goes_on { Broken::Yes } else { Broken::No };
            return Err(Unusable::TooLong);
        }
        self.buffer.extend_from_slice(piece);
        if !goes_on {
            deliver(&self.buffer.split().freeze());
        }
        Ok(())
    }
}

/// 1 MiB of application data and 64 KiB for headers, as C's buffer has.
pub(super) const MESSAGE_MAX: usize = (1 << 20) + (64 << 10);

/// Buffers kept for reuse; more senders than this free theirs after each message.
const KEPT_ASSEMBLIES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    const SENDER: NodeId = NodeId(1);

    /// A packet of whole words and pieces, as a sender packs them.
    fn packet(continuation: u8, fragmented: u8, words: &[&str]) -> Bytes {
        let mut bytes = vec![0, 0, 0, 0, fragmented, continuation];
        bytes.extend(u16::try_from(words.len()).unwrap().to_le_bytes());
        for word in words {
            bytes.extend(u16::try_from(word.len()).unwrap().to_le_bytes());
        }
        bytes.extend(words.concat().bytes());
        bytes.into()
    }

    /// What a node delivers that hears these packets and nothing before them.
    fn joiner(company: Company, packets: &[Bytes]) -> Vec<String> {
        let mut all = Assemblies::default();
        all.use_company(company);
        all.use_lane(Lane::Regular);
        let mut delivered = Vec::new();
        for packet in packets {
            let _discontinued = all.unpack(SENDER, packet, |message| {
                delivered.push(String::from_utf8(message.to_vec()).unwrap());
            });
        }
        delivered
    }

    #[test]
    fn a_joiner_among_corosync_throws_away_what_corosync_does() {
        // (packets, delivered among corosync, delivered otherwise)
        let rows: [(&[Bytes], &[&str], &[&str]); 5] = [
            (&[packet(0, 0, &["a", "b"])], &["a", "b"], &["a", "b"]),
            // The end of something unknown: whole messages behind it go too, later packets count again.
            (
                &[packet(3, 0, &["end", "a"]), packet(0, 0, &["b"])],
                &["b"],
                &["a", "b"],
            ),
            // A packet that begins the first part of the next message ends the throwing away, but what follows does
            // not fit to what is remembered, and it begins again.
            (
                &[
                    packet(3, 1, &["end", "a", "x"]),
                    packet(1, 1, &["y", "b", "x"]),
                    packet(1, 1, &["y", "c", "x"]),
                    packet(1, 0, &["y", "d"]),
                    packet(0, 0, &["e"]),
                ],
                &["e"],
                &["a", "xy", "b", "xy", "c", "xy", "d", "e"],
            ),
            // A message of many packets goes on: nothing until its end.
            (
                &[
                    packet(3, 4, &["m"]),
                    packet(4, 5, &["m"]),
                    packet(5, 0, &["end", "a"]),
                    packet(0, 1, &["b", "x"]),
                    packet(1, 0, &["y"]),
                ],
                &["b", "xy"],
                &["a", "b", "xy"],
            ),
            (
                &[
                    packet(0, 1, &["x"]),
                    packet(1, 2, &["y"]),
                    packet(2, 0, &["z"]),
                ],
                &["xyz"],
                &["xyz"],
            ),
        ];
        for (packets, mixed, mending) in rows {
            assert_eq!(joiner(Company::Mixed, packets), mixed, "{packets:?}");
            assert_eq!(joiner(Company::Mending, packets), mending, "{packets:?}");
        }
    }
}

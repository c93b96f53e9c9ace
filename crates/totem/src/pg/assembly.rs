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
        let map = match self.lane.0 {
            None | Some(Lane::Transitional) => &mut self.transitional,
            Some(Lane::Regular) => &mut self.regular,
        };
        let result = map
            .entry(from)
            .or_default()
            .packet(&packet, payload, deliver);
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

    /// C drops a packet whose first piece continues something unknown, complete messages behind it included; we
    /// drop only that piece (`docs/deviations.md`, D-04).
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

//! One total order per ring: whoever delivers number n of a ring delivers the same frame, and nobody skips one
//! before the ring ends for him.

use std::collections::BTreeMap;

use bytes::Bytes;
use ferrosync_totem::srp::{ConfChg, ConfChgKind, Delivered, Output, Seq};
use ferrosync_wire::NodeId;

use super::{Checker, Violation};
use crate::observation::{Observation, Place, RingKey};

/// The checker.
#[derive(Debug, Default)]
pub(super) struct TotalOrder {
    rings: BTreeMap<RingKey, Order>,
    nodes: BTreeMap<NodeId, Cursor>,
}

/// What the first to deliver each frame of a ring delivered.
#[derive(Debug, Default)]
struct Order {
    first: Option<u32>,
    frames: BTreeMap<u32, (NodeId, Bytes)>,
}

/// How far a node is in its ring.
#[derive(Debug, Default)]
struct Cursor {
    ring: RingKey,
    last: Option<Seq>,
    part: Part,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Part {
    /// Every number follows the last.
    #[default]
    Gapless,
    /// Behind the transitional change numbers only grow: what was lost with others is skipped.
    Growing,
}

impl Checker for TotalOrder {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "a checker looks at what concerns it, whatever else there is to see"
    )]
    fn observe(&mut self, place: Place, seen: &Observation<'_>) -> Result<(), Violation> {
        match seen {
            Observation::Booted | Observation::Stopped => {
                self.nodes.remove(&place.node);
                self.forget();
                Ok(())
            }
            Observation::Ring(Output::Deliver(delivered)) => self.deliver(place, delivered),
            Observation::Ring(Output::ConfChg(change)) => {
                self.change(place, change);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

impl TotalOrder {
    fn deliver(&mut self, place: Place, delivered: &Delivered) -> Result<(), Violation> {
        let cursor = self.nodes.entry(place.node).or_default();
        let seq = delivered.seq;
        let order = self.rings.entry(place.ring).or_default();
        if cursor.part == Part::Gapless {
            let expected = match cursor.last {
                Some(last) => last.plus(1),
                None => Seq(*order.first.get_or_insert(seq.0)),
            };
            if seq != expected {
                return violation(format!(
                    "delivers number {seq} of {:?} where {expected} is next",
                    place.ring
                ));
            }
        } else if cursor.last.is_some_and(|last| !last.before(seq)) {
            return violation(format!(
                "delivers number {seq} of {:?} behind {:?}",
                place.ring, cursor.last
            ));
        }
        cursor.last = Some(seq);
        let mine = (delivered.from, delivered.payload.clone());
        let (from, payload) = order.frames.entry(seq.0).or_insert(mine);
        if *from != delivered.from || *payload != delivered.payload {
            return violation(format!(
                "delivers another frame as number {seq} of {:?}: {} bytes from {}, others {} bytes from {from}",
                place.ring,
                delivered.payload.len(),
                delivered.from,
                payload.len(),
            ));
        }
        Ok(())
    }

    fn change(&mut self, place: Place, change: &ConfChg) {
        let cursor = self.nodes.entry(place.node).or_default();
        match change.kind {
            ConfChgKind::Transitional => cursor.part = Part::Growing,
            ConfChgKind::Regular => {
                *cursor = Cursor {
                    ring: place.forming,
                    ..Cursor::default()
                };
                self.forget();
            }
        }
    }

    /// Rings that nobody can deliver from any more.
    fn forget(&mut self) {
        let nodes = &self.nodes;
        self.rings
            .retain(|ring, _| nodes.values().any(|cursor| cursor.ring == *ring));
    }
}

const fn violation(text: String) -> Result<(), Violation> {
    Err(Violation {
        checker: "total order",
        text,
    })
}

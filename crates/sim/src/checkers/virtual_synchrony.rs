//! Virtual synchrony: nodes that go from one ring to the next together delivered the same in the first. And
//! nobody leaves a ring without having delivered what he sent in it himself.

use std::collections::{BTreeMap, BTreeSet};

use ferrosync_totem::srp::{ConfChg, ConfChgKind, Output};
use ferrosync_wire::totem::{Message, NOT_ENCAPSULATED};
use ferrosync_wire::{NodeId, RingId};

use super::{Checker, Violation};
use crate::observation::{Observation, Place, RingKey};

/// The checker.
#[derive(Debug, Default)]
pub(super) struct VirtualSynchrony {
    nodes: BTreeMap<NodeId, History>,
    /// What the first of those who went this way together had delivered.
    ways: BTreeMap<(RingKey, RingKey), (NodeId, Delivered)>,
}

/// What a node did in its ring.
#[derive(Debug, Default)]
struct History {
    id: Option<RingId>,
    delivered: Delivered,
    /// Numbers of own messages that were sent and not delivered yet.
    owed: BTreeSet<u32>,
    /// The largest of those sent; what is sent again is not owed again.
    sent_up_to: u32,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Delivered {
    /// Before the transitional change: the last number, as there are no gaps.
    last: Option<u32>,
    /// Behind it.
    tail: Vec<u32>,
    in_tail: bool,
}

impl Checker for VirtualSynchrony {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "a checker looks at what concerns it, whatever else there is to see"
    )]
    fn observe(&mut self, place: Place, seen: &Observation<'_>) -> Result<(), Violation> {
        match seen {
            Observation::Booted | Observation::Stopped => {
                self.nodes.remove(&place.node);
                Ok(())
            }
            Observation::Ring(Output::Transmit(t)) => {
                self.transmit(place, &t.frame);
                Ok(())
            }
            Observation::Ring(Output::Deliver(d)) => {
                let history = self.nodes.entry(place.node).or_default();
                history.owed.remove(&d.seq.0);
                let delivered = &mut history.delivered;
                if delivered.in_tail {
                    delivered.tail.push(d.seq.0);
                } else {
                    delivered.last = Some(d.seq.0);
                }
                Ok(())
            }
            Observation::Ring(Output::ConfChg(change)) => self.change(place, change),
            _ => Ok(()),
        }
    }
}

impl VirtualSynchrony {
    fn transmit(&mut self, place: Place, frame: &[u8]) {
        let Ok((header, Message::Mcast(mcast, _))) = Message::parse(frame) else {
            return;
        };
        let history = self.nodes.entry(place.node).or_default();
        let mine = header.nodeid == place.node && header.encapsulated == NOT_ENCAPSULATED;
        // Number 0 is never used, and no world lives to see the numbers wrap.
        if mine && Some(mcast.ring) == history.id && mcast.seq > history.sent_up_to {
            history.sent_up_to = mcast.seq;
            history.owed.insert(mcast.seq);
        }
    }

    fn change(&mut self, place: Place, change: &ConfChg) -> Result<(), Violation> {
        let history = self.nodes.entry(place.node).or_default();
        if change.kind == ConfChgKind::Transitional {
            history.delivered.in_tail = true;
            return Ok(());
        }
        let ended = std::mem::replace(
            history,
            History {
                id: Some(change.ring),
                ..History::default()
            },
        );
        if let Some(seq) = ended.owed.first() {
            return violation(format!(
                "leaves {:?} without having delivered its own number {seq:x}",
                place.ring
            ));
        }
        if place.ring == RingKey::NONE {
            return Ok(());
        }
        let way = (place.ring, place.forming);
        let mine = (place.node, ended.delivered);
        let (other, theirs) = self.ways.entry(way).or_insert_with(|| mine.clone());
        if *theirs != mine.1 {
            return violation(format!(
                "went from {:?} to {:?} with node {other}, but delivered {:x?} where that delivered {theirs:x?}",
                way.0, way.1, mine.1
            ));
        }
        Ok(())
    }
}

const fn violation(text: String) -> Result<(), Violation> {
    Err(Violation {
        checker: "virtual synchrony",
        text,
    })
}

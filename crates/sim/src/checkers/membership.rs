//! Membership changes: each regular one is announced by its transitional one, all who install a ring agree on its
//! members and on who came along, ring sequence numbers grow across restarts, and nothing of a ring is sent before
//! its number is on disk.

use std::collections::BTreeMap;

use ferrosync_totem::srp::{ConfChg, ConfChgKind, Output};
use ferrosync_wire::totem::{Kind, Message};
use ferrosync_wire::{NodeId, RingId, RingSeq};

use super::{Checker, Violation};
use crate::observation::{Observation, Place, RingKey};

/// The checker.
#[derive(Debug, Default)]
pub(super) struct Membership {
    nodes: BTreeMap<NodeId, Standing>,
    disks: BTreeMap<NodeId, RingSeq>,
    rings: BTreeMap<RingKey, (NodeId, Vec<NodeId>)>,
    /// By way: who came along.
    ways: BTreeMap<(RingKey, RingKey), (NodeId, Vec<NodeId>)>,
}

/// What a node has told since it started.
#[derive(Debug, Default)]
struct Standing {
    ring: Option<RingId>,
    members: Vec<NodeId>,
    announced: Option<ConfChg>,
}

impl Checker for Membership {
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
            Observation::Stored(seq) => self.stored(place, *seq),
            Observation::Ring(Output::ConfChg(change)) => match change.kind {
                ConfChgKind::Transitional => self.transitional(place, change),
                ConfChgKind::Regular => self.regular(place, change),
            },
            _ => Ok(()),
        }
    }
}

impl Membership {
    /// No token of a ring may leave before the ring's number is durable: from then on others may install it.
    pub(super) fn sent(&self, place: Place, frame: &[u8]) -> Result<(), Violation> {
        let Some(kind) = crate::cluster::kind(frame) else {
            return violation("sends what is no frame".to_owned());
        };
        let seq = match kind {
            // Before its first ring a node names one that never existed when it announces itself.
            Kind::Mcast | Kind::TokenHoldCancel | Kind::Join | Kind::MergeDetect => return Ok(()),
            Kind::OrfToken | Kind::CommitToken => match Message::parse(frame) {
                Ok((_, Message::OrfToken(token))) => token.ring.seq,
                Ok((_, Message::CommitToken(token))) => token.ring.seq,
                Ok(_) | Err(_) => return violation("sends what is no message".to_owned()),
            },
        };
        let disk = self.disks.get(&place.node).copied().unwrap_or_default();
        if disk < seq {
            return violation(format!(
                "sends {kind:?} of ring seq {} with {} on disk",
                seq.0, disk.0
            ));
        }
        Ok(())
    }

    fn stored(&mut self, place: Place, seq: RingSeq) -> Result<(), Violation> {
        self.disks.insert(place.node, seq);
        match self.nodes.get(&place.node).and_then(|s| s.ring) {
            Some(ring) if seq <= ring.seq => violation(format!(
                "stores ring seq {} although it is in ring {ring}",
                seq.0
            )),
            Some(_) | None => Ok(()),
        }
    }

    fn transitional(&mut self, place: Place, change: &ConfChg) -> Result<(), Violation> {
        let standing = self.nodes.entry(place.node).or_default();
        if standing.announced.is_some() {
            return violation("announces a ring twice".to_owned());
        }
        let old = &standing.members;
        let stayed: Vec<NodeId> = minus(old, &change.left);
        // Before its first ring a node comes from nowhere, alone.
        let known = old.is_empty() || stayed == change.members;
        if !known || !minus(&change.left, old).is_empty() || !change.joined.is_empty() {
            return violation(format!("came from {old:?} and announces {change:?}"));
        }
        standing.announced = Some(change.clone());
        Ok(())
    }

    fn regular(&mut self, place: Place, change: &ConfChg) -> Result<(), Violation> {
        let standing = self.nodes.entry(place.node).or_default();
        let Some(announced) = standing.announced.take() else {
            return violation(format!(
                "installs ring {} without a transitional change",
                change.ring
            ));
        };
        let came = minus(&change.members, &change.joined);
        if announced.ring != change.ring
            || came != announced.members
            || !change.left.is_empty()
            || !change.members.contains(&place.node)
            || !change.members.contains(&change.ring.rep)
        {
            return violation(format!("announced {announced:?} and installs {change:?}"));
        }
        if standing
            .ring
            .is_some_and(|ring| ring.seq >= change.ring.seq)
        {
            return violation(format!(
                "installs ring {} behind ring {:?}",
                change.ring, standing.ring
            ));
        }
        standing.ring = Some(change.ring);
        standing.members.clone_from(&change.members);
        let agreed = Self::agree(&mut self.rings, place.forming, place.node, &change.members);
        if let Err(theirs) = agreed {
            return violation(format!(
                "installs {:?} with {:?}, another node with {theirs:?}",
                change.ring, change.members
            ));
        }
        if place.ring == RingKey::NONE {
            return Ok(());
        }
        let way = (place.ring, place.forming);
        match Self::agree(&mut self.ways, way, place.node, &announced.members) {
            Ok(()) => Ok(()),
            Err(theirs) => violation(format!(
                "came to ring {} with {:?}, another node with {theirs:?}",
                change.ring, announced.members
            )),
        }
    }

    /// Whether this node says what the first to speak said.
    fn agree<K: Ord>(
        said: &mut BTreeMap<K, (NodeId, Vec<NodeId>)>,
        key: K,
        node: NodeId,
        members: &[NodeId],
    ) -> Result<(), Vec<NodeId>> {
        let (_, theirs) = said.entry(key).or_insert_with(|| (node, members.to_vec()));
        if theirs == members {
            Ok(())
        } else {
            Err(theirs.clone())
        }
    }
}

fn minus(a: &[NodeId], b: &[NodeId]) -> Vec<NodeId> {
    a.iter().copied().filter(|n| !b.contains(n)).collect()
}

const fn violation(text: String) -> Result<(), Violation> {
    Err(Violation {
        checker: "membership",
        text,
    })
}

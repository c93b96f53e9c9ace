//! Those who look on and object. Each owns its own model of what nodes may do and none looks into a node.

mod bounds;
mod cpg;
mod membership;
mod quorum;
mod token;
mod total_order;
mod virtual_synchrony;

use std::collections::BTreeMap;

use ferrosync_totem::srp::{ConfChgKind, MembStateKind, Output, SrpEvent};
use ferrosync_wire::{Instant, NodeId, RingId};

use crate::observation::{Observation, Place, RingKey};
use crate::options::Options;

/// Something happened that must not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Who objects.
    pub checker: &'static str,
    /// To what.
    pub text: String,
}

/// Sees everything that nodes do, and keeps a model of what they may do.
pub trait Checker {
    /// Takes in one thing that happened.
    fn observe(&mut self, place: Place, seen: &Observation<'_>) -> Result<(), Violation>;

    /// The world has come to rest: what is still owed?
    fn finish(&mut self) -> Result<(), Violation> {
        Ok(())
    }
}

/// All checkers, and where every node stands.
#[derive(Debug)]
pub struct Checkers {
    rings: Rings,
    nodes: BTreeMap<NodeId, Standing>,
    total_order: total_order::TotalOrder,
    virtual_synchrony: virtual_synchrony::VirtualSynchrony,
    membership: membership::Membership,
    token: token::Token,
    cpg: cpg::Cpg,
    quorum: quorum::Quorum,
    bounds: bounds::Bounds,
}

/// Which ring of this world an id means.
#[derive(Debug, Default)]
struct Rings {
    latest: BTreeMap<(u32, u64), RingKey>,
    count: u64,
}

#[derive(Debug, Default)]
struct Standing {
    ring: RingKey,
    forming: RingKey,
    members: Vec<NodeId>,
}

impl Rings {
    /// The representative commits to a ring: a new one, whatever its id was used for before.
    fn create(&mut self, id: RingId) {
        self.count += 1;
        self.latest
            .insert((id.rep.0, id.seq.0), RingKey(self.count));
    }

    fn find(&self, id: RingId) -> RingKey {
        self.latest
            .get(&(id.rep.0, id.seq.0))
            .copied()
            .unwrap_or(RingKey::NONE)
    }
}

impl Checkers {
    /// Checkers of a world that has not begun.
    #[must_use]
    pub fn new(options: &Options) -> Self {
        Self {
            rings: Rings::default(),
            nodes: BTreeMap::new(),
            total_order: total_order::TotalOrder::default(),
            virtual_synchrony: virtual_synchrony::VirtualSynchrony::default(),
            membership: membership::Membership::default(),
            token: token::Token::default(),
            cpg: cpg::Cpg::default(),
            quorum: quorum::Quorum::default(),
            bounds: bounds::Bounds::new(options),
        }
    }

    /// Shows something to all of them.
    pub fn observe(
        &mut self,
        at: Instant,
        node: NodeId,
        seen: &Observation<'_>,
    ) -> Result<(), Violation> {
        self.before(node, seen);
        let standing = self.nodes.entry(node).or_default();
        let place = Place {
            at,
            node,
            ring: standing.ring,
            forming: standing.forming,
        };
        if let Observation::Sent(frame) = seen {
            self.membership.sent(place, frame)?;
            return self.token.sent(place, frame, |id| self.rings.find(id));
        }
        self.total_order.observe(place, seen)?;
        self.virtual_synchrony.observe(place, seen)?;
        self.membership.observe(place, seen)?;
        self.cpg.observe(place, seen)?;
        self.quorum.observe(place, seen)?;
        self.bounds.observe(place, seen)?;
        self.after(node, seen);
        Ok(())
    }

    /// The world has come to rest.
    pub fn finish(&mut self) -> Result<(), Violation> {
        self.total_order.finish()?;
        self.virtual_synchrony.finish()?;
        self.membership.finish()?;
        self.cpg.finish()?;
        self.quorum.finish()?;
        self.bounds.finish()
    }

    /// Whether every client has got everything that was sent to it; if not, what is missing.
    pub fn all_delivered(&self) -> Result<(), String> {
        self.cpg.all_delivered()
    }

    /// Messages that came back to their senders: grows as long as the ring gets anything done.
    #[must_use]
    pub fn returned(&self) -> u64 {
        self.cpg.returned()
    }

    /// Members of the ring that a node installed last.
    #[must_use]
    pub fn members_of(&self, node: NodeId) -> &[NodeId] {
        self.nodes.get(&node).map_or(&[], |s| &s.members)
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "a checker looks at what concerns it, whatever else there is to see"
    )]
    fn before(&mut self, node: NodeId, seen: &Observation<'_>) {
        match seen {
            Observation::Booted | Observation::Stopped => {
                self.nodes.insert(node, Standing::default());
            }
            Observation::Ring(Output::Event(SrpEvent::State {
                to: MembStateKind::Commit,
                ring,
                ..
            })) => {
                if ring.rep == node {
                    self.rings.create(*ring);
                }
                self.nodes.entry(node).or_default().forming = self.rings.find(*ring);
            }
            _ => {}
        }
    }

    fn after(&mut self, node: NodeId, seen: &Observation<'_>) {
        if let Observation::Ring(Output::ConfChg(change)) = seen
            && change.kind == ConfChgKind::Regular
        {
            let standing = self.nodes.entry(node).or_default();
            standing.ring = standing.forming;
            standing.members.clone_from(&change.members);
        }
    }
}

//! Never two disjoint quorate partitions: any two nodes that are quorate at the same time have a member in common.

use std::collections::BTreeMap;

use ferrosync_executive::core::{Quorate, QuorumView};
use ferrosync_wire::NodeId;

use super::{Checker, Violation};
use crate::observation::{Observation, Place};

/// The checker.
#[derive(Debug, Default)]
pub(super) struct Quorum {
    quorate: BTreeMap<NodeId, QuorumView>,
}

impl Checker for Quorum {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "a checker looks at what concerns it, whatever else there is to see"
    )]
    fn observe(&mut self, place: Place, seen: &Observation<'_>) -> Result<(), Violation> {
        match seen {
            Observation::Booted | Observation::Stopped => {
                self.quorate.remove(&place.node);
                Ok(())
            }
            Observation::TurnEnded { quorum, .. } => self.look(place.node, quorum),
            _ => Ok(()),
        }
    }
}

impl Quorum {
    fn look(&mut self, node: NodeId, view: &QuorumView) -> Result<(), Violation> {
        if view.quorate == Quorate::No {
            self.quorate.remove(&node);
            return Ok(());
        }
        if self.quorate.get(&node) == Some(view) {
            return Ok(());
        }
        for (other, theirs) in &self.quorate {
            let shared = view.members.iter().any(|n| theirs.members.contains(n));
            if *other != node && !shared {
                return Err(Violation {
                    checker: "quorum",
                    text: format!(
                        "is quorate with {:?} while node {other} is with {:?}",
                        view.members, theirs.members
                    ),
                });
            }
        }
        self.quorate.insert(node, view.clone());
        Ok(())
    }
}

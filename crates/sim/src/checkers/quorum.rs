//! Never two disjoint quorate partitions: whoever is quorate at the same time has a member in common.

use std::collections::BTreeMap;

use ferrosync_wire::NodeId;

use super::{Checker, Violation};
use crate::observation::{Observation, Place};

/// The checker.
#[derive(Debug, Default)]
pub(super) struct Quorum {
    quorate: BTreeMap<NodeId, Vec<NodeId>>,
}

impl Checker for Quorum {
    fn observe(&mut self, place: Place, seen: &Observation<'_>) -> Result<(), Violation> {
        match seen {
            Observation::Booted | Observation::Stopped => {
                self.quorate.remove(&place.node);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

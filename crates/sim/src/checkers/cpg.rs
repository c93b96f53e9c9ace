//! Closed process groups as their clients see them.

use super::{Checker, Violation};
use crate::observation::{Observation, Place};

/// The checker.
#[derive(Debug, Default)]
pub(super) struct Cpg {}

impl Checker for Cpg {
    fn observe(&mut self, _place: Place, _seen: &Observation<'_>) -> Result<(), Violation> {
        Ok(())
    }
}

impl Cpg {
    pub(super) fn all_delivered(&self) -> Result<(), String> {
        Ok(())
    }
}

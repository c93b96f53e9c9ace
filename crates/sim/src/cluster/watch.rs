//! Those who look on, and what they object to.

use ferrosync_executive::log::Record;
use ferrosync_totem::srp::{Output, SrpEvent};
use ferrosync_wire::totem::Message;
use ferrosync_wire::{Instant, NodeId};

use crate::checkers::Checkers;
use crate::observation::Observation;
use crate::report::{Class, Failure, Report, Transition};

/// Those who look on.
#[derive(Debug)]
pub(crate) struct Watch {
    pub(crate) checkers: Checkers,
    pub(crate) report: Report,
    /// The first failure; nothing counts after it.
    pub(crate) failure: Option<Failure>,
}

impl Watch {
    /// Shows something to the checkers.
    pub(crate) fn look(&mut self, at: Instant, node: NodeId, seen: &Observation<'_>) {
        if self.failure.is_some() {
            return;
        }
        if let Observation::Ring(Output::Event(event)) = seen {
            self.note_transition(at, node, event);
        }
        if let Observation::Sent(frame) = seen {
            self.report.log(at, node, || {
                let message = Message::parse(frame);
                format!("sends {message:.120?}")
            });
        }
        if let Err(violation) = self.checkers.observe(at, node, seen) {
            self.failure = Some(Failure {
                class: Class::Safety,
                checker: violation.checker,
                at,
                text: format!("node {node}: {}", violation.text),
            });
        }
    }

    fn note_transition(&mut self, at: Instant, node: NodeId, event: &SrpEvent) {
        if let SrpEvent::State {
            from,
            to,
            ring,
            reason,
        } = event
        {
            let members = self.checkers.members_of(node);
            let step = Transition {
                from: *from,
                to: *to,
                ring: *ring,
                reason: *reason,
                members,
            };
            self.report.transition(at, node, &step);
        }
    }

    /// Lines that say that the daemon is broken must not come.
    pub(crate) fn fail_on_log(&mut self, at: Instant, node: NodeId, record: &Record) {
        self.failure.get_or_insert_with(|| Failure {
            class: Class::Safety,
            checker: "log",
            at,
            text: format!("node {node}: {}", record.text),
        });
    }
}

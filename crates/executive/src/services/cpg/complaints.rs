//! Lines of log that somebody else's mistake could repeat with every message.

use std::collections::BTreeMap;
use std::time::Duration;

use ferrosync_wire::Instant;

use crate::log::Priority;
use crate::service::Ctx;

/// What was complained about last when; at most once an interval each.
#[derive(Debug, Default)]
pub(super) struct Complaints(BTreeMap<Complaint, Past>);

#[derive(Debug)]
struct Past {
    last: Instant,
    /// How many were swallowed since.
    swallowed: u64,
}

/// A reason to complain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Complaint {
    /// A message from a node that has no process in the group.
    UnknownNode,
    /// A peer's message that means nothing.
    Malformed,
    /// More processes than are remembered.
    TooManyProcesses,
    /// A group with more members than libcpg's arrays hold.
    TooManyMembers,
    /// A client sends without being in a group, too much, or nonsense.
    CannotSend,
}

impl Complaints {
    /// Writes the line, unless the last of its kind is too recent.
    pub(super) fn log(
        &mut self,
        cx: &mut Ctx<'_>,
        complaint: Complaint,
        text: impl FnOnce() -> String,
    ) {
        let now = cx.now();
        if let Some(past) = self.0.get_mut(&complaint)
            && now.since(past.last) < INTERVAL
        {
            past.swallowed += 1;
            return;
        }
        let fresh = Past {
            last: now,
            swallowed: 0,
        };
        let swallowed = self.0.insert(complaint, fresh).map_or(0, |p| p.swallowed);
        let text = match swallowed {
            0 => text(),
            n => format!("{} ({n} more of this kind before)", text()),
        };
        super::log(cx, Priority::Warning, text);
    }
}

/// Between two lines of one kind.
const INTERVAL: Duration = Duration::from_secs(1);

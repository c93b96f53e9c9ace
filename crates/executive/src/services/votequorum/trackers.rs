//! Clients that want to hear of changes, and what they hear (corosync
//! `votequorum.c:votequorum_exec_send_quorum_notification` and its like, v3.1.7).

use std::collections::BTreeMap;

use ferrosync_wire::exec::votequorum::NodeFlags;
use ferrosync_wire::ipc::CsError;
use ferrosync_wire::ipc::quorum::{TRACK_CHANGES, TRACK_CHANGES_ONLY, TRACK_CURRENT};
use ferrosync_wire::ipc::votequorum::{Event, NodeState};
use ferrosync_wire::{ConnId, NodeId, RingId};

use super::decide::View;
use super::model::DEVICE;
use crate::core::Quorate;

/// Who listens, each with what it calls its tracker.
#[derive(Debug, Default)]
pub(super) struct Trackers(BTreeMap<ConnId, u64>);

impl Trackers {
    /// A client asks to hear of changes.
    ///
    /// # Errors
    /// [`CsError::Exist`] when it hears of them already; nothing changes then.
    pub(super) fn start(&mut self, conn: ConnId, context: u64, flags: u32) -> Result<(), CsError> {
        if self.0.contains_key(&conn) {
            return Err(CsError::Exist);
        }
        if flags & (TRACK_CHANGES | TRACK_CHANGES_ONLY) != 0 {
            self.0.insert(conn, context);
        }
        Ok(())
    }

    /// It wants to hear no more.
    ///
    /// # Errors
    /// [`CsError::NotExist`] when it did not.
    pub(super) fn stop(&mut self, conn: ConnId) -> Result<(), CsError> {
        self.0.remove(&conn).map(drop).ok_or(CsError::NotExist)
    }

    /// All that listen.
    pub(super) fn iter(&self) -> impl Iterator<Item = (ConnId, u64)> + '_ {
        self.0.iter().map(|(conn, context)| (*conn, *context))
    }
}

/// Whether a request asks for the state right away.
pub(super) const fn wants_state(flags: u32) -> bool {
    flags & (TRACK_CURRENT | TRACK_CHANGES) != 0
}

/// Quorum and all nodes ever heard of.
pub(super) fn quorum_event(view: &View, context: u64) -> Event {
    let mut nodes: Vec<(NodeId, NodeState)> = view
        .nodes
        .iter()
        .map(|node| (node.id, node.presence.state()))
        .collect();
    let registered = NodeFlags::QDEVICE_REGISTERED;
    if view.nodes.mine().flags.contains(registered) {
        // C never gives the device a state.
        nodes.push((DEVICE, NodeState(0)));
    }
    Event::Quorum {
        quorate: u32::from(view.quorate == Quorate::Yes),
        context,
        nodes,
    }
}

/// The membership.
pub(super) fn node_list_event(view: &View, ring: RingId, context: u64) -> Event {
    Event::NodeList {
        context,
        ring,
        nodes: view.members.clone(),
    }
}

/// This node's expected votes.
pub(super) fn expected_votes_event(view: &View, context: u64) -> Event {
    Event::ExpectedVotes {
        context,
        votes: view.nodes.mine().expected,
    }
}

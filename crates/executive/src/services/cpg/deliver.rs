//! What the ring brings from other nodes and back from this one.

use bytes::Bytes;
use ferrosync_wire::exec::cpg::{JoinEntry, Mcast, Message, PartialMcast, ProcChange};
use ferrosync_wire::ipc::cpg::{Address, Deliver, PartialDeliver, Reason};
use ferrosync_wire::{Decode, GroupName, NodeId, Reader};

use super::complaints::Complaint;
use super::groups::{Groups, Joined};
use super::{Cpg, log};
use crate::log::Priority;
use crate::service::Ctx;

impl Cpg {
    /// A message in the ring's order.
    pub(super) fn on_message(&mut self, cx: &mut Ctx<'_>, from: NodeId, bytes: &Bytes) {
        match Message::decode(&mut Reader::new(bytes)) {
            Ok(Message::Mcast(mcast)) => self.on_mcast(cx, from, &mcast, bytes),
            Ok(Message::PartialMcast(mcast)) => self.on_partial_mcast(cx, from, &mcast, bytes),
            Ok(Message::ProcJoin(change)) => self.on_proc_join(cx, from, &change),
            Ok(Message::ProcLeave(change)) => self.on_proc_leave(cx, from, &change),
            Ok(Message::JoinList(list)) => self.on_join_list(cx, from, list),
            Ok(Message::DownlistOld) => {
                log(
                    cx,
                    Priority::Debug,
                    format!("downlist OLD from node {from}"),
                );
            }
            Ok(Message::Downlist(list)) => {
                let text = format!("downlist left_list: {} received", list.left.len());
                log(cx, Priority::Debug, text);
            }
            Err(error) => self.complaints.log(cx, Complaint::Malformed, || {
                format!("message from node {from} is not valid ({error}), dropped")
            }),
        }
    }

    fn on_mcast(&mut self, cx: &mut Ctx<'_>, from: NodeId, mcast: &Mcast<'_>, bytes: &Bytes) {
        let deliver = Deliver {
            group: mcast.group.clone(),
            nodeid: from,
            pid: mcast.pid,
            data: mcast.data,
        };
        let body = bytes.slice_ref(mcast.data);
        self.deliver(cx, from, &mcast.group, &deliver.head(), &body);
    }

    fn on_partial_mcast(
        &mut self,
        cx: &mut Ctx<'_>,
        from: NodeId,
        mcast: &PartialMcast<'_>,
        bytes: &Bytes,
    ) {
        let deliver = PartialDeliver {
            group: mcast.group.clone(),
            msglen: mcast.msglen,
            nodeid: from,
            pid: mcast.pid,
            kind: mcast.kind,
            data: mcast.data,
        };
        let body = bytes.slice_ref(mcast.data);
        self.deliver(cx, from, &mcast.group, &deliver.head(), &body);
    }

    /// Hands a message to all who listen; none of them gets it when the sender's node has nobody in the group.
    fn deliver(
        &mut self,
        cx: &mut Ctx<'_>,
        from: NodeId,
        group: &GroupName,
        head: &[u8],
        body: &Bytes,
    ) {
        let Some(group) = self.groups.get(group) else {
            return;
        };
        if group.listeners().is_empty() {
            return;
        }
        if !group.has_member_on(from) {
            return self.complaints.log(cx, Complaint::UnknownNode, || {
                "Unknown node -> we will not deliver message".to_owned()
            });
        }
        for conn in group.listeners() {
            cx.event_shared(*conn, head, body.clone());
        }
    }

    /// Joins are told with the reason JOIN, whatever the message says.
    fn on_proc_join(&mut self, cx: &mut Ctx<'_>, from: NodeId, change: &ProcChange) {
        log_change(cx, "procjoin", from, change.pid);
        if self.take_in(cx, from, change.pid, &change.group) == Joined::New {
            let joined = vec![address(from, change.pid, Reason::JOIN)];
            self.notify(cx, &change.group, Vec::new(), joined);
        }
    }

    /// C tells of leaves of processes that nobody knew, too (`docs/deviations.md`, D-34).
    fn on_proc_leave(&mut self, cx: &mut Ctx<'_>, from: NodeId, change: &ProcChange) {
        log_change(cx, "procleave", from, change.pid);
        self.membership.left_meanwhile(from, change);
        if from == cx.me() {
            self.departures.arrived(change);
        }
        self.take_out(cx, from, change.pid, &change.group, change.reason);
    }

    /// Takes out a process, if it is known, and tells the others in its group.
    pub(super) fn take_out(
        &mut self,
        cx: &mut Ctx<'_>,
        node: NodeId,
        pid: u32,
        group: &GroupName,
        reason: Reason,
    ) {
        if self.groups.contains(group, node, pid) {
            self.notify(cx, group, vec![address(node, pid, reason)], Vec::new());
            self.groups.leave(group, node, pid);
        }
    }

    /// Takes a process into the list. This node's own are bounded where they ask.
    pub(super) fn take_in(
        &mut self,
        cx: &mut Ctx<'_>,
        node: NodeId,
        pid: u32,
        group: &GroupName,
    ) -> Joined {
        let limit = if node == cx.me() {
            usize::MAX
        } else {
            Groups::PROCESSES_MAX
        };
        let joined = self.groups.join(group, node, pid, limit);
        if joined == Joined::TooMany {
            self.complaints.log(cx, Complaint::TooManyProcesses, || {
                format!("more than {limit} processes in groups, process {pid} of node {node} is left out")
            });
        }
        joined
    }

    /// Kept until all have sent theirs.
    fn on_join_list(&mut self, cx: &mut Ctx<'_>, from: NodeId, list: Vec<JoinEntry>) {
        log(
            cx,
            Priority::Debug,
            format!("got joinlist message from node {from}"),
        );
        if from != cx.me() && !self.membership.collect(from, list) {
            self.complaints.log(cx, Complaint::TooManyProcesses, || {
                format!("the join list of node {from} is not expected or too long, dropped")
            });
        }
    }
}

/// A process in an event.
pub(super) const fn address(nodeid: NodeId, pid: u32, reason: Reason) -> Address {
    Address {
        nodeid,
        pid,
        reason,
    }
}

fn log_change(cx: &mut Ctx<'_>, what: &str, from: NodeId, pid: u32) {
    let ip = super::notify::node_text(cx, from);
    let text = format!("got {what} message from cluster node {from} ({ip}) for pid {pid}");
    log(cx, Priority::Debug, text);
}

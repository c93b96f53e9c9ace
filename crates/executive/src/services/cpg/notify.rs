//! Events about memberships: who is in a group now, who went, who came; and who is in the ring.

use bytes::Bytes;
use ferrosync_wire::ipc::cpg::{Address, Confchg, Event, Reason, TotemConfchg};
use ferrosync_wire::value::Value;
use ferrosync_wire::{ConnId, Encode, GroupName, NodeId};

use super::Cpg;
use super::complaints::Complaint;
use super::connection::{State, Told, TotemConf};
use crate::service::Ctx;

impl Cpg {
    /// Tells the clients in a group that it changed. Who left is still in the process list or not, who joined is
    /// (corosync `cpg.c:notify_lib_joinlist`, v3.1.7).
    pub(super) fn notify(
        &mut self,
        cx: &mut Ctx<'_>,
        group: &GroupName,
        left: Vec<Address>,
        joined: Vec<Address>,
    ) {
        self.complete_joins(cx, group, &joined);
        if let Some(event) = self.confchg(cx, group, &left, joined) {
            self.tell_group(cx, group, &event);
        }
        self.complete_leaves(cx, group, &left);
        self.tell_those_owed(cx);
    }

    /// From its own join on a client is told, that join included.
    fn complete_joins(&mut self, cx: &Ctx<'_>, group: &GroupName, joined: &[Address]) {
        for process in joined.iter().filter(|p| p.nodeid == cx.me()) {
            for (conn, connection) in &mut self.connections {
                let State::JoinStarted(seat) = &connection.state else {
                    continue;
                };
                let is_it = seat.pid == process.pid && seat.group == *group;
                if is_it && connection.told == Told::Yes {
                    self.groups.listen(group, *conn);
                    connection.state = State::JoinCompleted(seat.clone());
                }
            }
        }
    }

    /// A client that asked to leave is told of its own leave as the last thing, and may join again.
    ///
    /// C means to do this and walks the wrong list (`docs/deviations.md`, D-32).
    fn complete_leaves(&mut self, cx: &Ctx<'_>, group: &GroupName, left: &[Address]) {
        let own = left
            .iter()
            .filter(|p| p.nodeid == cx.me() && p.reason == Reason::LEAVE);
        for process in own {
            for (conn, connection) in &mut self.connections {
                let State::LeaveStarted(seat) = &connection.state else {
                    continue;
                };
                if seat.pid == process.pid && seat.group == *group {
                    self.groups.stop_listening(group, *conn);
                    connection.state = State::Unjoined;
                }
            }
        }
    }

    /// The event's bytes; `None` when nobody listens.
    fn confchg(
        &mut self,
        cx: &mut Ctx<'_>,
        group: &GroupName,
        left: &[Address],
        joined: Vec<Address>,
    ) -> Option<Bytes> {
        let state = self.groups.get(group)?;
        if state.listeners().is_empty() {
            return None;
        }
        let size = state.len();
        let goes = |m: &Address| left.iter().any(|l| (l.nodeid, l.pid) == (m.nodeid, m.pid));
        let members = self.groups.members(group).filter(|m| !goes(m)).collect();
        let mut event = Confchg {
            group: group.clone(),
            members,
            left: left.to_vec(),
            joined,
        };
        let lists = [&mut event.members, &mut event.left, &mut event.joined];
        if lists.into_iter().any(cut) {
            self.complaints.log(cx, Complaint::TooManyMembers, || {
                format!("group {group} has {size} members, clients are told of {MEMBERS_MAX}")
            });
        }
        Some(Event::Confchg(event).to_vec().into())
    }

    fn tell_group(&mut self, cx: &mut Ctx<'_>, group: &GroupName, event: &Bytes) {
        let listeners = self.groups.get(group).map_or(&[][..], |g| g.listeners());
        for conn in listeners {
            cx.event_shared(*conn, &[], event.clone());
            if let Some(connection) = self.connections.get_mut(conn) {
                connection.count_transition();
            }
        }
    }

    /// Tells clients that asked for it at their join which members the ring has. Any group's change brings it.
    fn tell_those_owed(&mut self, cx: &mut Ctx<'_>) {
        if self.totem_conf_owed.is_empty() {
            return;
        }
        let event = self.totem_confchg();
        for conn in std::mem::take(&mut self.totem_conf_owed) {
            cx.event_shared(conn, &[], event.clone());
            if let Some(connection) = self.connections.get_mut(&conn) {
                connection.totem_conf = TotemConf::Sent;
            }
        }
    }

    /// Tells all clients which members the ring has.
    pub(super) fn tell_all(&mut self, cx: &mut Ctx<'_>) {
        let event = self.totem_confchg();
        for (conn, connection) in &self.connections {
            if connection.told == Told::Yes {
                cx.event_shared(*conn, &[], event.clone());
            }
        }
    }

    /// Ring and members belong together. C names a new ring with the members of the old while services synchronise
    /// (`docs/deviations.md`, D-37).
    fn totem_confchg(&self) -> Bytes {
        let event = TotemConfchg {
            ring: self.membership.ring(),
            members: self.membership.members().to_vec(),
        };
        Event::TotemConfchg(event).to_vec().into()
    }

    /// Nothing is told to this connection any more.
    pub(super) fn stop_telling(&mut self, conn: ConnId) {
        self.totem_conf_owed.remove(&conn);
        let Some(connection) = self.connections.get_mut(&conn) else {
            return;
        };
        connection.told = Told::Finalized;
        connection.iterations.clear();
        if let Some(seat) = connection.state.seat() {
            self.groups.stop_listening(&seat.group, conn);
        }
    }
}

/// A node's addresses as corosync prints them.
pub(super) fn node_text(cx: &mut Ctx<'_>, node: NodeId) -> String {
    match cx.icmap().get(&format!("runtime.members.{node}.ip")) {
        Some(Value::Str(ip)) => ip.to_string(),
        Some(_) | None => String::new(),
    }
}

/// Cuts a list to what libcpg has room for; says whether it did.
fn cut(list: &mut Vec<Address>) -> bool {
    let too_long = list.len() > MEMBERS_MAX;
    list.truncate(MEMBERS_MAX);
    too_long
}

/// Entries of the arrays that libcpg copies each list of an event into, without a look at the count
/// (`include/corosync/cpg.h: CPG_MEMBERS_MAX`, `lib/cpg.c:cpg_dispatch`, v3.1.7; `docs/deviations.md`, D-31).
pub(super) const MEMBERS_MAX: usize = 128;

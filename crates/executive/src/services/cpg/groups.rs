//! Which processes are in which groups, cluster-wide, and who listens on this node.
//!
//! C keeps one list of processes and one of connections and walks both for every message
//! (corosync `cpg.c:message_handler_req_exec_cpg_mcast`, v3.1.7). Here a message costs one look-up by group.

use std::collections::BTreeMap;

use ferrosync_wire::ipc::cpg::{Address, Reason};
use ferrosync_wire::{ConnId, GroupName, NodeId};

/// All groups that have a member or a listener.
#[derive(Debug, Default)]
pub(super) struct Groups {
    by_name: BTreeMap<GroupName, Group>,
    /// C's process list: by node and process, equals in the order in which they came.
    order: BTreeMap<Place, GroupName>,
    inserted: u64,
}

/// Node, process, and a count of arrivals.
type Place = (NodeId, u32, u64);

/// One group.
#[derive(Debug, Default)]
pub(super) struct Group {
    /// When each member came.
    members: BTreeMap<(NodeId, u32), u64>,
    /// Connections of this node that get what is sent to the group.
    listeners: Vec<ConnId>,
}

/// What became of a process that joins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Joined {
    /// It is in the group now.
    New,
    /// It was already.
    Known,
    /// There are more processes than a cluster can have: it is not taken in.
    TooMany,
}

impl Group {
    /// Whether a process of this node is a member.
    pub(super) fn has_member_on(&self, node: NodeId) -> bool {
        let mut of_node = self.members.range((node, 0)..=(node, u32::MAX));
        of_node.next().is_some()
    }

    /// Connections of this node that get what is sent to the group.
    pub(super) fn listeners(&self) -> &[ConnId] {
        &self.listeners
    }

    /// How many processes are in it.
    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

    fn is_unused(&self) -> bool {
        self.members.is_empty() && self.listeners.is_empty()
    }
}

impl Groups {
    /// Most processes of other nodes that are remembered. C remembers any number (`docs/deviations.md`, D-31).
    pub(super) const PROCESSES_MAX: usize = 65_536;

    /// A group with members or listeners.
    pub(super) fn get(&self, name: &GroupName) -> Option<&Group> {
        self.by_name.get(name)
    }

    /// How many processes there are in all groups.
    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether a process is in a group.
    pub(super) fn contains(&self, name: &GroupName, node: NodeId, pid: u32) -> bool {
        let group = self.by_name.get(name);
        group.is_some_and(|g| g.members.contains_key(&(node, pid)))
    }

    /// Takes a process in; `limit` is what the list may grow to.
    pub(super) fn join(
        &mut self,
        name: &GroupName,
        node: NodeId,
        pid: u32,
        limit: usize,
    ) -> Joined {
        if self.contains(name, node, pid) {
            return Joined::Known;
        }
        if self.order.len() >= limit {
            return Joined::TooMany;
        }
        self.inserted += 1;
        let group = self.by_name.entry(name.clone()).or_default();
        group.members.insert((node, pid), self.inserted);
        self.order.insert((node, pid, self.inserted), name.clone());
        Joined::New
    }

    /// Takes a process out; does nothing when it is not in the group.
    pub(super) fn leave(&mut self, name: &GroupName, node: NodeId, pid: u32) {
        let Some(group) = self.by_name.get_mut(name) else {
            return;
        };
        if let Some(inserted) = group.members.remove(&(node, pid)) {
            self.order.remove(&(node, pid, inserted));
        }
        self.forget_unused(name);
    }

    /// The members of a group, in the order of the process list.
    pub(super) fn members(&self, name: &GroupName) -> impl Iterator<Item = Address> + '_ {
        let group = self.by_name.get(name);
        let members = group.into_iter().flat_map(|g| g.members.keys());
        members.map(|(nodeid, pid)| Address {
            nodeid: *nodeid,
            pid: *pid,
            reason: Reason::UNDEFINED,
        })
    }

    /// The process list.
    pub(super) fn processes(&self) -> impl Iterator<Item = (NodeId, u32, &GroupName)> {
        self.order
            .iter()
            .map(|((node, pid, _), name)| (*node, *pid, name))
    }

    /// The part of the process list that lies on one node.
    pub(super) fn processes_on(&self, node: NodeId) -> impl Iterator<Item = (u32, &GroupName)> {
        self.order
            .range((node, 0, 0)..=(node, u32::MAX, u64::MAX))
            .map(|((_, pid, _), name)| (*pid, name))
    }

    /// From now on the connection gets what is sent to the group.
    pub(super) fn listen(&mut self, name: &GroupName, conn: ConnId) {
        let group = self.by_name.entry(name.clone()).or_default();
        if !group.listeners.contains(&conn) {
            group.listeners.push(conn);
        }
    }

    /// From now on it does not.
    pub(super) fn stop_listening(&mut self, name: &GroupName, conn: ConnId) {
        if let Some(group) = self.by_name.get_mut(name) {
            group.listeners.retain(|c| *c != conn);
            self.forget_unused(name);
        }
    }

    fn forget_unused(&mut self, name: &GroupName) {
        if self.by_name.get(name).is_some_and(Group::is_unused) {
            self.by_name.remove(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> GroupName {
        GroupName::new(text.as_bytes()).unwrap()
    }

    fn join(groups: &mut Groups, group: &str, node: u32, pid: u32) -> Joined {
        groups.join(&name(group), NodeId(node), pid, 4)
    }

    #[test]
    fn the_process_list_is_sorted_and_equals_keep_their_order() {
        let mut groups = Groups::default();
        for (group, node, pid) in [("b", 2, 1), ("z", 1, 9), ("a", 1, 9), ("b", 1, 10)] {
            assert_eq!(join(&mut groups, group, node, pid), Joined::New);
        }
        let list: Vec<_> = groups
            .processes()
            .map(|(n, p, g)| (n.0, p, g.to_string()))
            .collect();
        let expected = [(1, 9, "z"), (1, 9, "a"), (1, 10, "b"), (2, 1, "b")];
        assert_eq!(list, expected.map(|(n, p, g)| (n, p, g.to_owned())));
        assert_eq!(groups.processes_on(NodeId(1)).count(), 3);
        assert_eq!(join(&mut groups, "b", 2, 1), Joined::Known);
        assert_eq!(join(&mut groups, "b", 2, 2), Joined::TooMany);
        assert_eq!(groups.members(&name("b")).count(), 2);
    }

    #[test]
    fn groups_live_as_long_as_somebody_is_interested() {
        let mut groups = Groups::default();
        join(&mut groups, "g", 1, 1);
        groups.listen(&name("g"), ConnId(7));
        groups.listen(&name("g"), ConnId(7));
        let group = groups.get(&name("g")).unwrap();
        assert!(group.has_member_on(NodeId(1)) && !group.has_member_on(NodeId(2)));
        assert_eq!(group.listeners(), [ConnId(7)]);
        groups.leave(&name("g"), NodeId(1), 1);
        groups.leave(&name("g"), NodeId(1), 1);
        assert_eq!(
            (groups.len(), groups.get(&name("g")).unwrap().len()),
            (0, 0)
        );
        groups.stop_listening(&name("g"), ConnId(7));
        assert!(groups.get(&name("g")).is_none());
    }
}

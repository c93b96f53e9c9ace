//! After a change of the ring's membership: who went, who came, who died meanwhile.

use std::collections::{BTreeMap, BTreeSet};

use ferrosync_totem::srp::QueueFull;
use ferrosync_wire::exec::cpg::{Downlist, JoinEntry, Message, ProcChange, Reason};
use ferrosync_wire::ipc::cpg::Address;
use ferrosync_wire::{GroupName, NodeId, RingId};

use super::deliver::address;
use super::groups::{Groups, Joined};
use super::notify::node_text;
use super::{Cpg, log};
use crate::log::Priority;
use crate::service::{Ctx, SyncProgress, SyncView};

/// The ring's membership as clients know it, and what is known of the one to come.
#[derive(Debug)]
pub(super) struct Membership {
    ring: RingId,
    members: Vec<NodeId>,
    /// Members with whom this node went through every ring since. A ring whose synchronisation was broken off
    /// counts too, though C forgets it (`docs/deviations.md`, D-38).
    stayed: BTreeSet<NodeId>,
    syncing: Option<Syncing>,
}

/// A synchronisation.
#[derive(Debug)]
struct Syncing {
    ring: RingId,
    members: Vec<NodeId>,
    progress: Progress,
    /// Processes of other nodes, in the order in which they were told.
    lists: Vec<(NodeId, JoinEntry)>,
    /// Processes whose leaves came during it; a list that was written before may still have them
    /// (`docs/deviations.md`, D-35).
    left: BTreeSet<(NodeId, u32, GroupName)>,
}

/// How far a synchronisation has come on this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// Nothing is sent.
    Downlist,
    /// The join list is to be sent.
    JoinList,
    /// All is sent.
    Told,
    /// Clients were told; other services are not done yet.
    Activated,
}

impl Default for Membership {
    fn default() -> Self {
        Self {
            ring: RingId::ZERO,
            members: Vec::new(),
            stayed: BTreeSet::new(),
            syncing: None,
        }
    }
}

impl Membership {
    /// The ring that clients were told last.
    pub(super) const fn ring(&self) -> RingId {
        self.ring
    }

    /// Its members.
    pub(super) fn members(&self) -> &[NodeId] {
        &self.members
    }

    /// A new membership. What another one's synchronisation collected is void, even if it came after its end.
    pub(super) fn begin(&mut self, view: &SyncView) {
        self.stayed.retain(|node| view.trans.contains(node));
        self.syncing = Some(Syncing {
            ring: view.ring,
            members: view.members.clone(),
            progress: Progress::Downlist,
            lists: Vec::new(),
            left: BTreeSet::new(),
        });
    }

    /// All services are synchronised.
    pub(super) fn end(&mut self) {
        self.syncing = None;
    }

    /// Keeps a peer's processes; not when nobody asked, nor when they are more than a cluster can have.
    pub(super) fn collect(&mut self, from: NodeId, list: Vec<JoinEntry>) -> bool {
        let Some(syncing) = &mut self.syncing else {
            return false;
        };
        let fits = syncing.lists.len() + list.len() <= Groups::PROCESSES_MAX;
        if fits {
            let list = list.into_iter().map(|entry| (from, entry));
            syncing.lists.extend(list);
        }
        fits
    }

    /// A process left, perhaps while services synchronise.
    pub(super) fn left_meanwhile(&mut self, from: NodeId, change: &ProcChange) {
        if let Some(syncing) = &mut self.syncing
            && syncing.left.len() < Groups::PROCESSES_MAX
        {
            let group = change.group.clone();
            syncing.left.insert((from, change.pid, group));
        }
    }

    /// Members of the old ring that are gone, or were away.
    fn lost(&self) -> Vec<NodeId> {
        let old = self.members.iter().copied();
        old.filter(|node| !self.stayed.contains(node)).collect()
    }

    /// The new membership holds; returns who is lost and the processes of the others, as they were told.
    fn activate(&mut self) -> (Vec<NodeId>, Vec<(NodeId, JoinEntry)>) {
        let lost = self.lost();
        let Some(syncing) = &mut self.syncing else {
            return (Vec::new(), Vec::new());
        };
        syncing.progress = Progress::Activated;
        self.ring = syncing.ring;
        self.members.clone_from(&syncing.members);
        self.stayed = self.members.iter().copied().collect();
        let mut lists = std::mem::take(&mut syncing.lists);
        let left = std::mem::take(&mut syncing.left);
        let is_there = |node: NodeId, entry: &JoinEntry| {
            left.is_empty() || !left.contains(&(node, entry.pid, entry.group.clone()))
        };
        lists.retain(|(node, entry)| is_there(*node, entry));
        (lost, lists)
    }

    fn advance(&mut self, from: Progress, to: Progress) {
        if let Some(syncing) = &mut self.syncing {
            assert_eq!(syncing.progress, from, "downlist, then join list");
            syncing.progress = to;
        }
    }
}

impl Cpg {
    /// Sends what other nodes must know: which members this node lost, which C only logs, and its processes.
    pub(super) fn tell_peers(&mut self, cx: &mut Ctx<'_>) -> SyncProgress {
        let Some(progress) = self.membership.syncing.as_ref().map(|s| s.progress) else {
            return SyncProgress::Done;
        };
        if progress == Progress::Downlist {
            let downlist = Downlist {
                old_members: u32::try_from(self.membership.members.len()).unwrap_or(u32::MAX),
                left: self.membership.lost(),
            };
            if cx.mcast(&Message::Downlist(downlist)) == Err(QueueFull) {
                return SyncProgress::Again;
            }
            self.membership
                .advance(Progress::Downlist, Progress::JoinList);
        }
        if matches!(progress, Progress::Downlist | Progress::JoinList) {
            if self.send_join_list(cx) == Err(QueueFull) {
                return SyncProgress::Again;
            }
            self.membership.advance(Progress::JoinList, Progress::Told);
        }
        SyncProgress::Done
    }

    /// Without processes there is nothing to send.
    fn send_join_list(&self, cx: &mut Ctx<'_>) -> Result<(), QueueFull> {
        let own = self.groups.processes_on(cx.me());
        let list: Vec<JoinEntry> = own
            .map(|(pid, group)| JoinEntry {
                pid,
                group: group.clone(),
            })
            .collect();
        if list.is_empty() {
            return Ok(());
        }
        cx.mcast(&Message::JoinList(list))
    }

    /// All have sent: clients are told, in C's order (corosync `cpg.c:cpg_sync_activate`, v3.1.7).
    pub(super) fn activate(&mut self, cx: &mut Ctx<'_>) {
        let old_members = self.membership.members.len();
        let (lost, lists) = self.membership.activate();
        let text = format!(
            "my downlist: members(old:{old_members} left:{})",
            lost.len()
        );
        log(cx, Priority::Debug, text);
        self.drop_nodes(cx, &lost);
        self.add_processes(cx, &lists);
        self.drop_unlisted(cx, &lists);
        self.tell_all(cx);
    }

    /// Processes of lost nodes go together: one event a group.
    fn drop_nodes(&mut self, cx: &mut Ctx<'_>, lost: &[NodeId]) {
        let mut changes = Changes::default();
        let processes = self.groups.processes();
        for (node, pid, group) in processes.filter(|(node, ..)| lost.contains(node)) {
            changes.add(group, address(node, pid, Reason::NODEDOWN));
        }
        for (group, processes) in changes.iter() {
            for process in processes {
                self.groups.leave(group, process.nodeid, process.pid);
            }
        }
        for (group, left) in changes.into_sorted() {
            log_processes(cx, "left_list", &group, &left);
            self.notify(cx, &group, left, Vec::new());
        }
    }

    /// Processes that were not known come together: one event a group. C keeps lists backwards, so who was told
    /// last comes first.
    fn add_processes(&mut self, cx: &mut Ctx<'_>, lists: &[(NodeId, JoinEntry)]) {
        let mut changes = Changes::default();
        for (node, entry) in lists.iter().rev() {
            if self.take_in(cx, *node, entry.pid, &entry.group) == Joined::New {
                changes.add(&entry.group, address(*node, entry.pid, Reason::NODEUP));
            }
        }
        for (group, joined) in changes.into_sorted() {
            log_processes(cx, "joinlist_messages", &group, &joined);
            self.notify(cx, &group, Vec::new(), joined);
        }
    }

    /// Processes that their own nodes do not know died unnoticed.
    fn drop_unlisted(&mut self, cx: &mut Ctx<'_>, lists: &[(NodeId, JoinEntry)]) {
        let listed: BTreeSet<(NodeId, u32, &GroupName)> = lists
            .iter()
            .map(|(node, entry)| (*node, entry.pid, &entry.group))
            .collect();
        let me = cx.me();
        let zombies: Vec<(NodeId, u32, GroupName)> = self
            .groups
            .processes()
            .filter(|process| process.0 != me && !listed.contains(process))
            .map(|(node, pid, group)| (node, pid, group.clone()))
            .collect();
        for (node, pid, group) in zombies {
            self.take_out(cx, node, pid, &group, Reason::PROCDOWN);
        }
    }
}

/// Processes that go or come together, by group. C takes names for strings here, so that groups whose names agree up
/// to a NUL become one (`docs/deviations.md`, D-39).
#[derive(Debug, Default)]
struct Changes(BTreeMap<GroupName, (GroupName, Vec<Address>)>);

impl Changes {
    /// A group is called in events what its first process calls it, bytes behind the name's end included.
    fn add(&mut self, group: &GroupName, process: Address) {
        let entry = self.0.entry(group.clone());
        let (_, processes) = entry.or_insert_with(|| (group.clone(), Vec::new()));
        processes.push(process);
    }

    fn iter(&self) -> impl Iterator<Item = (&GroupName, &[Address])> {
        self.0
            .values()
            .map(|(group, list)| (group, list.as_slice()))
    }

    /// In the order of C's maps, which compare strings.
    fn into_sorted(self) -> Vec<(GroupName, Vec<Address>)> {
        let mut list: Vec<_> = self.0.into_values().collect();
        list.sort_by(|(a, _), (b, _)| a.as_c_str().cmp(b.as_c_str()));
        list
    }
}

fn log_processes(cx: &mut Ctx<'_>, what: &str, group: &GroupName, processes: &[Address]) {
    let name = group.as_bytes().escape_ascii();
    for (i, process) in processes.iter().enumerate() {
        let ip = node_text(cx, process.nodeid);
        let text = format!("{what}[{i}] group:{name}, ip:{ip}, pid:{}", process.pid);
        log(cx, Priority::Debug, text);
    }
}

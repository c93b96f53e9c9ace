//! Sets of nodes.

use std::collections::BTreeMap;

use ferrosync_wire::totem::NODES_MAX;
use ferrosync_wire::{NodeId, RingSeq};

/// A set of at most [`NODES_MAX`] nodes in ascending order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeSet(Vec<NodeId>);

impl NodeSet {
    /// The set without members.
    pub const EMPTY: Self = Self(Vec::new());

    /// The set of one node.
    #[must_use]
    pub fn single(node: NodeId) -> Self {
        Self(vec![node])
    }

    /// Members in ascending order.
    #[must_use]
    pub fn as_slice(&self) -> &[NodeId] {
        &self.0
    }

    /// Members in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.0.iter().copied()
    }

    /// Number of members.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nobody is in it.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `node` is a member.
    #[must_use]
    pub fn contains(&self, node: NodeId) -> bool {
        self.0.binary_search(&node).is_ok()
    }

    /// Adds a node. A full set stays as it is: more than [`NODES_MAX`] nodes cannot form a ring.
    pub fn insert(&mut self, node: NodeId) {
        if let Err(at) = self.0.binary_search(&node)
            && self.0.len() < NODES_MAX
        {
            self.0.insert(at, node);
        }
    }

    /// Removes a node if it is there.
    pub fn remove(&mut self, node: NodeId) {
        if let Ok(at) = self.0.binary_search(&node) {
            self.0.remove(at);
        }
    }

    /// Adds all of `other`.
    pub fn merge(&mut self, other: &Self) {
        for node in other.iter() {
            self.insert(node);
        }
    }

    /// Members of `self` that are not in `other`.
    #[must_use]
    pub fn minus(&self, other: &Self) -> Self {
        self.iter().filter(|n| !other.contains(*n)).collect()
    }

    /// Whether every member is in `other` too.
    #[must_use]
    pub fn is_subset(&self, other: &Self) -> bool {
        self.iter().all(|n| other.contains(n))
    }

    /// The smallest member.
    #[must_use]
    pub fn lowest(&self) -> Option<NodeId> {
        self.0.first().copied()
    }
}

impl FromIterator<NodeId> for NodeSet {
    fn from_iter<I: IntoIterator<Item = NodeId>>(nodes: I) -> Self {
        let mut list: Vec<NodeId> = nodes.into_iter().collect();
        list.sort_unstable();
        list.dedup();
        list.truncate(NODES_MAX);
        Self(list)
    }
}

/// What a gathering node believes about who takes part (`my_proc_list`, `my_failed_list`, `consensus_list`).
#[derive(Clone, Debug, Default)]
pub(super) struct Proposal {
    /// Everybody considered, the failed included.
    pub(super) proc: NodeSet,
    /// Those considered failed.
    pub(super) failed: NodeSet,
    /// Those whose last join said exactly the same.
    pub(super) agreeing: NodeSet,
    /// The ring of each node's last join before it was failed.
    heard: BTreeMap<NodeId, RingSeq>,
}

impl Proposal {
    /// The membership that would be formed.
    #[must_use]
    pub(super) fn candidates(&self) -> NodeSet {
        self.proc.minus(&self.failed)
    }

    /// Whether every candidate agrees (`totemsrp.c:memb_consensus_agreed`, v3.1.7).
    #[must_use]
    pub(super) fn is_agreed(&self) -> bool {
        let candidates = self.candidates();
        !candidates.is_empty() && candidates.is_subset(&self.agreeing)
    }

    /// Whether `node` is the smallest candidate, who creates the commit token.
    #[must_use]
    pub(super) fn is_represented_by(&self, node: NodeId) -> bool {
        self.candidates().lowest() == Some(node)
    }

    /// Candidates and failed nodes that have not said the same; they are failed when consensus takes too long.
    #[must_use]
    pub(super) fn silent(&self) -> NodeSet {
        self.proc.minus(&self.agreeing)
    }

    /// Takes note that a join of `node` came, when `node` belonged to this ring.
    pub(super) fn hear(&mut self, node: NodeId, ring: RingSeq) {
        let known = self.heard.contains_key(&node);
        if !self.failed.contains(node) && (known || self.heard.len() < NODES_MAX) {
            self.heard.insert(node, ring);
        }
    }

    /// Whether `node`, that is failed here, was alive before and has formed another ring since (D-51).
    pub(super) fn has_moved_on(&self, node: NodeId, ring: RingSeq) -> bool {
        self.heard.get(&node).is_some_and(|before| *before < ring)
    }

    /// `node` is not failed any more.
    pub(super) fn forgive(&mut self, node: NodeId) {
        self.failed.remove(node);
    }

    /// A ring of `members` is agreed on: the next gathering begins with it.
    pub(super) fn begin_with(&mut self, members: NodeSet) {
        self.proc = members;
        self.failed = NodeSet::EMPTY;
        self.heard.clear();
    }

    /// Forgets who agrees, but for `me`.
    pub(super) fn restart(&mut self, me: NodeId) {
        self.proc.insert(me);
        self.agreeing = NodeSet::single(me);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(ids: &[u32]) -> NodeSet {
        ids.iter().map(|i| NodeId(*i)).collect()
    }

    #[test]
    fn algebra() {
        let mut a = set(&[3, 1, 2, 3]);
        assert_eq!(a, set(&[1, 2, 3]));
        assert_eq!(a.minus(&set(&[2, 9])), set(&[1, 3]));
        assert!(set(&[1, 3]).is_subset(&a));
        assert!(!set(&[1, 4]).is_subset(&a));
        a.merge(&set(&[0, 7]));
        assert_eq!(a.lowest(), Some(NodeId(0)));
        a.remove(NodeId(0));
        assert_eq!(a, set(&[1, 2, 3, 7]));
    }

    #[test]
    fn a_full_set_takes_no_more() {
        let mut full: NodeSet = (1..=384).map(NodeId).collect();
        full.insert(NodeId(1_000));
        assert_eq!(full.len(), NODES_MAX);
        assert!(!full.contains(NodeId(1_000)));
    }

    #[test]
    fn agreement_ignores_the_failed() {
        let mut p = Proposal {
            proc: set(&[1, 2, 3]),
            failed: set(&[3]),
            agreeing: set(&[1]),
            ..Proposal::default()
        };
        assert!(!p.is_agreed());
        p.agreeing.insert(NodeId(2));
        assert!(p.is_agreed());
        assert!(p.is_represented_by(NodeId(1)));
        assert_eq!(p.silent(), set(&[3]));
    }
}

//! The nodes that votequorum has heard of (corosync `votequorum.c: struct cluster_node`, v3.1.7).

use ferrosync_wire::NodeId;
use ferrosync_wire::exec::votequorum::NodeFlags;
use ferrosync_wire::ipc::votequorum::NodeState;

/// One node as its last message described it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Node {
    /// Its id.
    pub(super) id: NodeId,
    /// Whether it is there.
    pub(super) presence: Presence,
    /// Its votes.
    pub(super) votes: u32,
    /// The votes that it expects in all.
    pub(super) expected: u32,
    /// Its state.
    pub(super) flags: NodeFlags,
}

/// Whether a node is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    /// It is a member and said so.
    Member,
    /// It left the ring, or has not spoken yet.
    Dead,
    /// It said that it is about to go; its votes do not count any more.
    Leaving,
}

impl Presence {
    /// As clients are told.
    pub(super) const fn state(self) -> NodeState {
        match self {
            Self::Member => NodeState::MEMBER,
            Self::Dead => NodeState::DEAD,
            Self::Leaving => NodeState::LEAVING,
        }
    }
}

/// All nodes, this one included, in the order in which clients are told of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Nodes {
    me: NodeId,
    list: Vec<Node>,
}

impl Nodes {
    /// Most nodes that are remembered (`PROCESSOR_COUNT_MAX` and the two more for which C has room). Only members
    /// of the ring are added, of whom there are fewer, so one can always be forgotten.
    pub(super) const MAX: usize = 386;

    /// This node alone.
    pub(super) fn new(me: NodeId, votes: u32, expected: u32) -> Self {
        let list = vec![Node {
            id: me,
            presence: Presence::Member,
            votes,
            expected,
            flags: NodeFlags::FIRST,
        }];
        Self { me, list }
    }

    /// This node's id.
    pub(super) const fn me(&self) -> NodeId {
        self.me
    }

    /// This node.
    pub(super) fn mine(&self) -> &Node {
        self.get(self.me).expect("this node is never forgotten")
    }

    /// This node.
    pub(super) fn mine_mut(&mut self) -> &mut Node {
        let me = self.me;
        self.get_mut(me).expect("this node is never forgotten")
    }

    /// A node.
    pub(super) fn get(&self, id: NodeId) -> Option<&Node> {
        self.list.iter().find(|node| node.id == id)
    }

    /// A node.
    pub(super) fn get_mut(&mut self, id: NodeId) -> Option<&mut Node> {
        self.list.iter_mut().find(|node| node.id == id)
    }

    /// All nodes.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Node> {
        self.list.iter()
    }

    /// Those whose votes count.
    pub(super) fn present(&self) -> impl Iterator<Item = &Node> {
        self.iter().filter(|node| node.presence == Presence::Member)
    }

    /// Changes what all members expect.
    pub(super) fn expect(&mut self, votes: u32) {
        for node in &mut self.list {
            if node.presence == Presence::Member {
                node.expected = votes;
            }
        }
    }

    /// Adds a node that was never heard of. `None` when there is no room, which cannot be while only members of
    /// the ring are added.
    pub(super) fn add(&mut self, id: NodeId) -> Option<&mut Node> {
        if self.list.len() >= Self::MAX {
            let me = self.me;
            let forgotten = |node: &Node| node.presence == Presence::Dead && node.id != me;
            let at = self.list.iter().position(forgotten)?;
            self.list.remove(at);
        }
        let at = self.place(id);
        let node = Node {
            id,
            presence: Presence::Dead,
            votes: 0,
            expected: 0,
            flags: NodeFlags::default(),
        };
        self.list.insert(at, node);
        self.list.get_mut(at)
    }

    /// Where C puts a new node: in front of the first that is larger; the largest, however, in front of the last
    /// (`node_add_ordered`).
    fn place(&self, id: NodeId) -> usize {
        let larger = |node: &Node| signed(id) < signed(node.id);
        self.list
            .iter()
            .position(larger)
            .unwrap_or_else(|| self.list.len().saturating_sub(1))
    }
}

/// The number by which C orders nodes: a node id above 2^31 counts as negative. All nodes of a ring must agree on
/// which is the lowest.
pub(super) const fn signed(id: NodeId) -> i32 {
    id.0.cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(nodes: &Nodes) -> Vec<u32> {
        nodes.iter().map(|node| node.id.0).collect()
    }

    #[test]
    fn nodes_stand_where_c_puts_them() {
        let mut nodes = Nodes::new(NodeId(2), 1, 3);
        for (id, order) in [
            (1, vec![1, 2]),
            (5, vec![1, 5, 2]),
            (6, vec![1, 5, 6, 2]),
            (3, vec![1, 3, 5, 6, 2]),
            (0x8000_0001, vec![0x8000_0001, 1, 3, 5, 6, 2]),
        ] {
            nodes.add(NodeId(id)).unwrap();
            assert_eq!(ids(&nodes), order);
        }
    }

    #[test]
    fn the_dead_are_forgotten_for_the_living() {
        let mut nodes = Nodes::new(NodeId(1), 1, 1);
        nodes.mine_mut().presence = Presence::Dead;
        for id in 2..=386 {
            nodes.add(NodeId(id)).unwrap().presence = Presence::Member;
        }
        assert_eq!(nodes.add(NodeId(1000)), None);
        nodes.get_mut(NodeId(7)).unwrap().presence = Presence::Dead;
        assert!(nodes.add(NodeId(1000)).is_some());
        assert_eq!(nodes.get(NodeId(7)), None);
        assert_eq!(nodes.iter().count(), Nodes::MAX);
        assert_eq!(nodes.mine().id, NodeId(1));
    }
}

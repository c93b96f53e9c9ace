//! Whether this partition has quorum: a pure function of what is known (corosync
//! `votequorum.c:recalculate_quorum`, `calculate_quorum`, `are_we_quorate`, v3.1.7).
//!
//! Votes are added up with saturation: numbers come from other nodes, and too many votes must not wrap around to
//! few. C keeps the quorum in 8 bits; here it is a `u32`, so that a quorum of 256 is not one of 0
//! (`docs/deviations.md`, D-41).

use core::time::Duration;

use ferrosync_wire::NodeId;
use ferrosync_wire::exec::votequorum::NodeFlags;

use super::nodes::{Nodes, Presence, signed};
use crate::config::{TieBreaker, VotequorumConfig, WaitForAll};
use crate::core::Quorate;

/// How to decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Policy {
    /// One of two nodes is enough.
    pub(super) two_node: bool,
    /// Quorum comes for the first time, and again after it was lost, only when all are there.
    pub(super) wait_for_all: WaitForAll,
    /// Expected votes sink to the nodes that are left, so long after others went.
    pub(super) last_man_standing: Option<Duration>,
    /// Which half stays quorate.
    pub(super) tie_breaker: Option<TieBreaker>,
    /// Expected votes sink when nodes leave in order.
    pub(super) allow_downscale: bool,
    /// The highest number of expected votes ever seen is kept.
    pub(super) tracking: bool,
}

impl Policy {
    pub(super) fn new(config: &VotequorumConfig) -> Self {
        Self {
            two_node: config.two_node,
            wait_for_all: config.wait_for_all,
            last_man_standing: config.last_man_standing,
            tie_breaker: config.tie_breaker.clone(),
            allow_downscale: config.allow_downscale,
            tracking: config.expected_votes_tracking,
        }
    }
}

/// What is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct View {
    /// Every node ever heard of, this one included.
    pub(super) nodes: Nodes,
    /// This node's quorum device.
    pub(super) device: DeviceView,
    /// The ring's members.
    pub(super) members: Vec<NodeId>,
    /// The members of the ring before.
    pub(super) previous: Vec<NodeId>,
    /// The votes that made quorum so far.
    pub(super) quorum: u32,
    /// Whether they were there.
    pub(super) quorate: Quorate,
    /// Whether quorum waits for all nodes; none before that was ever a question.
    pub(super) waiting: Option<Waiting>,
    /// The ends of the partition that last had enough votes.
    pub(super) ends: Option<Ends>,
    /// Expected votes do not sink below this when nodes leave in order.
    pub(super) barrier: u32,
    /// The highest number of expected votes ever seen, where the policy keeps it.
    pub(super) tracked: u32,
}

/// What a quorum device contributes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct DeviceView {
    /// Its votes.
    pub(super) votes: u32,
    /// Whether the partition that it votes for is quorate without a majority.
    pub(super) master_wins: bool,
}

/// Whether quorum waits for all nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waiting {
    Yes,
    No,
}

/// Lowest and highest node id of a partition, as C orders them: signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ends {
    pub(super) lowest: NodeId,
    pub(super) highest: NodeId,
}

/// Why quorum is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// Something changed; the quorum does not sink.
    Change,
    /// Somebody entitled to it changed votes or expected votes: the quorum may sink.
    Reconfigured,
    /// Nodes left in order or were given up: those present are all there is.
    NodesLeft,
}

/// What follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    /// More votes are there than this node expected.
    pub(super) raised: Option<u32>,
    /// What is to be kept as the highest number of expected votes.
    pub(super) tracked: Option<u32>,
    /// What all members expect from now on.
    pub(super) expected_of_all: Option<u32>,
    /// The votes that make quorum.
    pub(super) quorum: u32,
    /// The votes that are there.
    pub(super) votes: u32,
    /// Whether they are enough.
    pub(super) outcome: Outcome,
}

/// The decision proper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Not all nodes are there yet.
    Waiting {
        /// How many votes all would have.
        expected: u32,
    },
    /// Quorate, by enough votes.
    Majority(Ends),
    /// Quorate, as the half that the tie breaker names.
    Tie,
    /// Quorate, as the part that the quorum device votes for.
    MasterWins,
    /// Not quorate.
    TooFew,
}

/// Decides.
pub(super) fn decide(view: &View, policy: &Policy, cause: Cause) -> Verdict {
    let all = Count::of(&view.nodes).with_votes(view.device.votes);
    let mine = view.nodes.mine();
    let raised = (all.votes > mine.expected).then_some(all.votes);
    let expected = raised.unwrap_or(mine.expected);
    let tracked = (policy.tracking && expected > view.tracked).then_some(expected);
    let expected_of_all = (cause == Cause::NodesLeft && all.nodes > 0).then_some(all.nodes);
    let basis = match (expected_of_all, cause) {
        (Some(nodes), _) if policy.allow_downscale => Basis::Exactly(nodes.max(view.barrier)),
        (Some(nodes), _) => Basis::Exactly(nodes),
        (None, Cause::Change) => Basis::NotBelow(view.quorum),
        (None, Cause::Reconfigured | Cause::NodesLeft) => Basis::AsExpected,
    };
    let Need { quorum, votes } = need(view, policy, expected, basis);
    let expected = match (expected_of_all, mine.presence) {
        (Some(nodes), Presence::Member) => nodes,
        _ => expected,
    };
    Verdict {
        raised,
        tracked,
        expected_of_all,
        quorum,
        votes,
        outcome: outcome(view, policy, Need { quorum, votes }, expected),
    }
}

/// The quorum that a request of a client would lead to.
pub(super) fn need_if(view: &View, policy: &Policy, expected: Option<u32>) -> Need {
    let basis = match expected {
        Some(expected) if expected > 0 => Basis::Exactly(expected),
        Some(_) | None => Basis::AsExpected,
    };
    need(view, policy, view.nodes.mine().expected, basis)
}

/// Votes that must be there, and that are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Need {
    pub(super) quorum: u32,
    pub(super) votes: u32,
}

/// What the quorum is calculated from.
#[derive(Clone, Copy)]
enum Basis {
    /// The most that any member expects, and not below this.
    NotBelow(u32),
    /// The most that any member expects.
    AsExpected,
    /// This number of expected votes.
    Exactly(u32),
}

/// `expected` is what this node expects.
fn need(view: &View, policy: &Policy, expected: u32, basis: Basis) -> Need {
    let mut there = Count::of(&view.nodes);
    if view
        .nodes
        .mine()
        .flags
        .contains(NodeFlags::QDEVICE_CAST_VOTE)
    {
        there.votes = there.votes.saturating_add(view.device.votes);
        there.nodes += 1;
    }
    let me = view.nodes.me();
    let most = view.nodes.present().map(|node| {
        if node.id == me {
            expected
        } else {
            node.expected
        }
    });
    let (most, floor) = match basis {
        Basis::NotBelow(floor) => (most.max().unwrap_or(0), floor),
        Basis::AsExpected => (most.max().unwrap_or(0), 0),
        Basis::Exactly(expected) => (expected, 0),
    };
    let quorum = majority(most.max(there.votes)).max(floor);
    // One of two nodes survives a split; with more than two the mode means harm.
    let of_two = policy.two_node && there.nodes <= 2;
    Need {
        quorum: if of_two { 1 } else { quorum },
        votes: there.votes,
    }
}

/// More than half of the votes.
const fn majority(votes: u32) -> u32 {
    votes / 2 + 1
}

/// `expected` is what this node expects.
fn outcome(view: &View, policy: &Policy, need: Need, expected: u32) -> Outcome {
    let waits = policy.wait_for_all.is_on() && view.waiting == Some(Waiting::Yes);
    if waits && need.votes != expected {
        return Outcome::Waiting { expected };
    }
    if need.votes >= need.quorum {
        return Outcome::Majority(Ends::of(&view.nodes));
    }
    let tie = policy.tie_breaker.as_ref().is_some_and(|breaker| {
        need.votes == expected / 2 && !others_may_win(view, need.quorum) && wins_tie(view, breaker)
    });
    if tie {
        return Outcome::Tie;
    }
    if view.device.master_wins && is_master(view) {
        return Outcome::MasterWins;
    }
    Outcome::TooFew
}

/// Whether those who went since the last ring are enough for quorum.
fn others_may_win(view: &View, quorum: u32) -> bool {
    let gone = view.previous.len().saturating_sub(view.members.len());
    u32::try_from(gone).is_ok_and(|gone| gone >= quorum)
}

/// Whether the tie breaker is here (`check_auto_tie_breaker`).
fn wins_tie(view: &View, breaker: &TieBreaker) -> bool {
    let is_present = |id: NodeId| view.nodes.present().any(|node| node.id == id);
    match breaker {
        TieBreaker::Lowest => view.ends.is_some_and(|ends| is_present(ends.lowest)),
        TieBreaker::Highest => view.ends.is_some_and(|ends| is_present(ends.highest)),
        TieBreaker::Nodes(list) => {
            // A node in front of ours that was there a moment ago may be on the other side.
            let first_here = list.iter().position(|id| view.members.contains(id));
            first_here.is_some_and(|at| list[..at].iter().all(|id| !view.previous.contains(id)))
        }
    }
}

/// Whether the quorum device votes for this partition and its vote decides (`check_qdevice_master`).
fn is_master(view: &View) -> bool {
    let both = NodeFlags::QDEVICE_MASTER_WINS.with(NodeFlags::QDEVICE_CAST_VOTE);
    view.nodes.present().any(|node| node.flags.contains(both))
}

impl Ends {
    /// Of those present and this node.
    fn of(nodes: &Nodes) -> Self {
        let mut ends = Self {
            lowest: nodes.me(),
            highest: nodes.me(),
        };
        for node in nodes.present() {
            if signed(node.id) < signed(ends.lowest) {
                ends.lowest = node.id;
            }
            if signed(node.id) > signed(ends.highest) {
                ends.highest = node.id;
            }
        }
        ends
    }
}

/// Votes and those who have them.
#[derive(Clone, Copy)]
struct Count {
    votes: u32,
    nodes: u32,
}

impl Count {
    fn of(nodes: &Nodes) -> Self {
        let none = Self { votes: 0, nodes: 0 };
        nodes.present().fold(none, |sum, node| Self {
            votes: sum.votes.saturating_add(node.votes),
            nodes: sum.nodes + 1,
        })
    }

    /// With a device, which counts where it has votes.
    const fn with_votes(self, votes: u32) -> Self {
        if votes == 0 {
            return self;
        }
        Self {
            votes: self.votes.saturating_add(votes),
            nodes: self.nodes + 1,
        }
    }
}

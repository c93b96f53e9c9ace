//! What votequorum knows and how it comes to know it: pure steps, each of which leaves the effects that it wants
//! (corosync `votequorum.c`, v3.1.7). Members of one ring take the same steps in the same order.

use ferrosync_wire::NodeId;
use ferrosync_wire::exec::votequorum::{NodeFlags, NodeInfo, Reconfigure};

use super::decide::{Cause, DeviceView, Outcome, Policy, Verdict, View, Waiting, decide};
use super::nodes::{Nodes, Presence};
use crate::core::Quorate;
use crate::log::Priority;

/// Knowledge and policy.
#[derive(Clone, Debug)]
pub(super) struct Model {
    pub(super) policy: Policy,
    pub(super) view: View,
    phase: Phase,
    /// What the steps since the last [`Self::take_effects`] want; at most a few for each step.
    effects: Vec<Effect>,
}

/// Whether a decision holds at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Yes.
    Settled,
    /// Not before all members have told what they contribute.
    Synchronising,
}

/// What a step wants to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Trackers are to hear this node's expected votes.
    TellExpectedVotes,
    /// The quorum service and the trackers are to hear whether there is quorum.
    TellQuorum,
    /// When the window of the last man standing closes, [`Model::window_closed`] is to be called.
    OpenWindow,
    /// It is not to be called any more.
    CloseWindow,
    /// This number of expected votes is to be known after a restart (D-100).
    Track(u32),
    /// A line of log.
    Log(Priority, String),
}

/// What the configuration says and may say anew at run time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) policy: Policy,
    pub(super) votes: u32,
    pub(super) expected_votes: u32,
    /// Votes of the quorum device; `None` leaves them as they are.
    pub(super) device_votes: Option<u32>,
}

impl Model {
    /// A node that has not met any other yet. `tracked` is the highest number of expected votes that it saw before
    /// it was started, where the policy keeps it.
    pub(super) fn new(me: NodeId, settings: Settings, tracked: u32) -> Self {
        let wait = settings.policy.wait_for_all.is_on();
        let mut model = Self {
            view: View {
                nodes: Nodes::new(me, settings.votes, settings.expected_votes),
                device: DeviceView {
                    votes: settings.device_votes.unwrap_or(0),
                    master_wins: false,
                },
                members: Vec::new(),
                previous: Vec::new(),
                quorum: 0,
                quorate: Quorate::No,
                waiting: None,
                ends: None,
                barrier: settings.expected_votes,
                tracked,
            },
            policy: settings.policy,
            phase: Phase::Settled,
            effects: Vec::new(),
        };
        if wait {
            model.set_waiting(Waiting::Yes);
        }
        model.recalculate(Cause::Change);
        model
    }

    /// What the steps want.
    pub(super) fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    /// What this node tells the others of itself.
    pub(super) fn my_info(&self) -> NodeInfo {
        let mine = self.view.nodes.mine();
        NodeInfo {
            nodeid: mine.id,
            votes: mine.votes,
            expected_votes: mine.expected,
            flags: mine.flags,
        }
    }

    /// What this node tells the others of its quorum device.
    pub(super) fn device_info(&self) -> NodeInfo {
        NodeInfo {
            nodeid: DEVICE,
            votes: self.view.device.votes,
            expected_votes: 0,
            flags: NodeFlags::default(),
        }
    }

    /// A new membership (`votequorum_sync_init`).
    pub(super) fn begin(&mut self, members: &[NodeId]) {
        self.phase = Phase::Synchronising;
        if members.len() > 1 {
            let mine = self.view.nodes.mine_mut();
            mine.flags = mine.flags.without(NodeFlags::FIRST);
        }
        let before = std::mem::replace(&mut self.view.members, members.to_vec());
        let mut somebody_left = false;
        for id in before.iter().filter(|id| !members.contains(id)) {
            somebody_left = true;
            if let Some(node) = self.view.nodes.get_mut(*id) {
                node.presence = Presence::Dead;
            }
        }
        self.view.previous = before;
        if self.policy.last_man_standing.is_some() && self.wants_window(somebody_left) {
            self.effects.push(Effect::OpenWindow);
        }
    }

    /// All members have told (`votequorum_sync_activate`).
    pub(super) fn activate(&mut self) {
        self.recalculate(Cause::Change);
        self.effects.push(Effect::TellQuorum);
        self.phase = Phase::Settled;
    }

    /// A member tells what it, or its quorum device, contributes. What it tells of others is not its business
    /// (D-42).
    pub(super) fn node_info(&mut self, from: NodeId, info: &NodeInfo) {
        let told = if info.nodeid == DEVICE {
            self.told_of_device(from, info)
        } else if info.nodeid == from {
            self.told_of_node(info)
        } else {
            None
        };
        if let Some(Told { news, wants }) = told {
            if news == News::Yes {
                self.recalculate(wants);
            }
            self.stop_waiting_with(info.nodeid);
        }
    }

    /// An operator changes a parameter on all members.
    pub(super) fn reconfigure(&mut self, change: &Reconfigure) {
        match change.param {
            Reconfigure::EXPECTED_VOTES => {
                if change.value > 0 {
                    self.view.nodes.expect(change.value);
                }
                self.effects.push(Effect::TellExpectedVotes);
                self.view.barrier = change.value;
                if self.policy.tracking {
                    let tracked = self.view.tracked;
                    let mine = self.view.nodes.mine_mut();
                    mine.expected = mine.expected.max(tracked);
                }
                self.recalculate(Cause::Reconfigured);
            }
            Reconfigure::NODE_VOTES => {
                if change.nodeid == DEVICE {
                    self.view.device.votes = change.value;
                } else if let Some(node) = self.view.nodes.get_mut(change.nodeid) {
                    node.votes = change.value;
                } else {
                    return;
                }
                self.recalculate(Cause::Reconfigured);
            }
            Reconfigure::CANCEL_WAIT_FOR_ALL => {
                self.set_waiting(Waiting::No);
                let node = change.nodeid;
                self.log(
                    Priority::Info,
                    format!("wait_for_all_status reset by user on node {node}."),
                );
                self.recalculate(Cause::Change);
            }
            _ => {}
        }
    }

    /// The window of the last man standing closed: who is not back by now is given up.
    pub(super) fn window_closed(&mut self) {
        if self.view.quorate == Quorate::Yes {
            self.recalculate(Cause::NodesLeft);
        }
    }

    /// The configuration was read again (`votequorum_readconfig`). The others are told by the caller.
    pub(super) fn apply(&mut self, settings: Settings) {
        self.policy = settings.policy;
        let mine = self.view.nodes.mine_mut();
        mine.votes = settings.votes;
        mine.expected = settings.expected_votes;
        if let Some(votes) = settings.device_votes {
            self.view.device.votes = votes;
        }
        self.view.barrier = settings.expected_votes;
        if !self.policy.wait_for_all.is_on() && self.view.waiting == Some(Waiting::Yes) {
            self.set_waiting(Waiting::No);
        }
    }

    /// This node is about to go.
    pub(super) fn leave(&mut self) {
        let mine = self.view.nodes.mine_mut();
        mine.flags = mine.flags.with(NodeFlags::LEAVING);
    }

    /// Whether nodes that left are to be given up after the window. C asks for the lowest node whichever the tie
    /// breaker is.
    fn wants_window(&self, somebody_left: bool) -> bool {
        let members = u32::try_from(self.view.members.len()).unwrap_or(u32::MAX);
        let lowest_is_here = || {
            let ends = self.view.ends;
            ends.is_some_and(|ends| self.view.nodes.present().any(|n| n.id == ends.lowest))
        };
        (members >= self.view.quorum && somebody_left)
            || (members <= self.view.quorum
                && self.policy.tie_breaker.is_some()
                && lowest_is_here())
    }

    /// A quorum device's votes: the highest that anybody tells, but those who have quorum know best.
    fn told_of_device(&mut self, from: NodeId, info: &NodeInfo) -> Option<Told> {
        let sender = self.view.nodes.get(from)?;
        let knows_best =
            self.view.quorate == Quorate::No && sender.flags.contains(NodeFlags::QUORATE);
        let before = self.view.device.votes;
        self.view.device.votes = if knows_best {
            info.votes
        } else {
            before.max(info.votes)
        };
        Some(Told {
            news: News::when(self.view.device.votes != before),
            wants: Cause::Change,
        })
    }

    fn told_of_node(&mut self, info: &NodeInfo) -> Option<Told> {
        let mut wants = Cause::Change;
        let flags = info.flags;
        if self.view.quorate == Quorate::No && flags.contains(NodeFlags::QUORATE) {
            wants = Cause::Reconfigured;
        }
        let leaving = flags.contains(NodeFlags::LEAVING);
        if leaving {
            wants = Cause::NodesLeft;
        }
        let before = self.view.nodes.get(info.nodeid).copied();
        if before.is_none() && self.view.nodes.add(info.nodeid).is_none() {
            let text = "Unable to find memory for node";
            self.log(Priority::Critical, format!("{text} {} data!!", info.nodeid));
            return None;
        }
        if self.view.quorate == Quorate::No && flags.contains(NodeFlags::QUORATE) {
            self.view.nodes.mine_mut().expected = info.expected_votes;
        }
        let my_expected = self.view.nodes.mine().expected;
        let tracking = self.policy.tracking;
        let own = info.nodeid == self.view.nodes.me();
        let node = self.view.nodes.get_mut(info.nodeid)?;
        node.flags = if own {
            // What the device said since the message left must not be forgotten; C forgets it (D-46).
            flags.without(DEVICE_FLAGS).with(only_device(node.flags))
        } else {
            flags
        };
        node.votes = info.votes;
        node.presence = if leaving {
            Presence::Leaving
        } else {
            Presence::Member
        };
        node.expected = if flags.contains(NodeFlags::QUORATE) || tracking {
            info.expected_votes
        } else {
            my_expected
        };
        let changed = before != Some(*node);
        if info.votes > 1 {
            self.give_up_last_man();
        }
        Some(Told {
            news: News::when(changed || own || flags.contains(NodeFlags::FIRST)),
            wants,
        })
    }

    fn give_up_last_man(&mut self) {
        if self.policy.last_man_standing.take().is_some() {
            let text = "Last Man Standing feature is supported only when all cluster nodes votes \
                        are set to 1. Disabling LMS.";
            self.log(Priority::Warning, text.to_owned());
            self.effects.push(Effect::CloseWindow);
        }
    }

    /// Who has quorum and does not wait need not be waited for.
    fn stop_waiting_with(&mut self, id: NodeId) {
        let flags = self.view.nodes.get(id).map(|node| node.flags);
        let knows = flags.is_some_and(|flags| {
            flags.contains(NodeFlags::QUORATE) && !flags.contains(NodeFlags::WFASTATUS)
        });
        if knows && self.policy.wait_for_all.is_on() {
            self.set_waiting(Waiting::No);
        }
    }

    fn recalculate(&mut self, cause: Cause) {
        let verdict = decide(&self.view, &self.policy, cause);
        self.carry_out(&verdict);
        match verdict.outcome {
            Outcome::Waiting { expected } => {
                assert_eq!(self.view.quorate, Quorate::No, "who waits has no quorum");
                let text = format!(
                    "Waiting for all cluster members. Current votes: {} expected_votes: {expected}",
                    verdict.votes
                );
                self.log(Priority::Notice, text);
            }
            Outcome::Majority(ends) => {
                self.view.ends = Some(ends);
                self.decided(Quorate::Yes);
            }
            Outcome::Tie => self.decided(Quorate::Yes),
            Outcome::MasterWins => {
                let text = "node is quorate as part of master_wins partition";
                self.log(Priority::Debug, text.to_owned());
                self.decided(Quorate::Yes);
            }
            Outcome::TooFew => self.decided(Quorate::No),
        }
    }

    /// The numbers of a verdict.
    fn carry_out(&mut self, verdict: &Verdict) {
        if let Some(votes) = verdict.raised {
            self.view.nodes.mine_mut().expected = votes;
            self.effects.push(Effect::TellExpectedVotes);
        }
        if let Some(votes) = verdict.tracked {
            self.view.tracked = votes;
            self.effects.push(Effect::Track(votes));
        }
        self.view.quorum = verdict.quorum;
        if let Some(votes) = verdict.expected_of_all {
            self.view.nodes.expect(votes);
        }
    }

    fn decided(&mut self, quorate: Quorate) {
        let before = std::mem::replace(&mut self.view.quorate, quorate);
        let mine = self.view.nodes.mine_mut();
        mine.flags = match quorate {
            Quorate::Yes => mine.flags.with(NodeFlags::QUORATE),
            Quorate::No => mine.flags.without(NodeFlags::QUORATE),
        };
        if self.policy.wait_for_all.is_on() {
            self.set_waiting(match quorate {
                Quorate::Yes => Waiting::No,
                Quorate::No => Waiting::Yes,
            });
        }
        if before == quorate {
            return;
        }
        let text = match quorate {
            Quorate::Yes => "quorum regained, resuming activity",
            Quorate::No => "quorum lost, blocking activity",
        };
        self.log(Priority::Debug, text.to_owned());
        if self.phase == Phase::Settled {
            self.effects.push(Effect::TellQuorum);
        }
    }

    fn set_waiting(&mut self, waiting: Waiting) {
        self.view.waiting = Some(waiting);
        let mine = self.view.nodes.mine_mut();
        mine.flags = match waiting {
            Waiting::Yes => mine.flags.with(NodeFlags::WFASTATUS),
            Waiting::No => mine.flags.without(NodeFlags::WFASTATUS),
        };
    }

    fn log(&mut self, priority: Priority, text: String) {
        self.effects.push(Effect::Log(priority, text));
    }
}

/// What a message about a node was worth.
struct Told {
    news: News,
    wants: Cause,
}

/// Whether quorum is to be looked at again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum News {
    Yes,
    No,
}

impl News {
    const fn when(news: bool) -> Self {
        if news { Self::Yes } else { Self::No }
    }
}

/// The node id that stands for the sender's quorum device (`VOTEQUORUM_QDEVICE_NODEID`).
pub(super) const DEVICE: NodeId = NodeId(0);

/// What this node's device decides.
pub(super) const DEVICE_FLAGS: NodeFlags = NodeFlags::QDEVICE_REGISTERED
    .with(NodeFlags::QDEVICE_ALIVE)
    .with(NodeFlags::QDEVICE_CAST_VOTE)
    .with(NodeFlags::QDEVICE_MASTER_WINS);

const fn only_device(flags: NodeFlags) -> NodeFlags {
    NodeFlags(flags.0 & DEVICE_FLAGS.0)
}

//! What a storm does to its cluster.

use super::lab::{DaemonVerb, Plan};
use super::step::{Cable, Step};

/// What a storm does to its cluster.
pub(super) struct Trouble {
    /// Before the first round.
    pub(super) first: fn(&Plan) -> Vec<Step>,
    /// In each round, counted from 0.
    pub(super) round: fn(u8) -> Vec<Step>,
    /// After the last one.
    pub(super) last: &'static [Step],
    /// Arguments of the clients.
    pub(super) bodies: &'static [&'static str],
}

impl Trouble {
    /// All steps of so many rounds.
    pub(super) fn steps(&self, plan: &Plan, rounds: u8) -> Vec<Step> {
        let mut steps = (self.first)(plan);
        steps.extend((0..rounds).flat_map(self.round));
        steps.extend(self.last.iter().cloned());
        steps
    }
}

/// Daemons die, leave and sleep, and the network is cut.
pub(super) const FATES: Trouble = Trouble {
    first: |_| Vec::new(),
    round: fates,
    last: &[],
    bodies: &[],
};

/// A node dies and comes back, the network is cut and healed, another leaves in order and comes back, one sleeps
/// longer than the others wait, and one for a second. Each round strikes other nodes.
fn fates(turn: u8) -> Vec<Step> {
    let node = |n: u8| (n - 1 + turn) % 3 + 1;
    let nodes = |list: &[u8]| -> Vec<u8> {
        let mut list: Vec<u8> = list.iter().map(|n| node(*n)).collect();
        list.sort_unstable();
        list
    };
    let all = || nodes(&[1, 2, 3]);
    vec![
        Step::Traffic(all(), CALM),
        Step::Daemon(DaemonVerb::Kill, node(2)),
        Step::Members(nodes(&[1, 3])),
        Step::Traffic(nodes(&[1, 3]), CALM),
        Step::Daemon(DaemonVerb::Start, node(2)),
        Step::Members(all()),
        Step::Traffic(all(), CALM),
        Step::Partition(format!("{},{}/{}", node(1), node(2), node(3))),
        Step::Members(nodes(&[1, 2])),
        Step::Traffic(nodes(&[1, 2]), CALM),
        Step::Heal,
        Step::Members(all()),
        Step::Traffic(all(), CALM),
        Step::Daemon(DaemonVerb::Shutdown, node(3)),
        Step::Members(nodes(&[1, 2])),
        Step::Daemon(DaemonVerb::Start, node(3)),
        Step::Members(all()),
        Step::Daemon(DaemonVerb::Stop, node(1)),
        Step::Members(nodes(&[2, 3])),
        Step::Daemon(DaemonVerb::Cont, node(1)),
        Step::Members(all()),
        Step::Traffic(all(), CALM),
        Step::Nap(node(2)),
        Step::Members(all()),
        Step::Traffic(all(), CALM),
    ]
}

/// Every node has found every other on every link.
pub(super) fn all_old(plan: &Plan) -> Vec<Step> {
    let mut steps = all_linked(plan);
    steps.push(Step::Age);
    steps
}

pub(super) fn all_linked(plan: &Plan) -> Vec<Step> {
    let links = |node| (0..plan.links).map(move |link| Step::Linked(node, link, Cable::Up));
    // The links of all nodes but one are all links.
    (1..plan.nodes).flat_map(links).collect()
}

/// One node loses one of its two links and then another the other one, and nobody notices but knet.
pub(super) fn cables(turn: u8) -> Vec<Step> {
    let node = |n: u8| (n - 1 + turn) % 3 + 1;
    let all = || vec![1, 2, 3];
    let pulled = |node, link| {
        [
            Step::Cable(node, link, Cable::Down),
            Step::Traffic(all(), CALM),
            Step::Linked(node, link, Cable::Down),
            Step::Traffic(all(), CALM),
            Step::Cable(node, link, Cable::Up),
            Step::Linked(node, link, Cable::Up),
            Step::Traffic(all(), CALM),
        ]
    };
    let steps = [pulled(node(1), 0), pulled(node(2), 1)].concat();
    vec![Step::Still(steps)]
}

/// Messages between two troubles.
pub(super) const CALM: u64 = 1000;

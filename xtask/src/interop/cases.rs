//! The table of interop cases.

use super::lab::{DaemonVerb, Peers, Plan};
use super::storm::{self, Step};
use super::{Outcome, Setup, calls, reload};

/// One case.
pub(super) struct Case {
    /// What the command line calls it.
    pub(super) name: &'static str,
    /// One line for `--list`.
    pub(super) about: &'static str,
    /// Why a test run leaves it out: it does not pass every time yet.
    pub(super) unsettled: Option<&'static str>,
    /// Runs it.
    pub(super) run: fn(&Setup) -> anyhow::Result<Outcome>,
}

pub(super) const CASES: [Case; 11] = [
    Case {
        name: "calls-cpg",
        about: "every call of libcpg, answers of both daemons compared",
        unsettled: None,
        run: |setup| calls::run(setup, "cpg_calls", &[], 2),
    },
    Case {
        name: "calls-cmap",
        about: "every call of libcmap, answers of both daemons compared",
        unsettled: None,
        run: |setup| calls::run(setup, "cmap_calls", &[], 2),
    },
    Case {
        name: "calls-quorum",
        about: "every call of libquorum, answers of both daemons compared",
        unsettled: None,
        run: |setup| calls::run(setup, "quorum_calls", &[], 2),
    },
    Case {
        name: "calls-votequorum",
        about: "every call of libvotequorum, answers of both daemons compared",
        unsettled: None,
        // Alone: how two nodes' changes of votes meet is a matter of time, with corosync too.
        run: |setup| calls::run(setup, "votequorum_calls", &[], 1),
    },
    Case {
        name: "calls-cfg",
        about: "every call of libcfg, answers of both daemons compared",
        unsettled: None,
        run: |setup| calls::run(setup, "cfg_calls", &["shutdown"], 2),
    },
    Case {
        name: "reload",
        about: "corosync.conf changes under a ring of both daemons, maps compared",
        unsettled: None,
        run: reload::run,
    },
    Case {
        name: "storm-corosync",
        about: "a storm on corosync alone: what we ask of our daemon holds for theirs",
        unsettled: None,
        run: |setup| {
            let plan = three("udpu", Peers::All);
            storm::run(setup, "storm-corosync", &plan, &trouble(setup))
        },
    },
    Case {
        name: "storm-ferrosync",
        about: "a storm on our daemon alone",
        unsettled: None,
        run: |setup| {
            let plan = three("udpu", Peers::None);
            storm::run(setup, "storm-ferrosync", &plan, &trouble(setup))
        },
    },
    Case {
        name: "storm-one-of-ours",
        about: "a storm on a ring with one node of ours",
        unsettled: None,
        run: |setup| {
            let plan = three("udpu", Peers::These(&[2, 3]));
            storm::run(setup, "storm-one-of-ours", &plan, &trouble(setup))
        },
    },
    Case {
        name: "storm-two-of-ours",
        about: "a storm on a ring with two nodes of ours",
        unsettled: None,
        run: |setup| {
            let plan = three("udpu", Peers::These(&[3]));
            storm::run(setup, "storm-two-of-ours", &plan, &trouble(setup))
        },
    },
    Case {
        name: "storm-multicast",
        about: "a storm on a mixed ring over multicast",
        unsettled: None,
        run: |setup| {
            let plan = three("udp", Peers::These(&[1]));
            storm::run(setup, "storm-multicast", &plan, &trouble(setup))
        },
    },
];

const fn three(transport: &'static str, corosync: Peers) -> Plan {
    Plan {
        nodes: 3,
        corosync,
        transport,
        settings: &["totem.token=1000"],
    }
}

/// As many rounds of trouble as were asked for; each round strikes other nodes.
fn trouble(setup: &Setup) -> Vec<Step> {
    (0..setup.rounds).flat_map(round).collect()
}

/// A node dies and comes back, the network is cut and healed, another leaves in order and comes back, one sleeps
/// longer than the others wait, and one for a second.
fn round(turn: u8) -> Vec<Step> {
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

/// Messages between two troubles.
const CALM: u64 = 1000;

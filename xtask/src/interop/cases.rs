//! The table of interop cases.

use super::lab::{DaemonVerb, Peers, Plan};
use super::storm::{self, Step};
use super::{Outcome, Setup, calls};

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

pub(super) const CASES: [Case; 10] = [
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
        unsettled: Some("changes of votes meet in an order that is not always the same"),
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
        name: "storm-corosync",
        about: "a storm on corosync alone: what we ask of our daemon holds for theirs",
        unsettled: None,
        run: |setup| {
            storm::run(
                setup,
                "storm-corosync",
                &three("udpu", Peers::All),
                &TROUBLE,
            )
        },
    },
    Case {
        name: "storm-ferrosync",
        about: "a storm on our daemon alone",
        unsettled: None,
        run: |setup| {
            storm::run(
                setup,
                "storm-ferrosync",
                &three("udpu", Peers::None),
                &TROUBLE,
            )
        },
    },
    Case {
        name: "storm-one-of-ours",
        about: "a storm on a ring with one node of ours",
        unsettled: None,
        run: |setup| {
            let plan = three("udpu", Peers::These(&[2, 3]));
            storm::run(setup, "storm-one-of-ours", &plan, &TROUBLE)
        },
    },
    Case {
        name: "storm-two-of-ours",
        about: "a storm on a ring with two nodes of ours",
        unsettled: Some(
            "two of our nodes and a C node can differ in messages that a change tore (D-04, D-50)",
        ),
        run: |setup| {
            let plan = three("udpu", Peers::These(&[3]));
            storm::run(setup, "storm-two-of-ours", &plan, &TROUBLE)
        },
    },
    Case {
        name: "storm-multicast",
        about: "a storm on a mixed ring over multicast",
        unsettled: Some("corosync itself now and then ends with an assertion over udp"),
        run: |setup| {
            let plan = three("udp", Peers::These(&[1]));
            storm::run(setup, "storm-multicast", &plan, &TROUBLE)
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

const ALL: &[u8] = &[1, 2, 3];

/// A node dies and comes back, the network is cut and healed, another leaves in order and comes back, one sleeps.
const TROUBLE: [Step; 21] = [
    Step::Traffic(ALL, CALM),
    Step::Daemon(DaemonVerb::Kill, 2),
    Step::Members(&[1, 3]),
    Step::Traffic(&[1, 3], CALM),
    Step::Daemon(DaemonVerb::Start, 2),
    Step::Members(ALL),
    Step::Traffic(ALL, CALM),
    Step::Partition("1,2/3"),
    Step::Members(&[1, 2]),
    Step::Traffic(&[1, 2], CALM),
    Step::Heal,
    Step::Members(ALL),
    Step::Traffic(ALL, CALM),
    Step::Daemon(DaemonVerb::Shutdown, 3),
    Step::Members(&[1, 2]),
    Step::Daemon(DaemonVerb::Start, 3),
    Step::Members(ALL),
    Step::Daemon(DaemonVerb::Stop, 1),
    Step::Members(&[2, 3]),
    Step::Daemon(DaemonVerb::Cont, 1),
    Step::Members(ALL),
];

/// Messages between two troubles.
const CALM: u64 = 1000;

//! The table of interop cases.

use super::lab::{Peers, Plan};
use super::trouble::{FATES, Trouble};
use super::{
    Outcome, Setup, blackbox, calls, histories, keys, knet, logs, monitor, pacemaker, qdevice,
    reload, same, storm, tools, ykd,
};

/// One case.
pub(super) struct Case {
    /// What the command line calls it.
    pub(super) name: &'static str,
    /// One line for `--list`.
    pub(super) about: &'static str,
    /// Whether a test run has it.
    pub(super) extent: Extent,
    what: What,
}

/// Whether every test run has a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// Every one.
    Always,
    /// Those that ask for it by name or for all.
    Asked,
}

/// What a case does.
pub(super) enum What {
    /// Calls every function of a client library, on corosync and on our daemon.
    Calls {
        program: &'static str,
        arguments: &'static [&'static str],
        nodes: u8,
    },
    /// Makes a cluster go through rounds of trouble.
    Storm { plan: Plan, trouble: Trouble },
    /// Plays histories of votes on corosync.
    Histories,
    /// Partitions clusters with a quorum device.
    Qdevice,
    /// Partitions a cluster that votes by ykd.
    Ykd(Plan),
    /// Changes the configuration of a running ring of both.
    Reload,
    /// Asks corosync's tools about the links, on corosync and on our daemon.
    Tools(Plan),
    /// Calls corosync's tools and ours on the same daemon, on corosync and on ours.
    Same(Plan),
    /// Compares the keys of both maps.
    Keys(Plan),
    /// Compares log lines, option by option.
    Logs,
    /// Dumps the flight recorder of both daemons.
    Blackbox,
    /// Compares what the services `mon` and `wd` say.
    Monitor,
    /// Lets Pacemaker run on clusters of both.
    Pacemaker(fn(&Setup) -> anyhow::Result<Outcome>),
    /// The same, with a package of ours.
    Upgrade(fn(&Setup) -> anyhow::Result<Outcome>),
    /// The same, with lock managers on top.
    Locks(fn(&Setup) -> anyhow::Result<Outcome>),
}

impl Case {
    /// Runs it.
    pub(super) fn run(&self, setup: &Setup) -> anyhow::Result<Outcome> {
        let asked = |plan: &Plan| Plan {
            corosync: setup.corosync.unwrap_or(plan.corosync),
            ..*plan
        };
        match &self.what {
            What::Calls {
                program,
                arguments,
                nodes,
            } => calls::run(setup, program, arguments, *nodes),
            What::Histories => histories::run(setup),
            What::Qdevice => qdevice::run(setup),
            What::Ykd(plan) => ykd::run(setup, self.name, &asked(plan)),
            What::Reload => reload::run(setup),
            What::Pacemaker(run) | What::Upgrade(run) | What::Locks(run) => run(setup),
            What::Tools(plan) => tools::run(setup, self.name, &asked(plan)),
            What::Same(plan) => same::run(setup, self.name, plan),
            What::Keys(plan) => keys::run(setup, self.name, &asked(plan)),
            What::Logs => logs::run(setup),
            What::Blackbox => blackbox::run(setup),
            What::Monitor => monitor::run(setup),
            What::Storm { plan, trouble } => {
                let steps = trouble.steps(plan, setup.rounds);
                storm::run(setup, self.name, &asked(plan), trouble.bodies, &steps)
            }
        }
    }

    /// What keeps this case from running where others can, if anything.
    pub(super) fn missing(&self) -> Option<String> {
        match self.what {
            What::Pacemaker(_) => pacemaker::missing(),
            What::Upgrade(_) => pacemaker::upgrade_missing(),
            What::Qdevice => qdevice::missing(),
            What::Locks(_) => pacemaker::locks_missing(),
            What::Blackbox => blackbox::missing(),
            What::Calls { .. }
            | What::Storm { .. }
            | What::Histories
            | What::Ykd(_)
            | What::Reload
            | What::Tools(_)
            | What::Same(_)
            | What::Keys(_)
            | What::Logs
            | What::Monitor => None,
        }
    }

    pub(super) const fn new(name: &'static str, about: &'static str, what: What) -> Self {
        let extent = Extent::Always;
        Self {
            name,
            about,
            extent,
            what,
        }
    }

    /// The same, but only where asked for.
    pub(super) const fn asked(self) -> Self {
        let extent = Extent::Asked;
        Self { extent, ..self }
    }

    const fn calls(
        name: &'static str,
        about: &'static str,
        program: &'static str,
        nodes: u8,
    ) -> Self {
        let what = What::Calls {
            program,
            arguments: &[],
            nodes,
        };
        Self::new(name, about, what)
    }

    pub(super) const fn storm(name: &'static str, about: &'static str, plan: Plan) -> Self {
        let trouble = FATES;
        Self::new(name, about, What::Storm { plan, trouble })
    }
}

/// All cases.
pub(super) fn all() -> impl Iterator<Item = &'static Case> {
    // Those of Pacemaker take longest, and the others run beside them.
    pacemaker::CASES.iter().chain(CASES).chain(knet::CASES)
}

/// The cases that are neither of knet's nor of Pacemaker's.
const CASES: &[Case] = &[
    Case::calls(
        "calls-cpg",
        "every call of libcpg, answers of both daemons compared",
        "cpg_calls",
        2,
    ),
    Case::calls(
        "calls-cmap",
        "every call of libcmap, answers of both daemons compared",
        "cmap_calls",
        2,
    ),
    Case::calls(
        "calls-quorum",
        "every call of libquorum, answers of both daemons compared",
        "quorum_calls",
        2,
    ),
    // Alone: how two nodes' changes of votes meet is a matter of time, with corosync too.
    Case::calls(
        "calls-votequorum",
        "every call of libvotequorum, answers of both daemons compared",
        "votequorum_calls",
        1,
    ),
    Case::new(
        "calls-cfg",
        "every call of libcfg, answers of both daemons compared",
        What::Calls {
            program: "cfg_calls",
            arguments: &["shutdown"],
            nodes: 2,
        },
    ),
    Case::new(
        "calls-cfg-consent",
        "a shutdown that all agree to, answers of both daemons compared",
        What::Calls {
            program: "cfg_calls",
            arguments: &["consent"],
            nodes: 2,
        },
    ),
    Case::calls(
        "calls-dlm",
        "the calls of dlm_controld in its order, answers of both daemons compared",
        "dlm_calls",
        2,
    ),
    Case::calls(
        "calls-sbd",
        "the calls of sbd's cluster watcher in its order, answers of both daemons compared",
        "sbd_calls",
        2,
    ),
    // Alone, so that the client can take its quorum away.
    Case::calls(
        "calls-sam",
        "every call of libsam, answers of both daemons compared",
        "sam_calls",
        1,
    ),
    Case::new(
        "votequorum-histories",
        "how corosync decides quorum in histories that we decide alike",
        What::Histories,
    ),
    Case::new(
        "qdevice",
        "corosync-qdevice and corosync-qnetd on our daemons, partitions decided as on corosync",
        What::Qdevice,
    ),
    Case::new(
        "ykd",
        "a ring of both daemons that votes by corosync_ykd, partitions decided as on corosync",
        What::Ykd(Plan {
            settings: &["totem.token=1000", "quorum.provider=corosync_ykd"],
            ..Plan::new(4, Peers::these(&[1, 3]), "udpu")
        }),
    ),
    Case::new(
        "reload",
        "corosync.conf changes under a ring of both daemons, maps compared",
        What::Reload,
    ),
    Case::new(
        "keys-one",
        "all keys of both maps on a node alone, compared between both daemons",
        What::Keys(Plan::new(1, Peers::NONE, "udpu")),
    ),
    Case::new(
        "keys-ring",
        "all keys of both maps on each node of a ring, compared between both daemons",
        What::Keys(Plan {
            settings: &["quorum.wait_for_all=1"],
            ..Plan::new(3, Peers::NONE, "knet")
        }),
    ),
    Case::new(
        "logs",
        "log lines of both daemons under every option, compared",
        What::Logs,
    ),
    Case::new(
        "blackbox",
        "the flight recorder of both daemons, and of ours when it is killed",
        What::Blackbox,
    ),
    Case::new(
        "monitor",
        "what the services mon and wd say on both daemons, compared",
        What::Monitor,
    ),
    Case::storm(
        "storm-corosync",
        "a storm on corosync alone: what we ask of our daemon holds for theirs",
        udpu(Peers::ALL),
    )
    .asked(),
    Case::storm(
        "storm-ferrosync",
        "a storm on our daemon alone",
        udpu(Peers::NONE),
    ),
    Case::storm(
        "storm-one-of-ours",
        "a storm on a ring with one node of ours",
        udpu(Peers::these(&[2, 3])),
    ),
    Case::storm(
        "storm-two-of-ours",
        "a storm on a ring with two nodes of ours",
        udpu(Peers::these(&[3])),
    ),
    Case::storm(
        "storm-multicast",
        "a storm on a mixed ring over multicast",
        Plan {
            settings: FAST,
            ..Plan::new(3, Peers::these(&[1]), "udp")
        },
    ),
    Case::new(
        "tools-same",
        "corosync's tools and ours on the same daemon, over knet",
        What::Same(Plan {
            links: 2,
            ip: "46",
            settings: FAST,
            ..Plan::new(2, Peers::NONE, "knet")
        }),
    ),
    Case::new(
        "tools-same-udpu",
        "corosync's tools and ours on the same daemon, over udpu",
        What::Same(Plan {
            settings: FAST,
            ..Plan::new(2, Peers::NONE, "udpu")
        }),
    ),
];

const fn udpu(corosync: Peers) -> Plan {
    Plan {
        settings: FAST,
        ..Plan::new(3, corosync, "udpu")
    }
}

/// A membership change takes seconds.
pub(super) const FAST: &[&str] = &["totem.token=1000"];

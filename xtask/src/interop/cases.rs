//! The table of interop cases.

use super::lab::{DaemonVerb, Peers, Plan};
use super::storm::{self, Cable, Step};
use super::{Outcome, Setup, calls, reload, same, tools};

/// One case.
pub(super) struct Case {
    /// What the command line calls it.
    pub(super) name: &'static str,
    /// One line for `--list`.
    pub(super) about: &'static str,
    what: What,
}

/// What a case does.
enum What {
    /// Calls every function of a client library, on corosync and on our daemon.
    Calls {
        program: &'static str,
        arguments: &'static [&'static str],
        nodes: u8,
    },
    /// Makes a cluster go through rounds of trouble.
    Storm { plan: Plan, trouble: Trouble },
    /// Changes the configuration of a running ring of both.
    Reload,
    /// Asks corosync's tools about the links, on corosync and on our daemon.
    Tools(Plan),
    /// Calls corosync's tools and ours on the same daemon, on corosync and on ours.
    Same(Plan),
}

/// What a storm does to its cluster.
struct Trouble {
    /// Before the first round.
    first: fn(&Plan) -> Vec<Step>,
    /// In each round, counted from 0.
    round: fn(u8) -> Vec<Step>,
    /// After the last one.
    last: &'static [Step],
    /// Arguments of the clients.
    bodies: &'static [&'static str],
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
            What::Reload => reload::run(setup),
            What::Tools(plan) => tools::run(setup, self.name, &asked(plan)),
            What::Same(plan) => same::run(setup, self.name, plan),
            What::Storm { plan, trouble } => {
                let mut steps = (trouble.first)(plan);
                steps.extend((0..setup.rounds).flat_map(trouble.round));
                steps.extend(trouble.last.iter().cloned());
                storm::run(setup, self.name, &asked(plan), trouble.bodies, &steps)
            }
        }
    }

    const fn new(name: &'static str, about: &'static str, what: What) -> Self {
        Self { name, about, what }
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

    const fn storm(name: &'static str, about: &'static str, plan: Plan) -> Self {
        let trouble = FATES;
        Self::new(name, about, What::Storm { plan, trouble })
    }
}

/// All cases.
pub(super) const CASES: [Case; 20] = [
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
        "reload",
        "corosync.conf changes under a ring of both daemons, maps compared",
        What::Reload,
    ),
    Case::storm(
        "storm-corosync",
        "a storm on corosync alone: what we ask of our daemon holds for theirs",
        udpu(Peers::ALL),
    ),
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
    Case::storm("knet-plain", "a storm over knet in clear text", KNET),
    Case::new(
        "knet-aes256",
        "a storm over knet, encrypted with aes256/sha256",
        What::Storm {
            plan: Plan {
                crypto: "aes256/sha256",
                ..KNET
            },
            trouble: Trouble {
                last: &[
                    Step::Counted("stats.knet.handle.tx_crypt_packets"),
                    Step::Counted("stats.knet.handle.rx_crypt_packets"),
                ],
                ..FATES
            },
        },
    ),
    Case::new(
        "knet-zlib",
        "a storm over knet, compressed with zlib",
        What::Storm {
            plan: Plan {
                settings: &["totem.token=1000", "totem.knet_compression_model=zlib"],
                ..KNET
            },
            trouble: Trouble {
                bodies: &["--period", "64"],
                last: &[
                    Step::Counted("stats.knet.handle.tx_compressed_packets"),
                    Step::Counted("stats.knet.handle.rx_compressed_packets"),
                ],
                ..FATES
            },
        },
    ),
    Case::new(
        "knet-links2",
        "two links of which one is pulled at a time: no ring changes",
        What::Storm {
            plan: Plan {
                links: 2,
                settings: &[],
                ..KNET
            },
            trouble: Trouble {
                first: all_old,
                round: cables,
                last: &[],
                bodies: &[],
            },
        },
    ),
    Case::new(
        "knet-links8",
        "a storm over eight links, IPv4 and IPv6 in turn",
        What::Storm {
            plan: Plan {
                links: 8,
                ip: "46",
                ..KNET
            },
            trouble: Trouble {
                first: all_linked,
                ..FATES
            },
        },
    ),
    Case::storm(
        "knet-ipv6",
        "a storm over knet and IPv6",
        Plan { ip: "6", ..KNET },
    ),
    Case::new(
        "knet-tools",
        "what corosync's tools tell of two links, answers of both daemons compared",
        What::Tools(Plan {
            links: 2,
            crypto: "aes256/sha256",
            ip: "46",
            ..KNET
        }),
    ),
    Case::new(
        "tools-same",
        "corosync's tools and ours on the same daemon, over knet",
        What::Same(Plan {
            nodes: 2,
            links: 2,
            ip: "46",
            ..KNET
        }),
    ),
    Case::new(
        "tools-same-udpu",
        "corosync's tools and ours on the same daemon, over udpu",
        What::Same(Plan {
            nodes: 2,
            ..udpu(Peers::NONE)
        }),
    ),
];

/// One of corosync among two of ours, with one IPv4 link of clear text.
const KNET: Plan = Plan {
    settings: FAST,
    ..Plan::new(3, Peers::these(&[3]), "knet")
};

const fn udpu(corosync: Peers) -> Plan {
    Plan {
        settings: FAST,
        ..Plan::new(3, corosync, "udpu")
    }
}

/// A membership change takes seconds.
const FAST: &[&str] = &["totem.token=1000"];

/// Daemons die, leave and sleep, and the network is cut.
const FATES: Trouble = Trouble {
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
fn all_old(plan: &Plan) -> Vec<Step> {
    let mut steps = all_linked(plan);
    steps.push(Step::Age);
    steps
}

fn all_linked(plan: &Plan) -> Vec<Step> {
    let links = |node| (0..plan.links).map(move |link| Step::Linked(node, link, Cable::Up));
    // The links of all nodes but one are all links.
    (1..plan.nodes).flat_map(links).collect()
}

/// One node loses one of its two links and then another the other one, and nobody notices but knet.
fn cables(turn: u8) -> Vec<Step> {
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
const CALM: u64 = 1000;

//! What manual pages tell that no declaration of an option does.

use crate::tools::Tool;

/// A head and what stands under it.
pub(super) type Section = (&'static str, &'static [&'static str]);

/// The sections of a page.
pub(super) fn sections(page: &str) -> &'static [Section] {
    let tools = Tool::ALL.into_iter();
    if let Some(tool) = tools.into_iter().find(|tool| tool.name() == page) {
        return of_tool(tool);
    }
    match page {
        "ferrosync" => &FERROSYNC,
        "ferrosync-lab" => &LAB,
        "ferrosync-migrate" => &MIGRATE,
        "ferrosync-status" => &STATUS,
        _ => &[],
    }
}

fn of_tool(tool: Tool) -> &'static [Section] {
    match tool {
        Tool::Blackbox => &BLACKBOX,
        Tool::Cfgtool => &CFGTOOL,
        Tool::Cmapctl => &CMAPCTL,
        Tool::Cpgtool => &CPGTOOL,
        Tool::Keygen => &KEYGEN,
        Tool::Notifyd => &NOTIFYD,
        Tool::Quorumtool => &QUORUMTOOL,
    }
}

const FERROSYNC: [Section; 1] = [(
    "NOTES",
    &[
        "Under the name of one of corosync's tools, such as corosync-cfgtool, this program is that tool: ferrosync cfgtool \
         and corosync-cfgtool are the same.",
    ],
)];

const LAB: [Section; 3] = [
    (
        "NOTES",
        &[
            "Without a verb a lab is started. A verb acts on a lab that another terminal runs; several may run at once, and \
             every verb takes --name, too: ferrosync lab status --name NAME.",
            "The lab needs a Linux kernel with namespaces, veth and bridge; an ordinary user needs user namespaces. Each node \
             has a host name, interfaces, processes and the directories of corosync of its own. When the lab ends, nothing of \
             it is left, unless --keep is given.",
        ],
    ),
    (
        "EXIT STATUS",
        &[
            "With --duration or --wait 0 if all members and quorum were seen, otherwise 1. exec ends as its command did, wait \
             with 1 where the members were not seen in time.",
        ],
    ),
    (
        "EXAMPLES",
        &[
            "ferrosync lab --nodes 5 --duration 10s",
            "ferrosync lab exec 2 -- corosync-quorumtool",
            "ferrosync lab partition 1,2/3",
        ],
    ),
];

const MIGRATE: [Section; 2] = [
    (
        "NOTES",
        &[
            "Every line of the report says what became of a key: copied, changed, dropped, added (no line of the input says \
             it) or decide (somebody has to look at it).",
            "No node of the old cluster talks to one of the new: stop the whole old cluster, copy the new file and the key to \
             all nodes, and start the new one.",
        ],
    ),
    (
        "EXAMPLES",
        &[
            "ferrosync migrate /etc/cluster/cluster.conf --node a=10.0.0.1 --node b=10.0.0.2 -o corosync.conf",
        ],
    ),
];

const STATUS: [Section; 1] = [(
    "EXIT STATUS",
    &["0 where the cluster has quorum, 2 where it has none, 1 where no daemon answers."],
)];

const BLACKBOX: [Section; 2] = [
    (
        "NOTES",
        &[
            "The daemon keeps its last log lines of all levels in memory. It writes them when this tool asks and when it \
             crashes, to a file beside /var/lib/corosync/fdata, which is a link to the latest one. logging.blackbox: off in \
             corosync.conf switches that off.",
        ],
    ),
    (
        "EXIT STATUS",
        &["0, also where there is nothing to print; 1 for a wrong option."],
    ),
];

const CFGTOOL: [Section; 3] = [
    (
        "NOTES",
        &[
            "Of several actions the last one is done. Without an action a summary of the options is printed.",
            "-s shows each link as other nodes have it; -b shows a digit for each node in the order of node ids: n for this \
             node, 3 for a link that carries data, 1 for one that does not, 0 for one that is not configured.",
            "-R checks the new file as a whole; a file that is refused changes nothing, and the log says why. -H asks the \
             programs that have registered for it, which may refuse unless --force is given.",
        ],
    ),
    (
        "EXIT STATUS",
        &[
            "0 if it worked. -R and -L end with the number of corosync's error, everything else with 1. -H ends with 0 even \
           where the shutdown was refused; standard error says so.",
        ],
    ),
    (
        "EXAMPLES",
        &["corosync-cfgtool -sb", "corosync-cfgtool -n --format json"],
    ),
];

const CMAPCTL: [Section; 4] = [
    (
        "NOTES",
        &[
            "Without an action the words are what keys begin like, and all such keys are printed; without words all keys are. \
             Of several actions the last one is done.",
            "-s takes a key, a type and a value. The types are i8, u8, i16, u16, i32, u32, i64, u64, flt, dbl, str and bin; \
             the value of bin is the name of a file, or - for standard input.",
        ],
    ),
    (
        "FILES FOR -p",
        &[
            "A line holds a key, a type and a value, divided by blanks, and sets the key; ^KEY deletes a key, ^^PREFIX all keys \
             that begin like it. What begins with # is a comment.",
        ],
    ),
    (
        "EXIT STATUS",
        &["0 if it worked and a key was found, otherwise 1."],
    ),
    (
        "EXAMPLES",
        &[
            "corosync-cmapctl nodelist.",
            "corosync-cmapctl -m stats -g stats.srp.mcast_tx",
            "corosync-cmapctl -t runtime.votequorum.ev_barrier",
        ],
    ),
];

const CPGTOOL: [Section; 1] = [(
    "NOTES",
    &[
        "Bytes of a name that do not print are shown in hexadecimal, unless -e is given. The addresses behind a member are \
         those of its node.",
    ],
)];

const KEYGEN: [Section; 1] = [(
    "NOTES",
    &[
        "Every node of a cluster with crypto_cipher or crypto_hash needs the same key. The file is readable by its owner \
         alone; copy it by a way that nobody can listen to.",
    ],
)];

const NOTIFYD: [Section; 4] = [
    (
        "NOTES",
        &[
            "Events are: a node comes or goes, this node gets or loses quorum, a link of this node works or does not, and a \
             program connects to the daemon or disconnects. The last one has no SNMP trap.",
            "With -o lines go to standard error; with --format json events go to standard output, each on a line.",
        ],
    ),
    (
        "SNMP",
        &[
            "Traps of version 2c as COROSYNC-MIB (1.3.6.1.4.1.35488) describes them, sent by UDP to port 162 unless -m names another \
           one, as in -m manager:1162.",
        ],
    ),
    (
        "D-BUS",
        &[
            "Signals of the interface org.corosync from the object /org/corosync on the system bus: NodeStateChange (name, node id, \
           address, state), QuorumStateChange (name, node id, state), ConnectionStateChange (name, node id, program, state). A \
           link's state is a QuorumStateChange with other arguments (name, node id, node id of the other side, number of the \
           link, state), as corosync has it.",
        ],
    ),
    (
        "EXIT STATUS",
        &["0 after SIGTERM, SIGINT or SIGQUIT; 1 where the daemon cannot be reached or ends."],
    ),
];

const QUORUMTOOL: [Section; 2] = [
    (
        "NOTES",
        &[
            "The column Qdevice tells whether a node's quorum device is alive (A or NA), gives its votes (V or NV) and decides \
           alone (MW or NMW); NR is a node without one. -f, -e, -v and -n need votequorum.",
        ],
    ),
    (
        "EXIT STATUS",
        &[
            "0 if the cluster has quorum, 2 if -s or -m finds that it has none, 1 if something failed.",
        ],
    ),
];

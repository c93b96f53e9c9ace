//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};

use crate::lab::plan::{self, Groups, LabName, NodeNumber, NodeSet, Setting};

/// The Ferrosync cluster engine: a lab on this machine, and tools.
#[derive(Debug, Parser)]
#[command(name = "ferrosync", version)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// A cluster of real daemons on this machine, each node in namespaces of its own.
    Lab(LabArgs),
    /// A process of a node: started by the lab.
    #[command(hide = true)]
    LabNode(NodeArgs),
    /// Maps a range of user ids into the lab's user namespace: started by the lab.
    #[command(hide = true)]
    LabMap(MapArgs),
    /// The daemon: started by the lab.
    #[command(hide = true)]
    Daemon(DaemonArgs),
}

/// Starts a lab and shows it until Ctrl-C; with a verb, acts on a lab that another terminal runs.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct LabArgs {
    #[command(subcommand)]
    pub(crate) verb: Option<Verb>,
    #[command(flatten)]
    pub(crate) start: StartArgs,
}

/// Which lab; several may run at once.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct WhichLab {
    /// Name of the lab.
    #[arg(long, default_value = "default", value_name = "NAME")]
    pub(crate) name: LabName,
}

/// What the lab is made of.
#[derive(Debug, clap::Args)]
pub(crate) struct StartArgs {
    #[command(flatten)]
    pub(crate) which: WhichLab,
    /// Number of nodes, 1 to 32.
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=32))]
    pub(crate) nodes: u8,
    /// End after this long, such as 10s; the exit code says whether all members and quorum were seen.
    #[arg(long, value_name = "TIME", value_parser = plan::parse_duration)]
    pub(crate) duration: Option<Duration>,
    /// End with exit code 0 as soon as this was seen; 1 if not within --duration (60s unless given).
    #[arg(long, value_enum, value_name = "WHAT")]
    pub(crate) wait: Option<WaitFor>,
    /// How the nodes talk.
    #[arg(long, value_enum, default_value_t = Transport::Udpu)]
    pub(crate) transport: Transport,
    /// Version of IP that the ring uses.
    #[arg(long, value_enum, default_value_t = IpVersion::V4)]
    pub(crate) ip: IpVersion,
    /// Nodes that run the Corosync installed on this machine, such as 2,3 or all.
    #[arg(long, value_name = "LIST")]
    pub(crate) corosync: Option<NodeSet>,
    /// File appended to every node's corosync.conf.
    #[arg(long, value_name = "FILE")]
    pub(crate) conf: Option<PathBuf>,
    /// A setting in every node's corosync.conf, such as totem.token=1000; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) set: Vec<Setting>,
    /// Leave configuration, logs and state behind, to be read afterwards.
    #[arg(long)]
    pub(crate) keep: bool,
    /// Plain lines even on a terminal.
    #[arg(long)]
    pub(crate) plain: bool,
}

/// What `--wait` waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum WaitFor {
    /// Every node sees every member and has quorum.
    Members,
}

/// `totem.transport`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Transport {
    Udpu,
    Udp,
    Knet,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum IpVersion {
    #[value(name = "4")]
    V4,
    #[value(name = "6")]
    V6,
}

/// What can be done to a running lab.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Run a command inside a node; its exit code becomes ours.
    Exec {
        #[command(flatten)]
        which: WhichLab,
        node: NodeNumber,
        #[arg(last = true, required = true, value_name = "CMD")]
        command: Vec<OsString>,
    },
    /// Crash a node's daemon (SIGKILL).
    Kill(OneNode),
    /// Freeze a node's daemon (SIGSTOP).
    Stop(OneNode),
    /// Let a frozen daemon go on (SIGCONT).
    Cont(OneNode),
    /// Ask a node's daemon to leave the cluster and end (SIGTERM).
    Shutdown(OneNode),
    /// Start the daemon of a node where it has ended.
    Start(OneNode),
    /// Shut a node's daemon down and start it again.
    Restart(OneNode),
    /// Cut the network into sides, such as 1,2/3; nodes that are not named form one more side.
    Partition {
        #[command(flatten)]
        which: WhichLab,
        sides: Groups,
    },
    /// Undo every partition and plug every cable in.
    Heal {
        #[command(flatten)]
        which: WhichLab,
    },
    /// Pull or plug a node's network cable.
    Link {
        #[command(flatten)]
        which: WhichLab,
        node: NodeNumber,
        state: LinkState,
    },
    /// Show the state of every node.
    Status {
        #[command(flatten)]
        which: WhichLab,
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// Wait until each of these nodes sees exactly these nodes and has quorum.
    Wait {
        #[command(flatten)]
        which: WhichLab,
        /// Such as 1,3; all nodes of the lab unless given.
        #[arg(long, value_name = "LIST")]
        members: Option<NodeSet>,
        /// Give up with exit code 1 after this long.
        #[arg(long, value_name = "TIME", default_value = "60s", value_parser = plan::parse_duration)]
        timeout: Duration,
    },
    /// Print what a node's daemon has logged.
    Logs(OneNode),
    /// End the lab.
    Down {
        #[command(flatten)]
        which: WhichLab,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct OneNode {
    #[command(flatten)]
    pub(crate) which: WhichLab,
    pub(crate) node: NodeNumber,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LinkState {
    Up,
    Down,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Text,
    Json,
}

/// How a node's processes learn what they are.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct NodeArgs {
    #[arg(value_enum)]
    pub(crate) stage: Stage,
    #[arg(long)]
    pub(crate) number: NodeNumber,
    /// Directory of this node's files on the machine.
    #[arg(long)]
    pub(crate) dir: PathBuf,
    #[arg(long, value_enum)]
    pub(crate) daemon: DaemonKind,
    /// Version of IP that the node cannot do without.
    #[arg(long, value_enum)]
    pub(crate) ip: IpVersion,
    /// Most milliseconds between two looks at the daemon.
    #[arg(long)]
    pub(crate) probe_ms: u64,
}

/// The processes of a node, each the parent of the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Stage {
    /// Makes the namespaces.
    Keeper,
    /// Process 1 of the node.
    Init,
    /// Looks at the daemon.
    Probe,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DaemonKind {
    Ferrosync,
    Corosync,
}

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct MapArgs {
    /// The process whose user namespace is to be mapped.
    #[arg(long)]
    pub(crate) pid: u32,
    /// Arguments of newuidmap after the process id, separated by commas.
    #[arg(long)]
    pub(crate) uids: String,
    /// The same of newgidmap.
    #[arg(long)]
    pub(crate) gids: String,
}

/// The flags of `ferrosyncd`.
#[derive(Debug, clap::Args)]
pub(crate) struct DaemonArgs {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) arguments: Vec<OsString>,
}

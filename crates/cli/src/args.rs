//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};

use crate::lab::crypto::Crypto;
use crate::lab::links::{LINKS_MAX, LinkNumber, MTU_MAX};
use crate::lab::plan::{self, BadWord, Groups, LabName, NodeNumber, NodeSet, Setting};
use crate::migrate::args::MigrateArgs;

/// The Ferrosync cluster engine: its tools, and a lab on this machine.
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
    /// The cluster on one screen: quorum, nodes, links, groups, traffic, warnings.
    Status(StatusArgs),
    /// The flight recorder of the daemon: corosync-blackbox, with its options.
    #[command(disable_help_flag = true)]
    Blackbox(ToolArgs),
    /// Links and nodes, and orders to the daemon: corosync-cfgtool, with its options.
    #[command(disable_help_flag = true)]
    Cfgtool(ToolArgs),
    /// The configuration map and the statistics: corosync-cmapctl, with its options.
    #[command(disable_help_flag = true)]
    Cmapctl(ToolArgs),
    /// Process groups and their members: corosync-cpgtool, with its options.
    #[command(disable_help_flag = true)]
    Cpgtool(ToolArgs),
    /// The key that all nodes of an encrypted cluster share: corosync-keygen, with its options.
    #[command(disable_help_flag = true)]
    Keygen(ToolArgs),
    Migrate(MigrateArgs),
    /// Tells syslog, SNMP and D-Bus what happens: corosync-notifyd, with its options.
    #[command(disable_help_flag = true)]
    Notifyd(ToolArgs),
    /// Quorum and votes: corosync-quorumtool, with its options.
    #[command(disable_help_flag = true)]
    Quorumtool(ToolArgs),
    /// Writes manual pages or shell completions, for packages.
    #[command(hide = true)]
    Generate(GenerateArgs),
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

/// What one of corosync's tools was given; it reads its options itself.
#[derive(Debug, clap::Args)]
pub(crate) struct ToolArgs {
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "OPTIONS"
    )]
    pub(crate) arguments: Vec<OsString>,
}

/// What is shown of the cluster, and how.
#[derive(Debug, clap::Args)]
pub(crate) struct StatusArgs {
    /// A screen for people, or JSON on one line.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
    /// Show it again and again, until Ctrl-C.
    #[arg(long)]
    pub(crate) watch: bool,
    /// With --watch, the time between two looks.
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = plan::parse_duration)]
    pub(crate) interval: Duration,
}

/// What is written where.
#[derive(Debug, clap::Args)]
pub(crate) struct GenerateArgs {
    pub(crate) what: Generated,
    /// Is made where it is missing.
    pub(crate) directory: PathBuf,
}

/// What can be generated from the declarations of the options.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Generated {
    /// Manual pages of section 8.
    Man,
    /// Completions for bash, fish and zsh.
    Completions,
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
    #[arg(long, value_enum, default_value_t = Transport::DEFAULT)]
    pub(crate) transport: Transport,
    /// Cipher and hash of the ring, such as aes256/sha256, or none. [default: aes256/sha256 over knet]
    #[arg(long, value_name = "CIPHER/HASH")]
    crypto: Option<Crypto>,
    /// Networks that connect every node with every other, 1 to 8.
    #[arg(long, default_value_t = 1, value_name = "K", value_parser = clap::value_parser!(u8).range(1..=i64::from(LINKS_MAX)))]
    pub(crate) links: u8,
    /// Version of IP that the ring uses; 46 is IPv4 on links 0, 2, .. and IPv6 on links 1, 3, ..
    #[arg(long, value_enum, default_value_t = IpVersions::V4)]
    pub(crate) ip: IpVersions,
    /// Longest packet of every interface, in bytes; the kernel's 1500 unless given.
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(i64::from(MTU_MIN)..=i64::from(MTU_MAX)))]
    pub(crate) mtu: Option<u32>,
    /// Nodes that run the Corosync installed on this machine, such as 2,3 or all.
    #[arg(long, value_name = "LIST")]
    pub(crate) corosync: Option<NodeSet>,
    /// Start the Pacemaker installed on this machine on every node, as soon as the node's daemon answers.
    #[arg(long)]
    pub(crate) pacemaker: bool,
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

impl StartArgs {
    /// How the ring is encrypted. Clear text where the transport cannot do better.
    pub(crate) fn crypto(&self) -> Crypto {
        let unsaid = match self.transport {
            Transport::Knet => Crypto::STRONG,
            Transport::Udpu | Transport::Udp => Crypto::NONE,
        };
        self.crypto.unwrap_or(unsaid)
    }

    /// What runs on top of the daemons.
    pub(crate) fn manager(&self) -> Manager {
        if self.pacemaker {
            Manager::Pacemaker
        } else {
            Manager::None
        }
    }

    /// Whether the options go together; the error says which do not.
    pub(crate) fn check(&self) -> Result<(), BadWord> {
        let refuse = |why: &str| Err(BadWord::new(why.to_owned()));
        let ip = |version| LinkNumber::all(self.links).any(|link| self.ip.of(link) == version);
        if self.transport != Transport::Knet && self.links > 1 {
            return refuse("a ring has several links with --transport knet alone");
        }
        if self.transport != Transport::Knet && self.crypto() != Crypto::NONE {
            return refuse("a ring is encrypted with --transport knet alone");
        }
        if ip(IpVersion::V6) && self.mtu.is_some_and(|mtu| mtu < MTU_MIN_V6) {
            return refuse("IPv6 needs an --mtu of 1280 bytes");
        }
        Ok(())
    }
}

/// Least that every IPv4 host takes in one piece (RFC 791, section 3.1).
const MTU_MIN: u32 = 576;
/// Least that a link must have for IPv6 (RFC 8200, section 5).
const MTU_MIN_V6: u32 = 1280;

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

impl Transport {
    /// What a lab uses that was not told.
    const DEFAULT: Self = Self::Knet;
}

/// A version of IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IpVersion {
    V4,
    V6,
}

/// The versions of IP that the links have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum IpVersions {
    #[value(name = "4")]
    V4,
    #[value(name = "6")]
    V6,
    #[value(name = "46")]
    Both,
}

impl IpVersions {
    /// The version that a link has.
    pub(crate) fn of(self, link: LinkNumber) -> IpVersion {
        match self {
            Self::V4 => IpVersion::V4,
            Self::V6 => IpVersion::V6,
            Self::Both if link.get().is_multiple_of(2) => IpVersion::V4,
            Self::Both => IpVersion::V6,
        }
    }
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
    /// Cut the power of a node: all of its processes end at once, and its memory is lost; `start` switches it on again.
    Off(OneNode),
    /// Shut a node's daemon down and start the other one, or the same, in its place.
    Replace {
        #[command(flatten)]
        which: WhichLab,
        node: NodeNumber,
        #[arg(value_enum)]
        daemon: DaemonKind,
    },
    /// Cut the network into sides, such as 1,2/3; nodes that are not named form one more side.
    Partition {
        #[command(flatten)]
        which: WhichLab,
        sides: Groups,
    },
    /// Undo every partition, plug every cable in and let it have its full width.
    Heal {
        #[command(flatten)]
        which: WhichLab,
    },
    /// Pull or plug cables of a node, or make them lose long packets.
    Link {
        #[command(flatten)]
        which: WhichLab,
        node: NodeNumber,
        /// `1 down`, `1 up`, `1 mtu 1200` (longer packets are lost), `1 mtu full`; without the link's number for all
        /// links of the node.
        #[arg(required = true, num_args = 1..=3, value_name = "[LINK] CHANGE")]
        change: Vec<String>,
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
    /// Links of the lab.
    #[arg(long)]
    pub(crate) links: u8,
    /// Versions of IP that the node cannot do without.
    #[arg(long, value_enum)]
    pub(crate) ip: IpVersions,
    /// What runs on top of the daemon.
    #[arg(long, value_enum)]
    pub(crate) manager: Manager,
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

/// What runs on top of a node's daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Manager {
    None,
    Pacemaker,
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

#[cfg(test)]
mod tests {
    use super::*;

    impl StartArgs {
        /// The options of `ferrosync lab` in a line.
        pub(crate) fn of(words: &str) -> Self {
            let all = ["ferrosync", "lab"]
                .into_iter()
                .chain(words.split_whitespace());
            let args = Args::try_parse_from(all).expect("options");
            let Command::Lab(lab) = args.command else {
                panic!("{words}");
            };
            lab.start
        }
    }

    #[test]
    fn knet_alone_encrypts_and_has_several_links() {
        assert_eq!(StartArgs::of("--transport knet").crypto(), Crypto::STRONG);
        assert_eq!(
            StartArgs::of("--transport knet --crypto none").crypto(),
            Crypto::NONE
        );
        assert_eq!(StartArgs::of("--transport udpu").crypto(), Crypto::NONE);
        for words in [
            "--transport knet --links 8 --ip 46 --mtu 1280",
            "--transport udpu --crypto none --ip 46 --mtu 576",
            "--transport udp --ip 6 --mtu 9000",
        ] {
            assert_eq!(StartArgs::of(words).check(), Ok(()), "{words}");
        }
        for words in [
            "--transport udpu --links 2",
            "--transport udp --crypto aes256/sha256",
            "--transport knet --links 2 --ip 46 --mtu 1279",
        ] {
            assert!(StartArgs::of(words).check().is_err(), "{words}");
        }
    }
}

//! What the lab and a node's init say to each other: one line each, down and up the node's pipes.

use std::fmt;
use std::str::FromStr;

use super::plan::NodeSet;
use crate::args::DaemonKind;

/// From the lab to a node. The end of the pipe ends the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// The interfaces have arrived: give them their addresses.
    Network,
    /// Start the daemon, or, while it is ending, start it again when it has ended.
    Start,
    /// From the next start on the daemon is this one.
    Use(DaemonKind),
    /// The daemon answers: start what runs on top of it, unless that runs.
    Manager,
    /// SIGKILL.
    Kill,
    /// SIGSTOP.
    Stop,
    /// SIGCONT.
    Cont,
    /// SIGTERM, and SIGCONT in case that it is stopped; what runs on top of it ends first.
    Shutdown,
    /// SIGKILL for every process of the node, and empty memory.
    Off,
}

const ORDERS: [(Order, &str); 10] = [
    (Order::Network, "network"),
    (Order::Start, "start"),
    (Order::Use(DaemonKind::Ferrosync), "use ferrosync"),
    (Order::Use(DaemonKind::Corosync), "use corosync"),
    (Order::Manager, "manager"),
    (Order::Kill, "kill"),
    (Order::Stop, "stop"),
    (Order::Cont, "cont"),
    (Order::Shutdown, "shutdown"),
    (Order::Off, "off"),
];

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = ORDERS.iter().find(|(order, _)| order == self);
        f.write_str(word.map_or("", |(_, word)| word))
    }
}

impl FromStr for Order {
    type Err = Garbled;

    fn from_str(line: &str) -> Result<Self, Garbled> {
        let found = ORDERS.iter().find(|(_, word)| *word == line);
        found.map(|(order, _)| *order).ok_or(Garbled)
    }
}

/// From a node to the lab.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Report {
    /// The node's namespaces exist; its init has this process id on the machine.
    Init(u32),
    /// The network is configured.
    Network,
    /// The daemon was started.
    Running,
    /// The daemon has ended, and how.
    Ended(String),
    /// What runs on top of the daemon has ended, and how.
    ManagerEnded(String),
    /// No process of the node is left.
    Off,
    /// Something could not be done.
    Failed(String),
    /// What the daemon answered.
    Seen(Seen),
    /// The daemon did not answer, and why.
    Unseen(String),
    /// What runs on top of the daemon told this.
    Managed(Managed),
    /// It told nothing.
    Unmanaged,
}

/// What a look at Pacemaker found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Managed {
    /// Name of the node that decides for all, while there is one.
    pub(super) dc: Option<String>,
    /// Resources that run on this node.
    pub(super) resources: Vec<String>,
}

/// What a look at a daemon found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) members: NodeSet,
    /// As corosync prints it: representative and sequence in hexadecimal, `1.1c`.
    pub(super) ring: String,
    pub(super) quorate: bool,
    /// Process groups with members anywhere in the cluster.
    pub(super) groups: u32,
    /// Group messages delivered since the daemon started.
    pub(super) delivered: u64,
    /// Messages of the ring received since the daemon started.
    pub(super) frames: u64,
}

/// A line that nobody of ours has written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Garbled;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Init(pid) => write!(f, "init {pid}"),
            Self::Network => f.write_str("network"),
            Self::Running => f.write_str("running"),
            Self::Ended(how) => write!(f, "ended {}", one_line(how)),
            Self::Failed(why) => write!(f, "failed {}", one_line(why)),
            Self::Seen(seen) => write!(
                f,
                "seen {} {} {} {} {} {}",
                seen.members, seen.ring, seen.quorate, seen.groups, seen.delivered, seen.frames
            ),
            Self::Unseen(why) => write!(f, "unseen {}", one_line(why)),
            Self::ManagerEnded(how) => write!(f, "manager-ended {}", one_line(how)),
            Self::Off => f.write_str("off"),
            Self::Managed(managed) => {
                let dc = managed.dc.as_deref().unwrap_or("-");
                write!(f, "managed {}", one_line(dc))?;
                let resources = managed.resources.iter().take(RESOURCES_MAX);
                resources
                    .into_iter()
                    .try_for_each(|name| write!(f, " {}", one_line(name)))
            }
            Self::Unmanaged => f.write_str("unmanaged"),
        }
    }
}

impl FromStr for Report {
    type Err = Garbled;

    fn from_str(line: &str) -> Result<Self, Garbled> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "init" => rest.parse().map(Self::Init).map_err(|_| Garbled),
            "network" => Ok(Self::Network),
            "running" => Ok(Self::Running),
            "ended" => Ok(Self::Ended(rest.to_owned())),
            "failed" => Ok(Self::Failed(rest.to_owned())),
            "seen" => seen(rest).map(Self::Seen).ok_or(Garbled),
            "unseen" => Ok(Self::Unseen(rest.to_owned())),
            "manager-ended" => Ok(Self::ManagerEnded(rest.to_owned())),
            "off" => Ok(Self::Off),
            "managed" => Ok(Self::Managed(managed(rest))),
            "unmanaged" => Ok(Self::Unmanaged),
            _ => Err(Garbled),
        }
    }
}

fn seen(words: &str) -> Option<Seen> {
    let mut words = words.split(' ');
    let seen = Seen {
        members: words.next()?.parse().ok()?,
        ring: words.next()?.to_owned(),
        quorate: words.next()?.parse().ok()?,
        groups: words.next()?.parse().ok()?,
        delivered: words.next()?.parse().ok()?,
        frames: words.next()?.parse().ok()?,
    };
    words.next().is_none().then_some(seen)
}

/// Most resources of one node that the lab shows: a report must fit into a line.
const RESOURCES_MAX: usize = 64;

fn managed(words: &str) -> Managed {
    let mut words = words.split(' ').filter(|word| !word.is_empty());
    Managed {
        dc: words.next().filter(|dc| *dc != "-").map(str::to_owned),
        resources: words.map(str::to_owned).collect(),
    }
}

/// A text that ends no line and fits into one write to a pipe.
fn one_line(text: &str) -> String {
    const CHARS_MAX: usize = 500;
    let flat = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    flat.take(CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_survive_the_pipe() {
        let seen = Seen {
            members: "1,3".parse().expect("two nodes"),
            ring: "1.1c".into(),
            quorate: true,
            groups: 2,
            delivered: u64::MAX,
            frames: 9,
        };
        let reports = [
            Report::Init(7),
            Report::Network,
            Report::Running,
            Report::Ended("signal: 9 (SIGKILL)".into()),
            Report::Failed("no  tmpfs".into()),
            Report::Seen(seen),
            Report::Unseen(String::new()),
            Report::ManagerEnded("exit code 0".into()),
            Report::Off,
            Report::Managed(Managed::default()),
            Report::Managed(Managed {
                dc: Some("node2".into()),
                resources: vec!["a".into(), "b".into()],
            }),
            Report::Unmanaged,
        ];
        for report in reports {
            assert_eq!(report.to_string().trim_end().parse(), Ok(report));
        }
        for line in [
            "",
            "seen",
            "seen 1 1.c maybe 0 0",
            "seen 1 1.c true 0 0 0 0",
            "init x",
        ] {
            assert_eq!(line.parse::<Report>(), Err(Garbled), "{line}");
        }
    }

    #[test]
    fn a_report_is_one_line() {
        let report = Report::Failed("a\nb\r".repeat(1_000)).to_string();
        assert!(report.len() < 600 && !report.contains(char::is_control));
    }

    #[test]
    fn orders_survive_the_pipe() {
        for (order, _) in ORDERS {
            assert_eq!(order.to_string().parse(), Ok(order));
        }
        assert_eq!("".parse::<Order>(), Err(Garbled));
    }
}

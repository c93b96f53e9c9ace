//! What the daemon tells of the cluster.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use ferrosync_client::cfg::{self, Cfg, NodeStatus, PeerLink};
use ferrosync_client::cmap::{self, Cmap, Map};
use ferrosync_client::cpg::{self, Cpg, IterScope};
use ferrosync_client::quorum::{self, Event, Model, Quorum, Track};
use ferrosync_client::votequorum::{Info, Votequorum};
use ferrosync_client::{GroupName, NodeId, Options, RingSeq, Value};

use crate::tools::nodelist::nodelist;

/// Connections to the daemon of this node.
pub(super) struct Daemon {
    map: Cmap,
    stats: Cmap,
    cfg: Cfg,
    cpg: Cpg,
    quorum: Quorum,
    /// None where something else decides about quorum, or nobody.
    votequorum: Option<Votequorum>,
}

/// What is shown.
#[derive(Clone, Debug)]
pub(super) struct Cluster {
    pub(super) name: String,
    pub(super) transport: String,
    pub(super) local: NodeId,
    pub(super) ring_seq: RingSeq,
    pub(super) quorum: QuorumState,
    pub(super) nodes: Vec<Node>,
    /// Members of every group.
    pub(super) groups: Vec<(GroupName, usize)>,
    pub(super) traffic: Traffic,
}

#[derive(Clone, Debug)]
pub(super) struct QuorumState {
    pub(super) quorate: bool,
    pub(super) provider: Option<String>,
    pub(super) votes: Option<Info>,
}

/// A node that is a member, or that the configuration lists.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) id: NodeId,
    pub(super) name: Option<String>,
    pub(super) addresses: Vec<String>,
    pub(super) is_member: bool,
    /// Number and state of the links to it; none to this node itself.
    pub(super) links: Vec<(usize, PeerLink)>,
}

/// What has been sent and received since the daemon started, by the last part of its key below `stats.srp.`.
#[derive(Clone, Debug)]
pub(super) struct Traffic {
    pub(super) at: Instant,
    pub(super) counters: BTreeMap<&'static str, u64>,
}

impl Traffic {
    pub(super) fn get(&self, name: &str) -> u64 {
        self.counters.get(name).copied().unwrap_or(0)
    }
}

/// Why nothing is shown.
#[derive(Debug)]
pub(super) struct Unseen(String);

impl fmt::Display for Unseen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<cmap::Error> for Unseen {
    fn from(error: cmap::Error) -> Self {
        Self(error.to_string())
    }
}

impl From<cfg::Error> for Unseen {
    fn from(error: cfg::Error) -> Self {
        Self(error.to_string())
    }
}

impl From<cpg::Error> for Unseen {
    fn from(error: cpg::Error) -> Self {
        Self(error.to_string())
    }
}

impl From<quorum::Error> for Unseen {
    fn from(error: quorum::Error) -> Self {
        Self(error.to_string())
    }
}

impl Daemon {
    pub(super) fn connect() -> Result<Self, Unseen> {
        let options = Options {
            timeout: PATIENCE,
            ..Options::default()
        };
        Ok(Self {
            map: Cmap::connect(&options)?,
            stats: Cmap::connect_map(Map::Statistics, &options)?,
            cfg: Cfg::connect(&options)?,
            cpg: Cpg::connect(&options)?,
            quorum: Quorum::connect(Model::V0, &options)?,
            votequorum: Votequorum::connect(&options).ok(),
        })
    }

    pub(super) fn look(&mut self) -> Result<Cluster, Unseen> {
        let local = self.cfg.local_node()?;
        let quorate = self.quorum.is_quorate()?;
        let (ring_seq, members) = self.ring(local)?;
        let provider = self.text("quorum.provider");
        let votes = self.votequorum.as_mut();
        let quorum = QuorumState {
            quorate,
            provider,
            votes: votes.and_then(|votequorum| votequorum.info(local).ok()),
        };
        Ok(Cluster {
            name: self.text("totem.cluster_name").unwrap_or_default(),
            transport: self
                .text("totem.transport")
                .unwrap_or_else(|| "knet".to_owned()),
            local,
            ring_seq,
            quorum,
            nodes: self.nodes(local, &members)?,
            groups: self.groups()?,
            traffic: self.traffic(),
        })
    }

    /// The ring and its members. A daemon without a quorum provider does not tell; then the map knows.
    fn ring(&mut self, local: NodeId) -> Result<(RingSeq, Vec<NodeId>), Unseen> {
        if self.quorum.provider() == quorum::Provider::None {
            return Ok((RingSeq(0), self.joined(local)?));
        }
        self.quorum.track(Track::Current)?;
        loop {
            match self.quorum.dispatch(PATIENCE)? {
                Some(Event::V0 {
                    ring_seq, members, ..
                }) => return Ok((ring_seq, members)),
                Some(Event::Quorum { .. } | Event::Nodes { .. }) => {}
                None => {
                    return Err(Unseen(
                        "the cluster engine does not tell its members".into(),
                    ));
                }
            }
        }
    }

    /// Nodes whose `runtime.members.NODEID.status` says so.
    fn joined(&mut self, local: NodeId) -> Result<Vec<NodeId>, Unseen> {
        let entries = self.map.iterate("runtime.members.")?.map_while(Result::ok);
        let keys: Vec<String> = entries.map(|entry| entry.key).collect();
        let mut members: Vec<NodeId> = keys
            .iter()
            .filter_map(|key| {
                let id = key
                    .strip_prefix("runtime.members.")?
                    .strip_suffix(".status")?;
                let status = self.map.get(key).ok()?;
                (status.as_str() == Some("joined")).then_some(())?;
                Some(NodeId(id.parse().ok()?))
            })
            .collect();
        if !members.contains(&local) {
            members.push(local);
        }
        Ok(members)
    }

    fn nodes(&mut self, local: NodeId, members: &[NodeId]) -> Result<Vec<Node>, Unseen> {
        let mut names: BTreeMap<NodeId, Option<String>> =
            members.iter().map(|id| (*id, None)).collect();
        for listed in nodelist(&mut self.map)? {
            names.insert(listed.id, listed.name);
        }
        let cfg = &mut self.cfg;
        let node = |(id, name)| {
            let addresses = cfg.node_addresses(id).unwrap_or_default();
            let addresses = addresses.iter().filter(|address| !address.is_unspecified());
            Node {
                id,
                name,
                addresses: addresses.map(ToString::to_string).collect(),
                is_member: members.contains(&id),
                links: if id == local {
                    Vec::new()
                } else {
                    links(cfg, id)
                },
            }
        };
        Ok(names.into_iter().map(node).collect())
    }

    fn groups(&mut self) -> Result<Vec<(GroupName, usize)>, Unseen> {
        let mut groups: BTreeMap<GroupName, usize> = BTreeMap::new();
        for found in self.cpg.iterate(IterScope::All)? {
            *groups.entry(found?.group).or_default() += 1;
        }
        Ok(groups.into_iter().collect())
    }

    fn traffic(&mut self) -> Traffic {
        let mut counters = BTreeMap::new();
        for name in COUNTERS {
            if let Ok(Value::U64(count)) = self.stats.get(&format!("stats.srp.{name}")) {
                counters.insert(name, count);
            }
        }
        Traffic {
            at: Instant::now(),
            counters,
        }
    }

    fn text(&mut self, key: &str) -> Option<String> {
        self.map.get(key).ok()?.as_str().map(str::to_owned)
    }
}

/// The links to a node; none where the daemon does not know it.
fn links(cfg: &mut Cfg, node: NodeId) -> Vec<(usize, PeerLink)> {
    let Ok(NodeStatus { links, .. }) = cfg.node_status(node) else {
        return Vec::new();
    };
    let used = links.into_iter().enumerate();
    used.filter(|(_, link)| link.enabled).collect()
}

/// What is counted.
pub(super) const COUNTERS: [&str; 7] = [
    "mcast_tx",
    "mcast_rx",
    "mcast_retx",
    "rx_msg_dropped",
    "operational_token_lost",
    "gather_token_lost",
    "operational_entered",
];

/// A daemon that says nothing for so long does not run.
const PATIENCE: Duration = Duration::from_secs(5);

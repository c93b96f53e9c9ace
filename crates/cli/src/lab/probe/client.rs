//! Asks the daemon over the client protocol, which both daemons speak. Connections are kept from look to look.

use std::time::Duration;

use anyhow::{Context as _, Result};
use ferrosync_client::cmap::{self, Cmap, Map};
use ferrosync_client::cpg::Cpg;
use ferrosync_client::quorum::{Event, Model, Provider, Quorum, Track};
use ferrosync_client::{NodeId, Options, Value};

use super::Seen;
use crate::lab::plan::NodeNumber;

/// Time for an answer. A daemon that is stopped accepts connections and says nothing.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// A client of the daemon, as long as it runs.
#[derive(Default)]
pub(super) struct Client {
    open: Option<Connections>,
}

struct Connections {
    quorum: Quorum,
    /// What the daemon told last.
    latest: Option<Seen>,
    configuration: Cmap,
    statistics: Cmap,
    cpg: Cpg,
}

impl Client {
    /// Asks, within a few seconds. An error says why the daemon did not answer.
    pub(super) fn look(&mut self) -> Result<Seen> {
        let mut open = match self.open.take() {
            Some(open) => open,
            None => Connections::open()?,
        };
        let seen = open.look()?;
        // After an error the next look begins anew: the daemon may be another one.
        self.open = Some(open);
        Ok(seen)
    }
}

impl Connections {
    fn open() -> Result<Self> {
        let options = Options {
            timeout: ANSWER_WITHIN,
            ..Options::default()
        };
        let mut quorum = Quorum::connect(Model::V1, &options).context("quorum")?;
        if quorum.provider() == Provider::Configured {
            quorum.track(Track::Changes).context("quorum")?;
        }
        Ok(Self {
            quorum,
            latest: None,
            configuration: Cmap::connect(&options).context("cmap")?,
            statistics: Cmap::connect_map(Map::Statistics, &options).context("cmap")?,
            cpg: Cpg::connect(&options).context("cpg")?,
        })
    }

    fn look(&mut self) -> Result<Seen> {
        let mut seen = match self.quorum.provider() {
            Provider::Configured => self.quorum_tells()?,
            Provider::None => self.map_tells()?,
        };
        // Groups and counters are only for show; but a daemon that does not answer is not well.
        seen.groups = u32::try_from(self.cpg.groups()?.len()).unwrap_or(u32::MAX);
        for key in DELIVERED {
            seen.delivered += counter(&mut self.configuration, key)?;
        }
        seen.frames = counter(&mut self.statistics, "stats.srp.mcast_rx")?;
        Ok(seen)
    }

    fn quorum_tells(&mut self) -> Result<Seen> {
        loop {
            // The state now comes soon after the connection was made; later ones only when something changes.
            let first = self.latest.is_none();
            let wait = if first { ANSWER_WITHIN } else { Duration::ZERO };
            match self.quorum.dispatch(wait)? {
                Some(Event::Quorum {
                    quorate,
                    ring,
                    members,
                }) => {
                    self.latest = Some(Seen {
                        ring: ring.to_string(),
                        quorate,
                        members: members.iter().filter_map(|node| number(*node)).collect(),
                        ..Seen::default()
                    });
                }
                Some(Event::Nodes { .. } | Event::V0 { .. }) => {}
                None => break,
            }
        }
        self.latest.clone().context("quorum tells nothing")
    }

    /// Without a quorum provider every ring has quorum, and nobody tells its id.
    fn map_tells(&mut self) -> Result<Seen> {
        let keys = self.configuration.iterate("runtime.members.")?;
        let keys: Vec<String> = keys
            .map(|entry| entry.map(|e| e.key))
            .collect::<Result<_, _>>()?;
        let joined = Value::Str("joined".into());
        let mut members: Vec<NodeNumber> = Vec::new();
        for key in keys.iter().filter(|key| key.ends_with(".status")) {
            let status = self.configuration.get(key);
            let node = key.split('.').nth(2).and_then(|node| node.parse().ok());
            if let (Ok(status), Some(node)) = (status, node)
                && status == joined
            {
                members.push(node);
            }
        }
        Ok(Seen {
            members: members.into_iter().collect(),
            ring: "-".to_owned(),
            quorate: true,
            ..Seen::default()
        })
    }
}

/// Messages, and the parts in which libcpg sends those that are too long for one request.
const DELIVERED: [&str; 2] = ["runtime.services.cpg.3.rx", "runtime.services.cpg.6.rx"];

/// A key that is missing counts as zero. Any other error is told: after a missed answer the connection is of no use.
fn counter(map: &mut Cmap, key: &str) -> Result<u64> {
    match map.get(key) {
        Ok(Value::U64(count)) => Ok(count),
        Err(cmap::Error::NotFound) | Ok(_) => Ok(0),
        Err(error) => Err(error).context(key.to_owned()),
    }
}

/// Nodes of a lab have small numbers.
fn number(node: NodeId) -> Option<NodeNumber> {
    node.0.to_string().parse().ok()
}

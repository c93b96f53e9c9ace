//! What the daemon tells of the cluster.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::thread;
use std::time::Duration;

use ferrosync_client::cfg::Cfg;
use ferrosync_client::cmap::{Cmap, Error, Event as Change, Kind, Map, Tracked, Tracker};
use ferrosync_client::quorum::{Event as QuorumEvent, Model, Quorum, Track};
use ferrosync_client::{CsError, Value};

use super::Lookup;
use super::event::{Event, What};
use super::log::{Log, Severity};
use crate::tools::{Stop, options};

/// Connections and trackers.
pub(super) struct Watch {
    map: Cmap,
    stats: Cmap,
    /// None where the daemon did not let us.
    quorum: Option<Quorum>,
    lookup: Lookup,
    quorate: bool,
    trackers: Trackers,
    /// Name and id of this node; none until they were needed.
    local: Option<(String, u32)>,
}

/// Trackers of the statistics.
struct Trackers {
    programs: Tracker,
    links: Tracker,
    /// By key.
    states: BTreeMap<String, Tracker>,
}

impl Watch {
    /// Connects. What keeps it from that is in the log.
    pub(super) fn open(lookup: Lookup, log: &mut Log) -> Result<Self, Stop> {
        let mut map = connect(Map::Configuration, "cmap", log)?;
        let mut stats = connect(Map::Statistics, "cmap stats", log)?;
        let members = Tracked::Prefix("runtime.members.");
        let comes_or_changes = [Kind::Added, Kind::Modified];
        or_stop(map.track_kinds(members, &comes_or_changes), "members", log)?;
        let comes_or_goes = [Kind::Added, Kind::Deleted];
        let programs = stats.track_kinds(Tracked::Prefix("stats.ipcs."), &comes_or_goes);
        let programs = or_stop(programs, "connections", log)?;
        let links = stats.track_kinds(Tracked::Prefix("stats.knet."), &comes_or_goes);
        let links = or_stop(links, "knet link status", log)?;
        let mut watch = Self {
            trackers: Trackers {
                programs,
                links,
                states: BTreeMap::new(),
            },
            quorum: quorum(log),
            map,
            stats,
            lookup,
            quorate: false,
            local: None,
        };
        watch.follow_links(log)?;
        Ok(watch)
    }

    /// What is readable when there is something new.
    pub(super) fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let quorum = self.quorum.iter().map(Quorum::as_fd);
        [self.map.as_fd(), self.stats.as_fd()]
            .into_iter()
            .chain(quorum)
    }

    /// What has happened meanwhile. When the daemon is gone, the exit code is 1.
    pub(super) fn events(&mut self, log: &mut Log) -> Result<Vec<Event>, Stop> {
        let mut events = Vec::new();
        while let Some(change) = taken(self.map.dispatch(Duration::ZERO), log)? {
            events.extend(self.member(&change, log));
        }
        let mut changes = VecDeque::new();
        while let Some(change) = taken(self.stats.dispatch(Duration::ZERO), log)? {
            changes.push_back(change);
        }
        for change in changes {
            events.extend(self.statistic(&change, log));
        }
        while let Some(event) = self.next_of_quorum(log)? {
            events.extend(self.quorum_event(&event));
        }
        Ok(events)
    }

    fn next_of_quorum(&mut self, log: &mut Log) -> Result<Option<QuorumEvent>, Stop> {
        let Some(quorum) = &mut self.quorum else {
            return Ok(None);
        };
        quorum.dispatch(Duration::ZERO).map_err(|error| {
            let error = error.code().code();
            log.line(
                Severity::Error,
                &format!("Could not dispatch quorum events. Error {error}"),
            );
            Stop::FAILURE
        })
    }

    fn quorum_event(&mut self, event: &QuorumEvent) -> Option<Event> {
        let QuorumEvent::V0 { quorate, .. } = event else {
            return None;
        };
        let quorate = *quorate;
        if quorate == self.quorate {
            return None;
        }
        self.quorate = quorate;
        Some(self.here(What::Quorum { quorate }))
    }

    /// A node came or went: `runtime.members.NODEID.status` says which.
    fn member(&mut self, change: &Change, log: &mut Log) -> Option<Event> {
        let rest = change.key.strip_prefix("runtime.members.")?;
        let node: u32 = rest.strip_suffix(".status")?.parse().ok()?;
        let state = change.new.as_ref()?.as_str()?.to_owned();
        let addresses = patiently(|| self.map.get(&format!("runtime.members.{node}.ip")))?;
        let address = last_address(addresses.as_str()?)?.to_owned();
        let node_name = match self.lookup {
            Lookup::Addresses => None,
            Lookup::Names => name_of(&address, log),
        };
        Some(Event {
            node_name: node_name.unwrap_or_else(|| address.clone()),
            node,
            what: What::Node { state, address },
        })
    }

    fn statistic(&mut self, change: &Change, log: &mut Log) -> Option<Event> {
        if change.tracker == self.trackers.programs {
            self.program(change)
        } else if change.tracker == self.trackers.links {
            self.link_came_or_went(change, log);
            None
        } else {
            self.link(change)
        }
    }

    /// A program: the key is `stats.ipcs.serviceN.PID.CONNECTION.procname`.
    fn program(&mut self, change: &Change) -> Option<Event> {
        let connected = match change.kind {
            Kind::Added => true,
            Kind::Deleted => false,
            Kind::Modified => return None,
        };
        let (pid, connection) = program_key(&change.key)?;
        let value = change.new.as_ref().or(change.old.as_ref())?;
        let program = value.as_str()?;
        let name = format!("{connection}.{pid}.{program}");
        Some(self.here(What::Application { name, connected }))
    }

    fn link(&mut self, change: &Change) -> Option<Event> {
        let (peer, number) = link_key(&change.key)?;
        // What it is now: it may have changed more than once.
        let Value::U8(connected) = patiently(|| self.stats.get(&change.key))? else {
            return None;
        };
        Some(self.here(What::Link {
            peer,
            number,
            connected: connected != 0,
        }))
    }

    fn link_came_or_went(&mut self, change: &Change, log: &mut Log) {
        if link_key(&change.key).is_none() {
            return;
        }
        match change.kind {
            Kind::Added => {
                if self.follow_link(&change.key).is_err() {
                    log.line(
                        Severity::Warning,
                        "Can't add tracker for new/removed knet link",
                    );
                }
            }
            Kind::Deleted => {
                if let Some(tracker) = self.trackers.states.remove(&change.key) {
                    // With the key the daemon may have forgotten the tracker.
                    let _ = self.stats.untrack(tracker);
                }
            }
            Kind::Modified => {}
        }
    }

    fn follow_links(&mut self, log: &mut Log) -> Result<(), Stop> {
        let entries = or_stop(self.stats.iterate("stats.knet."), "knet statistics", log)?;
        let keys: Vec<String> = entries
            .map_while(Result::ok)
            .map(|entry| entry.key)
            .collect();
        for key in keys.iter().filter(|key| link_key(key).is_some()) {
            let followed = self.follow_link(key);
            or_stop(followed, key, log)?;
        }
        Ok(())
    }

    fn follow_link(&mut self, key: &str) -> Result<(), Error> {
        let tracker = self
            .stats
            .track_kinds(Tracked::Key(key), &[Kind::Modified])?;
        let before = self.trackers.states.insert(key.to_owned(), tracker);
        if let Some(before) = before {
            self.stats.untrack(before)?;
        }
        Ok(())
    }

    /// Something that happened at this node.
    fn here(&mut self, what: What) -> Event {
        let (node_name, node) = self.local.get_or_insert_with(local).clone();
        Event {
            node_name,
            node,
            what,
        }
    }
}

/// Name and id of this node; C tells localhost and 0 where the daemon does not know.
fn local() -> (String, u32) {
    let id = Cfg::connect(&options()).and_then(|mut cfg| cfg.local_node());
    match (id, nix::unistd::gethostname()) {
        (Ok(id), Ok(name)) => (name.to_string_lossy().into_owned(), id.0),
        (Ok(id), Err(_)) => ("localhost".to_owned(), id.0),
        (Err(_), _) => ("localhost".to_owned(), 0),
    }
}

fn connect(map: Map, what: &str, log: &mut Log) -> Result<Cmap, Stop> {
    Cmap::connect_map(map, &options()).map_err(|error| {
        let error = error.code().code();
        log.line(
            Severity::Error,
            &format!("Failed to initialize the {what} API. Error {error}"),
        );
        Stop::FAILURE
    })
}

fn or_stop<T>(result: Result<T, Error>, what: &str, log: &mut Log) -> Result<T, Stop> {
    result.map_err(|error| {
        let error = error.code().code();
        let line = format!("Failed to track the {what} key. Error {error}");
        log.line(Severity::Error, &line);
        Stop::FAILURE
    })
}

/// Quorum, as far as the daemon tells: without it the other events are told all the same.
fn quorum(log: &mut Log) -> Option<Quorum> {
    let Ok(mut quorum) = Quorum::connect(Model::V0, &options()) else {
        log.line(Severity::Error, "Could not connect to corosync(quorum)");
        return None;
    };
    if quorum.track(Track::Changes).is_err() {
        log.line(Severity::Error, "Could not start tracking");
    }
    Some(quorum)
}

fn taken(result: Result<Option<Change>, Error>, log: &mut Log) -> Result<Option<Change>, Stop> {
    result.map_err(|error| {
        let error = error.code().code();
        log.line(
            Severity::Error,
            &format!("Could not dispatch cmap events. Error {error}"),
        );
        Stop::FAILURE
    })
}

/// A value, asked for again while the daemon is busy.
fn patiently(mut get: impl FnMut() -> Result<Value, Error>) -> Option<Value> {
    for _ in 0..GET_ATTEMPTS {
        match get() {
            Err(error) if error.code() == CsError::TryAgain => {
                thread::sleep(Duration::from_secs(1));
            }
            result => return result.ok(),
        }
    }
    None
}

/// What a node is called where its address is looked up; none when that fails. C fails with every IPv6 address
/// (`docs/deviations.md`, D-85).
fn name_of(address: &str, log: &mut Log) -> Option<String> {
    let parsed: IpAddr = address.parse().ok()?;
    match dns_lookup::getnameinfo(&(parsed, 0).into(), NI_NUMERICSERV) {
        Ok((name, _service)) => Some(name),
        Err(error) => {
            let error = std::io::Error::from(error).to_string();
            let reason = error.rsplit(": ").next().unwrap_or_default();
            let line = format!("error looking up {address} : {reason}");
            log.line(Severity::Error, &line);
            None
        }
    }
}

/// The last address of `r(0) ip(10.0.0.1) r(1) ip(10.0.1.1)`.
fn last_address(addresses: &str) -> Option<&str> {
    let (_, rest) = addresses.rsplit_once('(')?;
    let (address, _) = rest.split_once(')')?;
    Some(address)
}

/// Process id and connection of `stats.ipcs.serviceN.PID.CONNECTION.procname`.
fn program_key(key: &str) -> Option<(i64, &str)> {
    let rest = key.strip_prefix("stats.ipcs.service")?;
    let mut parts = rest.split('.');
    parts.next()?.parse::<i64>().ok()?;
    let pid = parts.next()?.parse().ok()?;
    let connection = parts.next()?;
    (parts.next() == Some("procname") && parts.next().is_none()).then_some((pid, connection))
}

/// Node and link of `stats.knet.nodeN.linkN.connected`.
fn link_key(key: &str) -> Option<(u32, u32)> {
    let rest = key.strip_prefix("stats.knet.node")?;
    let (node, rest) = rest.split_once(".link")?;
    let link = rest.strip_suffix(".connected")?;
    Some((node.parse().ok()?, link.parse().ok()?))
}

/// `CMAP_MAX_RETRIES` and the first attempt.
const GET_ATTEMPTS: usize = 11;
/// A flag of getnameinfo(3) on Linux.
const NI_NUMERICSERV: i32 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_name_programs_and_links() {
        let key = "stats.ipcs.service2.4711.0x55d0.procname";
        assert_eq!(program_key(key), Some((4711, "0x55d0")));
        for key in [
            "stats.ipcs.service2.4711.0x55d0.procnames",
            "stats.ipcs.service2.4711.0x55d0.x.procname",
            "stats.ipcs.global.active",
            "stats.ipcs.service.4711.0x55d0.procname",
        ] {
            assert_eq!(program_key(key), None, "{key}");
        }
        assert_eq!(link_key("stats.knet.node12.link3.connected"), Some((12, 3)));
        for key in [
            "stats.knet.node12.link3.enabled",
            "stats.knet.handle.tx_crypt_packets",
            "stats.knet.node.link3.connected",
        ] {
            assert_eq!(link_key(key), None, "{key}");
        }
    }

    #[test]
    fn the_last_address_names_a_node() {
        assert_eq!(
            last_address("r(0) ip(10.0.0.1) r(1) ip(fd00::1) "),
            Some("fd00::1")
        );
        assert_eq!(last_address("r(0) ip(10.0.0.1"), None);
        assert_eq!(last_address(""), None);
    }
}

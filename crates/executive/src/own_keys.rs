//! Keys of the configuration map that the node sets itself, and what is said when the map cannot take them.
//!
//! The map is shared with clients. They cannot fill the part that is kept for the node
//! ([`crate::icmap::Icmap::CLIENTS_BYTES_MAX`]); where that part is full as well, the node does without a key rather
//! than without itself.

use ferrosync_wire::value::{Key, Value};
use ferrosync_wire::{Duration, Instant, NodeId};

use crate::core::Core;
use crate::icmap::Losses;
use crate::log::{Priority, Subsystem};
use crate::node::Node;
use crate::service::ServiceInfo;

/// What of the map's losses the log tells already.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Told {
    losses: Losses,
    last: Option<Instant>,
}

impl Told {
    /// What was lost since the log told of it, once the last time is long enough ago.
    fn news(&mut self, now: Instant, losses: Losses) -> Option<Losses> {
        let recent = self.last.is_some_and(|last| now.since(last) < INTERVAL);
        if losses == self.losses || recent {
            return None;
        }
        let news = Losses {
            unset: losses.unset - self.losses.unset,
            notifications: losses.notifications - self.losses.notifications,
        };
        (self.losses, self.last) = (losses, Some(now));
        Some(news)
    }
}

impl Node {
    /// Writes what the map could not take since the last time into the log.
    pub(crate) fn tell_losses(&mut self) {
        let core = &mut self.core;
        let Some(lost) = core.told_losses.news(core.now, core.icmap.losses()) else {
            return;
        };
        if lost.unset > 0 {
            let text = format!(
                "The configuration map is full, {} keys of this node were not set",
                lost.unset
            );
            self.log(Subsystem::Main, Priority::Warning, text);
        }
        if lost.notifications > 0 {
            let text = format!(
                "Clients track too much of the configuration map, {} notifications were lost",
                lost.notifications
            );
            self.log(Subsystem::Main, Priority::Warning, text);
        }
    }
}

impl Core {
    /// Sets one of the node's own keys. What finds no room is counted by the map and told by [`Node::tell_losses`].
    pub(crate) fn set_own_key(&mut self, key: Key, value: Value) {
        let _full = self.icmap.set(key, value);
    }

    pub(crate) fn publish_service(&mut self, info: &ServiceInfo) {
        let key = |rest: &str| {
            Key::new(&format!(
                "internal_configuration.service.{}.{rest}",
                info.id.0
            ))
            .expect("made of valid characters")
        };
        self.set_own_key(key("name"), Value::str(&format!("corosync_{}", info.name)));
        self.set_own_key(key("ver"), Value::U32(0));
    }

    fn member_key(node: NodeId, rest: &str) -> Key {
        Key::new(&format!("runtime.members.{node}.{rest}")).expect("made of valid characters")
    }

    pub(crate) fn set_member_status(&mut self, node: NodeId, status: &str) {
        self.set_own_key(Self::member_key(node, "status"), Value::str(status));
    }

    pub(crate) fn member_joined(&mut self, node: NodeId, ip: &str) {
        let count = Self::member_key(node, "join_count");
        let before = match self.icmap.get(count.as_str()) {
            Some(Value::U32(n)) => n,
            Some(_) | None => 0,
        };
        self.set_own_key(Self::member_key(node, "ip"), Value::str(ip));
        self.set_own_key(count, Value::U32(before.wrapping_add(1)));
        self.set_member_status(node, "joined");
    }
}

/// Between two lines about the same.
const INTERVAL: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use ferrosync_wire::ipc::cmap::{Request, SetDone};
    use ferrosync_wire::ipc::{Answer, CsError};
    use ferrosync_wire::{Decode, Name, Reader, ServiceId};

    use super::*;
    use crate::testing::{Client, Cluster};

    /// Has a client put keys with values of this length into the map until it is refused.
    fn fill(cluster: &mut Cluster, client: Client, len: usize) {
        for n in 0.. {
            let key = format!("client.{len}.{n}");
            let request = Request::Set {
                key: Name::new(key.as_bytes()),
                value_type: Value::Bin(Box::default()).type_code(),
                value: &vec![0; len],
            };
            let answer = cluster.call(client, &request);
            let answer = Answer::<SetDone>::decode(&mut Reader::new(&answer));
            match answer.expect("an answer").0 {
                Ok(_) => {}
                Err(error) => return assert_eq!(error, CsError::NoMemory),
            }
        }
    }

    fn joined(cluster: &Cluster) -> Option<Value> {
        cluster.key(1, "runtime.members.2.status")
    }

    #[test]
    fn a_node_joins_where_clients_have_filled_the_map() {
        let mut cluster = Cluster::off(&[1, 2], "");
        cluster.boot(1);
        cluster.settle();
        let client = cluster.connect(1, ServiceId::CMAP);
        for len in [Value::MAX, 100, 1] {
            fill(&mut cluster, client, len);
        }
        cluster.boot(2);
        cluster.settle();
        assert_eq!(joined(&cluster), Some(Value::str("joined")));
        let log = cluster.log(1, Priority::Warning);
        assert!(!log.iter().any(|line| line.contains("is full")), "{log:?}");
    }

    #[test]
    fn a_node_works_without_keys_that_find_no_room_and_says_so() {
        let mut cluster = Cluster::off(&[1, 2], "");
        cluster.boot(1);
        cluster.settle();
        for len in [Value::MAX, 100, 1] {
            let icmap = &mut cluster.node_mut(1).core.icmap;
            for n in 0.. {
                let key = Key::new(&format!("own.{len}.{n}")).expect("a name");
                if icmap.set(key, Value::Bin(vec![0; len].into())).is_err() {
                    break;
                }
            }
        }
        cluster.run_for(INTERVAL * 2);
        cluster.boot(2);
        cluster.settle();
        cluster.run_for(INTERVAL * 2);
        assert_eq!(joined(&cluster), None);
        let log = cluster.log(1, Priority::Warning);
        let lines: Vec<_> = log.iter().filter(|l| l.contains("is full")).collect();
        assert!((2..5).contains(&lines.len()), "{lines:?}");
        assert_eq!(
            *lines[0],
            "The configuration map is full, 3 keys of this node were not set"
        );
    }

    #[test]
    fn losses_are_told_once_an_interval() {
        let mut told = Told::default();
        let at = |ms| Instant::ORIGIN + Duration::from_millis(ms);
        let losses = |unset, notifications| Losses {
            unset,
            notifications,
        };
        assert_eq!(told.news(at(0), losses(0, 0)), None);
        assert_eq!(told.news(at(0), losses(1, 0)), Some(losses(1, 0)));
        assert_eq!(told.news(at(999), losses(2, 7)), None);
        assert_eq!(told.news(at(1_000), losses(3, 7)), Some(losses(2, 7)));
        assert_eq!(told.news(at(5_000), losses(3, 7)), None);
    }
}

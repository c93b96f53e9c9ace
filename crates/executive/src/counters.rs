//! `runtime.services.<name>.<function>.{tx,rx}`: how many exec messages went out and came in.

use std::collections::BTreeMap;

use ferrosync_wire::ServiceId;
use ferrosync_wire::value::{Key, Value};

use crate::icmap::{CounterId, Icmap};
use crate::service::ServiceInfo;

/// Counters of all services, found without looking a key up.
#[derive(Debug, Default)]
pub(crate) struct ExecCounters(BTreeMap<ServiceId, Vec<Pair>>);

#[derive(Clone, Copy, Debug)]
struct Pair {
    tx: CounterId,
    rx: CounterId,
}

impl ExecCounters {
    /// Publishes the keys of one service.
    pub(crate) fn register(&mut self, icmap: &mut Icmap, info: &ServiceInfo) {
        let key = |rest: String| {
            Key::new(&format!("runtime.services.{}.{rest}", info.name))
                .expect("service names are words")
        };
        let id = Value::U16(info.id.0);
        // A map without room for it counts that.
        let _full = icmap.set(key("service_id".to_owned()), id);
        let pairs = (0..info.exec_functions)
            .map(|function| Pair {
                tx: icmap.counter(key(format!("{function}.tx"))),
                rx: icmap.counter(key(format!("{function}.rx"))),
            })
            .collect();
        self.0.insert(info.id, pairs);
    }

    /// A message of this kind was queued. Before the keys exist nothing is counted, as in C: votequorum's first
    /// message shows in `rx` only.
    pub(crate) fn sent(&self, icmap: &mut Icmap, service: ServiceId, function: u16) {
        if let Some(pair) = self.pair(service, function) {
            icmap.bump(pair.tx);
        }
    }

    /// A message of this kind was delivered.
    pub(crate) fn received(&self, icmap: &mut Icmap, service: ServiceId, function: u16) {
        if let Some(pair) = self.pair(service, function) {
            icmap.bump(pair.rx);
        }
    }

    fn pair(&self, service: ServiceId, function: u16) -> Option<&Pair> {
        self.0.get(&service)?.get(usize::from(function))
    }
}

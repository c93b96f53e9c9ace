//! One client of the map: its iterations and trackers.

use std::collections::BTreeMap;
use std::ops::Bound;

use ferrosync_wire::Value;
use ferrosync_wire::ipc::CsError;
use ferrosync_wire::ipc::cmap::{TRACK_ADD, TRACK_DELETE, TRACK_MODIFY, TRACK_PREFIX};

use super::stats;
use crate::icmap::{Cursor, TrackFlags, TrackerId};
use crate::service::Ctx;

/// Which map a client works with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Map {
    #[default]
    Default,
    Stats,
}

/// One client.
#[derive(Debug, Default)]
pub(super) struct Conn {
    pub(super) map: Map,
    iterations: BTreeMap<u64, Iteration>,
    trackers: BTreeMap<u64, Tracker>,
    next_handle: u64,
}

#[derive(Debug)]
enum Iteration {
    Default(Cursor),
    /// What is left of what the statistics said when it began.
    Stats(std::vec::IntoIter<(String, Value)>),
}

#[derive(Debug)]
enum Tracker {
    Default { id: TrackerId, instance: u64 },
    Stats(StatsTracker),
}

/// Compares the statistics with what the client was told.
#[derive(Debug)]
pub(super) struct StatsTracker {
    name: Option<String>,
    flags: TrackFlags,
    instance: u64,
    told: BTreeMap<String, Value>,
}

impl Conn {
    /// Whether the client has anything open.
    pub(super) fn is_busy(&self) -> bool {
        !self.iterations.is_empty() || !self.trackers.is_empty()
    }

    /// Whether it may open one thing more.
    pub(super) fn check_room(&self) -> Result<(), CsError> {
        if self.iterations.len() + self.trackers.len() >= OPEN_MAX {
            return Err(CsError::NoMemory);
        }
        Ok(())
    }

    pub(super) fn iter_init(&mut self, cx: &Ctx<'_>, prefix: &str) -> Result<u64, CsError> {
        self.check_room()?;
        let iteration = match self.map {
            Map::Default => Iteration::Default(Cursor::new(prefix)),
            Map::Stats => {
                let found: Vec<(String, Value)> = stats::all(cx.core())
                    .into_iter()
                    .filter(|(key, _)| key.starts_with(prefix))
                    .collect();
                Iteration::Stats(found.into_iter())
            }
        };
        let handle = self.new_handle();
        self.iterations.insert(handle, iteration);
        Ok(handle)
    }

    pub(super) fn iter_next(
        &mut self,
        cx: &mut Ctx<'_>,
        handle: u64,
    ) -> Result<(String, Value), CsError> {
        let iteration = self.iterations.get_mut(&handle).ok_or(CsError::BadHandle)?;
        match iteration {
            Iteration::Default(cursor) => cx
                .icmap()
                .next(cursor)
                .map(|(key, value)| (key.as_str().to_owned(), value.clone())),
            Iteration::Stats(rest) => rest.next(),
        }
        .ok_or(CsError::NoSections)
    }

    pub(super) fn iter_finalize(&mut self, handle: u64) -> Result<(), CsError> {
        let ended = self.iterations.remove(&handle);
        ended.map(|_| ()).ok_or(CsError::BadHandle)
    }

    pub(super) fn add_tracker(&mut self, id: TrackerId, instance: u64) -> u64 {
        let handle = self.new_handle();
        let tracker = Tracker::Default { id, instance };
        self.trackers.insert(handle, tracker);
        handle
    }

    pub(super) fn add_stats_tracker(
        &mut self,
        name: Option<&str>,
        flags: TrackFlags,
        instance: u64,
        seen: &BTreeMap<String, Value>,
    ) -> u64 {
        let handle = self.new_handle();
        let mut tracker = StatsTracker {
            name: name.map(str::to_owned),
            flags,
            instance,
            told: BTreeMap::new(),
        };
        tracker.remember(seen);
        self.trackers.insert(handle, Tracker::Stats(tracker));
        handle
    }

    /// Forgets a tracker: its id in the node's map, if it is there, and what the client calls it.
    pub(super) fn remove_tracker(
        &mut self,
        handle: u64,
    ) -> Result<(Option<TrackerId>, u64), CsError> {
        match self.trackers.remove(&handle).ok_or(CsError::BadHandle)? {
            Tracker::Default { id, instance } => Ok((Some(id), instance)),
            Tracker::Stats(tracker) => Ok((None, tracker.instance)),
        }
    }

    /// Trackers of the node's map.
    pub(super) fn trackers(&mut self) -> impl Iterator<Item = TrackerId> + '_ {
        self.trackers.values().filter_map(|t| match t {
            Tracker::Default { id, .. } => Some(*id),
            Tracker::Stats(_) => None,
        })
    }

    /// Trackers of the statistics.
    pub(super) fn stats_trackers(&mut self) -> impl Iterator<Item = &mut StatsTracker> + '_ {
        self.trackers.values_mut().filter_map(|t| match t {
            Tracker::Default { .. } => None,
            Tracker::Stats(tracker) => Some(tracker),
        })
    }

    const fn new_handle(&mut self) -> u64 {
        // Never 0, which C's library takes for no handle.
        self.next_handle += 1;
        self.next_handle
    }
}

impl StatsTracker {
    /// Reports every difference that the client wants to hear of: instance, key, event, value now and before.
    ///
    /// Of a whole prefix it hears which keys come and go, of one key when its value changes; pauses move through their
    /// keys, which is no coming and going (corosync `stats.c:stats_trigger_trackers, stats_map_notify_fn`, v3.1.7).
    pub(super) fn compare(
        &mut self,
        now: &BTreeMap<String, Value>,
        mut report: impl FnMut(u64, &str, i32, Option<&Value>, Option<&Value>),
    ) {
        let told = std::mem::take(&mut self.told);
        for (key, value) in self.under(now) {
            let comes = self.flags.has(TRACK_ADD) && !key.starts_with(stats::PAUSES);
            let changes = self.flags.has(TRACK_MODIFY) && !self.flags.has(TRACK_PREFIX);
            match told.get(key) {
                None if comes => report(self.instance, key, TRACK_ADD, Some(value), None),
                Some(old) if old != value && changes => {
                    report(self.instance, key, TRACK_MODIFY, Some(value), Some(old));
                }
                Some(_) | None => {}
            }
        }
        for (key, old) in &told {
            let goes = self.flags.has(TRACK_DELETE) && !key.starts_with(stats::PAUSES);
            if goes && !now.contains_key(key) {
                report(self.instance, key, TRACK_DELETE, None, Some(old));
            }
        }
        self.remember(now);
    }

    fn remember(&mut self, now: &BTreeMap<String, Value>) {
        let told = self.under(now);
        self.told = told
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
    }

    /// The keys that it is for.
    fn under<'a>(
        &'a self,
        map: &'a BTreeMap<String, Value>,
    ) -> impl Iterator<Item = (&'a String, &'a Value)> + 'a {
        let prefix = self.flags.has(TRACK_PREFIX);
        let name = self.name.as_deref().unwrap_or("");
        map.range::<str, _>((Bound::Included(name), Bound::Unbounded))
            .take_while(move |(key, _)| {
                if prefix {
                    key.starts_with(name)
                } else {
                    *key == name
                }
            })
    }
}

/// Iterations and trackers that one client may have open; C has no limit.
const OPEN_MAX: usize = 4_096;

//! Trackers and what they are to be told.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use ferrosync_wire::ipc::{CsError, cmap};
use ferrosync_wire::{Key, Value};

use super::Watched;

/// Names a tracker; never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TrackerId(u64);

impl TrackerId {
    /// Most trackers at a time.
    pub const MAX: usize = 16_384;
}

/// What a tracker wants to hear of, as clients number it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrackFlags(i32);

impl TrackFlags {
    /// Keys that come.
    pub const ADD: Self = Self(cmap::TRACK_ADD);
    /// Values that change.
    pub const MODIFY: Self = Self(cmap::TRACK_MODIFY);
    /// Keys that go.
    pub const DELETE: Self = Self(cmap::TRACK_DELETE);
    /// All that start with the name.
    pub const PREFIX: Self = Self(cmap::TRACK_PREFIX);
    /// Everything under one name.
    pub const KEY: Self = Self(cmap::TRACK_ADD | cmap::TRACK_MODIFY | cmap::TRACK_DELETE);
    /// Everything under all names that start with one.
    pub const ALL: Self = Self(Self::KEY.0 | cmap::TRACK_PREFIX);

    /// Flags as a client sends them.
    ///
    /// # Errors
    /// [`CsError::InvalidParam`] when one is unknown.
    pub const fn new(bits: i32) -> Result<Self, CsError> {
        if bits & !Self::ALL.0 == 0 {
            Ok(Self(bits))
        } else {
            Err(CsError::InvalidParam)
        }
    }

    /// These flags and those of `other`.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) const fn has(self, bits: i32) -> bool {
        self.0 & bits != 0
    }
}

/// What happened to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrackEvent {
    /// It came.
    Add,
    /// Its value changed.
    Modify,
    /// It went.
    Delete,
}

impl TrackEvent {
    /// The event's number in client messages.
    #[must_use]
    pub const fn code(self) -> i32 {
        match self {
            Self::Add => cmap::TRACK_ADD,
            Self::Modify => cmap::TRACK_MODIFY,
            Self::Delete => cmap::TRACK_DELETE,
        }
    }
}

/// One change of the map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The key.
    pub key: Key,
    /// What happened to it.
    pub event: TrackEvent,
    /// Its value now; none once it is gone.
    pub new: Option<Value>,
    /// Its value before; none when it came, nor for counters that went up.
    pub old: Option<Value>,
}

/// A change that a tracker is to hear of. Trackers share the change, whose values may be large.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// The tracker.
    pub tracker: TrackerId,
    /// The change.
    pub change: Arc<Change>,
}

impl Notification {
    /// Most notifications for clients that wait to be polled; further ones are dropped and counted.
    pub const MAX: usize = 65_536;
}

/// Who set up a tracker. The node acts on what it hears and must not miss the end of what it heard begin; what waits for
/// it is bounded by the few trackers that it has, all from its start, and by what one input changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    Node,
    Client,
}

#[derive(Debug)]
struct Tracker {
    id: TrackerId,
    owner: Owner,
    name: Option<Box<str>>,
    flags: TrackFlags,
}

impl Tracker {
    /// Whether changes of `key` are under the tracker's name. A tracker without name and prefix flag is for the
    /// root of C's trie, where no value ever is.
    fn covers(&self, key: &Key) -> bool {
        match (&self.name, self.flags.has(cmap::TRACK_PREFIX)) {
            (Some(name), true) => key.as_str().starts_with(&**name),
            (Some(name), false) => key.as_str() == &**name,
            (None, prefix) => prefix,
        }
    }

    /// Whether it is for a whole prefix, which is told after those of the key alone (libqb `lib/trie.c:trie_notify`,
    /// v2.0.6).
    fn rank(&self) -> u8 {
        u8::from(self.flags.has(cmap::TRACK_PREFIX))
    }

    /// Trackers of a prefix hear in the order in which they came, others in the opposite order
    /// (libqb `lib/trie.c:trie_notify_add`, v2.0.6).
    const fn queues(&self) -> bool {
        self.name.is_some() && self.flags.has(cmap::TRACK_PREFIX)
    }
}

/// All trackers by name, so that a change costs what concerns it and not what there is.
#[derive(Debug, Default)]
struct Index {
    /// Those of one name in the order in which they hear; without a name under the empty one.
    by_name: BTreeMap<Box<str>, Vec<Tracker>>,
    /// How many names have so many bytes.
    lengths: BTreeMap<usize, usize>,
    names: BTreeMap<TrackerId, Box<str>>,
    /// Trackers that were asked whether they cover a key.
    #[cfg(test)]
    asked: core::cell::Cell<u64>,
}

impl Index {
    fn insert(&mut self, tracker: Tracker) {
        let name: Box<str> = tracker.name.clone().unwrap_or_default();
        self.names.insert(tracker.id, name.clone());
        let len = name.len();
        let list = self.by_name.entry(name).or_default();
        if list.is_empty() {
            *self.lengths.entry(len).or_default() += 1;
        }
        let rank = tracker.rank();
        let at = if tracker.queues() {
            list.partition_point(|other| other.rank() <= rank)
        } else {
            list.partition_point(|other| other.rank() < rank)
        };
        list.insert(at, tracker);
    }

    fn remove(&mut self, id: TrackerId) -> Option<Tracker> {
        let name = self.names.remove(&id)?;
        let list = self.by_name.get_mut(&name)?;
        let at = list.iter().position(|tracker| tracker.id == id)?;
        let tracker = list.remove(at);
        if list.is_empty() {
            self.by_name.remove(&name);
            if let Some(count) = self.lengths.get_mut(&name.len()) {
                *count -= 1;
                if *count == 0 {
                    self.lengths.remove(&name.len());
                }
            }
        }
        Some(tracker)
    }

    /// Those who care for a key, in C's order: the longest names first.
    fn covering<'a>(&'a self, key: &'a Key) -> impl Iterator<Item = &'a Tracker> + 'a {
        let lengths = self.lengths.range(..=key.as_str().len()).rev();
        let names = lengths.filter_map(|(len, _)| key.as_str().get(..*len));
        let lists = names.filter_map(|name| self.by_name.get(name));
        lists.flatten().filter(move |tracker| {
            #[cfg(test)]
            self.asked.set(self.asked.get() + 1);
            tracker.covers(key)
        })
    }
}

/// All trackers, and what they have not heard yet.
#[derive(Debug, Default)]
pub(super) struct Trackers {
    index: Index,
    last_id: u64,
    waiting: VecDeque<(Owner, Notification)>,
    /// How many of them are for clients.
    for_clients: usize,
    lost: u64,
}

impl Trackers {
    pub(super) fn add(
        &mut self,
        owner: Owner,
        name: Option<&str>,
        flags: TrackFlags,
    ) -> Result<TrackerId, CsError> {
        if self.index.names.len() >= TrackerId::MAX {
            return Err(CsError::NoMemory);
        }
        self.last_id += 1;
        let id = TrackerId(self.last_id);
        self.index.insert(Tracker {
            id,
            owner,
            name: name.filter(|name| !name.is_empty()).map(Into::into),
            flags,
        });
        Ok(id)
    }

    /// Gives the name under which the tracker was.
    pub(super) fn delete(&mut self, id: TrackerId) -> Result<Option<Box<str>>, CsError> {
        let tracker = self.index.remove(id).ok_or(CsError::NotExist)?;
        Ok(tracker.name)
    }

    /// Whether anybody cares for a key.
    pub(super) fn watch(&self, key: &Key) -> Watched {
        if self.index.covering(key).next().is_some() {
            Watched::Yes
        } else {
            Watched::No
        }
    }

    /// Notes a change for everybody whom it concerns.
    pub(super) fn note(&mut self, change: Change) {
        let event = change.event.code();
        let change = Arc::new(change);
        for tracker in self.index.covering(&change.key) {
            if !tracker.flags.has(event) {
                continue;
            }
            match tracker.owner {
                Owner::Node => {}
                Owner::Client if self.for_clients >= Notification::MAX => {
                    self.lost += 1;
                    continue;
                }
                Owner::Client => self.for_clients += 1,
            }
            let notification = Notification {
                tracker: tracker.id,
                change: Arc::clone(&change),
            };
            self.waiting.push_back((tracker.owner, notification));
        }
    }

    pub(super) fn poll(&mut self) -> Option<Notification> {
        let (owner, notification) = self.waiting.pop_front()?;
        match owner {
            Owner::Node => {}
            Owner::Client => self.for_clients -= 1,
        }
        Some(notification)
    }

    pub(super) const fn lost(&self) -> u64 {
        self.lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: u64 = 10_000;
    const TRACKERS: u64 = 1_000;

    #[test]
    fn a_change_asks_those_whom_it_may_concern_and_nobody_else() {
        let mut trackers = Trackers::default();
        for n in 0..TRACKERS {
            let name = format!("group{n:03}.");
            trackers
                .add(Owner::Client, Some(&name), TrackFlags::ALL)
                .unwrap();
        }
        let everything = trackers.add(Owner::Client, None, TrackFlags::ALL).unwrap();
        for n in 0..KEYS {
            let key = Key::new(&format!("group{:03}.key{n}", n % TRACKERS)).unwrap();
            assert_eq!(trackers.watch(&key), Watched::Yes);
            trackers.note(Change {
                key,
                event: TrackEvent::Add,
                new: None,
                old: None,
            });
        }
        assert_eq!(trackers.waiting.len() as u64, 2 * KEYS);
        // One to find out that somebody cares, two to tell.
        assert_eq!(trackers.index.asked.get(), 3 * KEYS);
        trackers.delete(everything).unwrap();
        let other = Key::new("other.key").unwrap();
        assert_eq!(trackers.watch(&other), Watched::No);
        assert_eq!(trackers.index.asked.get(), 3 * KEYS);
    }
}

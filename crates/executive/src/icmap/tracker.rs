//! Trackers and what they are to be told.

use std::collections::VecDeque;
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
    /// Most notifications that wait to be polled; further ones are dropped and counted.
    pub const MAX: usize = 65_536;
}

#[derive(Debug)]
struct Tracker {
    id: TrackerId,
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

    /// Where the tracker stands in C's order: those with longer names hear first, under one name those of the key
    /// alone before those of the prefix (libqb `lib/trie.c:trie_notify`, v2.0.6).
    fn rank(&self) -> (core::cmp::Reverse<usize>, bool) {
        let len = self.name.as_ref().map_or(0, |name| name.len());
        (core::cmp::Reverse(len), self.flags.has(cmap::TRACK_PREFIX))
    }

    /// Trackers of a prefix hear in the order in which they came, others in the opposite order
    /// (libqb `lib/trie.c:trie_notify_add`, v2.0.6).
    const fn queues(&self) -> bool {
        self.name.is_some() && self.flags.has(cmap::TRACK_PREFIX)
    }
}

/// All trackers, in the order in which they hear of a change, and what they have not heard yet.
#[derive(Debug, Default)]
pub(super) struct Trackers {
    list: Vec<Tracker>,
    last_id: u64,
    waiting: VecDeque<Notification>,
    lost: u64,
}

impl Trackers {
    pub(super) fn add(
        &mut self,
        name: Option<&str>,
        flags: TrackFlags,
    ) -> Result<TrackerId, CsError> {
        if self.list.len() >= TrackerId::MAX {
            return Err(CsError::NoMemory);
        }
        self.last_id += 1;
        let tracker = Tracker {
            id: TrackerId(self.last_id),
            name: name.filter(|name| !name.is_empty()).map(Into::into),
            flags,
        };
        let rank = tracker.rank();
        let at = if tracker.queues() {
            self.list.partition_point(|other| other.rank() <= rank)
        } else {
            self.list.partition_point(|other| other.rank() < rank)
        };
        self.list.insert(at, tracker);
        Ok(TrackerId(self.last_id))
    }

    /// Gives the name under which the tracker was.
    pub(super) fn delete(&mut self, id: TrackerId) -> Result<Option<Box<str>>, CsError> {
        let at = self.list.iter().position(|tracker| tracker.id == id);
        let at = at.ok_or(CsError::NotExist)?;
        Ok(self.list.remove(at).name)
    }

    /// Whether anybody cares for a key.
    pub(super) fn watch(&self, key: &Key) -> Watched {
        if self.list.iter().any(|tracker| tracker.covers(key)) {
            Watched::Yes
        } else {
            Watched::No
        }
    }

    /// Notes a change for everybody whom it concerns.
    pub(super) fn note(&mut self, change: Change) {
        let event = change.event.code();
        let change = Arc::new(change);
        for tracker in &self.list {
            if !tracker.flags.has(event) || !tracker.covers(&change.key) {
                continue;
            }
            if self.waiting.len() >= Notification::MAX {
                self.lost += 1;
                continue;
            }
            self.waiting.push_back(Notification {
                tracker: tracker.id,
                change: Arc::clone(&change),
            });
        }
    }

    pub(super) fn poll(&mut self) -> Option<Notification> {
        self.waiting.pop_front()
    }

    pub(super) const fn lost(&self) -> u64 {
        self.lost
    }
}

//! The configuration map: what the configuration file says and what the daemon publishes about itself, by key.
//!
//! What `libcmap` calls `cmap_*` is a method of [`Cmap`] here. A connection works on one [`Map`], chosen when it is
//! opened. Keys have 3 to 255 characters of `a-z A-Z 0-9 . _ - / :`.

use core::time::Duration;
use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd};

use ferrosync_wire::ipc::cmap::{
    Adjusted, Deleted, Got, IterEnded, IterItem, IterStarted, MAP_DEFAULT, MAP_STATS, MapChosen,
    Notify, NotifyValue, Request, SetDone, TRACK_ADD, TRACK_DELETE, TRACK_MODIFY, TRACK_PREFIX,
    TrackAdded, TrackDeleted,
};
use ferrosync_wire::ipc::{CsError, Done, Handle};
use ferrosync_wire::{Decode, Name, Reader, Value, ValueType};

use crate::connection::{Connection, Options, Patience};
use crate::error::{ConnectionError, service_error};

/// A connection to one map.
#[derive(Debug)]
pub struct Cmap {
    connection: Connection,
    /// What the daemon calls the trackers.
    trackers: BTreeMap<Tracker, u64>,
    last_tracker: u64,
}

service_error! {
    /// Why a call failed. Unless said otherwise nothing was done, and the connection is as it was.
    pub enum Error {
        /// No such key, or no such tracker.
        NotFound = NotExist, "there is no such key";
        /// Nobody but the daemon changes this key.
        ReadOnly = Access, "the key is read-only";
        /// The key has not 3 to 255 characters, or other characters than keys have.
        BadKey = NameTooLong, "this is no key";
        /// The value does not fit: its length is not that of its type, it is longer than 16 KiB, or the key that is
        /// to be adjusted holds no integer.
        BadValue = InvalidParam, "the value does not fit";
        /// The map is full, or there are too many trackers.
        Full = NoMemory, "the map is full";
    }
}

/// One of the daemon's maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Map {
    /// The configuration and the daemon's state.
    Configuration,
    /// Statistics, computed when somebody looks.
    Statistics,
}

/// Names a tracker of one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tracker(u64);

/// What a tracker follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tracked<'a> {
    /// One key, whether it exists or not.
    Key(&'a str),
    /// Every key that starts like this; all keys for the empty text.
    Prefix(&'a str),
}

/// A key of an iteration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// The type of its value; none where the daemon has one that is unknown here.
    pub kind: Option<ValueType>,
    /// Bytes of its value; the NUL of texts included.
    pub len: u64,
}

/// A change of a tracked key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Who follows the key; each tracker gets an event of its own.
    pub tracker: Tracker,
    /// The key.
    pub key: String,
    /// What happened to it.
    pub kind: Kind,
    /// Its value now; none when it is gone.
    pub new: Option<Value>,
    /// Its value before; none when it came, and for counters.
    pub old: Option<Value>,
}

/// What happened to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It came.
    Added,
    /// It holds another value.
    Modified,
    /// It is gone.
    Deleted,
}

impl Cmap {
    /// Connects to the configuration map (`cmap_initialize`).
    ///
    /// # Errors
    /// [`Error::Connection`].
    pub fn connect(options: &Options) -> Result<Self, Error> {
        Self::connect_map(Map::Configuration, options)
    }

    /// Connects to a map (`cmap_initialize_map`).
    ///
    /// # Errors
    /// [`Error::Connection`]; [`Error::NotFound`] when the daemon has no such map.
    pub fn connect_map(map: Map, options: &Options) -> Result<Self, Error> {
        let mut connection = Connection::open("cmap", options)?;
        let map = match map {
            Map::Configuration => MAP_DEFAULT,
            Map::Statistics => MAP_STATS,
        };
        if map != MAP_DEFAULT {
            let Done = connection.call::<MapChosen, Error>(&Request::SetCurrentMap { map })?;
        }
        Ok(Self {
            connection,
            trackers: BTreeMap::new(),
            last_tracker: 0,
        })
    }

    /// A key's value (`cmap_get`).
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::BadKey`]; [`ConnectionError::Busy`] when a long value grows all the time.
    pub fn get(&mut self, key: &str) -> Result<Value, Error> {
        let key = name(key)?;
        // Almost every value is short; of a longer one the length is asked for, unless it changes meanwhile.
        let mut capacity = FIRST_CAPACITY;
        for _ in 0..GET_ATTEMPTS {
            match self
                .connection
                .call::<Got<'_>, Error>(&Request::Get { key, capacity })
            {
                Ok(got) => return value(got.value_type, got.value),
                Err(Error::BadValue) => {}
                Err(error) => return Err(error),
            }
            let ask = Request::Get { key, capacity: 0 };
            let len = self.connection.call::<Got<'_>, Error>(&ask)?.value_len;
            if len > Value::MAX as u64 + 1 {
                return Err(Error::BadValue);
            }
            capacity = len.max(1);
        }
        Err(ConnectionError::Busy.into())
    }

    /// Creates or changes a key (`cmap_set`).
    ///
    /// # Errors
    /// [`Error::ReadOnly`], [`Error::BadKey`], [`Error::BadValue`], [`Error::Full`].
    pub fn set(&mut self, key: &str, value: &Value) -> Result<(), Error> {
        let bytes = value.to_wire();
        let request = Request::Set {
            key: name(key)?,
            value_type: value.type_code(),
            value: &bytes,
        };
        let Done = self.connection.call::<SetDone, Error>(&request)?;
        Ok(())
    }

    /// Deletes a key (`cmap_delete`).
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::ReadOnly`], [`Error::BadKey`].
    pub fn delete(&mut self, key: &str) -> Result<(), Error> {
        let request = Request::Delete { key: name(key)? };
        let Done = self.connection.call::<Deleted, Error>(&request)?;
        Ok(())
    }

    /// Adds to an integer, which wraps (`cmap_inc`, `cmap_dec`).
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::ReadOnly`], [`Error::BadKey`], [`Error::BadValue`].
    pub fn adjust(&mut self, key: &str, step: i32) -> Result<(), Error> {
        let key = name(key)?;
        let Done = self
            .connection
            .call::<Adjusted, Error>(&Request::AdjustInt { key, step })?;
        Ok(())
    }

    /// Goes over all keys that start with `prefix`, in order (`cmap_iter_init`). Keys that come or go meanwhile
    /// may be seen or not.
    ///
    /// # Errors
    /// [`Error::Connection`].
    pub fn iterate(&mut self, prefix: &str) -> Result<Iteration<'_>, Error> {
        let prefix = name(prefix)?;
        let Handle(handle) = self
            .connection
            .call::<IterStarted, Error>(&Request::IterInit { prefix })?;
        Ok(Iteration {
            connection: &mut self.connection,
            handle,
            state: IterationState::Going,
        })
    }

    /// From now on [`Self::dispatch`] tells of every change (`cmap_track_add`).
    ///
    /// # Errors
    /// [`Error::BadKey`], [`Error::Full`].
    pub fn track(&mut self, what: Tracked<'_>) -> Result<Tracker, Error> {
        self.track_kinds(what, &[Kind::Added, Kind::Modified, Kind::Deleted])
    }

    /// As [`Self::track`], for these kinds of changes alone. Of statistics, which change all the time, one wants to
    /// know which come and go.
    ///
    /// # Errors
    /// As [`Self::track`]; C's daemon follows a prefix of statistics only with [`Kind::Added`] and
    /// [`Kind::Deleted`] among the kinds.
    pub fn track_kinds(&mut self, what: Tracked<'_>, kinds: &[Kind]) -> Result<Tracker, Error> {
        let (key, extent) = match what {
            Tracked::Key(key) => (key, 0),
            Tracked::Prefix(prefix) => (prefix, TRACK_PREFIX),
        };
        let flags = kinds.iter().fold(extent, |flags, kind| flags | kind.flag());
        let tracker = Tracker(self.last_tracker + 1);
        let request = Request::TrackAdd {
            key: name(key)?,
            flags,
            instance: tracker.0,
        };
        let Handle(handle) = self.connection.call::<TrackAdded, Error>(&request)?;
        self.last_tracker = tracker.0;
        self.trackers.insert(tracker, handle);
        Ok(tracker)
    }

    /// Follows no longer (`cmap_track_delete`); events that were on their way do not come any more.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn untrack(&mut self, tracker: Tracker) -> Result<(), Error> {
        let handle = self.trackers.remove(&tracker).ok_or(Error::NotFound)?;
        let request = Request::TrackDelete { handle };
        let Handle(_) = self.connection.call::<TrackDeleted, Error>(&request)?;
        Ok(())
    }

    /// The next change (`cmap_dispatch`), when one comes in time. A zero timeout does not wait.
    ///
    /// # Errors
    /// [`Error::Connection`].
    pub fn dispatch(&mut self, timeout: Duration) -> Result<Option<Event>, Error> {
        let patience = Patience::new(timeout);
        loop {
            let Some(bytes) = self.connection.event(patience.left())? else {
                return Ok(None);
            };
            let notify = Notify::decode(&mut Reader::new(bytes)).map_err(ConnectionError::from)?;
            let tracker = Tracker(notify.instance);
            if self.trackers.contains_key(&tracker) {
                return event(tracker, &notify).map(Some);
            }
        }
    }
}

impl Kind {
    const fn flag(self) -> i32 {
        match self {
            Self::Added => TRACK_ADD,
            Self::Modified => TRACK_MODIFY,
            Self::Deleted => TRACK_DELETE,
        }
    }
}

impl AsFd for Cmap {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.connection.fd()
    }
}

/// Keys, one by one.
#[derive(Debug)]
pub struct Iteration<'a> {
    connection: &'a mut Connection,
    handle: u64,
    state: IterationState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum IterationState {
    Going,
    /// At the end, or after a failure.
    Over,
}

impl Iterator for Iteration<'_> {
    type Item = Result<Entry, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.state == IterationState::Over {
            return None;
        }
        let handle = self.handle;
        match self
            .connection
            .call::<IterItem<'_>, Error>(&Request::IterNext { handle })
        {
            Ok(item) => Some(Ok(Entry {
                key: text(item.key),
                kind: ValueType::from_code(item.value_type),
                len: item.value_len,
            })),
            Err(error) => {
                self.state = IterationState::Over;
                let is_end = matches!(error, Error::Other(CsError::NoSections));
                (!is_end).then_some(Err(error))
            }
        }
    }
}

impl Drop for Iteration<'_> {
    fn drop(&mut self) {
        let handle = self.handle;
        let request = Request::IterFinalize { handle };
        // If the daemon does not know it any more, all the better.
        let _forgotten: Result<Done<6>, Error> = self.connection.call::<IterEnded, _>(&request);
    }
}

/// A key or prefix as it travels. The daemon says what is wrong with the characters.
fn name(key: &str) -> Result<Name<'_>, Error> {
    if key.len() >= Name::ARRAY || key.contains('\0') {
        return Err(Error::BadKey);
    }
    Ok(Name::new(key.as_bytes()))
}

fn text(name: Name<'_>) -> String {
    String::from_utf8_lossy(name.text).into_owned()
}

fn value(value_type: u8, bytes: &[u8]) -> Result<Value, Error> {
    let value = Value::from_wire(value_type, bytes);
    Ok(value.map_err(|error| ConnectionError::Protocol(error.to_string()))?)
}

fn event(tracker: Tracker, notify: &Notify<'_>) -> Result<Event, Error> {
    let kind = match notify.event {
        TRACK_ADD => Kind::Added,
        TRACK_MODIFY => Kind::Modified,
        TRACK_DELETE => Kind::Deleted,
        other => return Err(ConnectionError::Protocol(format!("track event {other}")).into()),
    };
    let optional = |v: NotifyValue<'_>| match v {
        NotifyValue::NONE => Ok(None),
        NotifyValue {
            value_type,
            value: bytes,
        } => value(value_type, bytes).map(Some),
    };
    Ok(Event {
        tracker,
        key: text(notify.key),
        kind,
        new: optional(notify.new)?,
        old: optional(notify.old)?,
    })
}

/// Room for a value in the first attempt to get one, in bytes.
const FIRST_CAPACITY: u64 = 512;
/// How often a value that grows is tried to get.
const GET_ATTEMPTS: usize = 8;

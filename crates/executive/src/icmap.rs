//! The configuration map: typed values under dotted names, and who wants to hear of changes
//! (corosync `exec/icmap.c`, v3.1.7).
//!
//! A change is noted for every tracker that it concerns; the owner takes the notifications with
//! [`Icmap::poll_notification`] after each mutation. Where C calls back in the middle of a change, here the
//! change is complete before anybody hears of it.
//!
//! Errors are the codes that clients get. After an error nothing has changed. That a name may be a key at all is
//! [`Key`]'s to decide; C asks only when it creates one, which makes no difference.

use std::collections::BTreeMap;
use std::ops::Bound;

use ferrosync_wire::ipc::CsError;
use ferrosync_wire::{Key, Value};

mod access;
mod step;
mod tracker;

pub use access::{ALWAYS_READ_ONLY, Access, Extent};
pub use tracker::{Change, Notification, TrackEvent, TrackFlags, TrackerId};

use access::ReadOnly;
use tracker::{Owner, Trackers};

/// The map.
#[derive(Debug, Default)]
pub struct Icmap {
    /// Where each key's item is. Items stay where they are, so that counters need no search.
    index: BTreeMap<Key, usize>,
    slots: Vec<Slot>,
    free: Vec<usize>,
    bytes: usize,
    read_only: ReadOnly,
    trackers: Trackers,
    /// Keys of the node's own that were refused.
    unset: u64,
}

/// What the map could not take since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// Keys of the node's own that [`Icmap::set`] refused.
    pub unset: u64,
    /// Notifications that did not fit [`Notification::MAX`].
    pub notifications: u64,
}

impl Icmap {
    /// Most bytes that keys and values may occupy, bookkeeping included; beyond it [`CsError::NoMemory`].
    ///
    /// C has none (`docs/deviations.md`, D-106).
    pub const BYTES_MAX: usize = 64 * 1024 * 1024;
    /// Beyond this many [`CsError::NoMemory`] for clients. The rest is for what the node itself has to tell, and for a
    /// configuration that grows: a map that clients have filled must not keep a node from working.
    pub const CLIENTS_BYTES_MAX: usize = 48 * 1024 * 1024;

    /// An empty map.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there are no keys.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// A copy of the value under `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Value> {
        self.get_ref(name).cloned()
    }

    /// The value under `name`.
    #[must_use]
    pub fn get_ref(&self, name: &str) -> Option<&Value> {
        self.index.get(name).map(|&slot| &self.item(slot).value)
    }

    /// Creates or changes a key of the node's own. To set what is there already is no change and nobody hears of it.
    /// What is refused is counted as well, so that a caller who can do without the key may leave it at that.
    ///
    /// # Errors
    /// [`CsError::InvalidParam`] when the value is longer than [`Value::MAX`]; [`CsError::NoMemory`] at
    /// [`Icmap::BYTES_MAX`].
    pub fn set(&mut self, key: Key, value: Value) -> Result<(), CsError> {
        let done = self.set_within(Self::BYTES_MAX, key, value);
        self.unset += u64::from(done.is_err());
        done
    }

    /// As [`Icmap::set`], for a client, or for what the node sets because a client wants something.
    ///
    /// # Errors
    /// As [`Icmap::set`], with [`CsError::NoMemory`] at [`Icmap::CLIENTS_BYTES_MAX`] already.
    pub fn set_for_client(&mut self, key: Key, value: Value) -> Result<(), CsError> {
        self.set_within(Self::CLIENTS_BYTES_MAX, key, value)
    }

    fn set_within(&mut self, max: usize, key: Key, value: Value) -> Result<(), CsError> {
        self.bytes_with(max, self.bytes, &key, &value)?;
        match self.index.get(&key) {
            Some(&slot) => self.replace(slot, value),
            None => {
                self.insert(key, value);
            }
        }
        Ok(())
    }

    /// Whether these keys can go and then those be set, one after the other.
    ///
    /// # Errors
    /// As [`Icmap::set`].
    pub fn check_change(&self, gone: &[Key], set: &[(Key, Value)]) -> Result<(), CsError> {
        let freed = gone.iter().filter_map(|key| {
            let value = self.get_ref(key.as_str())?;
            Some(Item::bytes(key, value))
        });
        let rest = self.bytes - freed.sum::<usize>();
        set.iter().try_fold(rest, |bytes, (key, value)| {
            self.bytes_with(Self::BYTES_MAX, bytes, key, value)
        })?;
        Ok(())
    }

    /// Removes a key.
    ///
    /// # Errors
    /// [`CsError::NotExist`].
    pub fn delete(&mut self, name: &str) -> Result<(), CsError> {
        let slot = self.index.remove(name).ok_or(CsError::NotExist)?;
        let item = self.slots[slot].item.take();
        let item = item.expect("the index names slots that hold items");
        self.free.push(slot);
        self.bytes -= Item::bytes(&item.key, &item.value);
        if item.watched == Watched::Yes {
            self.trackers.note(Change {
                key: item.key,
                event: TrackEvent::Delete,
                new: None,
                old: Some(item.value),
            });
        }
        Ok(())
    }

    /// Adds `step` to an integer of any size; it wraps around.
    ///
    /// # Errors
    /// [`CsError::NotExist`], or [`CsError::InvalidParam`] when the value is no integer.
    pub fn adjust_int(&mut self, name: &str, step: i32) -> Result<(), CsError> {
        let slot = *self.index.get(name).ok_or(CsError::NotExist)?;
        let value = step::stepped(&self.item(slot).value, step).ok_or(CsError::InvalidParam)?;
        self.replace(slot, value);
        Ok(())
    }

    /// Adds one; see [`Icmap::adjust_int`].
    ///
    /// # Errors
    /// As [`Icmap::adjust_int`].
    pub fn inc(&mut self, name: &str) -> Result<(), CsError> {
        self.adjust_int(name, 1)
    }

    /// Subtracts one; see [`Icmap::adjust_int`].
    ///
    /// # Errors
    /// As [`Icmap::adjust_int`].
    pub fn dec(&mut self, name: &str) -> Result<(), CsError> {
        self.adjust_int(name, -1)
    }

    /// Every key that starts with `prefix` with its value, in the order of names.
    pub fn iter<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a Key, &'a Value)> {
        self.index
            .range::<str, _>((Bound::Included(prefix), Bound::Unbounded))
            .take_while(move |(key, _)| key.as_str().starts_with(prefix))
            .map(|(key, &slot)| (key, &self.item(slot).value))
    }

    /// The next key of an iteration that outlives changes: keys that go meanwhile are left out, keys that come
    /// behind the cursor are met.
    pub fn next(&self, cursor: &mut Cursor) -> Option<(&Key, &Value)> {
        let start = match &cursor.last {
            Some(last) => Bound::Excluded(last.as_str()),
            None => Bound::Included(&*cursor.prefix),
        };
        let (key, &slot) = self
            .index
            .range::<str, _>((start, Bound::Unbounded))
            .next()
            .filter(|(key, _)| key.as_str().starts_with(&*cursor.prefix))?;
        cursor.last = Some(key.clone());
        Some((key, &self.item(slot).value))
    }

    /// Sets every key of `other` here; other keys stay.
    ///
    /// # Errors
    /// As [`Icmap::set`]; keys in front of the one that failed are set.
    pub fn copy_from(&mut self, other: &Self) -> Result<(), CsError> {
        other
            .iter("")
            .try_for_each(|(key, value)| self.set(key.clone(), value.clone()))
    }

    fn item(&self, slot: usize) -> &Item {
        self.slots[slot]
            .item
            .as_ref()
            .expect("the index names slots that hold items")
    }

    /// How many bytes there are once a key is set in a map of `bytes`. Who needs no more room than before is not
    /// refused it.
    fn bytes_with(
        &self,
        max: usize,
        bytes: usize,
        key: &Key,
        value: &Value,
    ) -> Result<usize, CsError> {
        // A text of full length that came without its NUL has one now.
        if value.wire_len() > Value::MAX + 1 {
            return Err(CsError::InvalidParam);
        }
        let (less, more) = match self.get_ref(key.as_str()) {
            Some(old) => (old.wire_len(), value.wire_len()),
            None => (0, Item::bytes(key, value)),
        };
        let after = bytes - less + more;
        if more > less && after > max {
            Err(CsError::NoMemory)
        } else {
            Ok(after)
        }
    }

    /// Gives the slot of the new key.
    fn insert(&mut self, key: Key, value: Value) -> usize {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            self.slots.len() - 1
        });
        let generation = self.slots[slot].generation.wrapping_add(1);
        let watched = self.trackers.watch(&key);
        if watched == Watched::Yes {
            self.trackers.note(Change {
                key: key.clone(),
                event: TrackEvent::Add,
                new: Some(value.clone()),
                old: None,
            });
        }
        self.bytes += Item::bytes(&key, &value);
        let replaced = self.index.insert(key.clone(), slot);
        assert_eq!(replaced, None, "{key} is there already");
        let item = Item {
            key,
            value,
            watched,
        };
        self.slots[slot] = Slot {
            generation,
            item: Some(item),
        };
        slot
    }

    fn replace(&mut self, slot: usize, value: Value) {
        let item = self.slots[slot].item.as_mut();
        let item = item.expect("the index names slots that hold items");
        if item.value == value {
            return;
        }
        self.bytes = self.bytes - item.value.wire_len() + value.wire_len();
        let old = core::mem::replace(&mut item.value, value);
        if item.watched == Watched::Yes {
            self.trackers.note(Change {
                key: item.key.clone(),
                event: TrackEvent::Modify,
                new: Some(item.value.clone()),
                old: Some(old),
            });
        }
    }
}

/// Typed reading, as C's `icmap_get_uint32` and its like.
macro_rules! getters {
    ($($name:ident: $variant:ident $type:ty, $what:literal;)*) => {
        impl Icmap {
            $(
                #[doc = concat!("The ", $what, " under `name`.")]
                ///
                /// # Errors
                /// [`CsError::NotExist`], or [`CsError::InvalidParam`] when the value has another type.
                pub fn $name(&self, name: &str) -> Result<$type, CsError> {
                    if let Value::$variant(value) = self.get_ref(name).ok_or(CsError::NotExist)? {
                        Ok(*value)
                    } else {
                        Err(CsError::InvalidParam)
                    }
                }
            )*
        }
    };
}

getters! {
    get_u8: U8 u8, "8-bit number";
    get_u16: U16 u16, "16-bit number";
    get_u32: U32 u32, "32-bit number";
    get_u64: U64 u64, "64-bit number";
    get_i32: I32 i32, "signed 32-bit number";
}

impl Icmap {
    /// The text under `name`.
    ///
    /// # Errors
    /// [`CsError::NotExist`], or [`CsError::InvalidParam`] when the value is no text or not UTF-8.
    pub fn get_str(&self, name: &str) -> Result<&str, CsError> {
        let value = self.get_ref(name).ok_or(CsError::NotExist)?;
        value.as_str().ok_or(CsError::InvalidParam)
    }
}

/// Counting, many times a second.
impl Icmap {
    /// A handle on the counter `key`, which is created as a `u64` of zero unless an integer is there. Only the
    /// daemon's own keys have counters, so [`Icmap::BYTES_MAX`] does not stop them; what is no integer is
    /// replaced.
    pub fn counter(&mut self, key: Key) -> CounterId {
        let slot = match self.index.get(&key) {
            Some(&slot) if step::stepped(&self.item(slot).value, 0).is_some() => slot,
            Some(&slot) => {
                self.replace(slot, Value::U64(0));
                slot
            }
            None => self.insert(key, Value::U64(0)),
        };
        CounterId {
            slot,
            generation: self.slots[slot].generation,
        }
    }

    /// Adds one without a search. Nothing happens when the key is gone or holds no integer any longer.
    ///
    /// Trackers hear of it, but not of the old value (corosync `icmap.c:icmap_fast_adjust_int_r` puts the item
    /// over itself, v3.1.7).
    pub fn bump(&mut self, counter: CounterId) {
        let Some(item) = self
            .slots
            .get_mut(counter.slot)
            .filter(|slot| slot.generation == counter.generation)
            .and_then(|slot| slot.item.as_mut())
        else {
            return;
        };
        if let Value::U64(count) = &mut item.value {
            *count = count.wrapping_add(1);
        } else if let Some(value) = step::stepped(&item.value, 1) {
            item.value = value;
        } else {
            return;
        }
        if item.watched == Watched::Yes {
            self.trackers.note(Change {
                key: item.key.clone(),
                event: TrackEvent::Modify,
                new: Some(item.value.clone()),
                old: None,
            });
        }
    }
}

/// Who hears of changes.
impl Icmap {
    /// From now on, notes changes of `name`, or with [`TrackFlags::PREFIX`] of every key that starts with it.
    /// Without a name, only the prefix flag makes sense.
    ///
    /// # Errors
    /// [`CsError::NoMemory`] at [`TrackerId::MAX`] trackers.
    pub fn track_add(
        &mut self,
        name: Option<&str>,
        flags: TrackFlags,
    ) -> Result<TrackerId, CsError> {
        self.track_add_of(Owner::Node, name, flags)
    }

    /// As [`Icmap::track_add`], for a client: beyond [`Notification::MAX`] it hears nothing.
    ///
    /// # Errors
    /// As [`Icmap::track_add`].
    pub fn track_add_for_client(
        &mut self,
        name: Option<&str>,
        flags: TrackFlags,
    ) -> Result<TrackerId, CsError> {
        self.track_add_of(Owner::Client, name, flags)
    }

    fn track_add_of(
        &mut self,
        owner: Owner,
        name: Option<&str>,
        flags: TrackFlags,
    ) -> Result<TrackerId, CsError> {
        let id = self.trackers.add(owner, name, flags)?;
        self.watch_again(name);
        Ok(id)
    }

    /// Notes no more changes for a tracker. What was noted before can still be polled.
    ///
    /// # Errors
    /// [`CsError::NotExist`].
    pub fn track_delete(&mut self, id: TrackerId) -> Result<(), CsError> {
        let name = self.trackers.delete(id)?;
        self.watch_again(name.as_deref());
        Ok(())
    }

    /// The oldest change that a tracker has not been told.
    pub fn poll_notification(&mut self) -> Option<Notification> {
        self.trackers.poll()
    }

    /// What the map could not take; whoever owns it is to tell.
    #[must_use]
    pub const fn losses(&self) -> Losses {
        Losses {
            unset: self.unset,
            notifications: self.trackers.lost(),
        }
    }

    /// Finds out again which keys that start with `name` anybody watches.
    fn watch_again(&mut self, name: Option<&str>) {
        let prefix = name.unwrap_or_default();
        let keys = self
            .index
            .range::<str, _>((Bound::Included(prefix), Bound::Unbounded));
        for (key, &slot) in keys.take_while(|(key, _)| key.as_str().starts_with(prefix)) {
            let item = self.slots[slot].item.as_mut();
            item.expect("the index names slots that hold items").watched = self.trackers.watch(key);
        }
    }
}

/// What clients may not change.
impl Icmap {
    /// Forbids clients to change a key or every key with a prefix, or allows it again. The map itself does not
    /// care; whoever serves clients asks [`Icmap::check_writable`].
    ///
    /// # Errors
    /// [`CsError::Exist`] when it is forbidden already, [`CsError::NotExist`] when it was not.
    pub fn set_access(
        &mut self,
        name: &str,
        extent: Extent,
        access: Access,
    ) -> Result<(), CsError> {
        self.read_only.set(name, extent, access)
    }

    /// Forbids what no client of the daemon may ever change; see [`ALWAYS_READ_ONLY`].
    pub fn protect(&mut self) {
        for (name, extent) in ALWAYS_READ_ONLY {
            // An earlier call may have forbidden it.
            let _ = self.read_only.set(name, *extent, Access::ReadOnly);
        }
    }

    /// Whether clients may change a key.
    ///
    /// # Errors
    /// [`CsError::Access`].
    pub fn check_writable(&self, name: &str) -> Result<(), CsError> {
        if self.read_only.covers(name) {
            Err(CsError::Access)
        } else {
            Ok(())
        }
    }
}

/// A position in an iteration; see [`Icmap::next`].
#[derive(Clone, Debug)]
pub struct Cursor {
    prefix: Box<str>,
    last: Option<Key>,
}

impl Cursor {
    /// In front of the first key that starts with `prefix`.
    #[must_use]
    pub fn new(prefix: &str) -> Self {
        Self {
            prefix: prefix.into(),
            last: None,
        }
    }
}

/// A handle on an integer; see [`Icmap::counter`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CounterId {
    slot: usize,
    generation: u64,
}

#[derive(Debug, Default)]
struct Slot {
    /// Differs for every item that the slot holds in turn, so that no handle survives its key.
    generation: u64,
    item: Option<Item>,
}

#[derive(Debug)]
struct Item {
    key: Key,
    value: Value,
    watched: Watched,
}

impl Item {
    /// Bytes that a key with its value occupies, roughly: the map's own structures hold the key twice.
    const OVERHEAD: usize = 128;

    fn bytes(key: &Key, value: &Value) -> usize {
        Self::OVERHEAD + 2 * key.as_str().len() + value.wire_len()
    }
}

/// Whether any tracker may care for an item; saves the others a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Watched {
    Yes,
    No,
}

#[cfg(test)]
mod tests;

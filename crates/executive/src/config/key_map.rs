//! The configuration as keys and typed values, each with the place in the file that it came from.

use std::collections::BTreeMap;

use ferrosync_wire::LinkId;
use ferrosync_wire::value::{BadKey, Key, Value};

use super::error::Location;
use super::keys::KeySpec;

/// Keys and values in the order of the configuration map (bytewise, as libqb's trie walks it).
#[derive(Clone, Debug)]
pub struct KeyMap {
    entries: BTreeMap<Key, Stored>,
    /// Where sections begin, by the path of their keys in the map.
    sections: BTreeMap<String, Location>,
    file: Location,
}

/// A value, its origin and what is known about its key.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) value: Value,
    pub(crate) at: Location,
    pub(crate) spec: Option<&'static KeySpec>,
}

impl KeyMap {
    /// An empty map; what is missing in it is reported at `file`.
    #[must_use]
    pub fn new(file: &str) -> Self {
        Self {
            entries: BTreeMap::new(),
            sections: BTreeMap::new(),
            file: Location {
                file: file.into(),
                line: 0,
                column: 0,
            },
        }
    }

    /// A map of values that came from elsewhere than a file, for example from the live configuration map.
    #[must_use]
    pub fn from_values(origin: &str, values: impl IntoIterator<Item = (Key, Value)>) -> Self {
        let mut map = Self::new(origin);
        let at = map.file.clone();
        for (key, value) in values {
            let stored = Stored {
                value,
                at: at.clone(),
                spec: None,
            };
            map.entries.insert(key, stored);
        }
        map
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.entries.get(key).map(|stored| &stored.value)
    }

    /// The value of a key of type `u8`; `None` also when the type is another one, as in corosync.
    #[must_use]
    pub fn u8(&self, key: &str) -> Option<u8> {
        let Value::U8(number) = self.get(key)? else {
            return None;
        };
        Some(*number)
    }

    /// The value of a key of type `u16`.
    #[must_use]
    pub fn u16(&self, key: &str) -> Option<u16> {
        let Value::U16(number) = self.get(key)? else {
            return None;
        };
        Some(*number)
    }

    /// The value of a key of type `u32`.
    #[must_use]
    pub fn u32(&self, key: &str) -> Option<u32> {
        let Value::U32(number) = self.get(key)? else {
            return None;
        };
        Some(*number)
    }

    /// The value of a key of type `u64`.
    #[must_use]
    pub fn u64(&self, key: &str) -> Option<u64> {
        let Value::U64(number) = self.get(key)? else {
            return None;
        };
        Some(*number)
    }

    /// The value of a key of type `i32`.
    #[must_use]
    pub fn i32(&self, key: &str) -> Option<i32> {
        let Value::I32(number) = self.get(key)? else {
            return None;
        };
        Some(*number)
    }

    /// The value of a key of type string.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&str> {
        let Value::Str(text) = self.get(key)? else {
            return None;
        };
        text.to_str()
    }

    /// Where a key stands; for a missing one its section, else the file.
    #[must_use]
    pub fn at(&self, key: &str) -> Location {
        if let Some(stored) = self.entries.get(key) {
            return stored.at.clone();
        }
        let mut path = key;
        loop {
            if let Some(at) = self.sections.get(path) {
                return at.clone();
            }
            match path.rsplit_once('.') {
                Some((parent, _)) => path = parent,
                None => return self.file.clone(),
            }
        }
    }

    /// All keys that begin with `prefix`, without it, in order.
    pub fn under<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a Value)> {
        let from = (
            core::ops::Bound::Included(prefix),
            core::ops::Bound::Unbounded,
        );
        self.entries
            .range::<str, _>(from)
            .map_while(move |(key, stored)| {
                let rest = key.as_str().strip_prefix(prefix)?;
                Some((rest, &stored.value))
            })
    }

    /// The keys and values, in order.
    #[must_use]
    pub fn into_pairs(self) -> Vec<(Key, Value)> {
        self.entries
            .into_iter()
            .map(|(key, stored)| (key, stored.value))
            .collect()
    }

    pub(crate) fn stored(&self) -> impl Iterator<Item = (&Key, &Stored)> {
        self.entries.iter()
    }

    /// Stores a value and returns the place of the value that it replaces.
    pub(crate) fn put(&mut self, key: &str, stored: Stored) -> Result<Option<Location>, BadKey> {
        let key = Key::new(key)?;
        Ok(self.entries.insert(key, stored).map(|old| old.at))
    }

    /// Stores a value that was derived rather than written.
    pub(crate) fn derive(&mut self, key: &str, value: Value) {
        let at = self.at(key);
        let key = Key::new(key).expect("derived keys are short and plain");
        let spec = None;
        self.entries.insert(key, Stored { value, at, spec });
    }

    /// Puts a value in the place of what the file says, or removes that.
    pub(crate) fn replace(&mut self, key: &Key, value: Option<Value>) {
        let Some(value) = value else {
            self.entries.remove(key);
            return;
        };
        let at = self.at(key.as_str());
        let spec = self.entries.get(key).and_then(|stored| stored.spec);
        let stored = Stored { value, at, spec };
        self.entries.insert(key.clone(), stored);
    }

    /// Remembers where the section of `path` begins; the first one counts.
    pub(crate) fn mark(&mut self, path: &str, at: &Location) {
        self.sections
            .entry(path.to_owned())
            .or_insert_with(|| at.clone());
    }
}

/// `totem.interface.<link>.<key>`.
pub(crate) fn interface_key(link: LinkId, key: &str) -> String {
    format!("totem.interface.{}.{key}", link.0)
}

/// `nodelist.node.<position>.<key>`.
pub(crate) fn node_key(position: usize, key: &str) -> String {
    format!("nodelist.node.{position}.{key}")
}

//! What a file says, whatever its format: sections, and keys with the line that each stands on.

/// The content of one file.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    /// The outermost section, which has no name.
    pub(crate) root: Section,
    /// Keys of the whole file; the next one's number.
    keys: usize,
}

/// A section, an element, or the whole file.
#[derive(Debug, Default)]
pub(crate) struct Section {
    /// Its name; empty for the whole file.
    pub(crate) name: String,
    /// What it consists of, in the order of the file.
    pub(crate) items: Vec<Item>,
}

/// A part of a section.
#[derive(Debug)]
pub(crate) enum Item {
    /// A section within.
    Section(Section),
    /// A key with its value.
    Entry(Entry),
}

/// A key, an attribute or a directive, with its value.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// Where it stands among all keys of the file, from 0.
    pub(crate) number: usize,
    /// Its name.
    pub(crate) key: String,
    /// Its value; may be empty.
    pub(crate) value: String,
    /// The line it begins on, from 1.
    pub(crate) line: u32,
    /// Its name as the report tells it, sections included.
    pub(crate) path: String,
}

impl Tree {
    /// A key with the next number.
    pub(crate) fn entry(&mut self, path: String, key: &str, value: &str, line: u32) -> Entry {
        self.keys += 1;
        Entry {
            number: self.keys - 1,
            key: key.to_owned(),
            value: value.to_owned(),
            line,
            path,
        }
    }
}

impl Section {
    /// The keys that stand directly in it.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.items.iter().filter_map(|item| match item {
            Item::Entry(entry) => Some(entry),
            Item::Section(_) => None,
        })
    }

    /// The sections that stand directly in it.
    pub(crate) fn sections(&self) -> impl Iterator<Item = &Self> {
        self.items.iter().filter_map(|item| match item {
            Item::Section(section) => Some(section),
            Item::Entry(_) => None,
        })
    }

    /// The sections of that name that stand directly in it.
    pub(crate) fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.sections().filter(move |section| section.name == name)
    }

    /// The value of a key that stands directly in it; the last one counts, as for corosync.
    pub(crate) fn value(&self, key: &str) -> Option<&str> {
        let last = self.entries().filter(|entry| entry.key == key).last()?;
        Some(last.value.as_str())
    }

    /// The last value of a key in any section of that name directly within.
    pub(crate) fn value_in<'a>(&'a self, section: &'a str, key: &'a str) -> Option<&'a str> {
        self.named(section)
            .filter_map(|section| section.value(key))
            .last()
    }

    /// Every key in it and below, in the order of the file.
    pub(crate) fn all(&self) -> Vec<&Entry> {
        let mut found = Vec::new();
        let mut waiting: Vec<&Item> = self.items.iter().rev().collect();
        while let Some(item) = waiting.pop() {
            match item {
                Item::Entry(entry) => found.push(entry),
                Item::Section(section) => waiting.extend(section.items.iter().rev()),
            }
        }
        found
    }
}

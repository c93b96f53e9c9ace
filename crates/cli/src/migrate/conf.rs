//! The corosync.conf that is being written.

use std::fmt::Write as _;

use ferrosync_executive::config::LINE_BYTES_MAX;

/// A place in the file: section names from the outside in, each with its number among those of that name.
pub(crate) type Slot<'a> = &'a [(&'a str, usize)];

/// The file, or one of its sections.
#[derive(Debug, Default)]
pub(crate) struct Conf {
    name: String,
    entries: Vec<Line>,
    sections: Vec<Self>,
}

#[derive(Debug)]
struct Line {
    key: String,
    value: String,
    /// The number of the key of the input that it comes from.
    from: Option<usize>,
}

/// Why a value cannot stand in a corosync.conf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unwritable(pub(crate) &'static str);

/// Whether a key that is there gives way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Again {
    /// The last one counts.
    Replaces,
    /// Both stand.
    Stands,
}

impl Conf {
    /// A file in which sections stand in the order that people expect.
    pub(crate) fn new() -> Self {
        let mut conf = Self::default();
        for name in ["totem", "nodelist", "quorum", "logging"] {
            conf.section(name, 0);
        }
        conf
    }

    /// Writes a key; the answer is the number of the input's key whose line gave way to this one.
    ///
    /// # Errors
    /// The grammar of corosync.conf has no way to say this. Nothing was written.
    pub(crate) fn set(
        &mut self,
        slot: Slot<'_>,
        (key, value): (&str, &str),
        from: Option<usize>,
        again: Again,
    ) -> Result<Option<usize>, Unwritable> {
        check(key, value)?;
        let section = slot
            .iter()
            .fold(self, |section, (name, index)| section.section(name, *index));
        let line = Line {
            key: key.to_owned(),
            value: value.to_owned(),
            from,
        };
        let old = section.entries.iter_mut().find(|line| line.key == key);
        match old {
            Some(old) if again == Again::Replaces => Ok(std::mem::replace(old, line).from),
            Some(_) | None => {
                section.entries.push(line);
                Ok(None)
            }
        }
    }

    /// The value of a key; `None` where it is not written.
    pub(crate) fn get(&self, slot: Slot<'_>, key: &str) -> Option<&str> {
        let mut section = self;
        for (name, index) in slot {
            let mut same = section.sections.iter().filter(|inner| inner.name == *name);
            section = same.nth(*index)?;
        }
        let line = section.entries.iter().find(|line| line.key == key)?;
        Some(&line.value)
    }

    /// How many sections of that name stand in the slot.
    pub(crate) fn count(&self, slot: Slot<'_>, name: &str) -> usize {
        let mut section = self;
        for (name, index) in slot {
            let mut same = section.sections.iter().filter(|inner| inner.name == *name);
            match same.nth(*index) {
                Some(inner) => section = inner,
                None => return 0,
            }
        }
        let same = section.sections.iter().filter(|inner| inner.name == name);
        same.count()
    }

    /// The text, sections that stayed empty left out.
    pub(crate) fn render(&self) -> String {
        let mut text = String::new();
        self.render_into(&mut text, 0);
        text
    }

    fn render_into(&self, text: &mut String, depth: usize) {
        let indent = "    ".repeat(depth);
        for line in &self.entries {
            writeln!(text, "{indent}{}: {}", line.key, line.value)
                .expect("writing to a string cannot fail");
        }
        for section in self.sections.iter().filter(|section| !section.is_empty()) {
            if !text.is_empty() && !text.ends_with("{\n") {
                text.push('\n');
            }
            writeln!(text, "{indent}{} {{", section.name).expect("writing to a string cannot fail");
            section.render_into(text, depth + 1);
            writeln!(text, "{indent}}}").expect("writing to a string cannot fail");
        }
    }

    /// Moves the keys that tell what kind of cluster this is to the beginning of the section `totem`.
    pub(crate) fn put_in_order(&mut self) {
        let rank = |line: &Line| FIRST.iter().position(|key| *key == line.key);
        let totem = self.section("totem", 0);
        totem
            .entries
            .sort_by_key(|line| rank(line).unwrap_or(FIRST.len()));
    }

    fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.sections.iter().all(Self::is_empty)
    }

    /// The section of that name and number; missing ones before it are made as well.
    fn section(&mut self, name: &str, index: usize) -> &mut Self {
        let mut places = self.places(name);
        while places.len() <= index {
            self.sections.push(Self {
                name: name.to_owned(),
                ..Self::default()
            });
            places = self.places(name);
        }
        &mut self.sections[places[index]]
    }

    fn places(&self, name: &str) -> Vec<usize> {
        let numbered = self.sections.iter().enumerate();
        numbered
            .filter(|(_, section)| section.name == name)
            .map(|(place, _)| place)
            .collect()
    }
}

/// Whether the grammar can say `key: value` so that it is read as it was meant.
fn check(key: &str, value: &str) -> Result<(), Unwritable> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte);
    if key.is_empty() || !key.bytes().all(plain) {
        return Err(Unwritable("the name has characters that no key may have"));
    }
    if value.chars().any(char::is_control) {
        return Err(Unwritable(
            "the value has control characters, which no line can hold",
        ));
    }
    if value.contains('{') {
        return Err(Unwritable(
            "the value has an opening brace, which would begin a section",
        ));
    }
    if key.len() + value.len() + INDENT_MAX > LINE_BYTES_MAX {
        return Err(Unwritable("the line would be too long for corosync"));
    }
    Ok(())
}

/// What people look for first.
const FIRST: [&str; 8] = [
    "version",
    "cluster_name",
    "config_version",
    "transport",
    "link_mode",
    "crypto_cipher",
    "crypto_hash",
    "keyfile",
];
/// Bytes of indentation, colon and blank that a line has at most.
const INDENT_MAX: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_key_takes_the_place_and_tells_whose_it_was() {
        let mut conf = Conf::new();
        let mut set = |value, from| {
            conf.set(
                &[("totem", 0)],
                ("token", value),
                Some(from),
                Again::Replaces,
            )
        };
        assert_eq!(set("1", 7), Ok(None));
        assert_eq!(set("2", 9), Ok(Some(7)));
        assert_eq!(conf.render(), "totem {\n    token: 2\n}\n");
    }

    #[test]
    fn what_the_grammar_cannot_say_is_refused() {
        let mut conf = Conf::new();
        for (key, value) in [
            ("a", "b\n}"),
            ("a", "x {"),
            ("a b", "c"),
            ("", "c"),
            ("a:", "c"),
            ("a", &"x".repeat(600)),
        ] {
            let outcome = conf.set(&[], (key, value), None, Again::Replaces);
            assert!(outcome.is_err(), "{key} {value}");
        }
        assert_eq!(conf.render(), "");
    }
}

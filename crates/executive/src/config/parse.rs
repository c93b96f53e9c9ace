//! The grammar of corosync.conf: bytes to a tree of sections and keys (corosync
//! `coroparse.c:parse_section`, v3.1.7).
//!
//! A line opens a section (`name {`), closes one (`}`), gives a key a value (`key: value`), or is empty or a
//! comment. The tests are made in the order brace, colon, closing brace, so a value cannot contain `{` and a
//! comment cannot follow anything. Parsing goes on behind an error, so that one run reports them all.

use std::sync::Arc;

use super::error::{ConfigErrors, Findings, Location};

/// One configuration file, read by the host.
#[derive(Clone, Copy, Debug)]
pub struct SourceFile<'a> {
    /// Its name, for messages.
    pub name: &'a str,
    /// Its content.
    pub bytes: &'a [u8],
}

/// Largest file that is looked at; the largest sensible one (384 nodes of 8 links) has about 200 kB.
pub const FILE_BYTES_MAX: usize = 4 << 20;

/// Longest line in bytes, without its line feed (corosync reads lines into 512 bytes).
pub const LINE_BYTES_MAX: usize = 510;

/// A path must stay shorter than this (corosync `icmap.h: ICMAP_KEYNAME_MAXLEN`); it bounds the nesting, too.
const PATH_BYTES_END: usize = 255;

/// A name or value and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spanned {
    /// The text, trimmed.
    pub text: String,
    /// Where it begins.
    pub at: Location,
}

/// What a section consists of, in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A section within the section.
    Section(Section),
    /// `key: value`.
    Entry(Entry),
}

/// `name { ... }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// The name; empty only after an error.
    pub name: Spanned,
    /// The content.
    pub items: Vec<Item>,
}

/// `key: value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The key; may be empty, as in corosync.
    pub key: Spanned,
    /// The value; may be empty.
    pub value: Spanned,
}

/// Reads one file's sections and keys, without asking what they mean: files of any version of corosync have this grammar.
///
/// # Errors
/// All places where the file breaks the grammar.
pub fn sections(source: SourceFile<'_>) -> Result<Vec<Item>, ConfigErrors> {
    let mut findings = Findings::default();
    let items = parse(source, &mut findings);
    findings.finish().map(|_| items)
}

/// Parses one file; errors go to `findings`, what could be understood is returned.
pub(crate) fn parse(source: SourceFile<'_>, findings: &mut Findings) -> Vec<Item> {
    let mut parser = Parser {
        file: source.name.into(),
        open: Vec::new(),
        top: Vec::new(),
        path_len: 0,
        skipped: 0,
        findings,
    };
    if source.bytes.len() > FILE_BYTES_MAX {
        let at = parser.at(0, 0);
        let what = format!(
            "The file has {} bytes, more than the {FILE_BYTES_MAX} of any configuration",
            source.bytes.len()
        );
        parser
            .findings
            .error(at, what, "name a corosync.conf, not something else");
        return parser.top;
    }
    let bytes = source.bytes.strip_suffix(b"\n").unwrap_or(source.bytes);
    for (number, line) in (1_u32..).zip(bytes.split(|byte| *byte == b'\n')) {
        parser.line(number, line);
    }
    parser.end_of_file();
    parser.top
}

struct Parser<'a> {
    file: Arc<str>,
    /// Sections that wait for their brace, outermost first; bounded by [`PATH_BYTES_END`].
    open: Vec<Section>,
    top: Vec<Item>,
    /// Bytes of the open sections' path, dots included.
    path_len: usize,
    /// Open sections that were refused because their path is too long.
    skipped: usize,
    findings: &'a mut Findings,
}

impl Parser<'_> {
    fn line(&mut self, number: u32, raw: &[u8]) {
        let bytes = raw.strip_suffix(b"\r").unwrap_or(raw);
        let start = bytes
            .iter()
            .position(|byte| !is_blank(*byte))
            .unwrap_or(bytes.len());
        let at = self.at(number, start + 1);
        if raw.len() > LINE_BYTES_MAX {
            let instead = format!("keep lines within {LINE_BYTES_MAX} bytes");
            return self.findings.error(at, "Line too long", instead);
        }
        if matches!(bytes.get(start), None | Some(b'#')) {
            return;
        }
        let line = match core::str::from_utf8(bytes) {
            Ok(line) if !line.contains('\0') => line.trim_end_matches(BLANKS),
            Ok(_) => {
                return self
                    .findings
                    .error(at, "Line contains a NUL byte", "remove it");
            }
            Err(error) => {
                let at = self.at(number, error.valid_up_to() + 1);
                let instead = "save the file as UTF-8; only comments may contain other bytes";
                return self.findings.error(at, "Line is not UTF-8 text", instead);
            }
        };
        if let Some((name, rest)) = line.split_once('{') {
            self.open_section(number, name, rest);
        } else if let Some((key, value)) = line.split_once(':') {
            // corosync cuts in front of the value: with a blank behind the colon the colon stays, and it is
            // stripped from every key but an empty one.
            let key = if value.starts_with(BLANKS) {
                &line[..=key.len()]
            } else {
                key
            };
            self.entry(number, key, value);
        } else if line.contains('}') {
            self.close_section(number, line);
        } else {
            self.findings.error(
                at,
                "Line is not opening or closing section or key value",
                "write `section {`, `key: value`, `}`, or `#` in front of a comment",
            );
        }
    }

    fn open_section(&mut self, number: u32, before: &str, after: &str) {
        let name = strip_name(before);
        let at = self.at(number, leading_blanks(before) + 1);
        let after_at = before.len() + 1 + leading_blanks(after);
        if name.is_empty() {
            self.findings.error(
                at.clone(),
                "Missing section name before opening bracket '{'",
                "write for example `totem {`",
            );
        } else if !after.trim_matches(BLANKS).is_empty() {
            let at = self.at(number, after_at + 1);
            let instead = "put everything behind '{' on lines of its own";
            self.findings
                .error(at, "Extra characters after opening bracket '{'", instead);
        }
        if !self.fits(name) {
            self.skipped += 1;
            let what = "Start of section makes total cmap path too long";
            return self
                .findings
                .error(at, what, "use shorter names or fewer nested sections");
        }
        // An unnamed section is entered as well: its closing brace must not close another one. It counts as
        // one byte so that the path still bounds the nesting.
        self.path_len += name.len().max(1) + 1;
        let text = name.to_owned();
        self.open.push(Section {
            name: Spanned { text, at },
            items: Vec::new(),
        });
    }

    fn entry(&mut self, number: u32, before: &str, after: &str) {
        let key = strip_name(before);
        let at = self.at(number, leading_blanks(before) + 1);
        if self.skipped > 0 {
            return;
        }
        if !self.fits(key) {
            let what = "New key makes total cmap path too long";
            return self.findings.error(at, what, "use a shorter key");
        }
        let colon = before.strip_suffix(':').unwrap_or(before).len();
        let value_at = self.at(number, colon + 2 + leading_blanks(after));
        let item = Item::Entry(Entry {
            key: Spanned {
                text: key.to_owned(),
                at,
            },
            value: Spanned {
                text: after.trim_matches(BLANKS).to_owned(),
                at: value_at,
            },
        });
        self.items().push(item);
    }

    fn close_section(&mut self, number: u32, line: &str) {
        let at = self.at(number, leading_blanks(line) + 1);
        if line.trim_matches(BLANKS) != "}" {
            self.findings.error(
                at.clone(),
                "Extra characters before or after closing bracket '}'",
                "put '}' on a line of its own",
            );
        }
        if self.skipped > 0 {
            self.skipped -= 1;
            return;
        }
        let Some(section) = self.open.pop() else {
            let instead = "remove it or look for a missing '{' above";
            return self.findings.error(at, "Unexpected closing brace", instead);
        };
        self.path_len -= section.name.text.len().max(1) + 1;
        self.items().push(Item::Section(section));
    }

    fn end_of_file(&mut self) {
        while let Some(section) = self.open.pop() {
            let instead = format!("close section {} with '}}'", section.name.text);
            self.findings
                .error(section.name.at.clone(), "Missing closing brace", instead);
            self.items().push(Item::Section(section));
        }
    }

    /// Where the next item belongs.
    fn items(&mut self) -> &mut Vec<Item> {
        match self.open.last_mut() {
            Some(section) => &mut section.items,
            None => &mut self.top,
        }
    }

    /// corosync demands `strlen(path) + strlen(name) + 1 < 255`; the path's last dot is counted here already.
    fn fits(&self, name: &str) -> bool {
        self.path_len.max(1) + name.len() < PATH_BYTES_END
    }

    fn at(&self, line: u32, column: usize) -> Location {
        Location {
            file: Arc::clone(&self.file),
            line,
            column: u32::try_from(column).unwrap_or(0),
        }
    }
}

const BLANKS: [char; 2] = [' ', '\t'];

const fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

fn leading_blanks(text: &str) -> usize {
    text.len() - text.trim_start_matches(BLANKS).len()
}

/// Names lose blanks on both sides and any colons and braces at their end, but never their first character
/// (corosync `coroparse.c:remove_whitespace`).
fn strip_name(text: &str) -> &str {
    let name = text.trim_start_matches(BLANKS);
    let stripped = name.trim_end_matches([' ', '\t', ':', '{']);
    if stripped.is_empty() {
        name.chars()
            .next()
            .map_or("", |first| &name[..first.len_utf8()])
    } else {
        stripped
    }
}

#[cfg(test)]
#[path = "parse/tests.rs"]
mod tests;

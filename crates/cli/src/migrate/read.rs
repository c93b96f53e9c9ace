//! The three formats of the input: sections in braces, XML, and the directives of `ha.cf`.

use std::fmt;

use ferrosync_executive::config::{self, ConfigErrors, FILE_BYTES_MAX, SourceFile};
use roxmltree::{Document, Node, ParsingOptions};

use super::tree::{Entry, Item, Section, Tree};

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// `name {`, `key: value`, `}`: corosync.conf of every version.
    Sections,
    /// XML: `cluster.conf` and `corosync.xml`.
    Xml,
    /// A directive and its words on each line: `ha.cf`.
    Directives,
}

/// Why a file cannot be read.
#[derive(Debug)]
pub(crate) enum Unreadable {
    /// It has more bytes than any configuration.
    Large(usize),
    /// A line is not text.
    NotText(u32),
    /// The grammar of sections is broken.
    Sections(ConfigErrors),
    /// The XML is broken, or has what a configuration never has.
    Xml(roxmltree::Error),
    /// Elements stand deeper in each other than [`DEPTH_MAX`].
    Deep(u32),
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Large(len) => write!(
                f,
                "the file has {len} bytes, more than the {FILE_BYTES_MAX} of any configuration"
            ),
            Self::NotText(line) => write!(f, "line {line} is not UTF-8 text"),
            Self::Sections(errors) => errors.fmt(f),
            Self::Xml(error) => write!(f, "this is no XML that can be read: {error}"),
            Self::Deep(line) => write!(
                f,
                "line {line}: elements stand more than {DEPTH_MAX} deep in each other"
            ),
        }
    }
}

impl std::error::Error for Unreadable {}

/// The format of a file by its look: XML begins with `<`, sections have braces.
pub(crate) fn format_of(bytes: &[u8]) -> Format {
    let text = bytes
        .strip_prefix(b"\xEF\xBB\xBF")
        .unwrap_or(bytes)
        .trim_ascii_start();
    if text.starts_with(b"<") {
        return Format::Xml;
    }
    let braces = text.split(|byte| *byte == b'\n').any(|line| {
        let line = line.trim_ascii();
        !line.starts_with(b"#") && line.ends_with(b"{")
    });
    if braces {
        Format::Sections
    } else {
        Format::Directives
    }
}

/// Reads a file; `name` is for messages.
///
/// # Errors
/// See [`Unreadable`].
pub(crate) fn read(name: &str, bytes: &[u8], format: Format) -> Result<Tree, Unreadable> {
    if bytes.len() > FILE_BYTES_MAX {
        return Err(Unreadable::Large(bytes.len()));
    }
    match format {
        Format::Sections => sections(name, bytes),
        Format::Xml => xml(bytes),
        Format::Directives => directives(bytes),
    }
}

fn sections(name: &str, bytes: &[u8]) -> Result<Tree, Unreadable> {
    let items = config::sections(SourceFile { name, bytes }).map_err(Unreadable::Sections)?;
    let mut tree = Tree::default();
    let root = section_items(&mut tree, "", items);
    tree.root.items = root;
    Ok(tree)
}

/// The parser bounds how deep sections stand in each other.
fn section_items(tree: &mut Tree, path: &str, items: Vec<config::Item>) -> Vec<Item> {
    let within = |name: &str| {
        if path.is_empty() {
            name.to_owned()
        } else {
            format!("{path}.{name}")
        }
    };
    items
        .into_iter()
        .map(|item| match item {
            config::Item::Section(section) => {
                let path = within(&section.name.text);
                Item::Section(Section {
                    items: section_items(tree, &path, section.items),
                    name: section.name.text,
                })
            }
            config::Item::Entry(entry) => {
                let path = within(&entry.key.text);
                let line = entry.key.at.line;
                Item::Entry(tree.entry(path, &entry.key.text, &entry.value.text, line))
            }
        })
        .collect()
}

fn xml(bytes: &[u8]) -> Result<Tree, Unreadable> {
    let text = text_of(bytes)?;
    // No document type: entities are how XML grows without bound.
    let options = ParsingOptions {
        allow_dtd: false,
        nodes_limit: NODES_MAX,
        ..ParsingOptions::default()
    };
    let document = Document::parse_with_options(text, options).map_err(Unreadable::Xml)?;
    let lines = Lines::of(text);
    let mut tree = Tree::default();
    let element = document.root_element();
    let section = element_of(&mut tree, &lines, element, "", 0)?;
    tree.root.items.push(Item::Section(section));
    Ok(tree)
}

fn element_of(
    tree: &mut Tree,
    lines: &Lines,
    element: Node<'_, '_>,
    outer: &str,
    depth: usize,
) -> Result<Section, Unreadable> {
    if depth > DEPTH_MAX {
        return Err(Unreadable::Deep(lines.line(element.range().start)));
    }
    let name = element.tag_name().name();
    let path = if outer.is_empty() {
        name.to_owned()
    } else {
        format!("{outer}/{name}")
    };
    let mut section = Section {
        name: name.to_owned(),
        items: Vec::new(),
    };
    for attribute in element.attributes() {
        let line = lines.line(attribute.range().start);
        let key = attribute.name();
        let entry = tree.entry(format!("{path}@{key}"), key, attribute.value(), line);
        section.items.push(Item::Entry(entry));
    }
    for child in element.children() {
        if child.is_element() {
            let inner = element_of(tree, lines, child, &path, depth + 1)?;
            section.items.push(Item::Section(inner));
        } else if let Some(text) = child
            .text()
            .filter(|text| child.is_text() && !text.trim().is_empty())
        {
            let line = lines.line(child.range().start);
            let entry = tree.entry(format!("{path}/text()"), TEXT, text.trim(), line);
            section.items.push(Item::Entry(entry));
        }
    }
    Ok(section)
}

fn directives(bytes: &[u8]) -> Result<Tree, Unreadable> {
    let mut tree = Tree::default();
    for (number, line) in (1_u32..).zip(text_of(bytes)?.lines()) {
        let line = line.split('#').next().unwrap_or("").trim();
        let (key, value) = line
            .split_once(|c: char| c.is_whitespace() || c == '=')
            .unwrap_or((line, ""));
        if !key.is_empty() {
            let entry: Entry = tree.entry(key.to_owned(), key, value.trim(), number);
            tree.root.items.push(Item::Entry(entry));
        }
    }
    Ok(tree)
}

fn text_of(bytes: &[u8]) -> Result<&str, Unreadable> {
    std::str::from_utf8(bytes).map_err(|error| {
        let before = &bytes[..error.valid_up_to()];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        Unreadable::NotText(u32::try_from(line).unwrap_or(u32::MAX))
    })
}

/// Where lines begin, so that finding a line does not read the file again.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Self(ends.map(|(at, _)| at).collect())
    }

    /// The line, from 1, of the byte at that place.
    fn line(&self, at: usize) -> u32 {
        let before = self.0.partition_point(|end| *end < at);
        u32::try_from(before + 1).unwrap_or(u32::MAX)
    }
}

/// The key under which text between elements is kept.
pub(crate) const TEXT: &str = "text()";

/// A cluster.conf of 384 nodes with fencing has some thousand elements.
const NODES_MAX: u32 = 200_000;
/// The deepest known configuration (resources of cluster.conf) has about ten.
const DEPTH_MAX: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    fn told(tree: &Tree) -> Vec<(u32, String, String)> {
        let keys = tree.root.all();
        keys.iter()
            .map(|entry| (entry.line, entry.path.clone(), entry.value.clone()))
            .collect()
    }

    fn line(line: u32, path: &str, value: &str) -> (u32, String, String) {
        (line, path.to_owned(), value.to_owned())
    }

    #[test]
    fn each_format_tells_keys_with_their_lines() {
        let conf = b"compatibility: none\ntotem {\n\tinterface {\n\t\tttl: 1\n\t}\n}\n";
        assert_eq!(format_of(conf), Format::Sections);
        let tree = read("conf", conf, Format::Sections).unwrap();
        let expected = [
            line(1, "compatibility", "none"),
            line(4, "totem.interface.ttl", "1"),
        ];
        assert_eq!(told(&tree), expected);

        let xml = b"<?xml version=\"1.0\"?>\n<cluster name=\"a\"\n  config_version=\"2\">\n<cman/>x</cluster>";
        assert_eq!(format_of(xml), Format::Xml);
        let tree = read("xml", xml, Format::Xml).unwrap();
        let expected = [
            line(2, "cluster@name", "a"),
            line(3, "cluster@config_version", "2"),
            line(4, "cluster/text()", "x"),
        ];
        assert_eq!(told(&tree), expected);

        let ha = b"# a comment\nnode  a b # two\n\nuse_logd yes\n";
        assert_eq!(format_of(ha), Format::Directives);
        let tree = read("ha.cf", ha, Format::Directives).unwrap();
        assert_eq!(
            told(&tree),
            [line(2, "node", "a b"), line(4, "use_logd", "yes")]
        );
    }

    #[test]
    fn xml_that_grows_or_digs_is_refused() {
        let bomb = b"<!DOCTYPE a [<!ENTITY b \"bb\"><!ENTITY c \"&b;&b;\">]><a>&c;</a>";
        assert!(matches!(
            read("", bomb, Format::Xml),
            Err(Unreadable::Xml(_))
        ));
        let deep = format!("{}{}", "<a>".repeat(1_000), "</a>".repeat(1_000));
        let outcome = read("", deep.as_bytes(), Format::Xml);
        assert!(matches!(outcome, Err(Unreadable::Deep(1))), "{outcome:?}");
        let wide = "<a>".to_owned() + &"<b/>".repeat(300_000) + "</a>";
        assert!(matches!(
            read("", wide.as_bytes(), Format::Xml),
            Err(Unreadable::Xml(_))
        ));
    }

    #[test]
    fn what_is_no_text_is_refused_with_its_line() {
        let outcome = read("", b"node a\nnode \xFF\n", Format::Directives);
        assert!(matches!(outcome, Err(Unreadable::NotText(2))));
        let large = vec![b'#'; FILE_BYTES_MAX + 1];
        assert!(matches!(
            read("", &large, Format::Directives),
            Err(Unreadable::Large(_))
        ));
    }
}

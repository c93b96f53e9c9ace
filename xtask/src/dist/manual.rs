//! Manual pages made of documents, so that the page and the document say the same.
//!
//! Headings, paragraphs, lists, tables and blocks of code are all that the documents have. A row of a table becomes an
//! entry: its first cell, then what the other cells say.

use std::fmt::Write as _;

/// A page and the document that it is made of.
pub(super) struct Manual {
    name: &'static str,
    section: u8,
    /// What it is about, in one line.
    about: &'static str,
    /// The document's file in `docs/`.
    pub(super) document: &'static str,
    /// What else to read: names and sections.
    see_also: &'static [(&'static str, u8)],
}

/// All pages that are made of documents, under the names that Debian's corosync has.
pub(super) const MANUALS: [Manual; 4] = [
    Manual {
        name: "corosync.conf",
        section: 5,
        about: "configuration of a node",
        document: "config.md",
        see_also: &[
            ("votequorum", 5),
            ("cmap_keys", 7),
            ("corosync_overview", 7),
        ],
    },
    Manual {
        name: "votequorum",
        section: 5,
        about: "how a cluster decides whether it has quorum",
        document: "quorum.md",
        see_also: &[
            ("corosync.conf", 5),
            ("cmap_keys", 7),
            ("corosync-quorumtool", 8),
        ],
    },
    Manual {
        name: "cmap_keys",
        section: 7,
        about: "keys of the configuration map and of the statistics",
        document: "cmap.md",
        see_also: &[
            ("corosync.conf", 5),
            ("votequorum", 5),
            ("corosync-cmapctl", 8),
        ],
    },
    Manual {
        name: "corosync_overview",
        section: 7,
        about: "programs, services and files of a node",
        document: "overview.md",
        see_also: &[
            ("corosync.conf", 5),
            ("votequorum", 5),
            ("cmap_keys", 7),
            ("corosync", 8),
            ("ferrosync", 8),
        ],
    },
];

impl Manual {
    /// Where it is installed, uncompressed.
    pub(super) fn place(&self) -> String {
        let Self { name, section, .. } = self;
        format!("usr/share/man/man{section}/{name}.{section}")
    }

    /// The page.
    pub(super) fn page(&self, document: &str) -> String {
        let mut page = Page {
            text: String::new(),
            heads: Vec::new(),
            gap: Gap::No,
        };
        let name = roff(self.name);
        let title = argument(self.name).to_uppercase();
        let section = self.section;
        page.put(&format!(
            ".TH {title} {section} \"\" Ferrosync \"Ferrosync Manual\""
        ));
        page.put(".SH NAME");
        page.put(&format!("{name} \\- {}", roff(self.about)));
        page.put(".SH DESCRIPTION");
        page.body(document);
        page.put(".SH \"SEE ALSO\"");
        let pages = self.see_also.iter();
        let pages: Vec<String> = pages
            .map(|(name, section)| format!(".BR {} ({section})", argument(name)))
            .collect();
        page.put(&pages.join(",\n"));
        page.text
    }
}

/// A page that is being written.
struct Page {
    text: String,
    /// Of the table that the last line belongs to; empty outside of tables.
    heads: Vec<String>,
    gap: Gap,
}

/// Whether an empty line came last: what follows begins a paragraph.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Gap {
    Yes,
    No,
}

impl Page {
    fn body(&mut self, document: &str) {
        let mut lines = document.lines();
        while let Some(line) = lines.next() {
            if line.starts_with(FENCE) {
                let code = lines.by_ref().take_while(|line| !line.starts_with(FENCE));
                self.code(code);
            } else if let Some(cells) = cells(line) {
                self.row(&cells);
            } else {
                self.heads.clear();
                self.line(line);
            }
        }
    }

    /// A line that belongs neither to a table nor to code.
    fn line(&mut self, line: &str) {
        if let Some(head) = line.strip_prefix("### ") {
            self.opening(&format!(".SS {}", argument(head)));
        } else if let Some(head) = line.strip_prefix("## ") {
            self.opening(&format!(".SH {}", argument(head).to_uppercase()));
        } else if line.starts_with("# ") {
            // The name of the page says it.
        } else if let Some((mark, item)) = item(line) {
            self.opening(&mark);
            self.put(&roff(item));
        } else if line.trim().is_empty() {
            self.gap = Gap::Yes;
        } else {
            if self.gap == Gap::Yes {
                self.opening(".PP");
            }
            self.put(&roff(line.trim()));
        }
    }

    /// As it stands, in a block of its own.
    fn code<'a>(&mut self, lines: impl Iterator<Item = &'a str>) {
        self.heads.clear();
        self.opening(".PP\n.RS 4\n.nf");
        for line in lines {
            self.put(&guarded(escaped(line)));
        }
        self.put(".fi\n.RE");
        self.gap = Gap::Yes;
    }

    fn row(&mut self, cells: &[String]) {
        if cells.iter().all(|cell| cell.chars().all(|c| c == '-')) {
            return;
        }
        if self.heads.is_empty() {
            self.heads = cells.to_vec();
            return;
        }
        let entry = format!(".B {}", argument(&cells[0]));
        let told = told(&self.heads, cells);
        self.opening(".TP");
        self.put(&entry);
        self.put(&roff(&told));
        self.gap = Gap::Yes;
    }

    /// A macro that begins something, so that an empty line in front of it means nothing.
    fn opening(&mut self, line: &str) {
        self.gap = Gap::No;
        self.put(line);
    }

    fn put(&mut self, line: &str) {
        writeln!(self.text, "{line}").expect("writing to a string cannot fail");
    }
}

/// What a row says behind its first cell: what kind of thing it is in brackets, then a sentence for each cell.
fn told(heads: &[String], cells: &[String]) -> String {
    let rest: Vec<(&str, &str)> = heads
        .iter()
        .zip(cells)
        .skip(1)
        .map(|(head, cell)| (head.as_str(), cell.as_str()))
        .filter(|(_, cell)| !cell.is_empty() && *cell != "-")
        .collect();
    let is_kind = |head: &str| KINDS.contains(&head);
    let kinds: Vec<&str> = rest
        .iter()
        .filter(|(head, _)| is_kind(head))
        .map(|(_, cell)| *cell)
        .collect();
    let mut sentences = Vec::new();
    if !kinds.is_empty() {
        sentences.push(format!("({})", kinds.join(", ")));
    }
    let is_only = heads.len() == 2;
    let others = rest.into_iter().filter(|(head, _)| !is_kind(head));
    sentences.extend(others.map(|(head, cell)| match head {
        _ if is_only => cell.to_owned(),
        "meaning" => cell.to_owned(),
        "default" => format!("Default: {cell}."),
        "difference from Corosync" => format!("Unlike Corosync: {cell}."),
        _ => sentence(head, cell),
    }));
    sentences.join(" ")
}

/// A cell under a head that has no words of its own here.
fn sentence(head: &str, cell: &str) -> String {
    let mut letters = head.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    let head: String = first.into_iter().chain(letters).collect();
    let stop = if cell.ends_with(['.', '!', '?']) {
        ""
    } else {
        "."
    };
    format!("{head}: {cell}{stop}")
}

/// The cells of a line of a table.
fn cells(line: &str) -> Option<Vec<String>> {
    let inner = line.strip_prefix('|')?.strip_suffix('|')?;
    Some(
        inner
            .split('|')
            .map(|cell| cell.trim().to_owned())
            .collect(),
    )
}

/// An item of a list: the macro that begins it, and its text.
fn item(line: &str) -> Option<(String, &str)> {
    if let Some(item) = line.strip_prefix("* ") {
        return Some((".IP \\(bu 2".to_owned(), item));
    }
    let (number, item) = line.split_once(". ")?;
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| (format!(".IP {number}. 4"), item))
}

/// Text as roff takes it: marks of the document dropped, nothing taken for a request.
fn roff(text: &str) -> String {
    let text = without_links(text);
    let mut plain = String::with_capacity(text.len());
    let mut is_code = false;
    for character in text.chars() {
        match character {
            '`' => is_code = !is_code,
            '*' if !is_code => {}
            other => plain.push(other),
        }
    }
    guarded(escaped(&plain))
}

/// The same, for a macro, to which quotation marks mean something.
fn argument(text: &str) -> String {
    roff(text).replace('"', "\\(dq")
}

/// `[text](address)` becomes `text`: a page has nothing to click on.
fn without_links(text: &str) -> String {
    let mut left = text;
    let mut plain = String::with_capacity(text.len());
    while let Some((before, link)) = left.split_once('[') {
        plain.push_str(before);
        let whole = link
            .split_once("](")
            .and_then(|(shown, rest)| Some((shown, rest.split_once(')')?.1)));
        match whole {
            Some((shown, rest)) if !shown.contains('[') => {
                plain.push_str(shown);
                left = rest;
            }
            Some(_) | None => {
                plain.push('[');
                left = link;
            }
        }
    }
    plain + left
}

/// Characters that roff would set as others.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\e")
        .replace('-', "\\-")
        .replace('~', "\\(ti")
        .replace('^', "\\(ha")
}

/// A line that begins like a request is none.
fn guarded(line: String) -> String {
    if line.starts_with(['.', '\'']) {
        format!("\\&{line}")
    } else {
        line
    }
}

/// What begins and ends a block of code.
const FENCE: &str = "```";

/// Heads of columns that say what kind of thing the first cell names.
const KINDS: [&str; 2] = ["type", "access"];

#[cfg(test)]
mod tests {
    use super::*;

    /// What the first page makes of a document.
    fn body(document: &str) -> String {
        let page = MANUALS[0].page(document);
        let body = page.split(".SH DESCRIPTION\n").nth(1).unwrap();
        body.split(".SH \"SEE ALSO\"\n").next().unwrap().to_owned()
    }

    fn documents() -> [(&'static Manual, &'static str); 4] {
        let [config, quorum, cmap, overview] = &MANUALS;
        [
            (config, include_str!("../../../docs/config.md")),
            (quorum, include_str!("../../../docs/quorum.md")),
            (cmap, include_str!("../../../docs/cmap.md")),
            (overview, include_str!("../../../docs/overview.md")),
        ]
    }

    #[test]
    fn the_document_becomes_a_page() {
        let document = "# title\n\nText of `it`.\n.x\n\n## Keys\n\n| key | type | default | meaning |\n|---|---|---|---|\n\
                        | `totem.token` | u32 | 3000 | Time. |\n| `b` | text | - | Words. |\n";
        assert_eq!(
            body(document),
            ".PP\nText of it.\n\\&.x\n.SH KEYS\n.TP\n.B totem.token\n(u32) Default: 3000. Time.\n.TP\n.B b\n(text) Words.\n"
        );
    }

    #[test]
    fn a_page_names_itself_and_others() {
        let page = MANUALS[2].page("# title\n");
        let head = ".TH CMAP_KEYS 7 \"\" Ferrosync \"Ferrosync Manual\"\n.SH NAME\ncmap_keys \\- keys of the";
        assert!(page.starts_with(head), "{page}");
        let tail = ".BR corosync.conf (5),\n.BR votequorum (5),\n.BR corosync\\-cmapctl (8)\n";
        assert!(page.ends_with(tail), "{page}");
        assert_eq!(MANUALS[2].place(), "usr/share/man/man7/cmap_keys.7");
    }

    /// The package is held against the list when it is built; what the list has exists.
    #[test]
    fn every_page_that_is_named_is_in_the_package() {
        let has = |name: &str, section: &str| {
            let path = format!("./usr/share/man/man{section}/{name}.{section}.gz");
            super::super::check::MUST_HAVE.contains(&path.as_str())
        };
        for manual in &MANUALS {
            for (name, section) in manual.see_also {
                assert!(has(name, &section.to_string()), "{name}({section})");
            }
        }
        let daemon = include_str!("../../../packaging/man/ferrosyncd.8");
        let (_, named) = daemon.split_once(".SH SEE ALSO\n").unwrap();
        for line in named.lines() {
            let (name, section) = line.trim_start_matches(".BR ").split_once(' ').unwrap();
            let section = section.trim_matches(['(', ')', ',']);
            assert!(has(name, section), "{name}({section})");
        }
    }

    #[test]
    fn code_stays_as_it_is() {
        let document = "Text:\n\n```\n.x `a` *b* [c](d)\n  | e | ~f |\n# g\n\n```\nMore.\n";
        assert_eq!(
            body(document),
            "Text:\n.PP\n.RS 4\n.nf\n\\&.x `a` *b* [c](d)\n  | e | \\(tif |\n# g\n\n.fi\n.RE\n.PP\nMore.\n"
        );
    }

    #[test]
    fn links_are_their_text() {
        for (text, plain) in [
            ("see [a](b.md), [c-d](e).", "see a, c\\-d."),
            ("[a] and [b](c)", "[a] and b"),
            ("a[0] (b)", "a[0] (b)"),
            ("[a](b", "[a](b"),
            ("**a** `b.*` *c*", "a b.* c"),
        ] {
            assert_eq!(roff(text), plain, "{text}");
        }
    }

    #[test]
    fn columns_say_what_they_are() {
        let table = "| key | type | access | meaning |\n|---|---|---|---|\n| `a` | u8 | ro | It is so. |\n\n\
                     | nodes | write | it costs |\n|---|---|---|\n| 2 | `two_node: 1` | much. |\n\n\
                     | word | says |\n|---|---|\n| \"x\" | y |\n";
        assert_eq!(
            body(table),
            ".TP\n.B a\n(u8, ro) It is so.\n.TP\n.B 2\nWrite: two_node: 1. It costs: much.\n.TP\n.B \\(dqx\\(dq\ny\n"
        );
    }

    #[test]
    fn lists_are_lists() {
        let list = "* one\n  more\n* two\n\n1. first\n2. second\n\nNo. 3\n";
        assert_eq!(
            body(list),
            ".IP \\(bu 2\none\nmore\n.IP \\(bu 2\ntwo\n.IP 1. 4\nfirst\n.IP 2. 4\nsecond\n.PP\nNo. 3\n"
        );
    }

    #[test]
    fn every_key_of_a_document_is_in_its_page() {
        for (manual, document) in documents() {
            let page = manual.page(document);
            let keys = document.lines().filter(|line| line.starts_with("| `"));
            for line in keys.clone() {
                let key = line.split('|').nth(1).unwrap().trim();
                assert!(page.contains(&format!(".B {}\n", argument(key))), "{key}");
            }
            let is_a_list = matches!(manual.name, "corosync.conf" | "cmap_keys");
            assert!(!is_a_list || keys.count() > 100, "{}", manual.name);
        }
    }

    #[test]
    fn every_page_has_only_requests_that_are_meant() {
        let meant = [
            ".TH ", ".SH ", ".SS ", ".PP", ".IP ", ".TP", ".B ", ".BR ", ".RS ", ".RE", ".nf",
            ".fi",
        ];
        for (manual, document) in documents() {
            for line in manual.page(document).lines() {
                let is_request = line.starts_with(['.', '\'']);
                let is_meant = meant.iter().any(|request| line.starts_with(request));
                assert!(!is_request || is_meant, "{}: {line}", manual.name);
            }
        }
    }
}

//! `docs/deviations.md` and the code name each other: every entry has an id, every id is cited where the code differs,
//! and every citation has its entry.

use std::collections::BTreeMap;

use super::{Finding, Tree};

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let text = tree.files.get(LIST).map_or("", String::as_str);
    let mut entries: BTreeMap<String, usize> = BTreeMap::new();
    for (at, line) in text.lines().enumerate() {
        let line_number = at + 1;
        match entry(line) {
            Entry::Named(id) => {
                if entries.insert(id.clone(), line_number).is_some() {
                    findings.push(Finding::new(LIST, line_number, format!("{id} is taken")));
                }
            }
            Entry::Nameless => {
                let message = "an entry starts with its id, as in `### D-07 Title`";
                findings.push(Finding::new(LIST, line_number, message));
            }
            Entry::None => {}
        }
    }
    let cited = citations(tree);
    for (id, (path, line)) in &cited {
        if !entries.contains_key(id) {
            findings.push(Finding::new(path, *line, format!("{id} is not in {LIST}")));
        }
    }
    for (id, line) in &entries {
        if !cited.contains_key(id) {
            findings.push(Finding::new(LIST, *line, format!("no code cites {id}")));
        }
    }
    findings
}

enum Entry {
    /// The heading of an entry, with its id.
    Named(String),
    /// A heading of an entry's level without an id.
    Nameless,
    /// Any other line.
    None,
}

/// Entries are the third-level headings of the list, grouped under second-level ones.
fn entry(line: &str) -> Entry {
    let Some(title) = line.strip_prefix("### ") else {
        return Entry::None;
    };
    let first = title.split([' ', ':']).next().unwrap_or_default();
    if is_id(first) {
        Entry::Named(first.into())
    } else {
        Entry::Nameless
    }
}

/// Where each id is cited first, by id.
fn citations(tree: &Tree) -> BTreeMap<String, (String, usize)> {
    let mut cited = BTreeMap::new();
    for (path, text) in tree.rust().filter(|(path, _)| path.starts_with("crates/")) {
        for (at, line) in text.lines().enumerate() {
            let words = line.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
            for id in words.filter(|word| is_id(word)) {
                cited
                    .entry(id.to_owned())
                    .or_insert_with(|| (path.to_owned(), at + 1));
            }
        }
    }
    cited
}

/// `D-` and two digits or more.
fn is_id(word: &str) -> bool {
    word.strip_prefix("D-")
        .is_some_and(|digits| digits.len() >= 2 && digits.bytes().all(|byte| byte.is_ascii_digit()))
}

const LIST: &str = "docs/deviations.md";

#[cfg(test)]
mod tests {
    use super::*;

    const CODE: &str = "crates/totem/src/srp/token.rs";

    fn messages(list: &str, code: &str) -> Vec<String> {
        let findings = check(&Tree::of(&[(LIST, list), (CODE, code)]));
        findings
            .into_iter()
            .map(|finding| finding.message)
            .collect()
    }

    #[test]
    fn entries_and_citations_that_match_are_fine() {
        let list = "# Deviations\n\n## The ring\n\n### D-07 Stored first\n\nWhy.\n";
        assert_eq!(
            messages(list, "// Deviation D-07: stored first.\n"),
            [""; 0]
        );
    }

    #[test]
    fn an_entry_nobody_cites_is_found() {
        assert_eq!(
            messages("### D-07 Stored first\n", ""),
            ["no code cites D-07"]
        );
    }

    #[test]
    fn a_citation_without_entry_is_found() {
        let found = messages("", "// See D-08.\n");
        assert_eq!(found, ["D-08 is not in docs/deviations.md"]);
    }

    #[test]
    fn an_entry_without_id_and_an_id_used_twice_are_found() {
        assert_eq!(messages("### Stored first\n", "").len(), 1);
        let found = messages("### D-07 A\n### D-07 B\n", "// D-07\n");
        assert_eq!(found, ["D-07 is taken"]);
    }
}

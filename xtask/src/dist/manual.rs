//! corosync.conf(5), made of docs/config.md, so that the page and the document say the same.
//!
//! Headings, paragraphs, bullets and tables are all that the document has. A row of a table becomes an entry: the key,
//! then its type, default, meaning and difference.

use std::fmt::Write as _;

/// The page.
pub(super) fn page(document: &str) -> String {
    let mut page = String::from(
        ".TH COROSYNC.CONF 5 \"\" Ferrosync \"Ferrosync Manual\"\n.SH NAME\n\
         corosync.conf \\- configuration of a node\n.SH DESCRIPTION\n",
    );
    let mut heads: Vec<String> = Vec::new();
    for line in document.lines() {
        if let Some(cells) = cells(line) {
            row(&mut page, &mut heads, &cells);
            continue;
        }
        heads.clear();
        if let Some(head) = line.strip_prefix("### ") {
            put(&mut page, &format!(".SS {}", roff(head)));
        } else if let Some(head) = line.strip_prefix("## ") {
            put(&mut page, &format!(".SH {}", roff(head).to_uppercase()));
        } else if line.starts_with("# ") {
            // The name of the page says it.
        } else if let Some(item) = line.strip_prefix("* ") {
            put(&mut page, ".IP \\(bu 2");
            put(&mut page, &roff(item));
        } else if line.trim().is_empty() {
            put(&mut page, ".PP");
        } else {
            put(&mut page, &roff(line.trim()));
        }
    }
    page
}

fn row(page: &mut String, heads: &mut Vec<String>, cells: &[String]) {
    if cells.iter().all(|cell| cell.chars().all(|c| c == '-')) {
        return;
    }
    if heads.is_empty() {
        *heads = cells.to_vec();
        return;
    }
    put(page, ".TP");
    put(page, &format!(".B {}", roff(&cells[0])));
    let rest = heads.iter().zip(cells).skip(1);
    let told: Vec<String> = rest
        .filter(|(_, cell)| !cell.is_empty() && *cell != "-")
        .map(|(head, cell)| match head.as_str() {
            "type" => format!("({})", roff(cell)),
            "default" => format!("Default: {}.", roff(cell)),
            "difference from Corosync" => format!("Unlike Corosync: {}.", roff(cell)),
            _ => roff(cell),
        })
        .collect();
    put(page, &told.join(" "));
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

fn put(page: &mut String, line: &str) {
    writeln!(page, "{line}").expect("writing to a string cannot fail");
}

/// Text as roff takes it: marks of the document dropped, nothing taken for a request.
fn roff(text: &str) -> String {
    let plain = text
        .replace(['`', '*'], "")
        .replace('\\', "\\e")
        .replace('-', "\\-");
    if plain.starts_with(['.', '\'']) {
        format!("\\&{plain}")
    } else {
        plain
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_becomes_a_page() {
        let document = "# title\n\nText of `it`.\n.x\n\n## Keys\n\n| key | type | default | meaning |\n|---|---|---|---|\n\
                        | `totem.token` | u32 | 3000 | Time. |\n| `b` | text | - | Words. |\n";
        let page = page(document);
        let body = page.split(".SH DESCRIPTION\n").nth(1).unwrap();
        assert_eq!(
            body,
            ".PP\nText of it.\n\\&.x\n.PP\n.SH KEYS\n.PP\n.TP\n.B totem.token\n(u32) Default: 3000. Time.\n.TP\n.B b\n(text) Words.\n"
        );
    }

    #[test]
    fn every_key_of_the_document_is_in_the_page() {
        let document = include_str!("../../../docs/config.md");
        let page = page(document);
        let keys = document.lines().filter(|line| line.starts_with("| `"));
        assert!(keys.clone().count() > 100);
        for line in keys {
            let key = line.split('`').nth(1).unwrap();
            assert!(page.contains(&format!(".B {}\n", roff(key))), "{key}");
        }
    }
}

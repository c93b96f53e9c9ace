//! The tree names no place of one machine: no home directories, no scratch folders, no private registries.

use super::{Finding, Tree};

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in &tree.files {
        for (at, line) in text.lines().enumerate() {
            if let Some(place) = PLACES.iter().find(|place| line.contains(**place)) {
                let message = format!("`{place}` exists on one machine only");
                findings.push(Finding::new(path, at + 1, message));
            }
        }
    }
    for (path, text) in tree.files_ending("Cargo.lock") {
        findings.extend(foreign_sources(path, text));
    }
    for (path, text) in tree.files_ending(".cargo/config.toml") {
        let is_redirect = |line: &str| REDIRECTS.iter().any(|table| line.starts_with(table));
        for (at, line) in text.lines().enumerate() {
            if is_redirect(line.trim_start()) {
                let message = "where crates come from is each machine's own matter";
                findings.push(Finding::new(path, at + 1, message));
            }
        }
    }
    findings
}

/// Packages of a lock file that do not come from crates.io.
fn foreign_sources(path: &str, text: &str) -> Vec<Finding> {
    text.lines()
        .enumerate()
        .filter(|(_, line)| line.starts_with("source = ") && *line != CRATES_IO)
        .map(|(at, line)| Finding::new(path, at + 1, format!("not from crates.io: {line}")))
        .collect()
}

const CRATES_IO: &str = "source = \"registry+https://github.com/rust-lang/crates.io-index\"";

/// Tables of cargo's configuration that redirect downloads.
const REDIRECTS: [&str; 3] = ["[source", "[registries", "[registry"];

// Spelled in two halves: this file is part of the tree it reads.
const PLACES: [&str; 6] = [
    concat!("/wo", "rk/"),
    concat!("/fa", "rm/"),
    concat!("/ro", "ot/"),
    concat!("/tmp/", "ref"),
    concat!("/tmp/", "lab/"),
    concat!("/ho", "me/"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_of_one_machine_is_found() {
        for place in PLACES {
            let text = format!("first\nsee {place}x\n");
            let findings = check(&Tree::of(&[("README.md", &text)]));
            assert_eq!(findings.len(), 1, "{place}");
            assert_eq!(findings[0].line, 2);
        }
    }

    #[test]
    fn paths_of_every_machine_are_fine() {
        let text = "/etc/corosync /var/lib/corosync /run /dev/shm /tmp/a";
        assert_eq!(check(&Tree::of(&[("README.md", text)])), []);
    }

    #[test]
    fn a_lock_file_from_elsewhere_is_found() {
        let text = format!("{CRATES_IO}\nsource = \"registry+https://crates.example/index\"\n");
        let findings = check(&Tree::of(&[("Cargo.lock", &text)]));
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].line, 2);
    }

    #[test]
    fn a_redirected_registry_is_found() {
        let text = "[alias]\n[source.crates-io]\nreplace-with = \"near\"\n";
        assert_eq!(check(&Tree::of(&[(".cargo/config.toml", text)])).len(), 1);
    }
}

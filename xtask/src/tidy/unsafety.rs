//! `unsafe` stands in one file only, and the pure crates forbid it.

use super::tokens::{self, Token};
use super::{Finding, PURE_CRATES, Tree};

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.rust().filter(|(path, _)| *path != ALLOWED) {
        for token in tokens::flat(text) {
            if token.text == "unsafe" {
                let message = format!("unsafe belongs in {ALLOWED} alone");
                findings.push(Finding::new(path, token.line, message));
            }
        }
    }
    for dir in PURE_CRATES {
        let root = format!("{dir}/src/lib.rs");
        if tree.files.get(&root).is_some_and(|text| !forbids(text)) {
            findings.push(Finding::new(
                &root,
                1,
                "a pure crate needs `#![forbid(unsafe_code)]`",
            ));
        }
    }
    findings
}

fn forbids(source: &str) -> bool {
    let tokens = tokens::flat(source);
    let texts: Vec<&str> = tokens
        .iter()
        .map(|Token { text, .. }| text.as_str())
        .collect();
    texts.windows(FORBID.len()).any(|window| window == FORBID)
}

/// The one file that maps memory.
const ALLOWED: &str = "crates/ipc/src/shm.rs";

const FORBID: [&str; 8] = ["#", "!", "[", "forbid", "(", "unsafe_code", ")", "]"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsafe_is_found_outside_its_file() {
        let source = "fn a() {\n    unsafe { b() }\n}";
        let findings = check(&Tree::of(&[("crates/ipc/src/ring.rs", source)]));
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].line, 2);
        assert_eq!(check(&Tree::of(&[(ALLOWED, source)])), []);
    }

    #[test]
    fn the_word_in_prose_is_no_code() {
        let source = "// unsafe\nconst A: &str = \"unsafe\";";
        assert_eq!(check(&Tree::of(&[("a.rs", source)])), []);
    }

    #[test]
    fn a_pure_crate_must_forbid() {
        let path = "crates/wire/src/lib.rs";
        assert_eq!(check(&Tree::of(&[(path, "//! Wire.\nmod a;")])).len(), 1);
        let good = "//! Wire.\n#![forbid(unsafe_code)]\nmod a;";
        assert_eq!(check(&Tree::of(&[(path, good)])), []);
    }
}

//! Words that mean "not finished" or "look away".

use super::tokens::{self, Token};
use super::{Finding, Tree};

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in &tree.files {
        if READ.iter().any(|extension| path.ends_with(extension)) {
            findings.extend(notes(path, text));
        }
    }
    for (path, text) in tree.rust() {
        let tokens = tokens::flat(text);
        findings.extend(macros(path, &tokens));
        findings.extend(attributes(path, &tokens));
    }
    findings
}

/// Notes to oneself, comments included.
fn notes(path: &str, text: &str) -> Vec<Finding> {
    let is_note = |line: &str| {
        line.split(|c: char| !c.is_ascii_alphanumeric())
            .any(|word| NOTES.contains(&word))
    };
    text.lines()
        .enumerate()
        .filter(|(_, line)| is_note(line))
        .map(|(at, _)| {
            let message = "a note to oneself; do it, or write an issue";
            Finding::new(path, at + 1, message)
        })
        .collect()
}

/// Macros that stand for missing or left-over code.
fn macros(path: &str, tokens: &[Token]) -> Vec<Finding> {
    tokens
        .windows(2)
        .filter(|pair| MACROS.contains(&pair[0].text.as_str()) && pair[1].text == "!")
        .map(|pair| {
            let message = format!("{}! does not belong in the tree", pair[0].text);
            Finding::new(path, pair[0].line, message)
        })
        .collect()
}

/// Attributes that switch a test or a lint off.
fn attributes(path: &str, tokens: &[Token]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        if token.text != "#" {
            continue;
        }
        let attribute = attribute(&tokens[at + 1..]);
        let has = |word: &str| attribute.iter().any(|token| token.text == word);
        if has("ignore") {
            findings.push(Finding::new(
                path,
                token.line,
                "an ignored test; mend or remove it",
            ));
        }
        if (has("allow") || has("expect")) && !has("reason") {
            let message = "a lint is switched off without `reason = \"..\"`";
            findings.push(Finding::new(path, token.line, message));
        }
    }
    findings
}

/// The tokens of the attribute whose `#` stands before `tokens`; empty when there is none.
fn attribute(tokens: &[Token]) -> &[Token] {
    let start = usize::from(tokens.first().is_some_and(|token| token.text == "!"));
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(start) {
        match token.text.as_str() {
            "[" => depth += 1,
            "]" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return &tokens[start..=at];
        }
    }
    &[]
}

/// Files that people write.
const READ: [&str; 9] = [
    ".rs", ".md", ".toml", ".c", ".h", ".sh", ".conf", ".service", ".ci/run",
];

// Spelled in two halves so that a plain search of the tree finds only real ones.
const NOTES: [&str; 3] = [
    concat!("FIX", "ME"),
    concat!("XX", "X"),
    concat!("TO", "DO"),
];
const MACROS: [&str; 3] = ["todo", "unimplemented", "dbg"];

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: [usize; 0] = [];

    fn lines(source: &str) -> Vec<usize> {
        let findings = check(&Tree::of(&[("a.rs", source)]));
        findings.iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn notes_are_found_in_comments_as_whole_words() {
        assert_eq!(lines(&format!("\n// {} later", NOTES[0])), [2]);
        assert_eq!(lines(&format!("// {}: later", NOTES[1])), [1]);
        assert_eq!(lines(&format!("// mkstemp(\"a{0}{0}\")", NOTES[1])), NONE);
    }

    #[test]
    fn macros_are_found_in_code_only() {
        for name in MACROS {
            assert_eq!(lines(&format!("fn a() {{\n{name}!() }}")), [2], "{name}");
            assert_eq!(
                lines(&format!("fn a() {{ \"{name}!()\"; }} // {name}!()")),
                NONE
            );
        }
    }

    #[test]
    fn ignored_tests_are_found() {
        assert_eq!(lines("#[test]\n#[ignore]\nfn a() {}"), [2]);
        assert_eq!(
            lines("#[cfg_attr(miri, ignore = \"slow\")]\nfn a() {}"),
            [1]
        );
        assert_eq!(lines("fn a() { ignore(b[0]) }"), NONE);
    }

    #[test]
    fn a_lint_switched_off_needs_a_reason() {
        assert_eq!(lines("#![allow(dead_code)]"), [1]);
        assert_eq!(lines("\n#[expect(dead_code)]\nfn a() {}"), [2]);
        assert_eq!(
            lines("#[expect(dead_code, reason = \"kept for C\")]\nfn a() {}"),
            NONE
        );
    }
}

use proptest::prelude::*;

use super::*;

fn parsed(text: &str) -> Vec<Item> {
    let mut findings = Findings::default();
    let items = parse(source(text.as_bytes()), &mut findings);
    assert_eq!(findings.finish(), Ok(vec![]));
    items
}

fn source(bytes: &[u8]) -> SourceFile<'_> {
    SourceFile {
        name: "test.conf",
        bytes,
    }
}

/// Line, column and message of all errors.
fn errors(bytes: &[u8]) -> Vec<(u32, u32, String)> {
    let mut findings = Findings::default();
    parse(source(bytes), &mut findings);
    let errors = findings.finish().expect_err("errors are expected");
    errors
        .0
        .into_iter()
        .map(|error| (error.at.line, error.at.column, error.what))
        .collect()
}

/// The items in one line: `section{key=value}`.
fn shape(items: &[Item]) -> String {
    let mut text = String::new();
    for item in items {
        match item {
            Item::Entry(entry) => {
                text.push_str(&format!("{}={};", entry.key.text, entry.value.text));
            }
            Item::Section(section) => {
                text.push_str(&format!(
                    "{}{{{}}}",
                    section.name.text,
                    shape(&section.items)
                ));
            }
        }
    }
    text
}

#[test]
fn sections_keys_comments_and_line_ends() {
    let text = "# c: {\n\ntotem {\r\n\tversion: 2  \r\n  #x\n interface {\n a : b\n }\n}\nk:v";
    assert_eq!(shape(&parsed(text)), "totem{version=2;interface{a=b;}}k=v;");
}

#[test]
fn the_first_colon_separates_and_values_may_be_empty() {
    assert_eq!(shape(&parsed("a: fd00::1\nb:\nc::d")), "a=fd00::1;b=;c=:d;");
    assert_eq!(shape(&parsed("a: }\n}: b")), "a=};}=b;");
}

#[test]
fn names_lose_colons_and_braces_at_their_end() {
    assert_eq!(shape(&parsed("totem: {\n}\n")), "totem{}");
    assert_eq!(shape(&parsed(": {\n}\n")), ":{}");
    assert_eq!(shape(&parsed(":v")), "=v;");
    assert_eq!(shape(&parsed(": v")), ":=v;");
}

#[test]
fn places_are_exact() {
    let items = parsed("totem {\n\ttoken:   5\n}\n");
    let [Item::Section(totem)] = items.as_slice() else {
        panic!("one section")
    };
    let [Item::Entry(token)] = totem.items.as_slice() else {
        panic!("one entry")
    };
    let place = |at: &Location| (at.line, at.column);
    assert_eq!(place(&totem.name.at), (1, 1));
    assert_eq!(place(&token.key.at), (2, 2));
    assert_eq!(place(&token.value.at), (2, 11));
    assert_eq!(token.value.at.to_string(), "test.conf:2:11");
}

#[test]
fn every_error_is_reported_with_its_place() {
    let text = b"{\n}\ntotem { x\nfoo\n} }\n}\nb {\n";
    let expected = [
        (1, 1, "Missing section name before opening bracket '{'"),
        (3, 9, "Extra characters after opening bracket '{'"),
        (4, 1, "Line is not opening or closing section or key value"),
        (5, 1, "Extra characters before or after closing bracket '}'"),
        (6, 1, "Unexpected closing brace"),
        (7, 1, "Missing closing brace"),
    ];
    let expected: Vec<_> = expected
        .into_iter()
        .map(|(line, column, what)| (line, column, what.to_owned()))
        .collect();
    assert_eq!(errors(text), expected);
}

#[test]
fn a_line_holds_510_bytes() {
    let line = |len: usize| format!("k: {}", "v".repeat(len - 3));
    assert_eq!(parsed(&line(510)).len(), 1);
    assert_eq!(parsed(&format!("{}\n", line(510))).len(), 1);
    assert_eq!(errors(line(511).as_bytes())[0].2, "Line too long");
    let comment = format!("#{}\n", "x".repeat(600));
    assert_eq!(errors(comment.as_bytes())[0].2, "Line too long");
}

#[test]
fn text_is_utf8_but_comments_may_be_anything() {
    assert_eq!(shape(&parsed("k: \u{e4}")), "k=\u{e4};");
    let mut findings = Findings::default();
    let items = parse(source(b"# caf\xe9 \x00\nk: v"), &mut findings);
    assert_eq!(shape(&items), "k=v;");
    assert!(findings.is_clean());
    let latin = errors(b"k: caf\xe9");
    assert_eq!((latin[0].0, latin[0].1), (1, 7));
    assert_eq!(errors(b"k: a\0b")[0].2, "Line contains a NUL byte");
}

#[test]
fn paths_bound_the_nesting() {
    let fits = format!("{} {{\nk: v\n}}\n", "s".repeat(252));
    assert_eq!(parsed(&fits).len(), 1);
    let long = format!("{} {{\nkk: v\n}}\n", "s".repeat(252));
    assert_eq!(
        errors(long.as_bytes())[0].2,
        "New key makes total cmap path too long"
    );
    let deep = "s {\n".repeat(100_000) + &"}\n".repeat(100_000);
    let found = errors(deep.as_bytes());
    assert_eq!(
        found[0].2,
        "Start of section makes total cmap path too long"
    );
    assert_eq!(found[0].0, 128);
    assert_eq!(found.len(), 256);
}

proptest! {
    #[test]
    fn any_bytes_give_a_tree_or_errors(bytes in proptest::collection::vec(any::<u8>(), 0..2_000)) {
        parse(source(&bytes), &mut Findings::default());
    }

    #[test]
    fn any_lines_give_a_tree_or_errors(
        lines in proptest::collection::vec("[a-z {}:#\\t\\r\u{e4}]{0,12}", 0..200)
    ) {
        parse(source(lines.join("\n").as_bytes()), &mut Findings::default());
    }
}

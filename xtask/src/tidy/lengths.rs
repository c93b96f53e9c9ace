//! No function over 70 code lines, no source file over 1,000 lines.

use std::collections::BTreeSet;

use syn::visit::{self, Visit};
use syn::{Block, ImplItemFn, ItemFn, Signature, TraitItemFn};

use super::tokens::{self, Token};
use super::{Finding, Tree};

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.rust() {
        let lines = text.lines().count();
        if lines > MAX_FILE_LINES && !is_exempt(path) {
            let message = format!("{lines} lines; split it, {MAX_FILE_LINES} is the limit");
            findings.push(Finding::new(path, 0, message));
        }
        match syn::parse_file(text) {
            Ok(file) => {
                let mut functions = Functions {
                    path,
                    tokens: tokens::flat(text),
                    findings: &mut findings,
                };
                functions.visit_file(&file);
            }
            Err(error) => {
                let line = error.span().start().line;
                findings.push(Finding::new(
                    path,
                    line,
                    format!("cannot be parsed: {error}"),
                ));
            }
        }
    }
    findings
}

struct Functions<'a> {
    path: &'a str,
    tokens: Vec<Token>,
    findings: &'a mut Vec<Finding>,
}

impl Functions<'_> {
    fn measure(&mut self, signature: &Signature, block: &Block) {
        let lines = code_lines(block, &self.tokens);
        if lines > MAX_FUNCTION_LINES {
            let name = &signature.ident;
            let message =
                format!("fn {name} has {lines} code lines; {MAX_FUNCTION_LINES} is the limit");
            let line = name.span().start().line;
            self.findings.push(Finding::new(self.path, line, message));
        }
    }
}

impl<'ast> Visit<'ast> for Functions<'_> {
    fn visit_item_fn(&mut self, function: &'ast ItemFn) {
        self.measure(&function.sig, &function.block);
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast ImplItemFn) {
        self.measure(&function.sig, &function.block);
        visit::visit_impl_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &'ast TraitItemFn) {
        if let Some(block) = &function.default {
            self.measure(&function.sig, block);
        }
        visit::visit_trait_item_fn(self, function);
    }
}

/// Lines between the braces of `block` that hold any code; clippy's `too_many_lines` counts the same way.
fn code_lines(block: &Block, tokens: &[Token]) -> usize {
    let braces = block.brace_token.span;
    let (open, close) = (braces.open().start(), braces.close().start());
    let inside = |token: &&Token| {
        let at = (token.line, token.column);
        at > (open.line, open.column) && at < (close.line, close.column)
    };
    let lines: BTreeSet<usize> = tokens
        .iter()
        .filter(inside)
        .flat_map(|token| token.line..=token.last_line)
        .collect();
    lines.len()
}

fn is_exempt(path: &str) -> bool {
    path.ends_with("/tests.rs")
        || path
            .split('/')
            .any(|part| part == "tests" || part == "testdata")
}

/// STYLE.md, "Writing", rule 2.
const MAX_FUNCTION_LINES: usize = 70;
const MAX_FILE_LINES: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    fn function(lines: usize) -> String {
        format!(
            "// head\nfn long() {{\n{}}}\n",
            "    step(\"a\");\n".repeat(lines)
        )
    }

    #[test]
    fn a_function_of_71_lines_is_found() {
        let findings = check(&Tree::of(&[("a.rs", &function(71))]));
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].line, 2);
    }

    #[test]
    fn methods_and_provided_methods_count_too() {
        let source = format!(
            "impl A {{ {} }}\ntrait B {{ {} }}",
            function(71),
            function(71)
        );
        assert_eq!(check(&Tree::of(&[("a.rs", &source)])).len(), 2);
    }

    #[test]
    fn comments_blank_lines_and_braces_do_not_count() {
        let source = function(70).replace("{\n", "{\n\n// why\n/* a\nb */\n");
        assert_eq!(check(&Tree::of(&[("a.rs", &source)])), []);
    }

    #[test]
    fn a_string_counts_every_line_it_spans() {
        let source = function(69).replace("fn long() {\n", "fn long() {\nlet a = \"\n\";\n");
        assert_eq!(check(&Tree::of(&[("a.rs", &source)])).len(), 1);
    }

    #[test]
    fn a_file_of_1001_lines_is_found_unless_it_holds_tests() {
        let text = "//\n".repeat(1001);
        assert_eq!(check(&Tree::of(&[("crates/a/src/b.rs", &text)])).len(), 1);
        assert_eq!(check(&Tree::of(&[("crates/a/src/b/tests.rs", &text)])), []);
        assert_eq!(check(&Tree::of(&[("crates/a/tests/b.rs", &text)])), []);
    }

    #[test]
    fn what_is_no_rust_is_found() {
        assert_eq!(check(&Tree::of(&[("a.rs", "fn (")])).len(), 1);
    }
}

//! Rust source as a flat list of tokens, so that a word in a string or comment is not taken for code.

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// One token: an identifier, a piece of punctuation, a literal, or a bracket that opens or closes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    /// Its text.
    pub(super) text: String,
    /// The line it starts on, from 1.
    pub(super) line: usize,
    /// The column it starts at, from 0.
    pub(super) column: usize,
    /// The line it ends on.
    pub(super) last_line: usize,
}

/// The tokens of `source`, or of nothing when it is no Rust (which the compiler reports better). Doc comments are
/// left out: to the lexer they are attributes.
pub(super) fn flat(source: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    if let Ok(stream) = source.parse::<TokenStream>() {
        flatten(stream, &mut tokens);
    }
    tokens
}

/// The tokens of `stream`, appended to `tokens`.
fn flatten(stream: TokenStream, tokens: &mut Vec<Token>) {
    let trees: Vec<TokenTree> = stream.into_iter().collect();
    let mut at = 0;
    while at < trees.len() {
        let doc = doc_comment_len(&trees[at..]);
        if doc > 0 {
            at += doc;
            continue;
        }
        match &trees[at] {
            TokenTree::Group(group) => {
                let (open, close) = brackets(group.delimiter());
                tokens.push(token(open, group.span_open()));
                flatten(group.stream(), tokens);
                tokens.push(token(close, group.span_close()));
            }
            TokenTree::Ident(ident) => tokens.push(token(&ident.to_string(), ident.span())),
            TokenTree::Punct(punct) => tokens.push(token(&punct.to_string(), punct.span())),
            TokenTree::Literal(literal) => {
                tokens.push(token(&literal.to_string(), literal.span()));
            }
        }
        at += 1;
    }
}

/// How many trees at the front are one doc comment: `#` `[doc = ..]` or `#` `!` `[doc = ..]`.
fn doc_comment_len(trees: &[TokenTree]) -> usize {
    let punct = |at: usize, wanted: char| matches!(trees.get(at), Some(TokenTree::Punct(punct)) if punct.as_char() == wanted);
    if !punct(0, '#') {
        return 0;
    }
    let group = if punct(1, '!') { 2 } else { 1 };
    let Some(TokenTree::Group(attribute)) = trees.get(group) else {
        return 0;
    };
    let first = attribute.stream().into_iter().next();
    match first {
        Some(TokenTree::Ident(name)) if name == "doc" => group + 1,
        Some(_) | None => 0,
    }
}

fn token(text: &str, span: proc_macro2::Span) -> Token {
    Token {
        text: text.into(),
        line: span.start().line,
        column: span.start().column,
        last_line: span.end().line,
    }
}

fn brackets(delimiter: Delimiter) -> (&'static str, &'static str) {
    match delimiter {
        Delimiter::Parenthesis => ("(", ")"),
        Delimiter::Brace => ("{", "}"),
        Delimiter::Bracket => ("[", "]"),
        Delimiter::None => ("", ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_literals_and_comments_are_nothing() {
        let texts: Vec<String> = flat("/// doc\nfn f() { \"todo!()\"; /* unsafe */ }")
            .into_iter()
            .map(|token| token.text)
            .collect();
        assert_eq!(texts, ["fn", "f", "(", ")", "{", "\"todo!()\"", ";", "}"]);
    }
}

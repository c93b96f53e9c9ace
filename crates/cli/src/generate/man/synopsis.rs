//! How a program is called, in one line: every option with its value, and what may be said again with dots behind it.

use clap::{Arg, ArgAction, Command};
use clap_mangen::roff::{Inline, bold, italic, roman};

/// The line of a command.
pub(super) fn line(command: &Command) -> Vec<Inline> {
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name());
    let mut line = vec![bold(name)];
    line.extend(arguments(command.get_arguments()));
    let (open, close) = brackets(command.is_subcommand_required_set());
    if super::shown(command).next().is_some() {
        let words = [italic("COMMAND"), roman(" "), italic("...")];
        line.push(roman(open));
        line.extend(words);
        line.push(roman(close));
    }
    line
}

/// Options, then the other words, each with a blank before it.
pub(super) fn arguments<'a>(all: impl Iterator<Item = &'a Arg>) -> Vec<Inline> {
    let (words, options): (Vec<&Arg>, Vec<&Arg>) = all
        .filter(|arg| !arg.is_hide_set())
        .partition(|arg| arg.is_positional());
    let mut line = Vec::new();
    for arg in options.into_iter().chain(words) {
        let (open, close) = brackets(arg.is_required_set());
        line.push(roman(open));
        line.extend(one(arg));
        line.push(roman(close));
        if !arg.is_positional() && is_repeatable(arg) {
            line.push(roman("..."));
        }
    }
    line
}

/// What stands around a part of the line, the blank before it included.
const fn brackets(is_required: bool) -> (&'static str, &'static str) {
    if is_required { (" ", "") } else { (" [", "]") }
}

/// An option with its value, or a word.
pub(super) fn one(arg: &Arg) -> Vec<Inline> {
    let mut parts = Vec::new();
    if let Some(letter) = arg.get_short() {
        parts.push(bold(format!("-{letter}")));
    }
    if let Some(name) = arg.get_long() {
        if !parts.is_empty() {
            parts.push(roman("|"));
        }
        parts.push(bold(format!("--{name}")));
    }
    if arg.is_positional() {
        if arg.is_last_set() {
            parts.extend([bold("--"), roman(" ")]);
        }
        parts.push(italic(value(arg)));
        if is_repeatable(arg) {
            parts.push(roman("..."));
        }
    } else if arg.get_action().takes_values() {
        parts.extend([roman(" "), italic(value(arg))]);
    }
    parts
}

/// What the value is called.
fn value(arg: &Arg) -> String {
    match arg.get_value_names() {
        Some(names) => names.join(" "),
        None => arg.get_id().as_str().to_uppercase(),
    }
}

fn is_repeatable(arg: &Arg) -> bool {
    let several = arg.is_positional() && arg.get_num_args().is_some_and(|n| n.max_values() > 1);
    several || matches!(arg.get_action(), ArgAction::Append | ArgAction::Count)
}

//! Options as GNU `getopt` and `getopt_long` read them: grouped letters, values joined or apart, long names cut short,
//! words between options, and its complaints, letter by letter (glibc `posix/getopt.c`, 2.36).
//!
//! Scripts give corosync's tools their options in all of these forms. A table of [`Opt`] is the one declaration of a tool's
//! options: it is read here, and manual pages and completions are made from the clap command that it turns into.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, Command};

/// One option of a tool.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Opt<T> {
    /// What it means.
    pub(crate) what: T,
    short: Option<u8>,
    long: Option<&'static str>,
    /// What its value is called; none for an option without.
    value: Option<&'static str>,
    help: &'static str,
}

impl<T: Copy> Opt<T> {
    /// An option of one letter.
    pub(crate) const fn short(what: T, letter: u8, help: &'static str) -> Self {
        Self {
            what,
            short: Some(letter),
            long: None,
            value: None,
            help,
        }
    }

    /// An option with a long name alone.
    pub(crate) const fn long(what: T, name: &'static str, help: &'static str) -> Self {
        Self {
            what,
            short: None,
            long: Some(name),
            value: None,
            help,
        }
    }

    /// The same option by a long name too.
    pub(crate) const fn or(self, name: &'static str) -> Self {
        Self {
            long: Some(name),
            ..self
        }
    }

    /// The same option with a value.
    pub(crate) const fn with(self, value: &'static str) -> Self {
        Self {
            value: Some(value),
            ..self
        }
    }

    /// What clap makes manual pages and completions from.
    fn declaration(&self) -> Arg {
        let id = self.long.or_else(|| self.short.and_then(letter_name));
        let id = id.expect("an option has a letter or a name");
        let arg = Arg::new(id).help(self.help);
        let arg = match self.short {
            Some(letter) => arg.short(char::from(letter)),
            None => arg,
        };
        let arg = match self.long {
            Some(name) => arg.long(name),
            None => arg,
        };
        match self.value {
            Some(value) => arg.action(ArgAction::Set).value_name(value),
            None => arg.action(ArgAction::SetTrue),
        }
    }
}

/// A letter as clap's name for an option, which has to live for ever.
fn letter_name(letter: u8) -> Option<&'static str> {
    let at = LETTERS.bytes().position(|known| known == letter)?;
    LETTERS.get(at..=at)
}

const LETTERS: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// Which of glibc's functions a tool calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// `getopt`: two dashes and a word are letters as well.
    Letters,
    /// `getopt_long`.
    Words,
}

/// What a tool prints (`--format`, which corosync's tools do not have; `docs/deviations.md`, D-80).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Format {
    /// What corosync's tool prints.
    #[default]
    Text,
    /// JSON.
    Json,
}

/// A complaint, its end of line included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused(pub(crate) Vec<u8>);

/// Options, one by one; then what is left.
#[derive(Debug)]
pub(crate) struct Getopt<'a, T> {
    program: OsString,
    table: &'a [Opt<T>],
    style: Style,
    words: std::vec::IntoIter<OsString>,
    /// Letters of a group that are still to be read.
    letters: Vec<u8>,
    operands: Vec<OsString>,
    order: Order,
    format: Format,
}

/// What a word that is no option means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    /// Nothing: options may follow.
    Permute,
    /// No option follows.
    OptionsFirst,
}

impl<'a, T: Copy> Getopt<'a, T> {
    /// Reads these words, the program's name first.
    pub(crate) fn new(table: &'a [Opt<T>], style: Style, words: Vec<OsString>) -> Self {
        let mut words = words.into_iter();
        let order = match std::env::var_os("POSIXLY_CORRECT") {
            Some(_) => Order::OptionsFirst,
            None => Order::Permute,
        };
        Self {
            program: words.next().unwrap_or_default(),
            table,
            style,
            words,
            letters: Vec::new(),
            operands: Vec::new(),
            order,
            format: Format::Text,
        }
    }

    /// The next option with its value, which is empty for an option without.
    pub(crate) fn next(&mut self) -> Result<Option<(T, OsString)>, Refused> {
        loop {
            if !self.letters.is_empty() {
                return self.letter().map(Some);
            }
            let Some(word) = self.words.next() else {
                return Ok(None);
            };
            match word.as_bytes() {
                b"--" => self.operands.extend(self.words.by_ref()),
                [b'-', b'-', name @ ..] => {
                    if self.take_format(name)? {
                        continue;
                    }
                    match self.style {
                        Style::Words => return self.word(name).map(Some),
                        Style::Letters => self.letters = word.as_bytes()[1..].to_vec(),
                    }
                }
                [b'-', letters @ ..] if !letters.is_empty() => self.letters = letters.to_vec(),
                _ => {
                    self.operands.push(word);
                    if self.order == Order::OptionsFirst {
                        self.operands.extend(self.words.by_ref());
                    }
                }
            }
        }
    }

    /// The program's name, as it was called.
    pub(crate) fn program(&self) -> &OsStr {
        &self.program
    }

    /// What `--format` has said so far.
    pub(crate) const fn format(&self) -> Format {
        self.format
    }

    /// The words that are no options, in their order; all of them once [`Self::next`] has found no more.
    pub(crate) fn operands(self) -> Vec<OsString> {
        self.operands
    }

    fn letter(&mut self) -> Result<(T, OsString), Refused> {
        let letter = self.letters.remove(0);
        let found = self.table.iter().find(|opt| opt.short == Some(letter));
        let Some(opt) = found else {
            return Err(self.refuse(&[b"invalid option -- '", &[letter], b"'"]));
        };
        if opt.value.is_none() {
            return Ok((opt.what, OsString::new()));
        }
        let value = if self.letters.is_empty() {
            self.words.next()
        } else {
            Some(OsString::from_vec(std::mem::take(&mut self.letters)))
        };
        match value {
            Some(value) => Ok((opt.what, value)),
            None => Err(self.refuse(&[b"option requires an argument -- '", &[letter], b"'"])),
        }
    }

    fn word(&mut self, word: &[u8]) -> Result<(T, OsString), Refused> {
        let (name, joined) = split(word);
        let long = |opt: &&Opt<T>| opt.long.is_some_and(|l| l.as_bytes().starts_with(name));
        let exact = |opt: &&Opt<T>| opt.long.is_some_and(|l| l.as_bytes() == name);
        let candidates: Vec<&Opt<T>> = self.table.iter().filter(long).collect();
        let opt = match (
            candidates.iter().copied().find(exact),
            candidates.as_slice(),
        ) {
            (Some(opt), _) => opt,
            (None, [opt]) => *opt,
            (None, []) => return Err(self.refuse(&[b"unrecognized option '--", word, b"'"])),
            (None, several) => {
                let mut names = Vec::new();
                for name in several.iter().filter_map(|opt| opt.long) {
                    names.extend_from_slice(format!(" '--{name}'").as_bytes());
                }
                let parts = [
                    b"option '--",
                    word,
                    b"' is ambiguous; possibilities:",
                    &names,
                ];
                return Err(self.refuse(&parts));
            }
        };
        let name = opt.long.unwrap_or_default().as_bytes();
        match (opt.value, joined) {
            (None, None) => Ok((opt.what, OsString::new())),
            (None, Some(_)) => {
                Err(self.refuse(&[b"option '--", name, b"' doesn't allow an argument"]))
            }
            (Some(_), Some(value)) => Ok((opt.what, OsString::from_vec(value.to_vec()))),
            (Some(_), None) => match self.words.next() {
                Some(value) => Ok((opt.what, value)),
                None => Err(self.refuse(&[b"option '--", name, b"' requires an argument"])),
            },
        }
    }

    /// Takes `--format` with its value, whatever the style. It is never cut short: `--f` and `--for` mean what they mean
    /// to corosync's tools.
    fn take_format(&mut self, word: &[u8]) -> Result<bool, Refused> {
        let (name, joined) = split(word);
        if name != FORMAT.as_bytes() {
            return Ok(false);
        }
        let value = match joined {
            Some(value) => Some(OsString::from_vec(value.to_vec())),
            None => self.words.next(),
        };
        self.format = match value.as_deref().map(OsStr::as_bytes) {
            Some(b"text") => Format::Text,
            Some(b"json") => Format::Json,
            Some(_) => return Err(self.refuse(&[b"--format is text or json"])),
            None => return Err(self.refuse(&[b"option '--format' requires an argument"])),
        };
        Ok(true)
    }

    fn refuse(&self, parts: &[&[u8]]) -> Refused {
        let mut text = self.program.as_bytes().to_vec();
        text.extend_from_slice(b": ");
        text.extend(parts.concat());
        text.push(b'\n');
        Refused(text)
    }
}

/// A clap command with the options of a table, for manual pages and completions.
pub(crate) fn command<T: Copy>(name: &'static str, table: &[Opt<T>]) -> Command {
    let declared = table.iter().map(Opt::declaration);
    Command::new(name)
        .version(env!("CARGO_PKG_VERSION"))
        .disable_help_flag(true)
        .disable_version_flag(true)
        .args(declared)
}

/// The declaration of [`Format`], for tools that have it.
pub(crate) fn format_option() -> Arg {
    Arg::new(FORMAT)
        .long(FORMAT)
        .value_name("FORMAT")
        .value_parser(PossibleValuesParser::new(["text", "json"]))
        .help("What to print: what corosync's tool prints, or JSON")
}

const FORMAT: &str = "format";

/// A name and what stands behind its equals sign.
fn split(word: &[u8]) -> (&[u8], Option<&[u8]>) {
    match word.iter().position(|byte| *byte == b'=') {
        Some(at) => (&word[..at], Some(&word[at + 1..])),
        None => (word, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq)]
    enum What {
        All,
        Size,
        Start,
        Stop,
    }

    const TABLE: [Opt<What>; 4] = [
        Opt::short(What::All, b'a', "everything"),
        Opt::short(What::Size, b's', "so many").or("size").with("N"),
        Opt::short(What::Start, b't', "begin").or("start"),
        Opt::long(What::Stop, "stop", "end"),
    ];

    /// What a line of words means: options with their values, operands, or the complaint.
    fn read(style: Style, line: &str) -> String {
        let words = ["prog"].into_iter().chain(line.split_whitespace());
        let mut getopt = Getopt::new(&TABLE, style, words.map(OsString::from).collect());
        let mut text = String::new();
        loop {
            match getopt.next() {
                Ok(Some((what, value))) => {
                    text += &format!("{what:?}({}) ", value.to_string_lossy());
                }
                Ok(None) => break,
                Err(Refused(complaint)) => return String::from_utf8(complaint).unwrap(),
            }
        }
        let format = getopt.format();
        text + &format!("{format:?} {:?}", getopt.operands())
    }

    #[test]
    fn words_mean_what_they_mean_to_glibc() {
        let table = [
            ("", "Text []"),
            ("-a x -t y", "All() Start() Text [\"x\", \"y\"]"),
            ("-ats5", "All() Start() Size(5) Text []"),
            ("-s -a", "Size(-a) Text []"),
            ("-s -- -a", "Size(--) All() Text []"),
            ("-a -- -t x", "All() Text [\"-t\", \"x\"]"),
            ("- -a", "All() Text [\"-\"]"),
            (
                "--size=3 --size 4 --si=5",
                "Size(3) Size(4) Size(5) Text []",
            ),
            ("--size= --stop", "Size() Stop() Text []"),
            ("--sta", "Start() Text []"),
            ("-x", "prog: invalid option -- 'x'\n"),
            ("-a-", "prog: invalid option -- '-'\n"),
            ("-as", "prog: option requires an argument -- 's'\n"),
            ("--size", "prog: option '--size' requires an argument\n"),
            ("--si", "prog: option '--size' requires an argument\n"),
            ("--none=1", "prog: unrecognized option '--none=1'\n"),
            (
                "--stop=1",
                "prog: option '--stop' doesn't allow an argument\n",
            ),
            (
                "--st=1",
                "prog: option '--st=1' is ambiguous; possibilities: '--start' '--stop'\n",
            ),
            ("--format json x", "Json [\"x\"]"),
            ("--format=text", "Text []"),
            ("--format=xml", "prog: --format is text or json\n"),
            ("--forma=json", "prog: unrecognized option '--forma=json'\n"),
        ];
        for (line, meaning) in table {
            assert_eq!(read(Style::Words, line), meaning, "{line}");
        }
    }

    #[test]
    fn letters_know_no_words_but_format() {
        assert_eq!(
            read(Style::Letters, "--size"),
            "prog: invalid option -- '-'\n"
        );
        assert_eq!(
            read(Style::Letters, "-a x --format json -s 2"),
            "All() Size(2) Json [\"x\"]"
        );
    }

    #[test]
    fn a_table_is_a_valid_clap_command() {
        command("prog", &TABLE).arg(format_option()).debug_assert();
    }
}

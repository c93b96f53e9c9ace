//! Manual pages: what clap knows of the options, and what only words can tell.

mod synopsis;
mod words;

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use clap::{Arg, Command};
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, roman};

use crate::tools::Tool;

/// Writes all pages.
pub(super) fn write(directory: &Path) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    let pages = pages();
    let names: Vec<&str> = pages.iter().map(page_name).collect();
    for page in &pages {
        let mut text = Vec::new();
        render(page, &names, &mut text)?;
        fs::write(directory.join(format!("{}.8", page_name(page))), text)?;
    }
    Ok(())
}

/// The program, its subcommands that are no tools of corosync's, and those tools under their usual names.
fn pages() -> Vec<Command> {
    let mut pages = Vec::new();
    for mut program in super::programs() {
        // Only then do arguments and subcommands know all about themselves.
        program.build();
        let own = shown(&program).filter(|command| tool_of(command).is_none());
        let own: Vec<Command> = own.cloned().collect();
        pages.push(program);
        pages.extend(own);
    }
    pages
}

/// The subcommands that users see.
fn shown(command: &Command) -> impl Iterator<Item = &Command> {
    command
        .get_subcommands()
        .filter(|inner| !inner.is_hide_set() && inner.get_name() != "help")
}

/// The tool that a subcommand of `ferrosync` is.
fn tool_of(command: &Command) -> Option<Tool> {
    Tool::called(format!("corosync-{}", command.get_name()).as_ref())
}

fn page_name(page: &Command) -> &str {
    page.get_display_name().unwrap_or_else(|| page.get_name())
}

fn render(page: &Command, names: &[&str], to: &mut dyn Write) -> io::Result<()> {
    let name = page_name(page);
    let man = Man::new(page.clone())
        .section("8")
        .source("Ferrosync")
        .manual("Ferrosync Manual");
    man.render_title(to)?;
    man.render_name_section(to)?;
    let mut head = Roff::default();
    head.control("SH", ["SYNOPSIS"]);
    head.text(synopsis::line(page));
    to.write_all(head.to_roff().as_bytes())?;
    man.render_description_section(to)?;
    man.render_options_section(to)?;
    let mut more = Roff::default();
    subcommands(&mut more, page);
    for (head, paragraphs) in words::sections(name) {
        more.control("SH", [*head]);
        for paragraph in *paragraphs {
            more.control("PP", []);
            more.text([roman(*paragraph)]);
        }
    }
    more.control("SH", ["SEE ALSO"]);
    more.text(see_also(name, names));
    more.to_writer(to)
}

/// What stands behind the name: a page of its own, or everything there is to say.
fn subcommands(to: &mut Roff, page: &Command) {
    if shown(page).next().is_none() {
        return;
    }
    to.control("SH", ["COMMANDS"]);
    let is_program = page_name(page) == "ferrosync";
    for command in shown(page) {
        let about = command.get_about().map(ToString::to_string);
        let about = about.unwrap_or_default();
        to.control("TP", []);
        if is_program {
            to.text([bold(command.get_name())]);
            let tool = tool_of(command).map(Tool::name);
            let mut line = vec![roman(format!("{about}. See "))];
            line.extend(reference(tool.unwrap_or_else(|| page_name(command))));
            to.text(line);
        } else {
            verb(to, page, command);
            to.text([roman(about)]);
            details(to, page, command);
        }
    }
}

/// A verb with its arguments, without those that every verb has.
fn verb(to: &mut Roff, page: &Command, verb: &Command) {
    let mut line = vec![bold(verb.get_name())];
    line.extend(synopsis::arguments(own(page, verb)));
    to.text(line);
}

/// What is to be said of a verb's arguments.
fn details(to: &mut Roff, page: &Command, verb: &Command) {
    let told: Vec<(&Arg, String)> = own(page, verb)
        .filter_map(|arg| Some((arg, arg.get_help()?.to_string())))
        .collect();
    if told.is_empty() {
        return;
    }
    to.control("RS", []);
    for (arg, help) in told {
        to.control("TP", []);
        to.text(synopsis::one(arg));
        to.text([roman(help)]);
    }
    to.control("RE", []);
}

/// The arguments of a subcommand that its parent does not have.
fn own<'a>(page: &'a Command, verb: &'a Command) -> impl Iterator<Item = &'a Arg> {
    let is_common = |arg: &Arg| {
        page.get_arguments()
            .any(|other| other.get_id() == arg.get_id())
    };
    verb.get_arguments().filter(move |arg| !is_common(arg))
}

/// All other pages, and those of the daemon, which nobody generates.
fn see_also(name: &str, names: &[&str]) -> Vec<Inline> {
    let mut line = Vec::new();
    for other in names.iter().chain(&["ferrosyncd"]) {
        if *other == name {
            continue;
        }
        if !line.is_empty() {
            line.push(roman(", "));
        }
        line.extend([bold(*other), roman("(8)")]);
    }
    line
}

fn reference(page: &str) -> Vec<Inline> {
    vec![bold(page), roman("(8).")]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// Every page by its name, as a reader sees it.
    fn written() -> BTreeMap<String, String> {
        let directory = tempfile::tempdir().expect("a directory");
        write(directory.path()).expect("written");
        let files = fs::read_dir(directory.path()).expect("a directory");
        let pages = files.map(|file| {
            let path = file.expect("a file").path();
            let name = path.file_stem().expect("a name").to_string_lossy();
            let text = fs::read_to_string(&path).expect("a page");
            (name.into_owned(), plain(&text))
        });
        pages.collect()
    }

    fn plain(page: &str) -> String {
        let fonts = ["\\fB", "\\fI", "\\fR"];
        let text = fonts
            .iter()
            .fold(page.to_owned(), |text, font| text.replace(font, ""));
        text.replace('\\', "")
    }

    /// What stands under a head.
    fn section<'a>(page: &'a str, head: &str) -> &'a str {
        let mut sections = page.split(".SH ");
        let found = sections.find_map(|text| text.strip_prefix(head));
        found.unwrap_or_else(|| panic!("no {head} in {page}"))
    }

    #[test]
    fn every_option_stands_in_its_page() {
        let written = written();
        for page in pages() {
            let name = page_name(&page);
            let text = &written[name];
            let synopsis = section(text, "SYNOPSIS");
            for arg in page.get_arguments().filter(|arg| !arg.is_hide_set()) {
                let shown = match (arg.get_short(), arg.get_long()) {
                    (Some(letter), _) => format!("-{letter}"),
                    (None, Some(long)) => format!("--{long}"),
                    (None, None) => continue,
                };
                assert!(
                    section(text, "OPTIONS").contains(&shown),
                    "{shown} of {name}"
                );
                assert!(synopsis.contains(&shown), "{shown} of {name}: {synopsis}");
            }
        }
    }

    #[test]
    fn a_synopsis_names_values_and_what_may_be_repeated() {
        let written = written();
        for (name, page) in &written {
            let synopsis = section(page, "SYNOPSIS");
            for broken in [" ]", "[]", "  ", "<>"] {
                assert!(!synopsis.contains(broken), "{name}: {synopsis}");
            }
        }
        let synopsis = |name: &str| {
            let mut lines = section(&written[name], "SYNOPSIS").trim().lines();
            lines.next().unwrap_or_default().to_owned()
        };
        assert_eq!(
            synopsis("corosync-cmapctl"),
            "corosync-cmapctl [-m MAP] [-h] [-q] [-g] [-s] [-d] [-D] [-t] [-T] [-b] [-p FILE] [-C KIND] \
             [--format FORMAT] [KEY...]"
        );
        assert_eq!(
            synopsis("ferrosync-status"),
            "ferrosync status [--format FORMAT] [--watch] [--interval TIME] [-h|--help]"
        );
        assert_eq!(
            synopsis("ferrosync"),
            "ferrosync [-h|--help] [-V|--version] COMMAND ..."
        );
        let migrate = synopsis("ferrosync-migrate");
        assert!(
            migrate.contains(" [--node NAME=ADDRESS[,ADDRESS..][@ID]]... "),
            "{migrate}"
        );
        assert!(migrate.ends_with(" INPUT"), "{migrate}");
    }

    #[test]
    fn every_verb_of_the_lab_is_told_with_its_arguments() {
        let written = written();
        let verbs = section(&written["ferrosync-lab"], "COMMANDS");
        for line in [
            "exec NODE -- CMD...",
            "kill NODE",
            "wait [--members LIST] [--timeout TIME]",
            "down",
        ] {
            assert!(verbs.lines().any(|text| text == line), "{line}: {verbs}");
        }
        assert!(verbs.contains("Give up with exit code 1"), "{verbs}");
    }

    #[test]
    fn every_page_that_is_named_exists() {
        let written = written();
        for page in [
            "ferrosync",
            "ferrosync-lab",
            "ferrosync-migrate",
            "ferrosync-status",
        ] {
            assert!(written.contains_key(page), "{page}");
        }
        let by_hand = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging/man");
        for (name, text) in &written {
            assert!(text.contains(".SH \"SEE ALSO\"\n"), "{name}: {text}");
            let ends = text.match_indices("(8)").map(|(end, _)| &text[..end]);
            for before in ends {
                let is_end = |c: char| !c.is_ascii_alphanumeric() && !"-_.".contains(c);
                let page = before.rsplit(is_end).next().expect("a word");
                let exists =
                    written.contains_key(page) || by_hand.join(format!("{page}.8")).exists();
                assert!(exists && !page.is_empty(), "{name} names {page}(8)");
            }
        }
    }
}

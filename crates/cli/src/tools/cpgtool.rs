//! `corosync-cpgtool`: the process groups of the cluster and their members (`tools/corosync-cpgtool.c`, v3.1.7).

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use clap::Command;
use ferrosync_client::cfg::Cfg;
use ferrosync_client::cpg::{Cpg, Found, IterScope};
use ferrosync_client::{CsError, GroupName, NodeId};
use serde_json::{Value as Json, json};

use super::getopt::{self, Format, Getopt, Opt, Style, format_option};
use super::{Output, Stop, Tool, options};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Delimiter,
    Raw,
    Names,
    Help,
}

const OPTIONS: [Opt<What>; 4] = [
    Opt::short(
        What::Delimiter,
        b'd',
        "Print one line for a member, its fields divided by this character",
    )
    .with("CHARACTER"),
    Opt::short(What::Raw, b'e', "Print names of groups as they are"),
    Opt::short(What::Names, b'n', "Print names of groups alone"),
    Opt::short(What::Help, b'h', "Show a summary of the options"),
];

/// The declaration of the options.
pub(super) fn command() -> Command {
    getopt::command(Tool::Cpgtool.name(), &OPTIONS)
        .about("Shows the process groups of the cluster and their members")
        .arg(format_option())
}

/// How groups are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Look {
    /// What divides fields; none for columns.
    delimiter: Option<u8>,
    escape: Escape,
}

/// What happens to bytes of a name that do not print.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Escape {
    Hex,
    Raw,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    Names,
    Members,
}

/// Runs the tool.
pub(super) fn run(words: Vec<OsString>, output: &mut Output<'_>) -> Result<(), Stop> {
    let mut getopt = Getopt::new(&OPTIONS, Style::Letters, words);
    let mut scope = Scope::Members;
    let mut look = Look {
        delimiter: None,
        escape: Escape::Hex,
    };
    loop {
        let (what, value) = match getopt.next() {
            Ok(Some(option)) => option,
            Ok(None) => break,
            Err(refused) => return output.refuse(&refused),
        };
        match what {
            // An empty word changes nothing.
            What::Delimiter => {
                look.delimiter = value.as_bytes().first().copied().or(look.delimiter);
            }
            What::Raw => look.escape = Escape::Raw,
            What::Names => scope = Scope::Names,
            What::Help => return usage(getopt.program(), output),
        }
    }
    let format = getopt.format();
    let mut cpg = Cpg::connect(&options()).or_else(|error| {
        let error = error.code().code();
        output.fail(format_args!(
            "Could not initialize corosync cpg API error {error}"
        ))
    })?;
    let mut cfg = Cfg::connect(&options()).or_else(|error| {
        let error = error.code().code();
        output.fail(format_args!(
            "Could not initialize corosync configuration API error {error}"
        ))
    })?;
    let (found, end) = groups(&mut cpg, scope, output)?;
    match (format, scope) {
        (Format::Json, Scope::Names) => output.json(&names_json(&found))?,
        (Format::Json, Scope::Members) => output.json(&members_json(&found, &mut cfg))?,
        (Format::Text, Scope::Names) => print_names(&found, look, output)?,
        (Format::Text, Scope::Members) => print_members(&found, look, &mut cfg, output)?,
    }
    match (scope, end) {
        (Scope::Members, Some(error)) => {
            output.fail(format_args!("cpg iteration error {}", error.code()))
        }
        // C does not look.
        (Scope::Names, Some(_)) | (_, None) => Ok(()),
    }
}

/// What the daemon tells, and the error that ended it too early.
fn groups(
    cpg: &mut Cpg,
    scope: Scope,
    output: &mut Output<'_>,
) -> Result<(Vec<Found>, Option<CsError>), Stop> {
    let scope = match scope {
        Scope::Names => IterScope::Names,
        Scope::Members => IterScope::All,
    };
    let iteration = cpg.iterate(scope).or_else(|error| {
        let error = error.code().code();
        output.fail(format_args!("Cannot initialize cpg iterator error {error}"))
    })?;
    let mut found = Vec::new();
    for item in iteration {
        match item {
            Ok(item) => found.push(item),
            Err(error) => return Ok((found, Some(error.code()))),
        }
    }
    Ok((found, None))
}

fn print_names(found: &[Found], look: Look, output: &mut Output<'_>) -> Result<(), Stop> {
    for item in found {
        output.bytes(&shown(item.group.as_bytes(), look.escape))?;
        output.bytes(&[look.delimiter.unwrap_or(b'\n')])?;
    }
    match look.delimiter {
        Some(_) => output.bytes(b"\n"),
        None => Ok(()),
    }
}

fn print_members(
    found: &[Found],
    look: Look,
    cfg: &mut Cfg,
    output: &mut Output<'_>,
) -> Result<(), Stop> {
    match look.delimiter {
        Some(byte) => {
            output.bytes(&[b"GRP_NAME", &[byte][..], b"PID", &[byte], b"NODEID\n"].concat())?
        }
        None => writeln!(output, "Group Name\t{:>10}\t{:>10}", "PID", "Node ID")?,
    }
    let mut last = &GroupName::EMPTY;
    for item in found {
        // A group without members has the process 0 of node 0 in C's answer.
        let (pid, node) = item
            .process
            .map_or((0, 0), |process| (process.pid, process.node.0));
        match look.delimiter {
            Some(byte) => {
                let fields = [
                    shown(item.group.as_bytes(), look.escape),
                    pid.to_string().into_bytes(),
                    node.to_string().into_bytes(),
                ];
                output.bytes(&fields.join(&byte))?;
                output.bytes(b"\n")?;
            }
            None => {
                if *last != item.group {
                    output.bytes(&shown(item.group.as_bytes(), look.escape))?;
                    output.bytes(b"\n")?;
                    last = &item.group;
                }
                let addresses = addresses(cfg, NodeId(node)).join(" ");
                writeln!(output, "\t\t{pid:>10}\t{node:>10} ({addresses})")?;
            }
        }
    }
    Ok(())
}

/// The addresses of a node; none where the daemon does not know it.
fn addresses(cfg: &mut Cfg, node: NodeId) -> Vec<String> {
    let addresses = cfg.node_addresses(node).unwrap_or_default();
    let specified = addresses.iter().filter(|address| !address.is_unspecified());
    specified.map(ToString::to_string).collect()
}

/// A group's name as it is printed.
fn shown(name: &[u8], escape: Escape) -> Vec<u8> {
    match escape {
        Escape::Raw => name.to_vec(),
        Escape::Hex => name.iter().flat_map(|byte| hex(*byte)).collect(),
    }
}

/// A byte as C's tools print it where bytes may be anything.
///
/// They hand a `char` to `printf("\\x%02X")`, which is signed on most machines: 0xE9 becomes `\xFFFFFFE9` there.
pub(super) fn hex(byte: u8) -> Vec<u8> {
    match byte {
        b'\\' => b"\\\\".to_vec(),
        b' '..=b'~' => vec![byte],
        other => {
            let number = i32::from(core::ffi::c_char::from_ne_bytes([other]));
            format!("\\x{number:02X}").into_bytes()
        }
    }
}

fn names_json(found: &[Found]) -> Json {
    let name = |item: &Found| Json::String(item.group.as_bytes().escape_ascii().to_string());
    json!({ "groups": found.iter().map(name).collect::<Vec<_>>() })
}

fn members_json(found: &[Found], cfg: &mut Cfg) -> Json {
    let member = |item: &Found| {
        let process = item.process?;
        Some(json!({
            "group": item.group.as_bytes().escape_ascii().to_string(),
            "pid": process.pid,
            "node": process.node.0,
            "addresses": addresses(cfg, process.node),
        }))
    };
    json!({ "members": found.iter().filter_map(member).collect::<Vec<_>>() })
}

fn usage(program: &OsStr, output: &mut Output<'_>) -> Result<(), Stop> {
    let name = Path::new(program).file_name().unwrap_or(program);
    output.bytes(name.as_bytes())?;
    output.bytes(USAGE.as_bytes())
}

const USAGE: &str = " [-d delimiter] [-e] [-n] [-h]

A tool for displaying cpg groups and members.
options:
\t-d\tDelimiter between fields.
\t-e\tDon't escape unprintable characters in group name.
\t-n\tDisplay only all existing group names.
\t-h\tDisplay this help.
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped_as_by_printf() {
        assert_eq!(shown(b"a b\\\x01\x7f", Escape::Hex), b"a b\\\\\\x01\\x7F");
        assert_eq!(shown(b"\xe9", Escape::Raw), b"\xe9");
        let eight_bits = if core::ffi::c_char::MIN < 0 {
            b"\\xFFFFFFE9".to_vec()
        } else {
            b"\\xE9".to_vec()
        };
        assert_eq!(shown(b"\xe9", Escape::Hex), eight_bits);
    }
}

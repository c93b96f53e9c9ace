//! `corosync-cmapctl`: the configuration map and the statistics (`tools/corosync-cmapctl.c`, v3.1.7).

mod change;
mod show;
mod track;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;

use clap::{Arg, Command};
use ferrosync_client::cmap::{Cmap, Map};

use super::getopt::{self, Getopt, Opt, Style, format_option};
use super::{Output, Stop, Tool, options};
use show::Show;
use track::Extent;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Map,
    Help,
    Quiet,
    Get,
    Set,
    Delete,
    DeletePrefix,
    Track,
    TrackPrefix,
    Binary,
    Load,
    Clear,
}

const OPTIONS: [Opt<What>; 12] = [
    Opt::short(What::Map, b'm', "Use this map: icmap or stats").with("MAP"),
    Opt::short(What::Help, b'h', "Show a summary of the options"),
    Opt::short(What::Quiet, b'q', "Print values without keys and types"),
    Opt::short(What::Get, b'g', "Print the values of these keys"),
    Opt::short(
        What::Set,
        b's',
        "Set a key: name, type (i8 to u64, flt, dbl, str, bin) and value follow",
    ),
    Opt::short(What::Delete, b'd', "Delete these keys"),
    Opt::short(
        What::DeletePrefix,
        b'D',
        "Delete all keys that begin like this",
    ),
    Opt::short(
        What::Track,
        b't',
        "Tell of changes of these keys, until q is typed",
    ),
    Opt::short(
        What::TrackPrefix,
        b'T',
        "Tell of changes of all keys that begin like this",
    ),
    Opt::short(What::Binary, b'b', "Print binary values too"),
    Opt::short(What::Load, b'p', "Set and delete what this file says").with("FILE"),
    Opt::short(
        What::Clear,
        b'C',
        "Set statistics to zero: knet, ipc, totem, schedmiss or all",
    )
    .with("KIND"),
];

/// The declaration of the options.
pub(super) fn command() -> Command {
    getopt::command(Tool::Cmapctl.name(), &OPTIONS)
        .about("Shows, changes and follows the configuration map and the statistics")
        .arg(format_option())
        .arg(
            Arg::new("words")
                .num_args(0..)
                .value_name("KEY")
                .help("Keys, or what they begin like"),
        )
}

/// What is done; of several the last one.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Action {
    PrintPrefix,
    Get,
    Set,
    Delete,
    DeletePrefix,
    Track,
    Load(OsString),
    Clear(OsString),
}

/// What the options say.
struct Wish {
    action: Action,
    extent: Extent,
    map: Map,
    show: Show,
    words: Vec<OsString>,
}

/// Runs the tool.
pub(super) fn run(words: Vec<OsString>, output: &mut Output<'_>) -> Result<(), Stop> {
    let Some(wish) = read(words, output)? else {
        return output.bytes(USAGE.as_bytes());
    };
    let Wish {
        action,
        extent,
        map,
        show,
        words,
    } = wish;
    if words.is_empty() && action.needs_words() {
        return output.fail("Expected key after options");
    }
    let mut cmap = Cmap::connect_map(map, &options()).or_else(|error| {
        let error = error.code();
        output.fail(format_args!(
            "Failed to initialize the cmap API. Error {error}"
        ))
    })?;
    match action {
        Action::PrintPrefix => show.print_prefixes(&mut cmap, &words, output),
        Action::Get => show.print_keys(&mut cmap, &words, output),
        Action::Set => match words.as_slice() {
            [key, kind, value, ..] => change::set(&mut cmap, key, kind, value, output),
            _ => output.fail("At least 3 parameters are expected for set"),
        },
        Action::Delete => change::delete(&mut cmap, &words, output),
        Action::DeletePrefix => words
            .iter()
            .try_for_each(|prefix| change::delete_prefix(&mut cmap, prefix, output)),
        Action::Load(file) => change::load(&mut cmap, &file, output),
        Action::Track => track::follow(&mut cmap, extent, &words, show, output),
        Action::Clear(kind) => {
            change::clear(&mut cmap, &kind);
            Ok(())
        }
    }
}

/// Reads the options; none when help is wanted.
fn read(words: Vec<OsString>, output: &mut Output<'_>) -> Result<Option<Wish>, Stop> {
    let mut getopt = Getopt::new(&OPTIONS, Style::Letters, words);
    let mut action = Action::PrintPrefix;
    let mut map = Map::Configuration;
    let mut map_named = false;
    let mut extent = Extent::Prefix;
    let mut show = Show::default();
    loop {
        let (what, value) = match getopt.next() {
            Ok(Some(option)) => option,
            Ok(None) => break,
            Err(refused) => return output.refuse(&refused),
        };
        match what {
            What::Help => return Ok(None),
            What::Binary => show.binary = true,
            What::Quiet => show.quiet = true,
            What::Get => action = Action::Get,
            What::Set => action = Action::Set,
            What::Delete => action = Action::Delete,
            What::DeletePrefix => action = Action::DeletePrefix,
            What::Load => action = Action::Load(value),
            What::Track => (action, extent) = (Action::Track, Extent::Key),
            // After -t it does not change the extent.
            What::TrackPrefix => action = Action::Track,
            What::Clear if CLEARED.contains(&value.as_bytes()) => {
                map = Map::Statistics;
                action = Action::Clear(value);
            }
            What::Clear => {
                return output
                    .fail("argument to -C should be 'knet', 'totem', 'ipc', 'schedmiss' or 'all'");
            }
            What::Map => match value.as_bytes() {
                b"icmap" | b"default" => (map, map_named) = (Map::Configuration, true),
                b"stats" => (map, map_named) = (Map::Statistics, true),
                // What C overlooks where an earlier -m was right.
                _ if map_named => {}
                _ => {
                    return output.fail("invalid map name, must be 'default', 'icmap' or 'stats'");
                }
            },
        }
    }
    show.format = getopt.format();
    let words = getopt.operands();
    Ok(Some(Wish {
        action,
        extent,
        map,
        show,
        words,
    }))
}

impl Action {
    fn needs_words(&self) -> bool {
        match self {
            Self::Get | Self::Set | Self::Delete | Self::DeletePrefix | Self::Track => true,
            Self::PrintPrefix | Self::Load(_) | Self::Clear(_) => false,
        }
    }
}

/// A key for the client library, which takes UTF-8. Other keys do not exist, and are refused like any bad character.
fn key(word: &OsStr) -> String {
    word.to_string_lossy().into_owned()
}

/// What `-C` takes.
const CLEARED: [&[u8]; 5] = [b"knet", b"totem", b"ipc", b"schedmiss", b"all"];

const USAGE: &str = "
usage:  corosync-cmapctl [-b] [-DdghsqTCt] [-p filename] [-m map] [params...]

    -b show binary values

    -m select map to use
          The  default  map is 'icmap' which contains configuration information and some runtime variables used by corosync. 
          A 'stats' map is also available which displays network statistics - in great detail when knet is used as the transport.
Set key:
    corosync-cmapctl -s key_name type value

    where type is one of ([i|u][8|16|32|64] | flt | dbl | str | bin)
    for bin, value is file name (or - for stdin)

    map can be either 'icmap' (the default) which contains corosync
    configuration information, or 'stats' which contains statistics
    about the networking and IPC traffic in some detail.

Clear stats:
    corosync-cmapctl -C [knet|ipc|totem|schedmiss|all]
    The 'stats' map is implied

Load settings from a file:
    corosync-cmapctl -p filename

    the format of the file is:
    [^[^]]<key_name>[ <type> <value>]
    Keys prefixed with single caret ('^') are deleted (see -d).
    Keys (actually prefixes) prefixed with double caret ('^^') are deleted by prefix (see -D).
    <type> and <value> are optional (not checked) in above cases.
    Other keys are set (see -s) so both <type> and <value> are required.

Delete key:
    corosync-cmapctl -d key_name...

Delete multiple keys with prefix:
    corosync-cmapctl -D key_prefix...

Get key:
    corosync-cmapctl [-b] -g key_name...

Quiet mode:
    corosync-cmapctl [-b] -q -g key_name...

Display all keys:
    corosync-cmapctl [-b]

Display keys with prefix key_name:
    corosync-cmapctl [-b] key_name...

Track changes on keys with key_name:
    corosync-cmapctl [-b] -t key_name

Track changes on keys with key prefix:
    corosync-cmapctl [-b] -T key_prefix

";

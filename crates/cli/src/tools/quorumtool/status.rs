//! `-s` and `-m`: quorum, votes and nodes.

use std::time::Duration;

use ferrosync_client::quorum::{Provider, Track};
use ferrosync_client::votequorum::{Error, Info, InfoFlags};
use ferrosync_client::{CsError, NodeId};
use serde_json::{Value as Json, json};

use super::nodes::{self, Look, Row};
use super::session::{Session, View};
use crate::tools::getopt::Format;
use crate::tools::{Output, Stop, options};

/// `-s`: the state now. Without quorum the exit code is 2.
pub(super) fn show(session: &mut Session, look: Look, output: &mut Output<'_>) -> Result<(), Stop> {
    let quorate = session.quorum.is_quorate().or_else(|error| {
        let error = error.code();
        output.fail(format_args!(
            "Unable to get cluster quorate status: {error}"
        ))
    })?;
    session.track(Track::Current, output)?;
    let patience = options().timeout;
    let view = session.view(patience, output)?;
    if let Err(error) = session.quorum.untrack() {
        let error = error.code();
        output.complain(format_args!(
            "Unable to stop quorum status tracking: {error}"
        ));
    }
    session.track_votes(Track::Current, output)?;
    let leader = session.ring_leader(patience, output)?;
    let view = View { quorate, ..view };
    display(session, &view, leader, look, output)?;
    if quorate {
        Ok(())
    } else {
        Err(Stop::Code(NOT_QUORATE))
    }
}

/// `-m`: the state now and whenever it changes, until the daemon ends.
pub(super) fn monitor(
    session: &mut Session,
    look: Look,
    output: &mut Output<'_>,
) -> Result<(), Stop> {
    if session.quorum.provider() == Provider::None {
        if look.format == Format::Text {
            writeln!(output, "\nQuorum is not configured - cannot monitor")?;
        }
        return show(session, look, output);
    }
    session.track(Track::Changes, output)?;
    session.track_votes(Track::Changes, output)?;
    loop {
        let view = session.view(Duration::MAX, output)?;
        let leader = session.ring_leader(Duration::MAX, output)?;
        display(session, &view, leader, look, output)?;
        if look.format == Format::Text {
            writeln!(output)?;
        }
        output.flush()?;
    }
}

/// Everything about a view. Ends with `EXIT_FAILURE` where votequorum does not say its part.
fn display(
    session: &mut Session,
    view: &View,
    leader: Option<NodeId>,
    look: Look,
    output: &mut Output<'_>,
) -> Result<(), Stop> {
    let provider = session.provider();
    let local = session.local;
    if look.format == Format::Text {
        print_quorum(provider.as_deref(), view, local, leader, look, output)?;
    }
    let mut info = None;
    let mut end = Ok(());
    if let Some(votequorum) = &mut session.votequorum {
        match votequorum.info(local) {
            Ok(found) => {
                if look.format == Format::Text {
                    print_votes(&found, output)?;
                }
                info = Some(found);
            }
            Err(error) => {
                complain_of_info(&error, output);
                end = Err(Stop::FAILURE);
            }
        }
    } else if look.format == Format::Text {
        return Ok(());
    }
    let rows = nodes::rows(session, view, look, output)?;
    match look.format {
        Format::Text => nodes::print(&rows, true, look, output)?,
        Format::Json => {
            let json = as_json(provider.as_deref(), view, leader, info.as_ref(), &rows);
            output.json(&json)?;
        }
    }
    end
}

fn complain_of_info(error: &Error, output: &mut Output<'_>) {
    // A node that is not known is shown without numbers.
    if error.code() != CsError::NotExist {
        output.complain(format_args!("Unable to get node info: {}", error.code()));
    }
}

fn print_quorum(
    provider: Option<&str>,
    view: &View,
    local: NodeId,
    leader: Option<NodeId>,
    look: Look,
    output: &mut Output<'_>,
) -> Result<(), Stop> {
    let date = jiff::Zoned::now().strftime("%a %b %e %H:%M:%S %Y");
    let provider = provider.unwrap_or("Not configured");
    writeln!(output, "Quorum information\n------------------")?;
    writeln!(output, "Date:             {date}")?;
    writeln!(output, "Quorum provider:  {provider}")?;
    writeln!(output, "Nodes:            {}", view.members.len())?;
    if look.hexadecimal {
        writeln!(output, "Node ID:          {:#010x}", local.0)?;
    } else {
        writeln!(output, "Node ID:          {local}")?;
    }
    let seq = view.ring_seq.0;
    match leader {
        Some(leader) => writeln!(output, "Ring ID:          {:x}.{seq:x}", leader.0)?,
        None => writeln!(output, "Ring ID:          {seq:x}")?,
    }
    let quorate = if view.quorate { "Yes" } else { "No" };
    writeln!(output, "Quorate:          {quorate}")
}

fn print_votes(info: &Info, output: &mut Output<'_>) -> Result<(), Stop> {
    let blocked = if info.flags.contains(InfoFlags::QUORATE) {
        " "
    } else {
        "Activity blocked"
    };
    writeln!(output, "\nVotequorum information\n----------------------")?;
    writeln!(
        output,
        "Expected votes:   {}",
        info.expected_votes.cast_signed()
    )?;
    writeln!(
        output,
        "Highest expected: {}",
        info.highest_expected.cast_signed()
    )?;
    writeln!(
        output,
        "Total votes:      {}",
        info.total_votes.cast_signed()
    )?;
    writeln!(
        output,
        "Quorum:           {} {blocked}",
        info.quorum.cast_signed()
    )?;
    write!(output, "Flags:            ")?;
    for word in flag_words(info.flags) {
        write!(output, "{word} ")?;
    }
    writeln!(output)
}

fn flag_words(flags: InfoFlags) -> impl Iterator<Item = &'static str> {
    let shown = FLAGS.into_iter();
    shown.filter_map(move |(flag, word)| flags.contains(flag).then_some(word))
}

fn as_json(
    provider: Option<&str>,
    view: &View,
    leader: Option<NodeId>,
    info: Option<&Info>,
    rows: &[Row],
) -> Json {
    let votes = info.map(|info| {
        json!({
            "expected_votes": info.expected_votes,
            "highest_expected": info.highest_expected,
            "total_votes": info.total_votes,
            "quorum": info.quorum,
            "flags": flag_words(info.flags).collect::<Vec<_>>(),
        })
    });
    json!({
        "provider": provider,
        "quorate": view.quorate,
        "ring": { "node": leader.map(|node| node.0), "seq": view.ring_seq.0 },
        "votequorum": votes,
        "nodes": rows.iter().map(Row::json).collect::<Vec<_>>(),
    })
}

/// What the flags are called, in the order in which they are shown.
const FLAGS: [(InfoFlags, &str); 7] = [
    (InfoFlags::TWONODE, "2Node"),
    (InfoFlags::QUORATE, "Quorate"),
    (InfoFlags::WAIT_FOR_ALL, "WaitForAll"),
    (InfoFlags::LAST_MAN_STANDING, "LastManStanding"),
    (InfoFlags::AUTO_TIE_BREAKER, "AutoTieBreaker"),
    (InfoFlags::ALLOW_DOWNSCALE, "AllowDownscale"),
    (InfoFlags::QDEVICE_REGISTERED, "Qdevice"),
];

/// `EXIT_NOT_QUORATE`.
const NOT_QUORATE: u8 = 2;

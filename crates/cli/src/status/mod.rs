//! `ferrosync status`: the cluster on one screen.

mod look;
mod show;

use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::thread;

use crossterm::{cursor, queue, terminal};

use crate::args::{Format, StatusArgs};
use crate::tools::{Output, Stop};
use look::{Cluster, Daemon};

/// Shows it once, or until Ctrl-C.
pub(crate) fn main(args: &StatusArgs) -> ExitCode {
    let (mut out, mut err) = (io::stdout(), io::stderr());
    let mut output = Output::new(&mut out, &mut err);
    let ended = if args.watch {
        watch(args, &mut output)
    } else {
        once(args.format, &mut output)
    };
    ended.err().map_or(ExitCode::SUCCESS, Stop::code)
}

fn once(format: Format, output: &mut Output<'_>) -> Result<(), Stop> {
    let cluster = Daemon::connect().and_then(|mut daemon| daemon.look());
    match &cluster {
        Ok(cluster) => print(cluster, None, format, output)?,
        Err(error) => return output.fail(format_args!("ferrosync status: {error}")),
    }
    match cluster {
        Ok(cluster) if !cluster.quorum.quorate => Err(Stop::Code(NOT_QUORATE)),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// A daemon that is not there may come.
fn watch(args: &StatusArgs, output: &mut Output<'_>) -> Result<(), Stop> {
    let mut daemon = None;
    let mut before = None;
    loop {
        if daemon.is_none() {
            daemon = Daemon::connect().ok();
        }
        let cluster = daemon.as_mut().and_then(|daemon| daemon.look().ok());
        if args.format == Format::Text {
            clear()?;
        }
        match &cluster {
            Some(cluster) => print(cluster, before.as_ref(), args.format, output)?,
            None => {
                daemon = None;
                match args.format {
                    Format::Text => writeln!(output, "The cluster engine does not run.")?,
                    Format::Json => output.json(&serde_json::Value::Null)?,
                }
            }
        }
        output.flush()?;
        before = cluster;
        thread::sleep(args.interval);
    }
}

fn print(
    cluster: &Cluster,
    before: Option<&Cluster>,
    format: Format,
    output: &mut Output<'_>,
) -> Result<(), Stop> {
    match format {
        Format::Text => output.bytes(show::screen(cluster, before).as_bytes()),
        Format::Json => output.json(&show::json(cluster)),
    }
}

/// Begins a new screen on a terminal; elsewhere an empty line divides two looks.
fn clear() -> Result<(), Stop> {
    let mut out = io::stdout();
    if out.is_terminal() {
        queue!(
            out,
            terminal::Clear(terminal::ClearType::All),
            cursor::MoveTo(0, 0)
        )?;
    } else {
        writeln!(out)?;
    }
    Ok(out.flush()?)
}

/// As with corosync-quorumtool.
const NOT_QUORATE: u8 = 2;

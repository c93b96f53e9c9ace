//! `-t` and `-T`: changes as they happen.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::Duration;

use ferrosync_client::cmap::{Cmap, Event, Kind, Tracked};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::read;
use serde_json::json;

use super::key;
use super::show::{Show, item};
use crate::tools::getopt::Format;
use crate::tools::{Output, Stop};

/// What a word names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    Key,
    Prefix,
}

/// Prints changes until a line with `q` comes, standard input ends, or the daemon does.
pub(super) fn follow(
    cmap: &mut Cmap,
    extent: Extent,
    words: &[OsString],
    show: Show,
    output: &mut Output<'_>,
) -> Result<(), Stop> {
    for word in words {
        let name = key(word);
        let what = match extent {
            Extent::Key => Tracked::Key(&name),
            Extent::Prefix => Tracked::Prefix(&name),
        };
        if let Err(error) = cmap.track(what) {
            let error = error.code();
            return output.fail(format_args!(
                "Failed to add tracking function. Error {error}"
            ));
        }
    }
    if show.format == Format::Text {
        writeln!(output, "Type \"q\" to finish")?;
        output.flush()?;
    }
    let stdin = io::stdin();
    let mut typed = Typed::default();
    loop {
        let ready = wait(cmap, &stdin, typed.open)?;
        if ready.typed && typed.wants_end(stdin.as_fd()) {
            return Ok(());
        }
        if ready.told && !print_events(cmap, show, output)? {
            return Ok(());
        }
    }
}

/// Who has something.
struct Ready {
    told: bool,
    typed: bool,
}

fn wait(cmap: &Cmap, stdin: &io::Stdin, open: bool) -> Result<Ready, Stop> {
    let mut fds = vec![PollFd::new(cmap.as_fd(), PollFlags::POLLIN)];
    if open {
        fds.push(PollFd::new(stdin.as_fd(), PollFlags::POLLIN));
    }
    match poll(&mut fds, PollTimeout::NONE) {
        Ok(_) | Err(Errno::EINTR) => {}
        Err(error) => return Err(io::Error::from(error).into()),
    }
    let ready = |at: usize| fds.get(at).and_then(PollFd::any).unwrap_or(false);
    Ok(Ready {
        told: ready(0),
        typed: ready(1),
    })
}

/// Lines from standard input.
#[derive(Debug)]
struct Typed {
    open: bool,
    /// Where the next byte stands in its line.
    at_start: bool,
}

impl Default for Typed {
    fn default() -> Self {
        Self {
            open: true,
            at_start: true,
        }
    }
}

impl Typed {
    /// Takes what was typed; whether it means the end.
    fn wants_end(&mut self, stdin: BorrowedFd<'_>) -> bool {
        let mut bytes = [0; 256];
        match read(stdin, &mut bytes) {
            Ok(0) => true,
            Ok(len) => bytes[..len].iter().any(|byte| {
                let is_end = self.at_start && *byte == b'q';
                self.at_start = *byte == b'\n';
                is_end
            }),
            Err(Errno::EINTR | Errno::EAGAIN) => false,
            // Nobody can type any more, and changes are told all the same.
            Err(_) => {
                self.open = false;
                false
            }
        }
    }
}

/// Prints what has been told; whether there can be more.
fn print_events(cmap: &mut Cmap, show: Show, output: &mut Output<'_>) -> Result<bool, Stop> {
    loop {
        match cmap.dispatch(Duration::ZERO) {
            Ok(Some(event)) => print(&event, show, output)?,
            Ok(None) => {
                output.flush()?;
                return Ok(true);
            }
            Err(error) => {
                output.complain(format_args!("Dispatch error {}", error.code()));
                return Ok(false);
            }
        }
    }
}

fn print(event: &Event, show: Show, output: &mut Output<'_>) -> Result<(), Stop> {
    let (word, value) = match event.kind {
        Kind::Added => ("create", &event.new),
        Kind::Modified => ("modify", &event.new),
        Kind::Deleted => ("delete", &event.old),
    };
    let value = value.as_ref();
    match show.format {
        Format::Text => {
            write!(output, "{word}> ")?;
            output.bytes(&show.line(event.key.as_bytes(), value))
        }
        Format::Json => {
            let change = item(&event.key, value.map(ferrosync_client::Value::kind), value);
            output.json(&json!({ "event": word, "change": change }))
        }
    }
}

//! `corosync-notifyd`: tells syslog, SNMP managers and D-Bus what happens to the cluster (`tools/corosync-notifyd.c`,
//! v3.1.7).

mod dbus;
mod event;
mod log;
mod snmp;
mod watch;

use std::ffi::OsString;
use std::os::fd::AsFd as _;

use clap::Command;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use super::getopt::{self, Format, Getopt, Opt, Style, format_option};
use super::{Output, Stop, Tool};
use dbus::Bus;
use event::Event;
use log::{Log, Severity};
use snmp::Manager;
use watch::Watch;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Community,
    Foreground,
    Log,
    Print,
    Snmp,
    Help,
    Dbus,
    NoLookup,
    Manager,
}

const OPTIONS: [Opt<What>; 9] = [
    Opt::short(
        What::Community,
        b'c',
        "Community of the SNMP traps; empty unless given",
    )
    .with("NAME"),
    Opt::short(What::Foreground, b'f', "Stay in the foreground"),
    Opt::short(What::Log, b'l', "Log events to syslog"),
    Opt::short(
        What::Print,
        b'o',
        "Print events too, on standard error; includes -l",
    ),
    Opt::short(What::Snmp, b's', "Send SNMP traps of events"),
    Opt::short(What::Help, b'h', "Show a summary of the options"),
    Opt::short(
        What::Dbus,
        b'd',
        "Send D-Bus signals of events, on the system bus",
    ),
    Opt::short(What::NoLookup, b'n', "Tell addresses, do not look names up"),
    Opt::short(
        What::Manager,
        b'm',
        "Where SNMP traps go; localhost unless given. Includes -s",
    )
    .with("HOST"),
];

/// The declaration of the options.
pub(super) fn command() -> Command {
    getopt::command(Tool::Notifyd.name(), &OPTIONS)
        .about("Tells syslog, SNMP managers and D-Bus what happens to the cluster")
        .arg(format_option())
}

/// What the options say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Wish {
    community: OsString,
    foreground: bool,
    log: bool,
    print: bool,
    snmp: bool,
    dbus: bool,
    lookup: Lookup,
    manager: Option<OsString>,
    format: Format,
}

/// What nodes are called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Lookup {
    #[default]
    Names,
    Addresses,
}

/// Runs the tool until a signal ends it, or the daemon does.
pub(super) fn run(words: Vec<OsString>, output: &mut Output<'_>) -> Result<(), Stop> {
    let wish = read(words, output)?;
    let printed = match (wish.print, wish.format) {
        (false, _) => log::Printed::Nothing,
        (true, Format::Text) => log::Printed::Everything,
        (true, Format::Json) => log::Printed::Complaints,
    };
    let mut log = Log::new(printed);
    check(&wish, &mut log)?;
    if !wish.foreground
        && let Err(error) = nix::unistd::daemon(false, false)
    {
        return output.fail(format_args!("daemon() failed: {}", error.desc()));
    }
    // Before anything starts a thread, which would have its own mask.
    let signals = Signals::catch()?;
    let mut watch = Watch::open(wish.lookup, &mut log)?;
    let mut targets = Targets::open(&wish, log);
    let _not_under_systemd = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    loop {
        if signals.is_ready(&watch)? {
            return Ok(());
        }
        for event in watch.events(&mut targets.log)? {
            targets.tell(&event, output)?;
        }
    }
}

fn read(words: Vec<OsString>, output: &mut Output<'_>) -> Result<Wish, Stop> {
    let mut getopt = Getopt::new(&OPTIONS, Style::Letters, words);
    let mut wish = Wish::default();
    loop {
        let (what, value) = match getopt.next() {
            Ok(Some(option)) => option,
            Ok(None) => break,
            Err(refused) => {
                output.complain_bytes(&[&refused.0, USAGE.as_bytes()]);
                return Err(Stop::FAILURE);
            }
        };
        match what {
            What::Community => wish.community = value,
            What::Foreground => wish.foreground = true,
            What::Log => wish.log = true,
            What::Print => (wish.log, wish.print) = (true, true),
            What::Snmp => wish.snmp = true,
            What::Dbus => wish.dbus = true,
            What::NoLookup => wish.lookup = Lookup::Addresses,
            What::Manager => (wish.snmp, wish.manager) = (true, Some(value)),
            What::Help => {
                output.complain_bytes(&[USAGE.as_bytes()]);
                return Err(Stop::FAILURE);
            }
        }
    }
    wish.format = getopt.format();
    Ok(wish)
}

/// Refuses what makes no sense, in the log.
fn check(wish: &Wish, log: &mut Log) -> Result<(), Stop> {
    if !wish.log && !wish.snmp && !wish.dbus {
        log.line(
            Severity::Error,
            "no event type enabled, see corosync-notifyd -h, exiting.",
        );
        return Err(Stop::FAILURE);
    }
    if wish.print && !wish.foreground {
        log.line(
            Severity::Error,
            "configured to print to stdout and run in the background, exiting",
        );
        return Err(Stop::FAILURE);
    }
    if wish.snmp && wish.dbus {
        log.line(
            Severity::Error,
            "configured to send snmp traps and dbus signals - are you sure?.",
        );
    }
    Ok(())
}

/// Who is told.
struct Targets {
    log: Log,
    logs_events: bool,
    prints_json: bool,
    bus: Option<Bus>,
    manager: Option<Manager>,
}

impl Targets {
    fn open(wish: &Wish, mut log: Log) -> Self {
        let manager = wish.snmp.then(|| {
            let host = wish.manager.clone().unwrap_or_else(|| "localhost".into());
            Manager::new(&host.to_string_lossy(), wish.community.as_encoded_bytes())
        });
        Self {
            bus: wish.dbus.then(|| Bus::open(&mut log)),
            manager,
            logs_events: wish.log,
            prints_json: wish.print && wish.format == Format::Json,
            log,
        }
    }

    fn tell(&mut self, event: &Event, output: &mut Output<'_>) -> Result<(), Stop> {
        if self.logs_events {
            self.log.event(&event.line());
        }
        if self.prints_json {
            output.json(&event.json())?;
        }
        if let Some(bus) = &mut self.bus {
            bus.tell(event, &mut self.log);
        }
        if let Some(manager) = &mut self.manager {
            manager.tell(event, &mut self.log);
        }
        Ok(())
    }
}

/// Signals that mean the end.
struct Signals(SignalFd);

impl Signals {
    fn catch() -> Result<Self, Stop> {
        let mut set = SigSet::empty();
        for signal in [Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM] {
            set.add(signal);
        }
        set.thread_block().map_err(std::io::Error::from)?;
        let fd = SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC).map_err(std::io::Error::from)?;
        Ok(Self(fd))
    }

    /// Waits until something happens; whether it is one of the signals.
    fn is_ready(&self, watch: &Watch) -> Result<bool, Stop> {
        let mut fds = vec![PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
        fds.extend(watch.fds().map(|fd| PollFd::new(fd, PollFlags::POLLIN)));
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) => Ok(fds[0].any().unwrap_or(false)),
            Err(Errno::EINTR) => Ok(false),
            Err(error) => Err(std::io::Error::from(error).into()),
        }
    }
}

const USAGE: &str = "\
usage:
        -c     : SNMP Community name.
        -f     : Start application in foreground.
        -l     : Log all events.
        -o     : Print events to stdout (turns on -l).
        -s     : Send SNMP traps on all events.
        -m     : Set the SNMP Manager IP address (defaults to localhost).
        -n     : No reverse DNS lookup on cmap member change events.
        -d     : Send DBUS signals on all events.
        -h     : Print this help.

";

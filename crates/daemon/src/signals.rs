//! Signals as a file descriptor.

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use ferrosync_executive::output::Control;

/// Blocks the signals that the daemon handles and reads them from a descriptor instead.
///
/// # Errors
/// The kernel refuses.
pub fn open() -> nix::Result<SignalFd> {
    let mut set = SigSet::empty();
    for signal in HANDLED {
        set.add(signal);
    }
    set.thread_block()?;
    SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)
}

/// What waits on the descriptor, in the node's words.
pub fn next(fd: &SignalFd) -> Option<Control> {
    let info = fd.read_signal().ok()??;
    let usr2 = u32::try_from(Signal::SIGUSR2 as i32).ok()?;
    if info.ssi_signo == usr2 {
        Some(Control::DumpState)
    } else {
        Some(Control::Shutdown)
    }
}

/// All signals that the daemon handles; ferrosyncd(8) tells what they do.
const HANDLED: [Signal; 4] = [
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTERM,
    Signal::SIGUSR2,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manual_page_tells_of_every_signal() {
        let page = include_str!("../../../packaging/man/ferrosyncd.8");
        let section = page.split(".SH ").find(|text| text.starts_with("SIGNALS"));
        let section = section.expect("a section about signals");
        for signal in HANDLED {
            assert!(section.contains(signal.as_str()), "{signal}");
        }
    }
}

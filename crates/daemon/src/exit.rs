//! Exit statuses, numbered as corosync's (`exec/util.h: enum e_corosync_done`, v3.1.7).

use std::process::ExitCode;

/// How the daemon ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// As it was asked to.
    Ok = 0,
    /// The command line was wrong.
    Usage = 1,
    /// It could not go into the background.
    Fork = 4,
    /// The configuration was wrong or could not be read.
    Config = 8,
    /// The services' sockets could not be opened.
    Services = 13,
    /// Something that cannot be repaired: the network, a configuration version that differs from the cluster's.
    Fatal = 15,
    /// The state directory cannot be entered.
    StateDir = 16,
    /// The pid file cannot be locked.
    Lock = 17,
    /// Another daemon runs already.
    AlreadyRunning = 18,
    /// The ring sequence number could not be stored or read.
    RingId = 21,
    /// The load of the load generator is done.
    Load = 99,
    /// Another node's order to stop (`coroapi.h: COROSYNC_FATAL_ERROR_EXIT`, which is -1).
    Killed = 255,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

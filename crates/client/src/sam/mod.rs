//! Keeps a program running: a supervisor starts it, hears whether it is well, and starts it again or gives up.
//!
//! What `libsam` does for C programs. `sam_register` makes two processes of one by `fork`, which no safe Rust program can
//! do; here the supervisor starts the program anew each time, from a [`Command`](std::process::Command), and finds it
//! through a socket whose name the program has in its environment. Everything else is as in libsam:
//!
//! | libsam | here |
//! |---|---|
//! | `sam_initialize`, `sam_register` in the parent | [`Supervisor`] |
//! | `sam_register` in the child, the instance id | [`Supervised::connect`], [`Supervised::instance`] |
//! | `SAM_RECOVERY_POLICY_QUIT`, `_RESTART` | [`Recovery`] |
//! | `SAM_RECOVERY_POLICY_QUORUM` | [`Supervisor::need_quorum`] |
//! | `SAM_RECOVERY_POLICY_CMAP` | [`Supervisor::show`], same keys |
//! | `sam_start`, `sam_stop` | [`Supervised::start`], [`Supervised::stop`] |
//! | `sam_hc_send` | [`Supervised::alive`] |
//! | `sam_hc_callback_register` | a thread of the program that asks itself and calls [`Supervised::alive`] |
//! | `sam_warn_signal_set` | [`Supervised::warn_by`] |
//! | `sam_data_store`, `sam_data_restore` | [`Supervised::store`], [`Supervised::data`] |
//! | `sam_mark_failed` | [`Supervised::mark_failed`] |
//!
//! Unlike libsam, a program that was warned and goes on is killed after a grace period also where it needs no health
//! checks, the supervisor returns instead of ending its process, and a start that waits for quorum can be answered once.

mod map;
mod message;
mod supervised;
mod supervisor;
mod watch;

pub use supervised::{Supervised, SupervisedError};
pub use supervisor::{Ended, How, Recovery, Supervisor, SupervisorError};

/// How a program is told that it is about to be killed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Warning {
    /// SIGTERM, as long as nothing else is chosen.
    #[default]
    Terminate,
    /// SIGHUP.
    HangUp,
    /// SIGINT.
    Interrupt,
    /// SIGUSR1.
    User1,
    /// SIGUSR2.
    User2,
    /// SIGKILL: no warning at all.
    Kill,
}

/// Most bytes that a program may store with its supervisor.
pub const DATA_MAX: usize = 1 << 20;

/// Where the program finds the name of its supervisor's socket.
const VARIABLE: &str = "FERROSYNC_SAM";

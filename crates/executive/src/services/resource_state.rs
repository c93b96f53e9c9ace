//! How a watched resource fares, as keys and log lines name it (corosync `exec/mon.c, exec/wd.c`, v3.1.7).

/// How a resource fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Nobody looks.
    Stopped,
    /// Somebody looks, and it is well.
    Running,
    /// It is not well.
    Failed,
}

impl State {
    /// The word in keys and lines.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Running => "running",
            Self::Failed => "failed",
        }
    }

    /// The line for going from this state to another.
    pub(super) fn change(self, name: &str, cause: Cause, next: Self) -> String {
        format!(
            "Fsm:{name} event \"{}\", state \"{}\" --> \"{}\"",
            cause.word(),
            self.word(),
            next.word()
        )
    }
}

/// Why a resource's state changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// Its keys did.
    ConfigChanged,
    /// It was looked at.
    Failure,
}

impl Cause {
    const fn word(self) -> &'static str {
        match self {
            Self::ConfigChanged => "config_changed",
            Self::Failure => "failure",
        }
    }
}

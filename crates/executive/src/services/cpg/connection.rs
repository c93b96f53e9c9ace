//! One client's connection, and what it may ask in which state.

use ferrosync_wire::GroupName;
use ferrosync_wire::ipc::CsError;
use ferrosync_wire::ipc::cpg::PieceKind;

use super::iteration::Iterations;

/// One connection.
#[derive(Debug, Default)]
pub(super) struct Connection {
    pub(super) state: State,
    pub(super) told: Told,
    pub(super) totem_conf: TotemConf,
    pub(super) iterations: Iterations,
    /// How many changes of its group it was told.
    transitions: u64,
    /// How many when the message began of which it now sends the pieces.
    transitions_at_first: u64,
}

/// Where a connection stands (corosync `cpg.c: enum cpd_state`, v3.1.7).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum State {
    /// In no group.
    #[default]
    Unjoined,
    /// The ring has not yet brought its join back.
    JoinStarted(Seat),
    /// In a group.
    JoinCompleted(Seat),
    /// The ring has not yet brought its leave back.
    LeaveStarted(Seat),
}

/// A process in a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seat {
    pub(super) group: GroupName,
    pub(super) pid: u32,
}

/// Whether a connection still gets events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Told {
    /// It does.
    #[default]
    Yes,
    /// It said goodbye.
    Finalized,
}

/// Whether a connection is to be told the ring's membership after its join.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum TotemConf {
    /// It did not ask.
    #[default]
    NotWanted,
    /// With the next change of any group.
    Owed,
    /// It was; that happens once in a connection's life.
    Sent,
}

/// Who has the seat that a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holder {
    /// Nobody.
    Nobody,
    /// The connection that asks.
    Itself,
    /// Another connection of this node.
    Other,
    /// Somebody who is about to give it up: a connection that leaves, said goodbye or is gone already.
    Leaving,
}

impl State {
    /// Its place in a group, held or about to be held or given up.
    pub(super) const fn seat(&self) -> Option<&Seat> {
        match self {
            Self::Unjoined => None,
            Self::JoinStarted(seat) | Self::JoinCompleted(seat) | Self::LeaveStarted(seat) => {
                Some(seat)
            }
        }
    }

    /// The place as which it may send.
    pub(super) const fn sender(&self) -> Result<&Seat, CsError> {
        match self {
            Self::JoinStarted(seat) | Self::JoinCompleted(seat) => Ok(seat),
            Self::Unjoined | Self::LeaveStarted(_) => Err(CsError::NotExist),
        }
    }

    /// Whether it may join.
    ///
    /// C finds a seat that is being left taken for as long as the connection lives (`docs/deviations.md`, D-32).
    pub(super) const fn decide_join(&self, holder: Holder) -> Result<(), CsError> {
        match (holder, self) {
            (Holder::Other, _) => Err(CsError::Exist),
            (Holder::Leaving, _) => Err(CsError::TryAgain),
            (Holder::Nobody | Holder::Itself, Self::LeaveStarted(_)) => Err(CsError::Busy),
            (Holder::Nobody, Self::Unjoined) => Ok(()),
            (Holder::Itself, Self::Unjoined)
            | (Holder::Nobody | Holder::Itself, Self::JoinStarted(_) | Self::JoinCompleted(_)) => {
                Err(CsError::Exist)
            }
        }
    }

    /// Whether it may leave `group`; its place there, if so.
    ///
    /// C does not look whether the connection is in that group (`docs/deviations.md`, D-33).
    pub(super) fn decide_leave(&self, group: &GroupName) -> Result<&Seat, CsError> {
        match self {
            Self::JoinCompleted(seat) if seat.group == *group => Ok(seat),
            Self::JoinStarted(seat) if seat.group == *group => Err(CsError::Busy),
            Self::Unjoined
            | Self::JoinStarted(_)
            | Self::JoinCompleted(_)
            | Self::LeaveStarted(_) => Err(CsError::NotExist),
        }
    }
}

impl Connection {
    /// It was told of a change of its group.
    pub(super) const fn count_transition(&mut self) {
        self.transitions += 1;
    }

    /// Whether it may send a piece of a message: the group must not have changed since the first piece
    /// (corosync `cpg.c:message_handler_req_lib_cpg_partial_mcast`, v3.1.7).
    pub(super) fn decide_piece(&mut self, kind: PieceKind) -> Result<&Seat, CsError> {
        if kind == PieceKind::FIRST {
            self.transitions_at_first = self.transitions;
        }
        if self.transitions == self.transitions_at_first {
            self.state.sender()
        } else {
            Err(CsError::Interrupt)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seat(group: &str) -> Seat {
        let group = GroupName::new(group.as_bytes()).unwrap();
        Seat { group, pid: 1 }
    }

    fn states() -> [State; 4] {
        [
            State::Unjoined,
            State::JoinStarted(seat("g")),
            State::JoinCompleted(seat("g")),
            State::LeaveStarted(seat("g")),
        ]
    }

    #[test]
    fn joining() {
        use CsError::{Busy, Exist, TryAgain};
        let table = [
            (Holder::Nobody, [Ok(()), Err(Exist), Err(Exist), Err(Busy)]),
            (
                Holder::Itself,
                [Err(Exist), Err(Exist), Err(Exist), Err(Busy)],
            ),
            (Holder::Other, [Err(Exist); 4]),
            (Holder::Leaving, [Err(TryAgain); 4]),
        ];
        for (holder, expected) in table {
            let found = states().map(|state| state.decide_join(holder));
            assert_eq!(found, expected, "{holder:?}");
        }
    }

    #[test]
    fn leaving_and_sending() {
        use CsError::{Busy, NotExist};
        let errors = |of: &dyn Fn(&State) -> Option<CsError>| states().map(|state| of(&state));
        let own = seat("g").group;
        assert_eq!(
            errors(&|s| s.decide_leave(&own).err()),
            [Some(NotExist), Some(Busy), None, Some(NotExist)]
        );
        let other = seat("h").group;
        assert_eq!(
            errors(&|s| s.decide_leave(&other).err()),
            [Some(NotExist); 4]
        );
        assert_eq!(
            errors(&|s| s.sender().err()),
            [Some(NotExist), None, None, Some(NotExist)]
        );
    }

    #[test]
    fn a_change_of_the_group_interrupts_a_message_in_pieces() {
        let mut connection = Connection {
            state: State::JoinCompleted(seat("g")),
            ..Connection::default()
        };
        assert!(connection.decide_piece(PieceKind::FIRST).is_ok());
        assert!(connection.decide_piece(PieceKind::CONTINUED).is_ok());
        connection.count_transition();
        let interrupted = Err(CsError::Interrupt);
        assert_eq!(connection.decide_piece(PieceKind::LAST), interrupted);
        assert_eq!(connection.decide_piece(PieceKind::CONTINUED), interrupted);
        assert!(connection.decide_piece(PieceKind::FIRST).is_ok());
        connection.state = State::Unjoined;
        let nowhere = Err(CsError::NotExist);
        assert_eq!(connection.decide_piece(PieceKind::FIRST), nowhere);
    }
}

//! Planted bugs: what a checker does not find when it is there on purpose, it does not find otherwise.
//!
//! All are planted where the node meets its host, so that production code has no switches for them.

use crate::report::Class;

/// One planted bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// The disk says that it stored the ring sequence number, and does not.
    ForgetRingSeq,
    /// The network changes one byte of a message on its way to one node.
    CorruptFrame,
    /// The network gives a message another number on its way to one node.
    RenumberFrame,
    /// The network makes a second token out of one.
    ForgeToken,
    /// A node delivers a message twice.
    DeliverTwice,
    /// A node does not deliver one of its own messages.
    LoseOwnMessage,
    /// A node does not deliver what is left of the old ring when a new one is installed.
    LoseTail,
    /// A node installs rings without the transitional change.
    SkipTransitional,
    /// A node installs a ring with a member too many.
    InventMember,
    /// One event for a client is lost.
    LoseClientEvent,
    /// One event for a client comes twice.
    RepeatClientEvent,
    /// Two events for a client are swapped.
    SwapClientEvents,
    /// One byte of a message changes on its way to a client.
    CorruptClientEvent,
    /// A client misses one change of its group.
    LoseGroupChange,
    /// A node counts itself as the majority.
    ExpectOneVote,
    /// A node sends more per token visit than the window allows.
    IgnoreWindow,
    /// A cut link is never mended.
    NeverHeal,
    /// The host hands in the next input before it carried out what came of the last.
    HandInTooEarly,
}

impl Sabotage {
    /// Every planted bug.
    pub const ALL: [Self; 18] = [
        Self::ForgetRingSeq,
        Self::CorruptFrame,
        Self::RenumberFrame,
        Self::ForgeToken,
        Self::DeliverTwice,
        Self::LoseOwnMessage,
        Self::LoseTail,
        Self::SkipTransitional,
        Self::InventMember,
        Self::LoseClientEvent,
        Self::RepeatClientEvent,
        Self::SwapClientEvents,
        Self::CorruptClientEvent,
        Self::LoseGroupChange,
        Self::ExpectOneVote,
        Self::IgnoreWindow,
        Self::NeverHeal,
        Self::HandInTooEarly,
    ];

    /// Its name on the command line and in `docs/simulator.md`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ForgetRingSeq => "forget-ring-seq",
            Self::CorruptFrame => "corrupt-frame",
            Self::RenumberFrame => "renumber-frame",
            Self::ForgeToken => "forge-token",
            Self::DeliverTwice => "deliver-twice",
            Self::LoseOwnMessage => "lose-own-message",
            Self::LoseTail => "lose-tail",
            Self::SkipTransitional => "skip-transitional",
            Self::InventMember => "invent-member",
            Self::LoseClientEvent => "lose-client-event",
            Self::RepeatClientEvent => "repeat-client-event",
            Self::SwapClientEvents => "swap-client-events",
            Self::CorruptClientEvent => "corrupt-client-event",
            Self::LoseGroupChange => "lose-group-change",
            Self::ExpectOneVote => "expect-one-vote",
            Self::IgnoreWindow => "ignore-window",
            Self::NeverHeal => "never-heal",
            Self::HandInTooEarly => "hand-in-too-early",
        }
    }

    /// How a run with it must end.
    #[must_use]
    pub const fn expected(self) -> (Class, &'static str) {
        match self {
            Self::ForgetRingSeq | Self::SkipTransitional | Self::InventMember => {
                (Class::Safety, "membership")
            }
            Self::CorruptFrame | Self::RenumberFrame | Self::DeliverTwice => {
                (Class::Safety, "total order")
            }
            Self::ForgeToken => (Class::Safety, "token"),
            Self::LoseOwnMessage | Self::LoseTail => (Class::Safety, "virtual synchrony"),
            Self::LoseClientEvent
            | Self::RepeatClientEvent
            | Self::SwapClientEvents
            | Self::CorruptClientEvent
            | Self::LoseGroupChange => (Class::Safety, "cpg"),
            Self::ExpectOneVote => (Class::Safety, "quorum"),
            Self::IgnoreWindow => (Class::Safety, "bounds"),
            Self::NeverHeal => (Class::Liveness, "convergence"),
            Self::HandInTooEarly => (Class::Assert, "panic"),
        }
    }
}

//! The four membership states, and why a node starts to gather.

use bytes::Bytes;
use ferrosync_wire::totem::CommitToken;

use super::membership::NodeSet;
use super::recovery::Recovery;

/// Where a node stands in the membership protocol, with what it needs only there.
#[derive(Debug)]
pub(crate) enum MembState {
    /// A ring is installed and the token goes round.
    Operational,
    /// Nodes are agreeing on a membership.
    Gather,
    /// The membership is agreed and the commit token collects what each member has.
    Commit(Commit),
    /// The new ring exists and carries the old ring's missing messages.
    Recovery(Box<Recovery>),
}

/// Data of the commit state.
#[derive(Debug)]
pub(crate) struct Commit {
    /// The members of the ring to be formed.
    pub(crate) members: NodeSet,
}

impl MembState {
    pub(crate) const fn kind(&self) -> MembStateKind {
        match self {
            Self::Operational => MembStateKind::Operational,
            Self::Gather => MembStateKind::Gather,
            Self::Commit(_) => MembStateKind::Commit,
            Self::Recovery(_) => MembStateKind::Recovery,
        }
    }
}

/// A `MembState` without its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MembStateKind {
    /// See `MembState::Operational`.
    Operational,
    /// See `MembState::Gather`.
    Gather,
    /// See `MembState::Commit`.
    Commit,
    /// See `MembState::Recovery`.
    Recovery,
}

impl MembStateKind {
    /// One letter for tables: O, G, C, R.
    #[must_use]
    pub const fn letter(self) -> char {
        match self {
            Self::Operational => 'O',
            Self::Gather => 'G',
            Self::Commit => 'C',
            Self::Recovery => 'R',
        }
    }
}

/// The token this node sent last, kept until something newer arrives.
#[derive(Clone, Debug)]
pub(crate) struct SentToken {
    pub(crate) frame: Bytes,
}

/// A commit token that this node accepted, with itself filled in.
#[derive(Clone, Debug)]
pub(crate) struct Accepted {
    pub(crate) token: CommitToken,
    pub(crate) members: NodeSet,
}

/// Why a node entered GATHER; the numbers are those that corosync logs (`totemsrp.c: enum gather_state_from`,
/// v3.1.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GatherReason {
    /// 0: silent nodes were failed when consensus took too long.
    ConsensusTimeout = 0,
    /// 2: no token in OPERATIONAL.
    TokenLostInOperational = 2,
    /// 3: no commit token although all agreed.
    ConsensusTimeoutExpired = 3,
    /// 4: no commit token in COMMIT.
    TokenLostInCommit = 4,
    /// 5: no token in RECOVERY.
    TokenLostInRecovery = 5,
    /// 6: this node cannot receive.
    FailedToReceive = 6,
    /// 7: a message of another ring in OPERATIONAL.
    ForeignMessageInOperational = 7,
    /// 8: a message of another ring in GATHER.
    ForeignMessageInGather = 8,
    /// 9: another ring announced itself in OPERATIONAL.
    MergeInOperational = 9,
    /// 10: another ring announced itself in GATHER.
    MergeInGather = 10,
    /// 11: a join told of nodes not yet considered.
    MergeDuringJoin = 11,
    /// 12: a join in OPERATIONAL.
    JoinInOperational = 12,
    /// 13: a join in COMMIT.
    JoinInCommit = 13,
    /// 14: a join in RECOVERY.
    JoinInRecovery = 14,
    /// 15: the links are ready.
    InterfaceChange = 15,
}

impl GatherReason {
    /// The reason in words for tables and logs.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::ConsensusTimeout => "consensus timeout",
            Self::TokenLostInOperational => "The token was lost in the OPERATIONAL state.",
            Self::ConsensusTimeoutExpired => "The consensus timeout expired.",
            Self::TokenLostInCommit => "The token was lost in the COMMIT state.",
            Self::TokenLostInRecovery => "The token was lost in the RECOVERY state.",
            Self::FailedToReceive => "failed to receive",
            Self::ForeignMessageInOperational => "foreign message in operational state",
            Self::ForeignMessageInGather => "foreign message in gather state",
            Self::MergeInOperational => "merge during operational state",
            Self::MergeInGather => "merge during gather state",
            Self::MergeDuringJoin => "merge during join",
            Self::JoinInOperational => "join during operational state",
            Self::JoinInCommit => "join during commit state",
            Self::JoinInRecovery => "join during recovery",
            Self::InterfaceChange => "interface change",
        }
    }
}

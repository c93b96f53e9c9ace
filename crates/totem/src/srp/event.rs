//! What happened, for logs, statistics and the simulator's table; typed, so that nobody parses sentences.

use ferrosync_wire::{DecodeError, Duration, NodeId, RingId};

use super::seq::Seq;
use super::state::{GatherReason, MembStateKind};
use super::trace::TokenTrace;

/// One thing worth telling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SrpEvent {
    /// The membership state changed.
    State {
        /// Where it was.
        from: MembStateKind,
        /// Where it is.
        to: MembStateKind,
        /// The ring that this node belongs to or forms.
        ring: RingId,
        /// For GATHER: why.
        reason: Option<GatherReason>,
    },
    /// A ring was installed.
    Formed {
        /// The ring.
        ring: RingId,
        /// Who came.
        joined: Vec<NodeId>,
        /// Who is gone.
        left: Vec<NodeId>,
        /// Those among `left` that did not say goodbye.
        failed: Vec<NodeId>,
    },
    /// No token for the whole token timeout.
    TokenLost {
        /// The state it was lost in.
        state: MembStateKind,
        /// How long none was seen.
        silence: Duration,
        /// Where it was last, if it was ever here.
        trace: Option<TokenTrace>,
    },
    /// Much of the token timeout passed without a token.
    TokenWarning {
        /// How long none was seen.
        silence: Duration,
    },
    /// Consensus took too long; these are failed now.
    Silent(Vec<NodeId>),
    /// More than [`CONTINUOUS_GATHER_MAX`] attempts in a row found no consensus: something keeps packets away.
    CannotForm,
    /// A member asks for messages that it misses.
    RetransmitList(Vec<Seq>),
    /// This node cannot receive and takes itself out.
    FailedToReceive,
    /// The process did not run for this long; what waits on the sockets is stale.
    Paused(Duration),
    /// A join in a batch behind which a token waits was dropped.
    JoinDiscardedInFlush(NodeId),
    /// A leave in a batch behind which a token waits was dropped.
    LeaveDiscardedInFlush(NodeId),
    /// A node says goodbye.
    LeaveReceived(NodeId),
    /// A frame that is no message.
    Malformed(DecodeError),
    /// A frame in the byte order of a big-endian machine (`docs/deviations.md`, D-08).
    ForeignByteOrder,
}

/// Gathers in a row without consensus that need no explanation (`totem.h:MAX_NO_CONT_GATHER`, corosync v3.1.7).
pub const CONTINUOUS_GATHER_MAX: u32 = 3;

//! What checkers are shown.

use bytes::Bytes;
use ferrosync_executive::Node;
use ferrosync_executive::core::QuorumView;
use ferrosync_executive::output::LibMessage;
use ferrosync_totem::pg::GroupMessage;
use ferrosync_totem::srp::Output;
use ferrosync_wire::{ConnId, Instant, NodeId, RingSeq};

/// One thing that a node did, or that was done to it.
#[derive(Clone, Copy, Debug)]
pub enum Observation<'a> {
    /// Its process started.
    Booted,
    /// Its process ended, in whatever way.
    Stopped,
    /// The disk holds this ring sequence number now.
    Stored(RingSeq),
    /// A frame left through its sockets.
    Sent(&'a Bytes),
    /// An effect of its ring protocol, in order.
    Ring(&'a Output),
    /// A message made of delivered frames.
    Message(&'a GroupMessage),
    /// Its services are synchronised.
    Ready,
    /// A client got a message.
    ToClient(&'a LibMessage, Timing),
    /// A client's request was taken by the node.
    Request {
        /// Whose.
        conn: ConnId,
        /// The whole request.
        message: &'a [u8],
    },
    /// A client process was let in.
    ClientUp {
        /// Its connection.
        conn: ConnId,
        /// The process.
        pid: u32,
    },
    /// A client process is gone.
    ClientDown(ConnId),
    /// Everything that one input caused was carried out.
    TurnEnded {
        /// The node afterwards.
        node: &'a Node,
        /// Frames that it sent in this turn, each counted once per receiver.
        frames: usize,
        /// What it believes of its quorum.
        quorum: &'a QuorumView,
    },
}

/// When a client got what was meant for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timing {
    /// As soon as the node said it.
    Now,
    /// It had no room before.
    Late,
}

/// Who did it, and where it stands.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Virtual time.
    pub at: Instant,
    /// Who.
    pub node: NodeId,
    /// The ring that it installed last.
    pub ring: RingKey,
    /// The ring that it committed to last.
    pub forming: RingKey,
}

/// One ring of this world. Ring ids do not do: a node that lost its disk can form a second ring under an id that
/// was used before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct RingKey(pub u64);

impl RingKey {
    /// Of a node that has not installed any.
    pub const NONE: Self = Self(0);
}

//! What the protocol asks of its driver, in the order in which it must take effect.

use bytes::Bytes;
use ferrosync_wire::{NodeId, RingId, RingSeq};

use super::event::SrpEvent;
use super::seq::Seq;

/// What a driver hands in.
#[derive(Debug)]
pub enum Input {
    /// One received frame.
    Packet {
        /// The frame; message payloads delivered later are slices of it.
        frame: Bytes,
        /// Whether a token waits behind it.
        order: RxOrder,
    },
    /// All links were set up: start to gather.
    LinksReady,
}

/// Where a frame stood among those waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RxOrder {
    /// In the order of arrival.
    Arrival,
    /// Drained because a token is waiting behind it; joins in here are stale and dropped.
    AheadOfToken,
}

/// One effect.
#[derive(Clone, Debug)]
pub enum Output {
    /// Send a frame.
    Transmit(Transmit),
    /// Must be durable before any later `Transmit` leaves.
    StoreRingSeq(RingSeq),
    /// A message in the ring's total order.
    Deliver(Delivered),
    /// The membership changes at this point of the order.
    ConfChg(ConfChg),
    /// The process was paused: throw away what waits on the sockets.
    DiscardReceived,
    /// A node outside this ring was heard; only after [`super::Srp::admit_only`].
    Stranger(NodeId),
    /// The token that [`super::Srp::request_token_event`] asked for has been passed on.
    TokenPassed,
    /// Something worth telling.
    Event(SrpEvent),
}

/// A frame to be sent.
#[derive(Clone, Debug)]
pub struct Transmit {
    /// To whom.
    pub to: Destination,
    /// Over which links, where there are several.
    pub ways: Ways,
    /// The frame.
    pub frame: Bytes,
}

/// Who gets a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Every other configured node.
    Ring,
    /// One other node.
    Node(NodeId),
}

/// Over which links a frame goes, where there are several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ways {
    /// Those that the transport has chosen.
    Chosen,
    /// All that work: the frame is sent again, or belongs to a change of the membership, so the chosen ones may not. C
    /// knows one way only (D-64).
    All,
}

/// One ordered message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// Its place in the order of the ring it was sent on.
    pub seq: Seq,
    /// Who sent it first.
    pub from: NodeId,
    /// What [`super::Srp::mcast`] was given.
    pub payload: Bytes,
}

/// A change of membership.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfChg {
    /// Which of the two that make up a change.
    pub kind: ConfChgKind,
    /// The new ring, in both kinds.
    pub ring: RingId,
    /// Transitional: those who come along from the old ring. Regular: all members, ascending.
    pub members: Vec<NodeId>,
    /// Transitional: those who do not come along.
    pub left: Vec<NodeId>,
    /// Regular: those who were not in the old ring.
    pub joined: Vec<NodeId>,
}

/// The two halves of a change in extended virtual synchrony.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfChgKind {
    /// The rest of the old ring, among its survivors.
    Transitional,
    /// The new ring.
    Regular,
}

//! What must hold of everything that comes out of the ring protocol.

use ferrosync_totem::srp::{ConfChg, ConfChgKind, Destination, Output, Transmit};
use ferrosync_wire::totem::{FRAME_MAX, Message};
use ferrosync_wire::{NodeId, RingId, RingSeq};

/// Looks on.
#[derive(Debug)]
pub(super) struct Watch {
    me: NodeId,
    stored: RingSeq,
    /// Number of the message delivered last on this ring, if there was one.
    delivered: Option<u32>,
    between: Between,
}

/// Which half of a change came last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Between {
    /// The regular one: messages of a ring are in order and without gaps.
    No,
    /// The transitional one, of this ring: what is left of the old ring may have gaps.
    Change(RingId),
}

impl Watch {
    pub(super) const fn new(me: NodeId, stored: RingSeq) -> Self {
        Self {
            me,
            stored,
            delivered: None,
            between: Between::No,
        }
    }

    pub(super) fn see(&mut self, output: &Output) {
        match output {
            Output::Transmit(transmit) => self.transmitted(transmit),
            Output::StoreRingSeq(seq) => {
                assert!(*seq > self.stored, "{seq} after {}", self.stored);
                self.stored = *seq;
            }
            Output::Deliver(message) => self.delivered(message.seq.0),
            Output::ConfChg(change) => self.changed(change),
            Output::DiscardReceived
            | Output::Stranger(_)
            | Output::TokenPassed
            | Output::Event(_) => {}
        }
    }

    fn transmitted(&self, transmit: &Transmit) {
        assert!(transmit.frame.len() <= FRAME_MAX, "too long to be read");
        if let Destination::Node(node) = transmit.to {
            assert_ne!(node, self.me, "what is for this node stays here");
        }
        let Ok((_, message)) = Message::parse(&transmit.frame) else {
            panic!("sent, but cannot be parsed: {:x?}", &transmit.frame[..]);
        };
        let ring = match &message {
            Message::OrfToken(token) => token.ring,
            Message::CommitToken(token) => token.ring,
            Message::Mcast(..)
            | Message::Join(_)
            | Message::MergeDetect(_)
            | Message::TokenHoldCancel(_) => return,
        };
        assert!(ring.seq <= self.stored, "{ring} is not durable yet");
    }

    fn delivered(&mut self, seq: u32) {
        if let Some(before) = self.delivered {
            let step = seq.wrapping_sub(before);
            match self.between {
                Between::No => assert_eq!(step, 1, "{seq} after {before}"),
                Between::Change(_) => assert!((1..=1 << 14).contains(&step)),
            }
        }
        self.delivered = Some(seq);
    }

    fn changed(&mut self, change: &ConfChg) {
        for list in [&change.members, &change.left, &change.joined] {
            assert!(list.is_sorted_by(|a, b| a < b), "{change:?}");
        }
        match (change.kind, self.between) {
            (ConfChgKind::Transitional, Between::No) => {
                assert!(change.members.iter().all(|n| !change.left.contains(n)));
                self.between = Between::Change(change.ring);
            }
            (ConfChgKind::Regular, Between::Change(ring)) => {
                assert_eq!(ring, change.ring);
                assert_eq!(ring.seq, self.stored);
                assert!(change.members.contains(&self.me), "{change:?}");
                assert!(change.joined.iter().all(|n| change.members.contains(n)));
                self.between = Between::No;
                self.delivered = None;
            }
            (ConfChgKind::Transitional | ConfChgKind::Regular, _) => {
                panic!("{change:?} in {:?}", self.between)
            }
        }
    }
}

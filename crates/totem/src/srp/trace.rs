//! Where the token was last: what an administrator wants to know when it is lost.

use ferrosync_wire::{Duration, Instant, NodeId};

use super::Seq;

/// The token's way as this node saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenTrace {
    /// Who sent it to this node.
    pub from: NodeId,
    /// How long ago that was.
    pub ago: Duration,
    /// The highest message number in it when it left.
    pub seq: Seq,
    /// To whom this node sent it.
    pub to: NodeId,
    /// The latest message beyond that number: its sender had the token then.
    pub beyond: Option<(NodeId, Seq)>,
}

/// What is remembered of the last visit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Visit {
    pub(super) from: NodeId,
    pub(super) at: Instant,
    pub(super) seq: Seq,
    pub(super) to: NodeId,
    pub(super) beyond: Option<(NodeId, Seq)>,
}

impl Visit {
    /// A message of the ring: beyond what the token counted, it shows who has it now.
    pub(super) fn see(&mut self, sender: NodeId, seq: Seq) {
        let latest = self.beyond.map_or(self.seq, |(_, seq)| seq);
        if latest.before(seq) {
            self.beyond = Some((sender, seq));
        }
    }

    pub(super) fn trace(&self, now: Instant) -> TokenTrace {
        TokenTrace {
            from: self.from,
            ago: now.since(self.at),
            seq: self.seq,
            to: self.to,
            beyond: self.beyond,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_beyond_the_token_shows_who_has_it() {
        let mut visit = Visit {
            from: NodeId(1),
            at: Instant::default(),
            seq: Seq(10),
            to: NodeId(3),
            beyond: None,
        };
        visit.see(NodeId(1), Seq(9));
        assert_eq!(visit.beyond, None, "sent before the token left");
        visit.see(NodeId(3), Seq(12));
        visit.see(NodeId(3), Seq(11));
        assert_eq!(visit.beyond, Some((NodeId(3), Seq(12))));
        visit.see(NodeId(4), Seq(13));
        assert_eq!(visit.beyond, Some((NodeId(4), Seq(13))));
    }
}

//! Building the frames that this node sends.

use bytes::{Bytes, BytesMut};
use ferrosync_wire::totem::{
    CommitToken, ENCAPSULATED, Header, Join, Kind, Mcast, MergeDetect, NOT_ENCAPSULATED, OrfToken,
    TokenHoldCancel, frame,
};
use ferrosync_wire::{Encode, Instant, NodeId, Writer};

use super::output::{Destination, Output, Transmit, Ways};
use super::{Guarantee, Seq, Srp, Timer};

impl Srp {
    /// Sends a control frame to everybody, this node included: a node alone agrees with itself, and the
    /// representative cancels its own hold, by their own frames.
    pub(super) fn send_to_all(&mut self, now: Instant, bytes: Vec<u8>, ways: Ways) {
        let frame = Bytes::from(bytes);
        self.loop_back(now, frame.clone());
        self.transmit(Destination::Ring, frame, ways);
    }

    pub(super) fn send_to(&mut self, now: Instant, to: NodeId, frame: Bytes, ways: Ways) {
        if to == self.me {
            self.loop_back(now, frame);
        } else {
            self.transmit(Destination::Node(to), frame, ways);
        }
    }

    pub(super) fn transmit(&mut self, to: Destination, frame: Bytes, ways: Ways) {
        self.push(Output::Transmit(Transmit { to, ways, frame }));
    }

    fn loop_back(&mut self, now: Instant, frame: Bytes) {
        self.loopback.push_back(frame);
        self.timers.set(Timer::Loopback, now);
    }

    pub(super) fn join_frame(&self) -> Vec<u8> {
        let header = Header::new(Kind::Join, 0, self.me);
        let join = Join {
            system_from: self.me,
            ring_seq: self.ring.seq,
            proc_list: self.proposal.proc.as_slice().to_vec(),
            failed_list: self.proposal.failed.as_slice().to_vec(),
        };
        frame(header, &join)
    }

    /// A join from nobody in which this node counts as failed, last in the list (corosync
    /// `totemsrp.c:memb_leave_message_send`, v3.1.7).
    pub(super) fn leave_frame(&self) -> Vec<u8> {
        let header = Header::new(Kind::Join, 0, NodeId(0));
        let mut proc_list = self.proposal.proc.clone();
        proc_list.remove(self.me);
        let mut failed = self.proposal.failed.clone();
        failed.remove(self.me);
        let mut failed_list = failed.as_slice().to_vec();
        failed_list.push(self.me);
        let leave = Join {
            system_from: self.me,
            ring_seq: self.ring.seq,
            proc_list: proc_list.as_slice().to_vec(),
            failed_list,
        };
        frame(header, &leave)
    }

    pub(crate) fn merge_detect_frame(&self) -> Vec<u8> {
        let header = Header::new(Kind::MergeDetect, 0, self.me);
        let body = MergeDetect {
            system_from: self.me,
            ring: self.ring,
        };
        frame(header, &body)
    }

    pub(super) fn hold_cancel_frame(&self) -> Vec<u8> {
        let header = Header::new(Kind::TokenHoldCancel, 0, self.me);
        frame(header, &TokenHoldCancel { ring: self.ring })
    }

    pub(super) fn commit_token_frame(&self, token: &CommitToken) -> Bytes {
        frame(self.token_header(Kind::CommitToken), token).into()
    }

    pub(super) fn orf_token_frame(&self, token: &OrfToken) -> Bytes {
        frame(self.token_header(Kind::OrfToken), token).into()
    }

    /// A token names whom it is for; knet's receivers look at it.
    const fn token_header(&self, kind: Kind) -> Header {
        Header {
            target: self.target,
            ..Header::new(kind, 0, self.me)
        }
    }

    /// Writes the header in front of a queued frame when its place in the order is known.
    pub(super) fn complete_frame(
        &mut self,
        mut queued: BytesMut,
        guarantee: Guarantee,
        seq: Seq,
    ) -> Bytes {
        let mcast = self.next_mcast(seq, guarantee as i32);
        self.scratch.clear();
        let mut w = Writer::new(&mut self.scratch);
        Header::new(Kind::Mcast, NOT_ENCAPSULATED, self.me).encode(&mut w);
        mcast.encode(&mut w);
        queued[..Mcast::LEN].copy_from_slice(&self.scratch);
        queued.freeze()
    }

    /// A message of the old ring, whole, as the payload of one of the new.
    pub(super) fn encapsulate(&mut self, inner: &Bytes, seq: Seq) -> Bytes {
        let mcast = self.next_mcast(seq, 0);
        let mut bytes = Vec::with_capacity(Mcast::LEN + inner.len());
        let mut w = Writer::new(&mut bytes);
        Header::new(Kind::Mcast, ENCAPSULATED, self.me).encode(&mut w);
        mcast.encode(&mut w);
        w.bytes(inner);
        bytes.into()
    }

    const fn next_mcast(&mut self, seq: Seq, guarantee: i32) -> Mcast {
        let this_seqno = self.global_seqno;
        self.global_seqno = this_seqno.wrapping_add(1);
        Mcast {
            system_from: self.me,
            seq: seq.0,
            this_seqno,
            ring: self.ring,
            node_id: 0,
            guarantee,
        }
    }
}

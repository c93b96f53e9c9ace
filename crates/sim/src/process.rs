//! A client process of a simulated machine: what libcpg and a program on top of it would do.

use std::collections::VecDeque;

use ferrosync_executive::output::{FlowControl, LibKind, LibMessage};
use ferrosync_executive::pump::WouldBlock;
use ferrosync_wire::ipc::cpg::Request;
use ferrosync_wire::ipc::{CsError, ResponseHeader};
use ferrosync_wire::names::GroupName;
use ferrosync_wire::{ConnId, Decode, Encode, NodeId, Reader};

/// One process with one connection to the cpg service.
#[derive(Debug)]
pub struct Process {
    /// Its connection.
    pub conn: ConnId,
    /// Its number, unique in the world.
    pub pid: u32,
    /// The group that it joins.
    pub group: GroupName,
    /// How far it has come.
    pub stage: Stage,
    /// How it reads its events.
    pub pace: Pace,
    /// Whether it is held back.
    pub flow: FlowControl,
    /// Requests that wait for the node, oldest first.
    pub waiting: VecDeque<Vec<u8>>,
    /// Number of its next message.
    pub next_number: u64,
    unread: VecDeque<LibMessage>,
    unread_bytes: usize,
}

/// How far a process has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It asked for a connection.
    Connecting,
    /// It has one.
    Connected,
    /// It asked to join its group.
    Joining,
    /// It is in the group.
    Joined,
    /// It asked to leave.
    Leaving,
    /// It has left and will end.
    Left,
}

/// How a process reads its events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// At once.
    Prompt,
    /// Now and then; its buffer may be full meanwhile.
    Slow,
}

impl Process {
    /// A process that is about to connect.
    #[must_use]
    pub fn new(conn: ConnId, pid: u32, group: GroupName, pace: Pace) -> Self {
        Self {
            conn,
            pid,
            group,
            stage: Stage::Connecting,
            pace,
            flow: FlowControl::Busy,
            waiting: VecDeque::new(),
            next_number: 0,
            unread: VecDeque::new(),
            unread_bytes: 0,
        }
    }

    /// Puts a message into the process's buffer, if there is room.
    pub(crate) fn receive(&mut self, message: &LibMessage) -> Result<(), WouldBlock> {
        if self.unread_bytes + message.len() > BUFFER_BYTES {
            return Err(WouldBlock);
        }
        self.unread_bytes += message.len();
        self.unread.push_back(message.clone());
        Ok(())
    }

    /// Reads everything that is there; says whether anything was.
    pub(crate) fn read(&mut self) -> bool {
        let any = !self.unread.is_empty();
        self.unread_bytes = 0;
        for message in std::mem::take(&mut self.unread) {
            if message.kind == LibKind::Response {
                self.on_answer(&message);
            }
        }
        any
    }

    /// Whether something waits to be read.
    #[must_use]
    pub fn has_unread(&self) -> bool {
        !self.unread.is_empty()
    }

    fn on_answer(&mut self, message: &LibMessage) {
        let bytes = whole(message);
        let Ok(header) = ResponseHeader::decode(&mut Reader::new(&bytes)) else {
            return;
        };
        self.stage = match (self.stage, header.status) {
            (Stage::Joining, Ok(())) => Stage::Joined,
            (Stage::Joining, Err(CsError::TryAgain | CsError::Exist)) => Stage::Connected,
            (Stage::Leaving, Ok(())) => Stage::Left,
            (stage, _) => stage,
        };
    }

    /// Asks to join.
    pub(crate) fn join(&mut self) {
        self.stage = Stage::Joining;
        let request = Request::Join {
            group: self.group.clone(),
            pid: self.pid,
            flags: 0,
        };
        self.waiting.push_back(request.to_vec());
    }

    /// Asks to leave.
    pub(crate) fn leave(&mut self) {
        self.stage = Stage::Leaving;
        let request = Request::Leave {
            group: self.group.clone(),
            pid: self.pid,
        };
        self.waiting.push_back(request.to_vec());
    }

    /// Sends its next message, `size` bytes long but at least [`Body::HEAD`].
    pub(crate) fn mcast(&mut self, node: NodeId, size: usize) {
        let body = Body {
            node,
            pid: self.pid,
            number: self.next_number,
        };
        self.next_number += 1;
        let data = body.bytes(size);
        let request = Request::Mcast {
            guarantee: 2,
            data: &data,
        };
        self.waiting.push_back(request.to_vec());
    }
}

/// What a message of the workload says: who sent it, which of its messages it is, and bytes that follow from that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Body {
    /// The sender's node.
    pub node: NodeId,
    /// The sender.
    pub pid: u32,
    /// Which of its messages, from 0.
    pub number: u64,
}

/// A message that does not say what its sender said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damaged(pub String);

impl Body {
    /// Shortest message.
    pub const HEAD: usize = 24;
    /// Longest message, as clients may send it.
    pub const MAX: usize = 1 << 20;

    /// The message, `size` bytes long but at least [`Self::HEAD`].
    #[must_use]
    pub fn bytes(self, size: usize) -> Vec<u8> {
        let size = size.clamp(Self::HEAD, Self::MAX);
        let mut out = Vec::with_capacity(size);
        out.extend_from_slice(&self.node.0.to_le_bytes());
        out.extend_from_slice(&self.pid.to_le_bytes());
        out.extend_from_slice(&self.number.to_le_bytes());
        out.extend_from_slice(&(size as u64).to_le_bytes());
        self.fill(&mut out, size);
        out
    }

    /// Reads a message back.
    pub fn parse(bytes: &[u8]) -> Result<Self, Damaged> {
        let damaged = |what: &str| Damaged(format!("{what} in {} bytes", bytes.len()));
        let mut r = Reader::new(bytes);
        let mut head = || {
            let body = Self {
                node: NodeId(r.u32("node")?),
                pid: r.u32("pid")?,
                number: r.u64("number")?,
            };
            Ok::<_, ferrosync_wire::DecodeError>((body, r.u64("size")?))
        };
        let (body, size) = head().map_err(|_| damaged("no head"))?;
        if size != bytes.len() as u64 {
            return Err(damaged("another size"));
        }
        let mut expected = Vec::with_capacity(bytes.len());
        expected.extend_from_slice(&bytes[..Self::HEAD]);
        body.fill(&mut expected, bytes.len());
        if expected == bytes {
            Ok(body)
        } else {
            Err(damaged("other bytes"))
        }
    }

    /// Blocks that differ from message to message and within one, so that no piece fits anywhere else.
    fn fill(self, out: &mut Vec<u8>, size: usize) {
        let mut block = self
            .number
            .wrapping_mul(0x9E37_79B9_7F4A_7C15)
            .wrapping_add(u64::from(self.pid) << 32);
        while out.len() < size {
            block = block.wrapping_mul(0xD134_2543_DE82_EF95).wrapping_add(1);
            let bytes = block.to_be_bytes();
            let take = bytes.len().min(size - out.len());
            out.extend_from_slice(&bytes[..take]);
        }
    }
}

/// Head and body of a message in one.
pub(crate) fn whole(message: &LibMessage) -> Vec<u8> {
    let mut bytes = message.head.as_slice().to_vec();
    bytes.extend_from_slice(&message.body);
    bytes
}

/// What a client's ring buffer holds: one message of the largest size and some.
const BUFFER_BYTES: usize = 3 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_survives_and_damage_shows() {
        let body = Body {
            node: NodeId(2),
            pid: 77,
            number: 5,
        };
        for size in [0, Body::HEAD, 25, 31, 32, 5_000] {
            let bytes = body.bytes(size);
            assert_eq!(Body::parse(&bytes), Ok(body));
            for at in [0, 8, 16, bytes.len() - 1] {
                let mut other = bytes.clone();
                other[at] ^= 1;
                assert_ne!(Body::parse(&other), Ok(body));
            }
            assert!(Body::parse(&bytes[..bytes.len() - 1]).is_err());
        }
    }
}

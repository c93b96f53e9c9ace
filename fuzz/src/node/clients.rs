//! Client processes as a node's host sees them.

use std::collections::{BTreeMap, VecDeque};

use ferrosync_executive::output::{LibKind, LibMessage};
use ferrosync_wire::ipc::ResponseHeader;
use ferrosync_wire::{ConnId, Decode, Reader};

/// All clients, by connection.
#[derive(Debug, Default)]
pub(super) struct Clients(BTreeMap<ConnId, Client>);

/// One client.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) stage: Stage,
    pub(super) reads: Reads,
    /// Requests that the node has not taken.
    pub(super) waiting: VecDeque<Vec<u8>>,
    /// Requests that the node took.
    taken: usize,
    /// Answers that it gave.
    pub(super) answered: usize,
}

/// How far a client's connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Connecting,
    Open,
    /// By the node, at once or later.
    Closed,
}

/// Whether a client empties its rings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reads {
    Yes,
    No,
}

impl Clients {
    pub(super) fn add(&mut self, conn: ConnId) {
        let client = Client {
            stage: Stage::Connecting,
            reads: Reads::Yes,
            waiting: VecDeque::new(),
            taken: 0,
            answered: 0,
        };
        self.0.insert(conn, client);
    }

    pub(super) fn get(&self, conn: ConnId) -> Option<&Client> {
        self.0.get(&conn)
    }

    pub(super) fn get_mut(&mut self, conn: ConnId) -> Option<&mut Client> {
        self.0.get_mut(&conn)
    }

    pub(super) fn remove(&mut self, conn: ConnId) {
        self.0.remove(&conn);
    }

    /// Those with requests that the node has not taken.
    pub(super) fn waiting(&self) -> Vec<ConnId> {
        let waiting = self
            .0
            .iter()
            .filter(|(_, client)| !client.waiting.is_empty());
        waiting.map(|(conn, _)| *conn).collect()
    }

    /// One of the clients, chosen by any number.
    pub(super) fn choose(&self, number: u8) -> Option<ConnId> {
        let at = usize::from(number).checked_rem(self.0.len())?;
        self.0.keys().nth(at).copied()
    }

    pub(super) fn set_stage(&mut self, conn: ConnId, stage: Stage) {
        if let Some(client) = self.get_mut(conn) {
            client.stage = stage;
        }
    }
}

impl Client {
    /// The node takes the oldest request.
    pub(super) fn take(&mut self) -> Option<Vec<u8>> {
        let request = self.waiting.pop_front()?;
        self.taken += 1;
        Some(request)
    }

    /// The client reads a message.
    pub(super) fn receive(&mut self, message: &LibMessage) {
        let bytes = [message.head.as_slice(), &message.body].concat();
        let header = ResponseHeader::decode(&mut Reader::new(&bytes));
        let header = header.expect("every message to a client has a header");
        assert_eq!(header.size as usize, bytes.len(), "{header:?}");
        if message.kind == LibKind::Response {
            self.answered += 1;
            assert!(self.answered <= self.taken, "an answer nobody asked for");
        }
    }
}

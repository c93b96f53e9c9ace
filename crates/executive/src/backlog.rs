//! Events that wait for a client to make room for them, and how patient the node is with it.
//!
//! A ring can be faster than a program that reads what it delivers. While such a program reads on, it keeps its
//! connection, and is asked to send nothing itself meanwhile. One that does not read loses its connection when much
//! waits for it: C would keep everything, until memory ends (`docs/deviations.md`, D-06).

use core::time::Duration;
use std::collections::VecDeque;

use ferrosync_wire::ConnId;
use ferrosync_wire::time::Instant;

use crate::log::{Priority, Subsystem};
use crate::node::Node;
use crate::output::{LibMessage, NodeOutput};

/// What waits for one client, oldest first.
#[derive(Debug)]
pub(crate) struct Backlog {
    events: VecDeque<LibMessage>,
    bytes: usize,
    /// When something began to wait for the client.
    since: Instant,
    /// When it was last seen to read since then.
    read: Option<Instant>,
    pace: Pace,
}

/// Whether a client keeps up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pace {
    Good,
    Lags,
}

/// A client does not read what it asked for, or far slower than it arrives; its connection is to be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooSlow;

impl Backlog {
    /// Most bytes that wait for a client that does not read.
    pub(crate) const UNREAD_MAX: usize = 64 << 20;
    /// Most bytes that wait for a client that does.
    pub(crate) const BYTES_MAX: usize = 512 << 20;
    /// A client reads if it was seen to within this time; it is given as long to begin.
    const PATIENCE: Duration = Duration::from_secs(2);
    /// How often is looked whether it reads. That there is room again tells of fast readers only: it is said when much
    /// of the ring buffer is free.
    pub(crate) const LOOK: Duration = Duration::from_millis(500);
    /// A client lags from this many bytes on,
    const LAGS_FROM: usize = 8 << 20;
    /// until no more than these wait.
    const GOOD_AGAIN: usize = 2 << 20;

    pub(crate) const fn new() -> Self {
        Self {
            events: VecDeque::new(),
            bytes: 0,
            since: Instant::from_nanos(0),
            read: None,
            pace: Pace::Good,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.events.len()
    }

    /// Adds an event.
    pub(crate) fn push(&mut self, now: Instant, message: LibMessage) -> Result<(), TooSlow> {
        if self.events.is_empty() {
            (self.since, self.read) = (now, None);
        }
        if self.is_too_much(now, message.len()) {
            return Err(TooSlow);
        }
        self.bytes += message.len();
        self.events.push_back(message);
        if self.bytes > Self::LAGS_FROM {
            self.pace = Pace::Lags;
        }
        Ok(())
    }

    /// Takes the oldest event.
    pub(crate) fn pop(&mut self) -> Option<LibMessage> {
        let message = self.events.pop_front()?;
        self.bytes -= message.len();
        if self.bytes <= Self::GOOD_AGAIN {
            self.pace = Pace::Good;
        }
        Some(message)
    }

    /// Puts back an event that still found no room.
    pub(crate) fn put_back(&mut self, message: LibMessage) {
        self.bytes += message.len();
        self.events.push_front(message);
    }

    /// Whether so many bytes more are too many, by what is known of the client now.
    pub(crate) fn is_too_much(&self, now: Instant, len: usize) -> bool {
        let max = if self.events.is_empty() || self.is_patient(now) {
            Self::BYTES_MAX
        } else {
            Self::UNREAD_MAX
        };
        self.bytes + len > max
    }

    /// Notes that the client has read something.
    pub(crate) fn note_read(&mut self, now: Instant) {
        self.read = Some(now);
    }

    /// Whether the client is to send nothing until it has read. Never so for one that does not read at all: it may be
    /// waiting for nothing but to send.
    pub(crate) fn holds_sender_back(&self, now: Instant) -> bool {
        let reads = |read| now.since(read) < Self::PATIENCE;
        self.pace == Pace::Lags && self.read.is_some_and(reads)
    }

    fn is_patient(&self, now: Instant) -> bool {
        now.since(self.read.unwrap_or(self.since)) < Self::PATIENCE
    }
}

impl Node {
    /// Whether events for this client must queue up behind others.
    #[must_use]
    pub fn is_holding(&self, conn: ConnId) -> bool {
        self.core.clients.is_holding(conn)
    }

    /// Whether [`Self::hold_back`] would end the connection, by what is known of the client now.
    #[must_use]
    pub fn is_too_much(&self, message: &LibMessage) -> bool {
        self.core.clients.is_too_much(self.core.now, message)
    }

    /// Keeps a message that found no room. A client that does not read loses its connection in the end.
    pub fn hold_back(&mut self, message: LibMessage) {
        let conn = message.conn;
        if self.core.clients.hold_back(self.core.now, message).is_err() {
            let text = format!("client {} does not read its events, closing it", conn.0);
            self.log(Subsystem::Main, Priority::Warning, text);
            self.core.push(NodeOutput::LibClose(conn));
            self.lib_closed(conn);
        }
    }

    /// The oldest event held back for a client.
    pub fn next_held(&mut self, conn: ConnId) -> Option<LibMessage> {
        self.core.clients.next_held(conn)
    }

    /// Puts back an event that still found no room.
    pub fn put_back(&mut self, message: LibMessage) {
        self.core.clients.put_back(message);
    }

    /// Clients for whom something waits: whether they read is to be noted now.
    #[must_use]
    pub fn awaited(&self) -> Vec<ConnId> {
        self.core.clients.awaited().collect()
    }

    /// A client has read something, not necessarily enough for more to be written.
    pub fn note_read(&mut self, conn: ConnId) {
        self.core.clients.note_read(self.core.now, conn);
    }

    /// Only the host sees what clients read.
    pub(crate) fn look_at_readers(&mut self) {
        self.core.clients.note_look(self.core.now);
        self.core.push(NodeOutput::LookAtReaders);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use ferrosync_wire::{ConnId, ServiceId};

    use super::*;
    use crate::output::{FlowControl, Head, LibInput, LibKind, NodeInput};
    use crate::testing::{Client, Cluster, Reads};

    fn message(len: usize) -> LibMessage {
        LibMessage {
            conn: ConnId(1),
            kind: LibKind::Event,
            head: Head::EMPTY,
            body: Bytes::from(vec![0; len]),
        }
    }

    /// Fills with events of 1 MiB until it refuses; how many it took.
    fn fill(backlog: &mut Backlog, now: Instant, most: usize) -> usize {
        let event = message(1 << 20);
        (0..most)
            .take_while(|_| backlog.push(now, event.clone()).is_ok())
            .count()
    }

    const START: Instant = Instant::from_nanos(0);
    const LATER: Instant = Instant::from_nanos(3_000_000_000);

    #[test]
    fn a_client_that_reads_is_given_more_room() {
        let mut backlog = Backlog::new();
        assert_eq!(fill(&mut backlog, START, 100), 100);
        assert_eq!(fill(&mut backlog, LATER, 1), 0, "it has not read");
        let first = backlog.pop().expect("something waits");
        backlog.note_read(LATER);
        backlog.put_back(first);
        assert_eq!(fill(&mut backlog, LATER, 1000), 412);
    }

    #[test]
    fn a_client_that_never_reads_is_stuck_at_less() {
        let mut backlog = Backlog::new();
        assert_eq!(fill(&mut backlog, START, 1), 1);
        assert_eq!(fill(&mut backlog, LATER, 1000), 63);
        while backlog.pop().is_some() {}
        let later = LATER + Duration::from_secs(3600);
        assert_eq!(fill(&mut backlog, later, 1), 1, "its patience starts anew");
    }

    /// The ring delivers this many events of 1 MiB to a client that never has room.
    fn deliver(cluster: &mut Cluster, client: Client, count: usize) {
        let conn = client.conn;
        let event = LibMessage {
            conn,
            ..message(1 << 20)
        };
        let node = cluster.node_mut(1);
        let first = usize::from(!node.is_holding(conn));
        if first > 0 {
            node.hold_back(event.clone());
        }
        for _ in first..count {
            node.core.push(NodeOutput::LibSend(event.clone()));
        }
        cluster.drain(1);
    }

    fn level(cluster: &Cluster, client: Client) -> FlowControl {
        let client = cluster.node(1).core().clients().get(client.conn);
        client.expect("it is connected").flow_control
    }

    /// A quarter of its ring buffer takes it far longer than anybody is patient.
    #[test]
    fn a_client_that_reads_slowly_is_held_back_and_keeps_its_connection() {
        let mut cluster = Cluster::start(&[1]);
        let client = cluster.connect(1, ServiceId::QUORUM);
        cluster.read_slowly(client, Reads::Slowly);
        deliver(&mut cluster, client, 9);
        cluster.run_until("it is held back", |c| level(c, client) == FlowControl::Busy);
        for _ in 0..40 {
            cluster.run_for(Backlog::PATIENCE / 4);
            assert_eq!(level(&cluster, client), FlowControl::Busy);
        }
        deliver(&mut cluster, client, 100);
        assert!(!cluster.is_closed(client));
        cluster.read_slowly(client, Reads::Nothing);
        cluster.run_until("it may send", |c| level(c, client) == FlowControl::Off);
        deliver(&mut cluster, client, 1);
        assert!(cluster.is_closed(client), "it reads no more");
    }

    /// What is read between two looks counts before a connection ends.
    #[test]
    fn a_client_is_looked_at_before_its_connection_ends() {
        for (reads, closed) in [(Reads::Slowly, false), (Reads::Nothing, true)] {
            let mut cluster = Cluster::start(&[1]);
            let client = cluster.connect(1, ServiceId::QUORUM);
            deliver(&mut cluster, client, 63);
            cluster.read_slowly(client, reads);
            cluster.now = cluster.now + Backlog::PATIENCE;
            deliver(&mut cluster, client, 3);
            assert_eq!(cluster.is_closed(client), closed, "{reads:?}");
        }
    }

    /// Nobody is asked about clients that keep up.
    #[test]
    fn there_is_nothing_to_look_at_when_nothing_waits() {
        let mut cluster = Cluster::start(&[1]);
        let client = cluster.connect(1, ServiceId::QUORUM);
        let looks = |c: &Cluster| c.node(1).core().clients().look_at().is_some();
        assert!(!looks(&cluster));
        deliver(&mut cluster, client, 1);
        assert!(looks(&cluster));
        cluster.run_for(Backlog::PATIENCE);
        assert!(looks(&cluster));
        cluster.read(client);
        cluster.run_for(Backlog::PATIENCE);
        assert!(!looks(&cluster));
    }

    /// On a quiet ring nothing else happens that would tell the client.
    #[test]
    fn a_client_that_has_caught_up_is_told_at_once() {
        let mut cluster = Cluster::start(&[1]);
        let client = cluster.connect(1, ServiceId::QUORUM);
        let conn = client.conn;
        let lag = |cluster: &mut Cluster| {
            for _ in 0..9 {
                let event = message(1 << 20);
                cluster.node_mut(1).hold_back(LibMessage { conn, ..event });
            }
            cluster.input(1, NodeInput::Lib(LibInput::Writable { conn }));
        };
        let level = |cluster: &Cluster| {
            let client = cluster.node(1).core().clients().get(conn);
            client.expect("it is connected").flow_control
        };
        lag(&mut cluster);
        cluster.read(client);
        assert_eq!(level(&cluster), FlowControl::Off);
        lag(&mut cluster);
        cluster.run_until("it is held back", |c| level(c) == FlowControl::Busy);
        cluster.read(client);
        assert_eq!(level(&cluster), FlowControl::Off);
        // One that stops reading may send again after a while.
        lag(&mut cluster);
        cluster.run_until("it is held back", |c| level(c) == FlowControl::Busy);
        cluster.run_until("it may send", |c| level(c) == FlowControl::Off);
    }

    #[test]
    fn a_client_that_lags_sends_when_it_has_caught_up() {
        let mut backlog = Backlog::new();
        fill(&mut backlog, START, 8);
        assert!(!backlog.holds_sender_back(START));
        fill(&mut backlog, START, 1);
        assert!(
            !backlog.holds_sender_back(START),
            "it may send before it reads"
        );
        backlog.note_read(START);
        assert!(backlog.holds_sender_back(START));
        assert!(!backlog.holds_sender_back(LATER), "it only sends");
        backlog.note_read(LATER);
        for left in (0..9).rev() {
            backlog.pop();
            assert_eq!(
                backlog.holds_sender_back(LATER),
                left > 2,
                "{left} MiB wait"
            );
        }
    }
}

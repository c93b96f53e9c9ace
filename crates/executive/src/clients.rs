//! Client connections as services see them.

use std::collections::BTreeMap;

use ferrosync_wire::time::Instant;
use ferrosync_wire::{ConnId, ServiceId};

use crate::backlog::{Backlog, TooSlow};
use crate::output::{Credentials, FlowControl, LibMessage};

/// All connections.
#[derive(Debug, Default)]
pub struct Clients {
    open: BTreeMap<ConnId, Client>,
    closed: u64,
    /// When to look next whether those read for whom something waits; none while nothing does.
    look_at: Option<Instant>,
}

/// One connection.
#[derive(Debug)]
pub struct Client {
    /// The service it uses.
    pub service: ServiceId,
    /// Who it is.
    pub who: Credentials,
    /// How far it is held back.
    pub flow_control: FlowControl,
    /// The program's name, as the kernel knows it.
    pub program: String,
    /// What was counted.
    pub stats: ClientStats,
    /// Events that its ring buffer had no room for.
    held: Backlog,
}

/// Counters of one connection, published under `stats.ipcs.service<S>.<pid>.<conn>`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientStats {
    /// Requests taken.
    pub requests: u64,
    /// Requests that no service has.
    pub invalid_requests: u64,
    /// Answers.
    pub responses: u64,
    /// Events.
    pub events: u64,
    /// Events that found no room at first.
    pub send_retries: u64,
    /// Requests that were left to the client for a while.
    pub recv_retries: u64,
    /// Changes of the flow control level.
    pub flow_control_changes: u64,
}

impl Clients {
    /// A connection that was let in.
    pub(crate) fn insert(
        &mut self,
        conn: ConnId,
        service: ServiceId,
        who: Credentials,
        program: &str,
        flow_control: FlowControl,
    ) {
        let client = Client {
            service,
            who,
            program: program.to_owned(),
            stats: ClientStats::default(),
            flow_control,
            held: Backlog::new(),
        };
        self.open.insert(conn, client);
    }

    /// A connection that is gone.
    pub(crate) fn remove(&mut self, conn: ConnId) -> Option<Client> {
        let client = self.open.remove(&conn)?;
        self.closed += 1;
        Some(client)
    }

    /// How many connections have ended.
    #[must_use]
    pub const fn closed(&self) -> u64 {
        self.closed
    }

    /// Counts something of a connection.
    pub(crate) fn count(&mut self, conn: ConnId, what: impl FnOnce(&mut ClientStats)) {
        if let Some(client) = self.open.get_mut(&conn) {
            what(&mut client.stats);
        }
    }

    /// Sets all counters to zero.
    pub(crate) fn clear_stats(&mut self) {
        for client in self.open.values_mut() {
            client.stats = ClientStats::default();
        }
    }

    /// A connection.
    #[must_use]
    pub fn get(&self, conn: ConnId) -> Option<&Client> {
        self.open.get(&conn)
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (ConnId, &mut Client)> {
        self.open.iter_mut().map(|(conn, client)| (*conn, client))
    }

    /// All connections, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = (ConnId, &Client)> {
        self.open.iter().map(|(conn, client)| (*conn, client))
    }

    /// Connections to one service, oldest first.
    pub fn of(&self, service: ServiceId) -> impl Iterator<Item = ConnId> + '_ {
        self.open
            .iter()
            .filter(move |(_, c)| c.service == service)
            .map(|(conn, _)| *conn)
    }

    /// Whether events for this client must queue up behind others.
    pub(crate) fn is_holding(&self, conn: ConnId) -> bool {
        self.open.get(&conn).is_some_and(|c| c.held.len() > 0)
    }

    /// Keeps an event until the client makes room.
    pub(crate) fn hold_back(&mut self, now: Instant, message: LibMessage) -> Result<(), TooSlow> {
        let Some(client) = self.open.get_mut(&message.conn) else {
            return Ok(());
        };
        client.held.push(now, message)?;
        client.stats.send_retries += 1;
        self.look_at.get_or_insert(now + Backlog::LOOK);
        Ok(())
    }

    /// When to look whether clients read.
    pub(crate) const fn look_at(&self) -> Option<Instant> {
        self.look_at
    }

    /// They are looked at now.
    pub(crate) fn note_look(&mut self, now: Instant) {
        let any = self.awaited().next().is_some();
        self.look_at = any.then_some(now + Backlog::LOOK);
    }

    /// Clients for whom something waits.
    pub(crate) fn awaited(&self) -> impl Iterator<Item = ConnId> + '_ {
        let held = self.open.iter().filter(|(_, c)| c.held.len() > 0);
        held.map(|(conn, _)| *conn)
    }

    /// Whether a message is more than may wait for a client that does not read.
    pub(crate) fn is_too_much(&self, now: Instant, message: &LibMessage) -> bool {
        let client = self.open.get(&message.conn);
        client.is_some_and(|c| c.held.is_too_much(now, message.len()))
    }

    /// The oldest event held back for a client.
    pub(crate) fn next_held(&mut self, conn: ConnId) -> Option<LibMessage> {
        self.open.get_mut(&conn)?.held.pop()
    }

    /// Puts back an event that still found no room.
    pub(crate) fn put_back(&mut self, message: LibMessage) {
        if let Some(client) = self.open.get_mut(&message.conn) {
            client.held.put_back(message);
        }
    }

    /// Notes that a client has read something.
    pub(crate) fn note_read(&mut self, now: Instant, conn: ConnId) {
        if let Some(client) = self.open.get_mut(&conn) {
            client.held.note_read(now);
        }
    }
}

impl Client {
    /// Events that wait for the client to read.
    #[must_use]
    pub fn held_events(&self) -> usize {
        self.held.len()
    }

    /// How far it is to be held back, when others are so far.
    pub(crate) fn level(&self, now: Instant, others: FlowControl) -> FlowControl {
        if self.held.holds_sender_back(now) {
            FlowControl::Busy
        } else {
            others
        }
    }
}

//! The table of connections, indexed by the low bits of their ids.

use ferrosync_wire::ConnId;

use super::conn::Conn;
use crate::handshake::Load;

/// All connections of a server. An id is `generation << 16 | slot`, so that it is found without a search and never
/// comes again.
#[derive(Debug, Default)]
pub(super) struct Conns {
    slots: Vec<Option<Conn>>,
    free: Vec<u16>,
    generation: u64,
}

impl Conns {
    /// Adds what `make` makes; `None` when no slot is left, and then it is not called.
    pub(super) fn insert(&mut self, make: impl FnOnce(ConnId) -> Conn) -> Option<ConnId> {
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => u16::try_from(self.slots.len()).ok()?,
        };
        self.generation += 1;
        let id = ConnId(self.generation << SLOT_BITS | u64::from(slot));
        if usize::from(slot) == self.slots.len() {
            self.slots.push(None);
        }
        self.slots[usize::from(slot)] = Some(make(id));
        Some(id)
    }

    pub(super) fn get(&self, id: ConnId) -> Option<&Conn> {
        let conn = self.slots.get(slot_of(id))?.as_ref()?;
        (conn.id == id).then_some(conn)
    }

    pub(super) fn get_mut(&mut self, id: ConnId) -> Option<&mut Conn> {
        let conn = self.slots.get_mut(slot_of(id))?.as_mut()?;
        (conn.id == id).then_some(conn)
    }

    pub(super) fn remove(&mut self, id: ConnId) -> Option<Conn> {
        self.get(id)?;
        let slot = slot_of(id);
        self.free.push(u16::try_from(slot).expect("sixteen bits"));
        self.slots[slot].take()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Conn> {
        self.slots.iter().flatten()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Conn> {
        self.slots.iter_mut().flatten()
    }

    /// Connections whose user is known: those in the handshake are bounded otherwise.
    pub(super) fn load(&self, uid: u32) -> Load {
        let users = self.iter().filter_map(Conn::client);
        users.fold(Load::default(), |load, client| Load {
            total: load.total + 1,
            of_uid: load.of_uid + usize::from(client.uid == uid),
        })
    }
}

fn slot_of(id: ConnId) -> usize {
    usize::try_from(id.0 & ((1 << SLOT_BITS) - 1)).expect("sixteen bits")
}

const SLOT_BITS: u32 = 16;

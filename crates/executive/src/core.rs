//! The state that all services share.

use std::collections::{BTreeMap, VecDeque};

use ferrosync_totem::pg::{Pg, QueueLevel};
use ferrosync_wire::{Decode, Instant, NodeId, Reader, RingId, ServiceId, exec};

use crate::capabilities::Announced;
use crate::clients::Clients;
use crate::counters::ExecCounters;
use crate::icmap::Icmap;
use crate::output::{ExitReason, NodeOutput};
use crate::own_keys::Told;
use crate::pauses::Pauses;
use crate::reload::Running;
use crate::strangers::Strangers;
use crate::sync::Sync;
use crate::transport::Transport;

/// Everything of a node but its services and its transport.
#[derive(Debug)]
pub struct Core {
    pub(crate) me: NodeId,
    pub(crate) now: Instant,
    pub(crate) pg: Pg,
    pub(crate) sync: Sync,
    /// A message of `sync` that found no room yet. One at most: a barrier follows the own list of services.
    pub(crate) sync_unsent: Option<Vec<u8>>,
    pub(crate) icmap: Icmap,
    pub(crate) told_losses: Told,
    pub(crate) clients: Clients,
    pub(crate) quorum: QuorumView,
    /// The ring installed last, and its members.
    pub(crate) ring: RingId,
    pub(crate) members: Vec<NodeId>,
    pub(crate) outputs: VecDeque<NodeOutput>,
    /// What services asked of the node itself; done when the service has returned.
    pub(crate) internal: VecDeque<Internal>,
    pub(crate) timers: BTreeMap<(ServiceId, u32), Instant>,
    pub(crate) exec_counters: ExecCounters,
    pub(crate) announced: Announced,
    pub(crate) strangers: Strangers,
    pub(crate) level: QueueLevel,
    pub(crate) scratch: Vec<u8>,
    pub(crate) transport: Transport,
    pub(crate) running: Running,
    pub(crate) pauses: Pauses,
}

/// What a quorum provider decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuorumView {
    /// Whether this partition may act.
    pub quorate: Quorate,
    /// Its members, ascending.
    pub members: Vec<NodeId>,
    /// The ring to which that applies.
    pub ring: RingId,
}

/// Whether a partition may act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quorate {
    /// It has a majority, or no provider is configured.
    Yes,
    /// It has none.
    No,
}

/// A service's wish that concerns the node as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Internal {
    QuorumChanged,
    Shutdown(ExitReason),
    ForceGather,
    /// The configuration is to be read again.
    Reload,
}

impl Core {
    /// The packing layer and the ring protocol below it.
    #[must_use]
    pub const fn pg(&self) -> &Pg {
        &self.pg
    }

    /// How frames travel.
    #[must_use]
    pub const fn transport(&self) -> &Transport {
        &self.transport
    }

    /// The clients.
    #[must_use]
    pub const fn clients(&self) -> &Clients {
        &self.clients
    }

    /// What the quorum provider published last; quorate without one.
    #[must_use]
    pub const fn quorum(&self) -> &QuorumView {
        &self.quorum
    }

    pub(crate) fn push(&mut self, output: NodeOutput) {
        self.outputs.push_back(output);
    }

    /// Comes before everything that waits: who made it happen is answered when it is done.
    pub(crate) fn push_first(&mut self, output: NodeOutput) {
        self.outputs.push_front(output);
    }

    /// Counts an exec message on its way out.
    pub(crate) fn count_exec_tx(&mut self, message: &[u8]) {
        if let Ok(header) = exec::Header::decode(&mut Reader::new(message)) {
            self.exec_counters
                .sent(&mut self.icmap, header.service, header.function);
        }
    }
}

//! The orderly end of a node: services stop, what they still say leaves, the ring is told, the host comes last.

use ferrosync_wire::{ConnId, Duration, Instant};

use crate::log::{Priority, Subsystem};
use crate::node::Node;
use crate::output::{ExitReason, NodeOutput};

/// How far an orderly shutdown has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stopping {
    /// Nobody asked for it.
    No,
    /// Services are stopped; their last messages wait for the token, but not for ever.
    Draining { reason: ExitReason, until: Instant },
    /// The ring is told; the host comes last.
    Leaving(ExitReason),
    /// The host was told.
    Done,
}

impl Stopping {
    /// When waiting for the last messages ends.
    pub(crate) const fn deadline(self) -> Option<Instant> {
        match self {
            Self::Draining { until, .. } => Some(until),
            Self::No | Self::Leaving(_) | Self::Done => None,
        }
    }
}

impl Node {
    /// Services stop in the order of their priorities (corosync `service.c:corosync_service_unlink_all`, v3.1.7).
    pub(crate) fn shut_down(&mut self, reason: ExitReason) {
        if self.stopping != Stopping::No {
            return;
        }
        let text = "Unloading all Corosync service engines.";
        self.log(Subsystem::Serv, Priority::Notice, text.to_owned());
        for id in self.services.stop_order() {
            self.with_service(id, |s, cx| s.stop(cx));
            if let Some(service) = self.services.get(id) {
                let text = format!("Service engine unloaded: {}", service.info().title);
                self.log(Subsystem::Serv, Priority::Notice, text);
            }
            let conns: Vec<ConnId> = self.core.clients.of(id).collect();
            for conn in conns {
                self.core.push(NodeOutput::LibClose(conn));
            }
        }
        let until = self.core.now + DRAIN_MAX;
        self.stopping = Stopping::Draining { reason, until };
    }

    /// Goes on with a shutdown when nothing is left to be carried out.
    pub(crate) fn go_on_stopping(&mut self) -> Option<NodeOutput> {
        match self.stopping {
            Stopping::No | Stopping::Done => None,
            Stopping::Draining { reason, until } => {
                if !self.core.pg.is_idle() && self.core.now < until {
                    return None;
                }
                self.core.pg.srp_mut().leave();
                self.stopping = Stopping::Leaving(reason);
                self.poll_output(self.core.now)
            }
            Stopping::Leaving(reason) => {
                self.stopping = Stopping::Done;
                Some(NodeOutput::Exit(reason))
            }
        }
    }
}

/// How long the last messages of services wait for the token.
const DRAIN_MAX: Duration = Duration::from_millis(500);

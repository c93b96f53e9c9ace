//! Reload, as the ring and its clients see it (corosync `cfg.c:message_handler_req_exec_cfg_reload_config,
//! message_handler_req_exec_cfg_reconfig_crypto`, v3.1.7).
//!
//! Any node tells the ring, every node reads its own files, and the one that told answers its client when it is done
//! itself. A node whose key changed then tells the ring, see [`super::keychange`]. No node leads.

use ferrosync_wire::exec::Source;
use ferrosync_wire::exec::cfg::Message;
use ferrosync_wire::ipc::cfg::ConfigReloaded;
use ferrosync_wire::ipc::{Answer, CsError};
use ferrosync_wire::{ConnId, Duration, NodeId};

use super::keychange::{Event, KeyChange, Todo};
use crate::log::{Priority, Subsystem};
use crate::reload::{CryptoChange, CryptoPhase};
use crate::service::Ctx;

/// Who waits for a reload, and how far the ring's change of key is.
#[derive(Debug, Default)]
pub(super) struct Reload {
    /// Clients whose reload is on its way around the ring; no more than its queue holds.
    sent: Vec<ConnId>,
    /// Clients whose reload is being done.
    waiting: Vec<ConnId>,
    key: KeyChange,
    /// What the ring had no room for.
    untold: Option<CryptoPhase>,
}

impl Reload {
    /// A client wants all nodes to reload.
    pub(super) fn request(&mut self, cx: &mut Ctx<'_>, conn: ConnId) {
        let source = Source {
            nodeid: cx.me(),
            conn: conn.0,
        };
        match cx.mcast(&Message::Reload(source)) {
            Ok(()) => self.sent.push(conn),
            Err(_) => cx.respond(conn, &Answer::<ConfigReloaded>(Err(CsError::TryAgain))),
        }
    }

    /// The ring says that all nodes are to reload.
    pub(super) fn heard(&mut self, cx: &mut Ctx<'_>, from: NodeId, source: Source) {
        let text = format!("Config reload requested by node {from}");
        cx.log(Subsystem::Cfg, Priority::Notice, text);
        let conn = ConnId(source.conn);
        // A message that this node sent before it was started again names nobody.
        let at = self.sent.iter().position(|c| from == cx.me() && *c == conn);
        if let Some(at) = at {
            self.waiting.push(self.sent.remove(at));
        }
        self.key_event(cx, Event::Asked);
        cx.reload();
    }

    /// This node has done it, or could not.
    pub(super) fn done(&mut self, cx: &mut Ctx<'_>, result: Result<CryptoChange, CsError>) {
        let event = match result {
            Ok(CryptoChange::Loaded) => Event::Loaded,
            Ok(CryptoChange::None) | Err(_) => Event::Unchanged,
        };
        self.key_event(cx, event);
        let status = result.map(|_| ());
        for conn in std::mem::take(&mut self.waiting) {
            cx.respond(conn, &Answer::<ConfigReloaded>::from(status));
        }
    }

    /// A node takes a step to its new key.
    pub(super) fn phase(&mut self, cx: &mut Ctx<'_>, from: NodeId, number: u32) {
        let phase = match number {
            Message::CRYPTO_ACTIVATE => CryptoPhase::Activate,
            Message::CRYPTO_CLEANUP => CryptoPhase::Cleanup,
            _ => return,
        };
        if from == cx.me() {
            let text = format!("Crypto reconfiguration phase {number}");
            cx.log(Subsystem::Cfg, Priority::Debug, text);
        }
        self.key_event(cx, Event::Heard(from, phase));
    }

    /// What was to be waited for the change of key has passed.
    pub(super) fn key_timeout(&mut self, cx: &mut Ctx<'_>) {
        self.key_event(cx, Event::Elapsed);
    }

    fn key_event(&mut self, cx: &mut Ctx<'_>, event: Event) {
        let Todo {
            opens,
            step,
            tell,
            wait,
        } = self.key.take(cx.me(), cx.members(), event);
        for node in opens {
            cx.opens_next_key(node);
        }
        if let Some(phase) = step {
            cx.crypto_phase(phase);
        }
        if let Some(phase) = tell {
            self.tell(cx, phase);
        }
        match wait {
            Some(wait) => cx.set_timer(super::TIMER_KEY, cx.now() + wait),
            None if step.is_some() || tell.is_some() => cx.cancel_timer(super::TIMER_KEY),
            None => {}
        }
    }

    /// The ring may have room for what it had none for.
    pub(super) fn tell_again(&mut self, cx: &mut Ctx<'_>) {
        if let Some(phase) = self.untold.take() {
            self.tell(cx, phase);
        }
    }

    /// Others would go on with the old key for ten seconds, and this node as well.
    fn tell(&mut self, cx: &mut Ctx<'_>, phase: CryptoPhase) {
        let number = match phase {
            CryptoPhase::Activate => Message::CRYPTO_ACTIVATE,
            CryptoPhase::Cleanup => Message::CRYPTO_CLEANUP,
        };
        if cx
            .mcast(&Message::CryptoReconfig { phase: number })
            .is_err()
        {
            self.untold = Some(phase);
            cx.set_timer(super::TIMER_CRYPTO, cx.now() + TELL_AGAIN);
        }
    }
}

/// How soon a step is told again.
const TELL_AGAIN: Duration = Duration::from_millis(10);

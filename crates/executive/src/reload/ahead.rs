//! The key of a reload that this node is late to hear of.
//!
//! A message that was lost holds up all that were sent after it, the one that has every node reload among them. A node of
//! corosync seals with the new key as soon as it has heard its own step, and opens nothing else a rotation of the token
//! later: whoever is late then hears nothing of it any more, and its ring breaks (`docs/deviations.md`, D-73). So when
//! packets in the name of a member of the ring are opened by no key, the files are looked at, and their key is tried before
//! the reload comes. It vouches for its packets as any other does; nothing else of the files counts yet.

use ferrosync_wire::{Duration, Instant, NodeId};

use crate::config::CryptoConfig;
use crate::core::Core;
use crate::log::{Priority, Subsystem};
use crate::node::Node;
use crate::output::{HostRequest, NodeOutput};
use crate::reload::Reading;
use crate::transport::SharedKey;

/// How it stands with looks at the key that the files have.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Look {
    /// Whether one was asked for in this ring and not answered yet.
    pending: Pending,
    /// When the last one was answered in this ring.
    ended: Option<Instant>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Pending {
    #[default]
    No,
    Yes,
}

impl Node {
    /// What came from a node's address was sealed with no key of ours. Anybody can send such packets, in anybody's name, so
    /// the files are not read for each.
    pub(crate) fn unopened(&mut self, node: NodeId) {
        let core = &mut self.core;
        let now = core.now;
        let look = &mut core.running.look;
        let lately = |at: Instant| now.since(at) < BETWEEN_LOOKS;
        if look.pending == Pending::Yes || look.ended.is_some_and(lately) {
            return;
        }
        if core.members.contains(&node) {
            look.pending = Pending::Yes;
            core.push(NodeOutput::Ask(HostRequest::ReadKey));
        }
    }

    /// The host has read the key, if there is one.
    pub(crate) fn key_read(&mut self, key: Option<(CryptoConfig, SharedKey)>) {
        let now = self.core.now;
        let look = &mut self.core.running.look;
        if std::mem::take(&mut look.pending) == Pending::No {
            return;
        }
        look.ended = Some(now);
        let Some((config, key)) = key else {
            return;
        };
        let Core {
            transport, outputs, ..
        } = &mut self.core;
        if transport.foresee(now, &config, key, outputs) {
            self.log(Subsystem::Totem, Priority::Notice, FORESEEN.to_owned());
        }
    }

    /// Another ring: what was foreseen of the one before is void, unless its reload is on its way.
    pub(crate) fn stop_looking(&mut self) {
        self.core.running.look = Look::default();
        if self.core.running.reading == Reading::No {
            let Core {
                transport,
                outputs,
                now,
                ..
            } = &mut self.core;
            transport.forget_foreseen(*now, outputs);
        }
    }
}

/// Between two looks at the key.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);
const FORESEEN: &str = "Packets in a member's name are opened by no key: the key that is in the files is tried, ahead of a reload";

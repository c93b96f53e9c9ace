//! The key of a reload that this node is late to hear of.
//!
//! A message that was lost holds up all that were sent after it, the one that has every node reload among them. A node of
//! corosync seals with the new key as soon as it has heard its own step, and opens nothing else a rotation of the token
//! later: whoever is late then hears nothing of it any more, and its ring breaks (`docs/deviations.md`, D-73). So when a
//! member of the ring sends what no key opens, the files are looked at, and their key is tried before the reload comes.
//! It vouches for its packets as any other does; nothing else of the files counts yet.

use ferrosync_wire::{Duration, NodeId};

use crate::config::TransportConfig;
use crate::log::{Priority, Subsystem};
use crate::node::Node;
use crate::output::{HostRequest, NodeOutput, Purpose, Reread};

impl Node {
    /// What came from a node's address was sealed with no key of ours. Anybody can send such packets, in anybody's name, so
    /// the files are not read for each.
    pub(crate) fn unopened(&mut self, node: NodeId) {
        let core = &mut self.core;
        let looked = core.running.looked;
        let lately = looked.is_some_and(|at| core.now.since(at) < BETWEEN_LOOKS);
        if lately || !core.members.contains(&node) {
            return;
        }
        core.running.looked = Some(core.now);
        let purpose = Purpose::Key;
        let fixed = core.running.config.fixed.clone();
        core.push(NodeOutput::Ask(HostRequest::ReadConfig { purpose, fixed }));
    }

    /// The host has read the files, or could not: the reload will tell what is wrong with them.
    pub(crate) fn key_read(&mut self, result: Result<Box<Reread>, String>) {
        let Ok(Reread { config, key }) = result.map(|reread| *reread) else {
            return;
        };
        let TransportConfig::Knet(config) = &config.transport else {
            return;
        };
        if self.core.transport.foresee(config.crypto.as_ref(), key) {
            self.log(Subsystem::Totem, Priority::Notice, FORESEEN.to_owned());
        }
    }
}

/// Between two looks at the files.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);
const FORESEEN: &str =
    "Members send what no key opens: the key that is in the files is tried, ahead of a reload";

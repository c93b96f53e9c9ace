//! What all members of the ring can do: more than C is used only when everybody has announced it.

use std::collections::BTreeMap;

use bytes::Bytes;
use ferrosync_totem::pg::Group;
use ferrosync_totem::srp::Guarantee;
use ferrosync_wire::capability::{Announcement, Capabilities, Notice};
use ferrosync_wire::{Decode, Encode, NodeId, Reader};

use crate::core::Core;
use crate::node::Node;
use crate::strangers::Strangers;

/// The announcements for the ring installed last.
#[derive(Debug, Default)]
pub(crate) struct Announced(BTreeMap<NodeId, Capabilities>);

impl Node {
    /// A new ring: this node tells what it can do. As everybody does so before its first barrier, all members have heard
    /// all announcements when synchronisation is complete.
    pub(crate) fn announce(&mut self) {
        self.core.announced = Announced::default();
        self.core.strangers = Strangers::default();
        let announcement = Announcement {
            ring: self.core.ring,
            capabilities: OURS,
        };
        let bytes = Notice::Announcement(announcement).to_vec();
        let (group, guarantee) = (Group::Ferrosync, Guarantee::Agreed);
        let parts = [bytes.as_slice()];
        // A node that cannot even tell this counts as one that can do nothing.
        let _unannounced = self.core.pg.mcast(self.core.now, group, guarantee, &parts);
    }

    /// A message among Ferrosync nodes.
    pub(crate) fn on_notice(&mut self, from: NodeId, body: &Bytes) {
        match Notice::decode(&mut Reader::new(body)) {
            Ok(Notice::Announcement(announcement)) if announcement.ring == self.core.ring => {
                let heard = &mut self.core.announced.0;
                heard.insert(from, announcement.capabilities);
            }
            Ok(Notice::Stranger(report)) if report.ring == self.core.ring => {
                self.on_report(from, report.stranger);
            }
            // Of another ring, or of a later version.
            Ok(Notice::Announcement(_) | Notice::Stranger(_)) | Err(_) => {}
        }
    }
}

impl Core {
    /// Whether every member of the ring has announced this.
    pub(crate) fn all_can(&self, what: Capabilities) -> bool {
        let can = |node| self.announced.0.get(node).is_some_and(|c| c.contains(what));
        self.members.iter().all(can)
    }
}

/// What this version can do.
const OURS: Capabilities = Capabilities::WHOLE_MESSAGES.and(Capabilities::STRANGERS);

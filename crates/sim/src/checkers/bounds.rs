//! Nothing grows without a bound: frames per turn, queues, what is held back for clients.

use ferrosync_executive::Node;
use ferrosync_totem::srp::Lane;

use super::{Checker, Violation};
use crate::observation::{Observation, Place};
use crate::options::{Options, Transport};

/// The checker.
#[derive(Debug)]
pub(super) struct Bounds {
    frames_per_turn: usize,
}

impl Bounds {
    pub(super) fn new(options: &Options) -> Self {
        let receivers = match options.transport {
            Transport::Udpu => options.nodes.saturating_sub(1).max(1),
            Transport::Udp => 1,
            Transport::Knet(world) => {
                options.nodes.saturating_sub(1).max(1) * world.packets_per_frame(options.netmtu)
            }
        };
        let frames = (options.max_messages + CONTROL_FRAMES) * receivers;
        Self {
            frames_per_turn: usize::try_from(frames).unwrap_or(usize::MAX),
        }
    }

    fn check_node(node: &Node) -> Result<(), Violation> {
        let srp = node.core().pg().srp();
        for lane in [Lane::Regular, Lane::Transitional] {
            if srp.free_frames(lane) > srp.queue_capacity() {
                return violation(format!("the {lane:?} lane holds more than it may"));
            }
        }
        if srp.members().len() > ferrosync_wire::totem::NODES_MAX {
            return violation("a ring has more members than it may".to_owned());
        }
        Ok(())
    }
}

impl Checker for Bounds {
    fn observe(&mut self, _place: Place, seen: &Observation<'_>) -> Result<(), Violation> {
        let Observation::TurnEnded { node, frames, .. } = seen else {
            return Ok(());
        };
        if *frames > self.frames_per_turn {
            return violation(format!(
                "sends {frames} frames in one turn, {} are allowed",
                self.frames_per_turn
            ));
        }
        Self::check_node(node)
    }
}

/// Frames beside messages that one input may cause: tokens, joins, a cancelled hold, a goodbye.
const CONTROL_FRAMES: u32 = 8;

const fn violation(text: String) -> Result<(), Violation> {
    Err(Violation {
        checker: "bounds",
        text,
    })
}

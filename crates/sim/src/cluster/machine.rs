//! Machines: how they begin, when they have something to do, how they are described.

use std::collections::{BTreeMap, VecDeque};

use ferrosync_executive::output::Kept;
use ferrosync_totem::rng::Rng;
use ferrosync_wire::{Instant, NodeId, RingId, RingSeq};

use crate::host::{Inbox, Machine, Saboteur, StoreBehaviour, Surroundings};
use crate::options::Options;
use crate::sabotage::Sabotage;

impl Machine {
    /// How its node sees the world, in one line.
    pub(crate) fn describe(&self) -> String {
        let me = self.surroundings.me;
        let Some(node) = &self.node else {
            return format!("{me} off");
        };
        let pg = node.core().pg();
        format!(
            "{me} {:?} ring {} members {:?} ready {:?} free {}/{} {:?} {:?}",
            pg.srp().state(),
            pg.srp().ring_id(),
            pg.srp().members().as_slice(),
            self.surroundings.ready,
            pg.srp().free_frames(ferrosync_totem::srp::Lane::Regular),
            pg.srp()
                .free_frames(ferrosync_totem::srp::Lane::Transitional),
            pg.stats(),
            pg.srp().stats(),
        )
    }

    /// When this machine has something to do.
    pub(super) fn next_wake(&self) -> Option<Instant> {
        let node = self.node.as_ref()?;
        if let Some(until) = self.paused_until {
            return Some(until);
        }
        let around = &self.surroundings;
        if !around.inbox.is_empty() || !around.acts.is_empty() {
            return Some(self.busy_until);
        }
        let (at, _) = node.poll_timeout()?;
        Some(at.max(self.busy_until))
    }
}

/// A machine of a world, off.
pub(super) fn machine(
    options: &Options,
    i: usize,
    bug: Option<Sabotage>,
    rng: &mut Rng,
) -> Machine {
    let id = u32::try_from(i + 1).expect("a handful of nodes");
    let mut conf = options.corosync_conf();
    if bug == Some(Sabotage::IgnoreWindow) {
        let wide = "totem {\n window_size: 4000\n max_messages: 2000\n";
        conf = conf.replacen("totem {\n", wide, 1);
    }
    let saboteur = Saboteur::new(bug, u32::try_from(rng.below(8)).unwrap_or(0));
    Machine {
        node: None,
        surroundings: Surroundings {
            me: NodeId(id),
            config: Options::load(&conf, id),
            conf,
            stored: RingSeq(0),
            kept: Kept::default(),
            store: StoreBehaviour::Works,
            inbox: Inbox::default(),
            acts: VecDeque::new(),
            reads: VecDeque::new(),
            files_read: 0,
            processes: BTreeMap::new(),
            outbox: Vec::new(),
            ring: RingId::ZERO,
            ready: None,
            exit: None,
            gate_opened: false,
            saboteur,
        },
        busy_until: Instant::ORIGIN,
        paused_until: None,
        planned: None,
        incarnation: 0,
    }
}

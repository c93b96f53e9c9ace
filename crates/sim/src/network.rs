//! Links between machines: loss, delay, duplication, reordering, replay, clogging, cuts.

use std::collections::VecDeque;

use bytes::Bytes;
use ferrosync_totem::rng::Rng;
use ferrosync_wire::totem::{FOREIGN_MAGIC, VERSION};
use ferrosync_wire::{Duration, Instant};

use crate::options::NetworkOptions;

/// All links, in both directions.
#[derive(Debug)]
pub struct Network {
    nodes: usize,
    links: Vec<Link>,
    options: NetworkOptions,
    rng: Rng,
    era: u64,
}

/// One direction of the way between two machines.
#[derive(Clone, Debug, Default)]
pub struct Link {
    /// Faults that cut it; it carries again when all are over.
    cuts: u32,
    /// Frames lost per million, beside what the whole network loses.
    loss_ppm: u64,
    /// Nothing arrives before this.
    clogged_until: Instant,
    /// When the last frame arrives; others stay behind it.
    last_arrival: Instant,
    /// What it carried lately, for replays.
    recent: VecDeque<Bytes>,
}

/// One frame on its way.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// When it is there.
    pub at: Instant,
    /// What it says.
    pub bytes: Bytes,
    /// [`Network::era`] in which it was sent.
    pub era: u64,
}

impl Network {
    /// Links between `nodes` machines.
    #[must_use]
    pub fn new(nodes: usize, options: NetworkOptions, seed: u64) -> Self {
        Self {
            nodes,
            links: vec![Link::default(); nodes * nodes],
            options,
            rng: Rng::new(seed ^ 0x5EED_0000_0000_0002),
            era: 0,
        }
    }

    /// Sends a frame; `arrive` gets every copy that will arrive.
    pub fn send(
        &mut self,
        now: Instant,
        from: usize,
        to: usize,
        bytes: &Bytes,
        mut arrive: impl FnMut(Arrival),
    ) {
        let index = self.index(from, to);
        if self.links[index].cuts > 0
            || self.happens(self.options.loss_ppm)
            || self.happens(self.links[index].loss_ppm)
        {
            return;
        }
        let at = self.arrival(now, index);
        let era = self.era;
        let copy = |at, bytes: &Bytes| Arrival {
            at,
            bytes: bytes.clone(),
            era,
        };
        arrive(copy(at, bytes));
        if self.happens(self.options.duplicate_ppm) {
            let at = self.arrival(now, index);
            arrive(copy(at, bytes));
        }
        if self.options.replay_ppm > 0 {
            if let Some(old) = self.replayed(index) {
                let at = self.arrival(now, index);
                arrive(copy(at, &old));
            }
            self.remember(index, bytes);
        }
        if self.happens(self.options.garbage_ppm) {
            let at = self.arrival(now, index);
            let garbage = self.garbage(bytes);
            arrive(copy(at, &garbage));
        }
    }

    /// Counts the times at which a ring sequence number was lost for good.
    #[must_use]
    pub const fn era(&self) -> u64 {
        self.era
    }

    /// A node begins to count its rings anew: it may use a ring id twice, and no protocol could tell a frame of the
    /// first use from one of the second. So nothing that was sent before arrives any more.
    pub fn begin_era(&mut self) {
        self.era += 1;
        for link in &mut self.links {
            link.recent.clear();
        }
    }

    /// Cuts one direction; [`Self::mend`] takes it back.
    pub fn cut(&mut self, from: usize, to: usize) {
        let index = self.index(from, to);
        self.links[index].cuts += 1;
    }

    /// Takes back one [`Self::cut`].
    pub fn mend(&mut self, from: usize, to: usize) {
        let index = self.index(from, to);
        let link = &mut self.links[index];
        link.cuts = link.cuts.saturating_sub(1);
    }

    /// Makes one direction lose frames, `ppm` per million; 0 for none.
    pub fn lose(&mut self, from: usize, to: usize, ppm: u64) {
        let index = self.index(from, to);
        self.links[index].loss_ppm = ppm;
    }

    /// Holds back what one direction carries until `until`.
    pub fn clog(&mut self, from: usize, to: usize, until: Instant) {
        let index = self.index(from, to);
        self.links[index].clogged_until = until;
    }

    /// Takes back everything that faults did, and from now on loses nothing and repeats nothing old. What is on its
    /// way stays there; frames still come late, twice and out of order.
    pub fn heal(&mut self) {
        self.options.loss_ppm = 0;
        self.options.replay_ppm = 0;
        for link in &mut self.links {
            *link = Link {
                last_arrival: link.last_arrival,
                ..Link::default()
            };
        }
    }

    const fn index(&self, from: usize, to: usize) -> usize {
        assert!(
            from < self.nodes && to < self.nodes,
            "machines of this world"
        );
        from * self.nodes + to
    }

    const fn happens(&mut self, ppm: u64) -> bool {
        ppm > 0 && self.rng.below(1_000_000) < ppm
    }

    fn arrival(&mut self, now: Instant, index: usize) -> Instant {
        let jitter = u64::try_from(self.options.jitter.as_nanos()).unwrap_or(0);
        let delay = self.options.delay + Duration::from_nanos(self.rng.below(jitter));
        let overtakes = self.happens(self.options.reorder_ppm);
        let link = &mut self.links[index];
        let at = (now + delay).max(link.clogged_until);
        if overtakes {
            return at;
        }
        link.last_arrival = link.last_arrival.max(at);
        link.last_arrival
    }

    fn replayed(&mut self, index: usize) -> Option<Bytes> {
        if !self.happens(self.options.replay_ppm) {
            return None;
        }
        let recent = &self.links[index].recent;
        let choice = self.rng.below(recent.len() as u64);
        recent.get(usize::try_from(choice).ok()?).cloned()
    }

    fn remember(&mut self, index: usize, bytes: &Bytes) {
        let recent = &mut self.links[index].recent;
        if recent.len() >= REPLAYABLE {
            recent.pop_front();
        }
        recent.push_back(bytes.clone());
    }

    /// A frame that no node may act on: of the other byte order, of another version, or noise.
    fn garbage(&mut self, bytes: &Bytes) -> Bytes {
        let mut copy = bytes.to_vec();
        match self.rng.below(3) {
            0 => copy[..2].copy_from_slice(&FOREIGN_MAGIC.to_le_bytes()),
            1 => copy[2] = VERSION + 1,
            _ => {
                for byte in &mut copy {
                    *byte = self.rng.next_u64().to_le_bytes()[0];
                }
                copy[0] = 0;
            }
        }
        copy.into()
    }
}

/// Frames of one link that may be replayed.
const REPLAYABLE: usize = 64;

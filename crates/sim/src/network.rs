//! Links between machines: loss, delay, duplication, reordering, replay, clogging, cuts.

use std::collections::VecDeque;

use bytes::Bytes;
use ferrosync_totem::rng::Rng;
use ferrosync_wire::totem::{FOREIGN_MAGIC, VERSION};
use ferrosync_wire::{Duration, Instant, LinkId};

use crate::options::NetworkOptions;

/// All links, in both directions.
#[derive(Debug)]
pub struct Network {
    nodes: usize,
    /// By link, sender and receiver.
    links: Vec<Link>,
    options: NetworkOptions,
    rng: Rng,
    /// Of each sender.
    eras: Vec<u64>,
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
    /// `links` links between each two of `nodes` machines.
    #[must_use]
    pub fn new(nodes: usize, links: u8, options: NetworkOptions, seed: u64) -> Self {
        Self {
            nodes,
            links: vec![Link::default(); usize::from(links) * nodes * nodes],
            options,
            rng: Rng::new(seed ^ 0x5EED_0000_0000_0002),
            eras: vec![0; nodes],
        }
    }

    /// Sends a frame; `arrive` gets every copy that will arrive.
    pub fn send(
        &mut self,
        now: Instant,
        (from, to, link): (usize, usize, LinkId),
        bytes: &Bytes,
        mut arrive: impl FnMut(Arrival),
    ) {
        let index = self.index(from, to, link);
        if self.links[index].cuts > 0
            || self.happens(self.options.loss_ppm)
            || self.happens(self.links[index].loss_ppm)
        {
            return;
        }
        let at = self.arrival(now, index);
        let era = self.eras[from];
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

    /// What was sent by this machine in another era does not arrive any more.
    #[must_use]
    pub fn era(&self, from: usize) -> u64 {
        self.eras[from]
    }

    /// A node begins to count its rings anew: it may use a ring id twice, and no protocol could tell a frame of the
    /// first use from one of the second. So nothing that was sent before arrives any more.
    pub fn begin_era(&mut self) {
        for from in 0..self.nodes {
            self.begin_era_of(from);
        }
    }

    /// A machine begins to count its packets anew: knet's receivers could not tell an old part of a message from a new
    /// one of the same number.
    pub fn begin_era_of(&mut self, from: usize) {
        self.eras[from] += 1;
        let nodes = self.nodes;
        let of_sender = |index: usize| index / nodes % nodes == from;
        let links = self.links.iter_mut().enumerate();
        for (_, link) in links.filter(|(index, _)| of_sender(*index)) {
            link.recent.clear();
        }
    }

    /// Cuts one direction on all links; [`Self::mend`] takes it back.
    pub fn cut(&mut self, from: usize, to: usize) {
        for link in self.all(from, to) {
            link.cuts += 1;
        }
    }

    /// Takes back one [`Self::cut`].
    pub fn mend(&mut self, from: usize, to: usize) {
        for link in self.all(from, to) {
            link.cuts = link.cuts.saturating_sub(1);
        }
    }

    /// Unplugs one link of a machine; [`Self::plug`] takes it back.
    pub fn unplug(&mut self, machine: usize, id: LinkId) {
        for (from, to) in self.around(machine) {
            let index = self.index(from, to, id);
            self.links[index].cuts += 1;
        }
    }

    /// Takes back one [`Self::unplug`].
    pub fn plug(&mut self, machine: usize, id: LinkId) {
        for (from, to) in self.around(machine) {
            let index = self.index(from, to, id);
            let link = &mut self.links[index];
            link.cuts = link.cuts.saturating_sub(1);
        }
    }

    /// Makes one direction lose frames on all links, `ppm` per million; 0 for none.
    pub fn lose(&mut self, from: usize, to: usize, ppm: u64) {
        for link in self.all(from, to) {
            link.loss_ppm = ppm;
        }
    }

    /// Holds back what one direction carries on all links until `until`.
    pub fn clog(&mut self, from: usize, to: usize, until: Instant) {
        for link in self.all(from, to) {
            link.clogged_until = until;
        }
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

    const fn index(&self, from: usize, to: usize, link: LinkId) -> usize {
        assert!(
            from < self.nodes && to < self.nodes,
            "machines of this world"
        );
        (link.0 as usize * self.nodes + from) * self.nodes + to
    }

    /// One direction between two machines, on every link.
    fn all(&mut self, from: usize, to: usize) -> impl Iterator<Item = &mut Link> {
        let first = self.index(from, to, LinkId(0));
        self.links[first..]
            .iter_mut()
            .step_by(self.nodes * self.nodes)
    }

    /// Both directions between a machine and every other one.
    fn around(&self, machine: usize) -> Vec<(usize, usize)> {
        let others = (0..self.nodes).filter(|other| *other != machine);
        others
            .flat_map(|other| [(machine, other), (other, machine)])
            .collect()
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

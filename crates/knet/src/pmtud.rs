//! The search for a link's path MTU, and its result (libknet/threads_pmtud.c, kronosnet 1.x).
//!
//! Packets that must not be fragmented ask the peer for a reply. The first is as long as a packet can be, so that our own
//! kernel, which refuses it, tells the interface's MTU; then the interval between the longest that arrived and
//! the shortest that did not is halved until they meet. Packets that vanish on the way without a word (a black hole) cost
//! a timeout each.
//!
//! Unlike C, which searches link by link, every link has a search of its own, and a reply to an older probe is passed
//! over instead of being taken as a failure of the present one (D-56).

use ferrosync_wire::Instant;
use ferrosync_wire::knet::{LONGEST_HEADER, PROBE_LEN};
use ferrosync_wire::time::Duration;

use crate::crypto::Overhead;
use crate::mtu::{Family, ON_WIRE_MAX};

/// Probes after which a search is given up: the MTU changes faster than it can be found.
pub const PROBES_MAX: u32 = 29;

/// The path MTU of one link.
#[derive(Clone, Debug)]
pub struct PathMtu {
    family: Family,
    crypto: Overhead,
    /// The on-wire size that the configuration gives; nothing is searched then.
    fixed: Option<u16>,
    mtu: Option<usize>,
    /// When the last search succeeded; none after the link was down.
    found_at: Option<Instant>,
    /// Timeouts that a probe is given; grows under load where packets are encrypted.
    patience: u32,
    search: Option<Search>,
}

/// What a search wants, or says at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Send this probe.
    Probe(ProbeRequest),
    /// The link MTU.
    Found(usize),
    /// Nothing useful arrives; the link must not be used.
    Failed,
}

/// A probe to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProbeRequest {
    /// Its size on the wire, IP header included, encrypted.
    pub size: u16,
    /// Zeros behind its header, before encryption.
    pub filling: usize,
}

impl PathMtu {
    /// A link that nobody measured is used with what every network carries. `fixed` is the on-wire size that holds
    /// instead of what a search would find (threads_pmtud.c:_calculate_manual_mtu).
    #[must_use]
    pub const fn new(family: Family, crypto: Overhead, fixed: Option<u16>) -> Self {
        Self {
            family,
            crypto,
            fixed,
            mtu: Some(family.initial_link_mtu(crypto)),
            found_at: None,
            patience: PATIENCE_MIN,
            search: None,
        }
    }

    /// The link MTU; `None` when the last search failed.
    #[must_use]
    pub const fn mtu(&self) -> Option<usize> {
        self.mtu
    }

    /// Whether a search should begin, given the configured time between two.
    #[must_use]
    pub fn is_due(&self, now: Instant, interval: Duration) -> bool {
        let rested = self.found_at.is_none_or(|at| now - at >= interval);
        self.search.is_none() && rested
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.search.as_ref().map(|search| search.deadline)
    }

    /// Begins a search, or begins it again. `ping_len` is the datagram size of a ping, which is known to arrive;
    /// `timeout` is the link's present one.
    pub fn start(&mut self, now: Instant, ping_len: usize, timeout: Duration) -> Step {
        if let Some(on_wire) = self.fixed {
            return self.finish(now, usize::from(on_wire));
        }
        self.search = Some(Search {
            good: ping_len + self.family.overhead(),
            bad: None,
            size: 0,
            sent_at: now,
            deadline: now,
            probes: 0,
            pace: Pace::Even,
        });
        self.probe(now, ON_WIRE_MAX, timeout)
    }

    /// The link is down: ends the search without a result; the next one is due when the link is up.
    pub fn stop(&mut self) {
        self.search = None;
        self.found_at = None;
    }

    /// What sealing adds to the path's packets.
    #[must_use]
    pub const fn crypto(&self) -> Overhead {
        self.crypto
    }

    /// Another on-wire size holds, or it is to be searched from now on.
    pub fn fix(&mut self, on_wire: Option<u16>) {
        *self = Self::new(self.family, self.crypto, on_wire);
    }

    /// Other sizes hold after a change of keys.
    pub fn set_crypto(&mut self, crypto: Overhead) {
        *self = Self::new(self.family, crypto, self.fixed);
    }

    /// The peer received a probe of `size` bytes.
    pub fn handle_reply(&mut self, now: Instant, size: u16, timeout: Duration) -> Option<Step> {
        let search = self.search.as_mut()?;
        let size = usize::from(size);
        if size != search.size {
            return None;
        }
        let given = timeout * self.patience;
        if search.pace == Pace::Even && now - search.sent_at < given / 2 {
            self.patience = PATIENCE_MIN.max(self.patience / 2);
        }
        if search.meets(self.crypto.block_len) {
            return Some(self.finish(now, size));
        }
        search.good = size;
        let next = search.middle();
        Some(self.probe(now, next, timeout))
    }

    /// Our kernel refused the probe of `size` bytes, and knows its own MTU or not.
    pub fn handle_too_big(
        &mut self,
        now: Instant,
        size: u16,
        kernel_mtu: Option<u16>,
        timeout: Duration,
    ) -> Option<Step> {
        let search = self.search.as_mut()?;
        if usize::from(size) != search.size {
            return None;
        }
        let next = match kernel_mtu.map(usize::from) {
            Some(mtu) if mtu > 0 => {
                search.bad = Some(mtu + 1);
                mtu
            }
            Some(_) | None => {
                search.bad = Some(search.size);
                search.middle()
            }
        };
        Some(self.probe(now, next, timeout))
    }

    /// The deadline passed: the probe or its reply vanished.
    pub fn handle_timeout(&mut self, now: Instant, timeout: Duration) -> Option<Step> {
        let search = self.search.as_mut()?;
        if now < search.deadline {
            return None;
        }
        let encrypts = self.crypto != Overhead::NONE;
        if encrypts && self.patience < PATIENCE_MAX {
            self.patience *= 2;
            search.pace = Pace::Slow;
            let again = search.size;
            return Some(self.probe(now, again, timeout));
        }
        search.bad = Some(search.size);
        let next = search.middle();
        Some(self.probe(now, next, timeout))
    }

    /// Asks about a size, or gives up.
    fn probe(&mut self, now: Instant, on_wire: usize, timeout: Duration) -> Step {
        let size = self.family.probe_size(on_wire, self.crypto);
        let size = size.and_then(|size| u16::try_from(size).ok());
        let (Some(search), Some(size)) = (&mut self.search, size) else {
            return self.fail();
        };
        if search.probes >= PROBES_MAX {
            return self.fail();
        }
        let patience = match self.crypto {
            Overhead::NONE => 1,
            _ => self.patience,
        };
        search.probes += 1;
        search.size = usize::from(size);
        search.sent_at = now;
        search.deadline = now + timeout * patience;
        let payload = self.family.link_mtu(on_wire, self.crypto);
        Step::Probe(ProbeRequest {
            size,
            filling: payload + LONGEST_HEADER - PROBE_LEN,
        })
    }

    fn finish(&mut self, now: Instant, on_wire: usize) -> Step {
        let mtu = self.family.link_mtu(on_wire, self.crypto);
        if mtu < self.crypto.smallest_data_mtu() {
            return self.fail();
        }
        self.search = None;
        self.found_at = Some(now);
        self.mtu = Some(mtu);
        Step::Found(mtu)
    }

    const fn fail(&mut self) -> Step {
        self.search = None;
        self.mtu = None;
        // C lets the link rest for the interval, unusable; an early retry brings it back sooner.
        self.found_at = None;
        Step::Failed
    }
}

/// A search under way; sizes are on-wire.
#[derive(Clone, Debug)]
struct Search {
    /// The longest that arrived.
    good: usize,
    /// The shortest that did not.
    bad: Option<usize>,
    /// The one under way.
    size: usize,
    sent_at: Instant,
    deadline: Instant,
    probes: u32,
    pace: Pace,
}

/// Whether replies came in time so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pace {
    Even,
    Slow,
}

impl Search {
    /// Whether the present size, having arrived, is the longest that can.
    fn meets(&self, block: usize) -> bool {
        if block > 0 {
            let next = self.size + block;
            return next >= ON_WIRE_MAX || self.bad.is_some_and(|bad| bad <= next);
        }
        self.size == ON_WIRE_MAX || self.bad == Some(self.size + 1) || self.bad == Some(self.good)
    }

    fn middle(&self) -> usize {
        usize::midpoint(self.good, self.bad.unwrap_or(ON_WIRE_MAX))
    }
}

/// links.h: KNET_LINK_PMTUD_CRYPTO_TIMEOUT_MULTIPLIER_MIN.
const PATIENCE_MIN: u32 = 2;
/// C goes up to 128 (links.h: KNET_LINK_PMTUD_CRYPTO_TIMEOUT_MULTIPLIER_MAX), minutes for each packet that a path swallows
/// (D-56).
const PATIENCE_MAX: u32 = 8;

#[cfg(test)]
mod tests;

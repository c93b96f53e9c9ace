//! Hosts, links and keys that come, change and go while the node runs.

use core::net::SocketAddr;

use ferrosync_wire::knet::{HostId, LINKS_MAX};
use ferrosync_wire::time::Duration;
use ferrosync_wire::{Instant, LinkId};

use super::{Event, Knet, Sources};
use crate::compress::Compressor;
use crate::crypto::{ClearTraffic, Instance, Opens, Slot, SlotError};
use crate::host::{Host, Link, LinkConfig, Policy, Reach};
use crate::link::{HeartbeatConfig, Latency, State};
use crate::stats::LinkStats;

/// A link as it is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkView {
    /// The host it leads to.
    pub host: HostId,
    /// Which of its links.
    pub link: LinkId,
    /// The peer's address.
    pub peer: SocketAddr,
    /// Whether the peer answers.
    pub state: State,
    /// The largest payload of its packets, in bytes; 0 when none arrives.
    pub mtu: usize,
    /// Bytes of all headers around the payload.
    pub overhead: usize,
    /// The mean time from ping to pong.
    pub latency: Latency,
    /// What was counted.
    pub stats: LinkStats,
}

impl Knet {
    /// Adds a host without links, or changes which links of a host are used.
    pub fn set_host(&mut self, id: HostId, policy: Policy) {
        let host = self.hosts.entry(id).or_insert_with(|| Host::new(policy));
        if host.set_policy(policy) {
            self.tell_links(id);
        }
    }

    /// Forgets a host and its links.
    pub fn remove_host(&mut self, id: HostId) {
        if self.hosts.remove(&id).is_some() {
            self.choose_data_mtu();
        }
    }

    /// Adds a link to a host that was added, or replaces it.
    ///
    /// # Panics
    ///
    /// When the host is unknown or the link is none of [`LINKS_MAX`]; the configuration was checked for that.
    pub fn add_link(&mut self, host: HostId, id: LinkId, config: LinkConfig) {
        assert!(id.0 < LINKS_MAX, "{id:?}");
        let known = self.hosts.get_mut(&host).expect("the host was added");
        let overhead = self.outbox.crypto.overhead(known.opens);
        let link = Link::new(config, overhead, self.config.mtu);
        known.links.insert(id, link);
        if self.choose_links(host) {
            self.tell_links(host);
        }
    }

    /// Gives a link another priority and another heartbeat; it stays as it is, up or down.
    pub fn change_link(
        &mut self,
        host: HostId,
        id: LinkId,
        priority: u8,
        heartbeat: HeartbeatConfig,
    ) {
        let Some(link) = self.link_mut(host, id) else {
            return;
        };
        link.config.priority = priority;
        link.config.heartbeat = heartbeat;
        link.heartbeat.set_config(heartbeat);
        if self.choose_links(host) {
            self.tell_links(host);
        }
    }

    /// Takes a link away; what is on its way over it is lost.
    pub fn remove_link(&mut self, host: HostId, id: LinkId) {
        let Some(known) = self.hosts.get_mut(&host) else {
            return;
        };
        let was_up = known.links.remove(&id).is_some_and(|link| link.is_up());
        if was_up {
            self.event(Event::Link(host, id, State::Down));
        }
        if self.choose_links(host) {
            self.tell_links(host);
        }
        self.choose_data_mtu();
    }

    /// Puts a key into a slot, or empties it.
    ///
    /// # Errors
    ///
    /// As [`crate::crypto::Crypto::set`].
    pub fn set_key(
        &mut self,
        now: Instant,
        slot: Slot,
        key: Option<Instance>,
    ) -> Result<(), SlotError> {
        self.outbox.crypto.set(slot, key)?;
        self.fit_paths(now);
        Ok(())
    }

    /// From now on what goes to a host that opens it is sealed with the key in `slot`, or not at all: to a host that
    /// seals with that key itself, and to one of which [`Self::host_opens_next`] tells. libknet has but one key that
    /// seals, so that a node that is late with a step is cut off.
    ///
    /// # Errors
    ///
    /// As [`crate::crypto::Crypto::prepare`].
    pub fn prepare_key(&mut self, now: Instant, slot: Option<Slot>) -> Result<(), SlotError> {
        self.outbox.crypto.prepare(slot)?;
        self.forget_opens();
        self.fit_paths(now);
        Ok(())
    }

    /// A host is known to open what the prepared key seals, or to take what is not sealed if that was prepared.
    pub fn host_opens_next(&mut self, now: Instant, host: HostId) {
        if let Some(host) = self.hosts.get_mut(&host)
            && host.opens != Opens::Next
        {
            host.opens = Opens::Next;
            self.fit_paths(now);
        }
    }

    /// What fits a packet changes with what it is sealed with: paths on which that is another overhead now are measured
    /// again.
    fn fit_paths(&mut self, now: Instant) {
        let mut changed = Vec::new();
        for (&id, host) in &mut self.hosts {
            let overhead = self.outbox.crypto.overhead(host.opens);
            for (&link_id, link) in &mut host.links {
                if link.path.crypto() != overhead {
                    link.path.set_crypto(overhead);
                    changed.push((id, link_id));
                }
            }
        }
        if !changed.is_empty() {
            self.measure(now, changed);
            self.choose_data_mtu();
        }
    }

    fn forget_opens(&mut self) {
        for host in self.hosts.values_mut() {
            host.opens = Opens::Present;
        }
    }

    /// Seals with another key from now on, or not at all. What fits a packet changes with it, so all paths are measured
    /// again (libknet/crypto.c:crypto_use_config).
    ///
    /// # Errors
    ///
    /// As [`crate::crypto::Crypto::use_slot`].
    pub fn use_key(&mut self, now: Instant, slot: Option<Slot>) -> Result<(), SlotError> {
        self.outbox.crypto.use_slot(slot)?;
        self.forget_opens();
        self.fit_paths(now);
        Ok(())
    }

    /// The slot whose key seals.
    #[must_use]
    pub const fn key_in_use(&self) -> Option<Slot> {
        self.outbox.crypto.in_use()
    }

    /// Whether packets that no key opens are taken as they are.
    pub const fn set_clear_traffic(&mut self, clear_traffic: ClearTraffic) {
        self.outbox.crypto.set_clear_traffic(clear_traffic);
    }

    /// Compresses messages in another way, or not at all.
    pub fn set_compressor(&mut self, compressor: Option<Compressor>) {
        self.compressor = compressor;
    }

    /// Changes the time between two searches for path MTUs.
    pub const fn set_pmtud_interval(&mut self, interval: Duration) {
        self.config.pmtud_interval = interval;
    }

    /// Changes whose pings, pongs and probes are heard.
    pub const fn set_sources(&mut self, sources: Sources) {
        self.config.sources = sources;
    }

    /// Has path MTUs searched, or fixes the on-wire size of packets.
    pub fn set_mtu(&mut self, now: Instant, mtu: Option<u16>) {
        if self.config.mtu == mtu {
            return;
        }
        self.config.mtu = mtu;
        for host in self.hosts.values_mut() {
            for link in host.links.values_mut() {
                link.path.fix(mtu);
            }
        }
        self.measure_all(now);
        self.choose_data_mtu();
    }

    /// All links, by host and number.
    pub fn links(&self) -> impl Iterator<Item = LinkView> + '_ {
        let overhead = self.outbox.overhead();
        self.hosts.iter().flat_map(move |(&host, known)| {
            known.links.iter().map(move |(&id, link)| LinkView {
                host,
                link: id,
                peer: link.config.peer,
                state: link.heartbeat.state(),
                mtu: link.path.mtu().unwrap_or(0),
                overhead: link.family().link_overhead(overhead),
                latency: link.heartbeat.latency(),
                stats: link.stats,
            })
        })
    }

    /// Whether anything can be sent to a host; `None` for one that was not added.
    #[must_use]
    pub fn reach(&self, host: HostId) -> Option<Reach> {
        self.hosts.get(&host).map(Host::reach)
    }

    /// Counts from zero again.
    pub fn clear_stats(&mut self) {
        self.stats = crate::stats::HandleStats::default();
        self.outbox.sealed = crate::outbox::Sealed::default();
        for host in self.hosts.values_mut() {
            for link in host.links.values_mut() {
                link.stats = LinkStats::default();
            }
        }
    }
}

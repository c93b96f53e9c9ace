//! What is known of one other host: its links, which of them carry data, and what it sent.
//!
//! Citations are of kronosnet 1.x, `libknet`.

use core::net::{IpAddr, SocketAddr};
use std::collections::BTreeMap;

use ferrosync_wire::knet::{PingReason, Seq};
use ferrosync_wire::{Instant, LinkId};

use crate::crypto::{Opens, Overhead};
use crate::defrag::{Defrag, Fragment, Outcome};
use crate::link::{Heartbeat, HeartbeatConfig, Peer, State};
use crate::mtu::Family;
use crate::pmtud::PathMtu;
use crate::stats::LinkStats;
use crate::window::{Sighting, Window};

/// Which links of a host carry data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// The one with the highest priority that is up.
    Passive,
    /// All that are up, each with its own copy.
    Active,
    /// One that is up, each time another.
    RoundRobin,
}

/// What the configuration says about a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkConfig {
    /// The peer's address; packets of the link come from here, whatever their port.
    pub peer: SocketAddr,
    /// Higher ones are preferred by [`Policy::Passive`]; among equals the lowest link.
    pub priority: u8,
    /// When to ping, and when to give up.
    pub heartbeat: HeartbeatConfig,
}

/// Whether anything can be sent to a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Over at least one link.
    Reachable,
    /// Over none.
    Unreachable,
}

/// One other host.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    policy: Policy,
    pub(crate) links: BTreeMap<LinkId, Link>,
    /// Of the ring's keys.
    pub(crate) opens: Opens,
    /// Links that carry data, in the order of their use.
    active: Vec<LinkId>,
    window: Window,
    /// When `window` was marked last.
    marked: Option<Instant>,
    defrag: Defrag,
    last_seq_ping: Seq,
    since_seq_ping: Traffic,
}

/// One link to it.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    pub(crate) config: LinkConfig,
    pub(crate) heartbeat: Heartbeat,
    pub(crate) path: PathMtu,
    pub(crate) measured: Measured,
    /// The MTU of which was told last, in bytes; 0 when there was none.
    pub(crate) told_mtu: usize,
    pub(crate) stats: LinkStats,
}

/// Whether a link's MTU was looked at since some link last came up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Measured {
    Yes,
    No,
}

/// Whether data came since the last ping that a sequence number caused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Traffic {
    Some,
    None,
}

impl Host {
    pub(crate) fn new(policy: Policy) -> Self {
        Self {
            policy,
            links: BTreeMap::new(),
            opens: Opens::Present,
            active: Vec::new(),
            window: Window::new(),
            marked: None,
            defrag: Defrag::default(),
            last_seq_ping: Seq(0),
            since_seq_ping: Traffic::None,
        }
    }

    pub(crate) const fn reach(&self) -> Reach {
        if self.active.is_empty() {
            Reach::Unreachable
        } else {
            Reach::Reachable
        }
    }

    /// The link whose peer has this address; ports do not count (netutils.c:cmpaddr).
    pub(crate) fn link_from(&self, source: IpAddr) -> Option<LinkId> {
        let mut links = self.links.iter();
        let found = links.find(|(_, link)| link.config.peer.ip() == source)?;
        Some(*found.0)
    }

    pub(crate) const fn policy(&self) -> Policy {
        self.policy
    }

    /// Returns whether other links carry data now.
    pub(crate) fn set_policy(&mut self, policy: Policy) -> bool {
        self.policy = policy;
        self.choose_links()
    }

    /// The links that carry data, with their priorities.
    pub(crate) fn active(&self) -> Vec<(LinkId, u8)> {
        let active = self.active.iter();
        active
            .filter_map(|id| Some((*id, self.links.get(id)?.config.priority)))
            .collect()
    }

    /// Visits the links that the next packet goes over.
    pub(crate) fn for_next_links(&mut self, mut visit: impl FnMut(LinkId, &LinkConfig)) {
        let next = match self.policy {
            Policy::Passive | Policy::Active => &self.active[..],
            Policy::RoundRobin => {
                let used = self.active.len().min(1);
                self.active.rotate_left(used);
                &self.active[self.active.len() - used..]
            }
        };
        for id in next {
            if let Some(link) = self.links.get(id) {
                visit(*id, &link.config);
            }
        }
    }

    /// Visits all links that could carry data.
    pub(crate) fn for_usable_links(&self, mut visit: impl FnMut(LinkId, &LinkConfig)) {
        for (id, link) in &self.links {
            if link.is_usable() {
                visit(*id, &link.config);
            }
        }
    }

    /// Chooses the links that carry data (host.c:_host_dstcache_update_sync). Returns whether they are others now.
    pub(crate) fn choose_links(&mut self) -> bool {
        let usable = self.links.iter().filter(|(_, link)| link.is_usable());
        let chosen: Vec<LinkId> = match self.policy {
            Policy::Active | Policy::RoundRobin => usable.map(|(&id, _)| id).collect(),
            Policy::Passive => usable
                .min_by_key(|(_, link)| core::cmp::Reverse(link.config.priority))
                .map(|(&id, _)| id)
                .into_iter()
                .collect(),
        };
        let changed = !same(&chosen, &self.active);
        self.active = chosen;
        if changed && self.active.is_empty() {
            self.forget(Seq(0));
        }
        changed
    }

    /// Learns from a ping over a link whether the host started anew (threads_rx.c:_parse_recv_from_links).
    pub(crate) fn on_ping(&mut self, now: Instant, id: LinkId, seq: Seq, reason: PingReason) {
        match reason {
            PingReason::Timer => {
                // Before its first message a host has the number 0, and never again. C compares with the ping before, and
                // does not see a host that ended between its first message and its next ping (D-59).
                let new = seq == Seq(0) && self.window.newest() != Seq(0);
                if new || self.is_of_another_life(now, id, seq) {
                    self.forget(seq);
                    for link in self.links.values_mut() {
                        link.heartbeat.handle_ping(Peer::Started);
                    }
                }
            }
            PingReason::Seq => {
                if seq != self.last_seq_ping {
                    self.last_seq_ping = seq;
                    let quiet = self.since_seq_ping == Traffic::None;
                    self.since_seq_ping = Traffic::None;
                    if quiet {
                        self.forget(seq);
                    }
                }
                self.window.look_up(seq);
            }
        }
    }

    /// Whether this is the first copy of message `seq`.
    pub(crate) fn on_data(&mut self, seq: Seq) -> Sighting {
        self.since_seq_ping = Traffic::Some;
        self.window.look_up(seq)
    }

    pub(crate) fn on_fragment(&mut self, now: Instant, fragment: Fragment<'_>) -> Outcome {
        self.defrag.accept(&mut self.window, now, fragment)
    }

    pub(crate) const fn mark_delivered(&mut self, seq: Seq) {
        self.window.mark_delivered(seq);
    }

    /// Whether a ping counts fewer messages than had arrived longer ago than it was on its way: every ping with the number
    /// 0 of a new start was lost (D-59). Only links that are up are known to be as quick as that.
    fn is_of_another_life(&mut self, now: Instant, id: LinkId, seq: Seq) -> bool {
        let link = self.links.get(&id).filter(|link| link.is_up());
        let Some(oldest) = link.map(|link| link.config.heartbeat.pong_timeout) else {
            return false;
        };
        let ripe = |marked| now.since(marked) >= oldest;
        let another = self.marked.is_some_and(ripe) && self.window.is_before_mark(seq);
        if self.marked.is_none_or(ripe) {
            self.window.mark();
            self.marked = Some(now);
        }
        another
    }

    fn forget(&mut self, seq: Seq) {
        self.window.restart_at(seq);
        self.defrag.clear();
    }
}

impl Link {
    pub(crate) fn new(config: LinkConfig, crypto: Overhead, mtu: Option<u16>) -> Self {
        let path = PathMtu::new(family_of(config.peer), crypto, mtu);
        Self {
            config,
            heartbeat: Heartbeat::new(config.heartbeat),
            told_mtu: path.mtu().unwrap_or(0),
            path,
            measured: Measured::No,
            stats: LinkStats::default(),
        }
    }

    pub(crate) const fn family(&self) -> Family {
        family_of(self.config.peer)
    }

    pub(crate) const fn is_up(&self) -> bool {
        matches!(self.heartbeat.state(), State::Up)
    }

    const fn is_usable(&self) -> bool {
        self.is_up() && self.path.mtu().is_some()
    }
}

const fn family_of(peer: SocketAddr) -> Family {
    match peer {
        SocketAddr::V4(_) => Family::V4,
        SocketAddr::V6(_) => Family::V6,
    }
}

/// Whether the same links are in both; the order is that of their use.
fn same(a: &[LinkId], b: &[LinkId]) -> bool {
    a.len() == b.len() && a.iter().all(|id| b.contains(id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferrosync_wire::time::Duration;

    #[test]
    fn policies_choose_links() {
        type Used = [&'static [u8]; 4];
        let cases: &[(Policy, [u8; 3], Used)] = &[
            // policy, priorities, links of four packets
            (Policy::Passive, [1, 1, 1], [&[0]; 4]),
            (Policy::Passive, [0, 5, 5], [&[1]; 4]),
            (Policy::Passive, [0, 5, 9], [&[2]; 4]),
            (Policy::Active, [0, 5, 9], [&[0, 1, 2]; 4]),
            (Policy::RoundRobin, [0, 5, 9], [&[0], &[1], &[2], &[0]]),
        ];
        for (policy, priorities, expected) in cases {
            let mut host = host(*policy, priorities);
            assert!(host.choose_links());
            assert_eq!(host.reach(), Reach::Reachable);
            assert!(!host.choose_links());
            for links in expected {
                let mut used = Vec::new();
                host.for_next_links(|link, _| used.push(link.0));
                assert_eq!(used, *links, "{policy:?} {priorities:?}");
            }
        }
    }

    #[test]
    fn a_host_without_links_gets_nothing() {
        for policy in [Policy::Passive, Policy::Active, Policy::RoundRobin] {
            let mut host = host(policy, &[]);
            assert!(!host.choose_links());
            assert_eq!(host.reach(), Reach::Unreachable);
            host.for_next_links(|link, _| panic!("{link:?}"));
        }
    }

    #[test]
    fn a_peer_that_starts_anew_is_heard() {
        use PingReason::{Seq as Counted, Timer};
        // Pings after message 50 was delivered, and whether another message 50 is news.
        let cases: &[(&[(u16, PingReason)], Sighting)] = &[
            (&[], Sighting::Again),
            (&[(50, Timer)], Sighting::Again),
            (&[(50, Timer), (0, Timer)], Sighting::First),
            (&[(0, Timer)], Sighting::First),
            (&[(60, Timer), (40, Timer)], Sighting::Again),
            // Data came since the last counted ping: all is well.
            (&[(60, Counted)], Sighting::Again),
            (&[(60, Counted), (60, Counted)], Sighting::Again),
            // Two counted pings without data in between.
            (&[(60, Counted), (70, Counted)], Sighting::First),
        ];
        for (pings, expected) in cases {
            let mut host = host(Policy::Passive, &[1]);
            host.on_data(Seq(50));
            host.mark_delivered(Seq(50));
            for &(seq, reason) in *pings {
                host.on_ping(Instant::ORIGIN, LinkId(0), Seq(seq), reason);
            }
            assert_eq!(host.on_data(Seq(50)), *expected, "{pings:?}");
        }
    }

    /// A host ended at message 1,041 and started anew; the first ping of its that arrives says 1 already.
    #[test]
    fn a_peer_whose_first_pings_are_lost_is_heard_after_the_next() {
        type Ping = (Duration, u8, u16);
        // When pings arrived after message 1,041, over which link, their numbers, and whether message 2 is news.
        let cases: &[(&[Ping], Sighting)] = &[
            (&[(OLDEST, 0, 1)], Sighting::First),
            (&[(OLDEST, 0, 1_040)], Sighting::First),
            (&[(OLDEST, 0, 1_041)], Sighting::Again),
            (&[(OLDEST, 0, 2_000)], Sighting::Again),
            // It may have been on its way while messages passed it.
            (&[(OLDEST / 2, 0, 1)], Sighting::Again),
            (&[(OLDEST / 2, 0, 1), (OLDEST * 2, 0, 1)], Sighting::First),
            // Who knows how slow a link is that is down.
            (&[(OLDEST, 1, 1)], Sighting::Again),
        ];
        for (pings, expected) in cases {
            let mut host = host(Policy::Passive, &[1, 1]);
            take_down(&mut host, LinkId(1));
            for seq in 1..=1_041 {
                host.on_data(Seq(seq));
                host.mark_delivered(Seq(seq));
            }
            ping(&mut host, Duration::ZERO, 0, Seq(1_041));
            for &(after, link, seq) in *pings {
                ping(&mut host, after, link, Seq(seq));
            }
            assert_eq!(host.on_data(Seq(2)), *expected, "{pings:?}");
        }
    }

    /// Messages that arrive between two pings excuse a ping that they overtook, and a number that wraps.
    #[test]
    fn a_ping_that_was_overtaken_changes_nothing() {
        for last in [2_000_u32, 65_000, 66_000, 150_000] {
            let mut host = host(Policy::Passive, &[1]);
            host.on_data(Seq(1_000));
            ping(&mut host, Duration::ZERO, 0, Seq(1_000));
            for count in 1_001..=last {
                host.on_data(numbered(count));
                host.mark_delivered(numbered(count));
            }
            ping(&mut host, OLDEST, 0, numbered(last - 700));
            assert_eq!(host.on_data(numbered(last)), Sighting::Again, "{last}");
        }
    }

    /// A ping that another one overtook tells nothing where the window has just begun anew.
    #[test]
    fn a_new_start_is_not_seen_twice() {
        let mut host = host(Policy::Passive, &[1]);
        host.on_data(Seq(1_000));
        ping(&mut host, Duration::ZERO, 0, Seq(1_000));
        for seq in [8_191, 8_192] {
            host.on_ping(Instant::ORIGIN, LinkId(0), Seq(seq), PingReason::Seq);
        }
        host.on_data(Seq(8_193));
        host.mark_delivered(Seq(8_193));
        ping(&mut host, OLDEST, 0, Seq(8_191));
        assert_eq!(host.on_data(Seq(8_193)), Sighting::Again);
    }

    fn ping(host: &mut Host, after: Duration, link: u8, seq: Seq) {
        let now = Instant::ORIGIN + after;
        host.on_ping(now, LinkId(link), seq, PingReason::Timer);
    }

    fn take_down(host: &mut Host, link: LinkId) {
        let link = host.links.get_mut(&link).expect("it is there");
        link.heartbeat = Heartbeat::new(link.config.heartbeat);
    }

    /// The number of a host's message `count`: 0 is for none.
    fn numbered(count: u32) -> Seq {
        Seq(u16::try_from((count - 1) % 65_535 + 1).expect("16 bits"))
    }

    /// The `pong_timeout` of the links of [`host`].
    const OLDEST: Duration = Duration::from_secs(1);

    #[test]
    fn a_host_out_of_reach_is_forgotten() {
        let mut host = host(Policy::Passive, &[1]);
        host.choose_links();
        host.on_data(Seq(50));
        host.mark_delivered(Seq(50));
        host.links.clear();
        assert!(host.choose_links());
        assert_eq!(host.reach(), Reach::Unreachable);
        assert_eq!(host.on_data(Seq(50)), Sighting::First);
    }

    /// A host whose links are up.
    fn host(policy: Policy, priorities: &[u8]) -> Host {
        let mut host = Host::new(policy);
        for (id, &priority) in (0_u8..).zip(priorities) {
            let heartbeat = HeartbeatConfig {
                ping_interval: Duration::from_secs(1),
                pong_timeout: Duration::from_secs(1),
                precision: 1,
                pong_count: 0,
            };
            let config = LinkConfig {
                peer: SocketAddr::from(([10, 0, id, 1], 5405)),
                priority,
                heartbeat,
            };
            let mut link = Link::new(config, Overhead::NONE, None);
            link.heartbeat
                .handle_pong(Instant::ORIGIN, Some(Instant::ORIGIN));
            host.links.insert(LinkId(id), link);
        }
        host
    }
}

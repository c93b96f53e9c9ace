//! The heartbeat of one link to one host: when to ping, and what pongs say about the link.
//!
//! ```text
//!          pong_count + 1 pongs in time, or data after a pong
//!   down -----------------------------------------------------> up
//!        <-----------------------------------------------------
//!          no pong for `timeout`, or the network says unreachable
//! ```
//!
//! Citations are of kronosnet 1.x, `libknet`. Latencies are whole microseconds, as C counts them.

use ferrosync_wire::Instant;
use ferrosync_wire::knet::PingReason;
use ferrosync_wire::time::Duration;

/// The longest time between two looks at all links; libknet always takes it (threads_common.h: KNET_THREADS_TIMERES).
pub const TICK_MAX: Duration = Duration::from_millis(200);
/// The shortest time between two looks.
pub const TICK_MIN: Duration = Duration::from_millis(10);
/// Looks in a ping interval. With C's long time between looks a ping that is due every 250 ms leaves every 400, and one
/// that is lost on a link that may be silent for 500 ms takes it down (`docs/deviations.md`, D-103).
pub const TICKS_PER_PING: u32 = 5;
/// Time between two adjustments of the links' timeouts (threads_heartbeat.c:_handle_heartbt_thread).
pub const ADJUSTMENT: Duration = Duration::from_secs(1);

/// What the configuration says about a link's heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeartbeatConfig {
    /// Time between two pings.
    pub ping_interval: Duration,
    /// Time without pongs after which a link that has been up for a while is down.
    pub pong_timeout: Duration,
    /// How many latencies the mean is made of, at least 1.
    pub precision: u32,
    /// Pongs that are only counted; the next one lets the link up.
    pub pong_count: u8,
}

/// The state of one link's heartbeat.
#[derive(Clone, Debug)]
pub struct Heartbeat {
    config: HeartbeatConfig,
    state: State,
    /// Whether the network reported the peer unreachable since the last look.
    report: Report,
    last_ping: Option<Instant>,
    last_pong: Option<Instant>,
    /// Pongs counted while down.
    pongs: u8,
    history: History,
    /// Pings that leave sooner than configured, while the link is down.
    eager: u8,
    backoff: u32,
    timeout: Duration,
    latency: Latency,
}

/// The mean time between a ping and its pong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// The running mean.
    pub mean_us: u64,
    /// Latencies in it, at most the configured precision.
    pub samples: u32,
    /// The shortest ever; 0 while there is none.
    pub min_us: u64,
    /// The longest ever.
    pub max_us: u64,
}

/// Whether a link carries traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The peer answers.
    Up,
    /// It does not, or not often enough yet.
    Down,
}

/// What is to be done after a look at a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beat {
    /// Whether to send a ping, stamped with the time of this look.
    pub ping: Ping,
    /// The link's new state, if it changed.
    pub change: Option<State>,
}

/// Whether a ping is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ping {
    /// Send one.
    Send,
    /// Not yet.
    Skip,
}

impl Heartbeat {
    /// A link that has not been tried (links.c:knet_link_set_config).
    #[must_use]
    pub fn new(config: HeartbeatConfig) -> Self {
        assert!(config.precision >= 1, "a mean needs a sample");
        Self {
            config,
            state: State::Down,
            report: Report::Quiet,
            last_ping: None,
            last_pong: None,
            pongs: 0,
            history: History::New,
            eager: EAGER_PINGS,
            backoff: BACKOFF,
            timeout: config.pong_timeout * BACKOFF,
            latency: Latency::default(),
        }
    }

    /// Whether the link carries traffic.
    #[must_use]
    pub const fn state(&self) -> State {
        self.state
    }

    /// Time without pongs that the link may have at present; a probe is given as much.
    #[must_use]
    pub const fn timeout(&self) -> Duration {
        self.timeout
    }

    /// The mean latency.
    #[must_use]
    pub const fn latency(&self) -> Latency {
        self.latency
    }

    /// Goes on with other timers.
    pub fn set_config(&mut self, config: HeartbeatConfig) {
        assert!(config.precision >= 1, "a mean needs a sample");
        self.config = config;
    }

    /// Looks at the link, now and then or out of turn (threads_heartbeat.c:_handle_check_each).
    pub fn beat(&mut self, now: Instant, reason: PingReason) -> Beat {
        if self.report == Report::Unreachable {
            self.report = Report::Quiet;
            return Beat {
                ping: Ping::Skip,
                change: self.down_enter(),
            };
        }
        let due = match (reason, self.last_ping) {
            (PingReason::Seq, _) | (PingReason::Timer, None) => true,
            (PingReason::Timer, Some(last)) => now - last >= self.interval(),
        };
        // A pong that comes while we ping is too late to save the link, as in C.
        let silent = self
            .last_pong
            .is_some_and(|last| now - last >= self.timeout);
        let ping = if due { Ping::Send } else { Ping::Skip };
        if due {
            self.last_ping = Some(now);
            self.eager = self.eager.saturating_sub(1);
        }
        Beat {
            ping,
            change: if silent { self.down_enter() } else { None },
        }
    }

    /// Takes note of a ping of the peer: there is somebody who might answer ours. Where the link never carried anything
    /// between the two processes, they need not be asked slowly (`docs/deviations.md`, D-74).
    pub const fn handle_ping(&mut self, peer: Peer) {
        if matches!(peer, Peer::Started) {
            self.history = History::New;
        }
        if matches!(self.history, History::New) {
            self.eager = EAGER_PINGS;
        }
    }

    /// Time between two pings at present.
    fn interval(&self) -> Duration {
        if self.state == State::Down && self.eager > 0 {
            self.config.ping_interval.min(EAGER_INTERVAL)
        } else {
            self.config.ping_interval
        }
    }

    /// Takes a pong, whose ping left at `sent` (threads_rx.c:_parse_recv_from_links). `None` stands for a time that we
    /// cannot have sent. Returns the new state, if it changed.
    pub fn handle_pong(&mut self, now: Instant, sent: Option<Instant>) -> Option<State> {
        self.last_pong = Some(now);
        let taken = sent.filter(|&sent| sent <= now).map(|sent| now - sent)?;
        if whole_us(taken) > whole_us(self.config.pong_timeout) {
            return None;
        }
        self.latency.add(whole_us(taken), self.config.precision);
        if self.state == State::Up || self.latency.mean_us >= whole_us(self.timeout) {
            return None;
        }
        if self.pongs < self.config.pong_count {
            self.pongs += 1;
            return None;
        }
        Some(self.up_enter())
    }

    /// Takes note of data from a host that is not reachable: after a pong it lets the link up at once
    /// (threads_rx.c:_fast_data_up, newer than 1.25). Returns the new state, if it changed.
    pub const fn handle_early_data(&mut self) -> Option<State> {
        match self.state {
            State::Down if self.pongs > 0 => Some(self.up_enter()),
            State::Down | State::Up => None,
        }
    }

    /// Takes note that the network reports the peer unreachable; the next look acts on it
    /// (transport_udp.c:read_errs_from_sock).
    pub fn handle_unreachable(&mut self) {
        if self.state == State::Up {
            self.report = Report::Unreachable;
        }
    }

    /// Brings the timeout closer to its final value, once a second (threads_heartbeat.c:_adjust_pong_timeouts): a link
    /// that was down gets ten times as long as one that has been up for ten seconds.
    pub fn adjust(&mut self) {
        if self.backoff > 1 {
            self.backoff -= 1;
        }
        let latency = Duration::from_micros(self.latency.mean_us);
        self.timeout = self.config.pong_timeout * self.backoff + latency * LATENCY_FACTOR;
    }

    const fn up_enter(&mut self) -> State {
        self.state = State::Up;
        self.history = History::WasUp;
        self.eager = 0;
        self.state
    }

    fn down_enter(&mut self) -> Option<State> {
        self.pongs = 0;
        self.last_pong = None;
        self.backoff = BACKOFF;
        match self.state {
            State::Down => None,
            State::Up => {
                self.state = State::Down;
                Some(State::Down)
            }
        }
    }
}

impl Latency {
    fn add(&mut self, us: u64, precision: u32) {
        self.min_us = match self.samples {
            0 => us,
            _ => self.min_us.min(us),
        };
        self.max_us = self.max_us.max(us);
        self.samples = precision.min(self.samples + 1);
        let samples = u64::from(self.samples);
        self.mean_us = (self.mean_us * (samples - 1) + us) / samples;
    }
}

/// What the network said about the peer since the last look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Report {
    Quiet,
    Unreachable,
}

/// Whether a link has carried traffic between this process and the one at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum History {
    New,
    WasUp,
}

/// What a ping says about the process that sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// It has just started.
    Started,
    /// It runs.
    Runs,
}

fn whole_us(d: Duration) -> u64 {
    u64::try_from(d.as_micros()).unwrap_or(u64::MAX)
}

/// Pings that leave sooner than configured, after the start and after each ping of a peer that may just have started.
const EAGER_PINGS: u8 = 50;
/// The shortest time between them. However often links are looked at, there is a look between this and [`TICK_MAX`].
const EAGER_INTERVAL: Duration = Duration::from_millis(100);
/// Timeouts that a link is given at first (links.h: KNET_LINK_PONG_TIMEOUT_BACKOFF).
const BACKOFF: u32 = 10;
/// Latencies in a timeout (links.h: KNET_LINK_PONG_TIMEOUT_LAT_MUL).
const LATENCY_FACTOR: u32 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: HeartbeatConfig = HeartbeatConfig {
        ping_interval: Duration::from_millis(500),
        pong_timeout: Duration::from_millis(1_000),
        precision: 4,
        pong_count: 2,
    };

    #[test]
    fn pings_leave_at_the_first_look_after_the_interval() {
        let mut link = up();
        assert_eq!(pings(&mut link, 0..10), [0, 600, 1_200, 1_800]);
        assert_eq!(link.beat(at(1_801), PingReason::Seq).ping, Ping::Send);
        assert_eq!(link.beat(at(2_300), PingReason::Timer).ping, Ping::Skip);
        assert_eq!(link.beat(at(2_301), PingReason::Timer).ping, Ping::Send);
    }

    #[test]
    fn a_new_link_is_asked_more_often_for_a_while() {
        let mut link = Heartbeat::new(CONFIG);
        let eager: Vec<u64> = (0..50).map(|tick| tick * 200).collect();
        assert_eq!(pings(&mut link, 0..55), [&eager[..], &[10_400]].concat());
        link.handle_ping(Peer::Runs);
        assert_eq!(pings(&mut link, 55..57), [11_000, 11_200]);
        for ms in [11_210, 11_220, 11_230] {
            pong(&mut link, ms, 1);
        }
        assert_eq!(link.state(), State::Up);
        assert_eq!(pings(&mut link, 57..61), [11_800]);
    }

    #[test]
    fn a_link_that_broke_is_asked_slowly_unless_the_peer_is_new() {
        let mut link = up();
        link.handle_unreachable();
        link.beat(at(400), PingReason::Timer);
        link.handle_ping(Peer::Runs);
        assert_eq!(pings(&mut link, 3..10), [600, 1_200, 1_800]);
        link.handle_ping(Peer::Started);
        assert_eq!(pings(&mut link, 10..13), [2_000, 2_200, 2_400]);
    }

    #[test]
    fn a_new_link_is_asked_every_100_to_200_ms_however_often_it_is_looked_at() {
        for tick in [10, 50, 82, 90, 100, 110, 150, 200] {
            let mut link = Heartbeat::new(CONFIG);
            let looks = (0..=2_000 / tick).map(|look| look * tick);
            let sent = looks.filter(|&ms| link.beat(at(ms), PingReason::Timer).ping == Ping::Send);
            let sent: Vec<u64> = sent.collect();
            let gaps = sent.windows(2).map(|pair| pair[1] - pair[0]);
            assert!(
                gaps.clone().all(|gap| (100..=200).contains(&gap)),
                "{sent:?}"
            );
            assert!(gaps.count() >= 9, "{sent:?}");
        }
    }

    /// When pings leave in these looks.
    fn pings(link: &mut Heartbeat, looks: core::ops::Range<u64>) -> Vec<u64> {
        looks
            .map(|tick| tick * 200)
            .filter(|&ms| link.beat(at(ms), PingReason::Timer).ping == Ping::Send)
            .collect()
    }

    #[test]
    fn the_pong_after_pong_count_pongs_lets_the_link_up() {
        let mut link = Heartbeat::new(CONFIG);
        assert_eq!(pong(&mut link, 100, 10), None);
        assert_eq!(pong(&mut link, 200, 10), None);
        assert_eq!(link.state(), State::Down);
        assert_eq!(pong(&mut link, 300, 10), Some(State::Up));
        assert_eq!(pong(&mut link, 400, 10), None);
        assert_eq!(link.state(), State::Up);
    }

    #[test]
    fn pongs_that_prove_nothing_are_not_counted() {
        for sent in [None, Some(at(5_001)), Some(at(3_999))] {
            let mut link = Heartbeat::new(CONFIG);
            for _ in 0..10 {
                assert_eq!(link.handle_pong(at(5_000), sent), None, "{sent:?}");
            }
            assert_eq!(link.latency(), Latency::default());
        }
        let mut link = Heartbeat::new(CONFIG);
        link.handle_pong(at(5_000), Some(at(4_000)));
        assert_eq!(link.latency().samples, 1);
    }

    #[test]
    fn a_silent_link_is_down_after_its_timeout() {
        // Seconds up, then the timeout: backoff times the pong timeout and twice the latency.
        for (seconds, timeout_ms) in [(0, 10_000), (1, 9_020), (8, 2_020), (9, 1_020), (20, 1_020)]
        {
            let mut link = up();
            for _ in 0..seconds {
                link.adjust();
            }
            assert_eq!(link.timeout(), Duration::from_millis(timeout_ms));
            let last_pong = 300;
            let just = link.beat(at(last_pong + timeout_ms - 1), PingReason::Timer);
            assert_eq!(just.change, None, "{seconds}");
            let over = link.beat(at(last_pong + timeout_ms), PingReason::Timer);
            assert_eq!(over.change, Some(State::Down), "{seconds}");
            let again = link.beat(at(last_pong + timeout_ms + 1), PingReason::Timer);
            assert_eq!(again.change, None, "{seconds}");
        }
    }

    #[test]
    fn a_link_that_was_down_starts_counting_anew() {
        let mut link = up();
        link.handle_unreachable();
        let beat = link.beat(at(400), PingReason::Timer);
        assert_eq!((beat.ping, beat.change), (Ping::Skip, Some(State::Down)));
        assert_eq!(link.beat(at(600), PingReason::Timer).ping, Ping::Send);
        assert_eq!(pong(&mut link, 700, 1), None);
        assert_eq!(pong(&mut link, 800, 1), None);
        assert_eq!(pong(&mut link, 900, 1), Some(State::Up));
        link.adjust();
        assert!(link.timeout() >= CONFIG.pong_timeout * 9);
    }

    #[test]
    fn a_report_about_a_link_that_is_down_does_not_keep_it_down() {
        let mut link = Heartbeat::new(CONFIG);
        pong(&mut link, 100, 1);
        link.handle_unreachable();
        assert_eq!(link.beat(at(200), PingReason::Timer).ping, Ping::Send);
        pong(&mut link, 300, 1);
        assert_eq!(pong(&mut link, 400, 1), Some(State::Up));
    }

    #[test]
    fn data_lets_a_link_up_only_after_a_pong() {
        let mut link = Heartbeat::new(CONFIG);
        assert_eq!(link.handle_early_data(), None);
        pong(&mut link, 100, 1);
        assert_eq!(link.handle_early_data(), Some(State::Up));
        assert_eq!(link.handle_early_data(), None);
    }

    #[test]
    fn the_mean_is_that_of_the_last_samples_roughly() {
        let mut latency = Latency::default();
        let means: Vec<u64> = [100, 200, 301, 400, 1_000]
            .into_iter()
            .map(|us| {
                latency.add(us, 4);
                latency.mean_us
            })
            .collect();
        assert_eq!(means, [100, 150, 200, 250, 437]);
        assert_eq!(latency.samples, 4);
    }

    fn at(ms: u64) -> Instant {
        Instant::from_nanos(ms * 1_000_000)
    }

    fn pong(link: &mut Heartbeat, now_ms: u64, latency_ms: u64) -> Option<State> {
        link.handle_pong(at(now_ms), Some(at(now_ms - latency_ms)))
    }

    /// A link that came up with its pong at 300 ms.
    fn up() -> Heartbeat {
        let mut link = Heartbeat::new(CONFIG);
        for ms in [100, 200, 300] {
            pong(&mut link, ms, 10);
        }
        assert_eq!(link.state(), State::Up);
        link
    }
}

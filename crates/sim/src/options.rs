//! What a world consists of and what may happen in it, chosen from a seed.
//!
//! Every kind of trouble is on in some worlds and off in others (swarm testing): trouble that is always on hides
//! what only happens without it.

mod knet;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use ferrosync_executive::config::{
    self, Config, CryptoConfig, Environment, Family, Fixed, SourceFile,
};
use ferrosync_totem::rng::Rng;
use ferrosync_wire::{Duration, LinkId};

pub use knet::{Crypto, INTERFACE_MTU, KEY_LEN, KnetWorld, LINKS_MAX, Refusal};

/// Everything that makes a world.
#[derive(Clone, Debug)]
pub struct Options {
    /// Decides everything else that is random.
    pub seed: u64,
    /// Configured nodes, numbered from 1.
    pub nodes: u32,
    /// How frames travel.
    pub transport: Transport,
    /// `totem.token`.
    pub token: Duration,
    /// `totem.netmtu`.
    pub netmtu: u32,
    /// Most messages of one node per token visit, as the checkers believe it.
    pub max_messages: u32,
    /// What every link does all the time.
    pub network: NetworkOptions,
    /// What goes wrong now and then.
    pub faults: FaultOptions,
    /// What clients do.
    pub workload: WorkloadOptions,
    /// How long faults and clients are at work before the world is healed.
    pub trouble: Duration,
}

/// How frames travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// A datagram to every member, one socket.
    Udpu,
    /// Multicast, and tokens through another socket.
    Udp,
    /// kronosnet.
    Knet(KnetWorld),
}

impl Transport {
    /// Links between each two nodes.
    #[must_use]
    pub const fn links(self) -> u8 {
        match self {
            Self::Udpu | Self::Udp => 1,
            Self::Knet(world) => world.links,
        }
    }
}

/// What every link does all the time.
#[derive(Clone, Debug)]
pub struct NetworkOptions {
    /// Shortest time on the way.
    pub delay: Duration,
    /// Added at random, up to this.
    pub jitter: Duration,
    /// Frames lost per million.
    pub loss_ppm: u64,
    /// Frames that arrive twice, per million.
    pub duplicate_ppm: u64,
    /// Frames that may overtake others, per million.
    pub reorder_ppm: u64,
    /// Frames behind which an old one arrives again, per million.
    pub replay_ppm: u64,
    /// Frames behind which something unusable arrives, per million.
    pub garbage_ppm: u64,
}

/// What goes wrong now and then. A weight of 0 switches a kind off.
#[derive(Clone, Debug)]
pub struct FaultOptions {
    /// Mean time between faults.
    pub interval: Duration,
    /// Mean time until a fault is over.
    pub duration: Duration,
    /// How likely each kind is, in proportion.
    pub weights: BTreeMap<FaultKind, u64>,
}

/// What can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultKind {
    /// One direction of one link carries nothing.
    OneWayCut,
    /// The nodes fall into two groups.
    Partition,
    /// What a link carries arrives only when the fault is over.
    Clog,
    /// A link loses much.
    Loss,
    /// A node's process does not run.
    Pause,
    /// A node's process ends without a word and starts again.
    Crash,
    /// The same, and what it stored is gone.
    CrashAndForget,
    /// The process ends while it stores the ring sequence number.
    CrashAtStore,
    /// A node stops in order and starts again.
    Restart,
    /// One of a node's links is unplugged; only in worlds over knet.
    LinkDown,
}

/// What clients do.
#[derive(Clone, Debug)]
pub struct WorkloadOptions {
    /// Mean time between actions of all clients together.
    pub interval: Duration,
    /// Most client processes per node.
    pub processes: usize,
    /// Groups that they join.
    pub groups: u64,
    /// Messages sent at once, at most.
    pub burst: u64,
    /// Messages of 1 MiB, in percent of all.
    pub huge_percent: u64,
    /// Messages over one frame, in percent of all.
    pub large_percent: u64,
    /// Processes that read their events slowly, in percent.
    pub slow_percent: u64,
}

impl FaultKind {
    /// Every kind that any world has.
    pub const ALL: [Self; 9] = [
        Self::OneWayCut,
        Self::Partition,
        Self::Clog,
        Self::Loss,
        Self::Pause,
        Self::Crash,
        Self::CrashAndForget,
        Self::CrashAtStore,
        Self::Restart,
    ];
}

impl Options {
    /// A world in which anything may happen.
    #[must_use]
    pub fn swarm(seed: u64) -> Self {
        let mut rng = Rng::new(seed ^ 0x5EED_0000_0000_0001);
        let rng = &mut rng;
        let token = Duration::from_millis(pick(rng, &[200, 300, 500, 1_000]));
        let heavy = rng.percent(5);
        Self {
            seed,
            nodes: u32::try_from(pick(rng, &[2, 3, 3, 3, 4, 4, 5, 5, 7])).unwrap_or(3),
            transport: if rng.percent(25) {
                Transport::Udp
            } else {
                Transport::Udpu
            },
            token,
            netmtu: u32::try_from(pick(rng, &[1_500, 1_500, 1_500, 600, 9_000, 65_536]))
                .unwrap_or(1_500),
            max_messages: 17,
            network: NetworkOptions::swarm(rng),
            faults: FaultOptions::swarm(rng, token),
            workload: WorkloadOptions::swarm(rng, heavy),
            trouble: (token * u32::try_from(8 + rng.below(25)).unwrap_or(8)).min(TROUBLE_MAX),
        }
    }

    /// A world in which nothing happens unless a script says so.
    #[must_use]
    pub fn quiet(nodes: u32) -> Self {
        Self {
            seed: 1,
            nodes,
            transport: Transport::Udpu,
            token: Duration::from_millis(1_000),
            netmtu: 1_500,
            max_messages: 17,
            network: NetworkOptions {
                delay: Duration::from_micros(100),
                jitter: Duration::from_micros(20),
                loss_ppm: 0,
                duplicate_ppm: 0,
                reorder_ppm: 0,
                replay_ppm: 0,
                garbage_ppm: 0,
            },
            faults: FaultOptions {
                interval: Duration::from_secs(1),
                duration: Duration::from_secs(1),
                weights: BTreeMap::new(),
            },
            workload: WorkloadOptions {
                interval: Duration::from_millis(10),
                processes: 0,
                groups: 1,
                burst: 1,
                huge_percent: 0,
                large_percent: 0,
                slow_percent: 0,
            },
            trouble: Duration::ZERO,
        }
    }

    /// corosync.conf of every node of this world.
    #[must_use]
    pub fn corosync_conf(&self) -> String {
        let transport = match self.transport {
            Transport::Udpu => "udpu\n".to_owned(),
            Transport::Udp => "udp\n".to_owned(),
            Transport::Knet(world) => format!("knet\n{}", world.section()),
        };
        let mut conf = format!(
            "totem {{\n version: 2\n cluster_name: sim\n transport: {transport} token: {}\n \
             token_coefficient: 0\n netmtu: {}\n}}\n\
             quorum {{\n provider: corosync_votequorum\n}}\nnodelist {{\n",
            self.token.as_millis(),
            self.netmtu,
        );
        for node in 1..=self.nodes {
            conf.push_str(&format!(" node {{\n  nodeid: {node}\n  name: node{node}\n"));
            for link in 0..self.transport.links() {
                let address = Self::address(node, LinkId(link));
                conf.push_str(&format!("  ring{link}_addr: {address}\n"));
            }
            conf.push_str(" }\n");
        }
        conf.push_str("}\n");
        conf
    }

    /// The address of a node on a link.
    #[must_use]
    pub fn address(node: u32, link: LinkId) -> IpAddr {
        let [_, _, high, low] = node.to_be_bytes();
        IpAddr::V4(Ipv4Addr::new(10, link.0, high, low))
    }

    /// A node's configuration, read from a corosync.conf by the production code.
    ///
    /// # Panics
    ///
    /// When the text is refused: worlds are made of valid configurations.
    #[must_use]
    pub fn load(conf: &str, node: u32) -> Config {
        let mut environment = Surroundings::of(node);
        match config::load(file(conf), &[], &mut environment) {
            Ok(config) => config,
            Err(errors) => panic!("the world's configuration was refused: {errors:?}\n{conf}"),
        }
    }

    /// The same for a node that runs, of whose configuration `fixed` stays.
    ///
    /// # Errors
    ///
    /// What is wrong with the text.
    pub fn reload(conf: &str, node: u32, fixed: &Fixed) -> Result<Config, String> {
        let mut environment = Surroundings::of(node);
        config::reload(file(conf), &[], &mut environment, fixed).map_err(|e| e.to_string())
    }

    /// What a text says of encryption, as a node reads it ahead of a reload.
    #[must_use]
    pub fn crypto(conf: &str) -> Option<CryptoConfig> {
        config::crypto_of(file(conf))
    }
}

impl NetworkOptions {
    fn swarm(rng: &mut Rng) -> Self {
        let delay = pick(rng, &[100, 200, 500, 1_000]);
        Self {
            delay: Duration::from_micros(delay),
            jitter: Duration::from_micros(pick(rng, &[0, 20, delay, 3 * delay])),
            loss_ppm: pick(rng, &[0, 0, 0, 100, 1_000, 10_000, 50_000]),
            duplicate_ppm: pick(rng, &[0, 0, 1_000, 50_000]),
            reorder_ppm: pick(rng, &[0, 0, 10_000, 300_000]),
            replay_ppm: pick(rng, &[0, 0, 0, 1_000, 20_000]),
            garbage_ppm: pick(rng, &[0, 0, 0, 1_000]),
        }
    }
}

impl FaultOptions {
    fn swarm(rng: &mut Rng, token: Duration) -> Self {
        let mut weights = BTreeMap::new();
        for kind in FaultKind::ALL {
            let usual = match kind {
                FaultKind::CrashAndForget => rng.percent(10),
                FaultKind::CrashAtStore => rng.percent(25),
                FaultKind::OneWayCut
                | FaultKind::Partition
                | FaultKind::Clog
                | FaultKind::Loss
                | FaultKind::Pause
                | FaultKind::Crash
                | FaultKind::LinkDown
                | FaultKind::Restart => rng.percent(50),
            };
            if usual {
                weights.insert(kind, 1 + rng.below(4));
            }
        }
        let percent = |rng: &mut Rng, list: &[u64]| {
            token * u32::try_from(pick(rng, list)).unwrap_or(100) / 100
        };
        Self {
            interval: percent(rng, &[30, 100, 200, 500]),
            duration: percent(rng, &[10, 50, 150, 300, 600]),
            weights,
        }
    }
}

impl WorkloadOptions {
    fn swarm(rng: &mut Rng, heavy: bool) -> Self {
        Self {
            interval: Duration::from_micros(pick(rng, &[2_000, 5_000, 20_000, 100_000])),
            processes: usize::try_from(1 + rng.below(3)).unwrap_or(1),
            groups: 1 + rng.below(3),
            burst: pick(rng, &[1, 1, 5, 20]),
            huge_percent: if heavy { 5 } else { 0 },
            large_percent: pick(rng, &[0, 5, 30]),
            slow_percent: pick(rng, &[0, 0, 30]),
        }
    }
}

/// Longest time of trouble: more worlds find more than longer ones.
const TROUBLE_MAX: Duration = Duration::from_secs(8);

/// One of a list.
pub(crate) fn pick(rng: &mut Rng, list: &[u64]) -> u64 {
    let index = usize::try_from(rng.below(list.len() as u64)).unwrap_or(0);
    list[index]
}

/// The machine as a configuration sees it.
struct Surroundings {
    name: String,
    addresses: Vec<IpAddr>,
}

impl Surroundings {
    fn of(node: u32) -> Self {
        Self {
            name: format!("node{node}"),
            addresses: vec![Options::address(node, LinkId(0))],
        }
    }
}

const fn file(conf: &str) -> SourceFile<'_> {
    SourceFile {
        name: "corosync.conf",
        bytes: conf.as_bytes(),
    }
}

impl Environment for Surroundings {
    fn node_name(&self) -> &str {
        &self.name
    }

    fn local_addresses(&self) -> &[IpAddr] {
        &self.addresses
    }

    fn resolve(&mut self, _name: &str, _family: Family) -> Vec<IpAddr> {
        Vec::new()
    }

    fn reverse(&mut self, _address: IpAddr) -> Option<String> {
        None
    }

    fn user_id(&mut self, _name: &str) -> Option<u32> {
        None
    }

    fn group_id(&mut self, _name: &str) -> Option<u32> {
        None
    }
}

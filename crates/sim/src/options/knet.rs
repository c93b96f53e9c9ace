//! Worlds whose nodes are joined by knet: several links, paths of different widths, encryption.

use ferrosync_totem::rng::Rng;

use super::{FaultKind, Options, Transport, pick};

/// What is particular to such a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnetWorld {
    /// Links between each two nodes, 1 to [`LINKS_MAX`].
    pub links: u8,
    /// `link_mode`.
    pub policy: &'static str,
    /// Whether packets are encrypted.
    pub crypto: Crypto,
    /// The largest IP packet that passes each link, in bytes. What is longer vanishes, unless the interface refuses it.
    pub path_mtu: [usize; LINKS_MAX],
    /// Whether a machine tells those who send to a process that does not run.
    pub refusal: Refusal,
}

/// Whether packets are encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crypto {
    /// They go as they are.
    None,
    /// aes256 and sha256.
    Aes256,
}

/// What a machine does with datagrams for a process that does not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It drops them.
    Silent,
    /// It says so.
    Told,
}

/// Most links of a world.
pub const LINKS_MAX: usize = 3;
/// Bytes of the key of an encrypted world, which are all the same letter.
pub const KEY_LEN: usize = 127;
/// The MTU of every interface: the kernel refuses longer packets, and says why.
pub const INTERFACE_MTU: usize = 1_500;

impl KnetWorld {
    /// One link, nothing special.
    pub const PLAIN: Self = Self {
        links: 1,
        policy: "passive",
        crypto: Crypto::None,
        path_mtu: [INTERFACE_MTU; LINKS_MAX],
        refusal: Refusal::Silent,
    };

    fn swarm(rng: &mut Rng) -> Self {
        let links = pick(rng, &[1, 1, 2, 2, 3]);
        let policies = ["passive", "passive", "active", "rr"];
        let policy = policies[usize::try_from(rng.below(4)).unwrap_or(0)];
        let mut path_mtu = [INTERFACE_MTU; LINKS_MAX];
        for mtu in &mut path_mtu {
            let chosen = pick(rng, &[1_500, 1_500, 1_500, 1_300, 1_280, 700]);
            *mtu = usize::try_from(chosen).unwrap_or(INTERFACE_MTU);
        }
        Self {
            links: u8::try_from(links).unwrap_or(1),
            policy,
            crypto: if rng.percent(30) {
                Crypto::Aes256
            } else {
                Crypto::None
            },
            path_mtu,
            refusal: if rng.percent(50) {
                Refusal::Told
            } else {
                Refusal::Silent
            },
        }
    }

    /// The lines of the totem section.
    pub(super) fn section(&self) -> String {
        let crypto = match self.crypto {
            Crypto::None => String::new(),
            Crypto::Aes256 => format!(
                " crypto_cipher: aes256\n crypto_hash: sha256\n key: {}\n",
                "k".repeat(KEY_LEN)
            ),
        };
        format!(" link_mode: {}\n{crypto}", self.policy)
    }

    /// Most packets that the links may carry for one frame of the ring, and for themselves at the same time.
    pub(crate) fn packets_per_frame(&self, netmtu: u32) -> u32 {
        let parts = netmtu.div_ceil(SMALLEST_PAYLOAD);
        u32::from(self.links) * parts
    }
}

impl Options {
    /// A world over knet in which anything may happen.
    #[must_use]
    pub fn swarm_over_knet(seed: u64) -> Self {
        let mut options = Self::swarm(seed);
        let mut rng = Rng::new(seed ^ 0x5EED_0000_0000_0004);
        let world = KnetWorld::swarm(&mut rng);
        options.transport = Transport::Knet(world);
        options.netmtu = u32::try_from(pick(&mut rng, &[65_536, 65_536, 1_500])).unwrap_or(65_536);
        if rng.percent(60) {
            let weight = 1 + rng.below(4);
            options.faults.weights.insert(FaultKind::LinkDown, weight);
        }
        options
    }

    /// A quiet world over knet.
    #[must_use]
    pub fn quiet_over_knet(nodes: u32, world: KnetWorld) -> Self {
        Self {
            transport: Transport::Knet(world),
            netmtu: 65_536,
            ..Self::quiet(nodes)
        }
    }
}

/// Bytes of a message that every packet carries at least.
const SMALLEST_PAYLOAD: u32 = 400;

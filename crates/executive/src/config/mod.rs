//! corosync.conf: bytes to a tree, the tree to configuration map keys, the keys to typed values.
//!
//! [`load`] goes through the stages that corosync goes through, with the same outcome for every file on which
//! a node can work: [`parse`](SourceFile) (the grammar), `cmap_keys` (what is published under which key, with
//! the types of [`keys`]), then one module per section that reads the [`KeyMap`], applies defaults and checks.
//! Reading the map rather than the tree keeps start, reload and a change through the map on one path.
//!
//! What corosync would accept and then run half-configured is refused; `docs/config.md` lists these places.
//! Nothing here does IO: the host brings the files and answers through [`Environment`].

mod cmap_keys;
mod environment;
mod error;
mod fixed;
mod glance;
mod interfaces;
mod key_map;
pub mod keys;
mod local_node;
mod logging;
mod nodelist;
mod parse;
mod quorum;
mod system;
mod totem;
mod transport;
mod uidgid;
mod value;

use ferrosync_totem::SrpConfig;
use ferrosync_totem::config::PayloadMtu;
use ferrosync_wire::value::{Key, Value};
use ferrosync_wire::{LinkId, NodeId};

pub use environment::{Environment, Family, IpVersion};
pub use error::{ConfigError, ConfigErrors, Location, Warning};
pub use fixed::Fixed;
pub use glance::crypto_of;
pub use key_map::KeyMap;
pub use logging::{Debug, Logger, LoggingConfig, SUBSYSTEMS_MAX, Timestamp};
pub use nodelist::{NODES_MAX, NodeEntry};
pub use parse::{
    Entry, FILE_BYTES_MAX, Item, LINE_BYTES_MAX, Section, SourceFile, Spanned, sections,
};
pub use quorum::{
    EXPECTED_VOTES_MAX, QdeviceConfig, QuorumConfig, TieBreaker, VotequorumConfig, VotesSource,
    WaitForAll, YkdRule,
};
pub use system::{
    IpcType, MoveToRootCgroup, Nice, NozzleConfig, ResourcesConfig, STATE_DIR, SystemConfig,
};
pub use totem::{BlockUnlisted, Volatile};
pub use transport::{
    Cipher, Compression, CompressionConfig, CryptoConfig, CryptoModel, Hash, KeySource, KnetConfig,
    KnetLink, LinkMode, MAX_KEY_LEN, MIN_KEY_LEN, McastGroup, TransportConfig, TransportKind,
    UdpConfig, UdpuConfig,
};
pub use uidgid::UidGid;

use environment::Resolver;
use error::Findings;
use interfaces::Interfaces;
use keys::Applies;
use nodelist::{ClearHighBit, RawNode, Rules};

/// Everything that a node is told by its files, valid by construction.
#[derive(Clone, Debug)]
pub struct Config {
    /// `totem.cluster_name`.
    pub cluster_name: Option<String>,
    /// `totem.config_version`; 0 when not given.
    pub config_version: u64,
    /// This node's id.
    pub me: NodeId,
    /// This node's index in `nodes`, published as `nodelist.local_node_pos`.
    pub local_pos: usize,
    /// The nodelist in the order of the file.
    pub nodes: Vec<NodeEntry>,
    /// Parameters of the ring protocol.
    pub srp: SrpConfig,
    /// The same parameters, and those of knet that may change at run time, as numbers of the map.
    pub volatile: Volatile,
    /// Nodes by which the token timeout grows, for reading `volatile` again.
    pub scaling_nodes: usize,
    /// The network.
    pub transport: TransportConfig,
    /// The quorum section.
    pub quorum: QuorumConfig,
    /// The logging section.
    pub logging: LoggingConfig,
    /// The system section.
    pub system: SystemConfig,
    /// The resources section.
    pub resources: ResourcesConfig,
    /// The nozzle section.
    pub nozzle: Option<NozzleConfig>,
    /// Who may connect beside root.
    pub uidgid: UidGid,
    /// What the configuration map is filled with, in order: the file, what was derived from it, and
    /// `runtime.config.*`.
    pub keys: Vec<(Key, Value)>,
    /// What an administrator should look at.
    pub warnings: Vec<Warning>,
    /// What a node that runs with this configuration does not change.
    pub fixed: Fixed,
    /// Keys that the files want otherwise than the node runs with, and which it keeps until it is started again; none
    /// at a start.
    pub kept: Vec<Key>,
}

/// Reads corosync.conf (`main`) and the files of `uidgid.d` (`extra`, in any order).
///
/// Either everything is right and the whole configuration is returned, or all errors are.
pub fn load(
    main: SourceFile<'_>,
    extra: &[SourceFile<'_>],
    env: &mut dyn Environment,
) -> Result<Config, ConfigErrors> {
    reload(main, extra, env, &Fixed::NONE)
}

/// As [`load`], for a node that runs already and cannot change `fixed`.
pub fn reload(
    main: SourceFile<'_>,
    extra: &[SourceFile<'_>],
    env: &mut dyn Environment,
    fixed: &Fixed,
) -> Result<Config, ConfigErrors> {
    let mut findings = Findings::default();
    let mut keys = KeyMap::new(main.name);
    let items = parse::parse(main, &mut findings);
    cmap_keys::collect(&items, &mut keys, env, &mut findings);
    for file in extra {
        let items = parse::parse(*file, &mut findings);
        cmap_keys::collect_uidgid(&items, &mut keys, env, &mut findings);
    }
    findings.sort_by_line();
    // Without trust in single values there is no point in comparing them.
    if !findings.is_clean() {
        return Err(findings.finish().expect_err("findings are not clean"));
    }
    let kept = fixed.keep(&mut keys);
    let fixed = Fixed::of(&keys);
    let mut builder = Builder {
        keys,
        resolver: Resolver::new(env),
        findings,
    };
    let config = builder.build();
    let warnings = builder.findings.finish()?;
    let config = config.expect("what was not built was reported");
    Ok(Config {
        keys: builder.keys.into_pairs(),
        warnings,
        fixed,
        kept,
        ..config
    })
}

struct Builder<'a> {
    keys: KeyMap,
    resolver: Resolver<'a>,
    findings: Findings,
}

/// What belongs together because each part is derived from the others.
struct Network {
    local: usize,
    nodes: Vec<NodeEntry>,
    interfaces: Interfaces,
    volatile: Volatile,
    scaling_nodes: usize,
}

impl Builder<'_> {
    /// `None` only after an error; keys and warnings are filled in by the caller.
    fn build(&mut self) -> Option<Config> {
        if self.keys.u32("totem.version") != Some(2) {
            self.findings.error(
                self.keys.at("totem.version"),
                "This totem parser can only parse version 2 configurations.",
                "write `version: 2` in section totem",
            );
        }
        let kind = transport::kind(&self.keys);
        self.warn_about_scope(kind);
        let crypto = transport::crypto(&self.keys, kind, &mut self.findings);
        let logging = logging::read(&self.keys, &mut self.findings);
        let system = system::read(&self.keys, &mut self.findings);
        let resources = system::resources(&self.keys, &mut self.findings);
        let nozzle = system::nozzle(&self.keys, &mut self.findings);
        let network = self.network(kind)?;
        let local = network.nodes.get(network.local)?;
        let quorum = quorum::read(
            &self.keys,
            &network.nodes,
            network.local,
            &mut self.findings,
        );
        let transport = self.transport(kind, &network, crypto);
        let srp = self.srp(kind, &network.volatile);
        self.publish(&network);
        Some(Config {
            cluster_name: self.keys.text("totem.cluster_name").map(str::to_owned),
            config_version: self.keys.u64("totem.config_version").unwrap_or(0),
            me: local.id,
            local_pos: network.local,
            srp: srp?,
            transport: transport?,
            nodes: network.nodes,
            volatile: network.volatile,
            scaling_nodes: network.scaling_nodes,
            quorum,
            logging,
            system,
            resources,
            nozzle,
            uidgid: uidgid::read(&self.keys),
            keys: Vec::new(),
            warnings: Vec::new(),
            fixed: Fixed::NONE,
            kept: Vec::new(),
        })
    }

    fn network(&mut self, kind: TransportKind) -> Option<Network> {
        let raw = nodelist::raw_nodes(&self.keys);
        let local = self.local_node(&raw)?;
        interfaces::bind_to_nodelist(
            &mut self.keys,
            raw.get(local)?,
            raw.first()?,
            &mut self.findings,
        );
        let ip_version = self.ip_version(kind);
        let mut interfaces = interfaces::read(
            &self.keys,
            kind,
            ip_version,
            &raw,
            &mut self.resolver,
            &mut self.findings,
        );
        interfaces.check_count(&self.keys, kind, &raw, &mut self.findings);
        let rules = Rules {
            kind,
            ip_version,
            clear_high_bit: match self.keys.text("totem.clear_node_high_bit") {
                Some("yes") => ClearHighBit::Clear,
                _ => ClearHighBit::Keep,
            },
        };
        let nodes = nodelist::nodes(
            &raw,
            &rules,
            &mut self.keys,
            &mut self.resolver,
            &mut self.findings,
        );
        let scaling_nodes = nodelist::scaling_nodes(&raw, kind);
        let volatile = Volatile::read(&self.keys, scaling_nodes);
        volatile.check(&self.keys, &mut self.findings);
        interfaces.derive_timers(&mut self.keys, volatile.token);
        // With a node left out, positions would name other nodes.
        (nodes.len() == raw.len()).then_some(Network {
            local,
            nodes,
            interfaces,
            volatile,
            scaling_nodes,
        })
    }

    fn local_node(&mut self, raw: &[RawNode]) -> Option<usize> {
        let found = local_node::find(raw, &mut self.resolver);
        if raw.is_empty() {
            self.findings.error(
                self.keys.at("nodelist"),
                "No interfaces defined",
                "describe all nodes of the cluster in a nodelist",
            );
        } else if found.is_none() {
            let instead = format!(
                "name this node ({}) or one of its addresses in the nodelist",
                self.resolver.env.node_name()
            );
            self.findings.error(
                self.keys.at("nodelist"),
                "No valid name found for local host",
                instead,
            );
        }
        found
    }

    fn ip_version(&self, kind: TransportKind) -> IpVersion {
        match (self.keys.text("totem.ip_version"), kind) {
            (Some("ipv4"), _) | (None, TransportKind::Udp) => IpVersion::V4,
            (Some("ipv6"), _) => IpVersion::V6,
            (Some("ipv4-6"), _) => IpVersion::PreferV4,
            _ => IpVersion::PreferV6,
        }
    }

    /// `None` only after an error.
    fn transport(
        &mut self,
        kind: TransportKind,
        network: &Network,
        crypto: Option<CryptoConfig>,
    ) -> Option<TransportConfig> {
        let local = network.nodes.get(network.local)?;
        let volatile = &network.volatile;
        if kind == TransportKind::Knet {
            let links = network
                .interfaces
                .knet(&self.keys, local, &mut self.findings);
            return Some(TransportConfig::Knet(KnetConfig {
                links,
                link_mode: transport::link_mode(&self.keys),
                crypto,
                compression: transport::compression(&self.keys, volatile, &mut self.findings),
                pmtud_interval: core::time::Duration::from_secs(u64::from(
                    volatile.knet_pmtud_interval,
                )),
                mtu: u16::try_from(volatile.knet_mtu).ok().filter(|mtu| *mtu > 0),
                block_unlisted_ips: volatile.block_unlisted_ips,
            }));
        }
        let Some(bind) = local.addresses.get(&LinkId(0)).copied() else {
            let what = format!("The {} transport has link 0 only", kind.name());
            let at = self.keys.at("nodelist");
            self.findings
                .error(at, what, "rename the addresses to ring0_addr");
            return None;
        };
        if kind == TransportKind::Udp {
            let udp = network
                .interfaces
                .udp(&mut self.keys, bind, &mut self.findings)?;
            return Some(TransportConfig::Udp(udp));
        }
        Some(TransportConfig::Udpu(UdpuConfig {
            bind,
            port: network.interfaces.links.first()?.port,
            block_unlisted_ips: volatile.block_unlisted_ips,
        }))
    }

    /// `None` only after an error.
    fn srp(&mut self, kind: TransportKind, volatile: &Volatile) -> Option<SrpConfig> {
        let default = match kind {
            TransportKind::Knet => PayloadMtu::NETMTU_MAX,
            TransportKind::Udpu | TransportKind::Udp => 1_500,
        };
        let netmtu = self
            .keys
            .u32("totem.netmtu")
            .filter(|netmtu| *netmtu > 0)
            .map_or(Ok(default), usize::try_from)
            .unwrap_or(usize::MAX);
        let srp = PayloadMtu::from_netmtu(netmtu).and_then(|mtu| volatile.srp(mtu));
        match srp {
            Ok(srp) => Some(srp),
            Err(error) => {
                // Whatever corosync checks as well was reported in its words before.
                if self.findings.is_clean() {
                    let key = error.0.split(' ').next().unwrap_or("");
                    let at = self.keys.at(&format!("totem.{key}"));
                    self.findings.error(at, error.0, "change or remove the key");
                }
                None
            }
        }
    }

    /// Stores what the node found out about itself, over anything of that name in the file.
    fn publish(&mut self, network: &Network) {
        let position = u32::try_from(network.local).unwrap_or(u32::MAX);
        self.keys
            .derive("nodelist.local_node_pos", Value::U32(position));
        for (key, value) in network.volatile.runtime_keys() {
            self.keys.derive(key.as_str(), value);
        }
    }

    fn warn_about_scope(&mut self, kind: TransportKind) {
        for (key, stored) in self.keys.stored() {
            let Some(spec) = stored.spec else { continue };
            let fits = match spec.applies {
                Applies::Always => true,
                Applies::Knet => kind == TransportKind::Knet,
                Applies::Udp => kind == TransportKind::Udp,
                Applies::NotUdp => kind != TransportKind::Udp,
                Applies::NotKnet => kind != TransportKind::Knet,
                Applies::Nowhere => false,
            };
            if fits {
                continue;
            }
            let text = if spec.applies == Applies::Nowhere {
                format!("{key} is deprecated and ignored")
            } else {
                format!("{key} has no effect with transport {}", kind.name())
            };
            self.findings.warn(stored.at.clone(), text);
        }
    }
}

#[cfg(test)]
mod tests;

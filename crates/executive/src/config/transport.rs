//! Which network a node uses, with everything that its transport needs to know.

use core::time::Duration;
use std::net::IpAddr;

use ferrosync_knet::compress::Compressor;
pub use ferrosync_knet::compress::Model as Compression;
pub use ferrosync_knet::crypto::{Cipher, Hash, MAX_KEY_LEN, MIN_KEY_LEN};
use ferrosync_wire::LinkId;

use super::error::Findings;
use super::key_map::KeyMap;
use super::totem::{BlockUnlisted, Volatile};

/// `totem.transport`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransportKind {
    /// `knet`, the default.
    Knet,
    /// `udpu`.
    Udpu,
    /// `udp`.
    Udp,
}

impl TransportKind {
    /// The word in the file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Knet => "knet",
            Self::Udpu => "udpu",
            Self::Udp => "udp",
        }
    }
}

/// One transport and its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TransportConfig {
    /// kronosnet: up to 8 links, cryptography, compression.
    Knet(KnetConfig),
    /// Unicast UDP on one link.
    Udpu(UdpuConfig),
    /// Multicast or broadcast UDP on one link.
    Udp(UdpConfig),
}

/// Multicast or broadcast UDP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UdpConfig {
    /// This node's address, `bindnetaddr`: it chooses the interface.
    pub bind: IpAddr,
    /// Where multicasts go: `mcastaddr`, or 255.255.255.255 with `broadcast`.
    pub group: McastGroup,
    /// `mcastport`: multicasts are received here and sent from the port below.
    pub port: u16,
    /// `ttl` of multicast packets.
    pub ttl: u8,
}

/// Where multicasts of the udp transport go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum McastGroup {
    /// A multicast address of the family of the bound address.
    Multicast(IpAddr),
    /// The broadcast address.
    Broadcast,
}

/// Unicast UDP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UdpuConfig {
    /// This node's address.
    pub bind: IpAddr,
    /// `mcastport`: the port of every node.
    pub port: u16,
    /// `block_unlisted_ips`.
    pub block_unlisted_ips: BlockUnlisted,
}

/// kronosnet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnetConfig {
    /// At least one, by ascending link number.
    pub links: Vec<KnetLink>,
    /// `link_mode`.
    pub link_mode: LinkMode,
    /// `None`: packets are neither authenticated nor encrypted.
    pub crypto: Option<CryptoConfig>,
    /// `None`: packets are not compressed.
    pub compression: Option<CompressionConfig>,
    /// `knet_pmtud_interval`: pause between two measurements of the MTU.
    pub pmtud_interval: Duration,
    /// `knet_mtu`: the MTU in bytes; `None` has it measured.
    pub mtu: Option<u16>,
    /// `block_unlisted_ips`.
    pub block_unlisted_ips: BlockUnlisted,
}

/// One link of kronosnet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnetLink {
    /// Its number.
    pub id: LinkId,
    /// This node's address on it.
    pub local: IpAddr,
    /// The UDP port of every node on it.
    pub port: u16,
    /// `knet_link_priority`: the highest one is used in passive mode, the lowest link number among equals.
    pub priority: u8,
    /// `knet_ping_interval`.
    pub ping_interval: Duration,
    /// `knet_ping_timeout`: a link without pong for this long is down.
    pub ping_timeout: Duration,
    /// `knet_ping_precision`: samples in the mean of the latency.
    pub ping_precision: u32,
    /// `knet_pong_count`: pongs before a link is up.
    pub pong_count: u8,
}

/// `totem.link_mode`: which of several links carry data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LinkMode {
    /// The best one, the default.
    #[default]
    Passive,
    /// All.
    Active,
    /// One after the other.
    RoundRobin,
}

/// How packets are authenticated and encrypted. The key itself is read by the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CryptoConfig {
    /// `crypto_model`: the library that corosync would use; the bytes are the same with each.
    pub model: CryptoModel,
    /// `crypto_cipher`; `None` authenticates only.
    pub cipher: Option<Cipher>,
    /// `crypto_hash`.
    pub hash: Hash,
    /// Where the key comes from.
    pub key: KeySource,
}

impl CryptoConfig {
    /// The key file when none is named.
    pub const KEY_FILE: &'static str = "/etc/corosync/authkey";
}

/// `totem.crypto_model`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CryptoModel {
    /// `nss`, the default.
    #[default]
    Nss,
    /// `openssl`.
    Openssl,
}

/// Where the shared key comes from.
#[derive(Clone, PartialEq, Eq)]
pub enum KeySource {
    /// A file, `totem.keyfile` or the default one: [`MIN_KEY_LEN`] bytes or more, of which the
    /// first [`MAX_KEY_LEN`] count.
    File(String),
    /// `totem.key`, with the NUL that ends it in corosync's map: the NUL is part of the key on the wire.
    Inline(Vec<u8>),
}

impl core::fmt::Debug for KeySource {
    /// Without the key.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Inline(key) => write!(f, "Inline({} bytes)", key.len()),
        }
    }
}

/// How packets are compressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompressionConfig {
    /// `knet_compression_model`.
    pub model: Compression,
    /// `knet_compression_threshold` in bytes; 0 for knet's own default.
    pub threshold: u32,
    /// `knet_compression_level`, meant for the library.
    pub level: i32,
}

/// `totem.transport`; words other than these were refused before.
pub(crate) fn kind(keys: &KeyMap) -> TransportKind {
    match keys.text("totem.transport") {
        Some("udpu") => TransportKind::Udpu,
        Some("udp") => TransportKind::Udp,
        _ => TransportKind::Knet,
    }
}

/// `totem.link_mode`.
pub(crate) fn link_mode(keys: &KeyMap) -> LinkMode {
    match keys.text("totem.link_mode") {
        Some("active") => LinkMode::Active,
        Some("rr") => LinkMode::RoundRobin,
        _ => LinkMode::Passive,
    }
}

/// Compression of packets.
pub(crate) fn compression(
    keys: &KeyMap,
    volatile: &Volatile,
    findings: &mut Findings,
) -> Option<CompressionConfig> {
    let name = keys.text("totem.knet_compression_model")?;
    let model = Compression::ALL.into_iter().find(|m| m.name() == name)?;
    let threshold = volatile.knet_compression_threshold;
    let level = volatile.knet_compression_level;
    if let Err(error) = Compressor::new(model.name(), level, threshold) {
        let at = keys.at("totem.knet_compression_model");
        findings.error(at, error.to_string(), "use zlib, or remove the key");
    }
    Some(CompressionConfig {
        model,
        threshold,
        level,
    })
}

/// Cryptography (corosync `totemconfig.c:totem_get_crypto, totem_config_keyread`, v3.1.7).
pub(crate) fn crypto(
    keys: &KeyMap,
    kind: TransportKind,
    findings: &mut Findings,
) -> Option<CryptoConfig> {
    let secauth = keys.text("totem.secauth") == Some("on");
    let cipher = match keys.text("totem.crypto_cipher") {
        Some("aes256") => Some(Cipher::Aes256),
        Some("aes192") => Some(Cipher::Aes192),
        Some("aes128") => Some(Cipher::Aes128),
        None if secauth => Some(Cipher::Aes256),
        _ => None,
    };
    let hash = match keys.text("totem.crypto_hash") {
        Some("md5") => Some(Hash::Md5),
        Some("sha1") => Some(Hash::Sha1),
        Some("sha256") => Some(Hash::Sha256),
        Some("sha384") => Some(Hash::Sha384),
        Some("sha512") => Some(Hash::Sha512),
        None if secauth => Some(Hash::Sha256),
        _ => None,
    };
    if cipher.is_some() && hash.is_none() {
        findings.error(
            keys.at("totem.crypto_cipher"),
            "crypto_cipher requires crypto_hash with value other than none",
            "add for example `crypto_hash: sha256`",
        );
    }
    let hash = hash?;
    if kind != TransportKind::Knet {
        let key = ["crypto_cipher", "crypto_hash", "secauth"]
            .into_iter()
            .find(|key| {
                keys.text(&format!("totem.{key}"))
                    .is_some_and(|v| v != "none")
            })
            .unwrap_or("crypto_hash");
        findings.error(
            keys.at(&format!("totem.{key}")),
            "crypto_cipher & crypto_hash are only valid for the Knet transport.",
            "remove them or write `transport: knet`",
        );
        return None;
    }
    let model = match keys.text("totem.crypto_model") {
        Some("openssl") => CryptoModel::Openssl,
        _ => CryptoModel::Nss,
    };
    Some(CryptoConfig {
        model,
        cipher,
        hash,
        key: key_source(keys, findings),
    })
}

fn key_source(keys: &KeyMap, findings: &mut Findings) -> KeySource {
    if let Some(path) = keys.text("totem.keyfile") {
        if path.is_empty() {
            let instead = format!(
                "name a file or remove the key for {}",
                CryptoConfig::KEY_FILE
            );
            findings.error(
                keys.at("totem.keyfile"),
                "Could not open : no file name",
                instead,
            );
        }
        return KeySource::File(path.to_owned());
    }
    let Some(text) = keys.text("totem.key") else {
        return KeySource::File(CryptoConfig::KEY_FILE.to_owned());
    };
    let mut bytes = text.as_bytes().to_vec();
    bytes.push(0);
    if bytes.len() < MIN_KEY_LEN {
        let instead = format!("use at least {} characters", MIN_KEY_LEN - 1);
        findings.error(keys.at("totem.key"), "key is too short", instead);
    }
    KeySource::Inline(bytes)
}

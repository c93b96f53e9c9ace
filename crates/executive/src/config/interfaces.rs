//! The links of this node: `totem.interface` together with the node's own addresses (corosync
//! `totemconfig.c:get_interface_params, configure_link_params, calc_knet_ping_timers`, v3.1.7).

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ferrosync_wire::LinkId;
use ferrosync_wire::value::Value;

use super::environment::{IpVersion, Resolver};
use super::error::Findings;
use super::key_map::{KeyMap, interface_key};
use super::nodelist::{NodeEntry, RawNode};
use super::transport::{KnetLink, McastGroup, TransportKind, UdpConfig};

/// The port of link 0 when none is given.
const PORT: u16 = 5_405;
/// Samples in the mean latency of a knet link (kronosnet `libknet.h`, v1.25).
const PING_PRECISION: u32 = 2_048;
/// Pongs that bring a knet link up.
const PONG_COUNT: u32 = 2;

/// One link as the file and the defaults have it.
#[derive(Clone, Debug)]
pub(crate) struct Interface {
    pub(crate) id: LinkId,
    /// `mcastaddr`, resolved.
    mcast: Option<IpAddr>,
    pub(crate) port: u16,
    ttl: u8,
    priority: u8,
    /// Milliseconds; derived from the token when the file does not say.
    ping_interval: u32,
    /// Milliseconds.
    ping_timeout: u32,
    ping_precision: u32,
    pong_count: u32,
}

/// All configured links.
#[derive(Debug)]
pub(crate) struct Interfaces {
    pub(crate) links: Vec<Interface>,
    broadcast: bool,
}

/// Stores the local node's addresses as `totem.interface.N.bindnetaddr`, where C and its tools look for them.
pub(crate) fn bind_to_nodelist(
    keys: &mut KeyMap,
    local: &RawNode,
    first: &RawNode,
    findings: &mut Findings,
) {
    let link0 = interface_key(LinkId(0), "bindnetaddr");
    if keys.text(&link0).is_some() {
        if !first.addresses.contains_key(&LinkId(0)) {
            return;
        }
        findings.warn(
            keys.at(&link0),
            "interface section bindnetaddr is used together with nodelist. Nodelist one is going to be used.",
        );
    }
    for (link, address) in &local.addresses {
        keys.derive(&interface_key(*link, "bindnetaddr"), Value::str(address));
    }
}

/// Reads all links that an interface section or a node's address mentions.
pub(crate) fn read(
    keys: &KeyMap,
    kind: TransportKind,
    ip_version: IpVersion,
    nodes: &[RawNode],
    resolver: &mut Resolver<'_>,
    findings: &mut Findings,
) -> Interfaces {
    let mut broadcast = false;
    let mut links = Vec::new();
    for id in configured(keys, kind, nodes) {
        warn_about_members(keys, id, findings);
        // The option counts for the link that sets it and for all that follow.
        broadcast |= keys.text(&interface_key(id, "broadcast")) == Some("yes");
        let mut interface = read_one(keys, id, broadcast);
        let mcastaddr = interface_key(id, "mcastaddr");
        if let Some(text) = keys.text(&mcastaddr) {
            interface.mcast = resolver.address(text, ip_version);
            if interface.mcast.is_none() {
                findings.error(
                    keys.at(&mcastaddr),
                    format!("failed to parse mcast address '{text}'"),
                    "write an address of the family that ip_version wants",
                );
            }
        }
        check_scope(keys, kind, &interface, findings);
        links.push(interface);
    }
    Interfaces { links, broadcast }
}

fn configured(keys: &KeyMap, kind: TransportKind, nodes: &[RawNode]) -> BTreeSet<LinkId> {
    let mut ids: BTreeSet<LinkId> = nodes
        .iter()
        .flat_map(|node| node.addresses.keys().copied())
        .collect();
    for (rest, _) in keys.under("totem.interface.") {
        let Some((number, key)) = rest.split_once('.') else {
            continue;
        };
        if kind == TransportKind::Udp && key != "bindnetaddr" {
            continue;
        }
        ids.extend(number.parse().map(LinkId));
    }
    ids
}

fn read_one(keys: &KeyMap, id: LinkId, broadcast: bool) -> Interface {
    let number = |key: &str, default: u32| {
        keys.u32(&interface_key(id, key))
            .filter(|value| *value > 0)
            .unwrap_or(default)
    };
    let step = if broadcast { 2 } else { 1 };
    let port = keys
        .u16(&interface_key(id, "mcastport"))
        .filter(|port| *port > 0)
        .unwrap_or_else(|| PORT + step * u16::from(id.0));
    let priority = keys.u8(&interface_key(id, "knet_link_priority"));
    Interface {
        id,
        mcast: None,
        port,
        ttl: keys.u8(&interface_key(id, "ttl")).unwrap_or(1),
        priority: priority.filter(|value| *value > 0).unwrap_or(1),
        ping_interval: number("knet_ping_interval", 0),
        ping_timeout: number("knet_ping_timeout", 0),
        ping_precision: number("knet_ping_precision", PING_PRECISION),
        pong_count: number("knet_pong_count", PONG_COUNT),
    }
}

fn warn_about_members(keys: &KeyMap, id: LinkId, findings: &mut Findings) {
    let prefix = interface_key(id, "member.");
    if keys.under(&prefix).next().is_some() {
        findings.warn(
            keys.at(&interface_key(id, "member.0")),
            "member section is used together with nodelist. Members ignored.",
        );
    }
}

fn check_scope(keys: &KeyMap, kind: TransportKind, link: &Interface, findings: &mut Findings) {
    if kind != TransportKind::Udp && link.ttl != 1 {
        findings.error(
            keys.at(&interface_key(link.id, "ttl")),
            format!(
                "Can only set ttl on multicast transport types for interface {}",
                link.id.0
            ),
            "remove ttl or write `transport: udp`",
        );
    }
    if kind != TransportKind::Knet && link.priority != 1 {
        findings.error(
            keys.at(&interface_key(link.id, "knet_link_priority")),
            format!(
                "Can only set link priority on knet transport type for interface {}",
                link.id.0
            ),
            "remove knet_link_priority or write `transport: knet`",
        );
    }
}

impl Interfaces {
    /// Checks the number of links against the transport and the nodelist.
    pub(crate) fn check_count(
        &self,
        keys: &KeyMap,
        kind: TransportKind,
        nodes: &[RawNode],
        findings: &mut Findings,
    ) {
        if kind != TransportKind::Knet && self.links.len() > 1 {
            let what = format!(
                "{} is too many configured interfaces for non-Knet transport.",
                self.links.len()
            );
            let at = keys.at("totem.transport");
            findings.error(at, what, "keep link 0 only or write `transport: knet`");
        }
        for link in &self.links {
            let known = nodes
                .iter()
                .any(|node| node.addresses.contains_key(&link.id));
            if !known {
                findings.error(
                    keys.at(&format!("totem.interface.{}", link.id.0)),
                    "Not all nodes have the same number of links",
                    format!(
                        "add ring{}_addr to all nodes or remove this interface",
                        link.id.0
                    ),
                );
            }
        }
    }

    /// Derives the ping timers from the token and stores the keys that tell them; done for every transport,
    /// as in corosync, but with the token of the same file (`docs/deviations.md`, D-67).
    pub(crate) fn derive_timers(&mut self, keys: &mut KeyMap, token_ms: u32) {
        for link in &mut self.links {
            if link.ping_timeout == 0 {
                link.ping_timeout = token_ms / link.pong_count;
            }
            if link.ping_interval == 0 {
                link.ping_interval = token_ms / link.pong_count.saturating_mul(2);
            }
            let prefix = format!("runtime.config.{}", interface_key(link.id, "knet_ping_"));
            keys.derive(&format!("{prefix}timeout"), Value::U32(link.ping_timeout));
            keys.derive(&format!("{prefix}interval"), Value::U32(link.ping_interval));
        }
    }

    /// The links of knet at the node `local`.
    pub(crate) fn knet(
        &self,
        keys: &KeyMap,
        local: &NodeEntry,
        findings: &mut Findings,
    ) -> Vec<KnetLink> {
        let mut ports = BTreeMap::new();
        let mut links = Vec::new();
        for link in &self.links {
            let Some(address) = local.addresses.get(&link.id) else {
                continue;
            };
            if let Some(other) = ports.insert((*address, link.port), link.id.0) {
                findings.error(
                    keys.at(&interface_key(link.id, "mcastport")),
                    format!(
                        "Links {other} and {} share address {address}, port {}",
                        link.id.0, link.port
                    ),
                    "give each link an address or a port of its own",
                );
            }
            let Ok(pong_count) = u8::try_from(link.pong_count) else {
                findings.error(
                    keys.at(&interface_key(link.id, "knet_pong_count")),
                    format!(
                        "knet_pong_count {} does not fit into knet's 8 bits",
                        link.pong_count
                    ),
                    "write 1 to 255",
                );
                continue;
            };
            if link.ping_interval == 0 || link.ping_timeout == 0 {
                findings.error(
                    keys.at(&interface_key(link.id, "knet_pong_count")),
                    "knet_pong_count is so high that the ping timers become 0",
                    "lower it or set knet_ping_interval and knet_ping_timeout",
                );
            }
            let transport = interface_key(link.id, "knet_transport");
            if keys.text(&transport) == Some("sctp") {
                findings.error(
                    keys.at(&transport),
                    "SCTP links are not supported (D-55)",
                    "remove knet_transport; UDP carries the same packets",
                );
            }
            links.push(KnetLink {
                id: link.id,
                local: *address,
                port: link.port,
                priority: link.priority,
                ping_interval: Duration::from_millis(u64::from(link.ping_interval)),
                ping_timeout: Duration::from_millis(u64::from(link.ping_timeout)),
                ping_precision: link.ping_precision,
                pong_count,
            });
        }
        links
    }

    /// The one link of the udp transport; its multicast address and port are stored when they were derived.
    pub(crate) fn udp(
        &self,
        keys: &mut KeyMap,
        bind: IpAddr,
        findings: &mut Findings,
    ) -> Option<UdpConfig> {
        let link = self.links.first()?;
        let group = if self.broadcast {
            self.broadcast_group(keys, link, bind, findings)?
        } else {
            mcast_group(keys, link, bind, findings)?
        };
        let text = match group {
            McastGroup::Multicast(address) => address.to_string(),
            McastGroup::Broadcast => Ipv4Addr::BROADCAST.to_string(),
        };
        let mcastaddr = interface_key(link.id, "mcastaddr");
        if keys.text(&mcastaddr).is_none() {
            keys.derive(&mcastaddr, Value::str(&text));
        }
        let mcastport = interface_key(link.id, "mcastport");
        if keys.u16(&mcastport).is_none() {
            keys.derive(&mcastport, Value::U16(link.port));
        }
        if link.port < 2 {
            let instead = "write a port from 2 to 65535";
            let what = "Multicasts are sent from the port below mcastport, and there is none";
            findings.error(keys.at(&mcastport), what, instead);
        }
        Some(UdpConfig {
            bind,
            group,
            port: link.port,
            ttl: link.ttl,
        })
    }

    fn broadcast_group(
        &self,
        keys: &KeyMap,
        link: &Interface,
        bind: IpAddr,
        findings: &mut Findings,
    ) -> Option<McastGroup> {
        let at = keys.at(&interface_key(link.id, "broadcast"));
        if bind.is_ipv6() {
            let what = format!("IPv6 has no broadcast, and this node's address is {bind}");
            findings.error(at, what, "remove broadcast");
            return None;
        }
        if link.mcast.is_some() {
            findings.warn(at, "mcastaddr is not used together with broadcast");
        }
        Some(McastGroup::Broadcast)
    }
}

/// `mcastaddr`, or an address made of the cluster's name.
fn mcast_group(
    keys: &KeyMap,
    link: &Interface,
    bind: IpAddr,
    findings: &mut Findings,
) -> Option<McastGroup> {
    let at = keys.at(&interface_key(link.id, "mcastaddr"));
    let Some(address) = link.mcast.or_else(|| {
        Some(derived_group(
            keys.text("totem.cluster_name")?,
            link.id,
            bind,
        ))
    }) else {
        let what = format!("No multicast address specified for interface {}", link.id.0);
        findings.error(
            at,
            what,
            "add cluster_name to totem or mcastaddr to its interface",
        );
        return None;
    };
    if address.is_ipv4() != bind.is_ipv4() {
        let what = format!(
            "Multicast address family does not match bind address family for interface {}",
            link.id.0
        );
        let instead = format!("choose an mcastaddr of the family of {bind}");
        findings.error(at, what, instead);
        return None;
    }
    if !address.is_multicast() {
        let what = format!(
            "mcastaddr is not a correct multicast address for interface {}",
            link.id.0
        );
        let instead = "choose one of 224.0.0.0/4, for example from 239.192.0.0/16, or of ff00::/8";
        findings.error(at, what, instead);
        return None;
    }
    Some(McastGroup::Multicast(address))
}

/// corosync `totemconfig.c:generate_cluster_id, get_cluster_mcast_addr`.
fn derived_group(cluster_name: &str, link: LinkId, bind: IpAddr) -> IpAddr {
    let id = cluster_name
        .bytes()
        .fold(0_u16, |id, byte| {
            // C adds a signed char to an int and keeps the low 16 bits in the end.
            (id << 1).wrapping_add(i16::from(byte.cast_signed()).cast_unsigned())
        })
        .wrapping_add(u16::from(link.0));
    if bind.is_ipv4() {
        let [high, _] = id.to_be_bytes();
        let low = u8::try_from(id % 0xFF).expect("a remainder of 255 fits");
        Ipv4Addr::new(239, 192, high, low).into()
    } else {
        Ipv6Addr::new(0xFF15, 0, 0, 0, 0, 0, 0, id).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_made_of_the_cluster_name() {
        let v4 = IpAddr::from(Ipv4Addr::LOCALHOST);
        let group = |name: &str, link, bind| derived_group(name, LinkId(link), bind).to_string();
        // ('a' << 1) + 'b' = 292 = 0x124; 292 % 255 = 37.
        assert_eq!(group("ab", 0, v4), "239.192.1.37");
        assert_eq!(group("ab", 1, v4), "239.192.1.38");
        assert_eq!(group("ab", 0, Ipv6Addr::LOCALHOST.into()), "ff15::124");
        // A byte above 127 counts negative: 0xC3 0xA4 give (-61 << 1) - 92 = -214 = 0xFF2A; % 255 = 42.
        assert_eq!(group("ä", 0, v4), "239.192.255.42");
    }
}

//! What a running node cannot change: such keys keep their values when the files are read again (corosync
//! `cfg.c:remove_ro_entries`, v3.1.7; `docs/deviations.md`, D-66).

use ferrosync_wire::LinkId;
use ferrosync_wire::value::{Key, Value};

use super::key_map::{KeyMap, interface_key};
use super::keys::link_of_address_key;
use super::transport::{TransportKind, kind};

/// Names that a running node does not change, with what its files said about them; `None` for nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fixed(Vec<(Key, Option<Value>)>);

impl Fixed {
    /// Nothing runs yet: everything may be as the files have it.
    pub const NONE: Self = Self(Vec::new());

    /// What a node that starts with these keys will not change.
    pub(crate) fn of(keys: &KeyMap) -> Self {
        let links = (0..=LINK_MAX).filter(|link| has_link(keys, LinkId(*link)));
        let ports = links.map(|link| interface_key(LinkId(link), "mcastport"));
        let multicast = match kind(keys) {
            TransportKind::Knet => &[][..],
            TransportKind::Udpu | TransportKind::Udp => &["mcastaddr", "broadcast", "ttl"],
        };
        let multicast = multicast.iter().map(|key| interface_key(LinkId(0), key));
        let names = NAMES.iter().map(|name| (*name).to_owned());
        let all = names.chain(ports).chain(multicast).map(|name| {
            let value = keys.get(&name).cloned();
            (Key::new(&name).expect("short and plain names"), value)
        });
        Self(all.collect())
    }

    /// Puts what runs in the place of what the files say; the names of which they say something else.
    pub(crate) fn keep(&self, keys: &mut KeyMap) -> Vec<Key> {
        let mut kept = Vec::new();
        for (name, running) in &self.0 {
            let applies = link_of(name).is_none_or(|link| has_link(keys, link));
            if applies && keys.get(name.as_str()) != running.as_ref() {
                keys.replace(name, running.clone());
                kept.push(name.clone());
            }
        }
        kept
    }
}

/// The link whose parameter this is; a link that is gone and comes back may have others.
fn link_of(name: &Key) -> Option<LinkId> {
    let rest = name.as_str().strip_prefix("totem.interface.")?;
    let (link, _) = rest.split_once('.')?;
    link.parse().ok().map(LinkId)
}

/// Whether any node has an address on a link.
fn has_link(keys: &KeyMap, link: LinkId) -> bool {
    keys.under("nodelist.node.").any(|(rest, _)| {
        let key = rest.split_once('.').map(|(_, key)| key);
        key.and_then(link_of_address_key) == Some(u32::from(link.0))
    })
}

/// Highest link number (corosync `totem.h: INTERFACE_MAX` less one).
const LINK_MAX: u8 = 7;

/// What C lists, in its order, without names that its parser never makes; then what C reads at the start alone but
/// shows as if it had changed.
const NAMES: &[&str] = &[
    "totem.version",
    "totem.threads",
    "totem.ip_version",
    "totem.rrp_mode",
    "totem.netmtu",
    "totem.interface.ringnumber",
    "totem.transport",
    "totem.cluster_name",
    "quorum.provider",
    "system.move_to_root_cgroup",
    "system.allow_knet_handle_fallback",
    "system.sched_rr",
    "system.priority",
    "system.qb_ipc_type",
    "system.state_dir",
    "totem.link_mode",
    "totem.clear_node_high_bit",
];

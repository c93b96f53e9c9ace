//! corosync.conf of Corosync 1 and 2, and files of Corosync 3, which are copied.

mod defaults;
mod logging;
mod rings;

use ferrosync_executive::config::keys::{self, Applies};

use super::args::{CIPHERS, Crypto, HASHES, Transport, Wishes};
use super::draft::{Draft, QUORUM, TOTEM};
use super::kind::Kind;
use super::nodes::{self, Node, Said};
use super::tree::{Entry, Item, Section};
use rings::Rings;

/// Copies a file of Corosync 3, whatever it holds.
pub(crate) fn copy(draft: &mut Draft<'_>, root: &Section) {
    let mut slot = Vec::new();
    copy_section(draft, root, &mut slot);
}

/// The reader bounds how deep sections stand in each other.
fn copy_section<'a>(draft: &mut Draft<'_>, section: &'a Section, slot: &mut Vec<(&'a str, usize)>) {
    for item in &section.items {
        match item {
            Item::Entry(entry) if entry.key == super::read::TEXT => {
                draft.drop(entry, "text between elements means nothing");
            }
            Item::Entry(entry) => {
                let names = slot
                    .iter()
                    .map(|(name, _)| *name)
                    .chain([entry.key.as_str()]);
                let path = names.collect::<Vec<_>>().join(".");
                let why = if keys::find(&path).is_some() {
                    ""
                } else {
                    "Corosync 3 does not know this key"
                };
                draft.copy_verbatim(entry, slot, why);
            }
            Item::Section(inner) => {
                // A file has each of these once, all of whose keys count.
                let repeated = REPEATED.contains(&inner.name.as_str());
                let number = if repeated {
                    draft.conf.count(slot, &inner.name)
                } else {
                    0
                };
                slot.push((&inner.name, number));
                copy_section(draft, inner, slot);
                slot.pop();
            }
        }
    }
}

/// Sections that stand for one thing each.
const REPEATED: [&str; 5] = [
    "interface",
    "node",
    "logger_subsys",
    "logging_daemon",
    "uidgid",
];

/// Translates a file of Corosync 1 or 2.
pub(crate) fn translate(draft: &mut Draft<'_>, root: &Section, kind: Kind) {
    let plan = Plan::of(root, kind, draft.wishes);
    draft.transport = plan.transport;
    for section in root.named("totem") {
        totem(draft, section, &plan);
    }
    rings::write(draft, &plan.rings, plan.transport);
    node_list(draft, root, &plan);
    for section in root.named("quorum") {
        quorum(draft, section, kind);
    }
    logging::write(draft, root);
    others(draft, root);
    defaults::write(draft, root, &plan);
    insist(draft);
    for entry in root.entries() {
        match entry.key.as_str() {
            "compatibility" => {
                draft.drop(entry, "nothing older than Corosync 1 is spoken to any more")
            }
            _ => draft.unknown(entry),
        }
    }
}

/// What has to be known before the first key is written.
struct Plan<'a> {
    kind: Kind,
    transport: Transport,
    why_transport: &'static str,
    crypto: Crypto,
    /// Whether the file names a cipher and a hash.
    named_crypto: bool,
    rings: Rings<'a>,
}

impl<'a> Plan<'a> {
    fn of(root: &'a Section, kind: Kind, wishes: &Wishes) -> Self {
        let totem = |key| root.value_in("totem", key);
        let rings = Rings::of(root);
        let crypto = wishes.crypto.clone().unwrap_or_else(|| crypto(root, kind));
        let several = rings.links() > 1;
        let (transport, why_transport) = match (wishes.transport, totem("transport")) {
            (Some(transport), _) => (transport, "asked for by --transport"),
            (None, Some("iba")) => (Transport::Knet, "Corosync 3 has no InfiniBand transport"),
            (None, _) if several => (Transport::Knet, "only knet has several links"),
            (None, _) if crypto.is_on() => (Transport::Knet, "only knet encrypts"),
            (None, Some("udpu")) => (Transport::Udpu, ""),
            (None, Some(_)) => (Transport::Udp, ""),
            (None, None) => (Transport::Udp, "the default was udp and is knet now"),
        };
        Self {
            kind,
            transport,
            why_transport,
            crypto,
            named_crypto: totem("crypto_cipher").is_some() && totem("crypto_hash").is_some(),
            rings,
        }
    }
}

/// How packets were protected. Corosync 1 and 2 encrypt unless told otherwise (corosync.conf(5), v1.4.9 and v2.4.6:
/// `secauth`, `crypto_cipher`, `crypto_hash`).
fn crypto(root: &Section, kind: Kind) -> Crypto {
    let totem = |key| root.value_in("totem", key);
    let off = totem("secauth") == Some("off");
    let start = if off {
        Crypto::none()
    } else {
        Crypto::strong()
    };
    if kind == Kind::Corosync1 {
        return start;
    }
    let named = |word: Option<&str>, words: &[&str], instead: &str, unsaid: &str| match word {
        Some(word) if words.contains(&word) => word.to_owned(),
        Some(_) => instead.to_owned(),
        None => unsaid.to_owned(),
    };
    Crypto {
        cipher: named(totem("crypto_cipher"), &CIPHERS, "aes256", &start.cipher),
        hash: named(totem("crypto_hash"), &HASHES, "sha256", &start.hash),
    }
}

fn totem(draft: &mut Draft<'_>, section: &Section, plan: &Plan<'_>) {
    for entry in section.entries() {
        match entry.key.as_str() {
            "transport" => draft.write(
                entry,
                TOTEM,
                ("transport", plan.transport.word()),
                plan.why_transport,
            ),
            "secauth" | "crypto_cipher" | "crypto_hash" => protection(draft, entry, plan),
            "crypto_type" | "crypto_accept" => {
                draft.drop(entry, "Corosync 3 has one format of encrypted packets")
            }
            "keyfile" | "key" if plan.crypto.is_on() => draft.copy(entry, TOTEM),
            "keyfile" | "key" => draft.drop(entry, "without encryption no key is read"),
            "rrp_mode" => redundancy(draft, entry, plan),
            "threads" => draft.drop(entry, "Corosync 3 has no threads for sending"),
            "vsftype" => draft.drop(entry, "the section quorum decides who is quorate"),
            "nodeid" => local_id(draft, entry),
            key if key.starts_with("rrp_") => {
                draft.drop(entry, "knet watches links with knet_ping_interval, knet_ping_timeout and knet_pong_count");
            }
            "netmtu" if plan.transport == Transport::Knet => {
                draft.drop(entry, "knet finds the largest packet by itself");
            }
            _ => plain(draft, entry, plan),
        }
    }
    for inner in section.sections().filter(|inner| inner.name != "interface") {
        for entry in inner.all() {
            draft.unknown(entry);
        }
    }
}

/// Keys that mean today what they meant then.
fn plain(draft: &mut Draft<'_>, entry: &Entry, plan: &Plan<'_>) {
    let Some(spec) = keys::find(&format!("totem.{}", entry.key)) else {
        return draft.unknown(entry);
    };
    let fits = match spec.applies {
        Applies::Always => true,
        Applies::Knet => plan.transport == Transport::Knet,
        Applies::Udp => plan.transport == Transport::Udp,
        Applies::NotUdp => plan.transport != Transport::Udp,
        Applies::NotKnet => plan.transport != Transport::Knet,
        Applies::Nowhere => false,
    };
    if fits {
        draft.copy(entry, TOTEM);
    } else {
        let why = format!("has no effect with transport {}", plan.transport.word());
        draft.drop(entry, &why);
    }
}

fn protection(draft: &mut Draft<'_>, entry: &Entry, plan: &Plan<'_>) {
    if plan.transport != Transport::Knet {
        let why = format!(
            "transport {} does not encrypt in Corosync 3",
            plan.transport.word()
        );
        let was_on = entry.value != "off" && entry.value != "none";
        return if was_on {
            draft.decide(entry, &why)
        } else {
            draft.drop(entry, &why)
        };
    }
    let (cipher, hash) = (plan.crypto.cipher.as_str(), plan.crypto.hash.as_str());
    let because = |same: bool, why: &'static str| if same { "" } else { why };
    match entry.key.as_str() {
        "crypto_cipher" => {
            let why = because(
                cipher == entry.value,
                "Corosync 3 lacks the old cipher, or --crypto says so",
            );
            draft.write(entry, TOTEM, ("crypto_cipher", cipher), why);
        }
        "crypto_hash" => {
            let why = because(
                hash == entry.value,
                "Corosync 3 lacks the old hash, or --crypto says so",
            );
            draft.write(entry, TOTEM, ("crypto_hash", hash), why);
        }
        _ if plan.named_crypto => draft.drop(entry, "crypto_cipher and crypto_hash count"),
        _ => {
            let why = "cipher and hash are named one by one";
            draft.write(entry, TOTEM, ("crypto_cipher", cipher), why);
            draft.write(entry, TOTEM, ("crypto_hash", hash), why);
        }
    }
}

fn redundancy(draft: &mut Draft<'_>, entry: &Entry, plan: &Plan<'_>) {
    match entry.value.as_str() {
        "active" | "passive" if plan.transport == Transport::Knet => {
            draft.write(
                entry,
                TOTEM,
                ("link_mode", &entry.value),
                "rings are links now",
            );
        }
        "none" => draft.drop(entry, "one ring is one link"),
        _ => draft.decide(entry, "this transport has one link"),
    }
}

/// `totem.nodeid` is the id of the node whose file this is.
fn local_id(draft: &mut Draft<'_>, entry: &Entry) {
    if draft.wishes.local_node.is_some() && draft.wishes.nodeid.is_none() {
        return draft.decide(entry, "give it to the node in the list with --nodeid");
    }
    if draft.wishes.nodeid.is_some() {
        return draft.drop(entry, "--nodeid says it");
    }
    draft.decide(
        entry,
        "the id of the node whose file this is: give all nodes theirs with --node NAME=ADDRESS@ID",
    );
}

fn node_list(draft: &mut Draft<'_>, root: &Section, plan: &Plan<'_>) {
    let mut found: Vec<Node> = Vec::new();
    for section in root.named("nodelist").flat_map(|list| list.named("node")) {
        let mut node = Node::default();
        for entry in section.entries() {
            let said = Said::by(entry);
            match (entry.key.as_str(), keys::link_of_address_key(&entry.key)) {
                ("name", _) => node.name = Some(said),
                ("nodeid", _) => node.id = Some(said),
                ("quorum_votes" | "votes", _) => node.votes = Some(said),
                (_, Some(0)) => drop(node.addresses.insert(0, said)),
                (_, Some(link)) if plan.transport == Transport::Knet => {
                    node.addresses.insert(link as usize, said);
                }
                (_, Some(_)) => draft.decide(entry, "this transport has one link"),
                (_, None) => draft.unknown(entry),
            }
        }
        found.push(node);
    }
    if found.is_empty() {
        found = plan.rings.members();
    } else {
        plan.rings.drop_members(draft);
    }
    nodes::write(draft, found);
}

fn quorum(draft: &mut Draft<'_>, section: &Section, kind: Kind) {
    for entry in section.entries() {
        match (entry.key.as_str(), entry.value.as_str()) {
            ("provider", "corosync_votequorum") => draft.copy(entry, QUORUM),
            ("provider", "corosync_quorum_ykd" | "corosync_ykd") => {
                draft.decide(entry, "dynamic linear voting of Corosync lets both halves be quorate; write corosync_votequorum with its options, or ferrosync_ykd where no node of corosync is left");
            }
            ("provider", _) => {
                let why = "the provider went with its program";
                draft.write(entry, QUORUM, ("provider", "corosync_votequorum"), why);
            }
            ("votes", "1") => draft.drop(entry, "each node has one vote by default"),
            ("votes", _) if draft.wishes.votes.is_some() => draft.drop(entry, "--votes says it"),
            ("votes", _) => draft.decide(
                entry,
                "votes of the node whose file this is: give them with --local-node and --votes, and those of the others as quorum_votes",
            ),
            // corosync `services/votequorum.c` (v1.4.9) has no wait_for_all.
            ("two_node", "1") if kind == Kind::Corosync1 => {
                let why = "both nodes must have met once now before one alone is quorate (wait_for_all); wait_for_all: 0 is as before";
                draft.write(entry, QUORUM, ("two_node", "1"), why);
            }
            (key, _) if is_quorum_key(key) => draft.copy(entry, QUORUM),
            _ => draft.unknown(entry),
        }
    }
    for inner in section.sections() {
        device(draft, inner, &mut vec![("quorum", 0)]);
    }
}

fn is_quorum_key(key: &str) -> bool {
    keys::find(&format!("quorum.{key}")).is_some()
}

/// `quorum.device` and what stands in it, which corosync-qdevice reads today as it did with Corosync 2.
fn device<'a>(draft: &mut Draft<'_>, section: &'a Section, slot: &mut Vec<(&'a str, usize)>) {
    slot.push((&section.name, 0));
    for item in &section.items {
        match item {
            Item::Entry(entry) => {
                let path = super::draft::path_of(slot, &entry.key);
                if keys::find(&path).is_some() {
                    draft.copy(entry, slot);
                } else {
                    draft.unknown(entry);
                }
            }
            Item::Section(inner) => device(draft, inner, slot),
        }
    }
    slot.pop();
}

/// Sections beside totem, nodelist, quorum and logging.
fn others(draft: &mut Draft<'_>, root: &Section) {
    let mut users = 0;
    for section in root.sections() {
        match section.name.as_str() {
            "totem" | "quorum" | "logging" | "nodelist" => {}
            "uidgid" => {
                for entry in section.entries() {
                    match entry.key.as_str() {
                        "uid" | "gid" => draft.copy(entry, &[("uidgid", users)]),
                        _ => draft.unknown(entry),
                    }
                }
                users += 1;
            }
            "qb" => {
                for entry in section.entries() {
                    let why = "the key moved to the section system";
                    match entry.key.as_str() {
                        "ipc_type" => {
                            draft.write(entry, &[("system", 0)], ("qb_ipc_type", &entry.value), why)
                        }
                        _ => draft.unknown(entry),
                    }
                }
            }
            "resources" => device(draft, section, &mut Vec::new()),
            "service" => service(draft, section),
            "aisexec" => drop_all(draft, section, "the daemon runs as root"),
            "amf" | "event" | "clm" | "ckpt" | "lck" | "msg" | "tmr" => {
                drop_all(
                    draft,
                    section,
                    "the service went with OpenAIS; Corosync 3 does not have it",
                );
            }
            _ => drop_unknown(draft, section),
        }
    }
}

fn service(draft: &mut Draft<'_>, section: &Section) {
    let why = match section.value("name") {
        Some("pacemaker") => "Pacemaker is started by its own unit: systemctl enable pacemaker",
        Some(name) if name.starts_with("corosync_") => "services of Corosync 3 need not be loaded",
        Some(_) | None => {
            "Corosync 3 loads no services; the program behind it is gone or has a unit of its own"
        }
    };
    drop_all(draft, section, why);
}

/// Options that have the last word.
fn insist(draft: &mut Draft<'_>) {
    let wishes = draft.wishes;
    if let Some(name) = &wishes.cluster_name {
        draft.insist(TOTEM, ("cluster_name", name), "--cluster-name");
    }
    if let Some(keyfile) = &wishes.keyfile {
        draft.insist(TOTEM, ("keyfile", keyfile), "--keyfile");
    }
    if let Some(votes) = wishes.expected_votes {
        draft.insist(
            QUORUM,
            ("expected_votes", &votes.to_string()),
            "--expected-votes",
        );
    }
    if let Some(word) = wishes.two_node {
        let value = if word == super::args::YesNo::Yes {
            "1"
        } else {
            "0"
        };
        draft.insist(QUORUM, ("two_node", value), "--two-node");
    }
}

pub(super) fn drop_all(draft: &mut Draft<'_>, section: &Section, why: &str) {
    for entry in section.all() {
        draft.drop(entry, why);
    }
}

fn drop_unknown(draft: &mut Draft<'_>, section: &Section) {
    for entry in section.all() {
        draft.unknown(entry);
    }
}

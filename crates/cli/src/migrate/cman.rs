//! cluster.conf of CMAN, whose preconfiguration module turned it into Corosync 1's object database
//! (cman `cman-preconfig.c`, 3.1).

use ferrosync_executive::config::keys;

use super::args::{Crypto, HASHES, Transport, Wishes, YesNo};
use super::draft::{Draft, LOGGING, QUORUM, TOTEM, interface, logger};
use super::nodes::{self, BY_NAME, Node, Said};
use super::tree::{Entry, Section};

/// Translates the element `cluster`.
pub(crate) fn translate(draft: &mut Draft<'_>, cluster: &Section) {
    let plan = Plan::of(cluster, draft.wishes);
    draft.transport = plan.transport;
    for entry in cluster.entries() {
        match entry.key.as_str() {
            "name" | "alias" if draft.wishes.cluster_name.is_some() => {
                draft.drop(entry, "--cluster-name says it")
            }
            "name" => draft.write(
                entry,
                TOTEM,
                ("cluster_name", &entry.value),
                "the cluster's name",
            ),
            "config_version" => draft.copy(entry, TOTEM),
            _ => draft.unknown(entry),
        }
    }
    for section in cluster.named("cman") {
        cman(draft, section, &plan);
    }
    for section in cluster.named("totem") {
        totem(draft, section, &plan);
    }
    for section in cluster.named("logging") {
        logging(draft, section);
    }
    node_list(draft, cluster, &plan);
    settle(draft, cluster, &plan);
    let mut users = 0;
    for section in cluster.sections() {
        match section.name.as_str() {
            "cman" | "totem" | "logging" | "clusternodes" => {}
            "uidgid" => {
                for entry in section.entries() {
                    match entry.key.as_str() {
                        "uid" | "gid" => draft.copy(entry, &[("uidgid", users)]),
                        _ => draft.unknown(entry),
                    }
                }
                users += 1;
            }
            "quorumd" => quorum_disk(draft, section),
            name => other(draft, section, name),
        }
    }
}

/// What has to be known before the first key is written.
struct Plan {
    transport: Transport,
    why_transport: &'static str,
    broadcast: bool,
    crypto: Crypto,
    nodes: usize,
    /// The sum of all nodes' votes.
    votes: u32,
    disk: bool,
    two_node: bool,
    token_ms: u64,
}

impl Plan {
    fn of(cluster: &Section, wishes: &Wishes) -> Self {
        let cman = |key| cluster.value_in("cman", key);
        let totem = |key| cluster.value_in("totem", key);
        let members = || {
            cluster
                .named("clusternodes")
                .flat_map(|list| list.named("clusternode"))
        };
        let nodes = members().count();
        let several = members().any(|member| member.named("altname").next().is_some());
        // cman encrypts unless told otherwise.
        let said = match totem("secauth") {
            Some("off" | "no" | "0") => Crypto::none(),
            Some(_) | None => Crypto::strong(),
        };
        let crypto = wishes.crypto.clone().unwrap_or(said);
        let broadcast = cman("broadcast") == Some("yes") || cman("transport") == Some("udpb");
        let (transport, why_transport) = match (wishes.transport, cman("transport")) {
            (Some(transport), _) => (transport, "asked for by --transport"),
            (None, Some("rdma")) => (Transport::Knet, "Corosync 3 has no RDMA transport"),
            (None, _) if several => (Transport::Knet, "only knet has several links"),
            (None, _) if crypto.is_on() => (Transport::Knet, "only knet encrypts"),
            (None, Some("udpu")) => (Transport::Udpu, "as before"),
            (None, Some(_) | None) => (Transport::Udp, "cman's default was udp"),
        };
        let said = matches!(cman("two_node"), Some("1" | "yes"));
        let two_node = wishes.two_node.map_or(said, |word| word == YesNo::Yes);
        Self {
            transport,
            why_transport,
            broadcast: broadcast && transport == Transport::Udp,
            crypto,
            nodes,
            votes: members()
                .map(|member| {
                    member
                        .value("votes")
                        .and_then(|word| word.parse::<u8>().ok())
                        .map_or(1, u32::from)
                })
                .sum(),
            disk: cluster.named("quorumd").next().is_some(),
            two_node,
            token_ms: totem("token")
                .and_then(|word| word.parse().ok())
                .unwrap_or(TOKEN_MS),
        }
    }
}

fn cman(draft: &mut Draft<'_>, section: &Section, plan: &Plan) {
    for entry in section.entries() {
        match entry.key.as_str() {
            "two_node" => two_node(draft, entry, plan),
            "expected_votes" => expected_votes(draft, entry, plan),
            "port" if draft.wishes.port.is_some() => draft.drop(entry, "--port says it"),
            "port" => draft.write(entry, &interface(0), ("mcastport", &entry.value), "the port of link 0"),
            "transport" => draft.write(entry, TOTEM, ("transport", plan.transport.word()), plan.why_transport),
            "broadcast" if plan.broadcast => {
                draft.write(entry, &interface(0), ("broadcast", "yes"), "the key moved");
            }
            "broadcast" => draft.drop(entry, "this transport sends to each node by itself"),
            "keyfile" if draft.wishes.keyfile.is_some() => draft.drop(entry, "--keyfile says it"),
            "keyfile" if plan.crypto.is_on() => draft.copy(entry, TOTEM),
            "keyfile" => draft.drop(entry, "without encryption no key is read"),
            "cluster_id" | "hash_cluster_id" => multicast_id(draft, entry, plan),
            "quorum_dev_poll" => draft.drop(entry, "quorum.device.timeout is the like of it for corosync-qdevice, which is set up anew"),
            "nodename" => draft.drop(entry, "a node finds itself in the list by its name or address"),
            "votes" => draft.drop(entry, "votes stand with each node"),
            "shutdown_timeout" | "ccsd_poll" | "debug_mask" | "disallowed" | "upgrading" | "disable_openais"
            | "max_queued" | "max_msg_len" | "max_retries" | "disable_dbus" | "startup_script_opts" => {
                draft.drop(entry, "it was cman's own; nothing in Corosync 3 is like it");
            }
            _ => draft.unknown(entry),
        }
    }
    for inner in section.sections() {
        for entry in inner.all() {
            match (inner.name.as_str(), entry.key.as_str()) {
                ("multicast", "addr")
                    if plan.transport == Transport::Udp && draft.wishes.mcast_address.is_none() =>
                {
                    draft.write(
                        entry,
                        &interface(0),
                        ("mcastaddr", &entry.value),
                        "the key moved",
                    );
                }
                ("multicast", "ttl") if plan.transport == Transport::Udp => {
                    draft.copy(entry, &interface(0))
                }
                ("multicast", _) => draft.drop(
                    entry,
                    "no multicast address is used, or --mcast-address says it",
                ),
                _ => draft.unknown(entry),
            }
        }
    }
}

fn two_node(draft: &mut Draft<'_>, entry: &Entry, plan: &Plan) {
    if draft.wishes.two_node.is_some() {
        return draft.drop(entry, "--two-node says it");
    }
    if !plan.two_node {
        return draft.drop(entry, "0 is the default");
    }
    if plan.nodes != 2 || plan.votes != 2 {
        let why = format!(
            "two_node needs two nodes of one vote; there are {} with {}",
            plan.nodes, plan.votes
        );
        return draft.decide(entry, &why);
    }
    draft.write(
        entry,
        QUORUM,
        ("two_node", "1"),
        "with Corosync 3 both nodes must have met once before one alone is quorate (wait_for_all); cman relied on fencing",
    );
}

fn expected_votes(draft: &mut Draft<'_>, entry: &Entry, plan: &Plan) {
    let sum = plan.votes.to_string();
    if draft.wishes.expected_votes.is_some() {
        draft.drop(entry, "--expected-votes says it");
    } else if plan.two_node {
        draft.drop(entry, "two_node of Corosync 3 counts the nodes of the list");
    } else if entry.value == sum {
        draft.drop(entry, "it is the sum of the nodes' votes");
    } else if plan.disk {
        draft.decide(entry, "it counted the votes of the quorum disk; without a device the sum of the nodes' votes is used");
    } else {
        draft.copy(entry, QUORUM);
    }
}

/// The id was used for the multicast address alone, of which an address is made here as cman made it.
fn multicast_id(draft: &mut Draft<'_>, entry: &Entry, plan: &Plan) {
    let needed =
        plan.transport == Transport::Udp && !plan.broadcast && draft.wishes.mcast_address.is_none();
    match (needed, entry.key.as_str(), entry.value.parse::<u16>()) {
        (false, _, _) => draft.drop(
            entry,
            "it served to make a multicast address, and none is used",
        ),
        (true, "cluster_id", Ok(id)) => {
            let address = format!("239.192.{}.{}", id >> 8, id % 0xFF);
            draft.write(
                entry,
                &interface(0),
                ("mcastaddr", &address),
                "the address that cman made of it",
            );
        }
        (true, _, _) => draft.decide(
            entry,
            "the multicast address was made of it: give it with --mcast-address",
        ),
    }
}

fn totem(draft: &mut Draft<'_>, section: &Section, plan: &Plan) {
    for entry in section.entries() {
        match entry.key.as_str() {
            "secauth" if plan.transport == Transport::Knet => {
                let why = "cipher and hash are named one by one";
                let Crypto { cipher, hash } = &plan.crypto;
                draft.write(entry, TOTEM, ("crypto_cipher", cipher), why);
                draft.write(entry, TOTEM, ("crypto_hash", hash), why);
            }
            "secauth" if plan.crypto.is_on() => {
                draft.decide(entry, "only knet encrypts in Corosync 3")
            }
            "secauth" => draft.drop(entry, "off is the default with this transport"),
            "crypto_hash"
                if HASHES.contains(&entry.value.as_str()) && plan.transport == Transport::Knet =>
            {
                draft.copy(entry, TOTEM)
            }
            "crypto_type" | "crypto_accept" => {
                draft.drop(entry, "Corosync 3 has one format of encrypted packets")
            }
            "rrp_mode"
                if plan.transport == Transport::Knet
                    && matches!(entry.value.as_str(), "active" | "passive") =>
            {
                draft.write(
                    entry,
                    TOTEM,
                    ("link_mode", &entry.value),
                    "rings are links now",
                );
            }
            "rrp_mode" => draft.drop(entry, "one ring is one link"),
            key if key.starts_with("rrp_") => {
                draft.drop(entry, "knet watches links with knet_ping_interval, knet_ping_timeout and knet_pong_count");
            }
            "keyfile" if draft.wishes.keyfile.is_some() => draft.drop(entry, "--keyfile says it"),
            "keyfile" if !plan.crypto.is_on() => {
                draft.drop(entry, "without encryption no key is read")
            }
            "version" => draft.copy(entry, TOTEM),
            "vsftype" | "threads" => draft.drop(entry, "Corosync 3 has nothing like it"),
            "netmtu" if plan.transport == Transport::Knet => {
                draft.drop(entry, "knet finds the largest packet by itself")
            }
            key if is_timer(key) => draft.copy(entry, TOTEM),
            _ => draft.unknown(entry),
        }
    }
    for (position, inner) in section.named("interface").enumerate() {
        let number = inner.value("ringnumber").and_then(|word| word.parse().ok());
        let number = number.filter(|number| *number < super::args::LINKS_MAX);
        for entry in inner.all() {
            ring(draft, entry, number.unwrap_or(position), plan);
        }
    }
    for inner in section.sections().filter(|inner| inner.name != "interface") {
        inner
            .all()
            .into_iter()
            .for_each(|entry| draft.unknown(entry));
    }
}

fn is_timer(key: &str) -> bool {
    keys::find(&format!("totem.{key}")).is_some_and(|spec| spec.applies != keys::Applies::Nowhere)
}

fn ring(draft: &mut Draft<'_>, entry: &Entry, index: usize, plan: &Plan) {
    let slot = interface(index);
    let udp = plan.transport == Transport::Udp;
    match entry.key.as_str() {
        "ringnumber" => draft.write(
            entry,
            &slot,
            ("linknumber", &entry.value),
            "rings are links now",
        ),
        "mcastport" => draft.copy(entry, &slot),
        "mcastaddr" | "ttl" | "broadcast" if udp => draft.copy(entry, &slot),
        "mcastaddr" | "ttl" | "broadcast" => {
            draft.drop(entry, "this transport sends to each node by itself")
        }
        "bindnetaddr" => draft.drop(entry, "the list of nodes says which address a node has"),
        _ => draft.unknown(entry),
    }
}

fn node_list(draft: &mut Draft<'_>, cluster: &Section, plan: &Plan) {
    let mut found = Vec::new();
    for list in cluster.named("clusternodes") {
        list.entries().for_each(|entry| draft.unknown(entry));
        for member in list.sections() {
            if member.name == "clusternode" {
                found.push(member_of(draft, member, plan));
            } else {
                member
                    .all()
                    .into_iter()
                    .for_each(|entry| draft.unknown(entry));
            }
        }
    }
    nodes::write(draft, found);
}

fn member_of(draft: &mut Draft<'_>, member: &Section, plan: &Plan) -> Node {
    let mut node = Node::default();
    for entry in member.entries() {
        match entry.key.as_str() {
            "name" => {
                node.name = Some(Said::by(entry));
                // The name was the address; an option may give a better one.
                let address = Said {
                    why: BY_NAME,
                    ..Said::by(entry)
                };
                node.addresses.insert(0, address);
            }
            "nodeid" => node.id = Some(Said::by(entry)),
            "votes" => {
                node.votes = Some(Said {
                    why: "the key's name of today",
                    ..Said::by(entry)
                })
            }
            _ => draft.unknown(entry),
        }
    }
    let mut link = 0;
    for inner in member.sections() {
        match inner.name.as_str() {
            "altname" if plan.transport == Transport::Knet => {
                link += 1;
                altname(draft, inner, &mut node, link);
            }
            "altname" => inner
                .all()
                .into_iter()
                .for_each(|entry| draft.decide(entry, "this transport has one link")),
            "multicast" => inner
                .all()
                .into_iter()
                .for_each(|entry| draft.drop(entry, "the address says which interface is used")),
            "fence" | "unfence" => super::corosync::drop_all(draft, inner, FENCING),
            _ => inner
                .all()
                .into_iter()
                .for_each(|entry| draft.unknown(entry)),
        }
    }
    node
}

fn altname(draft: &mut Draft<'_>, section: &Section, node: &mut Node, link: usize) {
    for entry in section.entries() {
        match entry.key.as_str() {
            "name" => drop(node.addresses.insert(
                link,
                Said {
                    why: BY_NAME,
                    ..Said::by(entry)
                },
            )),
            "port" => {
                draft.write(
                    entry,
                    &interface(link),
                    ("mcastport", &entry.value),
                    "the port of the link",
                );
                draft.add(
                    &interface(link),
                    ("linknumber", &link.to_string()),
                    "which link this section speaks of",
                );
            }
            "mcast" | "ttl" => draft.drop(entry, "this transport sends to each node by itself"),
            _ => draft.unknown(entry),
        }
    }
}

/// What cman did without being told, and what options ask for.
fn settle(draft: &mut Draft<'_>, cluster: &Section, plan: &Plan) {
    let wishes = draft.wishes;
    draft.add(TOTEM, ("version", "2"), "every file has it");
    if let Some(name) = &wishes.cluster_name {
        draft.insist(TOTEM, ("cluster_name", name), "--cluster-name");
    }
    draft.add(
        TOTEM,
        ("transport", plan.transport.word()),
        plan.why_transport,
    );
    if plan.transport == Transport::Knet && plan.crypto.is_on() {
        draft.add(
            TOTEM,
            ("crypto_cipher", &plan.crypto.cipher),
            "cman encrypted by default",
        );
        draft.add(
            TOTEM,
            ("crypto_hash", &plan.crypto.hash),
            "cman encrypted by default",
        );
        key_needed(draft, cluster);
    }
    timers(draft, plan);
    if let Some(port) = wishes.port {
        draft.insist(&interface(0), ("mcastport", &port.to_string()), "--port");
    }
    if plan.broadcast {
        draft.add(&interface(0), ("broadcast", "yes"), "cman's transport udpb");
    } else if let Some(address) = wishes
        .mcast_address
        .filter(|_| plan.transport == Transport::Udp)
    {
        draft.insist(
            &interface(0),
            ("mcastaddr", &address.to_string()),
            "--mcast-address",
        );
    }
    if draft.conf.count(TOTEM, "interface") > 0 {
        draft.add(
            &interface(0),
            ("linknumber", "0"),
            "which link this section speaks of",
        );
    }
    draft.add(
        QUORUM,
        ("provider", "corosync_votequorum"),
        "cman counted votes",
    );
    if let Some(votes) = wishes.expected_votes {
        draft.insist(
            QUORUM,
            ("expected_votes", &votes.to_string()),
            "--expected-votes",
        );
    }
    if let Some(word) = wishes.two_node {
        let value = if word == YesNo::Yes { "1" } else { "0" };
        draft.insist(QUORUM, ("two_node", value), "--two-node");
    }
    let why = "cman logged there by default";
    draft.add(LOGGING, ("to_syslog", "yes"), why);
    let why = "cman logged the time by default, without milliseconds";
    draft.add(LOGGING, ("timestamp", "on"), why);
}

/// cman made a key of the cluster's name where none was given; Corosync 3 reads a file.
fn key_needed(draft: &mut Draft<'_>, cluster: &Section) {
    if let Some(file) = &draft.wishes.keyfile {
        return draft.insist(TOTEM, ("keyfile", file), "--keyfile");
    }
    let given = cluster
        .value_in("cman", "keyfile")
        .or_else(|| cluster.value_in("totem", "keyfile"));
    let why = match given {
        Some(file) => format!("{file} must have 128 bytes or more; if it is shorter, make a new one with corosync-keygen"),
        None => "cman made the key of the cluster's name; make one with corosync-keygen and copy it to all nodes".to_owned(),
    };
    draft.report.decide(&why);
}

/// cman's own defaults (cman `cman-preconfig.c`, 3.1), which are not those of Corosync.
fn timers(draft: &mut Draft<'_>, plan: &Plan) {
    let why = "cman's default, which is not that of Corosync 3";
    draft.add(TOTEM, ("token", &TOKEN_MS.to_string()), why);
    draft.add(TOTEM, ("join", "60"), why);
    draft.add(TOTEM, ("fail_recv_const", "2500"), why);
    let consensus = if plan.nodes > 2 {
        plan.token_ms.saturating_add(2_000)
    } else {
        (plan.token_ms / 5).clamp(200, 2_000)
    };
    draft.add(
        TOTEM,
        ("consensus", &consensus.to_string()),
        "cman's rule for this token and number of nodes",
    );
    if plan.nodes > 2 {
        let why = "the token timeout did not grow with the number of nodes";
        draft.add(TOTEM, ("token_coefficient", "0"), why);
    }
}

fn logging(draft: &mut Draft<'_>, section: &Section) {
    for entry in section.entries() {
        log_key(draft, entry, LOGGING);
    }
    let mut loggers = 0;
    for inner in section.sections() {
        let corosync = inner.value("name") == Some("corosync");
        let subsystem = inner.value("subsys");
        if inner.name != "logging_daemon" || !corosync {
            for entry in inner.all() {
                draft.drop(entry, "the program that it speaks of went with cman");
            }
            continue;
        }
        let slot = logger(loggers);
        let slot: &[(&str, usize)] = if subsystem.is_some() { &slot } else { LOGGING };
        for entry in inner.all() {
            match entry.key.as_str() {
                "name" => draft.drop(entry, "corosync is what this file is for"),
                "subsys" => {
                    let new = RENAMED.iter().find(|(old, _)| *old == entry.value);
                    let value = new.map_or(entry.value.as_str(), |(_, new)| *new);
                    draft.write(
                        entry,
                        slot,
                        ("subsys", value),
                        "the subsystem's name of today",
                    );
                }
                _ => log_key(draft, entry, slot),
            }
        }
        loggers += usize::from(subsystem.is_some());
    }
}

fn log_key(draft: &mut Draft<'_>, entry: &Entry, slot: &[(&str, usize)]) {
    if keys::find(&super::draft::path_of(slot, &entry.key)).is_some() {
        draft.copy(entry, slot);
    } else {
        draft.unknown(entry);
    }
}

fn quorum_disk(draft: &mut Draft<'_>, section: &Section) {
    for entry in section.entries() {
        match entry.key.as_str() {
            "votes" => draft.decide(entry, "the quorum disk has no successor: corosync-qdevice with a host that runs corosync-qnetd takes its place, see docs/migrate.md"),
            _ => draft.drop(entry, "it was the quorum disk's own"),
        }
    }
    for inner in section.sections() {
        for entry in inner.all() {
            match (inner.name.as_str(), entry.key.as_str()) {
                ("heuristic", "program") => draft.decide(
                    entry,
                    "with corosync-qdevice: quorum.device.heuristics.exec_NAME and mode: on",
                ),
                _ => draft.drop(entry, "it was the quorum disk's own"),
            }
        }
    }
}

/// Elements for other programs.
fn other(draft: &mut Draft<'_>, section: &Section, name: &str) {
    let why = match name {
        "fencedevices" | "fence_daemon" | "fence_xvmd" | "fence" => FENCING,
        "rm" => "resources are Pacemaker's: create them with pcs or crm",
        "dlm" | "gfs_controld" | "group" | "clvmd" | "groupd" => {
            "the program reads a configuration of its own today"
        }
        "event" | "amf" | "aisexec" | "service" => {
            "the service went with OpenAIS; Corosync 3 does not have it"
        }
        _ => {
            return section
                .all()
                .into_iter()
                .for_each(|entry| draft.unknown(entry));
        }
    };
    super::corosync::drop_all(draft, section, why);
}

const FENCING: &str = "fencing is Pacemaker's: create fence devices with pcs or crm";
const RENAMED: [(&str, &str); 3] = [
    ("CONFDB", "CMAP"),
    ("SYNCV2", "SYNC"),
    ("QDISKD", "QDEVICE"),
];
/// cman's token timeout, in milliseconds.
const TOKEN_MS: u64 = 10_000;

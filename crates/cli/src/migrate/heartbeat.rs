//! ha.cf of Heartbeat (`ha.cf(5)`, 3.0.6).

use super::args::{Crypto, Transport, YesNo};
use super::draft::{Draft, LOGGING, QUORUM, TOTEM, interface};
use super::nodes::{self, BY_NAME, Node, Said};
use super::tree::{Entry, Section};

/// Translates all directives.
pub(crate) fn translate(draft: &mut Draft<'_>, root: &Section) {
    let media = Media::of(root);
    draft.transport = draft.wishes.transport.unwrap_or(Transport::Knet);
    for entry in root.entries() {
        directive(draft, entry, root, &media);
    }
    settle(draft, &media);
    node_list(draft, root);
}

/// The networks that packets went over.
struct Media {
    /// Each device once, in the order of the file.
    devices: Vec<String>,
}

impl Media {
    fn of(root: &Section) -> Self {
        let mut devices: Vec<String> = Vec::new();
        for entry in root.entries() {
            let mut words = entry.value.split_whitespace();
            let named: Vec<&str> = match entry.key.as_str() {
                "bcast" => words.collect(),
                "mcast" | "mcast6" | "ucast" | "ucast6" => words.next().into_iter().collect(),
                _ => Vec::new(),
            };
            for device in named {
                if !devices.iter().any(|known| known == device) && devices.len() < DEVICES_MAX {
                    devices.push(device.to_owned());
                }
            }
        }
        Self { devices }
    }

    fn link(&self, device: &str) -> usize {
        self.devices
            .iter()
            .position(|known| known == device)
            .unwrap_or(0)
    }
}

fn directive(draft: &mut Draft<'_>, entry: &Entry, root: &Section, media: &Media) {
    match entry.key.as_str() {
        "node" => {} // Each name, below.
        "deadtime" => time(draft, entry, "token", "the time after which a silent node is declared dead, in milliseconds"),
        "warntime" => warn_time(draft, entry, root),
        "keepalive" => draft.drop(entry, "token and knet's pings, which follow from it, take its place"),
        "initdead" => draft.drop(entry, "a starting node waits for no one; quorum.wait_for_all keeps resources down until all met"),
        "bcast" | "ucast" | "ucast6" | "mcast" | "mcast6" => medium(draft, entry, media),
        "udpport" => port(draft, entry),
        "serial" | "baud" | "hopfudge" => draft.decide(entry, "Corosync has no serial links: a second network takes its place"),
        "cluster" if draft.wishes.cluster_name.is_some() => draft.drop(entry, "--cluster-name says it"),
        "cluster" => draft.write(entry, TOTEM, ("cluster_name", &entry.value), "the cluster's name"),
        "compression" | "compression_threshold" => compression(draft, entry, root),
        "traditional_compression" => draft.drop(entry, "knet compresses packets as a whole"),
        "realtime" => switch(draft, entry, ("system", "sched_rr")),
        "watchdog" => draft.write(entry, &[("resources", 0)], ("watchdog_device", &entry.value), "the key's name of today"),
        "logfile" | "debugfile" | "logfacility" | "use_logd" | "debug" => log(draft, entry, root),
        "autojoin" => match entry.value.as_str() {
            "none" => draft.drop(entry, "only nodes of the list belong to the cluster, always"),
            _ => draft.decide(entry, "only nodes of the list belong to the cluster: name those that joined by themselves with --node"),
        },
        "crm" | "pacemaker" | "crm_daemon_dir" | "crmd_spawns_pengine" => draft.drop(entry, "Pacemaker is started by its own unit: systemctl enable pacemaker"),
        "auto_failback" | "nice_failback" => draft.drop(entry, "where resources return to is Pacemaker's: resource-stickiness"),
        "ping" | "ping_group" | "hbaping" | "deadping" => draft.drop(entry, "Pacemaker watches other hosts: ocf:pacemaker:ping"),
        "stonith" | "stonith_host" => draft.drop(entry, "fencing is Pacemaker's: create fence devices with pcs or crm"),
        "respawn" | "apiauth" => draft.drop(entry, "the program was Heartbeat's client; Corosync's clients start by themselves"),
        "coredumps" | "conn_logd_time" | "hbgenmethod" | "memreserve" | "msgfmt" | "rtprio" | "uuidfrom"
        | "syslogmsgfmt" | "logd" | "hbversion" | "max_rexmit_delay" | "gethostname" | "env" => draft.drop(entry, "it was Heartbeat's own; nothing in Corosync 3 is like it"),
        _ => draft.unknown(entry),
    }
}

/// Heartbeat's times are seconds unless a unit stands behind them (`ha.cf(5)`; heartbeat `cl_get_msec`).
fn milliseconds(word: &str) -> Option<u64> {
    let digits = word.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match word[digits.len()..].to_ascii_lowercase().as_str() {
        "" | "s" | "sec" => 1_000.0,
        "ms" | "msec" => 1.0,
        "us" | "usec" => 0.001,
        "m" | "min" => 60_000.0,
        "h" | "hr" => 3_600_000.0,
        _ => return None,
    };
    let value = digits.trim().parse::<f64>().ok()?;
    let ms = value * unit;
    // A day is longer than any timer of a cluster.
    (ms.is_finite() && (1.0..=86_400_000.0).contains(&ms)).then(|| {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 1 and a day"
        )]
        let whole = ms.round() as u64;
        whole
    })
}

fn time(draft: &mut Draft<'_>, entry: &Entry, key: &str, why: &str) {
    match milliseconds(&entry.value) {
        Some(ms) => draft.write(entry, TOTEM, (key, &ms.to_string()), why),
        None => draft.decide(entry, "this is no time; it was left out"),
    }
}

/// Corosync warns at a share of the token timeout.
fn warn_time(draft: &mut Draft<'_>, entry: &Entry, root: &Section) {
    let dead = root
        .value("deadtime")
        .and_then(milliseconds)
        .unwrap_or(DEADTIME_MS);
    match milliseconds(&entry.value) {
        Some(warn) if warn <= dead => {
            let percent = (warn * 100 / dead).to_string();
            draft.write(
                entry,
                TOTEM,
                ("token_warning", &percent),
                "percent of the token timeout",
            );
        }
        Some(_) => draft.drop(entry, "it is longer than deadtime, so it never warned"),
        None => draft.decide(entry, "this is no time; it was left out"),
    }
}

fn medium(draft: &mut Draft<'_>, entry: &Entry, media: &Media) {
    let words: Vec<&str> = entry.value.split_whitespace().collect();
    let link = words.first().map_or(0, |device| media.link(device));
    let udp = draft.transport == Transport::Udp;
    match (entry.key.as_str(), words.as_slice()) {
        ("bcast", []) | ("mcast" | "mcast6" | "ucast" | "ucast6", [] | [_]) => draft.unknown(entry),
        ("mcast" | "mcast6", [_, group, ..]) if udp && link == 0 => {
            let slot = interface(0);
            draft.write(entry, &slot, ("mcastaddr", group), "the group of link 0");
        }
        ("bcast", [_, ..]) if udp && link == 0 => {
            draft.write(
                entry,
                &interface(0),
                ("broadcast", "yes"),
                "as before, on link 0",
            );
        }
        ("bcast", devices) => {
            let links: Vec<String> = devices
                .iter()
                .map(|device| media.link(device).to_string())
                .collect();
            let why = format!(
                "the network of link {}: the nodes' addresses choose it",
                links.join(", ")
            );
            draft.drop(entry, &why);
        }
        _ => {
            let why = format!("the network of link {link}: the nodes' addresses choose it");
            draft.drop(entry, &why);
        }
    }
}

fn port(draft: &mut Draft<'_>, entry: &Entry) {
    if draft.wishes.port.is_some() {
        draft.drop(entry, "--port says it");
    } else if entry.value == "694" {
        draft.drop(entry, "694 is Heartbeat's; Corosync's 5405 is used");
    } else {
        draft.write(
            entry,
            &interface(0),
            ("mcastport", &entry.value),
            "the port of link 0",
        );
    }
}

fn compression(draft: &mut Draft<'_>, entry: &Entry, root: &Section) {
    let on = matches!(root.value("compression"), Some("zlib" | "bz2"));
    if !on || draft.transport != Transport::Knet {
        return draft.decide(
            entry,
            "only knet compresses, with zlib or bzip2 for Heartbeat's zlib and bz2",
        );
    }
    match (entry.key.as_str(), entry.value.as_str()) {
        ("compression", method) => {
            let (model, level) = if method == "bz2" {
                ("bzip2", "9")
            } else {
                (method, "6")
            };
            draft.write(
                entry,
                TOTEM,
                ("knet_compression_model", model),
                "the method's name of today",
            );
            let why = "the default of 0 means no compression";
            draft.add(TOTEM, ("knet_compression_level", level), why);
        }
        (_, kilobytes) => match kilobytes
            .parse::<u32>()
            .ok()
            .and_then(|kb| kb.checked_mul(1_024))
        {
            Some(bytes) => draft.write(
                entry,
                TOTEM,
                ("knet_compression_threshold", &bytes.to_string()),
                "in bytes",
            ),
            None => draft.decide(entry, "this is no number of kilobytes; it was left out"),
        },
    }
}

fn switch(draft: &mut Draft<'_>, entry: &Entry, (section, key): (&str, &str)) {
    let value = match entry.value.to_ascii_lowercase().as_str() {
        "on" | "yes" | "true" | "y" | "1" => "yes",
        "off" | "no" | "false" | "n" | "0" => "no",
        _ => return draft.unknown(entry),
    };
    draft.write(
        entry,
        &[(section, 0)],
        (key, value),
        "the key's name of today",
    );
}

fn log(draft: &mut Draft<'_>, entry: &Entry, root: &Section) {
    let by_daemon = matches!(
        root.value("use_logd"),
        Some("on" | "yes" | "true" | "y" | "1")
    );
    match (entry.key.as_str(), entry.value.as_str()) {
        ("use_logd", _) => draft.drop(entry, "Corosync logs by itself"),
        ("debug", "0") => draft.drop(entry, "off is the default"),
        ("debug", _) => draft.write(
            entry,
            LOGGING,
            ("debug", "on"),
            "Corosync has one level of it",
        ),
        (_, _) if by_daemon => draft.drop(entry, "with use_logd Heartbeat did not heed it"),
        ("logfile", _) => {
            draft.copy(entry, LOGGING);
            draft.add(LOGGING, ("to_logfile", "yes"), "logfile alone does nothing");
        }
        ("logfacility", "none") => draft.write(
            entry,
            LOGGING,
            ("to_syslog", "no"),
            "the key's name of today",
        ),
        ("logfacility", _) => {
            draft.write(
                entry,
                LOGGING,
                ("syslog_facility", &entry.value),
                "the key's name of today",
            );
            draft.add(LOGGING, ("to_syslog", "yes"), "a facility was given");
        }
        _ => draft.drop(entry, "debug lines go where the others go"),
    }
}

/// What Heartbeat did without being told, and what options ask for.
fn settle(draft: &mut Draft<'_>, media: &Media) {
    let wishes = draft.wishes;
    let transport = draft.transport;
    draft.add(TOTEM, ("version", "2"), "every file has it");
    if let Some(name) = &wishes.cluster_name {
        draft.insist(TOTEM, ("cluster_name", name), "--cluster-name");
    }
    draft.add(
        TOTEM,
        ("transport", transport.word()),
        "Heartbeat's own is gone",
    );
    if transport == Transport::Knet {
        let crypto = wishes.crypto.clone().unwrap_or_else(Crypto::strong);
        if crypto.is_on() {
            let why = "Heartbeat signed every packet";
            draft.add(TOTEM, ("crypto_cipher", &crypto.cipher), why);
            draft.add(TOTEM, ("crypto_hash", &crypto.hash), why);
            match &wishes.keyfile {
                Some(file) => draft.insist(TOTEM, ("keyfile", file), "--keyfile"),
                None => draft.report.decide("authkeys cannot be used: make a key with corosync-keygen and copy it to all nodes"),
            }
        }
    } else {
        draft.report.decide("Heartbeat signed every packet; with this transport packets are neither signed nor encrypted");
    }
    let why = "Heartbeat's default, in milliseconds";
    draft.add(TOTEM, ("token", &DEADTIME_MS.to_string()), why);
    draft.add(
        TOTEM,
        ("token_coefficient", "0"),
        "deadtime did not grow with the number of nodes",
    );
    if let Some(port) = wishes.port {
        draft.insist(&interface(0), ("mcastport", &port.to_string()), "--port");
    }
    if let Some(address) = wishes.mcast_address.filter(|_| transport == Transport::Udp) {
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
    let links = wishes
        .nodes
        .iter()
        .map(|node| node.addresses.len())
        .min()
        .unwrap_or(1);
    for (link, device) in media.devices.iter().enumerate().skip(links) {
        let why = format!(
            "there was a network on {device}: give the nodes' addresses on it, as number {} of --node NAME=ADDRESS,ADDRESS",
            link + 1
        );
        draft.report.decide(&why);
    }
}

fn node_list(draft: &mut Draft<'_>, root: &Section) {
    let mut found = Vec::new();
    for entry in root.entries().filter(|entry| entry.key == "node") {
        for name in entry.value.split_whitespace() {
            let said = |why| Said {
                value: name.to_owned(),
                from: Some(entry.clone()),
                why,
            };
            let mut node = Node {
                name: Some(said("")),
                ..Node::default()
            };
            node.addresses.insert(0, said(BY_NAME));
            found.push(node);
        }
    }
    let count = found.len();
    nodes::write(draft, found);
    draft.add(
        QUORUM,
        ("provider", "corosync_votequorum"),
        "Heartbeat's membership counted nodes",
    );
    match (draft.wishes.two_node, count) {
        (Some(word), _) => {
            let value = if word == YesNo::Yes { "1" } else { "0" };
            draft.insist(QUORUM, ("two_node", value), "--two-node");
        }
        (None, 2) => draft.add(QUORUM, ("two_node", "1"), "one of two nodes went on alone"),
        (None, _) => {}
    }
    if let Some(votes) = draft.wishes.expected_votes {
        draft.insist(
            QUORUM,
            ("expected_votes", &votes.to_string()),
            "--expected-votes",
        );
    }
}

/// Heartbeat's `deadtime` where the file has none (heartbeat `config.c: KEYIT_DEADTIME`).
const DEADTIME_MS: u64 = 30_000;
/// More networks than a link each could serve are not counted.
const DEVICES_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::milliseconds;

    #[test]
    fn times_are_seconds_unless_they_say_otherwise() {
        for (word, ms) in [
            ("30", 30_000),
            ("500ms", 500),
            ("0.5", 500),
            ("2m", 120_000),
            ("10s", 10_000),
        ] {
            assert_eq!(milliseconds(word), Some(ms), "{word}");
        }
        for word in ["", "x", "1d", "-1", "1e99", "nan", "0"] {
            assert_eq!(milliseconds(word), None, "{word}");
        }
    }
}

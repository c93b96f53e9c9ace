//! Every key of corosync.conf(5), votequorum(5), corosync-qdevice(8) and `uidgid.d`, with its type.
//!
//! Paths are those of the file: sections and key joined by dots. Types are those of the configuration map
//! (corosync `coroparse.c:main_config_parser_cb`, v3.1.7); `docs/config.md` explains every line and a test
//! compares the two.

/// What is known about one key.
#[derive(Clone, Copy, Debug)]
pub struct KeySpec {
    /// Sections and key joined by dots; `ringX_addr` stands for `ring0_addr` to `ring7_addr`.
    pub path: &'static str,
    /// What may stand behind the colon and the type of the value in the configuration map.
    pub kind: Kind,
    /// Where it has an effect.
    pub applies: Applies,
}

/// What may stand behind the colon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A number of 8 bits.
    U8,
    /// A number of 16 bits.
    U16,
    /// A number of 32 bits.
    U32,
    /// A number of 31 bits, stored as `u32`: corosync passes it through an `int` and forgets larger ones.
    U31,
    /// A number with a sign.
    I32,
    /// A number of 64 bits.
    U64,
    /// One of these words.
    Words(&'static [&'static str]),
    /// A syslog priority, in upper or lower case.
    Priority,
    /// Any text; what it means is checked where it is used.
    Text,
}

/// Where a key has an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applies {
    /// With every transport.
    Always,
    /// Only with knet.
    Knet,
    /// Only with udp.
    Udp,
    /// Not with udp.
    NotUdp,
    /// Only with udp and udpu.
    NotKnet,
    /// Nowhere in corosync 3: accepted and stored, but nothing reads it.
    Nowhere,
}

/// Finds what is known about a path of the file.
#[must_use]
pub fn find(path: &str) -> Option<&'static KeySpec> {
    let link = path
        .strip_prefix("nodelist.node.")
        .and_then(link_of_address_key);
    let path = if link.is_some() {
        "nodelist.node.ringX_addr"
    } else if path.starts_with("quorum.device.heuristics.exec_") {
        // The commands of corosync-qdevice's heuristics have names of the administrator's choice.
        "quorum.device.heuristics.exec_NAME"
    } else {
        path
    };
    KEYS.iter().find(|spec| spec.path == path)
}

/// The link of a `ringX_addr` key; `None` when `key` is something else.
#[must_use]
pub fn link_of_address_key(key: &str) -> Option<u32> {
    let digits = key.strip_prefix("ring")?.strip_suffix("_addr")?;
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    if plain { digits.parse().ok() } else { None }
}

/// Whether any known key lies in the section or below it.
#[must_use]
pub fn is_section(path: &str) -> bool {
    KEYS.iter().any(|spec| {
        spec.path
            .strip_prefix(path)
            .is_some_and(|rest| rest.starts_with('.'))
    })
}

/// The known key or section of `section` that was most likely meant by `name`.
#[must_use]
pub fn suggest(section: &str, name: &str) -> Option<&'static str> {
    let allowed = ((name.len() + 1) / 3).clamp(1, 3);
    KEYS.iter()
        .filter_map(|spec| {
            let rest = if section.is_empty() {
                spec.path
            } else {
                spec.path.strip_prefix(section)?.strip_prefix('.')?
            };
            rest.split('.').next()
        })
        .map(|candidate| (distance(candidate, name, allowed), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Levenshtein distance of two names in bytes; more than `limit` when their lengths alone are further apart.
fn distance(a: &str, b: &str, limit: usize) -> usize {
    if a.len().abs_diff(b.len()) > limit {
        return limit + 1;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let replaced = diagonal + usize::from(!x.eq_ignore_ascii_case(&y));
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

const YES_NO: Kind = Words(&["yes", "no"]);
const ON_OFF: Kind = Words(&["on", "off"]);
const DESTINATION: Kind = Words(&["yes", "on", "no", "off"]);

/// Facilities of syslog (libqb `log_format.c: facilitynames`, v2.0.6).
const FACILITY: Kind = Words(&[
    "auth", "authpriv", "cron", "daemon", "ftp", "kern", "lpr", "mail", "news", "syslog", "user",
    "uucp", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
]);

const fn key(path: &'static str, kind: Kind, applies: Applies) -> KeySpec {
    KeySpec {
        path,
        kind,
        applies,
    }
}

use Applies::{Always, Knet, NotKnet, NotUdp, Nowhere, Udp};
use Kind::{I32, Priority, Text, U8, U16, U31, U32, U64, Words};

/// All known keys, by section.
pub static KEYS: &[KeySpec] = &[
    // totem: the node and its transport
    key("totem.version", U32, Always),
    key("totem.cluster_name", Text, Always),
    key("totem.config_version", U64, Always),
    key("totem.transport", Words(&["knet", "udpu", "udp"]), Always),
    key(
        "totem.ip_version",
        Words(&["ipv4", "ipv6", "ipv6-4", "ipv4-6"]),
        Always,
    ),
    key("totem.link_mode", Words(&["active", "passive", "rr"]), Knet),
    key("totem.netmtu", U32, Always),
    key("totem.clear_node_high_bit", YES_NO, NotKnet),
    key("totem.block_unlisted_ips", YES_NO, NotUdp),
    // totem: cryptography
    key("totem.crypto_model", Words(&["nss", "openssl"]), Knet),
    key(
        "totem.crypto_cipher",
        Words(&["none", "aes256", "aes192", "aes128"]),
        Knet,
    ),
    key(
        "totem.crypto_hash",
        Words(&["none", "md5", "sha1", "sha256", "sha384", "sha512"]),
        Knet,
    ),
    key("totem.secauth", ON_OFF, Knet),
    key("totem.keyfile", Text, Knet),
    key("totem.key", Text, Knet),
    // totem: the ring protocol
    key("totem.token", U32, Always),
    key("totem.token_warning", U32, Always),
    key("totem.token_coefficient", U32, Always),
    key("totem.token_retransmit", U32, Always),
    key("totem.token_retransmits_before_loss_const", U32, Always),
    key("totem.hold", U32, Always),
    key("totem.join", U32, Always),
    key("totem.send_join", U32, Always),
    key("totem.consensus", U32, Always),
    key("totem.merge", U32, Always),
    key("totem.downcheck", U32, Always),
    key("totem.fail_recv_const", U32, Always),
    key("totem.seqno_unchanged_const", U32, Always),
    key("totem.heartbeat_failures_allowed", U32, Always),
    key("totem.max_network_delay", U32, Always),
    key("totem.window_size", U32, Always),
    key("totem.max_messages", U32, Always),
    key("totem.miss_count_const", U32, Always),
    key("totem.cancel_token_hold_on_retransmit", YES_NO, Always),
    // totem: kronosnet
    key("totem.knet_pmtud_interval", U32, Knet),
    key("totem.knet_mtu", U32, Knet),
    key(
        "totem.knet_compression_model",
        Words(&["zlib", "lz4", "lz4hc", "lzo2", "lzma", "bzip2", "zstd"]),
        Knet,
    ),
    key("totem.knet_compression_threshold", U32, Knet),
    key("totem.knet_compression_level", I32, Knet),
    // totem: left over from corosync 1 and 2
    key("totem.nodeid", U32, Nowhere),
    key("totem.threads", U32, Nowhere),
    key("totem.rrp_mode", Text, Nowhere),
    key("totem.rrp_token_expired_timeout", U32, Nowhere),
    key("totem.rrp_problem_count_timeout", U32, Nowhere),
    key("totem.rrp_problem_count_threshold", U32, Nowhere),
    key("totem.rrp_problem_count_mcast_threshold", U32, Nowhere),
    key("totem.rrp_autorecovery_check_timeout", U32, Nowhere),
    // totem.interface
    key("totem.interface.linknumber", U8, Always),
    key("totem.interface.ringnumber", Text, Nowhere),
    key("totem.interface.bindnetaddr", Text, Always),
    key("totem.interface.broadcast", YES_NO, Udp),
    key("totem.interface.mcastaddr", Text, Udp),
    key("totem.interface.mcastport", U16, Always),
    key("totem.interface.ttl", U8, Udp),
    key("totem.interface.knet_link_priority", U8, Knet),
    key("totem.interface.knet_ping_interval", U31, Knet),
    key("totem.interface.knet_ping_timeout", U31, Knet),
    key("totem.interface.knet_ping_precision", U31, Knet),
    key("totem.interface.knet_pong_count", U31, Knet),
    key(
        "totem.interface.knet_transport",
        Words(&["udp", "sctp"]),
        Knet,
    ),
    key("totem.interface.member.memberaddr", Text, Nowhere),
    // nodelist
    key("nodelist.node.ringX_addr", Text, Always),
    key("nodelist.node.nodeid", U32, Always),
    key("nodelist.node.name", Text, Always),
    key("nodelist.node.quorum_votes", U32, Always),
    // quorum
    key("quorum.provider", Text, Always),
    key("quorum.expected_votes", U32, Always),
    key("quorum.votes", U32, Nowhere),
    key("quorum.two_node", U8, Always),
    key("quorum.wait_for_all", U8, Always),
    key("quorum.last_man_standing", U8, Always),
    key("quorum.last_man_standing_window", U32, Always),
    key("quorum.auto_tie_breaker", U8, Always),
    key("quorum.auto_tie_breaker_node", Text, Always),
    key("quorum.allow_downscale", U8, Always),
    key("quorum.expected_votes_tracking", U8, Always),
    key("quorum.leaving_timeout", U32, Nowhere),
    key("quorum.device.model", Text, Always),
    key("quorum.device.votes", U32, Always),
    key("quorum.device.timeout", U32, Always),
    key("quorum.device.sync_timeout", U32, Always),
    key("quorum.device.master_wins", U8, Always),
    // quorum.device: read by corosync-qdevice through the configuration map
    key("quorum.device.net.host", Text, Always),
    key("quorum.device.net.port", Text, Always),
    key("quorum.device.net.algorithm", Text, Always),
    key("quorum.device.net.tie_breaker", Text, Always),
    key("quorum.device.net.connect_timeout", Text, Always),
    key("quorum.device.net.force_ip_version", Text, Always),
    key("quorum.device.net.tls", Text, Always),
    key(
        "quorum.device.net.keep_active_partition_tie_breaker",
        Text,
        Always,
    ),
    key("quorum.device.heuristics.mode", Text, Always),
    key("quorum.device.heuristics.interval", Text, Always),
    key("quorum.device.heuristics.timeout", Text, Always),
    key("quorum.device.heuristics.sync_timeout", Text, Always),
    key("quorum.device.heuristics.exec_NAME", Text, Always),
    // logging
    key("logging.timestamp", Words(&["off", "on", "hires"]), Always),
    key("logging.fileline", ON_OFF, Always),
    key("logging.function_name", ON_OFF, Always),
    key("logging.blackbox", ON_OFF, Always),
    key("logging.to_stderr", DESTINATION, Always),
    key("logging.to_syslog", DESTINATION, Always),
    key("logging.to_logfile", DESTINATION, Always),
    key("logging.to_file", DESTINATION, Always),
    key("logging.logfile", Text, Always),
    key("logging.logfile_priority", Priority, Always),
    key("logging.syslog_facility", FACILITY, Always),
    key("logging.syslog_priority", Priority, Always),
    key("logging.syslog_level", Priority, Always),
    key("logging.debug", Words(&["on", "off", "trace"]), Always),
    key("logging.logger_subsys.subsys", Text, Always),
    key("logging.logger_subsys.to_stderr", DESTINATION, Always),
    key("logging.logger_subsys.to_syslog", DESTINATION, Always),
    key("logging.logger_subsys.to_logfile", DESTINATION, Always),
    key("logging.logger_subsys.to_file", DESTINATION, Always),
    key("logging.logger_subsys.logfile", Text, Always),
    key("logging.logger_subsys.logfile_priority", Priority, Always),
    key("logging.logger_subsys.syslog_facility", FACILITY, Always),
    key("logging.logger_subsys.syslog_priority", Priority, Always),
    key("logging.logger_subsys.syslog_level", Priority, Always),
    key(
        "logging.logger_subsys.debug",
        Words(&["on", "off", "trace"]),
        Always,
    ),
    key("logging.logging_daemon.name", Text, Always),
    key("logging.logging_daemon.subsys", Text, Always),
    // system
    key(
        "system.qb_ipc_type",
        Words(&["native", "shm", "socket"]),
        Always,
    ),
    key("system.sched_rr", YES_NO, Always),
    key("system.priority", Text, Always),
    key(
        "system.move_to_root_cgroup",
        Words(&["yes", "no", "auto"]),
        Always,
    ),
    key("system.allow_knet_handle_fallback", YES_NO, Knet),
    key("system.state_dir", Text, Always),
    // resources
    key("resources.watchdog_device", Text, Always),
    key("resources.watchdog_timeout", U32, Always),
    key("resources.system.memory_used.max", Text, Always),
    key("resources.system.memory_used.poll_period", U64, Always),
    key("resources.system.memory_used.recovery", Text, Always),
    key("resources.system.load_15min.max", Text, Always),
    key("resources.system.load_15min.poll_period", U64, Always),
    key("resources.system.load_15min.recovery", Text, Always),
    // pload: read from the map as numbers, stored from the file as texts
    key("pload.count", Text, Nowhere),
    key("pload.size", Text, Nowhere),
    key("pload.start", Text, Always),
    // nozzle
    key("nozzle.name", Text, Knet),
    key("nozzle.ipaddr", Text, Knet),
    key("nozzle.ipprefix", Text, Knet),
    key("nozzle.macaddr", Text, Knet),
    // uidgid
    key("uidgid.uid", Text, Always),
    key("uidgid.gid", Text, Always),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_stands_once() {
        for (index, spec) in KEYS.iter().enumerate() {
            let again = KEYS[index + 1..]
                .iter()
                .any(|other| other.path == spec.path);
            assert!(!again, "{} stands twice", spec.path);
        }
    }

    #[test]
    fn every_key_has_its_line_in_the_manual() {
        let manual = include_str!("../../../../docs/config.md");
        for spec in KEYS {
            let cell = format!("| `{}` |", spec.path);
            assert!(manual.contains(&cell), "docs/config.md lacks {cell}");
        }
        for line in manual.lines() {
            if let Some(rest) = line.strip_prefix("| `") {
                let path = rest.split('`').next().unwrap();
                assert!(find(path).is_some(), "docs/config.md invents {path}");
            }
        }
    }

    #[test]
    fn misspelled_names_get_a_suggestion() {
        assert_eq!(
            suggest("totem", "token_retransmitt"),
            Some("token_retransmit")
        );
        assert_eq!(suggest("totem", "tokn"), Some("token"));
        assert_eq!(suggest("totem", "Token"), Some("token"));
        assert_eq!(suggest("", "totme"), Some("totem"));
        assert_eq!(suggest("totem", "vsftype"), None);
        assert_eq!(suggest("nodelist.node", "ring0_adr"), Some("ringX_addr"));
    }

    #[test]
    fn address_keys_name_their_link() {
        assert_eq!(link_of_address_key("ring0_addr"), Some(0));
        assert_eq!(link_of_address_key("ring12_addr"), Some(12));
        assert_eq!(link_of_address_key("ring_addr"), None);
        assert_eq!(link_of_address_key("ring+1_addr"), None);
        assert_eq!(link_of_address_key("ring0_address"), None);
    }
}

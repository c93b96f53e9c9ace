use std::collections::BTreeMap;
use std::net::IpAddr;

use proptest::prelude::*;

use super::*;

/// A machine of four addresses and a small name service.
#[derive(Clone)]
struct Machine {
    name: String,
    addresses: Vec<IpAddr>,
    hosts: BTreeMap<&'static str, Vec<IpAddr>>,
    reverse: BTreeMap<IpAddr, &'static str>,
}

impl Default for Machine {
    fn default() -> Self {
        Self {
            name: "one.example.org".to_owned(),
            addresses: ips(&["127.0.0.1", "10.9.9.1", "10.8.8.1", "fd09::1"]),
            hosts: BTreeMap::from([
                ("alias", ips(&["10.9.9.1"])),
                ("both", ips(&["10.9.9.1", "fd09::1"])),
                ("other", ips(&["10.9.9.2"])),
            ]),
            reverse: BTreeMap::new(),
        }
    }
}

impl Environment for Machine {
    fn node_name(&self) -> &str {
        &self.name
    }
    fn local_addresses(&self) -> &[IpAddr] {
        &self.addresses
    }
    fn resolve(&mut self, name: &str, family: Family) -> Vec<IpAddr> {
        let mut found = self.hosts.get(name).cloned().unwrap_or_default();
        found.retain(|ip| match family {
            Family::V4 => ip.is_ipv4(),
            Family::V6 => ip.is_ipv6(),
            Family::Any => true,
        });
        found
    }
    fn reverse(&mut self, address: IpAddr) -> Option<String> {
        self.reverse.get(&address).map(|name| (*name).to_owned())
    }
    fn user_id(&mut self, name: &str) -> Option<u32> {
        (name == "hacluster").then_some(189)
    }
    fn group_id(&mut self, name: &str) -> Option<u32> {
        (name == "haclient").then_some(188)
    }
}

fn ips(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn source(text: &str) -> SourceFile<'_> {
    SourceFile {
        name: "corosync.conf",
        bytes: text.as_bytes(),
    }
}

fn load_on(machine: &Machine, text: &str) -> Result<Config, ConfigErrors> {
    load(source(text), &[], &mut machine.clone())
}

#[track_caller]
fn good(text: &str) -> Config {
    match load_on(&Machine::default(), text) {
        Ok(config) => config,
        Err(errors) => panic!("refused:\n{errors}"),
    }
}

/// The report of a file that is refused.
#[track_caller]
fn bad(text: &str) -> String {
    match load_on(&Machine::default(), text) {
        Ok(_) => panic!("accepted:\n{text}"),
        Err(errors) => errors.to_string(),
    }
}

/// A nodelist of `name addr addr...` per line; ids count from 1.
fn nodelist(lines: &str) -> String {
    let mut text = String::from("nodelist {\n");
    for (index, line) in lines.lines().enumerate() {
        let mut words = line.split_whitespace();
        let name = words.next().unwrap();
        text.push_str(&format!(" node {{\n  nodeid: {}\n", index + 1));
        if name != "-" {
            text.push_str(&format!("  name: {name}\n"));
        }
        for (link, address) in words.enumerate() {
            text.push_str(&format!("  ring{link}_addr: {address}\n"));
        }
        text.push_str(" }\n");
    }
    text + "}\n"
}

fn totem(keys: &str) -> String {
    format!("totem {{\nversion: 2\ncluster_name: t\n{keys}\n}}\n")
}

const TWO: &str = "one 10.9.9.1\ntwo 10.9.9.2";

fn published(config: &Config, prefix: &str) -> Vec<String> {
    config
        .keys
        .iter()
        .filter(|(key, _)| key.as_str().starts_with(prefix))
        .map(|(key, value)| format!("{key} {value:?}"))
        .collect()
}

fn knet(config: &Config) -> &KnetConfig {
    let TransportConfig::Knet(knet) = &config.transport else {
        panic!("{:?}", config.transport)
    };
    knet
}

#[test]
fn a_single_node_publishes_what_corosync_publishes() {
    // The key dump of Debian's corosync with one knet node, as far as the file is concerned.
    let text = "totem {\n version: 2\n cluster_name: t\n transport: knet\n interface {\n  linknumber: 0\n  mcastport: 5999\n }\n}
nodelist {\n node {\n  nodeid: 7\n  name: n7\n  ring0_addr: 127.0.0.1\n }\n}
quorum {\n provider: corosync_votequorum\n}
system {\n sched_rr: no\n move_to_root_cgroup: no\n state_dir: /var/lib/corosync\n}
logging {\n to_syslog: no\n to_stderr: yes\n}\n";
    let config = good(text);
    let keys: Vec<String> = published(&config, "");
    let expected = r#"logging.to_stderr Str("yes")
logging.to_syslog Str("no")
nodelist.local_node_pos U32(0)
nodelist.node.0.name Str("n7")
nodelist.node.0.nodeid U32(7)
nodelist.node.0.ring0_addr Str("127.0.0.1")
quorum.provider Str("corosync_votequorum")
runtime.config.totem.block_unlisted_ips U32(1)
runtime.config.totem.cancel_token_hold_on_retransmit U32(0)
runtime.config.totem.consensus U32(3600)
runtime.config.totem.downcheck U32(1000)
runtime.config.totem.fail_recv_const U32(2500)
runtime.config.totem.heartbeat_failures_allowed U32(0)
runtime.config.totem.hold U32(561)
runtime.config.totem.interface.0.knet_ping_interval U32(750)
runtime.config.totem.interface.0.knet_ping_timeout U32(1500)
runtime.config.totem.join U32(50)
runtime.config.totem.knet_compression_level I32(0)
runtime.config.totem.knet_compression_model Str("none")
runtime.config.totem.knet_compression_threshold U32(0)
runtime.config.totem.knet_mtu U32(0)
runtime.config.totem.knet_pmtud_interval U32(30)
runtime.config.totem.max_messages U32(17)
runtime.config.totem.max_network_delay U32(50)
runtime.config.totem.merge U32(200)
runtime.config.totem.miss_count_const U32(5)
runtime.config.totem.send_join U32(0)
runtime.config.totem.seqno_unchanged_const U32(30)
runtime.config.totem.token U32(3000)
runtime.config.totem.token_retransmit U32(714)
runtime.config.totem.token_retransmits_before_loss_const U32(4)
runtime.config.totem.token_warning U32(75)
runtime.config.totem.window_size U32(50)
system.move_to_root_cgroup Str("no")
system.sched_rr Str("no")
system.state_dir Str("/var/lib/corosync")
totem.cluster_name Str("t")
totem.interface.0.bindnetaddr Str("127.0.0.1")
totem.interface.0.mcastport U16(5999)
totem.transport Str("knet")
totem.version U32(2)"#;
    assert_eq!(keys.join("\n"), expected);
    assert_eq!(config.me, NodeId(7));
    assert_eq!(config.warnings, vec![]);
}

#[test]
fn three_nodes_scale_the_timers() {
    let config = good(&(totem("") + &nodelist("one 10.9.9.1\ntwo 10.9.9.2\nthree 10.9.9.3")));
    let link = &knet(&config).links[0];
    assert_eq!(link.ping_timeout.as_millis(), 1_825);
    assert_eq!(link.ping_interval.as_millis(), 912);
    assert_eq!(config.srp, {
        let mut srp = SrpConfig::for_nodes(3);
        srp.payload_mtu = PayloadMtu::from_netmtu(65_536).unwrap();
        srp
    });
}

#[test]
fn knet_links_have_their_own_ports_and_parameters() {
    let interface = "interface {\nlinknumber: 1\nmcastport: 6000\nknet_link_priority: 9\nknet_transport: udp\nknet_pong_count: 5\n}";
    let config = good(
        &(totem(&format!("link_mode: rr\n{interface}"))
            + &nodelist("one 10.9.9.1 10.8.8.1\ntwo 10.9.9.2 10.8.8.2")),
    );
    let links = &knet(&config).links;
    assert_eq!(knet(&config).link_mode, LinkMode::RoundRobin);
    let facts: Vec<_> = links
        .iter()
        .map(|link| (link.id.0, link.port, link.priority))
        .collect();
    assert_eq!(facts, [(0, 5_405, 1), (1, 6_000, 9)]);
    assert_eq!(links[1].ping_timeout.as_millis(), 600);
    assert_eq!(links[1].ping_interval.as_millis(), 300);
}

#[test]
fn what_knet_cannot_do_here_is_refused() {
    let nodes = nodelist("one 10.9.9.1\ntwo 10.9.9.2");
    let cases = [
        (
            "interface {\nknet_transport: sctp\n}",
            "SCTP links are not supported",
        ),
        (
            "knet_compression_model: zlib\nknet_compression_level: 99",
            "level",
        ),
    ];
    for (section, expected) in cases {
        let errors = bad(&(totem(section) + &nodes));
        assert!(errors.contains(expected), "{section}: {errors}");
    }
}

#[test]
fn the_local_node_is_found_in_corosyncs_order() {
    let find = |machine: &Machine, nodes: &str| {
        load_on(machine, &(totem("") + &nodelist(nodes))).map(|config| config.local_pos)
    };
    let machine = Machine::default();
    assert_eq!(
        find(&machine, "x 10.9.9.2\none.example.org 10.9.9.3"),
        Ok(1)
    );
    // Cut off part by part: the longer name is tried first.
    assert_eq!(find(&machine, "one 10.9.9.2\none.example 10.9.9.3"), Ok(1));
    assert_eq!(find(&machine, "x 10.9.9.2\none.elsewhere 10.9.9.3"), Ok(1));
    assert_eq!(find(&machine, "x 10.9.9.2\ny 10.9.9.1"), Ok(1));
    assert_eq!(find(&machine, "x fd09::2\ny fd09::1"), Ok(1));
    // A name beats an address.
    assert_eq!(find(&machine, "x 10.9.9.1\none 10.9.9.2"), Ok(1));
    assert_eq!(find(&machine, "other 10.9.9.2\nalias 10.9.9.9"), Ok(1));
    let mut named = machine.clone();
    named
        .reverse
        .insert("10.8.8.1".parse().unwrap(), "eth1.one.net");
    assert_eq!(find(&named, "x 10.9.9.2\neth1 10.9.9.9"), Ok(1));
    let errors = find(&machine, "x 10.9.9.2\ny 10.9.9.9")
        .unwrap_err()
        .to_string();
    assert_eq!(
        errors,
        "corosync.conf:6:1: No valid name found for local host; name this node (one.example.org) or one of its addresses in the nodelist"
    );
}

#[test]
fn ip_version_chooses_among_a_names_addresses() {
    let address = |keys: &str| {
        let config = good(&(totem(keys) + &nodelist("one both")));
        config.nodes[0].addresses[&LinkId(0)].to_string()
    };
    assert_eq!(address(""), "fd09::1");
    assert_eq!(address("ip_version: ipv4"), "10.9.9.1");
    assert_eq!(address("ip_version: ipv6"), "fd09::1");
    assert_eq!(address("ip_version: ipv4-6"), "10.9.9.1");
    assert_eq!(address("transport: udpu"), "fd09::1");
    assert_eq!(address("transport: udp"), "10.9.9.1");
}

#[test]
fn udp_derives_group_and_port() {
    let config = good(&(totem("transport: udp\ncluster_name: ab") + &nodelist(TWO)));
    assert_eq!(
        published(&config, "totem.interface."),
        [
            "totem.interface.0.bindnetaddr Str(\"10.9.9.1\")",
            "totem.interface.0.mcastaddr Str(\"239.192.1.37\")",
            "totem.interface.0.mcastport U16(5405)",
        ]
    );
    let TransportConfig::Udp(udp) = config.transport else {
        panic!("udp")
    };
    assert_eq!(udp.group, McastGroup::Multicast(ips(&["239.192.1.37"])[0]));
    assert_eq!((udp.port, udp.ttl), (5_405, 1));
    assert_eq!(config.srp.payload_mtu.get(), 1_410);
    let broadcast = good(
        &(totem("transport: udp\ninterface {\nbroadcast: yes\nbindnetaddr: 10.9.9.0\n}")
            + &nodelist(TWO)),
    );
    let TransportConfig::Udp(udp) = broadcast.transport else {
        panic!("udp")
    };
    assert_eq!(
        (udp.group, udp.bind),
        (McastGroup::Broadcast, ips(&["10.9.9.1"])[0])
    );
}

#[test]
fn udpu_makes_node_ids_of_addresses() {
    let nodes =
        "nodelist {\nnode {\nring0_addr: 10.9.9.1\n}\nnode {\nring0_addr: 200.9.9.2\n}\n}\n";
    let config = good(&(totem("transport: udpu") + nodes));
    assert_eq!(config.me, NodeId(0x0A09_0901));
    assert_eq!(config.nodes[1].id, NodeId(0xC809_0902));
    assert_eq!(
        published(&config, "nodelist.node.0."),
        [
            "nodelist.node.0.nodeid U32(168364289)",
            "nodelist.node.0.ring0_addr Str(\"10.9.9.1\")",
        ]
    );
    let cleared = good(&(totem("transport: udpu\nclear_node_high_bit: yes") + nodes));
    assert_eq!(cleared.nodes[1].id, NodeId(0x4809_0902));
}

#[test]
fn cryptography_is_typed_and_keys_stay_out_of_debug_output() {
    let key = "k".repeat(127);
    let config =
        good(&(totem(&format!("secauth: on\ncrypto_hash: sha512\nkey: {key}")) + &nodelist(TWO)));
    let crypto = knet(&config).crypto.as_ref().unwrap();
    assert_eq!(
        (crypto.cipher, crypto.hash),
        (Some(Cipher::Aes256), Hash::Sha512)
    );
    let mut bytes = key.clone().into_bytes();
    bytes.push(0);
    assert_eq!(crypto.key, KeySource::Inline(bytes));
    assert!(!format!("{crypto:?}").contains("kkk"));
    let config = good(&(totem("crypto_hash: md5") + &nodelist(TWO)));
    let crypto = knet(&config).crypto.as_ref().unwrap();
    assert_eq!((crypto.cipher, crypto.hash), (None, Hash::Md5));
    assert_eq!(
        crypto.key,
        KeySource::File("/etc/corosync/authkey".to_owned())
    );
    assert_eq!(knet(&good(&(totem("") + &nodelist(TWO)))).crypto, None);
}

#[test]
fn what_lets_two_parts_be_quorate_is_warned_of() {
    let warned = |nodes: &str, keys: &str| {
        let quorum = format!("quorum {{\nprovider: corosync_votequorum\n{keys}\n}}\n");
        let config = good(&(totem("") + &nodelist(nodes) + &quorum));
        let keys: Vec<String> = config.warnings.iter().map(ToString::to_string).collect();
        keys.join("\n")
    };
    let three = "one 10.9.9.1\ntwo 10.9.9.2\nthree 10.9.9.3";
    assert!(warned(three, "two_node: 1").contains("exactly two nodes"));
    assert_eq!(warned(TWO, "two_node: 1"), "");
    let list = "auto_tie_breaker: 1\nauto_tie_breaker_node: 2 1";
    assert!(warned(TWO, list).contains("wait_for_all"));
    assert_eq!(warned(TWO, &format!("{list}\nwait_for_all: 1")), "");
    assert_eq!(warned(TWO, "auto_tie_breaker: 1"), "");
}

#[test]
fn a_device_that_nobody_makes_is_warned_of() {
    let nozzle = "nozzle {\nname: noz0\nipaddr: 10.1.1.0\nipprefix: 24\n}\n";
    let config = good(&(totem("") + &nodelist(TWO) + nozzle));
    let warnings: Vec<String> = config.warnings.iter().map(ToString::to_string).collect();
    assert!(
        warnings.len() == 1 && warnings[0].contains("D-104"),
        "{warnings:?}"
    );
}

#[test]
fn quorum_settles_contradictions_as_corosync_does() {
    let read = |nodes: &str, keys: &str| {
        let quorum = format!("quorum {{\nprovider: corosync_votequorum\n{keys}\n}}\n");
        let config = good(&(totem("") + &nodelist(nodes) + &quorum));
        let warned = !config.warnings.is_empty();
        (config.quorum.votequorum.unwrap(), warned)
    };
    let three = "one 10.9.9.1\ntwo 10.9.9.2\nthree 10.9.9.3";
    let (plain, warned) = read(three, "");
    assert_eq!((plain.votes, plain.expected_votes, warned), (1, 3, false));
    assert_eq!(plain.wait_for_all, WaitForAll::FollowsTwoNode { on: false });
    let (two, _) = read(TWO, "two_node: 1");
    assert!(two.two_node && two.wait_for_all.is_on());
    let (two, _) = read(TWO, "two_node: 1\nwait_for_all: 0");
    assert_eq!(two.wait_for_all, WaitForAll::Set { on: false });
    let (both, warned) = read(TWO, "two_node: 1\nauto_tie_breaker: 1");
    assert_eq!(
        (both.two_node, both.tie_breaker, warned),
        (false, Some(TieBreaker::Lowest), true)
    );
    let (odd, warned) = read(three, "auto_tie_breaker: 1");
    assert_eq!((odd.tie_breaker, warned), (None, true));
    let (list, _) = read(TWO, "auto_tie_breaker: 1\nauto_tie_breaker_node: 2 1");
    assert_eq!(
        list.tie_breaker,
        Some(TieBreaker::Nodes(vec![NodeId(2), NodeId(1)]))
    );
    let (device, _) = read(three, "device {\nmodel: net\n}");
    assert_eq!(
        (device.expected_votes, device.device.unwrap().votes),
        (5, 2)
    );
    let (device, _) = read(
        three,
        "expected_votes: 7\ndevice {\nmodel: net\nvotes: 1\n}",
    );
    assert_eq!(
        (device.expected_votes, device.device.unwrap().votes),
        (7, 1)
    );
    let (written, _) = read(three, "expected_votes: 5\nallow_downscale: 1");
    assert_eq!(
        (written.expected_votes, written.expected_votes_tracking),
        (5, true)
    );
}

#[test]
fn loggers_inherit_all_but_debug() {
    let logging = "logging {\ndebug: on\nto_logfile: yes\nlogfile: /var/log/c.log\nlogfile_priority: WARNING\ntimestamp: on
logger_subsys {\nsubsys: QUORUM\nto_stderr: no\nto_stderr: yes\n}
logging_daemon {\nname: corosync\nsubsys: TOTEM\ndebug: trace\n}
logging_daemon {\nname: qdevice\ndebug: whatever\n}\n}\n";
    let config = good(&(totem("") + &nodelist(TWO) + logging));
    let logging = &config.logging;
    assert_eq!(
        (logging.default.debug, logging.timestamp),
        (Debug::On, Timestamp::Seconds)
    );
    let quorum = &logging.subsystems["QUORUM"];
    assert_eq!(
        (quorum.debug, quorum.to_stderr, quorum.logfile_priority),
        (Debug::Off, false, 4)
    );
    assert_eq!(quorum.logfile.as_deref(), Some("/var/log/c.log"));
    assert_eq!(logging.subsystems["TOTEM"].debug, Debug::Trace);
    assert_eq!(
        published(&config, "logging.logg"),
        [
            "logging.logger_subsys.QUORUM.subsys Str(\"QUORUM\")",
            "logging.logger_subsys.QUORUM.to_stderr Str(\"no\")",
            "logging.logger_subsys.TOTEM.debug Str(\"trace\")",
            "logging.logger_subsys.TOTEM.subsys Str(\"TOTEM\")",
            "logging.logging_daemon.qdevice.debug Str(\"whatever\")",
            "logging.logging_daemon.qdevice.name Str(\"qdevice\")",
        ]
    );
}

#[test]
fn users_come_from_both_places() {
    let main = totem("") + &nodelist(TWO) + "uidgid {\nuid: hacluster\ngid: 5\n}\n";
    let extra = SourceFile {
        name: "uidgid.d/pcmk",
        bytes: b"uidgid {\n gid: haclient\n}\n",
    };
    let config = load(source(&main), &[extra], &mut Machine::default()).unwrap();
    assert_eq!(config.uidgid.uids, [189].into());
    assert_eq!(config.uidgid.gids, [5, 188].into());
    assert_eq!(
        published(&config, "uidgid."),
        [
            "uidgid.config.gid.188 U8(1)",
            "uidgid.config.gid.5 U8(1)",
            "uidgid.config.uid.189 U8(1)",
        ]
    );
    let wrong = SourceFile {
        name: "uidgid.d/x",
        bytes: b"totem {\n}\nuidgid {\nuid: nobody-here\n}\n",
    };
    let errors = load(source(&main), &[wrong], &mut Machine::default()).unwrap_err();
    assert_eq!(errors.0.len(), 2);
    assert_eq!(errors.0[1].at.to_string(), "uidgid.d/x:4:6");
}

#[test]
fn all_errors_are_reported_first_line_first() {
    let text = "totem {\n version: two\n tokn: 1\n token: 5 {\n}\n}\nlogging {\n debug: yes\n}\n";
    let report = bad(text);
    let lines: Vec<&str> = report.lines().collect();
    assert_eq!(lines.len(), 3, "{report}");
    assert!(lines[0].starts_with("corosync.conf:2:11: Value of key \"totem.version\""));
    assert!(
        lines[1].starts_with("corosync.conf:4:2: Name \"token: 5\""),
        "{report}"
    );
    assert!(
        lines[2]
            .starts_with("corosync.conf:8:9: Value \"yes\" is not valid for key \"logging.debug\"")
    );
}

#[test]
fn unknown_keys_are_kept_and_a_better_name_is_suggested() {
    let config = good(&(totem("token_retransmitt: 500\nfoo {\nbar: 1\n}") + &nodelist(TWO)));
    assert_eq!(
        published(&config, "totem.token_"),
        ["totem.token_retransmitt Str(\"500\")"]
    );
    let warnings: Vec<String> = config.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "corosync.conf:4:1: unknown key totem.token_retransmitt; did you mean token_retransmit?",
            "corosync.conf:5:1: unknown section totem.foo",
        ]
    );
}

#[test]
fn repeated_and_useless_keys_are_warned_about() {
    let config = good(
        &(totem("token: 1000\ntoken: 2000\nthreads: 4\ninterface {\nmcastaddr: 239.1.1.1\n}")
            + &nodelist(TWO)),
    );
    assert_eq!(config.volatile.token, 2_000);
    let report: Vec<String> = config.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        report,
        [
            "corosync.conf:5:8: totem.token replaces the value given at corosync.conf:4:8; remove one of them",
            "corosync.conf:8:12: totem.interface.0.mcastaddr has no effect with transport knet",
            "corosync.conf:6:10: totem.threads is deprecated and ignored",
        ]
    );
}

#[test]
fn a_bad_token_is_reported_once() {
    let report = bad(&(totem("token: 10") + &nodelist(TWO)));
    assert_eq!(
        report,
        "corosync.conf:4:8: The token timeout parameter (10 ms) may not be less than (30 ms).; write at least 30"
    );
}

/// What a node that runs with `before` makes of `after`: keys that it keeps, and its configuration.
#[track_caller]
fn read_again(before: &str, after: &str) -> (Vec<String>, Config) {
    let running = good(before).fixed;
    let config = reload(source(after), &[], &mut Machine::default(), &running);
    let config = config.expect("a good configuration");
    let kept = config.kept.iter().map(ToString::to_string).collect();
    assert_eq!(config.fixed, running, "links and transport are the same");
    (kept, config)
}

#[test]
fn a_running_node_keeps_what_it_cannot_change() {
    let file = |keys: &str| totem(keys) + &nodelist(TWO);
    let port = "interface {\nlinknumber: 0\nmcastport: 5555\n}";
    let rows = [
        ("", "", ""),
        ("", "token: 5000", ""),
        ("transport: udpu", "transport: udp", "totem.transport"),
        ("transport: udpu", "", "totem.transport"),
        ("", "netmtu: 1400", "totem.netmtu"),
        ("netmtu: 1400", "", "totem.netmtu"),
        ("netmtu: 1400", "netmtu: 1400", ""),
        ("", "crypto_hash: sha1", ""),
        ("", "link_mode: rr", "totem.link_mode"),
        (port, "", "totem.interface.0.mcastport"),
        ("", port, "totem.interface.0.mcastport"),
    ];
    for (before, after, expected) in rows {
        let (kept, config) = read_again(&file(before), &file(after));
        assert_eq!(kept.join(" "), expected, "{before:?} to {after:?}");
        let fresh = good(&file(if expected.is_empty() { after } else { before }));
        assert_eq!(config.transport, fresh.transport, "{before:?} to {after:?}");
        assert_eq!(config.srp, fresh.srp, "{before:?} to {after:?}");
    }
}

#[test]
fn a_link_that_is_new_has_the_port_of_the_file() {
    let running = good(&(totem("") + &nodelist(TWO))).fixed;
    let port = "interface {\nlinknumber: 1\nmcastport: 5555\n}";
    let text = totem(port) + &nodelist("one 10.9.9.1 10.8.8.1\ntwo 10.9.9.2 10.8.8.2");
    let config = reload(source(&text), &[], &mut Machine::default(), &running).unwrap();
    assert_eq!(config.kept, []);
    assert_eq!(knet(&config).links[1].port, 5555);
    // And gone again, with its section.
    let text = totem("") + &nodelist(TWO);
    let config = reload(source(&text), &[], &mut Machine::default(), &config.fixed).unwrap();
    assert_eq!(config.kept, []);
    assert_eq!(knet(&config).links.len(), 1);
}

proptest! {
    #[test]
    fn any_values_of_known_keys_give_a_configuration_or_errors(
        lines in proptest::collection::vec((0..keys::KEYS.len(), "[a-z0-9.:\\- ]{0,9}"), 0..40)
    ) {
        let mut text = totem("") + &nodelist(TWO);
        for (index, value) in lines {
            let path: Vec<&str> = keys::KEYS[index].path.split('.').collect();
            let (key, sections) = path.split_last().unwrap();
            for section in sections {
                text.push_str(&format!("{section} {{\n"));
            }
            text.push_str(&format!("{key}: {value}\n"));
            text.push_str(&"}\n".repeat(sections.len()));
        }
        let _verdict = load_on(&Machine::default(), &text);
    }

    #[test]
    fn any_bytes_give_a_configuration_or_errors(bytes in proptest::collection::vec(any::<u8>(), 0..500)) {
        let mut text = (totem("") + &nodelist(TWO)).into_bytes();
        text.extend(bytes);
        let file = SourceFile { name: "corosync.conf", bytes: &text };
        let _verdict = load(file, &[], &mut Machine::default());
    }
}

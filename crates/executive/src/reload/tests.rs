//! Reloads of whole nodes.

use std::time::Duration;

use ferrosync_wire::exec::cfg::Message;
use ferrosync_wire::ipc::Answer;
use ferrosync_wire::ipc::cfg::{ConfigReloaded, Request};
use ferrosync_wire::ipc::cmap::{
    Notify, Request as CmapRequest, TRACK_ADD, TRACK_DELETE, TRACK_MODIFY, TRACK_PREFIX,
};
use ferrosync_wire::{Decode, Name, NodeId, Reader, ServiceId};

use super::*;
use crate::config::Debug;
use crate::icmap::TrackFlags;
use crate::output::HostAnswer;
use crate::testing::{Client, Cluster, config_of, config_text, read_config};
use crate::transport::Transport;

const VOTES: &str = "quorum {\n provider: corosync_votequorum\n}\n";

/// A client wants all nodes to reload; every host finds the file `text`.
fn reload(cluster: &mut Cluster, client: Client, nodes: &[u32], text: &str) -> Result<(), CsError> {
    cluster.send(client, &Request::ReloadConfig);
    for id in nodes {
        read_when_asked(cluster, *id, text);
    }
    cluster.run_for(Duration::from_millis(20));
    status(&cluster.answer(client).expect("the reload is over"))
}

/// The host of a node does what it is asked for.
fn read_when_asked(cluster: &mut Cluster, id: u32, text: &str) {
    cluster.run_until("the host is asked", |c| c.is_asking(id));
    let Some(HostRequest::ReadConfig { fixed }) = cluster.asked(id) else {
        panic!("node {id} asks for something else");
    };
    let result = read_config(id, text, &fixed).map(reread);
    cluster.answer_host(id, HostAnswer::ConfigRead { result });
}

fn reread(config: Config) -> Box<Reread> {
    Box::new(Reread { config, key: None })
}

fn status(bytes: &[u8]) -> Result<(), CsError> {
    let answer = Answer::<ConfigReloaded>::decode(&mut Reader::new(bytes));
    answer.expect("a well-formed answer").0.map(|_| ())
}

/// All keys and values, but those that tell how the reload went and count messages.
fn dump(cluster: &Cluster, id: u32) -> Vec<String> {
    let icmap = &cluster.node(id).core().icmap;
    icmap
        .iter("")
        .filter(|(key, _)| {
            let key = key.as_str();
            // votequorum shows the last one when it has read its keys again, changed or not.
            let tells = [
                "config.",
                "runtime.services.",
                "runtime.votequorum.atb_type",
            ];
            !tells.iter().any(|prefix| key.starts_with(prefix))
        })
        .map(|(key, value)| format!("{key} {value:?}"))
        .collect()
}

fn value(cluster: &Cluster, id: u32, key: &str) -> Option<Value> {
    cluster.node(id).core().icmap.get(key)
}

fn expected_votes(cluster: &Cluster, id: u32) -> Option<Value> {
    value(cluster, id, "runtime.votequorum.ev_barrier")
}

#[test]
fn all_nodes_take_over_their_files() {
    let all = [1, 2, 3];
    let mut cluster = Cluster::start_with(&all, VOTES);
    let client = cluster.connect(2, ServiceId::CFG);
    let text = config_text(&all, "token: 5000\nconfig_version: 7", VOTES);
    assert_eq!(reload(&mut cluster, client, &all, &text), Ok(()));
    for id in all {
        let core = cluster.node(id).core();
        // 650 ms for the third node.
        assert_eq!(core.pg().srp().config().token, Duration::from_millis(5650));
        assert_eq!(value(&cluster, id, "totem.token"), Some(Value::U32(5000)));
        let runtime = value(&cluster, id, "runtime.config.totem.token");
        assert_eq!(runtime, Some(Value::U32(5650)));
        let others = value(&cluster, id, "runtime.members.2.config_version");
        assert_eq!(others, Some(Value::U64(7)));
        assert_eq!(value(&cluster, id, STATUS), Some(Value::I32(1)));
        assert_eq!(value(&cluster, id, RELOADING), Some(Value::U8(0)));
        assert_eq!(value(&cluster, id, RELOADING_TOTEM), Some(Value::U8(0)));
        let log = cluster.log(id, Priority::Notice);
        assert!(
            log.contains(&"Config reload requested by node 2"),
            "{log:?}"
        );
    }
    // Back to the default, key and all.
    let text = config_text(&all, "", VOTES);
    assert_eq!(reload(&mut cluster, client, &all, &text), Ok(()));
    for id in all {
        let core = cluster.node(id).core();
        assert_eq!(core.pg().srp().config().token, Duration::from_millis(3650));
        assert_eq!(value(&cluster, id, "totem.token"), None);
    }
}

#[test]
fn the_map_after_a_reload_is_that_of_a_start() {
    let all = [1, 2];
    let mut cluster = Cluster::start_with(&all, VOTES);
    let client = cluster.connect(1, ServiceId::CFG);
    let text = config_text(&all, "token: 5000", "quorum {\n two_node: 1\n}\n");
    let text = text + VOTES + "uidgid {\n uid: 77\n}\nresources {\n}\n";
    assert_eq!(reload(&mut cluster, client, &all, &text), Ok(()));
    let fresh = read_config(1, &text, &crate::config::Fixed::NONE).expect("a good file");
    for (key, expected) in &fresh.keys {
        assert_eq!(
            value(&cluster, 1, key.as_str()).as_ref(),
            Some(expected),
            "{key}"
        );
    }
    let stale = cluster.node(1).core().icmap.iter("totem.");
    let stale = stale.filter(|(key, _)| !fresh.keys.iter().any(|(k, _)| k == *key));
    assert_eq!(stale.count(), 0);
}

#[test]
fn trackers_hear_only_of_what_differs() {
    let all = [1, 2];
    let mut cluster = Cluster::start_with(&all, "logging {\n debug: on\n}\n");
    let tracking = cluster.connect(1, ServiceId::CMAP);
    for prefix in ["config.", "logging.", "nodelist.", "totem."] {
        let flags = TRACK_ADD | TRACK_MODIFY | TRACK_DELETE | TRACK_PREFIX;
        let key = Name::new(prefix.as_bytes());
        let instance = 1;
        let request = CmapRequest::TrackAdd {
            key,
            flags,
            instance,
        };
        cluster.call(tracking, &request);
    }
    let client = cluster.connect(1, ServiceId::CFG);
    let text = config_text(&all, "join: 60", "");
    assert_eq!(reload(&mut cluster, client, &all, &text), Ok(()));
    let events = cluster.events(tracking);
    let heard: Vec<String> = events
        .iter()
        .map(|bytes| {
            let n = Notify::decode(&mut Reader::new(bytes)).expect("a notification");
            let key = n.key.to_str().expect("a name").to_owned();
            let sign = [(TRACK_ADD, '+'), (TRACK_MODIFY, '~'), (TRACK_DELETE, '-')];
            let (_, sign) = sign
                .into_iter()
                .find(|(e, _)| *e == n.event)
                .expect("an event");
            format!("{sign}{key}={}", n.new.value.first().unwrap_or(&b'-'))
        })
        .collect();
    assert_eq!(
        heard,
        [
            "+config.totemconfig_reload_in_progress=1",
            "+config.reload_in_progress=1",
            "-logging.debug=45",
            "+totem.join=60",
            "+config.reload_status=1",
            "~config.totemconfig_reload_in_progress=0",
            "~config.reload_in_progress=0",
        ]
    );
    let logging = cluster.asked(1);
    let Some(HostRequest::SetLogging(logging)) = logging else {
        panic!("the log is to change: {logging:?}");
    };
    assert_eq!(logging.default.debug, Debug::Off);
    assert_eq!(cluster.asked(1), None);
}

#[test]
fn a_node_comes_and_goes() {
    let (three, four) = ([1, 2, 3], [1, 2, 3, 4]);
    let mut cluster = Cluster::off(&four, VOTES);
    for id in three {
        cluster.configure(id, |config| *config = config_of(id, &three, VOTES));
        cluster.boot(id);
    }
    cluster.settle();
    assert_eq!(expected_votes(&cluster, 1), Some(Value::U32(3)));
    let client = cluster.connect(1, ServiceId::CFG);
    let text = config_text(&four, "", VOTES);
    assert_eq!(reload(&mut cluster, client, &three, &text), Ok(()));
    cluster.boot(4);
    cluster.settle();
    for id in four {
        assert_eq!(cluster.node(id).core().members.len(), 4);
        assert_eq!(expected_votes(&cluster, id), Some(Value::U32(4)));
        let token = cluster.node(id).core().pg().srp().config().token;
        assert_eq!(token, Duration::from_millis(4300));
    }
    let log = cluster.log(1, Priority::Notice);
    assert!(
        log.contains(&"adding new UDPU member {10.0.0.4}"),
        "{log:?}"
    );
    cluster.crash(4);
    cluster.settle();
    let text = config_text(&three, "", VOTES);
    assert_eq!(reload(&mut cluster, client, &three, &text), Ok(()));
    for id in three {
        assert_eq!(expected_votes(&cluster, id), Some(Value::U32(3)));
        assert_eq!(value(&cluster, id, "nodelist.node.3.nodeid"), None);
        let transport = cluster.node(id).transport();
        assert_eq!(transport.peers().addresses_of(NodeId(4)), []);
        let Transport::Udp(udp) = transport else {
            panic!("{transport:?}");
        };
        assert!(!udp.hears([10, 0, 0, 4].into()));
    }
    let log = cluster.log(1, Priority::Notice);
    assert!(log.contains(&"removing UDPU member {10.0.0.4}"), "{log:?}");
}

#[test]
fn a_file_that_is_refused_changes_nothing() {
    let all = [1, 2];
    let good = config_text(&all, "", VOTES);
    let rows = [
        // What no start would take.
        (
            good.replace("version: 2", "version: 2\ntoken: 5"),
            "Unable to reload config file: corosync.conf:3:8: The token timeout",
        ),
        (
            good.replace('}', ""),
            "Unable to reload config file: corosync.conf",
        ),
        // A start would, a node that runs does not.
        (
            good.replace("10.0.0.2", "10.0.0.9"),
            "new config has different address for link 0 (addr changed from 10.0.0.2 to 10.0.0.9).",
        ),
        (
            good.replace("nodeid: 1", "nodeid: 5"),
            "new config has different nodeid for this node (nodeid changed from 1 to 5).",
        ),
        (
            good.replace("10.0.0.1", "10.0.0.8"),
            ": No valid name found for local host",
        ),
    ];
    for (text, complaint) in rows {
        let mut cluster = Cluster::start_with(&all, VOTES);
        let before = dump(&cluster, 1);
        let client = cluster.connect(1, ServiceId::CFG);
        let text = text.replace("cluster_name: test", "cluster_name: test\nmerge: 300");
        // The other node is still reading when this one has answered.
        let result = reload(&mut cluster, client, &[1], &text);
        assert_eq!(result, Err(CsError::InvalidParam), "{complaint}");
        let log = cluster.log(1, Priority::Error);
        assert!(
            log.iter().any(|line| line.contains(complaint)),
            "{complaint}: {log:?}"
        );
        assert_eq!(dump(&cluster, 1), before, "{complaint}");
        assert_eq!(value(&cluster, 1, STATUS), Some(Value::I32(7)));
        assert_eq!(value(&cluster, 1, RELOADING_TOTEM), Some(Value::U8(0)));
        // The next one is not held up by it.
        read_when_asked(&mut cluster, 2, &good);
        assert_eq!(reload(&mut cluster, client, &all, &good), Ok(()));
    }
}

#[test]
fn what_cannot_change_stays_and_is_named() {
    let all = [1, 2];
    let rows = [
        (
            "cluster_name: test",
            "cluster_name: other",
            "totem.cluster_name",
        ),
        ("cluster_name: test", "", "totem.cluster_name"),
        ("transport: udpu", "transport: udp", "totem.transport"),
        ("transport: udpu", "", "totem.transport"),
        ("version: 2", "version: 3", "totem.version"),
        ("version: 2", "version: 2\nnetmtu: 1400", "totem.netmtu"),
        ("version: 2", "version: 2\nlink_mode: rr", "totem.link_mode"),
        ("provider: corosync_votequorum", "", "quorum.provider"),
        (
            "transport: udpu",
            "transport: udpu\ninterface {\nmcastport: 5555\n}",
            "totem.interface.0.mcastport",
        ),
        (
            "quorum {",
            "system {\nsched_rr: no\n}\nquorum {",
            "system.sched_rr",
        ),
    ];
    for (before, after, key) in rows {
        let mut cluster = Cluster::start_with(&all, VOTES);
        let client = cluster.connect(1, ServiceId::CFG);
        let unchanged = dump(&cluster, 1);
        let text = config_text(&all, "", VOTES).replace(before, after);
        assert_eq!(reload(&mut cluster, client, &all, &text), Ok(()), "{key}");
        assert_eq!(dump(&cluster, 1), unchanged, "{key}");
        let notice =
            format!("Modified entry '{key}' in corosync.conf cannot be changed at run-time");
        let log = cluster.log(1, Priority::Notice);
        let named = log.iter().filter(|line| line.starts_with("Modified entry"));
        assert_eq!(named.collect::<Vec<_>>(), [&notice.as_str()]);
        cluster.run_for(Duration::from_secs(5));
        cluster.settle();
    }
}

#[test]
fn reloads_that_meet_are_one() {
    let all = [1, 2];
    let mut cluster = Cluster::start(&all);
    let clients = [1, 1, 2].map(|id| cluster.connect(id, ServiceId::CFG));
    for client in clients {
        cluster.send(client, &Request::ReloadConfig);
    }
    // One does not wait for the end.
    cluster.close(clients[1]);
    cluster.run_for(Duration::from_millis(50));
    let text = config_text(&all, "join: 60", "");
    for id in all {
        read_when_asked(&mut cluster, id, &text);
        assert_eq!(cluster.asked(id), None);
    }
    for client in [clients[0], clients[2]] {
        assert_eq!(cluster.answer(client).map(|a| status(&a)), Some(Ok(())));
        assert_eq!(cluster.answer(client), None);
    }
}

#[test]
fn a_key_changes_in_steps_that_each_node_tells_itself() {
    let mut cluster = Cluster::start(&[1, 2]);
    let loaded = Ok(CryptoChange::Loaded);
    let node = cluster.node_mut(1);
    node.with_service(ServiceId::CFG, |s, cx| s.config_reloaded(cx, loaded));
    cluster.drain(1);
    // The other had nothing to change, and says nothing.
    cluster.run_for(Duration::from_secs(15));
    for (id, told, heard) in [(1, 2, 2), (2, 0, 2)] {
        let count = |way: &str| value(&cluster, id, &format!("runtime.services.cfg.4.{way}"));
        assert_eq!(count("tx"), Some(Value::U64(told)), "node {id}");
        assert_eq!(count("rx"), Some(Value::U64(heard)), "node {id}");
    }
    let steps = |id| -> Vec<String> {
        let log = cluster.log(id, Priority::Debug);
        let steps = log.into_iter().filter(|line| line.starts_with("Crypto"));
        steps.map(str::to_owned).collect()
    };
    let both = [Message::CRYPTO_ACTIVATE, Message::CRYPTO_CLEANUP];
    let both = both.map(|phase| format!("Crypto reconfiguration phase {phase}"));
    assert_eq!(steps(1), both);
    assert_eq!(steps(2), Vec::<String>::new());
}

#[test]
fn an_answer_that_nobody_waits_for_is_no_harm() {
    let mut cluster = Cluster::start(&[1]);
    let text = config_text(&[1], "join: 60", "");
    let fixed = cluster.node(1).core().running.config.fixed.clone();
    let result = read_config(1, &text, &fixed).map(reread);
    cluster.answer_host(1, HostAnswer::ConfigRead { result });
    assert_eq!(value(&cluster, 1, "totem.join"), Some(Value::U32(60)));
}

#[test]
fn the_log_follows_the_map() {
    let mut cluster = Cluster::start(&[1]);
    let set = |cluster: &mut Cluster, key: &str, word: &str| {
        let key = Key::new(key).expect("a name");
        let node = cluster.node_mut(1);
        node.core.icmap.set(key, Value::str(word)).expect("room");
        node.settle();
        cluster.drain(1);
        cluster.asked(1)
    };
    let asked = set(&mut cluster, "logging.debug", "on");
    let Some(HostRequest::SetLogging(logging)) = asked else {
        panic!("the log is to change: {asked:?}");
    };
    assert_eq!(logging.default.debug, Debug::On);
    // Nothing that the log knows.
    assert_eq!(set(&mut cluster, "logging.colour", "red"), None);
}

#[test]
fn a_reload_that_finds_no_room_changes_nothing() {
    let mut cluster = Cluster::start_with(&[1], "logging {\n debug: on\n}\n");
    let client = cluster.connect(1, ServiceId::CFG);
    let icmap = &mut cluster.node_mut(1).core.icmap;
    for len in [Value::MAX, 500] {
        for n in 0.. {
            let key = Key::new(&format!("own.{len}.{n}")).expect("a name");
            if icmap.set(key, Value::Bin(vec![0; len].into())).is_err() {
                break;
            }
        }
    }
    for n in 0..4 {
        icmap.delete(&format!("own.500.{n}")).expect("it is there");
    }
    let before = dump(&cluster, 1);
    let users = (1000..1100).map(|uid| format!("uidgid {{\n uid: {uid}\n}}\n"));
    let text = config_text(&[1], "token: 5000", &users.collect::<String>());
    let result = reload(&mut cluster, client, &[1], &text);
    assert_eq!(result, Err(CsError::NoMemory));
    assert_eq!(dump(&cluster, 1), before);
    let token = cluster.node(1).core().pg().srp().config().token;
    assert_ne!(token, Duration::from_millis(5000));
    assert_eq!(value(&cluster, 1, RELOADING), Some(Value::U8(0)));
    let log = cluster.log(1, Priority::Error);
    let line = format!("Unable to reload config file: {NO_ROOM}");
    assert!(log.contains(&line.as_str()), "{log:?}");
    let icmap = &mut cluster.node_mut(1).core.icmap;
    icmap.delete("own.16384.0").expect("it is there");
    icmap.delete("own.16384.1").expect("it is there");
    assert_eq!(reload(&mut cluster, client, &[1], &text), Ok(()));
    assert_eq!(value(&cluster, 1, "logging.debug"), None);
}

/// votequorum does not look while it believes that the map is between two configurations.
#[test]
fn the_end_of_a_reload_is_heard_whatever_clients_track() {
    let mut cluster = Cluster::start_with(&[1], VOTES);
    let client = cluster.connect(1, ServiceId::CFG);
    let icmap = &mut cluster.node_mut(1).core.icmap;
    while icmap.track_add_for_client(None, TrackFlags::ALL).is_ok() {}
    let text = config_text(&[1, 2], "token: 5000", VOTES);
    assert_eq!(reload(&mut cluster, client, &[1], &text), Ok(()));
    assert_eq!(expected_votes(&cluster, 1), Some(Value::U32(2)));
    cluster.run_for(Duration::from_secs(3));
    let log = cluster.log(1, Priority::Warning);
    let lost = log.iter().filter(|line| line.contains("were lost"));
    assert_eq!(lost.count(), 1, "{log:?}");
}

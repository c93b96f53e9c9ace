//! The map through a whole node, as clients see it.

use ferrosync_wire::Encode;
use ferrosync_wire::ipc::cmap::TRACK_PREFIX;

use super::*;
use crate::output::{HostAnswer, HostRequest, LibInput, NodeInput, NodeOutput, Pause};
use crate::testing::{Client, Cluster};
use ferrosync_totem::srp::MembStateKind;
use ferrosync_wire::ipc::cmap::{TRACK_ADD, TRACK_DELETE, TRACK_MODIFY};

fn one_node() -> (Cluster, Client) {
    let mut cluster = Cluster::start(&[1]);
    let client = cluster.connect(1, ServiceId::CMAP);
    (cluster, client)
}

fn name(key: &str) -> Name<'_> {
    Name::new(key.as_bytes())
}

fn status<T>(bytes: &[u8]) -> Result<(), CsError>
where
    for<'a> Answer<T>: Decode<'a>,
{
    let answer: Answer<T> = Answer::decode(&mut Reader::new(bytes)).unwrap();
    answer.0.map(|_| ())
}

fn set(cluster: &mut Cluster, client: Client, key: &str, value: &Value) -> Result<(), CsError> {
    let request = Request::Set {
        key: name(key),
        value_type: value.type_code(),
        value: &value.to_wire(),
    };
    status::<SetDone>(&cluster.call(client, &request))
}

fn get(cluster: &mut Cluster, client: Client, key: &str) -> Result<Value, CsError> {
    let request = Request::Get {
        key: name(key),
        capacity: 256,
    };
    let bytes = cluster.call(client, &request);
    let answer = Answer::<Got<'_>>::decode(&mut Reader::new(&bytes)).unwrap();
    answer.0.map(|got| {
        let len = usize::try_from(got.value_len).unwrap();
        Value::from_wire(got.value_type, &got.value[..len]).unwrap()
    })
}

fn handle<T>(bytes: &[u8], of: impl Fn(T) -> u64) -> u64
where
    for<'a> Answer<T>: Decode<'a>,
{
    let answer: Answer<T> = Answer::decode(&mut Reader::new(bytes)).unwrap();
    match answer.0 {
        Ok(body) => of(body),
        Err(e) => panic!("refused: {e}"),
    }
}

fn track(cluster: &mut Cluster, client: Client, key: &str, flags: i32, instance: u64) -> u64 {
    let request = Request::TrackAdd {
        key: name(key),
        flags,
        instance,
    };
    handle::<TrackAdded>(&cluster.call(client, &request), |h| h.0)
}

fn iterate(cluster: &mut Cluster, client: Client, prefix: &str) -> Vec<String> {
    let request = Request::IterInit {
        prefix: name(prefix),
    };
    let handle = handle::<IterStarted>(&cluster.call(client, &request), |h| h.0);
    let mut keys = Vec::new();
    loop {
        let bytes = cluster.call(client, &Request::IterNext { handle });
        let answer = Answer::<IterItem<'_>>::decode(&mut Reader::new(&bytes)).unwrap();
        match answer.0 {
            Ok(item) => keys.push(item.key.to_str().unwrap().to_owned()),
            Err(e) => {
                assert_eq!(e, CsError::NoSections);
                break;
            }
        }
    }
    let ended = cluster.call(client, &Request::IterFinalize { handle });
    assert_eq!(status::<IterEnded>(&ended), Ok(()));
    keys
}

#[test]
fn values_come_back_with_their_types() {
    let (mut cluster, client) = one_node();
    for value in [
        Value::U8(7),
        Value::I64(-5),
        Value::F64(0.5),
        Value::str("text"),
        Value::Bin(vec![0, 1, 2].into()),
    ] {
        assert_eq!(set(&mut cluster, client, "test.value", &value), Ok(()));
        assert_eq!(get(&mut cluster, client, "test.value"), Ok(value));
    }
    let deleted = cluster.call(
        client,
        &Request::Delete {
            key: name("test.value"),
        },
    );
    assert_eq!(status::<Deleted>(&deleted), Ok(()));
    assert_eq!(
        get(&mut cluster, client, "test.value"),
        Err(CsError::NotExist)
    );
}

#[test]
fn what_belongs_to_the_node_is_read_only() {
    let (mut cluster, client) = one_node();
    for key in [
        "runtime.services.cpg.0.tx",
        "nodelist.node.0.nodeid",
        "totem.transport",
    ] {
        let refused = set(&mut cluster, client, key, &Value::U32(1));
        assert_eq!(refused, Err(CsError::Access), "{key}");
        let deleted = cluster.call(client, &Request::Delete { key: name(key) });
        assert_eq!(status::<Deleted>(&deleted), Err(CsError::Access), "{key}");
    }
    assert_eq!(
        set(&mut cluster, client, "uidgid.gid.7", &Value::U8(1)),
        Ok(())
    );
}

#[test]
fn an_iteration_meets_every_key_of_a_prefix_in_order() {
    let (mut cluster, client) = one_node();
    for key in ["my.b", "my.a", "my.c", "other.x"] {
        set(&mut cluster, client, key, &Value::U8(0)).unwrap();
    }
    assert_eq!(
        iterate(&mut cluster, client, "my."),
        ["my.a", "my.b", "my.c"]
    );
    assert!(iterate(&mut cluster, client, "").len() > 50);
}

#[test]
fn trackers_hear_of_what_they_asked_for() {
    let (mut cluster, client) = one_node();
    let all = TRACK_ADD | TRACK_MODIFY | TRACK_DELETE | TRACK_PREFIX;
    let tracker = track(&mut cluster, client, "my.", all, 0xABCD);
    set(&mut cluster, client, "my.key", &Value::U32(1)).unwrap();
    set(&mut cluster, client, "my.key", &Value::U32(1)).unwrap();
    set(&mut cluster, client, "my.key", &Value::U32(2)).unwrap();
    set(&mut cluster, client, "your.key", &Value::U32(2)).unwrap();
    cluster.call(
        client,
        &Request::Delete {
            key: name("my.key"),
        },
    );
    let events: Vec<(u64, i32, Vec<u8>, Vec<u8>)> = cluster
        .events(client)
        .iter()
        .map(|bytes| {
            let n = Notify::decode(&mut Reader::new(bytes)).unwrap();
            (
                n.instance,
                n.event,
                n.new.value.to_vec(),
                n.old.value.to_vec(),
            )
        })
        .collect();
    let number = |n: u32| n.to_le_bytes().to_vec();
    assert_eq!(
        events,
        [
            (0xABCD, TRACK_ADD, number(1), vec![]),
            (0xABCD, TRACK_MODIFY, number(2), number(1)),
            (0xABCD, TRACK_DELETE, vec![], number(2)),
        ]
    );
    let request = Request::TrackDelete { handle: tracker };
    assert_eq!(
        handle::<TrackDeleted>(&cluster.call(client, &request), |h| h.0),
        0xABCD
    );
    set(&mut cluster, client, "my.key", &Value::U32(3)).unwrap();
    assert!(cluster.events(client).is_empty());
}

#[test]
fn statistics_are_a_map_of_their_own() {
    let (mut cluster, client) = one_node();
    let stats = Request::SetCurrentMap { map: MAP_STATS };
    assert_eq!(status::<MapChosen>(&cluster.call(client, &stats)), Ok(()));
    let keys = iterate(&mut cluster, client, "stats.srp.");
    assert_eq!(keys.len(), 30, "{keys:?}");
    let entered = get(&mut cluster, client, "stats.srp.operational_entered");
    assert_eq!(entered, Ok(Value::U64(1)));
    let refused = set(&mut cluster, client, "stats.srp.mcast_tx", &Value::U64(0));
    assert_eq!(refused, Err(CsError::Access));
    assert_eq!(
        set(&mut cluster, client, "stats.clear.totem", &Value::U8(1)),
        Ok(())
    );
    let cleared = get(&mut cluster, client, "stats.srp.operational_entered");
    assert_eq!(cleared, Ok(Value::U64(0)));
    let unknown = Request::SetCurrentMap { map: 9 };
    assert_eq!(
        status::<MapChosen>(&cluster.call(client, &unknown)),
        Err(CsError::NotExist)
    );
}

#[test]
fn a_statistic_asked_for_alone_is_the_one_in_the_list() {
    let (mut cluster, client) = one_node();
    cluster.call(client, &Request::SetCurrentMap { map: MAP_STATS });
    for key in iterate(&mut cluster, client, "") {
        assert!(get(&mut cluster, client, &key).is_ok(), "{key}");
    }
    for key in [
        "stats",
        "stats.",
        "stats.ipcs.service0.1.0x99.sent",
        "stats.ipcs.service0.1.0x.sent",
        "stats.other.key",
        "stats.knet.handle.size",
        "runtime.force_gather",
    ] {
        assert_eq!(get(&mut cluster, client, key), Err(CsError::NotExist));
    }
}

#[test]
fn pauses_stand_in_the_statistics_and_are_told_when_they_change() {
    let (mut cluster, client) = one_node();
    cluster.call(client, &Request::SetCurrentMap { map: MAP_STATS });
    let coming = TRACK_ADD | TRACK_DELETE | TRACK_PREFIX;
    track(&mut cluster, client, "stats.schedmiss.", coming, 1);
    track(
        &mut cluster,
        client,
        "stats.schedmiss.0.timestamp",
        TRACK_MODIFY,
        2,
    );
    for (at_ms, seconds) in [(50, 1), (60, 2)] {
        let pause = Pause {
            delay: Duration::from_secs(seconds),
            threshold: Duration::from_millis(800),
        };
        cluster.answer_host(1, HostAnswer::Dated { pause, at_ms });
        cluster.run_for(STATS_INTERVAL * 2);
    }
    let delay = get(&mut cluster, client, "stats.schedmiss.1.delay");
    assert_eq!(delay, Ok(Value::F32(1_000.0)));
    let told: Vec<u64> = cluster
        .events(client)
        .iter()
        .map(|bytes| Notify::decode(&mut Reader::new(bytes)).unwrap().instance)
        .collect();
    assert_eq!(told, [2]);
    set(&mut cluster, client, "stats.clear.all", &Value::U8(1)).unwrap();
    let gone = get(&mut cluster, client, "stats.schedmiss.0.timestamp");
    assert_eq!(gone, Err(CsError::NotExist));
}

#[test]
fn of_a_prefix_of_statistics_one_hears_what_comes_and_goes_or_nothing() {
    let (mut cluster, client) = one_node();
    cluster.call(client, &Request::SetCurrentMap { map: MAP_STATS });
    for flags in [TRACK_MODIFY, TRACK_ADD, TRACK_DELETE | TRACK_MODIFY] {
        let request = Request::TrackAdd {
            key: name("stats.ipcs."),
            flags: flags | TRACK_PREFIX,
            instance: 1,
        };
        let answer = cluster.call(client, &request);
        assert_eq!(status::<TrackAdded>(&answer), Err(CsError::NotSupported));
    }
    let all = TRACK_ADD | TRACK_DELETE | TRACK_MODIFY | TRACK_PREFIX;
    track(&mut cluster, client, "stats.ipcs.service", all, 1);
    cluster.run_for(STATS_INTERVAL * 2);
    assert_eq!(cluster.events(client).len(), 0, "counters only change");
    let other = cluster.connect(1, ServiceId::CPG);
    cluster.run_for(STATS_INTERVAL * 2);
    let events = cluster.events(client);
    assert_eq!(events.len(), 13, "the keys of one connection");
    cluster.close(other);
    cluster.run_for(STATS_INTERVAL * 2);
    assert_eq!(cluster.events(client).len(), 13);
}

#[test]
fn a_thousand_trackers_hear_of_ten_thousand_keys_each_of_its_own() {
    let (mut cluster, client) = one_node();
    let watcher = cluster.connect(1, ServiceId::CMAP);
    let all = TRACK_ADD | TRACK_MODIFY | TRACK_DELETE | TRACK_PREFIX;
    for n in 0..1_000 {
        track(&mut cluster, watcher, &format!("group{n:03}."), all, n);
    }
    for n in 0..10_000_u32 {
        let key = format!("group{:03}.key{n}", n % 1_000);
        set(&mut cluster, client, &key, &Value::U32(n)).unwrap();
    }
    let events = cluster.events(watcher);
    assert_eq!(events.len(), 10_000);
    for (n, bytes) in (0..).zip(&events) {
        let told = Notify::decode(&mut Reader::new(bytes)).unwrap();
        assert_eq!((told.instance, told.event), (n % 1_000, TRACK_ADD));
    }
    // All of them at once.
    for n in 0..1_000 {
        track(&mut cluster, watcher, "group000.key0", all, n);
    }
    set(&mut cluster, client, "group000.key0", &Value::U32(7)).unwrap();
    assert_eq!(cluster.events(watcher).len(), 1_001);
    assert_eq!(cluster.node(1).core().icmap.losses().notifications, 0);
}

#[test]
fn a_recording_is_saved_before_the_client_is_answered() {
    let (mut cluster, client) = one_node();
    let key = "runtime.blackbox.dump_flight_data";
    let value = Value::str("once");
    let request = Request::Set {
        key: name(key),
        value_type: value.type_code(),
        value: &value.to_wire(),
    };
    let (now, conn, message) = (cluster.now, client.conn, request.to_vec());
    let node = cluster.node_mut(1);
    let message = &message;
    node.handle(now, NodeInput::Lib(LibInput::Request { conn, message }));
    let first = node.poll_output(now);
    assert!(
        matches!(first, Some(NodeOutput::Ask(HostRequest::DumpFlightData))),
        "{first:?}"
    );
    cluster.drain(1);
    assert!(cluster.answer(client).is_some());
    for text in ["once", "again"] {
        set(&mut cluster, client, key, &Value::str(text)).unwrap();
    }
    assert_eq!(cluster.asked(1), Some(HostRequest::DumpFlightData));
    assert_eq!(cluster.asked(1), None, "to set what is there is no change");
    let level = Value::str("on");
    set(&mut cluster, client, "logging.debug", &level).unwrap();
    let asked = cluster.asked(1);
    assert!(
        matches!(asked, Some(HostRequest::SetLogging(_))),
        "{asked:?}"
    );
    set(&mut cluster, client, "runtime.blackbox.dump_state", &level).unwrap();
    let log = cluster.log(1, crate::log::Priority::Notice);
    assert!(log.iter().any(|line| line.starts_with("state Operational")));
}

#[test]
fn a_changed_parameter_takes_effect_and_a_wrong_one_does_not() {
    let (mut cluster, client) = one_node();
    set(&mut cluster, client, "totem.token", &Value::U32(5_000)).unwrap();
    let token = get(&mut cluster, client, "runtime.config.totem.token");
    assert_eq!(token, Ok(Value::U32(5_000)));
    let config = cluster.node(1).core().pg().srp().config().clone();
    assert_eq!(config.token, Duration::from_secs(5));
    set(&mut cluster, client, "totem.token", &Value::U32(5)).unwrap();
    assert_eq!(*cluster.node(1).core().pg().srp().config(), config);
}

#[test]
fn force_gather_behaves_as_a_lost_token() {
    let (mut cluster, client) = one_node();
    let ring = cluster.node(1).core().pg().srp().ring_id();
    set(
        &mut cluster,
        client,
        "runtime.force_gather",
        &Value::str("yes"),
    )
    .unwrap();
    cluster.run_until("a new ring", |c| {
        let srp = c.node(1).core().pg().srp();
        srp.state() == MembStateKind::Operational && srp.ring_id() != ring
    });
    let trigger = get(&mut cluster, client, "runtime.force_gather");
    assert_eq!(trigger, Ok(Value::str("no")));
}

#[test]
fn a_node_with_another_config_version_stops() {
    let mut cluster = Cluster::off(&[1, 2], "");
    cluster.boot(1);
    cluster.boot(2);
    cluster.cut(&[&[1], &[2]]);
    cluster.settle();
    for (id, version) in [(1, 7), (2, 8)] {
        let client = cluster.connect(id, ServiceId::CMAP);
        let version = Value::U64(version);
        set(&mut cluster, client, "totem.config_version", &version).unwrap();
    }
    cluster.heal();
    cluster.run_until("node 1 stops", |c| c.exit(1).is_some());
    assert_eq!(
        cluster.exit(1),
        Some(crate::output::ExitReason::ConfigVersion)
    );
    assert_eq!(cluster.exit(2), None);
}

#[test]
fn nonsense_is_refused() {
    let (mut cluster, client) = one_node();
    for len in 16..300 {
        let mut request = Request::Delete { key: name("x.y") }.to_vec();
        request.truncate(len);
        request.resize(len, 0xFF);
        request[8..12].copy_from_slice(&u32::try_from(len).unwrap().to_le_bytes());
        let answer = cluster.call(client, &Raw(request));
        assert!(status::<Deleted>(&answer).is_err(), "{len}");
    }
    for request in [
        Request::IterNext { handle: 77 },
        Request::TrackDelete { handle: 0 },
    ] {
        let answer = cluster.call(client, &request);
        assert_eq!(status::<Deleted>(&answer), Err(CsError::BadHandle));
    }
}

struct Raw(Vec<u8>);

impl Encode for Raw {
    fn encode(&self, w: &mut ferrosync_wire::Writer<'_>) {
        w.bytes(&self.0);
    }
}

//! The configuration map.

use std::time::Duration;

use ferrosync_client::cmap::{Cmap, Error, Event, Kind, Map, Tracked};
use ferrosync_client::{CsError, Value, ValueType};

use crate::daemon::{PATIENCE, is_lost as lost, options};

pub(crate) fn connect() -> Cmap {
    Cmap::connect(&options()).unwrap()
}

pub(crate) fn values_come_back_as_they_were_put() {
    let mut cmap = connect();
    let values = [
        Value::I8(-8),
        Value::U8(8),
        Value::I16(-16_000),
        Value::U16(60_000),
        Value::I32(-2_000_000_000),
        Value::U32(4_000_000_000),
        Value::I64(i64::MIN),
        Value::U64(u64::MAX),
        Value::F32(1.5),
        Value::F64(-2.25),
        Value::str(""),
        Value::str("some text"),
        Value::str(&"long ".repeat(2000)),
        Value::Bin(Box::new([0, 1, 2, 0, 255])),
        Value::Bin(vec![7; 16_384].into()),
    ];
    for value in values {
        cmap.set("client.value", &value).unwrap();
        assert_eq!(cmap.get("client.value").unwrap(), value);
    }
    cmap.delete("client.value").unwrap();
    let gone = cmap.get("client.value").unwrap_err();
    assert!(matches!(gone, Error::NotFound), "{gone}");
    let name = cmap.get("totem.cluster_name").unwrap();
    assert_eq!(name.as_str(), Some("client"));
}

pub(crate) fn what_does_not_fit_is_refused() {
    let mut cmap = connect();
    let one = Value::U8(1);
    let mut set = |key: &str| cmap.set(key, &one).unwrap_err();
    let read_only = set("totem.cluster_name");
    assert!(matches!(read_only, Error::ReadOnly), "{read_only}");
    for bad in ["x", "with blank", "nul\0", &"k".repeat(256)] {
        let error = set(bad);
        assert!(matches!(error, Error::BadKey), "{bad:?}: {error}");
    }
    let gone = cmap.delete("client.nothing").unwrap_err();
    assert!(matches!(gone, Error::NotFound), "{gone}");
    let gone = cmap.adjust("client.nothing", 1).unwrap_err();
    assert!(matches!(gone, Error::NotFound), "{gone}");
    let longer = Value::Bin(vec![7; 16_385].into());
    let error = cmap.set("client.longer", &longer).unwrap_err();
    assert!(matches!(error, Error::BadValue), "{error}");
    assert_eq!(error.code(), CsError::InvalidParam);
}

pub(crate) fn integers_are_adjusted() {
    let mut cmap = connect();
    cmap.set("client.number", &Value::U16(65_534)).unwrap();
    cmap.adjust("client.number", 3).unwrap();
    assert_eq!(cmap.get("client.number").unwrap(), Value::U16(1));
    cmap.adjust("client.number", -1).unwrap();
    assert_eq!(cmap.get("client.number").unwrap(), Value::U16(0));
    cmap.set("client.number", &Value::str("none")).unwrap();
    let error = cmap.adjust("client.number", 1).unwrap_err();
    assert!(matches!(error, Error::BadValue), "{error}");
    cmap.delete("client.number").unwrap();
}

pub(crate) fn keys_are_found_in_order() {
    let mut cmap = connect();
    let keys = ["client.i.a", "client.i.b", "client.i.b.c", "client.i.d"];
    for key in keys.iter().rev() {
        cmap.set(key, &Value::str("four")).unwrap();
    }
    let entries: Vec<_> = cmap
        .iterate("client.i.")
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let found: Vec<&str> = entries.iter().map(|e| e.key.as_str()).collect();
    assert_eq!(found, keys);
    assert!(
        entries
            .iter()
            .all(|e| (e.kind, e.len) == (Some(ValueType::Str), 5))
    );
    let all: Vec<String> = cmap.iterate("").unwrap().map(|e| e.unwrap().key).collect();
    assert!(all.iter().any(|key| key == "totem.cluster_name"));
    assert!(all.is_sorted(), "{all:?}");
    for key in keys {
        cmap.delete(key).unwrap();
    }
    assert_eq!(cmap.iterate("client.i.").unwrap().count(), 0);
}

pub(crate) fn changes_are_told() {
    let mut writer = connect();
    let mut cmap = connect();
    let one = cmap.track(Tracked::Key("client.t.one")).unwrap();
    let all = cmap.track(Tracked::Prefix("client.t.")).unwrap();
    writer.set("client.t.one", &Value::U8(1)).unwrap();
    writer.set("client.t.one", &Value::U8(1)).unwrap();
    writer.set("client.t.one", &Value::str("x")).unwrap();
    writer.set("client.t.two", &Value::U8(2)).unwrap();
    writer.delete("client.t.one").unwrap();
    let event = |tracker, key: &str, kind, old: Option<Value>, new: Option<Value>| Event {
        tracker,
        key: key.to_owned(),
        kind,
        new,
        old,
    };
    let (u8, text) = (Some(Value::U8(1)), Some(Value::str("x")));
    let of_one = |tracker| {
        let key = "client.t.one";
        [
            event(tracker, key, Kind::Added, None, u8.clone()),
            event(tracker, key, Kind::Modified, u8.clone(), text.clone()),
            event(tracker, key, Kind::Deleted, text.clone(), None),
        ]
    };
    let events: Vec<Event> = (0..7)
        .map(|_| cmap.dispatch(PATIENCE).unwrap().expect("an event in time"))
        .collect();
    let of = |tracker| events.iter().filter(move |e| e.tracker == tracker).cloned();
    assert_eq!(of(one).collect::<Vec<_>>(), of_one(one));
    let [added, modified, deleted] = of_one(all);
    let two = event(all, "client.t.two", Kind::Added, None, Some(Value::U8(2)));
    assert_eq!(of(all).collect::<Vec<_>>(), [added, modified, two, deleted]);
    cmap.untrack(all).unwrap();
    let gone = cmap.untrack(all).unwrap_err();
    assert!(matches!(gone, Error::NotFound), "{gone}");
    writer.delete("client.t.two").unwrap();
    writer.set("client.t.one", &Value::U8(3)).unwrap();
    let last = cmap.dispatch(PATIENCE).unwrap();
    let three = Some(Value::U8(3));
    assert_eq!(
        last,
        Some(event(one, "client.t.one", Kind::Added, None, three))
    );
    assert_eq!(cmap.dispatch(Duration::ZERO).unwrap(), None);
    writer.delete("client.t.one").unwrap();
}

pub(crate) fn statistics_are_another_map() {
    let mut stats = Cmap::connect_map(Map::Statistics, &options()).unwrap();
    let formed = stats.get("stats.srp.operational_entered").unwrap();
    assert!(matches!(formed, Value::U64(1..)), "{formed:?}");
    let keys: Vec<String> = stats
        .iterate("stats.srp.")
        .unwrap()
        .map(|e| e.unwrap().key)
        .collect();
    assert!(keys.len() > 20, "{keys:?}");
    let error = stats.set("stats.srp.mcast_tx", &Value::U64(0)).unwrap_err();
    assert!(matches!(error, Error::ReadOnly), "{error}");
    let gone = stats.get("totem.cluster_name").unwrap_err();
    assert!(matches!(gone, Error::NotFound), "{gone}");
}

/// The daemon was killed.
pub(crate) fn is_lost(cmap: &mut Cmap) {
    let error = cmap.get("totem.cluster_name").unwrap_err();
    assert!(matches!(&error, Error::Connection(e) if lost(e)), "{error}");
}

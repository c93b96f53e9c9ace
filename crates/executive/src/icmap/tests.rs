//! The map against a simple model, and what the model does not know.

use std::collections::BTreeMap;

use ferrosync_wire::ipc::CsError;
use ferrosync_wire::{Key, Value};
use proptest::prelude::*;

use super::{
    ALWAYS_READ_ONLY, Access, Cursor, Extent, Icmap, Notification, TrackEvent, TrackFlags,
    TrackerId,
};

fn key(name: &str) -> Key {
    Key::new(name).unwrap()
}

fn map(entries: &[(&str, u32)]) -> Icmap {
    let mut icmap = Icmap::new();
    for (name, value) in entries {
        icmap.set(key(name), Value::U32(*value)).unwrap();
    }
    icmap
}

/// A notification as `(tracker, event, key, new, old)`.
type Told = (TrackerId, TrackEvent, String, Option<Value>, Option<Value>);

/// What is waiting.
fn told(icmap: &mut Icmap) -> Vec<Told> {
    core::iter::from_fn(|| icmap.poll_notification())
        .map(|Notification { tracker, change }| {
            let name = change.key.to_string();
            let (new, old) = (change.new.clone(), change.old.clone());
            (tracker, change.event, name, new, old)
        })
        .collect()
}

fn rest(icmap: &Icmap, cursor: &mut Cursor) -> Vec<String> {
    core::iter::from_fn(|| icmap.next(cursor).map(|(key, _)| key.to_string())).collect()
}

#[test]
fn reading_checks_the_type() {
    let mut icmap = map(&[("a.u32", 7)]);
    icmap.set(key("a.str"), Value::str("text")).unwrap();
    icmap.set(key("a.u8"), Value::U8(1)).unwrap();
    assert_eq!(icmap.get_u32("a.u32"), Ok(7));
    assert_eq!(icmap.get_u64("a.u32"), Err(CsError::InvalidParam));
    assert_eq!(icmap.get_u32("a.none"), Err(CsError::NotExist));
    assert_eq!(icmap.get_str("a.str"), Ok("text"));
    assert_eq!(icmap.get_str("a.u8"), Err(CsError::InvalidParam));
    assert_eq!(icmap.get_u8("a.u8"), Ok(1));
}

#[test]
fn values_and_the_map_are_bounded() {
    let mut icmap = Icmap::new();
    let longest = Value::from_wire(11, &[b'x'; Value::MAX]).unwrap();
    assert_eq!(icmap.set(key("long"), longest), Ok(()));
    let too_long = Value::Bin(vec![0; Value::MAX + 2].into());
    assert_eq!(icmap.set(key("long"), too_long), Err(CsError::InvalidParam));

    let big = Value::Bin(vec![0; Value::MAX].into());
    let fitted = (0..)
        .take_while(|n| icmap.set(key(&format!("big.{n}")), big.clone()).is_ok())
        .count();
    let expected = Icmap::BYTES_MAX / Value::MAX;
    assert!((expected - 100..expected).contains(&fitted), "{fitted}");
    assert_eq!(
        icmap.set(key("one.more"), big.clone()),
        Err(CsError::NoMemory)
    );
    assert_eq!(icmap.set(key("big.0"), Value::U8(1)), Ok(()));
    assert_eq!(icmap.delete("big.1"), Ok(()));
    assert_eq!(icmap.set(key("one.more"), big), Ok(()));
    for n in 0..fitted {
        let _ = icmap.delete(&format!("big.{n}"));
    }
    icmap.delete("one.more").unwrap();
    icmap.delete("long").unwrap();
    assert_eq!((icmap.len(), icmap.bytes), (0, 0));
}

#[test]
fn only_integers_are_adjusted() {
    let mut icmap = map(&[("a.u32", 7)]);
    icmap.set(key("a.str"), Value::str("7")).unwrap();
    assert_eq!(icmap.adjust_int("a.u32", -8), Ok(()));
    assert_eq!(icmap.get_u32("a.u32"), Ok(u32::MAX));
    assert_eq!(icmap.inc("a.u32"), Ok(()));
    assert_eq!(icmap.get_u32("a.u32"), Ok(0));
    assert_eq!(icmap.dec("a.u32"), Ok(()));
    assert_eq!(icmap.get_u32("a.u32"), Ok(u32::MAX));
    assert_eq!(icmap.inc("a.str"), Err(CsError::InvalidParam));
    assert_eq!(icmap.inc("a.none"), Err(CsError::NotExist));
}

#[test]
fn an_iteration_outlives_changes() {
    let mut icmap = map(&[("a.1", 1), ("a.2", 2), ("a.3", 3), ("a.4", 4), ("b.1", 5)]);
    let mut cursor = Cursor::new("a.");
    assert_eq!(icmap.next(&mut cursor).unwrap().0.as_str(), "a.1");
    icmap.delete("a.1").unwrap();
    icmap.delete("a.2").unwrap();
    icmap.set(key("a.1a"), Value::U8(0)).unwrap();
    icmap.set(key("a.0"), Value::U8(0)).unwrap();
    assert_eq!(rest(&icmap, &mut cursor), ["a.1a", "a.3", "a.4"]);
    assert_eq!(icmap.next(&mut cursor), None);
    icmap.set(key("a.5"), Value::U8(0)).unwrap();
    assert_eq!(rest(&icmap, &mut cursor), ["a.5"]);
}

#[test]
fn an_iteration_goes_in_the_order_of_bytes() {
    let icmap = map(&[
        ("a.b", 0),
        ("a-b", 0),
        ("aB1", 0),
        ("a_b", 0),
        ("a.b.c", 0),
        ("a:b", 0),
    ]);
    let all = rest(&icmap, &mut Cursor::new(""));
    assert_eq!(all, ["a-b", "a.b", "a.b.c", "a:b", "aB1", "a_b"]);
    assert_eq!(rest(&icmap, &mut Cursor::new("a.b")), ["a.b", "a.b.c"]);
    assert_eq!(rest(&icmap, &mut Cursor::new("b")), Vec::<String>::new());
}

#[test]
fn changes_are_told_with_both_values() {
    let mut icmap = Icmap::new();
    let id = icmap.track_add(Some("a.key"), TrackFlags::KEY).unwrap();
    let (one, two) = (Value::U8(1), Value::str("two"));
    icmap.set(key("a.key"), one.clone()).unwrap();
    icmap.set(key("a.key"), one.clone()).unwrap();
    icmap.set(key("a.key"), two.clone()).unwrap();
    icmap.set(key("a.key.longer"), two.clone()).unwrap();
    icmap.delete("a.key").unwrap();
    let name = || "a.key".to_owned();
    assert_eq!(
        told(&mut icmap),
        [
            (id, TrackEvent::Add, name(), Some(one.clone()), None),
            (id, TrackEvent::Modify, name(), Some(two.clone()), Some(one)),
            (id, TrackEvent::Delete, name(), None, Some(two)),
        ]
    );
}

#[test]
fn trackers_hear_what_they_asked_for() {
    let mut icmap = map(&[("a.old", 1)]);
    let adds = TrackFlags::ADD.with(TrackFlags::PREFIX);
    let adds = icmap.track_add(Some("a."), adds).unwrap();
    let modifies = icmap.track_add(Some("a.old"), TrackFlags::MODIFY).unwrap();
    let everything = icmap.track_add(None, TrackFlags::ALL).unwrap();
    let nothing = icmap.track_add(None, TrackFlags::KEY).unwrap();
    icmap.set(key("a.new"), Value::U8(1)).unwrap();
    icmap.set(key("a.old"), Value::U8(1)).unwrap();
    icmap.delete("a.old").unwrap();
    let heard: Vec<_> = told(&mut icmap).into_iter().map(|t| (t.0, t.1)).collect();
    assert_eq!(
        heard,
        [
            (adds, TrackEvent::Add),
            (everything, TrackEvent::Add),
            (modifies, TrackEvent::Modify),
            (everything, TrackEvent::Modify),
            (everything, TrackEvent::Delete),
        ]
    );
    for id in [adds, modifies, everything, nothing] {
        assert_eq!(icmap.track_delete(id), Ok(()));
        assert_eq!(icmap.track_delete(id), Err(CsError::NotExist));
    }
    icmap.set(key("a.new"), Value::U8(2)).unwrap();
    assert_eq!(told(&mut icmap), []);
}

#[test]
fn trackers_hear_in_the_order_of_libqbs_trie() {
    let mut icmap = Icmap::new();
    let mut add = |name, flags| icmap.track_add(name, flags).unwrap();
    let all = [add(None, TrackFlags::ALL), add(None, TrackFlags::ALL)];
    let prefix = [
        add(Some("a.k"), TrackFlags::ALL),
        add(Some("a.k"), TrackFlags::ALL),
    ];
    let exact = [
        add(Some("a.key"), TrackFlags::KEY),
        add(Some("a.key"), TrackFlags::KEY),
    ];
    let exact_prefix = add(Some("a.key"), TrackFlags::ALL);
    icmap.set(key("a.key"), Value::U8(1)).unwrap();
    let heard: Vec<_> = told(&mut icmap).into_iter().map(|t| t.0).collect();
    assert_eq!(
        heard,
        [
            exact[1],
            exact[0],
            exact_prefix,
            prefix[0],
            prefix[1],
            all[1],
            all[0]
        ]
    );
}

#[test]
fn unknown_track_flags_are_refused() {
    assert_eq!(TrackFlags::new(15), Ok(TrackFlags::ALL));
    assert!(TrackFlags::new(0).is_ok());
    assert_eq!(TrackFlags::new(16), Err(CsError::InvalidParam));
    assert_eq!(TrackFlags::new(-1), Err(CsError::InvalidParam));
}

#[test]
fn trackers_and_notifications_are_bounded() {
    let mut icmap = Icmap::new();
    for _ in 0..TrackerId::MAX {
        icmap
            .track_add_for_client(Some("a.key"), TrackFlags::KEY)
            .unwrap();
    }
    let one_more = icmap.track_add(Some("a.key"), TrackFlags::KEY);
    assert_eq!(one_more, Err(CsError::NoMemory));
    for value in 0..5 {
        icmap.set(key("a.key"), Value::U8(value)).unwrap();
    }
    let noted = u64::try_from(told(&mut icmap).len()).unwrap();
    assert_eq!(noted, Notification::MAX as u64);
    assert_eq!(
        noted + icmap.losses().notifications,
        5 * TrackerId::MAX as u64
    );
    // There is room again.
    icmap.set(key("a.key"), Value::U8(7)).unwrap();
    assert_eq!(told(&mut icmap).len(), TrackerId::MAX);
}

#[test]
fn the_node_hears_all_whatever_clients_track() {
    let mut icmap = Icmap::new();
    let own = icmap.track_add(Some("a.key"), TrackFlags::KEY).unwrap();
    while icmap
        .track_add_for_client(Some("a.key"), TrackFlags::KEY)
        .is_ok()
    {}
    for value in 0..10 {
        icmap.set(key("a.key"), Value::U8(value)).unwrap();
    }
    let told = told(&mut icmap);
    let heard = told.iter().filter(|(tracker, ..)| *tracker == own);
    assert_eq!(heard.count(), 10);
    assert_eq!(told.len(), Notification::MAX + 10);
}

#[test]
fn clients_leave_room_for_the_node() {
    let mut icmap = Icmap::new();
    let big = Value::Bin(vec![0; Value::MAX].into());
    let fill = |icmap: &mut Icmap, set: fn(&mut Icmap, Key, Value) -> Result<(), CsError>| {
        let first = icmap.len();
        (first..)
            .take_while(|n| set(icmap, key(&format!("big.{n}")), big.clone()).is_ok())
            .count()
    };
    assert!(fill(&mut icmap, Icmap::set_for_client) > 0);
    assert!(icmap.bytes <= Icmap::CLIENTS_BYTES_MAX);
    assert_eq!(icmap.losses().unset, 0, "clients are told themselves");
    let fitted = fill(&mut icmap, Icmap::set);
    let reserve = (Icmap::BYTES_MAX - Icmap::CLIENTS_BYTES_MAX) / Value::MAX;
    assert!((reserve - 50..=reserve).contains(&fitted), "{fitted}");
    assert_eq!(icmap.losses().unset, 1);
    let more = icmap.set_for_client(key("one.more"), Value::U8(1));
    assert_eq!(more, Err(CsError::NoMemory));
    assert_eq!(icmap.set_for_client(key("big.0"), Value::U8(1)), Ok(()));
}

#[test]
fn a_change_is_checked_as_a_whole() {
    let mut icmap = Icmap::new();
    let big = |n: usize| {
        (
            key(&format!("big.{n}")),
            Value::Bin(vec![0; Value::MAX].into()),
        )
    };
    let most = (0..)
        .take_while(|n| {
            let (key, value) = big(*n);
            icmap.set(key, value).is_ok()
        })
        .count();
    let more = |count: usize| -> Vec<_> { (most..).take(count).map(big).collect() };
    let gone = |count: usize| -> Vec<_> { (0..count).map(|n| big(n).0).collect() };
    assert_eq!(icmap.check_change(&[], &more(1)), Err(CsError::NoMemory));
    assert_eq!(icmap.check_change(&gone(1), &more(1)), Ok(()));
    let two = icmap.check_change(&gone(1), &more(3));
    assert_eq!(two, Err(CsError::NoMemory), "one after the other");
    assert_eq!(icmap.check_change(&gone(3), &more(3)), Ok(()));
    let smaller = (key("big.1"), Value::U8(1));
    let both = [vec![smaller], more(1)].concat();
    assert_eq!(icmap.check_change(&[], &both), Ok(()));
    let too_long = (key("long"), Value::Bin(vec![0; Value::MAX + 2].into()));
    let refused = icmap.check_change(&gone(3), &[too_long]);
    assert_eq!(refused, Err(CsError::InvalidParam));
    assert_eq!((icmap.len(), icmap.losses().unset), (most, 1));
}

#[test]
fn counters_count() {
    let mut icmap = map(&[("a.u32", u32::MAX)]);
    let new = icmap.counter(key("a.new"));
    let old = icmap.counter(key("a.u32"));
    icmap.bump(new);
    icmap.bump(new);
    icmap.bump(old);
    assert_eq!(icmap.get_u64("a.new"), Ok(2));
    assert_eq!(icmap.get_u32("a.u32"), Ok(0));
    icmap.set(key("a.new"), Value::U64(10)).unwrap();
    icmap.bump(new);
    assert_eq!(icmap.get_u64("a.new"), Ok(11));
    assert_eq!(icmap.counter(key("a.new")), new);
}

#[test]
fn a_counter_dies_with_its_key() {
    let mut icmap = Icmap::new();
    let counter = icmap.counter(key("a.count"));
    icmap.delete("a.count").unwrap();
    icmap.bump(counter);
    icmap.set(key("a.other"), Value::U64(5)).unwrap();
    icmap.bump(counter);
    assert_eq!(icmap.get_u64("a.other"), Ok(5));
    icmap.set(key("a.other"), Value::str("text")).unwrap();
    let taken_over = icmap.counter(key("a.other"));
    assert_eq!(icmap.get_u64("a.other"), Ok(0));
    icmap.set(key("a.other"), Value::str("text")).unwrap();
    icmap.bump(taken_over);
    assert_eq!(icmap.get_str("a.other"), Ok("text"));
}

#[test]
fn trackers_hear_of_counters_without_the_old_value() {
    let mut icmap = Icmap::new();
    let counter = icmap.counter(key("a.count"));
    icmap.bump(counter);
    assert_eq!(told(&mut icmap), []);
    let id = icmap.track_add(Some("a."), TrackFlags::ALL).unwrap();
    icmap.bump(counter);
    let change = (
        id,
        TrackEvent::Modify,
        "a.count".to_owned(),
        Some(Value::U64(2)),
        None,
    );
    assert_eq!(told(&mut icmap), [change]);
    icmap.track_delete(id).unwrap();
    icmap.bump(counter);
    assert_eq!(told(&mut icmap), []);
}

#[test]
fn access_is_by_key_and_by_prefix() {
    let mut icmap = Icmap::new();
    icmap.protect();
    icmap.protect();
    for name in ["nodelist.node.0.nodeid", "system.x", "totem.nodeid"] {
        assert_eq!(icmap.check_writable(name), Err(CsError::Access), "{name}");
    }
    for name in [
        "nodelist",
        "totem.node",
        "totem.nodeid2",
        "runtime.members.1.ip",
    ] {
        assert_eq!(icmap.check_writable(name), Ok(()), "{name}");
    }
    let forbid = |icmap: &mut Icmap, access| icmap.set_access("a.b", Extent::Key, access);
    assert_eq!(
        forbid(&mut icmap, Access::ReadWrite),
        Err(CsError::NotExist)
    );
    assert_eq!(forbid(&mut icmap, Access::ReadOnly), Ok(()));
    assert_eq!(forbid(&mut icmap, Access::ReadOnly), Err(CsError::Exist));
    assert_eq!(icmap.check_writable("a.b"), Err(CsError::Access));
    assert_eq!(forbid(&mut icmap, Access::ReadWrite), Ok(()));
    assert_eq!(icmap.check_writable("a.b"), Ok(()));
    assert_eq!(ALWAYS_READ_ONLY.len(), 24);
}

#[test]
fn a_copy_adds_and_changes_but_does_not_remove() {
    let mut live = map(&[("a.same", 1), ("a.changed", 1), ("a.stays", 1)]);
    let loaded = map(&[("a.same", 1), ("a.changed", 2), ("a.comes", 2)]);
    live.track_add(None, TrackFlags::ALL).unwrap();
    live.copy_from(&loaded).unwrap();
    let names: Vec<_> = told(&mut live).into_iter().map(|t| t.2).collect();
    assert_eq!(names, ["a.changed", "a.comes"]);
    assert_eq!(live.len(), 4);
    assert_eq!(live.get_u32("a.stays"), Ok(1));
}

/// What the map is, said in the simplest way.
#[derive(Default)]
struct Model {
    values: BTreeMap<String, Value>,
    trackers: Vec<(TrackerId, Option<String>, i32)>,
    told: Vec<Told>,
}

impl Model {
    fn tell(&mut self, name: &str, event: TrackEvent, new: Option<Value>, old: Option<Value>) {
        for (id, tracked, flags) in &self.trackers {
            let prefix = flags & 8 != 0;
            let concerns = match tracked {
                Some(tracked) if prefix => name.starts_with(tracked.as_str()),
                Some(tracked) => name == tracked,
                None => prefix,
            };
            if concerns && flags & event.code() != 0 {
                let change = (*id, event, name.to_owned(), new.clone(), old.clone());
                self.told.push(change);
            }
        }
    }

    fn set(&mut self, name: &str, value: Value) {
        let old = self.values.insert(name.to_owned(), value.clone());
        match old {
            Some(old) if old == value => {}
            Some(old) => self.tell(name, TrackEvent::Modify, Some(value), Some(old)),
            None => self.tell(name, TrackEvent::Add, Some(value), None),
        }
    }

    fn delete(&mut self, name: &str) -> Result<(), CsError> {
        let old = self.values.remove(name).ok_or(CsError::NotExist)?;
        self.tell(name, TrackEvent::Delete, None, Some(old));
        Ok(())
    }

    fn adjust(&mut self, name: &str, step: i32) -> Result<(), CsError> {
        let value = self.values.get(name).ok_or(CsError::NotExist)?;
        let value = if let Value::U64(v) = value {
            Value::U64(v.wrapping_add_signed(step.into()))
        } else if let Value::U8(v) = value {
            let sum = (i64::from(*v) + i64::from(step)).rem_euclid(256);
            Value::U8(u8::try_from(sum).unwrap())
        } else {
            return Err(CsError::InvalidParam);
        };
        self.set(name, value);
        Ok(())
    }
}

#[derive(Clone, Debug)]
enum Op {
    Set(String, Value),
    Delete(String),
    Adjust(String, i32),
    Bump(String),
    Track(Option<String>, i32),
    Untrack(usize),
}

fn any_op() -> impl Strategy<Value = Op> {
    let name =
        || prop::sample::select(vec!["abc", "abcd", "abcde", "abd", "b.c"]).prop_map(String::from);
    let tracked = prop::option::of(prop::sample::select(vec![
        "a", "ab", "abc", "abcd", "b.c", "x",
    ]));
    let value = prop_oneof![
        (0_u8..3).prop_map(Value::U8),
        (0_u64..3).prop_map(Value::U64),
        prop::sample::select(vec!["", "one", "two"]).prop_map(Value::str),
    ];
    prop_oneof![
        4 => (name(), value).prop_map(|(name, value)| Op::Set(name, value)),
        2 => name().prop_map(Op::Delete),
        2 => (name(), any::<i32>()).prop_map(|(name, step)| Op::Adjust(name, step)),
        1 => name().prop_map(Op::Bump),
        1 => (tracked, 0_i32..16).prop_map(|(name, flags)| Op::Track(name.map(String::from), flags)),
        1 => (0_usize..8).prop_map(Op::Untrack),
    ]
}

fn run(icmap: &mut Icmap, model: &mut Model, op: Op) -> Result<(), TestCaseError> {
    match op {
        Op::Set(name, value) => {
            prop_assert_eq!(icmap.set(key(&name), value.clone()), Ok(()));
            model.set(&name, value);
        }
        Op::Delete(name) => prop_assert_eq!(icmap.delete(&name), model.delete(&name)),
        Op::Adjust(name, step) => {
            prop_assert_eq!(icmap.adjust_int(&name, step), model.adjust(&name, step));
        }
        Op::Bump(name) => {
            if !matches!(model.values.get(&name), Some(Value::U64(_) | Value::U8(_))) {
                model.set(&name, Value::U64(0));
            }
            let before = model.told.len();
            model.adjust(&name, 1).unwrap();
            for change in &mut model.told[before..] {
                change.4 = None;
            }
            let counter = icmap.counter(key(&name));
            icmap.bump(counter);
        }
        Op::Track(name, flags) => {
            let id = icmap.track_add(name.as_deref(), TrackFlags::new(flags).unwrap());
            model.trackers.push((id.unwrap(), name, flags));
        }
        Op::Untrack(at) if at < model.trackers.len() => {
            let (id, _, _) = model.trackers.remove(at);
            prop_assert_eq!(icmap.track_delete(id), Ok(()));
        }
        Op::Untrack(_) => {}
    }
    Ok(())
}

proptest! {
    #[test]
    fn the_map_is_its_model(ops in prop::collection::vec(any_op(), 0..60)) {
        let mut icmap = Icmap::new();
        let mut model = Model::default();
        for op in ops {
            run(&mut icmap, &mut model, op)?;
            let values: Vec<_> = icmap.iter("").map(|(k, v)| (k.to_string(), v.clone())).collect();
            let expected: Vec<_> = model.values.clone().into_iter().collect();
            prop_assert_eq!(values, expected);
            // Trackers of one change hear in libqb's order, which the model does not know.
            let mut heard = told(&mut icmap);
            let mut expected = core::mem::take(&mut model.told);
            heard.sort_by_key(|told| told.0);
            expected.sort_by_key(|told| told.0);
            prop_assert_eq!(heard, expected);
        }
        let bytes: usize = icmap.iter("").map(|(k, v)| super::Item::bytes(k, v)).sum();
        prop_assert_eq!(bytes, icmap.bytes);
    }
}

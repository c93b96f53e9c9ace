//! Values keep their bytes; what C refuses is refused.

use proptest::prelude::*;

use super::{Key, Text, Value, ValueType, WrongValue};

fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<i8>().prop_map(Value::I8),
        any::<u8>().prop_map(Value::U8),
        any::<i16>().prop_map(Value::I16),
        any::<u16>().prop_map(Value::U16),
        any::<i32>().prop_map(Value::I32),
        any::<u32>().prop_map(Value::U32),
        any::<i64>().prop_map(Value::I64),
        any::<u64>().prop_map(Value::U64),
        any::<u32>().prop_map(|bits| Value::F32(f32::from_bits(bits))),
        any::<u64>().prop_map(|bits| Value::F64(f64::from_bits(bits))),
        prop::collection::vec(1_u8.., 0..64).prop_map(|b| Value::Str(Text::new(&b))),
        prop::collection::vec(any::<u8>(), 0..64).prop_map(|b| Value::Bin(b.into())),
    ]
}

proptest! {
    #[test]
    fn values_come_back_as_they_were_put(value in any_value()) {
        let wire = value.to_wire();
        prop_assert_eq!(wire.len(), value.wire_len());
        prop_assert_eq!(Value::from_wire(value.type_code(), &wire), Ok(value.clone()));
    }

    #[test]
    fn any_bytes_are_a_value_or_an_error(code in 0_u8..14, bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        match Value::from_wire(code, &bytes) {
            Ok(value) if code == ValueType::Str.code() && bytes.last() != Some(&0) => {
                prop_assert_eq!(&value.to_wire()[..bytes.len()], &bytes[..]);
                prop_assert_eq!(value.wire_len(), bytes.len() + 1);
            }
            Ok(value) => prop_assert_eq!(&*value.to_wire(), &bytes[..]),
            Err(WrongValue::Type(wrong)) => prop_assert!(wrong == 0 || wrong > 12),
            Err(WrongValue::Length) => prop_assert!((1..12).contains(&code)),
        }
    }
}

#[test]
fn a_text_needs_no_nul_but_nothing_may_follow_it() {
    let text = |bytes: &[u8]| Value::from_wire(11, bytes);
    assert_eq!(text(b"joined"), Ok(Value::str("joined")));
    assert_eq!(text(b"joined\0"), Ok(Value::str("joined")));
    assert_eq!(text(b""), Ok(Value::str("")));
    assert_eq!(text(b"joined\0x"), Err(WrongValue::Length));
    assert_eq!(&*Value::str("left").to_wire(), b"left\0");
    assert_eq!(text(b"\xff\xfe").map(|v| v.as_str().is_none()), Ok(true));
}

#[test]
fn the_longest_value_is_16_kib() {
    let longest = vec![b'x'; Value::MAX];
    assert_eq!(
        Value::from_wire(11, &longest).map(|v| v.wire_len()),
        Ok(16_385)
    );
    assert_eq!(
        Value::from_wire(12, &longest).map(|v| v.wire_len()),
        Ok(16_384)
    );
    let too_long = vec![b'x'; Value::MAX + 1];
    assert_eq!(Value::from_wire(12, &too_long), Err(WrongValue::Length));
}

#[test]
fn equality_is_that_of_bytes() {
    assert_eq!(Value::F64(f64::NAN), Value::F64(f64::NAN));
    assert_ne!(Value::F64(0.0), Value::F64(-0.0));
    assert_ne!(Value::U8(1), Value::I8(1));
}

#[test]
fn type_numbers_are_those_of_icmap() {
    for (code, kind) in (1..).zip(ValueType::ALL) {
        assert_eq!(kind.code(), code);
        assert_eq!(ValueType::from_code(code), Some(kind));
    }
    assert_eq!(ValueType::from_code(0), None);
    assert_eq!(ValueType::from_code(13), None);
}

#[test]
fn keys_are_checked_as_icmap_does() {
    assert!(Key::new("a.b").is_ok());
    assert!(Key::new("totem.interface.0.member-1_x/y:z").is_ok());
    assert!(Key::new("ab").is_err());
    assert!(Key::new("a b").is_err());
    assert!(Key::new(&"k".repeat(255)).is_ok());
    assert!(Key::new(&"k".repeat(256)).is_err());
}

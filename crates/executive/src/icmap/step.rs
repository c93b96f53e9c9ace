//! Integer arithmetic on values.

use ferrosync_wire::Value;

/// The integer `value` plus `step`, wrapping around; none of another type
/// (corosync `icmap.c:icmap_adjust_int_r`, v3.1.7).
pub(super) fn stepped(value: &Value, step: i32) -> Option<Value> {
    let [b0, b1, _, _] = step.to_le_bytes();
    let step16 = i16::from_le_bytes([b0, b1]);
    let step64 = i64::from(step);
    match *value {
        Value::I8(v) => Some(Value::I8(v.wrapping_add(b0.cast_signed()))),
        Value::U8(v) => Some(Value::U8(v.wrapping_add(b0))),
        Value::I16(v) => Some(Value::I16(v.wrapping_add(step16))),
        Value::U16(v) => Some(Value::U16(v.wrapping_add_signed(step16))),
        Value::I32(v) => Some(Value::I32(v.wrapping_add(step))),
        Value::U32(v) => Some(Value::U32(v.wrapping_add_signed(step))),
        Value::I64(v) => Some(Value::I64(v.wrapping_add(step64))),
        Value::U64(v) => Some(Value::U64(v.wrapping_add_signed(step64))),
        Value::F32(_) | Value::F64(_) | Value::Str(_) | Value::Bin(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::stepped;
    use ferrosync_wire::Value;

    #[test]
    fn every_integer_wraps_at_its_own_size() {
        assert_eq!(stepped(&Value::U8(255), 1), Some(Value::U8(0)));
        assert_eq!(stepped(&Value::U8(0), -1), Some(Value::U8(255)));
        assert_eq!(stepped(&Value::U8(1), 256), Some(Value::U8(1)));
        assert_eq!(stepped(&Value::I8(127), 1), Some(Value::I8(-128)));
        assert_eq!(stepped(&Value::U16(0), -1), Some(Value::U16(65_535)));
        assert_eq!(stepped(&Value::I16(-32_768), -1), Some(Value::I16(32_767)));
        assert_eq!(stepped(&Value::U32(5), -6), Some(Value::U32(u32::MAX)));
        assert_eq!(
            stepped(&Value::I32(i32::MAX), 1),
            Some(Value::I32(i32::MIN))
        );
        assert_eq!(stepped(&Value::U64(0), -1), Some(Value::U64(u64::MAX)));
        assert_eq!(
            stepped(&Value::I64(i64::MAX), 1),
            Some(Value::I64(i64::MIN))
        );
    }

    #[test]
    fn other_types_have_no_steps() {
        for value in [
            Value::F32(1.0),
            Value::F64(1.0),
            Value::str("1"),
            Value::Bin([1].into()),
        ] {
            assert_eq!(stepped(&value, 1), None);
        }
    }
}

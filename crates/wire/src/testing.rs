//! Help for the tests of layouts.

use proptest::prelude::*;

use crate::ids::{NodeId, RingId, RingSeq};
use crate::names::GroupName;

/// A ring with recognisable bytes.
pub(crate) const RING: RingId = RingId {
    rep: NodeId(0x5152_5354),
    seq: RingSeq(0x6162_6364_6566_6768),
};
/// Its representative as it travels.
pub(crate) const REP: &[u8] = &[0x54, 0x53, 0x52, 0x51];
/// Its sequence number as it travels.
pub(crate) const SEQ: &[u8] = &[0x68, 0x67, 0x66, 0x65, 0x64, 0x63, 0x62, 0x61];

/// The group `group`.
pub(crate) fn group() -> GroupName {
    GroupName::new(b"group").unwrap()
}

/// Bytes expected at an offset; zeros are expected where none are named.
pub(crate) type Field<'a> = (usize, &'a [u8]);

/// Expects these bytes at these offsets and zeros elsewhere.
#[track_caller]
pub(crate) fn layout(bytes: &[u8], size: usize, fields: &[Field<'_>]) {
    assert_eq!(bytes.len(), size, "size");
    let mut expected = vec![0; size];
    for (offset, field) in fields {
        expected[*offset..offset + field.len()].copy_from_slice(field);
    }
    let differs = (0..size).find(|&i| bytes[i] != expected[i]);
    assert_eq!(differs, None, "first offset that differs, in {bytes:x?}");
}

/// Expects a message to have this size and these fields, to come back from its bytes, and to be refused when
/// it is cut in front of its last field's end.
macro_rules! pin {
    ($type:ty, $message:expr, $size:expr, $fields:expr) => {{
        use $crate::codec::{Decode as _, Encode as _, Reader};
        let message: $type = $message;
        let bytes = message.to_vec();
        let fields: &[$crate::testing::Field<'_>] = $fields;
        $crate::testing::layout(&bytes, $size, fields);
        let mut whole = Reader::new(&bytes);
        assert_eq!(<$type>::decode(&mut whole), Ok(message.clone()));
        let needed = fields
            .iter()
            .map(|(at, field)| at + field.len())
            .max()
            .unwrap_or(0);
        for cut in 0..$size {
            let decoded = <$type>::decode(&mut Reader::new(&bytes[..cut]));
            assert!(
                decoded.is_err() || cut >= needed,
                "{message:?} cut at {cut}"
            );
        }
    }};
}

/// Expects that what arbitrary bytes mean, if anything, survives another round.
macro_rules! survives {
    ($type:ty, $bytes:expr) => {{
        use $crate::codec::{Decode as _, Encode as _, Reader};
        let bytes: &[u8] = $bytes;
        if let Ok(message) = <$type>::decode(&mut Reader::new(bytes)) {
            let again = message.to_vec();
            assert_eq!(
                <$type>::decode(&mut Reader::new(&again)),
                Ok(message.clone())
            );
        }
    }};
}

pub(crate) use {pin, survives};

/// Bodies of messages: mostly zeros and small numbers, so that counts and lengths often fit.
pub(crate) fn bodies(max_words: usize) -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        8 => Just(0_u64),
        4 => 0_u64..6,
        1 => (0_u64..6, 0_u64..6).prop_map(|(low, high)| low | high << 32),
        1 => any::<u64>(),
    ];
    prop::collection::vec(word, 0..max_words)
        .prop_map(|words| words.into_iter().flat_map(u64::to_le_bytes).collect())
}

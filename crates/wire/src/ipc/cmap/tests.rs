//! Sizes and offsets of the configuration map's messages, as gcc lays C's structures out on x86-64.

use proptest::prelude::*;

use super::{Got, IterItem, Notify, NotifyValue, Request, TrackAdded};
use crate::codec::{Decode, Encode, Reader};
use crate::ipc::{Answer, CsError, Handle, RequestHeader, ResponseHeader};
use crate::names::Name;
use crate::testing::{bodies, layout, pin, survives};

const KEY: Name<'_> = Name {
    length: 9,
    text: b"totem.key",
};
const HANDLE: u64 = 0x1112_1314_1516_1718;
const HANDLE_BYTES: &[u8] = &[0x18, 0x17, 0x16, 0x15, 0x14, 0x13, 0x12, 0x11];

#[test]
fn requests_with_a_key() {
    pin!(
        Request<'_>,
        Request::Set {
            key: KEY,
            value_type: 11,
            value: b"value",
        },
        301,
        &[
            (8, &[45, 1]),
            (16, &[9]),
            (24, b"totem.key"),
            (280, &[5]),
            (288, &[11]),
            (296, b"value"),
        ]
    );
    pin!(
        Request<'_>,
        Request::Delete { key: KEY },
        280,
        &[(0, &[1]), (8, &[24, 1]), (16, &[9]), (24, b"totem.key")]
    );
    pin!(
        Request<'_>,
        Request::Get {
            key: KEY,
            capacity: HANDLE,
        },
        288,
        &[
            (0, &[2]),
            (8, &[32, 1]),
            (16, &[9]),
            (24, b"totem.key"),
            (280, HANDLE_BYTES),
        ]
    );
    pin!(
        Request<'_>,
        Request::AdjustInt { key: KEY, step: -2 },
        288,
        &[
            (0, &[3]),
            (8, &[32, 1]),
            (16, &[9]),
            (24, b"totem.key"),
            (280, &[0xfe, 0xff, 0xff, 0xff]),
        ]
    );
}

#[test]
fn iterations_and_trackers() {
    pin!(
        Request<'_>,
        Request::IterInit { prefix: KEY },
        280,
        &[(0, &[4]), (8, &[24, 1]), (16, &[9]), (24, b"totem.key")]
    );
    pin!(
        Request<'_>,
        Request::IterNext { handle: HANDLE },
        24,
        &[(0, &[5]), (8, &[24]), (16, HANDLE_BYTES)]
    );
    pin!(
        Request<'_>,
        Request::IterFinalize { handle: HANDLE },
        24,
        &[(0, &[6]), (8, &[24]), (16, HANDLE_BYTES)]
    );
    pin!(
        Request<'_>,
        Request::TrackAdd {
            key: Name::NONE,
            flags: super::TRACK_ADD | super::TRACK_PREFIX,
            instance: HANDLE,
        },
        296,
        &[(0, &[7]), (8, &[40, 1]), (280, &[12]), (288, HANDLE_BYTES)]
    );
    pin!(
        Request<'_>,
        Request::TrackDelete { handle: HANDLE },
        24,
        &[(0, &[8]), (8, &[24]), (16, HANDLE_BYTES)]
    );
    pin!(
        Request<'_>,
        Request::SetCurrentMap {
            map: super::MAP_STATS,
        },
        24,
        &[(0, &[9]), (8, &[24]), (16, &[1])]
    );
}

#[test]
fn got_fills_the_clients_buffer() {
    pin!(
        Answer<Got<'_>>,
        Answer(Ok(Got::value(11, b"joined\0", 10))),
        50,
        &[
            (0, &[2]),
            (8, &[50]),
            (16, &[1]),
            (24, &[7]),
            (32, &[11]),
            (40, b"joined"),
        ]
    );
    pin!(
        Answer<Got<'_>>,
        Answer(Ok(Got::length(8, 8))),
        40,
        &[(0, &[2]), (8, &[40]), (16, &[1]), (24, &[8]), (32, &[8])]
    );
    let failed = Answer::<Got<'_>>(Err(CsError::NotExist)).to_vec();
    layout(&failed, 40, &[(0, &[2]), (8, &[40]), (16, &[12])]);
}

#[test]
fn other_answers() {
    pin!(
        Answer<IterItem<'_>>,
        Answer(Ok(IterItem {
            key: KEY,
            value_len: HANDLE,
            value_type: 6,
        })),
        304,
        &[
            (0, &[5]),
            (8, &[48, 1]),
            (16, &[1]),
            (24, &[9]),
            (32, b"totem.key"),
            (288, HANDLE_BYTES),
            (296, &[6]),
        ]
    );
    pin!(
        Answer<TrackAdded>,
        Answer(Ok(Handle(HANDLE))),
        32,
        &[(0, &[7]), (8, &[32]), (16, &[1]), (24, HANDLE_BYTES)]
    );
}

#[test]
fn notification() {
    pin!(
        Notify<'_>,
        Notify {
            instance: HANDLE,
            key: KEY,
            event: super::TRACK_MODIFY,
            new: NotifyValue {
                value_type: 11,
                value: b"new\0",
            },
            old: NotifyValue {
                value_type: 6,
                value: &[4, 3, 2, 1],
            },
        },
        344,
        &[
            (0, &[9]),
            (8, &[88, 1]),
            (16, &[1]),
            (24, HANDLE_BYTES),
            (32, &[9]),
            (40, b"totem.key"),
            (296, &[2]),
            (304, &[11]),
            (312, &[6]),
            (320, &[4]),
            (328, &[4]),
            (336, b"new"),
            (340, &[4, 3, 2, 1]),
        ]
    );
    survives!(
        Notify<'_>,
        &Notify {
            instance: 1,
            key: KEY,
            event: super::TRACK_ADD,
            new: NotifyValue::NONE,
            old: NotifyValue::NONE,
        }
        .to_vec()
    );
}

#[test]
fn a_value_longer_than_its_message_is_refused() {
    let request = Request::Set {
        key: KEY,
        value_type: 12,
        value: b"abc",
    };
    let mut bytes = request.to_vec();
    for length in [4_u64, u64::from(u32::MAX), u64::MAX] {
        bytes[280..288].copy_from_slice(&length.to_le_bytes());
        assert!(Request::decode(&mut Reader::new(&bytes)).is_err());
    }
}

proptest! {
    #[test]
    fn what_bytes_mean_survives(id in -1_i32..12, body in bodies(60)) {
        let mut request = RequestHeader::new(id, 16 + body.len()).to_vec();
        request.extend(&body);
        survives!(Request<'_>, &request);
        let mut response = ResponseHeader::new(id, 24 + body.len(), Ok(())).to_vec();
        response.extend(&body);
        survives!(Notify<'_>, &response);
        survives!(Answer<Got<'_>>, &response);
        survives!(Answer<IterItem<'_>>, &response);
    }

    #[test]
    fn any_bytes_are_a_message_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        survives!(Request<'_>, &bytes);
        survives!(Notify<'_>, &bytes);
        survives!(Answer<Got<'_>>, &bytes);
    }
}

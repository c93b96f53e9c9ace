//! Sizes and offsets of the voting quorum provider's messages, as gcc lays C's structures out on x86-64.

use proptest::prelude::*;

use super::{Event, Info, InfoFlags, NodeState, Request};
use crate::codec::Encode;
use crate::ids::NodeId;
use crate::ipc::{Answer, CsError, RequestHeader, ResponseHeader};
use crate::testing::{REP, RING, SEQ, bodies, layout, pin, survives};

const NODE: NodeId = NodeId(0x0102_0304);
const NODE_BYTES: &[u8] = &[4, 3, 2, 1];
const CONTEXT: u64 = 0x1112_1314_1516_1718;
const CONTEXT_BYTES: &[u8] = &[0x18, 0x17, 0x16, 0x15, 0x14, 0x13, 0x12, 0x11];

#[test]
fn requests_about_votes() {
    pin!(
        Request<'_>,
        Request::GetInfo { nodeid: NODE },
        24,
        &[(8, &[24]), (16, NODE_BYTES)]
    );
    pin!(
        Request<'_>,
        Request::SetExpected { votes: 5 },
        24,
        &[(0, &[1]), (8, &[24]), (16, &[5])]
    );
    pin!(
        Request<'_>,
        Request::SetVotes {
            votes: 5,
            nodeid: NODE,
        },
        24,
        &[(0, &[2]), (8, &[24]), (16, &[5]), (20, NODE_BYTES)]
    );
    pin!(
        Request<'_>,
        Request::TrackStart {
            context: CONTEXT,
            flags: 2,
        },
        32,
        &[(0, &[3]), (8, &[32]), (16, CONTEXT_BYTES), (24, &[2])]
    );
    pin!(
        Request<'_>,
        Request::TrackStop,
        16,
        &[(0, &[4]), (8, &[16])]
    );
}

#[test]
fn requests_of_devices() {
    pin!(
        Request<'_>,
        Request::DeviceRegister { name: b"Qdevice" },
        272,
        &[(0, &[5]), (8, &[16, 1]), (16, b"Qdevice")]
    );
    pin!(
        Request<'_>,
        Request::DeviceUnregister { name: b"Qdevice" },
        272,
        &[(0, &[6]), (8, &[16, 1]), (16, b"Qdevice")]
    );
    pin!(
        Request<'_>,
        Request::DeviceUpdate {
            old: b"old",
            new: b"new",
        },
        528,
        &[(0, &[7]), (8, &[16, 2]), (16, b"old"), (271, b"new")]
    );
    pin!(
        Request<'_>,
        Request::DevicePoll {
            name: b"Qdevice",
            cast_vote: 1,
            ring: RING,
        },
        296,
        &[
            (0, &[8]),
            (8, &[40, 1]),
            (16, b"Qdevice"),
            (272, &[1]),
            (280, REP),
            (288, SEQ),
        ]
    );
    pin!(
        Request<'_>,
        Request::DeviceMasterWins {
            name: b"Qdevice",
            allow: 1,
        },
        280,
        &[(0, &[9]), (8, &[24, 1]), (16, b"Qdevice"), (272, &[1])]
    );
}

#[test]
fn info() {
    pin!(
        Answer<Info<'_>>,
        Answer(Ok(Info {
            nodeid: NODE,
            state: NodeState::LEAVING,
            votes: 4,
            expected_votes: 5,
            highest_expected: 6,
            total_votes: 7,
            quorum: 8,
            flags: InfoFlags::QUORATE.with(InfoFlags::QDEVICE_MASTER_WINS),
            device_votes: 9,
            device_name: b"Qdevice",
        })),
        320,
        &[
            (0, &[1]),
            (8, &[64, 1]),
            (16, &[1]),
            (24, NODE_BYTES),
            (28, &[3]),
            (32, &[4]),
            (36, &[5]),
            (40, &[6]),
            (44, &[7]),
            (48, &[8]),
            (52, &[2, 2]),
            (56, &[9]),
            (60, b"Qdevice"),
        ]
    );
    let failed = Answer::<Info<'_>>(Err(CsError::NotExist)).to_vec();
    layout(&failed, 320, &[(0, &[1]), (8, &[64, 1]), (16, &[12])]);
}

#[test]
fn events() {
    pin!(
        Event,
        Event::Quorum {
            quorate: 1,
            context: CONTEXT,
            nodes: vec![(NODE, NodeState::MEMBER), (NodeId(0), NodeState::DEAD)],
        },
        64,
        &[
            (0, &[3]),
            (8, &[64]),
            (16, &[1]),
            (24, &[1]),
            (32, CONTEXT_BYTES),
            (40, &[2]),
            (48, NODE_BYTES),
            (52, &[1]),
            (60, &[2]),
        ]
    );
    pin!(
        Event,
        Event::ExpectedVotes {
            context: CONTEXT,
            votes: 5,
        },
        40,
        &[
            (0, &[4]),
            (8, &[40]),
            (16, &[1]),
            (24, CONTEXT_BYTES),
            (32, &[5]),
        ]
    );
    pin!(
        Event,
        Event::NodeList {
            context: CONTEXT,
            ring: RING,
            nodes: vec![NODE, NodeId(9), NodeId(10)],
        },
        68,
        &[
            (0, &[5]),
            (8, &[68]),
            (16, &[1]),
            (24, CONTEXT_BYTES),
            (32, REP),
            (40, SEQ),
            (48, &[3]),
            (56, NODE_BYTES),
            (60, &[9]),
            (64, &[10]),
        ]
    );
}

proptest! {
    #[test]
    fn what_bytes_mean_survives(id in -1_i32..11, body in bodies(80)) {
        let mut request = RequestHeader::new(id, 16 + body.len()).to_vec();
        request.extend(&body);
        survives!(Request<'_>, &request);
        let mut response = ResponseHeader::new(id, 24 + body.len(), Ok(())).to_vec();
        response.extend(&body);
        survives!(Event, &response);
        survives!(Answer<Info<'_>>, &response);
    }

    #[test]
    fn any_bytes_are_a_message_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        survives!(Request<'_>, &bytes);
        survives!(Event, &bytes);
        survives!(Answer<Info<'_>>, &bytes);
    }
}

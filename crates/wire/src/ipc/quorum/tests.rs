//! Sizes and offsets of quorum's messages, as gcc lays C's structures out on x86-64.

use proptest::prelude::*;

use super::{Event, ModelType, Request};
use crate::codec::Encode;
use crate::ids::{NodeId, RingSeq};
use crate::ipc::{Answer, Number, RequestHeader, ResponseHeader};
use crate::testing::{REP, RING, SEQ, bodies, pin, survives};

const NODE: NodeId = NodeId(0x0102_0304);
const NODE_BYTES: &[u8] = &[4, 3, 2, 1];

#[test]
fn requests() {
    pin!(Request, Request::GetQuorate, 16, &[(8, &[16])]);
    pin!(
        Request,
        Request::TrackStart {
            flags: super::TRACK_CHANGES_ONLY | super::TRACK_CURRENT,
        },
        24,
        &[(0, &[1]), (8, &[24]), (16, &[5])]
    );
    pin!(Request, Request::TrackStop, 16, &[(0, &[2]), (8, &[16])]);
    pin!(Request, Request::GetType, 16, &[(0, &[3]), (8, &[16])]);
    pin!(
        Request,
        Request::ModelGetType { model: 1 },
        24,
        &[(0, &[4]), (8, &[24]), (16, &[1])]
    );
}

#[test]
fn answers() {
    pin!(
        Answer<super::Quorate>,
        Answer(Ok(Number(1))),
        32,
        &[(8, &[32]), (16, &[1]), (24, &[1])]
    );
    pin!(
        Answer<super::Type>,
        Answer(Ok(Number(1))),
        32,
        &[(0, &[4]), (8, &[32]), (16, &[1]), (24, &[1])]
    );
    pin!(
        Answer<ModelType>,
        Answer(Ok(Number(1))),
        32,
        &[(0, &[5]), (8, &[32]), (16, &[1]), (24, &[1])]
    );
}

#[test]
fn quorum_events() {
    pin!(
        Event,
        Event::V0 {
            quorate: 1,
            ring_seq: RingSeq(RING.seq.0),
            view: vec![NODE, NodeId(9)],
        },
        56,
        &[
            (0, &[3]),
            (8, &[56]),
            (16, &[1]),
            (24, &[1]),
            (32, SEQ),
            (40, &[2]),
            (44, NODE_BYTES),
            (48, &[9]),
        ]
    );
    pin!(
        Event,
        Event::Quorum {
            quorate: 1,
            ring: RING,
            view: vec![NODE, NodeId(9)],
        },
        64,
        &[
            (0, &[6]),
            (8, &[64]),
            (16, &[1]),
            (24, &[1]),
            (32, REP),
            (40, SEQ),
            (48, &[2]),
            (52, NODE_BYTES),
            (56, &[9]),
        ]
    );
}

#[test]
fn node_list() {
    pin!(
        Event,
        Event::NodeList {
            ring: RING,
            members: vec![NODE, NodeId(9)],
            joined: vec![NodeId(9)],
            left: vec![NodeId(10), NodeId(11), NodeId(12)],
        },
        88,
        &[
            (0, &[7]),
            (8, &[88]),
            (16, &[1]),
            (24, REP),
            (32, SEQ),
            (40, &[2]),
            (48, &[1]),
            (56, &[3]),
            (60, NODE_BYTES),
            (64, &[9]),
            (68, &[9]),
            (72, &[10]),
            (76, &[11]),
            (80, &[12]),
        ]
    );
}

proptest! {
    #[test]
    fn what_bytes_mean_survives(id in -1_i32..9, body in bodies(24)) {
        let mut request = RequestHeader::new(id, 16 + body.len()).to_vec();
        request.extend(&body);
        survives!(Request, &request);
        let mut response = ResponseHeader::new(id, 24 + body.len(), Ok(())).to_vec();
        response.extend(&body);
        survives!(Event, &response);
        survives!(Answer<ModelType>, &response);
    }

    #[test]
    fn any_bytes_are_a_message_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        survives!(Request, &bytes);
        survives!(Event, &bytes);
    }
}

//! Sizes and offsets of closed process groups' messages, as gcc lays C's structures out on x86-64.

use proptest::prelude::*;

use super::{
    Address, Confchg, Deliver, Event, IterItem, IterScope, LocalNode, Membership, PartialDeliver,
    PieceKind, Reason, Request, TotemConfchg, ZeroCopy,
};
use crate::codec::{Decode, Encode, Reader};
use crate::ids::NodeId;
use crate::ipc::{Answer, CsError, Number, RequestHeader, ResponseHeader};
use crate::names::GroupName;
use crate::testing::{REP, RING, SEQ, bodies, group, layout, pin, survives};

const PID: u32 = 0x0102_0304;
const PID_BYTES: &[u8] = &[4, 3, 2, 1];
const HANDLE: u64 = 0x1112_1314_1516_1718;
const HANDLE_BYTES: &[u8] = &[0x18, 0x17, 0x16, 0x15, 0x14, 0x13, 0x12, 0x11];

const fn address(nodeid: u32, pid: u32, reason: Reason) -> Address {
    Address {
        nodeid: NodeId(nodeid),
        pid,
        reason,
    }
}

#[test]
fn group_requests() {
    pin!(
        Request<'_>,
        Request::Join {
            group: group(),
            pid: PID,
            flags: super::JOIN_INITIAL_TOTEM_CONF,
        },
        168,
        &[
            (8, &[168]),
            (16, &[5]),
            (24, b"group"),
            (152, PID_BYTES),
            (160, &[1]),
        ]
    );
    pin!(
        Request<'_>,
        Request::Leave {
            group: group(),
            pid: PID,
        },
        160,
        &[
            (0, &[1]),
            (8, &[160]),
            (16, &[5]),
            (24, b"group"),
            (152, PID_BYTES),
        ]
    );
    pin!(
        Request<'_>,
        Request::Membership { group: group() },
        152,
        &[(0, &[3]), (8, &[152]), (16, &[5]), (24, b"group")]
    );
}

#[test]
fn messages() {
    pin!(
        Request<'_>,
        Request::Mcast {
            guarantee: 2,
            data: b"payload",
        },
        47,
        &[
            (0, &[2]),
            (8, &[47]),
            (24, &[2]),
            (32, &[7]),
            (40, b"payload"),
        ]
    );
    pin!(
        Request<'_>,
        Request::PartialMcast {
            guarantee: 2,
            msglen: 0x0a0b_0c0d,
            kind: PieceKind::FIRST,
            data: b"piece",
        },
        61,
        &[
            (0, &[12]),
            (8, &[61]),
            (24, &[2]),
            (32, &[0x0d, 0x0c, 0x0b, 0x0a]),
            (40, &[5]),
            (48, &[1]),
            (56, b"piece"),
        ]
    );
}

#[test]
fn requests_without_much() {
    pin!(Request<'_>, Request::LocalGet, 16, &[(0, &[4]), (8, &[16])]);
    pin!(Request<'_>, Request::Finalize, 16, &[(0, &[8]), (8, &[16])]);
    pin!(
        Request<'_>,
        Request::IterNext { handle: HANDLE },
        24,
        &[(0, &[6]), (8, &[24]), (16, HANDLE_BYTES)]
    );
    pin!(
        Request<'_>,
        Request::IterFinalize { handle: HANDLE },
        24,
        &[(0, &[7]), (8, &[24]), (16, HANDLE_BYTES)]
    );
}

#[test]
fn iterations() {
    let scope = |number| [(0, &[5][..]), (8, &[160]), (152, number)];
    pin!(
        Request<'_>,
        Request::IterInit(IterScope::Names),
        160,
        &scope(&[1])
    );
    pin!(
        Request<'_>,
        Request::IterInit(IterScope::All),
        160,
        &scope(&[3])
    );
    pin!(
        Request<'_>,
        Request::IterInit(IterScope::Group(group())),
        160,
        &[
            (0, &[5]),
            (8, &[160]),
            (16, &[5]),
            (24, b"group"),
            (152, &[2]),
        ]
    );
}

#[test]
fn an_iteration_over_all_does_not_look_at_the_group() {
    let mut bytes = Request::IterInit(IterScope::All).to_vec();
    bytes[16..152].fill(0xff);
    assert_eq!(
        Request::decode(&mut Reader::new(&bytes)),
        Ok(Request::IterInit(IterScope::All))
    );
    bytes[152] = 2;
    let error = Request::decode(&mut Reader::new(&bytes)).unwrap_err();
    assert_eq!(CsError::from(error), CsError::NameTooLong);
    bytes[152] = 4;
    let error = Request::decode(&mut Reader::new(&bytes)).unwrap_err();
    assert_eq!(CsError::from(error), CsError::InvalidParam);
}

#[test]
fn zero_copy() {
    pin!(
        Request<'_>,
        Request::ZeroCopyAlloc {
            map_size: 0x0102_0304,
            path: b"/dev/shm/x",
        },
        152,
        &[(0, &[9]), (8, &[152]), (16, PID_BYTES), (24, b"/dev/shm/x")]
    );
    pin!(
        Request<'_>,
        Request::ZeroCopyFree {
            map_size: 0x0102_0304,
            server_address: HANDLE,
        },
        32,
        &[(0, &[10]), (8, &[32]), (16, PID_BYTES), (24, HANDLE_BYTES),]
    );
    pin!(
        Request<'_>,
        Request::ZeroCopyExecute {
            server_address: HANDLE,
        },
        24,
        &[(0, &[11]), (8, &[24]), (16, HANDLE_BYTES)]
    );
    pin!(
        ZeroCopy,
        ZeroCopy {
            map_size: PID,
            server_address: HANDLE,
        },
        16,
        &[(0, PID_BYTES), (ZeroCopy::SERVER_ADDRESS, HANDLE_BYTES)]
    );
    assert_eq!(
        (ZeroCopy::MCAST, ZeroCopy::MSGLEN, ZeroCopy::DATA),
        (16, 48, 56)
    );
}

#[test]
fn answers() {
    pin!(
        Answer<LocalNode>,
        Answer(Ok(Number(PID))),
        32,
        &[(0, &[7]), (8, &[32]), (16, &[1]), (24, PID_BYTES)]
    );
    pin!(
        Answer<IterItem>,
        Answer(Ok(IterItem {
            group: group(),
            nodeid: NodeId(6),
            pid: PID,
        })),
        168,
        &[
            (0, &[10]),
            (8, &[168]),
            (16, &[1]),
            (24, &[5]),
            (32, b"group"),
            (160, &[6]),
            (164, PID_BYTES),
        ]
    );
    layout(
        &Answer::<IterItem>(Err(CsError::NoSections)).to_vec(),
        168,
        &[(0, &[10]), (8, &[168]), (16, &[27])],
    );
}

#[test]
fn membership() {
    let members = vec![
        address(1, PID, Reason::UNDEFINED),
        address(2, 8, Reason::UNDEFINED),
    ];
    pin!(
        Answer<Membership>,
        Answer(Ok(Membership(members))),
        9248,
        &[
            (0, &[3]),
            (8, &[0x20, 0x24]),
            (16, &[1]),
            (24, &[2]),
            (32, &[1]),
            (40, PID_BYTES),
            (56, &[2]),
            (64, &[8]),
        ]
    );
    let crowd = Membership(vec![address(1, 1, Reason::UNDEFINED); 400]);
    let bytes = Answer(Ok(crowd)).to_vec();
    assert_eq!((bytes.len(), &bytes[24..26]), (9248, &[128, 1][..]));
}

#[test]
fn confchg() {
    pin!(
        Event<'_>,
        Event::Confchg(Confchg {
            group: group(),
            members: vec![address(1, PID, Reason::UNDEFINED)],
            left: vec![
                address(3, 13, Reason::NODEDOWN),
                address(4, 14, Reason::PROCDOWN)
            ],
            joined: vec![],
        }),
        184 + 72,
        &[
            (0, &[4]),
            (8, &[0, 1]),
            (16, &[1]),
            (24, &[5]),
            (32, b"group"),
            (160, &[1]),
            (168, &[0]),
            (176, &[2]),
            (184, &[1]),
            (192, PID_BYTES),
            (208, &[3]),
            (216, &[13]),
            (224, &[3]),
            (232, &[4]),
            (240, &[14]),
            (248, &[5]),
        ]
    );
}

#[test]
fn joined_processes_come_last() {
    let event = Event::Confchg(Confchg {
        group: group(),
        members: vec![],
        left: vec![address(3, 13, Reason::LEAVE)],
        joined: vec![address(5, 15, Reason::JOIN)],
    });
    let bytes = event.to_vec();
    assert_eq!((bytes[160], bytes[168], bytes[176]), (0, 1, 1));
    assert_eq!((bytes[184], bytes[208]), (3, 5));
    survives!(Event<'_>, &bytes);
}

#[test]
fn deliveries() {
    pin!(
        Event<'_>,
        Event::Deliver(Deliver {
            group: group(),
            nodeid: NodeId(6),
            pid: PID,
            data: b"payload",
        }),
        191,
        &[
            (0, &[5]),
            (8, &[191]),
            (16, &[1]),
            (24, &[5]),
            (32, b"group"),
            (160, &[7]),
            (168, &[6]),
            (176, PID_BYTES),
            (184, b"payload"),
        ]
    );
    pin!(
        Event<'_>,
        Event::PartialDeliver(PartialDeliver {
            group: group(),
            msglen: 0x0a0b_0c0d,
            nodeid: NodeId(6),
            pid: PID,
            kind: PieceKind::CONTINUED,
            data: b"piece",
        }),
        205,
        &[
            (0, &[17]),
            (8, &[205]),
            (16, &[1]),
            (24, &[5]),
            (32, b"group"),
            (160, &[0x0d, 0x0c, 0x0b, 0x0a]),
            (168, &[5]),
            (176, &[6]),
            (184, PID_BYTES),
            (192, &[2]),
            (200, b"piece"),
        ]
    );
}

#[test]
fn the_size_of_a_totem_confchg_counts_padding_that_follows_the_list() {
    pin!(
        Event<'_>,
        Event::TotemConfchg(TotemConfchg {
            ring: RING,
            members: vec![NodeId(PID), NodeId(9)],
        }),
        56,
        &[
            (0, &[13]),
            (8, &[56]),
            (16, &[1]),
            (24, REP),
            (32, SEQ),
            (40, &[2]),
            (44, PID_BYTES),
            (48, &[9]),
        ]
    );
}

#[test]
fn lengths_in_requests_are_checked() {
    let request = Request::Mcast {
        guarantee: 0,
        data: b"payload",
    };
    let mut bytes = request.to_vec();
    bytes[32] = 8;
    assert!(Request::decode(&mut Reader::new(&bytes)).is_err());
    bytes[32] = 6;
    assert_eq!(
        Request::decode(&mut Reader::new(&bytes)),
        Ok(Request::Mcast {
            guarantee: 0,
            data: b"payloa",
        })
    );
    let mut long = Request::Join {
        group: GroupName::EMPTY,
        pid: 1,
        flags: 0,
    }
    .to_vec();
    long[16] = 129;
    let error = Request::decode(&mut Reader::new(&long)).unwrap_err();
    assert_eq!(CsError::from(error), CsError::NameTooLong);
}

proptest! {
    #[test]
    fn what_bytes_mean_survives(id in -1_i32..20, body in bodies(1200)) {
        let mut request = RequestHeader::new(id, 16 + body.len()).to_vec();
        request.extend(&body);
        survives!(Request<'_>, &request);
        let mut response = ResponseHeader::new(id, 24 + body.len(), Ok(())).to_vec();
        response.extend(&body);
        survives!(Event<'_>, &response);
        survives!(Answer<Membership>, &response);
        survives!(Answer<IterItem>, &response);
        survives!(Answer<LocalNode>, &response);
    }

    #[test]
    fn any_bytes_are_a_message_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        survives!(Request<'_>, &bytes);
        survives!(Event<'_>, &bytes);
        survives!(Answer<Membership>, &bytes);
    }
}

//! Sizes and offsets of every message, as gcc lays C's structures out on x86-64.

use proptest::prelude::*;

use super::cpg::{Downlist, JoinEntry, Mcast, PartialMcast, PieceKind, ProcChange, Reason};
use super::votequorum::{NodeFlags, NodeInfo, Reconfigure};
use super::{Header, Source, cfg, cmap, cpg, pload, sync, votequorum, ykd};
use crate::codec::{Decode, DecodeError, Encode, Reader};
use crate::ids::{NodeId, ServiceId};
use crate::names::{GroupName, Name};
use crate::testing::{REP, RING, SEQ, bodies, group, layout, pin, survives};

const SOURCE: Source = Source {
    nodeid: NodeId(0x7172_7374),
    conn: 0x8182_8384_8586_8788,
};
const SOURCE_NODE: &[u8] = &[0x74, 0x73, 0x72, 0x71];
const SOURCE_CONN: &[u8] = &[0x88, 0x87, 0x86, 0x85, 0x84, 0x83, 0x82, 0x81];

#[test]
fn the_id_is_service_and_function() {
    let header = Header::new(ServiceId::VOTEQUORUM, 2, 280);
    pin!(Header, header, 16, &[(0, &[2, 0, 5, 0]), (8, &[24, 1])]);
}

#[test]
fn cpg_process_changes() {
    let change = ProcChange {
        group: group(),
        pid: 0x0102_0304,
        reason: Reason::PROCDOWN,
    };
    let fields = |function| {
        [
            (0, function),
            (8, &[168][..]),
            (16, &[5]),
            (24, b"group"),
            (152, &[4, 3, 2, 1]),
            (160, &[5]),
        ]
    };
    pin!(
        cpg::Message<'_>,
        cpg::Message::ProcJoin(change.clone()),
        168,
        &fields(&[0, 0, 2, 0])
    );
    pin!(
        cpg::Message<'_>,
        cpg::Message::ProcLeave(change),
        168,
        &fields(&[1, 0, 2, 0])
    );
}

#[test]
fn cpg_join_list() {
    let entry = |pid, name: &[u8]| JoinEntry {
        pid,
        group: GroupName::new(name).unwrap(),
    };
    pin!(
        cpg::Message<'_>,
        cpg::Message::JoinList(vec![entry(0x0102_0304, b"one"), entry(9, b"other")]),
        24 + 2 * 144,
        &[
            (0, &[2, 0, 2, 0]),
            (8, &[0x38, 1]),
            (24, &[4, 3, 2, 1]),
            (32, &[3]),
            (40, b"one"),
            (168, &[9]),
            (176, &[5]),
            (184, b"other"),
        ]
    );
}

#[test]
fn a_join_list_ends_where_its_size_says() {
    let entry = JoinEntry {
        pid: 1,
        group: group(),
    };
    let two = cpg::Message::JoinList(vec![entry.clone(), entry.clone()]).to_vec();
    let with_size = |size: u32| {
        let mut bytes = two.clone();
        bytes[8..12].copy_from_slice(&size.to_le_bytes());
        let mut r = Reader::new(&bytes);
        cpg::Message::decode(&mut r).map(|list| (list.to_vec().len() - 24) / 144)
    };
    assert_eq!(with_size(24 + 288), Ok(2));
    assert_eq!(with_size(24 + 144), Ok(1));
    assert_eq!(with_size(0), Ok(0));
    assert!(matches!(
        with_size(24 + 145),
        Err(DecodeError::Truncated { .. })
    ));
    assert!(matches!(
        with_size(24 + 432),
        Err(DecodeError::Truncated { .. })
    ));
    assert!(matches!(
        with_size(u32::MAX),
        Err(DecodeError::Truncated { .. })
    ));
}

#[test]
fn cpg_mcast() {
    pin!(
        cpg::Message<'_>,
        cpg::Message::Mcast(Mcast {
            group: group(),
            pid: 0x0102_0304,
            source: SOURCE,
            data: b"payload",
        }),
        184 + 7,
        &[
            (0, &[3, 0, 2, 0]),
            (8, &[191]),
            (16, &[5]),
            (24, b"group"),
            (152, &[7]),
            (160, &[4, 3, 2, 1]),
            (168, SOURCE_NODE),
            (176, SOURCE_CONN),
            (184, b"payload"),
        ]
    );
}

#[test]
fn cpg_partial_mcast() {
    pin!(
        cpg::Message<'_>,
        cpg::Message::PartialMcast(PartialMcast {
            group: group(),
            msglen: 0x0a0b_0c0d,
            pid: 0x0102_0304,
            kind: PieceKind::LAST,
            source: SOURCE,
            data: b"piece",
        }),
        200 + 5,
        &[
            (0, &[6, 0, 2, 0]),
            (8, &[205]),
            (16, &[5]),
            (24, b"group"),
            (152, &[0x0d, 0x0c, 0x0b, 0x0a]),
            (160, &[5]),
            (168, &[4, 3, 2, 1]),
            (176, &[3]),
            (184, SOURCE_NODE),
            (192, SOURCE_CONN),
            (200, b"piece"),
        ]
    );
}

#[test]
fn cpg_downlists() {
    pin!(
        cpg::Message<'_>,
        cpg::Message::Downlist(Downlist {
            old_members: 3,
            left: vec![NodeId(0x0102_0304), NodeId(7)],
        }),
        1568,
        &[
            (0, &[5, 0, 2, 0]),
            (8, &[0x20, 6]),
            (16, &[3]),
            (24, &[2]),
            (32, &[4, 3, 2, 1]),
            (36, &[7]),
        ]
    );
    pin!(
        cpg::Message<'_>,
        cpg::Message::DownlistOld,
        1560,
        &[(0, &[4, 0, 2, 0]), (8, &[0x18, 6])]
    );
    let mut too_many = cpg::Message::Downlist(Downlist {
        old_members: 0,
        left: vec![NodeId(1); 400],
    })
    .to_vec();
    assert_eq!(too_many.len(), 1568);
    assert_eq!(too_many[24..26], [128, 1]);
    too_many[24] = 129;
    assert!(matches!(
        cpg::Message::decode(&mut Reader::new(&too_many)),
        Err(DecodeError::TooMany {
            count: 385,
            max: 384,
            ..
        })
    ));
}

#[test]
fn votequorum_numbers() {
    pin!(
        votequorum::Message<'_>,
        votequorum::Message::NodeInfo(NodeInfo {
            nodeid: NodeId(0x0102_0304),
            votes: 2,
            expected_votes: 3,
            flags: NodeFlags::FIRST.with(NodeFlags::QUORATE),
        }),
        32,
        &[
            (0, &[0, 0, 5, 0]),
            (8, &[32]),
            (16, &[4, 3, 2, 1]),
            (20, &[2]),
            (24, &[3]),
            (28, &[9]),
        ]
    );
    pin!(
        votequorum::Message<'_>,
        votequorum::Message::Reconfigure(Reconfigure {
            nodeid: NodeId(0x0102_0304),
            value: 5,
            param: Reconfigure::CANCEL_WAIT_FOR_ALL,
        }),
        32,
        &[
            (0, &[1, 0, 5, 0]),
            (8, &[32]),
            (16, &[4, 3, 2, 1]),
            (20, &[5]),
            (24, &[3]),
        ]
    );
}

#[test]
fn votequorum_devices() {
    pin!(
        votequorum::Message<'_>,
        votequorum::Message::DeviceReg {
            operation: votequorum::Message::REGISTER,
            name: b"Qdevice",
        },
        280,
        &[
            (0, &[2, 0, 5, 0]),
            (8, &[24, 1]),
            (16, &[1]),
            (20, b"Qdevice")
        ]
    );
    pin!(
        votequorum::Message<'_>,
        votequorum::Message::DeviceReconfigure {
            old: b"old",
            new: b"new",
        },
        528,
        &[
            (0, &[3, 0, 5, 0]),
            (8, &[16, 2]),
            (16, b"old"),
            (271, b"new")
        ]
    );
}

#[test]
fn administration() {
    use cfg::Message;
    let source = |function| {
        [
            (0, function),
            (8, &[32][..]),
            (16, SOURCE_NODE),
            (24, SOURCE_CONN),
        ]
    };
    pin!(
        Message<'_>,
        Message::RingReenable(SOURCE),
        32,
        &source(&[0, 0, 1, 0])
    );
    pin!(
        Message<'_>,
        Message::Reload(SOURCE),
        32,
        &source(&[3, 0, 1, 0])
    );
    pin!(
        Message<'_>,
        Message::KillNode {
            nodeid: NodeId(0x0102_0304),
            reason: Name::new(b"why"),
        },
        288,
        &[
            (0, &[1, 0, 1, 0]),
            (8, &[32, 1]),
            (16, &[4, 3, 2, 1]),
            (24, &[3]),
            (32, b"why"),
        ]
    );
    pin!(
        Message<'_>,
        Message::Shutdown,
        16,
        &[(0, &[2, 0, 1, 0]), (8, &[16])]
    );
    pin!(
        Message<'_>,
        Message::CryptoReconfig {
            phase: Message::CRYPTO_CLEANUP,
        },
        24,
        &[(0, &[4, 0, 1, 0]), (8, &[24]), (16, &[2])]
    );
}

#[test]
fn configuration_map() {
    let item = |value_type, value| cmap::Item {
        key: Name::new(b"key"),
        value_type,
        value,
    };
    pin!(
        cmap::Message<'_>,
        cmap::Message {
            reason: cmap::Message::NEW_CONFIG_VERSION,
            items: vec![item(11, b"nine byte"), item(0, b"")],
        },
        48 + 280 + 16 + 280,
        &[
            (8, &[0x70, 2]),
            (16, &[1]),
            (24, &[2]),
            (48, &[3]),
            (56, b"key"),
            (48 + 264, &[11]),
            (48 + 272, &[9]),
            (48 + 280, b"nine byte"),
            (344, &[3]),
            (352, b"key"),
        ]
    );
}

#[test]
fn synchronisation() {
    use sync::Message;
    pin!(
        Message,
        Message::Barrier { ring: RING },
        32,
        &[(8, &[32]), (16, REP), (20, SEQ)]
    );
    pin!(
        Message,
        Message::ServiceBuild {
            ring: RING,
            services: vec![0, 2, 0x0102_0304],
        },
        552,
        &[
            (0, &[1]),
            (8, &[0x28, 2]),
            (16, REP),
            (20, SEQ),
            (32, &[3]),
            (44, &[2]),
            (48, &[4, 3, 2, 1]),
        ]
    );
    let mut bytes = Message::ServiceBuild {
        ring: RING,
        services: vec![1; 200],
    }
    .to_vec();
    assert_eq!((bytes.len(), bytes[32]), (552, 128));
    bytes[32] = 129;
    assert!(matches!(
        Message::decode(&mut Reader::new(&bytes)),
        Err(DecodeError::TooMany { count: 129, .. })
    ));
}

#[test]
fn load() {
    use pload::Message;
    pin!(
        Message<'_>,
        Message::Start {
            count: 5,
            size: 300
        },
        24,
        &[(0, &[0, 0, 4, 0]), (8, &[24]), (16, &[5]), (20, &[44, 1])]
    );
    let load = Message::Mcast(b"load").to_vec();
    layout(&load, 20, &[(0, &[1, 0, 4, 0]), (8, &[20]), (16, b"load")]);
    survives!(Message<'_>, &load);
    // C leaves the size of a start message unset.
    let mut start = Message::Start { count: 1, size: 2 }.to_vec();
    start[8..12].copy_from_slice(&[0xff; 4]);
    assert!(Message::decode(&mut Reader::new(&start)).is_ok());
}

#[test]
fn dynamic_voting() {
    use ykd::{Message, Session, State};
    let session = |members: &[u32], id| Session {
        members: members.iter().copied().map(NodeId).collect(),
        id,
    };
    let state = State {
        last_primary: session(&[0x0102_0304, 5], 6),
        last_formed: vec![session(&[7], 8)],
        ambiguous: vec![session(&[], 0), session(&[9], 10)],
        session_id: 11,
    };
    let fields: &[(usize, &[u8])] = &[
        (4, &[4, 3, 2, 1, 5]),
        (132, &[2]),
        (136, &[6]),
        (140, &[7]),
        (268, &[1]),
        (272, &[8]),
        (4_492, &[1]),
        (4_632, &[9]),
        (4_760, &[1]),
        (4_764, &[10]),
        (8_848, &[2]),
        (8_852, &[11, 0, 0, 0]),
    ];
    pin!(Message, Message::State(Box::new(state)), 8_856, fields);
    pin!(Message, Message::Attempt, 4, &[(0, &[1, 0, 0, 0])]);
    // More than an array holds, which C believes.
    for offset in [132, 4_492, 8_848] {
        let mut bytes = vec![0; 8_856];
        bytes[offset] = 33;
        let decoded = Message::decode(&mut Reader::new(&bytes));
        let refused = matches!(decoded, Err(DecodeError::TooMany { count: 33, .. }));
        assert!(refused, "{offset}");
    }
}

#[test]
fn another_service_or_function_is_refused() {
    let mut bytes = cpg::Message::DownlistOld.to_vec();
    bytes[2] = 1;
    assert!(cpg::Message::decode(&mut Reader::new(&bytes)).is_err());
    bytes[..4].copy_from_slice(&[7, 0, 2, 0]);
    assert!(cpg::Message::decode(&mut Reader::new(&bytes)).is_err());
    bytes[..4].copy_from_slice(&[0, 1, 2, 0]);
    assert!(cpg::Message::decode(&mut Reader::new(&bytes)).is_err());
}

proptest! {
    #[test]
    fn what_bytes_mean_survives(service in 0_u16..8, function in 0_u16..8, body in bodies(320)) {
        let mut bytes = Header::new(ServiceId(service), function, 16 + body.len()).to_vec();
        bytes.extend(body);
        survives!(cpg::Message<'_>, &bytes);
        survives!(votequorum::Message<'_>, &bytes);
        survives!(cfg::Message<'_>, &bytes);
        survives!(cmap::Message<'_>, &bytes);
        survives!(sync::Message, &bytes);
        survives!(pload::Message<'_>, &bytes);
        survives!(ykd::Message, &bytes);
    }

    #[test]
    fn any_bytes_are_a_message_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        survives!(cpg::Message<'_>, &bytes);
        survives!(votequorum::Message<'_>, &bytes);
        survives!(cfg::Message<'_>, &bytes);
        survives!(cmap::Message<'_>, &bytes);
        survives!(sync::Message, &bytes);
        survives!(pload::Message<'_>, &bytes);
        survives!(ykd::Message, &bytes);
    }
}

//! Sizes and offsets of administration's messages, as gcc lays C's structures out on x86-64.

use proptest::prelude::*;

use super::{
    Interface, LinkStatus, NodeAddrs, NodeStatus, Request, RingStatus, ShutdownFlags, TestShutdown,
};
use crate::codec::{Decode, Encode, Reader};
use crate::ids::NodeId;
use crate::ipc::{Answer, CsError, RequestHeader, ResponseHeader};
use crate::names::Name;
use crate::testing::{bodies, layout, pin, survives};

const NODE: NodeId = NodeId(0x0102_0304);
const NODE_BYTES: &[u8] = &[4, 3, 2, 1];

#[test]
fn requests_without_parameters() {
    pin!(Request<'_>, Request::RingStatusGet, 16, &[(8, &[16])]);
    pin!(
        Request<'_>,
        Request::RingReenable,
        16,
        &[(0, &[1]), (8, &[16])]
    );
    pin!(Request<'_>, Request::LocalGet, 16, &[(0, &[6]), (8, &[16])]);
    pin!(
        Request<'_>,
        Request::ReloadConfig,
        16,
        &[(0, &[7]), (8, &[16])]
    );
    pin!(
        Request<'_>,
        Request::ReopenLogFiles,
        16,
        &[(0, &[8]), (8, &[16])]
    );
    pin!(
        Request<'_>,
        Request::TrackStop,
        16,
        &[(0, &[11]), (8, &[16])]
    );
}

#[test]
fn requests_with_parameters() {
    pin!(
        Request<'_>,
        Request::KillNode {
            nodeid: NODE,
            reason: Name::new(b"why"),
        },
        288,
        &[
            (0, &[2]),
            (8, &[32, 1]),
            (16, NODE_BYTES),
            (24, &[3]),
            (26, b"why"),
        ]
    );
    pin!(
        Request<'_>,
        Request::TryShutdown(ShutdownFlags::IMMEDIATE),
        24,
        &[(0, &[3]), (8, &[24]), (16, &[2])]
    );
    pin!(
        Request<'_>,
        Request::ReplyToShutdown { response: 1 },
        24,
        &[(0, &[4]), (8, &[24]), (16, &[1])]
    );
    pin!(
        Request<'_>,
        Request::GetNodeAddrs { nodeid: NODE },
        24,
        &[(0, &[5]), (8, &[24]), (16, NODE_BYTES)]
    );
    pin!(
        Request<'_>,
        Request::NodeStatusGet {
            nodeid: NODE,
            version: NodeStatus::VERSION,
        },
        32,
        &[(0, &[9]), (8, &[32]), (16, NODE_BYTES), (24, &[1])]
    );
    pin!(
        Request<'_>,
        Request::TrackStart { flags: 7 },
        24,
        &[(0, &[10]), (8, &[24]), (16, &[7])]
    );
}

#[test]
fn ring_status() {
    let interface = |name, status| Interface { name, status };
    pin!(
        Answer<RingStatus<'_>>,
        Answer(Ok(RingStatus(vec![
            interface(b"0 10.0.0.1", b"n3"),
            interface(b"1 10.0.1.1", b"333"),
        ]))),
        10272,
        &[
            (8, &[0x20, 0x28]),
            (16, &[1]),
            (24, &[2]),
            (32, b"0 10.0.0.1"),
            (160, b"1 10.0.1.1"),
            (2080, b"n3"),
            (2592, b"333"),
        ]
    );
    let many = RingStatus(vec![interface(b"x", b"y"); 20]);
    let mut bytes = Answer(Ok(many)).to_vec();
    assert_eq!((bytes.len(), bytes[24]), (10272, 16));
    bytes[24] = 17;
    assert!(Answer::<RingStatus<'_>>::decode(&mut Reader::new(&bytes)).is_err());
}

#[test]
fn long_texts_keep_their_nul() {
    let long = [b'x'; 600];
    let bytes = Answer(Ok(RingStatus(vec![Interface {
        name: &long,
        status: &long,
    }])))
    .to_vec();
    assert_eq!((bytes[32 + 126], bytes[32 + 127]), (b'x', 0));
    assert_eq!((bytes[2080 + 510], bytes[2080 + 511]), (b'x', 0));
}

#[test]
fn node_addresses() {
    let mut v4 = [0; 16];
    v4[..4].copy_from_slice(&[10, 0, 0, 1]);
    pin!(
        Answer<NodeAddrs>,
        Answer(Ok(NodeAddrs {
            family: 2,
            addresses: vec![v4, [0xfd; 16]],
        })),
        64,
        &[
            (0, &[11]),
            (8, &[64]),
            (16, &[1]),
            (24, &[2]),
            (28, &[2]),
            (32, &[10, 0, 0, 1]),
            (48, &[0xfd; 16]),
        ]
    );
    let failed = Answer::<NodeAddrs>(Err(CsError::NotExist)).to_vec();
    layout(&failed, 32, &[(0, &[11]), (8, &[32]), (16, &[12])]);
}

#[test]
fn node_status() {
    let mut links = [LinkStatus::default(); 8];
    links[1] = LinkStatus {
        enabled: true,
        connected: true,
        dynconnected: true,
        mtu: 0x0a0b_0c0d,
        src: b"10.0.0.1",
        dst: b"10.0.0.2",
    };
    pin!(
        Answer<NodeStatus<'_>>,
        Answer(Ok(NodeStatus {
            nodeid: NODE,
            reachable: true,
            remote: false,
            external: true,
            onwire_min: 1,
            onwire_max: 2,
            onwire_ver: 3,
            links,
        })),
        4200,
        &[
            (0, &[16]),
            (8, &[0x68, 0x10]),
            (16, &[1]),
            (24, &[1]),
            (28, NODE_BYTES),
            (32, &[1, 0, 1, 1, 2, 3]),
            (560, &[1, 1, 1]),
            (564, &[0x0d, 0x0c, 0x0b, 0x0a]),
            (568, b"10.0.0.1"),
            (824, b"10.0.0.2"),
        ]
    );
    let failed = Answer::<NodeStatus<'_>>(Err(CsError::NotSupported)).to_vec();
    layout(&failed, 32, &[(0, &[16]), (8, &[32]), (16, &[19])]);
}

#[test]
fn test_shutdown() {
    pin!(
        TestShutdown,
        TestShutdown {
            status: Err(CsError::Timeout),
            flags: ShutdownFlags::REGARDLESS,
        },
        32,
        &[(0, &[10]), (8, &[32]), (16, &[5]), (24, &[1])]
    );
}

proptest! {
    #[test]
    fn what_bytes_mean_survives(id in -1_i32..18, body in bodies(1300)) {
        let mut request = RequestHeader::new(id, 16 + body.len()).to_vec();
        request.extend(&body);
        survives!(Request<'_>, &request);
        let mut response = ResponseHeader::new(id, 24 + body.len(), Ok(())).to_vec();
        response.extend(&body);
        survives!(TestShutdown, &response);
        survives!(Answer<RingStatus<'_>>, &response);
        survives!(Answer<NodeAddrs>, &response);
        survives!(Answer<NodeStatus<'_>>, &response);
    }

    #[test]
    fn any_bytes_are_a_message_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        survives!(Request<'_>, &bytes);
        survives!(TestShutdown, &bytes);
        survives!(Answer<NodeAddrs>, &bytes);
    }
}

//! How much there may be of everything.

use ferrosync_totem::pg::Pg;
use ferrosync_wire::exec::cpg::{Message, ProcChange};
use ferrosync_wire::ipc::cpg::PieceKind;
use ferrosync_wire::{Encode, NodeId};

use super::*;
use crate::log::{Priority, Subsystem};
use crate::services::cpg::groups::Groups;
use crate::services::cpg::send::MESSAGE_MAX;

/// Lets a node believe that the ring brought a message.
fn deliver(cluster: &mut Cluster, from: u32, message: &Message<'_>) {
    let bytes = message.to_vec().into();
    let node = cluster.node_mut(1);
    node.with_service(ServiceId::CPG, |s, cx| {
        s.exec_deliver(cx, NodeId(from), &bytes)
    });
    cluster.drain(1);
}

fn remote_join(cluster: &mut Cluster, name: &str, pid: u32) {
    let change = ProcChange {
        group: group(name),
        pid,
        reason: Reason::JOIN,
    };
    deliver(cluster, 2, &Message::ProcJoin(change));
}

#[test]
fn a_message_of_a_mebibyte_is_delivered_and_no_longer_one() {
    let mut cluster = Cluster::start(&[1, 2]);
    let sender = joined(&mut cluster, 1, "g", 10);
    let receiver = joined(&mut cluster, 2, "g", 20);
    forget(&mut cluster, &[sender, receiver]);
    let data: Vec<u8> = (0..=250).cycle().take(MESSAGE_MAX + 1).collect();
    cluster.send(sender, &mcast_request(&data[..MESSAGE_MAX]));
    cluster.settle();
    for client in [sender, receiver] {
        let events = cluster.events(client);
        assert_eq!(events.len(), 1);
        assert!(events[0][184..] == data[..MESSAGE_MAX]);
    }
    cluster.send(sender, &mcast_request(&data));
    let piece = |data| Request::PartialMcast {
        guarantee: 2,
        msglen: 3 << 20,
        kind: PieceKind::FIRST,
        data,
    };
    assert_eq!(
        call(&mut cluster, sender, &piece(&data)),
        Err(CsError::TooBig)
    );
    assert_eq!(call(&mut cluster, sender, &piece(&data[1..])), Ok(()));
    cluster.settle();
    let events = cluster.events(receiver);
    assert_eq!(events.len(), 1);
    assert!(events[0][200..] == data[1..]);
}

/// As long as a message may be before its service adds to it, and longer than it may be then.
#[test]
fn a_request_that_the_ring_never_has_room_for_is_answered() {
    let mut cluster = Cluster::start(&[1]);
    let client = joined(&mut cluster, 1, "g", 10);
    for less in [513, 512, 511, 100, 0] {
        let data = vec![0; Pg::MESSAGE_MAX];
        let piece = |data| Request::PartialMcast {
            guarantee: 2,
            msglen: 3 << 20,
            kind: PieceKind::FIRST,
            data,
        };
        let head = piece(&data).to_vec().len() - data.len();
        let request = piece(&data[head + less..]);
        assert_eq!(request.to_vec().len(), Pg::MESSAGE_MAX - less);
        let answer = call(&mut cluster, client, &request);
        assert_eq!(answer, Err(CsError::TooBig), "{less} less");
    }
}

#[test]
fn clients_are_never_told_of_more_members_than_libcpg_has_room_for() {
    let mut cluster = Cluster::start(&[1]);
    let client = joined(&mut cluster, 1, "g", 10);
    for pid in 0..127 {
        remote_join(&mut cluster, "g", pid);
    }
    let late = cluster.connect(1, ServiceId::CPG);
    let full = call(&mut cluster, late, &join_request("g", 11));
    assert_eq!(full, Err(CsError::NoResources));
    assert_eq!(
        cluster.log_of(1, Subsystem::Cpg, Priority::Warning),
        [""; 0]
    );
    forget(&mut cluster, &[client]);
    remote_join(&mut cluster, "g", 127);
    let events = cluster.events(client);
    let event = Event::decode(&mut Reader::new(&events[0])).unwrap();
    let Event::Confchg(event) = event else {
        panic!("{event:?}");
    };
    assert_eq!((event.members.len(), event.joined.len()), (128, 1));
    let expected = "group g has 129 members, clients are told of 128";
    assert_eq!(
        cluster.log_of(1, Subsystem::Cpg, Priority::Warning),
        [expected]
    );
    let answer = cluster.call(client, &Request::Membership { group: group("g") });
    assert_eq!(&answer[24..28], [128, 0, 0, 0]);
}

#[test]
fn processes_of_other_nodes_are_bounded_and_own_ones_have_room() {
    let mut cluster = Cluster::start(&[1]);
    for pid in 0..u32::try_from(Groups::PROCESSES_MAX).unwrap() {
        remote_join(&mut cluster, &format!("g{}", pid % 1000), pid);
    }
    assert_eq!(
        cluster.log_of(1, Subsystem::Cpg, Priority::Warning),
        [""; 0]
    );
    remote_join(&mut cluster, "h", 1_000_000);
    assert_eq!(
        cluster.log_of(1, Subsystem::Cpg, Priority::Warning).len(),
        1
    );
    let client = cluster.connect(1, ServiceId::CPG);
    let full = call(&mut cluster, client, &join_request("h", 10));
    assert_eq!(full, Err(CsError::NoResources));
}

#[test]
fn messages_of_peers_that_mean_nothing_are_dropped_and_logged_once() {
    let mut cluster = Cluster::start(&[1]);
    let client = joined(&mut cluster, 1, "g", 10);
    forget(&mut cluster, &[client]);
    for function in 0_u32..7 {
        let mut bytes = vec![0xff; 40];
        bytes[..4].copy_from_slice(&((2 << 16) | function).to_le_bytes());
        bytes[8..12].copy_from_slice(&u32::MAX.to_le_bytes());
        let node = cluster.node_mut(1);
        let bytes = bytes.into();
        node.with_service(ServiceId::CPG, |s, cx| {
            s.exec_deliver(cx, NodeId(2), &bytes)
        });
        cluster.drain(1);
    }
    assert_eq!(events(&mut cluster, client), [""; 0]);
    let complaints = cluster.log_of(1, Subsystem::Cpg, Priority::Warning);
    assert_eq!(complaints.len(), 1, "{complaints:?}");
    assert!(complaints[0].starts_with("message from node 2 is not valid"));
}

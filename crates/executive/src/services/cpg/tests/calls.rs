//! What one client may ask and is answered.

use ferrosync_wire::ipc::Answer;
use ferrosync_wire::ipc::cpg::{
    IterItem, IterScope, IterStarted, LocalNode, Membership, PieceKind,
};
use ferrosync_wire::{Encode, NodeId};

use super::*;
use crate::log::{Priority, Subsystem};

const OK: Result<(), CsError> = Ok(());

#[test]
fn a_client_sees_its_own_join_messages_and_leave() {
    let mut cluster = Cluster::start(&[1]);
    let client = cluster.connect(1, ServiceId::CPG);
    let answer = cluster.call(client, &join_request("g", 10));
    assert_eq!((status(&answer), answer.len()), ((0, OK), 24));
    cluster.send(client, &mcast_request(b"early"));
    cluster.settle();
    cluster.send(client, &mcast_request(b""));
    cluster.settle();
    let answer = cluster.call(client, &leave_request("g"));
    assert_eq!((status(&answer), answer.len()), ((1, OK), 24));
    cluster.settle();
    let expected = [
        "g [1:10] +[1:10 join]",
        "g 1:10 early",
        "g 1:10 ",
        "g [] -[1:10 leave]",
    ];
    assert_eq!(events(&mut cluster, client), expected);
    assert_eq!(cluster.answer(client), None, "messages are not answered");
    assert_eq!(
        cluster.log_of(1, Subsystem::Cpg, Priority::Warning),
        [""; 0]
    );
}

#[test]
fn a_handle_that_left_can_join_again() {
    let mut cluster = Cluster::start(&[1, 2]);
    let client = joined(&mut cluster, 1, "g", 10);
    let other = joined(&mut cluster, 2, "g", 20);
    assert_eq!(call(&mut cluster, client, &leave_request("g")), OK);
    let early = call(&mut cluster, client, &join_request("g", 10));
    assert_eq!(early, Err(CsError::Busy), "the leave is not through");
    let second = cluster.connect(1, ServiceId::CPG);
    let early = call(&mut cluster, second, &join_request("g", 10));
    assert_eq!(early, Err(CsError::TryAgain));
    cluster.settle();
    forget(&mut cluster, &[client, other]);
    cluster.send(other, &mcast_request(b"to those who stay"));
    cluster.settle();
    assert_eq!(events(&mut cluster, client), [""; 0]);
    assert_eq!(call(&mut cluster, client, &join_request("h", 10)), OK);
    cluster.settle();
    assert_eq!(events(&mut cluster, client), ["h [1:10] +[1:10 join]"]);
}

#[test]
fn joins_that_do_not_go() {
    let mut cluster = Cluster::start(&[1]);
    let client = cluster.connect(1, ServiceId::CPG);
    let second = cluster.connect(1, ServiceId::CPG);
    assert_eq!(
        call(&mut cluster, client, &leave_request("g")),
        Err(CsError::NotExist)
    );
    assert_eq!(call(&mut cluster, client, &join_request("g", 10)), OK);
    assert_eq!(
        call(&mut cluster, client, &leave_request("g")),
        Err(CsError::Busy)
    );
    for (from, name) in [(client, "g"), (client, "h"), (second, "g")] {
        let again = call(&mut cluster, from, &join_request(name, 10));
        assert_eq!(again, Err(CsError::Exist), "{name}");
    }
    assert_eq!(call(&mut cluster, second, &join_request("g", 11)), OK);
    cluster.settle();
    assert_eq!(
        call(&mut cluster, client, &join_request("h", 10)),
        Err(CsError::Exist)
    );
    let elsewhere = call(&mut cluster, client, &leave_request("h"));
    assert_eq!(elsewhere, Err(CsError::NotExist));
    forget(&mut cluster, &[client, second]);
    assert_eq!(call(&mut cluster, client, &leave_request("g")), OK);
    assert_eq!(
        call(&mut cluster, client, &leave_request("g")),
        Err(CsError::NotExist)
    );
    cluster.settle();
    assert_eq!(events(&mut cluster, second), ["g [1:11] -[1:10 leave]"]);
    let mut long = join_request("g", 10).to_vec();
    long[16] = 129;
    cluster.send_bytes(client, long);
    cluster.settle();
    let answer = cluster.answer(client).unwrap();
    assert_eq!(status(&answer), (0, Err(CsError::NameTooLong)));
}

#[test]
fn an_empty_name_is_a_group_like_others() {
    let mut cluster = Cluster::start(&[1]);
    let idle = cluster.connect(1, ServiceId::CPG);
    let client = joined(&mut cluster, 1, "", 10);
    let second = joined(&mut cluster, 1, "", 11);
    forget(&mut cluster, &[client, second]);
    cluster.close(client);
    cluster.settle();
    assert_eq!(events(&mut cluster, second), [" [1:11] -[1:10 procdown]"]);
    assert_eq!(events(&mut cluster, idle), [""; 0]);
}

#[test]
fn a_client_without_a_group_cannot_send() {
    let mut cluster = Cluster::start(&[1]);
    let client = cluster.connect(1, ServiceId::CPG);
    let witness = joined(&mut cluster, 1, "", 0);
    forget(&mut cluster, &[witness]);
    for _ in 0..3 {
        cluster.send(client, &mcast_request(b"lost"));
    }
    let piece = Request::PartialMcast {
        guarantee: 2,
        msglen: 10,
        kind: PieceKind::FIRST,
        data: b"x",
    };
    let answer = cluster.call(client, &piece);
    assert_eq!(
        (status(&answer), answer.len()),
        ((18, Err(CsError::NotExist)), 24)
    );
    cluster.settle();
    assert_eq!(events(&mut cluster, witness), [""; 0]);
    let complaints = cluster.log_of(1, Subsystem::Cpg, Priority::Warning);
    assert_eq!(
        complaints,
        [format!("*** {} can't mcast, error:12", client.conn.0)]
    );
}

#[test]
fn a_gone_client_leaves_its_group_and_its_seat_is_free_then() {
    let mut cluster = Cluster::start(&[1]);
    let witness = joined(&mut cluster, 1, "g", 1);
    let gone = cluster.connect(1, ServiceId::CPG);
    assert_eq!(call(&mut cluster, gone, &join_request("g", 10)), OK);
    cluster.send(gone, &mcast_request(b"last words"));
    forget(&mut cluster, &[witness]);
    cluster.close(gone);
    // Neither the join nor the leave is back from the ring.
    let next = cluster.connect(1, ServiceId::CPG);
    let early = call(&mut cluster, next, &join_request("g", 10));
    assert_eq!(early, Err(CsError::TryAgain));
    cluster.settle();
    let expected = [
        "g [1:1 1:10] +[1:10 join]",
        "g 1:10 last words",
        "g [1:1] -[1:10 procdown]",
    ];
    assert_eq!(events(&mut cluster, witness), expected);
    assert_eq!(call(&mut cluster, next, &join_request("g", 10)), OK);
    cluster.settle();
    assert_eq!(events(&mut cluster, next), ["g [1:1 1:10] +[1:10 join]"]);
}

#[test]
fn a_client_that_said_goodbye_hears_nothing_and_leaves_when_it_closes() {
    let mut cluster = Cluster::start(&[1]);
    let client = joined(&mut cluster, 1, "g", 10);
    let witness = joined(&mut cluster, 1, "g", 11);
    forget(&mut cluster, &[client, witness]);
    let answer = cluster.call(client, &Request::Finalize);
    assert_eq!((status(&answer), answer.len()), ((12, OK), 24));
    let second = cluster.connect(1, ServiceId::CPG);
    let early = call(&mut cluster, second, &join_request("g", 10));
    assert_eq!(early, Err(CsError::TryAgain));
    let rejoin = call(&mut cluster, client, &join_request("h", 10));
    assert_eq!(rejoin, Err(CsError::BadHandle));
    cluster.send(client, &mcast_request(b"on its way"));
    cluster.settle();
    cluster.close(client);
    cluster.settle();
    let expected = ["g 1:10 on its way", "g [1:11] -[1:10 procdown]"];
    assert_eq!(events(&mut cluster, witness), expected);
    assert_eq!(call(&mut cluster, second, &join_request("g", 10)), OK);
}

#[test]
fn a_client_learns_the_ring_once_after_its_own_join() {
    let mut cluster = Cluster::start(&[1, 2]);
    let client = joined_with_ring(&mut cluster, 1, "g", 10);
    let ring = cluster.node(1).core().ring;
    let raw = cluster.events(client);
    assert_eq!(raw.len(), 2);
    assert_eq!(text(&raw[0]), "g [1:10] +[1:10 join]");
    let Event::TotemConfchg(event) = Event::decode(&mut Reader::new(&raw[1])).unwrap() else {
        panic!("{:?}", text(&raw[1]));
    };
    assert_eq!(
        (event.ring, event.members),
        (ring, vec![NodeId(1), NodeId(2)])
    );
    joined(&mut cluster, 2, "g", 20);
    assert_eq!(events(&mut cluster, client), ["g [1:10 2:20] +[2:20 join]"]);
}

#[test]
fn pieces_are_delivered_and_interrupted_by_changes() {
    let mut cluster = Cluster::start(&[1, 2]);
    let sender = joined(&mut cluster, 1, "g", 10);
    let piece = |kind, data| Request::PartialMcast {
        guarantee: 2,
        msglen: 5,
        kind,
        data,
    };
    forget(&mut cluster, &[sender]);
    let answer = cluster.call(sender, &piece(PieceKind::FIRST, b"abc"));
    assert_eq!((status(&answer), answer.len()), ((18, OK), 24));
    assert_eq!(
        call(&mut cluster, sender, &piece(PieceKind::LAST, b"de")),
        OK
    );
    assert_eq!(
        call(&mut cluster, sender, &piece(PieceKind::FIRST, b"fgh")),
        OK
    );
    cluster.settle();
    let other = joined(&mut cluster, 2, "g", 20);
    let late = call(&mut cluster, sender, &piece(PieceKind::LAST, b"ij"));
    assert_eq!(late, Err(CsError::Interrupt));
    assert_eq!(
        call(&mut cluster, sender, &piece(PieceKind::FIRST, b"fgh")),
        OK
    );
    cluster.settle();
    let expected = [
        "g 1:10 1 of 5: abc",
        "g 1:10 3 of 5: de",
        "g 1:10 1 of 5: fgh",
        "g [1:10 2:20] +[2:20 join]",
        "g 1:10 1 of 5: fgh",
    ];
    assert_eq!(events(&mut cluster, sender), expected);
    assert_eq!(events(&mut cluster, other), expected[3..]);
}

#[test]
fn memberships_iterations_and_the_node_are_told() {
    let mut cluster = Cluster::start(&[1, 2]);
    let client = joined(&mut cluster, 1, "g", 10);
    joined(&mut cluster, 2, "g", 20);
    joined(&mut cluster, 2, "h", 20);
    let membership = |cluster: &mut Cluster, name| {
        let answer = cluster.call(client, &Request::Membership { group: group(name) });
        assert_eq!(answer.len(), 9248);
        let answer = Answer::<Membership>::decode(&mut Reader::new(&answer)).unwrap();
        addresses(&answer.0.unwrap().0)
    };
    assert_eq!(membership(&mut cluster, "g"), "1:10 2:20");
    assert_eq!(membership(&mut cluster, "none"), "");
    let answer = cluster.call(client, &Request::LocalGet);
    let node = Answer::<LocalNode>::decode(&mut Reader::new(&answer)).unwrap();
    assert_eq!(node.0.unwrap().0, 1);

    let answer = cluster.call(client, &Request::IterInit(IterScope::All));
    let started = Answer::<IterStarted>::decode(&mut Reader::new(&answer)).unwrap();
    let handle = started.0.unwrap().0;
    let next = |cluster: &mut Cluster| {
        let answer = cluster.call(client, &Request::IterNext { handle });
        assert_eq!(answer.len(), 168);
        let item = Answer::<IterItem>::decode(&mut Reader::new(&answer)).unwrap();
        item.0.map(|i| (i.group.to_string(), i.nodeid.0, i.pid))
    };
    for (name, node, pid) in [("h", 2, 20), ("g", 1, 10), ("g", 2, 20)] {
        assert_eq!(next(&mut cluster), Ok((name.to_owned(), node, pid)));
    }
    assert_eq!(next(&mut cluster), Err(CsError::NoSections));
    let end = Request::IterFinalize { handle };
    let answer = cluster.call(client, &end);
    assert_eq!((status(&answer), answer.len()), ((11, OK), 24));
    assert_eq!(call(&mut cluster, client, &end), Err(CsError::Library));
    assert_eq!(next(&mut cluster), Err(CsError::Library));
}

#[test]
fn names_travel_with_all_their_bytes() {
    let mut cluster = Cluster::start(&[1]);
    let client = cluster.connect(1, ServiceId::CPG);
    let mut request = join_request("g", 10).to_vec();
    request[24 + 1..24 + 5].copy_from_slice(b"more");
    cluster.send_bytes(client, request);
    cluster.settle();
    cluster.send(client, &mcast_request(b"x"));
    cluster.settle();
    let events = cluster.events(client);
    assert_eq!(events.len(), 2);
    for event in events {
        assert_eq!((event[24], &event[32..38]), (1, &b"gmore\0"[..]));
    }
}

#[test]
fn requests_that_mean_nothing_are_refused() {
    let mut cluster = Cluster::start(&[1]);
    let client = cluster.connect(1, ServiceId::CPG);
    let sizes = [24, 24, 0, 9248, 0, 32, 168, 24, 0, 24, 24, 24, 24];
    for (id, size) in (0_i32..).zip(sizes) {
        let mut request = vec![0; 24];
        request[..4].copy_from_slice(&id.to_le_bytes());
        request[8..12].copy_from_slice(&25_u32.to_le_bytes());
        cluster.send_bytes(client, request);
        cluster.settle();
        match (id, cluster.answer(client)) {
            (2, answer) => assert_eq!(answer, None),
            (_, Some(answer)) => {
                assert_eq!(status(&answer).1, Err(CsError::InvalidParam), "{id}");
                assert!(size == 0 || answer.len() == size, "{id}: {}", answer.len());
            }
            (_, None) => panic!("request {id} was not answered"),
        }
    }
}

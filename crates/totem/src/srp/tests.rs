//! One node fed by hand: the captured conversation of two C nodes, and the table of states and messages.

use ferrosync_wire::totem::{
    CommitMember, CommitToken, FRAME_MAX, Join, Mcast, MergeDetect, NOT_ENCAPSULATED, OrfToken,
    RtrItem, frame,
};

use super::*;

mod hostile;

const T0: Instant = Instant::from_nanos(1_000_000_000);

fn hex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap())
        .collect()
}

fn node(id: u32) -> Srp {
    Srp::new(NodeId(id), SrpConfig::for_nodes(2), RingSeq(0), 1, T0)
}

fn set(ids: &[u32]) -> Vec<NodeId> {
    ids.iter().map(|i| NodeId(*i)).collect()
}

/// Everything a node sends, oldest first.
fn sent(srp: &mut Srp) -> Vec<Bytes> {
    let mut frames = Vec::new();
    while let Some(output) = srp.poll_output() {
        if let Output::Transmit(t) = output {
            frames.push(t.frame);
        }
    }
    frames
}

fn packet(srp: &mut Srp, frame: Vec<u8>) -> Vec<Bytes> {
    let input = Input::Packet {
        frame: frame.into(),
        order: RxOrder::Arrival,
    };
    srp.handle(T0, input);
    sent(srp)
}

/// Lets a node hear its own frames.
fn loopback(srp: &mut Srp) -> Vec<Bytes> {
    let mut frames = Vec::new();
    while let Some((at, Timer::Loopback)) = srp.poll_timeout() {
        assert_eq!(at, T0);
        srp.handle_timeout(T0);
        frames.extend(sent(srp));
    }
    frames
}

/// Without what C leaves undefined: the target of the header, and the order of a join's sets.
fn comparable(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes[9..13].fill(0);
    if let (header, Message::Join(mut join)) = Message::parse(&bytes).unwrap() {
        join.proc_list.sort();
        join.failed_list.sort();
        return frame(header, &join);
    }
    bytes
}

/// A C node of id 1 runs alone when a C node of id 2 starts. Our node takes the place of the second: it hears what
/// the first sent and must send, byte for byte, what the second sent. Application messages are C's own.
#[test]
fn a_captured_join_is_answered_byte_for_byte() {
    let lines: Vec<(&str, Vec<u8>)> = include_str!("../../testdata/join-udpu.txt")
        .lines()
        .map(|line| line.split_once(' ').unwrap())
        .map(|(way, frame)| (way, hex(frame)))
        .collect();
    let mut srp = node(2);
    srp.handle(T0, Input::LinksReady);
    let mut ours: VecDeque<Bytes> = sent(&mut srp).into();
    let mut compared = 0;
    for (i, (way, frame)) in lines.iter().enumerate() {
        if *way == "2>1" {
            let own = ours.pop_front().expect("our node sends what C sent");
            let (own, theirs) = (comparable(own.to_vec()), comparable(frame.clone()));
            assert_eq!(own, theirs, "line {}", i + 1);
            compared += 1;
            continue;
        }
        queue_own_messages(&mut srp, &lines[i + 1..], frame);
        ours.extend(packet(&mut srp, frame.clone()));
        ours.extend(loopback(&mut srp));
    }
    assert!(ours.is_empty(), "our node sends more than C: {ours:?}");
    assert!(compared > 40, "{compared}");
    assert_eq!(srp.state(), MembStateKind::Operational);
}

/// Before a token is handed in, the messages are queued that C multicast on that visit.
fn queue_own_messages(srp: &mut Srp, next: &[(&str, Vec<u8>)], frame: &[u8]) {
    if frame[3] != Kind::OrfToken as u8 {
        return;
    }
    for (way, theirs) in next {
        if *way != "2>1" || theirs[3] != Kind::Mcast as u8 {
            return;
        }
        let own = BytesMut::from(&theirs[..]);
        srp.mcast(T0, Lane::Transitional, Guarantee::Agreed, own)
            .unwrap();
        assert!(sent(srp).is_empty(), "the token is not held");
    }
}

fn join(from: u32, seq: u64, proc: &[u32], failed: &[u32]) -> Vec<u8> {
    let join = Join {
        system_from: NodeId(from),
        ring_seq: RingSeq(seq),
        proc_list: set(proc),
        failed_list: set(failed),
    };
    frame(Header::new(Kind::Join, 0, NodeId(from)), &join)
}

fn commit(index: u32, seq: u64, members: &[u32]) -> Vec<u8> {
    let ring = RingId {
        rep: NodeId(members[0]),
        seq: RingSeq(seq),
    };
    let entry = |id: &u32| CommitMember {
        ring: RingId {
            rep: NodeId(*id),
            seq: RingSeq(1),
        },
        aru: 0,
        high_delivered: 0,
        received_flg: 1,
    };
    let token = CommitToken {
        token_seq: index,
        ring,
        retrans_flg: 0,
        memb_index: index,
        addr: set(members),
        members: members.iter().map(entry).collect(),
    };
    frame(Header::new(Kind::CommitToken, 0, NodeId(1)), &token)
}

fn token(ring: RingId, token_seq: u32) -> OrfToken {
    OrfToken {
        seq: 0,
        token_seq,
        aru: 0,
        aru_addr: NodeId(0),
        ring,
        backlog: 0,
        fcc: 0,
        retrans_flg: 0,
        rtr: Vec::new(),
    }
}

fn orf_frame(token: &OrfToken) -> Vec<u8> {
    frame(Header::new(Kind::OrfToken, 0, NodeId(1)), token)
}

fn orf(ring: RingId, token_seq: u32, seq: u32) -> Vec<u8> {
    orf_frame(&OrfToken {
        seq,
        ..token(ring, token_seq)
    })
}

fn mcast(from: u32, ring: RingId, seq: u32) -> Vec<u8> {
    let mcast = Mcast {
        system_from: NodeId(from),
        seq,
        this_seqno: 0,
        ring,
        node_id: 0,
        guarantee: 0,
    };
    frame(
        Header::new(Kind::Mcast, NOT_ENCAPSULATED, NodeId(from)),
        &mcast,
    )
}

fn merge_detect(from: u32) -> Vec<u8> {
    let ring = RingId {
        rep: NodeId(from),
        seq: RingSeq(99),
    };
    let m = MergeDetect {
        system_from: NodeId(from),
        ring,
    };
    frame(Header::new(Kind::MergeDetect, 0, NodeId(from)), &m)
}

/// Node 2 of {1, 2} in each of the four states, on or forming ring 1.9.
fn in_state(state: MembStateKind) -> Srp {
    let mut srp = node(2);
    srp.handle(T0, Input::LinksReady);
    sent(&mut srp);
    packet(&mut srp, join(1, 5, &[1, 2], &[]));
    loopback(&mut srp);
    packet(&mut srp, join(1, 5, &[1, 2], &[]));
    let steps = match state {
        MembStateKind::Gather => 0,
        MembStateKind::Commit => 1,
        MembStateKind::Recovery => 2,
        MembStateKind::Operational => 3,
    };
    if steps > 0 {
        packet(&mut srp, commit(1, 9, &[1, 2]));
    }
    if steps > 1 {
        packet(&mut srp, commit(2, 9, &[1, 2]));
    }
    if steps > 2 {
        for hop in 0..4 {
            let ring = srp.ring_id();
            packet(&mut srp, orf(ring, hop * 2, 0));
        }
    }
    assert_eq!(srp.state(), state);
    srp
}

/// A state, and the reason for gathering on the way to it.
type Outcome = (MembStateKind, Option<u8>);

/// Where a frame leads to.
fn outcome(state: MembStateKind, frame: Vec<u8>) -> Outcome {
    let mut srp = in_state(state);
    let input = Input::Packet {
        frame: frame.into(),
        order: RxOrder::Arrival,
    };
    srp.handle(T0, input);
    let mut why = None;
    while let Some(output) = srp.poll_output() {
        if let Output::Event(SrpEvent::State { reason, .. }) = output {
            why = reason.map(|r| r as u8).or(why);
        }
    }
    (srp.state(), why)
}

#[test]
fn every_state_answers_every_message() {
    use MembStateKind::{Commit as C, Gather as G, Operational as O, Recovery as R};
    let foreign = RingId {
        rep: NodeId(3),
        seq: RingSeq(77),
    };
    let rows: [(&str, Vec<u8>, [Outcome; 4]); 10] = [
        (
            "join, news",
            join(1, 9, &[1, 2, 3], &[]),
            [(G, Some(11)), (G, Some(11)), (G, Some(13)), (G, Some(14))],
        ),
        (
            "join, stale",
            join(1, 5, &[1, 2], &[]),
            [(O, None), (G, None), (C, None), (R, None)],
        ),
        (
            "join, same",
            join(1, 9, &[1, 2], &[]),
            [(G, Some(12)), (G, None), (G, Some(13)), (G, Some(14))],
        ),
        (
            "join that fails me",
            join(1, 9, &[1, 2], &[2]),
            [(O, None), (G, Some(11)), (G, Some(13)), (G, Some(14))],
        ),
        (
            "join of a stranger",
            join(3, 9, &[3], &[]),
            [(G, Some(11)), (G, Some(11)), (C, None), (R, None)],
        ),
        (
            "commit token, first pass",
            commit(1, 9, &[1, 2]),
            [(O, None), (C, None), (C, None), (R, None)],
        ),
        (
            "commit token of others",
            commit(1, 99, &[1, 3]),
            [(O, None), (G, None), (C, None), (R, None)],
        ),
        (
            "merge detect",
            merge_detect(3),
            [(G, Some(9)), (G, Some(10)), (C, None), (R, None)],
        ),
        (
            "foreign mcast",
            mcast(3, foreign, 1),
            [(G, Some(7)), (G, Some(8)), (C, None), (R, None)],
        ),
        (
            "foreign token",
            orf(foreign, 50, 1),
            [(O, None), (G, None), (C, None), (R, None)],
        ),
    ];
    for (name, frame, expected) in rows {
        for (state, expected) in [O, G, C, R].into_iter().zip(expected) {
            assert_eq!(
                outcome(state, frame.clone()),
                expected,
                "{name} in {state:?}"
            );
        }
    }
}

#[test]
fn a_lost_token_leads_to_gather_from_every_state() {
    use MembStateKind::{Commit as C, Operational as O, Recovery as R};
    for (state, reason) in [(O, 2), (C, 4), (R, 5)] {
        let mut srp = in_state(state);
        let mut now = T0;
        let mut why = None;
        while srp.state() == state {
            let (at, _) = srp.poll_timeout().expect("the token timer is armed");
            now = now.max(at);
            assert!(now < T0 + Duration::from_secs(4), "{state:?}");
            srp.handle_timeout(now);
            while let Some(output) = srp.poll_output() {
                if let Output::Event(SrpEvent::State { reason, .. }) = output {
                    why = reason;
                }
            }
        }
        assert_eq!(why.map(|r| r as u8), Some(reason), "{state:?}");
        assert_eq!(now.since(T0), Duration::from_secs(3), "{state:?}");
    }
}

/// Node 1 agrees, but its commit token never comes: joins pass the firewall and tokens do not.
#[test]
fn the_fourth_attempt_in_a_row_without_a_ring_is_told_of() {
    for (before, expected) in [(2, 0), (3, 1)] {
        let mut srp = in_state(MembStateKind::Gather);
        srp.stats.continuous_gather = before;
        packet(&mut srp, join(1, 9, &[1, 2], &[]));
        let (mut now, mut told) = (T0, 0);
        while srp.stats.continuous_gather == before {
            let (at, _) = srp.poll_timeout().expect("it gathers");
            now = now.max(at);
            srp.handle_timeout(now);
            while let Some(output) = srp.poll_output() {
                told += u32::from(matches!(output, Output::Event(SrpEvent::CannotForm)));
            }
        }
        assert_eq!(told, expected, "after {before}");
    }
}

#[test]
fn hostile_numbers_are_dropped() {
    let mut srp = in_state(MembStateKind::Operational);
    let before = srp.stats().rx_msg_dropped;
    let ring = srp.ring_id();
    packet(&mut srp, orf(ring, 100, 1 << 30));
    packet(&mut srp, join(1, u64::MAX, &[1, 2], &[]));
    packet(&mut srp, mcast(1, ring, 1 << 30));
    packet(&mut srp, vec![0xC0, 0x70, 3, 0]);
    packet(&mut srp, Vec::new());
    assert_eq!(srp.stats().rx_msg_dropped, before + 5);
    assert_eq!(srp.state(), MembStateKind::Operational);
    assert_eq!(srp.ring_id(), ring);
}

#[test]
fn a_repeated_token_is_not_passed_on_again() {
    let mut srp = in_state(MembStateKind::Operational);
    let ring = srp.ring_id();
    assert_eq!(packet(&mut srp, orf(ring, 20, 0)).len(), 1);
    assert_eq!(packet(&mut srp, orf(ring, 20, 0)).len(), 0);
    assert_eq!(packet(&mut srp, orf(ring, 19, 0)).len(), 0);
    assert_eq!(packet(&mut srp, orf(ring, 22, 0)).len(), 1);
}

#[test]
fn a_message_is_asked_for_at_the_fifth_visit() {
    let mut srp = in_state(MembStateKind::Operational);
    let ring = srp.ring_id();
    for visit in 1..=6u32 {
        let frames = packet(&mut srp, orf(ring, 100 + visit * 2, 3));
        let (_, message) = Message::parse(&frames[0]).unwrap();
        let Message::OrfToken(token) = message else {
            panic!("a token was passed on");
        };
        let asked: Vec<u32> = token.rtr.iter().map(|item| item.seq).collect();
        let expected: &[u32] = if visit < 5 { &[] } else { &[1, 2, 3] };
        assert_eq!(asked, expected, "visit {visit}");
    }
}

#[test]
fn the_ring_number_is_stored_before_the_commit_token_leaves() {
    let mut srp = in_state(MembStateKind::Gather);
    let input = Input::Packet {
        frame: commit(1, 9, &[1, 2]).into(),
        order: RxOrder::Arrival,
    };
    srp.handle(T0, input);
    let outputs: Vec<Output> = std::iter::from_fn(|| srp.poll_output()).collect();
    let stored = outputs
        .iter()
        .position(|o| matches!(o, Output::StoreRingSeq(RingSeq(9))));
    let left = outputs
        .iter()
        .position(|o| matches!(o, Output::Transmit(_)));
    assert!(stored.expect("stored") < left.expect("sent"));
}

//! Frames that no correct member sends and that once stopped a node for ever; fuzzing found them.

use super::*;

/// Lets time pass without a word from anybody, until the node has a ring of its own.
#[track_caller]
fn goes_its_own_way(srp: &mut Srp) {
    for _ in 0..1_000 {
        let (at, _) = srp.poll_timeout().expect("a timer runs");
        srp.handle_timeout(at.max(T0));
        sent(srp);
        if srp.state() == MembStateKind::Operational && srp.members().as_slice() == set(&[2]) {
            return;
        }
    }
    panic!("{:?} {:?}", srp.state(), srp.proposal);
}

#[test]
fn a_node_does_not_believe_its_own_goodbye() {
    let mut srp = in_state(MembStateKind::Gather);
    let goodbye = Join {
        system_from: NodeId(2),
        ring_seq: RingSeq(5),
        proc_list: set(&[1]),
        failed_list: set(&[2]),
    };
    packet(
        &mut srp,
        frame(Header::new(Kind::Join, 0, NodeId(0)), &goodbye),
    );
    assert!(srp.proposal.failed.is_empty());
    goes_its_own_way(&mut srp);
}

#[test]
fn failing_more_nodes_than_there_are_leaves_room_for_those_that_are_silent() {
    let mut srp = in_state(MembStateKind::Operational);
    let many = |first: u32| (first..first + 384).collect::<Vec<u32>>();
    packet(&mut srp, join(1, 9, &many(1_000), &many(2_000)));
    assert!(srp.proposal.proc.contains(NodeId(2)));
    assert!(srp.proposal.failed.is_subset(&srp.proposal.proc));
    goes_its_own_way(&mut srp);
}

#[test]
fn a_token_whose_aru_only_a_stranger_can_raise_is_dropped() {
    for state in [MembStateKind::Recovery, MembStateKind::Operational] {
        let mut srp = in_state(state);
        let ring = srp.ring_id();
        let mut stranger = token(ring, 100);
        stranger.aru_addr = NodeId(3);
        assert_eq!(packet(&mut srp, orf_frame(&stranger)), Vec::<Bytes>::new());
        assert_eq!(srp.stats().rx_msg_dropped, 1);
        stranger.aru_addr = NodeId(1);
        assert_eq!(packet(&mut srp, orf_frame(&stranger)).len(), 1);
    }
}

#[test]
fn a_retransmit_flag_that_nobody_clears_is_cleared() {
    let mut srp = in_state(MembStateKind::Recovery);
    let mut next = token(srp.ring_id(), 0);
    next.retrans_flg = 1;
    for _ in 0..100 {
        let frames = packet(&mut srp, orf_frame(&next));
        let Some(Ok((_, Message::OrfToken(passed)))) = frames.last().map(|f| Message::parse(f))
        else {
            panic!("a token was passed on");
        };
        next = passed;
        next.token_seq += 1;
    }
    assert_eq!(srp.state(), MembStateKind::Operational);
}

#[test]
fn a_message_too_long_for_recovery_is_dropped() {
    let mut srp = in_state(MembStateKind::Operational);
    let ring = srp.ring_id();
    let longest = FRAME_MAX - Mcast::LEN;
    for (len, dropped) in [(longest, 0), (longest + 1, 1)] {
        let mut frame = mcast(1, ring, 1);
        frame.resize(len, 0);
        packet(&mut srp, frame);
        assert_eq!(srp.stats().rx_msg_dropped, dropped);
    }
}

#[test]
fn requests_that_nobody_can_need_leave_the_token() {
    let mut srp = in_state(MembStateKind::Operational);
    let ring = srp.ring_id();
    let mut asking = token(ring, 100);
    asking.seq = 3;
    let other = RingId {
        seq: RingSeq(1),
        ..ring
    };
    // Released or never given, not yet given, of another ring; and one that somebody may miss.
    let requests = [
        (ring, 0),
        (ring, u32::MAX),
        (ring, 4),
        (other, 2),
        (ring, 2),
    ];
    asking.rtr = requests.map(|(ring, seq)| RtrItem { ring, seq }).into();
    let frames = packet(&mut srp, orf_frame(&asking));
    let Ok((_, Message::OrfToken(passed))) = Message::parse(&frames[0]) else {
        panic!("a token was passed on");
    };
    assert_eq!(passed.rtr, [RtrItem { ring, seq: 2 }]);
}

//! Votes.

use ferrosync_client::votequorum::{
    Cast, Error, Event, InfoFlags, MasterWins, NodeState, Track, Votequorum,
};
use ferrosync_client::{NodeId, RingId, RingSeq};

use crate::daemon::{PATIENCE, options};

const NODE: NodeId = NodeId(7);

fn connect() -> Votequorum {
    Votequorum::connect(&options()).unwrap()
}

fn next(votequorum: &mut Votequorum) -> Event {
    votequorum
        .dispatch(PATIENCE)
        .unwrap()
        .expect("an event in time")
}

pub(crate) fn votes_are_known() {
    let mut votequorum = connect();
    for node in [NodeId(0), NODE] {
        let info = votequorum.info(node).unwrap();
        assert_eq!((info.node, info.state), (NODE, NodeState::Member));
        assert_eq!(
            (info.votes, info.expected_votes, info.highest_expected),
            (1, 1, 1)
        );
        assert_eq!((info.total_votes, info.quorum), (1, 1));
        assert_eq!((info.flags, info.device_votes), (InfoFlags::QUORATE, 0));
    }
    let unknown = votequorum.info(NodeId(99)).unwrap_err();
    assert!(matches!(unknown, Error::NotFound), "{unknown}");
}

pub(crate) fn votes_change_and_trackers_hear() {
    let mut tracker = connect();
    let mut votequorum = connect();
    tracker.track(Track::Changes).unwrap();
    let again = tracker.track(Track::Changes).unwrap_err();
    assert!(matches!(again, Error::AlreadyThere), "{again}");
    let nodes = vec![(NODE, NodeState::Member)];
    loop {
        match next(&mut tracker) {
            Event::Nodes { members, .. } => assert_eq!(members, [NODE]),
            Event::Quorum {
                quorate,
                nodes: seen,
            } => {
                assert_eq!((quorate, seen), (true, nodes.clone()));
                break;
            }
            Event::ExpectedVotes(votes) => panic!("nobody expected {votes}"),
        }
    }
    votequorum.set_votes(NODE, 3).unwrap();
    // More votes than were expected are expected from then on.
    assert_eq!(next_expected(&mut tracker), 3);
    assert_eq!(votequorum.info(NODE).unwrap().votes, 3);
    votequorum.set_expected(4).unwrap();
    assert_eq!(next_expected(&mut tracker), 4);
    wait_for(&mut votequorum, |i| (i.expected_votes, i.quorum) == (4, 3));
    let too_few = votequorum.set_expected(2).unwrap_err();
    assert!(matches!(too_few, Error::Invalid), "{too_few}");
    let unknown = votequorum.set_votes(NodeId(99), 1).unwrap_err();
    assert!(matches!(unknown, Error::UnknownNode), "{unknown}");
    tracker.untrack().unwrap();
    let nothing = tracker.untrack().unwrap_err();
    assert!(matches!(nothing, Error::NotFound), "{nothing}");
}

fn next_expected(tracker: &mut Votequorum) -> u32 {
    loop {
        if let Event::ExpectedVotes(votes) = next(tracker) {
            return votes;
        }
    }
}

/// Changes take effect when the ring has told everybody.
fn wait_for(votequorum: &mut Votequorum, so: impl Fn(&ferrosync_client::votequorum::Info) -> bool) {
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        let info = votequorum.info(NODE).unwrap();
        if so(&info) {
            return;
        }
        assert!(std::time::Instant::now() < deadline, "{info:?}");
    }
}

pub(crate) fn devices_are_refused_as_unknown() {
    let mut votequorum = connect();
    let mut device = votequorum.device("nobody");
    let ring = RingId {
        rep: NODE,
        seq: RingSeq(4),
    };
    let errors = [
        device.unregister(),
        device.rename("somebody"),
        device.poll(Cast::Votes, ring),
        device.master_wins(MasterWins::Yes),
    ];
    for error in errors {
        let error = error.unwrap_err();
        assert!(matches!(error, Error::NotFound), "{error}");
    }
    let long = "n".repeat(255);
    let error = votequorum.device(&long).register().unwrap_err();
    assert!(matches!(error, Error::Invalid), "{error}");
}

//! What clients ask and are told.

use ferrosync_wire::Encode;
use ferrosync_wire::exec::votequorum::{Message, NodeFlags, NodeInfo};
use ferrosync_wire::ipc::ResponseHeader;
use ferrosync_wire::ipc::quorum::{TRACK_CHANGES, TRACK_CHANGES_ONLY, TRACK_CURRENT};
use ferrosync_wire::ipc::votequorum::{InfoFlags, NodeState};

use super::*;
use crate::services::votequorum::decide::Policy;
use crate::services::votequorum::model::{Model, Settings};

const CONTEXT: u64 = 77;

fn track(cluster: &mut Cluster, client: Client, flags: u32) -> Result<(), CsError> {
    let context = CONTEXT;
    status(cluster, client, &Request::TrackStart { context, flags })
}

fn node_list(ring: ferrosync_wire::RingId, nodes: &[u32]) -> Event {
    Event::NodeList {
        context: CONTEXT,
        ring,
        nodes: ids(nodes),
    }
}

fn quorum_event(quorate: u32, nodes: &[(u32, NodeState)]) -> Event {
    Event::Quorum {
        quorate,
        context: CONTEXT,
        nodes: nodes.iter().map(|(id, s)| (NodeId(*id), *s)).collect(),
    }
}

#[test]
fn trackers_hear_of_the_membership_before_quorum() {
    const MEMBER: NodeState = NodeState::MEMBER;
    let mut cluster = Cluster::start_with(&[1, 2, 3], &quorum(""));
    let client = connect(&mut cluster, 1);
    cluster.send(
        client,
        &Request::TrackStart {
            context: CONTEXT,
            flags: TRACK_CHANGES,
        },
    );
    // The state is there at once, in front of the answer.
    let ring = cluster.node(1).core().ring;
    let all = quorum_event(1, &[(2, MEMBER), (3, MEMBER), (1, MEMBER)]);
    let expected = [node_list(ring, &[1, 2, 3]), all];
    assert_eq!(events(&mut cluster, client), expected);
    let answer = cluster.answer(client).expect("an answer");
    assert!(decoded::<Status>(&answer).is_ok());

    cluster.cut(&[&[1], &[2, 3]]);
    cluster.settle();
    let ring = cluster.node(1).core().ring;
    const DEAD: NodeState = NodeState::DEAD;
    let alone = quorum_event(0, &[(2, DEAD), (3, DEAD), (1, MEMBER)]);
    assert_eq!(events(&mut cluster, client), [node_list(ring, &[1]), alone]);

    assert_eq!(status(&mut cluster, client, &Request::TrackStop), Ok(()));
    cluster.heal();
    cluster.settle();
    assert_eq!(events(&mut cluster, client), []);
}

#[test]
fn trackers_are_started_and_stopped_once() {
    let mut cluster = Cluster::start_with(&[1], &quorum(""));
    let client = connect(&mut cluster, 1);
    let stop = Request::TrackStop;
    assert_eq!(status(&mut cluster, client, &stop), Err(CsError::NotExist));
    assert_eq!(track(&mut cluster, client, TRACK_CURRENT), Ok(()));
    assert_eq!(events(&mut cluster, client).len(), 2);
    // The state now is no subscription.
    assert_eq!(track(&mut cluster, client, TRACK_CHANGES_ONLY), Ok(()));
    assert_eq!(events(&mut cluster, client), []);
    assert_eq!(
        track(&mut cluster, client, TRACK_CHANGES),
        Err(CsError::Exist)
    );
    assert_eq!(events(&mut cluster, client).len(), 2);
    assert_eq!(status(&mut cluster, client, &stop), Ok(()));
}

#[test]
fn what_a_node_tells_of_the_others() {
    let mut cluster = Cluster::start_with(&[1, 2, 3], &quorum(" wait_for_all: 1"));
    let client = connect(&mut cluster, 2);
    cluster.crash(3);
    cluster.settle();
    let mut expected = Info {
        nodeid: NodeId(2),
        state: NodeState::MEMBER,
        votes: 1,
        expected_votes: 3,
        highest_expected: 3,
        total_votes: 2,
        quorum: 2,
        flags: InfoFlags::QUORATE.with(InfoFlags::WAIT_FOR_ALL),
        device_votes: 0,
        device_name: b"",
    };
    assert_eq!(info(&mut cluster, client, 0), Ok(expected));
    expected.nodeid = NodeId(3);
    expected.state = NodeState::DEAD;
    assert_eq!(info(&mut cluster, client, 3), Ok(expected));
    assert_eq!(info(&mut cluster, client, 4), Err(CsError::NotExist));
    let nodeid = NodeId(4);
    let answer = cluster.call(client, &Request::GetInfo { nodeid });
    assert_eq!(answer.len(), 320);
}

#[test]
fn expected_votes_change_on_all_members() {
    let mut cluster = Cluster::start_with(&[1, 2, 3, 4, 5], &quorum(""));
    cluster.cut(&[&[1, 2, 3], &[4], &[5]]);
    cluster.settle();
    let operator = connect(&mut cluster, 1);
    let tracker = connect(&mut cluster, 3);
    assert_eq!(track(&mut cluster, tracker, TRACK_CHANGES_ONLY), Ok(()));
    for votes in [0, 2, 6, 600, u32::MAX] {
        let set = Request::SetExpected { votes };
        let refused = Err(CsError::InvalidParam);
        assert_eq!(status(&mut cluster, operator, &set), refused, "{votes}");
    }
    let set = Request::SetExpected { votes: 3 };
    assert_eq!(status(&mut cluster, operator, &set), Ok(()));
    cluster.settle();
    for node in [1, 2, 3] {
        let client = connect(&mut cluster, node);
        let info = info(&mut cluster, client, 0).unwrap();
        assert_eq!((info.expected_votes, info.quorum), (3, 2));
    }
    let context = CONTEXT;
    let told = Event::ExpectedVotes { context, votes: 3 };
    assert_eq!(events(&mut cluster, tracker), [told]);
    // Fewer are enough now, and who comes back learns it.
    cluster.cut(&[&[1, 2, 4], &[3], &[5]]);
    cluster.settle();
    assert_eq!(quorate(&cluster, &[1, 2, 3, 4, 5]), [1, 2, 4]);
    let client = connect(&mut cluster, 4);
    let info = info(&mut cluster, client, 0).unwrap();
    assert_eq!((info.expected_votes, info.quorum), (3, 2));
}

#[test]
fn votes_change_on_all_members() {
    let mut cluster = Cluster::start_with(&[1, 2, 3], &quorum(""));
    let operator = connect(&mut cluster, 1);
    let set = |votes, node| Request::SetVotes {
        votes,
        nodeid: NodeId(node),
    };
    for (request, error) in [
        (set(1, 9), CsError::NameNotFound),
        (set(600, 2), CsError::InvalidParam),
        (set(u32::MAX, 2), CsError::InvalidParam),
    ] {
        let refused = Err(error);
        assert_eq!(status(&mut cluster, operator, &request), refused);
    }
    let before = info(&mut cluster, operator, 2).unwrap();
    assert_eq!((before.votes, before.total_votes), (1, 3));
    assert_eq!(status(&mut cluster, operator, &set(3, 2)), Ok(()));
    cluster.settle();
    for node in [1, 2, 3] {
        let client = connect(&mut cluster, node);
        let info = info(&mut cluster, client, 2).unwrap();
        assert_eq!((info.votes, info.total_votes, info.quorum), (3, 5, 3));
    }
    cluster.cut(&[&[1, 3], &[2]]);
    cluster.settle();
    assert_eq!(quorate(&cluster, &[1, 2, 3]), [2]);
}

#[test]
fn votes_that_take_quorum_away_are_refused() {
    let mut cluster = Cluster::start_with(&[1, 2], &quorum(" expected_votes: 3"));
    let operator = connect(&mut cluster, 1);
    let set = Request::SetVotes {
        votes: 0,
        nodeid: NodeId(2),
    };
    let refused = Err(CsError::InvalidParam);
    assert_eq!(status(&mut cluster, operator, &set), refused);
    assert_eq!(info(&mut cluster, operator, 2).unwrap().votes, 1);
}

#[test]
fn nonsense_is_refused() {
    let mut cluster = Cluster::start_with(&[1], &quorum(""));
    let client = connect(&mut cluster, 1);
    let context = CONTEXT;
    let whole = Request::TrackStart { context, flags: 7 }.to_vec();
    for end in 16..whole.len() {
        cluster.send_bytes(client, whole[..end].to_vec());
        let answer = cluster.answer(client).expect("an answer");
        assert_eq!(answer, ResponseHeader::refusal(CsError::InvalidParam));
    }
    assert_eq!(events(&mut cluster, client), []);
}

#[test]
fn what_members_must_not_tell_is_ignored() {
    let config = crate::testing::config_of(1, &[1, 2], &quorum(""));
    let config = config.quorum.votequorum.expect("a provider");
    let settings = Settings {
        policy: Policy::new(&config),
        votes: 1,
        expected_votes: 2,
        device_votes: None,
    };
    let mut model = Model::new(NodeId(1), settings, 0);
    model.begin(&ids(&[1, 2]));
    let before = model.view.clone();
    let info = |nodeid| NodeInfo {
        nodeid: NodeId(nodeid),
        votes: 100,
        expected_votes: 1,
        flags: NodeFlags::QUORATE,
    };
    // The device of a node that was never heard of (C ends itself), and another node's business.
    model.node_info(NodeId(9), &info(0));
    model.node_info(NodeId(2), &info(1));
    model.node_info(NodeId(2), &info(3));
    assert_eq!(model.view, before);
    // Half a message.
    let bytes = Message::NodeInfo(info(2)).to_vec();
    for end in 0..bytes.len() {
        let message = bytes::Bytes::copy_from_slice(&bytes[..end]);
        assert!(Message::decode(&mut Reader::new(&message)).is_err());
    }
}

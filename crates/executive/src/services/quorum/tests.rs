//! The quorum service, its log and its clients.

use ferrosync_wire::Encode;
use ferrosync_wire::ipc::Body;

use super::*;
use crate::testing::{Client as Program, Cluster};

const VOTEQUORUM: &str = "quorum {\n provider: corosync_votequorum\n}\n";

fn call<'a, T: Body<'a>>(answer: &'a [u8]) -> Result<T, CsError> {
    let answer = Answer::<T>::decode(&mut Reader::new(answer));
    answer.expect("a whole answer").0
}

fn events(cluster: &mut Cluster, program: Program) -> Vec<Event> {
    let events = cluster.events(program);
    let decode = |bytes: Vec<u8>| Event::decode(&mut Reader::new(&bytes)).expect("an event");
    events.into_iter().map(decode).collect()
}

fn number(cluster: &mut Cluster, program: Program, request: Request) -> u32 {
    let answer = cluster.call(program, &request);
    match request {
        Request::GetQuorate => call::<QuorateAnswer>(&answer).unwrap().0,
        Request::GetType => call::<Type>(&answer).unwrap().0,
        Request::ModelGetType { .. } => call::<ModelType>(&answer).unwrap().0,
        Request::TrackStart { .. } | Request::TrackStop => panic!("no number"),
    }
}

fn track(cluster: &mut Cluster, program: Program, flags: u32) -> Result<(), CsError> {
    let answer = cluster.call(program, &Request::TrackStart { flags });
    call::<TrackStarted>(&answer).map(|_| ())
}

fn ids(ids: &[u32]) -> Vec<NodeId> {
    ids.iter().copied().map(NodeId).collect()
}

#[test]
fn long_lists_of_nodes_are_broken_between_numbers() {
    assert_eq!(node_lines("Members", &[]), ["Members[0]:"]);
    assert_eq!(
        node_lines("Members", &ids(&[1, 2, 3])),
        ["Members[3]: 1 2 3"]
    );
    let many: Vec<u32> = (101..=133).collect();
    let lines = node_lines("Sync left", &ids(&many));
    assert_eq!(lines.len(), 3);
    for (line, (first, last)) in lines.iter().zip([(101, 115), (116, 130), (131, 133)]) {
        let list: String = (first..=last).map(|id| format!(" {id}")).collect();
        let more = if last < 133 { "\\" } else { "" };
        assert_eq!(*line, format!("Sync left[33]:{list}{more}"));
    }
}

#[test]
fn who_came_and_who_went() {
    let mut change = Quorum::changed(&[1, 2, 3, 4]);
    // 2 is gone, 3 came back without its past, 4 is in no ring of ours any more, 5 is new.
    change.begin(&SyncView {
        trans: ids(&[1, 4]),
        members: ids(&[1, 3, 5]),
        ring: RingId::ZERO,
    });
    assert_eq!(change.joined, ids(&[3, 5]));
    assert_eq!(change.left, ids(&[2, 3, 4]));
}

#[test]
fn an_aborted_change_does_not_count_as_the_past() {
    let mut change = Quorum::changed(&[1]);
    for trans in [&[1][..], &[1, 2][..]] {
        change.begin(&SyncView {
            trans: ids(trans),
            members: ids(&[1, 2]),
            ring: RingId::ZERO,
        });
        assert_eq!(change.joined, ids(&[2]));
        assert_eq!(change.left, ids(&[]));
    }
}

impl Quorum {
    fn changed(settled: &[u32]) -> Change {
        Change {
            ring: RingId::ZERO,
            members: Vec::new(),
            joined: Vec::new(),
            left: Vec::new(),
            settled: ids(settled),
        }
    }
}

#[test]
fn without_a_provider_everybody_is_quorate_and_nobody_is_told() {
    let mut cluster = Cluster::start(&[1, 2]);
    let program = cluster.connect(1, ServiceId::QUORUM);
    assert_eq!(number(&mut cluster, program, Request::GetType), 0);
    assert_eq!(number(&mut cluster, program, Request::GetQuorate), 1);
    assert_eq!(track(&mut cluster, program, TRACK_CHANGES_ONLY), Ok(()));
    cluster.crash(2);
    cluster.settle();
    assert_eq!(events(&mut cluster, program), []);
    assert_eq!(number(&mut cluster, program, Request::GetQuorate), 1);
    assert_eq!(cluster.node(1).core().quorum().quorate, Quorate::Yes);
    let log = cluster.log(1, Priority::Notice);
    assert!(log.iter().all(|line| !line.starts_with("Members[")));
}

#[test]
fn clients_of_the_old_layout_hear_of_quorum_alone() {
    let mut cluster = Cluster::start_with(&[1, 2, 3], VOTEQUORUM);
    let program = cluster.connect(3, ServiceId::QUORUM);
    assert_eq!(number(&mut cluster, program, Request::GetType), 1);
    assert_eq!(track(&mut cluster, program, TRACK_CHANGES), Ok(()));
    let ring = cluster.node(3).core().quorum().ring;
    let now = Event::V0 {
        quorate: 1,
        ring_seq: ring.seq,
        view: ids(&[1, 2, 3]),
    };
    assert_eq!(events(&mut cluster, program), [now]);
    cluster.cut(&[&[1, 2], &[3]]);
    cluster.settle();
    let ring = cluster.node(3).core().quorum().ring;
    let alone = Event::V0 {
        quorate: 0,
        ring_seq: ring.seq,
        view: ids(&[3]),
    };
    assert_eq!(events(&mut cluster, program), [alone]);
    assert_eq!(number(&mut cluster, program, Request::GetQuorate), 0);
}

#[test]
fn clients_of_the_new_layout_hear_of_the_membership_first() {
    let mut cluster = Cluster::start_with(&[1, 2, 3], VOTEQUORUM);
    let program = cluster.connect(1, ServiceId::QUORUM);
    let model = Request::ModelGetType { model: 1 };
    assert_eq!(number(&mut cluster, program, model), 1);
    assert_eq!(track(&mut cluster, program, TRACK_CURRENT), Ok(()));
    let ring = cluster.node(1).core().quorum().ring;
    let members = Event::NodeList {
        ring,
        members: ids(&[1, 2, 3]),
        joined: Vec::new(),
        left: Vec::new(),
    };
    let quorum = |quorate, ring, view: &[u32]| Event::Quorum {
        quorate,
        ring,
        view: ids(view),
    };
    let expected = [members, quorum(1, ring, &[1, 2, 3])];
    assert_eq!(events(&mut cluster, program), expected);
    // The current state was all that was asked for.
    cluster.crash(2);
    cluster.settle();
    assert_eq!(events(&mut cluster, program), []);
    assert_eq!(track(&mut cluster, program, TRACK_CHANGES_ONLY), Ok(()));
    cluster.boot(2);
    cluster.settle();
    let ring = cluster.node(1).core().quorum().ring;
    let change = Event::NodeList {
        ring,
        members: ids(&[1, 2, 3]),
        joined: ids(&[2]),
        left: Vec::new(),
    };
    let expected = [change, quorum(1, ring, &[1, 2, 3])];
    assert_eq!(events(&mut cluster, program), expected);
}

#[test]
fn what_clients_may_not_do() {
    let mut cluster = Cluster::start_with(&[1], VOTEQUORUM);
    let program = cluster.connect(1, ServiceId::QUORUM);
    let answer = cluster.call(program, &Request::ModelGetType { model: 2 });
    assert_eq!(call::<ModelType>(&answer), Err(CsError::InvalidParam));
    // Nothing was started, and yet it can be stopped.
    let answer = cluster.call(program, &Request::TrackStop);
    assert!(call::<TrackStopped>(&answer).is_ok());
    assert_eq!(track(&mut cluster, program, TRACK_CHANGES), Ok(()));
    assert_eq!(events(&mut cluster, program).len(), 1);
    // Too late, but not without the state.
    assert_eq!(
        track(&mut cluster, program, TRACK_CURRENT),
        Err(CsError::Exist)
    );
    assert_eq!(events(&mut cluster, program).len(), 1);
    let cut_short = Request::TrackStart { flags: 1 }.to_vec()[..17].to_vec();
    cluster.send_bytes(program, cut_short);
    let answer = cluster.answer(program).expect("an answer");
    assert_eq!(answer, ResponseHeader::refusal(CsError::InvalidParam));
}

#[test]
fn the_log_tells_operators_what_they_look_for() {
    let mut cluster = Cluster::start_with(&[1, 2, 3], VOTEQUORUM);
    cluster.cut(&[&[1], &[2, 3]]);
    cluster.settle();
    let log = cluster.log(1, Priority::Notice);
    let mut rest = log.iter();
    for line in [
        "Using quorum provider corosync_votequorum",
        "Sync members[3]: 1 2 3",
        "This node is within the primary component and will provide service.",
        "Members[3]: 1 2 3",
        "Sync members[1]: 1",
        "Sync left[2]: 2 3",
        "This node is within the non-primary component and will NOT provide any services.",
        "Members[1]: 1",
        "Completed service synchronization, ready to provide service.",
    ] {
        let found = rest.any(|other| *other == line);
        assert!(found, "no line {line:?} where it belongs in {log:#?}");
    }
}

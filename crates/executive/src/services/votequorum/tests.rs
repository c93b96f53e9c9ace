//! votequorum in whole nodes.

mod clients;
mod device;
mod histories;
mod settings;

use ferrosync_wire::ipc::votequorum::{Event, Info, Request, Status};
use ferrosync_wire::ipc::{Answer, Body, CsError};
use ferrosync_wire::{Decode, NodeId, Reader, ServiceId};

use crate::core::Quorate;
use crate::testing::{Client, Cluster};

/// The quorum section with more lines in it.
fn quorum(lines: &str) -> String {
    format!("quorum {{\n provider: corosync_votequorum\n{lines}\n}}\n")
}

fn ids(ids: &[u32]) -> Vec<NodeId> {
    ids.iter().copied().map(NodeId).collect()
}

fn connect(cluster: &mut Cluster, node: u32) -> Client {
    cluster.connect(node, ServiceId::VOTEQUORUM)
}

fn decoded<'a, T: Body<'a>>(answer: &'a [u8]) -> Result<T, CsError> {
    let answer = Answer::<T>::decode(&mut Reader::new(answer));
    answer.expect("a whole answer").0
}

/// How a request ends that is answered with no more than that.
fn status(cluster: &mut Cluster, client: Client, request: &Request<'_>) -> Result<(), CsError> {
    let answer = cluster.call(client, request);
    decoded::<Status>(&answer).map(|_| ())
}

/// What a node knows of another one, without the device's name.
fn info(cluster: &mut Cluster, client: Client, node: u32) -> Result<Info<'static>, CsError> {
    let nodeid = NodeId(node);
    let answer = cluster.call(client, &Request::GetInfo { nodeid });
    decoded::<Info<'_>>(&answer).map(|info| Info {
        nodeid: info.nodeid,
        state: info.state,
        votes: info.votes,
        expected_votes: info.expected_votes,
        highest_expected: info.highest_expected,
        total_votes: info.total_votes,
        quorum: info.quorum,
        flags: info.flags,
        device_votes: info.device_votes,
        device_name: b"",
    })
}

fn events(cluster: &mut Cluster, client: Client) -> Vec<Event> {
    let events = cluster.events(client);
    let decode = |bytes: Vec<u8>| Event::decode(&mut Reader::new(&bytes)).expect("an event");
    events.into_iter().map(decode).collect()
}

/// Which of the nodes have quorum.
fn quorate(cluster: &Cluster, nodes: &[u32]) -> Vec<u32> {
    let quorate = |id: &u32| cluster.node(*id).core().quorum().quorate == Quorate::Yes;
    nodes.iter().copied().filter(quorate).collect()
}

#[test]
fn one_part_at_most_is_quorate() {
    let all = [1, 2, 3, 4, 5];
    let mut cluster = Cluster::start_with(&all, &quorum(""));
    assert_eq!(quorate(&cluster, &all), all);
    for (islands, expected) in [
        (&[&[1, 2][..], &[3, 4, 5]][..], &[3, 4, 5][..]),
        (&[&[1, 2], &[3, 4], &[5]], &[]),
        (&[&[1], &[2, 3, 4, 5]], &[2, 3, 4, 5]),
        (&[&[1, 2, 3, 4, 5]], &all),
    ] {
        cluster.cut(islands);
        cluster.settle();
        assert_eq!(quorate(&cluster, &all), expected, "{islands:?}");
        for island in islands {
            let view = cluster.node(island[0]).core().quorum();
            assert_eq!(view.members, ids(island));
            assert_eq!(view.ring, cluster.node(island[0]).core().ring);
        }
    }
}

#[test]
fn quorum_lasts_until_the_next_membership_is_agreed_on() {
    let mut cluster = Cluster::start_with(&[1, 2, 3], &quorum(""));
    let before = cluster.node(3).core().quorum().clone();
    cluster.cut(&[&[1, 2], &[3]]);
    cluster.run_until("node 3 is alone", |c| {
        c.node(3).core().members == [NodeId(3)]
    });
    assert!(cluster.node(3).core().sync.in_progress());
    assert_eq!(*cluster.node(3).core().quorum(), before);
    cluster.settle();
    assert_eq!(quorate(&cluster, &[1, 2, 3]), [1, 2]);
}

#[test]
fn votes_weigh() {
    let mut cluster = Cluster::off(&[1, 2, 3], &quorum(""));
    for id in [1, 2, 3] {
        cluster.configure(id, |config| {
            let quorum = config.quorum.votequorum.as_mut().expect("a provider");
            quorum.votes = if id == 2 { 3 } else { 1 };
            quorum.expected_votes = 5;
        });
        cluster.boot(id);
    }
    cluster.settle();
    cluster.cut(&[&[1, 3], &[2]]);
    cluster.settle();
    assert_eq!(quorate(&cluster, &[1, 2, 3]), [2]);
    let client = connect(&mut cluster, 2);
    let info = info(&mut cluster, client, 0).unwrap();
    assert_eq!((info.votes, info.total_votes, info.quorum), (3, 3, 3));
}

#[test]
fn two_nodes_wait_for_each_other_once() {
    let two_node = quorum(" two_node: 1");
    let mut cluster = Cluster::off(&[1, 2], &two_node);
    cluster.boot(1);
    cluster.settle();
    assert_eq!(quorate(&cluster, &[1]), []);
    cluster.boot(2);
    cluster.settle();
    assert_eq!(quorate(&cluster, &[1, 2]), [1, 2]);
    cluster.cut(&[&[1], &[2]]);
    cluster.settle();
    // Fencing decides which of them lives.
    assert_eq!(quorate(&cluster, &[1, 2]), [1, 2]);
    cluster.crash(1);
    cluster.boot(1);
    cluster.settle();
    assert_eq!(quorate(&cluster, &[1, 2]), [2]);
    cluster.heal();
    cluster.settle();
    assert_eq!(quorate(&cluster, &[1, 2]), [1, 2]);
}

#[test]
fn the_last_man_stands_after_the_window() {
    let sections = quorum(" last_man_standing: 1\n last_man_standing_window: 5000");
    let mut cluster = Cluster::start_with(&[1, 2, 3, 4], &sections);
    let client = connect(&mut cluster, 1);
    cluster.crash(4);
    cluster.settle();
    let quorum_of = |cluster: &mut Cluster| info(cluster, client, 0).unwrap().quorum;
    assert_eq!(quorum_of(&mut cluster), 3);
    cluster.run_for(core::time::Duration::from_secs(6));
    assert_eq!(quorum_of(&mut cluster), 2);
    cluster.crash(3);
    cluster.settle();
    assert_eq!(quorate(&cluster, &[1, 2]), [1, 2]);
}

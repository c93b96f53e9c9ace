//! Administration in whole nodes.

use core::time::Duration;
use ferrosync_wire::ipc::cfg::{
    LocalNode, NodeAddrs, NodeKilled, NodeStatus, Request, RingReenabled, RingStatus,
    ShutdownFlags, ShutdownReplied, ShutdownTried, TestShutdown, TrackStarted,
};
use ferrosync_wire::ipc::{Answer, Body, CsError, Done, Number, ResponseHeader};
use ferrosync_wire::{Decode, Key, Name, NodeId, Reader, ServiceId, Value};

use crate::log::Priority;
use crate::output::{ExitReason, HostAnswer, HostRequest};
use crate::testing::{Client, Cluster};

fn decoded<'a, T: Body<'a>>(bytes: &'a [u8]) -> Result<T, CsError> {
    let answer = Answer::<T>::decode(&mut Reader::new(bytes));
    answer.expect("a well-formed answer").0
}

fn status<const ID: i32>(bytes: &[u8]) -> Result<(), CsError> {
    decoded::<Done<ID>>(bytes).map(|Done| ())
}

/// The error of an answer that [`status`] could not read.
fn header(bytes: &[u8]) -> ResponseHeader {
    ResponseHeader::decode(&mut Reader::new(bytes)).expect("a header")
}

fn event(bytes: &[u8]) -> TestShutdown {
    TestShutdown::decode(&mut Reader::new(bytes)).expect("a well-formed event")
}

fn tracking(cluster: &mut Cluster, node: u32) -> Client {
    let client = cluster.connect(node, ServiceId::CFG);
    let answer = cluster.call(client, &Request::TrackStart { flags: 0 });
    assert_eq!(decoded::<TrackStarted>(&answer), Ok(Done));
    client
}

fn kill(nodeid: u32, reason: &[u8]) -> Request<'_> {
    Request::KillNode {
        nodeid: NodeId(nodeid),
        reason: Name::new(reason),
    }
}

const REQUEST: Request<'_> = Request::TryShutdown(ShutdownFlags::REQUEST);
const AGREE: Request<'_> = Request::ReplyToShutdown { response: 1 };
const REFUSE: Request<'_> = Request::ReplyToShutdown { response: 0 };

#[test]
fn links_are_those_of_the_configuration() {
    let mut cluster = Cluster::start(&[1, 2]);
    let client = cluster.connect(1, ServiceId::CFG);
    let answer = cluster.call(client, &Request::RingStatusGet);
    assert_eq!(answer.len(), 10_272);
    let RingStatus(links) = decoded(&answer).unwrap();
    let links: Vec<(&[u8], &[u8])> = links.iter().map(|l| (l.name, l.status)).collect();
    assert_eq!(links, [(&b"0 10.0.0.1"[..], &b"OK"[..])]);
    let answer = cluster.call(client, &Request::LocalGet);
    assert_eq!(decoded::<LocalNode>(&answer), Ok(Number(1)));
    let answer = cluster.call(client, &Request::RingReenable);
    assert_eq!(
        decoded::<RingReenabled>(&answer),
        Err(CsError::NotSupported)
    );
}

#[test]
fn addresses_are_given_for_configured_nodes() {
    let mut cluster = Cluster::start(&[1, 2]);
    let client = cluster.connect(1, ServiceId::CFG);
    for (asked, last) in [(0, 1), (1, 1), (2, 2)] {
        let nodeid = NodeId(asked);
        let answer = cluster.call(client, &Request::GetNodeAddrs { nodeid });
        let NodeAddrs { family, addresses } = decoded(&answer).unwrap();
        assert_eq!((family, addresses.len()), (2, 1));
        assert_eq!(addresses[0][..5], [10, 0, 0, last, 0]);
    }
    let nodeid = NodeId(9);
    let answer = cluster.call(client, &Request::GetNodeAddrs { nodeid });
    assert_eq!(decoded::<NodeAddrs>(&answer), Err(CsError::NotExist));
    assert_eq!(answer.len(), 32);
}

#[test]
fn a_node_is_reachable_while_it_may_be_a_member() {
    let mut cluster = Cluster::start(&[1, 2]);
    let client = cluster.connect(1, ServiceId::CFG);
    let look = |cluster: &mut Cluster, node: u32, version| {
        let nodeid = NodeId(node);
        let answer = cluster.call(client, &Request::NodeStatusGet { nodeid, version });
        decoded::<NodeStatus<'_>>(&answer).map(|status| {
            assert_eq!(answer.len(), 4200);
            let link = status.links[0];
            let flags = (status.reachable, link.enabled, link.connected);
            (flags, link.mtu, link.src.to_vec(), link.dst.to_vec())
        })
    };
    let nothing = Vec::new;
    let there = |mtu, ip: &[u8]| Ok(((true, true, true), mtu, ip.to_vec(), nothing()));
    assert_eq!(look(&mut cluster, 1, 1), there(1410, b"10.0.0.1"));
    assert_eq!(look(&mut cluster, 2, 1), there(1410, b"10.0.0.2"));
    let unknown = Ok(((false, false, false), 0, nothing(), nothing()));
    assert_eq!(look(&mut cluster, 9, 1), unknown);
    assert_eq!(look(&mut cluster, 2, 2), Err(CsError::NotSupported));
    cluster.crash(2);
    assert_eq!(look(&mut cluster, 2, 1), there(1410, b"10.0.0.2"));
    cluster.settle();
    let gone = Ok(((false, true, false), 1410, b"10.0.0.2".to_vec(), nothing()));
    assert_eq!(look(&mut cluster, 2, 1), gone);
}

#[test]
fn a_killed_node_ends_at_once_and_says_why() {
    let mut cluster = Cluster::start(&[1, 2]);
    let client = cluster.connect(1, ServiceId::CFG);
    let answer = cluster.call(client, &kill(9, b"?"));
    assert_eq!(decoded::<NodeKilled>(&answer), Err(CsError::NotExist));
    let answer = cluster.call(client, &kill(2, b"two\nlines"));
    assert_eq!(decoded::<NodeKilled>(&answer), Ok(Done));
    cluster.run_until("the end", |c| c.exit(2).is_some());
    assert_eq!(cluster.exit(2), Some(ExitReason::Killed));
    let log = cluster.log(2, Priority::Notice);
    assert!(log.contains(&"Killed by node 1 : two?lines"), "{log:?}");
    assert_eq!(cluster.exit(1), None);
    cluster.crash(2);
    cluster.settle();
    let answer = cluster.call(client, &kill(2, b"again"));
    assert_eq!(decoded::<NodeKilled>(&answer), Err(CsError::NotExist));
}

#[test]
fn a_node_that_nobody_needs_shuts_down_when_asked() {
    for flags in [
        ShutdownFlags::REQUEST,
        ShutdownFlags::REGARDLESS,
        ShutdownFlags::IMMEDIATE,
    ] {
        let mut cluster = Cluster::start(&[1, 2]);
        let client = cluster.connect(1, ServiceId::CFG);
        let answer = cluster.call(client, &Request::TryShutdown(flags));
        assert_eq!(decoded::<ShutdownTried>(&answer), Ok(Done));
        cluster.run_until("the end", |c| c.exit(1).is_some());
        assert_eq!(cluster.exit(1), Some(ExitReason::Shutdown));
        cluster.run_until("the other heard", |c| {
            c.log(2, Priority::Notice)
                .contains(&"Node 1 was shut down by sysadmin")
        });
        assert_eq!(cluster.exit(2), None);
    }
}

#[test]
fn trackers_decide() {
    for (reply, result) in [(AGREE, Ok(())), (REFUSE, Err(CsError::Busy))] {
        let mut cluster = Cluster::start(&[1]);
        let tracker = tracking(&mut cluster, 1);
        let client = cluster.connect(1, ServiceId::CFG);
        let answer = cluster.call(tracker, &reply);
        assert_eq!(status::<13>(&answer), Err(CsError::Access));
        cluster.send(client, &REQUEST);
        let events = cluster.events(tracker);
        assert_eq!(events[0].len(), 32);
        let asked = TestShutdown {
            status: Ok(()),
            flags: ShutdownFlags::REQUEST,
        };
        assert_eq!(events.iter().map(|e| event(e)).collect::<Vec<_>>(), [asked]);
        assert_eq!(cluster.answer(client), None);
        let other = cluster.connect(1, ServiceId::CFG);
        let answer = cluster.call(other, &REQUEST);
        assert_eq!(decoded::<ShutdownTried>(&answer), Err(CsError::Exist));
        let answer = cluster.call(tracker, &reply);
        assert_eq!(decoded::<ShutdownReplied>(&answer), Ok(Done));
        let answer = cluster.answer(client).expect("the verdict");
        assert_eq!(status::<9>(&answer), result);
        cluster.run_for(Duration::from_secs(10));
        assert_eq!(cluster.exit(1).is_some(), result.is_ok());
        assert_eq!(cluster.events(tracker).len(), 0, "no vote goes on");
    }
}

#[test]
fn time_to_vote_ends_as_configured() {
    for (configured, timeout) in [(None, 5_000), (Some(700), 700)] {
        let mut cluster = Cluster::start(&[1]);
        if let Some(ms) = configured {
            let key = Key::new("cfg.shutdown_timeout").unwrap();
            let icmap = &mut cluster.node_mut(1).core.icmap;
            icmap.set(key, Value::U32(ms)).unwrap();
        }
        let tracker = tracking(&mut cluster, 1);
        let client = cluster.connect(1, ServiceId::CFG);
        cluster.send(client, &REQUEST);
        cluster.run_for(Duration::from_millis(timeout - 1));
        assert_eq!(cluster.answer(client), None);
        cluster.run_for(Duration::from_millis(2));
        let answer = cluster.answer(client).expect("time is over");
        assert_eq!(status::<9>(&answer), Err(CsError::Busy));
        let events = cluster.events(tracker);
        let statuses: Vec<_> = events.iter().map(|e| event(e).status).collect();
        assert_eq!(statuses, [Ok(())]);
        assert_eq!(cluster.exit(1), None);
    }
}

#[test]
fn a_vote_without_its_client_is_no_vote() {
    let mut cluster = Cluster::start(&[1]);
    let tracker = tracking(&mut cluster, 1);
    let client = cluster.connect(1, ServiceId::CFG);
    cluster.send(client, &REQUEST);
    cluster.close(client);
    let answer = cluster.call(tracker, &AGREE);
    assert_eq!(decoded::<ShutdownReplied>(&answer), Err(CsError::Access));
    cluster.run_for(Duration::from_secs(10));
    assert_eq!(cluster.events(tracker).len(), 1, "the question only");
    assert_eq!(cluster.exit(1), None);
    // The last one to be asked goes: nobody objects.
    let client = cluster.connect(1, ServiceId::CFG);
    cluster.send(client, &REQUEST);
    cluster.close(tracker);
    let answer = cluster.answer(client).expect("the verdict");
    assert_eq!(decoded::<ShutdownTried>(&answer), Ok(Done));
}

#[test]
fn log_files_are_the_hosts() {
    let mut cluster = Cluster::start(&[1]);
    let client = cluster.connect(1, ServiceId::CFG);
    for result in [Ok(()), Err(CsError::Access)] {
        cluster.send(client, &Request::ReopenLogFiles);
        let conn = client.conn;
        assert_eq!(cluster.asked(1), Some(HostRequest::ReopenLogs { conn }));
        assert_eq!(cluster.answer(client), None);
        cluster.answer_host(1, HostAnswer::LogsReopened { conn, result });
        let answer = cluster.answer(client).expect("the answer");
        assert_eq!(status::<15>(&answer), result);
    }
}

#[test]
fn a_request_that_is_cut_short_is_refused() {
    let mut cluster = Cluster::start(&[1]);
    let client = cluster.connect(1, ServiceId::CFG);
    let mut short = vec![0; 16];
    short[0] = 9;
    short[8] = 32;
    cluster.send_bytes(client, short);
    let answer = cluster.answer(client).expect("an answer");
    assert_eq!(header(&answer).status, Err(CsError::InvalidParam));
}

//! The quorum device.

use core::time::Duration;

use ferrosync_wire::ipc::votequorum::InfoFlags;

use super::*;

const NAME: &[u8] = b"qdevice";
const DEVICE: &str = " device {\n  model: net\n  votes: 1\n }";

fn register(name: &[u8]) -> Request<'_> {
    Request::DeviceRegister { name }
}

fn poll(cluster: &Cluster, client: Client, cast_vote: u32) -> Request<'static> {
    Request::DevicePoll {
        name: NAME,
        cast_vote,
        ring: cluster.node(client.node).core().ring,
    }
}

/// Two nodes and a device that votes for node 1.
fn voting() -> (Cluster, Client) {
    let mut cluster = Cluster::start_with(&[1, 2], &quorum(DEVICE));
    let device = connect(&mut cluster, 1);
    assert_eq!(status(&mut cluster, device, &register(NAME)), Ok(()));
    let request = poll(&cluster, device, 1);
    assert_eq!(status(&mut cluster, device, &request), Ok(()));
    cluster.run_for(Duration::from_secs(1));
    (cluster, device)
}

#[test]
fn a_device_keeps_one_of_two_quorate() {
    let (mut cluster, device) = voting();
    let seen = info(&mut cluster, device, 0).unwrap();
    let flags = InfoFlags::QUORATE
        .with(InfoFlags::QDEVICE_REGISTERED)
        .with(InfoFlags::QDEVICE_ALIVE)
        .with(InfoFlags::QDEVICE_CAST_VOTE);
    assert_eq!((seen.flags, seen.total_votes, seen.quorum), (flags, 3, 2));
    let answer = cluster.call(device, &Request::GetInfo { nodeid: NodeId(1) });
    let name = decoded::<Info<'_>>(&answer).unwrap().device_name.to_vec();
    assert_eq!(name, NAME);

    cluster.crash(2);
    cluster.run_until("alone", |c| c.node(1).core().members == [NodeId(1)]);
    // Synchronisation waits for the device to vote for this ring.
    cluster.run_for(Duration::from_secs(2));
    assert!(cluster.node(1).core().sync.in_progress());
    let request = poll(&cluster, device, 1);
    assert_eq!(status(&mut cluster, device, &request), Ok(()));
    cluster.settle();
    assert_eq!(quorate(&cluster, &[1]), [1]);
}

#[test]
fn a_silent_device_loses_its_vote() {
    let (mut cluster, device) = voting();
    cluster.run_for(Duration::from_secs(11));
    let seen = info(&mut cluster, device, 0).unwrap();
    let flags = InfoFlags::QUORATE.with(InfoFlags::QDEVICE_REGISTERED);
    assert_eq!((seen.flags, seen.total_votes), (flags, 2));
    cluster.crash(2);
    cluster.settle();
    assert_eq!(quorate(&cluster, &[1]), []);
}

#[test]
fn synchronisation_does_not_wait_for_a_device_for_ever() {
    let (mut cluster, _device) = voting();
    cluster.crash(2);
    cluster.settle();
    assert_eq!(quorate(&cluster, &[1]), []);
}

#[test]
fn what_a_device_may_not_do() {
    let (mut cluster, device) = voting();
    let other = b"another".as_slice();
    let old_ring = Request::DevicePoll {
        name: NAME,
        cast_vote: 1,
        ring: ferrosync_wire::RingId::ZERO,
    };
    for (request, outcome) in [
        (register(NAME), Ok(())),
        (register(other), Err(CsError::Exist)),
        (old_ring, Err(CsError::MessageError)),
        (
            Request::DeviceMasterWins {
                name: other,
                allow: 1,
            },
            Err(CsError::InvalidParam),
        ),
        (
            Request::DeviceUpdate {
                old: other,
                new: NAME,
            },
            Err(CsError::InvalidParam),
        ),
        (
            Request::DeviceUnregister { name: other },
            Err(CsError::InvalidParam),
        ),
        (Request::DeviceUnregister { name: NAME }, Ok(())),
        (
            Request::DeviceUnregister { name: NAME },
            Err(CsError::NotExist),
        ),
        (
            Request::DeviceUpdate {
                old: NAME,
                new: other,
            },
            Err(CsError::NotExist),
        ),
        (poll(&cluster, device, 1), Err(CsError::NotExist)),
    ] {
        assert_eq!(
            status(&mut cluster, device, &request),
            outcome,
            "{request:?}"
        );
    }
}

#[test]
fn all_nodes_agree_on_one_name() {
    let (mut cluster, device) = voting();
    let second = connect(&mut cluster, 2);
    let other = register(b"another");
    let refused = Err(CsError::Exist);
    assert_eq!(status(&mut cluster, second, &other), refused);
    let rename = Request::DeviceUpdate {
        old: NAME,
        new: b"another",
    };
    assert_eq!(status(&mut cluster, device, &rename), Ok(()));
    cluster.run_for(Duration::from_secs(1));
    assert_eq!(status(&mut cluster, second, &other), Ok(()));
}

#[test]
fn who_goes_waits_for_no_registration() {
    let mut cluster = Cluster::start_with(&[1, 2], &quorum(DEVICE));
    let first = connect(&mut cluster, 1);
    let second = connect(&mut cluster, 1);
    cluster.send(first, &register(NAME));
    let busy = Err(CsError::TryAgain);
    assert_eq!(status(&mut cluster, second, &register(NAME)), busy);
    cluster.close(first);
    assert_eq!(status(&mut cluster, second, &register(NAME)), Ok(()));
}

#[test]
fn the_device_may_decide_alone() {
    let device = " device {\n  model: net\n  votes: 1\n }";
    let mut cluster = Cluster::start_with(&[1, 2, 3, 4, 5], &quorum(device));
    let client = connect(&mut cluster, 5);
    assert_eq!(status(&mut cluster, client, &register(NAME)), Ok(()));
    let wins = Request::DeviceMasterWins {
        name: NAME,
        allow: 1,
    };
    assert_eq!(status(&mut cluster, client, &wins), Ok(()));
    let request = poll(&cluster, client, 1);
    assert_eq!(status(&mut cluster, client, &request), Ok(()));
    cluster.run_for(Duration::from_secs(1));
    cluster.cut(&[&[1, 2], &[3, 4], &[5]]);
    cluster.run_until("alone", |c| c.node(5).core().members == [NodeId(5)]);
    let request = poll(&cluster, client, 1);
    assert_eq!(status(&mut cluster, client, &request), Ok(()));
    cluster.settle();
    assert_eq!(quorate(&cluster, &[1, 2, 3, 4, 5]), [5]);
}

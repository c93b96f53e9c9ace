//! Quorum.

use std::time::Duration;

use ferrosync_client::quorum::{Error, Event, Model, Provider, Quorum, Track};
use ferrosync_client::{ConnectionError, NodeId};

use crate::daemon::{PATIENCE, is_lost as lost, options};

const NODE: NodeId = NodeId(7);

pub(crate) fn connect() -> Quorum {
    Quorum::connect(Model::V1, &options()).unwrap()
}

fn next(quorum: &mut Quorum) -> Event {
    quorum
        .dispatch(PATIENCE)
        .unwrap()
        .expect("an event in time")
}

pub(crate) fn model_0_tells_quorum() {
    let mut quorum = Quorum::connect(Model::V0, &options()).unwrap();
    assert_eq!(quorum.provider(), Provider::Configured);
    assert!(quorum.is_quorate().unwrap());
    quorum.track(Track::Changes).unwrap();
    let event = next(&mut quorum);
    let Event::V0 {
        quorate, members, ..
    } = event
    else {
        panic!("not of model 0: {event:?}");
    };
    assert_eq!((quorate, members), (true, vec![NODE]));
    quorum.untrack().unwrap();
    assert_eq!(quorum.dispatch(Duration::ZERO).unwrap(), None);
}

pub(crate) fn model_1_tells_nodes_and_quorum() {
    let mut quorum = connect();
    quorum.track(Track::ChangesOnly).unwrap();
    assert_eq!(quorum.dispatch(Duration::ZERO).unwrap(), None);
    let again = quorum.track(Track::Current).unwrap_err();
    assert!(matches!(again, Error::AlreadyTracking), "{again}");
    let first = next(&mut quorum);
    let second = next(&mut quorum);
    match (first, second) {
        (
            Event::Nodes {
                ring,
                members,
                joined,
                left,
            },
            Event::Quorum {
                quorate: true,
                ring: same,
                members: voters,
            },
        ) => {
            assert_eq!((members, joined, left), (vec![NODE], vec![], vec![]));
            assert_eq!((same, voters), (ring, vec![NODE]));
        }
        other => panic!("not nodes and then quorum: {other:?}"),
    }
    quorum.untrack().unwrap();
    quorum.track(Track::Current).unwrap();
}

/// The daemon was killed.
pub(crate) fn is_lost(quorum: &mut Quorum) {
    let error = quorum.is_quorate().unwrap_err();
    assert!(matches!(&error, Error::Connection(e) if lost(e)), "{error}");
    let error = Quorum::connect(Model::V0, &options()).unwrap_err();
    let is_not_running = matches!(error, Error::Connection(ConnectionError::NotRunning(_)));
    assert!(is_not_running, "{error}");
}

//! Administration.

use std::thread;
use std::time::Duration;

use ferrosync_client::cfg::{Cfg, Error, Event, Urgency, Vote};
use ferrosync_client::{CsError, NodeId};

use crate::daemon::{PATIENCE, is_lost as lost, options};

const NODE: NodeId = NodeId(7);
const NOBODY: NodeId = NodeId(4711);

pub(crate) fn connect() -> Cfg {
    Cfg::connect(&options()).unwrap()
}

pub(crate) fn nodes_and_links_are_known() {
    let mut cfg = connect();
    assert_eq!(cfg.local_node().unwrap(), NODE);
    for node in [NODE, NodeId(0)] {
        let addresses = cfg.node_addresses(node).unwrap();
        let words: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        assert_eq!(words, ["127.0.0.1"], "node {node}");
    }
    let links = cfg.links().unwrap();
    let names: Vec<&str> = links.iter().map(|link| link.name.as_str()).collect();
    assert!(names[0].contains("127.0.0.1"), "{names:?}");
    let status = cfg.node_status(NODE).unwrap();
    assert_eq!((status.node, status.reachable), (NODE, true));
    let (used, unused) = status.links.split_at(1);
    assert!(used[0].enabled && used[0].connected, "{status:?}");
    assert_eq!(used[0].source, "127.0.0.1");
    assert!(unused.iter().all(|link| !link.enabled), "{status:?}");
}

pub(crate) fn what_is_not_there_is_refused() {
    let mut cfg = connect();
    let error = cfg.kill_node(NOBODY, "nobody").unwrap_err();
    assert!(matches!(error, Error::NotFound), "{error}");
    let error = cfg.kill_node(NOBODY, &"x".repeat(256)).unwrap_err();
    assert!(matches!(error, Error::TooLong), "{error}");
    let error = cfg.vote(Vote::Yes).unwrap_err();
    assert!(matches!(error, Error::NoBallot), "{error}");
    assert_eq!(error.code(), CsError::Access);
}

pub(crate) fn orders_are_carried_out() {
    let mut cfg = connect();
    cfg.reopen_log_files().unwrap();
    // Nothing has changed, so nothing can be wrong with it.
    cfg.reload().unwrap();
}

pub(crate) fn a_shutdown_is_voted_on() {
    let mut cfg = connect();
    cfg.track().unwrap();
    cfg.track().unwrap();
    assert_eq!(cfg.dispatch(Duration::ZERO).unwrap(), None);
    let wish = thread::spawn(|| connect().shut_down(Urgency::Request));
    let event = cfg.dispatch(PATIENCE).unwrap();
    assert_eq!(event, Some(Event::ShutdownWanted(Urgency::Request)));
    let again = connect().shut_down(Urgency::Request).unwrap_err();
    assert!(matches!(again, Error::Voting), "{again}");
    cfg.vote(Vote::No).unwrap();
    let refused = wish.join().unwrap().unwrap_err();
    assert!(matches!(refused, Error::Vetoed), "{refused}");
    cfg.untrack().unwrap();
    cfg.untrack().unwrap();
}

/// The daemon was killed.
pub(crate) fn is_lost(cfg: &mut Cfg) {
    let error = cfg.local_node().unwrap_err();
    assert!(matches!(&error, Error::Connection(e) if lost(e)), "{error}");
}

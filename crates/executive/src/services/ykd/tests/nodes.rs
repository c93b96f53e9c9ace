//! Whole nodes: configuration, log, messages on the ring and what is kept.

use ferrosync_wire::ipc::quorum::{Event, Request, TRACK_CHANGES};
use ferrosync_wire::{Decode, Reader, ServiceId};

use crate::core::Quorate;
use crate::log::Priority;
use crate::testing::{Client, Cluster, config_of};

const OURS: &str = "quorum {\n provider: ferrosync_ykd\n}\n";
const CS: &str = "quorum {\n provider: corosync_ykd\n}\n";

fn quorate(cluster: &Cluster, ids: &[u32]) -> Vec<bool> {
    let quorum = |id: &u32| cluster.node(*id).core().quorum().quorate;
    ids.iter().map(|id| quorum(id) == Quorate::Yes).collect()
}

/// What the log of a node says, line after line, with others in between.
fn says(cluster: &Cluster, id: u32, lines: &[&str]) {
    let log = cluster.log(id, Priority::Notice);
    let mut rest = log.iter();
    for line in lines {
        let found = rest.any(|other| other == line);
        assert!(found, "no line {line:?} where it belongs in {log:#?}");
    }
}

#[test]
fn who_holds_the_majority_of_the_last_component_acts() {
    let mut cluster = Cluster::start_with(&[1, 2, 3, 4, 5], OURS);
    assert_eq!(quorate(&cluster, &[1, 2, 3, 4, 5]), [true; 5]);
    cluster.cut(&[&[1, 2], &[3, 4, 5]]);
    cluster.settle();
    assert_eq!(
        quorate(&cluster, &[1, 2, 3, 4, 5]),
        [false, false, true, true, true]
    );
    // Two of three, of five.
    cluster.cut(&[&[1, 2, 5], &[3, 4]]);
    cluster.settle();
    assert_eq!(
        quorate(&cluster, &[1, 2, 3, 4, 5]),
        [false, false, true, true, false]
    );
    says(
        &cluster,
        4,
        &[
            "Using quorum provider ferrosync_ykd",
            "Primary component 1 (1 2 3 4 5) is formed.",
            "This node is within the primary component and will provide service.",
            "Primary component 2 (3 4 5) is formed.",
            "Primary component 3 (3 4) is formed.",
        ],
    );
    says(
        &cluster,
        1,
        &[
            "This node is within the non-primary component and will NOT provide any services.",
            "No primary component: too few of 1 (1 2 3 4 5) are here.",
            "No primary component: too few of 2 (3 4 5) are here.",
        ],
    );
}

#[test]
fn a_restart_forgets_nothing() {
    let mut cluster = Cluster::start_with(&[1, 2, 3, 4, 5], OURS);
    cluster.cut(&[&[1, 2], &[3, 4, 5]]);
    cluster.settle();
    for id in [3, 4, 5] {
        cluster.crash(id);
    }
    cluster.heal();
    cluster.boot(3);
    cluster.settle();
    // Three of five, but one of the last three.
    assert_eq!(quorate(&cluster, &[1, 2, 3]), [false; 3]);
    cluster.boot(4);
    cluster.settle();
    assert_eq!(quorate(&cluster, &[1, 2, 3, 4]), [true; 4]);
}

#[test]
fn a_node_without_its_file_counts_in_no_majority() {
    let mut cluster = Cluster::start_with(&[1, 2, 3], OURS);
    let islands: [&[&[u32]]; 2] = [&[&[1, 2], &[3]], &[&[1], &[2], &[3]]];
    for islands in islands {
        cluster.cut(islands);
        cluster.settle();
    }
    assert_eq!(quorate(&cluster, &[1, 2, 3]), [true, false, false]);
    cluster.crash(2);
    cluster.forget(2);
    cluster.cut(&[&[1], &[2, 3]]);
    cluster.boot(2);
    cluster.settle();
    assert_eq!(quorate(&cluster, &[1, 2, 3]), [true, false, false]);
    let line = "No primary component: too few of 1 (1 2 3) are here that remember it, 2 not.";
    says(&cluster, 3, &[line]);
    cluster.heal();
    cluster.settle();
    assert_eq!(quorate(&cluster, &[1, 2, 3]), [true; 3]);
}

#[test]
fn new_nodes_wait_for_those_that_act() {
    let all = [1, 2, 3, 4, 5];
    let mut cluster = Cluster::off(&all, OURS);
    let grown = |id: u32, nodes: &[u32]| config_of(id, nodes, OURS);
    cluster.cut(&[&[1, 2], &[3, 4, 5]]);
    for id in [1, 2] {
        cluster.configure(id, |config| *config = grown(id, &[1, 2]));
        cluster.boot(id);
    }
    cluster.settle();
    assert_eq!(quorate(&cluster, &[1, 2]), [true; 2]);
    for id in [3, 4, 5] {
        cluster.boot(id);
    }
    cluster.settle();
    assert_eq!(quorate(&cluster, &all), [true, true, false, false, false]);
    let line = "No primary component: none is remembered, the first one needs 1 2.";
    says(&cluster, 4, &[line]);
    for id in [1, 2] {
        cluster.crash(id);
        cluster.configure(id, |config| *config = grown(id, &all));
        cluster.boot(id);
    }
    cluster.settle();
    assert_eq!(quorate(&cluster, &all), [true, true, false, false, false]);
    cluster.heal();
    cluster.settle();
    assert_eq!(quorate(&cluster, &all), [true; 5]);
}

#[test]
fn clients_see_a_provider_and_its_decisions() {
    for provider in [OURS, CS] {
        let mut cluster = Cluster::start_with(&[1, 2, 3], provider);
        let program = cluster.connect(3, ServiceId::QUORUM);
        let flags = TRACK_CHANGES;
        cluster.call(program, &Request::TrackStart { flags });
        assert_eq!(heard(&mut cluster, program), [1]);
        cluster.cut(&[&[1, 2], &[3]]);
        cluster.settle();
        assert_eq!(heard(&mut cluster, program), [0], "{provider}");
        assert_eq!(quorate(&cluster, &[1, 2, 3]), [true, true, false]);
        cluster.heal();
        cluster.settle();
        assert_eq!(heard(&mut cluster, program), [0, 1], "{provider}");
    }
}

/// Whether there was quorum, event after event.
fn heard(cluster: &mut Cluster, program: Client) -> Vec<u32> {
    let decode = |bytes: Vec<u8>| match Event::decode(&mut Reader::new(&bytes)) {
        Ok(Event::V0 { quorate, .. }) => quorate,
        other => panic!("{other:?}"),
    };
    cluster.events(program).into_iter().map(decode).collect()
}

/// As with C: nothing breaks the tie.
#[test]
fn both_halves_act_as_in_c() {
    let mut cluster = Cluster::start_with(&[1, 2, 3, 4], CS);
    cluster.cut(&[&[1, 2], &[3, 4]]);
    cluster.settle();
    assert_eq!(quorate(&cluster, &[1, 2, 3, 4]), [true; 4]);
    let lines = [
        "Using quorum provider corosync_ykd",
        "This processor is within the primary component.",
        "This node is within the non-primary component and will NOT provide any services.",
        "This processor is within the primary component.",
        "This node is within the primary component and will provide service.",
    ];
    says(&cluster, 4, &lines);
}

//! Groups across nodes that come and go.

use ferrosync_wire::exec::Source;
use ferrosync_wire::exec::cpg::{Mcast, Message};
use ferrosync_wire::{Encode, NodeId};

use super::*;
use crate::log::{Priority, Subsystem};
use crate::output::{Control, NodeInput};

#[test]
fn members_on_several_nodes_see_the_same_order() {
    let mut cluster = Cluster::start(&[1, 2, 3]);
    let clients = [1, 2, 3].map(|node| joined(&mut cluster, node, "g", 10 * node));
    forget(&mut cluster, &clients);
    for round in 0..5 {
        for client in clients {
            cluster.send(client, &mcast_request(format!("{round}").as_bytes()));
        }
    }
    cluster.settle();
    let seen = events(&mut cluster, clients[0]);
    assert_eq!(seen.len(), 15);
    for client in clients {
        let own = format!("g {}:{}0 ", client.node, client.node);
        let of_own = seen.iter().filter_map(|e| e.strip_prefix(&own));
        assert_eq!(of_own.collect::<Vec<_>>(), ["0", "1", "2", "3", "4"]);
    }
    for client in &clients[1..] {
        assert_eq!(events(&mut cluster, *client), seen);
    }
}

#[test]
fn joins_leaves_and_deaths_are_told_to_all_in_the_group() {
    let mut cluster = Cluster::start(&[1, 2]);
    let first = joined(&mut cluster, 1, "g", 10);
    let second = joined(&mut cluster, 2, "g", 20);
    let third = joined(&mut cluster, 2, "g", 21);
    let elsewhere = joined(&mut cluster, 2, "h", 22);
    assert_eq!(call(&mut cluster, second, &leave_request("g")), Ok(()));
    cluster.settle();
    cluster.close(third);
    cluster.settle();
    let expected = [
        "g [1:10] +[1:10 join]",
        "g [1:10 2:20] +[2:20 join]",
        "g [1:10 2:20 2:21] +[2:21 join]",
        "g [1:10 2:21] -[2:20 leave]",
        "g [1:10] -[2:21 procdown]",
    ];
    assert_eq!(events(&mut cluster, first), expected);
    assert_eq!(events(&mut cluster, second), expected[1..4]);
    assert_eq!(events(&mut cluster, elsewhere), ["h [2:22] +[2:22 join]"]);
}

#[test]
fn a_dead_nodes_processes_go_together_and_before_the_ring() {
    let mut cluster = Cluster::start(&[1, 2, 3]);
    let witness = joined(&mut cluster, 1, "b", 10);
    let other = joined(&mut cluster, 1, "a", 11);
    for (name, pid) in [("b", 31), ("a", 30), ("b", 30), ("c", 32)] {
        joined(&mut cluster, 3, name, pid);
    }
    forget(&mut cluster, &[witness, other]);
    cluster.crash(3);
    cluster.settle();
    let expected = ["b [1:10] -[3:30 nodedown 3:31 nodedown]", "ring [1 2]"];
    assert_eq!(events(&mut cluster, witness), expected);
    let expected = ["a [1:11] -[3:30 nodedown]", "ring [1 2]"];
    assert_eq!(events(&mut cluster, other), expected);
    cluster.boot(3);
    cluster.settle();
    assert_eq!(events(&mut cluster, witness), ["ring [1 2 3]"]);
    joined(&mut cluster, 3, "b", 40);
    assert_eq!(
        events(&mut cluster, witness),
        ["b [1:10 3:40] +[3:40 join]"]
    );
}

/// C keeps join lists backwards: who was told last stands first.
#[test]
fn rings_with_processes_on_both_sides_merge() {
    let mut cluster = Cluster::start(&[1, 2, 3]);
    cluster.cut(&[&[1], &[2, 3]]);
    cluster.settle();
    let left = joined(&mut cluster, 1, "g", 10);
    let also_left = joined(&mut cluster, 1, "g", 11);
    let right = joined(&mut cluster, 2, "g", 20);
    joined(&mut cluster, 3, "g", 31);
    joined(&mut cluster, 3, "g", 30);
    let clients = [left, also_left, right];
    forget(&mut cluster, &clients);
    cluster.heal();
    cluster.settle();
    let members = "g [1:10 1:11 2:20 3:30 3:31]";
    let ring = "ring [1 2 3]".to_owned();
    let on_left = events(&mut cluster, left);
    let orders = [
        "+[3:31 nodeup 3:30 nodeup 2:20 nodeup]",
        "+[2:20 nodeup 3:31 nodeup 3:30 nodeup]",
    ];
    let orders = orders.map(|order| vec![format!("{members} {order}"), ring.clone()]);
    assert!(orders.contains(&on_left), "{on_left:?}");
    assert_eq!(events(&mut cluster, also_left), on_left);
    let expected = format!("{members} +[1:11 nodeup 1:10 nodeup]");
    assert_eq!(events(&mut cluster, right), [expected, ring]);

    for client in clients {
        cluster.send(client, &mcast_request(b"x"));
    }
    cluster.settle();
    for client in clients {
        assert_eq!(events(&mut cluster, client).len(), 3);
    }
}

/// A node that was away for a while without anybody noticing in between: gone and back in one step.
#[test]
fn a_node_that_comes_back_in_one_step_is_down_and_up() {
    let mut cluster = Cluster::start(&[1, 2, 3]);
    let here = joined(&mut cluster, 1, "g", 10);
    let there = joined(&mut cluster, 3, "g", 30);
    cluster.cut(&[&[1, 2], &[3]]);
    cluster.settle();
    forget(&mut cluster, &[here, there]);
    joined(&mut cluster, 2, "g", 20);
    cluster.heal();
    cluster.settle();
    let expected = [
        "g [1:10 2:20] +[2:20 join]",
        "g [1:10 2:20 3:30] +[3:30 nodeup]",
    ];
    assert_eq!(group_events(&mut cluster, here), expected);
    let there = group_events(&mut cluster, there);
    assert_eq!(there.len(), 1);
    assert!(there[0].starts_with("g [1:10 2:20 3:30] +["), "{there:?}");
}

/// The membership changes again while services synchronise: clients see one step from the last membership they
/// were told to the next.
#[test]
fn a_synchronisation_that_is_broken_off_is_not_seen() {
    let mut cluster = Cluster::start(&[1, 2, 3]);
    let clients = [1, 2, 3].map(|node| joined(&mut cluster, node, "g", 10 * node));
    for step in 0.. {
        cluster.cut(&[&[1, 2], &[3]]);
        cluster.settle();
        forget(&mut cluster, &clients);
        cluster.heal();
        cluster.run_until("all are on one ring", |c| {
            c.node(1).core().members.len() == 3 && c.node(1).core().sync.in_progress()
        });
        // Later and later in the synchronisation, until it is over before it is disturbed.
        for _ in 0..step {
            cluster.step();
        }
        let is_over = !cluster.node(1).core().sync.in_progress();
        cluster.cut(&[&[1, 2], &[3]]);
        cluster.settle();
        let seen = group_events(&mut cluster, clients[0]);
        let up_and_down = [
            "g [1:10 2:20 3:30] +[3:30 nodeup]",
            "g [1:10 2:20] -[3:30 nodedown]",
        ];
        let is_whole = seen.is_empty() || seen == up_and_down;
        assert!(is_whole, "disturbed after {step} steps: {seen:?}");
        assert_eq!(group_events(&mut cluster, clients[1]).len() % 2, 0);
        cluster.heal();
        cluster.settle();
        let members = "g [1:10 2:20 3:30]";
        for client in clients {
            let last = group_events(&mut cluster, client).pop().unwrap();
            assert!(last.starts_with(members), "{last}");
        }
        if is_over {
            assert!(step > 10, "the synchronisation was never disturbed");
            break;
        }
    }
}

/// In C the leave overtakes the message and crosses the join lists.
#[test]
fn a_client_that_dies_while_services_synchronise_is_heard_out_and_leaves_everywhere() {
    let mut cluster = Cluster::start(&[1, 2, 3]);
    let witness = joined(&mut cluster, 2, "g", 20);
    for step in 0.. {
        let dying = joined(&mut cluster, 1, "g", 10);
        cluster.cut(&[&[1, 2], &[3]]);
        cluster.settle();
        let far = joined(&mut cluster, 3, "g", 30 + step);
        cluster.heal();
        // The token is lost meanwhile, so what is sent now stays in the queue until all are synchronised.
        cluster.run_until("a ring is being formed", |c| {
            c.node(1).core().pg().srp().state() != ferrosync_totem::srp::MembStateKind::Operational
        });
        cluster.send(dying, &mcast_request(b"last words"));
        cluster.run_until("services synchronise", |c| {
            c.node(1).core().sync.in_progress()
        });
        for _ in 0..step {
            cluster.step();
        }
        let is_over = !cluster.node(1).core().sync.in_progress();
        forget(&mut cluster, &[witness, far]);
        cluster.close(dying);
        cluster.settle();
        for client in [witness, far] {
            let seen = group_events(&mut cluster, client);
            let heard = seen.iter().position(|e| e == "g 1:10 last words");
            let left = seen.iter().position(|e| e.contains("-[1:10 procdown]"));
            assert!(heard < left && heard.is_some(), "{step}: {seen:?}");
        }
        let answer = |cluster: &mut Cluster, client| {
            cluster.call(client, &Request::Membership { group: group("g") })
        };
        let same = answer(&mut cluster, witness);
        assert_eq!(answer(&mut cluster, far), same, "{step}");
        assert_eq!(&same[24..28], [2, 0, 0, 0], "{step}");
        cluster.close(far);
        cluster.settle();
        if is_over {
            assert!(step > 10, "nobody died during a synchronisation");
            break;
        }
    }
    assert_eq!(
        cluster.log_of(2, Subsystem::Cpg, Priority::Warning),
        [""; 0]
    );
}

#[test]
fn requests_wait_while_services_synchronise() {
    let mut cluster = Cluster::start(&[1, 2]);
    let client = joined(&mut cluster, 1, "g", 10);
    forget(&mut cluster, &[client]);
    cluster.crash(2);
    cluster.run_until("node 1 synchronises", |c| {
        c.node(1).core().sync.in_progress()
    });
    cluster.send(client, &mcast_request(b"kept"));
    let saying_goodbye = cluster.connect(1, ServiceId::CPG);
    cluster.send(saying_goodbye, &Request::Finalize);
    assert!(cluster.answer(saying_goodbye).is_some(), "needs no ring");
    let joining = cluster.connect(1, ServiceId::CPG);
    cluster.send(joining, &join_request("g", 11));
    assert_eq!(cluster.answer(joining), None);
    cluster.settle();
    assert_eq!(status(&cluster.answer(joining).unwrap()), (0, Ok(())));
    let expected = ["ring [1]", "g 1:10 kept", "g [1:10 1:11] +[1:11 join]"];
    assert_eq!(events(&mut cluster, client), expected);
}

#[test]
fn a_node_that_stops_in_order_takes_its_processes_along() {
    let mut cluster = Cluster::start(&[1, 2]);
    let witness = joined(&mut cluster, 1, "g", 10);
    let stopping = joined(&mut cluster, 2, "g", 20);
    forget(&mut cluster, &[witness]);
    cluster.input(2, NodeInput::Control(Control::Shutdown));
    assert!(cluster.is_closed(stopping));
    cluster.close(stopping);
    cluster.crash(2);
    cluster.settle();
    let expected = ["g [1:10] -[2:20 nodedown]", "ring [1]"];
    assert_eq!(events(&mut cluster, witness), expected);
}

#[test]
fn a_message_from_a_node_without_a_member_is_dropped_with_a_word() {
    let mut cluster = Cluster::start(&[1]);
    let client = joined(&mut cluster, 1, "g", 10);
    forget(&mut cluster, &[client]);
    let mcast = Mcast {
        group: group("g"),
        pid: 20,
        source: Source {
            nodeid: NodeId(2),
            conn: 1,
        },
        data: b"x",
    };
    let bytes = Message::Mcast(mcast).to_vec().into();
    let node = cluster.node_mut(1);
    node.with_service(ServiceId::CPG, |s, cx| {
        s.exec_deliver(cx, NodeId(2), &bytes);
        s.exec_deliver(cx, NodeId(2), &bytes);
    });
    cluster.drain(1);
    assert_eq!(events(&mut cluster, client), [""; 0]);
    let expected = "Unknown node -> we will not deliver message";
    assert_eq!(
        cluster.log_of(1, Subsystem::Cpg, Priority::Warning),
        [expected]
    );
}

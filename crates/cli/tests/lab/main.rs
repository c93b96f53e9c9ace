//! Labs of real daemons: Debian's, which need nothing of ours but the lab itself.
//!
//! Each test has a lab and a runtime directory of its own. Where Corosync or namespaces are missing, a test says
//! `SKIPPED` and why.

mod driver;
mod links;

use std::io::Read as _;
use std::process::Stdio;

use driver::{Lab, corosync_or_skip, interfaces, wait_until};
use nix::sys::signal::Signal;
use serde_json::Value;

#[test]
fn every_node_sees_every_member() {
    let Some(ground) = corosync_or_skip() else {
        return;
    };
    let lab = Lab::start(ground, &["--nodes=3", "--corosync=all"]);
    lab.ok(&["wait", "--timeout=60s"]);
    let status: Value = serde_json::from_str(&lab.ok(&["status", "--format=json"])).expect("JSON");
    let nodes = status["nodes"].as_array().expect("nodes");
    assert_eq!(nodes.len(), 3);
    for node in nodes {
        assert_eq!(node["state"], "running");
        assert_eq!(node["members"], serde_json::json!([1, 2, 3]));
        assert_eq!(node["quorate"], true);
        assert_eq!(node["ring"], nodes[0]["ring"]);
    }
    assert!(lab.ok(&["logs", "1"]).contains("A new membership"));
    // What the lab prints has all of it too.
    let printed = lab.end(Signal::SIGTERM);
    assert!(printed.contains("all 3 members with quorum"), "{printed}");
}

#[test]
fn exec_runs_inside_the_node() {
    let Some(ground) = corosync_or_skip() else {
        return;
    };
    let lab = Lab::start(ground, &["--nodes=2", "--corosync=all"]);
    lab.ok(&["wait", "--timeout=60s"]);
    assert_eq!(lab.exec(2, "hostname").1, "node2\n");
    assert_eq!(lab.exec(1, "cat; exit 7"), (7, "given\n".into()));
    assert_eq!(lab.exec(1, "kill -KILL $$").0, 128 + 9);
    // Interfaces, processes and files are the node's own.
    let (_, dev) = lab.exec(1, "cat /proc/net/dev");
    assert!(dev.contains("eth0:") && dev.contains("lo:"), "{dev}");
    assert!(!dev.contains("node2:"), "{dev}");
    assert_eq!(lab.exec(1, "cat /proc/1/comm").1, "lab-init\n");
    assert_eq!(
        lab.exec(1, "touch /run/mine; ls /run/mine").1,
        "/run/mine\n"
    );
    assert_ne!(lab.exec(2, "ls /run/mine").0, 0);
    // Corosync's own tools find the node's own daemon.
    let (code, status) = lab.exec(2, "corosync-quorumtool -s");
    assert_eq!(code, 0, "{status}");
    assert!(status.contains("2          1 node2 (local)"), "{status}");
    assert_eq!(lab.run(&["exec", "1", "--", "/no/such/command"]).code, 127);
    assert_ne!(lab.run(&["exec", "3", "--", "true"]).code, 0);
}

#[test]
fn a_killed_node_is_missed_and_comes_back() {
    let Some(ground) = corosync_or_skip() else {
        return;
    };
    let lab = Lab::start(
        ground,
        &["--nodes=3", "--corosync=all", "--set=totem.token=1000"],
    );
    lab.ok(&["wait", "--timeout=60s"]);
    lab.ok(&["kill", "2"]);
    assert_ne!(lab.run(&["start", "1"]).code, 0);
    lab.ok(&["wait", "--members=1,3", "--timeout=60s"]);
    assert!(lab.ok(&["status"]).contains("ended (SIGKILL)"));
    assert_ne!(lab.run(&["kill", "2"]).code, 0);
    lab.ok(&["start", "2"]);
    lab.ok(&["wait", "--timeout=60s"]);
    // A frozen daemon is missed as well; what it leaves in good order ends with 0.
    lab.ok(&["stop", "3"]);
    lab.ok(&["wait", "--members=1,2", "--timeout=60s"]);
    lab.ok(&["cont", "3"]);
    lab.ok(&["wait", "--timeout=60s"]);
    lab.ok(&["shutdown", "1"]);
    lab.ok(&["wait", "--members=2,3", "--timeout=60s"]);
    wait_until("node 1 has left", || {
        lab.ok(&["status"]).contains("ended (exit code 0)")
    });
    lab.ok(&["restart", "1"]);
    lab.ok(&["wait", "--timeout=60s"]);
}

#[test]
fn a_node_without_power_forgets_its_memory_and_keeps_its_disk() {
    let Some(ground) = corosync_or_skip() else {
        return;
    };
    let lab = Lab::start(
        ground,
        &["--nodes=3", "--corosync=all", "--set=totem.token=1000"],
    );
    lab.ok(&["wait", "--timeout=60s"]);
    let traces = "touch /run/mine /dev/shm/mine /var/lib/corosync/mine; mkdir /run/dir; touch /run/dir/mine; \
                  sleep 600 >/dev/null 2>&1 </dev/null & echo $!";
    let sleeper = lab.exec(2, traces).1;
    lab.ok(&["off", "2"]);
    lab.ok(&["wait", "--members=1,3", "--timeout=60s"]);
    assert!(lab.ok(&["status"]).contains("  off  "));
    for verb in ["off", "kill", "stop", "shutdown"] {
        assert_ne!(lab.run(&[verb, "2"]).code, 0, "{verb}");
    }
    let left = format!(
        "ls /run/mine /run/dir /dev/shm/mine; kill -0 {}",
        sleeper.trim()
    );
    assert_eq!(lab.exec(2, &left).1, "");
    assert_ne!(lab.exec(2, &left).0, 0);
    assert_eq!(
        lab.exec(2, "ls /var/lib/corosync/mine; ls -d /run/lock").0,
        0
    );
    // No address is left that others could reach; only the loopback's is.
    assert!(
        !lab.exec(2, "cat /proc/net/fib_trie")
            .1
            .contains("10.77.0.2")
    );
    lab.ok(&["start", "2"]);
    lab.ok(&["wait", "--timeout=60s"]);
}

#[test]
fn a_node_gets_the_other_daemon() {
    let Some(ground) = corosync_or_skip() else {
        return;
    };
    let lab = Lab::start(
        ground,
        &["--nodes=2", "--corosync=all", "--set=totem.token=1000"],
    );
    lab.ok(&["wait", "--timeout=60s"]);
    let daemon_is = |kind: &str| {
        wait_until("a node has another daemon", || {
            let status = lab.ok(&["status", "--format=json"]);
            let status: Value = serde_json::from_str(&status).expect("JSON");
            let node = &status["nodes"][0];
            node["daemon"] == kind && node["state"] == "running"
        });
        lab.ok(&["wait", "--timeout=60s"]);
    };
    for (kind, program) in [("ferrosync", "ferrosync"), ("corosync", "corosync")] {
        lab.ok(&["replace", "1", kind]);
        daemon_is(kind);
        let (_, command) = lab.exec(1, "tr '\\0' ' ' < /proc/$(cat /run/corosync.pid)/cmdline");
        assert!(command.contains(program), "{command}");
    }
    // Where nothing runs there is nothing to end.
    lab.ok(&["kill", "1"]);
    lab.ok(&["replace", "1", "ferrosync"]);
    daemon_is("ferrosync");
    assert_ne!(lab.run(&["replace", "3", "ferrosync"]).code, 0);
}

#[test]
fn a_cut_network_has_sides_until_it_is_healed() {
    let Some(ground) = corosync_or_skip() else {
        return;
    };
    let lab = Lab::start(
        ground,
        &["--nodes=5", "--corosync=all", "--set=totem.token=1000"],
    );
    lab.ok(&["wait", "--timeout=60s"]);
    lab.ok(&["partition", "1-3/4"]);
    lab.ok(&["wait", "--members=1-3", "--timeout=60s"]);
    for (node, alone) in [("4", [4]), ("5", [5])] {
        wait_until("a node that was cut off is alone", || {
            let status: Value =
                serde_json::from_str(&lab.ok(&["status", "--format=json"])).expect("JSON");
            let seen = &status["nodes"][alone[0] - 1];
            seen["members"] == serde_json::json!(alone) && seen["quorate"] == false
        });
        assert_ne!(
            lab.run(&["wait", "--members", node, "--timeout=0s"]).code,
            0
        );
    }
    lab.ok(&["heal"]);
    lab.ok(&["wait", "--timeout=60s"]);
    lab.ok(&["link", "5", "down"]);
    lab.ok(&["wait", "--members=1-4", "--timeout=60s"]);
    lab.ok(&["link", "5", "up"]);
    lab.ok(&["wait", "--timeout=60s"]);
}

#[test]
fn ctrl_c_leaves_nothing() {
    let Some(ground) = corosync_or_skip() else {
        return;
    };
    let before = interfaces();
    let lab = Lab::start(ground, &["--nodes=3", "--corosync=all"]);
    lab.ok(&["wait", "--timeout=60s"]);
    // A process that an onlooker started ends too, and one that nobody waits for.
    lab.exec(
        1,
        "sleep 600 >/dev/null 2>&1 & sleep 600 </dev/null >/dev/null 2>&1 &",
    );
    let processes = lab.processes();
    assert!(processes.len() >= 3 * 4, "{processes:?}");
    assert_eq!(interfaces(), before);
    let home = lab.home();
    lab.end(Signal::SIGINT);
    wait_until("all processes are gone", || {
        processes.iter().all(|process| !process.lives())
    });
    assert_eq!(interfaces(), before);
    let left: Vec<_> = home.runtime().read_dir().expect("a directory").collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_lab_that_was_killed_leaves_no_process_and_can_be_started_again() {
    let Some(ground) = corosync_or_skip() else {
        return;
    };
    let mut lab = Lab::start(ground, &["--nodes=2", "--corosync=all"]);
    lab.ok(&["wait", "--timeout=60s"]);
    let processes = lab.processes();
    lab.kill();
    wait_until("all processes are gone", || {
        processes.iter().all(|process| !process.lives())
    });
    let again = Lab::start_in(lab.home(), &["--nodes=2", "--corosync=all"]);
    again.ok(&["wait", "--timeout=60s"]);
    again.ok(&["down"]);
}

#[test]
fn the_exit_code_tells_whether_all_were_seen() {
    let Some(ground) = corosync_or_skip() else {
        return;
    };
    let outcome = |arguments: &[&str]| {
        let mut lab = Lab::start(ground, arguments);
        lab.wait()
    };
    assert!(outcome(&["--nodes=2", "--corosync=all", "--wait=members"]).success());
    // Two of nine votes never are a quorum.
    let never = [
        "--nodes=2",
        "--corosync=all",
        "--set=quorum.expected_votes=9",
    ];
    let late = outcome(&[&never[..], &["--duration=3s"]].concat());
    assert_eq!(late.code(), Some(1));
    let refused = outcome(&["--nodes=2", "--corosync=3"]);
    assert_eq!(refused.code(), Some(1));
}

#[test]
fn a_name_is_for_one_lab() {
    let Some(ground) = corosync_or_skip() else {
        return;
    };
    let lab = Lab::start(ground, &["--nodes=1", "--corosync=all"]);
    lab.ok(&["wait", "--timeout=60s"]);
    let second = lab.run(&["--nodes=1", "--corosync=all", "--plain"]);
    assert_eq!(second.code, 1);
    assert!(
        second.complaint.contains("runs already"),
        "{}",
        second.complaint
    );
    // The first is not disturbed.
    lab.ok(&["wait", "--timeout=60s"]);
    assert_ne!(lab.run(&["status", "--name=other"]).code, 0);
}

#[test]
fn a_terminal_gets_a_screen_and_has_it_taken_away() {
    let Some(ground) = corosync_or_skip() else {
        return;
    };
    let terminal = nix::pty::openpty(None, None).expect("a terminal");
    let slave = || Stdio::from(terminal.slave.try_clone().expect("a descriptor"));
    let mut lab = Lab::start_on(ground, &["--nodes=1", "--corosync=all"], slave(), slave());
    drop(terminal.slave);
    lab.ok(&["wait", "--timeout=60s"]);
    let mut master = std::fs::File::from(terminal.master);
    // In raw mode the terminal makes no signal of it.
    std::io::Write::write_all(&mut master, b"\x03").expect("typed");
    let mut screen = Vec::new();
    // The far end reports the hangup as an error.
    let _ = master.read_to_end(&mut screen);
    assert!(lab.wait().success());
    let screen = String::from_utf8_lossy(&screen);
    assert!(screen.starts_with("\x1b[?1049h"), "{screen}");
    assert!(
        screen.contains("node 1 running: members 1 ring"),
        "{screen}"
    );
    assert!(screen.ends_with("\x1b[?1049l"), "{screen}");
}

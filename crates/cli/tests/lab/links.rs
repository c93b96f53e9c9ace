//! Rings of several links over knet, which finds out by itself what a cable carries.

use serde_json::Value;

use crate::driver::{Lab, corosync_or_skip, wait_until};

/// A number that node `at` has in its statistics of a link to node 2.
fn statistic(lab: &Lab, at: u8, link: u8, what: &str) -> Option<u32> {
    let key = format!("stats.knet.node2.link{link}.{what}");
    let (_, line) = lab.exec(at, &format!("corosync-cmapctl -m stats -g {key}"));
    line.rsplit_once(" = ")?.1.trim().parse().ok()
}

/// Waits until nodes 1 and 3 have found that link 0 and 1 to node 2 carry packets of these many bytes.
fn wait_for_widths(lab: &Lab, widths: [u32; 2]) {
    // knet counts what is left for it: without the headers of IP and UDP, and 26 bytes of its own.
    for (link, width, headers) in [(0, widths[0], 28), (1, widths[1], 48)] {
        for at in [1, 3] {
            let wanted = Some(width - headers - 26);
            wait_until(&format!("link {link} carries {width} bytes"), || {
                statistic(lab, at, link, "mtu") == wanted
            });
        }
    }
}

#[test]
fn a_cable_can_be_narrowed_and_pulled_link_by_link() {
    let Some(ground) = corosync_or_skip() else {
        return;
    };
    let lab = Lab::start(
        ground,
        &[
            "--nodes=3",
            "--corosync=all",
            "--transport=knet",
            "--crypto=none",
            "--links=2",
            "--ip=46",
            "--mtu=1600",
            "--set=totem.token=1000",
            "--set=totem.knet_pmtud_interval=1",
        ],
    );
    lab.ok(&["wait", "--timeout=60s"]);
    let (_, addresses) = lab.exec(3, "corosync-cfgtool -s");
    for address in ["10.77.0.3", "fd77:1::3"] {
        assert!(addresses.contains(address), "{addresses}");
    }
    // To the byte, and the other link is not touched.
    wait_for_widths(&lab, [1600, 1600]);
    lab.ok(&["link", "2", "1", "mtu", "1400"]);
    wait_for_widths(&lab, [1600, 1400]);
    lab.ok(&["link", "2", "0", "mtu", "1000"]);
    wait_for_widths(&lab, [1000, 1400]);
    assert!(lab.ok(&["status"]).contains("0 mtu 1000, 1 mtu 1400"));
    lab.ok(&["link", "2", "0", "mtu", "full"]);
    wait_for_widths(&lab, [1600, 1400]);
    lab.ok(&["heal"]);
    wait_for_widths(&lab, [1600, 1600]);

    let ring = || lab.exec(1, "corosync-quorumtool -s | grep '^Ring ID'").1;
    let before = ring();
    let connected = |link| statistic(&lab, 1, link, "connected");
    lab.ok(&["link", "2", "1", "down"]);
    wait_until("link 1 is down", || connected(1) == Some(0));
    let status: Value = serde_json::from_str(&lab.ok(&["status", "--format=json"])).expect("JSON");
    let links = &status["nodes"][1]["links"];
    assert_eq!(
        (&links[0]["state"], &links[1]["state"]),
        (&"up".into(), &"down".into())
    );
    assert_eq!(connected(0), Some(1));
    lab.ok(&["link", "2", "1", "up"]);
    wait_until("link 1 is up", || connected(1) == Some(1));
    assert_eq!(ring(), before);

    for words in [
        &["2", "2", "down"][..],
        &["2", "sideways"],
        &["4", "down"],
        &["2", "1", "mtu", "9"],
    ] {
        let refused = lab.run(&[&["link"], words].concat());
        assert_ne!(refused.code, 0, "{words:?}");
    }
}

#[test]
fn an_encrypted_ring_has_a_key_of_its_own() {
    let Some(ground) = corosync_or_skip() else {
        return;
    };
    let start = || {
        let arguments = ["--nodes=2", "--corosync=all", "--transport=knet"];
        Lab::start(ground, &arguments)
    };
    let key = |lab: &Lab, node| {
        lab.exec(
            node,
            "stat -c '%a %s' /etc/corosync/authkey; md5sum < /etc/corosync/authkey",
        )
    };
    let lab = start();
    lab.ok(&["wait", "--timeout=60s"]);
    let (_, conf) = lab.exec(1, "corosync-cmapctl -g totem.crypto_cipher");
    assert!(conf.contains("aes256"), "{conf}");
    let (code, one) = key(&lab, 1);
    assert_eq!(code, 0);
    assert!(one.starts_with("400 256\n"), "{one}");
    assert_eq!(key(&lab, 2).1, one);
    let other = start();
    other.ok(&["wait", "--timeout=60s"]);
    assert_ne!(key(&other, 1).1, one);
}

#[test]
fn what_does_not_go_together_is_refused() {
    let Some(ground) = corosync_or_skip() else {
        return;
    };
    for words in [
        &["--transport=udpu", "--links=2"][..],
        &["--transport=udpu", "--crypto=aes256/sha256"],
        &["--transport=knet", "--crypto=aes256"],
        &["--links=9"],
    ] {
        let mut lab = Lab::start(ground, &[&["--nodes=1", "--corosync=all"], words].concat());
        assert!(!lab.wait().success(), "{words:?}");
    }
}

//! Traps as corosync-notifyd 3.1.7 with net-snmp 5.9.3 sent them, captured on a cluster of two nodes.

use super::*;

fn event(node_name: &str, node: u32, what: What) -> Event {
    Event {
        node_name: node_name.into(),
        node,
        what,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn trap(event: &Event, request: i32, uptime: u32) -> String {
    let (trap, objects) = objects(event).expect("an event with a trap");
    hex(&message(b"", request, uptime, &trap, &objects).expect("it encodes"))
}

#[test]
fn links_are_told_as_captured() {
    let what = What::Link {
        peer: 2,
        number: 1,
        connected: false,
    };
    assert_eq!(
        trap(&event("node1", 1, what), 0x1a2b_edc0, 0x6b03_f2c8),
        "3081a70201010400a7819f02041a2bedc0020100020100308190301006082b0601020101030043046b03f2c8\
         3018060a2b060106030101040100060a2b0601040182952000043013060a2b06010401829520010104056e6f\
         646531300f060a2b060104018295200105420101300f060a2b060104018295200102420102300f060a2b0601\
         0401829520013c020101301a060a2b06010401829520013d040c646973636f6e6e6563746564"
    );
}

#[test]
fn nodes_are_told_as_captured() {
    let what = What::Node {
        state: "left".into(),
        address: "10.77.1.2".into(),
    };
    assert_eq!(
        trap(&event("10.77.1.2", 2, what), 0x1a2b_edc1, 0x6b03_f2cd),
        "30819a0201010400a7819202041a2bedc1020100020100308183301006082b0601020101030043046b03f2cd\
         3018060a2b060106030101040100060a2b0601040182952000013017060a2b06010401829520010104093130\
         2e37372e312e32300f060a2b0601040182952001024201023017060a2b060104018295200104040931302e37\
         372e312e323012060a2b06010401829520010304046c656674"
    );
}

#[test]
fn quorum_is_told_as_captured() {
    let what = What::Quorum { quorate: false };
    assert_eq!(
        trap(&event("node1", 1, what), 0x1a2b_edc2, 0x6b03_f2cd),
        "3081820201010400a77b02041a2bedc2020100020100306d301006082b0601020101030043046b03f2cd3018\
         060a2b060106030101040100060a2b0601040182952000023013060a2b06010401829520010104056e6f6465\
         31300f060a2b0601040182952001024201013019060a2b060104018295200115040b6e6f742071756f726174\
         65"
    );
}

#[test]
fn programs_have_no_trap() {
    let what = What::Application {
        name: "0x1.2.three".into(),
        connected: true,
    };
    assert_eq!(objects(&event("node1", 1, what)), None);
}

#[test]
fn large_numbers_and_communities_fit() {
    let what = What::Quorum { quorate: true };
    let (trap, objects) = objects(&event("node1", u32::MAX, what)).unwrap();
    let bytes = hex(&message(b"public", 1, u32::MAX, &trap, &objects).unwrap());
    assert!(bytes.contains("04067075626c6963"), "{bytes}");
    assert!(bytes.contains("420500ffffffff"), "{bytes}");
}

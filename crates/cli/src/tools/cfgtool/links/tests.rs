//! What is printed of a cluster of three whose third node is not connected, as corosync-cfgtool 3.1.7 prints it.

use super::*;

fn nodes(transport: &str) -> Nodes {
    let carrier = if transport == KNET { "udp" } else { "" };
    Nodes {
        local: NodeId(1),
        transport: transport.to_owned(),
        ids: vec![NodeId(1), NodeId(2), NodeId(30)],
        carriers: std::array::from_fn(|_| carrier.to_owned()),
    }
}

fn state(node: u32, connected: bool) -> NodeStatus {
    let mut state = unknown();
    state.node = NodeId(node);
    state.reachable = connected;
    state.links[0] = PeerLink {
        enabled: true,
        connected,
        dynconnected: connected,
        mtu: 1397,
        source: "10.0.0.1".to_owned(),
        destination: format!("10.0.0.{node}"),
    };
    state
}

fn states() -> [NodeStatus; 3] {
    [state(1, true), state(2, true), state(30, false)]
}

fn printed(print: impl FnOnce(&mut Output<'_>) -> Result<(), Stop>) -> String {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    print(&mut Output::new(&mut out, &mut err)).expect("it prints");
    assert!(err.is_empty());
    String::from_utf8(out).expect("text")
}

#[test]
fn links_are_shown_with_a_line_for_each_node() {
    let text = printed(|output| nodes(KNET).print_links(&states(), Detail::Full, output));
    assert_eq!(
        text,
        "Local node ID 1, transport knet\n\
         LINK ID 0 udp\n\
         \taddr\t= 10.0.0.1\n\
         \tstatus:\n\
         \t\tnodeid:          1:\tlocalhost\n\
         \t\tnodeid:          2:\tconnected\n\
         \t\tnodeid:         30:\tdisconnected\n"
    );
}

#[test]
fn links_are_shown_in_brief_with_a_digit_for_each_node() {
    let text = printed(|output| nodes("udpu").print_links(&states(), Detail::Brief, output));
    assert_eq!(
        text,
        "Local node ID 1, transport udpu\nLINK ID 0 \n\taddr\t= 10.0.0.1\n\tstatus\t= n31\n"
    );
}

#[test]
fn nodes_are_shown_with_their_links() {
    let text = printed(|output| nodes(KNET).print_node(&state(2, true), output));
    assert_eq!(
        text,
        "nodeid: 2 reachable\n   \
         LINK: 0 udp (10.0.0.1->10.0.0.2) enabled connected dynconnected mtu: 1397\n\n"
    );
    let text = printed(|output| nodes("udp").print_node(&state(2, true), output));
    assert_eq!(
        text,
        "nodeid: 2 reachable\n   \
         LINK: 0  (10.0.0.110.0.0.2) enabled connected dynconnected mtu: 1397\n\n"
    );
}

#[test]
fn json_tells_of_every_node() {
    let json = nodes(KNET).json(&states());
    assert_eq!(json["node"], 1);
    assert_eq!(json["nodes"][0]["local"], true);
    assert_eq!(json["nodes"][2]["reachable"], false);
    assert_eq!(json["nodes"][1]["links"][0]["mtu"], 1397);
    assert_eq!(json["nodes"][1]["links"].as_array().map(Vec::len), Some(1));
}

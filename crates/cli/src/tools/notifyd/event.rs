//! What is told.

use serde_json::{Value as Json, json};

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Event {
    /// The name of a node: of the one that joined or left, otherwise of this one.
    pub(super) node_name: String,
    /// Its id.
    pub(super) node: u32,
    pub(super) what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// A node came or went.
    Node {
        /// `joined` or `left`.
        state: String,
        address: String,
    },
    /// This node got quorum or lost it.
    Quorum { quorate: bool },
    /// A program connected to this node's daemon or disconnected.
    Application { name: String, connected: bool },
    /// A link of this node.
    Link {
        peer: u32,
        number: u32,
        connected: bool,
    },
}

impl Event {
    /// The line in the log.
    pub(super) fn line(&self) -> String {
        let (name, node) = (&self.node_name, self.node);
        match &self.what {
            What::Node { state, address } => format!("{name}[{node}] ip:{address} {state}"),
            What::Quorum { quorate: true } => format!("{name}[{node}] is now quorate"),
            What::Quorum { quorate: false } => format!("{name}[{node}] has lost quorum"),
            What::Application {
                name: program,
                connected: true,
            } => format!("{name}[{node}] {program} is now connected to corosync"),
            What::Application {
                name: program,
                connected: false,
            } => format!("{name}[{node}] {program} is now disconnected from corosync"),
            What::Link { peer, number, .. } => {
                let state = self.state();
                format!("{name}[{node}] link {number} to node {peer} is now {state}")
            }
        }
    }

    /// The state that it tells, in a word.
    pub(super) fn state(&self) -> &str {
        match &self.what {
            What::Node { state, .. } => state,
            What::Quorum { quorate: true } => "quorate",
            What::Quorum { quorate: false } => "not quorate",
            What::Application {
                connected: true, ..
            } => "connected",
            What::Link {
                connected: true, ..
            } => "operational",
            What::Application { .. } | What::Link { .. } => "disconnected",
        }
    }

    /// For `--format json`.
    pub(super) fn json(&self) -> Json {
        let mut json = json!({
            "node": self.node,
            "name": self.node_name,
            "state": self.state(),
        });
        let more = match &self.what {
            What::Node { address, .. } => json!({ "event": "node", "address": address }),
            What::Quorum { .. } => json!({ "event": "quorum" }),
            What::Application { name, .. } => {
                json!({ "event": "application", "application": name })
            }
            What::Link { peer, number, .. } => {
                json!({ "event": "link", "peer": peer, "link": number })
            }
        };
        if let (Json::Object(json), Json::Object(more)) = (&mut json, more) {
            json.extend(more);
        }
        json
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(what: What) -> Event {
        Event {
            node_name: "node1".into(),
            node: 1,
            what,
        }
    }

    #[test]
    fn lines_are_those_that_operators_grep_for() {
        let link = |connected| What::Link {
            peer: 2,
            number: 0,
            connected,
        };
        let application = |connected| What::Application {
            name: "0x1.7.crmd".into(),
            connected,
        };
        let node = What::Node {
            state: "left".into(),
            address: "10.0.0.2".into(),
        };
        for (what, line) in [
            (node, "node1[1] ip:10.0.0.2 left"),
            (What::Quorum { quorate: true }, "node1[1] is now quorate"),
            (What::Quorum { quorate: false }, "node1[1] has lost quorum"),
            (
                application(true),
                "node1[1] 0x1.7.crmd is now connected to corosync",
            ),
            (
                application(false),
                "node1[1] 0x1.7.crmd is now disconnected from corosync",
            ),
            (link(true), "node1[1] link 0 to node 2 is now operational"),
            (link(false), "node1[1] link 0 to node 2 is now disconnected"),
        ] {
            assert_eq!(event(what).line(), line);
        }
    }

    #[test]
    fn json_names_what_happened() {
        let what = What::Link {
            peer: 2,
            number: 1,
            connected: true,
        };
        assert_eq!(
            event(what).json(),
            json!({
                "event": "link", "node": 1, "name": "node1", "state": "operational", "peer": 2, "link": 1,
            })
        );
    }
}

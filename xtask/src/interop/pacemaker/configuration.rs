//! What Pacemaker is told: five resources, the lab's fence agent, and rules.

/// The resources, each of Pacemaker's agent or of resource-agents' one.
pub(super) const RESOURCES: [&str; 5] = ["a", "b", "c", "d", "e"];

/// Name of the fence device.
pub(super) const FENCE_DEVICE: &str = "power";

/// A configuration of a cluster of three nodes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Configuration {
    pub(super) placement: Placement,
    /// What fencing does to a node: `off` or `reboot`.
    pub(super) fencing: &'static str,
}

/// Where resources run that could run anywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Placement {
    /// Where they are.
    Sticky,
    /// On the first node of a list of their own that is there, so that one history has one outcome.
    Ranked,
}

impl Configuration {
    /// The part of the CIB that says so.
    pub(super) fn xml(&self) -> String {
        let stickiness = match self.placement {
            Placement::Sticky => "1000",
            Placement::Ranked => "0",
        };
        let resources: String = RESOURCES.iter().map(|name| primitive(name)).collect();
        let constraints: String = match self.placement {
            Placement::Sticky => String::new(),
            Placement::Ranked => (0..)
                .zip(RESOURCES)
                .flat_map(|(at, name)| ranks(name, at))
                .collect(),
        };
        let options: String = [
            ("stonith-enabled", "true"),
            ("stonith-action", self.fencing),
            ("stonith-timeout", "120s"),
            ("no-quorum-policy", "stop"),
        ]
        .map(|(name, value)| nvpair("option", name, value))
        .concat();
        format!(
            "<configuration><crm_config><cluster_property_set id=\"cib-bootstrap-options\">{options}\
             </cluster_property_set></crm_config><resources>{}{resources}</resources>\
             <constraints>{constraints}</constraints><rsc_defaults><meta_attributes id=\"defaults\">{}\
             </meta_attributes></rsc_defaults></configuration>",
            fence_device(),
            nvpair("defaults", "resource-stickiness", stickiness),
        )
    }
}

fn primitive(name: &str) -> String {
    // Both agents do the same; a cluster has resources of many kinds.
    let provider = match name {
        "d" | "e" => "heartbeat",
        _ => "pacemaker",
    };
    let operation = |what: &str, interval: &str| {
        format!(
            "<op id=\"{name}-{what}\" name=\"{what}\" interval=\"{interval}\" timeout=\"120s\"/>"
        )
    };
    format!(
        "<primitive id=\"{name}\" class=\"ocf\" provider=\"{provider}\" type=\"Dummy\">\
         <instance_attributes id=\"{name}-attributes\">{}</instance_attributes>\
         <operations>{}{}{}</operations></primitive>",
        nvpair(name, "state", &format!("/run/dummy-{name}")),
        operation("monitor", "5s"),
        operation("start", "0"),
        operation("stop", "0"),
    )
}

fn fence_device() -> String {
    format!(
        "<primitive id=\"{FENCE_DEVICE}\" class=\"stonith\" type=\"fence_ferrosync_lab\"><operations>\
         <op id=\"{FENCE_DEVICE}-monitor\" name=\"monitor\" interval=\"60s\" timeout=\"120s\"/>\
         <op id=\"{FENCE_DEVICE}-start\" name=\"start\" interval=\"0\" timeout=\"120s\"/></operations></primitive>"
    )
}

/// The resource at place `at` prefers one of three nodes, and of the two others one.
fn ranks(name: &str, at: u32) -> Vec<String> {
    let first = at % 3;
    let step = if at < 3 { 1 } else { 2 };
    let rank = |rank: u32| {
        let node = (first + rank * step) % 3 + 1;
        let score = 300 - 100 * rank;
        format!(
            "<rsc_location id=\"{name}-on-{node}\" rsc=\"{name}\" node=\"node{node}\" score=\"{score}\"/>"
        )
    };
    (0..3).map(rank).collect()
}

fn nvpair(owner: &str, name: &str, value: &str) -> String {
    format!("<nvpair id=\"{owner}-{name}\" name=\"{name}\" value=\"{value}\"/>")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_is_xml_without_an_id_twice() {
        for placement in [Placement::Sticky, Placement::Ranked] {
            let fencing = "off";
            let xml = Configuration { placement, fencing }.xml();
            let document = roxmltree::Document::parse(&xml).unwrap();
            let ids: Vec<_> = document
                .descendants()
                .filter_map(|node| node.attribute("id"))
                .collect();
            let different: std::collections::BTreeSet<_> = ids.iter().collect();
            assert_eq!(different.len(), ids.len());
        }
    }

    #[test]
    fn every_resource_ranks_all_three_nodes() {
        for (at, name) in (0..).zip(RESOURCES) {
            let ranks = ranks(name, at).concat();
            for node in ["node1", "node2", "node3"] {
                assert_eq!(ranks.matches(&format!("\"{node}\"")).count(), 1, "{ranks}");
            }
        }
    }
}

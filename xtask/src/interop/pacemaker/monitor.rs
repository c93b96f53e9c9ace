//! What `crm_mon` tells.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, bail};
use roxmltree::Document;

/// A cluster as Pacemaker on one of its nodes sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Monitor {
    /// The node that the CIB says decides.
    dc: Option<String>,
    quorum: bool,
    online: BTreeSet<String>,
    /// Nodes that are on their way, and nodes whose fate is unknown.
    unsettled: BTreeSet<String>,
    /// For each resource the nodes it is active on.
    resources: BTreeMap<String, BTreeSet<String>>,
    /// Resources that failed or cannot be helped.
    failed: BTreeSet<String>,
}

impl Monitor {
    /// Reads the XML of `crm_mon --output-as=xml`.
    pub(super) fn read(text: &str) -> anyhow::Result<Self> {
        let document = Document::parse(text).context("what crm_mon prints")?;
        let root = document.root_element();
        let of = |parent: &str, name: &'static str| {
            let parent = root.children().find(|node| node.has_tag_name(parent));
            parent
                .into_iter()
                .flat_map(|node| node.descendants())
                .filter(move |node| node.has_tag_name(name))
        };
        let is = |node: &roxmltree::Node<'_, '_>, name: &str| node.attribute(name) == Some("true");
        let mut monitor = Self {
            dc: None,
            quorum: false,
            online: BTreeSet::new(),
            unsettled: BTreeSet::new(),
            resources: BTreeMap::new(),
            failed: BTreeSet::new(),
        };
        for dc in of("summary", "current_dc") {
            monitor.dc = dc.attribute("name").map(str::to_owned);
            monitor.quorum = is(&dc, "with_quorum");
        }
        for node in of("nodes", "node") {
            let name = node
                .attribute("name")
                .context("a node without a name")?
                .to_owned();
            if is(&node, "online") {
                monitor.online.insert(name.clone());
            }
            if is(&node, "pending") || is(&node, "unclean") || is(&node, "shutdown") {
                monitor.unsettled.insert(name);
            }
        }
        for resource in of("resources", "resource") {
            let id = resource
                .attribute("id")
                .context("a resource without a name")?
                .to_owned();
            let places = resource
                .children()
                .filter(|child| child.has_tag_name("node"));
            let places = places
                .filter_map(|node| node.attribute("name"))
                .map(str::to_owned);
            if is(&resource, "failed") || is(&resource, "blocked") {
                monitor.failed.insert(id.clone());
            }
            monitor.resources.insert(id, places.collect());
        }
        Ok(monitor)
    }

    /// Whether Pacemaker thinks that it has quorum.
    pub(super) fn quorum(&self) -> bool {
        self.quorum
    }

    /// The nodes on which it thinks that a resource runs.
    pub(super) fn places(&self, resource: &str) -> BTreeSet<String> {
        self.resources.get(resource).cloned().unwrap_or_default()
    }

    /// Fails unless exactly `nodes` are online, nobody's fate is unknown and nothing has failed.
    pub(super) fn must_be_settled(&self, nodes: &[u8]) -> anyhow::Result<()> {
        let wanted: BTreeSet<String> = nodes.iter().map(|node| format!("node{node}")).collect();
        if self.online != wanted {
            bail!("online are {:?}", self.online);
        }
        if !self.unsettled.is_empty() || !self.failed.is_empty() {
            bail!("unsettled {:?}, failed {:?}", self.unsettled, self.failed);
        }
        if !self.dc.as_ref().is_some_and(|dc| wanted.contains(dc)) {
            bail!("the DC is {:?}", self.dc);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"<pacemaker-result><summary><current_dc present="true" name="node2" with_quorum="true"/></summary>
        <nodes><node name="node1" online="true" pending="false" unclean="false" shutdown="false"/>
        <node name="node2" online="true"/><node name="node3" online="false" unclean="false"/></nodes>
        <resources><resource id="a" failed="false" blocked="false"><node name="node1"/></resource><resource id="b"/></resources>
        <node_history><node name="node3"/></node_history></pacemaker-result>"#;

    #[test]
    fn nodes_resources_and_the_dc_are_read() {
        let monitor = Monitor::read(TEXT).unwrap();
        assert_eq!(monitor.dc.as_deref(), Some("node2"));
        assert!(monitor.quorum());
        assert_eq!(monitor.places("a"), ["node1".to_owned()].into());
        assert!(monitor.places("b").is_empty());
        monitor.must_be_settled(&[1, 2]).unwrap();
        assert!(monitor.must_be_settled(&[1, 2, 3]).is_err());
    }

    #[test]
    fn a_node_of_unknown_fate_and_a_failed_resource_are_not_settled() {
        for (from, to) in [
            (
                "online=\"false\" unclean=\"false\"",
                "online=\"false\" unclean=\"true\"",
            ),
            ("pending=\"false\"", "pending=\"true\""),
            ("failed=\"false\"", "failed=\"true\""),
            ("name=\"node2\" with", "name=\"node3\" with"),
        ] {
            assert!(TEXT.contains(from));
            let monitor = Monitor::read(&TEXT.replace(from, to)).unwrap();
            assert!(monitor.must_be_settled(&[1, 2]).is_err(), "{to}");
        }
    }
}

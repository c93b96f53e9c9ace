//! Asks Pacemaker, by its own monitor, what it does on this node.

use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use roxmltree::Document;

use super::super::node::tell;
use super::super::report::{Managed, Report};

/// Time between two looks: each costs the machine some hundredths of a second.
const PAUSE: Duration = Duration::from_secs(3);

/// Looks again and again until nobody listens any more. `node` is this node's name.
pub(super) fn watch(node: &str) {
    loop {
        let report = look(node).map_or(Report::Unmanaged, Report::Managed);
        if tell(&report).is_err() {
            return;
        }
        sleep(PAUSE);
    }
}

fn look(node: &str) -> Result<Managed> {
    let output = Command::new("/usr/sbin/crm_mon")
        .args(["-1", "--output-as=xml"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()?;
    if !output.status.success() {
        bail!("crm_mon: {}", output.status);
    }
    read(&String::from_utf8_lossy(&output.stdout), node)
}

/// What the monitor's XML says of a node.
fn read(text: &str, node: &str) -> Result<Managed> {
    let document = Document::parse(text).context("what crm_mon prints")?;
    let mut elements = document.descendants();
    let dc = elements
        .find(|element| element.has_tag_name("current_dc"))
        .and_then(|dc| dc.attribute("name"));
    let here = |resource: &roxmltree::Node<'_, '_>| {
        let mut nodes = resource.children();
        resource.attribute("active") == Some("true")
            && nodes
                .any(|child| child.has_tag_name("node") && child.attribute("name") == Some(node))
    };
    let resources = document
        .descendants()
        .filter(|element| element.has_tag_name("resource") && here(element))
        .filter_map(|resource| resource.attribute("id"));
    Ok(Managed {
        dc: dc.map(str::to_owned),
        resources: resources.map(str::to_owned).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_monitor_tells_who_decides_and_what_runs_here() {
        let text = r#"<pacemaker-result><summary><current_dc present="true" name="node2"/></summary><resources>
            <resource id="a" active="true"><node name="node1"/></resource>
            <resource id="b" active="true"><node name="node2"/></resource>
            <group id="g"><resource id="c" active="true"><node name="node1"/></resource></group>
            <resource id="d" active="false"/></resources></pacemaker-result>"#;
        let managed = |node| read(text, node).expect("XML");
        assert_eq!(managed("node1").dc.as_deref(), Some("node2"));
        assert_eq!(managed("node1").resources, ["a", "c"]);
        assert_eq!(managed("node2").resources, ["b"]);
        assert!(managed("node3").resources.is_empty());
        let nobody = r#"<pacemaker-result><summary><current_dc present="false"/></summary></pacemaker-result>"#;
        assert_eq!(read(nobody, "node1").expect("XML"), Managed::default());
        assert!(read("crm_mon: Connection to cluster failed", "node1").is_err());
    }
}

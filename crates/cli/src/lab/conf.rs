//! The corosync.conf of the lab's nodes.

use std::fmt::Write as _;

use super::plan::{NodeNumber, Setting};
use crate::args::{IpVersion, Transport};

/// The file: defaults of the lab, overridden by `settings`, followed by `appended`. The same on every node.
pub(super) fn corosync_conf(
    nodes: u8,
    transport: Transport,
    ip: IpVersion,
    settings: &[Setting],
    appended: &str,
) -> String {
    let mut root = Section::default();
    for (section, key, value) in defaults(transport, ip) {
        root.set(&[section.to_owned()], key, value);
    }
    for setting in settings {
        root.set(&setting.sections, &setting.key, &setting.value);
    }
    let mut text = String::new();
    root.write(&mut text, 0);
    text.push_str(&nodelist(nodes, ip));
    if !appended.is_empty() {
        text.push_str(appended);
        text.push('\n');
    }
    text
}

fn defaults(
    transport: Transport,
    ip: IpVersion,
) -> Vec<(&'static str, &'static str, &'static str)> {
    let transport = match transport {
        Transport::Udpu => "udpu",
        Transport::Udp => "udp",
        Transport::Knet => "knet",
    };
    let ip = match ip {
        IpVersion::V4 => "ipv4",
        IpVersion::V6 => "ipv6",
    };
    vec![
        ("totem", "version", "2"),
        ("totem", "cluster_name", "lab"),
        ("totem", "transport", transport),
        ("totem", "ip_version", ip),
        ("quorum", "provider", "corosync_votequorum"),
        // What a process without privileges outside its namespaces cannot have.
        ("system", "sched_rr", "no"),
        ("system", "move_to_root_cgroup", "no"),
        ("logging", "to_syslog", "no"),
        ("logging", "to_stderr", "no"),
        ("logging", "to_logfile", "yes"),
        ("logging", "logfile", super::mounts::LOG_FILE),
        ("logging", "timestamp", "hires"),
    ]
}

fn nodelist(nodes: u8, ip: IpVersion) -> String {
    let node = |node: NodeNumber| {
        format!(
            "    node {{\n        nodeid: {node}\n        name: {}\n        ring0_addr: {}\n    }}\n",
            node.name(),
            node.address(ip)
        )
    };
    let nodes: String = NodeNumber::all(nodes).map(node).collect();
    format!("nodelist {{\n{nodes}}}\n")
}

/// A section in the order in which it was written.
#[derive(Default)]
struct Section {
    keys: Vec<(String, String)>,
    sections: Vec<(String, Self)>,
}

impl Section {
    fn set(&mut self, path: &[String], key: &str, value: &str) {
        let Some((first, rest)) = path.split_first() else {
            match self.keys.iter_mut().find(|(name, _)| name == key) {
                Some((_, old)) => value.clone_into(old),
                None => self.keys.push((key.to_owned(), value.to_owned())),
            }
            return;
        };
        let known = self.sections.iter().position(|(name, _)| name == first);
        let place = known.unwrap_or_else(|| {
            self.sections.push((first.clone(), Self::default()));
            self.sections.len() - 1
        });
        self.sections[place].1.set(rest, key, value);
    }

    fn write(&self, text: &mut String, depth: usize) {
        let indent = "    ".repeat(depth);
        for (key, value) in &self.keys {
            let _ = writeln!(text, "{indent}{key}: {value}");
        }
        for (name, section) in &self.sections {
            let _ = writeln!(text, "{indent}{name} {{");
            section.write(text, depth + 1);
            let _ = writeln!(text, "{indent}}}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_override_defaults_in_place() {
        let settings = [
            "totem.transport=knet",
            "totem.interface.knet_link_priority=3",
            "quorum.two_node=1",
        ];
        let settings: Vec<Setting> = settings.map(|word| word.parse().expect("a setting")).into();
        let text = corosync_conf(2, Transport::Udpu, IpVersion::V6, &settings, "# mine");
        let start = "totem {\n    version: 2\n    cluster_name: lab\n    transport: knet\n    ip_version: ipv6\n    \
                     interface {\n        knet_link_priority: 3\n    }\n}\n\
                     quorum {\n    provider: corosync_votequorum\n    two_node: 1\n}\n";
        assert!(text.starts_with(start), "{text}");
        let end = "    node {\n        nodeid: 2\n        name: node2\n        ring0_addr: fd77::2\n    }\n}\n# mine\n";
        assert!(text.ends_with(end), "{text}");
    }
}

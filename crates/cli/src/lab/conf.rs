//! The corosync.conf of the lab's nodes.

use std::fmt::Write as _;

use super::links::LinkNumber;
use super::plan::NodeNumber;
use crate::args::{IpVersions, StartArgs, Transport};

/// The file: defaults of the lab, overridden by `--set`, followed by `appended`. The same on every node.
pub(super) fn corosync_conf(args: &StartArgs, appended: &str) -> String {
    let mut root = Section::default();
    for (section, key, value) in defaults(args) {
        root.set(&[section.to_owned()], key, value);
    }
    for setting in &args.set {
        root.set(&setting.sections, &setting.key, &setting.value);
    }
    let mut text = String::new();
    root.write(&mut text, 0);
    text.push_str(&nodelist(args));
    if !appended.is_empty() {
        text.push_str(appended);
        text.push('\n');
    }
    text
}

fn defaults(args: &StartArgs) -> Vec<(&'static str, &'static str, &'static str)> {
    let transport = match args.transport {
        Transport::Udpu => "udpu",
        Transport::Udp => "udp",
        Transport::Knet => "knet",
    };
    let ip = match args.ip {
        IpVersions::V4 => "ipv4",
        IpVersions::V6 => "ipv6",
        IpVersions::Both => "ipv6-4",
    };
    let crypto = args.crypto();
    vec![
        ("totem", "version", "2"),
        ("totem", "cluster_name", "lab"),
        ("totem", "transport", transport),
        ("totem", "ip_version", ip),
        ("totem", "crypto_cipher", crypto.cipher),
        ("totem", "crypto_hash", crypto.hash),
        ("quorum", "provider", "corosync_votequorum"),
        // What a process without privileges outside its namespaces cannot have.
        ("system", "sched_rr", "no"),
        ("system", "move_to_root_cgroup", "no"),
        ("system", "allow_knet_handle_fallback", "yes"),
        ("logging", "to_syslog", "no"),
        ("logging", "to_stderr", "no"),
        ("logging", "to_logfile", "yes"),
        ("logging", "logfile", super::mounts::LOG_FILE),
        ("logging", "timestamp", "hires"),
    ]
}

fn nodelist(args: &StartArgs) -> String {
    let mut text = "nodelist {\n".to_owned();
    for node in NodeNumber::all(args.nodes) {
        let _ = writeln!(
            text,
            "    node {{\n        nodeid: {node}\n        name: {}",
            node.name()
        );
        for link in LinkNumber::all(args.links) {
            let address = node.address(link, args.ip.of(link));
            let _ = writeln!(text, "        ring{link}_addr: {address}");
        }
        text.push_str("    }\n");
    }
    text + "}\n"
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

    fn conf(words: &str, appended: &str) -> String {
        corosync_conf(&StartArgs::of(words), appended)
    }

    #[test]
    fn settings_override_defaults_in_place() {
        let words = "--nodes=2 --transport=udpu --ip=6 --set=totem.transport=knet \
                     --set=totem.interface.knet_link_priority=3 --set=quorum.two_node=1";
        let text = conf(words, "# mine");
        let start = "totem {\n    version: 2\n    cluster_name: lab\n    transport: knet\n    ip_version: ipv6\n    \
                     crypto_cipher: none\n    crypto_hash: none\n    \
                     interface {\n        knet_link_priority: 3\n    }\n}\n\
                     quorum {\n    provider: corosync_votequorum\n    two_node: 1\n}\n";
        assert!(text.starts_with(start), "{text}");
        let end = "    node {\n        nodeid: 2\n        name: node2\n        ring0_addr: fd77::2\n    }\n}\n# mine\n";
        assert!(text.ends_with(end), "{text}");
    }

    #[test]
    fn every_link_has_an_address_of_its_own() {
        let text = conf("--nodes=1 --transport=knet --links=3 --ip=46", "");
        assert!(text.contains("    ip_version: ipv6-4\n"), "{text}");
        assert!(
            text.contains("    crypto_cipher: aes256\n    crypto_hash: sha256\n"),
            "{text}"
        );
        let end = "        ring0_addr: 10.77.0.1\n        ring1_addr: fd77:1::1\n        ring2_addr: 10.77.2.1\n    }\n}\n";
        assert!(text.ends_with(end), "{text}");
    }
}

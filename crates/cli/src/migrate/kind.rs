//! What kind of configuration a file is.

use clap::ValueEnum;

use super::read::Format;
use super::tree::Tree;

/// A program that wrote its configuration in a way of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// corosync.conf of Corosync 1 and openais.conf.
    Corosync1,
    /// corosync.conf of Corosync 2.
    Corosync2,
    /// corosync.conf of Corosync 3: nothing is to be translated.
    Corosync3,
    /// cluster.conf of CMAN.
    Cman,
    /// ha.cf of Heartbeat.
    Heartbeat,
}

impl Kind {
    /// The name for people.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Corosync1 => "corosync.conf of Corosync 1",
            Self::Corosync2 => "corosync.conf of Corosync 2",
            Self::Corosync3 => "corosync.conf of Corosync 3",
            Self::Cman => "cluster.conf of CMAN",
            Self::Heartbeat => "ha.cf of Heartbeat",
        }
    }
}

/// The kind of a file, and by what it was recognised; `None` when nothing tells.
pub(crate) fn detect(tree: &Tree, format: Format) -> Option<(Kind, String)> {
    match format {
        Format::Directives => {
            let known = |path: &str| SIGNS_OF_HEARTBEAT.contains(&path);
            let sign = tree
                .root
                .all()
                .into_iter()
                .find(|entry| known(&entry.path))?;
            Some((
                Kind::Heartbeat,
                format!("known by `{}`, line {}", sign.key, sign.line),
            ))
        }
        Format::Xml if tree.root.named("cluster").next().is_some() => {
            Some((Kind::Cman, "known by the element `cluster`".to_owned()))
        }
        Format::Xml => {
            tree.root.named("corosync").next()?;
            // corosync.xml came with Corosync 2; most of them are younger.
            Some(version(tree, "corosync/", Kind::Corosync3))
        }
        Format::Sections => {
            let sections = ["totem", "logging", "nodelist", "quorum"];
            sections
                .into_iter()
                .find(|name| tree.root.named(name).next().is_some())?;
            Some(version(tree, "", Kind::Corosync2))
        }
    }
}

/// The version of Corosync, by the first key that only one version has.
fn version(tree: &Tree, prefix: &str, otherwise: Kind) -> (Kind, String) {
    let keys = tree.root.all();
    for (kind, signs) in [
        (Kind::Corosync3, SIGNS_OF_3),
        (Kind::Corosync1, SIGNS_OF_1),
        (Kind::Corosync2, SIGNS_OF_2),
    ] {
        let sign = keys.iter().find(|entry| {
            let path = entry.path.strip_prefix(prefix).unwrap_or(&entry.path);
            let path = path.replace(['/', '@'], ".");
            let value = entry.value.as_str();
            signs.iter().any(|sign| match sign.split_once('=') {
                Some((key, wanted)) => key == path && wanted == value,
                None => path == *sign || path.starts_with(&format!("{sign}.")),
            })
        });
        if let Some(sign) = sign {
            return (
                kind,
                format!("known by `{}`, line {}", sign.path, sign.line),
            );
        }
    }
    // Multicast groups without a list of nodes: nobody writes that for Corosync 2 any more, but it may.
    let nodes = keys.iter().any(|entry| entry.path.contains("nodelist"));
    if nodes || otherwise == Kind::Corosync3 {
        return (
            otherwise,
            "nothing in it belongs to another version".to_owned(),
        );
    }
    (
        Kind::Corosync1,
        "known by the lack of a list of nodes".to_owned(),
    )
}

/// Keys, or sections, that only Corosync 3 has.
const SIGNS_OF_3: &[&str] = &[
    "totem.transport=knet",
    "totem.link_mode",
    "totem.knet_pmtud_interval",
    "totem.knet_mtu",
    "totem.knet_compression_model",
    "totem.crypto_model",
    "totem.token_warning",
    "totem.interface.linknumber",
    "totem.interface.knet_link_priority",
    "totem.interface.knet_transport",
    "totem.interface.knet_ping_interval",
    "system",
    "nozzle",
];
/// Keys, or sections, that Corosync 2 no longer had.
const SIGNS_OF_1: &[&str] = &[
    "compatibility",
    "aisexec",
    "amf",
    "event",
    "service",
    "logging.logger",
    "logging.to_file",
    "logging.logger_subsys.tags",
    "totem.vsftype",
    "totem.crypto_type",
    "totem.crypto_accept",
    "quorum.provider=corosync_quorum_ykd",
    "quorum.provider=quorum_cman",
];
/// Keys, or sections, that came with Corosync 2 and whose meaning changed later.
const SIGNS_OF_2: &[&str] = &[
    "qb",
    "totem.rrp_mode",
    "totem.crypto_cipher",
    "totem.crypto_hash",
];

/// Directives that no other format begins a line with.
const SIGNS_OF_HEARTBEAT: [&str; 12] = [
    "node",
    "bcast",
    "mcast",
    "ucast",
    "deadtime",
    "keepalive",
    "initdead",
    "auto_failback",
    "udpport",
    "use_logd",
    "crm",
    "pacemaker",
];

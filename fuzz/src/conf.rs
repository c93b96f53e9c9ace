//! corosync.conf and the files of `uidgid.d`.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ferrosync_executive::config::{
    self, Config, ConfigErrors, Environment, Family, SourceFile, TransportConfig,
};
use ferrosync_executive::output::Kept;
use ferrosync_executive::transport::{Secrets, SharedKey};
use ferrosync_executive::{Boot, Node};
use ferrosync_wire::{Instant, NodeId, RingSeq};

/// A configuration that is refused says why; one that is accepted holds what its types promise, and a node starts
/// with it.
///
/// A zero byte ends the main file; what follows are files of `uidgid.d`, divided in the same way.
pub fn conf(data: &[u8]) {
    let mut files = data.split(|byte| *byte == 0);
    let main = SourceFile {
        name: "corosync.conf",
        bytes: files.next().unwrap_or_default(),
    };
    let extra: Vec<SourceFile<'_>> = files
        .take(EXTRA_FILES_MAX)
        .map(|bytes| SourceFile {
            name: "uidgid.d/file",
            bytes,
        })
        .collect();
    match config::load(main, &extra, &mut Machine::default()) {
        Ok(config) => check(config),
        Err(errors) => explain(&errors),
    }
}

fn explain(errors: &ConfigErrors) {
    assert!(!errors.0.is_empty(), "refused without a reason");
    for error in &errors.0 {
        assert!(!error.what.is_empty());
        assert!(error.to_string().starts_with(&*error.at.file));
    }
}

fn check(config: Config) {
    assert_eq!(config.srp.validate(), Ok(()));
    assert_ne!(config.me, NodeId(0));
    assert_eq!(config.nodes[config.local_pos].id, config.me);
    let ids: BTreeSet<NodeId> = config.nodes.iter().map(|node| node.id).collect();
    assert_eq!(ids.len(), config.nodes.len(), "a node id is given once");
    for warning in &config.warnings {
        assert!(!warning.to_string().is_empty());
    }
    start(config);
}

/// Takes in every key of the configuration and starts all services.
fn start(config: Config) {
    let now = Instant::from_nanos(1_000_000_000);
    let mut secrets = Secrets::NONE;
    if let TransportConfig::Knet(knet) = &config.transport
        && knet.crypto.is_some()
    {
        secrets.key = SharedKey::new(&[7; 128]).ok();
    }
    let boot = Boot {
        config,
        stored: RingSeq(0),
        kept: Kept::default(),
        seed: 0,
        secrets,
    };
    let mut node = Node::boot(boot, now);
    while node.poll_output(now).is_some() {}
}

/// A machine as small as can be on which names, addresses and users are found.
struct Machine([IpAddr; 4]);

impl Default for Machine {
    fn default() -> Self {
        let addresses = ["127.0.0.1", "10.9.9.1", "::1", "fd09::1"];
        Self(addresses.map(|text| text.parse().expect("an address")))
    }
}

impl Environment for Machine {
    fn node_name(&self) -> &'static str {
        "ferro1.example"
    }

    fn local_addresses(&self) -> &[IpAddr] {
        &self.0
    }

    fn resolve(&mut self, name: &str, family: Family) -> Vec<IpAddr> {
        let found = match name.strip_prefix("ferro") {
            Some("1" | "1.example") => ["10.9.9.1", "fd09::1"],
            Some("2") => ["10.9.9.2", "fd09::2"],
            Some(_) | None => return Vec::new(),
        };
        let found = found.map(|text| text.parse::<IpAddr>().expect("an address"));
        let fits = |ip: &IpAddr| match family {
            Family::V4 => ip.is_ipv4(),
            Family::V6 => ip.is_ipv6(),
            Family::Any => true,
        };
        found.into_iter().filter(fits).collect()
    }

    fn reverse(&mut self, address: IpAddr) -> Option<String> {
        address.is_ipv4().then(|| "ferro1.example".to_owned())
    }

    fn user_id(&mut self, name: &str) -> Option<u32> {
        (name == "root").then_some(0)
    }

    fn group_id(&mut self, name: &str) -> Option<u32> {
        (name == "root").then_some(0)
    }
}

/// Files of `uidgid.d` in one input.
const EXTRA_FILES_MAX: usize = 4;

//! A new configuration for a running node (corosync `cfg.c:message_handler_req_exec_cfg_reload_config`, v3.1.7).
//!
//! A message on the ring makes every node read its own files. What is wrong with them is found before anything is
//! changed, so that a reload happens as a whole or not at all (`docs/deviations.md`, D-65).

mod ahead;
mod keys;
pub mod links;

use std::net::IpAddr;

use ferrosync_wire::ipc::CsError;
use ferrosync_wire::{Key, Value};

use crate::config::Config;
use crate::core::Core;
use crate::log::{Priority, Record, Subsystem};
use crate::node::Node;
use crate::output::{HostRequest, NodeOutput, Reread};
use crate::transport::{ONLY_LINK, SharedKey, Transport};
use ahead::Look;
use keys::Difference;
use links::Network;

/// The configuration that a node runs with.
#[derive(Debug)]
pub(crate) struct Running {
    /// Without its keys and warnings, which are in the map and in the log.
    pub(crate) config: Config,
    reading: Reading,
    look: Look,
}

/// Whether the host is about to read the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    No,
    Yes,
}

/// What a reload did to the ring's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CryptoChange {
    /// Nothing.
    None,
    /// The transport opens packets with the new one as well; when all nodes do, it is to be used.
    Loaded,
}

/// The steps in which a ring goes from one key to another, after every node has loaded the new one
/// (corosync `totem.h: cfg_message_crypto_reconfig_phase_t`, v3.1.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CryptoPhase {
    /// Send with the new key.
    Activate,
    /// Forget the old one.
    Cleanup,
}

impl Running {
    /// What a node starts with.
    pub(crate) fn new(config: Config) -> Self {
        Self {
            config,
            reading: Reading::No,
            look: Look::default(),
        }
    }
}

impl Node {
    /// Has the host read the files. Reloads that are asked for meanwhile are this one (D-69).
    pub(crate) fn read_config(&mut self) {
        let running = &mut self.core.running;
        if running.reading == Reading::No {
            running.reading = Reading::Yes;
            let fixed = running.config.fixed.clone();
            let request = HostRequest::ReadConfig { fixed };
            self.core.push(NodeOutput::Ask(request));
        }
    }

    /// The host has read the files, or could not.
    pub(crate) fn config_read(&mut self, result: Result<Box<Reread>, String>) {
        self.core.running.reading = Reading::No;
        self.core.tell(RELOADING_TOTEM, Value::U8(1));
        let result = match result {
            Ok(reread) => {
                self.core.tell(RELOADING, Value::U8(1));
                self.take_over(reread.config, reread.key)
            }
            Err(text) => {
                self.complain("Unable to reload config file", &text);
                Err(CsError::InvalidParam)
            }
        };
        let status = CsError::code_of(result.map(|_| ()));
        self.core.tell(STATUS, Value::I32(status));
        self.core.tell(RELOADING_TOTEM, Value::U8(0));
        self.core.tell(RELOADING, Value::U8(0));
        for id in self.services.ids() {
            self.with_service(id, |s, cx| s.config_reloaded(cx, result));
        }
        self.settle();
    }

    fn take_over(
        &mut self,
        mut new: Config,
        key: Option<SharedKey>,
    ) -> Result<CryptoChange, CsError> {
        let refused = links::refusals(&Network::of(&self.core.running.config), &Network::of(&new));
        if !refused.is_empty() {
            for text in refused {
                self.log(Subsystem::Totem, Priority::Error, text);
            }
            self.complain("Cannot configure new interface definitions", RECREATE);
            return Err(CsError::InvalidParam);
        }
        let keys = std::mem::take(&mut new.keys);
        let icmap = &mut self.core.icmap;
        if let Err(error) = Difference::between(icmap, &keys).apply(icmap) {
            self.complain("Unable to reload config file", NO_ROOM);
            return Err(error);
        }
        for warning in std::mem::take(&mut new.warnings) {
            self.log(Subsystem::Main, Priority::Warning, warning.to_string());
        }
        for key in std::mem::take(&mut new.kept) {
            let text =
                format!("Modified entry '{key}' in corosync.conf cannot be changed at run-time");
            self.log(Subsystem::Cfg, Priority::Notice, text);
        }
        Ok(self.go_live(new, key))
    }

    /// The map is in the new state; now the node.
    fn go_live(&mut self, new: Config, key: Option<SharedKey>) -> CryptoChange {
        let now = self.core.now;
        let old = std::mem::replace(&mut self.core.running.config, new);
        let new = &self.core.running.config;
        let mut srp = new.srp.clone();
        // Not the file's to say while the node runs.
        srp.payload_mtu = self.core.pg.srp().config().payload_mtu;
        if srp != *self.core.pg.srp().config() {
            self.core.pg.srp_mut().reconfigure(srp);
        }
        let outputs = &mut self.core.outputs;
        let change = self.core.transport.reload(now, (&old, new), key, outputs);
        let records: Vec<Record> = member_changes(&self.core.transport, &old, new)
            .into_iter()
            .map(|text| record(Priority::Notice, text))
            .collect();
        if old.logging != new.logging {
            let request = HostRequest::SetLogging(Box::new(new.logging.clone()));
            self.core.outputs.push_back(NodeOutput::Ask(request));
        }
        for record in records {
            self.core.push(NodeOutput::Log(record));
        }
        change
    }

    /// What went wrong, a line of log for each line of text.
    fn complain(&mut self, what: &str, text: &str) {
        for line in text.lines() {
            let text = format!("{what}: {line}");
            self.log(Subsystem::Cfg, Priority::Error, text);
        }
    }
}

impl Core {
    /// Tells who tracks the key how far the reload is.
    fn tell(&mut self, name: &str, value: Value) {
        let key = Key::new(name).expect("made of valid characters");
        self.set_own_key(key, value);
    }
}

/// Who came and who went, in the words of C's `udpu`; its `udp` does not know its members, and knet speaks for itself
/// (corosync `totemudpu.c:totemudpu_member_add, totemudpu_member_remove`, v3.1.7).
fn member_changes(transport: &Transport, old: &Config, new: &Config) -> Vec<String> {
    if !transport.is_udpu() {
        return Vec::new();
    }
    let addresses = |config: &Config| -> Vec<IpAddr> {
        let all = config.nodes.iter();
        all.filter_map(|node| node.addresses.get(&ONLY_LINK).copied())
            .collect()
    };
    let (old, new) = (addresses(old), addresses(new));
    let gone = old.iter().filter(|ip| !new.contains(ip));
    let come = new.iter().filter(|ip| !old.contains(ip));
    let gone = gone.map(|ip| format!("removing UDPU member {{{ip}}}"));
    let come = come.map(|ip| format!("adding new UDPU member {{{ip}}}"));
    gone.chain(come).collect()
}

#[track_caller]
const fn record(priority: Priority, text: String) -> Record {
    Record::new(Subsystem::Totem, priority, text)
}

/// 1 while the map is between two configurations. C distinguishes which of its parts look at which.
const RELOADING_TOTEM: &str = "config.totemconfig_reload_in_progress";
const RELOADING: &str = "config.reload_in_progress";
/// How the last reload ended, a `cs_error_t`.
const STATUS: &str = "config.reload_status";

/// What a configuration map that is full says of a file.
const NO_ROOM: &str = "The configuration map has no room for its keys, nothing was changed";

/// C's summary of what it refuses of addresses and links.
const RECREATE: &str = "To reconfigure an interface it must be deleted and recreated. A working interface needs to be \
                        available to corosync at all times";

#[cfg(test)]
mod tests;

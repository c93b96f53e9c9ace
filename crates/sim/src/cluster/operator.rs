//! What an operator does with the configuration: writes corosync.conf, and has it read.

use ferrosync_executive::output::{Credentials, HostAnswer, LibInput, NodeInput, Reread};
use ferrosync_wire::ipc::cfg::Request;
use ferrosync_wire::{ConnId, Encode, ServiceId};

use super::Cluster;
use super::turn::{crypto_of, shared_key};
use crate::host::Read;
use crate::options::Options;

impl Cluster {
    /// Changes the text of every machine's corosync.conf, running or not.
    pub fn edit_files(&mut self, change: impl Fn(&str) -> String) {
        for machine in &mut self.machines {
            let around = &mut machine.surroundings;
            around.conf = change(&around.conf);
            around.config = Options::load(&around.conf, around.me.0);
        }
    }

    /// `corosync-cfgtool -R` on this machine; nobody waits for its answer.
    pub(super) fn request_reload(&mut self, i: usize) {
        let now = self.now;
        let Some(node) = &mut self.machines[i].node else {
            return;
        };
        let who = Credentials {
            pid: 1,
            uid: 0,
            gid: 0,
        };
        let connect = LibInput::Connect {
            conn: OPERATOR,
            service: ServiceId::CFG,
            who,
            program: "operator",
        };
        node.handle(now, NodeInput::Lib(connect));
        let message = &Request::ReloadConfig.to_vec();
        let request = LibInput::Request {
            conn: OPERATOR,
            message,
        };
        node.handle(now, NodeInput::Lib(request));
        node.handle(now, NodeInput::Lib(LibInput::Closed { conn: OPERATOR }));
        self.drain(i);
    }

    /// Answers the oldest question about the files.
    pub(super) fn read_files(&mut self, i: usize) {
        let machine = &mut self.machines[i];
        let around = &mut machine.surroundings;
        let (Some(node), Some(read)) = (&mut machine.node, around.reads.pop_front()) else {
            return;
        };
        around.files_read += 1;
        let answer = match read {
            Read::All(fixed) => {
                let result = Options::reload(&around.conf, around.me.0, &fixed).map(|config| {
                    let key = crypto_of(&config).and_then(shared_key);
                    Box::new(Reread { config, key })
                });
                HostAnswer::ConfigRead { result }
            }
            Read::Key => HostAnswer::KeyRead {
                key: Options::crypto(&around.conf)
                    .and_then(|crypto| shared_key(&crypto).map(|key| (crypto, key))),
            },
        };
        node.handle(self.now, NodeInput::Answer(answer));
        self.drain(i);
    }
}

/// No client process of the workload has this number.
const OPERATOR: ConnId = ConnId(u64::MAX);

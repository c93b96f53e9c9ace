//! Closed process groups (corosync `exec/cpg.c`, v3.1.7).
//!
//! Every node knows which process of which node is in which group. Joins, leaves and messages travel through the
//! ring, so all nodes see them in the same order; after a change of the ring's membership, nodes tell each other
//! their processes and work out who went and who came.
//!
//! `docs/deviations.md` lists where C is not followed, and why.

mod complaints;
mod connection;
mod deliver;
mod groups;
mod iteration;
mod notify;
mod request;
mod send;
mod sync;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use ferrosync_wire::ipc::CsError;
use ferrosync_wire::{ConnId, NodeId, ServiceId};

use crate::config::Config;
use crate::log::{Priority, Subsystem};
use crate::service::{
    Ctx, Library, Needs, Service, ServiceInfo, SyncProgress, SyncView, TakesPart,
};
use complaints::Complaints;
use connection::Connection;
use groups::Groups;
use send::Departures;
use sync::Membership;

/// The service.
#[derive(Debug, Default)]
pub struct Cpg {
    connections: BTreeMap<ConnId, Connection>,
    groups: Groups,
    /// Clients that are gone and whose groups do not know it yet.
    departures: Departures,
    /// Connections to be told the ring's membership with the next change of any group.
    totem_conf_owed: BTreeSet<ConnId>,
    membership: Membership,
    complaints: Complaints,
}

impl Cpg {
    /// Nothing of the configuration concerns groups.
    #[must_use]
    pub fn new(_config: &Config) -> Self {
        Self::default()
    }
}

impl Service for Cpg {
    fn info(&self) -> &'static ServiceInfo {
        &INFO
    }

    fn lib_connect(&mut self, _cx: &mut Ctx<'_>, conn: ConnId) {
        self.connections.insert(conn, Connection::default());
    }

    fn lib_request(&mut self, cx: &mut Ctx<'_>, conn: ConnId, message: &[u8]) {
        self.on_request(cx, conn, message);
    }

    fn lib_disconnect(&mut self, cx: &mut Ctx<'_>, conn: ConnId) {
        self.on_disconnect(cx, conn);
    }

    fn exec_deliver(&mut self, cx: &mut Ctx<'_>, from: NodeId, message: &Bytes) {
        self.on_message(cx, from, message);
    }

    fn sync_init(&mut self, _cx: &mut Ctx<'_>, view: &SyncView) {
        self.membership.begin(view);
    }

    fn sync_process(&mut self, cx: &mut Ctx<'_>) -> SyncProgress {
        self.tell_peers(cx)
    }

    fn sync_activate(&mut self, cx: &mut Ctx<'_>) {
        self.activate(cx);
    }

    fn synced(&mut self, cx: &mut Ctx<'_>) {
        self.membership.end();
        self.send_departures(cx);
    }

    fn timeout(&mut self, cx: &mut Ctx<'_>, _timer: u32) {
        self.send_departures(cx);
    }

    fn zero_copy_mapped(&mut self, cx: &mut Ctx<'_>, conn: ConnId, result: Result<u64, CsError>) {
        request::answer_zero_copy(cx, conn, result.map(drop));
    }

    fn zero_copy_freed(&mut self, cx: &mut Ctx<'_>, conn: ConnId, result: Result<(), CsError>) {
        request::answer_zero_copy(cx, conn, result);
    }

    fn zero_copy_read(&mut self, cx: &mut Ctx<'_>, conn: ConnId, message: Result<&[u8], CsError>) {
        self.on_zero_copy_read(cx, conn, message);
    }
}

/// A line under this service's name.
fn log(cx: &mut Ctx<'_>, priority: Priority, text: impl Into<String>) {
    cx.log(Subsystem::Cpg, priority, text);
}

static INFO: ServiceInfo = ServiceInfo {
    id: ServiceId::CPG,
    name: "cpg",
    title: "corosync cluster closed process group service v1.01",
    priority: 1,
    library: Library::Yes,
    sync: TakesPart::Yes,
    requests: REQUESTS,
    exec_functions: 7,
};

/// C lets 8 to 10 wait for the ring too, which they do not use: a client could not even say goodbye while services
/// synchronise (`docs/deviations.md`, D-36).
const REQUESTS: &[Needs] = &[
    Needs::Ring,    // 0: join
    Needs::Ring,    // 1: leave
    Needs::Ring,    // 2: mcast
    Needs::Nothing, // 3: membership
    Needs::Nothing, // 4: local get
    Needs::Nothing, // 5: iteration: start
    Needs::Nothing, // 6: iteration: next
    Needs::Nothing, // 7: iteration: end
    Needs::Nothing, // 8: finalize
    Needs::Nothing, // 9: zero copy: alloc
    Needs::Nothing, // 10: zero copy: free
    Needs::Ring,    // 11: zero copy: execute
    Needs::Ring,    // 12: partial mcast
];

#[cfg(test)]
mod tests;

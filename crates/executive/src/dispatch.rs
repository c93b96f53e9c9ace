//! Routing: deliveries to services, requests to services, changes to everybody.

use bytes::Bytes;
use ferrosync_totem::pg::{Company, Group, GroupMessage};
use ferrosync_totem::srp::{ConfChg, ConfChgKind, Guarantee};
use ferrosync_wire::capability::Capabilities;
use ferrosync_wire::ipc::{CsError, RequestHeader, ResponseHeader};
use ferrosync_wire::{ConnId, Decode, Encode, NodeId, Reader, ServiceId, exec};

use crate::log::{Priority, Record, Subsystem};
use crate::node::Node;
use crate::output::{FlowControl, NodeOutput};
use crate::service::{Ctx, Needs, SyncProgress};
use crate::sync::Step;

impl Node {
    /// A message in the ring's order.
    pub(crate) fn on_message(&mut self, message: GroupMessage) {
        match message.group {
            Group::Services => self.exec_deliver(message.from, &message.body),
            Group::Sync => self.sync_deliver(message.from, &message.body),
            Group::Ferrosync => self.on_notice(message.from, &message.body),
            Group::Ykd | Group::FerrosyncYkd => {
                let GroupMessage { from, group, body } = message;
                self.with_service(ServiceId::QUORUM, |s, cx| {
                    s.group_deliver(cx, group, from, &body);
                });
                self.settle();
            }
        }
    }

    fn exec_deliver(&mut self, from: NodeId, body: &Bytes) {
        let Ok(header) = exec::Header::decode(&mut Reader::new(body)) else {
            return;
        };
        let Some(service) = self.services.get_mut(header.service) else {
            return; // a service that only others have, as in C
        };
        let info = service.info();
        if header.function >= info.exec_functions {
            let text = format!(
                "discarded unknown message {} for service {} (max id {})",
                header.function, header.service.0, info.exec_functions
            );
            return self.log(Subsystem::Main, Priority::Warning, text);
        }
        let core = &mut self.core;
        core.exec_counters
            .received(&mut core.icmap, header.service, header.function);
        service.exec_deliver(&mut Ctx::new(core, header.service), from, body);
        self.settle();
    }

    /// A change of membership (corosync `main.c:confchg_fn`, v3.1.7).
    pub(crate) fn on_confchg(&mut self, change: ConfChg) {
        if let Some(service) = self.core.sync.aborts() {
            self.with_service(service, |s, cx| s.sync_abort(cx));
        }
        match change.kind {
            ConfChgKind::Transitional => {
                self.members_left(&change.left);
                self.core.sync.announce(change.members);
                self.update_flow_control();
            }
            ConfChgKind::Regular => {
                self.members_joined(&change.joined);
                self.core.ring = change.ring;
                self.core.members.clone_from(&change.members);
                let (view, message) = self.core.sync.begin(change.members, change.ring);
                self.sync_send(&message);
                self.announce();
                self.stop_looking();
                for id in self.services.ids() {
                    self.with_service(id, |s, cx| s.sync_init(cx, &view));
                }
            }
        }
        self.settle();
    }

    fn sync_deliver(&mut self, from: NodeId, body: &Bytes) {
        let Ok(message) = exec::sync::Message::decode(&mut Reader::new(body)) else {
            return;
        };
        match self.core.sync.message(from, &message) {
            Step::Nothing => {}
            Step::WantToken => self.core.pg.request_token_event(self.core.now),
            Step::Activate(service) => {
                self.with_service(service, |s, cx| s.sync_activate(cx));
                self.core.pg.request_token_event(self.core.now);
            }
            Step::Finish(service) => {
                self.with_service(service, |s, cx| s.sync_activate(cx));
                // Whether there is quorum is known, and told, before services are said to be ready.
                self.settle();
                self.sync_complete();
            }
            Step::Complete => self.sync_complete(),
        }
        self.settle();
    }

    /// The token has passed: the current service sends what its peers must know, then comes the barrier.
    pub(crate) fn on_token_passed(&mut self) {
        let Some(service) = self.core.sync.token_passed() else {
            return;
        };
        let mut progress = SyncProgress::Done;
        if let Some(service) = service {
            self.with_service(service, |s, cx| progress = s.sync_process(cx));
        }
        match progress {
            SyncProgress::Again => self.core.pg.request_token_event(self.core.now),
            SyncProgress::Wait => {}
            SyncProgress::Done => {
                if let Some(barrier) = self.core.sync.barrier() {
                    self.sync_send(&barrier);
                }
            }
        }
        self.settle();
    }

    /// All services are synchronised (corosync `main.c:corosync_sync_completed`, v3.1.7).
    fn sync_complete(&mut self) {
        let text = "Completed service synchronization, ready to provide service.";
        self.log(Subsystem::Main, Priority::Notice, text.to_owned());
        // Who comes from another ring never saw the beginning of a message that the change tore (D-50).
        let company = if self.core.all_can(Capabilities::WHOLE_MESSAGES) {
            Company::Mending
        } else {
            Company::Mixed
        };
        self.core.pg.trans_ack(self.core.now, company);
        if self.core.all_can(Capabilities::STRANGERS) {
            self.core.pg.srp_mut().admit_only();
        }
        self.synced_once = crate::node::SyncedOnce::Yes;
        for id in self.services.ids() {
            self.with_service(id, |s, cx| s.synced(cx));
        }
        self.update_flow_control();
        self.core.push(NodeOutput::Ready);
    }

    fn sync_send(&mut self, message: &exec::sync::Message) {
        self.core.sync_unsent = Some(message.to_vec());
        self.retry_sync();
    }

    /// Sends what found no room in the transitional lane, where the messages of rings that broke before they could leave
    /// may still wait. C goes without, and its services then wait for a barrier that nobody sends. Whether it was
    /// sent.
    pub(crate) fn retry_sync(&mut self) -> bool {
        let Some(bytes) = &self.core.sync_unsent else {
            return false;
        };
        let (now, parts) = (self.core.now, [bytes.as_slice()]);
        let sent = self
            .core
            .pg
            .mcast(now, Group::Sync, Guarantee::Agreed, &parts);
        if sent.is_ok() {
            self.core.sync_unsent = None;
        }
        sent.is_ok()
    }

    /// A request that was let through.
    pub(crate) fn lib_request(&mut self, conn: ConnId, message: &[u8]) {
        let Some(client) = self.core.clients.get(conn) else {
            return;
        };
        let id = client.service;
        let header = RequestHeader::decode(&mut Reader::new(message));
        let known = header.is_ok_and(|h| self.needs(id, h.id).is_some());
        self.core.clients.count(conn, |s| {
            s.requests += 1;
            s.invalid_requests += u64::from(!known);
        });
        if known {
            self.with_service(id, |s, cx| s.lib_request(cx, conn, message));
        } else {
            let answer = ResponseHeader::refusal(CsError::InvalidParam);
            Ctx::new(&mut self.core, id).respond_bytes(conn, &answer);
        }
        self.settle();
    }

    /// What a request of a service needs; `None` when there is no such request.
    pub(crate) fn needs(&self, service: ServiceId, request: i32) -> Option<Needs> {
        let requests = self.services.get(service)?.info().requests;
        requests.get(usize::try_from(request).ok()?).copied()
    }

    /// Tells clients how far they are held back, where that changed.
    pub(crate) fn update_flow_control(&mut self) {
        self.core.level = self.core.pg.level(self.core.level);
        let (now, others) = (self.core.now, self.flow_control());
        let changed: Vec<(ConnId, FlowControl)> = self
            .core
            .clients
            .iter_mut()
            .map(|(conn, client)| (conn, client.level(now, others), client))
            .filter(|(_, level, client)| client.flow_control != *level)
            .map(|(conn, level, client)| {
                client.flow_control = level;
                client.stats.flow_control_changes += 1;
                (conn, level)
            })
            .collect();
        for (conn, level) in changed {
            self.core.push(NodeOutput::LibFlowControl(conn, level));
        }
    }

    /// How far clients that keep up are held back now.
    pub(crate) fn flow_control(&self) -> FlowControl {
        let critical = self.core.level == ferrosync_totem::pg::QueueLevel::Critical;
        if critical || self.core.sync.in_progress() {
            FlowControl::Busy
        } else {
            FlowControl::Off
        }
    }

    #[track_caller]
    pub(crate) fn log(&mut self, subsystem: Subsystem, priority: Priority, text: String) {
        let record = Record::new(subsystem, priority, text);
        self.core.push(NodeOutput::Log(record));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferrosync_totem::pg::Pg;

    use crate::testing::Cluster;

    /// Rings that break before their messages leave fill the lane that the next ring's synchronisation needs.
    #[test]
    fn services_synchronise_through_a_lane_that_is_full() {
        let mut cluster = Cluster::off(&[1, 2], "");
        for id in [1, 2] {
            cluster.boot_with(id, |node| {
                let (now, old) = (node.core.now, vec![0; Pg::MESSAGE_MAX]);
                let lengths = [Pg::MESSAGE_MAX, 1_000, 1];
                for len in lengths {
                    let parts = [&old[..len]];
                    while node
                        .core
                        .pg
                        .mcast(now, Group::Sync, Guarantee::Agreed, &parts)
                        .is_ok()
                    {}
                }
            });
        }
        cluster.settle();
    }
}

//! The voting quorum provider (corosync `exec/votequorum.c`, v3.1.7).
//!
//! `decide` says whether there is quorum, `model` is what is known and how it changes; both are pure. The rest
//! connects them to the ring, to clients and to the configuration map.

mod decide;
mod device;
mod keys;
mod lib;
mod model;
mod nodes;
mod trackers;

use core::time::Duration;

use bytes::Bytes;
use ferrosync_totem::srp::QueueFull;
use ferrosync_wire::exec::votequorum::{Message, NodeInfo, Reconfigure};
use ferrosync_wire::ipc::votequorum::Request;
use ferrosync_wire::ipc::{CsError, ResponseHeader};
use ferrosync_wire::{ConnId, Decode, NodeId, Reader, RingId, ServiceId};

use self::decide::Policy;
use self::device::Device;
use self::keys::{Keys, Wish};
use self::model::{Effect, Model, Settings};
use self::trackers::{Trackers, expected_votes_event, node_list_event, quorum_event};
use crate::config::Config;
use crate::core::QuorumView;
use crate::icmap::Notification;
use crate::log::{Priority, Subsystem};
use crate::output::{Keep, Kept};
use crate::service::{
    Ctx, Library, Needs, Service, ServiceInfo, SyncProgress, SyncView, TakesPart,
};

/// The service.
#[derive(Debug)]
pub struct Votequorum {
    model: Model,
    device: Device,
    trackers: Trackers,
    /// None before the start.
    keys: Option<Keys>,
    /// The ring to which services synchronise or are synchronised.
    ring: RingId,
    told: Told,
}

/// Whether the members know what this node contributes to the ring that forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    No,
    Yes,
}

impl Votequorum {
    /// The provider, where the configuration names it.
    #[must_use]
    pub fn from_config(config: &Config, kept: &Kept) -> Option<Self> {
        let quorum = config.quorum.votequorum.as_ref()?;
        let tracked = if quorum.expected_votes_tracking {
            kept.expected_votes
        } else {
            0
        };
        let settings = Settings {
            policy: Policy::new(quorum),
            votes: quorum.votes,
            // What is tracked takes the place of what is written, also where nothing has been seen yet.
            expected_votes: match (quorum.expected_votes_tracking, tracked) {
                (true, 0) => quorum.derived_votes,
                (true, tracked) => tracked,
                (false, _) => quorum.expected_votes,
            },
            device_votes: quorum.device.as_ref().map(|device| device.votes),
        };
        Some(Self {
            model: Model::new(config.me, settings, tracked),
            device: Device::new(quorum.device.as_ref()),
            trackers: Trackers::default(),
            keys: None,
            ring: RingId::ZERO,
            told: Told::No,
        })
    }

    /// Carries out what the model wants and shows what it knows.
    fn settle(&mut self, cx: &mut Ctx<'_>) {
        for effect in self.model.take_effects() {
            match effect {
                Effect::TellExpectedVotes => {
                    for (conn, context) in self.trackers.iter() {
                        cx.event(conn, &expected_votes_event(&self.model.view, context));
                    }
                }
                Effect::TellQuorum => self.publish_quorum(cx),
                Effect::OpenWindow => {
                    if let Some(window) = self.model.policy.last_man_standing {
                        cx.set_timer(TIMER_WINDOW, cx.now() + window);
                    }
                }
                Effect::Track(votes) => cx.keep(Keep::ExpectedVotes(votes)),
                Effect::CloseWindow => cx.cancel_timer(TIMER_WINDOW),
                Effect::Log(priority, text) => voteq(cx, priority, text),
            }
        }
        keys::publish(cx.icmap(), &self.model, &self.device);
    }

    fn publish_quorum(&self, cx: &mut Ctx<'_>) {
        let view = &self.model.view;
        cx.publish_quorum(QuorumView {
            quorate: view.quorate,
            members: view.members.clone(),
            ring: self.ring,
        });
        for (conn, context) in self.trackers.iter() {
            cx.event(conn, &quorum_event(view, context));
        }
    }

    /// Tells everybody what this node and its device contribute.
    fn tell(&self, cx: &mut Ctx<'_>) {
        if self.try_tell(cx).is_err() {
            Self::tell_later(cx);
        }
    }

    /// Tells everybody what this node contributes.
    fn tell_of_me(&self, cx: &mut Ctx<'_>) {
        if send_info(cx, self.model.my_info()).is_err() {
            Self::tell_later(cx);
        }
    }

    fn try_tell(&self, cx: &mut Ctx<'_>) -> Result<(), QueueFull> {
        send_info(cx, self.model.my_info())?;
        send_info(cx, self.model.device_info())
    }

    /// The ring's queue is full. C leaves the others with what they knew before; here they hear it a little later
    /// (D-44).
    fn tell_later(cx: &mut Ctx<'_>) {
        cx.set_timer(TIMER_RETRY, cx.now() + RETRY_INTERVAL);
    }

    fn message(&mut self, cx: &mut Ctx<'_>, from: NodeId, message: &Message<'_>) {
        match message {
            Message::NodeInfo(info) => self.model.node_info(from, info),
            Message::Reconfigure(change) => self.model.reconfigure(change),
            Message::DeviceReg { operation, name } => {
                self.device_registration(cx, from, *operation, name);
            }
            Message::DeviceReconfigure { old, new } => self.device_renamed(old, new),
        }
    }

    /// Reads the configuration again and tells the others what changed.
    fn reread(&mut self, cx: &mut Ctx<'_>) {
        let Some(keys) = &self.keys else {
            return;
        };
        let read = keys.reread(cx.icmap(), &self.model);
        for text in read.complaints {
            voteq(cx, Priority::Critical, text);
        }
        self.device.apply(read.device, read.permission);
        let before = self.model.my_info();
        if let Some(settings) = read.settings {
            self.model.apply(settings);
        }
        keys::publish_tie_breaker(cx.icmap(), &self.model.policy);
        self.tell(cx);
        let after = self.model.my_info();
        if after.votes != before.votes {
            let what = "new votes";
            reconfigure(cx, Reconfigure::NODE_VOTES, after.nodeid, after.votes, what);
        }
        if after.expected_votes != before.expected_votes {
            let votes = after.expected_votes;
            let what = "expected votes";
            reconfigure(cx, Reconfigure::EXPECTED_VOTES, after.nodeid, votes, what);
        }
    }
}

impl Service for Votequorum {
    fn info(&self) -> &'static ServiceInfo {
        &INFO
    }

    fn start(&mut self, cx: &mut Ctx<'_>) {
        self.keys = Some(Keys::start(cx.icmap()));
        if self.model.policy.tie_breaker.is_some() {
            keys::publish_tie_breaker(cx.icmap(), &self.model.policy);
        }
        self.settle(cx);
        self.tell_of_me(cx);
    }

    fn stop(&mut self, cx: &mut Ctx<'_>) {
        if self.model.policy.allow_downscale {
            self.model.leave();
            // Without room on the ring the others see this node go as they see a crash: nothing sinks.
            let _ = send_info(cx, self.model.my_info());
        }
    }

    fn lib_request(&mut self, cx: &mut Ctx<'_>, conn: ConnId, message: &[u8]) {
        match Request::decode(&mut Reader::new(message)) {
            Ok(request) => self.request(cx, conn, &request),
            Err(error) => {
                let answer = ResponseHeader::refusal(CsError::from(error));
                cx.respond_bytes(conn, &answer);
            }
        }
        self.settle(cx);
    }

    fn lib_disconnect(&mut self, _cx: &mut Ctx<'_>, conn: ConnId) {
        // Most clients never listened.
        let _ = self.trackers.stop(conn);
        self.device.forget_client(conn);
    }

    fn exec_deliver(&mut self, cx: &mut Ctx<'_>, from: NodeId, message: &Bytes) {
        match Message::decode(&mut Reader::new(message)) {
            Ok(message) => self.message(cx, from, &message),
            Err(error) => {
                let text = format!("ignored a malformed message of node {from}: {error}");
                voteq(cx, Priority::Debug, text);
            }
        }
        self.settle(cx);
    }

    fn sync_init(&mut self, cx: &mut Ctx<'_>, view: &SyncView) {
        self.told = Told::No;
        self.model.begin(&view.members);
        self.ring = view.ring;
        self.await_device(cx);
        self.settle(cx);
    }

    fn sync_process(&mut self, cx: &mut Ctx<'_>) -> SyncProgress {
        if self.told == Told::No {
            if self.try_tell(cx).is_err() || self.tell_device_name(cx).is_err() {
                return SyncProgress::Again;
            }
            self.told = Told::Yes;
            for (conn, context) in self.trackers.iter() {
                cx.event(conn, &node_list_event(&self.model.view, self.ring, context));
            }
        }
        if self.awaits_device() {
            SyncProgress::Wait
        } else {
            SyncProgress::Done
        }
    }

    fn sync_activate(&mut self, cx: &mut Ctx<'_>) {
        self.model.activate();
        self.settle(cx);
    }

    fn timeout(&mut self, cx: &mut Ctx<'_>, timer: u32) {
        match timer {
            TIMER_WINDOW => self.model.window_closed(),
            TIMER_DEVICE => self.device_is_late(cx),
            TIMER_RETRY => self.tell(cx),
            TIMER_REREAD => self.reread(cx),
            _ => unreachable!("votequorum sets no other timers"),
        }
        self.settle(cx);
    }

    fn notified(&mut self, cx: &mut Ctx<'_>, notification: &Notification) {
        let Some(keys) = &mut self.keys else {
            return;
        };
        let change = &notification.change;
        match keys.notified(notification.tracker, change, cx.icmap()) {
            Wish::Nothing => {}
            // Many keys may change at once; they are read once, when all have.
            Wish::Reread => cx.set_timer(TIMER_REREAD, cx.now()),
            Wish::CancelWaitForAll => {
                keys::take_cancel(cx.icmap());
                let me = cx.me();
                reconfigure(cx, Reconfigure::CANCEL_WAIT_FOR_ALL, me, 0, "Cancel WFA");
            }
        }
    }
}

impl Votequorum {
    /// New members may not know it.
    fn tell_device_name(&self, cx: &mut Ctx<'_>) -> Result<(), QueueFull> {
        let name = self.device.name();
        if name.is_empty() {
            return Ok(());
        }
        let operation = Message::REGISTER;
        cx.mcast(&Message::DeviceReg { operation, name })
    }
}

fn send_info(cx: &mut Ctx<'_>, info: NodeInfo) -> Result<(), QueueFull> {
    cx.mcast(&Message::NodeInfo(info))
}

/// Changes a parameter on all members.
fn reconfigure(cx: &mut Ctx<'_>, param: u8, nodeid: NodeId, value: u32, what: &str) {
    let change = Reconfigure {
        nodeid,
        value,
        param,
    };
    if cx.mcast(&Message::Reconfigure(change)).is_err() {
        let text = format!("Failed to send {what} message to other nodes");
        voteq(cx, Priority::Error, text);
    }
}

fn voteq(cx: &mut Ctx<'_>, priority: Priority, text: String) {
    cx.log(Subsystem::Voteq, priority, text);
}

/// When the last man standing gives up those who left.
const TIMER_WINDOW: u32 = 0;
/// When the quorum device must have shown up.
const TIMER_DEVICE: u32 = 1;
/// When the ring's queue may have room again.
const TIMER_RETRY: u32 = 2;
/// When the configuration is to be read again.
const TIMER_REREAD: u32 = 3;

const RETRY_INTERVAL: Duration = Duration::from_millis(10);

static INFO: ServiceInfo = ServiceInfo {
    id: ServiceId::VOTEQUORUM,
    name: "votequorum",
    title: "corosync vote quorum service v1.0",
    priority: 2,
    library: Library::Yes,
    sync: TakesPart::Yes,
    requests: REQUESTS,
    exec_functions: 4,
};

const REQUESTS: &[Needs] = &[Needs::Nothing; 10];

#[cfg(test)]
mod tables;
#[cfg(test)]
mod tests;

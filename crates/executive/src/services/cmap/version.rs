//! `totem.config_version`: all members tell theirs, and a node whose version is not the highest stops rather than
//! work with an old configuration.

use bytes::Bytes;
use ferrosync_wire::exec::cmap::{Item, Message};
use ferrosync_wire::{Decode, Key, Name, NodeId, Reader, Value, ValueType};

use crate::icmap::{TrackFlags, TrackerId};
use crate::log::{Priority, Subsystem};
use crate::output::ExitReason;
use crate::service::{Ctx, SyncProgress, SyncView};

/// What is known of the members' versions.
#[derive(Debug, Default)]
pub(super) struct ConfigVersion {
    tracker: Option<TrackerId>,
    /// Highest version heard in this synchronisation, this node's included.
    highest: u64,
    came_along: bool,
    compared: Compared,
}

/// Whether this node has compared its version yet: only the first meeting with others counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Compared {
    #[default]
    No,
    Yes,
}

impl ConfigVersion {
    pub(super) fn track(&mut self, cx: &mut Ctx<'_>) {
        let tracker = cx.icmap().track_add(Some(KEY), TrackFlags::KEY);
        self.tracker = tracker.ok();
    }

    pub(super) fn is_tracked_by(&self, tracker: TrackerId) -> bool {
        self.tracker == Some(tracker)
    }

    /// The key changed: the others are told.
    pub(super) fn changed(&self, cx: &mut Ctx<'_>) {
        if send(cx, Message::NEW_CONFIG_VERSION).is_err() {
            let text = "Can't inform other nodes about new config version";
            cx.log(Subsystem::Cmap, Priority::Error, text);
        }
    }

    pub(super) fn sync_init(&mut self, cx: &mut Ctx<'_>, view: &SyncView) {
        self.came_along = !view.trans.is_empty();
        self.highest = mine(cx);
    }

    pub(super) fn sync_process(&self, cx: &mut Ctx<'_>) -> SyncProgress {
        match send(cx, Message::SYNC) {
            Ok(()) => SyncProgress::Done,
            Err(_) => SyncProgress::Again,
        }
    }

    /// corosync `cmap.c:cmap_sync_activate` (v3.1.7).
    pub(super) fn sync_activate(&mut self, cx: &mut Ctx<'_>) {
        if !self.came_along || self.compared == Compared::Yes {
            return;
        }
        self.compared = Compared::Yes;
        let mine = mine(cx);
        if mine != 0 && self.highest != mine {
            let text = format!(
                "Received config version ({}) is different than my config version ({mine})! Exiting",
                self.highest
            );
            cx.log(Subsystem::Cmap, Priority::Error, text);
            cx.shut_down(ExitReason::ConfigVersion);
        }
    }

    pub(super) fn deliver(&mut self, cx: &mut Ctx<'_>, from: NodeId, bytes: &Bytes) {
        let Ok(message) = Message::decode(&mut Reader::new(bytes)) else {
            return;
        };
        let is_version = |item: &&Item<'_>| item.key.get() == Some(KEY.as_bytes());
        let Some(item) = message.items.iter().find(is_version) else {
            return;
        };
        let version = match <[u8; 8]>::try_from(item.value) {
            Ok(bytes) if item.value_type == ValueType::U64.code() => u64::from_le_bytes(bytes),
            Ok(_) | Err(_) => 0,
        };
        if message.reason == Message::SYNC && from != cx.me() {
            self.highest = self.highest.max(version);
        }
        let key = Key::new(&format!("runtime.members.{from}.config_version"));
        if let Ok(key) = key {
            // Fails only when the map is full, and then it is not this key that matters.
            let _full = cx.icmap().set(key, Value::U64(version));
        }
    }
}

fn mine(cx: &mut Ctx<'_>) -> u64 {
    match cx.icmap().get(KEY) {
        Some(Value::U64(version)) => version,
        Some(_) | None => 0,
    }
}

fn send(cx: &mut Ctx<'_>, reason: u8) -> Result<(), ferrosync_totem::srp::QueueFull> {
    let value = cx.icmap().get(KEY);
    let bytes = value.as_ref().map(Value::to_wire);
    let item = Item {
        key: Name::new(KEY.as_bytes()),
        value_type: value.as_ref().map_or(0, Value::type_code),
        value: bytes.as_deref().unwrap_or(&[]),
    };
    cx.mcast(&Message {
        reason,
        items: vec![item],
    })
}

const KEY: &str = "totem.config_version";

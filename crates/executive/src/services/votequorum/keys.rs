//! votequorum in the configuration map: what it publishes, and what it reads again when the map changes
//! (corosync `votequorum.c:votequorum_readconfig`, `votequorum_refresh_config`, v3.1.7).

use std::collections::BTreeSet;

use ferrosync_wire::exec::votequorum::NodeFlags;
use ferrosync_wire::ipc::CsError;
use ferrosync_wire::{Key, Value};

use super::decide::{Policy, Waiting};
use super::device::{Device, DeviceSettings, Permission};
use super::model::{Model, Settings};
use crate::config::{TieBreaker, WaitForAll};
use crate::icmap::{Access, Change, Extent, Icmap, TrackEvent, TrackFlags, TrackerId};

/// What this service hears of the map.
#[derive(Debug)]
pub(super) struct Keys {
    trackers: Vec<TrackerId>,
    reload: Reload,
    /// `auto_tie_breaker` as configured at the start; it may be off for as long as the nodes are odd.
    tie_breaker: Option<TieBreaker>,
}

/// Whether the whole configuration is being replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reload {
    InProgress,
    No,
}

/// What a change of the map asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Nothing,
    /// The configuration is to be read again.
    Reread,
    /// Nobody is to be waited for any longer.
    CancelWaitForAll,
}

impl Keys {
    /// Listens to the configuration and keeps clients from changing what is read once.
    pub(super) fn start(map: &mut Icmap) -> Self {
        for name in READ_ONCE {
            // An earlier service may have forbidden it.
            let _ = map.set_access(name, Extent::Key, Access::ReadOnly);
        }
        let add_or_modify = TrackFlags::ADD.with(TrackFlags::MODIFY);
        let trackers = [
            ("nodelist.", TrackFlags::ALL),
            ("quorum.", TrackFlags::ALL),
            (RELOADING, add_or_modify),
        ]
        .into_iter()
        .map(|(name, flags)| {
            map.track_add(Some(name), flags)
                .expect("services come before clients, who could use all trackers up")
        })
        .collect();
        Self {
            trackers,
            reload: Reload::No,
            tie_breaker: tie_breaker(map),
        }
    }

    /// What a notification asks for.
    pub(super) fn notified(&mut self, tracker: TrackerId, change: &Change, map: &Icmap) -> Wish {
        if !self.trackers.contains(&tracker) {
            return Wish::Nothing;
        }
        if change.key.as_str() == RELOADING {
            return self.reloaded(change, map);
        }
        if self.reload == Reload::InProgress {
            return Wish::Nothing;
        }
        if change.key.as_str() != CANCEL {
            return Wish::Reread;
        }
        // Taking the wish back is no wish; C reads the configuration again, which undoes changes made at run time
        // (D-45).
        match (change.event, &change.new) {
            (TrackEvent::Add | TrackEvent::Modify, Some(Value::U8(1..))) => Wish::CancelWaitForAll,
            (TrackEvent::Add | TrackEvent::Modify | TrackEvent::Delete, _) => Wish::Nothing,
        }
    }

    /// Single keys mean nothing while all are replaced, and nothing has changed when that failed.
    fn reloaded(&mut self, change: &Change, map: &Icmap) -> Wish {
        if matches!(change.new, Some(Value::U8(1..))) {
            self.reload = Reload::InProgress;
            return Wish::Nothing;
        }
        self.reload = Reload::No;
        let status = map.get_i32("config.reload_status").map(CsError::status);
        match status {
            Ok(Err(_)) => Wish::Nothing,
            Ok(Ok(())) | Err(_) => Wish::Reread,
        }
    }

    /// Reads the configuration again.
    pub(super) fn reread(&self, map: &Icmap, model: &Model) -> Reread {
        let registered = model
            .view
            .nodes
            .mine()
            .flags
            .contains(NodeFlags::QDEVICE_REGISTERED);
        let mut reader = Reader {
            map,
            complaints: Vec::new(),
            permission: None,
            registered,
        };
        let settings = reader.settings(model, self.tie_breaker.clone());
        Reread {
            settings,
            device: reader.device(),
            permission: reader.permission,
            complaints: reader.complaints,
        }
    }
}

/// The configuration as it is now.
#[derive(Debug)]
pub(super) struct Reread {
    /// `None`: what is there contradicts itself, and nothing is to change.
    pub(super) settings: Option<Settings>,
    /// The quorum device's, if there is one.
    pub(super) device: Option<DeviceSettings>,
    /// Whether a quorum device may work from now on; `None` leaves that as it is.
    pub(super) permission: Option<Permission>,
    /// What an administrator must know.
    pub(super) complaints: Vec<String>,
}

struct Reader<'a> {
    map: &'a Icmap,
    complaints: Vec<String>,
    permission: Option<Permission>,
    registered: bool,
}

/// The votes of the nodelist.
struct Nodelist {
    count: u32,
    mine: u32,
    all: u32,
}

impl Reader<'_> {
    fn settings(&mut self, model: &Model, configured: Option<TieBreaker>) -> Option<Settings> {
        let written = self.map.get_u32("quorum.expected_votes").unwrap_or(0);
        let nodelist = self.nodelist();
        let device = self.device();
        if device.is_some() {
            self.permission = Some(Permission::Granted);
        }
        if nodelist.is_none() && written == 0 {
            self.complain("nodelist or quorum.expected_votes must be configured!");
            self.complaints
                .push("will continue with current runtime data".to_owned());
            return None;
        }
        let votes_of_all = nodelist.as_ref().map_or(0, |list| list.all);
        let two_node = self.two_node(device.is_some());
        let policy = self.policy(&model.policy, two_node, configured, votes_of_all)?;
        if device.is_some() {
            self.check_modes(&policy);
        }
        let device_votes = match &device {
            None => Some(0),
            Some(device) => self.device_votes(device, written, nodelist.as_ref()),
        };
        let derived = match (&device, written) {
            (Some(device), 0) if device.votes.is_none() => {
                votes_of_all.saturating_add(device_votes.unwrap_or(0))
            }
            _ => votes_of_all,
        };
        let demanded = if policy.tracking {
            model.view.tracked
        } else {
            written
        };
        Some(Settings {
            votes: nodelist.as_ref().map_or_else(
                || self.map.get_u32("quorum.votes").unwrap_or(1),
                |list| list.mine,
            ),
            expected_votes: if demanded > 0 { demanded } else { derived },
            device_votes,
            policy,
        })
    }

    /// `two_node` and what a quorum device makes of it.
    fn two_node(&mut self, has_device: bool) -> bool {
        let two_node = self.map.get_u8("quorum.two_node").is_ok_and(|on| on > 0);
        if !(two_node && has_device) {
            return two_node;
        }
        self.complain("two_node and quorum device cannot be configured at the same time!");
        if self.registered {
            let text = "quorum device is registered, disabling two_node";
            self.complaints.push(text.to_owned());
            return false;
        }
        let text = "quorum device is not registered, allowing two_node";
        self.complaints.push(text.to_owned());
        self.permission = Some(Permission::Denied);
        true
    }

    /// The modes that may change at run time: `two_node`, and what follows from it.
    fn policy(
        &mut self,
        now: &Policy,
        mut two_node: bool,
        mut tie_breaker: Option<TieBreaker>,
        votes_of_all: u32,
    ) -> Option<Policy> {
        let wait_for_all = match now.wait_for_all {
            WaitForAll::FollowsTwoNode { .. } => WaitForAll::FollowsTwoNode { on: two_node },
            WaitForAll::Set { on } => WaitForAll::Set { on },
        };
        if two_node && tie_breaker.is_some() {
            self.complain_in([
                "two_node and auto_tie_breaker are both specified but are not compatible.",
                "two_node has been disabled, please fix your corosync.conf",
            ]);
            two_node = false;
        }
        if tie_breaker.is_some() && votes_of_all % 2 == 1 && !wait_for_all.is_on() {
            if now.last_man_standing.is_some() {
                self.complain_in([
                    "auto_tie_breaker is set, the cluster has an odd number of nodes",
                    "and last_man_standing is also set. With this situation a better",
                    "solution would be to disable LMS, leave ATB enabled, and also",
                    "enable wait_for_all (mandatory for ATB in odd-numbered clusters).",
                    "Nothing is changed for now. Please fix your corosync.conf",
                ]);
                return None;
            }
            self.complain_in([
                "auto_tie_breaker is set and the cluster has an odd number of nodes.",
                "wait_for_all needs to be set for this configuration but it is missing",
                "Therefore auto_tie_breaker has been disabled. Please fix your corosync.conf",
            ]);
            tie_breaker = None;
        }
        Some(Policy {
            two_node,
            wait_for_all,
            tie_breaker,
            ..now.clone()
        })
    }

    /// Modes that contradict a quorum device.
    fn check_modes(&mut self, policy: &Policy) {
        for (mode, is_on) in [
            ("last_man_standing", policy.last_man_standing.is_some()),
            ("auto_tie_breaker", policy.tie_breaker.is_some()),
            ("allow_downscale", policy.allow_downscale),
        ] {
            if is_on {
                self.deny(&format!("quorum.device is not compatible with {mode}"));
            }
        }
    }

    /// A quorum device's votes; `None` when they cannot be known.
    fn device_votes(
        &mut self,
        device: &DeviceSettings,
        written: u32,
        nodelist: Option<&Nodelist>,
    ) -> Option<u32> {
        let uneven = nodelist.is_some_and(|list| list.count != list.all);
        match (device.votes, nodelist) {
            (None, _) if written > 0 => {
                self.deny(
                    "quorum.device.votes must be specified when quorum.expected_votes is set",
                );
                None
            }
            (None, _) if uneven => {
                self.deny("quorum.device.votes must be specified when not all nodes votes 1");
                None
            }
            (None, nodelist) => nodelist.map(|list| list.all.saturating_sub(1)),
            (Some(votes), _) => {
                if votes > 0 && written > 0 && i64::from(written) - i64::from(votes) < 2 {
                    self.deny("quorum.device.votes is too high or expected_votes is too low");
                }
                Some(votes)
            }
        }
    }

    fn device(&self) -> Option<DeviceSettings> {
        DeviceSettings::from_map(self.map)
    }

    /// `None` when this node is not in it.
    fn nodelist(&self) -> Option<Nodelist> {
        let mine = self.map.get_u32("nodelist.local_node_pos").ok()?;
        let positions: BTreeSet<u32> = self
            .map
            .iter("nodelist.node.")
            .filter_map(|(key, _)| key.as_str().split('.').nth(2)?.parse().ok())
            .collect();
        let votes_of = |position: u32| {
            let key = format!("nodelist.node.{position}.quorum_votes");
            self.map.get_u32(&key).unwrap_or(1)
        };
        let votes = positions.iter().map(|position| votes_of(*position));
        Some(Nodelist {
            count: u32::try_from(positions.len()).unwrap_or(u32::MAX),
            mine: if positions.contains(&mine) {
                votes_of(mine)
            } else {
                0
            },
            all: votes.fold(0, u32::saturating_add),
        })
    }

    /// A contradiction that costs the quorum device its work.
    fn deny(&mut self, what: &str) {
        self.complain(what);
        self.complaints
            .push("disabling quorum device operations".to_owned());
        self.permission = Some(Permission::Denied);
    }

    fn complain_in<const N: usize>(&mut self, lines: [&str; N]) {
        self.complaints.extend(lines.map(str::to_owned));
    }

    fn complain(&mut self, what: &str) {
        self.complaints.push(format!("configuration error: {what}"));
    }
}

/// The tie breaker that the map names (`parse_atb_string`).
fn tie_breaker(map: &Icmap) -> Option<TieBreaker> {
    if !map.get_u8("quorum.auto_tie_breaker").is_ok_and(|on| on > 0) {
        return None;
    }
    let text = map.get_str("quorum.auto_tie_breaker_node");
    text.map_or(Some(TieBreaker::Lowest), TieBreaker::parse)
}

/// Shows what the model knows. What is there already is no change.
pub(super) fn publish(map: &mut Icmap, model: &Model, device: &Device) {
    let mut set = |name: &str, value: Value| {
        let key = Key::new(&format!("runtime.votequorum.{name}")).expect("made of words");
        // A map that clients have filled up has no room for more; nothing depends on these keys.
        let _ = map.set(key, value);
    };
    let view = &model.view;
    let policy = &model.policy;
    set("this_node_id", Value::U32(view.nodes.me().0));
    set("two_node", Value::U8(policy.two_node.into()));
    set("ev_barrier", Value::U32(view.barrier));
    if let Some(waiting) = view.waiting {
        let status = match waiting {
            Waiting::Yes => 1,
            Waiting::No => 0,
        };
        set("wait_for_all_status", Value::U8(status));
    }
    if let Some(ends) = view.ends {
        set("lowest_node_id", Value::U32(ends.lowest.0));
        set("highest_node_id", Value::U32(ends.highest.0));
    }
    if policy.tracking {
        set("ev_tracking_barrier", Value::U32(view.tracked));
    }
    if let Some(permission) = device.permission() {
        let may = permission == Permission::Granted;
        set("qdevice_can_operate", Value::U8(may.into()));
    }
    if let Some(allowed) = device.master_wins() {
        set("qdevice_master_wins", Value::U8(allowed.into()));
    }
}

/// Shows which tie breaker works, once there was one or the configuration was read again.
pub(super) fn publish_tie_breaker(map: &mut Icmap, policy: &Policy) {
    let number = match policy.tie_breaker {
        None => 0,
        Some(TieBreaker::Lowest) => 1,
        Some(TieBreaker::Highest) => 2,
        Some(TieBreaker::Nodes(_)) => 3,
    };
    let key = Key::new("runtime.votequorum.atb_type").expect("made of words");
    let _ = map.set(key, Value::U32(number));
}

/// The wish that nobody be waited for is taken.
pub(super) fn take_cancel(map: &mut Icmap) {
    let key = Key::new(CANCEL).expect("made of words");
    let _ = map.set(key, Value::U8(0));
}

const RELOADING: &str = "config.totemconfig_reload_in_progress";
const CANCEL: &str = "quorum.cancel_wait_for_all";

/// What clients may not change as it is read once, at the start (`votequorum_set_icmap_ro_keys`).
const READ_ONCE: [&str; 7] = [
    "quorum.allow_downscale",
    "quorum.wait_for_all",
    "quorum.last_man_standing",
    "quorum.last_man_standing_window",
    "quorum.expected_votes_tracking",
    "quorum.auto_tie_breaker",
    "quorum.auto_tie_breaker_node",
];

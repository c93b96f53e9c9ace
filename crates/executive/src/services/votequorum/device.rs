//! The quorum device: a client that casts votes on behalf of an arbitrator (corosync
//! `votequorum.c:message_handler_req_lib_votequorum_qdevice_register` and its like, v3.1.7).
//!
//! The name is agreed on by all nodes; everything else concerns this node's own device.

use core::time::Duration;

use ferrosync_wire::exec::votequorum::{Message, NodeFlags};
use ferrosync_wire::ipc::votequorum::Status;
use ferrosync_wire::ipc::{Answer, CsError};
use ferrosync_wire::{ConnId, NodeId, RingId};

use super::model::DEVICE_FLAGS;
use super::nodes::Presence;
use super::{TIMER_DEVICE, Votequorum, voteq};
use crate::config::QdeviceConfig;
use crate::icmap::Icmap;
use crate::log::Priority;
use crate::service::Ctx;

/// What this node knows of its device.
#[derive(Debug)]
pub(super) struct Device {
    settings: DeviceSettings,
    /// As the cluster knows it; empty while it knows none.
    name: Vec<u8>,
    /// None before the configuration said anything, which grants it.
    permission: Option<Permission>,
    /// Who waits for the answer to its registration.
    registering: Option<ConnId>,
    /// None before the device said anything.
    master_wins: Option<bool>,
    /// Whether the device has to show up before a time.
    deadline: Deadline,
    /// Whether synchronisation waits for the device.
    sync: SyncWait,
}

/// `quorum.device` as far as it concerns the device's work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DeviceSettings {
    /// `votes`, if given.
    pub(super) votes: Option<u32>,
    /// Between two polls.
    pub(super) timeout: Duration,
    /// The same while a membership forms.
    pub(super) sync_timeout: Duration,
}

/// Whether a device may work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Permission {
    Granted,
    /// The configuration contradicts itself.
    Denied,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deadline {
    Set,
    None,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SyncWait {
    ForPoll,
    No,
}

impl DeviceSettings {
    const DEFAULT: Self = Self {
        votes: None,
        timeout: Duration::from_secs(10),
        sync_timeout: Duration::from_secs(30),
    };

    /// What the map says now; `None` without a device.
    pub(super) fn from_map(map: &Icmap) -> Option<Self> {
        let model = map.get_str("quorum.device.model").ok()?;
        let ms = |key: &str, default: Duration| {
            map.get_u32(key)
                .map_or(default, |ms| Duration::from_millis(u64::from(ms)))
        };
        (!model.is_empty()).then(|| Self {
            votes: map.get_u32("quorum.device.votes").ok(),
            timeout: ms("quorum.device.timeout", Self::DEFAULT.timeout),
            sync_timeout: ms("quorum.device.sync_timeout", Self::DEFAULT.sync_timeout),
        })
    }
}

impl Device {
    pub(super) fn new(config: Option<&QdeviceConfig>) -> Self {
        let settings = config.map(|device| DeviceSettings {
            votes: Some(device.votes),
            timeout: device.timeout,
            sync_timeout: device.sync_timeout,
        });
        Self {
            settings: settings.unwrap_or(DeviceSettings::DEFAULT),
            name: Vec::new(),
            permission: config.map(|_| Permission::Granted),
            registering: None,
            master_wins: None,
            deadline: Deadline::None,
            sync: SyncWait::No,
        }
    }

    /// The name that the cluster knows; empty without one.
    pub(super) fn name(&self) -> &[u8] {
        &self.name
    }

    /// Whether it may work, once that was a question.
    pub(super) const fn permission(&self) -> Option<Permission> {
        self.permission
    }

    /// Whether its vote decides, once it said so.
    pub(super) const fn master_wins(&self) -> Option<bool> {
        self.master_wins
    }

    /// The configuration was read again.
    pub(super) const fn apply(
        &mut self,
        settings: Option<DeviceSettings>,
        permission: Option<Permission>,
    ) {
        if let Some(settings) = settings {
            self.settings = settings;
        }
        if permission.is_some() {
            self.permission = permission;
        }
    }

    /// A client is gone; nobody waits for its answer.
    pub(super) fn forget_client(&mut self, conn: ConnId) {
        self.registering.take_if(|waiting| *waiting == conn);
    }

    fn check_permission(&self) -> Result<(), CsError> {
        match self.permission {
            Some(Permission::Denied) => Err(CsError::Access),
            Some(Permission::Granted) | None => Ok(()),
        }
    }
}

/// What clients ask.
impl Votequorum {
    /// Answers when the registration comes back from the ring, unless it is refused at once.
    pub(super) fn register_device(&mut self, cx: &mut Ctx<'_>, conn: ConnId, name: &[u8]) {
        let refused = self.begin_registration(cx, conn, name);
        if let Some(status) = refused {
            cx.respond(conn, &Answer::<Status>::from(status));
        }
    }

    /// `None` when the answer comes later.
    fn begin_registration(
        &mut self,
        cx: &mut Ctx<'_>,
        conn: ConnId,
        name: &[u8],
    ) -> Option<Result<(), CsError>> {
        if self.device.check_permission().is_err() {
            let text = "Registration of quorum device is disabled by incorrect corosync.conf. See \
                        logs for more information";
            voteq(cx, Priority::Info, text.to_owned());
            return Some(Err(CsError::Access));
        }
        if self.is_registered() {
            let same = name == self.device.name;
            return Some(if same {
                Ok(())
            } else {
                self.complain_of_name(cx, name, "re-register");
                Err(CsError::Exist)
            });
        }
        if self.device.registering.is_some() {
            let text = "Registration request already in progress";
            voteq(cx, Priority::Warning, text.to_owned());
            return Some(Err(CsError::TryAgain));
        }
        let operation = Message::REGISTER;
        if cx.mcast(&Message::DeviceReg { operation, name }).is_err() {
            let text = "Unable to send qdevice registration request to cluster";
            voteq(cx, Priority::Warning, text.to_owned());
            return Some(Err(CsError::TryAgain));
        }
        self.device.registering = Some(conn);
        None
    }

    pub(super) fn unregister_device(
        &mut self,
        cx: &mut Ctx<'_>,
        name: &[u8],
    ) -> Result<(), CsError> {
        self.check_device(name)?;
        self.clear_deadline(cx);
        self.stop_waiting(cx);
        self.change_flags(cx, |flags| flags.without(DEVICE_FLAGS));
        let operation = Message::UNREGISTER;
        // Without this message the others keep the name, which does no harm.
        let _ = cx.mcast(&Message::DeviceReg { operation, name });
        Ok(())
    }

    pub(super) fn rename_device(
        &mut self,
        cx: &mut Ctx<'_>,
        old: &[u8],
        new: &[u8],
    ) -> Result<(), CsError> {
        self.check_device(old)?;
        cx.mcast(&Message::DeviceReconfigure { old, new })
            .map_err(|_| CsError::TryAgain)
    }

    pub(super) fn poll_device(
        &mut self,
        cx: &mut Ctx<'_>,
        name: &[u8],
        cast_vote: u32,
        ring: RingId,
    ) -> Result<(), CsError> {
        self.device.check_permission()?;
        if !self.is_registered() {
            return Err(CsError::NotExist);
        }
        if ring != self.ring {
            let last = self.ring;
            let text = format!(
                "Received poll ring id ({ring}) != last sync ring id ({last}). Ignoring poll call."
            );
            voteq(cx, Priority::Debug, text);
            return Err(CsError::MessageError);
        }
        self.check_device(name)?;
        self.change_flags(cx, |flags| {
            let alive = flags.with(NodeFlags::QDEVICE_ALIVE);
            if cast_vote == 0 {
                alive.without(NodeFlags::QDEVICE_CAST_VOTE)
            } else {
                alive.with(NodeFlags::QDEVICE_CAST_VOTE)
            }
        });
        self.set_deadline(cx, self.device.settings.timeout);
        self.stop_waiting(cx);
        Ok(())
    }

    pub(super) fn let_device_win(
        &mut self,
        cx: &mut Ctx<'_>,
        name: &[u8],
        allow: u32,
    ) -> Result<(), CsError> {
        self.device.check_permission()?;
        self.check_device(name)?;
        let wins = NodeFlags::QDEVICE_MASTER_WINS;
        self.change_flags(cx, |flags| {
            if allow == 0 {
                flags.without(wins)
            } else {
                flags.with(wins)
            }
        });
        self.device.master_wins = Some(allow != 0);
        self.model.view.device.master_wins = allow != 0;
        Ok(())
    }

    fn check_device(&self, name: &[u8]) -> Result<(), CsError> {
        if !self.is_registered() {
            Err(CsError::NotExist)
        } else if name == self.device.name {
            Ok(())
        } else {
            Err(CsError::InvalidParam)
        }
    }
}

/// What the ring and the clock bring.
impl Votequorum {
    /// A device registers or goes.
    pub(super) fn device_registration(
        &mut self,
        cx: &mut Ctx<'_>,
        from: NodeId,
        operation: u32,
        name: &[u8],
    ) {
        match operation {
            Message::REGISTER if from == cx.me() => self.own_registration(cx, name),
            Message::REGISTER if self.device.name.is_empty() => {
                self.device.name = name.to_vec();
            }
            Message::UNREGISTER => {
                let registered = NodeFlags::QDEVICE_REGISTERED;
                let mut present = self.model.view.nodes.present();
                if !present.any(|node| node.flags.contains(registered)) {
                    self.device.name.clear();
                }
            }
            _ => {}
        }
    }

    fn own_registration(&mut self, cx: &mut Ctx<'_>, name: &[u8]) {
        // At each membership change the name is told to new members, this node included.
        if self.is_registered() {
            return;
        }
        let Some(conn) = self.device.registering.take() else {
            let text = "Unable to determine origin of the qdevice register call!";
            return voteq(cx, Priority::Warning, text.to_owned());
        };
        if self.device.name.is_empty() {
            self.device.name = name.to_vec();
        }
        let status = if self.device.name == name {
            let mine = self.model.view.nodes.mine_mut();
            mine.flags = mine.flags.with(NodeFlags::QDEVICE_REGISTERED);
            self.tell(cx);
            Ok(())
        } else {
            self.complain_of_name(cx, name, "register");
            Err(CsError::Exist)
        };
        cx.respond(conn, &Answer::<Status>::from(status));
    }

    /// A device changed its name.
    pub(super) fn device_renamed(&mut self, old: &[u8], new: &[u8]) {
        if old == self.device.name {
            self.device.name = new.to_vec();
        }
    }

    /// A membership forms: a working device has to vote for it first.
    pub(super) fn await_device(&mut self, cx: &mut Ctx<'_>) {
        self.device.sync = SyncWait::No;
        let working = NodeFlags::QDEVICE_REGISTERED.with(NodeFlags::QDEVICE_ALIVE);
        let mine = self.model.view.nodes.mine();
        if mine.presence != Presence::Member || !mine.flags.contains(working) {
            return;
        }
        let timeout = self.device.settings.sync_timeout;
        self.set_deadline(cx, timeout);
        self.device.sync = SyncWait::ForPoll;
        let text = format!(
            "waiting for quorum device {} poll (but maximum for {} ms)",
            self.device.name.escape_ascii(),
            timeout.as_millis()
        );
        voteq(cx, Priority::Info, text);
    }

    /// Whether synchronisation waits for the device.
    pub(super) fn awaits_device(&self) -> bool {
        self.is_registered() && self.device.sync == SyncWait::ForPoll
    }

    /// The device did not show up in time.
    pub(super) fn device_is_late(&mut self, cx: &mut Ctx<'_>) {
        let flags = self.model.view.nodes.mine().flags;
        if !flags.contains(NodeFlags::QDEVICE_ALIVE) || self.device.deadline == Deadline::None {
            return;
        }
        let name = self.device.name.escape_ascii();
        let text = format!("lost contact with quorum device {name}");
        voteq(cx, Priority::Info, text);
        self.device.deadline = Deadline::None;
        self.stop_waiting(cx);
        let gone = NodeFlags::QDEVICE_ALIVE.with(NodeFlags::QDEVICE_CAST_VOTE);
        self.change_flags(cx, |flags| flags.without(gone));
    }

    pub(super) fn is_registered(&self) -> bool {
        let flags = self.model.view.nodes.mine().flags;
        flags.contains(NodeFlags::QDEVICE_REGISTERED)
    }

    /// Changes this node's flags and tells everybody, if that is a change.
    fn change_flags(&mut self, cx: &mut Ctx<'_>, change: impl FnOnce(NodeFlags) -> NodeFlags) {
        let mine = self.model.view.nodes.mine_mut();
        let after = change(mine.flags);
        if after != mine.flags {
            mine.flags = after;
            self.tell_of_me(cx);
        }
    }

    /// Synchronisation may go on, if it waited for the device.
    fn stop_waiting(&mut self, cx: &mut Ctx<'_>) {
        if std::mem::replace(&mut self.device.sync, SyncWait::No) == SyncWait::ForPoll {
            cx.resume_sync();
        }
    }

    fn set_deadline(&mut self, cx: &mut Ctx<'_>, timeout: Duration) {
        self.device.deadline = Deadline::Set;
        cx.set_timer(TIMER_DEVICE, cx.now() + timeout);
    }

    fn clear_deadline(&mut self, cx: &mut Ctx<'_>) {
        self.device.deadline = Deadline::None;
        cx.cancel_timer(TIMER_DEVICE);
    }

    fn complain_of_name(&self, cx: &mut Ctx<'_>, name: &[u8], attempt: &str) {
        let text = format!(
            "A new qdevice with different name (new: {} old: {}) is trying to {attempt}!",
            name.escape_ascii(),
            self.device.name.escape_ascii()
        );
        voteq(cx, Priority::Warning, text);
    }
}

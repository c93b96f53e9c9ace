//! The configuration map for clients (corosync `exec/cmap.c`, v3.1.7).
//!
//! A client reads, changes, iterates and tracks one of two maps: the node's own [`crate::icmap::Icmap`], or the
//! statistics, which are computed when somebody looks. Among nodes the service compares `totem.config_version`.

mod conn;
mod stats;
mod version;

use std::collections::BTreeMap;

use bytes::Bytes;
use ferrosync_wire::ipc::cmap::{
    Adjusted, Deleted, Got, IterEnded, IterItem, IterStarted, MAP_DEFAULT, MAP_STATS, MapChosen,
    Notify, NotifyValue, Request, SetDone, TrackAdded, TrackDeleted,
};
use ferrosync_wire::ipc::{Answer, CsError, Handle, ResponseHeader};
use ferrosync_wire::{ConnId, Decode, Duration, Key, Name, NodeId, Reader, ServiceId, Value};

use crate::config::Config;
use crate::icmap::{Notification, TrackFlags, TrackerId};
use crate::service::{
    Ctx, Library, Needs, Service, ServiceInfo, SyncProgress, SyncView, TakesPart,
};
use conn::{Conn, Map};
use version::ConfigVersion;

/// The service.
#[derive(Debug)]
pub struct Cmap {
    conns: BTreeMap<ConnId, Conn>,
    /// Which client a tracker of the node's map belongs to, and what the client calls it.
    trackers: BTreeMap<TrackerId, (ConnId, u64)>,
    version: ConfigVersion,
}

impl Cmap {
    /// The service, without clients.
    #[must_use]
    pub fn new(_config: &Config) -> Self {
        Self {
            conns: BTreeMap::new(),
            trackers: BTreeMap::new(),
            version: ConfigVersion::default(),
        }
    }

    fn set(&self, cx: &mut Ctx<'_>, conn: ConnId, key: Name<'_>, value: (u8, &[u8])) -> Status {
        let name = text(key).ok_or(CsError::NameTooLong)?;
        if self.map_of(conn) == Map::Stats {
            return stats::set(cx, name);
        }
        cx.icmap().check_writable(name)?;
        let key = Key::new(name).map_err(|_| CsError::NameTooLong)?;
        let value = Value::from_wire(value.0, value.1).map_err(|_| CsError::InvalidParam)?;
        cx.icmap().set_for_client(key, value)
    }

    fn delete(&self, cx: &mut Ctx<'_>, conn: ConnId, key: Name<'_>) -> Status {
        let name = self.writable(cx, conn, key)?;
        cx.icmap().delete(name)
    }

    fn adjust(&self, cx: &mut Ctx<'_>, conn: ConnId, key: Name<'_>, step: i32) -> Status {
        let name = self.writable(cx, conn, key)?;
        cx.icmap().adjust_int(name, step)
    }

    /// The key's name, when this client may change it.
    fn writable<'k>(
        &self,
        cx: &mut Ctx<'_>,
        conn: ConnId,
        key: Name<'k>,
    ) -> Result<&'k str, CsError> {
        let name = text(key).ok_or(CsError::NotExist)?;
        match self.map_of(conn) {
            Map::Stats => Err(CsError::Access),
            Map::Default => cx.icmap().check_writable(name).map(|()| name),
        }
    }

    fn get(&self, cx: &mut Ctx<'_>, conn: ConnId, key: Name<'_>, capacity: u64) {
        let value = text(key).and_then(|name| match self.map_of(conn) {
            Map::Default => cx.icmap().get(name),
            Map::Stats => stats::get(cx.core(), name),
        });
        let Some(value) = value else {
            return cx.respond(conn, &Answer::<Got<'_>>(Err(CsError::NotExist)));
        };
        let bytes = value.to_wire();
        let room = usize::try_from(capacity).unwrap_or(usize::MAX);
        let answer = if capacity == 0 {
            Ok(Got::length(value.type_code(), bytes.len()))
        } else if room < bytes.len() {
            Err(CsError::InvalidParam)
        } else {
            // The answer is as long as the client's buffer; one larger than any value brings nothing.
            let room = room.min(bytes.len().max(GET_ROOM_MAX));
            Ok(Got::value(value.type_code(), &bytes, room))
        };
        cx.respond(conn, &Answer(answer));
    }

    fn iter_next(&mut self, cx: &mut Ctx<'_>, conn: ConnId, handle: u64) {
        let next = self
            .conns
            .get_mut(&conn)
            .ok_or(CsError::BadHandle)
            .and_then(|c| c.iter_next(cx, handle));
        match next {
            Ok((key, value)) => {
                let item = IterItem {
                    key: Name::new(key.as_bytes()),
                    value_len: value.wire_len() as u64,
                    value_type: value.type_code(),
                };
                cx.respond(conn, &Answer(Ok(item)));
            }
            Err(e) => cx.respond(conn, &Answer::<IterItem<'_>>(Err(e))),
        }
    }

    fn track_add(
        &mut self,
        cx: &mut Ctx<'_>,
        conn: ConnId,
        key: Name<'_>,
        flags: i32,
        instance: u64,
    ) -> Result<u64, CsError> {
        let flags = TrackFlags::new(flags)?;
        let name = match key.get() {
            None => None,
            Some(_) => Some(text(key).ok_or(CsError::InvalidParam)?),
        };
        let client = self.conns.get_mut(&conn).ok_or(CsError::BadHandle)?;
        client.check_room()?;
        match client.map {
            Map::Default => {
                let tracker = cx.icmap().track_add_for_client(name, flags)?;
                self.trackers.insert(tracker, (conn, instance));
                Ok(client.add_tracker(tracker, instance))
            }
            Map::Stats => {
                stats::check_flags(flags)?;
                let seen = stats::all(cx.core());
                let handle = client.add_stats_tracker(name, flags, instance, &seen);
                self.arm_stats_timer(cx);
                Ok(handle)
            }
        }
    }

    fn track_delete(
        &mut self,
        cx: &mut Ctx<'_>,
        conn: ConnId,
        handle: u64,
    ) -> Result<u64, CsError> {
        let client = self.conns.get_mut(&conn).ok_or(CsError::BadHandle)?;
        let (tracker, instance) = client.remove_tracker(handle)?;
        if let Some(tracker) = tracker {
            self.trackers.remove(&tracker);
            cx.icmap().track_delete(tracker)?;
        }
        Ok(instance)
    }

    fn map_of(&self, conn: ConnId) -> Map {
        self.conns.get(&conn).map_or(Map::Default, |c| c.map)
    }

    /// Statistics are compared at intervals, as nobody is told when they change.
    fn arm_stats_timer(&self, cx: &mut Ctx<'_>) {
        let at = cx.now() + STATS_INTERVAL;
        cx.set_timer(STATS_TIMER, at);
    }

    fn serve(&mut self, cx: &mut Ctx<'_>, conn: ConnId, request: &Request<'_>) {
        match *request {
            Request::Set {
                key,
                value_type,
                value,
            } => {
                let done = self.set(cx, conn, key, (value_type, value));
                cx.respond(conn, &Answer::<SetDone>::from(done));
            }
            Request::Delete { key } => {
                let done = self.delete(cx, conn, key);
                cx.respond(conn, &Answer::<Deleted>::from(done));
            }
            Request::Get { key, capacity } => self.get(cx, conn, key, capacity),
            Request::AdjustInt { key, step } => {
                let done = self.adjust(cx, conn, key, step);
                cx.respond(conn, &Answer::<Adjusted>::from(done));
            }
            Request::IterInit { prefix } => {
                let started = self.conns.get_mut(&conn).ok_or(CsError::BadHandle);
                let started = started.and_then(|c| c.iter_init(cx, text(prefix).unwrap_or("")));
                cx.respond(conn, &Answer::<IterStarted>(started.map(Handle)));
            }
            Request::IterNext { handle } => self.iter_next(cx, conn, handle),
            Request::IterFinalize { handle } => {
                let client = self.conns.get_mut(&conn).ok_or(CsError::BadHandle);
                let ended = client.and_then(|c| c.iter_finalize(handle));
                cx.respond(conn, &Answer::<IterEnded>::from(ended));
            }
            Request::TrackAdd {
                key,
                flags,
                instance,
            } => {
                let added = self.track_add(cx, conn, key, flags, instance);
                cx.respond(conn, &Answer::<TrackAdded>(added.map(Handle)));
            }
            Request::TrackDelete { handle } => {
                let deleted = self.track_delete(cx, conn, handle);
                cx.respond(conn, &Answer::<TrackDeleted>(deleted.map(Handle)));
            }
            Request::SetCurrentMap { map } => {
                let chosen = self.choose_map(conn, map);
                cx.respond(conn, &Answer::<MapChosen>::from(chosen));
            }
        }
    }

    fn choose_map(&mut self, conn: ConnId, map: i32) -> Status {
        let client = self.conns.get_mut(&conn).ok_or(CsError::BadHandle)?;
        if client.is_busy() {
            return Err(CsError::Busy);
        }
        client.map = match map {
            MAP_DEFAULT => Map::Default,
            MAP_STATS => Map::Stats,
            _ => return Err(CsError::NotExist),
        };
        Ok(())
    }
}

impl Service for Cmap {
    fn info(&self) -> &'static ServiceInfo {
        &INFO
    }

    fn start(&mut self, cx: &mut Ctx<'_>) {
        self.version.track(cx);
    }

    fn lib_connect(&mut self, _cx: &mut Ctx<'_>, conn: ConnId) {
        self.conns.insert(conn, Conn::default());
    }

    fn lib_request(&mut self, cx: &mut Ctx<'_>, conn: ConnId, message: &[u8]) {
        match Request::decode(&mut Reader::new(message)) {
            Ok(request) => self.serve(cx, conn, &request),
            Err(e) => cx.respond_bytes(conn, &ResponseHeader::refusal(e.into())),
        }
    }

    fn lib_disconnect(&mut self, cx: &mut Ctx<'_>, conn: ConnId) {
        if let Some(mut client) = self.conns.remove(&conn) {
            for tracker in client.trackers() {
                self.trackers.remove(&tracker);
                // It was added under this id and not deleted since.
                let _known = cx.icmap().track_delete(tracker);
            }
        }
    }

    fn notified(&mut self, cx: &mut Ctx<'_>, change: &Notification) {
        if self.version.is_tracked_by(change.tracker) {
            return self.version.changed(cx);
        }
        let Some((conn, instance)) = self.trackers.get(&change.tracker) else {
            return;
        };
        let new = change.change.new.as_ref();
        let old = change.change.old.as_ref();
        notify(
            cx,
            *conn,
            *instance,
            change.change.key.as_str(),
            change.change.event.code(),
            (new, old),
        );
    }

    fn timeout(&mut self, cx: &mut Ctx<'_>, _timer: u32) {
        let now = stats::all(cx.core());
        let mut tracked = false;
        for (conn, client) in &mut self.conns {
            for tracker in client.stats_trackers() {
                tracked = true;
                tracker.compare(&now, |instance, key, event, new, old| {
                    notify(cx, *conn, instance, key, event, (new, old));
                });
            }
        }
        if tracked {
            self.arm_stats_timer(cx);
        }
    }

    fn exec_deliver(&mut self, cx: &mut Ctx<'_>, from: NodeId, message: &Bytes) {
        self.version.deliver(cx, from, message);
    }

    fn sync_init(&mut self, cx: &mut Ctx<'_>, view: &SyncView) {
        self.version.sync_init(cx, view);
    }

    fn sync_process(&mut self, cx: &mut Ctx<'_>) -> SyncProgress {
        self.version.sync_process(cx)
    }

    fn sync_activate(&mut self, cx: &mut Ctx<'_>) {
        self.version.sync_activate(cx);
    }
}

type Status = Result<(), CsError>;

/// Tells a client of a change: the event's number, and the values after and before.
fn notify(
    cx: &mut Ctx<'_>,
    conn: ConnId,
    instance: u64,
    key: &str,
    event: i32,
    (new, old): (Option<&Value>, Option<&Value>),
) {
    let wire = |v: Option<&Value>| v.map(|v| (v.type_code(), v.to_wire().to_vec()));
    let (new, old) = (wire(new), wire(old));
    let value = |v: &'_ Option<(u8, Vec<u8>)>| match v {
        Some((value_type, value)) => (*value_type, value.clone()),
        None => (NotifyValue::NONE.value_type, Vec::new()),
    };
    let (new, old) = (value(&new), value(&old));
    let event = Notify {
        instance,
        key: Name::new(key.as_bytes()),
        event,
        new: NotifyValue {
            value_type: new.0,
            value: &new.1,
        },
        old: NotifyValue {
            value_type: old.0,
            value: &old.1,
        },
    };
    cx.event(conn, &event);
}

/// A key's name as text; keys are ASCII, so what is not text names nothing.
fn text(name: Name<'_>) -> Option<&str> {
    name.get()
        .and_then(|bytes| core::str::from_utf8(bytes).ok())
}

static INFO: ServiceInfo = ServiceInfo {
    id: ServiceId::CMAP,
    name: "cmap",
    title: "corosync configuration map access",
    priority: 1,
    library: Library::Yes,
    sync: TakesPart::Yes,
    requests: &[Needs::Nothing; 10],
    exec_functions: 1,
};

/// How often statistics are compared for their trackers (corosync `stats.c`, v3.1.7).
const STATS_INTERVAL: Duration = Duration::from_millis(1_500);
const STATS_TIMER: u32 = 0;

/// Longest answer to a client that says it has room for more than the value needs.
const GET_ROOM_MAX: usize = 512 << 10;

#[cfg(test)]
mod tests;

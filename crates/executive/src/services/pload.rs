//! The load generator (corosync `exec/pload.c`, v3.1.7), with bounds (`docs/deviations.md`, D-25).
//!
//! Whoever writes the right words into `pload.start` makes every member multicast `pload.count` messages of
//! `pload.size` bytes as fast as it can. A member that has seen that many, whosever they are, writes down how long
//! it took and ends. It is a benchmark for a cluster that nobody needs.

use bytes::Bytes;
use ferrosync_wire::exec::Header;
use ferrosync_wire::exec::pload::Message;
use ferrosync_wire::ipc::{CsError, ResponseHeader};
use ferrosync_wire::{ConnId, Decode, Duration, Encode, Instant, NodeId, Reader, ServiceId};

use crate::icmap::{Notification, TrackFlags, TrackerId};
use crate::log::{Priority, Subsystem};
use crate::output::ExitReason;
use crate::service::{Ctx, Library, Service, ServiceInfo, TakesPart};

/// The service.
#[derive(Debug, Default)]
pub struct Pload {
    tracker: Option<TrackerId>,
    load: Option<Load>,
    delivered: u32,
    first_at: Option<Instant>,
}

/// A load that was started. There is only one in a node's life.
#[derive(Clone, Copy, Debug)]
struct Load {
    wanted: u32,
    sent: u32,
    /// Bytes of a message.
    size: u32,
}

impl Pload {
    /// The service, idle.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Tells all members to start, when the key holds the words.
    fn start_all(&self, cx: &mut Ctx<'_>) {
        let count = cx.icmap().get_u32("pload.count").unwrap_or(COUNT);
        let mut size = cx.icmap().get_u32("pload.size").unwrap_or(SIZE);
        if size > SIZE_MAX {
            size = SIZE_MAX;
            let text = format!("pload size limited to {size}");
            cx.log(Subsystem::Pload, Priority::Warning, text);
        }
        if self.load.is_some() || cx.icmap().get_str("pload.start") != Ok(WORDS) {
            return;
        }
        cx.log(Subsystem::Pload, Priority::Warning, "Starting pload!");
        if cx.mcast(&Message::Start { count, size }).is_err() {
            let text = "The ring's queue is full already, set pload.start again";
            cx.log(Subsystem::Pload, Priority::Warning, text);
        }
    }

    fn start(&mut self, cx: &mut Ctx<'_>, wanted: u32, size: u32) {
        if self.load.is_some() {
            return;
        }
        if size > SIZE_MAX {
            let text = format!("pload of {size} bytes a message refused, {SIZE_MAX} is most");
            return cx.log(Subsystem::Pload, Priority::Warning, text);
        }
        let sent = 0;
        self.load = Some(Load { wanted, sent, size });
        cx.set_timer(TIMER_SEND, cx.now());
    }

    /// Sends until the ring's queue is full, which bounds the loop.
    fn send(&mut self, cx: &mut Ctx<'_>) {
        let Some(load) = &mut self.load else {
            return;
        };
        // The header counts itself twice, as in C.
        let size = Header::LEN + load.size as usize;
        let head = Header::new(ServiceId::PLOAD, MCAST, size).to_vec();
        let body = vec![0; (load.size as usize).saturating_sub(Header::LEN)];
        while load.sent < load.wanted {
            if cx.mcast_parts(&[&head, &body]).is_err() {
                return cx.set_timer(TIMER_SEND, cx.now() + SEND_AGAIN);
            }
            load.sent += 1;
        }
    }

    fn count(&mut self, cx: &mut Ctx<'_>) {
        let now = cx.now();
        let first_at = *self.first_at.get_or_insert(now);
        self.delivered = self.delivered.wrapping_add(1);
        let Some(load) = self.load.filter(|load| load.wanted == self.delivered) else {
            return;
        };
        let text = report(load, now.since(first_at));
        cx.log(Subsystem::Pload, Priority::Notice, text);
        let text = "Stopping corosync the hard way";
        cx.log(Subsystem::Pload, Priority::Warning, text);
        cx.exit_now(ExitReason::LoadDone);
    }
}

impl Service for Pload {
    fn info(&self) -> &'static ServiceInfo {
        &INFO
    }

    fn start(&mut self, cx: &mut Ctx<'_>) {
        let tracker = cx.icmap().track_add(Some("pload."), TrackFlags::ALL);
        self.tracker = tracker.ok();
    }

    fn notified(&mut self, cx: &mut Ctx<'_>, change: &Notification) {
        if self.tracker == Some(change.tracker) {
            self.start_all(cx);
        }
    }

    fn lib_request(&mut self, cx: &mut Ctx<'_>, conn: ConnId, _message: &[u8]) {
        cx.respond_bytes(conn, &ResponseHeader::refusal(CsError::NotSupported));
    }

    fn exec_deliver(&mut self, cx: &mut Ctx<'_>, _from: NodeId, message: &Bytes) {
        match Message::decode(&mut Reader::new(message)) {
            Ok(Message::Start { count, size }) => self.start(cx, count, size),
            Ok(Message::Mcast(_)) => self.count(cx),
            Err(_) => {}
        }
    }

    fn timeout(&mut self, cx: &mut Ctx<'_>, _timer: u32) {
        self.send(cx);
    }
}

fn report(load: Load, took: Duration) -> String {
    let seconds = took.as_secs_f64();
    let rate = f64::from(load.wanted) / seconds;
    let megabytes = rate * f64::from(load.size) / f64::from(1 << 20);
    format!(
        "{:5} Writes {} bytes per write {seconds:7.3} seconds runtime, {rate:9.3} TP/S, {megabytes:9.3} MB/S.",
        load.wanted, load.size
    )
}

static INFO: ServiceInfo = ServiceInfo {
    id: ServiceId::PLOAD,
    name: "pload",
    title: "corosync profile loading service",
    priority: 1,
    library: Library::No,
    sync: TakesPart::No,
    requests: &[],
    exec_functions: 2,
};

/// `pload.start` must be exactly this.
const WORDS: &str = "i_totally_understand_pload_will_crash_my_cluster_and_kill_corosync_on_exit";
/// `pload.count` unless it is set.
const COUNT: u32 = 1_500_000;
/// `pload.size` unless it is set, in bytes.
const SIZE: u32 = 300;
/// C's longest message (`totem.h: MESSAGE_SIZE_MAX`, v3.1.7).
const SIZE_MAX: u32 = 1 << 20;
/// How soon to try again when the ring's queue was full.
const SEND_AGAIN: Duration = Duration::from_millis(1);
/// The number of [`Message::Mcast`].
const MCAST: u16 = 1;
const TIMER_SEND: u32 = 0;

#[cfg(test)]
mod tests;

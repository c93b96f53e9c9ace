//! Watches memory and load of the machine (corosync `exec/mon.c`, v3.1.7).
//!
//! A figure is looked at while its key `max` holds a number. What it is and whether it is too high stands in
//! `resources.system.`; what follows from that is the watchdog service's to decide. Numbers count whatever their type,
//! and keys that come and go as well as keys that change (`docs/deviations.md`, D-98).

use ferrosync_wire::ipc::{CsError, ResponseHeader};
use ferrosync_wire::{ConnId, Duration, Key, ServiceId, Value};

use super::resource_state::{Cause, State};
use crate::icmap::{Notification, TrackEvent, TrackFlags, TrackerId};
use crate::log::{Priority, Subsystem};
use crate::output::{Figure, HostRequest, Measured};
use crate::service::{Ctx, Library, Service, ServiceInfo, TakesPart};

/// The service.
#[derive(Debug)]
pub struct Mon {
    resources: [Resource; 2],
}

/// One figure.
#[derive(Debug)]
struct Resource {
    figure: Figure,
    state: State,
    period: Duration,
    /// More than this is too much.
    max: f64,
    tracker: Option<TrackerId>,
    health: Health,
}

/// Whether the host could look last time; it is said once when it cannot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    Known,
    Unknown,
}

impl Mon {
    /// The service, looking at nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            resources: [
                Resource::new(Figure::MemoryUsed),
                Resource::new(Figure::Load15),
            ],
        }
    }

    fn resource(&mut self, figure: Figure) -> &mut Resource {
        let [memory_used, load_15min] = &mut self.resources;
        match figure {
            Figure::MemoryUsed => memory_used,
            Figure::Load15 => load_15min,
        }
    }
}

impl Default for Mon {
    fn default() -> Self {
        Self::new()
    }
}

impl Resource {
    const fn new(figure: Figure) -> Self {
        Self {
            figure,
            state: State::Stopped,
            period: PERIOD,
            max: f64::INFINITY,
            tracker: None,
            health: Health::Known,
        }
    }

    const fn name(&self) -> &'static str {
        match self.figure {
            Figure::MemoryUsed => "memory_used",
            Figure::Load15 => "load_15min",
        }
    }

    const fn timer(&self) -> u32 {
        match self.figure {
            Figure::MemoryUsed => 0,
            Figure::Load15 => 1,
        }
    }

    fn start(&mut self, cx: &mut Ctx<'_>) {
        let nothing = match self.figure {
            Figure::MemoryUsed => Value::I32(0),
            Figure::Load15 => Value::F64(0.0),
        };
        self.publish(cx, "current", nothing);
        self.publish(cx, "last_updated", Value::U64(0));
        self.publish(cx, "state", Value::str(self.state.word()));
        if cx.icmap().get_ref(&self.path("poll_period")).is_none() {
            let period = u64::try_from(self.period.as_millis()).unwrap_or(u64::MAX);
            self.publish(cx, "poll_period", Value::U64(period));
        }
        self.config_changed(cx);
        let prefix = self.path("");
        self.tracker = cx.icmap().track_add(Some(&prefix), TrackFlags::ALL).ok();
    }

    fn notified(&mut self, cx: &mut Ctx<'_>, change: &Notification) {
        let prefix = self.path("");
        let key = change.change.key.as_str();
        let last = key.strip_prefix(&*prefix).unwrap_or("");
        if !matches!(last, "max" | "poll_period") {
            return;
        }
        if change.change.event == TrackEvent::Delete {
            let text = format!("resource \"{}\" deleted from cmap!", self.name());
            cx.log(Subsystem::Mon, Priority::Warning, text);
        }
        self.config_changed(cx);
    }

    /// Takes period and limit from the map, and looks at once: the period may have become shorter.
    fn config_changed(&mut self, cx: &mut Ctx<'_>) {
        self.read_period(cx);
        cx.cancel_timer(self.timer());
        let limit = cx.icmap().get_ref(&self.path("max")).and_then(number);
        if let Some(max) = limit {
            self.max = max;
            self.enter(cx, State::Running, Cause::ConfigChanged);
            cx.ask(HostRequest::Measure(self.figure));
        } else {
            self.max = f64::INFINITY;
            self.enter(cx, State::Stopped, Cause::ConfigChanged);
        }
    }

    fn read_period(&mut self, cx: &mut Ctx<'_>) {
        let path = self.path("poll_period");
        let Some(value) = cx.icmap().get(&path) else {
            self.period = PERIOD;
            return;
        };
        let ms = number(&value).unwrap_or(f64::NAN);
        if (PERIOD_MIN_MS..=PERIOD_MAX_MS).contains(&ms) {
            let period = Duration::from_secs_f64(ms / 1_000.0);
            if period != self.period {
                let text = format!(
                    "poll_period changing from:{} to {ms}.",
                    self.period.as_millis()
                );
                cx.log(Subsystem::Mon, Priority::Debug, text);
            }
            self.period = period;
        } else {
            let text = format!(
                "Could NOT use poll_period:{ms} ms for resource {}",
                self.name()
            );
            cx.log(Subsystem::Mon, Priority::Warning, text);
        }
    }

    /// The host has looked; it looks again after the period.
    fn measured(&mut self, cx: &mut Ctx<'_>, result: Result<(f64, Value), String>) {
        if self.state == State::Stopped {
            return;
        }
        let again = cx.now() + self.period;
        cx.set_timer(self.timer(), again);
        match result {
            // As in C, nothing is news of nothing.
            Ok((figure, _)) if figure <= 0.0 => {}
            Ok((figure, value)) => {
                self.health = Health::Known;
                self.publish(cx, "current", value);
                let now = Value::U64(cx.now().as_nanos());
                self.publish(cx, "last_updated", now);
                if figure > self.max {
                    self.enter(cx, State::Failed, Cause::Failure);
                }
            }
            Err(text) if self.health == Health::Known => {
                self.health = Health::Unknown;
                cx.log(Subsystem::Mon, Priority::Error, text);
            }
            Err(_) => {}
        }
    }

    fn enter(&mut self, cx: &mut Ctx<'_>, next: State, cause: Cause) {
        if self.state != next {
            let text = self.state.change(self.name(), cause, next);
            cx.log(Subsystem::Mon, Priority::Info, text);
            self.state = next;
            self.publish(cx, "state", Value::str(next.word()));
        }
    }

    fn path(&self, key: &str) -> String {
        format!("resources.system.{}.{key}", self.name())
    }

    fn publish(&self, cx: &mut Ctx<'_>, key: &str, value: Value) {
        let key = Key::new(&self.path(key)).expect("made of valid characters");
        // Where clients have filled the map the figure is not told.
        let _full = cx.icmap().set(key, value);
    }
}

impl Service for Mon {
    fn info(&self) -> &'static ServiceInfo {
        &INFO
    }

    fn start(&mut self, cx: &mut Ctx<'_>) {
        for resource in &mut self.resources {
            resource.start(cx);
        }
    }

    fn notified(&mut self, cx: &mut Ctx<'_>, change: &Notification) {
        let tracker = Some(change.tracker);
        if let Some(resource) = self.resources.iter_mut().find(|r| r.tracker == tracker) {
            resource.notified(cx, change);
        }
    }

    fn timeout(&mut self, cx: &mut Ctx<'_>, timer: u32) {
        if let Some(resource) = self.resources.iter().find(|r| r.timer() == timer) {
            cx.ask(HostRequest::Measure(resource.figure));
        }
    }

    fn measured(&mut self, cx: &mut Ctx<'_>, measured: Measured) {
        match measured {
            Measured::MemoryUsed(result) => {
                let result = result.map(|p| (f64::from(p), Value::U32(p.into())));
                let failed = |e| format!("Unable to get memory stats: {e}");
                self.resource(Figure::MemoryUsed)
                    .measured(cx, result.map_err(failed));
            }
            Measured::Load15(result) => {
                let result = result.map(|load| (load, Value::F64(load)));
                let failed = |e| format!("Unable to get load stats: {e}");
                self.resource(Figure::Load15)
                    .measured(cx, result.map_err(failed));
            }
        }
    }

    fn lib_request(&mut self, cx: &mut Ctx<'_>, conn: ConnId, _message: &[u8]) {
        cx.respond_bytes(conn, &ResponseHeader::refusal(CsError::NotSupported));
    }
}

/// A number of any type, or the one that a text begins with, as `scanf` reads it.
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::I8(n) => Some(f64::from(*n)),
        Value::U8(n) => Some(f64::from(*n)),
        Value::I16(n) => Some(f64::from(*n)),
        Value::U16(n) => Some(f64::from(*n)),
        Value::I32(n) => Some(f64::from(*n)),
        Value::U32(n) => Some(f64::from(*n)),
        Value::I64(_) | Value::U64(_) => leading_number(&decimal(value)?),
        Value::F32(n) => Some(f64::from(*n)),
        Value::F64(n) => Some(*n),
        Value::Str(_) => leading_number(value.as_str()?),
        Value::Bin(_) => None,
    }
}

fn decimal(value: &Value) -> Option<String> {
    if let Value::I64(n) = value {
        Some(n.to_string())
    } else if let Value::U64(n) = value {
        Some(n.to_string())
    } else {
        None
    }
}

fn leading_number(text: &str) -> Option<f64> {
    let text = text.trim_start();
    let is_part = |c: char| c.is_ascii_digit() || matches!(c, '.' | '-' | '+');
    let end = text.find(|c| !is_part(c)).unwrap_or(text.len());
    text[..end].parse().ok()
}

static INFO: ServiceInfo = ServiceInfo {
    id: ServiceId::MON,
    name: "mon",
    title: "corosync resource monitoring service",
    priority: 1,
    library: Library::No,
    sync: TakesPart::No,
    requests: &[],
    exec_functions: 0,
};

/// How often a figure is looked at unless `poll_period` says otherwise.
const PERIOD: Duration = Duration::from_secs(3);
const PERIOD_MIN_MS: f64 = 500.0;
const PERIOD_MAX_MS: f64 = 120_000.0;

#[cfg(test)]
mod tests;

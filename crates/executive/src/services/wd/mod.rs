//! Tickles the machine's watchdog while all watched resources are well (corosync `exec/wd.c`, v3.1.7).
//!
//! A resource is whatever has a key `resources.process.NAME.state` or `resources.system.NAME.state`. Who watches it
//! writes its state and when it looked last into the map; when that says `failed`, or nobody looked for one and a half
//! periods, its key `recovery` says what happens: the watchdog is no longer tickled, or the machine goes down at once.
//! Where C's machine or daemon would come to grief over odd keys, `docs/deviations.md` D-98 says what happens here.

mod dog;
mod resource;

use std::collections::BTreeMap;

use ferrosync_wire::ipc::{CsError, ResponseHeader};
use ferrosync_wire::{ConnId, ServiceId};

use crate::icmap::{Notification, TrackEvent, TrackFlags, TrackerId};
use crate::log::{Priority, Subsystem};
use crate::output::WatchdogAnswer;
use crate::service::{Ctx, Library, Service, ServiceInfo, TakesPart};
use dog::Dog;
use resource::{Resource, ResourceName, Verdict};

/// The service.
#[derive(Debug, Default)]
pub struct Wd {
    dog: Dog,
    resources: BTreeMap<ResourceName, Resource>,
    /// Each resource's timer, so that a timer finds its resource.
    timers: BTreeMap<u32, ResourceName>,
    last_timer: u32,
    tracker: Option<TrackerId>,
    timeout_tracker: Option<TrackerId>,
}

impl Wd {
    /// The service, watching nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes up every resource that has a state already.
    fn scan(&mut self, cx: &mut Ctx<'_>) {
        let keys = cx.core().icmap.iter(RESOURCES);
        let found: Vec<ResourceName> = keys
            .filter_map(|(key, _)| ResourceName::parse(key.as_str()))
            .filter_map(|(name, key)| (key == "state").then_some(name))
            .collect();
        let mut running = 0;
        for name in found {
            if self.create(cx, name) == Some(Verdict::Well) {
                running += 1;
            }
        }
        if running == 0 {
            cx.log(Subsystem::Wd, Priority::Info, "no resources configured.");
        }
    }

    /// `None` when there are too many.
    fn create(&mut self, cx: &mut Ctx<'_>, name: ResourceName) -> Option<Verdict> {
        if self.resources.len() >= RESOURCES_MAX {
            let text = format!("resource {name} is one too many, {RESOURCES_MAX} are watched");
            cx.log(Subsystem::Wd, Priority::Warning, text);
            return None;
        }
        self.last_timer = self.last_timer.wrapping_add(1).max(FIRST_TIMER);
        let timer = self.last_timer;
        let mut resource = Resource::new(name.clone(), timer);
        let verdict = resource.start(cx);
        self.timers.insert(timer, name.clone());
        self.resources.insert(name, resource);
        Some(verdict)
    }

    fn resource_changed(&mut self, cx: &mut Ctx<'_>, change: &Notification) {
        let change = &change.change;
        let Some((name, key)) = ResourceName::parse(change.key.as_str()) else {
            return;
        };
        match (self.resources.get_mut(&name), change.event) {
            (Some(resource), TrackEvent::Add | TrackEvent::Modify) => {
                if !matches!(key, "last_updated" | "current") {
                    resource.config_changed(cx);
                }
            }
            (Some(_), TrackEvent::Delete) if key == "state" => {
                let text = format!("resource \"{name}\" deleted from cmap!");
                cx.log(Subsystem::Wd, Priority::Warning, text);
                if let Some(resource) = self.resources.remove(&name) {
                    cx.cancel_timer(resource.timer());
                    self.timers.remove(&resource.timer());
                }
            }
            (None, TrackEvent::Add) if key == "state" => {
                let _too_many = self.create(cx, name);
            }
            (Some(_), TrackEvent::Delete) | (None, _) => {}
        }
    }
}

impl Service for Wd {
    fn info(&self) -> &'static ServiceInfo {
        &INFO
    }

    fn start(&mut self, cx: &mut Ctx<'_>) {
        self.dog.start(cx);
        self.scan(cx);
        self.tracker = cx.icmap().track_add(Some(RESOURCES), TrackFlags::ALL).ok();
        self.timeout_tracker = cx
            .icmap()
            .track_add(Some(dog::TIMEOUT_KEY), TrackFlags::MODIFY)
            .ok();
    }

    fn stop(&mut self, cx: &mut Ctx<'_>) {
        self.dog.close(cx);
    }

    fn notified(&mut self, cx: &mut Ctx<'_>, change: &Notification) {
        let tracker = Some(change.tracker);
        if tracker == self.timeout_tracker {
            self.dog.timeout_changed(cx);
        } else if tracker == self.tracker {
            self.resource_changed(cx, change);
        }
    }

    fn timeout(&mut self, cx: &mut Ctx<'_>, timer: u32) {
        if timer == dog::TIMER {
            return self.dog.tickle(cx);
        }
        let name = self.timers.get(&timer);
        let resource = name.and_then(|name| self.resources.get_mut(name));
        if resource.is_some_and(|resource| resource.check(cx) == Verdict::StarveTheDog) {
            self.dog.starve();
        }
    }

    fn watchdog_answered(&mut self, cx: &mut Ctx<'_>, answer: WatchdogAnswer) {
        self.dog.answered(cx, answer);
    }

    fn lib_request(&mut self, cx: &mut Ctx<'_>, conn: ConnId, _message: &[u8]) {
        cx.respond_bytes(conn, &ResponseHeader::refusal(CsError::NotSupported));
    }
}

static INFO: ServiceInfo = ServiceInfo {
    id: ServiceId::WD,
    name: "wd",
    title: "corosync watchdog service",
    priority: 1,
    library: Library::No,
    sync: TakesPart::No,
    requests: &[],
    exec_functions: 0,
};

const RESOURCES: &str = "resources.";
/// Resources that are watched at most; C has no limit.
const RESOURCES_MAX: usize = 4_096;
/// The number of the first resource's timer.
const FIRST_TIMER: u32 = dog::TIMER + 1;

#[cfg(test)]
mod tests;

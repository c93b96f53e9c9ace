//! A resource that somebody watches, and what happens when it fails.

use core::fmt;

use ferrosync_wire::{Duration, Key, Value};

use super::super::resource_state::{Cause, State};
use crate::log::{Priority, Subsystem};
use crate::output::{HostRequest, MachineEnd};
use crate::service::Ctx;

/// Whose keys they are: `process` or `system`, and a name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ResourceName {
    kind: Box<str>,
    name: Box<str>,
}

impl ResourceName {
    /// Takes a key of the map apart: the resource, and what of it the key tells.
    pub(super) fn parse(key: &str) -> Option<(Self, &str)> {
        let mut parts = key.strip_prefix("resources.")?.split('.');
        let (kind, name, last) = (parts.next()?, parts.next()?, parts.next()?);
        let whole = parts.next().is_none() && matches!(kind, "process" | "system");
        let resource = Self {
            kind: kind.into(),
            name: name.into(),
        };
        whole.then_some((resource, last))
    }

    fn key(&self, last: &str) -> String {
        format!("resources.{}.{}.{last}", self.kind, self.name)
    }
}

impl fmt::Display for ResourceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// One resource.
#[derive(Debug)]
pub(super) struct Resource {
    name: ResourceName,
    state: State,
    /// How often somebody else looks.
    period_ms: u64,
    recovery: String,
    timer: u32,
}

/// What a look at a resource shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is well.
    Well,
    /// Nobody watches it, or it failed and somebody else sees to that.
    Unwatched,
    /// It failed, and the watchdog is to reset the machine.
    StarveTheDog,
}

impl Resource {
    pub(super) const fn new(name: ResourceName, timer: u32) -> Self {
        Self {
            name,
            state: State::Stopped,
            period_ms: PERIOD_MS,
            recovery: String::new(),
            timer,
        }
    }

    pub(super) const fn timer(&self) -> u32 {
        self.timer
    }

    /// Begins to watch, if the keys are complete.
    pub(super) fn start(&mut self, cx: &mut Ctx<'_>) -> Verdict {
        let path = self.name.key("poll_period");
        if cx.icmap().get_u64(&path).is_err() {
            // Where the name leaves no room for the key, or clients have filled their part of the map, the period is
            // not told. Clients can have as many resources come and go as they like, so the key counts as theirs.
            if let Ok(key) = Key::new(&path) {
                let _full = cx.icmap().set_for_client(key, Value::U64(self.period_ms));
            }
        }
        self.read_period(cx);
        if !self.is_complete(cx) {
            return Verdict::Unwatched;
        }
        // Who watches it may not have begun.
        let grace = (self.period_ms * 2).max(PERIOD_MS);
        self.watch(cx, grace);
        Verdict::Well
    }

    /// Its keys changed.
    pub(super) fn config_changed(&mut self, cx: &mut Ctx<'_>) {
        let before = self.period_ms;
        self.read_period(cx);
        if !self.is_complete(cx) || self.word(cx, "state").as_deref() == Some(STOPPED) {
            cx.cancel_timer(self.timer);
            return self.enter(cx, State::Stopped, Cause::ConfigChanged);
        }
        // A period that becomes shorter has one longer look first.
        self.watch(cx, before.max(self.period_ms));
    }

    /// Looks whether somebody says that it is well.
    pub(super) fn check(&mut self, cx: &mut Ctx<'_>) -> Verdict {
        if self.state != State::Running {
            return Verdict::Unwatched;
        }
        if self.is_well(cx) {
            let next = cx.now() + Duration::from_millis(self.period_ms);
            cx.set_timer(self.timer, next);
            return Verdict::Well;
        }
        let text = format!("{} resource \"{}\" failed!", self.recovery, self.name);
        cx.log(Subsystem::Wd, Priority::Critical, text);
        self.enter(cx, State::Failed, Cause::Failure);
        match &*self.recovery {
            "watchdog" | "quit" => Verdict::StarveTheDog,
            "reboot" => {
                cx.ask(HostRequest::Machine(MachineEnd::Reboot));
                Verdict::Unwatched
            }
            "shutdown" => {
                cx.ask(HostRequest::Machine(MachineEnd::PowerOff));
                Verdict::Unwatched
            }
            _ => Verdict::Unwatched,
        }
    }

    fn is_well(&self, cx: &mut Ctx<'_>) -> bool {
        let Ok(last_updated) = cx.icmap().get_u64(&self.name.key("last_updated")) else {
            return false;
        };
        let Some(state) = self.word(cx, "state") else {
            return false;
        };
        if state == DISABLED {
            return false;
        }
        // Nobody has looked yet.
        if last_updated == 0 {
            return true;
        }
        let now_ms = cx.now().as_nanos() / NANOS_IN_MS;
        let due_ms = last_updated / NANOS_IN_MS + self.period_ms * 3 / 2;
        if due_ms < now_ms {
            let text = format!(
                "last_updated {} ms too late, period:{}.",
                now_ms - due_ms,
                self.period_ms
            );
            cx.log(Subsystem::Wd, Priority::Error, text);
            return false;
        }
        state != State::Failed.word()
    }

    fn watch(&mut self, cx: &mut Ctx<'_>, first_ms: u64) {
        let first = cx.now() + Duration::from_millis(first_ms);
        cx.set_timer(self.timer, first);
        self.enter(cx, State::Running, Cause::ConfigChanged);
    }

    fn read_period(&mut self, cx: &mut Ctx<'_>) {
        let Ok(period_ms) = cx.icmap().get_u64(&self.name.key("poll_period")) else {
            return;
        };
        if PERIODS_MS.contains(&period_ms) {
            if period_ms != self.period_ms {
                let text = format!(
                    "poll_period changing from:{} to {period_ms}.",
                    self.period_ms
                );
                cx.log(Subsystem::Wd, Priority::Debug, text);
            }
            self.period_ms = period_ms;
        } else {
            let text = format!(
                "Could NOT use poll_period:{period_ms} ms for resource {}",
                self.name
            );
            cx.log(Subsystem::Wd, Priority::Warning, text);
        }
    }

    /// Takes the recovery from the map, and says what is missing.
    fn is_complete(&mut self, cx: &mut Ctx<'_>) -> bool {
        let recovery = self.word(cx, "recovery");
        let missing = match (&recovery, self.word(cx, "state")) {
            (None, _) => "recovery",
            (Some(_), None) => "state",
            (Some(_), Some(_)) => {
                self.recovery = recovery.unwrap_or_default();
                return true;
            }
        };
        let text = format!("resource {} missing a {missing} key.", self.name);
        cx.log(Subsystem::Wd, Priority::Warning, text);
        false
    }

    fn word(&self, cx: &mut Ctx<'_>, last: &str) -> Option<String> {
        let word = cx.icmap().get_str(&self.name.key(last));
        word.ok().map(str::to_owned)
    }

    fn enter(&mut self, cx: &mut Ctx<'_>, next: State, cause: Cause) {
        if self.state != next {
            let text = self.state.change(&self.name.name, cause, next);
            cx.log(Subsystem::Wd, Priority::Info, text);
            self.state = next;
        }
    }
}

/// What a watcher says that does not look any more.
const STOPPED: &str = "stopped";
const DISABLED: &str = "disabled";
/// How often somebody is expected to look unless `poll_period` says otherwise.
const PERIOD_MS: u64 = 6_000;
const PERIODS_MS: core::ops::RangeInclusive<u64> = 500..=120_000;
const NANOS_IN_MS: u64 = 1_000_000;

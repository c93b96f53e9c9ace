//! The watchdog device: it resets the machine unless it is tickled.

use ferrosync_wire::{Duration, Key, Value};

use crate::log::{Priority, Subsystem};
use crate::output::{HostRequest, WatchdogAnswer, WatchdogRequest};
use crate::service::Ctx;

/// The device, or the want of one.
#[derive(Debug)]
pub(super) struct Dog {
    state: DogState,
    /// Seconds that it waits for a tickle.
    timeout_s: u32,
    /// What was asked for, until the device has answered.
    wanted_s: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum DogState {
    /// There is none, or it is not open yet.
    Absent,
    /// It is to be opened.
    Opening { device: String },
    /// It is tickled.
    Fed,
    /// A resource failed: it is left to bite.
    Starved,
}

impl Default for Dog {
    fn default() -> Self {
        Self {
            state: DogState::Absent,
            timeout_s: TIMEOUT_S,
            wanted_s: TIMEOUT_S,
        }
    }
}

impl Dog {
    pub(super) fn start(&mut self, cx: &mut Ctx<'_>) {
        let timeout_s = match cx.icmap().get_u32(TIMEOUT_KEY) {
            Ok(seconds) if SECONDS.contains(&seconds) => seconds,
            Ok(_) => {
                cx.log(Subsystem::Wd, Priority::Warning, OUT_OF_RANGE);
                let text = format!("use default value {TIMEOUT_S} seconds.");
                cx.log(Subsystem::Wd, Priority::Info, text);
                TIMEOUT_S
            }
            Err(_) => TIMEOUT_S,
        };
        publish_timeout(cx, timeout_s);
        self.wanted_s = timeout_s;
        self.live_with(cx, timeout_s);
        self.open(cx);
    }

    fn open(&mut self, cx: &mut Ctx<'_>) {
        let refused = match cx.icmap().get_str("resources.watchdog_device") {
            Ok("" | "off") => "Watchdog disabled by configuration",
            Err(_) => "Watchdog not enabled by configuration",
            Ok(device) => {
                let device = device.to_owned();
                self.state = DogState::Opening {
                    device: device.clone(),
                };
                return ask(cx, WatchdogRequest::Open { device });
            }
        };
        cx.log(Subsystem::Wd, Priority::Warning, refused);
    }

    /// The map says another timeout.
    pub(super) fn timeout_changed(&mut self, cx: &mut Ctx<'_>) {
        let seconds = cx.icmap().get_u32(TIMEOUT_KEY);
        let Some(seconds) = seconds.ok().filter(|s| SECONDS.contains(s)) else {
            cx.log(Subsystem::Wd, Priority::Warning, OUT_OF_RANGE);
            return publish_timeout(cx, self.timeout_s);
        };
        if seconds == self.timeout_s {
            return;
        }
        self.wanted_s = seconds;
        match self.state {
            DogState::Fed | DogState::Starved => ask(cx, WatchdogRequest::SetTimeout(seconds)),
            DogState::Absent | DogState::Opening { .. } => self.live_with(cx, seconds),
        }
    }

    pub(super) fn answered(&mut self, cx: &mut Ctx<'_>, answer: WatchdogAnswer) {
        match answer {
            WatchdogAnswer::Opened { timeout_s } => self.opened(cx, timeout_s),
            WatchdogAnswer::Missing => {
                let device = self.forget();
                let text = format!("No watchdog {device}, try modprobe <a watchdog>");
                cx.log(Subsystem::Wd, Priority::Warning, text);
            }
            WatchdogAnswer::Refused(why) => {
                let device = self.forget();
                let text = format!("Watchdog {device} exists but couldn't be opened. {why}");
                cx.log(Subsystem::Wd, Priority::Warning, text);
            }
            WatchdogAnswer::TimeoutSet { timeout_s } => self.timeout_set(cx, timeout_s),
        }
    }

    fn opened(&mut self, cx: &mut Ctx<'_>, timeout_s: Option<u32>) {
        let device = self.forget();
        self.state = DogState::Fed;
        let text = format!("Watchdog {device} is now being tickled by corosync.");
        cx.log(Subsystem::Wd, Priority::Info, text);
        if timeout_s == Some(self.wanted_s) {
            self.tickle(cx);
        } else {
            ask(cx, WatchdogRequest::SetTimeout(self.wanted_s));
        }
    }

    /// A device that keeps another timeout than it was told is tickled as that one asks for (D-98).
    fn timeout_set(&mut self, cx: &mut Ctx<'_>, has_s: Option<u32>) {
        let has_s = has_s.unwrap_or(self.wanted_s).max(1);
        if has_s != self.wanted_s {
            let text = format!(
                "Could not change the Watchdog timeout from {has_s} to {} seconds",
                self.wanted_s
            );
            cx.log(Subsystem::Wd, Priority::Warning, text);
        }
        self.live_with(cx, has_s);
    }

    /// Tickles twice within the timeout from now on.
    fn live_with(&mut self, cx: &mut Ctx<'_>, timeout_s: u32) {
        self.timeout_s = timeout_s;
        let text = format!("The Watchdog timeout is {timeout_s} seconds");
        cx.log(Subsystem::Wd, Priority::Debug, text);
        let text = format!(
            "The tickle timeout is {} ms",
            self.tickle_after().as_millis()
        );
        cx.log(Subsystem::Wd, Priority::Debug, text);
        match self.state {
            DogState::Fed => self.tickle(cx),
            DogState::Absent | DogState::Opening { .. } | DogState::Starved => {}
        }
    }

    /// It is time for a tickle.
    pub(super) fn tickle(&mut self, cx: &mut Ctx<'_>) {
        match self.state {
            DogState::Fed => {
                ask(cx, WatchdogRequest::Tickle);
                let next = cx.now() + self.tickle_after();
                cx.set_timer(TIMER, next);
            }
            DogState::Starved => {
                let text = "NOT tickling the watchdog!";
                cx.log(Subsystem::Wd, Priority::Alert, text);
            }
            DogState::Absent | DogState::Opening { .. } => {}
        }
    }

    /// Lets it bite.
    pub(super) fn starve(&mut self) {
        match self.state {
            DogState::Fed => self.state = DogState::Starved,
            DogState::Absent | DogState::Opening { .. } | DogState::Starved => {}
        }
    }

    /// The node leaves in order: the machine goes on without it.
    pub(super) fn close(&mut self, cx: &mut Ctx<'_>) {
        match self.state {
            DogState::Fed | DogState::Starved => {
                let text = "magically closing the watchdog.";
                cx.log(Subsystem::Wd, Priority::Info, text);
                ask(cx, WatchdogRequest::Close);
                cx.cancel_timer(TIMER);
                self.state = DogState::Absent;
            }
            DogState::Absent | DogState::Opening { .. } => {}
        }
    }

    /// The name of the device that was to be opened.
    fn forget(&mut self) -> String {
        match std::mem::replace(&mut self.state, DogState::Absent) {
            DogState::Opening { device } => device,
            DogState::Absent | DogState::Fed | DogState::Starved => String::new(),
        }
    }

    fn tickle_after(&self) -> Duration {
        Duration::from_secs(self.timeout_s.into()) / 2
    }
}

fn ask(cx: &mut Ctx<'_>, request: WatchdogRequest) {
    cx.ask(HostRequest::Watchdog(request));
}

fn publish_timeout(cx: &mut Ctx<'_>, timeout_s: u32) {
    let key = Key::new(TIMEOUT_KEY).expect("made of valid characters");
    // Where clients have filled the map the timeout is not told.
    let _full = cx.icmap().set(key, Value::U32(timeout_s));
}

/// Seconds that the watchdog waits for a tickle.
pub(super) const TIMEOUT_KEY: &str = "resources.watchdog_timeout";
const TIMEOUT_S: u32 = 6;
const SECONDS: core::ops::RangeInclusive<u32> = 2..=120;
const OUT_OF_RANGE: &str = "Set watchdog_timeout is out of range (2..120).";
/// When it is time for a tickle.
pub(super) const TIMER: u32 = 0;

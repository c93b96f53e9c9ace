//! Keys of the map that steer the node itself: parameters of the ring, and triggers.

use ferrosync_wire::{Key, Value};

use crate::config::{KeyMap, LoggingConfig, Volatile};
use crate::core::Core;
use crate::icmap::{Notification, TrackFlags, TrackerId};
use crate::log::{Priority, Subsystem};
use crate::node::Node;
use crate::output::{HostRequest, NodeOutput};

/// What the node tracks for itself.
#[derive(Debug)]
pub(crate) struct ControlKeys {
    totem: Option<TrackerId>,
    force_gather: Option<TrackerId>,
    logging: Option<TrackerId>,
    dump_flight_data: Option<TrackerId>,
    dump_state: Option<TrackerId>,
}

impl Node {
    /// Publishes the triggers and starts to listen. Clients may change what is not forbidden from here on.
    pub(crate) fn track_control_keys(&mut self) {
        for trigger in [FORCE_GATHER, DUMP_FLIGHT_DATA, DUMP_STATE] {
            let trigger = Key::new(trigger).expect("made of valid characters");
            self.core.set_own_key(trigger, Value::str(IDLE));
        }
        let icmap = &mut self.core.icmap;
        icmap.protect();
        self.control = ControlKeys {
            totem: icmap.track_add(Some(TOTEM), TrackFlags::ALL).ok(),
            force_gather: icmap.track_add(Some(FORCE_GATHER), TrackFlags::KEY).ok(),
            logging: icmap.track_add(Some(LOGGING), TrackFlags::ALL).ok(),
            dump_flight_data: icmap
                .track_add(Some(DUMP_FLIGHT_DATA), TrackFlags::KEY)
                .ok(),
            dump_state: icmap.track_add(Some(DUMP_STATE), TrackFlags::KEY).ok(),
        };
    }

    /// A key changed that the node itself listens to.
    pub(crate) fn control_changed(&mut self, notification: &Notification) {
        let tracker = Some(notification.tracker);
        if tracker == self.control.totem {
            self.reread_parameters();
        } else if tracker == self.control.force_gather {
            self.pull_trigger(notification);
        } else if tracker == self.control.logging {
            self.reread_logging();
        } else if tracker == self.control.dump_flight_data {
            // Whatever is written, and again only when something else is (corosync `main.c:fplay_key_change_notify_fn`,
            // v3.1.7).
            let request = HostRequest::DumpFlightData;
            self.core.push_first(NodeOutput::Ask(request));
        } else if tracker == self.control.dump_state {
            self.dump_state();
        }
    }

    /// Log lines go where the map says (corosync `logconfig.c:main_logging_notify`, v3.1.7). Of many keys that change at
    /// once only the first one leads here to a difference.
    fn reread_logging(&mut self) {
        match LoggingConfig::from_map(&self.core.live_keys(LOGGING)) {
            Ok(logging) if logging == self.core.running.config.logging => {}
            Ok(logging) => {
                self.core.running.config.logging = logging.clone();
                let request = HostRequest::SetLogging(Box::new(logging));
                self.core.push_first(NodeOutput::Ask(request));
            }
            Err(e) => self.log(Subsystem::Main, Priority::Error, e.to_string()),
        }
    }

    /// Parameters take effect when their timers are armed next; wrong ones are named and the old ones stay
    /// (corosync `totemconfig.c:totem_change_notify`, v3.1.7).
    fn reread_parameters(&mut self) {
        let keys = self.core.live_keys(TOTEM);
        let volatile = Volatile::read(&keys, self.core.running.config.scaling_nodes);
        let mtu = self.core.pg.srp().config().payload_mtu;
        let checked = volatile.validate(&keys).map_err(|e| e.to_string());
        let parameters = checked.and_then(|()| volatile.srp(mtu).map_err(|e| e.to_string()));
        match parameters {
            Ok(parameters) if parameters == *self.core.pg.srp().config() => {}
            Ok(parameters) => {
                self.core.pg.srp_mut().reconfigure(parameters);
                for (key, value) in volatile.runtime_keys() {
                    self.core.set_own_key(key, value);
                }
            }
            Err(e) => {
                let text = format!("Configuration was changed to wrong values: {e}");
                self.log(Subsystem::Totem, Priority::Error, text);
            }
        }
    }

    /// Anything but "no" behaves as a lost token; the key goes back to "no" (corosync
    /// `main.c:force_gather_notify_fn`, v3.1.7).
    fn pull_trigger(&mut self, notification: &Notification) {
        let new = notification.change.new.as_ref();
        if new.and_then(Value::as_str) == Some(IDLE) {
            return;
        }
        let key = notification.change.key.clone();
        self.core.set_own_key(key, Value::str(IDLE));
        self.log(
            Subsystem::Main,
            Priority::Error,
            "Forcing into GATHER state".to_owned(),
        );
        let now = self.core.now;
        self.core.pg.srp_mut().force_gather(now);
    }
}

impl Core {
    /// A section of the configuration as it is in the map now.
    fn live_keys(&self, section: &str) -> KeyMap {
        let live = self.icmap.iter(section);
        let live = live.map(|(key, value)| (key.clone(), value.clone()));
        KeyMap::from_values("configuration map", live)
    }
}

impl ControlKeys {
    /// Nothing is tracked yet.
    pub(crate) const fn none() -> Self {
        Self {
            totem: None,
            force_gather: None,
            logging: None,
            dump_flight_data: None,
            dump_state: None,
        }
    }
}

const TOTEM: &str = "totem.";
const LOGGING: &str = "logging.";
const FORCE_GATHER: &str = "runtime.force_gather";
const DUMP_FLIGHT_DATA: &str = "runtime.blackbox.dump_flight_data";
const DUMP_STATE: &str = "runtime.blackbox.dump_state";
/// What a trigger holds while nobody pulls it.
const IDLE: &str = "no";

//! Signals on D-Bus's system bus.

use zbus::blocking::Connection;

use super::event::{Event, What};
use super::log::{Log, Severity};

/// The bus, while there is one.
pub(super) struct Bus(Option<Connection>);

impl Bus {
    /// Connects; without a bus the log says so, and every event tries again (`docs/deviations.md`, D-85).
    pub(super) fn open(log: &mut Log) -> Self {
        let mut bus = Self(None);
        bus.connect(log);
        bus
    }

    /// Sends the signal of an event.
    pub(super) fn tell(&mut self, event: &Event, log: &mut Log) {
        let Some(connection) = self.connect(log) else {
            return;
        };
        if let Err(error) = signal(connection, event) {
            log.line(Severity::Error, &format!("DBus connection lost: {error}"));
            self.0 = None;
        }
    }

    fn connect(&mut self, log: &mut Log) -> Option<&Connection> {
        if self.0.is_none() {
            match Connection::system() {
                Ok(connection) => self.0 = Some(connection),
                Err(error) => log.line(Severity::Error, &format!("dbus_bus_get: {error}")),
            }
        }
        self.0.as_ref()
    }
}

/// Names and arguments as C has them; a link's state travels under the name of quorum's, with other arguments.
fn signal(connection: &Connection, event: &Event) -> zbus::Result<()> {
    let (name, node) = (event.node_name.as_str(), event.node);
    let state = event.state();
    match &event.what {
        What::Node { address, .. } => {
            send(connection, "NodeStateChange", &(name, node, address, state))
        }
        What::Quorum { .. } => send(connection, "QuorumStateChange", &(name, node, state)),
        What::Application { name: program, .. } => send(
            connection,
            "ConnectionStateChange",
            &(name, node, program, state),
        ),
        What::Link { peer, number, .. } => send(
            connection,
            "QuorumStateChange",
            &(name, node, peer, number, state),
        ),
    }
}

fn send<B>(connection: &Connection, member: &str, body: &B) -> zbus::Result<()>
where
    B: zbus::export::serde::Serialize + zbus::zvariant::DynamicType,
{
    connection.emit_signal(None::<&str>, PATH, INTERFACE, member, body)
}

const PATH: &str = "/org/corosync";
const INTERFACE: &str = "org.corosync";

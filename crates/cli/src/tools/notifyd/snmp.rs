//! SNMP traps of version 2c (RFC 3416, RFC 1157 for the envelope, `COROSYNC-MIB`).

use std::io;
use std::net::{ToSocketAddrs as _, UdpSocket};
use std::time::{SystemTime, UNIX_EPOCH};

use der::asn1::{ObjectIdentifier, OctetStringRef};
use der::{Encode, EncodeValue, Header, Length, Tag, TagNumber, Writer};

use super::event::{Event, What};
use super::log::{Log, Severity};

/// Who gets traps.
pub(super) struct Manager {
    host: String,
    community: Vec<u8>,
    socket: Option<UdpSocket>,
    request: i32,
}

impl Manager {
    /// A manager by name or address, with a port if not the usual one: `HOST`, `HOST:PORT`, `udp:HOST`.
    pub(super) fn new(host: &str, community: &[u8]) -> Self {
        let host = host
            .strip_prefix("udp:")
            .or_else(|| host.strip_prefix("udp6:"))
            .unwrap_or(host);
        Self {
            host: host.to_owned(),
            community: community.to_vec(),
            socket: None,
            // Managers drop what they have seen before.
            request: i32::try_from(seconds() & 0x3fff_ffff).unwrap_or(1),
        }
    }

    /// Sends the trap of an event; programs have none.
    pub(super) fn tell(&mut self, event: &Event, log: &mut Log) {
        let Some((trap, objects)) = objects(event) else {
            return;
        };
        let sent = self.send(&trap, &objects);
        if let Err(error) = sent {
            let line = format!("Could not send SNMP trap: {error}");
            log.line(Severity::Error, &line);
            self.socket = None;
        }
    }

    fn send(&mut self, trap: &str, objects: &[(String, Object)]) -> io::Result<()> {
        self.request = self.request.wrapping_add(1);
        let bytes = message(&self.community, self.request, seconds(), trap, objects)
            .map_err(io::Error::other)?;
        if self.socket.is_none() {
            self.socket = Some(connect(&self.host)?);
        }
        let Some(socket) = &self.socket else {
            return Ok(());
        };
        socket.send(&bytes).map(drop)
    }
}

fn connect(host: &str) -> io::Result<UdpSocket> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    let named = (host, TRAP_PORT).to_socket_addrs();
    // With a port behind it.
    let addresses = named.or_else(|error| host.to_socket_addrs().map_err(|_| error))?;
    for address in addresses {
        let any = if address.is_ipv4() {
            "0.0.0.0:0"
        } else {
            "[::]:0"
        };
        let connected = UdpSocket::bind(any).and_then(|socket| {
            socket.connect(address)?;
            Ok(socket)
        });
        match connected {
            Ok(socket) => return Ok(socket),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Seconds since 1970: what C sends as the time that the system is up.
fn seconds() -> u32 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u32::try_from(since.as_secs() & u64::from(u32::MAX)).unwrap_or(0)
}

/// A value of a trap.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Object {
    Text(String),
    /// Gauge32, as Unsigned32 travels.
    Unsigned(u32),
    Integer(i32),
    Ticks(u32),
    Name(String),
}

/// Trap and objects of an event, by their names.
fn objects(event: &Event) -> Option<(String, Vec<(String, Object)>)> {
    let text = |text: &str| Object::Text(text.to_owned());
    let object = |number: u8, value| (format!("{COROSYNC}.1.{number}"), value);
    let name = object(NODE_NAME, text(&event.node_name));
    let (trap, objects) = match &event.what {
        What::Node { state, address } => (
            NODE_TRAP,
            vec![
                name,
                object(NODE_ID, Object::Unsigned(event.node)),
                object(NODE_ADDRESS, text(address)),
                object(NODE_STATUS, text(state)),
            ],
        ),
        What::Quorum { .. } => (
            QUORUM_TRAP,
            vec![
                name,
                object(NODE_ID, Object::Unsigned(event.node)),
                object(QUORUM, text(event.state())),
            ],
        ),
        What::Link { peer, number, .. } => (
            LINK_TRAP,
            vec![
                name,
                object(LOCAL_NODE_ID, Object::Unsigned(event.node)),
                object(NODE_ID, Object::Unsigned(*peer)),
                object(LINK_NUMBER, Object::Integer(number.cast_signed())),
                object(LINK_STATUS, text(event.state())),
            ],
        ),
        What::Application { .. } => return None,
    };
    Some((format!("{COROSYNC}.0.{trap}"), objects))
}

/// A whole datagram.
fn message(
    community: &[u8],
    request: i32,
    uptime: u32,
    trap: &str,
    objects: &[(String, Object)],
) -> der::Result<Vec<u8>> {
    let mut bindings = binding(SYS_UPTIME, &Object::Ticks(uptime))?;
    bindings.extend(binding(SNMP_TRAP_OID, &Object::Name(trap.to_owned()))?);
    for (name, value) in objects {
        bindings.extend(binding(name, value)?);
    }
    let (no_error, no_index) = (0i32, 0i32);
    let pdu = [
        request.to_der()?,
        no_error.to_der()?,
        no_index.to_der()?,
        wrapped(Tag::Sequence, &bindings)?,
    ]
    .concat();
    let envelope = [
        VERSION_2C.to_der()?,
        OctetStringRef::new(community)?.to_der()?,
        wrapped(TRAP_V2, &pdu)?,
    ]
    .concat();
    wrapped(Tag::Sequence, &envelope)
}

fn binding(name: &str, value: &Object) -> der::Result<Vec<u8>> {
    let name = oid(name)?.to_der()?;
    let value = match value {
        Object::Text(text) => OctetStringRef::new(text.as_bytes())?.to_der()?,
        Object::Unsigned(number) => number_as(GAUGE_32, *number)?,
        Object::Ticks(number) => number_as(TIME_TICKS, *number)?,
        Object::Integer(number) => number.to_der()?,
        Object::Name(name) => oid(name)?.to_der()?,
    };
    wrapped(Tag::Sequence, &[name, value].concat())
}

fn oid(name: &str) -> der::Result<ObjectIdentifier> {
    ObjectIdentifier::new(name).map_err(der::Error::from)
}

/// A number under another tag than INTEGER.
fn number_as(tag: Tag, number: u32) -> der::Result<Vec<u8>> {
    let mut value = Vec::new();
    number.encode_value(&mut value)?;
    wrapped(tag, &value)
}

fn wrapped(tag: Tag, value: &[u8]) -> der::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    Header::new(tag, Length::try_from(value.len())?).encode(&mut bytes)?;
    bytes.write(value)?;
    Ok(bytes)
}

/// The enterprise's number.
const COROSYNC: &str = "1.3.6.1.4.1.35488";
const NODE_NAME: u8 = 1;
const NODE_ID: u8 = 2;
const NODE_STATUS: u8 = 3;
const NODE_ADDRESS: u8 = 4;
const LOCAL_NODE_ID: u8 = 5;
const QUORUM: u8 = 21;
const LINK_NUMBER: u8 = 60;
const LINK_STATUS: u8 = 61;
const NODE_TRAP: u8 = 1;
const QUORUM_TRAP: u8 = 2;
const LINK_TRAP: u8 = 4;

const SYS_UPTIME: &str = "1.3.6.1.2.1.1.3.0";
const SNMP_TRAP_OID: &str = "1.3.6.1.6.3.1.1.4.1.0";
const VERSION_2C: i32 = 1;
const TRAP_PORT: u16 = 162;

const GAUGE_32: Tag = Tag::Application {
    constructed: false,
    number: TagNumber(2),
};
const TIME_TICKS: Tag = Tag::Application {
    constructed: false,
    number: TagNumber(3),
};
const TRAP_V2: Tag = Tag::ContextSpecific {
    constructed: true,
    number: TagNumber(7),
};

#[cfg(test)]
mod tests;

//! What an event of the server's epoll is about, packed into its 64 bits.

use ferrosync_wire::{ConnId, ServiceId};

/// Where an event comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// The stream socket of a connection.
    Setup(ConnId),
    /// The datagram socket that receives its requests.
    Request(ConnId),
    /// The datagram socket that sends its events.
    Event(ConnId),
    /// A listening socket.
    Listener(ServiceId),
    /// Our own reminder.
    Reminder,
}

pub(super) fn token(source: Source) -> u64 {
    let (kind, value) = match source {
        Source::Setup(id) => (0, id.0),
        Source::Request(id) => (1, id.0),
        Source::Event(id) => (2, id.0),
        Source::Listener(service) => (3, u64::from(service.0)),
        Source::Reminder => (4, 0),
    };
    debug_assert!(value >> (64 - KIND_BITS) == 0);
    value << KIND_BITS | kind
}

pub(super) fn source(token: u64) -> Source {
    let value = token >> KIND_BITS;
    match token & ((1 << KIND_BITS) - 1) {
        0 => Source::Setup(ConnId(value)),
        1 => Source::Request(ConnId(value)),
        2 => Source::Event(ConnId(value)),
        3 => Source::Listener(ServiceId(u16::try_from(value).unwrap_or(u16::MAX))),
        _ => Source::Reminder,
    }
}

const KIND_BITS: u32 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_unpacked_to_what_was_packed() {
        let id = ConnId(0x0123_4567_89ab);
        for s in [
            Source::Setup(id),
            Source::Request(id),
            Source::Event(id),
            Source::Listener(ServiceId(5)),
            Source::Reminder,
        ] {
            assert_eq!(source(token(s)), s);
        }
    }
}

//! Messages on their way out.

use core::fmt;

use bytes::Bytes;
use ferrosync_wire::Instant;
use ferrosync_wire::knet::{Cast, DataHeader, HostId, MESSAGE_MAX, Packet, Part, PingReason, Seq};

use super::{Hop, Knet, Output};
use crate::compress::Compressor;
use crate::crypto::Opens;
use crate::host::LinkConfig;
use crate::stats::Kind;

/// Whom a message is for. Never this host itself: its own copy takes no way that knet would have to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// All other hosts.
    All,
    /// One host.
    One(HostId),
}

/// Over which links of a host a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ways {
    /// Those that the host's policy chooses.
    Chosen,
    /// All that can be used.
    All,
}

/// Why a message was not sent. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendError {
    /// It is empty, or longer than [`MESSAGE_MAX`].
    BadLength(usize),
    /// No host that it is for can be reached.
    Unreachable,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadLength(len) => write!(f, "a message of {len} bytes cannot be sent"),
            Self::Unreachable => f.write_str("no destination can be reached"),
        }
    }
}

impl std::error::Error for SendError {}

impl Knet {
    /// Sends a message (threads_tx.c:_parse_recv_from_sock).
    ///
    /// # Errors
    ///
    /// See [`SendError`].
    pub fn send(
        &mut self,
        now: Instant,
        destination: Destination,
        ways: Ways,
        channel: u8,
        payload: &[u8],
    ) -> Result<(), SendError> {
        let len = payload.len();
        if len == 0 || len > MESSAGE_MAX {
            return Err(SendError::BadLength(len));
        }
        if !self.find_route(destination, ways) {
            return Err(SendError::Unreachable);
        }
        self.advance_seq(now);
        let mut compressor = self.compressor.take();
        let (compress, payload) = self.compress(compressor.as_mut(), payload);
        let header = DataHeader {
            seq: self.seq,
            compress,
            cast: match destination {
                Destination::All => Cast::Broadcast,
                Destination::One(_) => Cast::Unicast,
            },
            part: Part::Whole,
            channel,
        };
        self.send_parts(header, payload);
        self.compressor = compressor;
        Ok(())
    }

    /// Notes the links that the message takes; whether there are any.
    fn find_route(&mut self, destination: Destination, ways: Ways) -> bool {
        self.route.clear();
        let Self { hosts, route, .. } = self;
        for (&id, host) in hosts.iter_mut() {
            if destination != Destination::All && destination != Destination::One(id) {
                continue;
            }
            let visit = |link, config: &LinkConfig| {
                let to = config.peer;
                route.push(Hop { host: id, link, to });
            };
            match ways {
                Ways::Chosen => host.for_next_links(visit),
                Ways::All => host.for_usable_links(visit),
            }
        }
        !route.is_empty()
    }

    fn compress<'a>(
        &mut self,
        compressor: Option<&'a mut Compressor>,
        payload: &'a [u8],
    ) -> (u8, &'a [u8]) {
        if let Some(compressor) = compressor {
            let model = compressor.model().id();
            if let Some(smaller) = compressor.compress(payload) {
                let count = &mut self.stats.tx_compressed;
                count.packets += 1;
                count.original_bytes += payload.len() as u64;
                count.size_bytes += smaller.len() as u64;
                return (model, smaller);
            }
        }
        self.stats.tx_uncompressed_packets += 1;
        (0, payload)
    }

    /// Counts a message. At times all hosts are told the number, so that those to whom nothing is sent keep up.
    fn advance_seq(&mut self, now: Instant) {
        self.seq = Seq(self.seq.0.checked_add(1).unwrap_or(1));
        if self.seq.0.is_multiple_of(SEQ_PING_EACH) {
            self.beat_all(now, PingReason::Seq);
        }
    }

    fn send_parts(&mut self, header: DataHeader, payload: &[u8]) {
        if payload.len() <= self.data_mtu {
            return self.push_routed(header, payload);
        }
        let parts = payload.chunks(self.data_mtu);
        let count = u8::try_from(parts.len()).expect("no MTU is below 258");
        for (number, part) in (1..=count).zip(parts) {
            let part_of = Part::Fragment { number, count };
            let header = DataHeader {
                part: part_of,
                ..header
            };
            self.push_routed(header, part);
        }
    }

    fn push_routed(&mut self, header: DataHeader, payload: &[u8]) {
        let (mut present, mut next) = (None, None);
        for hop in &self.route {
            let Some(host) = self.hosts.get_mut(&hop.host) else {
                continue;
            };
            let sealed = match host.opens {
                Opens::Present => &mut present,
                Opens::Next => &mut next,
            };
            let make = || {
                let packet = Packet::Data(header, payload);
                self.outbox.seal(packet, host.opens)
            };
            let datagram: &Bytes = sealed.get_or_insert_with(make);
            if let Some(link) = host.links.get_mut(&hop.link) {
                link.stats.tx.count(Kind::Data, datagram.len());
            }
            self.outputs.push_back(Output::Send {
                link: hop.link,
                to: hop.to,
                datagram: datagram.clone(),
            });
        }
    }
}

/// Messages between two pings that tell the number (threads_tx.c: SEQ_MAX / 8).
pub(super) const SEQ_PING_EACH: u16 = 8191;

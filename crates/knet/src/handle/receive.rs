//! Datagrams on their way in: opened, understood, admitted, and only then believed.

use core::net::IpAddr;

use bytes::Bytes;
use ferrosync_wire::codec::{Decode as _, Reader};
use ferrosync_wire::knet::{
    DataHeader, Frame, HostId, MESSAGE_MAX, Packet, Part, Ping, PingReason, Probe, Seq,
};
use ferrosync_wire::{Instant, LinkId};

use super::{Knet, Output, Sources};
use crate::crypto::{Opened, Slot};
use crate::defrag::{Fragment, Outcome};
use crate::host::{Link, Reach};
use crate::link::Peer;
use crate::stamp;
use crate::stats::Kind;
use crate::window::Sighting;

impl Knet {
    pub(super) fn handle_datagram(&mut self, now: Instant, source: IpAddr, bytes: &Bytes) {
        let mut opened = core::mem::take(&mut self.opened);
        match self.outbox.crypto.open(bytes, &mut opened) {
            Ok(Opened::Authentic(slot, packet)) => {
                self.stats.rx_crypt_packets += 1;
                self.handle_packet(now, source, (packet, Some(slot)), bytes);
            }
            Ok(Opened::Clear(packet)) => self.handle_packet(now, source, (packet, None), bytes),
            Err(_) => self.drops.unauthentic += 1,
        }
        self.opened = opened;
    }

    /// `packet` may be a piece of `datagram`; the key in a slot vouches for it, or none.
    fn handle_packet(
        &mut self,
        now: Instant,
        source: IpAddr,
        (packet, key): (&[u8], Option<Slot>),
        datagram: &Bytes,
    ) {
        let len = packet.len();
        let Ok(Frame { from, packet }) = Frame::decode(&mut Reader::new(packet)) else {
            self.drops.malformed += 1;
            return;
        };
        let id = match &packet {
            Packet::Data(..) => self.hosts.get(&from).and_then(|h| h.link_from(source)),
            Packet::Ping(Ping { link, .. })
            | Packet::Pong(Ping { link, .. })
            | Packet::Probe(Probe { link, .. }, _)
            | Packet::ProbeReply(Probe { link, .. }) => self.admit(from, *link, source),
        };
        if id.is_some() && key.is_some_and(|slot| self.outbox.crypto.is_next(slot)) {
            self.host_opens_next(now, from);
        }
        let known = id.and_then(|id| Some((id, self.link_mut(from, id)?)));
        let Some((id, link)) = known else {
            self.drops.strangers += 1;
            return;
        };
        link.stats.rx.count(Kind::of(&packet), len);
        match packet {
            Packet::Data(header, payload) => {
                self.on_data(now, (from, id), header, payload, datagram);
            }
            Packet::Ping(ping) => {
                let new = ping.seq == Seq(0) && ping.reason == PingReason::Timer;
                let peer = if new { Peer::Started } else { Peer::Runs };
                link.heartbeat.handle_ping(peer);
                if let Some(host) = self.hosts.get_mut(&from) {
                    host.on_ping(now, id, ping.seq, ping.reason);
                }
                self.push(Packet::Pong(ping), from, id);
            }
            Packet::Pong(ping) => {
                let change = link.heartbeat.handle_pong(now, stamp::read(ping.time));
                if let Some(state) = change {
                    self.on_link(now, from, id, state);
                }
            }
            Packet::Probe(probe, _) => self.push(Packet::ProbeReply(probe), from, id),
            Packet::ProbeReply(probe) => {
                let timeout = link.heartbeat.timeout();
                let step = link.path.handle_reply(now, probe.size, timeout);
                self.on_step(from, id, step);
            }
        }
    }

    fn on_data(
        &mut self,
        now: Instant,
        (from, id): (HostId, LinkId),
        header: DataHeader,
        payload: &[u8],
        datagram: &Bytes,
    ) {
        if !self.hears(now, from, id) {
            self.drops.unreachable += 1;
            return;
        }
        if payload.is_empty() || payload.len() > MESSAGE_MAX {
            self.drops.malformed += 1;
            return;
        }
        let Some(host) = self.hosts.get_mut(&from) else {
            return;
        };
        if host.on_data(header.seq) == Sighting::Again {
            self.drops.duplicates += 1;
            return;
        }
        let payload = match header.part {
            Part::Whole => self.keep(payload, datagram),
            Part::Fragment { number, count } => {
                let fragment = Fragment {
                    seq: header.seq,
                    number,
                    count,
                    payload,
                };
                match host.on_fragment(now, fragment) {
                    Outcome::Complete(payload) => payload,
                    Outcome::Kept => return,
                    Outcome::Duplicate => {
                        self.drops.duplicates += 1;
                        return;
                    }
                    Outcome::Expired | Outcome::Refused => {
                        self.drops.fragments += 1;
                        return;
                    }
                }
            }
        };
        let Some(payload) = self.decompress(header.compress, payload) else {
            self.drops.malformed += 1;
            return;
        };
        if let Some(host) = self.hosts.get_mut(&from) {
            host.mark_delivered(header.seq);
        }
        self.outputs.push_back(Output::Deliver {
            from,
            channel: header.channel,
            payload,
        });
    }

    /// Bytes that outlive the datagram's opening: a part of it where it was in the clear, a copy otherwise.
    fn keep(&mut self, payload: &[u8], datagram: &Bytes) -> Bytes {
        let (all, part) = (datagram.as_ptr_range(), payload.as_ptr_range());
        if all.start <= part.start && part.end <= all.end {
            return datagram.slice_ref(payload);
        }
        if self.copies.capacity() < payload.len() {
            self.copies.reserve(CHUNK.max(payload.len()));
        }
        self.copies.extend_from_slice(payload);
        self.copies.split().freeze()
    }

    fn decompress(&mut self, model: u8, payload: Bytes) -> Option<Bytes> {
        if model == 0 {
            return Some(payload);
        }
        let original = self.decompressor.decompress(model, &payload).ok()?;
        // libknet takes longer ones too, but nobody can have sent them.
        if original.len() > MESSAGE_MAX {
            return None;
        }
        let count = &mut self.stats.rx_compressed;
        count.packets += 1;
        count.original_bytes += original.len() as u64;
        count.size_bytes += payload.len() as u64;
        Some(Bytes::copy_from_slice(original))
    }

    /// Whether data of this host counts; data after a pong may let its link up.
    fn hears(&mut self, now: Instant, from: HostId, id: LinkId) -> bool {
        let reachable = |knet: &Self| {
            let host = knet.hosts.get(&from);
            host.is_some_and(|host| host.reach() == Reach::Reachable)
        };
        if reachable(self) {
            return true;
        }
        let early = |link: &mut Link| link.heartbeat.handle_early_data();
        if let Some(state) = self.link_mut(from, id).and_then(early) {
            self.on_link(now, from, id, state);
        }
        reachable(self)
    }

    fn admit(&self, from: HostId, id: LinkId, source: IpAddr) -> Option<LinkId> {
        let link = self.hosts.get(&from)?.links.get(&id)?;
        match self.config.sources {
            Sources::Any => Some(id),
            Sources::Listed => (link.config.peer.ip() == source).then_some(id),
        }
    }
}

/// Bytes from which copies are cut.
const CHUNK: usize = 256 << 10;

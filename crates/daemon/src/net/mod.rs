//! The sockets of a node's transport.

mod errors;
mod links;
mod open;
mod plain;
mod recv;
mod send;

use std::net::SocketAddr;
use std::os::fd::BorrowedFd;

use bytes::Bytes;
use ferrosync_executive::config::{Config, KnetLink, TransportConfig};
use ferrosync_executive::output::{Carries, LinkTrouble, NodeInput};
use ferrosync_wire::LinkId;

use links::Links;
use plain::Plain;

/// All sockets of a node's transport.
#[derive(Debug)]
pub struct Sockets(Kind);

#[derive(Debug)]
enum Kind {
    /// Of `udpu` and `udp`.
    Plain(Box<Plain>),
    /// Of knet, one for each link.
    Links(Links),
}

impl Sockets {
    /// Opens what the configuration names.
    ///
    /// # Errors
    /// A socket cannot be opened; says which and why.
    pub fn open(config: &Config) -> Result<Self, String> {
        let plain = |plain| Kind::Plain(Box::new(plain));
        let opened = match &config.transport {
            TransportConfig::Udpu(udpu) => open::udpu(udpu).map(plain),
            TransportConfig::Udp(udp) => open::udp(udp).map(plain),
            TransportConfig::Knet(knet) => open::knet(knet).map(Kind::Links),
        };
        opened
            .map(Self)
            .map_err(|(what, e)| format!("Cannot open {what}: {e}"))
    }

    /// What to wait for.
    pub fn fds(&self) -> Vec<BorrowedFd<'_>> {
        match &self.0 {
            Kind::Plain(plain) => plain.fds().collect(),
            Kind::Links(links) => links.fds().collect(),
        }
    }

    /// The next datagram, in the order in which the node must see them. `None` when nothing waits.
    pub fn receive(&mut self) -> Option<NodeInput<'static>> {
        match &mut self.0 {
            Kind::Plain(plain) => plain.receive(),
            Kind::Links(links) => links.receive(),
        }
    }

    /// Opens and closes links' sockets until there is one for each of `links`; what could not be opened is told.
    pub fn set_links(&mut self, links: &[KnetLink]) -> Vec<String> {
        match &mut self.0 {
            Kind::Plain(_) => Vec::new(),
            Kind::Links(sockets) => sockets.set(links),
        }
    }

    /// What was opened since this was asked last.
    pub fn take_opened(&mut self) -> Vec<BorrowedFd<'_>> {
        match &mut self.0 {
            Kind::Plain(_) => Vec::new(),
            Kind::Links(links) => links.take_opened(),
        }
    }

    /// Queues a datagram until [`Self::flush`].
    pub fn send(&mut self, link: LinkId, to: SocketAddr, bytes: Bytes, carries: Carries) {
        match &mut self.0 {
            Kind::Plain(plain) => plain.send(to, bytes),
            Kind::Links(links) => links.send(link, to, bytes, carries),
        }
    }

    /// Sends everything that was queued; the token last, when all members have the messages that it counts.
    pub fn flush(&mut self) {
        match &mut self.0 {
            Kind::Plain(plain) => plain.flush(),
            Kind::Links(links) => links.flush(),
        }
    }

    /// Whether the token is about to leave and nothing more was read ahead: the next datagram is a rotation away.
    pub fn passes_token(&self) -> bool {
        match &self.0 {
            Kind::Plain(plain) => plain.passes_token(),
            Kind::Links(links) => links.passes_token(),
        }
    }

    /// Throws away what waits.
    pub fn discard(&mut self) {
        match &mut self.0 {
            Kind::Plain(plain) => plain.discard(),
            Kind::Links(links) => links.discard(),
        }
    }

    /// The kernel has something to say about datagrams that were sent; read with the datagrams that wait.
    pub fn note_errors(&mut self) {
        match &mut self.0 {
            Kind::Plain(_) => {}
            Kind::Links(links) => links.note_errors(),
        }
    }

    /// The next report of the network about a datagram that was sent.
    pub fn next_trouble(&mut self) -> Option<LinkTrouble> {
        match &mut self.0 {
            // Nobody there would do anything about it.
            Kind::Plain(_) => None,
            Kind::Links(links) => links.next_trouble(),
        }
    }
}

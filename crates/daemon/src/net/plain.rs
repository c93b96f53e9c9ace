//! The sockets of the transports that speak plain UDP.
//!
//! Data before token: where tokens and multicasts come on different sockets, every multicast that waits is
//! handed in before a token that waits (corosync `totemudp.c:totemudp_recv_flush`, v3.1.7).

use std::io;
use std::net::SocketAddr;
use std::os::fd::{BorrowedFd, OwnedFd};

use bytes::Bytes;
use ferrosync_executive::output::{NodeInput, RxOrder};
use ferrosync_executive::transport::ONLY_LINK;
use ferrosync_wire::totem::Kind;

use super::recv::{Datagrams, Receiver};
use super::send::Sender;

/// The sockets of `udpu` or `udp`.
#[derive(Debug)]
pub(super) struct Plain {
    /// Tokens, and on udpu everything.
    unicast: Receiver,
    /// Multicasts of the udp transport.
    multicast: Option<Receiver>,
    sender: Sender,
    /// Where multicasts leave from, on udp.
    multicast_sender: Option<Sender>,
    /// A token that waits while multicasts are read.
    token: Option<(SocketAddr, Bytes)>,
    waiting: Datagrams,
    /// A token that leaves behind everything else.
    last: Option<(SocketAddr, Bytes)>,
}

impl Plain {
    /// Multicasts are received on one socket and leave from another.
    pub(super) fn new(unicast: OwnedFd, multicast: Option<(OwnedFd, OwnedFd)>) -> io::Result<Self> {
        let sender = Sender::new(unicast.try_clone()?);
        let (multicast, multicast_sender) = match multicast {
            Some((receive, send)) => (Some(Receiver::new(receive)), Some(Sender::new(send))),
            None => (None, None),
        };
        Ok(Self {
            unicast: Receiver::new(unicast),
            multicast,
            sender,
            multicast_sender,
            token: None,
            waiting: Datagrams::default(),
            last: None,
        })
    }

    /// What to wait for.
    pub(super) fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let unicast = self.unicast.as_fd();
        let multicast = self.multicast.as_ref().map(Receiver::as_fd);
        std::iter::once(unicast).chain(multicast)
    }

    /// The next datagram, in the order in which the node must see them. `None` when nothing waits.
    pub(super) fn receive(&mut self) -> Option<NodeInput<'static>> {
        if let Some((from, bytes)) = self.waiting.next() {
            return Some(datagram(from, bytes, self.order()));
        }
        // What was made of the last datagrams leaves before more are read.
        self.flush();
        if self.multicast.is_none() {
            self.waiting.fill(&mut self.unicast);
            let (from, bytes) = self.waiting.next()?;
            return Some(datagram(from, bytes, RxOrder::Arrival));
        }
        self.receive_split()
    }

    /// Two sockets: the token is taken first and handed in last.
    fn receive_split(&mut self) -> Option<NodeInput<'static>> {
        if self.token.is_none() {
            let mut one = Datagrams::default();
            one.fill(&mut self.unicast);
            self.token = one.next();
        }
        if let Some(multicast) = &mut self.multicast {
            self.waiting.fill(multicast);
        }
        if let Some((from, bytes)) = self.waiting.next() {
            return Some(datagram(from, bytes, self.order()));
        }
        let (from, bytes) = self.token.take()?;
        Some(datagram(from, bytes, RxOrder::Arrival))
    }

    /// Multicasts that wait together with a token were sent before it.
    fn order(&self) -> RxOrder {
        match &self.token {
            Some((_, bytes)) if is_token(bytes) => RxOrder::AheadOfToken,
            Some(_) | None => RxOrder::Arrival,
        }
    }

    /// Queues a datagram until [`Self::flush`].
    pub(super) fn send(&mut self, to: SocketAddr, bytes: Bytes) {
        let is_group = to.ip().is_multicast() || is_broadcast(to);
        match &mut self.multicast_sender {
            Some(sender) if is_group => sender.push(to, bytes),
            Some(_) | None if is_token(&bytes) => self.last = Some((to, bytes)),
            Some(_) | None => self.sender.push(to, bytes),
        }
    }

    /// Sends everything that was queued; the token last, when all members have the messages that it counts.
    pub(super) fn flush(&mut self) {
        if let Some(sender) = &mut self.multicast_sender {
            sender.flush(None);
        }
        let last = self.last.take().map(|(to, token)| {
            self.sender.push(to, token);
            to
        });
        self.sender.flush(last);
    }

    /// Whether the token is about to leave and nothing more was read ahead: the next datagram is a rotation away.
    pub(super) fn passes_token(&self) -> bool {
        self.last.is_some() && self.waiting.is_empty() && self.token.is_none()
    }

    /// Throws away what waits.
    pub(super) fn discard(&mut self) {
        self.token = None;
        self.waiting = Datagrams::default();
        self.unicast.discard();
        if let Some(multicast) = &mut self.multicast {
            multicast.discard();
        }
    }
}

fn datagram(from: SocketAddr, bytes: Bytes, order: RxOrder) -> NodeInput<'static> {
    NodeInput::Datagram {
        link: ONLY_LINK,
        from,
        bytes,
        order,
    }
}

fn is_token(bytes: &[u8]) -> bool {
    bytes.get(3) == Some(&(Kind::OrfToken as u8))
}

fn is_broadcast(to: SocketAddr) -> bool {
    matches!(to, SocketAddr::V4(v4) if v4.ip().is_broadcast())
}

//! One connection: where it is in its life, what it may do this turn, and what is owed to it.

use std::io;
use std::os::fd::AsFd as _;
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixStream;

use ferrosync_wire::{ConnId, ServiceId};
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollEvent, EpollFlags};
use nix::sys::socket::{MsgFlags, recv, send};

use super::handshaking::Handshaking;
use super::link::{Broken, Front, Link, Unsent};
use super::token::{Source, token};
use super::zerocopy::ZeroCopyBuffers;
use super::{Admit, ConnStats, RequestHead};
use crate::handshake::{Credentials, MSG_DISCONNECT};

/// A client, from the moment its socket was accepted.
#[derive(Debug)]
pub(super) struct Conn {
    pub(super) id: ConnId,
    pub(super) service: ServiceId,
    pub(super) stream: UnixStream,
    pub(super) phase: Phase,
    pub(super) life: Life,
    /// It is in the server's ready, deferred or stalled list.
    pub(super) listed: Listed,
    /// It is in the server's list of clients to notify.
    pub(super) in_owing: bool,
}

/// How far a connection got.
#[derive(Debug)]
pub(super) enum Phase {
    Handshaking(Handshaking),
    /// The daemon was asked.
    Deciding {
        client: Credentials,
        max_msg_size: u32,
    },
    Open(Box<Open>),
}

/// Whether the other side is still there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    Alive,
    /// The client closed its socket or died. What it had sent before is still served, at most this many requests.
    HungUp {
        requests_left: u32,
    },
    /// It broke the rules.
    Broken,
}

/// In which of the server's lists a connection is; one at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listed {
    Nowhere,
    Ready,
    Stalled,
}

/// An accepted connection.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) link: Link,
    pub(super) client: Credentials,
    pub(super) process_name: String,
    pub(super) stats: ConnStats,
    pub(super) zero_copy: ZeroCopyBuffers,
    /// Requests served in `turn`.
    served: u32,
    turn: u64,
    /// Notification bytes not sent yet: one per event in the ring.
    owed: u32,
    outgoing: Outgoing,
    watch: Watch,
}

/// Whether events can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outgoing {
    Flowing,
    /// An event found no room.
    Blocked {
        /// Its length.
        len: usize,
        /// What [`Link::events_mark`] said when somebody looked last.
        mark: u32,
    },
}

/// What the event loop is to say about the socket that carries notifications or events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Watch {
    Input,
    /// Also each time the client has read something.
    InputAndRoom,
}

/// What became of a connection's turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    Request,
    /// Nothing waits.
    Idle,
    /// The gate is closed for the request in front.
    Stalled,
    /// Enough for this turn.
    Enough,
    /// The connection is over.
    Over,
}

/// Why an event or response did not go out, as the server needs to know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EventOutcome {
    Sent,
    Full,
    NotListening,
    TooBig,
    Broken,
}

impl Conn {
    pub(super) fn new(id: ConnId, service: ServiceId, stream: UnixStream) -> Self {
        Self {
            id,
            service,
            stream,
            phase: Phase::Handshaking(Handshaking::default()),
            life: Life::Alive,
            listed: Listed::Nowhere,
            in_owing: false,
        }
    }

    /// The open connection, while its client is there.
    pub(super) fn open_mut(&mut self) -> Option<&mut Open> {
        match (&mut self.phase, self.life) {
            (Phase::Open(open), Life::Alive) => Some(open),
            (Phase::Open(_) | Phase::Handshaking(_) | Phase::Deciding { .. }, _) => None,
        }
    }

    /// Whether an event found no room and none has been made since.
    pub(super) fn is_blocked(&mut self) -> bool {
        self.open_mut()
            .is_some_and(|open| open.outgoing != Outgoing::Flowing)
    }

    /// Whether the client has taken an event since one found no room, or since this was asked last.
    pub(super) fn has_read(&mut self) -> bool {
        let Some(open) = self.open_mut() else {
            return false;
        };
        match &mut open.outgoing {
            Outgoing::Flowing => false,
            Outgoing::Blocked { mark, .. } => {
                let now = open.link.events_mark();
                core::mem::replace(mark, now) != now
            }
        }
    }

    /// The credentials, once they are known.
    pub(super) fn client(&self) -> Option<Credentials> {
        match &self.phase {
            Phase::Handshaking(_) => None,
            Phase::Deciding { client, .. } => Some(*client),
            Phase::Open(open) => Some(open.client),
        }
    }

    /// Offers the next request; when it is admitted, it is in `buf`.
    pub(super) fn next_request(
        &mut self,
        turn: u64,
        buf: &mut Vec<u8>,
        admit: &mut impl FnMut(ConnId, RequestHead) -> Admit,
    ) -> Turn {
        let Phase::Open(open) = &mut self.phase else {
            return Turn::Idle;
        };
        if self.life == Life::Broken {
            return Turn::Over;
        }
        if open.turn != turn {
            (open.turn, open.served) = (turn, 0);
        }
        if open.served >= REQUESTS_PER_TURN {
            return Turn::Enough;
        }
        let head = match (open.link.front(), self.life) {
            (Ok(Front::Waiting(head)), _) => head,
            (Ok(Front::LookAgain), Life::Alive) => return Turn::Enough,
            (Ok(Front::Empty), Life::Alive) => return Turn::Idle,
            (Ok(_) | Err(Broken), _) => return Turn::Over,
        };
        let may_serve = match &mut self.life {
            Life::Alive => true,
            Life::HungUp { requests_left } => {
                *requests_left = requests_left.saturating_sub(1);
                *requests_left > 0
            }
            Life::Broken => false,
        };
        if head.id == MSG_DISCONNECT || !may_serve {
            return Turn::Over;
        }
        if admit(self.id, head) == Admit::Later {
            open.stats.recv_retries += 1;
            return match self.life {
                Life::Alive => Turn::Stalled,
                Life::HungUp { .. } | Life::Broken => Turn::Over,
            };
        }
        buf.clear();
        match open.link.take(buf) {
            Ok(()) => {
                open.served += 1;
                open.stats.requests += 1;
                Turn::Request
            }
            Err(Broken) => Turn::Over,
        }
    }

    /// Reads the client's notification bytes, which carry nothing: the ring itself says how many requests wait. All
    /// of them, because the event loop speaks of them only once.
    pub(super) fn swallow_notifications(&mut self) {
        let mut bytes = [0; NOTIFICATIONS_PER_READ];
        let fd = self.stream.as_raw_fd();
        for _ in 0..NOTIFICATION_READS {
            match recv(fd, &mut bytes, MsgFlags::MSG_DONTWAIT) {
                Ok(NOTIFICATIONS_PER_READ) => {}
                Ok(1..) | Err(Errno::EAGAIN) => return,
                Ok(0) | Err(_) => {
                    self.hung_up();
                    return;
                }
            }
        }
        self.life = Life::Broken;
    }

    /// The client is gone. What it sent before that is bounded by what its ring holds now.
    pub(super) fn hung_up(&mut self) {
        if self.life != Life::Alive {
            return;
        }
        let requests_left = match &self.phase {
            Phase::Open(open) => open.link.queued_requests().saturating_add(1),
            Phase::Handshaking(_) | Phase::Deciding { .. } => 0,
        };
        self.life = Life::HungUp {
            requests_left: requests_left.min(REQUESTS_AFTER_HANGUP),
        };
    }

    pub(super) fn send_event(&mut self, epoll: &Epoll, parts: &[&[u8]]) -> EventOutcome {
        let id = self.id;
        let Some(open) = self.open_mut() else {
            return EventOutcome::Broken;
        };
        if open.outgoing != Outgoing::Flowing {
            open.stats.send_retries += 1;
            return EventOutcome::Full;
        }
        let outcome = match open.link.event(parts) {
            Ok(()) => {
                open.stats.events += 1;
                open.owed += open.notifications_per_event();
                return EventOutcome::Sent;
            }
            Err(Unsent::TooBig) => return EventOutcome::TooBig,
            Err(Unsent::Broken) => EventOutcome::Broken,
            Err(Unsent::Full) => EventOutcome::Full,
            Err(Unsent::NotListening) => EventOutcome::NotListening,
        };
        open.stats.send_retries += 1;
        if outcome == EventOutcome::Broken {
            self.life = Life::Broken;
            return outcome;
        }
        let len = parts.iter().map(|part| part.len()).sum();
        let mark = open.link.events_mark();
        open.outgoing = Outgoing::Blocked { len, mark };
        // The client must hear of what is in the ring, or it never makes room.
        self.send_notifications();
        self.watch_as_needed(epoll, id);
        outcome
    }

    /// Sends the owed notification bytes, as far as the socket takes them.
    pub(super) fn send_notifications(&mut self) {
        let fd = self.stream.as_raw_fd();
        let Phase::Open(open) = &mut self.phase else {
            return;
        };
        while open.owed > 0 {
            let some = open.owed.min(NOTIFICATIONS_PER_SEND) as usize;
            let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
            match send(fd, &NOTIFICATIONS[..some], flags) {
                Ok(sent) => open.owed -= u32::try_from(sent).expect("at most what was offered"),
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return,
                Err(_) => {
                    open.owed = 0;
                    self.hung_up();
                    return;
                }
            }
        }
    }

    /// The client has read something: sends what is owed, and says whether events flow again.
    pub(super) fn room_again(&mut self, epoll: &Epoll) -> Option<Outgoing> {
        self.send_notifications();
        let id = self.id;
        let open = self.open_mut()?;
        let resumed = match open.outgoing {
            Outgoing::Flowing => None,
            Outgoing::Blocked { len, .. } => match open.link.has_room(len) {
                Ok(true) => Some(Outgoing::Flowing),
                Ok(false) => None,
                Err(Broken) => {
                    self.life = Life::Broken;
                    return None;
                }
            },
        };
        if let Some(flowing) = resumed {
            open.outgoing = flowing;
        }
        self.watch_as_needed(epoll, id);
        resumed
    }

    /// Asks the event loop for edges of room while there is something to send, and not longer: each costs a wake-up.
    pub(super) fn watch_as_needed(&mut self, epoll: &Epoll, id: ConnId) {
        let Phase::Open(open) = &mut self.phase else {
            return;
        };
        let needed = if open.owed > 0 || open.outgoing != Outgoing::Flowing {
            Watch::InputAndRoom
        } else {
            Watch::Input
        };
        if needed == open.watch {
            return;
        }
        let changed = match &open.link {
            Link::Shm(_) => {
                let mut event = EpollEvent::new(stream_flags(needed), token(Source::Setup(id)));
                epoll.modify(self.stream.as_fd(), &mut event)
            }
            Link::Socket(link) => {
                let mut event = EpollEvent::new(room_flags(needed), token(Source::Event(id)));
                epoll.modify(link.event_fd(), &mut event)
            }
        };
        match changed {
            Ok(()) => open.watch = needed,
            // Cannot happen to a registered descriptor; without the edge the client would wait for ever.
            Err(_) => self.life = Life::Broken,
        }
    }

    /// Tells the event loop about a connection's sockets.
    pub(super) fn register_stream(&self, epoll: &Epoll) -> io::Result<()> {
        let event = EpollEvent::new(stream_flags(Watch::Input), token(Source::Setup(self.id)));
        Ok(epoll.add(self.stream.as_fd(), event)?)
    }

    pub(super) fn register_link(&self, epoll: &Epoll, link: &Link) -> io::Result<()> {
        match link {
            Link::Shm(_) => Ok(()),
            Link::Socket(link) => {
                let input = EpollFlags::EPOLLIN | EpollFlags::EPOLLET;
                let request = EpollEvent::new(input, token(Source::Request(self.id)));
                epoll.add(link.request_fd(), request)?;
                let event =
                    EpollEvent::new(room_flags(Watch::Input), token(Source::Event(self.id)));
                Ok(epoll.add(link.event_fd(), event)?)
            }
        }
    }
}

impl Open {
    pub(super) fn new(link: Link, client: Credentials, process_name: String) -> Self {
        Self {
            link,
            client,
            process_name,
            stats: ConnStats::default(),
            zero_copy: ZeroCopyBuffers::default(),
            served: 0,
            turn: 0,
            owed: 0,
            outgoing: Outgoing::Flowing,
            watch: Watch::Input,
        }
    }

    /// A datagram wakes the client by itself.
    const fn notifications_per_event(&self) -> u32 {
        match self.link {
            Link::Shm(_) => 1,
            Link::Socket(_) => 0,
        }
    }
}

/// Everything is edge-triggered: what was reported once is remembered in the server's lists, so that a stalled or
/// slow client causes no wake-ups.
fn stream_flags(watch: Watch) -> EpollFlags {
    let input = EpollFlags::EPOLLIN | EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLET;
    input | room_flags(watch)
}

fn room_flags(watch: Watch) -> EpollFlags {
    match watch {
        Watch::Input => EpollFlags::EPOLLET,
        Watch::InputAndRoom => EpollFlags::EPOLLET | EpollFlags::EPOLLOUT,
    }
}

/// Requests of one connection between two polls; C takes at most as many (libqb `ipcs.c: MAX_RECV_MSGS`).
const REQUESTS_PER_TURN: u32 = 50;
/// Requests served for a client that is gone; more than its ring can hold of Corosync's smallest requests.
const REQUESTS_AFTER_HANGUP: u32 = 65_536;
/// A client's socket buffer holds fewer one-byte messages than this, unless it was enlarged.
const NOTIFICATIONS_PER_READ: usize = 1024;
/// However large its buffer, a client that sends one byte per request cannot have so many under way.
const NOTIFICATION_READS: usize = 64;
/// One send makes one unit in the client's receive queue, and the kernel tells us each time that a unit has been
/// read: this many events later at most, we learn that the ring has room again.
const NOTIFICATIONS_PER_SEND: u32 = 256;
const NOTIFICATIONS: [u8; NOTIFICATIONS_PER_SEND as usize] = [0; NOTIFICATIONS_PER_SEND as usize];

//! The sockets of knet's links: one for each address of this node, shared by all peers.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{BorrowedFd, OwnedFd};

use bytes::Bytes;
use ferrosync_executive::config::KnetLink;
use ferrosync_executive::output::{Carries, LinkTrouble, NodeInput, RxOrder, Trouble};
use ferrosync_wire::LinkId;

use super::errors::{self, Report};
use super::open;
use super::recv::{Datagrams, Receiver};
use super::send::Sender;

/// All links of this node.
#[derive(Debug)]
pub(super) struct Links {
    links: Vec<Link>,
    /// The link that is read next: none may keep the others waiting.
    turn: usize,
    /// What was read from `reading` and not yet handed on.
    waiting: Datagrams,
    reading: LinkId,
    /// Where the token goes that is queued.
    token: Option<(LinkId, SocketAddr)>,
    troubles: VecDeque<LinkTrouble>,
    /// Links whose sockets nobody waits for yet.
    opened: Vec<LinkId>,
}

/// One link.
#[derive(Debug)]
pub(super) struct Link {
    id: LinkId,
    local: IpAddr,
    receiver: Receiver,
    sender: Sender,
}

impl Links {
    pub(super) const fn new(links: Vec<Link>) -> Self {
        Self {
            links,
            turn: 0,
            waiting: Datagrams::new(),
            reading: LinkId(0),
            token: None,
            troubles: VecDeque::new(),
            opened: Vec::new(),
        }
    }

    pub(super) fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.links.iter().map(|link| link.receiver.as_fd())
    }

    /// Links that stay keep their sockets; what could not be opened is told.
    pub(super) fn set(&mut self, wanted: &[KnetLink]) -> Vec<String> {
        self.links.retain(|link| {
            wanted
                .iter()
                .any(|w| w.id == link.id && w.local == link.local)
        });
        let mut failed = Vec::new();
        for link in wanted {
            if self.links.iter().any(|open| open.id == link.id) {
                continue;
            }
            match open::link(link) {
                Ok(opened) => {
                    self.opened.push(link.id);
                    self.links.push(opened);
                }
                Err(e) => failed.push(format!(
                    "Cannot open a socket for link {} at {}: {e}",
                    link.id.0, link.local
                )),
            }
        }
        failed
    }

    pub(super) fn take_opened(&mut self) -> Vec<BorrowedFd<'_>> {
        let opened = std::mem::take(&mut self.opened);
        let links = self.links.iter();
        links
            .filter(|link| opened.contains(&link.id))
            .map(|link| link.receiver.as_fd())
            .collect()
    }

    pub(super) fn receive(&mut self) -> Option<NodeInput<'static>> {
        if self.waiting.is_empty() {
            // What was made of the last datagrams leaves before more are read.
            self.flush();
            self.fill();
        }
        let (from, bytes) = self.waiting.next()?;
        Some(NodeInput::Datagram {
            link: self.reading,
            from,
            bytes,
            order: RxOrder::Arrival,
        })
    }

    /// Reads the first link that has something, beginning with the one behind the last.
    fn fill(&mut self) {
        for _ in 0..self.links.len() {
            self.turn = (self.turn + 1) % self.links.len();
            let link = &mut self.links[self.turn];
            self.waiting.fill(&mut link.receiver);
            self.reading = link.id;
            if !self.waiting.is_empty() {
                return;
            }
            if link.receiver.take_error() {
                self.read_errors(self.turn);
            }
        }
    }

    pub(super) fn send(&mut self, id: LinkId, to: SocketAddr, bytes: Bytes, carries: Carries) {
        if let Some(link) = self.links.iter_mut().find(|link| link.id == id) {
            link.sender.push(to, bytes);
            if carries == Carries::Token {
                self.token = Some((id, to));
            }
        }
    }

    pub(super) fn flush(&mut self) {
        let token = self.token.take();
        let mut last = None;
        for i in 0..self.links.len() {
            if token.is_some_and(|(id, _)| self.links[i].id == id) {
                last = Some(i);
                continue;
            }
            self.links[i].sender.flush(None);
            self.gather_too_big(i);
        }
        if let Some(i) = last {
            self.links[i].sender.flush(token.map(|(_, to)| to));
            self.gather_too_big(i);
        }
    }

    pub(super) fn passes_token(&self) -> bool {
        self.token.is_some() && self.waiting.is_empty()
    }

    pub(super) fn discard(&mut self) {
        self.waiting = Datagrams::new();
        for link in &mut self.links {
            link.receiver.discard();
        }
    }

    /// The kernel has something to say about datagrams that were sent.
    pub(super) fn note_errors(&mut self) {
        for link in &mut self.links {
            link.receiver.note_error();
        }
    }

    pub(super) fn next_trouble(&mut self) -> Option<LinkTrouble> {
        self.troubles.pop_front()
    }

    /// The kernel says at once that a datagram is too long, and on the error queue what would fit.
    fn gather_too_big(&mut self, i: usize) {
        let link = &mut self.links[i];
        let Some((to, len)) = link.sender.next_too_big() else {
            return;
        };
        let mut refused = vec![(to, len)];
        refused.extend(std::iter::from_fn(|| link.sender.next_too_big()));
        let id = link.id;
        let mtu = self.read_errors(i);
        for (to, len) in refused {
            let trouble = Trouble::TooBig { len, mtu };
            self.troubles.push_back(LinkTrouble {
                link: id,
                to,
                trouble,
            });
        }
    }

    /// Empties a link's error queue; the MTU that was told last.
    fn read_errors(&mut self, i: usize) -> Option<u16> {
        let link = &self.links[i];
        let mut mtu = None;
        for _ in 0..ERRORS_PER_TURN {
            match errors::read(link.receiver.as_fd(), link.local) {
                None => break,
                Some(Report::TooBig(bytes)) => mtu = Some(bytes),
                Some(Report::Unreachable(to)) => self.troubles.push_back(LinkTrouble {
                    link: link.id,
                    to,
                    trouble: Trouble::Unreachable,
                }),
                Some(Report::Other) => {}
            }
        }
        mtu
    }
}

impl Link {
    pub(super) fn new(id: LinkId, local: IpAddr, fd: OwnedFd) -> io::Result<Self> {
        Ok(Self {
            id,
            local,
            sender: Sender::new(fd.try_clone()?),
            receiver: Receiver::new(fd),
        })
    }
}

/// Reports that are read before the network is looked at again.
const ERRORS_PER_TURN: usize = 64;

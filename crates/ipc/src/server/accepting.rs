//! From a listening socket to an open connection.

use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;

use ferrosync_wire::{ConnId, ServiceId};
use nix::errno::Errno;
use nix::sys::epoll::{EpollEvent, EpollFlags};
use nix::sys::socket::sockopt::PassCred;
use nix::sys::socket::{
    AddressFamily, Backlog, MsgFlags, SockFlag, SockType, bind, listen, send, setsockopt, socket,
};

use super::conn::{Conn, Life, Open, Phase};
use super::handshaking::Progress;
use super::link::{Link, LinkRequest};
use super::token::{Source, token};
use super::{Server, ServerEvent};
use crate::files;
use crate::handshake::{ConnectResponse, Credentials, decide_room};

/// The socket of one service.
#[derive(Debug)]
pub(super) struct Listener {
    socket: UnixListener,
    name: String,
    file: Option<PathBuf>,
    arrivals: Arrivals,
}

/// Whether clients wait to be accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Arrivals {
    None,
    Some,
    /// They do, but the process has no descriptor for them; tried again whenever something else happens.
    Starved,
}

impl Server {
    /// Serves `service` under `name`, and removes what earlier servers of it left behind when they died.
    ///
    /// # Errors
    /// The name is taken (`AddrInUse`: another server is running) or does not fit, or the kernel refuses.
    pub fn listen(&mut self, service: ServiceId, name: &str) -> io::Result<()> {
        if self.listeners.contains_key(&service) || name.is_empty() || name.contains(['/', '\0']) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let file = self.options.addresses.file_of_service(name);
        if let Some(file) = &file {
            remove_if_there(file)?;
        }
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let socket = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
        bind(
            socket.as_raw_fd(),
            &self.options.addresses.of_service(name)?,
        )?;
        if let Some(file) = &file {
            // Who may come in is decided by credentials.
            std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o777))?;
        }
        setsockopt(&socket, PassCred, &true)?;
        listen(&socket, Backlog::new(BACKLOG)?)?;
        files::remove_leftovers(&self.options.shm_dir, name)?;
        let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLET;
        let event = EpollEvent::new(flags, token(Source::Listener(service)));
        self.epoll.add(&socket, event)?;
        let listener = Listener {
            socket: UnixListener::from(socket),
            name: name.to_owned(),
            file,
            arrivals: Arrivals::None,
        };
        self.listeners.insert(service, listener);
        Ok(())
    }

    /// Stops serving `service`. Its connections end; each that the caller knows is reported as
    /// [`ServerEvent::Closed`].
    pub fn unlisten(&mut self, service: ServiceId) {
        if self.listeners.remove(&service).is_none() {
            return;
        }
        let ours = |conn: &&Conn| conn.service == service;
        let ids: Vec<ConnId> = self.conns.iter().filter(ours).map(|conn| conn.id).collect();
        for conn in ids {
            let removed = self.conns.remove(conn);
            let known = removed.is_some_and(|conn| !matches!(conn.phase, Phase::Handshaking(_)));
            if known {
                self.events.push_back(ServerEvent::Closed { conn });
            }
        }
    }

    /// Lets a client in.
    ///
    /// # Errors
    /// It is gone, or its files cannot be made; it was told so. The connection is over then and nothing follows for
    /// this id.
    pub fn accept(&mut self, conn: ConnId) -> io::Result<()> {
        let result = self.open(conn);
        if let Err(error) = &result {
            self.refuse(conn, error.raw_os_error().unwrap_or(Errno::ENOMEM as i32));
        }
        result
    }

    /// Turns a client away with a positive `errno`. The connection is over then and nothing follows for this id.
    ///
    /// Clients turn the number into a `cs_error`: `EAGAIN` makes them try again, `EACCES` is what C says to users
    /// without permission.
    pub fn refuse(&mut self, conn: ConnId, errno: i32) {
        let undecided = |conn: &Conn| matches!(conn.phase, Phase::Deciding { .. });
        if self.conns.get(conn).is_some_and(undecided)
            && let Some(refused) = self.conns.remove(conn)
        {
            let answer = ConnectResponse::Refused(errno).encode();
            let _client_is_gone = answer_in_one(&refused.stream, &answer);
        }
    }

    fn open(&mut self, id: ConnId) -> io::Result<()> {
        let conn = self.conns.get_mut(id).ok_or(io::ErrorKind::NotFound)?;
        let Phase::Deciding {
            client,
            max_msg_size,
        } = conn.phase
        else {
            return Err(io::ErrorKind::NotFound.into());
        };
        if conn.life != Life::Alive {
            return Err(io::ErrorKind::NotConnected.into());
        }
        let listener = self.listeners.get(&conn.service);
        let (link, told) = Link::create(LinkRequest {
            kind: self.options.kind,
            shm_dir: &self.options.shm_dir,
            service: &listener.ok_or(io::ErrorKind::NotFound)?.name,
            client,
            descriptor: conn.stream.as_raw_fd(),
            max_msg_size,
            connection: id.0,
        })?;
        conn.register_link(&self.epoll, &link)?;
        answer_in_one(&conn.stream, &ConnectResponse::Accepted(told).encode())?;
        let process_name = process_name(client);
        conn.phase = Phase::Open(Box::new(Open::new(link, client, process_name)));
        // Datagrams may have come before the sockets were registered.
        self.enlist(id);
        Ok(())
    }

    pub(super) fn note_arrivals(&mut self, service: ServiceId) {
        if let Some(listener) = self.listeners.get_mut(&service) {
            listener.arrivals = Arrivals::Some;
        }
    }

    pub(super) fn more_to_accept(&self) -> bool {
        let mut listeners = self.listeners.values();
        listeners.any(|listener| listener.arrivals == Arrivals::Some)
    }

    pub(super) fn accept_clients(&mut self) {
        let services: Vec<ServiceId> = self.listeners.keys().copied().collect();
        for service in services {
            for _ in 0..ACCEPTS_PER_POLL {
                let Some(stream) = self.accept_one(service) else {
                    break;
                };
                self.admit_stream(service, stream);
            }
        }
    }

    fn accept_one(&mut self, service: ServiceId) -> Option<UnixStream> {
        let listener = self.listeners.get_mut(&service)?;
        if listener.arrivals == Arrivals::None {
            return None;
        }
        match listener.socket.accept() {
            Ok((stream, _)) => {
                listener.arrivals = Arrivals::Some;
                Some(stream)
            }
            Err(error) => {
                listener.arrivals = after_failure(error.kind());
                None
            }
        }
    }

    /// A stream that cannot be set up is dropped, which the client sees as the end of the connection.
    fn admit_stream(&mut self, service: ServiceId, stream: UnixStream) {
        let prepared = stream
            .set_nonblocking(true)
            .and_then(|()| Ok(setsockopt(&stream, PassCred, &true)?));
        if prepared.is_err() {
            return;
        }
        let id = self.conns.insert(|id| Conn::new(id, service, stream));
        let Some(id) = id else {
            return;
        };
        let conn = self.conns.get(id).expect("just inserted");
        if conn.register_stream(&self.epoll).is_err() {
            self.conns.remove(id);
            return;
        }
        self.handshaking.push_back(id);
        if self.handshaking.len() > HANDSHAKES_MAX
            && let Some(oldest) = self.handshaking.pop_front()
        {
            self.conns.remove(oldest);
        }
        // The request is there already as a rule.
        self.continue_handshake(id);
    }

    pub(super) fn continue_handshake(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(id) else {
            return;
        };
        let Phase::Handshaking(handshaking) = &mut conn.phase else {
            return;
        };
        match handshaking.read(&conn.stream) {
            Progress::Waiting => {}
            Progress::Hopeless => {
                self.handshaking.retain(|&waiting| waiting != id);
                self.conns.remove(id);
            }
            Progress::Done { request, client } => {
                self.handshaking.retain(|&waiting| waiting != id);
                self.ask_caller(id, client, request.agreed_max_msg_size());
            }
        }
    }

    fn ask_caller(&mut self, id: ConnId, client: Credentials, max_msg_size: u32) {
        let load = self.conns.load(client.uid);
        let Some(conn) = self.conns.get_mut(id) else {
            return;
        };
        // The kernel would refuse to merge messages for a receiver that wants credentials with each.
        let _slower_at_worst = setsockopt(&conn.stream, PassCred, &false);
        conn.phase = Phase::Deciding {
            client,
            max_msg_size,
        };
        let service = conn.service;
        match decide_room(&self.options.limits, load, client) {
            Ok(()) => self.events.push_back(ServerEvent::Connecting {
                conn: id,
                service,
                credentials: client,
            }),
            Err(errno) => self.refuse(id, errno),
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Some(file) = &self.file {
            let _gone_already = std::fs::remove_file(file);
        }
    }
}

/// An error other than these says that the process or the machine has no more to give.
fn after_failure(error: io::ErrorKind) -> Arrivals {
    if error == io::ErrorKind::WouldBlock {
        return Arrivals::None;
    }
    let passing = [io::ErrorKind::Interrupted, io::ErrorKind::ConnectionAborted];
    if passing.contains(&error) {
        return Arrivals::Some;
    }
    Arrivals::Starved
}

/// Nothing else was sent on this socket, so the kernel takes all of it or something is wrong.
fn answer_in_one(stream: &UnixStream, answer: &[u8]) -> io::Result<()> {
    let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
    match send(stream.as_raw_fd(), answer, flags)? {
        sent if sent == answer.len() => Ok(()),
        _ => Err(io::ErrorKind::WriteZero.into()),
    }
}

/// What `stats.ipcs.*.procname` shows (`ipc_glue.c:pid_to_name`, v3.1.7).
fn process_name(client: Credentials) -> String {
    let name = std::fs::read(format!("/proc/{}/comm", client.pid)).unwrap_or_default();
    String::from_utf8_lossy(&name).trim_end().to_owned()
}

fn remove_if_there(file: &PathBuf) -> io::Result<()> {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// As libqb's `SERVER_BACKLOG`.
const BACKLOG: i32 = 128;
/// Clients accepted per service and poll.
const ACCEPTS_PER_POLL: usize = 64;
/// Clients that connected and have not said what they want. The one that has been silent for longest makes room.
const HANDSHAKES_MAX: usize = 256;

//! A small service over `Server` for the tests: it runs in a thread, and the test looks at it and steers it.
//!
//! Requests begin with libqb's 16-byte header; the ids are in [`id`]. The thread calls `Server::poll` only when the
//! server's descriptor is readable (or `wants_retry` says so), so a wake-up that the server owes and does not
//! give makes a test time out.

use std::collections::{BTreeMap, VecDeque};
use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ferrosync_ipc::{
    Addresses, Admit, ConnStats, Credentials, Kind, Limits, Options, RETRY_INTERVAL, SendError,
    Server, ServerEvent,
};
use ferrosync_wire::{ConnId, ServiceId};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::EventFd;

/// Request ids of the test service.
pub(crate) mod id {
    /// Answered with the same bytes behind a response header.
    pub(crate) const ECHO: i32 = 1;
    /// `count u32@16, len u32@20`: that many events of that length, after an empty answer.
    pub(crate) const EVENTS: i32 = 2;
    /// Counted, not answered.
    pub(crate) const ASYNC: i32 = 3;
    /// The server closes the connection.
    pub(crate) const CLOSE: i32 = 4;
    /// `level u32@16`: answered, then the flow control level is set.
    pub(crate) const LEVEL: i32 = 5;
}

/// How long a test waits for what must happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What the test can see.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) connected: u32,
    pub(crate) closed: u32,
    pub(crate) requests: u32,
    pub(crate) async_bodies: Vec<Vec<u8>>,
    pub(crate) full: u32,
    pub(crate) writable: u32,
    pub(crate) queued_events: usize,
    pub(crate) stalled: u32,
    pub(crate) credentials: Option<Credentials>,
    pub(crate) process_name: String,
    pub(crate) stats: ConnStats,
    pub(crate) obeyed: u32,
}

/// What the test can have done.
#[derive(Debug)]
pub(crate) enum Command {
    SetLevel(u32),
    CloseGate,
    OpenGate,
    RefuseWith(Option<i32>),
    CloseAll,
    Unlisten,
    Stop,
}

pub(crate) struct TestServer {
    pub(crate) name: String,
    pub(crate) shm: tempfile::TempDir,
    seen: Arc<Mutex<Seen>>,
    commands: Sender<Command>,
    wake: Arc<EventFd>,
    thread: Option<JoinHandle<()>>,
}

impl TestServer {
    pub(crate) fn start(kind: Kind, name: &str) -> Self {
        Self::start_with(kind, name, Limits::default())
    }

    pub(crate) fn start_with(kind: Kind, name: &str, limits: Limits) -> Self {
        let shm = tempfile::tempdir_in("/dev/shm").unwrap();
        let name = unique(name);
        let server = serve(kind, shm.path(), &name, limits);
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (commands, receiver) = channel();
        let wake = Arc::new(EventFd::new().unwrap());
        let service = Service::new(server, seen.clone(), receiver, wake.clone());
        let thread = std::thread::spawn(move || service.run());
        Self {
            name,
            shm,
            seen,
            commands,
            wake,
            thread: Some(thread),
        }
    }

    /// Has it done, and returns when it is.
    #[track_caller]
    pub(crate) fn tell(&self, command: Command) {
        let before = self.seen().obeyed;
        self.commands.send(command).unwrap();
        self.wake.write(1).unwrap();
        self.wait_until("the command is obeyed", |seen| seen.obeyed > before);
    }

    pub(crate) fn seen(&self) -> Seen {
        self.seen.lock().unwrap().clone()
    }

    /// Waits until what is seen fulfils a condition.
    #[track_caller]
    pub(crate) fn wait_until(&self, what: &str, condition: impl Fn(&Seen) -> bool) -> Seen {
        let give_up = Instant::now() + PATIENCE;
        loop {
            let seen = self.seen();
            if condition(&seen) {
                return seen;
            }
            assert!(Instant::now() < give_up, "never happened: {what}; {seen:?}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Names of the directories that connections have now.
    pub(crate) fn directories(&self) -> Vec<PathBuf> {
        directories(self.shm.path())
    }

    #[track_caller]
    pub(crate) fn wait_until_clean(&self) {
        let give_up = Instant::now() + PATIENCE;
        while !self.directories().is_empty() {
            assert!(Instant::now() < give_up, "left: {:?}", self.directories());
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        let _stopped_already = self.commands.send(Command::Stop);
        let _full = self.wake.write(1);
        let result = self.thread.take().map(JoinHandle::join);
        if !std::thread::panicking() {
            assert!(result.is_some_and(|result| result.is_ok()));
            assert_eq!(self.directories(), Vec::<PathBuf>::new(), "files are left");
        }
    }
}

pub(crate) fn directories(shm: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(shm).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// Abstract names belong to the whole network namespace, and one that was used may be held for a moment by a child
/// that another test is just starting.
pub(crate) fn unique(name: &str) -> String {
    static USED: AtomicU32 = AtomicU32::new(0);
    let number = USED.fetch_add(1, Ordering::Relaxed);
    format!("fs-test-{name}-{}-{number}", std::process::id())
}

pub(crate) fn serve(kind: Kind, shm: &Path, name: &str, limits: Limits) -> Server {
    let mut server = Server::new(Options {
        shm_dir: shm.to_owned(),
        kind,
        addresses: Addresses::of_this_machine(),
        limits,
    })
    .unwrap();
    server.listen(ServiceId::CPG, name).unwrap();
    server
}

/// Says so even when the test harness captures output.
pub(crate) fn skipped(what: &str) {
    let line = format!("SKIPPED: {what}\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}

/// A request header.
pub(crate) fn header(id: i32, len: usize) -> [u8; 16] {
    let mut header = [0; 16];
    header[..4].copy_from_slice(&id.to_le_bytes());
    let size = i32::try_from(len + 16).unwrap();
    header[8..12].copy_from_slice(&size.to_le_bytes());
    header
}

pub(crate) fn response_header(id: i32, len: usize) -> [u8; 24] {
    let mut header = [0; 24];
    header[..4].copy_from_slice(&id.to_le_bytes());
    let size = i32::try_from(len + 24).unwrap();
    header[8..12].copy_from_slice(&size.to_le_bytes());
    header
}

/// The bytes of event number `seq`.
pub(crate) fn event(seq: u32, len: usize) -> Vec<u8> {
    let mut event = response_header(9, len - 24).to_vec();
    event.extend_from_slice(&seq.to_le_bytes());
    event.resize(len, seq.to_le_bytes()[0]);
    event
}

pub(crate) struct Service {
    server: Server,
    seen: Arc<Mutex<Seen>>,
    commands: Receiver<Command>,
    wake: Arc<EventFd>,
    open: Vec<ConnId>,
    queues: BTreeMap<ConnId, VecDeque<Vec<u8>>>,
    gate: Admit,
    refusal: Option<i32>,
    running: bool,
}

impl Service {
    pub(crate) fn new(
        server: Server,
        seen: Arc<Mutex<Seen>>,
        commands: Receiver<Command>,
        wake: Arc<EventFd>,
    ) -> Self {
        Self {
            server,
            seen,
            commands,
            wake,
            open: Vec::new(),
            queues: BTreeMap::new(),
            gate: Admit::Take,
            refusal: None,
            running: true,
        }
    }

    pub(crate) fn run(mut self) {
        let mut buf = Vec::new();
        while self.running {
            let mut ready = [
                PollFd::new(self.server.as_fd(), PollFlags::POLLIN),
                PollFd::new(self.wake.as_fd(), PollFlags::POLLIN),
            ];
            let wants_retry = self.server.wants_retry();
            let timeout = if wants_retry {
                PollTimeout::try_from(RETRY_INTERVAL).unwrap()
            } else {
                PollTimeout::NONE
            };
            poll(&mut ready, timeout).unwrap();
            let [server_ready, told] = ready.map(|fd| fd.any().unwrap_or(false));
            if told {
                self.wake.read().unwrap();
                while let Ok(command) = self.commands.try_recv() {
                    self.obey(&command);
                }
            }
            if server_ready || wants_retry {
                self.server.poll().unwrap();
            }
            while let Some(event) = self.next(&mut buf) {
                self.handle(event, &buf);
            }
            self.server.flush();
        }
    }

    fn next(&mut self, buf: &mut Vec<u8>) -> Option<ServerEvent> {
        let (gate, seen) = (self.gate, &self.seen);
        self.server.next_event(buf, |_, head| {
            if head.id == id::ASYNC && gate == Admit::Later {
                seen.lock().unwrap().stalled += 1;
                return Admit::Later;
            }
            Admit::Take
        })
    }

    fn handle(&mut self, event: ServerEvent, request: &[u8]) {
        let seen = self.seen.clone();
        let mut seen = seen.lock().unwrap();
        match event {
            ServerEvent::Connecting {
                conn, credentials, ..
            } => {
                seen.credentials = Some(credentials);
                if let Some(errno) = self.refusal {
                    self.server.refuse(conn, errno);
                } else if self.server.accept(conn).is_ok() {
                    seen.connected += 1;
                    self.open.push(conn);
                    let info = self.server.conn_info(conn).unwrap();
                    seen.process_name = info.process_name.to_owned();
                }
            }
            ServerEvent::Request { conn } => {
                seen.requests += 1;
                self.serve_request(&mut seen, conn, request);
                if let Some(info) = self.server.conn_info(conn) {
                    seen.stats = info.stats;
                }
            }
            ServerEvent::Writable { conn } => {
                seen.writable += 1;
                self.pump(&mut seen, conn);
            }
            ServerEvent::Closed { conn } => {
                seen.closed += 1;
                assert!(self.server.conn_info(conn).is_none());
                self.forget(conn);
            }
        }
    }

    fn serve_request(&mut self, seen: &mut Seen, conn: ConnId, request: &[u8]) {
        let word = |at: usize| u32::from_le_bytes(request[at..at + 4].try_into().unwrap());
        let request_id = i32::from_le_bytes(request[..4].try_into().unwrap());
        match request_id {
            id::ECHO => {
                let body = &request[16..];
                let header = response_header(id::ECHO, body.len());
                self.answer(seen, conn, &[&header, body]);
            }
            id::EVENTS if request.len() >= 24 => {
                let (count, len) = (word(16), word(20) as usize);
                self.answer(seen, conn, &[&response_header(id::EVENTS, 0)]);
                let events = (0..count.min(1 << 20)).map(|seq| event(seq, len.clamp(28, 1 << 20)));
                self.queues.entry(conn).or_default().extend(events);
                self.pump(seen, conn);
            }
            id::ASYNC => seen.async_bodies.push(request[16..].to_vec()),
            id::CLOSE => {
                self.server.close(conn);
                seen.closed += 1;
                self.forget(conn);
            }
            id::LEVEL if request.len() >= 20 => {
                self.answer(seen, conn, &[&response_header(id::LEVEL, 0)]);
                self.server.set_flow_control(conn, word(16));
            }
            _ => {}
        }
    }

    /// A client that does not read its answers or is gone gets none.
    fn answer(&mut self, seen: &mut Seen, conn: ConnId, parts: &[&[u8]]) {
        match self.server.respond(conn, parts) {
            Ok(()) | Err(SendError::Gone | SendError::TooBig) => {}
            Err(SendError::Full) => {
                self.server.close(conn);
                seen.closed += 1;
                self.forget(conn);
            }
        }
    }

    fn pump(&mut self, seen: &mut Seen, conn: ConnId) {
        let Some(queue) = self.queues.get_mut(&conn) else {
            return;
        };
        while let Some(event) = queue.front() {
            match self.server.event(conn, &[&event[..10], &event[10..]]) {
                Ok(()) => {
                    queue.pop_front();
                }
                Err(SendError::Full) => {
                    seen.full += 1;
                    break;
                }
                Err(SendError::Gone | SendError::TooBig) => queue.clear(),
            }
        }
        seen.queued_events = queue.len();
    }

    fn obey(&mut self, command: &Command) {
        match command {
            Command::SetLevel(level) => {
                for &conn in &self.open {
                    self.server.set_flow_control(conn, *level);
                }
            }
            Command::CloseGate => self.gate = Admit::Later,
            Command::OpenGate => {
                self.gate = Admit::Take;
                self.server.retry_stalled();
            }
            Command::RefuseWith(errno) => self.refusal = *errno,
            Command::CloseAll => {
                for conn in std::mem::take(&mut self.open) {
                    self.server.close(conn);
                }
            }
            Command::Unlisten => self.server.unlisten(ServiceId::CPG),
            Command::Stop => self.running = false,
        }
        self.seen.lock().unwrap().obeyed += 1;
    }

    fn forget(&mut self, conn: ConnId) {
        self.open.retain(|&open| open != conn);
        self.queues.remove(&conn);
    }
}

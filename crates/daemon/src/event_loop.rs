//! The daemon's one loop: wait, take the time once, let timers act, serve clients, read the network.

use std::num::NonZero;
use std::thread::{available_parallelism, yield_now};

use ferrosync_executive::log::Priority;
use ferrosync_executive::output::{Credentials, ExitReason, LibInput, NodeInput};
use ferrosync_executive::pump::{self, StoreFailed};
use ferrosync_executive::{Admit, Node};
use ferrosync_ipc::{self as ipc, ServerEvent};
use ferrosync_wire::Instant;
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::signalfd::SignalFd;

use crate::answers;
use crate::attention::{self, Attention, Left};
use crate::clock::Clock;
use crate::host::OsHost;
use crate::signals;
use crate::watchdog::Watchdog;

/// A node on a machine.
#[derive(Debug)]
pub struct EventLoop {
    node: Node,
    host: OsHost,
    clock: Clock,
    epoll: Epoll,
    signals: SignalFd,
    attention: Attention,
    watchdog: Watchdog,
    /// Whether the epoll descriptor reports clients as `attention` wants it.
    clients_wake: bool,
    request: Vec<u8>,
    /// A message from a client's zero-copy buffer.
    buffer: Vec<u8>,
    happened: [EpollEvent; 8],
}

/// What there is to do, as bits.
#[derive(Clone, Copy, Debug)]
struct Ready(u8);

impl Ready {
    const SIGNALS: Self = Self(1);
    const NETWORK: Self = Self(2);
    const CLIENTS: Self = Self(4);

    const fn has(self, source: Self) -> bool {
        self.0 & source.0 != 0
    }
}

/// Why the loop cannot go on.
#[derive(Debug)]
pub enum Broken {
    /// What has to be durable before the ring goes on is not.
    Store(StoreFailed),
    /// The kernel refuses to wait.
    Poll(Errno),
}

impl EventLoop {
    /// A loop over everything that is open.
    ///
    /// # Errors
    /// The kernel refuses an epoll descriptor.
    pub fn new(node: Node, host: OsHost, clock: Clock, signals: SignalFd) -> nix::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let readable = |source: Ready| EpollEvent::new(EpollFlags::EPOLLIN, u64::from(source.0));
        epoll.add(&signals, readable(Ready::SIGNALS))?;
        epoll.add(host.ipc.as_fd(), readable(Ready::CLIENTS))?;
        for fd in host.sockets.fds() {
            epoll.add(fd, readable(Ready::NETWORK))?;
        }
        Ok(Self {
            node,
            host,
            clock,
            epoll,
            signals,
            attention: Attention::new(available_parallelism().map_or(1, NonZero::get)),
            watchdog: Watchdog::of_environment(clock.now()),
            clients_wake: true,
            request: Vec::new(),
            buffer: Vec::new(),
            happened: [EpollEvent::empty(); 8],
        })
    }

    /// Runs until the node is done.
    ///
    /// # Errors
    /// See [`Broken`].
    pub fn run(&mut self) -> Result<ExitReason, Broken> {
        self.input(self.clock.now(), NodeInput::LinksReady)?;
        loop {
            self.host.flush();
            self.troubles()?;
            if let Some(reason) = self.host.exit {
                return Ok(reason);
            }
            let ready = self.wait()?;
            let now = self.clock.now();
            self.sign_of_life(now);
            self.timers(now)?;
            if ready.has(Ready::SIGNALS) {
                self.control(now)?;
            }
            // What clients have sent already goes with the token that waits, if one does.
            if ready.has(Ready::CLIENTS) {
                self.clients(now)?;
            }
            if ready.has(Ready::NETWORK) {
                self.network(now)?;
            }
        }
    }

    /// The daemon's own log, for the last words.
    pub const fn host_mut(&mut self) -> &mut OsHost {
        &mut self.host
    }

    fn wait(&mut self) -> Result<Ready, Broken> {
        self.heed_clients().map_err(Broken::Poll)?;
        let count = match self.watch()? {
            0 => self.poll(self.timeout())?,
            count => count,
        };
        let mut ready = Ready(0);
        if !self.clients_wake {
            // Whether the token came or did not: now is the time to look.
            ready.0 |= Ready::CLIENTS.0;
            if count == 0 {
                self.attention.token_is_late();
            }
        }
        for event in &self.happened[..count] {
            ready.0 |= u8::try_from(event.data()).unwrap_or(0);
            if event.events().contains(EpollFlags::EPOLLERR) {
                self.host.sockets.note_errors();
            }
        }
        if self.host.ipc.wants_retry() {
            ready.0 |= Ready::CLIENTS.0;
        }
        Ok(ready)
    }

    /// Looks out for the token without sleep when that is worth it; returns how much happened meanwhile.
    fn watch(&mut self) -> Result<usize, Broken> {
        if self.node.core().pg().is_idle() {
            return Ok(0);
        }
        while self.attention.expects_token(self.clock.now()) {
            let count = self.poll(EpollTimeout::ZERO)?;
            if count > 0 {
                return Ok(count);
            }
            // Others of this priority first.
            yield_now();
        }
        Ok(0)
    }

    fn poll(&mut self, timeout: EpollTimeout) -> Result<usize, Broken> {
        match self.epoll.wait(&mut self.happened, timeout) {
            Err(Errno::EINTR) => Ok(0),
            other => other.map_err(Broken::Poll),
        }
    }

    /// Makes clients wake this loop, or not, as the token's rhythm asks for.
    fn heed_clients(&mut self) -> nix::Result<()> {
        let wanted = self.attention.clients_wake();
        if wanted != self.clients_wake {
            let events = if wanted {
                EpollFlags::EPOLLIN
            } else {
                EpollFlags::empty()
            };
            let mut event = EpollEvent::new(events, u64::from(Ready::CLIENTS.0));
            self.epoll.modify(self.host.ipc.as_fd(), &mut event)?;
            self.clients_wake = wanted;
        }
        Ok(())
    }

    /// Whole milliseconds, rounded up: waking early would only mean waking twice.
    fn timeout(&self) -> EpollTimeout {
        let retry = self.host.ipc.wants_retry().then_some(ipc::RETRY_INTERVAL);
        let timer = self
            .node
            .poll_timeout()
            .map(|(at, _)| at.since(self.clock.now()));
        let unheeded = (!self.clients_wake).then_some(attention::LONGEST);
        let sign = self.watchdog.wait(self.clock.now());
        let all = [timer, retry, unheeded, sign];
        let wait = all.into_iter().flatten().min();
        wait.map_or(EpollTimeout::NONE, |wait| {
            let ms = wait.as_nanos().div_ceil(1_000_000);
            EpollTimeout::try_from(ms.min(60_000) as u64).unwrap_or(EpollTimeout::ZERO)
        })
    }

    /// Says to systemd that the loop turns. If systemd cannot be told it ends this process, so the reason is logged.
    fn sign_of_life(&mut self, now: Instant) {
        if let Err(error) = self.watchdog.turn(now) {
            let text = format!("Cannot tell systemd that the node is alive: {error}");
            self.host.say(Priority::Warning, text);
        }
    }

    fn timers(&mut self, now: Instant) -> Result<(), Broken> {
        for _ in 0..TIMERS_PER_TURN {
            match self.node.poll_timeout() {
                Some((at, _)) if at <= now => {
                    self.node.handle_timeout(now);
                    self.drain(now)?;
                }
                Some(_) | None => break,
            }
        }
        Ok(())
    }

    fn control(&mut self, now: Instant) -> Result<(), Broken> {
        while let Some(control) = signals::next(&self.signals) {
            if control == ferrosync_executive::output::Control::Shutdown {
                self.host
                    .say(Priority::Notice, "Node was shut down by a signal");
            }
            self.input(now, NodeInput::Control(control))?;
        }
        Ok(())
    }

    fn network(&mut self, now: Instant) -> Result<(), Broken> {
        for _ in 0..DATAGRAMS_PER_TURN {
            let Some(input) = self.host.sockets.receive() else {
                break;
            };
            self.input(now, input)?;
            if self.host.sockets.passes_token() {
                // Our clients hear of what they sent before the kernel works for the others.
                self.host.ipc.notify();
                let left = match self.node.core().pg().is_idle() {
                    true => Left::Nothing,
                    false => Left::Something,
                };
                self.attention.token_passed(now, left);
                break;
            }
        }
        Ok(())
    }

    /// Hands in what the network reported, and sends what comes of it.
    fn troubles(&mut self) -> Result<(), Broken> {
        for _ in 0..TROUBLES_PER_TURN {
            let Some(trouble) = self.host.sockets.next_trouble() else {
                return Ok(());
            };
            self.input(self.clock.now(), NodeInput::Trouble(trouble))?;
            self.host.flush();
        }
        Ok(())
    }

    fn clients(&mut self, now: Instant) -> Result<(), Broken> {
        if let Err(e) = self.host.ipc.poll() {
            let errno = e.raw_os_error().map_or(Errno::EIO, Errno::from_raw);
            return Err(Broken::Poll(errno));
        }
        for _ in 0..REQUESTS_PER_TURN {
            let mut request = std::mem::take(&mut self.request);
            let node = &mut self.node;
            let event = self.host.ipc.next_event(&mut request, |conn, head| {
                match node.admit(conn, head.id, head.len) {
                    Admit::Take => ipc::Admit::Take,
                    Admit::Later => ipc::Admit::Later,
                }
            });
            let handled = match event {
                Some(event) => {
                    self.attention.request_served();
                    self.client(now, event, &request)
                }
                None => {
                    self.request = request;
                    break;
                }
            };
            self.request = request;
            handled?;
        }
        Ok(())
    }

    fn client(&mut self, now: Instant, event: ServerEvent, request: &[u8]) -> Result<(), Broken> {
        let program;
        let input = match event {
            ServerEvent::Connecting {
                conn,
                service,
                credentials,
            } => {
                program = program_of(credentials.pid);
                LibInput::Connect {
                    conn,
                    service,
                    who: Credentials {
                        pid: credentials.pid,
                        uid: credentials.uid,
                        gid: credentials.gid,
                    },
                    program: &program,
                }
            }
            ServerEvent::Request { conn } => LibInput::Request {
                conn,
                message: request,
            },
            ServerEvent::Writable { conn } => {
                pump::drain_held(&mut self.node, conn, &mut self.host);
                LibInput::Writable { conn }
            }
            ServerEvent::Closed { conn } => LibInput::Closed { conn },
        };
        self.input(now, NodeInput::Lib(input))
    }

    fn input(&mut self, now: Instant, input: NodeInput<'_>) -> Result<(), Broken> {
        self.node.handle(now, input);
        self.drain(now)
    }

    fn drain(&mut self, now: Instant) -> Result<(), Broken> {
        self.pump(now)?;
        loop {
            if let Some(conn) = self.host.gone.pop() {
                let input = NodeInput::Lib(LibInput::Closed { conn });
                self.node.handle(now, input);
            } else if let Some(request) = self.host.asked.pop_front() {
                let answer = answers::carry_out(&mut self.host, request, &mut self.buffer);
                for fd in self.host.sockets.take_opened() {
                    let event = EpollEvent::new(EpollFlags::EPOLLIN, u64::from(Ready::NETWORK.0));
                    self.epoll.add(fd, event).map_err(Broken::Poll)?;
                }
                match answer {
                    Some(answer) => self.node.handle(now, NodeInput::Answer(answer)),
                    None => continue,
                }
            } else {
                return Ok(());
            }
            self.pump(now)?;
        }
    }

    fn pump(&mut self, now: Instant) -> Result<(), Broken> {
        pump::drain(&mut self.node, now, &mut self.host).map_err(Broken::Store)
    }
}

/// A process's name; empty when it is gone already.
fn program_of(pid: u32) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/comm"))
        .map_or_else(|_| String::new(), |name| name.trim_end().to_owned())
}

/// Timers that act before the network is looked at again.
const TIMERS_PER_TURN: usize = 64;
/// Datagrams before clients are served; less when the token comes.
const DATAGRAMS_PER_TURN: usize = 256;
/// Reports of the network before anything else is looked at.
const TROUBLES_PER_TURN: usize = 256;
/// Requests before the network is looked at again: the token must not wait behind clients.
const REQUESTS_PER_TURN: usize = 64;

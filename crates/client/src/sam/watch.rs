//! One instance of a supervised program, from its start to its end (corosync `lib/sam.c:sam_parent_handler`, v3.1.7).

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::Child;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use nix::unistd::Pid;

use super::Warning;
use super::map::State;
use super::message::{DONE, Hello, REQUEST_MAX, Request};
use super::supervisor::{Supervisor, SupervisorError};

/// The end of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was not at work.
    InOrder,
    /// It was, or it was killed.
    Failed,
    /// It asked not to be started again.
    GaveUp,
}

/// A supervisor's view of one instance.
pub(super) struct Watch<'a> {
    supervisor: &'a mut Supervisor,
    pid: Pid,
    listener: UnixListener,
    stream: Option<UnixStream>,
    /// Bytes of a request that is not all there.
    received: Vec<u8>,
    phase: Phase,
    /// When it is warned or, after that, killed.
    deadline: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Stopped,
    /// It wants to work and may not without quorum.
    Waiting,
    Started,
    /// It was at work and is to end.
    Warned,
}

impl<'a> Watch<'a> {
    pub(super) fn new(
        supervisor: &'a mut Supervisor,
        child: &Child,
        listener: UnixListener,
    ) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let pid = i32::try_from(child.id()).map_err(io::Error::other)?;
        Ok(Self {
            supervisor,
            pid: Pid::from_raw(pid),
            listener,
            stream: None,
            received: Vec::new(),
            phase: Phase::Stopped,
            deadline: None,
        })
    }

    /// Watches until the program has ended or closed its connection.
    pub(super) fn run(mut self, child: &mut Child) -> Result<Outcome, SupervisorError> {
        loop {
            self.wait()?;
            if self.supervisor.quorum.is_some() {
                self.look_at_quorum()?;
            }
            if let Some(outcome) = self.look_at_program(child)? {
                return Ok(outcome);
            }
            if self.deadline.is_some_and(|at| Instant::now() >= at) {
                if self.phase == Phase::Warned {
                    self.signal(Warning::Kill)?;
                    return Ok(Outcome::Failed);
                }
                self.warn()?;
            }
        }
    }

    /// Waits until something may have happened. A program that has not connected yet may end without a word, which
    /// only looking tells.
    fn wait(&self) -> io::Result<()> {
        let program: BorrowedFd<'_> = match &self.stream {
            Some(stream) => stream.as_fd(),
            None => self.listener.as_fd(),
        };
        let mut fds = vec![PollFd::new(program, PollFlags::POLLIN)];
        if let Some(quorum) = &self.supervisor.quorum {
            fds.push(PollFd::new(quorum.as_fd(), PollFlags::POLLIN));
        }
        let left = self
            .deadline
            .map(|at| at.saturating_duration_since(Instant::now()));
        let tick = self.stream.is_none().then_some(TICK);
        let timeout = match left.into_iter().chain(tick).min() {
            // A millisecond more, as what is left of one is cut off.
            Some(time) => {
                PollTimeout::try_from(time + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX)
            }
            None => PollTimeout::NONE,
        };
        match poll(&mut fds, timeout) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn look_at_quorum(&mut self) -> Result<(), SupervisorError> {
        let before = self.supervisor.quorate;
        if let Some(quorum) = &mut self.supervisor.quorum {
            let mut news = false;
            while quorum.dispatch(Duration::ZERO)?.is_some() {
                news = true;
            }
            if news {
                self.supervisor.quorate = quorum.is_quorate()?;
            }
        }
        match (self.phase, self.supervisor.quorate) {
            (Phase::Waiting, true) => self.started(),
            (Phase::Started, false) if before => Ok(self.warn()?),
            (Phase::Stopped | Phase::Waiting | Phase::Started | Phase::Warned, _) => Ok(()),
        }
    }

    fn look_at_program(&mut self, child: &mut Child) -> Result<Option<Outcome>, SupervisorError> {
        if self.stream.is_none() {
            self.accept()?;
        }
        let Some(stream) = &mut self.stream else {
            let ended = child.try_wait()?.is_some();
            return Ok(ended.then(|| self.end()));
        };
        let mut chunk = [0; CHUNK];
        match stream.read(&mut chunk) {
            Ok(0) => return Ok(Some(self.end())),
            Ok(len) => self.received.extend_from_slice(&chunk[..len]),
            Err(error) if is_nothing(&error) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {
                return Ok(Some(self.end()));
            }
            Err(error) => return Err(error.into()),
        }
        assert!(
            self.received.len() <= REQUEST_MAX + CHUNK,
            "whole requests are taken out at once"
        );
        while let Some((request, len)) = Request::decode(&self.received)? {
            self.received.drain(..len);
            if let Some(outcome) = self.request(request)? {
                return Ok(Some(outcome));
            }
        }
        Ok(None)
    }

    /// Lets the program in, and nobody else.
    fn accept(&mut self) -> io::Result<()> {
        let mut stream = match self.listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) if is_nothing(&error) => return Ok(()),
            Err(error) => return Err(error),
        };
        if getsockopt(&stream, PeerCredentials)?.pid() != self.pid.as_raw() {
            return Ok(());
        }
        let hello = Hello {
            instance: self.supervisor.instance,
            data: self.supervisor.data.clone(),
        };
        // The program waits for it; if it is gone, reading will tell.
        stream.set_write_timeout(Some(WRITE_TIMEOUT))?;
        let _ = hello.write(&mut stream);
        stream.set_nonblocking(true)?;
        self.stream = Some(stream);
        Ok(())
    }

    fn end(&self) -> Outcome {
        match self.phase {
            Phase::Stopped | Phase::Waiting => Outcome::InOrder,
            Phase::Started | Phase::Warned => Outcome::Failed,
        }
    }

    fn request(&mut self, request: Request) -> Result<Option<Outcome>, SupervisorError> {
        if let Some(shown) = &mut self.supervisor.shown {
            shown.heard()?;
        }
        match request {
            Request::Start => self.start()?,
            Request::Stop => {
                if matches!(self.phase, Phase::Started | Phase::Warned) {
                    self.phase = Phase::Stopped;
                    self.deadline = None;
                    self.supervisor.state(State::Stopped)?;
                }
                self.answer();
            }
            Request::Alive => self.heard(),
            Request::Store(data) => {
                self.supervisor.data = data;
                self.answer();
            }
            Request::WarnBy(warning) => {
                self.supervisor.warning = warning;
                self.answer();
            }
            Request::MarkFailed => {
                self.signal(Warning::Kill)?;
                return Ok(Some(Outcome::GaveUp));
            }
        }
        Ok(None)
    }

    fn start(&mut self) -> Result<(), SupervisorError> {
        if self.phase != Phase::Stopped {
            self.answer();
            return Ok(());
        }
        if self.supervisor.quorate {
            return self.started();
        }
        self.phase = Phase::Waiting;
        self.supervisor.state(State::WaitsForQuorum)
    }

    fn started(&mut self) -> Result<(), SupervisorError> {
        self.phase = Phase::Started;
        self.heard();
        self.supervisor.state(State::Running)?;
        self.answer();
        Ok(())
    }

    /// A sign of health. Who was warned is not forgiven.
    fn heard(&mut self) {
        if self.phase == Phase::Started {
            self.deadline = self
                .supervisor
                .health
                .map(|interval| Instant::now() + interval);
        }
    }

    fn warn(&mut self) -> io::Result<()> {
        self.phase = Phase::Warned;
        self.deadline = Some(Instant::now() + self.supervisor.grace);
        self.signal(self.supervisor.warning)
    }

    /// It has not been waited for, so the process id is still its own.
    fn signal(&self, warning: Warning) -> io::Result<()> {
        let signal = match warning {
            Warning::Terminate => Signal::SIGTERM,
            Warning::HangUp => Signal::SIGHUP,
            Warning::Interrupt => Signal::SIGINT,
            Warning::User1 => Signal::SIGUSR1,
            Warning::User2 => Signal::SIGUSR2,
            Warning::Kill => Signal::SIGKILL,
        };
        Ok(kill(self.pid, signal)?)
    }

    /// One byte, for which there is room as the program waits for it. If it does not, that is its loss.
    fn answer(&mut self) {
        if let Some(stream) = &mut self.stream {
            let _ = stream.write_all(&[DONE]);
        }
    }
}

fn is_nothing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

const CHUNK: usize = 4096;
/// How often a program that has not connected is looked at.
const TICK: Duration = Duration::from_millis(50);
/// For what a program stored.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);

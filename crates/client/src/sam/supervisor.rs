//! The supervisor: starts a program until it ends in order, or for good.

use core::fmt;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use super::map::{Shown, State};
use super::watch::{Outcome, Watch};
use super::{VARIABLE, Warning};
use crate::quorum::{Model, Quorum, Track};
use crate::{Options, cmap, quorum};

/// Supervises one program. [`Self::run`] takes the thread until the program has ended for good.
#[derive(Debug)]
pub struct Supervisor {
    command: Command,
    recovery: Recovery,
    pub(super) health: Option<Duration>,
    pub(super) grace: Duration,
    pub(super) warning: Warning,
    pub(super) data: Vec<u8>,
    pub(super) instance: u32,
    pub(super) quorum: Option<Quorum>,
    pub(super) quorate: bool,
    pub(super) shown: Option<Shown>,
}

/// What to do when the program fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// Nothing more: [`Supervisor::run`] returns.
    Quit,
    /// It is started again.
    Restart,
}

/// How the program has ended for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Of its last instance.
    pub status: ExitStatus,
    /// In order or not.
    pub how: How,
}

/// Whether the program was at work when it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// It was not.
    InOrder,
    /// It was, was killed, or gave up.
    Failed,
}

/// Why supervision ended. The program, if it was running, has been killed.
#[derive(Debug)]
pub enum SupervisorError {
    /// The program could not be started, or the kernel refuses.
    Io(io::Error),
    /// The configuration map.
    Cmap(cmap::Error),
    /// Whether there is quorum cannot be known.
    Quorum(quorum::Error),
}

impl Supervisor {
    /// A supervisor for the program that `command` starts, without health checks.
    #[must_use]
    pub fn new(command: Command, recovery: Recovery) -> Self {
        Self {
            command,
            recovery,
            health: None,
            grace: GRACE,
            warning: Warning::default(),
            data: Vec::new(),
            instance: 0,
            quorum: None,
            quorate: true,
            shown: None,
        }
    }

    /// A program at work is warned when it was silent for this long, and killed when it is for as long again.
    #[must_use]
    pub const fn expect_health(mut self, interval: Duration) -> Self {
        self.health = Some(interval);
        self.grace = interval;
        self
    }

    /// How long a program that was warned may go on: the health interval, or 5 s, where this is not called.
    #[must_use]
    pub const fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// How the program is warned, as long as it does not choose for itself.
    #[must_use]
    pub const fn warn_by(mut self, warning: Warning) -> Self {
        self.warning = warning;
        self
    }

    /// What the first instance finds stored.
    #[must_use]
    pub fn data(mut self, data: &[u8]) -> Self {
        self.data = data.to_vec();
        self
    }

    /// The program waits for quorum before it works, and is warned when quorum is lost.
    ///
    /// # Errors
    /// [`SupervisorError::Quorum`].
    pub fn need_quorum(mut self, options: &Options) -> Result<Self, SupervisorError> {
        let mut quorum = Quorum::connect(Model::V1, options)?;
        // In this order: of a change before somebody tracks nobody is told.
        quorum.track(Track::ChangesOnly)?;
        self.quorate = quorum.is_quorate()?;
        self.quorum = Some(quorum);
        Ok(self)
    }

    /// The configuration map shows how the program is, in `resources.process.PID.` with this process's id.
    ///
    /// # Errors
    /// [`SupervisorError::Cmap`].
    pub fn show(mut self, options: &Options) -> Result<Self, SupervisorError> {
        self.shown = Some(Shown::begin(options, self.recovery, self.health)?);
        Ok(self)
    }

    /// Starts the program, and again where it fails and that is wanted.
    ///
    /// # Errors
    /// See [`SupervisorError`].
    pub fn run(mut self) -> Result<Ended, SupervisorError> {
        loop {
            self.instance = self.instance.saturating_add(1);
            self.state(State::Stopped)?;
            let listener = self.listen()?;
            let mut child = self.command.spawn()?;
            let outcome = Watch::new(&mut self, &child, listener)?.run(&mut child);
            if outcome.is_err() {
                // Nobody would look after it any more.
                child.kill()?;
            }
            let status = child.wait()?;
            let how = match (outcome?, self.recovery) {
                (Outcome::InOrder, _) => How::InOrder,
                (Outcome::Failed, Recovery::Restart) => continue,
                (Outcome::Failed, Recovery::Quit) | (Outcome::GaveUp, _) => How::Failed,
            };
            match how {
                How::InOrder => self.shown.iter_mut().for_each(Shown::remove),
                How::Failed => self.state(State::Failed)?,
            }
            return Ok(Ended { status, how });
        }
    }

    pub(super) fn state(&mut self, state: State) -> Result<(), SupervisorError> {
        match &mut self.shown {
            Some(shown) => Ok(shown.state(state)?),
            None => Ok(()),
        }
    }

    /// A socket for the next instance, which finds its name in its environment.
    fn listen(&mut self) -> io::Result<UnixListener> {
        for attempt in 0..NAMES_MAX {
            let name = format!(
                "ferrosync-sam-{}-{}-{attempt}",
                std::process::id(),
                self.instance
            );
            let address = SocketAddr::from_abstract_name(&name)?;
            match UnixListener::bind_addr(&address) {
                Ok(listener) => {
                    self.command.env(VARIABLE, &name);
                    return Ok(listener);
                }
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::AddrInUse.into())
    }
}

impl From<io::Error> for SupervisorError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<cmap::Error> for SupervisorError {
    fn from(error: cmap::Error) -> Self {
        Self::Cmap(error)
    }
}

impl From<quorum::Error> for SupervisorError {
    fn from(error: quorum::Error) -> Self {
        Self::Quorum(error)
    }
}

impl fmt::Display for SupervisorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "cannot supervise: {error}"),
            Self::Cmap(error) => write!(f, "cannot show the program in the map: {error}"),
            Self::Quorum(error) => write!(f, "cannot know of quorum: {error}"),
        }
    }
}

impl std::error::Error for SupervisorError {}

const GRACE: Duration = Duration::from_secs(5);
/// Other supervisors of this process have names of their own.
const NAMES_MAX: u32 = 1000;

#[cfg(test)]
mod tests {
    use ferrosync_ipc::{Addresses, Admit, Kind, Limits, Server, ServerEvent};
    use ferrosync_wire::ipc::quorum::{ModelType, Quorate, Request, TrackStarted};
    use ferrosync_wire::ipc::{Answer, Done, Number};
    use ferrosync_wire::{ConnId, Decode, Encode, Reader, ServiceId};

    use super::*;

    /// A daemon that has quorum until it has answered whether it has, or has begun to tell; whichever comes first.
    struct Daemon {
        server: Server,
        quorate: u32,
    }

    impl Daemon {
        fn new(dir: &std::path::Path) -> Self {
            let mut server = Server::new(ferrosync_ipc::Options {
                shm_dir: dir.to_owned(),
                kind: Kind::Shm,
                addresses: Addresses::Directory(dir.to_owned()),
                limits: Limits::default(),
            })
            .unwrap();
            server.listen(ServiceId::QUORUM, "quorum").unwrap();
            Self { server, quorate: 1 }
        }

        /// Serves until the client is gone.
        fn run(mut self) {
            let mut request = Vec::new();
            loop {
                self.server.poll().unwrap();
                match self.server.next_event(&mut request, |_, _| Admit::Take) {
                    Some(ServerEvent::Connecting { conn, .. }) => {
                        self.server.accept(conn).unwrap();
                    }
                    Some(ServerEvent::Request { conn }) => self.answer(conn, &request),
                    Some(ServerEvent::Closed { .. }) => return,
                    Some(ServerEvent::Writable { .. }) => {}
                    None => std::thread::sleep(Duration::from_millis(1)),
                }
                self.server.flush();
            }
        }

        fn answer(&mut self, conn: ConnId, request: &[u8]) {
            let answer = match Request::decode(&mut Reader::new(request)).unwrap() {
                Request::ModelGetType { .. } => Answer::<ModelType>(Ok(Number(1))).to_vec(),
                Request::GetQuorate => {
                    let now = std::mem::replace(&mut self.quorate, 0);
                    Answer::<Quorate>(Ok(Number(now))).to_vec()
                }
                Request::TrackStart { .. } => {
                    self.quorate = 0;
                    Answer::<TrackStarted>(Ok(Done)).to_vec()
                }
                other @ (Request::TrackStop | Request::GetType) => panic!("{other:?}"),
            };
            self.server.respond(conn, &[&answer]).unwrap();
        }
    }

    #[test]
    fn quorum_that_is_lost_as_a_supervisor_begins_is_known() {
        let dir = tempfile::tempdir().unwrap();
        let daemon = Daemon::new(dir.path());
        let daemon = std::thread::spawn(|| daemon.run());
        let options = Options {
            addresses: Addresses::Directory(dir.path().to_owned()),
            ..Options::default()
        };
        let supervisor = Supervisor::new(Command::new("true"), Recovery::Quit);
        let supervisor = supervisor.need_quorum(&options).unwrap();
        assert!(!supervisor.quorate);
        drop(supervisor);
        daemon.join().unwrap();
    }
}

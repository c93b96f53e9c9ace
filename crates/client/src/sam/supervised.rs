//! The supervised program's side.

use core::fmt;
use std::env;
use std::io::{self, Read, Write};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixStream};

use super::message::{DONE, Hello, Request};
use super::{DATA_MAX, VARIABLE, Warning};

/// A supervised program's connection to its supervisor. Dropping it ends the supervision of this instance: it has ended
/// in order if it is stopped, and failed if it is started.
#[derive(Debug)]
pub struct Supervised {
    stream: UnixStream,
    instance: u32,
    data: Vec<u8>,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Stopped,
    Started,
}

/// Why a call failed. Nothing was done.
#[derive(Debug)]
pub enum SupervisedError {
    /// The program was not started by a supervisor.
    Alone,
    /// It is started already, or is not started.
    WrongPhase,
    /// More than [`DATA_MAX`] bytes.
    TooLong,
    /// The supervisor is gone, or is none. The connection is of no use any more.
    Lost(io::Error),
}

impl Supervised {
    /// Finds the supervisor that started this program (`sam_register` in the child).
    ///
    /// # Errors
    /// [`SupervisedError::Alone`], [`SupervisedError::Lost`].
    pub fn connect() -> Result<Self, SupervisedError> {
        let name = env::var_os(VARIABLE).ok_or(SupervisedError::Alone)?;
        let address = SocketAddr::from_abstract_name(name.as_encoded_bytes())?;
        let mut stream = UnixStream::connect_addr(&address)?;
        let Hello { instance, data } = Hello::read(&mut stream)?;
        Ok(Self {
            stream,
            instance,
            data,
            phase: Phase::Stopped,
        })
    }

    /// How often the program was started by now, this time included.
    #[must_use]
    pub const fn instance(&self) -> u32 {
        self.instance
    }

    /// What was stored last, by this instance or one before (`sam_data_restore`).
    #[must_use]
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// Begins to work (`sam_start`): from now on to end is to fail, and the supervisor wants to hear of health. Returns
    /// when there is quorum, if that is needed.
    ///
    /// # Errors
    /// [`SupervisedError::WrongPhase`], [`SupervisedError::Lost`].
    pub fn start(&mut self) -> Result<(), SupervisedError> {
        self.expect(Phase::Stopped)?;
        self.ask(&Request::Start)?;
        self.phase = Phase::Started;
        Ok(())
    }

    /// Works no more (`sam_stop`): it may end now.
    ///
    /// # Errors
    /// [`SupervisedError::WrongPhase`], [`SupervisedError::Lost`].
    pub fn stop(&mut self) -> Result<(), SupervisedError> {
        self.expect(Phase::Started)?;
        self.ask(&Request::Stop)?;
        self.phase = Phase::Stopped;
        Ok(())
    }

    /// All is well (`sam_hc_send`): to be said more often than the supervisor's health interval.
    ///
    /// # Errors
    /// [`SupervisedError::WrongPhase`], [`SupervisedError::Lost`].
    pub fn alive(&mut self) -> Result<(), SupervisedError> {
        self.expect(Phase::Started)?;
        self.tell(&Request::Alive)
    }

    /// Keeps data with the supervisor, for the instances to come (`sam_data_store`).
    ///
    /// # Errors
    /// [`SupervisedError::TooLong`], [`SupervisedError::Lost`].
    pub fn store(&mut self, data: &[u8]) -> Result<(), SupervisedError> {
        if data.len() > DATA_MAX {
            return Err(SupervisedError::TooLong);
        }
        self.ask(&Request::Store(data.to_vec()))?;
        self.data = data.to_vec();
        Ok(())
    }

    /// Chooses how it is warned before it is killed (`sam_warn_signal_set`).
    ///
    /// # Errors
    /// [`SupervisedError::Lost`].
    pub fn warn_by(&mut self, warning: Warning) -> Result<(), SupervisedError> {
        self.ask(&Request::WarnBy(warning))
    }

    /// Gives up (`sam_mark_failed`): the supervisor kills this program and does not start it again.
    ///
    /// # Errors
    /// [`SupervisedError::Lost`].
    pub fn mark_failed(&mut self) -> Result<(), SupervisedError> {
        self.tell(&Request::MarkFailed)
    }

    fn expect(&self, phase: Phase) -> Result<(), SupervisedError> {
        if self.phase == phase {
            Ok(())
        } else {
            Err(SupervisedError::WrongPhase)
        }
    }

    fn tell(&mut self, request: &Request) -> Result<(), SupervisedError> {
        Ok(self.stream.write_all(&request.encode())?)
    }

    fn ask(&mut self, request: &Request) -> Result<(), SupervisedError> {
        self.tell(request)?;
        let mut answer = [0];
        self.stream.read_exact(&mut answer)?;
        if answer != [DONE] {
            let what = io::Error::new(io::ErrorKind::InvalidData, "no answer of a supervisor");
            return Err(what.into());
        }
        Ok(())
    }
}

impl From<io::Error> for SupervisedError {
    fn from(error: io::Error) -> Self {
        Self::Lost(error)
    }
}

impl fmt::Display for SupervisedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Alone => f.write_str("no supervisor started this program"),
            Self::WrongPhase => f.write_str("the program is started already, or is not started"),
            Self::TooLong => write!(f, "more than {DATA_MAX} bytes cannot be stored"),
            Self::Lost(error) => write!(f, "the supervisor is gone: {error}"),
        }
    }
}

impl std::error::Error for SupervisedError {}

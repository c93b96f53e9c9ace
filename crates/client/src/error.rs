//! Why calls fail.

use core::fmt;
use std::io;

use ferrosync_ipc::ClientError;
use ferrosync_wire::DecodeError;
use ferrosync_wire::ipc::CsError;

/// What can go wrong between this process and the daemon, whatever was asked.
#[derive(Debug)]
pub enum ConnectionError {
    /// Nobody listens: the daemon does not run, or does not offer this service.
    NotRunning(io::Error),
    /// The daemon turned this process away; carries an `errno`. `EACCES`: it is neither root nor listed in
    /// `uidgid.d`.
    Refused(i32),
    /// The daemon had no time within the timeout: services synchronise, or the ring is overloaded. Nothing was
    /// done; try again.
    Busy,
    /// No answer came within the timeout. Whether the call was carried out is unknown, and the connection cannot
    /// be used for further calls: open another one.
    TimedOut,
    /// The daemon is gone, or ended the connection.
    Lost,
    /// The daemon says what nobody understands. The connection is not to be trusted any more.
    Protocol(String),
    /// The kernel refuses.
    Io(io::Error),
}

impl ConnectionError {
    /// The code that the C libraries have for it.
    #[must_use]
    pub const fn code(&self) -> CsError {
        match self {
            Self::Refused(EACCES) => CsError::Access,
            Self::Busy => CsError::TryAgain,
            Self::TimedOut => CsError::Timeout,
            Self::NotRunning(_)
            | Self::Refused(_)
            | Self::Lost
            | Self::Protocol(_)
            | Self::Io(_) => CsError::Library,
        }
    }
}

impl fmt::Display for ConnectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRunning(error) => write!(f, "the cluster engine does not run: {error}"),
            Self::Refused(errno) => {
                let error = io::Error::from_raw_os_error(*errno);
                write!(f, "the cluster engine refused the connection: {error}")
            }
            Self::Busy => f.write_str("the cluster engine is busy"),
            Self::TimedOut => f.write_str("the cluster engine did not answer in time"),
            Self::Lost => f.write_str("the cluster engine is gone"),
            Self::Protocol(what) => write!(f, "the cluster engine is not understood: {what}"),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ConnectionError {}

impl From<ClientError> for ConnectionError {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Refused(EAGAIN) | ClientError::TryAgain => Self::Busy,
            ClientError::Refused(errno) => Self::Refused(errno),
            ClientError::TimedOut => Self::TimedOut,
            ClientError::NotConnected => Self::Lost,
            ClientError::Io(error) if is_absence(error.kind()) => Self::NotRunning(error),
            ClientError::Io(error) => Self::Io(error),
            ClientError::TooBig | ClientError::Handshake(_) | ClientError::Corrupt => {
                Self::Protocol(error.to_string())
            }
        }
    }
}

/// Whether it means that nobody listens.
fn is_absence(kind: io::ErrorKind) -> bool {
    kind == io::ErrorKind::ConnectionRefused || kind == io::ErrorKind::NotFound
}

impl From<DecodeError> for ConnectionError {
    fn from(error: DecodeError) -> Self {
        Self::Protocol(error.to_string())
    }
}

/// Linux error numbers that the daemon refuses connections with.
pub(crate) const EAGAIN: i32 = 11;
const EACCES: i32 = 13;

/// Defines a module's error: what its service may answer, and the rest.
macro_rules! service_error {
    ($(#[$doc:meta])* pub enum Error {
        $($(#[$variant_doc:meta])* $variant:ident = $code:ident, $text:literal;)*
    }) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub enum Error {
            $($(#[$variant_doc])* $variant,)*
            /// The daemon answers with an error that it should not have for this call.
            Other($crate::CsError),
            /// The daemon could not be asked, or did not answer.
            Connection($crate::ConnectionError),
        }

        impl Error {
            /// The code that the C library returns for it.
            #[must_use]
            pub const fn code(&self) -> $crate::CsError {
                match self {
                    $(Self::$variant => $crate::CsError::$code,)*
                    Self::Other(error) => *error,
                    Self::Connection(error) => error.code(),
                }
            }
        }

        impl From<$crate::CsError> for Error {
            fn from(error: $crate::CsError) -> Self {
                $(if error == $crate::CsError::$code {
                    return Self::$variant;
                })*
                Self::Other(error)
            }
        }

        impl From<$crate::ConnectionError> for Error {
            fn from(error: $crate::ConnectionError) -> Self {
                Self::Connection(error)
            }
        }

        impl core::fmt::Display for Error {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                match self {
                    $(Self::$variant => f.write_str($text),)*
                    Self::Other(error) => write!(f, "the cluster engine answered {error}"),
                    Self::Connection(error) => error.fmt(f),
                }
            }
        }

        impl std::error::Error for Error {}
    };
}

pub(crate) use service_error;

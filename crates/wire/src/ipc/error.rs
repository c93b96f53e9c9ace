//! How calls of clients end.

use core::fmt;

use crate::codec::DecodeError;
use crate::value::{BadKey, WrongValue};

/// Why a call failed (`cs_error_t` without `CS_OK`; corosync `include/corosync/corotypes.h`, v3.1.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i32)]
pub enum CsError {
    /// Something is wrong between client and daemon.
    Library = 2,
    /// The version asked for is not there.
    Version = 3,
    /// The library could not be set up.
    Init = 4,
    /// Time ran out.
    Timeout = 5,
    /// Not now; the same call may succeed later.
    TryAgain = 6,
    /// A parameter is wrong.
    InvalidParam = 7,
    /// Memory is short.
    NoMemory = 8,
    /// The handle names nothing.
    BadHandle = 9,
    /// Something else has to end first.
    Busy = 10,
    /// Not allowed.
    Access = 11,
    /// What was named is not there.
    NotExist = 12,
    /// A name is longer than its array, or is none.
    NameTooLong = 13,
    /// It is there already.
    Exist = 14,
    /// Space is short.
    NoSpace = 15,
    /// Something came in between.
    Interrupt = 16,
    /// The name means nothing.
    NameNotFound = 17,
    /// Resources are short.
    NoResources = 18,
    /// Nobody does that.
    NotSupported = 19,
    /// The operation does not fit the object.
    BadOperation = 20,
    /// The operation failed.
    FailedOperation = 21,
    /// A message does not fit the situation.
    MessageError = 22,
    /// A queue is full.
    QueueFull = 23,
    /// A queue is not there.
    QueueNotAvailable = 24,
    /// Flags contradict each other or are unknown.
    BadFlags = 25,
    /// A message is too big.
    TooBig = 26,
    /// An iteration is at its end.
    NoSections = 27,
    /// The context is not there.
    ContextNotFound = 28,
    /// Too many groups.
    TooManyGroups = 30,
    /// Keys or rights do not fit.
    Security = 100,
}

/// The code of success (`CS_OK`).
const OK: i32 = 1;

impl CsError {
    /// Every error, in the order of the codes.
    pub const ALL: [Self; 29] = [
        Self::Library,
        Self::Version,
        Self::Init,
        Self::Timeout,
        Self::TryAgain,
        Self::InvalidParam,
        Self::NoMemory,
        Self::BadHandle,
        Self::Busy,
        Self::Access,
        Self::NotExist,
        Self::NameTooLong,
        Self::Exist,
        Self::NoSpace,
        Self::Interrupt,
        Self::NameNotFound,
        Self::NoResources,
        Self::NotSupported,
        Self::BadOperation,
        Self::FailedOperation,
        Self::MessageError,
        Self::QueueFull,
        Self::QueueNotAvailable,
        Self::BadFlags,
        Self::TooBig,
        Self::NoSections,
        Self::ContextNotFound,
        Self::TooManyGroups,
        Self::Security,
    ];

    /// The error with this code; success is none.
    #[must_use]
    pub fn from_code(code: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|error| error.code() == code)
    }

    /// The error's code.
    #[must_use]
    pub const fn code(self) -> i32 {
        self as i32
    }

    /// The status that an error field states. A code that nobody defined is a [`CsError::Library`].
    pub fn status(code: i32) -> Result<(), Self> {
        if code == OK {
            Ok(())
        } else {
            Err(Self::from_code(code).unwrap_or(Self::Library))
        }
    }

    /// The code that states a status.
    #[must_use]
    pub const fn code_of(status: Result<(), Self>) -> i32 {
        match status {
            Ok(()) => OK,
            Err(error) => error.code(),
        }
    }

    /// The error's name in C, which corosync's tools print (corosync `common_lib/error_conversion.c:cs_strerror`,
    /// v3.1.7).
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Library => "CS_ERR_LIBRARY",
            Self::Version => "CS_ERR_VERSION",
            Self::Init => "CS_ERR_INIT",
            Self::Timeout => "CS_ERR_TIMEOUT",
            Self::TryAgain => "CS_ERR_TRY_AGAIN",
            Self::InvalidParam => "CS_ERR_INVALID_PARAM",
            Self::NoMemory => "CS_ERR_NO_MEMORY",
            Self::BadHandle => "CS_ERR_BAD_HANDLE",
            Self::Busy => "CS_ERR_BUSY",
            Self::Access => "CS_ERR_ACCESS",
            Self::NotExist => "CS_ERR_NOT_EXIST",
            Self::NameTooLong => "CS_ERR_NAME_TOO_LONG",
            Self::Exist => "CS_ERR_EXIST",
            Self::NoSpace => "CS_ERR_NO_SPACE",
            Self::Interrupt => "CS_ERR_INTERRUPT",
            Self::NameNotFound => "CS_ERR_NAME_NOT_FOUND",
            Self::NoResources => "CS_ERR_NO_RESOURCES",
            Self::NotSupported => "CS_ERR_NOT_SUPPORTED",
            Self::BadOperation => "CS_ERR_BAD_OPERATION",
            Self::FailedOperation => "CS_ERR_FAILED_OPERATION",
            Self::MessageError => "CS_ERR_MESSAGE_ERROR",
            Self::QueueFull => "CS_ERR_QUEUE_FULL",
            Self::QueueNotAvailable => "CS_ERR_QUEUE_NOT_AVAILABLE",
            Self::BadFlags => "CS_ERR_BAD_FLAGS",
            Self::TooBig => "CS_ERR_TOO_BIG",
            Self::NoSections => "CS_ERR_NO_SECTIONS",
            Self::ContextNotFound => "CS_ERR_CONTEXT_NOT_FOUND",
            Self::TooManyGroups => "CS_ERR_TOO_MANY_GROUPS",
            Self::Security => "CS_ERR_SECURITY",
        }
    }
}

impl fmt::Display for CsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl std::error::Error for CsError {}

/// What a client is told whose request does not decode: its name is too long, or some parameter is wrong.
///
/// In requests, only a group name's length can be [`DecodeError::TooMany`].
impl From<DecodeError> for CsError {
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::TooMany { .. } => Self::NameTooLong,
            DecodeError::Truncated { .. }
            | DecodeError::BadMagic(_)
            | DecodeError::BadVersion(_)
            | DecodeError::UnknownType(_)
            | DecodeError::BadValue { .. }
            | DecodeError::TrailingBytes(_) => Self::InvalidParam,
        }
    }
}

/// What a client is told that creates a key of this name (corosync `icmap.c:icmap_set_r`, v3.1.7).
impl From<BadKey> for CsError {
    fn from(_: BadKey) -> Self {
        Self::NameTooLong
    }
}

/// What a client is told that sets such a value (corosync `icmap.c:icmap_set_r`, v3.1.7).
impl From<WrongValue> for CsError {
    fn from(_: WrongValue) -> Self {
        Self::InvalidParam
    }
}

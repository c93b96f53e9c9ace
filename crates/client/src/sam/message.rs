//! What a program and its supervisor tell each other: a kind, a length of 4 bytes, and as many bytes.

use std::io::{self, Read, Write};

use super::{DATA_MAX, Warning};

/// What a program tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Request {
    /// It works from now on; answered when it may.
    Start,
    /// It does not work any more; answered.
    Stop,
    /// It is well.
    Alive,
    /// To be handed to the next instance; answered.
    Store(Vec<u8>),
    /// How to warn it; answered.
    WarnBy(Warning),
    /// It is not to be started again.
    MarkFailed,
}

impl Request {
    pub(super) fn encode(&self) -> Vec<u8> {
        let (kind, payload) = match self {
            Self::Start => (1, &[][..]),
            Self::Stop => (2, &[][..]),
            Self::Alive => (3, &[][..]),
            Self::Store(data) => (4, data.as_slice()),
            Self::WarnBy(warning) => (5, &[code(*warning)][..]),
            Self::MarkFailed => (6, &[][..]),
        };
        frame(kind, payload)
    }

    /// The first request in a buffer and its length there; `None` while it is not all there.
    ///
    /// # Errors
    /// It is none.
    pub(super) fn decode(bytes: &[u8]) -> io::Result<Option<(Self, usize)>> {
        let Some((head, rest)) = bytes.split_first_chunk::<HEAD>() else {
            return Ok(None);
        };
        let [kind, len @ ..] = *head;
        let len = length(len)?;
        let Some(payload) = rest.get(..len) else {
            return Ok(None);
        };
        let request = match (kind, payload) {
            (1, []) => Self::Start,
            (2, []) => Self::Stop,
            (3, []) => Self::Alive,
            (4, data) => Self::Store(data.to_vec()),
            (5, [number]) => Self::WarnBy(warning(*number).ok_or_else(malformed)?),
            (6, []) => Self::MarkFailed,
            _ => return Err(malformed()),
        };
        Ok(Some((request, HEAD + len)))
    }
}

/// The first thing that a program hears: which instance it is, and what the one before stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hello {
    pub(super) instance: u32,
    pub(super) data: Vec<u8>,
}

impl Hello {
    pub(super) fn write(&self, to: &mut impl Write) -> io::Result<()> {
        let payload = [&self.instance.to_le_bytes()[..], &self.data].concat();
        to.write_all(&frame(HELLO, &payload))
    }

    pub(super) fn read(from: &mut impl Read) -> io::Result<Self> {
        let mut head = [0; HEAD];
        from.read_exact(&mut head)?;
        let [kind, len @ ..] = head;
        let mut payload = vec![0; length(len)?];
        from.read_exact(&mut payload)?;
        let (instance, data) = payload.split_first_chunk().ok_or_else(malformed)?;
        if kind != HELLO {
            return Err(malformed());
        }
        Ok(Self {
            instance: u32::from_le_bytes(*instance),
            data: data.to_vec(),
        })
    }
}

fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).expect("payloads are bounded by DATA_MAX");
    [&[kind], &len.to_le_bytes()[..], payload].concat()
}

fn length(bytes: [u8; 4]) -> io::Result<usize> {
    let len = u32::from_le_bytes(bytes);
    let len = usize::try_from(len).ok().filter(|len| *len <= LEN_MAX);
    len.ok_or_else(malformed)
}

const fn code(warning: Warning) -> u8 {
    match warning {
        Warning::Terminate => 0,
        Warning::HangUp => 1,
        Warning::Interrupt => 2,
        Warning::User1 => 3,
        Warning::User2 => 4,
        Warning::Kill => 5,
    }
}

fn warning(number: u8) -> Option<Warning> {
    let all = [
        Warning::Terminate,
        Warning::HangUp,
        Warning::Interrupt,
        Warning::User1,
        Warning::User2,
        Warning::Kill,
    ];
    all.into_iter().find(|warning| code(*warning) == number)
}

fn malformed() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        "no message of a supervised program",
    )
}

/// The answer to a request.
pub(super) const DONE: u8 = 0;
const HELLO: u8 = 0x10;
const HEAD: usize = 5;
/// A hello has the instance besides the data.
const LEN_MAX: usize = DATA_MAX + 4;
/// A whole request.
pub(super) const REQUEST_MAX: usize = HEAD + LEN_MAX;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_come_back_piece_by_piece() {
        for request in [
            Request::Start,
            Request::Stop,
            Request::Alive,
            Request::Store(vec![1, 2, 3]),
            Request::WarnBy(Warning::User2),
            Request::MarkFailed,
        ] {
            let bytes = request.encode();
            for cut in 0..bytes.len() {
                assert_eq!(Request::decode(&bytes[..cut]).unwrap(), None, "{request:?}");
            }
            let len = bytes.len();
            assert_eq!(Request::decode(&bytes).unwrap(), Some((request, len)));
        }
    }

    #[test]
    fn what_is_no_request_is_refused() {
        for bytes in [
            &[9, 0, 0, 0, 0][..],
            &[1, 1, 0, 0, 0, 7],
            &[4, 255, 255, 255, 255],
            &[5, 1, 0, 0, 0, 77],
        ] {
            assert!(Request::decode(bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn a_hello_comes_back() {
        let hello = Hello {
            instance: 7,
            data: b"kept".to_vec(),
        };
        let mut bytes = Vec::new();
        hello.write(&mut bytes).unwrap();
        assert_eq!(Hello::read(&mut bytes.as_slice()).unwrap(), hello);
        assert!(Hello::read(&mut &bytes[..6]).is_err());
    }
}

//! Requests, answers and events over one connection.

use core::time::Duration;
use std::os::fd::BorrowedFd;
use std::thread;
use std::time::Instant;

use ferrosync_ipc::{Addresses, Client, ClientError, DEFAULT_MAX_MSG_SIZE};
use ferrosync_wire::ipc::{Answer, Body, CsError, ResponseHeader};
use ferrosync_wire::{Decode, DecodeError, Encode, Reader, Writer};

use crate::error::ConnectionError;

/// How to reach the daemon.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long a call may take, connecting included. 10 seconds by default; C's libraries wait without end.
    pub timeout: Duration,
    /// Where the daemon listens. By default where every program of this machine looks.
    pub addresses: Addresses,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(10),
            addresses: Addresses::of_this_machine(),
        }
    }
}

/// A connection to one service.
#[derive(Debug)]
pub(crate) struct Connection {
    client: Client,
    timeout: Duration,
    request: Vec<u8>,
    answer: Vec<u8>,
    event: Vec<u8>,
}

impl Connection {
    /// Connects; a daemon that is not ready yet is asked again until the time is over.
    pub(crate) fn open(service: &str, options: &Options) -> Result<Self, ConnectionError> {
        let patience = Patience::new(options.timeout);
        let client = patience.retry(|| {
            Client::connect_at(
                &options.addresses,
                service,
                DEFAULT_MAX_MSG_SIZE,
                patience.left(),
            )
            .map_err(ConnectionError::from)
        })?;
        Ok(Self {
            client,
            timeout: options.timeout,
            request: Vec::new(),
            answer: Vec::new(),
            event: Vec::new(),
        })
    }

    /// Asks, and waits for the answer. What the daemon refuses for the moment is asked again until the time is
    /// over.
    pub(crate) fn call<'a, T: Body<'a>, E>(&'a mut self, request: &impl Encode) -> Result<T, E>
    where
        E: From<CsError> + From<ConnectionError>,
    {
        let mut bytes = std::mem::take(&mut self.request);
        bytes.clear();
        request.encode(&mut Writer::new(&mut bytes));
        let answered = self.exchange(&[&bytes]);
        self.request = bytes;
        answered?;
        self.decode_answer()
    }

    /// As [`Self::call`], with a request that lies in pieces.
    pub(crate) fn call_parts<'a, T: Body<'a>, E>(&'a mut self, parts: &[&[u8]]) -> Result<T, E>
    where
        E: From<CsError> + From<ConnectionError>,
    {
        self.exchange(parts)?;
        self.decode_answer()
    }

    fn decode_answer<'a, T: Body<'a>, E>(&'a self) -> Result<T, E>
    where
        E: From<CsError> + From<ConnectionError>,
    {
        let answer = Answer::<T>::decode(&mut Reader::new(&self.answer));
        Ok(answer.map_err(ConnectionError::from)?.0?)
    }

    /// Leaves in `answer` the first answer that is not "try again".
    fn exchange(&mut self, parts: &[&[u8]]) -> Result<(), ConnectionError> {
        let patience = Patience::new(self.timeout);
        patience.retry(|| {
            let (client, answer) = (&mut self.client, &mut self.answer);
            client.request(parts, answer, patience.left())?;
            match status(answer)? {
                Err(CsError::TryAgain) => Err(ConnectionError::Busy),
                Ok(()) | Err(_) => Ok(()),
            }
        })
    }

    /// Sends what is not answered, without waiting; [`ConnectionError::Busy`] when it cannot be sent now.
    pub(crate) fn send(&mut self, parts: &[&[u8]]) -> Result<(), ConnectionError> {
        Ok(self.client.send(parts)?)
    }

    /// As [`Self::send`], but waits until it can be sent.
    pub(crate) fn send_patiently(&mut self, parts: &[&[u8]]) -> Result<(), ConnectionError> {
        Patience::new(self.timeout).retry(|| self.send(parts))
    }

    /// The next event, when one comes in time.
    pub(crate) fn event(&mut self, timeout: Duration) -> Result<Option<&[u8]>, ConnectionError> {
        match self.client.recv_event(&mut self.event, timeout) {
            Ok(()) => Ok(Some(&self.event)),
            Err(ClientError::TimedOut) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether multicasts are refused at the moment.
    pub(crate) fn is_held_back(&self) -> bool {
        self.client.flow_control() != 0
    }

    /// The longest message in bytes, its head included.
    pub(crate) const fn max_msg_size(&self) -> usize {
        self.client.max_msg_size() as usize
    }

    /// How long a call may take.
    pub(crate) const fn timeout(&self) -> Duration {
        self.timeout
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.client.fd()
    }
}

/// An end of waiting, and a way to wait that does not burn the processor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// None when it is beyond the clock's range.
    end: Option<Instant>,
}

impl Patience {
    pub(crate) fn new(timeout: Duration) -> Self {
        Self {
            end: Instant::now().checked_add(timeout),
        }
    }

    pub(crate) fn left(&self) -> Duration {
        self.end.map_or(Duration::MAX, |end| {
            end.saturating_duration_since(Instant::now())
        })
    }

    /// Tries again while the daemon is busy, at first soon, then every [`Self::PAUSE_MAX`].
    pub(crate) fn retry<T>(
        &self,
        mut attempt: impl FnMut() -> Result<T, ConnectionError>,
    ) -> Result<T, ConnectionError> {
        let mut pause = Self::PAUSE_MIN;
        loop {
            match attempt() {
                // What is asked last still needs time for its answer.
                Err(ConnectionError::Busy) if self.left() > Self::PAUSE_MAX * 2 => {
                    thread::sleep(pause);
                    pause = (pause * 2).min(Self::PAUSE_MAX);
                }
                result => return result,
            }
        }
    }

    const PAUSE_MIN: Duration = Duration::from_micros(200);
    const PAUSE_MAX: Duration = Duration::from_millis(10);
}

/// How an answer ends, whatever it holds.
fn status(answer: &[u8]) -> Result<Result<(), CsError>, DecodeError> {
    let header = ResponseHeader::decode(&mut Reader::new(answer))?;
    Ok(header.status)
}

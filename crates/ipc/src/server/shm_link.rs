//! Three rings in shared memory.

use core::sync::atomic::Ordering;
use std::io;

use super::RequestHead;
use super::link::{Broken, Front, LinkRequest, REQUEST_HEAD_LEN, Unsent, request_head};
use crate::files::{CHANNELS, ConnDir, NewConnDir, ring_file_names, ring_name};
use crate::handshake::{Accepted, Kind};
use crate::ring::{
    Chunk, Consumer, HEADER_FILE_LEN, HEADER_PATHS, HeaderWord, PATH_LEN, Producer, PushError,
    RingCorrupt, SharedMemory as _, data_file_len,
};
use crate::shm::{RingMap, page_size};

/// The server's ends of a connection's rings.
#[derive(Debug)]
pub(super) struct ShmLink {
    request: Consumer<RingMap>,
    response: Producer<RingMap>,
    event: Producer<RingMap>,
    front: Option<(Chunk, RequestHead)>,
    max_msg_size: usize,
    _dir: ConnDir,
}

impl ShmLink {
    pub(super) fn create(request: LinkRequest<'_>) -> io::Result<(Self, Accepted)> {
        let mut dir = NewConnDir::create(request.shm_dir, request.client, request.descriptor)?;
        let mut ring = |channel| create_ring(&mut dir, channel, &request);
        let [requests, responses, events] = CHANNELS;
        let (request_ring, request_name) = ring(requests)?;
        let (response_ring, response_name) = ring(responses)?;
        let (event_ring, event_name) = ring(events)?;
        let link = Self {
            request: Consumer::new(request_ring),
            response: Producer::new(response_ring),
            event: Producer::new(event_ring),
            front: None,
            max_msg_size: request.max_msg_size as usize,
            _dir: dir.hand_over()?,
        };
        let told = Accepted {
            kind: Kind::Shm,
            max_msg_size: request.max_msg_size,
            connection: request.connection,
            request: request_name,
            response: response_name,
            event: event_name,
        };
        Ok((link, told))
    }

    pub(super) fn front(&mut self) -> Result<Front, Broken> {
        if let Some((_, head)) = &self.front {
            return Ok(Front::Waiting(*head));
        }
        let Some(chunk) = self.request.peek()? else {
            return Ok(Front::Empty);
        };
        let front: Option<[u8; REQUEST_HEAD_LEN]> = self.request.front(&chunk);
        let head = front.and_then(|front| request_head(&front, chunk.len()));
        let head = head.ok_or(Broken)?;
        self.front = Some((chunk, head));
        Ok(Front::Waiting(head))
    }

    /// The client may have rewritten the header since it was looked at; what was decided on must be what is taken.
    pub(super) fn take(&mut self, into: &mut Vec<u8>) -> Result<(), Broken> {
        let (chunk, head) = self.front.take().ok_or(Broken)?;
        let (start, len) = (into.len(), chunk.len());
        self.request.take(chunk, into)?;
        if request_head(&into[start..], len) != Some(head) {
            return Err(Broken);
        }
        Ok(())
    }

    pub(super) fn respond(&mut self, parts: &[&[u8]]) -> Result<(), Unsent> {
        Ok(self.response.try_push(parts)?)
    }

    pub(super) fn event(&mut self, parts: &[&[u8]]) -> Result<(), Unsent> {
        // The client's buffer has this size; a longer message would fit into the ring and never be read.
        if parts.iter().map(|part| part.len()).sum::<usize>() > self.max_msg_size {
            return Err(Unsent::TooBig);
        }
        Ok(self.event.try_push(parts)?)
    }

    pub(super) fn has_room(&self, len: usize) -> Result<bool, Broken> {
        let worth_resuming = self.event.capacity() / RESUME_FRACTION;
        Ok(self.event.room()? >= len.max(worth_resuming))
    }

    pub(super) fn set_flow_control(&self, level: u32) {
        let word = self.request.memory().header(HeaderWord::User);
        word.store(level, Ordering::Release);
    }

    pub(super) fn queued_requests(&self) -> u32 {
        self.request.queued()
    }

    pub(super) fn queued_events(&self) -> u32 {
        self.event.queued()
    }

    pub(super) fn events_mark(&self) -> u32 {
        self.event.reader()
    }
}

impl Drop for ShmLink {
    /// Clients refuse to send to a ring whose count is not 2 (libqb `ipc_shm.c:qb_ipc_shm_fc_get`).
    fn drop(&mut self) {
        for memory in [
            self.request.memory(),
            self.response.memory(),
            self.event.memory(),
        ] {
            let users = memory.header(HeaderWord::RefCount);
            users.store(0, Ordering::Release);
        }
    }
}

impl From<RingCorrupt> for Broken {
    fn from(_: RingCorrupt) -> Self {
        Self
    }
}

impl From<PushError> for Unsent {
    fn from(error: PushError) -> Self {
        match error {
            PushError::Full => Self::Full,
            PushError::TooBig => Self::TooBig,
            PushError::Corrupt => Self::Broken,
        }
    }
}

fn create_ring(
    dir: &mut NewConnDir,
    channel: &str,
    request: &LinkRequest<'_>,
) -> io::Result<(RingMap, String)> {
    let data_len = data_file_len(request.max_msg_size, page_size());
    let [header_name, data_name] = ring_file_names(channel, request.service);
    let (header, header_path) = dir.create_file(&header_name, HEADER_FILE_LEN)?;
    let (data, data_path) = dir.create_file(&data_name, data_len)?;
    if header_path.len() >= PATH_LEN {
        return Err(io::ErrorKind::InvalidFilename.into());
    }
    let map = RingMap::new(&header, &data, data_len)?;
    let [header_at, data_at] = HEADER_PATHS;
    map.initialise([(header_at, &header_path), (data_at, &data_path)]);
    let name = dir.path_of(&ring_name(channel, request.service))?;
    Ok((map, name))
}

/// A full event ring is written again when a quarter of it is free: resuming at the first free byte would wake the
/// server once per message.
const RESUME_FRACTION: usize = 4;

//! Closed process groups: processes of the cluster that join a group see its messages and its membership in the
//! same order.
//!
//! What `libcpg` calls `cpg_*` is a method of [`Cpg`] here. Instead of callbacks, [`Cpg::dispatch`] returns
//! [`Event`]s. Zero-copy buffers are left out: they save a copy that shared memory makes cheap.
//!
//! Two processes of a group that both see two membership changes of the whole cluster saw the same messages in
//! between.

mod assembly;

use core::fmt;
use core::time::Duration;
use std::os::fd::{AsFd, BorrowedFd};

use ferrosync_wire::ipc::cpg::{
    Address, Event as WireEvent, Finalized, IterEnded, IterItem, IterStarted,
    JOIN_INITIAL_TOTEM_CONF, Joined, Left, LocalNode, Membership, PartSent, PieceKind, Reason,
    Request,
};
use ferrosync_wire::ipc::{CsError, Done, Handle, Number};
use ferrosync_wire::{Decode, GroupName, NodeId, Reader, RingId};

use crate::connection::{Connection, Options, Patience};
use crate::error::{ConnectionError, service_error};
use assembly::Assemblies;

pub use ferrosync_wire::ipc::cpg::IterScope;

/// A connection, which can be a member of one group.
#[derive(Debug)]
pub struct Cpg {
    connection: Connection,
    assemblies: Assemblies,
}

service_error! {
    /// Why a call failed. Unless said otherwise nothing was done, and the connection is as it was.
    pub enum Error {
        /// This connection has joined a group already, or this process has joined this group over another connection.
        AlreadyJoined = Exist, "a group is joined already";
        /// This connection is not a member of the group.
        NotJoined = NotExist, "the group is not joined";
        /// The membership changed while a long message was on its way: no member gets it. Send it again.
        Interrupted = Interrupt, "the membership changed in the middle of a long message";
        /// The message is longer than 4 GiB, or for [`Cpg::try_mcast`] longer than [`Cpg::atomic_max`].
        TooBig = TooBig, "the message is too long";
    }
}

/// A process of the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Process {
    /// Its node.
    pub node: NodeId,
    /// Its process id there.
    pub pid: u32,
}

/// What a connection is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Somebody sent the group a message.
    Message(Message),
    /// The membership of the group changed.
    Membership(Change),
    /// The membership of the cluster's ring changed.
    Ring(Ring),
}

/// A message to the group, this process's own ones included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The group.
    pub group: GroupName,
    /// Who sent it.
    pub sender: Process,
    /// What it says.
    pub data: Vec<u8>,
}

/// A change of the group's membership.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The group.
    pub group: GroupName,
    /// Who is in it now.
    pub members: Vec<Process>,
    /// Who came.
    pub joined: Vec<(Process, Cause)>,
    /// Who went.
    pub left: Vec<(Process, Cause)>,
}

/// The membership of the cluster's ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ring {
    /// The ring's identity.
    pub id: RingId,
    /// Its nodes.
    pub members: Vec<NodeId>,
}

/// Why a process came or went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It joined.
    Joined,
    /// It left.
    Left,
    /// Its node is gone.
    NodeDown,
    /// Its node came, and with it the process.
    NodeUp,
    /// It died.
    Died,
    /// The daemon gives another reason, or none.
    Unknown(u32),
}

impl Cpg {
    /// The longest message that travels in one piece where the daemon offers shared memory, in bytes.
    pub const ATOMIC_MAX: usize = (1 << 20) - Self::HEADS;
    /// Room for the heads that daemons put in front of a message.
    const HEADS: usize = 1024;

    /// Connects (`cpg_model_initialize`).
    ///
    /// # Errors
    /// [`Error::Connection`].
    pub fn connect(options: &Options) -> Result<Self, Error> {
        Ok(Self {
            connection: Connection::open("cpg", options)?,
            assemblies: Assemblies::default(),
        })
    }

    /// Joins a group (`cpg_join`). From the [`Event::Membership`] that names this process as joined on, messages
    /// are received. While this connection leaves another group, it waits.
    ///
    /// # Errors
    /// [`Error::AlreadyJoined`]. [`ConnectionError::Busy`] when the leaving took too long, and always from
    /// Corosync's own daemon when the connection left a group before: open another one.
    pub fn join(&mut self, group: &GroupName) -> Result<(), Error> {
        self.join_with(group, 0)
    }

    /// As [`Self::join`], and tells the ring's membership once, mostly right after the group's, but before it when
    /// another group changes first (`CPG_MODEL_V1_DELIVER_INITIAL_TOTEM_CONF`).
    ///
    /// # Errors
    /// As [`Self::join`].
    pub fn join_and_see_ring(&mut self, group: &GroupName) -> Result<(), Error> {
        self.join_with(group, JOIN_INITIAL_TOTEM_CONF)
    }

    fn join_with(&mut self, group: &GroupName, flags: u32) -> Result<(), Error> {
        let request = Request::Join {
            group: group.clone(),
            pid: std::process::id(),
            flags,
        };
        self.call_unless_busy(|connection| connection.call::<Joined, _>(&request).map(|Done| ()))
    }

    /// Leaves the group (`cpg_leave`). Events that were on their way still come, this process's own leaving last.
    ///
    /// # Errors
    /// [`Error::NotJoined`].
    pub fn leave(&mut self, group: &GroupName) -> Result<(), Error> {
        let pid = std::process::id();
        let group = group.clone();
        let request = Request::Leave { group, pid };
        self.call_unless_busy(|connection| connection.call::<Left, _>(&request).map(|Done| ()))
    }

    /// The daemon is busy while this connection's joining or leaving is on its way.
    fn call_unless_busy(
        &mut self,
        mut call: impl FnMut(&mut Connection) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let connection = &mut self.connection;
        Patience::new(connection.timeout()).retry(|| match call(connection) {
            Err(Error::Other(CsError::Busy)) => Err(ConnectionError::Busy),
            result => Ok(result),
        })?
    }

    /// Sends the group a message made of these parts (`cpg_mcast_joined`), waiting while the cluster is busy. It
    /// is delivered to this process too. A process that is in no group sends nothing, and is not told.
    ///
    /// Up to [`Self::atomic_max`] bytes the message is accepted with this call: every member gets it unless this
    /// node fails.
    ///
    /// # Errors
    /// [`ConnectionError::Busy`] when it could not be sent in time. For long messages also [`Error::Interrupted`],
    /// [`Error::NotJoined`]; what was sent of it reaches nobody.
    pub fn mcast(&mut self, parts: &[&[u8]]) -> Result<(), Error> {
        let len = length(parts);
        if len > self.atomic_max() {
            return self.mcast_pieces(parts, len);
        }
        let head = Request::mcast_head(AGREED, len);
        Ok(self.connection.send_patiently(&framed(&head, parts))?)
    }

    /// As [`Self::mcast`] for a message that travels in one piece, but does not wait: for programs that would
    /// rather do something else while [`Self::is_held_back`].
    ///
    /// # Errors
    /// [`ConnectionError::Busy`] when the cluster is busy now; [`Error::TooBig`] above [`Self::atomic_max`].
    pub fn try_mcast(&mut self, parts: &[&[u8]]) -> Result<(), Error> {
        let len = length(parts);
        if len > self.atomic_max() {
            return Err(Error::TooBig);
        }
        let head = Request::mcast_head(AGREED, len);
        Ok(self.connection.send(&framed(&head, parts))?)
    }

    /// Pieces are answered one by one. They do not follow the caller's parts as in C, which would send many small
    /// ones.
    fn mcast_pieces(&mut self, parts: &[&[u8]], len: usize) -> Result<(), Error> {
        let msglen = u32::try_from(len).map_err(|_| Error::TooBig)?;
        let atomic_max = self.atomic_max().max(1);
        let mut from = 0;
        while from < len {
            let to = len.min(from + atomic_max);
            let kind = if from == 0 {
                PieceKind::FIRST
            } else if to == len {
                PieceKind::LAST
            } else {
                PieceKind::CONTINUED
            };
            let head = Request::partial_mcast_head(AGREED, msglen, kind, to - from);
            let piece = framed(&head, &slices(parts, from, to));
            let Done = self.connection.call_parts::<PartSent, Error>(&piece)?;
            from = to;
        }
        Ok(())
    }

    /// The longest message that travels in one piece over this connection, in bytes; longer ones are sent in
    /// several (`cpg_max_atomic_msgsize_get`).
    #[must_use]
    pub fn atomic_max(&self) -> usize {
        let carried = self.connection.max_msg_size().saturating_sub(Self::HEADS);
        Self::ATOMIC_MAX.min(carried)
    }

    /// Whether multicasts have to wait at the moment: services synchronise, or the ring's queue is full.
    ///
    /// `cpg_flow_control_state_get` always says no; the C library learns of it when a call fails.
    #[must_use]
    pub fn is_held_back(&self) -> bool {
        self.connection.is_held_back()
    }

    /// Who is in a group (`cpg_membership_get`), whether this process is in it or not.
    ///
    /// # Errors
    /// [`Error::Connection`].
    pub fn membership(&mut self, group: &GroupName) -> Result<Vec<Process>, Error> {
        let group = group.clone();
        let Membership(members) = self
            .connection
            .call::<_, Error>(&Request::Membership { group })?;
        Ok(members.iter().map(Process::from).collect())
    }

    /// This node's id (`cpg_local_get`).
    ///
    /// # Errors
    /// [`Error::Connection`].
    pub fn local_node(&mut self) -> Result<NodeId, Error> {
        let Number(node) = self
            .connection
            .call::<LocalNode, Error>(&Request::LocalGet)?;
        Ok(NodeId(node))
    }

    /// Goes over the groups of the cluster, or their processes (`cpg_iteration_initialize`).
    ///
    /// # Errors
    /// [`Error::Connection`].
    pub fn iterate(&mut self, scope: IterScope) -> Result<Iteration<'_>, Error> {
        let request = Request::IterInit(scope);
        let Handle(handle) = self.connection.call::<IterStarted, Error>(&request)?;
        Ok(Iteration {
            connection: &mut self.connection,
            handle,
            state: IterationState::Going,
        })
    }

    /// The names of all groups.
    ///
    /// # Errors
    /// As [`Self::iterate`].
    pub fn groups(&mut self) -> Result<Vec<GroupName>, Error> {
        let names = self.iterate(IterScope::Names)?;
        names.map(|item| item.map(|item| item.group)).collect()
    }

    /// The next event (`cpg_dispatch`), when one comes in time. A zero timeout does not wait.
    ///
    /// # Errors
    /// [`Error::Connection`].
    pub fn dispatch(&mut self, timeout: Duration) -> Result<Option<Event>, Error> {
        let patience = Patience::new(timeout);
        loop {
            let Some(bytes) = self.connection.event(patience.left())? else {
                return Ok(None);
            };
            let event = WireEvent::decode(&mut Reader::new(bytes));
            let event = match event.map_err(ConnectionError::from)? {
                WireEvent::Deliver(message) => Some(Event::Message(Message {
                    group: message.group,
                    sender: Process {
                        node: message.nodeid,
                        pid: message.pid,
                    },
                    data: message.data.to_vec(),
                })),
                WireEvent::PartialDeliver(piece) => self.assemblies.take(piece).map(Event::Message),
                WireEvent::Confchg(change) => {
                    let change = Change {
                        group: change.group,
                        members: change.members.iter().map(Process::from).collect(),
                        joined: change.joined.iter().map(with_cause).collect(),
                        left: change.left.iter().map(with_cause).collect(),
                    };
                    self.assemblies.forget(change.left.iter().map(|(p, _)| *p));
                    Some(Event::Membership(change))
                }
                WireEvent::TotemConfchg(ring) => Some(Event::Ring(Ring {
                    id: ring.ring,
                    members: ring.members,
                })),
            };
            if event.is_some() {
                return Ok(event);
            }
        }
    }

    /// Says goodbye (`cpg_finalize`): unlike when the connection is merely dropped, the daemon has let go of it
    /// when this returns.
    ///
    /// # Errors
    /// [`Error::Connection`].
    pub fn close(mut self) -> Result<(), Error> {
        let Done = self
            .connection
            .call::<Finalized, Error>(&Request::Finalize)?;
        Ok(())
    }
}

impl AsFd for Cpg {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.connection.fd()
    }
}

/// Groups or processes, one by one, as they were when the iteration began.
#[derive(Debug)]
pub struct Iteration<'a> {
    connection: &'a mut Connection,
    handle: u64,
    state: IterationState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum IterationState {
    Going,
    /// At the end, or after a failure.
    Over,
}

/// What an iteration finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// A group.
    pub group: GroupName,
    /// A process of it, unless only names were asked for.
    pub process: Option<Process>,
}

impl Iterator for Iteration<'_> {
    type Item = Result<Found, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.state == IterationState::Over {
            return None;
        }
        let handle = self.handle;
        let item = self
            .connection
            .call::<IterItem, Error>(&Request::IterNext { handle });
        match item {
            Ok(item) => {
                let process = Process {
                    node: item.nodeid,
                    pid: item.pid,
                };
                Some(Ok(Found {
                    group: item.group,
                    process: (process.node != NodeId(0)).then_some(process),
                }))
            }
            Err(error) => {
                self.state = IterationState::Over;
                let is_end = matches!(error, Error::Other(CsError::NoSections));
                (!is_end).then_some(Err(error))
            }
        }
    }
}

impl Drop for Iteration<'_> {
    fn drop(&mut self) {
        let handle = self.handle;
        let request = Request::IterFinalize { handle };
        // If the daemon does not know it any more, all the better.
        let _forgotten: Result<Done<11>, Error> = self.connection.call::<IterEnded, _>(&request);
    }
}

impl From<&Address> for Process {
    fn from(address: &Address) -> Self {
        Self {
            node: address.nodeid,
            pid: address.pid,
        }
    }
}

impl From<Reason> for Cause {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::JOIN => Self::Joined,
            Reason::LEAVE => Self::Left,
            Reason::NODEDOWN => Self::NodeDown,
            Reason::NODEUP => Self::NodeUp,
            Reason::PROCDOWN => Self::Died,
            Reason(other) => Self::Unknown(other),
        }
    }
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.node, self.pid)
    }
}

fn with_cause(address: &Address) -> (Process, Cause) {
    (address.into(), address.reason.into())
}

/// A message's head, and what it is made of.
fn framed<'a>(head: &'a [u8], parts: &[&'a [u8]]) -> Vec<&'a [u8]> {
    let mut all = Vec::with_capacity(1 + parts.len());
    all.push(head);
    all.extend_from_slice(parts);
    all
}

fn length(parts: &[&[u8]]) -> usize {
    parts.iter().map(|part| part.len()).sum()
}

/// What lies between two offsets of the parts put together.
fn slices<'a>(parts: &[&'a [u8]], from: usize, to: usize) -> Vec<&'a [u8]> {
    let mut start = 0;
    let mut found = Vec::new();
    for part in parts {
        let (a, b) = (from.max(start), to.min(start + part.len()));
        if a < b {
            found.push(&part[a - start..b - start]);
        }
        start += part.len();
    }
    found
}

/// `CPG_TYPE_AGREED`, the only guarantee there is.
const AGREED: u32 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_cut_across_parts() {
        let parts: [&[u8]; 4] = [b"abc", b"", b"defg", b"h"];
        let cut = |from, to| slices(&parts, from, to).concat();
        assert_eq!(cut(0, 8), b"abcdefgh");
        assert_eq!(cut(2, 5), b"cde");
        assert_eq!(cut(7, 8), b"h");
        assert_eq!(slices(&parts, 3, 3), [b""; 0]);
        assert_eq!(length(&parts), 8);
    }

    #[test]
    fn errors_have_cs_codes() {
        assert!(matches!(Error::from(CsError::Exist), Error::AlreadyJoined));
        assert_eq!(Error::from(CsError::Security).code(), CsError::Security);
        let busy = Error::from(ConnectionError::Busy);
        assert_eq!(busy.code(), CsError::TryAgain);
    }
}

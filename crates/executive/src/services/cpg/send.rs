//! What clients send to their groups, and the leaves of those that are gone.

use std::time::Duration;

use ferrosync_totem::srp::QueueFull;
use ferrosync_wire::exec::Source;
use ferrosync_wire::exec::cpg::{Mcast, Message, PartialMcast, ProcChange, Reason};
use ferrosync_wire::ipc::CsError;
use ferrosync_wire::ipc::cpg::{PieceKind, Request};
use ferrosync_wire::{ConnId, GroupName, NodeId, Reader};

use super::Cpg;
use super::complaints::Complaint;
use super::connection::Seat;
use crate::service::Ctx;

/// Processes whose clients are gone, until the ring has brought their leaves.
///
/// Leaves wait while services synchronise: sent at once, as C does, they would overtake the process's last messages
/// and cross the join lists (`docs/deviations.md`, D-35). Each client leaves at most one behind.
#[derive(Debug, Default)]
pub(super) struct Departures(Vec<Departure>);

#[derive(Debug)]
struct Departure {
    seat: Seat,
    leave: Leave,
}

/// How far a leave has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leave {
    /// Still to be sent.
    Owed,
    /// On its way.
    Sent,
}

impl Departures {
    /// Whether a process is still leaving.
    pub(super) fn contains(&self, group: &GroupName, pid: u32) -> bool {
        let is_it = |d: &Departure| d.seat.pid == pid && d.seat.group == *group;
        self.0.iter().any(is_it)
    }

    fn add(&mut self, seat: Seat) {
        let leave = Leave::Owed;
        self.0.push(Departure { seat, leave });
    }

    /// The ring brought a leave of this node.
    pub(super) fn arrived(&mut self, change: &ProcChange) {
        let is_it = |d: &Departure| {
            d.leave == Leave::Sent && d.seat.pid == change.pid && d.seat.group == change.group
        };
        if let Some(at) = self.0.iter().position(is_it) {
            self.0.remove(at);
        }
    }
}

impl Cpg {
    /// A message of a client; there is no answer, so what cannot be sent can only be logged.
    pub(super) fn on_lib_mcast(&mut self, cx: &mut Ctx<'_>, conn: ConnId, data: &[u8]) {
        if let Err(error) = self.mcast(cx, conn, data) {
            self.complain_of(cx, conn, error);
        }
    }

    /// Sends a client's message to its group.
    ///
    /// # Errors
    ///
    /// Nothing was sent.
    pub(super) fn mcast(
        &mut self,
        cx: &mut Ctx<'_>,
        conn: ConnId,
        data: &[u8],
    ) -> Result<(), CsError> {
        let connection = self.connections.get(&conn).ok_or(CsError::BadHandle)?;
        let seat = connection.state.sender()?;
        let mcast = Mcast {
            group: seat.group.clone(),
            pid: seat.pid,
            source: source(cx, conn),
            data: checked(data)?,
        };
        self.put(cx, &[&mcast.head(), data])
    }

    /// Sends a piece of a client's message to its group.
    ///
    /// # Errors
    ///
    /// Nothing was sent.
    pub(super) fn partial_mcast(
        &mut self,
        cx: &mut Ctx<'_>,
        conn: ConnId,
        piece: Piece<'_>,
    ) -> Result<(), CsError> {
        let connection = self.connections.get_mut(&conn).ok_or(CsError::BadHandle)?;
        let seat = connection.decide_piece(piece.kind)?;
        let mcast = PartialMcast {
            group: seat.group.clone(),
            msglen: piece.msglen,
            pid: seat.pid,
            kind: piece.kind,
            source: source(cx, conn),
            data: checked(piece.data)?,
        };
        let sent = self.put(cx, &[&mcast.head(), piece.data]);
        if let Err(error) = sent {
            self.complain_of(cx, conn, error);
        }
        sent
    }

    /// The host read what a client put into shared memory: a whole request whose header means nothing.
    pub(super) fn on_zero_copy_read(
        &mut self,
        cx: &mut Ctx<'_>,
        conn: ConnId,
        message: Result<&[u8], CsError>,
    ) {
        let sent = message
            .and_then(zero_copy_data)
            .and_then(|data| self.mcast(cx, conn, data));
        super::request::answer_execute(cx, conn, sent);
    }

    /// Sends what tells of a process joining or leaving.
    pub(super) fn put_change(
        &mut self,
        cx: &mut Ctx<'_>,
        seat: &Seat,
        change: Change,
    ) -> Result<(), CsError> {
        if cx.is_syncing() {
            return Err(CsError::TryAgain);
        }
        cx.mcast(&change.message(seat)).map_err(try_again)
    }

    /// Requests were let through only while there was room and no synchronisation, but for those that no message
    /// is long enough for.
    fn put(&mut self, cx: &mut Ctx<'_>, parts: &[&[u8]]) -> Result<(), CsError> {
        if cx.is_syncing() {
            return Err(CsError::TryAgain);
        }
        cx.mcast_parts(parts).map_err(try_again)
    }

    /// A client's process is gone.
    pub(super) fn depart(&mut self, cx: &mut Ctx<'_>, seat: Seat) {
        self.departures.add(seat);
        self.send_departures(cx);
    }

    /// Sends the leaves that are owed, as far as there is room.
    pub(super) fn send_departures(&mut self, cx: &mut Ctx<'_>) {
        if cx.is_syncing() {
            return; // comes again when that is over
        }
        let owed = self.departures.0.iter_mut();
        for departure in owed.filter(|d| d.leave == Leave::Owed) {
            if cx.mcast(&Change::Down.message(&departure.seat)).is_err() {
                return cx.set_timer(RETRY, cx.now() + RETRY_AFTER);
            }
            departure.leave = Leave::Sent;
        }
    }

    fn complain_of(&mut self, cx: &mut Ctx<'_>, conn: ConnId, error: CsError) {
        self.complaints.log(cx, Complaint::CannotSend, || {
            format!("*** {} can't mcast, error:{}", conn.0, error.code())
        });
    }
}

/// A piece of a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece<'a> {
    /// Bytes of the whole message.
    pub(super) msglen: u32,
    pub(super) kind: PieceKind,
    pub(super) data: &'a [u8],
}

/// What happens to a process of this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// It joins.
    Join,
    /// It leaves.
    Leave,
    /// It is gone.
    Down,
}

impl Change {
    fn message(self, seat: &Seat) -> Message<'static> {
        let change = |reason| ProcChange {
            group: seat.group.clone(),
            pid: seat.pid,
            reason,
        };
        match self {
            Self::Join => Message::ProcJoin(change(Reason::JOIN)),
            Self::Leave => Message::ProcLeave(change(Reason::LEAVE)),
            Self::Down => Message::ProcLeave(change(Reason::PROCDOWN)),
        }
    }
}

const fn source(cx: &Ctx<'_>, conn: ConnId) -> Source {
    let nodeid: NodeId = cx.me();
    Source {
        nodeid,
        conn: conn.0,
    }
}

const fn checked(data: &[u8]) -> Result<&[u8], CsError> {
    if data.len() > MESSAGE_MAX {
        Err(CsError::TooBig)
    } else {
        Ok(data)
    }
}

/// The data in a request of which only the length can be trusted, and that not far.
fn zero_copy_data(request: &[u8]) -> Result<&[u8], CsError> {
    let (head, data) = request
        .split_at_checked(Request::MCAST_HEAD)
        .ok_or(CsError::InvalidParam)?;
    let mut msglen = Reader::new(&head[MSGLEN_AT..]);
    let msglen = msglen.u32("msglen").map_err(|_| CsError::InvalidParam)?;
    let msglen = usize::try_from(msglen).map_err(|_| CsError::InvalidParam)?;
    data.get(..msglen).ok_or(CsError::InvalidParam)
}

const fn try_again(_: QueueFull) -> CsError {
    CsError::TryAgain
}

/// The longest message, and the longest piece of one (`ipc_cpg.h: IPC_REQUEST_SIZE`, v3.1.7).
pub(super) const MESSAGE_MAX: usize = 1 << 20;

/// Where `struct req_lib_cpg_mcast` has its `msglen`.
const MSGLEN_AT: usize = 32;

/// The timer for leaves that found no room.
const RETRY: u32 = 0;
/// As often as C looks whether a full queue has room again (`ipc_glue.c`, v3.1.7).
const RETRY_AFTER: Duration = Duration::from_millis(1);

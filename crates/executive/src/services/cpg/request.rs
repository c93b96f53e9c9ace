//! What clients ask (`include/corosync/ipc_cpg.h`, v3.1.7).

use ferrosync_wire::ipc::cpg::{
    Finalized, IterEnded, IterItem, IterScope, IterStarted, JOIN_INITIAL_TOTEM_CONF, Joined, Left,
    LocalNode, Membership, PartSent, Request, Sent, ZeroCopyDone,
};
use ferrosync_wire::ipc::{Answer, Body, CsError, Handle, Number, RequestHeader, ResponseHeader};
use ferrosync_wire::{ConnId, Decode, GroupName, Reader};

use super::connection::{Connection, Holder, Seat, State, Told, TotemConf};
use super::groups::Groups;
use super::notify::MEMBERS_MAX;
use super::send::{Change, Piece};
use super::{Cpg, log};
use crate::log::Priority;
use crate::output::HostRequest;
use crate::service::Ctx;

impl Cpg {
    /// A request that was let through.
    pub(super) fn on_request(&mut self, cx: &mut Ctx<'_>, conn: ConnId, message: &[u8]) {
        match Request::decode(&mut Reader::new(message)) {
            Ok(request) => self.answer(cx, conn, request),
            Err(error) => refuse(cx, conn, message, error.into()),
        }
    }

    fn answer(&mut self, cx: &mut Ctx<'_>, conn: ConnId, request: Request<'_>) {
        match request {
            Request::Mcast { data, .. } => self.on_lib_mcast(cx, conn, data),
            Request::PartialMcast {
                msglen, kind, data, ..
            } => {
                let piece = Piece { msglen, kind, data };
                let sent = self.partial_mcast(cx, conn, piece);
                cx.respond(conn, &Answer::<PartSent>::from(sent));
            }
            Request::Join { group, pid, flags } => {
                let joined = self.join(cx, conn, Seat { group, pid }, flags);
                cx.respond(conn, &Answer::<Joined>::from(joined));
            }
            Request::Leave { group, .. } => {
                let left = self.leave(cx, conn, &group);
                cx.respond(conn, &Answer::<Left>::from(left));
            }
            Request::Finalize => {
                self.stop_telling(conn);
                cx.respond(conn, &Answer::<Finalized>::from(Ok(())));
            }
            Request::Membership { group } => {
                let members = self.groups.members(&group).take(MEMBERS_MAX).collect();
                cx.respond(conn, &Answer(Ok(Membership(members))));
            }
            Request::LocalGet => {
                let me: LocalNode = Number(cx.me().0);
                cx.respond(conn, &Answer(Ok(me)));
            }
            Request::IterInit(scope) => self.iterate(cx, conn, &scope),
            Request::IterNext { handle } => {
                let item = self.own(conn).and_then(|c| c.iterations.next(handle));
                cx.respond(conn, &Answer(item));
            }
            Request::IterFinalize { handle } => {
                let ended = self.own(conn).and_then(|c| c.iterations.end(handle));
                cx.respond(conn, &Answer::<IterEnded>::from(ended));
            }
            Request::ZeroCopyAlloc { .. }
            | Request::ZeroCopyFree { .. }
            | Request::ZeroCopyExecute { .. } => self.zero_copy(cx, conn, &request),
        }
    }

    /// Whether a client may join, and the first half of doing it; the other follows when the ring brings it back.
    fn join(
        &mut self,
        cx: &mut Ctx<'_>,
        conn: ConnId,
        seat: Seat,
        flags: u32,
    ) -> Result<(), CsError> {
        let holder = self.holder(cx, conn, &seat);
        let connection = self.own(conn)?;
        if connection.told == Told::Finalized {
            return Err(CsError::BadHandle);
        }
        connection.state.decide_join(holder)?;
        self.decide_room(cx, &seat.group)?;
        self.put_change(cx, &seat, Change::Join)?;
        let connection = self.own(conn)?;
        connection.state = State::JoinStarted(seat);
        let wanted = flags & JOIN_INITIAL_TOTEM_CONF != 0;
        if wanted && connection.totem_conf == TotemConf::NotWanted {
            connection.totem_conf = TotemConf::Owed;
            self.totem_conf_owed.insert(conn);
        }
        Ok(())
    }

    /// Who has a seat on this node.
    fn holder(&self, cx: &Ctx<'_>, conn: ConnId, seat: &Seat) -> Holder {
        let mut holders = self.connections.iter();
        if let Some((id, holder)) = holders.find(|(_, c)| c.state.seat() == Some(seat)) {
            return match (&holder.state, holder.told) {
                _ if *id == conn => Holder::Itself,
                (State::LeaveStarted(_), _) | (_, Told::Finalized) => Holder::Leaving,
                (State::Unjoined | State::JoinStarted(_) | State::JoinCompleted(_), Told::Yes) => {
                    Holder::Other
                }
            };
        }
        let is_known = self.groups.contains(&seat.group, cx.me(), seat.pid);
        if is_known || self.departures.contains(&seat.group, seat.pid) {
            Holder::Leaving
        } else {
            Holder::Nobody
        }
    }

    /// A group has no more members than clients have room for, and this node no more processes than fit into one
    /// join list. C writes over the ends of its arrays (`docs/deviations.md`, D-31).
    fn decide_room(&self, cx: &Ctx<'_>, group: &GroupName) -> Result<(), CsError> {
        let members = self.groups.get(group).map_or(0, |g| g.len());
        let own = self.groups.processes_on(cx.me()).count();
        let joining = self.connections.values();
        let joining = joining.filter(|c| matches!(c.state, State::JoinStarted(_)));
        let fits = members < MEMBERS_MAX
            && own + joining.count() < OWN_PROCESSES_MAX
            && self.groups.len() < Groups::PROCESSES_MAX;
        if fits {
            Ok(())
        } else {
            Err(CsError::NoResources)
        }
    }

    /// The first half of leaving.
    fn leave(&mut self, cx: &mut Ctx<'_>, conn: ConnId, group: &GroupName) -> Result<(), CsError> {
        let seat = self.own(conn)?.state.decide_leave(group)?.clone();
        self.put_change(cx, &seat, Change::Leave)?;
        self.own(conn)?.state = State::LeaveStarted(seat);
        Ok(())
    }

    /// A client is gone, with or without a goodbye. C forgets those in a group without a name
    /// (`docs/deviations.md`, D-39).
    pub(super) fn on_disconnect(&mut self, cx: &mut Ctx<'_>, conn: ConnId) {
        self.stop_telling(conn);
        let Some(connection) = self.connections.remove(&conn) else {
            return;
        };
        match connection.state {
            State::JoinStarted(seat) | State::JoinCompleted(seat) => self.depart(cx, seat),
            State::Unjoined | State::LeaveStarted(_) => {}
        }
    }

    fn iterate(&mut self, cx: &mut Ctx<'_>, conn: ConnId, scope: &IterScope) {
        log(cx, Priority::Debug, "cpg iteration initialize");
        let started = match self.connections.get_mut(&conn) {
            Some(connection) => connection.iterations.start(&self.groups, scope),
            None => Err(CsError::BadHandle),
        };
        let started: Answer<IterStarted> = Answer(started.map(Handle));
        cx.respond(conn, &started);
    }

    /// Only the host can look into a client's memory. Its answers come back through
    /// [`crate::service::Service::zero_copy_mapped`] and its like.
    fn zero_copy(&mut self, cx: &mut Ctx<'_>, conn: ConnId, request: &Request<'_>) {
        match *request {
            Request::ZeroCopyAlloc { map_size, path } => {
                log(
                    cx,
                    Priority::Debug,
                    format!("path: {}", path.escape_ascii()),
                );
                let path = path.to_vec();
                let size = map_size;
                cx.ask(HostRequest::ZeroCopyAlloc { conn, path, size });
            }
            Request::ZeroCopyFree {
                map_size: size,
                server_address: address,
            } => cx.ask(HostRequest::ZeroCopyFree {
                conn,
                address,
                size,
            }),
            Request::ZeroCopyExecute {
                server_address: address,
            } => {
                let may_send = self.own(conn).and_then(|c| c.state.sender().map(drop));
                match may_send {
                    Ok(()) => cx.ask(HostRequest::ZeroCopyExecute { conn, address }),
                    Err(error) => answer_execute(cx, conn, Err(error)),
                }
            }
            Request::Join { .. }
            | Request::Leave { .. }
            | Request::Mcast { .. }
            | Request::Membership { .. }
            | Request::LocalGet
            | Request::IterInit(_)
            | Request::IterNext { .. }
            | Request::IterFinalize { .. }
            | Request::Finalize
            | Request::PartialMcast { .. } => unreachable!("not a zero copy request"),
        }
    }

    fn own(&mut self, conn: ConnId) -> Result<&mut Connection, CsError> {
        self.connections.get_mut(&conn).ok_or(CsError::BadHandle)
    }
}

/// Answers a request that does not decode. Every answer has its full length, since libcpg reads it all.
fn refuse(cx: &mut Ctx<'_>, conn: ConnId, message: &[u8], error: CsError) {
    let header = RequestHeader::decode(&mut Reader::new(message));
    match header.map_or(-1, |h| h.id) {
        0 => respond_failed::<Joined>(cx, conn, error),
        1 => respond_failed::<Left>(cx, conn, error),
        2 => log(
            cx,
            Priority::Warning,
            format!("*** {} can't mcast, {error}", conn.0),
        ),
        3 => respond_failed::<Membership>(cx, conn, error),
        4 => respond_failed::<LocalNode>(cx, conn, error),
        5 => respond_failed::<IterStarted>(cx, conn, error),
        6 => respond_failed::<IterItem>(cx, conn, error),
        7 => respond_failed::<IterEnded>(cx, conn, error),
        8 => respond_failed::<Finalized>(cx, conn, error),
        9 | 10 => respond_failed::<ZeroCopyDone>(cx, conn, error),
        11 => respond_failed::<Sent>(cx, conn, error),
        12 => respond_failed::<PartSent>(cx, conn, error),
        _ => cx.respond_bytes(conn, &ResponseHeader::refusal(error)),
    }
}

fn respond_failed<T: for<'a> Body<'a>>(cx: &mut Ctx<'_>, conn: ConnId, error: CsError) {
    cx.respond(conn, &Answer::<T>(Err(error)));
}

/// Answers an allocation or its end. C leaves the error unset, libcpg does not look, and an allocation that fails
/// ends C's daemon (`docs/deviations.md`, D-40).
pub(super) fn answer_zero_copy(cx: &mut Ctx<'_>, conn: ConnId, done: Result<(), CsError>) {
    cx.respond(conn, &Answer::<ZeroCopyDone>::from(done));
}

/// Answers the sending of a message in shared memory.
pub(super) fn answer_execute(cx: &mut Ctx<'_>, conn: ConnId, sent: Result<(), CsError>) {
    cx.respond(conn, &Answer::<Sent>::from(sent));
}

/// Most processes of this node in groups: as many as a join list of one message holds.
pub(super) const OWN_PROCESSES_MAX: usize = 4_096;

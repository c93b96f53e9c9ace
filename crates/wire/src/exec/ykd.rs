//! The quorum provider `corosync_ykd` (corosync `exec/vsf_ykd.c`, v3.1.7).
//!
//! These messages travel to [`crate::pg::Group::Ykd`] and have a header of their own: `id i32@0`.

use crate::codec::{Decode, DecodeError, Encode, Reader, Writer};
use crate::ids::NodeId;

/// Most members of a session, and most sessions in a list (`YKD_PROCESSOR_COUNT_MAX`).
pub const MEMBERS_MAX: usize = 32;

/// One message of the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// 0: what the sender remembers, 8,856 bytes with the id (`struct ykd_state`).
    State(Box<State>),
    /// 1: the sender has everybody's state and finds that the members may act. The id is all there is.
    Attempt,
}

/// What a node remembers of primary components.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// The last one that it was in.
    pub last_primary: Session,
    /// C sends none.
    pub last_formed: Vec<Session>,
    /// Those that it tried to form and does not know whether somebody did.
    pub ambiguous: Vec<Session>,
    /// Number of the session that it tried to form last.
    pub session_id: i32,
}

/// A primary component (`struct ykd_session`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Session {
    /// Its members, at most [`MEMBERS_MAX`].
    pub members: Vec<NodeId>,
    /// Its number.
    pub id: i32,
}

impl Decode<'_> for Message {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match r.u32("ykd message id")? {
            STATE => Ok(Self::State(Box::new(State::decode(r)?))),
            ATTEMPT => Ok(Self::Attempt),
            _ => Err(DecodeError::BadValue {
                what: "ykd message id",
            }),
        }
    }
}

impl Encode for Message {
    fn encode(&self, w: &mut Writer<'_>) {
        match self {
            Self::State(state) => {
                w.u32(STATE);
                state.encode(w);
            }
            Self::Attempt => w.u32(ATTEMPT),
        }
    }
}

impl Decode<'_> for State {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            last_primary: Session::decode(r)?,
            last_formed: get_sessions(r, "formed sessions")?,
            ambiguous: get_sessions(r, "ambiguous sessions")?,
            session_id: r.i32("session id")?,
        })
    }
}

impl Encode for State {
    fn encode(&self, w: &mut Writer<'_>) {
        self.last_primary.encode(w);
        put_sessions(w, &self.last_formed);
        put_sessions(w, &self.ambiguous);
        w.i32(self.session_id);
    }
}

impl Decode<'_> for Session {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut members = [NodeId(0); MEMBERS_MAX];
        for member in &mut members {
            *member = NodeId(r.u32("session members")?);
        }
        let count = get_count(r, "session members")?;
        Ok(Self {
            members: members[..count].to_vec(),
            id: r.i32("session id")?,
        })
    }
}

impl Encode for Session {
    fn encode(&self, w: &mut Writer<'_>) {
        let members = &self.members[..self.members.len().min(MEMBERS_MAX)];
        for member in members {
            w.u32(member.0);
        }
        w.zeros(4 * (MEMBERS_MAX - members.len()));
        put_count(w, members.len());
        w.i32(self.id);
    }
}

/// All places of the list are on the wire, the used ones first.
fn get_sessions(r: &mut Reader<'_>, what: &'static str) -> Result<Vec<Session>, DecodeError> {
    let places = r.bytes(MEMBERS_MAX * SESSION_SIZE, what)?;
    let count = get_count(r, what)?;
    let used = places.chunks_exact(SESSION_SIZE).take(count);
    used.map(|place| Session::decode(&mut Reader::new(place)))
        .collect()
}

fn put_sessions(w: &mut Writer<'_>, sessions: &[Session]) {
    let sessions = &sessions[..sessions.len().min(MEMBERS_MAX)];
    for session in sessions {
        session.encode(w);
    }
    w.zeros(SESSION_SIZE * (MEMBERS_MAX - sessions.len()));
    put_count(w, sessions.len());
}

/// C believes any count and writes beyond its arrays.
fn get_count(r: &mut Reader<'_>, what: &'static str) -> Result<usize, DecodeError> {
    let count = r.u32(what)?;
    match usize::try_from(count) {
        Ok(fits) if fits <= MEMBERS_MAX => Ok(fits),
        Ok(_) | Err(_) => Err(DecodeError::TooMany {
            what,
            count,
            max: crate::aligned::len32(MEMBERS_MAX),
        }),
    }
}

fn put_count(w: &mut Writer<'_>, count: usize) {
    w.u32(crate::aligned::len32(count));
}

const STATE: u32 = 0;
const ATTEMPT: u32 = 1;
const SESSION_SIZE: usize = 4 * MEMBERS_MAX + 8;

//! The quorum provider `ferrosync_ykd`: what its nodes tell each other and keep on disk.
//!
//! Sent to [`crate::pg::Group::FerrosyncYkd`], which C nodes ignore. All numbers are little endian; a list is its length,
//! a `u32`, and its elements.

use crate::codec::{Decode, DecodeError, Encode, Reader, Writer};
use crate::ids::{NodeId, RingId};

/// One message: `format u32@0, ring id 12@4`, then a [`State`] where the format is 3 and nothing where it is 2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The ring for which it holds.
    pub ring: RingId,
    /// What it says.
    pub content: Content,
}

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// What the sender brings along.
    State(State),
    /// The sender has everybody's state, finds that the members may act, and has that on disk.
    Attempt,
}

/// What a node brings to a ring: the list of nodes, `anew u32`, and a [`Memory`] where that is 0 and nothing where it
/// is 1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// The nodes of its nodelist, ascending.
    pub listed: Vec<NodeId>,
    /// What it remembers; `None` of a node that is anew: it may have forgotten anything, so that what it does not
    /// know proves nothing.
    pub memory: Option<Memory>,
}

/// What a node remembers of primary components: `session u64@0`, the last primary session, the list of ambiguous
/// sessions, the list of formed ones, each with its list of nodes, and `since u64`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Number of the session that it tried to form last.
    pub session: u64,
    /// The last one that was formed, as far as it knows.
    pub last_primary: Session,
    /// Those that it tried to form and does not know whether somebody did.
    pub ambiguous: Vec<Session>,
    /// The last ones that it formed with other nodes.
    pub formed: Vec<Formed>,
    /// Number of the session with which the memory begins, not above [`Self::session`]. What the node tried or formed
    /// before, it may have forgotten.
    pub since: u64,
}

/// A primary component: `number u64@0`, the list of members, a `u32` each.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Session {
    /// Higher ones are later. Those that were only tried may have the same.
    pub number: u64,
    /// Its members, ascending; one at least.
    pub members: Vec<NodeId>,
}

/// The last session with some nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Formed {
    /// The session.
    pub session: Session,
    /// Those of its members with whom no later one was formed.
    pub with: Vec<NodeId>,
}

/// Most elements of a list: no cluster has more nodes.
pub const LIST_MAX: u32 = 1_024;

impl Decode<'_> for Message {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let what = "message format";
        let format = r.u32(what)?;
        let ring = RingId::decode(r)?;
        let content = match format {
            STATE => Content::State(State::decode(r)?),
            ATTEMPT => Content::Attempt,
            _ => return Err(DecodeError::BadValue { what }),
        };
        Ok(Self { ring, content })
    }
}

impl Encode for Message {
    fn encode(&self, w: &mut Writer<'_>) {
        w.u32(match &self.content {
            Content::State(_) => STATE,
            Content::Attempt => ATTEMPT,
        });
        self.ring.encode(w);
        if let Content::State(state) = &self.content {
            state.encode(w);
        }
    }
}

impl Decode<'_> for State {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let listed = get_nodes(r, "nodelist")?;
        let what = "whether a node is anew";
        let memory = match r.u32(what)? {
            REMEMBERS => Some(Memory::decode(r)?),
            ANEW => None,
            _ => return Err(DecodeError::BadValue { what }),
        };
        Ok(Self { listed, memory })
    }
}

impl Encode for State {
    fn encode(&self, w: &mut Writer<'_>) {
        put_list(w, &self.listed, |node, w| w.u32(node.0));
        match &self.memory {
            Some(memory) => {
                w.u32(REMEMBERS);
                memory.encode(w);
            }
            None => w.u32(ANEW),
        }
    }
}

impl Decode<'_> for Memory {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let memory = Self {
            session: r.u64("session")?,
            last_primary: Session::decode(r)?,
            ambiguous: get_list(r, "ambiguous sessions", Session::decode)?,
            formed: get_list(r, "formed sessions", Formed::decode)?,
            since: r.u64("since")?,
        };
        if memory.since > memory.session {
            return Err(DecodeError::BadValue { what: "since" });
        }
        Ok(memory)
    }
}

impl Encode for Memory {
    fn encode(&self, w: &mut Writer<'_>) {
        w.u64(self.session);
        self.last_primary.encode(w);
        put_list(w, &self.ambiguous, Session::encode);
        put_list(w, &self.formed, Formed::encode);
        w.u64(self.since);
    }
}

impl Decode<'_> for Session {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (number, what) = (r.u64("session number")?, "session members");
        let members = get_nodes(r, what)?;
        if members.is_empty() {
            return Err(DecodeError::BadValue { what });
        }
        Ok(Self { number, members })
    }
}

impl Encode for Session {
    fn encode(&self, w: &mut Writer<'_>) {
        w.u64(self.number);
        put_list(w, &self.members, |node, w| w.u32(node.0));
    }
}

impl Decode<'_> for Formed {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            session: Session::decode(r)?,
            with: get_nodes(r, "nodes of a formed session")?,
        })
    }
}

impl Encode for Formed {
    fn encode(&self, w: &mut Writer<'_>) {
        self.session.encode(w);
        put_list(w, &self.with, |node, w| w.u32(node.0));
    }
}

/// Ascending, each once.
fn get_nodes(r: &mut Reader<'_>, what: &'static str) -> Result<Vec<NodeId>, DecodeError> {
    let nodes = get_list(r, what, |r| r.u32(what).map(NodeId))?;
    if nodes.is_sorted_by(|a, b| a < b) {
        Ok(nodes)
    } else {
        Err(DecodeError::BadValue { what })
    }
}

fn get_list<'a, T>(
    r: &mut Reader<'a>,
    what: &'static str,
    get: impl Fn(&mut Reader<'a>) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    let (count, max) = (r.u32(what)?, LIST_MAX);
    if count > max {
        return Err(DecodeError::TooMany { what, count, max });
    }
    (0..count).map(|_| get(r)).collect()
}

fn put_list<T>(w: &mut Writer<'_>, list: &[T], put: impl Fn(&T, &mut Writer<'_>)) {
    w.u32(crate::aligned::len32(list.len()));
    for element in list {
        put(element, w);
    }
}

const ATTEMPT: u32 = 2;
const STATE: u32 = 3;

const REMEMBERS: u32 = 0;
const ANEW: u32 = 1;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{REP, RING, SEQ, bodies, pin, survives};

    fn session(number: u64, members: &[u32]) -> Session {
        Session {
            number,
            members: members.iter().copied().map(NodeId).collect(),
        }
    }

    fn message(content: Content) -> Message {
        Message {
            ring: RING,
            content,
        }
    }

    fn memory() -> Memory {
        Memory {
            session: 0x21,
            last_primary: session(0x22, &[1, 2]),
            ambiguous: vec![session(0x23, &[3])],
            formed: vec![Formed {
                session: session(0x24, &[4]),
                with: vec![NodeId(4)],
            }],
            since: 0x20,
        }
    }

    #[test]
    fn messages_have_their_layout() {
        let (listed, memory) = (vec![NodeId(6), NodeId(7)], Some(memory()));
        let state = message(Content::State(State { listed, memory }));
        let fields: &[(usize, &[u8])] = &[
            (0, &[3]),
            (4, REP),
            (8, SEQ),
            (16, &[2, 0, 0, 0, 6, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0]),
            (32, &[0x21]),
            (40, &[0x22]),
            (48, &[2, 0, 0, 0, 1, 0, 0, 0, 2]),
            (60, &[1]),
            (64, &[0x23]),
            (72, &[1, 0, 0, 0, 3]),
            (80, &[1]),
            (84, &[0x24]),
            (92, &[1, 0, 0, 0, 4]),
            (100, &[1, 0, 0, 0, 4, 0, 0, 0]),
            (108, &[0x20]),
        ];
        pin!(Message, state, 116, fields);
        let (listed, memory) = (vec![NodeId(6)], None);
        let anew = message(Content::State(State { listed, memory }));
        let list: &[u8] = &[1, 0, 0, 0, 6, 0, 0, 0, 1, 0, 0, 0];
        let fields: &[(usize, &[u8])] = &[(0, &[3]), (4, REP), (8, SEQ), (16, list)];
        pin!(Message, anew, 28, fields);
        let attempt = message(Content::Attempt);
        pin!(Message, attempt, 16, &[(0, &[2]), (4, REP), (8, SEQ)]);
    }

    #[test]
    fn members_out_of_order_are_refused() {
        for members in [&[2, 1][..], &[1, 1], &[]] {
            let bytes = session(1, members).to_vec();
            assert!(Session::decode(&mut Reader::new(&bytes)).is_err());
        }
    }

    /// A memory of nothing is not the same as none.
    #[test]
    fn what_is_neither_anew_nor_remembers_is_refused() {
        for (anew, good) in [(1, true), (2, false), (0, false)] {
            let bytes = [0_u32, anew].map(u32::to_le_bytes).concat();
            assert_eq!(State::decode(&mut Reader::new(&bytes)).is_ok(), good);
        }
        let late = Memory {
            since: 0x22,
            ..memory()
        };
        assert!(Memory::decode(&mut Reader::new(&late.to_vec())).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_mean_nothing_or_survive(bytes in bodies(64)) {
            survives!(Message, &bytes);
        }
    }
}

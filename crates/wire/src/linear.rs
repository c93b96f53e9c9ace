//! The quorum provider `ferrosync_ykd`: what its nodes tell each other and keep on disk.
//!
//! Sent to [`crate::pg::Group::FerrosyncYkd`], which C nodes ignore. All numbers are little endian; a list is its length,
//! a `u32`, and its elements.

use crate::codec::{Decode, DecodeError, Encode, Reader, Writer};
use crate::ids::{NodeId, RingId};

/// One message: `format u32@0, ring id 12@4`, then a [`Memory`] where the format is 1 and nothing where it is 2.
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
    /// What the sender remembers.
    Memory(Memory),
    /// The sender has everybody's memory, finds that the members may act, and has that on disk.
    Attempt,
}

/// What a node remembers of primary components: `session u64@0`, the last primary session, the list of ambiguous
/// sessions, and the list of formed ones, each with its list of nodes.
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
}

/// A primary component: `number u64@0`, the list of members, a `u32` each.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Session {
    /// Higher ones are later. Those that were only tried may have the same.
    pub number: u64,
    /// Its members, ascending.
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
            MEMORY => Content::Memory(Memory::decode(r)?),
            ATTEMPT => Content::Attempt,
            _ => return Err(DecodeError::BadValue { what }),
        };
        Ok(Self { ring, content })
    }
}

impl Encode for Message {
    fn encode(&self, w: &mut Writer<'_>) {
        w.u32(match &self.content {
            Content::Memory(_) => MEMORY,
            Content::Attempt => ATTEMPT,
        });
        self.ring.encode(w);
        if let Content::Memory(memory) = &self.content {
            memory.encode(w);
        }
    }
}

impl Decode<'_> for Memory {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            session: r.u64("session")?,
            last_primary: Session::decode(r)?,
            ambiguous: get_list(r, "ambiguous sessions", Session::decode)?,
            formed: get_list(r, "formed sessions", Formed::decode)?,
        })
    }
}

impl Encode for Memory {
    fn encode(&self, w: &mut Writer<'_>) {
        w.u64(self.session);
        self.last_primary.encode(w);
        put_list(w, &self.ambiguous, Session::encode);
        put_list(w, &self.formed, Formed::encode);
    }
}

impl Decode<'_> for Session {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            number: r.u64("session number")?,
            members: get_nodes(r, "session members")?,
        })
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

const MEMORY: u32 = 1;
const ATTEMPT: u32 = 2;

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

    #[test]
    fn messages_have_their_layout() {
        let memory = Memory {
            session: 0x21,
            last_primary: session(0x22, &[1, 2]),
            ambiguous: vec![session(0x23, &[3])],
            formed: vec![Formed {
                session: session(0x24, &[4]),
                with: vec![NodeId(4)],
            }],
        };
        let content = Content::Memory(memory);
        let message = Message {
            ring: RING,
            content,
        };
        let fields: &[(usize, &[u8])] = &[
            (0, &[1]),
            (4, REP),
            (8, SEQ),
            (16, &[0x21]),
            (24, &[0x22]),
            (32, &[2, 0, 0, 0, 1, 0, 0, 0, 2]),
            (44, &[1]),
            (48, &[0x23]),
            (56, &[1, 0, 0, 0, 3]),
            (64, &[1]),
            (68, &[0x24]),
            (76, &[1, 0, 0, 0, 4]),
            (84, &[1, 0, 0, 0, 4, 0, 0, 0]),
        ];
        pin!(Message, message, 92, fields);
        let content = Content::Attempt;
        let attempt = Message {
            ring: RING,
            content,
        };
        pin!(Message, attempt, 16, &[(0, &[2]), (4, REP), (8, SEQ)]);
    }

    #[test]
    fn members_out_of_order_are_refused() {
        for members in [&[2, 1][..], &[1, 1]] {
            let bytes = session(1, members).to_vec();
            assert!(Session::decode(&mut Reader::new(&bytes)).is_err());
        }
    }

    proptest! {
        #[test]
        fn any_bytes_mean_nothing_or_survive(bytes in bodies(64)) {
            survives!(Message, &bytes);
        }
    }
}

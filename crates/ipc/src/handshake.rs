//! The first two messages of a connection, and who is let in; bytes in, bytes out, nothing else.
//!
//! The client sends 24 bytes (libqb `ipc_int.h: struct qb_ipc_connection_request`, v2.0.6), the server answers
//! with 12328 (`struct qb_ipc_connection_response`), whose names tell the client what to open.

use core::fmt;

use ferrosync_wire::{DecodeError, Reader, Writer};

/// Who is at the other end, as the kernel says it (`SCM_CREDENTIALS`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// Process id in our pid namespace; 0 when it has none there.
    pub pid: u32,
    /// Effective user id.
    pub uid: u32,
    /// Effective primary group id.
    pub gid: u32,
}

/// How messages travel after the handshake; the server chooses, the client obeys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// Ring buffers in shared memory; the default (`system.qb_ipc_type: native` or `shm`).
    #[default]
    Shm,
    /// Datagrams (`system.qb_ipc_type: socket`).
    Socket,
}

/// How many connections are served at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Over all services and users.
    pub total: usize,
    /// Of one user over all services. Root is bound by `total` alone, so that nobody can lock it out.
    pub per_uid: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            total: MAX_CONNECTIONS,
            per_uid: MAX_CONNECTIONS_PER_UID,
        }
    }
}

/// Connections that are open when another one asks to come in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// All of them.
    pub total: usize,
    /// Those of the user who asks.
    pub of_uid: usize,
}

/// What a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectRequest {
    /// The longest message it wants to send or receive, in bytes.
    pub max_msg_size: u32,
}

/// What a server answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConnectResponse {
    /// The client is let in.
    Accepted(Accepted),
    /// It is not; carries a positive `errno`.
    Refused(i32),
}

/// The answer to a client that is let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// How messages travel.
    pub kind: Kind,
    /// The longest message of either direction, in bytes; the client computes the size of the rings from it.
    pub max_msg_size: u32,
    /// An opaque number.
    pub connection: u64,
    /// Name of the request ring, or path of the control file of [`Kind::Socket`].
    pub request: String,
    /// Name of the response ring, or what the names of the datagram sockets begin with.
    pub response: String,
    /// Name of the event ring; empty for [`Kind::Socket`].
    pub event: String,
}

/// Why bytes are not a handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HandshakeError {
    /// The message id is not "authenticate".
    NotAuthenticate(i32),
    /// The header's size field disagrees with the fixed size of the message.
    BadSize(i32),
    /// The server chose a kind of connection that we do not know.
    UnknownKind(i32),
    /// The server names a message size outside what anybody may use.
    BadMaxMsgSize(u32),
    /// A name is not terminated or not UTF-8.
    BadName(&'static str),
    /// The message is cut.
    Truncated(DecodeError),
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAuthenticate(id) => write!(f, "message {id} where authentication was due"),
            Self::BadSize(size) => write!(f, "handshake claims a size of {size} bytes"),
            Self::UnknownKind(kind) => write!(f, "unknown connection type {kind}"),
            Self::BadMaxMsgSize(size) => write!(f, "impossible largest message of {size} bytes"),
            Self::BadName(what) => write!(f, "the name of the {what} channel is not a string"),
            Self::Truncated(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for HandshakeError {}

impl From<DecodeError> for HandshakeError {
    fn from(error: DecodeError) -> Self {
        Self::Truncated(error)
    }
}

/// Whether the limits leave room for one more connection of this user.
///
/// # Errors
/// The `errno` to refuse with. C has no limit but refuses with `EMFILE` when descriptors run low
/// (`ipc_glue.c:cs_ipcs_connection_accept`, v3.1.7), and so is it here.
pub const fn decide_room(limits: &Limits, load: Load, who: Credentials) -> Result<(), i32> {
    let user_is_full = who.uid != ROOT_UID && load.of_uid >= limits.per_uid;
    if load.total >= limits.total || user_is_full {
        return Err(EMFILE);
    }
    Ok(())
}

impl ConnectRequest {
    /// Bytes on the socket.
    pub const LEN: usize = 24;

    /// Reads a request.
    ///
    /// # Errors
    /// Anything that is not a request; the connection is closed without an answer, as C does.
    pub fn parse(bytes: &[u8; Self::LEN]) -> Result<Self, HandshakeError> {
        let mut r = Reader::new(bytes);
        let id = r.i32("handshake id")?;
        r.skip(4, "padding")?;
        let size = r.i32("handshake size")?;
        r.skip(4, "padding")?;
        let max_msg_size = r.u32("largest message")?;
        if id != MSG_AUTHENTICATE {
            return Err(HandshakeError::NotAuthenticate(id));
        }
        if usize::try_from(size) != Ok(Self::LEN) {
            return Err(HandshakeError::BadSize(size));
        }
        Ok(Self { max_msg_size })
    }

    /// The bytes to send.
    #[must_use]
    pub fn encode(self) -> [u8; Self::LEN] {
        let mut out = Vec::with_capacity(Self::LEN);
        let mut w = Writer::new(&mut out);
        w.i32(MSG_AUTHENTICATE);
        w.zeros(4);
        w.i32(24);
        w.zeros(4);
        w.u32(self.max_msg_size);
        w.zeros(4);
        out.try_into().expect("six fields of four bytes")
    }

    /// The largest message that both sides get to use. C takes the larger of the client's wish and its own
    /// (`ipc_setup.c:handle_new_connection`, v2.0.6) without an upper bound; a client that wants more than
    /// [`MAX_MSG_SIZE_LIMIT`] is told the limit and obeys it.
    #[must_use]
    pub fn agreed_max_msg_size(self) -> u32 {
        self.max_msg_size.clamp(MIN_MSG_SIZE, MAX_MSG_SIZE_LIMIT)
    }
}

impl ConnectResponse {
    /// Bytes on the socket.
    pub const LEN: usize = 12328;

    /// The bytes to send; names longer than a path may be are cut, which cannot happen to names made here.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(Self::LEN);
        let mut w = Writer::new(&mut out);
        w.i32(MSG_AUTHENTICATE);
        w.zeros(4);
        w.i32(12328);
        w.zeros(4);
        match self {
            Self::Refused(errno) => w.i32(-errno),
            Self::Accepted(accepted) => {
                w.i32(0);
                w.zeros(4);
                w.i32(kind_code(accepted.kind));
                w.u32(accepted.max_msg_size);
                w.u64(accepted.connection);
                for name in [&accepted.request, &accepted.response, &accepted.event] {
                    w.fixed(&name.as_bytes()[..name.len().min(NAME_LEN - 1)], NAME_LEN);
                }
            }
        }
        let rest = Self::LEN - w.written();
        w.zeros(rest);
        out
    }

    /// Reads a response.
    ///
    /// # Errors
    /// Bytes that no server would send.
    pub fn parse(bytes: &[u8]) -> Result<Self, HandshakeError> {
        let mut r = Reader::new(bytes);
        let id = r.i32("handshake id")?;
        r.skip(4, "padding")?;
        let size = r.i32("handshake size")?;
        r.skip(4, "padding")?;
        let error = r.i32("handshake error")?;
        r.skip(4, "padding")?;
        if id != MSG_AUTHENTICATE {
            return Err(HandshakeError::NotAuthenticate(id));
        }
        if usize::try_from(size) != Ok(Self::LEN) || bytes.len() != Self::LEN {
            return Err(HandshakeError::BadSize(size));
        }
        if error != 0 {
            return Ok(Self::Refused(error.saturating_abs()));
        }
        let kind = parse_kind(r.i32("connection type")?)?;
        let max_msg_size = r.u32("largest message")?;
        if !(MIN_MSG_SIZE..=MAX_MSG_SIZE_LIMIT).contains(&max_msg_size) {
            return Err(HandshakeError::BadMaxMsgSize(max_msg_size));
        }
        Ok(Self::Accepted(Accepted {
            kind,
            max_msg_size,
            connection: r.u64("connection")?,
            request: parse_name(&mut r, "request")?,
            response: parse_name(&mut r, "response")?,
            event: parse_name(&mut r, "event")?,
        }))
    }
}

const fn kind_code(kind: Kind) -> i32 {
    match kind {
        Kind::Socket => 0,
        Kind::Shm => 1,
    }
}

const fn parse_kind(code: i32) -> Result<Kind, HandshakeError> {
    match code {
        0 => Ok(Kind::Socket),
        1 => Ok(Kind::Shm),
        other => Err(HandshakeError::UnknownKind(other)),
    }
}

fn parse_name(r: &mut Reader<'_>, what: &'static str) -> Result<String, HandshakeError> {
    let field = r.bytes(NAME_LEN, what)?;
    let end = field.iter().position(|&byte| byte == 0);
    let name = end.and_then(|end| core::str::from_utf8(&field[..end]).ok());
    name.map(str::to_owned).ok_or(HandshakeError::BadName(what))
}

/// Header id of both handshake messages (libqb `qbipc_common.h: QB_IPC_MSG_AUTHENTICATE`).
pub const MSG_AUTHENTICATE: i32 = -1;
/// Header id of a client that takes its leave (`QB_IPC_MSG_DISCONNECT`).
pub const MSG_DISCONNECT: i32 = -3;
/// A message must be able to hold a handshake response (libqb `ipcc.c:qb_ipcc_connect`).
pub const MIN_MSG_SIZE: u32 = 12328;
/// The largest message that anybody may ask for; Corosync's libraries ask for 1 MiB.
pub const MAX_MSG_SIZE_LIMIT: u32 = 8 << 20;
/// Default of [`Limits::total`]; each connection takes 3 MiB of shared memory.
pub const MAX_CONNECTIONS: usize = 2048;
/// Default of [`Limits::per_uid`].
pub const MAX_CONNECTIONS_PER_UID: usize = 512;
/// Bytes of one name, `PATH_MAX`.
const NAME_LEN: usize = 4096;
const ROOT_UID: u32 = 0;
/// "Too many open files", the same number on every Linux.
const EMFILE: i32 = 24;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_has_the_layout_of_c() {
        let bytes = ConnectRequest {
            max_msg_size: 1 << 20,
        }
        .encode();
        let mut expected = [0; 24];
        expected[..4].copy_from_slice(&[0xff; 4]);
        expected[8] = 24;
        expected[18] = 16;
        assert_eq!(bytes, expected);
        assert_eq!(ConnectRequest::parse(&bytes).unwrap().max_msg_size, 1 << 20);
    }

    #[test]
    fn request_of_another_kind_is_refused() {
        let mut bytes = ConnectRequest { max_msg_size: 0 }.encode();
        bytes[0] = 0xfe;
        assert_eq!(
            ConnectRequest::parse(&bytes),
            Err(HandshakeError::NotAuthenticate(-2))
        );
        let mut bytes = ConnectRequest { max_msg_size: 0 }.encode();
        bytes[11] = 0x80;
        assert!(matches!(
            ConnectRequest::parse(&bytes),
            Err(HandshakeError::BadSize(_))
        ));
    }

    #[test]
    fn size_wishes_are_bounded() {
        for (asked, agreed) in [
            (0, MIN_MSG_SIZE),
            (1 << 20, 1 << 20),
            (u32::MAX, MAX_MSG_SIZE_LIMIT),
        ] {
            let request = ConnectRequest {
                max_msg_size: asked,
            };
            assert_eq!(request.agreed_max_msg_size(), agreed);
        }
    }

    #[test]
    fn response_round_trips_at_the_offsets_of_c() {
        let accepted = Accepted {
            kind: Kind::Shm,
            max_msg_size: 1 << 20,
            connection: 7,
            request: "/dev/shm/r".into(),
            response: "/dev/shm/s".into(),
            event: "/dev/shm/e".into(),
        };
        let bytes = ConnectResponse::Accepted(accepted.clone()).encode();
        assert_eq!(bytes.len(), ConnectResponse::LEN);
        assert_eq!(&bytes[8..12], &12328_i32.to_le_bytes());
        assert_eq!((bytes[24], bytes[32]), (1, 7));
        assert_eq!(&bytes[40..51], b"/dev/shm/r\0");
        assert_eq!(&bytes[4136..4147], b"/dev/shm/s\0");
        assert_eq!(&bytes[8232..8243], b"/dev/shm/e\0");
        assert_eq!(
            ConnectResponse::parse(&bytes),
            Ok(ConnectResponse::Accepted(accepted))
        );
    }

    #[test]
    fn refusal_carries_a_negative_errno() {
        let bytes = ConnectResponse::Refused(11).encode();
        assert_eq!(&bytes[16..20], &(-11_i32).to_le_bytes());
        assert_eq!(
            ConnectResponse::parse(&bytes),
            Ok(ConnectResponse::Refused(11))
        );
    }

    #[test]
    fn responses_that_no_server_sends_are_errors() {
        let good = ConnectResponse::Accepted(Accepted {
            kind: Kind::Socket,
            max_msg_size: MIN_MSG_SIZE,
            connection: 0,
            request: String::new(),
            response: String::new(),
            event: String::new(),
        })
        .encode();
        for (at, value) in [(0, 9), (9, 9), (24, 2), (31, 0x80), (40, 0xff)] {
            let mut bad = good.clone();
            bad[at] = value;
            assert!(ConnectResponse::parse(&bad).is_err(), "byte {at}");
        }
        let mut unterminated = good.clone();
        unterminated[40..40 + NAME_LEN].fill(b'x');
        assert_eq!(
            ConnectResponse::parse(&unterminated),
            Err(HandshakeError::BadName("request"))
        );
        assert!(ConnectResponse::parse(&good[..good.len() - 1]).is_err());
    }

    #[test]
    fn room_is_decided_per_user_but_for_root() {
        let limits = Limits {
            total: 10,
            per_uid: 3,
        };
        let who = |uid| Credentials {
            pid: 1,
            uid,
            gid: uid,
        };
        let load = |total, of_uid| Load { total, of_uid };
        assert_eq!(decide_room(&limits, load(9, 2), who(5)), Ok(()));
        assert_eq!(decide_room(&limits, load(9, 3), who(5)), Err(EMFILE));
        assert_eq!(decide_room(&limits, load(9, 9), who(0)), Ok(()));
        assert_eq!(decide_room(&limits, load(10, 0), who(0)), Err(EMFILE));
    }
}

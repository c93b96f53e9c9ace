//! What goes into a node and what comes out of it.

use std::net::SocketAddr;

use bytes::Bytes;
pub use ferrosync_totem::srp::RxOrder;
use ferrosync_wire::ipc::CsError;
use ferrosync_wire::linear::Memory;
use ferrosync_wire::{ConnId, Duration, LinkId, RingSeq, ServiceId};

use crate::config::{Config, CryptoConfig, Fixed, KnetLink, LoggingConfig};
use crate::log::Record;
use crate::transport::SharedKey;

/// One thing that happened outside the node.
#[derive(Debug)]
pub enum NodeInput<'a> {
    /// A datagram arrived.
    Datagram {
        /// On which link.
        link: LinkId,
        /// From whom, by the network's account.
        from: SocketAddr,
        /// What it says.
        bytes: Bytes,
        /// Whether a token waits behind it.
        order: RxOrder,
    },
    /// The network reports about a datagram that was sent.
    Trouble(LinkTrouble),
    /// The sockets of all links are open: the node may look for others.
    LinksReady,
    /// A client did something.
    Lib(LibInput<'a>),
    /// The host did what a service asked of it.
    Answer(HostAnswer<'a>),
    /// The operator or the system wants something.
    Control(Control),
}

/// What became of a datagram, as far as the network says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkTrouble {
    /// The link it left on.
    pub link: LinkId,
    /// Where it was to go.
    pub to: SocketAddr,
    /// What happened.
    pub trouble: Trouble,
}

/// Why a datagram does not arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It is too long for the interface or the path.
    TooBig {
        /// Its length in bytes, without the headers of IP and UDP.
        len: usize,
        /// Bytes that fit, those headers included, if the kernel knows.
        mtu: Option<u16>,
    },
    /// The machine is not there, or nobody listens.
    Unreachable,
}

/// What a client did.
#[derive(Debug)]
pub enum LibInput<'a> {
    /// It wants to use a service; answered by [`NodeOutput::LibAccept`] or [`NodeOutput::LibRefuse`].
    Connect {
        /// The connection to be.
        conn: ConnId,
        /// Which service.
        service: ServiceId,
        /// Who it is, by the kernel's account.
        who: Credentials,
        /// The program's name, for people.
        program: &'a str,
    },
    /// It sent a request that [`crate::Node::admit`] let through.
    Request {
        /// Its connection.
        conn: ConnId,
        /// The whole request.
        message: &'a [u8],
    },
    /// It made room for events that were held back.
    Writable {
        /// Its connection.
        conn: ConnId,
    },
    /// It is gone.
    Closed {
        /// Its connection.
        conn: ConnId,
    },
}

/// What became of a [`HostRequest`]. Answers for a client that is gone meanwhile are ignored.
#[derive(Debug)]
pub enum HostAnswer<'a> {
    /// Of [`HostRequest::ZeroCopyAlloc`].
    ZeroCopyMapped {
        /// The client.
        conn: ConnId,
        /// What the mapping is called from now on; the client reads it in the buffer.
        result: Result<u64, CsError>,
    },
    /// Of [`HostRequest::ZeroCopyFree`].
    ZeroCopyFreed {
        /// The client.
        conn: ConnId,
        /// Whether there was such a mapping.
        result: Result<(), CsError>,
    },
    /// Of [`HostRequest::ZeroCopyExecute`].
    ZeroCopyRead {
        /// The client.
        conn: ConnId,
        /// A copy of the request in the buffer: a header of 40 bytes, of which only the message's length at 32
        /// counts, and at least that many bytes.
        request: Result<&'a [u8], CsError>,
    },
    /// Of [`HostRequest::ReopenLogs`].
    LogsReopened {
        /// The client.
        conn: ConnId,
        /// Whether all could be opened; those that could not are written to as before.
        result: Result<(), CsError>,
    },
    /// Of [`HostRequest::ReadConfig`].
    ConfigRead {
        /// The configuration, or what is wrong with the files, a line for each fault.
        result: Result<Box<Reread>, String>,
    },
    /// Of [`HostRequest::ReadKey`].
    KeyRead {
        /// What packets are sealed with according to the files; `None` for nothing, or where they are at fault.
        key: Option<(CryptoConfig, SharedKey)>,
    },
    /// Of [`HostRequest::Measure`].
    Measured(Measured),
    /// Of [`HostRequest::Watchdog`].
    Watchdog(WatchdogAnswer),
    /// Of [`HostRequest::Date`].
    Dated {
        /// What was to be dated.
        pause: Pause,
        /// Milliseconds since 1970 by the machine's clock.
        at_ms: u64,
    },
}

/// What a figure of the machine is now, or why that is not known.
#[derive(Clone, Debug, PartialEq)]
pub enum Measured {
    /// See [`Figure::MemoryUsed`].
    MemoryUsed(Result<u8, String>),
    /// See [`Figure::Load15`].
    Load15(Result<f64, String>),
}

/// A figure of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Figure {
    /// Memory and swap space in use, in per cent.
    MemoryUsed,
    /// The load average over 15 minutes.
    Load15,
}

/// What became of a [`WatchdogRequest`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchdogAnswer {
    /// The device is open and resets the machine unless it is tickled.
    Opened {
        /// Its timeout in seconds, if it tells.
        timeout_s: Option<u32>,
    },
    /// There is no such device, or this node may not write to it.
    Missing,
    /// It cannot be opened; says why.
    Refused(String),
    /// It was told a timeout.
    TimeoutSet {
        /// What it has now, in seconds; none if it does not tell.
        timeout_s: Option<u32>,
    },
}

/// The process did not run for longer than it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pause {
    /// For how long.
    pub delay: Duration,
    /// How long it may.
    pub threshold: Duration,
}

/// What the host found when it read the files again.
#[derive(Debug)]
pub struct Reread {
    /// The configuration.
    pub config: Config,
    /// The shared key, where the configuration asks for one.
    pub key: Option<SharedKey>,
}

/// A client process, as the kernel vouches for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// Process id.
    pub pid: u32,
    /// Effective user id.
    pub uid: u32,
    /// Effective group id.
    pub gid: u32,
}

/// A wish of the operator or the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// Stop in order: services end, the ring is told.
    Shutdown,
    /// Write the state into the log (SIGUSR2).
    DumpState,
}

/// What a node kept over restarts of its process, apart from the ring's sequence number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// The highest number of expected votes ever seen; zero if none.
    pub expected_votes: u32,
    /// What the quorum provider `ferrosync_ykd` remembers; `None` of a node that is anew.
    pub linear: Option<Memory>,
}

/// A part of [`Kept`] that is to be kept from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keep {
    /// [`Kept::expected_votes`].
    ExpectedVotes(u32),
    /// [`Kept::linear`].
    Linear(Memory),
}

/// One effect, to be carried out in order.
#[derive(Debug)]
pub enum NodeOutput {
    /// Send a datagram.
    Transmit {
        /// On which link.
        link: LinkId,
        /// To which address; one of many receivers where it is a multicast address.
        to: SocketAddr,
        /// What to send.
        bytes: Bytes,
        /// What it is to the ring.
        carries: Carries,
    },
    /// Must be durable before any later `Transmit` leaves.
    StoreRingSeq(RingSeq),
    /// Must be durable before any later `Transmit` leaves, where that is possible.
    Keep(Keep),
    /// Throw away what waits on the sockets.
    DiscardReceived,
    /// A client may use the service it asked for.
    LibAccept(ConnId),
    /// A client may not; the number is an `errno`.
    LibRefuse(ConnId, i32),
    /// A message for a client.
    LibSend(LibMessage),
    /// To be told which clients have read something ([`crate::Node::note_read`]), of those for whom something waits.
    LookAtReaders,
    /// How far a client is held back.
    LibFlowControl(ConnId, FlowControl),
    /// End a client's connection.
    LibClose(ConnId),
    /// Requests that [`crate::Node::admit`] refused may be offered again.
    GateOpened,
    /// Write a line of log.
    Log(Record),
    /// Services work: the ring has a membership and all are synchronised.
    Ready,
    /// Do what only the host can.
    Ask(HostRequest),
    /// Stop.
    Exit(ExitReason),
}

/// What a datagram is to the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carries {
    /// Something for everybody, or of the transport itself.
    Ring,
    /// The token: until it is back nothing more leaves.
    Token,
}

/// What a service needs the host for. Answers come back as [`HostAnswer`]s. Buffers of a client that is gone are
/// unmapped without being asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostRequest {
    /// Map a client's zero-copy buffer.
    ZeroCopyAlloc {
        /// The client.
        conn: ConnId,
        /// The buffer's file, as the client named it.
        path: Vec<u8>,
        /// Its size in bytes.
        size: u64,
    },
    /// Unmap it.
    ZeroCopyFree {
        /// The client.
        conn: ConnId,
        /// What the mapping was called.
        address: u64,
        /// Its size in bytes.
        size: u64,
    },
    /// Send the message in it.
    ZeroCopyExecute {
        /// The client.
        conn: ConnId,
        /// What the mapping was called.
        address: u64,
    },
    /// Open the log files anew.
    ReopenLogs {
        /// Who waits for the answer.
        conn: ConnId,
    },
    /// Read the configuration's files again, all of them.
    ReadConfig {
        /// What stays as it is, whatever the files say; for [`crate::config::reload`].
        fixed: Fixed,
    },
    /// Read the shared key again, and which cipher and hash it is for; see [`crate::config::crypto_of`]. Nothing may be looked up
    /// elsewhere: anybody can bring this about with a packet, and the ring waits for the answer.
    ReadKey,
    /// Have a socket for each of these links of knet and for no other; those that stay keep theirs. Nobody waits for an
    /// answer.
    SetLinks(Vec<KnetLink>),
    /// Write log lines as this says from now on. Nobody waits for an answer, but what follows is to find it done.
    SetLogging(Box<LoggingConfig>),
    /// Write what the flight recorder holds into a file of the state directory. Nobody waits for an answer, but what follows
    /// is to find it done.
    DumpFlightData,
    /// Look at a figure of the machine.
    Measure(Figure),
    /// Do something with the watchdog device.
    Watchdog(WatchdogRequest),
    /// Tell the time of day. The pause comes back with the answer.
    Date(Pause),
    /// Do this to the machine, at once. Nobody waits for an answer.
    Machine(MachineEnd),
}

/// What is to happen to the watchdog device. There is one at most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchdogRequest {
    /// Open it, which makes it watch.
    Open {
        /// Its path.
        device: String,
    },
    /// Have it wait this long for a tickle, in seconds.
    SetTimeout(u32),
    /// Tickle it. Nobody waits for an answer.
    Tickle,
    /// Make it stop watching and close it. Nobody waits for an answer.
    Close,
}

/// How a machine is taken down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MachineEnd {
    /// It starts again.
    Reboot,
    /// It stays off.
    PowerOff,
}

/// How far a client is held back (libqb `qb_ipcs_rate_limit`, v2.0.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum FlowControl {
    /// Not at all.
    Off = 0,
    /// `cpg_mcast_joined` answers TRY_AGAIN: synchronisation goes on, the ring's queue is full or the client lags.
    Busy = 2,
}

/// Why a node stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitReason {
    /// It was asked to.
    Shutdown,
    /// Another node told it to (`corosync-cfgtool -k`).
    Killed,
    /// Its `totem.config_version` differs from the cluster's.
    ConfigVersion,
    /// The load that was asked for is done, after which no node is to go on.
    LoadDone,
}

/// A message for one client.
#[derive(Clone, Debug)]
pub struct LibMessage {
    /// The client.
    pub conn: ConnId,
    /// Answer or event: they travel apart.
    pub kind: LibKind,
    /// The first bytes.
    pub head: Head,
    /// The rest; shared with other receivers of the same message.
    pub body: Bytes,
}

impl LibMessage {
    /// Bytes of the message.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.head.len as usize + self.body.len()
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Which of a connection's two ways to the client a message takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LibKind {
    /// The answer to a request.
    Response,
    /// Something the client did not ask for just now.
    Event,
}

/// Up to [`Head::MAX`] bytes in place: what is particular to one message must not cost an allocation.
#[derive(Clone, Copy)]
pub struct Head {
    len: u8,
    bytes: [u8; Self::MAX],
}

impl Head {
    /// The longest head: that of a partial cpg delivery.
    pub const MAX: usize = 200;
    /// No bytes.
    pub const EMPTY: Self = Self {
        len: 0,
        bytes: [0; Self::MAX],
    };

    /// A copy of `bytes`.
    ///
    /// # Panics
    ///
    /// When they are more than [`Self::MAX`].
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        let mut head = Self::EMPTY;
        head.bytes[..bytes.len()].copy_from_slice(bytes);
        head.len = u8::try_from(bytes.len()).expect("MAX fits a byte");
        head
    }

    /// The bytes.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl core::fmt::Debug for Head {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.as_slice().fmt(f)
    }
}

//! The machine as a node sees it: sockets, clients, files, log.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::PathBuf;

use bytes::Bytes;
use ferrosync_executive::config::LoggingConfig;
use ferrosync_executive::log::{Priority, Record, Subsystem};
use ferrosync_executive::output::{
    Carries, ExitReason, FlowControl, HostRequest, Keep, LibKind, LibMessage,
};
use ferrosync_executive::pump::{Host, StoreFailed, WouldBlock};
use ferrosync_ipc::{SendError, Server};
use ferrosync_wire::{ConnId, LinkId, RingSeq};

use crate::logging::Log;
use crate::machine::Dog;
use crate::net::Sockets;
use crate::persist::State;

/// What the operating system does for a node.
#[derive(Debug)]
pub struct OsHost {
    pub(crate) sockets: Sockets,
    pub(crate) ipc: Server,
    pub(crate) log: Log,
    pub(crate) dog: Dog,
    state: State,
    /// Where corosync.conf is, whatever the working directory.
    pub(crate) config_path: PathBuf,
    /// Wishes whose answers are inputs of their own.
    pub(crate) asked: VecDeque<HostRequest>,
    pub(crate) exit: Option<ExitReason>,
    /// Connections that ended while the node was being drained.
    pub(crate) gone: Vec<ConnId>,
}

impl OsHost {
    /// Everything is open already.
    pub fn new(
        sockets: Sockets,
        ipc: Server,
        log: Log,
        state: State,
        config_path: PathBuf,
    ) -> Self {
        Self {
            sockets,
            ipc,
            log,
            dog: Dog::default(),
            state,
            config_path,
            asked: VecDeque::new(),
            exit: None,
            gone: Vec::new(),
        }
    }

    /// Lets go of everything that was gathered during a turn.
    pub fn flush(&mut self) {
        self.sockets.flush();
        self.ipc.flush();
    }

    /// A line of the daemon's own.
    #[track_caller]
    pub fn say(&mut self, priority: Priority, text: impl Into<String>) {
        let record = Record::new(Subsystem::Main, priority, text.into());
        self.log.write(&record);
    }

    /// Writes log lines as this says from now on.
    pub fn set_logging(&mut self, config: LoggingConfig) {
        if let Err(failed) = self.log.configure(config) {
            let text = format!(
                "Can't open logfile '{}' for reason: {}",
                failed.file, failed.error
            );
            self.say(Priority::Error, text);
        }
    }

    /// Writes what the flight recorder holds into a file (corosync `main.c:corosync_blackbox_write_to_file`, v3.1.7).
    pub fn dump_recorder(&mut self) {
        if let Err(e) = self.log.dump_recorder() {
            self.say(Priority::Error, format!("Can't store blackbox file: {e}"));
        }
    }
}

impl Host for OsHost {
    fn transmit(&mut self, link: LinkId, to: SocketAddr, bytes: Bytes, carries: Carries) {
        self.sockets.send(link, to, bytes, carries);
    }

    fn store_ring_seq(&mut self, seq: RingSeq) -> Result<(), StoreFailed> {
        // What was queued before may leave before.
        self.sockets.flush();
        self.state
            .ring_id
            .store(seq)
            .map_err(|e| StoreFailed(format!("Couldn't store new ring id: {e}")))
    }

    fn keep(&mut self, keep: &Keep) -> Result<(), StoreFailed> {
        match keep {
            Keep::ExpectedVotes(votes) => {
                if let Err(e) = self.state.expected_votes.store(*votes) {
                    let text = format!("Unable to update ev_tracking_barrier on disk data!!! {e}");
                    self.say(Priority::Warning, text);
                }
                Ok(())
            }
            // A node that says what it may forget would be worse than none.
            Keep::Linear(memory) => {
                self.sockets.flush();
                let stored = self.state.linear.store(memory);
                stored
                    .map_err(|e| StoreFailed(format!("Couldn't store the primary component: {e}")))
            }
        }
    }

    fn discard_received(&mut self) {
        self.sockets.discard();
    }

    fn lib_accept(&mut self, conn: ConnId) {
        if self.ipc.accept(conn).is_err() {
            self.gone.push(conn);
        }
    }

    fn lib_refuse(&mut self, conn: ConnId, errno: i32) {
        self.ipc.refuse(conn, errno);
    }

    fn lib_send(&mut self, message: &LibMessage) -> Result<(), WouldBlock> {
        let parts = [message.head.as_slice(), &message.body[..]];
        let sent = match message.kind {
            LibKind::Response => self.ipc.respond(message.conn, &parts),
            LibKind::Event => self.ipc.event(message.conn, &parts),
        };
        match (sent, message.kind) {
            (Err(SendError::Full), LibKind::Event) => Err(WouldBlock),
            // A client that leaves its answers unread has broken the protocol; the end of the connection of a
            // client that is gone is reported on its own.
            (Ok(()) | Err(SendError::Full | SendError::TooBig | SendError::Gone), _) => Ok(()),
        }
    }

    fn lib_has_read(&mut self, conn: ConnId) -> bool {
        self.ipc.has_read(conn)
    }

    fn lib_flow_control(&mut self, conn: ConnId, level: FlowControl) {
        self.ipc.set_flow_control(conn, level as u32);
    }

    fn lib_close(&mut self, conn: ConnId) {
        self.ipc.close(conn);
    }

    fn gate_opened(&mut self) {
        self.ipc.retry_stalled();
    }

    fn log(&mut self, record: &Record) {
        self.log.write(record);
    }

    fn ready(&mut self) {
        // Only systemd cares, and only where it started the daemon.
        let _not_under_systemd = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    }

    fn ask(&mut self, request: HostRequest) {
        match request {
            // The answer to the client behind it may not arrive before it is done.
            HostRequest::SetLogging(config) => self.set_logging(*config),
            HostRequest::DumpFlightData => self.dump_recorder(),
            HostRequest::ZeroCopyAlloc { .. }
            | HostRequest::ZeroCopyFree { .. }
            | HostRequest::ZeroCopyExecute { .. }
            | HostRequest::ReopenLogs { .. }
            | HostRequest::ReadConfig { .. }
            | HostRequest::ReadKey
            | HostRequest::SetLinks(_)
            | HostRequest::Measure(_)
            | HostRequest::Watchdog(_)
            | HostRequest::Date(_)
            | HostRequest::Machine(_) => self.asked.push_back(request),
        }
    }

    fn exit(&mut self, reason: ExitReason) {
        self.exit.get_or_insert(reason);
    }
}

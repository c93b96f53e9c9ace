//! Configuration and administration (corosync `exec/cfg.c`, v3.1.7).
//!
//! Tells tools how nodes are reached, has all nodes read their configuration again, ends nodes, and lets other programs
//! have a say before this node shuts down.

mod keychange;
mod links;
mod reload;
mod shutdown;

use bytes::Bytes;
use ferrosync_wire::exec::cfg::Message;
use ferrosync_wire::ipc::cfg::{
    LocalNode, LogFilesReopened, NodeKilled, Request, RingReenabled, ShutdownFlags,
    ShutdownReplied, ShutdownTried, TestShutdown, TrackStarted, TrackStopped,
};
use ferrosync_wire::ipc::{Answer, CsError, Number, ResponseHeader};
use ferrosync_wire::{ConnId, Decode, Duration, Name, NodeId, Reader, ServiceId, Value};

use crate::config::Config;
use crate::log::{Priority, Subsystem};
use crate::output::{ExitReason, HostRequest};
use crate::reload::CryptoChange;
use crate::service::{Ctx, Library, Needs, Service, ServiceInfo, TakesPart};
use reload::Reload;
use shutdown::{Outcome, Shutdown, Tried, Verdict, Vote};

/// The service.
#[derive(Debug)]
pub struct Cfg {
    shutdown: Shutdown,
    reload: Reload,
}

impl Cfg {
    /// The service, without clients.
    #[must_use]
    pub fn new(_config: &Config) -> Self {
        Self {
            shutdown: Shutdown::default(),
            reload: Reload::default(),
        }
    }

    fn request(&mut self, cx: &mut Ctx<'_>, conn: ConnId, request: &Request<'_>) {
        match *request {
            Request::RingStatusGet => cx.respond_bytes(conn, &links::ring_status(cx.core())),
            Request::RingReenable => {
                cx.respond(conn, &Answer::<RingReenabled>(Err(CsError::NotSupported)));
            }
            Request::KillNode { nodeid, reason } => {
                let status = kill(cx, nodeid, reason);
                cx.respond(conn, &Answer::<NodeKilled>::from(status));
            }
            Request::TryShutdown(flags) => self.try_shutdown(cx, conn, flags),
            Request::ReplyToShutdown { response } => self.vote(cx, conn, response),
            Request::GetNodeAddrs { nodeid } => {
                cx.respond_bytes(conn, &links::node_addrs(cx.core(), nodeid));
            }
            Request::LocalGet => cx.respond(conn, &Answer::<LocalNode>(Ok(Number(cx.me().0)))),
            Request::ReloadConfig => self.reload.request(cx, conn),
            Request::ReopenLogFiles => {
                cx.log(Subsystem::Cfg, Priority::Debug, "Reopening logging files");
                cx.ask(HostRequest::ReopenLogs { conn });
            }
            Request::NodeStatusGet { nodeid, version } => {
                cx.respond_bytes(conn, &links::node_status(cx.core(), nodeid, version));
            }
            Request::TrackStart { .. } => {
                if let Some(flags) = self.shutdown.track_start(conn) {
                    let status = Ok(());
                    cx.event(conn, &TestShutdown { status, flags });
                }
                cx.respond(conn, &Answer::<TrackStarted>::from(Ok(())));
            }
            Request::TrackStop => {
                let verdict = self.shutdown.track_stop(conn);
                conclude(cx, verdict);
                cx.respond(conn, &Answer::<TrackStopped>::from(Ok(())));
            }
        }
    }

    fn try_shutdown(&mut self, cx: &mut Ctx<'_>, conn: ConnId, flags: ShutdownFlags) {
        match self.shutdown.begin(conn, flags) {
            Ok(Tried::Confirmed) => {
                cx.respond(conn, &Answer::<ShutdownTried>::from(Ok(())));
                tell_shutdown(cx);
            }
            Ok(Tried::Asked(trackers)) => {
                let over = cx.now() + vote_timeout(cx);
                cx.set_timer(TIMER_VOTE, over);
                for tracker in trackers {
                    let status = Ok(());
                    cx.event(tracker, &TestShutdown { status, flags });
                }
            }
            Err(error) => cx.respond(conn, &Answer::<ShutdownTried>(Err(error))),
        }
    }

    fn vote(&mut self, cx: &mut Ctx<'_>, conn: ConnId, response: u32) {
        let vote = if response == 0 { Vote::No } else { Vote::Yes };
        let status = self.shutdown.vote(conn, vote).map(|verdict| {
            conclude(cx, verdict);
        });
        cx.respond(conn, &Answer::<ShutdownReplied>::from(status));
    }

    /// Nobody else is told: libcfg would ask its program once more, without the error. C has an event for that but sends
    /// it only to trackers that once wanted a shutdown themselves (D-19).
    fn vote_over(&mut self, cx: &mut Ctx<'_>) {
        if let Some(verdict) = self.shutdown.time_over() {
            conclude(cx, Some(verdict));
        }
    }
}

impl Service for Cfg {
    fn info(&self) -> &'static ServiceInfo {
        &INFO
    }

    fn lib_request(&mut self, cx: &mut Ctx<'_>, conn: ConnId, message: &[u8]) {
        match Request::decode(&mut Reader::new(message)) {
            Ok(request) => self.request(cx, conn, &request),
            Err(_) => cx.respond_bytes(conn, &ResponseHeader::refusal(CsError::InvalidParam)),
        }
    }

    fn lib_disconnect(&mut self, cx: &mut Ctx<'_>, conn: ConnId) {
        let verdict = self.shutdown.disconnect(conn);
        conclude(cx, verdict);
        if !self.shutdown.is_voting() {
            cx.cancel_timer(TIMER_VOTE);
        }
    }

    fn exec_deliver(&mut self, cx: &mut Ctx<'_>, from: NodeId, message: &Bytes) {
        match Message::decode(&mut Reader::new(message)) {
            Ok(Message::KillNode { nodeid, reason }) => killed(cx, from, nodeid, reason),
            Ok(Message::Shutdown) => {
                let text = format!("Node {from} was shut down by sysadmin");
                cx.log(Subsystem::Cfg, Priority::Notice, text);
                if from == cx.me() {
                    cx.shut_down(ExitReason::Shutdown);
                }
            }
            Ok(Message::Reload(source)) => self.reload.heard(cx, from, source),
            Ok(Message::CryptoReconfig { phase }) => self.reload.phase(cx, from, phase),
            Ok(Message::RingReenable(_)) => {}
            Err(error) => {
                let text = format!("message of node {from} is not valid ({error})... ignoring");
                cx.log(Subsystem::Cfg, Priority::Warning, text);
            }
        }
    }

    fn timeout(&mut self, cx: &mut Ctx<'_>, timer: u32) {
        match timer {
            TIMER_VOTE => self.vote_over(cx),
            TIMER_CRYPTO => self.reload.tell_again(cx),
            TIMER_KEY => self.reload.key_timeout(cx),
            _ => tell_shutdown(cx),
        }
    }

    fn logs_reopened(&mut self, cx: &mut Ctx<'_>, conn: ConnId, result: Result<(), CsError>) {
        cx.respond(conn, &Answer::<LogFilesReopened>::from(result));
    }

    fn config_reloaded(&mut self, cx: &mut Ctx<'_>, result: Result<CryptoChange, CsError>) {
        self.reload.done(cx, result);
    }
}

/// Orders a member to end (corosync `cfg.c:message_handler_req_lib_cfg_killnode`, v3.1.7).
fn kill(cx: &mut Ctx<'_>, nodeid: NodeId, reason: Name<'_>) -> Result<(), CsError> {
    let status = cx.icmap().get(&format!("runtime.members.{nodeid}.status"));
    if status != Some(Value::str("joined")) {
        return Err(CsError::NotExist);
    }
    cx.mcast(&Message::KillNode { nodeid, reason })
        .map_err(|_| CsError::TryAgain)
}

fn killed(cx: &mut Ctx<'_>, by: NodeId, nodeid: NodeId, reason: Name<'_>) {
    let text = format!("request to kill node {nodeid} (us={})", cx.me());
    cx.log(Subsystem::Cfg, Priority::Debug, text);
    if nodeid == cx.me() {
        let text = format!("Killed by node {by} : {}", printable(reason.text));
        cx.log(Subsystem::Cfg, Priority::Notice, text);
        cx.exit_now(ExitReason::Killed);
    }
}

/// Tells who wanted the shutdown, and if it is to be, everybody.
fn conclude(cx: &mut Ctx<'_>, verdict: Option<Verdict>) {
    let Some(verdict) = verdict else {
        return;
    };
    cx.cancel_timer(TIMER_VOTE);
    let status = match verdict.outcome {
        Outcome::Confirmed => Ok(()),
        Outcome::Refused => Err(CsError::Busy),
    };
    cx.respond(verdict.by, &Answer::<ShutdownTried>::from(status));
    if verdict.outcome == Outcome::Confirmed {
        tell_shutdown(cx);
    }
    let Verdict { yes, no, flags, .. } = verdict;
    let text = format!(
        "shutdown decision is: (yes count: {yes}, no count: {no}) flags={:x}",
        flags.0
    );
    cx.log(Subsystem::Cfg, Priority::Debug, text);
}

/// Tells everybody that this node shuts down; it does when it hears that itself. A promise was given, so it is
/// repeated until the ring has room.
fn tell_shutdown(cx: &mut Ctx<'_>) {
    if cx.mcast(&Message::Shutdown).is_err() {
        cx.set_timer(TIMER_TELL, cx.now() + TELL_AGAIN);
    }
}

fn vote_timeout(cx: &mut Ctx<'_>) -> Duration {
    let ms = cx.icmap().get_u32("cfg.shutdown_timeout");
    ms.map_or(VOTE_TIMEOUT, |ms| Duration::from_millis(ms.into()))
}

/// Text of a stranger, fit for a line of log.
fn printable(text: &[u8]) -> String {
    String::from_utf8_lossy(text)
        .chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}

static INFO: ServiceInfo = ServiceInfo {
    id: ServiceId::CFG,
    name: "cfg",
    title: "corosync configuration service",
    priority: 1,
    library: Library::Yes,
    sync: TakesPart::No,
    requests: REQUESTS,
    exec_functions: 5,
};

const REQUESTS: &[Needs] = &[
    Needs::Ring,    // RINGSTATUSGET
    Needs::Ring,    // RINGREENABLE
    Needs::Ring,    // KILLNODE
    Needs::Ring,    // TRYSHUTDOWN
    Needs::Ring,    // REPLYTOSHUTDOWN
    Needs::Nothing, // GET_NODE_ADDRS
    Needs::Nothing, // LOCAL_GET
    Needs::Ring,    // RELOAD_CONFIG
    Needs::Nothing, // REOPEN_LOG_FILES
    Needs::Nothing, // NODESTATUSGET
    Needs::Ring,    // TRACKSTART
    Needs::Ring,    // TRACKSTOP
];

/// How long trackers may think, unless `cfg.shutdown_timeout` (milliseconds) says otherwise.
const VOTE_TIMEOUT: Duration = Duration::from_secs(5);
/// How soon a shutdown for which the ring had no room is told again.
const TELL_AGAIN: Duration = Duration::from_millis(10);

const TIMER_VOTE: u32 = 0;
const TIMER_TELL: u32 = 1;
const TIMER_CRYPTO: u32 = 2;
const TIMER_KEY: u32 = 3;

#[cfg(test)]
mod tests;

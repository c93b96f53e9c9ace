//! Quorum state for clients, whichever provider decides it (corosync `exec/vsf_quorum.c`, v3.1.7).
//!
//! Without a provider every partition is quorate, and nobody is ever told anything about quorum.

use std::collections::BTreeMap;

use ferrosync_totem::pg::Group;
use ferrosync_wire::ipc::quorum::{
    Event, ModelType, Quorate as QuorateAnswer, Request, TRACK_CHANGES, TRACK_CHANGES_ONLY,
    TRACK_CURRENT, TrackStarted, TrackStopped, Type,
};
use ferrosync_wire::ipc::{Answer, CsError, Done, Number, ResponseHeader};
use ferrosync_wire::{ConnId, Decode, NodeId, Reader, RingId, ServiceId};

use crate::config::Config;
use crate::core::{Quorate, QuorumView};
use crate::log::{Priority, Subsystem};
use crate::output::Kept;
use crate::service::{Ctx, Library, Needs, Service, ServiceInfo, SyncView, TakesPart};
use crate::services::ykd::Ykd;

/// The service.
#[derive(Debug)]
pub struct Quorum {
    provider: Provider,
    /// What the log said last.
    logged: Quorate,
    change: Change,
    clients: BTreeMap<ConnId, Client>,
}

/// Who decides.
#[derive(Debug)]
enum Provider {
    /// A service of its own.
    Votequorum,
    Ykd(Box<Ykd>),
    None,
}

/// A change of membership.
#[derive(Debug)]
struct Change {
    ring: RingId,
    members: Vec<NodeId>,
    joined: Vec<NodeId>,
    left: Vec<NodeId>,
    /// The members of the last change that all services finished; not those of one that was aborted.
    settled: Vec<NodeId>,
}

/// What is known of a client.
#[derive(Clone, Copy, Debug)]
struct Client {
    layout: Layout,
    tracking: Tracking,
}

/// Which events a client understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layout {
    /// `LIB_QUORUM_MODEL_V0`: quorum alone.
    V0,
    /// `LIB_QUORUM_MODEL_V1`: the membership, too.
    V1,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tracking {
    On,
    Off,
}

impl Quorum {
    /// From the configuration.
    #[must_use]
    pub fn new(config: &Config, kept: &Kept) -> Self {
        let provider = match Ykd::from_config(config, kept) {
            Some(ykd) => Provider::Ykd(Box::new(ykd)),
            None if config.quorum.votequorum.is_some() => Provider::Votequorum,
            None => Provider::None,
        };
        Self {
            provider,
            logged: Quorate::No,
            change: Change {
                ring: RingId::ZERO,
                members: Vec::new(),
                joined: Vec::new(),
                left: Vec::new(),
                settled: Vec::new(),
            },
            clients: BTreeMap::new(),
        }
    }

    /// 1 with a provider, 0 without.
    const fn kind(&self) -> u32 {
        match self.provider {
            Provider::Votequorum | Provider::Ykd(_) => 1,
            Provider::None => 0,
        }
    }

    /// The state goes out first, also to a client that is refused because it listens already.
    fn track_start(&mut self, cx: &mut Ctx<'_>, conn: ConnId, flags: u32) -> Result<(), CsError> {
        let client = self.clients.get_mut(&conn).ok_or(CsError::Library)?;
        if flags & (TRACK_CURRENT | TRACK_CHANGES) != 0 {
            if client.layout == Layout::V1 {
                cx.event(conn, &self.change.members_event());
            }
            let event = quorum_event(cx.quorum(), client.layout);
            cx.event(conn, &event);
        }
        if client.tracking == Tracking::On {
            return Err(CsError::Exist);
        }
        if flags & (TRACK_CHANGES | TRACK_CHANGES_ONLY) != 0 {
            client.tracking = Tracking::On;
        }
        Ok(())
    }

    fn choose_layout(&mut self, cx: &mut Ctx<'_>, conn: ConnId, model: u32) -> Result<(), CsError> {
        let client = self.clients.get_mut(&conn).ok_or(CsError::Library)?;
        client.layout = match model {
            0 => Layout::V0,
            1 => Layout::V1,
            _ => {
                let text = format!("quorum_model_type request for unsupported model {model}");
                cx.log(Subsystem::Quorum, Priority::Error, text);
                return Err(CsError::InvalidParam);
            }
        };
        Ok(())
    }

    fn track_stop(&mut self, conn: ConnId) {
        if let Some(client) = self.clients.get_mut(&conn) {
            client.tracking = Tracking::Off;
        }
    }

    fn request(&mut self, cx: &mut Ctx<'_>, conn: ConnId, request: Request) {
        match request {
            Request::GetQuorate => {
                let quorate = number(cx.quorum().quorate);
                cx.respond(conn, &Answer::<QuorateAnswer>(Ok(Number(quorate))));
            }
            Request::TrackStart { flags } => {
                let status = self.track_start(cx, conn, flags);
                cx.respond(conn, &Answer::<TrackStarted>::from(status));
            }
            Request::TrackStop => {
                // Success even for a client that never listened, as in C.
                self.track_stop(conn);
                cx.respond(conn, &Answer::<TrackStopped>(Ok(Done)));
            }
            Request::GetType => cx.respond(conn, &Answer::<Type>(Ok(Number(self.kind())))),
            Request::ModelGetType { model } => {
                let status = self.choose_layout(cx, conn, model);
                let kind = self.kind();
                cx.respond(conn, &Answer::<ModelType>(status.map(|()| Number(kind))));
            }
        }
    }

    fn listeners(&self) -> impl Iterator<Item = (ConnId, Layout)> + '_ {
        self.clients
            .iter()
            .filter(|(_, client)| client.tracking == Tracking::On)
            .map(|(conn, client)| (*conn, client.layout))
    }
}

impl Change {
    /// A new membership. Who was there before and did not come along has left, even if it is back already: it
    /// joins then, too.
    fn begin(&mut self, view: &SyncView) {
        let stays = |id: &NodeId| view.trans.contains(id) && view.members.contains(id);
        let (stayed, left) = self.settled.iter().partition::<Vec<_>, _>(|id| stays(id));
        self.joined = view.members.clone();
        self.joined.retain(|id| !stayed.contains(id));
        self.left = left;
        self.members.clone_from(&view.members);
        self.ring = view.ring;
    }

    /// The membership without its history.
    fn members_event(&self) -> Event {
        Event::NodeList {
            ring: self.ring,
            members: self.members.clone(),
            joined: Vec::new(),
            left: Vec::new(),
        }
    }

    fn event(&self) -> Event {
        Event::NodeList {
            ring: self.ring,
            members: self.members.clone(),
            joined: self.joined.clone(),
            left: self.left.clone(),
        }
    }
}

impl Service for Quorum {
    fn info(&self) -> &'static ServiceInfo {
        &INFO
    }

    fn start(&mut self, cx: &mut Ctx<'_>) {
        match &self.provider {
            Provider::Votequorum => log_provider(cx, "corosync_votequorum"),
            Provider::Ykd(ykd) => log_provider(cx, ykd.name()),
            Provider::None => cx.publish_quorum(QuorumView {
                quorate: Quorate::Yes,
                ..cx.quorum().clone()
            }),
        }
    }

    fn lib_connect(&mut self, _cx: &mut Ctx<'_>, conn: ConnId) {
        let client = Client {
            layout: Layout::V0,
            tracking: Tracking::Off,
        };
        self.clients.insert(conn, client);
    }

    fn lib_request(&mut self, cx: &mut Ctx<'_>, conn: ConnId, message: &[u8]) {
        match Request::decode(&mut Reader::new(message)) {
            Ok(request) => self.request(cx, conn, request),
            Err(error) => {
                let answer = ResponseHeader::refusal(CsError::from(error));
                cx.respond_bytes(conn, &answer);
            }
        }
    }

    fn lib_disconnect(&mut self, _cx: &mut Ctx<'_>, conn: ConnId) {
        self.clients.remove(&conn);
    }

    fn sync_init(&mut self, cx: &mut Ctx<'_>, view: &SyncView) {
        self.change.begin(view);
        log_nodes(cx, "Sync members", &self.change.members);
        for (title, nodes) in [
            ("Sync joined", &self.change.joined),
            ("Sync left", &self.change.left),
        ] {
            if !nodes.is_empty() {
                log_nodes(cx, title, nodes);
            }
        }
        if let Provider::Ykd(ykd) = &mut self.provider {
            ykd.changed(cx, view);
        }
    }

    fn group_deliver(&mut self, cx: &mut Ctx<'_>, group: Group, from: NodeId, body: &[u8]) {
        if let Provider::Ykd(ykd) = &mut self.provider {
            ykd.deliver(cx, group, from, body);
        }
    }

    fn timeout(&mut self, cx: &mut Ctx<'_>, _timer: u32) {
        if let Provider::Ykd(ykd) = &mut self.provider {
            ykd.retry(cx);
        }
    }

    fn sync_activate(&mut self, cx: &mut Ctx<'_>) {
        self.change.settled.clone_from(&self.change.members);
        let event = self.change.event();
        for (conn, layout) in self.listeners() {
            if layout == Layout::V1 {
                cx.event(conn, &event);
            }
        }
    }

    fn quorum_changed(&mut self, cx: &mut Ctx<'_>) {
        if matches!(self.provider, Provider::None) {
            return;
        }
        let view = cx.quorum().clone();
        if view.quorate != self.logged {
            self.logged = view.quorate;
            let text = match view.quorate {
                Quorate::Yes => {
                    "This node is within the primary component and will provide service."
                }
                Quorate::No => {
                    "This node is within the non-primary component and will NOT provide any services."
                }
            };
            cx.log(Subsystem::Quorum, Priority::Notice, text);
        }
        log_nodes(cx, "Members", &view.members);
        for (conn, layout) in self.listeners() {
            cx.event(conn, &quorum_event(&view, layout));
        }
    }
}

fn quorum_event(view: &QuorumView, layout: Layout) -> Event {
    let quorate = number(view.quorate);
    match layout {
        Layout::V0 => Event::V0 {
            quorate,
            ring_seq: view.ring.seq,
            view: view.members.clone(),
        },
        Layout::V1 => Event::Quorum {
            quorate,
            ring: view.ring,
            view: view.members.clone(),
        },
    }
}

const fn number(quorate: Quorate) -> u32 {
    match quorate {
        Quorate::Yes => 1,
        Quorate::No => 0,
    }
}

fn log_provider(cx: &mut Ctx<'_>, name: &str) {
    let text = format!("Using quorum provider {name}");
    cx.log(Subsystem::Quorum, Priority::Notice, text);
}

fn log_nodes(cx: &mut Ctx<'_>, title: &str, nodes: &[NodeId]) {
    for line in node_lines(title, nodes) {
        cx.log(Subsystem::Quorum, Priority::Notice, line);
    }
}

/// `Members[3]: 1 2 3`, in lines that end in a backslash while more follow (`log_view_list`). C cuts the last
/// number of such a line where its buffer ends; here it stands whole on the next line alone
/// (`docs/deviations.md`, D-48).
fn node_lines(title: &str, nodes: &[NodeId]) -> Vec<String> {
    let head = format!("{title}[{}]:", nodes.len());
    let mut lines = Vec::new();
    let mut list = String::new();
    for node in nodes {
        let word = format!(" {node}");
        if list.len() + word.len() > LIST_BYTES_MAX {
            lines.push(format!("{head}{list}\\"));
            list.clear();
        }
        list.push_str(&word);
    }
    lines.push(format!("{head}{list}"));
    lines
}

/// Bytes of node ids in one line of log.
const LIST_BYTES_MAX: usize = 63;

static INFO: ServiceInfo = ServiceInfo {
    id: ServiceId::QUORUM,
    name: "quorum",
    title: "corosync cluster quorum service v0.1",
    priority: 1,
    library: Library::Yes,
    sync: TakesPart::Yes,
    requests: REQUESTS,
    exec_functions: 0,
};

const REQUESTS: &[Needs] = &[Needs::Nothing; 5];

#[cfg(test)]
mod tests;

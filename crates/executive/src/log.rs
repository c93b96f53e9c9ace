//! What a node writes into its log. Wording that operators search for is corosync's (v3.1.7), in one place.

use core::panic::Location;

use ferrosync_knet::handle::Event;
use ferrosync_knet::host::Policy;
use ferrosync_knet::link::State;
use ferrosync_totem::srp::{GatherReason, MembStateKind, SrpEvent, TokenTrace};
use ferrosync_totem::{NodeSet, SrpConfig};
use ferrosync_wire::{LinkId, NodeId};

/// One line.
#[derive(Clone, Debug)]
pub struct Record {
    /// Who writes it.
    pub subsystem: Subsystem,
    /// How much it matters.
    pub priority: Priority,
    /// The line, without time, host or subsystem.
    pub text: String,
    /// Where in the source it is written.
    pub place: Place,
}

impl Record {
    /// A line written by the caller.
    #[must_use]
    #[track_caller]
    pub const fn new(subsystem: Subsystem, priority: Priority, text: String) -> Self {
        Self {
            subsystem,
            priority,
            text,
            place: Place(Location::caller()),
        }
    }
}

/// Two records are the same when they say the same.
impl PartialEq for Record {
    fn eq(&self, other: &Self) -> bool {
        (self.subsystem, self.priority, &self.text)
            == (other.subsystem, other.priority, &other.text)
    }
}

impl Eq for Record {}

/// A place in the source.
#[derive(Clone, Copy, Debug)]
pub struct Place(&'static Location<'static>);

impl Place {
    /// The file's name without its directories.
    #[must_use]
    pub fn file(self) -> &'static str {
        let path = self.0.file();
        path.rsplit_once('/').map_or(path, |(_, name)| name)
    }

    /// The line, counted from 1.
    #[must_use]
    pub const fn line(self) -> u32 {
        self.0.line()
    }

    /// The module that writes, as a path below its crate such as `services/cpg/send`; programs do not know the names of
    /// their functions (`docs/deviations.md`, D-95).
    #[must_use]
    pub fn module(self) -> &'static str {
        let path = self.0.file();
        let inside = path.rsplit_once("src/").map_or(path, |(_, inside)| inside);
        let name = inside.strip_suffix(".rs").unwrap_or(inside);
        name.strip_suffix("/mod").unwrap_or(name)
    }
}

/// Parts of the daemon as `logging.logger_subsys` names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names are the documented subsystem names")]
pub enum Subsystem {
    Main,
    Totem,
    Knet,
    Sync,
    Serv,
    Qb,
    Cmap,
    Cfg,
    Cpg,
    Quorum,
    Voteq,
    Ykd,
    Pload,
    Mon,
    Wd,
}

impl Subsystem {
    /// The name in brackets, as in `[TOTEM ]` without its padding.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Main => "MAIN",
            Self::Totem => "TOTEM",
            Self::Knet => "KNET",
            Self::Sync => "SYNC",
            Self::Serv => "SERV",
            Self::Qb => "QB",
            Self::Cmap => "CMAP",
            Self::Cfg => "CFG",
            Self::Cpg => "CPG",
            Self::Quorum => "QUORUM",
            Self::Voteq => "VOTEQ",
            Self::Ykd => "YKD",
            Self::Pload => "PLOAD",
            Self::Mon => "MON",
            Self::Wd => "WD",
        }
    }
}

/// syslog's priorities, and one below.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names are syslog's")]
pub enum Priority {
    Emergency,
    Alert,
    Critical,
    Error,
    Warning,
    Notice,
    Info,
    Debug,
    Trace,
}

/// The lines for an event of the ring protocol.
#[must_use]
pub fn of_srp(event: &SrpEvent, config: &SrpConfig) -> Vec<Record> {
    let one = |priority, text: String| vec![totem(priority, text)];
    match event {
        SrpEvent::State { to, reason, .. } => one(Priority::Debug, entering(*to, *reason)),
        SrpEvent::Formed {
            ring,
            joined,
            left,
            failed,
        } => formed(&ring.to_string(), joined, left, failed),
        SrpEvent::TokenLost { state, trace, .. } => {
            let mut lines = token_lost(*state, config);
            lines.extend(trace.map(|trace| totem(Priority::Notice, token_trace(&trace))));
            lines
        }
        SrpEvent::TokenWarning { silence } => one(
            Priority::Notice,
            format!("Token has not been received in {} ms ", silence.as_millis()),
        ),
        SrpEvent::Silent(nodes) => one(
            Priority::Debug,
            format!("consensus timeout: no answer from{}", list(nodes)),
        ),
        SrpEvent::CannotForm => vec![Record::new(
            Subsystem::Main,
            Priority::Warning,
            CANNOT_FORM.to_owned(),
        )],
        SrpEvent::RetransmitList(seqs) => {
            let seqs: String = seqs.iter().map(|s| format!("{s} ")).collect();
            one(Priority::Notice, format!("Retransmit List: {seqs}"))
        }
        SrpEvent::FailedToReceive => one(Priority::Error, "FAILED TO RECEIVE".to_owned()),
        SrpEvent::Paused(time) => one(
            Priority::Notice,
            format!(
                "Process pause detected for {} ms, flushing membership messages.",
                time.as_millis()
            ),
        ),
        SrpEvent::JoinDiscardedInFlush(node) => one(
            Priority::Warning,
            format!("Discarding JOIN message during flush, nodeid={node}"),
        ),
        SrpEvent::LeaveDiscardedInFlush(node) => one(
            Priority::Warning,
            format!("Discarding LEAVE message during flush, nodeid={node}"),
        ),
        SrpEvent::LeaveReceived(node) => one(
            Priority::Debug,
            format!("Received LEAVE message from {node}"),
        ),
        SrpEvent::Malformed(error) => one(
            Priority::Warning,
            format!("Message received is not valid ({error})... ignoring"),
        ),
        SrpEvent::ForeignByteOrder => one(
            Priority::Warning,
            "Message received from a node of another byte order... ignoring".to_owned(),
        ),
    }
}

/// `main.c:corosync_totem_stats_updater`, which says so every 1.5 seconds; here with each failed attempt.
const CANNOT_FORM: &str = "Totem is unable to form a cluster because of an operating system or network fault (reason: \
    totem is continuously in gather state). The most common cause of this message is that the local firewall is \
    configured improperly.";

fn entering(to: MembStateKind, reason: Option<GatherReason>) -> String {
    match (to, reason) {
        (MembStateKind::Operational, _) => "entering OPERATIONAL state.".to_owned(),
        (MembStateKind::Commit, _) => "entering COMMIT state.".to_owned(),
        (MembStateKind::Recovery, _) => "entering RECOVERY state.".to_owned(),
        (MembStateKind::Gather, None) => "entering GATHER state.".to_owned(),
        (MembStateKind::Gather, Some(reason)) => format!(
            "entering GATHER state from {}({}).",
            reason as u8,
            reason.text()
        ),
    }
}

fn formed(ring: &str, joined: &[NodeId], left: &[NodeId], failed: &[NodeId]) -> Vec<Record> {
    let part = |word: &str, nodes: &[NodeId]| match nodes {
        [] => String::new(),
        _ => format!(" {word}:{}", list(nodes)),
    };
    let mut lines = vec![totem(
        Priority::Notice,
        format!(
            "A new membership ({ring}) was formed. Members{}{}",
            part("joined", joined),
            part("left", left)
        ),
    )];
    if !failed.is_empty() {
        lines.push(totem(
            Priority::Notice,
            format!(
                "Failed to receive the leave message.{}",
                part("failed", failed)
            ),
        ));
    }
    lines
}

fn token_lost(state: MembStateKind, config: &SrpConfig) -> Vec<Record> {
    let name = match state {
        MembStateKind::Operational => {
            return vec![
                totem(
                    Priority::Debug,
                    "The token was lost in the OPERATIONAL state.".to_owned(),
                ),
                totem(
                    Priority::Notice,
                    format!(
                        "A processor failed, forming new configuration: token timed out ({}ms), \
                         waiting {}ms for consensus.",
                        config.token.as_millis(),
                        config.consensus.as_millis()
                    ),
                ),
            ];
        }
        MembStateKind::Gather => "GATHER",
        MembStateKind::Commit => "COMMIT",
        MembStateKind::Recovery => "RECOVERY",
    };
    vec![totem(
        Priority::Debug,
        format!("The token was lost in the {name} state."),
    )]
}

/// The lines for what became of links, as libknet writes them (`libknet/{host,links,threads_*}.c`, v1.25).
#[must_use]
pub fn of_knet(event: &Event) -> Vec<Record> {
    let info = |text| knet(Priority::Info, text);
    match event {
        Event::Link(host, link, State::Up) => {
            let (host, link) = (host.0, link.0);
            vec![
                info(format!("rx: host: {host} link: {link} is up")),
                info(format!(
                    "link: Resetting MTU for link {link} because host {host} joined"
                )),
            ]
        }
        Event::Link(host, link, State::Down) => vec![info(format!(
            "link: host: {} link: {} is down",
            host.0, link.0
        ))],
        Event::Host(host, policy, active) => carried_by(host.0, *policy, active),
        Event::LinkMtu {
            host,
            link,
            from,
            to,
        } => vec![info(format!(
            "pmtud: PMTUD link change for host: {} link: {} from {from} to {to}",
            host.0, link.0
        ))],
        Event::NoMtu(host, link) => vec![knet(
            Priority::Warning,
            format!(
                "pmtud: host: {} link: {} answers pings and nothing else, the link is not used",
                host.0, link.0
            ),
        )],
        Event::DataMtu(mtu) => vec![info(format!("pmtud: Global data MTU changed to: {mtu}"))],
    }
}

fn carried_by(host: u16, policy: Policy, active: &[(LinkId, u8)]) -> Vec<Record> {
    let best = match (policy, active) {
        (_, []) => {
            let text = format!("host: host: {host} has no active links");
            return vec![knet(Priority::Warning, text)];
        }
        (Policy::Passive, [(link, priority), ..]) => {
            format!(
                "host: host: {host} (passive) best link: {} (pri: {priority})",
                link.0
            )
        }
        (Policy::Active | Policy::RoundRobin, links) => {
            format!("host: host: {host} has {} active links", links.len())
        }
    };
    vec![knet(Priority::Info, best)]
}

#[track_caller]
pub(crate) const fn knet(priority: Priority, text: String) -> Record {
    Record::new(Subsystem::Knet, priority, text)
}

/// Which hop had the token last (D-54).
fn token_trace(trace: &TokenTrace) -> String {
    let way = format!(
        "The token came from node {} {} ms ago with messages up to {} and was passed to node {}",
        trace.from,
        trace.ago.as_millis(),
        trace.seq,
        trace.to
    );
    match trace.beyond {
        Some((node, seq)) => {
            format!("{way}; message {seq} of node {node} shows that it was there then")
        }
        None => format!("{way}; nothing that shows where it went was received"),
    }
}

fn list(nodes: &[NodeId]) -> String {
    let nodes: NodeSet = nodes.iter().copied().collect();
    nodes.iter().map(|n| format!(" {n}")).collect()
}

#[track_caller]
const fn totem(priority: Priority, text: String) -> Record {
    Record::new(Subsystem::Totem, priority, text)
}

#[cfg(test)]
mod tests {
    use super::{Priority, Record, Subsystem};

    #[test]
    fn a_record_knows_who_wrote_it() {
        let (record, line) = (
            Record::new(Subsystem::Main, Priority::Info, String::new()),
            line!() - 1,
        );
        let place = record.place;
        assert_eq!((place.file(), place.line()), ("log.rs", line));
        assert_eq!(place.module(), "log");
    }
}

//! Quorum: how many votes the cluster expects and who decides in doubt (corosync
//! `votequorum.c:votequorum_readconfig`, v3.1.7).

use core::time::Duration;

use ferrosync_wire::NodeId;

use super::error::Findings;
use super::key_map::KeyMap;
use super::nodelist::NodeEntry;

/// The quorum section.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QuorumConfig {
    /// `provider: corosync_votequorum`; without a provider the cluster is always quorate.
    pub votequorum: Option<VotequorumConfig>,
    /// `provider: corosync_ykd` or `ferrosync_ykd`.
    pub ykd: Option<YkdRule>,
}

/// Which dynamic linear voting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum YkdRule {
    /// `corosync_ykd`: as C votes, both halves of a split included.
    Corosync,
    /// `ferrosync_ykd`: with a tie breaker and a memory on disk; all nodes must be of Ferrosync.
    Linear,
}

/// Parameters of votequorum, contradictions already settled as corosync settles them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VotequorumConfig {
    /// This node's votes.
    pub votes: u32,
    /// `expected_votes`, or the sum of all votes, the quorum device's included.
    pub expected_votes: u32,
    /// What would be expected if nothing was written: the votes of all nodes, and the quorum device's where those
    /// are not written.
    pub derived_votes: u32,
    /// Whether `expected_votes` is written in the file.
    pub expected_votes_source: VotesSource,
    /// `two_node`: one of two nodes is enough.
    pub two_node: bool,
    /// `wait_for_all`: quorate for the first time only when all nodes were there once.
    pub wait_for_all: WaitForAll,
    /// `last_man_standing` with its window: expected votes sink while nodes leave.
    pub last_man_standing: Option<Duration>,
    /// `auto_tie_breaker`: which half stays quorate.
    pub tie_breaker: Option<TieBreaker>,
    /// `allow_downscale`: expected votes sink when nodes leave in order.
    pub allow_downscale: bool,
    /// `expected_votes_tracking`, implied by `allow_downscale`.
    pub expected_votes_tracking: bool,
    /// `quorum.device`.
    pub device: Option<QdeviceConfig>,
}

/// Where the number of expected votes comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VotesSource {
    /// The sum over the nodelist.
    Nodelist,
    /// `quorum.expected_votes`.
    Written,
}

/// `wait_for_all`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitForAll {
    /// Not given: follows `two_node`, also when that changes at a reload.
    FollowsTwoNode {
        /// Its present state.
        on: bool,
    },
    /// Given.
    Set {
        /// Its value.
        on: bool,
    },
}

impl WaitForAll {
    /// Whether it is on.
    #[must_use]
    pub const fn is_on(self) -> bool {
        match self {
            Self::FollowsTwoNode { on } | Self::Set { on } => on,
        }
    }
}

/// `auto_tie_breaker_node`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TieBreaker {
    /// The half with the lowest node id, the default.
    Lowest,
    /// The half with the highest node id.
    Highest,
    /// The half with the first of these nodes that was there before.
    Nodes(Vec<NodeId>),
}

impl TieBreaker {
    /// Reads `auto_tie_breaker_node`; a list ends where something is no number (corosync
    /// `votequorum.c:parse_atb_string`, v3.1.7). `None` disables the tie breaker.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text {
            "lowest" => return Some(Self::Lowest),
            "highest" => return Some(Self::Highest),
            _ => {}
        }
        let mut ids = Vec::new();
        for word in text.split_ascii_whitespace() {
            let digits = word.bytes().take_while(u8::is_ascii_digit).count();
            match word[..digits].parse() {
                Ok(id) if id > 0 => ids.push(NodeId(id)),
                Ok(_) | Err(_) => break,
            }
            if digits < word.len() {
                break;
            }
        }
        (!ids.is_empty()).then_some(Self::Nodes(ids))
    }
}

/// `quorum.device`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QdeviceConfig {
    /// `model`, for corosync-qdevice.
    pub model: String,
    /// `votes`, or one less than there are nodes.
    pub votes: u32,
    /// `timeout` between two signs of life.
    pub timeout: Duration,
    /// `sync_timeout`: the same while a membership forms.
    pub sync_timeout: Duration,
    /// `master_wins`.
    pub master_wins: bool,
}

/// More expected votes would overflow the 8 bits in which corosync keeps the quorum, half of them plus one.
pub const EXPECTED_VOTES_MAX: u64 = 509;

/// The messages of corosync_ykd have places for no more.
const YKD_NODES_MAX: usize = ferrosync_wire::exec::ykd::MEMBERS_MAX;

/// Reads the section. `local` is this node's position.
pub(crate) fn read(
    keys: &KeyMap,
    nodes: &[NodeEntry],
    local: usize,
    findings: &mut Findings,
) -> QuorumConfig {
    match keys.text("quorum.provider") {
        None => QuorumConfig::default(),
        Some("corosync_votequorum") => {
            let mut reader = Reader {
                keys,
                nodes,
                findings,
            };
            QuorumConfig {
                votequorum: Some(reader.read(local)),
                ykd: None,
            }
        }
        Some("corosync_ykd") => {
            if nodes.len() > YKD_NODES_MAX {
                let what =
                    format!("corosync_ykd cannot decide for more than {YKD_NODES_MAX} nodes");
                findings.error(
                    keys.at("quorum.provider"),
                    what,
                    "write corosync_votequorum",
                );
            }
            dynamic(YkdRule::Corosync)
        }
        Some("ferrosync_ykd") => {
            if nodes.is_empty() {
                let what =
                    "ferrosync_ykd needs a nodelist: its nodes are the first primary component";
                findings.error(keys.at("quorum.provider"), what, "write one");
            }
            dynamic(YkdRule::Linear)
        }
        Some(other) => {
            findings.error(
                keys.at("quorum.provider"),
                format!("Quorum provider: {other} failed to initialize."),
                "write corosync_votequorum, or corosync_ykd, or ferrosync_ykd",
            );
            QuorumConfig::default()
        }
    }
}

fn dynamic(rule: YkdRule) -> QuorumConfig {
    QuorumConfig {
        votequorum: None,
        ykd: Some(rule),
    }
}

struct Reader<'a> {
    keys: &'a KeyMap,
    nodes: &'a [NodeEntry],
    findings: &'a mut Findings,
}

impl Reader<'_> {
    fn read(&mut self, local: usize) -> VotequorumConfig {
        let written = self
            .keys
            .u32("quorum.expected_votes")
            .filter(|votes| *votes > 0);
        let node_votes: u64 = self.nodes.iter().map(|node| u64::from(node.votes)).sum();
        let mut two_node = self.is_set("two_node");
        let wait_for_all = match self.keys.u8("quorum.wait_for_all") {
            Some(value) => WaitForAll::Set { on: value > 0 },
            None => WaitForAll::FollowsTwoNode { on: two_node },
        };
        let device = self.device(written, node_votes, two_node);
        let mut tie_breaker = self.tie_breaker();
        if two_node && tie_breaker.is_some() {
            two_node = false;
            self.warn(
                "two_node",
                "two_node and auto_tie_breaker are both specified but are not compatible. two_node has been disabled, please fix your corosync.conf",
            );
        }
        if tie_breaker.is_some() && node_votes % 2 == 1 && !wait_for_all.is_on() {
            tie_breaker = self.odd_tie_breaker();
        }
        self.check_device(device.as_ref(), tie_breaker.as_ref());
        self.warn_of_split_brain(two_node, tie_breaker.as_ref(), wait_for_all);
        let device_votes = device.as_ref().map_or(0, |device| u64::from(device.votes));
        let derived = if self.keys.u32("quorum.device.votes").is_some() {
            node_votes
        } else {
            node_votes + device_votes
        };
        let allow_downscale = self.is_set("allow_downscale");
        VotequorumConfig {
            votes: self.nodes.get(local).map_or(1, |node| node.votes),
            derived_votes: u32::try_from(derived).unwrap_or(u32::MAX),
            expected_votes: self.expected_votes(written, derived, node_votes + device_votes),
            expected_votes_source: match written {
                Some(_) => VotesSource::Written,
                None => VotesSource::Nodelist,
            },
            two_node,
            wait_for_all,
            last_man_standing: self.last_man_standing(),
            tie_breaker,
            allow_downscale,
            expected_votes_tracking: allow_downscale || self.is_set("expected_votes_tracking"),
            device,
        }
    }

    /// The device and the checks that need its votes.
    fn device(
        &mut self,
        written: Option<u32>,
        node_votes: u64,
        two_node: bool,
    ) -> Option<QdeviceConfig> {
        let model = self
            .keys
            .text("quorum.device.model")
            .filter(|model| !model.is_empty())?;
        if two_node {
            self.error(
                "two_node",
                "configuration error: two_node and quorum device cannot be configured at the same time!",
                "remove one of them",
            );
        }
        let votes = match (self.keys.u32("quorum.device.votes"), written) {
            (Some(votes), Some(expected))
                if i64::from(expected) - i64::from(votes) < 2 && votes > 0 =>
            {
                self.error(
                    "device.votes",
                    "configuration error: quorum.device.votes is too high or expected_votes is too low",
                    "leave at least two votes to the nodes",
                );
                votes
            }
            (Some(votes), _) => votes,
            (None, Some(_)) => {
                self.error(
                    "device.votes",
                    "configuration error: quorum.device.votes must be specified when quorum.expected_votes is set",
                    "add votes to quorum.device",
                );
                0
            }
            (None, None) if u64::try_from(self.nodes.len()) != Ok(node_votes) => {
                self.error(
                    "device.votes",
                    "configuration error: quorum.device.votes must be specified when not all nodes votes 1",
                    "add votes to quorum.device",
                );
                0
            }
            (None, None) => u32::try_from(node_votes.saturating_sub(1)).unwrap_or(u32::MAX),
        };
        let ms = |key: &str, default: u32| {
            let number = self.keys.u32(&format!("quorum.device.{key}"));
            Duration::from_millis(u64::from(number.unwrap_or(default)))
        };
        Some(QdeviceConfig {
            model: model.to_owned(),
            votes,
            timeout: ms("timeout", 10_000),
            sync_timeout: ms("sync_timeout", 30_000),
            master_wins: self.is_set("device.master_wins"),
        })
    }

    fn check_device(&mut self, device: Option<&QdeviceConfig>, tie_breaker: Option<&TieBreaker>) {
        if device.is_none() {
            return;
        }
        let conflicts = [
            ("last_man_standing", self.is_set("last_man_standing")),
            ("auto_tie_breaker", tie_breaker.is_some()),
            ("allow_downscale", self.is_set("allow_downscale")),
        ];
        for (key, present) in conflicts {
            if present {
                let what =
                    format!("configuration error: quorum.device is not compatible with {key}");
                self.error(key, &what, "remove one of them");
            }
        }
    }

    fn last_man_standing(&mut self) -> Option<Duration> {
        if !self.is_set("last_man_standing") {
            return None;
        }
        if self.nodes.iter().any(|node| node.votes != 1) {
            let text = "last_man_standing works only when every node has one vote";
            self.warn("last_man_standing", text);
        }
        let window = self.keys.u32("quorum.last_man_standing_window");
        Some(Duration::from_millis(u64::from(window.unwrap_or(10_000))))
    }

    fn tie_breaker(&mut self) -> Option<TieBreaker> {
        let text = self.keys.text("quorum.auto_tie_breaker_node");
        if !self.is_set("auto_tie_breaker") {
            if text.is_some() {
                self.warn(
                    "auto_tie_breaker_node",
                    "auto_tie_breaker_node: is meaningless if auto_tie_breaker is set to 0",
                );
            }
            return None;
        }
        let breaker = text.map_or(Some(TieBreaker::Lowest), TieBreaker::parse);
        match (&breaker, text) {
            (Some(TieBreaker::Nodes(ids)), Some(text)) => self.check_tie_breaker_nodes(ids, text),
            (None, _) => self.error(
                "auto_tie_breaker_node",
                "auto_tie_breaker_nodes is not valid.",
                "write 'lowest', 'highest' or a space-separated list of node IDs",
            ),
            (Some(_), _) => {}
        }
        breaker
    }

    /// What C takes without a word, and so do we, although two parts could be quorate at a time.
    fn warn_of_split_brain(
        &mut self,
        two_node: bool,
        tie_breaker: Option<&TieBreaker>,
        wait_for_all: WaitForAll,
    ) {
        if two_node && self.nodes.len() > 2 {
            self.warn(
                "two_node",
                "two_node is for exactly two nodes: in this larger cluster any two nodes, and any node that is alone, would be quorate. Remove it",
            );
        }
        if matches!(tie_breaker, Some(TieBreaker::Nodes(_))) && !wait_for_all.is_on() {
            self.warn(
                "auto_tie_breaker_node",
                "a list of nodes needs `wait_for_all: 1`: without it halves that start apart could both be quorate",
            );
        }
    }

    fn check_tie_breaker_nodes(&mut self, ids: &[NodeId], text: &str) {
        let key = "auto_tie_breaker_node";
        if text.split_ascii_whitespace().count() != ids.len() {
            let what = "auto_tie_breaker_nodes is not valid.";
            self.error(key, what, "write node IDs with blanks between them");
        }
        for id in ids {
            if !self.nodes.iter().any(|node| node.id == *id) {
                self.warn(key, &format!("node {id} is not in the nodelist"));
            }
        }
    }

    /// An isolated half plus one without the tie breaker would be quorate after a restart.
    fn odd_tie_breaker(&mut self) -> Option<TieBreaker> {
        if self.is_set("last_man_standing") {
            self.error(
                "auto_tie_breaker",
                "configuration error: auto_tie_breaker & last_man_standing not available in odd sized cluster",
                "add `wait_for_all: 1` or remove last_man_standing",
            );
        } else {
            self.warn(
                "auto_tie_breaker",
                "auto_tie_breaker is set and the cluster has an odd number of nodes. wait_for_all needs to be set for this configuration but it is missing. Therefore auto_tie_breaker has been disabled. Please fix your corosync.conf",
            );
        }
        None
    }

    /// Expected votes: written ones take precedence; neither they nor what can come together may overflow.
    fn expected_votes(&mut self, written: Option<u32>, derived: u64, present: u64) -> u32 {
        let expected = written.map_or(derived, u64::from);
        if expected.max(present) > EXPECTED_VOTES_MAX {
            let what = format!(
                "{} votes are expected, more than the {EXPECTED_VOTES_MAX} that votequorum can count",
                expected.max(present)
            );
            self.error("expected_votes", &what, "give the nodes fewer votes");
        }
        u32::try_from(expected).unwrap_or(u32::MAX)
    }

    fn is_set(&self, key: &str) -> bool {
        self.keys.u8(&format!("quorum.{key}")).unwrap_or(0) > 0
    }

    fn error(&mut self, key: &str, what: &str, instead: &str) {
        let at = self.keys.at(&format!("quorum.{key}"));
        self.findings.error(at, what, instead);
    }

    fn warn(&mut self, key: &str, text: &str) {
        let at = self.keys.at(&format!("quorum.{key}"));
        self.findings.warn(at, text);
    }
}

//! The words of the command line: node numbers, sides of a partition, settings, durations.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use std::time::Duration;

use super::links::LinkNumber;
use crate::args::IpVersion;

/// Most nodes of a lab; a ring of corosync has at most 384 members, a machine has fewer cores.
pub(crate) const NODES_MAX: u8 = 32;

/// A word that means nothing here, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BadWord(String);

impl BadWord {
    pub(crate) fn new(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Display for BadWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadWord {}

/// A node of the lab, 1 to 32: its node id, the end of its address and of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct NodeNumber(u8);

impl NodeNumber {
    /// The nodes of a lab of `count`.
    pub(crate) fn all(count: u8) -> impl Iterator<Item = Self> {
        (1..=count.min(NODES_MAX)).map(Self)
    }

    /// The number.
    pub(crate) fn get(self) -> u8 {
        self.0
    }

    /// Place in a list of all nodes.
    pub(crate) fn index(self) -> usize {
        usize::from(self.0) - 1
    }

    /// Host name inside the node.
    pub(crate) fn name(self) -> String {
        format!("node{}", self.0)
    }

    /// Address of the node on the network of a link.
    pub(crate) fn address(self, link: LinkNumber, version: IpVersion) -> IpAddr {
        let (link, node) = (link.get(), self.0);
        match version {
            IpVersion::V4 => Ipv4Addr::new(10, 77, link, node).into(),
            IpVersion::V6 => {
                Ipv6Addr::from([0xfd77, link.into(), 0, 0, 0, 0, 0, node.into()]).into()
            }
        }
    }
}

impl fmt::Display for NodeNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl FromStr for NodeNumber {
    type Err = BadWord;

    fn from_str(word: &str) -> Result<Self, BadWord> {
        match word.parse() {
            Ok(number) if (1..=NODES_MAX).contains(&number) => Ok(Self(number)),
            Ok(_) | Err(_) => Err(BadWord(format!(
                "`{word}` is no node: write a number from 1 to {NODES_MAX}"
            ))),
        }
    }
}

/// A set of nodes, written `1,2`, `1-3` or `all`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct NodeSet(BTreeSet<NodeNumber>);

impl NodeSet {
    /// The nodes of a lab of `count`.
    pub(crate) fn all(count: u8) -> Self {
        Self(NodeNumber::all(count).collect())
    }

    pub(crate) fn contains(&self, node: NodeNumber) -> bool {
        self.0.contains(&node)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = NodeNumber> {
        self.0.iter().copied()
    }
}

impl FromIterator<NodeNumber> for NodeSet {
    fn from_iter<T: IntoIterator<Item = NodeNumber>>(nodes: T) -> Self {
        Self(nodes.into_iter().collect())
    }
}

impl fmt::Display for NodeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, node) in self.iter().enumerate() {
            let comma = if place == 0 { "" } else { "," };
            write!(f, "{comma}{node}")?;
        }
        Ok(())
    }
}

impl FromStr for NodeSet {
    type Err = BadWord;

    fn from_str(words: &str) -> Result<Self, BadWord> {
        if words == "all" {
            return Ok(Self::all(NODES_MAX));
        }
        let mut nodes = BTreeSet::new();
        for word in words.split(',') {
            let (first, last) = word.split_once('-').unwrap_or((word, word));
            let (first, last): (NodeNumber, NodeNumber) = (first.parse()?, last.parse()?);
            if first > last {
                return Err(BadWord(format!("`{word}` is empty: write {last}-{first}")));
            }
            nodes.extend((first.0..=last.0).map(NodeNumber));
        }
        Ok(Self(nodes))
    }
}

/// Sides of a partition, written `1,2/3`. No node is on two sides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Groups(Vec<NodeSet>);

impl Groups {
    /// The side of `node`, counted from 0; nodes that were not named share the one after the last.
    pub(crate) fn side_of(&self, node: NodeNumber) -> usize {
        let named = self.0.iter().position(|side| side.contains(node));
        named.unwrap_or(self.0.len())
    }
}

impl fmt::Display for Groups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, side) in self.0.iter().enumerate() {
            let slash = if place == 0 { "" } else { "/" };
            write!(f, "{slash}{side}")?;
        }
        Ok(())
    }
}

impl FromStr for Groups {
    type Err = BadWord;

    fn from_str(words: &str) -> Result<Self, BadWord> {
        let sides = words.split('/').map(str::parse);
        let sides: Vec<NodeSet> = sides.collect::<Result<_, _>>()?;
        let mut seen = BTreeSet::new();
        for node in sides.iter().flat_map(NodeSet::iter) {
            if !seen.insert(node) {
                return Err(BadWord(format!("node {node} is on two sides of `{words}`")));
            }
        }
        Ok(Self(sides))
    }
}

/// Name of a lab: part of a directory's name and of a socket's path, so short and plain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LabName(String);

impl LabName {
    const LEN_MAX: usize = 24;

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for LabName {
    type Err = BadWord;

    fn from_str(word: &str) -> Result<Self, BadWord> {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if word.is_empty() || word.len() > Self::LEN_MAX || !word.chars().all(plain) {
            return Err(BadWord(format!(
                "`{word}` is no name for a lab: 1 to {} letters, digits, `-` and `_`",
                Self::LEN_MAX
            )));
        }
        Ok(Self(word.to_owned()))
    }
}

/// A setting of corosync.conf, written `totem.token=1000`: sections, key and value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    /// From the outermost section inwards; at least one.
    pub(crate) sections: Vec<String>,
    pub(crate) key: String,
    pub(crate) value: String,
}

impl FromStr for Setting {
    type Err = BadWord;

    fn from_str(word: &str) -> Result<Self, BadWord> {
        let bad = |why: &str| BadWord(format!("`{word}` {why}: write such as totem.token=1000"));
        let (path, value) = word.split_once('=').ok_or_else(|| bad("has no `=`"))?;
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let mut sections: Vec<String> = path.split('.').map(str::to_owned).collect();
        if sections
            .iter()
            .any(|name| name.is_empty() || !name.chars().all(plain))
        {
            return Err(bad("has a key that corosync.conf cannot have"));
        }
        let key = sections.pop().ok_or_else(|| bad("has no key"))?;
        if sections.is_empty() {
            return Err(bad("names no section"));
        }
        if value.trim().is_empty() || value.contains(['\n', '\r', '{', '}']) {
            return Err(bad("has a value that corosync.conf cannot have"));
        }
        Ok(Self {
            sections,
            key,
            value: value.trim().to_owned(),
        })
    }
}

/// A time span such as `10s`, `1500ms`, `2m` or plain seconds.
pub(crate) fn parse_duration(word: &str) -> Result<Duration, BadWord> {
    let end = word
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(word.len());
    let (digits, unit) = word.split_at(end);
    let bad = || {
        BadWord(format!(
            "`{word}` is no time: write such as 10s, 500ms or 2m"
        ))
    };
    let count: u64 = digits.parse().map_err(|_| bad())?;
    let unit_ms: u64 = match unit {
        "ms" => 1,
        "" | "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(bad()),
    };
    let ms = count
        .checked_mul(unit_ms)
        .filter(|ms| *ms <= DURATION_MAX_MS);
    ms.map(Duration::from_millis).ok_or_else(bad)
}

/// A hundred days: no sum with a clock can overflow.
const DURATION_MAX_MS: u64 = 100 * 24 * 3_600_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_lists_ranges_or_all() {
        let set = |words: &str| words.parse::<NodeSet>().map(|set| set.to_string());
        assert_eq!(set("3,1").as_deref(), Ok("1,3"));
        assert_eq!(set("2-4,1").as_deref(), Ok("1,2,3,4"));
        assert_eq!("all".parse::<NodeSet>(), Ok(NodeSet::all(NODES_MAX)));
        for words in ["", "0", "33", "1,,2", "2-1", "1-", "x", "-1"] {
            assert!(set(words).is_err(), "{words}");
        }
    }

    #[test]
    fn nodes_that_no_side_names_stay_together() {
        let groups: Groups = "1,2/4".parse().expect("two sides");
        let sides: Vec<usize> = NodeNumber::all(5)
            .map(|node| groups.side_of(node))
            .collect();
        assert_eq!(sides, [0, 0, 2, 1, 2]);
        assert_eq!(groups.to_string(), "1,2/4");
        assert!("1,2/2".parse::<Groups>().is_err());
        assert!("1,2/".parse::<Groups>().is_err());
    }

    #[test]
    fn settings_name_a_section() {
        let setting: Setting = "totem.interface.mcastport=5405".parse().expect("a setting");
        assert_eq!(setting.sections, ["totem", "interface"]);
        assert_eq!(
            (setting.key.as_str(), setting.value.as_str()),
            ("mcastport", "5405")
        );
        for word in [
            "token=1",
            "totem.token",
            "totem.=1",
            "totem.a={",
            "totem.a=",
            "To.a=1",
            ".a=1",
        ] {
            assert!(word.parse::<Setting>().is_err(), "{word}");
        }
    }

    #[test]
    fn durations_have_units() {
        assert_eq!(parse_duration("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(parse_duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse_duration("7"), Ok(Duration::from_secs(7)));
        assert_eq!(parse_duration("2m"), Ok(Duration::from_secs(120)));
        for word in [
            "",
            "s",
            "-1s",
            "1d",
            "1.5s",
            "99999999999999999999s",
            "9999999999h",
        ] {
            assert!(parse_duration(word).is_err(), "{word}");
        }
    }

    #[test]
    fn lab_names_are_plain() {
        assert!("a-b_9".parse::<LabName>().is_ok());
        for word in ["", "..", "a/b", "a b", &"x".repeat(25)] {
            assert!(word.parse::<LabName>().is_err(), "{word}");
        }
    }
}

//! The new file and the report while they are made, so that neither says anything without the other.

use ferrosync_executive::config::keys::{self, Kind as Type};

use super::args::{Transport, Wishes};
use super::conf::{Again, Conf, Slot};
use super::report::{Report, Verdict};
use super::tree::{Entry, Tree};

/// The new file and what is said about it.
#[derive(Debug)]
pub(crate) struct Draft<'a> {
    pub(crate) wishes: &'a Wishes,
    pub(crate) conf: Conf,
    pub(crate) report: Report,
    /// The transport that is going to be written.
    pub(crate) transport: Transport,
}

impl<'a> Draft<'a> {
    pub(crate) fn new(tree: &Tree, wishes: &'a Wishes) -> Self {
        Self {
            wishes,
            conf: Conf::new(),
            report: Report::new(tree),
            transport: Transport::Knet,
        }
    }

    /// Writes a key of the input with its own value.
    pub(crate) fn copy(&mut self, entry: &Entry, slot: Slot<'_>) {
        self.write(entry, slot, (&entry.key, &entry.value), "");
    }

    /// Writes a key of the input under this name and value; `why` tells the reason where they are not its own.
    pub(crate) fn write(
        &mut self,
        entry: &Entry,
        slot: Slot<'_>,
        (key, value): (&str, &str),
        why: &str,
    ) {
        let path = path_of(slot, key);
        if !is_meaningful(&path, value) {
            let why = format!("`{value}` is no value that {path} can have; it was left out");
            return self.report.say(entry, Verdict::Decide, None, &why);
        }
        match self
            .conf
            .set(slot, (key, value), Some(entry.number), Again::Replaces)
        {
            Ok(old) => {
                let same = key == entry.key && value == entry.value;
                let verdict = if same {
                    Verdict::Copied
                } else {
                    Verdict::Changed
                };
                if let Some(old) = old.filter(|old| *old != entry.number) {
                    self.report.overridden(old, &format!("line {}", entry.line));
                }
                let output = Some((told_as(slot, key), value.to_owned()));
                self.report.say(entry, verdict, output, why);
            }
            Err(unwritable) => self.report.say(entry, Verdict::Decide, None, unwritable.0),
        }
    }

    /// Writes a key as it stands, next to another one of that name.
    pub(crate) fn copy_verbatim(&mut self, entry: &Entry, slot: Slot<'_>, why: &str) {
        let line = (entry.key.as_str(), entry.value.as_str());
        match self.conf.set(slot, line, Some(entry.number), Again::Stands) {
            Ok(_) => {
                let output = Some((told_as(slot, &entry.key), entry.value.clone()));
                self.report.say(entry, Verdict::Copied, output, why);
            }
            Err(unwritable) => self.report.say(entry, Verdict::Decide, None, unwritable.0),
        }
    }

    /// Nothing in Corosync 3 corresponds to the key.
    pub(crate) fn drop(&mut self, entry: &Entry, why: &str) {
        self.report.say(entry, Verdict::Dropped, None, why);
    }

    /// Somebody has to look at the key.
    pub(crate) fn decide(&mut self, entry: &Entry, why: &str) {
        self.report.say(entry, Verdict::Decide, None, why);
    }

    /// Nothing is known about the key.
    pub(crate) fn unknown(&mut self, entry: &Entry) {
        self.report
            .say(entry, Verdict::Decide, None, super::report::UNKNOWN);
    }

    /// Writes a line that no line of the input asks for, unless the key is written already.
    pub(crate) fn add(&mut self, slot: Slot<'_>, (key, value): (&str, &str), why: &str) {
        if self.conf.get(slot, key).is_some() {
            return;
        }
        match self.conf.set(slot, (key, value), None, Again::Replaces) {
            Ok(_) => self.report.added(told_as(slot, key), value, why),
            Err(unwritable) => {
                let why = format!(
                    "{}: {value} cannot be written: {}",
                    path_of(slot, key),
                    unwritable.0
                );
                self.report.decide(&why);
            }
        }
    }

    /// Says which options change nothing in a file like this one.
    pub(crate) fn report_vain_wishes(&mut self) {
        if let Some(address) = self.wishes.mcast_address {
            let group = (0..LINKS).find_map(|link| self.conf.get(&interface(link), "mcastaddr"));
            if group != Some(&address.to_string()) {
                let why = format!(
                    "--mcast-address {address} was left out: only a ring over udp that does not broadcast has such an address"
                );
                self.report.decide(&why);
            }
        }
        let is_on = |key| !matches!(self.conf.get(TOTEM, key), None | Some("none" | "off"));
        let encrypted = is_on("crypto_cipher") || is_on("crypto_hash") || is_on("secauth");
        if let Some(file) = self.wishes.keyfile.as_deref().filter(|_| !encrypted) {
            let why = format!("--keyfile {file}: without encryption no key is read");
            self.report.decide(&why);
        }
    }

    /// Writes what an option asks for over whatever the input said.
    pub(crate) fn insist(&mut self, slot: Slot<'_>, (key, value): (&str, &str), option: &str) {
        match self.conf.set(slot, (key, value), None, Again::Replaces) {
            Ok(old) => {
                if let Some(old) = old {
                    self.report.overridden(old, option);
                }
                let why = format!("asked for by {option}");
                self.report.added(told_as(slot, key), value, &why);
            }
            Err(unwritable) => {
                let why = format!("{option} {value} cannot be written: {}", unwritable.0);
                self.report.decide(&why);
            }
        }
    }
}

/// Links that a ring can have.
const LINKS: usize = 8;
/// The section `totem`.
pub(crate) const TOTEM: Slot<'static> = &[("totem", 0)];
/// The section `quorum`.
pub(crate) const QUORUM: Slot<'static> = &[("quorum", 0)];
/// The section `logging`.
pub(crate) const LOGGING: Slot<'static> = &[("logging", 0)];

/// The interface section of a link.
pub(crate) const fn interface(index: usize) -> [(&'static str, usize); 2] {
    [("totem", 0), ("interface", index)]
}

/// The section of a node.
pub(crate) const fn node(index: usize) -> [(&'static str, usize); 2] {
    [("nodelist", 0), ("node", index)]
}

/// The section of a log subsystem.
pub(crate) const fn logger(index: usize) -> [(&'static str, usize); 2] {
    [("logging", 0), ("logger_subsys", index)]
}

/// The key with its sections, as docs/config.md writes it.
pub(crate) fn path_of(slot: Slot<'_>, key: &str) -> String {
    let names = slot.iter().map(|(name, _)| *name);
    names.chain([key]).collect::<Vec<_>>().join(".")
}

/// The same for the report, with the number of sections of which there are several, as in the configuration map.
fn told_as(slot: Slot<'_>, key: &str) -> String {
    let mut path = String::new();
    for (name, index) in slot {
        path.push_str(name);
        if ["node", "interface"].contains(name) {
            path.push_str(&format!(".{index}"));
        }
        path.push('.');
    }
    path + key
}

/// Whether the daemon would take the value for that key; a key that it does not know takes any.
pub(crate) fn is_meaningful(path: &str, value: &str) -> bool {
    let Some(spec) = keys::find(path) else {
        return true;
    };
    let below = |end: u64| value.parse::<u64>().is_ok_and(|number| number < end);
    match spec.kind {
        Type::U8 => below(1 << 8),
        Type::U16 => below(1 << 16),
        Type::U31 => below(1 << 31),
        Type::U32 => below(1 << 32),
        Type::U64 => value.parse::<u64>().is_ok(),
        Type::I32 => value.parse::<i32>().is_ok(),
        Type::Words(words) => words.contains(&value),
        Type::Priority => PRIORITIES.contains(&value.to_ascii_lowercase().as_str()),
        Type::Text => true,
    }
}

/// Priorities of syslog (corosync.conf(5), v3.1.7).
const PRIORITIES: [&str; 9] = [
    "alert", "crit", "debug", "emerg", "err", "error", "info", "notice", "warning",
];

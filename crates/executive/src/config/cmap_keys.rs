//! From the tree of a file to the keys and values that corosync publishes for it (corosync
//! `coroparse.c:main_config_parser_cb`, v3.1.7).
//!
//! Most sections become a prefix. The exceptions: `totem.interface` is stored under its link number, nodes
//! under their position, loggers under the name of their subsystem, users and groups under their number.
//! Unknown keys are stored as strings and reported, for somebody else may read them from the map.

use ferrosync_wire::value::Value;

use super::environment::Environment;
use super::error::{Findings, Location};
use super::key_map::{KeyMap, Stored};
use super::keys::{self, KeySpec, Kind};
use super::parse::{Entry, Item, Section, Spanned};
use super::value::convert;

/// Highest link number (corosync `totem.h: INTERFACE_MAX` less one).
const LINK_MAX: u8 = 7;

/// Longest name of a logging subsystem in bytes (corosync `logsys.h: LOGSYS_MAX_SUBSYS_NAMELEN` less its NUL).
const SUBSYS_BYTES_MAX: usize = 63;

/// Keys of an interface that are kept until its link number is known.
const INTERFACE_KEYS: &[&str] = &[
    "bindnetaddr",
    "mcastaddr",
    "broadcast",
    "mcastport",
    "ttl",
    "knet_link_priority",
    "knet_ping_interval",
    "knet_ping_timeout",
    "knet_ping_precision",
    "knet_pong_count",
    "knet_transport",
];

/// What a key of the configuration map may look like (corosync `icmap.c:icmap_check_key_name`).
const KEY_RULE: &str =
    "use 3 to 255 characters in all, letters, digits, '.', '_', '-', '/' and ':' only";

/// Stores what the main file says.
pub(crate) fn collect(
    items: &[Item],
    keys: &mut KeyMap,
    env: &mut dyn Environment,
    findings: &mut Findings,
) {
    let mut collector = Collector {
        keys,
        env,
        findings,
        nodelists: 0,
        nodes: 0,
    };
    for item in items {
        match item {
            Item::Section(section) => collector.section(section, &section.name.text),
            Item::Entry(entry) => collector.entry(entry, "", ""),
        }
    }
}

/// Stores what a file of `uidgid.d` says: sections `uidgid` and nothing else.
pub(crate) fn collect_uidgid(
    items: &[Item],
    keys: &mut KeyMap,
    env: &mut dyn Environment,
    findings: &mut Findings,
) {
    let mut collector = Collector {
        keys,
        env,
        findings,
        nodelists: 0,
        nodes: 0,
    };
    for item in items {
        match item {
            Item::Section(section) if section.name.text == "uidgid" => collector.uidgid(section),
            Item::Section(section) => collector.findings.error(
                section.name.at.clone(),
                "uidgid: Can't add subsection different than uidgid",
                "move everything else to corosync.conf",
            ),
            Item::Entry(entry) => collector.bad_uidgid_item(&entry.key.at),
        }
    }
}

struct Collector<'a> {
    keys: &'a mut KeyMap,
    env: &'a mut dyn Environment,
    findings: &'a mut Findings,
    nodelists: u32,
    nodes: usize,
}

/// A value that waits for the end of its section, where the name of its key is known.
struct Pending<'a> {
    key: &'a str,
    value: Value,
    at: Location,
    spec: Option<&'static KeySpec>,
}

impl Collector<'_> {
    fn section(&mut self, section: &Section, path: &str) {
        self.keys.mark(path, &section.name.at);
        if !section.name.text.bytes().all(is_key_byte) {
            let what = format!("Name \"{}\" cannot be part of a key", section.name.text);
            let at = section.name.at.clone();
            return self.findings.error(at, what, KEY_RULE);
        }
        match path {
            "totem.interface" => return self.interface(section),
            "nodelist.node" => return self.node(section),
            "logging.logger_subsys" | "logging.logging_daemon" => return self.logger(section),
            "uidgid" => return self.uidgid(section),
            "nodelist" => self.one_nodelist(section),
            _ => self.known_section(section, path),
        }
        for item in &section.items {
            match item {
                Item::Section(inner) => {
                    let inner_path = format!("{path}.{}", inner.name.text);
                    self.section(inner, &inner_path);
                }
                Item::Entry(entry) => self.entry(entry, path, path),
            }
        }
    }

    /// Stores an entry of the section `path` of the file under `prefix` in the map.
    fn entry(&mut self, entry: &Entry, path: &str, prefix: &str) {
        if let Some(pending) = self.typed(entry, path) {
            let name = join(prefix, pending.key);
            self.store(&name, pending);
        }
    }

    /// Gives an entry of the section `path` its type; `None` after an error.
    fn typed<'e>(&mut self, entry: &'e Entry, path: &str) -> Option<Pending<'e>> {
        let key = entry.key.text.as_str();
        let full = join(path, key);
        let spec = keys::find(&full);
        if key.contains('.') && !works_dotted(&full, spec) && reads_dotted(&full) {
            self.dotted(&entry.key);
            return None;
        }
        if spec.is_none() {
            self.unknown_key(&entry.key, path);
        }
        let kind = spec.map_or_else(|| inherited_kind(path, key), |spec| spec.kind);
        match convert(kind, &full, &entry.value.text) {
            Ok(value) => Some(Pending {
                key,
                value,
                at: entry.value.at.clone(),
                spec,
            }),
            Err((what, instead)) => {
                self.findings.error(entry.value.at.clone(), what, instead);
                None
            }
        }
    }

    fn store(&mut self, name: &str, pending: Pending<'_>) {
        let at = pending.at.clone();
        let stored = Stored {
            value: pending.value,
            at: pending.at,
            spec: pending.spec,
        };
        match self.keys.put(name, stored) {
            Ok(None) => {}
            Ok(Some(earlier)) => {
                let text =
                    format!("{name} replaces the value given at {earlier}; remove one of them");
                self.findings.warn(at, text);
            }
            Err(_) => self.findings.error(
                at,
                format!("Can't store key \"{name}\" into icmap"),
                KEY_RULE,
            ),
        }
    }

    fn unknown_key(&mut self, key: &Spanned, path: &str) {
        let name = &key.text;
        // One warning for an unknown section covers all that is in it.
        if path.is_empty() || keys::is_section(path) {
            let mut text = format!("unknown key {}", join(path, name));
            if let Some(meant) = keys::suggest(path, name) {
                text.push_str(&format!("; did you mean {meant}?"));
            }
            self.findings.warn(key.at.clone(), text);
        }
    }

    fn dotted(&mut self, name: &Spanned) {
        let what = format!("Name \"{}\" contains a dot", name.text);
        let instead = "write every section with braces of its own";
        self.findings.error(name.at.clone(), what, instead);
    }

    fn known_section(&mut self, section: &Section, path: &str) {
        let name = &section.name;
        if keys::is_section(path) || name.text.is_empty() {
            return;
        }
        let parent = path.strip_suffix(name.text.as_str()).unwrap_or("");
        let parent = parent.strip_suffix('.').unwrap_or(parent);
        if name.text.contains('.') && reads_dotted(path) {
            return self.dotted(name);
        }
        if parent.is_empty() || keys::is_section(parent) {
            let mut text = format!("unknown section {path}");
            if let Some(meant) = keys::suggest(parent, &name.text) {
                text.push_str(&format!("; did you mean {meant}?"));
            }
            self.findings.warn(name.at.clone(), text);
        }
    }

    /// `totem.interface`: stored at its end, under the link number that may stand anywhere in it.
    fn interface(&mut self, section: &Section) {
        let mut link = 0;
        let mut values: Vec<Pending<'_>> = Vec::new();
        let mut members: Vec<&Spanned> = Vec::new();
        for item in &section.items {
            match item {
                Item::Section(inner) if inner.name.text == "member" => {
                    self.member(inner, &mut members);
                }
                Item::Section(inner) => self.nested(inner, "totem.interface"),
                Item::Entry(entry) => {
                    let Some(pending) = self.typed(entry, "totem.interface") else {
                        continue;
                    };
                    match (pending.key, &pending.value) {
                        ("linknumber", Value::U8(number)) => {
                            link = *number;
                            self.check_link(link, &pending.at);
                        }
                        ("ringnumber", value) => {
                            self.check_ringnumber(value, &pending.at);
                            self.store("totem.interface.ringnumber", pending);
                        }
                        (key, _) if INTERFACE_KEYS.contains(&key) => values.push(pending),
                        (key, _) => self.store(&format!("totem.interface.{key}"), pending),
                    }
                }
            }
        }
        let prefix = format!("totem.interface.{link}");
        self.keys.mark(&prefix, &section.name.at);
        for pending in values {
            let name = join(&prefix, pending.key);
            self.store(&name, pending);
        }
        // Members are numbered from the last to the first, as corosync pushes them on a stack.
        for (index, member) in members.iter().rev().enumerate() {
            let name = format!("{prefix}.member.{index}");
            self.store(&name, text_of(member));
        }
    }

    fn member<'e>(&mut self, section: &'e Section, members: &mut Vec<&'e Spanned>) {
        for item in &section.items {
            match item {
                Item::Entry(entry) if entry.key.text == "memberaddr" => members.push(&entry.value),
                Item::Entry(Entry { key: name, .. }) | Item::Section(Section { name, .. }) => {
                    self.findings.error(
                        name.at.clone(),
                        "Only memberaddr is allowed in member section",
                        "describe the nodes in a nodelist",
                    );
                }
            }
        }
    }

    fn check_link(&mut self, link: u8, at: &Location) {
        if link > LINK_MAX {
            let what =
                format!("interface ring number {link} is bigger than allowed maximum {LINK_MAX}");
            let instead = format!("number the links from 0 to {LINK_MAX}");
            self.findings.error(at.clone(), what, instead);
        }
    }

    fn check_ringnumber(&mut self, value: &Value, at: &Location) {
        if *value != Value::str("0") {
            let what = "ringnumber is not read any more, the section would describe link 0";
            self.findings
                .error(at.clone(), what, "write linknumber instead of ringnumber");
        }
    }

    fn one_nodelist(&mut self, section: &Section) {
        self.nodelists += 1;
        if self.nodelists > 1 {
            self.findings.error(
                section.name.at.clone(),
                "A second nodelist section; its nodes would be mixed with those of the first",
                "put all nodes into one nodelist",
            );
        }
    }

    /// `nodelist.node`: stored under its position.
    fn node(&mut self, section: &Section) {
        let prefix = format!("nodelist.node.{}", self.nodes);
        self.nodes += 1;
        self.keys.mark(&prefix, &section.name.at);
        if section.items.is_empty() {
            let instead = "write nodeid, name and ring0_addr or remove the section";
            let at = section.name.at.clone();
            self.findings.error(at, "Node without any key", instead);
        }
        for item in &section.items {
            match item {
                Item::Section(inner) => self.nested(inner, "nodelist.node"),
                Item::Entry(entry) => {
                    self.check_address_key(&entry.key);
                    self.entry(entry, "nodelist.node", &prefix);
                }
            }
        }
    }

    fn check_address_key(&mut self, key: &Spanned) {
        let Some(link) = keys::link_of_address_key(&key.text) else {
            return;
        };
        if link > u32::from(LINK_MAX) {
            let what =
                format!("interface ring number {link} is bigger than allowed maximum {LINK_MAX}");
            let instead = format!("number the addresses from ring0_addr to ring{LINK_MAX}_addr");
            self.findings.error(key.at.clone(), what, instead);
        } else if key.text.len() != "ring0_addr".len() {
            let what = format!("Key \"{}\" has leading zeros", key.text);
            let instead = format!("write ring{link}_addr");
            self.findings.error(key.at.clone(), what, instead);
        }
    }

    /// `logging.logger_subsys` and `logging.logging_daemon`: stored under the names that stand in them.
    fn logger(&mut self, section: &Section) {
        let is_daemon = section.name.text == "logging_daemon";
        let path = "logging.logger_subsys";
        let (mut daemon, mut subsys) = (None, None);
        let mut entries: Vec<&Entry> = Vec::new();
        for item in &section.items {
            match item {
                Item::Section(inner) => {
                    self.nested(inner, &format!("logging.{}", section.name.text));
                }
                Item::Entry(entry) => match entry.key.text.as_str() {
                    "subsys" => subsys = Some(&entry.value),
                    "name" if is_daemon => daemon = Some(&entry.value),
                    _ => entries.push(entry),
                },
            }
        }
        let Some(place) = self.logger_place(section, is_daemon, daemon, subsys) else {
            return;
        };
        self.keys.mark(&place.prefix, &section.name.at);
        // Of a key given twice the first one counts: corosync stores the last one first.
        for entry in entries.into_iter().rev() {
            match place.checked {
                Checked::Ours => self.entry(entry, path, &place.prefix),
                Checked::Elsewhere => {
                    let name = join(&place.prefix, &entry.key.text);
                    self.store(&name, text_of(&entry.value));
                }
            }
        }
        for (key, value) in place.names {
            let name = join(&place.prefix, key);
            self.store(&name, text_of(value));
        }
    }

    fn logger_place<'e>(
        &mut self,
        section: &Section,
        is_daemon: bool,
        daemon: Option<&'e Spanned>,
        subsys: Option<&'e Spanned>,
    ) -> Option<LoggerPlace<'e>> {
        for name in [daemon, subsys].into_iter().flatten() {
            if name.text.is_empty() || name.text.len() > SUBSYS_BYTES_MAX || name.text.contains('.')
            {
                let what = format!("\"{}\" cannot be the name of a logger", name.text);
                let instead = format!("use 1 to {SUBSYS_BYTES_MAX} characters and no dot");
                self.findings.error(name.at.clone(), what, instead);
                return None;
            }
        }
        let missing = |what: &str| (what.to_owned(), section.name.at.clone());
        let (what, at) = match (is_daemon, daemon, subsys) {
            (false, _, Some(subsys)) => return Some(LoggerPlace::subsys(subsys)),
            (false, _, None) => missing("No subsys key in logger_subsys directive"),
            (true, None, _) => missing("No name key in logging_daemon directive"),
            (true, Some(name), subsys) => return Some(LoggerPlace::daemon(name, subsys)),
        };
        let instead = "name the subsystem, for example `subsys: QUORUM`";
        self.findings.error(at, what, instead);
        None
    }

    /// `uidgid`: each user and group is stored under its number.
    fn uidgid(&mut self, section: &Section) {
        self.keys.mark("uidgid.config", &section.name.at);
        for item in &section.items {
            let entry = match item {
                Item::Section(inner) => {
                    self.bad_uidgid_item(&inner.name.at);
                    continue;
                }
                Item::Entry(entry) => entry,
            };
            let name = entry.value.text.as_str();
            let (found, what) = match entry.key.text.as_str() {
                "uid" => (number_of(name).or_else(|| self.env.user_id(name)), "user"),
                "gid" => (number_of(name).or_else(|| self.env.group_id(name)), "group"),
                _ => {
                    self.bad_uidgid_item(&entry.key.at);
                    continue;
                }
            };
            // corosync keeps the number in an int and takes -1 for an error.
            match found.filter(|id| *id != u32::MAX) {
                Some(id) => {
                    let key = format!("uidgid.config.{}.{id}", entry.key.text);
                    let mut pending = text_of(&entry.value);
                    pending.value = Value::U8(1);
                    self.store(&key, pending);
                }
                None => self.findings.error(
                    entry.value.at.clone(),
                    format!("The '{name}' {what} is not found in /etc/{}", file_of(what)),
                    format!("name an existing {what} or give its number"),
                ),
            }
        }
    }

    fn bad_uidgid_item(&mut self, at: &Location) {
        self.findings.error(
            at.clone(),
            "uidgid: Only uid and gid are allowed items",
            "write `uid: NAME` or `gid: NAME`",
        );
    }

    /// corosync would end the outer section where the inner one ends: a node falls into two, loggers are
    /// freed twice.
    fn nested(&mut self, inner: &Section, outer: &str) {
        self.findings.error(
            inner.name.at.clone(),
            format!("Section \"{}\" cannot stand in {outer}", inner.name.text),
            "move it out or remove it",
        );
    }
}

struct LoggerPlace<'e> {
    prefix: String,
    checked: Checked,
    /// Names that are stored as values, too.
    names: Vec<(&'static str, &'e Spanned)>,
}

/// Who reads the keys of a logger.
#[derive(Clone, Copy)]
enum Checked {
    Ours,
    /// Another daemon of the cluster; its keys are its own business.
    Elsewhere,
}

impl<'e> LoggerPlace<'e> {
    fn subsys(subsys: &'e Spanned) -> Self {
        Self {
            prefix: format!("logging.logger_subsys.{}", subsys.text),
            checked: Checked::Ours,
            names: vec![("subsys", subsys)],
        }
    }

    fn daemon(name: &'e Spanned, subsys: Option<&'e Spanned>) -> Self {
        let others = format!("logging.logging_daemon.{}", name.text);
        match (name.text.as_str(), subsys) {
            ("corosync", Some(subsys)) => Self::subsys(subsys),
            ("corosync", None) => Self {
                prefix: "logging".to_owned(),
                checked: Checked::Ours,
                names: Vec::new(),
            },
            (_, None) => Self {
                prefix: others,
                checked: Checked::Elsewhere,
                names: vec![("name", name)],
            },
            (_, Some(subsys)) => Self {
                prefix: join(&others, &subsys.text),
                checked: Checked::Elsewhere,
                names: vec![("subsys", subsys), ("name", name)],
            },
        }
    }
}

const fn is_key_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'/' | b':')
}

fn text_of(value: &Spanned) -> Pending<'static> {
    Pending {
        key: "",
        value: Value::str(&value.text),
        at: value.at.clone(),
        spec: None,
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

/// Types that corosync gives by the key's name alone, anywhere below a section.
fn inherited_kind(path: &str, key: &str) -> Kind {
    let below = |section: &str| {
        path.strip_prefix(section)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    let measured = below("resources.system") || below("resources.process");
    match key {
        "poll_period" if measured => Kind::U64,
        "watchdog_timeout" if below("resources") && !measured => Kind::U32,
        _ => Kind::Text,
    }
}

/// Whether a dotted name that spells the path of a known key does what it says: texts are stored as they
/// would be in their section.
fn works_dotted(full: &str, spec: Option<&KeySpec>) -> bool {
    let collected = [
        "totem.interface.",
        "nodelist.node.",
        "logging.logg",
        "uidgid.",
    ];
    let text =
        spec.is_some_and(|spec| matches!(spec.kind, Kind::Text | Kind::Words(_) | Kind::Priority));
    text && !collected.iter().any(|section| full.starts_with(section))
}

/// Whether a dotted name could be taken for a path that corosync reads: it would be stored as a string, and
/// the setting would be lost without a word.
fn reads_dotted(full: &str) -> bool {
    let top = full.split('.').next().unwrap_or("");
    let elsewhere =
        full.starts_with("quorum.device.") || full.starts_with("logging.logging_daemon.");
    keys::is_section(top) && !elsewhere
}

fn number_of(text: &str) -> Option<u32> {
    u32::try_from(super::value::integer(text)?).ok()
}

fn file_of(what: &str) -> &'static str {
    if what == "user" { "passwd" } else { "group" }
}

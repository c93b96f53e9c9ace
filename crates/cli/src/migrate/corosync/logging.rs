//! The section `logging`, whose keys changed their names more than their meaning.

use ferrosync_executive::config::keys;

use super::super::draft::{Draft, LOGGING, logger};
use super::super::tree::{Entry, Section};

/// Writes the section.
pub(super) fn write(draft: &mut Draft<'_>, root: &Section) {
    let mut loggers = 0;
    for section in root.named("logging") {
        for entry in section.entries() {
            key(draft, entry, LOGGING);
        }
        for inner in section.sections() {
            match inner.name.as_str() {
                "logger_subsys" | "logger" => {
                    loggers += usize::from(subsystem(draft, inner, loggers))
                }
                _ => inner
                    .all()
                    .into_iter()
                    .for_each(|entry| draft.unknown(entry)),
            }
        }
    }
}

/// Whether the subsystem is one that Corosync 3 has, so that its section was written.
fn subsystem(draft: &mut Draft<'_>, section: &Section, index: usize) -> bool {
    let name = section.value("subsys").or_else(|| section.value("ident"));
    if name.is_some_and(|name| GONE.contains(&name)) {
        for entry in section.all() {
            draft.drop(entry, "the service went with OpenAIS and logs nothing");
        }
        return false;
    }
    let slot = logger(index);
    for entry in section.entries() {
        match entry.key.as_str() {
            "subsys" | "ident" => {
                let new = RENAMED.iter().find(|(old, _)| *old == entry.value);
                let value = new.map_or(entry.value.as_str(), |(_, new)| *new);
                draft.write(
                    entry,
                    &slot,
                    ("subsys", value),
                    "the subsystem's name of today",
                );
            }
            _ => key(draft, entry, &slot),
        }
    }
    true
}

fn key(draft: &mut Draft<'_>, entry: &Entry, slot: &[(&str, usize)]) {
    let path = super::super::draft::path_of(slot, &entry.key);
    match entry.key.as_str() {
        "to_file" => draft.write(
            entry,
            slot,
            ("to_logfile", &entry.value),
            "the key's name of today",
        ),
        "syslog_level" => draft.write(
            entry,
            slot,
            ("syslog_priority", &entry.value),
            "the key's name of today",
        ),
        "tags" => draft.drop(
            entry,
            "Corosync 3 has no tags; debug: trace logs everything",
        ),
        _ if keys::find(&path).is_some() => draft.copy(entry, slot),
        _ => draft.unknown(entry),
    }
}

/// Subsystems under other names (corosync `exec/*.c: LOGSYS_DECLARE_SUBSYS`, v1.4.9 and v3.1.7).
const RENAMED: [(&str, &str); 3] = [
    ("CONFDB", "CMAP"),
    ("SYNCV2", "SYNC"),
    ("QDISKD", "QDEVICE"),
];
/// Subsystems of services that Corosync 3 does not have.
const GONE: [&str; 9] = [
    "AMF", "CKPT", "CLM", "EVT", "EVS", "LCK", "MSG", "TMR", "CMAN",
];

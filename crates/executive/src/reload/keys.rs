//! From one map to the next, changing only what differs (corosync `cfg.c:remove_deleted_entries`,
//! `icmap.c:icmap_copy_map`, v3.1.7).

use std::collections::BTreeSet;

use ferrosync_wire::ipc::CsError;
use ferrosync_wire::{Key, Value};

use crate::icmap::Icmap;

/// What is to be done to a map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Difference {
    /// Keys that are not configured any more, section by section.
    pub(super) gone: Vec<Key>,
    /// Keys that are new or have another value, by name.
    pub(super) set: Vec<(Key, Value)>,
}

impl Difference {
    /// What brings `live` to the state that the configuration `new` describes. Keys that clients put into a section of
    /// the file go, everything else of theirs stays.
    pub(super) fn between(live: &Icmap, new: &[(Key, Value)]) -> Self {
        let names: BTreeSet<&Key> = new.iter().map(|(key, _)| key).collect();
        let sections = SECTIONS.iter().flat_map(|section| live.iter(section));
        let gone = sections
            .map(|(key, _)| key)
            .filter(|key| !names.contains(key));
        let differs = |(key, value): &&(Key, Value)| {
            live.get_ref(key.as_str()).is_none_or(|old| old != value)
        };
        Self {
            gone: gone.cloned().collect(),
            set: new.iter().filter(differs).cloned().collect(),
        }
    }

    /// Does it, deletions first as in C.
    ///
    /// # Errors
    ///
    /// [`CsError::NoMemory`]: the map has no room for all of it. Nothing was done (D-65).
    pub(super) fn apply(self, live: &mut Icmap) -> Result<(), CsError> {
        live.check_change(&self.gone, &self.set)?;
        for key in &self.gone {
            live.delete(key.as_str())
                .expect("the difference names keys that are there");
        }
        for (key, value) in self.set {
            live.set(key, value).expect("there is room for all of it");
        }
        Ok(())
    }
}

/// Whose keys are deleted when the file does not have them any more, in C's order. What other sections once had stays.
const SECTIONS: [&str; 6] = [
    "logging.",
    "totem.",
    "nodelist.",
    "quorum.",
    "uidgid.config.",
    "nozzle.",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(Key, Value)> {
        text.split_whitespace()
            .map(|word| {
                let (key, value) = word.split_once('=').unwrap();
                (Key::new(key).unwrap(), Value::str(value))
            })
            .collect()
    }

    fn map(text: &str) -> Icmap {
        let mut map = Icmap::new();
        for (key, value) in pairs(text) {
            map.set(key, value).unwrap();
        }
        map
    }

    fn dump(map: &Icmap) -> String {
        let line = |(key, value): (&Key, &Value)| format!("{key}={}", value.as_str().unwrap());
        let lines: Vec<String> = map.iter("").map(line).collect();
        lines.join(" ")
    }

    /// Live map, new configuration, keys that go, keys that are set, map afterwards.
    const CASES: &[[&str; 5]] = &[
        ["totem.a=1", "totem.a=1", "", "", "totem.a=1"],
        ["totem.a=1", "totem.a=2", "", "totem.a=2", "totem.a=2"],
        [
            "totem.a=1",
            "totem.b=1",
            "totem.a",
            "totem.b=1",
            "totem.b=1",
        ],
        ["", "nodelist.a=1", "", "nodelist.a=1", "nodelist.a=1"],
        [
            "logging.a=1 nodelist.a=1 nozzle.a=1 quorum.a=1 totem.a=1 uidgid.config.a=1",
            "",
            "logging.a totem.a nodelist.a quorum.a uidgid.config.a nozzle.a",
            "",
            "",
        ],
        // What clients have beside the file's sections, and what the daemon has itself.
        [
            "cfg.a=1 resources.a=1 runtime.totem.a=1 system.a=1 uidgid.uid.5=1",
            "resources.b=1",
            "",
            "resources.b=1",
            "cfg.a=1 resources.a=1 resources.b=1 runtime.totem.a=1 system.a=1 uidgid.uid.5=1",
        ],
        // A section is its name with the dot behind it.
        ["totems.a=1", "", "", "", "totems.a=1"],
    ];

    #[test]
    fn only_what_differs_is_touched() {
        for [live, new, gone, set, after] in CASES {
            let mut live = map(live);
            let difference = Difference::between(&live, &pairs(new));
            let names: Vec<&str> = difference.gone.iter().map(Key::as_str).collect();
            assert_eq!(names.join(" "), *gone);
            assert_eq!(difference.set, pairs(set));
            difference.apply(&mut live).unwrap();
            assert_eq!(dump(&live), *after);
        }
    }

    #[test]
    fn the_type_of_a_value_counts() {
        let mut live = map("");
        let key = || Key::new("totem.token").unwrap();
        live.set(key(), Value::str("1000")).unwrap();
        let new = [(key(), Value::U32(1000))];
        assert_eq!(Difference::between(&live, &new).set, new);
    }
}

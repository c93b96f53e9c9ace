//! Who may use the node's client interface beside root.

use std::collections::BTreeSet;

use super::key_map::KeyMap;

/// Users and groups of the uidgid sections, of the main file and of `uidgid.d`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UidGid {
    /// Users.
    pub uids: BTreeSet<u32>,
    /// Groups.
    pub gids: BTreeSet<u32>,
}

/// Reads `uidgid.config.*`.
pub(crate) fn read(keys: &KeyMap) -> UidGid {
    let numbers = |prefix: &str| {
        keys.under(prefix)
            .filter_map(|(number, _)| number.parse().ok())
            .collect()
    };
    UidGid {
        uids: numbers("uidgid.config.uid."),
        gids: numbers("uidgid.config.gid."),
    }
}

//! Which keys clients may not change (corosync `icmap.c:icmap_set_ro_access`, v3.1.7).

use std::collections::BTreeSet;

use ferrosync_wire::ipc::CsError;

/// How far a rule reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Extent {
    /// The key of that name.
    Key,
    /// Every key that starts with it.
    Prefix,
}

/// What clients may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Read only.
    ReadOnly,
    /// Read and change.
    ReadWrite,
}

/// Rules of read-only access. They come from the daemon itself, a few dozen, never from clients.
#[derive(Debug, Default)]
pub(super) struct ReadOnly {
    keys: BTreeSet<Box<str>>,
    prefixes: BTreeSet<Box<str>>,
}

impl ReadOnly {
    pub(super) fn set(
        &mut self,
        name: &str,
        extent: Extent,
        access: Access,
    ) -> Result<(), CsError> {
        let rules = match extent {
            Extent::Key => &mut self.keys,
            Extent::Prefix => &mut self.prefixes,
        };
        match access {
            Access::ReadOnly if rules.insert(name.into()) => Ok(()),
            Access::ReadOnly => Err(CsError::Exist),
            Access::ReadWrite if rules.remove(name) => Ok(()),
            Access::ReadWrite => Err(CsError::NotExist),
        }
    }

    pub(super) fn covers(&self, name: &str) -> bool {
        self.keys.contains(name)
            || self
                .prefixes
                .iter()
                .any(|prefix| name.starts_with(&**prefix))
    }
}

/// What clients of the daemon may never change: its own state, and configuration that is read once
/// (corosync `main.c:set_icmap_ro_keys_flag`, `totemconfig.c:put_nodelist_members_to_config`, v3.1.7). The voting
/// quorum provider adds its own keys.
pub const ALWAYS_READ_ONLY: &[(&str, Extent)] = &[
    ("internal_configuration.", Extent::Prefix),
    ("runtime.services.", Extent::Prefix),
    ("runtime.config.", Extent::Prefix),
    ("runtime.totem.", Extent::Prefix),
    ("uidgid.config.", Extent::Prefix),
    ("system.", Extent::Prefix),
    ("nodelist.", Extent::Prefix),
    ("totem.crypto_cipher", Extent::Key),
    ("totem.crypto_hash", Extent::Key),
    ("totem.crypto_model", Extent::Key),
    ("totem.keyfile", Extent::Key),
    ("totem.key", Extent::Key),
    ("totem.secauth", Extent::Key),
    ("totem.ip_version", Extent::Key),
    ("totem.rrp_mode", Extent::Key),
    ("totem.transport", Extent::Key),
    ("totem.cluster_name", Extent::Key),
    ("totem.netmtu", Extent::Key),
    ("totem.threads", Extent::Key),
    ("totem.version", Extent::Key),
    ("totem.nodeid", Extent::Key),
    ("totem.clear_node_high_bit", Extent::Key),
    ("config.reload_in_progress", Extent::Key),
    ("config.totemconfig_reload_in_progress", Extent::Key),
];

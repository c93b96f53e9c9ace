//! What reading a configuration asks of the machine: names, addresses, users.

use std::collections::BTreeMap;
use std::net::IpAddr;

/// Which addresses a name may resolve to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// IPv4 only.
    V4,
    /// IPv6 only.
    V6,
    /// Both, in the resolver's order of preference.
    Any,
}

/// The host's answers. All methods may be slow (name service) and none may fail harder than "unknown".
pub trait Environment {
    /// The node's name (`uname -n`).
    fn node_name(&self) -> &str;
    /// Addresses of all local interfaces, in the order of the interfaces.
    fn local_addresses(&self) -> &[IpAddr];
    /// Addresses of a host name (never called with the plain text of an address); empty when unknown.
    fn resolve(&mut self, name: &str, family: Family) -> Vec<IpAddr>;
    /// The name of a local address; `None` when it has none.
    fn reverse(&mut self, address: IpAddr) -> Option<String>;
    /// The number of a user.
    fn user_id(&mut self, name: &str) -> Option<u32>;
    /// The number of a group.
    fn group_id(&mut self, name: &str) -> Option<u32>;
}

/// `totem.ip_version`: which family a name is resolved to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IpVersion {
    /// `ipv4`.
    V4,
    /// `ipv6`.
    V6,
    /// `ipv6-4`: the first IPv6 address, else the first IPv4 address.
    PreferV6,
    /// `ipv4-6`: the first IPv4 address, else the first IPv6 address.
    PreferV4,
}

impl IpVersion {
    const fn family(self) -> Family {
        match self {
            Self::V4 => Family::V4,
            Self::V6 => Family::V6,
            Self::PreferV6 | Self::PreferV4 => Family::Any,
        }
    }

    /// Chooses among a name's addresses (corosync `totemip.c:totemip_parse`, v3.1.7).
    fn choose(self, found: &[IpAddr]) -> Option<IpAddr> {
        let v4 = found.iter().copied().find(IpAddr::is_ipv4);
        let v6 = found.iter().copied().find(IpAddr::is_ipv6);
        match self {
            Self::V4 => v4,
            Self::V6 => v6,
            Self::PreferV6 => v6.or(v4),
            Self::PreferV4 => v4.or(v6),
        }
    }
}

/// Resolves texts to addresses and asks the host once for each name.
pub(crate) struct Resolver<'a> {
    pub(crate) env: &'a mut dyn Environment,
    /// Bounded by the number of addresses in the file.
    known: BTreeMap<(String, Family), Vec<IpAddr>>,
}

impl<'a> Resolver<'a> {
    pub(crate) fn new(env: &'a mut dyn Environment) -> Self {
        Self {
            env,
            known: BTreeMap::new(),
        }
    }

    /// The address that `text` stands for.
    pub(crate) fn address(&mut self, text: &str, version: IpVersion) -> Option<IpAddr> {
        version.choose(&self.all(text, version.family()))
    }

    /// All addresses that `text` stands for, the address itself when it is one.
    pub(crate) fn all(&mut self, text: &str, family: Family) -> Vec<IpAddr> {
        if let Ok(ip) = text.parse::<IpAddr>() {
            return vec![ip];
        }
        if text.is_empty() {
            return Vec::new();
        }
        let key = (text.to_owned(), family);
        let env = &mut *self.env;
        self.known
            .entry(key)
            .or_insert_with(|| env.resolve(text, family))
            .clone()
    }
}

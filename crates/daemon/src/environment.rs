//! This machine's names, addresses and users, as reading the configuration asks for them.

use std::net::{IpAddr, ToSocketAddrs};

use ferrosync_executive::config::{Environment, Family};
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::SockaddrStorage;
use nix::unistd::{Group, User};

/// This machine.
#[derive(Debug)]
pub struct Machine {
    name: String,
    addresses: Vec<IpAddr>,
}

impl Machine {
    /// Asks the kernel for the machine's name and addresses.
    #[must_use]
    pub fn new() -> Self {
        let name = nix::unistd::gethostname().map_or_else(
            |_| String::new(),
            |name| name.to_string_lossy().into_owned(),
        );
        let addresses = getifaddrs().map_or_else(
            |_| Vec::new(),
            |all| {
                all.filter_map(|interface| interface.address.as_ref().and_then(ip_of))
                    .collect()
            },
        );
        Self { name, addresses }
    }
}

impl Default for Machine {
    fn default() -> Self {
        Self::new()
    }
}

impl Environment for Machine {
    fn node_name(&self) -> &str {
        &self.name
    }

    fn local_addresses(&self) -> &[IpAddr] {
        &self.addresses
    }

    fn resolve(&mut self, name: &str, family: Family) -> Vec<IpAddr> {
        let Ok(found) = (name, 0).to_socket_addrs() else {
            return Vec::new();
        };
        found
            .map(|address| address.ip())
            .filter(|ip| match family {
                Family::V4 => ip.is_ipv4(),
                Family::V6 => ip.is_ipv6(),
                Family::Any => true,
            })
            .collect()
    }

    fn reverse(&mut self, address: IpAddr) -> Option<String> {
        dns_lookup::lookup_addr(&address).ok()
    }

    fn user_id(&mut self, name: &str) -> Option<u32> {
        User::from_name(name).ok()?.map(|user| user.uid.as_raw())
    }

    fn group_id(&mut self, name: &str) -> Option<u32> {
        Group::from_name(name).ok()?.map(|group| group.gid.as_raw())
    }
}

fn ip_of(address: &SockaddrStorage) -> Option<IpAddr> {
    let v4 = address.as_sockaddr_in().map(|a| IpAddr::V4(a.ip()));
    v4.or_else(|| address.as_sockaddr_in6().map(|a| IpAddr::V6(a.ip())))
}

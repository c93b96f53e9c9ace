//! A look at nothing but what a file says of encryption, for a node that is in a hurry.

use std::net::IpAddr;

use super::error::Findings;
use super::key_map::KeyMap;
use super::transport::crypto;
use super::{CryptoConfig, Environment, Family, SourceFile, TransportKind, cmap_keys, parse};

/// What a file says of encryption over knet, and of nothing else: no name is looked up anywhere. `None` for no encryption,
/// or where the file cannot be understood.
#[must_use]
pub fn crypto_of(main: SourceFile<'_>) -> Option<CryptoConfig> {
    let mut findings = Findings::default();
    let mut keys = KeyMap::new(main.name);
    let items = parse::parse(main, &mut findings);
    if !findings.is_clean() {
        return None;
    }
    // What names of users and groups mean does not matter here.
    cmap_keys::collect(&items, &mut keys, &mut Nowhere, &mut findings);
    crypto(&keys, TransportKind::Knet, &mut Findings::default())
}

/// A place where nothing can be found out.
struct Nowhere;

impl Environment for Nowhere {
    fn node_name(&self) -> &str {
        ""
    }
    fn local_addresses(&self) -> &[IpAddr] {
        &[]
    }
    fn resolve(&mut self, _name: &str, _family: Family) -> Vec<IpAddr> {
        Vec::new()
    }
    fn reverse(&mut self, _address: IpAddr) -> Option<String> {
        None
    }
    fn user_id(&mut self, _name: &str) -> Option<u32> {
        None
    }
    fn group_id(&mut self, _name: &str) -> Option<u32> {
        None
    }
}

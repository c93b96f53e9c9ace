//! Which node of the nodelist is this one (corosync `totemconfig.c:find_local_node`, v3.1.7).

use std::net::IpAddr;

use ferrosync_wire::LinkId;

use super::environment::{Family, Resolver};
use super::nodelist::RawNode;

/// The position of this node in the nodelist. In this order: the node's name; the name without its domain,
/// cut off part by part; a configured name whose first part is that short name; names and IPv4 addresses of
/// the local interfaces; at last any configured name that resolves to a local address.
pub(crate) fn find(nodes: &[RawNode], resolver: &mut Resolver<'_>) -> Option<usize> {
    let order = map_order(nodes.len());
    let search = Search {
        nodes,
        order: &order,
    };
    search
        .by_node_name(resolver.env.node_name())
        .or_else(|| search.by_interface(resolver))
        .or_else(|| search.by_resolving(resolver))
}

struct Search<'a> {
    nodes: &'a [RawNode],
    order: &'a [usize],
}

impl Search<'_> {
    fn by_node_name(&self, name: &str) -> Option<usize> {
        let mut name = name;
        loop {
            if let Some(found) = self.named(name, Domain::Compared) {
                return Some(found);
            }
            match name.rsplit_once('.') {
                Some((shorter, _)) => name = shorter,
                None => return self.named(name, Domain::Ignored),
            }
        }
    }

    fn by_interface(&self, resolver: &mut Resolver<'_>) -> Option<usize> {
        let local = resolver.env.local_addresses().to_vec();
        local.into_iter().find_map(|address| {
            let reverse = resolver.env.reverse(address);
            let named = reverse.and_then(|name| {
                let short = name.split('.').next().unwrap_or("").to_owned();
                self.named(&name, Domain::Compared)
                    .or_else(|| self.named(&short, Domain::Compared))
            });
            named.or_else(|| self.named(&address.to_string(), Domain::Compared))
        })
    }

    fn by_resolving(&self, resolver: &mut Resolver<'_>) -> Option<usize> {
        let local: Vec<IpAddr> = resolver.env.local_addresses().to_vec();
        self.order.iter().copied().find(|position| {
            names(&self.nodes[*position]).any(|name| {
                resolver
                    .all(name, Family::Any)
                    .iter()
                    .any(|address| local.contains(address))
            })
        })
    }

    fn named(&self, wanted: &str, domain: Domain) -> Option<usize> {
        self.order.iter().copied().find(|position| {
            names(&self.nodes[*position]).any(|name| match domain {
                Domain::Compared => name == wanted,
                Domain::Ignored => name.split('.').next() == Some(wanted),
            })
        })
    }
}

/// Whether a configured name is compared with its domain.
#[derive(Clone, Copy)]
enum Domain {
    Compared,
    Ignored,
}

/// The texts by which a node can be recognised.
fn names(node: &RawNode) -> impl Iterator<Item = &str> {
    let ring0 = node.addresses.get(&LinkId(0));
    node.name.iter().chain(ring0).map(String::as_str)
}

/// Positions in the order of the configuration map, where 10 stands before 2.
fn map_order(nodes: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..nodes).collect();
    order.sort_by_key(ToString::to_string);
    order
}

//! What nodes are called.

use std::net::{IpAddr, SocketAddr};

use ferrosync_client::NodeId;
use ferrosync_client::cfg::Cfg;
use ferrosync_client::cmap::Cmap;

use crate::tools::Output;
use crate::tools::nodelist::nodelist;

/// Which names of a node are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Names {
    /// All of them, not only the first.
    pub(super) all: bool,
    /// Names where there are some; otherwise addresses.
    pub(super) resolve: bool,
}

impl Default for Names {
    fn default() -> Self {
        Self {
            all: false,
            resolve: true,
        }
    }
}

impl Names {
    /// The names of a node. Of a node whose addresses the daemon does not know none is shown.
    pub(super) fn of(
        self,
        node: NodeId,
        cmap: &mut Cmap,
        cfg: &mut Cfg,
        output: &mut Output<'_>,
    ) -> String {
        let listed = if self.resolve {
            listed_name(node, cmap).unwrap_or_default()
        } else {
            String::new()
        };
        let addresses = match cfg.node_addresses(node) {
            Ok(addresses) => addresses,
            Err(error) => {
                let error = error.code();
                output.complain(format_args!(
                    "Unable to get node address for nodeid {node}: {error}"
                ));
                return String::new();
            }
        };
        let shown = if self.all { addresses.len() } else { 1 };
        // A name in the list of nodes stands for the first address.
        let from = usize::from(!listed.is_empty());
        let mut text = listed;
        for (number, address) in addresses.iter().enumerate().take(shown).skip(from) {
            if address.is_unspecified() {
                continue;
            }
            if number > 0 {
                text += ", ";
            }
            text += &self.name_of(*address);
        }
        text
    }

    fn name_of(self, address: IpAddr) -> String {
        let flags = if self.resolve { 0 } else { NI_NUMERICHOST };
        let address = SocketAddr::new(address, 0);
        match dns_lookup::getnameinfo(&address, flags | NI_NUMERICSERV) {
            Ok((name, _service)) => name,
            Err(_) => String::new(),
        }
    }
}

/// The name of a node in the list of nodes.
fn listed_name(node: NodeId, cmap: &mut Cmap) -> Option<String> {
    let listed = nodelist(cmap).ok()?;
    listed
        .into_iter()
        .find_map(|listed| listed.name.filter(|_| listed.id == node))
}

/// Flags of getnameinfo(3) on Linux.
const NI_NUMERICHOST: i32 = 1;
const NI_NUMERICSERV: i32 = 2;

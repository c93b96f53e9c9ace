//! What `-s` and `-n` show.

use ferrosync_client::NodeId;
use ferrosync_client::cfg::{Cfg, NodeStatus, Onwire, PeerLink};
use ferrosync_client::cmap::Cmap;
use serde_json::{Value as Json, json};

use super::{by_number, connect};
use crate::tools::getopt::Format;
use crate::tools::nodelist::nodelist;
use crate::tools::{Output, Stop, options};

/// How much `-s` tells of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Detail {
    /// A line for each node.
    Full,
    /// A digit for each node.
    Brief,
}

/// `-s`: link by link.
pub(super) fn show_links(
    detail: Detail,
    format: Format,
    output: &mut Output<'_>,
) -> Result<(), Stop> {
    let (mut cfg, nodes) = Nodes::ask(output)?;
    let states = nodes.states(&mut cfg, output);
    match format {
        Format::Text => nodes.print_links(&states, detail, output),
        Format::Json => output.json(&nodes.json(&states)),
    }
}

/// `-n`: the other nodes that are reached.
pub(super) fn show_nodes(format: Format, output: &mut Output<'_>) -> Result<(), Stop> {
    let (mut cfg, nodes) = Nodes::ask(output)?;
    match format {
        Format::Text => {
            nodes.print_head(output)?;
            for &id in &nodes.ids {
                // A node that is not known is not shown, and not complained about.
                if let Ok(node) = cfg.node_status(id)
                    && node.reachable
                    && node.node != nodes.local
                {
                    nodes.print_node(&node, output)?;
                }
            }
            Ok(())
        }
        Format::Json => {
            let states = nodes.states(&mut cfg, output);
            output.json(&nodes.json(&states))
        }
    }
}

/// What the configuration says of nodes and links.
struct Nodes {
    local: NodeId,
    transport: String,
    /// In order.
    ids: Vec<NodeId>,
    /// What carries each link; empty where the transport says it all.
    carriers: [String; NodeStatus::LINKS],
}

impl Nodes {
    fn ask(output: &mut Output<'_>) -> Result<(Cfg, Self), Stop> {
        let mut cfg = connect(by_number, output)?;
        let mut cmap = Cmap::connect(&options()).or_else(|error| {
            let error = error.code().code();
            output.fail(format_args!(
                "Could not initialize corosync cmap API error {error}"
            ))
        })?;
        let transport = text(&mut cmap, "totem.transport").unwrap_or_else(|| KNET.to_owned());
        let local = cfg.local_node().or_else(|error| {
            let error = error.code().code();
            output.fail(format_args!(
                "Could not get the local node id, the error is: {error}"
            ))
        })?;
        let listed = nodelist(&mut cmap).or_else(|error| {
            let error = error.code().code();
            output.fail(format_args!(
                "Could not get nodelist from cmap. error {error}"
            ))
        })?;
        let mut ids: Vec<NodeId> = listed.iter().map(|node| node.id).collect();
        if ids.is_empty() {
            return output.fail("No nodes found in nodelist");
        }
        ids.sort_unstable();
        let carriers = carriers(&mut cmap, &transport);
        let nodes = Self {
            local,
            transport,
            ids,
            carriers,
        };
        Ok((cfg, nodes))
    }

    fn is_knet(&self) -> bool {
        // What C does not know by name it takes for knet.
        !matches!(self.transport.as_str(), "udp" | "udpu")
    }

    fn print_head(&self, output: &mut Output<'_>) -> Result<(), Stop> {
        let (local, transport) = (self.local, &self.transport);
        writeln!(output, "Local node ID {local}, transport {transport}")
    }

    /// Every node's state; a node that cannot be asked for is node 0 without links, and is complained about.
    fn states(&self, cfg: &mut Cfg, output: &mut Output<'_>) -> Vec<NodeStatus> {
        let state = |&id: &NodeId| {
            cfg.node_status(id).unwrap_or_else(|error| {
                let (id, error) = (id.0.cast_signed(), error.code().code());
                output.complain(format_args!(
                    "Could not get the node status for nodeid {id}, the error is: {error}"
                ));
                unknown()
            })
        };
        self.ids.iter().map(state).collect()
    }

    /// Links as another node has them: this one has but one to itself.
    fn links<'a>(&self, states: &'a [NodeStatus]) -> &'a [PeerLink; NodeStatus::LINKS] {
        let other = self.ids.iter().rposition(|id| *id != self.local);
        &states[other.unwrap_or(0)].links
    }

    fn print_links(
        &self,
        states: &[NodeStatus],
        detail: Detail,
        output: &mut Output<'_>,
    ) -> Result<(), Stop> {
        self.print_head(output)?;
        let used = self.links(states).iter().enumerate();
        for (number, link) in used.filter(|(_, link)| link.enabled) {
            writeln!(output, "LINK ID {number} {}", self.carriers[number])?;
            writeln!(output, "\taddr\t= {}", link.source)?;
            match detail {
                Detail::Brief => {
                    let digits: String = self.digits(states, number).collect();
                    writeln!(output, "\tstatus\t= {digits}")?;
                }
                Detail::Full => {
                    writeln!(output, "\tstatus:")?;
                    for (&id, state) in self.ids.iter().zip(states) {
                        let word = self.word(id, &state.links[number]);
                        writeln!(output, "\t\tnodeid: {:>10}:\t{word}", state.node.0)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// `n` for this node; of others the lowest bit says enabled, the next one connected.
    fn digits(&self, states: &[NodeStatus], number: usize) -> impl Iterator<Item = char> {
        self.ids.iter().zip(states).map(move |(&id, state)| {
            let link = &state.links[number];
            match (id == self.local_in_list(), link.enabled, link.connected) {
                (true, _, _) => 'n',
                (false, false, false) => '0',
                (false, true, false) => '1',
                (false, false, true) => '2',
                (false, true, true) => '3',
            }
        })
    }

    fn word(&self, id: NodeId, link: &PeerLink) -> &'static str {
        if id == self.local_in_list() {
            "localhost"
        } else if link.connected {
            "connected"
        } else {
            "disconnected"
        }
    }

    /// The first node of the list where this node is not in it, as in C.
    fn local_in_list(&self) -> NodeId {
        if self.ids.contains(&self.local) {
            self.local
        } else {
            self.ids[0]
        }
    }

    fn print_node(&self, node: &NodeStatus, output: &mut Output<'_>) -> Result<(), Stop> {
        write!(output, "nodeid: {} reachable", node.node)?;
        if node.remote {
            write!(output, " remote")?;
        }
        if node.external {
            write!(output, " external")?;
        }
        // Debian's tool is built without the versions on the wire, which JSON has.
        writeln!(output)?;
        let arrow = if self.is_knet() { "->" } else { "" };
        let used = node.links.iter().enumerate();
        for (number, link) in used.filter(|(_, link)| link.enabled) {
            write!(
                output,
                "   LINK: {number} {} ({}{arrow}{}) enabled",
                self.carriers[number], link.source, link.destination
            )?;
            if link.connected {
                write!(output, " connected")?;
            }
            if link.dynconnected {
                write!(output, " dynconnected")?;
            }
            writeln!(output, " mtu: {}", link.mtu.cast_signed())?;
        }
        writeln!(output)
    }

    /// Of `-s` and `-n` alike: everything.
    fn json(&self, states: &[NodeStatus]) -> Json {
        let node = |(&id, state): (&NodeId, &NodeStatus)| {
            let used = state.links.iter().enumerate();
            let links: Vec<Json> = used
                .filter(|(_, link)| link.enabled)
                .map(|(number, link)| self.link_json(number, link))
                .collect();
            json!({
                "node": id.0,
                "local": id == self.local,
                "reachable": state.reachable,
                "remote": state.remote,
                "external": state.external,
                "onwire": {
                    "min": state.onwire.min,
                    "max": state.onwire.max,
                    "current": state.onwire.current,
                },
                "links": links,
            })
        };
        let nodes: Vec<Json> = self.ids.iter().zip(states).map(node).collect();
        json!({ "node": self.local.0, "transport": self.transport, "nodes": nodes })
    }

    fn link_json(&self, number: usize, link: &PeerLink) -> Json {
        json!({
            "link": number,
            "transport": self.carriers[number],
            "source": link.source,
            "destination": link.destination,
            "connected": link.connected,
            "dynconnected": link.dynconnected,
            "mtu": link.mtu,
        })
    }
}

/// What C shows of a node that it could not ask for.
fn unknown() -> NodeStatus {
    NodeStatus {
        node: NodeId(0),
        reachable: false,
        remote: false,
        external: false,
        onwire: Onwire {
            min: 0,
            max: 0,
            current: 0,
        },
        links: Default::default(),
    }
}

fn text(cmap: &mut Cmap, key: &str) -> Option<String> {
    cmap.get(key).ok()?.as_str().map(str::to_owned)
}

/// `totem.interface.N.knet_transport`, which is udp unless said.
fn carriers(cmap: &mut Cmap, transport: &str) -> [String; NodeStatus::LINKS] {
    let unsaid = if matches!(transport, "udp" | "udpu") {
        ""
    } else {
        "udp"
    };
    let mut carriers: [String; NodeStatus::LINKS] = std::array::from_fn(|_| unsaid.to_owned());
    for (number, carrier) in carriers.iter_mut().enumerate() {
        if let Some(said) = text(cmap, &format!("totem.interface.{number}.knet_transport")) {
            *carrier = said;
        }
    }
    carriers
}

const KNET: &str = "knet";

#[cfg(test)]
mod tests;

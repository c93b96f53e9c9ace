//! The networks between the nodes: for each link bridges in the lab's own namespace, with one port per node.
//!
//! A partition takes the ports apart into one bridge per side, which cuts everything that a switch would
//! carry: unicast, multicast, broadcast, address resolution, both versions of IP.
//!
//! A narrow cable has one more bridge in it:
//!
//! ```text
//! eth0 of node 2 == node2l0 -[bridge node2l0in]- node2l0a == node2l0b -[bridge l0side0]- ..
//! ```
//!
//! `node2l0a` and `node2l0b` have the small MTU: what a bridge would send there and is too long, it drops without a word
//! to anybody. The cable of the node itself keeps its MTU, because there the kernel would tell the sender. A bundle of
//! packets (segmentation offload) passes a bridge whatever the length of its packets; both ends take it apart.

use std::collections::BTreeSet;

use anyhow::Result;

use super::links::{CableChange, CableOrder, LinkNumber};
use super::netlink::Netlink;
use super::plan::{Groups, NodeNumber};
use crate::args::LinkState;

/// The hub, in the namespace where it was made.
pub(super) struct Hub {
    netlink: Netlink,
    links: u8,
    /// MTU of every cable; `None` is the kernel's.
    mtu: Option<u32>,
    /// Bridges of each link that exist: `l0side0` to one less than this.
    sides: usize,
    attached: Vec<NodeNumber>,
    narrow: BTreeSet<(NodeNumber, LinkNumber)>,
    partition: Option<Groups>,
}

impl Hub {
    /// Makes the hub with one side for each link, and cables to come of this MTU.
    pub(super) fn new(links: u8, mtu: Option<u32>) -> Result<Self> {
        let mut hub = Self {
            netlink: Netlink::open()?,
            links,
            mtu,
            sides: 0,
            attached: Vec::new(),
            narrow: BTreeSet::new(),
            partition: None,
        };
        hub.netlink.set_state("lo", LinkState::Up)?;
        hub.need_sides(1)?;
        Ok(hub)
    }

    /// Runs cables from `node`'s ports to `eth0`, `eth1`, .. in the network namespace of process `pid`.
    pub(super) fn attach(&mut self, node: NodeNumber, pid: u32) -> Result<()> {
        for link in LinkNumber::all(self.links) {
            let port = port_name(node, link);
            self.netlink
                .add_cable(&port, &link.interface(), pid, self.mtu)?;
        }
        self.attached.push(node);
        self.plug(node)?;
        for link in LinkNumber::all(self.links) {
            self.netlink
                .set_state(&port_name(node, link), LinkState::Up)?;
        }
        Ok(())
    }

    /// Cuts the network of every link into sides.
    pub(super) fn partition(&mut self, groups: Groups) -> Result<()> {
        self.partition = Some(groups);
        self.plug_all()
    }

    /// One side again, every cable plugged in and of full width.
    pub(super) fn heal(&mut self) -> Result<()> {
        self.partition = None;
        self.plug_all()?;
        for node in self.attached.clone() {
            for change in [CableChange::State(LinkState::Up), CableChange::Full] {
                self.change_cables(node, CableOrder { link: None, change })?;
            }
        }
        while self.sides > 1 {
            for link in LinkNumber::all(self.links) {
                self.netlink.delete(&side_name(link, self.sides - 1))?;
            }
            self.sides -= 1;
        }
        Ok(())
    }

    /// Pulls or plugs cables of a node, so that its interfaces lose or regain their carrier, or changes their width.
    pub(super) fn change_cables(&mut self, node: NodeNumber, order: CableOrder) -> Result<()> {
        for link in LinkNumber::all(self.links).filter(|link| order.concerns(*link)) {
            match order.change {
                CableChange::State(state) => {
                    self.netlink.set_state(&port_name(node, link), state)?;
                }
                CableChange::Narrow(mtu) => self.narrow(node, link, mtu)?,
                CableChange::Full => self.widen(node, link)?,
            }
        }
        Ok(())
    }

    /// Puts a narrow piece between a port and its side, or changes the width of the one that is there.
    fn narrow(&mut self, node: NodeNumber, link: LinkNumber, mtu: u32) -> Result<()> {
        let [inner, near, far] = narrow_names(node, link);
        if self.narrow.contains(&(node, link)) {
            self.netlink.set_mtu(&near, mtu)?;
            return self.netlink.set_mtu(&far, mtu);
        }
        self.netlink.add_bridge(&inner)?;
        let here = std::process::id();
        self.netlink.add_cable(&near, &far, here, Some(mtu))?;
        self.netlink.set_bridge(&near, &inner)?;
        for name in [&near, &far] {
            self.netlink.unbundle(name)?;
        }
        for name in [&inner, &near, &far] {
            self.netlink.set_state(name, LinkState::Up)?;
        }
        self.netlink.set_bridge(&port_name(node, link), &inner)?;
        self.narrow.insert((node, link));
        self.plug(node)
    }

    /// Takes the narrow piece out again.
    fn widen(&mut self, node: NodeNumber, link: LinkNumber) -> Result<()> {
        if self.narrow.remove(&(node, link)) {
            let [inner, near, _] = narrow_names(node, link);
            // Its other end goes with it.
            self.netlink.delete(&near)?;
            self.plug(node)?;
            self.netlink.delete(&inner)?;
        }
        Ok(())
    }

    /// The partition in force.
    pub(super) fn sides(&self) -> Option<&Groups> {
        self.partition.as_ref()
    }

    fn plug_all(&mut self) -> Result<()> {
        for node in self.attached.clone() {
            self.plug(node)?;
        }
        Ok(())
    }

    fn plug(&mut self, node: NodeNumber) -> Result<()> {
        let side = self
            .partition
            .as_ref()
            .map_or(0, |groups| groups.side_of(node));
        self.need_sides(side + 1)?;
        for link in LinkNumber::all(self.links) {
            let port = if self.narrow.contains(&(node, link)) {
                let [_, _, far] = narrow_names(node, link);
                far
            } else {
                port_name(node, link)
            };
            self.netlink.set_bridge(&port, &side_name(link, side))?;
        }
        Ok(())
    }

    fn need_sides(&mut self, count: usize) -> Result<()> {
        while self.sides < count {
            for link in LinkNumber::all(self.links) {
                let name = side_name(link, self.sides);
                self.netlink.add_bridge(&name)?;
                self.netlink.set_state(&name, LinkState::Up)?;
            }
            self.sides += 1;
        }
        Ok(())
    }
}

fn port_name(node: NodeNumber, link: LinkNumber) -> String {
    format!("{}l{link}", node.name())
}

/// The bridge and the two ends of a cable's narrow piece.
fn narrow_names(node: NodeNumber, link: LinkNumber) -> [String; 3] {
    ["in", "a", "b"].map(|end| port_name(node, link) + end)
}

fn side_name(link: LinkNumber, side: usize) -> String {
    format!("l{link}side{side}")
}

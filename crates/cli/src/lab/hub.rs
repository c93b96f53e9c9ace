//! The network between the nodes: bridges in the lab's own namespace, with one port per node.
//!
//! A partition takes the ports apart into one bridge per side, which cuts everything that a switch would
//! carry: unicast, multicast, broadcast, address resolution, both versions of IP.

use anyhow::Result;

use super::netlink::Netlink;
use super::plan::{Groups, NodeNumber};
use crate::args::LinkState;

/// The hub, in the namespace where it was made.
pub(super) struct Hub {
    netlink: Netlink,
    /// Bridges that exist: `side0` to one less than this.
    sides: usize,
    attached: Vec<NodeNumber>,
    partition: Option<Groups>,
}

impl Hub {
    /// Makes the hub with one side.
    pub(super) fn new() -> Result<Self> {
        let mut hub = Self {
            netlink: Netlink::open()?,
            sides: 0,
            attached: Vec::new(),
            partition: None,
        };
        hub.netlink.set_state("lo", LinkState::Up)?;
        hub.need_sides(1)?;
        Ok(hub)
    }

    /// Runs a cable from `node`'s port to `eth0` in the network namespace of process `pid`.
    pub(super) fn attach(&mut self, node: NodeNumber, pid: u32) -> Result<()> {
        let port = node.name();
        self.netlink.add_cable(&port, "eth0", pid)?;
        self.attached.push(node);
        self.plug(node)?;
        self.netlink.set_state(&port, LinkState::Up)
    }

    /// Cuts the network into sides.
    pub(super) fn partition(&mut self, groups: Groups) -> Result<()> {
        self.partition = Some(groups);
        self.plug_all()
    }

    /// One side again, every cable plugged in.
    pub(super) fn heal(&mut self) -> Result<()> {
        self.partition = None;
        self.plug_all()?;
        for node in self.attached.clone() {
            self.netlink.set_state(&node.name(), LinkState::Up)?;
        }
        while self.sides > 1 {
            self.netlink.delete(&side_name(self.sides - 1))?;
            self.sides -= 1;
        }
        Ok(())
    }

    /// Pulls or plugs a cable: the node's `eth0` loses or regains its carrier.
    pub(super) fn set_link(&mut self, node: NodeNumber, state: LinkState) -> Result<()> {
        self.netlink.set_state(&node.name(), state)
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
        self.netlink.set_bridge(&node.name(), &side_name(side))
    }

    fn need_sides(&mut self, count: usize) -> Result<()> {
        while self.sides < count {
            let name = side_name(self.sides);
            self.netlink.add_bridge(&name)?;
            self.sides += 1;
            self.netlink.set_state(&name, LinkState::Up)?;
        }
        Ok(())
    }
}

fn side_name(side: usize) -> String {
    format!("side{side}")
}

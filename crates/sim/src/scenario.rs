//! Verbs for scripts: what a test says to a world.

use std::net::SocketAddr;

use ferrosync_wire::{Duration, LinkId, NodeId, RingId};

use crate::cluster::{Cluster, Event, PORT, Trouble, index};
use crate::faults::between;
use crate::host::{Act, Surroundings};
use crate::options::Options;
use crate::report::Failure;

/// One machine of a world.
#[derive(Debug)]
pub struct NodeHandle<'a> {
    cluster: &'a mut Cluster,
    index: usize,
}

/// Both directions between two machines, or one.
#[derive(Debug)]
pub struct LinkHandle<'a> {
    cluster: &'a mut Cluster,
    directions: Vec<(usize, usize)>,
}

impl Cluster {
    /// A machine, by its node id.
    pub fn node(&mut self, id: u32) -> NodeHandle<'_> {
        NodeHandle {
            index: index(id),
            cluster: self,
        }
    }

    /// The way between two nodes, both directions.
    pub fn link(&mut self, a: u32, b: u32) -> LinkHandle<'_> {
        let (a, b) = (index(a), index(b));
        LinkHandle {
            directions: vec![(a, b), (b, a)],
            cluster: self,
        }
    }

    /// The way from one node to another.
    pub fn one_way(&mut self, from: u32, to: u32) -> LinkHandle<'_> {
        LinkHandle {
            directions: vec![(index(from), index(to))],
            cluster: self,
        }
    }

    /// Cuts the nodes of `side` off from the others, until [`Self::heal`].
    pub fn partition(&mut self, side: &[u32]) {
        let count = u32::try_from(self.machines.len()).unwrap_or(0);
        let sides: Vec<u64> = (1..=count).map(|n| u64::from(side.contains(&n))).collect();
        for (from, to) in between(&sides) {
            self.network.cut(from, to);
        }
    }

    /// Three client processes begin to join, send and leave, until [`Self::heal`].
    pub fn load(&mut self) {
        self.options.workload.processes = 3;
        self.trouble = Trouble::On;
        self.schedule(self.now, Event::NextAction);
    }

    /// Mends everything and starts what is off.
    pub fn heal(&mut self) {
        self.heal_all();
    }

    /// Writes another key into every machine's corosync.conf, made of this letter, without saying so to its node.
    pub fn write_key(&mut self, letter: char) {
        self.edit_files(|conf| {
            let line = |line: &str| match line.trim_start().strip_prefix("key: ") {
                Some(key) => format!(" key: {}\n", letter.to_string().repeat(key.len())),
                None => format!("{line}\n"),
            };
            conf.lines().map(line).collect()
        });
    }

    /// Waits until all nodes are in one synchronised ring.
    pub fn settle_all(&mut self, within: Duration) -> Result<(), Failure> {
        let everybody: Vec<u32> = (1..=self.options.nodes).collect();
        self.settle(&everybody, within)
    }

    /// What is still owed at the end, as the checkers see it.
    pub fn check(&mut self, within: Duration) -> Result<(), Failure> {
        self.finish(within)
    }
}

impl NodeHandle<'_> {
    /// Ends the process without a word.
    pub fn crash(&mut self) {
        self.cluster.kill(self.index);
    }

    /// Starts the process.
    pub fn boot(&mut self) {
        let now = self.cluster.now;
        self.cluster.schedule(now, Event::Boot(self.index));
    }

    /// Stops the node in order; its process starts again by itself.
    pub fn restart(&mut self) {
        self.cluster.act(self.index, Act::Shutdown);
    }

    /// Has all nodes reload, as `corosync-cfgtool -R` here does.
    pub fn reload(&mut self) {
        self.cluster.act(self.index, Act::Reload);
    }

    /// Its corosync.conf cannot be understood any more.
    pub fn break_file(&mut self) {
        self.surroundings().conf.insert(0, '}');
    }

    /// It can be understood again.
    pub fn mend_file(&mut self) {
        self.surroundings().conf.remove(0);
    }

    fn surroundings(&mut self) -> &mut Surroundings {
        &mut self.cluster.machines[self.index].surroundings
    }

    /// How often its configuration was read since the world began.
    #[must_use]
    pub fn files_read(&self) -> u64 {
        self.cluster.machines[self.index].surroundings.files_read
    }

    /// Stops the process for a while.
    pub fn pause(&mut self, time: Duration) {
        let until = self.cluster.now + time;
        self.cluster.pause(self.index, until);
    }

    /// Unplugs one of its links.
    pub fn unplug(&mut self, link: LinkId) {
        self.cluster.network.unplug(self.index, link);
    }

    /// Takes back one [`Self::unplug`].
    pub fn plug(&mut self, link: LinkId) {
        self.cluster.network.plug(self.index, link);
    }

    /// Bytes that it believes to fit every path of knet.
    #[must_use]
    pub fn data_mtu(&self) -> Option<usize> {
        let node = self.cluster.machines[self.index].node.as_ref()?;
        let knet = node.transport().as_knet()?;
        Some(knet.knet().data_mtu())
    }

    /// It receives a datagram that some machine sent in the name of node `from`.
    pub fn hears(&mut self, from: u32, link: LinkId, bytes: Vec<u8>) {
        let from = SocketAddr::new(Options::address(from, link), PORT);
        self.cluster.hear(self.index, from, link, bytes.into());
    }

    /// Datagrams that it dropped because they make no sense or come from nobody it knows.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        let node = self.cluster.machines[self.index].node.as_ref();
        node.map_or(0, |node| {
            let knet = node.transport().as_knet().map(|knet| knet.knet().drops());
            let knet = knet.map_or(0, |drops| {
                drops.malformed + drops.strangers + drops.fragments + drops.unauthentic
            });
            node.core().pg().srp().stats().rx_msg_dropped + knet
        })
    }

    /// The ring that it installed last, with its members.
    #[must_use]
    pub fn ring(&self) -> Option<(RingId, Vec<NodeId>)> {
        let node = self.cluster.machines[self.index].node.as_ref()?;
        let srp = node.core().pg().srp();
        Some((srp.ring_id(), srp.members().as_slice().to_vec()))
    }

    /// How often it gathered since it started.
    #[must_use]
    pub fn gathers(&self) -> u64 {
        let node = self.cluster.machines[self.index].node.as_ref();
        node.map_or(0, |n| n.core().pg().srp().stats().gather_entered)
    }
}

impl LinkHandle<'_> {
    /// Nothing goes through.
    pub fn cut(&mut self) {
        for (from, to) in self.directions.clone() {
            self.cluster.network.cut(from, to);
        }
    }

    /// Takes back one [`Self::cut`].
    pub fn mend(&mut self) {
        for (from, to) in self.directions.clone() {
            self.cluster.network.mend(from, to);
        }
    }

    /// Loses frames, `ppm` per million.
    pub fn lose(&mut self, ppm: u64) {
        for (from, to) in self.directions.clone() {
            self.cluster.network.lose(from, to, ppm);
        }
    }

    /// Holds everything back for a while.
    pub fn clog(&mut self, time: Duration) {
        let until = self.cluster.now + time;
        for (from, to) in self.directions.clone() {
            self.cluster.network.clog(from, to, until);
        }
    }
}

use super::*;
use crate::SrpConfig;
use crate::srp::{Destination, MembStateKind, RxOrder};
use ferrosync_wire::Duration;

/// A few nodes on a perfect network; packets to nodes that are cut off vanish.
struct Ring {
    nodes: Vec<Pg>,
    now: Instant,
    /// Which side of a partition a node is on.
    side: Vec<u32>,
    /// A node that no mcast reaches.
    deaf: Option<usize>,
    network: VecDeque<(usize, Bytes)>,
    seen: Vec<Vec<Seen>>,
    sync: AutoSync,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum AutoSync {
    /// Acknowledge every regular change at once, as if no service had anything to synchronise.
    Yes,
    /// The same among nodes that make torn messages whole.
    Mending,
    No,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    Message(u32, Bytes),
    Change(ConfChgKind, Vec<u32>),
}

impl Ring {
    fn new(count: u32) -> Self {
        let now = Instant::from_nanos(1_000_000_000);
        let nodes = (1..=count)
            .map(|id| {
                let config = SrpConfig::for_nodes(count as usize);
                Pg::new(Srp::new(NodeId(id), config, RingSeq(0), u64::from(id), now))
            })
            .collect::<Vec<_>>();
        let n = nodes.len();
        let mut ring = Self {
            nodes,
            now,
            side: vec![0; n],
            deaf: None,
            network: VecDeque::new(),
            seen: vec![Vec::new(); n],
            sync: AutoSync::Yes,
        };
        for i in 0..n {
            ring.nodes[i].handle(now, Input::LinksReady);
            ring.drain(i);
        }
        ring
    }

    fn drain(&mut self, i: usize) {
        while let Some(output) = self.nodes[i].poll_output() {
            match output {
                PgOutput::Message(m) => {
                    assert_eq!(m.group, Group::Services);
                    self.seen[i].push(Seen::Message(m.from.0, m.body));
                }
                PgOutput::ConfChg(c) => {
                    let members = c.members.iter().map(|n| n.0).collect();
                    self.seen[i].push(Seen::Change(c.kind, members));
                    if c.kind == ConfChgKind::Regular && self.sync != AutoSync::No {
                        let company = match self.sync {
                            AutoSync::Mending => Company::Mending,
                            AutoSync::Yes | AutoSync::No => Company::Mixed,
                        };
                        self.nodes[i].trans_ack(self.now, company);
                    }
                }
                PgOutput::Transmit(t) => {
                    let to: Vec<usize> = match t.to {
                        Destination::Ring => (0..self.nodes.len()).filter(|j| *j != i).collect(),
                        Destination::Node(n) => vec![n.0 as usize - 1],
                    };
                    for j in to {
                        let lost = self.deaf == Some(j) && t.frame[3] == 1;
                        if self.side[i] == self.side[j] && !lost {
                            self.network.push_back((j, t.frame.clone()));
                        }
                    }
                }
                PgOutput::Event(SrpEvent::Malformed(e)) => panic!("node {i} sent or got {e}"),
                PgOutput::StoreRingSeq(_)
                | PgOutput::DiscardReceived
                | PgOutput::Stranger(_)
                | PgOutput::TokenPassed
                | PgOutput::Event(_) => {}
            }
        }
    }

    /// Delivers a packet or lets time pass to the next timer.
    fn step(&mut self) {
        if let Some((to, frame)) = self.network.pop_front() {
            self.now = self.now + Duration::from_micros(10);
            let order = RxOrder::Arrival;
            self.nodes[to].handle(self.now, Input::Packet { frame, order });
            return self.drain(to);
        }
        let due = (0..self.nodes.len()).min_by_key(|i| self.nodes[*i].poll_timeout().map(|t| t.0));
        let i = due.expect("nodes have timers");
        let (at, _) = self.nodes[i].poll_timeout().expect("pause is always armed");
        self.now = self.now.max(at);
        self.nodes[i].handle_timeout(self.now);
        self.drain(i);
    }

    fn run_until(&mut self, what: &str, limit: Duration, done: impl Fn(&Self) -> bool) {
        let end = self.now + limit;
        while !done(self) {
            assert!(self.now < end, "{what} not reached: {:?}", self.states());
            self.step();
        }
    }

    fn states(&self) -> Vec<(MembStateKind, String, usize)> {
        self.nodes
            .iter()
            .map(|n| {
                let ring = n.srp().ring_id().to_string();
                (n.srp().state(), ring, n.srp().members().len())
            })
            .collect()
    }

    fn on_one_ring(&self, nodes: &[usize]) -> bool {
        let ring = self.nodes[nodes[0]].srp().ring_id();
        nodes.iter().all(|i| {
            let srp = self.nodes[*i].srp();
            srp.state() == MembStateKind::Operational
                && srp.ring_id() == ring
                && srp.members().len() == nodes.len()
        })
    }

    fn mcast(&mut self, i: usize, body: &[u8]) -> Result<(), QueueFull> {
        let result = self.nodes[i].mcast(self.now, Group::Services, Guarantee::Agreed, &[body]);
        self.drain(i);
        result
    }

    fn messages(&self, i: usize) -> Vec<(u32, Bytes)> {
        self.seen[i]
            .iter()
            .filter_map(|s| match s {
                Seen::Message(from, body) => Some((*from, body.clone())),
                Seen::Change(..) => None,
            })
            .collect()
    }
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_node_alone_forms_a_ring_and_hears_itself() {
    let mut ring = Ring::new(1);
    ring.run_until("singleton", SECOND, |r| r.on_one_ring(&[0]));
    assert_eq!(ring.nodes[0].srp().ring_id().seq, RingSeq(5));
    ring.mcast(0, b"hello").unwrap();
    ring.run_until("delivery", SECOND, |r| r.messages(0).len() == 1);
    assert_eq!(ring.messages(0)[0], (1, Bytes::from_static(b"hello")));
}

#[test]
fn all_see_the_same_order() {
    let mut ring = Ring::new(3);
    ring.run_until("ring", 5 * SECOND, |r| r.on_one_ring(&[0, 1, 2]));
    for round in 0..200u8 {
        for i in 0..3 {
            let body = vec![round; 1 + (usize::from(round) * 37) % 4_000];
            ring.mcast(i, &body).unwrap();
        }
        ring.step();
    }
    ring.run_until("all delivered", 5 * SECOND, |r| {
        (0..3).all(|i| r.messages(i).len() == 600)
    });
    assert_eq!(ring.messages(0), ring.messages(1));
    assert_eq!(ring.messages(0), ring.messages(2));
}

#[test]
fn a_mebibyte_arrives_whole() {
    let mut ring = Ring::new(2);
    ring.run_until("ring", 5 * SECOND, |r| r.on_one_ring(&[0, 1]));
    let body: Vec<u8> = (0..1 << 20).map(|i| (i % 251) as u8).collect();
    ring.mcast(0, &body).unwrap();
    ring.mcast(0, b"behind").unwrap();
    ring.run_until("arrival", 60 * SECOND, |r| r.messages(1).len() == 2);
    assert!(ring.messages(1)[0].1 == body);
    assert_eq!(ring.messages(1), ring.messages(0));
}

#[test]
fn a_dead_node_is_left_behind_and_comes_back() {
    let mut ring = Ring::new(3);
    ring.run_until("ring", 5 * SECOND, |r| r.on_one_ring(&[0, 1, 2]));
    ring.side[1] = 9;
    ring.run_until("two left", 20 * SECOND, |r| r.on_one_ring(&[0, 2]));
    ring.run_until("one alone", 20 * SECOND, |r| r.on_one_ring(&[1]));
    for i in 0..3 {
        ring.mcast(i, b"apart").unwrap();
    }
    ring.run_until("apart", 5 * SECOND, |r| {
        (0..3).all(|i| !r.messages(i).is_empty())
    });
    ring.side[1] = 0;
    ring.run_until("merged", 20 * SECOND, |r| r.on_one_ring(&[0, 1, 2]));
    assert_eq!(ring.messages(0), ring.messages(2));
    assert_eq!(ring.messages(1).len(), 1);
}

#[test]
fn what_a_survivor_misses_is_recovered_before_the_change() {
    let mut ring = Ring::new(3);
    ring.run_until("ring", 5 * SECOND, |r| r.on_one_ring(&[0, 1, 2]));
    // Node 3 multicasts to node 1 only, then is gone: node 2 must still get the message, in the old ring.
    ring.deaf = Some(1);
    ring.mcast(2, b"last words").unwrap();
    ring.run_until("at node 1", 5 * SECOND, |r| !r.messages(0).is_empty());
    ring.side = vec![0, 0, 9];
    ring.deaf = None;
    ring.run_until("two left", 20 * SECOND, |r| r.on_one_ring(&[0, 1]));
    let position = |i: usize| {
        let last = Seen::Message(3, Bytes::from_static(b"last words"));
        let tail = ring.seen[i].iter().position(|s| *s == last);
        let change = Seen::Change(ConfChgKind::Transitional, vec![1, 2]);
        (tail, ring.seen[i].iter().position(|s| *s == change))
    };
    for i in 0..2 {
        let (message, change) = position(i);
        assert!(
            message.expect("delivered") < change.expect("changed"),
            "{i}"
        );
    }
}

#[test]
fn application_messages_wait_for_synchronisation() {
    let mut ring = Ring::new(2);
    ring.sync = AutoSync::No;
    ring.run_until("ring", 5 * SECOND, |r| r.on_one_ring(&[0, 1]));
    ring.mcast(0, b"sync").unwrap();
    ring.run_until("sync", SECOND, |r| r.messages(1).len() == 1);
    for i in 0..2 {
        let now = ring.now;
        ring.nodes[i].trans_ack(now, Company::Mixed);
    }
    ring.mcast(1, b"application").unwrap();
    ring.run_until("application", SECOND, |r| r.messages(0).len() == 2);
}

#[test]
fn a_full_queue_says_so_and_loses_nothing() {
    let mut ring = Ring::new(2);
    ring.run_until("ring", 5 * SECOND, |r| r.on_one_ring(&[0, 1]));
    let body = vec![7u8; 50_000];
    let mut accepted = 0;
    while ring.mcast(0, &body).is_ok() {
        accepted += 1;
    }
    assert!(accepted > 50, "{accepted}");
    assert_eq!(ring.nodes[0].level(QueueLevel::Low), QueueLevel::Critical);
    ring.run_until("drained", 60 * SECOND, |r| r.messages(1).len() == accepted);
    assert_eq!(ring.nodes[0].level(QueueLevel::Critical), QueueLevel::Low);
}

/// Nodes 1 and 2 are on a ring, node 3 is alone; when they meet, a mebibyte of node 1 is half sent.
fn met_in_the_middle_of_a_message(sync: AutoSync) -> Ring {
    let mut ring = Ring::new(3);
    ring.sync = sync;
    ring.side = vec![0, 0, 9];
    ring.run_until("two", 20 * SECOND, |r| r.on_one_ring(&[0, 1]));
    ring.run_until("one", 20 * SECOND, |r| r.on_one_ring(&[2]));
    // They saw each other's first joins and failed to form a ring: for a while neither cares for the other's.
    let end = ring.now + Duration::from_secs(5);
    ring.run_until("not refused any more", 10 * SECOND, |r| r.now > end);
    let body: Vec<u8> = (0..1 << 20).map(|i| (i % 241) as u8).collect();
    ring.mcast(0, &body).unwrap();
    ring.mcast(0, b"behind").unwrap();
    let half = |r: &Ring| r.nodes[0].free_frames() > 2_500;
    ring.run_until("half of it", SECOND, half);
    assert!(ring.messages(0).is_empty());
    ring.side = vec![0; 3];
    let frame = ring.nodes[2].srp().merge_detect_frame();
    ring.network.push_back((0, frame.into()));
    ring.run_until("merged", 20 * SECOND, |r| r.on_one_ring(&[0, 1, 2]));
    ring
}

/// Until `word` is the last that these nodes have.
fn wait_for(ring: &mut Ring, nodes: &[usize], word: &'static [u8]) {
    ring.run_until("the last word", 60 * SECOND, |r| {
        let has_it = |i: &usize| r.messages(*i).last().is_some_and(|m| m.1 == *word);
        nodes.iter().all(has_it)
    });
}

#[test]
fn a_message_torn_by_a_change_is_whole_for_everybody() {
    let mut ring = met_in_the_middle_of_a_message(AutoSync::Mending);
    wait_for(&mut ring, &[0, 1, 2], b"behind");
    for i in 0..3 {
        assert_eq!(ring.messages(i).len(), 2, "node {}", i + 1);
        assert_eq!(ring.messages(i)[0].1.len(), 1 << 20);
    }
    assert_eq!(ring.messages(0), ring.messages(2));
}

#[test]
fn among_c_nodes_a_torn_message_reaches_the_old_members_only() {
    let mut ring = met_in_the_middle_of_a_message(AutoSync::Yes);
    wait_for(&mut ring, &[0, 1], b"behind");
    ring.mcast(0, b"later").unwrap();
    wait_for(&mut ring, &[0, 1, 2], b"later");
    assert_eq!(ring.messages(0).len(), 3);
    assert_eq!(ring.messages(1).len(), 3);
    // What shares a packet with the end of the torn message is lost with it.
    assert_eq!(ring.messages(2).len(), 1);
}

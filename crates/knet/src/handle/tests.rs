mod keys;

use bytes::Bytes;
use ferrosync_wire::codec::{Decode as _, Encode as _, Reader};
use ferrosync_wire::knet::{Cast, DataHeader, Frame, MESSAGE_MAX, Part};

use super::send::SEQ_PING_EACH;
use super::*;
use crate::crypto::{Cipher, ClearTraffic, Hash, Instance, Key, Slot, Suite};
use crate::host::{LinkConfig, Reach};
use crate::link::HeartbeatConfig;

const A: HostId = HostId(1);
const B: HostId = HostId(2);
const MS: u64 = 1_000_000;

#[test]
fn a_message_reaches_its_destinations_once() {
    for policy in [Policy::Passive, Policy::Active, Policy::RoundRobin] {
        let mut net = Net::up(policy, 2);
        for number in 0..20 {
            net.send(A, Destination::All, &text(number));
        }
        net.run(1);
        let expected: Vec<_> = (0..20).map(|number| (A, text(number))).collect();
        assert_eq!(net.delivered(B), expected, "{policy:?}");
        assert_eq!(net.delivered(A), [], "{policy:?}");
        net.send(A, Destination::One(B), &text(20));
        net.run(1);
        assert_eq!(net.delivered(B), [(A, text(20))]);
        let copies = net.nodes[&B].drops().duplicates;
        assert_eq!(copies, if policy == Policy::Active { 21 } else { 0 });
    }
}

#[test]
fn encrypted_and_compressed_messages_arrive_whole() {
    let mut net = Net::new(Policy::Passive, 1);
    net.suite = Some(Suite::encrypted(Cipher::Aes256, Hash::Sha256));
    net.compression = "zlib";
    net.restart(A);
    net.restart(B);
    net.run(5_000);
    assert_eq!(net.nodes[&A].data_mtu(), 1397);
    let long: Vec<u8> = (0..MESSAGE_MAX)
        .map(|at| u8::try_from(at * at % 251).unwrap())
        .collect();
    for message in [&text(1)[..], &[7; 40_000], &long] {
        net.send(A, Destination::All, message);
        net.run(1);
        assert_eq!(net.delivered(B), [(A, message.to_vec())]);
    }
    let stats = net.nodes[&B].stats();
    assert!(stats.rx_compressed.packets >= 1, "{stats:?}");
    assert!(stats.rx_crypt_packets > 3, "{stats:?}");
}

#[test]
fn what_is_not_sealed_is_not_believed() {
    let mut net = Net::up(Policy::Passive, 1);
    net.suite = Some(Suite::encrypted(Cipher::Aes256, Hash::Sha256));
    net.restart(B);
    net.run(10_000);
    let drops = net.nodes[&B].drops();
    assert!(drops.unauthentic > 0, "{drops:?}");
    assert_eq!(drops.malformed + drops.strangers, 0, "{drops:?}");
    assert_eq!(net.nodes[&B].reach(A), Some(Reach::Unreachable));
    // A takes the sealed packets for garbage.
    let drops = net.nodes[&A].drops();
    assert!(drops.malformed > 0, "{drops:?}");
}

#[test]
fn a_fixed_mtu_is_not_searched() {
    let mut net = Net::new(Policy::Passive, 1);
    net.mtu = Some(1200);
    net.restart(A);
    net.restart(B);
    net.run(5_000);
    assert_eq!(net.nodes[&A].data_mtu(), 1146);
    let pmtu = net.nodes[&A]
        .links()
        .next()
        .unwrap()
        .stats
        .tx
        .of(Kind::Pmtu);
    assert_eq!(pmtu.packets, 0);
}

/// A token of 300 ms asks for these.
#[test]
fn links_that_may_be_silent_for_less_than_a_look_stay_up() {
    let mut net = Net::up(Policy::Passive, 1);
    let heartbeat = HeartbeatConfig {
        ping_interval: Duration::from_millis(75),
        pong_timeout: Duration::from_millis(150),
        precision: 30,
        pong_count: 2,
    };
    for (host, peer) in [(A, B), (B, A)] {
        let node = net.nodes.get_mut(&host).unwrap();
        node.change_link(peer, LinkId(0), 1, heartbeat);
    }
    net.settle();
    net.run(30_000);
    assert_eq!((net.events(A), net.events(B)), (vec![], vec![]));
    net.cut = vec![(A, LinkId(0)), (B, LinkId(0))];
    net.run(300);
    assert_eq!(net.nodes[&A].reach(B), Some(Reach::Unreachable));
}

#[test]
fn links_come_and_go() {
    let mut net = Net::up(Policy::Passive, 2);
    net.settle();
    let config = net.link_config(B, LinkId(1));
    let node = net.nodes.get_mut(&A).unwrap();
    node.remove_link(B, LinkId(0));
    net.drain();
    let expected = [
        Event::Link(B, LinkId(0), State::Down),
        Event::Host(B, Policy::Passive, vec![(LinkId(1), 1)]),
    ];
    assert_eq!(net.events(A), expected);
    net.send(A, Destination::One(B), &text(1));
    net.run(1);
    assert_eq!(net.delivered(B), [(A, text(1))]);
    let node = net.nodes.get_mut(&A).unwrap();
    node.change_link(B, LinkId(1), 9, config.heartbeat);
    node.remove_link(B, LinkId(1));
    net.drain();
    assert_eq!(net.nodes[&A].reach(B), Some(Reach::Unreachable));
    let node = net.nodes.get_mut(&A).unwrap();
    node.remove_host(B);
    assert_eq!(node.reach(B), None);
    let config = net.link_config(B, LinkId(0));
    let node = net.nodes.get_mut(&A).unwrap();
    node.set_host(B, Policy::Active);
    node.add_link(B, LinkId(0), config);
    net.run(20_000);
    assert_eq!(net.nodes[&A].reach(B), Some(Reach::Reachable));
}

#[test]
fn what_must_arrive_takes_all_links() {
    let mut net = Net::up(Policy::Passive, 2);
    net.cut = vec![(A, LinkId(0))];
    net.send(A, Destination::One(B), &text(1));
    net.run(1);
    assert_eq!(net.delivered(B), []);
    let now = net.now;
    let node = net.nodes.get_mut(&A).unwrap();
    let sent = node.send(now, Destination::One(B), Ways::All, 0, &text(2));
    assert_eq!(sent, Ok(()));
    net.drain();
    assert_eq!(net.delivered(B), [(A, text(2))]);
}

#[test]
fn nothing_is_sent_before_a_link_is_up() {
    let mut net = Net::new(Policy::Passive, 1);
    let now = net.now;
    let node = net.nodes.get_mut(&A).unwrap();
    let refused = node.send(now, Destination::One(B), Ways::Chosen, 0, &text(1));
    assert_eq!(refused, Err(SendError::Unreachable));
    let stranger = node.send(now, Destination::One(HostId(9)), Ways::Chosen, 0, &text(1));
    assert_eq!(stranger, Err(SendError::Unreachable));
    for len in [0, MESSAGE_MAX + 1] {
        let refused = node.send(now, Destination::All, Ways::Chosen, 0, &vec![0; len]);
        assert_eq!(refused, Err(SendError::BadLength(len)));
    }
}

#[test]
fn links_come_up_with_the_third_pong() {
    let mut net = Net::new(Policy::Passive, 1);
    net.run(390);
    assert_eq!(net.events(A), []);
    net.run(100);
    let expected = [
        Event::Link(B, LinkId(0), State::Up),
        Event::Host(B, Policy::Passive, vec![(LinkId(0), 1)]),
        Event::LinkMtu {
            host: B,
            link: LinkId(0),
            from: 522,
            to: 1446,
        },
        Event::DataMtu(1446),
    ];
    assert_eq!(net.events(A), expected);
}

#[test]
fn long_messages_pass_a_black_hole() {
    let mut net = Net::new(Policy::Active, 2);
    net.hole = 1300;
    net.run(240_000);
    assert_eq!(net.nodes[&A].data_mtu(), 1246);
    let long: Vec<u8> = (0..MESSAGE_MAX)
        .map(|at| u8::try_from(at % 251).unwrap())
        .collect();
    net.send(A, Destination::One(B), &long);
    net.run(1);
    assert_eq!(net.delivered(B), [(A, long)]);
}

#[test]
fn the_other_link_takes_over() {
    for policy in [Policy::Passive, Policy::Active, Policy::RoundRobin] {
        let mut net = Net::up(policy, 2);
        net.settle();
        net.cut = vec![(A, LinkId(0)), (B, LinkId(0))];
        net.run(20_000);
        let active = vec![(LinkId(1), 1)];
        let expected = [
            Event::Link(B, LinkId(0), State::Down),
            Event::Host(B, policy, active),
        ];
        assert_eq!(net.events(A), expected);
        net.send(A, Destination::One(B), &text(1));
        net.send(A, Destination::One(B), &text(2));
        net.run(1);
        assert_eq!(net.delivered(B), [(A, text(1)), (A, text(2))], "{policy:?}");
        net.cut.clear();
        net.run(20_000);
        let events = net.events(A);
        assert_eq!(
            events[0],
            Event::Link(B, LinkId(0), State::Up),
            "{policy:?}"
        );
    }
}

#[test]
fn loss_in_one_direction_takes_the_link_down_on_both_sides() {
    let mut net = Net::up(Policy::Passive, 1);
    net.settle();
    net.cut = vec![(A, LinkId(0))];
    net.run(20_000);
    for (host, peer) in [(A, B), (B, A)] {
        let expected = [
            Event::Link(peer, LinkId(0), State::Down),
            Event::Host(peer, Policy::Passive, Vec::new()),
        ];
        assert_eq!(net.events(host), expected);
    }
}

#[test]
fn a_peer_that_starts_anew_within_the_timeout_is_heard() {
    let mut net = Net::up(Policy::Passive, 1);
    for number in 0..10 {
        net.send(A, Destination::One(B), &text(number));
    }
    net.run(1_500);
    assert_eq!(net.delivered(B).len(), 10);
    net.restart(A);
    net.run(4_000);
    assert!(
        !net.events(B)
            .contains(&Event::Link(A, LinkId(0), State::Down))
    );
    net.send(A, Destination::One(B), &text(99));
    net.run(1);
    assert_eq!(net.delivered(B), [(A, text(99))]);
}

#[test]
fn all_hosts_hear_the_number_at_times() {
    let mut net = Net::up(Policy::Passive, 1);
    net.settle();
    for number in 1..u32::from(SEQ_PING_EACH) {
        net.send(A, Destination::One(B), &number.to_le_bytes());
    }
    assert_eq!(net.counted_pings, 0);
    net.send(A, Destination::One(B), b"8191");
    assert_eq!(net.counted_pings, 1);
    assert_eq!(net.delivered(B).len(), usize::from(SEQ_PING_EACH));
}

#[test]
fn strangers_and_nonsense_are_counted_and_change_nothing() {
    let mut net = Net::up(Policy::Passive, 1);
    let now = net.now;
    let good = address(A, LinkId(0)).ip();
    let bad = IpAddr::from([192, 0, 2, 1]);
    let data = Frame {
        from: A,
        packet: Packet::Data(
            DataHeader {
                seq: Seq(1),
                compress: 0,
                cast: Cast::Broadcast,
                part: Part::Whole,
                channel: 0,
            },
            b"x",
        ),
    };
    let ping = |from, link| {
        let ping = Ping {
            link: LinkId(link),
            time: [0; 16],
            seq: Seq(0),
            reason: PingReason::Timer,
        };
        let packet = Packet::Ping(ping);
        Frame { from, packet }.to_vec()
    };
    let cases = [
        (bad, data.to_vec(), [0, 1]),
        (bad, ping(A, 0), [0, 1]),
        (good, ping(A, 3), [0, 1]),
        (good, ping(HostId(7), 0), [0, 1]),
        (good, b"\x01\x81".to_vec(), [1, 0]),
        (good, Vec::new(), [1, 0]),
    ];
    let node = net.nodes.get_mut(&B).unwrap();
    for (source, bytes, expected) in cases {
        let before = node.drops();
        let bytes = &Bytes::from(bytes);
        node.handle(now, Input::Datagram { source, bytes });
        let after = node.drops();
        let counted = [
            after.malformed - before.malformed,
            after.strangers - before.strangers,
        ];
        assert_eq!(counted, expected, "{bytes:x?}");
        assert_eq!(node.poll_output(), None, "{bytes:x?}");
    }
}

/// Two nodes and what is between them. Packets arrive at once.
struct Net {
    nodes: BTreeMap<HostId, Knet>,
    policy: Policy,
    links: u8,
    now: Instant,
    /// Nothing arrives that these hosts send over these links.
    cut: Vec<(HostId, LinkId)>,
    /// On-wire sizes beyond vanish.
    hole: usize,
    inbox: BTreeMap<HostId, Vec<(HostId, Vec<u8>)>>,
    log: BTreeMap<HostId, Vec<Event>>,
    counted_pings: usize,
    suite: Option<Suite>,
    compression: &'static str,
    mtu: Option<u16>,
}

impl Net {
    fn new(policy: Policy, links: u8) -> Self {
        let mut net = Self {
            nodes: BTreeMap::new(),
            policy,
            links,
            now: Instant::from_nanos(5_000 * MS),
            cut: Vec::new(),
            hole: INTERFACE,
            inbox: BTreeMap::new(),
            log: BTreeMap::new(),
            counted_pings: 0,
            suite: None,
            compression: "none",
            mtu: None,
        };
        net.restart(A);
        net.restart(B);
        net
    }

    /// With all links up and measured.
    fn up(policy: Policy, links: u8) -> Self {
        let mut net = Self::new(policy, links);
        net.run(5_000);
        for (host, peer) in [(A, B), (B, A)] {
            let events = net.events(host);
            assert!(events.contains(&Event::Link(peer, LinkId(0), State::Up)));
            assert_eq!(net.nodes[&host].data_mtu(), 1446);
        }
        net
    }

    /// Long enough for links to have their final timeouts.
    fn settle(&mut self) {
        self.run(12_000);
        self.events(A);
        self.events(B);
    }

    fn restart(&mut self, host: HostId) {
        let config = KnetConfig {
            host,
            pmtud_interval: Duration::from_secs(30),
            mtu: self.mtu,
            sources: Sources::Listed,
        };
        let [high, low] = host.0.to_be_bytes();
        let ivs = Ivs::new([high ^ low; 32]);
        let compressor = Compressor::new(self.compression, 0, 0).unwrap();
        let mut node = Knet::new(config, ivs, compressor, self.now);
        if let Some(suite) = self.suite {
            let key = instance(suite, 1);
            node.set_key(self.now, Slot::One, Some(key)).unwrap();
            node.use_key(self.now, Some(Slot::One)).unwrap();
            node.set_clear_traffic(ClearTraffic::Refused);
        }
        let peer = if host == A { B } else { A };
        node.set_host(peer, self.policy);
        for link in (0..self.links).map(LinkId) {
            node.add_link(peer, link, self.link_config(peer, link));
        }
        while node.poll_output().is_some() {}
        self.nodes.insert(host, node);
    }

    fn link_config(&self, peer: HostId, link: LinkId) -> LinkConfig {
        LinkConfig {
            peer: address(peer, link),
            priority: 1,
            heartbeat: HeartbeatConfig {
                ping_interval: Duration::from_millis(1_000),
                pong_timeout: Duration::from_millis(2_000),
                precision: 2048,
                pong_count: 2,
            },
        }
    }

    fn send(&mut self, from: HostId, destination: Destination, payload: &[u8]) {
        let node = self.nodes.get_mut(&from).unwrap();
        node.send(self.now, destination, Ways::Chosen, 0, payload)
            .unwrap();
        self.drain();
    }

    fn run(&mut self, ms: u64) {
        let end = self.now + Duration::from_millis(ms);
        loop {
            let next = self.nodes.values().map(Knet::poll_timeout).min().unwrap();
            if next > end {
                break;
            }
            self.now = self.now.max(next);
            for node in self.nodes.values_mut() {
                node.handle_timeout(self.now);
            }
            self.drain();
        }
        self.now = end;
    }

    fn drain(&mut self) {
        loop {
            let polled = self.nodes.iter_mut().find_map(|(&host, node)| {
                let output = node.poll_output()?;
                Some((host, output))
            });
            let Some((host, output)) = polled else { return };
            match output {
                Output::Send { link, to, datagram } => self.carry(host, link, to, &datagram),
                Output::Deliver { from, payload, .. } => {
                    let inbox = self.inbox.entry(host).or_default();
                    inbox.push((from, payload.to_vec()));
                }
                Output::Event(event) => self.log.entry(host).or_default().push(event),
            }
        }
    }

    fn carry(&mut self, from: HostId, link: LinkId, to: SocketAddr, bytes: &Bytes) {
        let on_wire = bytes.len() + 28;
        if on_wire > INTERFACE {
            let input = Input::TooBig {
                link,
                to,
                len: bytes.len(),
                kernel_mtu: u16::try_from(INTERFACE).ok(),
            };
            let node = self.nodes.get_mut(&from).unwrap();
            node.handle(self.now, input);
            return;
        }
        if self.suite.is_none() {
            let frame = Frame::decode(&mut Reader::new(bytes)).unwrap();
            if let Packet::Ping(ping) = frame.packet
                && ping.reason == PingReason::Seq
            {
                self.counted_pings += 1;
            }
        }
        if self.cut.contains(&(from, link)) || on_wire > self.hole {
            return;
        }
        let source = address(from, link).ip();
        let host = if to == address(A, link) { A } else { B };
        let node = self.nodes.get_mut(&host).unwrap();
        node.handle(self.now, Input::Datagram { source, bytes });
    }

    /// What arrived since the last look.
    fn delivered(&mut self, host: HostId) -> Vec<(HostId, Vec<u8>)> {
        self.inbox.remove(&host).unwrap_or_default()
    }

    /// What changed since the last look.
    fn events(&mut self, host: HostId) -> Vec<Event> {
        self.log.remove(&host).unwrap_or_default()
    }
}

const INTERFACE: usize = 1500;

fn address(host: HostId, link: LinkId) -> SocketAddr {
    let [_, host] = host.0.to_be_bytes();
    SocketAddr::from(([10, 0, link.0, host], 5405))
}

fn instance(suite: Suite, seed: u8) -> Instance {
    Instance::new(suite, &Key::new(&[seed; 128]).unwrap())
}

fn text(number: u32) -> Vec<u8> {
    format!("message {number}").into_bytes()
}

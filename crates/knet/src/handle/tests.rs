use super::*;
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
        for host in [A, B] {
            let expected: Vec<_> = (0..20).map(|number| (A, text(number))).collect();
            assert_eq!(net.delivered(host), expected, "{policy:?} at {host:?}");
        }
        net.send(A, Destination::One(B), &text(20));
        net.send(A, Destination::One(A), &text(21));
        net.run(1);
        assert_eq!(net.delivered(B), [(A, text(20))]);
        assert_eq!(net.delivered(A), [(A, text(21))]);
        let copies = net.nodes[&B].drops().duplicates;
        assert_eq!(copies, if policy == Policy::Active { 21 } else { 0 });
    }
}

#[test]
fn nothing_is_sent_before_a_link_is_up() {
    let mut net = Net::new(Policy::Passive, 1);
    let now = net.now;
    let node = net.nodes.get_mut(&A).unwrap();
    let refused = node.send(now, Destination::One(B), &message(text(1)));
    assert_eq!(refused, Err(SendError::Unreachable));
    let stranger = node.send(now, Destination::One(HostId(9)), &message(text(1)));
    assert_eq!(stranger, Err(SendError::Unreachable));
    for len in [0, MESSAGE_MAX + 1] {
        let refused = node.send(now, Destination::All, &message(vec![0; len]));
        assert_eq!(refused, Err(SendError::BadLength(len)));
    }
    assert_eq!(node.send(now, Destination::All, &message(text(2))), Ok(()));
    net.run(1);
    assert_eq!(net.delivered(A), [(A, text(2))]);
    assert_eq!(net.delivered(B), []);
}

#[test]
fn links_come_up_with_the_third_pong() {
    let mut net = Net::new(Policy::Passive, 1);
    net.run(1_900);
    assert_eq!(net.events(A), [] as [Output; 0]);
    net.run(1_000);
    let expected = [
        Output::Link(B, LinkId(0), State::Up),
        Output::Host(B, Reach::Reachable),
        Output::DataMtu(1446),
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
        assert_eq!(net.events(A), [Output::Link(B, LinkId(0), State::Down)]);
        net.send(A, Destination::One(B), &text(1));
        net.send(A, Destination::One(B), &text(2));
        net.run(1);
        assert_eq!(net.delivered(B), [(A, text(1)), (A, text(2))], "{policy:?}");
        net.cut.clear();
        net.run(20_000);
        let events = net.events(A);
        assert_eq!(
            events[0],
            Output::Link(B, LinkId(0), State::Up),
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
            Output::Link(peer, LinkId(0), State::Down),
            Output::Host(peer, Reach::Unreachable),
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
    assert!(!net.events(B).contains(&Output::Host(A, Reach::Unreachable)));
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
    let good = address(A, LinkId(0));
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
        let bytes = &bytes;
        node.handle(now, Input::Packet { source, bytes });
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
    log: BTreeMap<HostId, Vec<Output>>,
    counted_pings: usize,
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
            assert!(events.contains(&Output::Host(peer, Reach::Reachable)));
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
            crypto: CryptoOverhead::NONE,
            sources: Sources::Listed,
        };
        let mut node = Knet::new(config, self.now);
        let peer = if host == A { B } else { A };
        node.add_host(peer, self.policy);
        for link in (0..self.links).map(LinkId) {
            let heartbeat = HeartbeatConfig {
                ping_interval: Duration::from_millis(1_000),
                pong_timeout: Duration::from_millis(2_000),
                precision: 2048,
                pong_count: 2,
            };
            let config = LinkConfig {
                peer: address(peer, link),
                priority: 1,
                heartbeat,
            };
            node.add_link(peer, link, config);
        }
        self.nodes.insert(host, node);
    }

    fn send(&mut self, from: HostId, destination: Destination, payload: &[u8]) {
        let message = message(payload.to_vec());
        let node = self.nodes.get_mut(&from).unwrap();
        node.send(self.now, destination, &message).unwrap();
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
                Output::Send { packet, to } => {
                    for (peer, link) in to {
                        self.carry(host, peer, link, &packet);
                    }
                }
                Output::Deliver(from, message) => {
                    let inbox = self.inbox.entry(host).or_default();
                    inbox.push((from, message.payload.to_vec()));
                }
                Output::Link(..) | Output::Host(..) | Output::DataMtu(_) => {
                    self.log.entry(host).or_default().push(output);
                }
            }
        }
    }

    fn carry(&mut self, from: HostId, to: HostId, link: LinkId, bytes: &[u8]) {
        let on_wire = bytes.len() + 28;
        if on_wire > INTERFACE {
            let size = u16::try_from(on_wire).unwrap();
            let input = Input::TooBig {
                host: to,
                link,
                size,
                kernel_mtu: u16::try_from(INTERFACE).ok(),
            };
            let node = self.nodes.get_mut(&from).unwrap();
            node.handle(self.now, input);
            return;
        }
        let ping = Frame::decode(&mut Reader::new(bytes)).unwrap();
        if let Packet::Ping(ping) = ping.packet
            && ping.reason == PingReason::Seq
        {
            self.counted_pings += 1;
        }
        if self.cut.contains(&(from, link)) || on_wire > self.hole {
            return;
        }
        let source = address(from, link);
        let node = self.nodes.get_mut(&to).unwrap();
        node.handle(self.now, Input::Packet { source, bytes });
    }

    /// What arrived since the last look.
    fn delivered(&mut self, host: HostId) -> Vec<(HostId, Vec<u8>)> {
        self.inbox.remove(&host).unwrap_or_default()
    }

    /// What changed since the last look.
    fn events(&mut self, host: HostId) -> Vec<Output> {
        self.log.remove(&host).unwrap_or_default()
    }
}

const INTERFACE: usize = 1500;

fn address(host: HostId, link: LinkId) -> IpAddr {
    let [_, host] = host.0.to_be_bytes();
    IpAddr::from([10, 0, link.0, host])
}

fn message(payload: Vec<u8>) -> Message {
    Message {
        channel: 0,
        compress: 0,
        payload: payload.into(),
    }
}

fn text(number: u32) -> Vec<u8> {
    format!("message {number}").into_bytes()
}

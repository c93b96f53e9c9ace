//! knet: what the network sends, before and after it was opened.

use std::net::{IpAddr, SocketAddr};

use bytes::{Bytes, BytesMut};
use ferrosync_knet::crypto::{
    Cipher, ClearTraffic, Crypto, Hash, Instance, Ivs, Key, Opened, Opens, Slot, Suite,
};
use ferrosync_knet::handle::{Destination, Input, Knet, KnetConfig, Output, Sources, Ways};
use ferrosync_knet::host::{LinkConfig, Policy};
use ferrosync_knet::link::HeartbeatConfig;
use ferrosync_wire::codec::{Decode as _, Encode as _, Reader};
use ferrosync_wire::knet::{
    Cast, DataHeader, Frame, HostId, MESSAGE_MAX, Packet, Part, Ping, PingReason, Probe, Seq,
};
use ferrosync_wire::{Duration, Instant, LinkId};

use crate::feed::Feed;

/// Packets: one that parses is, without what trails it, what its contents encode to.
pub fn wire_knet(data: &[u8]) {
    let Ok(frame) = Frame::decode(&mut Reader::new(data)) else {
        return;
    };
    let again = frame.to_vec();
    let reread = Frame::decode(&mut Reader::new(&again));
    assert_eq!(reread.as_ref(), Ok(&frame));
    if !matches!(frame.packet, Packet::Data(..) | Packet::Probe(..)) {
        assert!(again.len() <= data.len(), "{frame:?}");
    }
}

/// Datagrams of somebody who does not have the key: nothing comes of them, whatever they say.
pub fn knet_datagrams(data: &[u8]) {
    let mut feed = Feed::new(data);
    let mut node = Node::new(suite(feed.u8()));
    while !feed.is_empty() {
        let bytes = Bytes::copy_from_slice(feed.long_bytes());
        let before = node.knet.drops().unauthentic;
        node.datagram(feed.u8(), &bytes);
        assert_eq!(node.drain(), 0, "something came of {bytes:x?}");
        assert_eq!(node.knet.drops().unauthentic, before + 1);
    }
}

/// Packets of peers that have the key, in any order with the passing of time, messages of our own and reports of
/// the network.
pub fn knet_packets(data: &[u8]) {
    let mut feed = Feed::new(data);
    let mut node = Node::new(suite(feed.u8()));
    while !feed.is_empty() {
        let step = match feed.u8() % 8 {
            0 => {
                let bytes = feed.long_bytes();
                node.packet(feed.u8(), bytes)
            }
            1..=3 => {
                let len = usize::from(feed.u16()) * usize::from(feed.u8() & 1);
                let filling = vec![feed.u8(); len];
                let frame = frame(&mut feed, &filling);
                node.packet(feed.u8(), &frame)
            }
            4 => {
                node.now = node.now + Duration::from_millis(u64::from(feed.u16()));
                node.knet.handle_timeout(node.now);
                node.drain()
            }
            5 => {
                let len = usize::from(feed.u16()) + 1;
                let destination = match feed.u8() {
                    0 => Destination::All,
                    host => Destination::One(HostId(u16::from(host))),
                };
                let ways = feed.pick(&[Ways::Chosen, Ways::All]);
                let _unreachable = node
                    .knet
                    .send(node.now, destination, ways, 0, &vec![7; len]);
                node.drain()
            }
            6 => node.trouble(&mut feed),
            _ => node.answer(),
        };
        // A tick looks at all links, a message has 255 parts at most for each of them.
        assert!(step <= LINKS * 300, "{step} datagrams at once");
        assert!(node.knet.data_mtu() > 100 && node.knet.data_mtu() < MESSAGE_MAX);
    }
    node.recover();
}

/// One node with two peers, two links to each.
struct Node {
    knet: Knet,
    suite: Option<Suite>,
    now: Instant,
    /// Pings and probes that were sent and not answered yet.
    asked: Vec<(LinkId, SocketAddr, Bytes)>,
}

impl Node {
    fn new(suite: Option<Suite>) -> Self {
        let now = Instant::from_nanos(1_000_000_000);
        let config = KnetConfig {
            host: HostId(1),
            pmtud_interval: Duration::from_secs(30),
            mtu: None,
            sources: Sources::Listed,
        };
        let mut knet = Knet::new(config, Ivs::new([1; 32]), None, now);
        if let Some(suite) = suite
            && let Ok(key) = Key::new(&[9; 128])
        {
            let taken = knet.set_key(now, Slot::One, Some(Instance::new(suite, &key)));
            assert_eq!(taken, Ok(()));
            assert_eq!(knet.use_key(now, Some(Slot::One)), Ok(()));
            knet.set_clear_traffic(ClearTraffic::Refused);
        }
        for (host, link) in PEERS {
            knet.set_host(HostId(host), Policy::Active);
            let config = LinkConfig {
                peer: address(host, link),
                priority: 1,
                heartbeat: HeartbeatConfig {
                    ping_interval: Duration::from_millis(200),
                    pong_timeout: Duration::from_millis(500),
                    precision: 16,
                    pong_count: 2,
                },
            };
            knet.add_link(HostId(host), LinkId(link), config);
        }
        let mut node = Self {
            knet,
            suite,
            now,
            asked: Vec::new(),
        };
        node.drain();
        node
    }

    fn datagram(&mut self, source: u8, bytes: &Bytes) {
        let source = source_of(source);
        self.knet
            .handle(self.now, Input::Datagram { source, bytes });
    }

    /// As a peer with the key sends it. Returns the datagrams that come of it.
    fn packet(&mut self, source: u8, packet: &[u8]) -> usize {
        let mut sealed = BytesMut::new();
        crypto(self.suite).seal(Opens::Present, &[3; 16], &[packet], &mut sealed);
        self.datagram(source, &sealed.freeze());
        self.drain()
    }

    fn trouble(&mut self, feed: &mut Feed<'_>) -> usize {
        let (host, link) = feed.pick(&PEERS);
        let (link, to) = (LinkId(link), address(host, link));
        let input = match feed.u8() {
            0 => Input::Unreachable { link, to },
            told => Input::TooBig {
                link,
                to,
                len: match told {
                    1 => usize::from(feed.u16()),
                    _ => self.asked.last().map_or(0, |(_, _, asked)| asked.len()),
                },
                kernel_mtu: (told > 2).then(|| feed.u16()),
            },
        };
        self.knet.handle(self.now, input);
        self.drain()
    }

    /// The peer answers what it was asked last.
    fn answer(&mut self) -> usize {
        let Some((link, to, datagram)) = self.asked.pop() else {
            return 0;
        };
        let mut opened = Vec::new();
        let crypto = crypto(self.suite);
        let Ok(Opened::Authentic(_, packet)) = crypto.open(&datagram, &mut opened) else {
            panic!("a packet of our own does not open");
        };
        let Ok(Frame { packet, .. }) = Frame::decode(&mut Reader::new(packet)) else {
            panic!("a packet of our own is none");
        };
        let packet = match packet {
            Packet::Ping(ping) => Packet::Pong(ping),
            Packet::Probe(probe, _) => Packet::ProbeReply(probe),
            Packet::Pong(_) | Packet::ProbeReply(_) | Packet::Data(..) => return 0,
        };
        let host = PEERS.iter().find(|(h, l)| address(*h, *l) == to);
        let from = HostId(host.map_or(0, |(host, _)| *host));
        let index = PEERS
            .iter()
            .position(|peer| (HostId(peer.0), LinkId(peer.1)) == (from, link));
        let answer = Frame { from, packet }.to_vec();
        self.packet(u8::try_from(index.unwrap_or(0)).unwrap_or(0), &answer)
    }

    /// Peers that answer everything are reachable after a while, whatever came before.
    fn recover(&mut self) {
        for _ in 0..RECOVERY_TICKS {
            self.now = self.now + Duration::from_millis(100);
            self.knet.handle_timeout(self.now);
            self.drain();
            while !self.asked.is_empty() {
                self.answer();
            }
        }
        for link in self.knet.links() {
            assert!(link.mtu > 100, "{link:?}");
            assert_eq!(link.state, ferrosync_knet::link::State::Up, "{link:?}");
        }
    }

    fn drain(&mut self) -> usize {
        let mut datagrams = 0;
        while let Some(output) = self.knet.poll_output() {
            match output {
                Output::Send { link, to, datagram } => {
                    datagrams += 1;
                    if self.asked.len() < ASKED_MAX {
                        self.asked.push((link, to, datagram));
                    }
                }
                Output::Deliver { payload, .. } => assert!(payload.len() <= MESSAGE_MAX),
                Output::Event(_) => {}
            }
        }
        datagrams
    }
}

/// A packet of which single fields are chosen.
fn frame(feed: &mut Feed<'_>, filling: &[u8]) -> Vec<u8> {
    let from = HostId(feed.pick(&[2, 3, 2, 3, 1, 9]));
    let link = LinkId(feed.u8() % 8);
    let seq = Seq(feed.u16());
    let packet = match feed.u8() % 5 {
        0 => {
            let count = feed.u8();
            let part = match count {
                0 | 1 => Part::Whole,
                count => Part::Fragment {
                    number: 1 + feed.u8() % count,
                    count,
                },
            };
            let header = DataHeader {
                seq,
                compress: feed.u8() % 9,
                cast: Cast::Broadcast,
                part,
                channel: feed.u8() % 2,
            };
            Packet::Data(header, filling)
        }
        kind @ (1 | 2) => {
            let mut time = [0; 16];
            time[..8].copy_from_slice(&feed.u64().to_le_bytes());
            let reason = match feed.u8() % 2 {
                0 => PingReason::Seq,
                _ => PingReason::Timer,
            };
            let ping = Ping {
                link,
                time,
                seq,
                reason,
            };
            if kind == 1 {
                Packet::Ping(ping)
            } else {
                Packet::Pong(ping)
            }
        }
        3 => Packet::Probe(Probe { link, size: seq.0 }, filling.len()),
        _ => Packet::ProbeReply(Probe { link, size: seq.0 }),
    };
    Frame { from, packet }.to_vec()
}

fn suite(choice: u8) -> Option<Suite> {
    match choice % 3 {
        0 => Some(Suite::encrypted(Cipher::Aes256, Hash::Sha256)),
        1 => Some(Suite::signed(Hash::Md5)),
        _ => Some(Suite::encrypted(Cipher::Aes128, Hash::Sha1)),
    }
}

fn crypto(suite: Option<Suite>) -> Crypto {
    let mut crypto = Crypto::new();
    if let Some(suite) = suite
        && let Ok(key) = Key::new(&[9; 128])
    {
        let taken = crypto.set(Slot::One, Some(Instance::new(suite, &key)));
        assert_eq!(taken, Ok(()));
        assert_eq!(crypto.use_slot(Some(Slot::One)), Ok(()));
        crypto.set_clear_traffic(ClearTraffic::Refused);
    }
    crypto
}

/// Hosts and links.
const PEERS: [(u16, u8); 4] = [(2, 0), (2, 1), (3, 0), (3, 1)];
const LINKS: usize = PEERS.len();
/// Longer than the time that a link is given which was down.
const RECOVERY_TICKS: usize = 400;
/// Questions kept for an answer.
const ASKED_MAX: usize = 64;

fn source_of(choice: u8) -> IpAddr {
    match PEERS.get(usize::from(choice % 6)) {
        Some((host, link)) => address(*host, *link).ip(),
        None => IpAddr::from([192, 0, 2, choice]),
    }
}

fn address(host: u16, link: u8) -> SocketAddr {
    let [_, low] = host.to_be_bytes();
    SocketAddr::from(([10, 0, link, low], 5405))
}

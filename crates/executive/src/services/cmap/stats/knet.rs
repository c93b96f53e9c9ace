//! What knet counts (corosync `stats.c: cs_knet_stats, cs_knet_handle_stats`, v3.1.7).
//!
//! The time that compression and encryption take is not measured (D-57); its keys say 0.

use std::collections::BTreeMap;

use ferrosync_knet::handle::Knet;
use ferrosync_knet::link::{Latency, State};
use ferrosync_knet::stats::{Compressed, Kind, LinkStats, Traffic};
use ferrosync_wire::{NodeId, Value};

use super::put;
use crate::transport::{KnetTransport, LOOPBACK_MTU};

/// Every key of links and of the handle.
pub(super) fn all(transport: &KnetTransport, map: &mut BTreeMap<String, Value>) {
    let knet = transport.knet();
    for view in knet.links() {
        let link = Link {
            node: NodeId(u32::from(view.host.0)),
            number: view.link.0,
            state: view.state,
            mtu: saturated(view.mtu as u64),
            latency: view.latency,
            stats: view.stats,
        };
        link.tell(map);
    }
    // The way from this node to itself, which C calls a link.
    let loopback = Link {
        node: transport.peers().me,
        number: 0,
        state: State::Up,
        mtu: LOOPBACK_MTU,
        latency: Latency::default(),
        stats: LinkStats {
            up_count: 1,
            ..LinkStats::default()
        },
    };
    loopback.tell(map);
    handle(knet, map);
}

struct Link {
    node: NodeId,
    number: u8,
    state: State,
    mtu: u32,
    latency: Latency,
    stats: LinkStats,
}

impl Link {
    fn tell(&self, map: &mut BTreeMap<String, Value>) {
        let prefix = format!("stats.knet.node{}.link{}", self.node, self.number);
        let mut tell = |name: &str, value| put(map, &format!("{prefix}.{name}"), value);
        tell("enabled", Value::U8(1));
        tell("connected", Value::U8(u8::from(self.state == State::Up)));
        tell("mtu", Value::U32(self.mtu));
        self.tell_traffic(&mut tell);
        let shortest = match self.latency.samples {
            0 => u32::MAX,
            _ => saturated(self.latency.min_us),
        };
        let numbers = [
            ("latency_min", shortest),
            ("latency_max", saturated(self.latency.max_us)),
            ("latency_ave", saturated(self.latency.mean_us)),
            ("latency_samples", self.latency.samples),
            ("down_count", self.stats.down_count),
            ("up_count", self.stats.up_count),
        ];
        for (name, value) in numbers {
            tell(name, Value::U32(value));
        }
    }

    fn tell_traffic(&self, tell: &mut impl FnMut(&str, Value)) {
        let kinds = [
            ("data", Kind::Data),
            ("ping", Kind::Ping),
            ("pong", Kind::Pong),
            ("pmtu", Kind::Pmtu),
        ];
        for (direction, traffic) in [("tx", &self.stats.tx), ("rx", &self.stats.rx)] {
            let kinds = kinds.map(|(name, kind)| (name, traffic.of(kind)));
            let all = kinds.into_iter().chain([("total", traffic.total())]);
            for (name, Traffic { packets, bytes }) in all {
                tell(&format!("{direction}_{name}_packets"), Value::U64(packets));
                tell(&format!("{direction}_{name}_bytes"), Value::U64(bytes));
            }
        }
        // A datagram that the kernel does not take is lost, and never tried again.
        tell("tx_total_errors", Value::U64(0));
        tell("rx_total_retries", Value::U64(0));
        for (name, _) in kinds {
            tell(&format!("tx_{name}_errors"), Value::U32(0));
            tell(&format!("tx_{name}_retries"), Value::U32(0));
        }
    }
}

fn handle(knet: &Knet, map: &mut BTreeMap<String, Value>) {
    let stats = knet.stats();
    let mut tell = |name: &str, value| {
        put(map, &format!("stats.knet.handle.{name}"), Value::U64(value));
    };
    tell("tx_uncompressed_packets", stats.tx_uncompressed_packets);
    for (direction, compressed) in [("tx", stats.tx_compressed), ("rx", stats.rx_compressed)] {
        let Compressed {
            packets,
            original_bytes,
            size_bytes,
        } = compressed;
        tell(&format!("{direction}_compressed_packets"), packets);
        tell(
            &format!("{direction}_compressed_original_bytes"),
            original_bytes,
        );
        tell(&format!("{direction}_compressed_size_bytes"), size_bytes);
        for of in ["min", "max", "ave"] {
            tell(&format!("{direction}_compress_time_{of}"), 0);
            tell(&format!("{direction}_crypt_time_{of}"), 0);
        }
    }
    tell("tx_crypt_byte_overhead", stats.tx_crypt_byte_overhead);
    tell("tx_crypt_packets", stats.tx_crypt_packets);
    tell("rx_crypt_packets", stats.rx_crypt_packets);
}

fn saturated(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

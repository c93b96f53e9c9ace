//! The ring protocol's parameters: defaults, formulas, checks and the keys that tell which are in use.
//!
//! Read from a [`KeyMap`] rather than from the file, because corosync reads them again whenever somebody
//! writes one of them to the live map (`totemconfig.c:totem_volatile_config_read`, v3.1.7).

use core::time::Duration;

use ferrosync_totem::SrpConfig;
use ferrosync_totem::config::{BadSrpConfig, CancelHold, PayloadMtu};
use ferrosync_wire::value::{Key, Value};

use super::error::{ConfigErrors, Findings};
use super::key_map::KeyMap;

/// Parameters that may change while the node runs, as numbers of the configuration map. Times are in
/// milliseconds unless said otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volatile {
    /// `token_retransmits_before_loss_const`.
    pub retransmits_before_loss: u32,
    /// `token` with `token_coefficient` for each node beyond the second.
    pub token: u32,
    /// `token_warning` in percent of `token`; 0 never warns.
    pub token_warning: u32,
    /// `max_network_delay`.
    pub max_network_delay: u32,
    /// `window_size` in messages.
    pub window_size: u32,
    /// `max_messages` in messages.
    pub max_messages: u32,
    /// `miss_count_const` in token visits.
    pub miss_count: u32,
    /// `knet_pmtud_interval` in seconds.
    pub knet_pmtud_interval: u32,
    /// `knet_mtu` in bytes; 0 finds it out.
    pub knet_mtu: u32,
    /// `token_retransmit`.
    pub token_retransmit: u32,
    /// `hold`.
    pub hold: u32,
    /// `join`.
    pub join: u32,
    /// `consensus`.
    pub consensus: u32,
    /// `merge`.
    pub merge: u32,
    /// `downcheck`.
    pub downcheck: u32,
    /// `fail_recv_const` in token visits.
    pub fail_recv: u32,
    /// `seqno_unchanged_const` in rotations.
    pub seqno_unchanged: u32,
    /// `send_join`.
    pub send_join: u32,
    /// `heartbeat_failures_allowed`; 0 switches the mechanism off.
    pub heartbeat_failures_allowed: u32,
    /// `knet_compression_threshold` in bytes; 0 means knet's own 100.
    pub knet_compression_threshold: u32,
    /// `knet_compression_level`; its meaning depends on the model.
    pub knet_compression_level: i32,
    /// `knet_compression_model`; `none` without compression.
    pub knet_compression_model: String,
    /// `block_unlisted_ips`.
    pub block_unlisted_ips: BlockUnlisted,
    /// `cancel_token_hold_on_retransmit`.
    pub cancel_hold: CancelHold,
}

/// Whether packets from addresses outside the nodelist are dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BlockUnlisted {
    /// `yes`, the default.
    #[default]
    Drop,
    /// `no`.
    Accept,
}

/// Smallest time (corosync `totemconfig.c: MINIMUM_TIMEOUT`).
const TIMEOUT_MIN_MS: u32 = 30;
/// Smallest `hold` (corosync `totemconfig.c: MINIMUM_TIMEOUT_HOLD`).
const HOLD_MIN_MS: u32 = 14;
/// Largest time: corosync computes with `int`.
const TIMEOUT_MAX_MS: u32 = i32::MAX.cast_unsigned();
/// Longest interval in seconds that knet takes (kronosnet `handle_api.c:knet_handle_pmtud_setfreq`, v1.25).
const PMTUD_INTERVAL_MAX_S: u32 = 86_400;
/// Largest MTU that knet takes: an IPv4 packet.
const KNET_MTU_MAX: u32 = 65_535;

impl Volatile {
    /// Reads the parameters for a ring of `nodes` nodes with an address on link 0. A key that is missing, of
    /// another type, or 0 where 0 makes no sense takes its default.
    #[must_use]
    pub fn read(keys: &KeyMap, nodes: usize) -> Self {
        let number = |key: &str| keys.u32(&format!("totem.{key}"));
        let or =
            |key: &str, default: u32| number(key).filter(|value| *value > 0).unwrap_or(default);
        let or_zero = |key: &str, default: u32| number(key).unwrap_or(default);
        let retransmits_before_loss = or("token_retransmits_before_loss_const", 4);
        let beyond = u32::try_from(nodes.saturating_sub(2)).unwrap_or(u32::MAX);
        let extra = beyond.saturating_mul(or_zero("token_coefficient", 650));
        let token = or("token", 3_000).saturating_add(extra);
        let token_retransmit = or(
            "token_retransmit",
            truncated(f64::from(token) / (f64::from(retransmits_before_loss) + 0.2)),
        );
        let hold = or("hold", truncated(f64::from(token_retransmit) * 0.8 - 10.0));
        Self {
            retransmits_before_loss,
            token,
            token_warning: or_zero("token_warning", 75),
            max_network_delay: or("max_network_delay", 50),
            window_size: or("window_size", 50),
            max_messages: or("max_messages", 17),
            miss_count: or("miss_count_const", 5),
            knet_pmtud_interval: or("knet_pmtud_interval", 30),
            knet_mtu: or_zero("knet_mtu", 0),
            token_retransmit,
            hold,
            join: or("join", 50),
            consensus: or("consensus", default_consensus(token)),
            merge: or("merge", 200),
            downcheck: or("downcheck", 1_000),
            fail_recv: or("fail_recv_const", 2_500),
            seqno_unchanged: or("seqno_unchanged_const", 30),
            send_join: or_zero("send_join", 0),
            heartbeat_failures_allowed: or_zero("heartbeat_failures_allowed", 0),
            knet_compression_threshold: or_zero("knet_compression_threshold", 0),
            knet_compression_level: keys.i32("totem.knet_compression_level").unwrap_or(0),
            knet_compression_model: keys
                .text("totem.knet_compression_model")
                .unwrap_or("none")
                .to_owned(),
            block_unlisted_ips: match keys.text("totem.block_unlisted_ips") {
                Some("no") => BlockUnlisted::Accept,
                _ => BlockUnlisted::Drop,
            },
            cancel_hold: match keys.text("totem.cancel_token_hold_on_retransmit") {
                Some("yes") => CancelHold::OnRetransmit,
                _ => CancelHold::Never,
            },
        }
    }

    /// Checks the parameters against each other; places are looked up in `keys`.
    pub fn validate(&self, keys: &KeyMap) -> Result<(), ConfigErrors> {
        let mut findings = Findings::default();
        self.check(keys, &mut findings);
        findings.finish().map(|_| ())
    }

    /// The keys `runtime.config.totem.*` that tell which values are in use.
    #[must_use]
    pub fn runtime_keys(&self) -> Vec<(Key, Value)> {
        let blocks = u32::from(self.block_unlisted_ips == BlockUnlisted::Drop);
        let cancels = u32::from(self.cancel_hold == CancelHold::OnRetransmit);
        let numbers = [
            ("block_unlisted_ips", blocks),
            ("cancel_token_hold_on_retransmit", cancels),
            ("consensus", self.consensus),
            ("downcheck", self.downcheck),
            ("fail_recv_const", self.fail_recv),
            (
                "heartbeat_failures_allowed",
                self.heartbeat_failures_allowed,
            ),
            ("hold", self.hold),
            ("join", self.join),
            (
                "knet_compression_threshold",
                self.knet_compression_threshold,
            ),
            ("knet_mtu", self.knet_mtu),
            ("knet_pmtud_interval", self.knet_pmtud_interval),
            ("max_messages", self.max_messages),
            ("max_network_delay", self.max_network_delay),
            ("merge", self.merge),
            ("miss_count_const", self.miss_count),
            ("send_join", self.send_join),
            ("seqno_unchanged_const", self.seqno_unchanged),
            ("token", self.token),
            ("token_retransmit", self.token_retransmit),
            (
                "token_retransmits_before_loss_const",
                self.retransmits_before_loss,
            ),
            ("token_warning", self.token_warning),
            ("window_size", self.window_size),
        ];
        let key = |name: &str| {
            Key::new(&format!("runtime.config.totem.{name}")).expect("short and plain names")
        };
        let level = Value::I32(self.knet_compression_level);
        let model = Value::str(&self.knet_compression_model);
        numbers
            .into_iter()
            .map(|(name, number)| (key(name), Value::U32(number)))
            .chain([
                (key("knet_compression_level"), level),
                (key("knet_compression_model"), model),
            ])
            .collect()
    }

    /// What the ring protocol is told.
    pub fn srp(&self, payload_mtu: PayloadMtu) -> Result<SrpConfig, BadSrpConfig> {
        let ms = |number: u32| Duration::from_millis(u64::from(number));
        let token_warning_percent = u8::try_from(self.token_warning)
            .map_err(|_| BadSrpConfig("token_warning must be at most 100 percent"))?;
        let config = SrpConfig {
            token: ms(self.token),
            token_warning_percent,
            token_retransmit: ms(self.token_retransmit),
            hold: ms(self.hold),
            join: ms(self.join),
            send_join: ms(self.send_join),
            consensus: ms(self.consensus),
            merge: ms(self.merge),
            downcheck: ms(self.downcheck),
            fail_recv_const: self.fail_recv,
            seqno_unchanged_const: self.seqno_unchanged,
            window_size: self.window_size,
            max_messages: self.max_messages,
            miss_count_const: self.miss_count,
            heartbeat_failures_allowed: self.heartbeat_failures_allowed,
            max_network_delay: ms(self.max_network_delay),
            cancel_hold_on_retransmit: self.cancel_hold,
            payload_mtu,
        };
        config.validate()?;
        Ok(config)
    }

    /// The checks of corosync `totemconfig.c:totem_volatile_config_validate` with its words, then what it
    /// leaves to luck.
    pub(crate) fn check(&self, keys: &KeyMap, findings: &mut Findings) {
        let floors = [
            (
                "max_network_delay",
                "max_network_delay",
                self.max_network_delay,
                TIMEOUT_MIN_MS,
            ),
            ("token timeout", "token", self.token, TIMEOUT_MIN_MS),
            (
                "token retransmit timeout",
                "token_retransmit",
                self.token_retransmit,
                TIMEOUT_MIN_MS,
            ),
            ("token hold timeout", "hold", self.hold, HOLD_MIN_MS),
            ("join timeout", "join", self.join, TIMEOUT_MIN_MS),
            (
                "consensus timeout",
                "consensus",
                self.consensus,
                TIMEOUT_MIN_MS,
            ),
            ("merge timeout", "merge", self.merge, TIMEOUT_MIN_MS),
            (
                "downcheck timeout",
                "downcheck",
                self.downcheck,
                TIMEOUT_MIN_MS,
            ),
        ];
        let mut token_reported = false;
        for (name, key, value, min) in floors {
            let key = format!("totem.{key}");
            let computed = keys.u32(&key).unwrap_or(0) == 0;
            let wrong = value < min || value > TIMEOUT_MAX_MS;
            // What follows from a bad token would only repeat the complaint about it.
            if wrong && computed && token_reported {
                continue;
            }
            token_reported |= wrong && (computed || key == "totem.token");
            if value < min && computed {
                findings.error(
                    keys.at("totem.token"),
                    "Not appropriate token or token_retransmits_before_loss_const value set",
                    format!("raise token: the {name} that follows from it is below {min} ms"),
                );
            } else if value < min {
                findings.error(
                    keys.at(&key),
                    format!("The {name} parameter ({value} ms) may not be less than ({min} ms)."),
                    format!("write at least {min}"),
                );
            } else if value > TIMEOUT_MAX_MS {
                findings.error(
                    keys.at(if computed { "totem.token" } else { &key }),
                    format!("The {name} parameter ({value} ms) is beyond any use"),
                    format!("write at most {TIMEOUT_MAX_MS}"),
                );
            }
        }
        self.check_relations(keys, findings);
    }

    fn check_relations(&self, keys: &KeyMap, findings: &mut Findings) {
        if self.token_warning > 100 {
            findings.error(
                keys.at("totem.token_warning"),
                format!(
                    "The token warning parameter ({}%) must be between 0 (disabled) and 100.",
                    self.token_warning
                ),
                "write a share of the token timeout in percent",
            );
        }
        let derived_from_bad_token =
            self.token < TIMEOUT_MIN_MS && keys.u32("totem.consensus").unwrap_or(0) == 0;
        if self.consensus < self.join && !derived_from_bad_token {
            findings.error(
                keys.at("totem.consensus"),
                format!(
                    "The consensus timeout parameter ({} ms) may not be less than join timeout ({} ms).",
                    self.consensus, self.join
                ),
                "raise consensus or lower join",
            );
        }
        if self.knet_pmtud_interval > PMTUD_INTERVAL_MAX_S {
            findings.error(
                keys.at("totem.knet_pmtud_interval"),
                format!(
                    "The knet_pmtud_interval ({} s) is longer than knet takes",
                    self.knet_pmtud_interval
                ),
                format!("write at most {PMTUD_INTERVAL_MAX_S}"),
            );
        }
        if self.knet_mtu > KNET_MTU_MAX {
            findings.error(
                keys.at("totem.knet_mtu"),
                format!("The knet_mtu ({}) is larger than any packet", self.knet_mtu),
                format!("write at most {KNET_MTU_MAX}, or 0 to have it found out"),
            );
        }
    }
}

/// `(int)(float)(1.2 * token)`: corosync rounds to single precision before it truncates.
fn default_consensus(token: u32) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "rounding to f32 is part of the formula"
    )]
    let rounded = (1.2 * f64::from(token)) as f32;
    truncated(f64::from(rounded))
}

/// `(int)number` for a number that is too small or too large for any check that follows to pass.
fn truncated(number: f64) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the cast truncates towards zero and saturates, both wanted"
    )]
    let whole = number as u32;
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(values: &[(&str, u32)]) -> KeyMap {
        KeyMap::from_values(
            "test",
            values
                .iter()
                .map(|(key, value)| (Key::new(key).unwrap(), Value::U32(*value))),
        )
    }

    #[test]
    fn formulas_are_those_of_corosync() {
        let two = Volatile::read(&with(&[]), 2);
        let derived = (two.token, two.token_retransmit, two.hold, two.consensus);
        assert_eq!(derived, (3_000, 714, 561, 3_600));
        let three = Volatile::read(&with(&[]), 3);
        let derived = (
            three.token,
            three.token_retransmit,
            three.hold,
            three.consensus,
        );
        assert_eq!(derived, (3_650, 869, 685, 4_380));
    }

    #[test]
    fn formulas_agree_with_those_of_the_ring_protocol() {
        for nodes in 1..=384 {
            let volatile = Volatile::read(&with(&[]), nodes);
            let mtu = PayloadMtu::from_netmtu(1_500).unwrap();
            assert_eq!(volatile.srp(mtu), Ok(SrpConfig::for_nodes(nodes)));
        }
    }

    #[test]
    fn zero_means_the_default_only_where_zero_makes_no_sense() {
        let zeros = with(&[
            ("totem.token", 0),
            ("totem.window_size", 0),
            ("totem.token_warning", 0),
            ("totem.send_join", 0),
            ("totem.token_coefficient", 0),
        ]);
        let volatile = Volatile::read(&zeros, 9);
        assert_eq!(volatile.token, 3_000);
        assert_eq!(volatile.window_size, 50);
        assert_eq!(volatile.token_warning, 0);
    }

    #[test]
    fn a_huge_token_is_refused_rather_than_wrapped() {
        let keys = with(&[("totem.token", u32::MAX)]);
        let volatile = Volatile::read(&keys, 3);
        assert_eq!(volatile.token, u32::MAX);
        assert!(volatile.validate(&keys).is_err());
    }
}

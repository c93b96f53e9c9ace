//! What the ring protocol can be told, valid by construction.

use core::fmt;

use ferrosync_wire::Duration;

/// Parameters of the ring protocol. Defaults and formulas are those of corosync
/// `totemconfig.c:totem_volatile_config_read` (v3.1.7); names are the keys of `corosync.conf`'s totem section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SrpConfig {
    /// `token`, coefficient already added: silence for this long means that the token is lost.
    pub token: Duration,
    /// `token_warning`: warn when this share of `token` (percent, 0..=100) passed without it; 0 never.
    pub token_warning_percent: u8,
    /// `token_retransmit`: a token that was not seen to move on is sent again after this.
    pub token_retransmit: Duration,
    /// `hold`: how long the representative keeps the token of an idle ring.
    pub hold: Duration,
    /// `join`: interval between join messages while gathering.
    pub join: Duration,
    /// `send_join`: upper bound of a random delay before a join; zero for none.
    pub send_join: Duration,
    /// `consensus`: how long nodes have to agree before the silent ones are failed.
    pub consensus: Duration,
    /// `merge`: delay before an idle ring announces itself.
    pub merge: Duration,
    /// `downcheck`: interval of looking for an interface that went away.
    pub downcheck: Duration,
    /// `fail_recv_const`: token visits without progress of the aru before this node declares itself unable
    /// to receive.
    pub fail_recv_const: u32,
    /// `seqno_unchanged_const`: idle rotations before the token is held.
    pub seqno_unchanged_const: u32,
    /// `window_size`: messages in flight on the whole ring per rotation.
    pub window_size: u32,
    /// `max_messages`: messages that one node may send per token visit.
    pub max_messages: u32,
    /// `miss_count_const`: token visits that find a hole before its retransmission is requested.
    pub miss_count_const: u32,
    /// `heartbeat_failures_allowed`: 0 switches heartbeat failure detection off.
    pub heartbeat_failures_allowed: u32,
    /// `max_network_delay`: added to the heartbeat timeout.
    pub max_network_delay: Duration,
    /// `cancel_token_hold_on_retransmit`.
    pub cancel_hold_on_retransmit: CancelHold,
    /// `netmtu` less twice the 45 bytes of an mcast header: what one frame carries for totempg.
    pub payload_mtu: PayloadMtu,
}

/// Whether a retransmission ends the holding of the token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CancelHold {
    /// `no`, the default.
    #[default]
    Never,
    /// `yes`.
    OnRetransmit,
}

/// Bytes that one mcast carries for totempg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PayloadMtu(usize);

impl PayloadMtu {
    /// Two mcast headers: a message of the old ring is wrapped in one of the new.
    const OVERHEAD: usize = 2 * ferrosync_wire::totem::Mcast::LEN;
    /// Smallest `netmtu`: every fixed-size message of the protocol and some data fit.
    pub const NETMTU_MIN: usize = 256;
    /// Largest `netmtu`: what knet carries.
    pub const NETMTU_MAX: usize = ferrosync_wire::totem::FRAME_MAX;

    /// From `netmtu` (udp and udpu 1500, knet 65536 by default).
    pub const fn from_netmtu(netmtu: usize) -> Result<Self, BadSrpConfig> {
        if netmtu < Self::NETMTU_MIN || netmtu > Self::NETMTU_MAX {
            return Err(BadSrpConfig("netmtu must lie between 256 and 65536"));
        }
        Ok(Self(netmtu - Self::OVERHEAD))
    }

    /// Bytes of payload.
    #[must_use]
    pub const fn get(self) -> usize {
        self.0
    }
}

/// The parameters contradict each other or lie outside what the protocol can do; says which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadSrpConfig(pub &'static str);

impl fmt::Display for BadSrpConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for BadSrpConfig {}

impl SrpConfig {
    /// All defaults for a ring of `nodes` configured nodes over udp or udpu.
    #[must_use]
    pub fn for_nodes(nodes: usize) -> Self {
        let extra = u64::try_from(nodes.saturating_sub(2)).unwrap_or(u64::MAX);
        Self::for_token(Duration::from_millis(3_000 + extra.min(NODES_MAX) * 650))
    }

    /// Defaults derived from an effective token timeout.
    #[must_use]
    pub fn for_token(token: Duration) -> Self {
        let token_ms = u64::try_from(token.as_millis()).unwrap_or(u64::MAX);
        let retransmit_ms = token_retransmit_ms(token_ms, 4);
        Self {
            token,
            token_warning_percent: 75,
            token_retransmit: Duration::from_millis(retransmit_ms),
            hold: Duration::from_millis(hold_ms(retransmit_ms)),
            join: Duration::from_millis(50),
            send_join: Duration::ZERO,
            consensus: Duration::from_millis(token_ms * 12 / 10),
            merge: Duration::from_millis(200),
            downcheck: Duration::from_secs(1),
            fail_recv_const: 2_500,
            seqno_unchanged_const: 30,
            window_size: 50,
            max_messages: 17,
            miss_count_const: 5,
            heartbeat_failures_allowed: 0,
            max_network_delay: Duration::from_millis(50),
            cancel_hold_on_retransmit: CancelHold::Never,
            payload_mtu: PayloadMtu(1_500 - PayloadMtu::OVERHEAD),
        }
    }

    /// Checks what corosync checks (`totemconfig.c:totem_volatile_config_validate`) and what keeps the ring's
    /// arithmetic inside its queues.
    pub fn validate(&self) -> Result<(), BadSrpConfig> {
        let floor = |d: Duration, ms, what| {
            if d < Duration::from_millis(ms) {
                Err(BadSrpConfig(what))
            } else {
                Ok(())
            }
        };
        floor(self.token, 30, "token must be at least 30 ms")?;
        floor(
            self.token_retransmit,
            30,
            "token_retransmit must be at least 30 ms",
        )?;
        floor(self.hold, 14, "hold must be at least 14 ms")?;
        floor(self.join, 30, "join must be at least 30 ms")?;
        floor(self.consensus, 30, "consensus must be at least 30 ms")?;
        floor(self.merge, 30, "merge must be at least 30 ms")?;
        if self.consensus < self.join {
            return Err(BadSrpConfig("consensus must not be shorter than join"));
        }
        if self.token_warning_percent > 100 {
            return Err(BadSrpConfig("token_warning must be at most 100 percent"));
        }
        let window = 1..=WINDOW_MAX;
        if !window.contains(&self.window_size) || !window.contains(&self.max_messages) {
            return Err(BadSrpConfig(
                "window_size and max_messages must lie between 1 and 4096",
            ));
        }
        Ok(())
    }
}

/// `(int)(token / (retransmits + 0.2))` in whole milliseconds.
#[must_use]
pub const fn token_retransmit_ms(token_ms: u64, retransmits_before_loss: u64) -> u64 {
    token_ms * 10 / (retransmits_before_loss * 10 + 2)
}

/// `(int)(token_retransmit * 0.8 - 10)` in whole milliseconds.
#[must_use]
pub const fn hold_ms(token_retransmit_ms: u64) -> u64 {
    (token_retransmit_ms * 8 / 10).saturating_sub(10)
}

const NODES_MAX: u64 = ferrosync_wire::totem::NODES_MAX as u64;

/// A quarter of a sort queue: further apart than this, a window could overtake what is still held.
const WINDOW_MAX: u32 = 4_096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_those_of_corosync() {
        let two = SrpConfig::for_nodes(2);
        assert_eq!(two.token_retransmit, Duration::from_millis(714));
        assert_eq!(two.hold, Duration::from_millis(561));
        assert_eq!(two.consensus, Duration::from_millis(3_600));
        assert_eq!(two.payload_mtu.get(), 1_410);
        let three = SrpConfig::for_nodes(3);
        assert_eq!(three.token, Duration::from_millis(3_650));
        assert_eq!(three.token_retransmit, Duration::from_millis(869));
        assert_eq!(three.hold, Duration::from_millis(685));
        assert_eq!(three.consensus, Duration::from_millis(4_380));
        assert_eq!(two.validate(), Ok(()));
    }
}

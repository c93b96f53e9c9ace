//! Counters of the ring protocol, named as `stats.srp.*` of the configuration map.

use ferrosync_wire::Duration;

/// Everything counts from the start of the daemon.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "the names are the documented keys of stats.srp"
)]
pub struct SrpStats {
    pub orf_token_tx: u64,
    pub orf_token_rx: u64,
    pub memb_merge_detect_tx: u64,
    pub memb_merge_detect_rx: u64,
    pub memb_join_tx: u64,
    pub memb_join_rx: u64,
    pub mcast_tx: u64,
    pub mcast_retx: u64,
    pub mcast_rx: u64,
    pub memb_commit_token_tx: u64,
    pub memb_commit_token_rx: u64,
    pub token_hold_cancel_tx: u64,
    pub token_hold_cancel_rx: u64,
    pub operational_entered: u64,
    pub operational_token_lost: u64,
    pub gather_entered: u64,
    pub gather_token_lost: u64,
    pub commit_entered: u64,
    pub commit_token_lost: u64,
    pub recovery_entered: u64,
    pub recovery_token_lost: u64,
    pub consensus_timeouts: u64,
    pub rx_msg_dropped: u64,
    /// Gathers in a row that ended without consensus.
    pub continuous_gather: u32,
    /// Running means over the last token visits.
    pub token: TokenStats,
}

/// Running means over token visits, each new one weighing a sixteenth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenStats {
    /// Time from one token to the next (`mtt_rx_token`).
    pub rotation: Duration,
    /// Time spent with the token (`avg_token_workload`); zero where the host does not measure it.
    pub workload: Duration,
    /// Messages waiting, in sixteenths (`avg_backlog_calc`).
    pub backlog_16: u32,
}

impl TokenStats {
    pub(crate) fn visit(&mut self, rotation: Duration, backlog: u32) {
        self.rotation = (self.rotation * 15 + rotation) / 16;
        self.backlog_16 = self.backlog_16 - self.backlog_16 / 16 + backlog;
    }
}

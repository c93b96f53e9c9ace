//! Flow control of the ring: arithmetic only (corosync `totemsrp.c:fcc_calculate`, `fcc_rtr_limit`,
//! `fcc_token_update`, v3.1.7). All numbers wrap as C's `unsigned int` does.

use super::seq::Seq;
use super::sort_queue::WINDOW;

/// What this node counted at the token's last visit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct FlowControl {
    /// Messages sent (`my_trc`).
    #[doc(alias = "my_trc")]
    sent: u32,
    /// Backlog then (`my_pbl`).
    #[doc(alias = "my_pbl")]
    previous_backlog: u32,
    /// Backlog now (`my_cbl`).
    #[doc(alias = "my_cbl")]
    backlog: u32,
}

/// The limits that flow control applies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Messages in flight on the whole ring per rotation.
    pub(crate) window_size: u32,
    /// Messages of one node per visit.
    pub(crate) max_messages: u32,
}

impl FlowControl {
    /// How many messages, retransmissions included, may be sent at this visit.
    pub(crate) const fn allowed(
        &mut self,
        limits: Limits,
        fcc: u32,
        ring_backlog: u32,
        backlog: u32,
    ) -> u32 {
        self.backlog = backlog;
        let mut allowed = limits.max_messages;
        // A peer that sent beyond the window makes this difference wrap, which lifts the limit: kept as in C,
        // where `max_messages` still holds.
        let window_left = limits.window_size.wrapping_sub(fcc);
        if allowed > window_left {
            allowed = window_left;
        }
        let total = ring_backlog
            .wrapping_add(self.backlog)
            .wrapping_sub(self.previous_backlog);
        let share = limits
            .window_size
            .wrapping_mul(self.previous_backlog)
            .checked_div(total);
        match share {
            Some(share) if share > 0 && share < allowed => share,
            Some(_) | None => allowed,
        }
    }

    /// Accounts for `sent` messages; returns the token's new `fcc` and `backlog`.
    pub(crate) const fn update(&mut self, sent: u32, fcc: u32, ring_backlog: u32) -> (u32, u32) {
        let fcc = fcc.wrapping_add(sent).wrapping_sub(self.sent);
        let ring_backlog = ring_backlog
            .wrapping_add(self.backlog)
            .wrapping_sub(self.previous_backlog);
        self.sent = sent;
        self.previous_backlog = self.backlog;
        (fcc, ring_backlog)
    }
}

/// Nothing new is sent when it could push what is not yet released out of the peers' windows.
#[must_use]
pub(crate) const fn window_limit(
    allowed: u32,
    limits: Limits,
    last_released: Seq,
    token_seq: Seq,
) -> u32 {
    let room = WINDOW - allowed - limits.window_size;
    if last_released.plus(room).before(token_seq) {
        0
    } else {
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        window_size: 50,
        max_messages: 17,
    };

    #[test]
    fn an_idle_ring_allows_max_messages() {
        assert_eq!(FlowControl::default().allowed(LIMITS, 0, 0, 100), 17);
    }

    #[test]
    fn a_full_window_allows_nothing_and_an_overfull_one_max() {
        assert_eq!(FlowControl::default().allowed(LIMITS, 50, 0, 1), 0);
        assert_eq!(FlowControl::default().allowed(LIMITS, 51, 0, 1), 17);
    }

    #[test]
    fn backlog_is_shared_in_proportion() {
        let mut flow = FlowControl {
            sent: 0,
            previous_backlog: 10,
            backlog: 10,
        };
        // A tenth of the ring's backlog is ours: a tenth of the window.
        assert_eq!(flow.allowed(LIMITS, 0, 100, 10), 5);
    }

    #[test]
    fn the_token_carries_differences() {
        let mut flow = FlowControl::default();
        flow.allowed(LIMITS, 0, 0, 6);
        assert_eq!(flow.update(4, 0, 0), (4, 6));
        flow.allowed(LIMITS, 4, 6, 0);
        assert_eq!(flow.update(1, 4, 6), (1, 0));
    }

    #[test]
    fn the_window_limit_stops_new_messages_only_near_the_edge() {
        assert_eq!(window_limit(17, LIMITS, Seq(0), Seq(16_000)), 17);
        assert_eq!(window_limit(17, LIMITS, Seq(0), Seq(16_384 - 17 - 50)), 17);
        assert_eq!(window_limit(17, LIMITS, Seq(0), Seq(16_384 - 17 - 49)), 0);
    }
}

//! When clients may wake the daemon, and when it looks out for the token instead of sleeping.
//!
//! What a client multicasts cannot leave before the token comes. While the token comes round quickly and finds many
//! requests each time, a wake-up for every one would only take the processor from the very client that is about to send
//! more, and dearly so where the daemon has real-time priority. So requests gather in the client's ring then, and are
//! read just before the token is. As soon as there are few, or the token takes its time because the ring is idle, large
//! or changing, clients wake the daemon.
//!
//! Where messages are rarer than the token, one that waits is on its way within a rotation. Waking up for the token can
//! take as long as the token's way from node to node then, most of all in a virtual machine. So the daemon stays awake
//! for what is left of that rotation. It takes a processor for at most every other rotation, and for half a millisecond.

use ferrosync_wire::{Duration, Instant};

/// Follows the token's rhythm.
#[derive(Debug)]
pub(crate) struct Attention {
    /// Processors of this machine. On the only one nothing is gained by staying awake.
    processors: usize,
    passed: Option<Instant>,
    /// Requests since then.
    served: u32,
    rhythm: Rhythm,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rhythm {
    /// The token stays away, or nobody knows when it comes, or nothing is to be done about it.
    Slow,
    /// The last rotation took less than [`QUICK`] and brought no request, and nothing was left to be sent after it.
    Calm,
    /// The last rotation took less than [`QUICK`] and brought more than [`FEW`] requests.
    Busy,
}

/// What a node has to send behind the token that it passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    Nothing,
    Something,
}

impl Attention {
    pub(crate) const fn new(processors: usize) -> Self {
        Self {
            processors,
            passed: None,
            served: 0,
            rhythm: Rhythm::Slow,
        }
    }

    /// This node passed the token on; `left` is what it still has to send.
    pub(crate) fn token_passed(&mut self, now: Instant, left: Left) {
        let before = self.passed.replace(now);
        let quick = before.is_some_and(|before| now.since(before) < QUICK);
        self.rhythm = match std::mem::take(&mut self.served) {
            0 if quick && left == Left::Nothing => Rhythm::Calm,
            served if quick && served > FEW => Rhythm::Busy,
            _ => Rhythm::Slow,
        };
    }

    pub(crate) const fn request_served(&mut self) {
        self.served = self.served.saturating_add(1);
    }

    /// The token did not come within [`LONGEST`].
    pub(crate) const fn token_is_late(&mut self) {
        self.rhythm = Rhythm::Slow;
    }

    /// Whether requests must wake the daemon because no token will soon.
    pub(crate) fn clients_wake(&self) -> bool {
        self.rhythm != Rhythm::Busy
    }

    /// Whether the token, if something waits for it, is so near that it is not worth sleeping.
    pub(crate) fn expects_token(&self, now: Instant) -> bool {
        let recent = |passed| now.since(passed) < QUICK;
        self.processors > 1 && self.rhythm == Rhythm::Calm && self.passed.is_some_and(recent)
    }
}

/// A rotation that is worth waiting for: what a system call of a client may be late by.
const QUICK: Duration = Duration::from_micros(500);
/// Requests in a rotation that may each wake the daemon.
const FEW: u32 = 4;
/// How long requests go unheeded at most when the token fails to come.
pub(crate) const LONGEST: Duration = Duration::from_millis(2);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(us: u64) -> Instant {
        Instant::default() + Duration::from_micros(us)
    }

    fn visit(attention: &mut Attention, us: u64, requests: u32) {
        for _ in 0..requests {
            attention.request_served();
        }
        attention.token_passed(at(us), Left::Nothing);
    }

    #[test]
    fn a_quick_token_with_many_requests_keeps_clients_from_waking_the_daemon() {
        let mut attention = Attention::new(2);
        assert!(attention.clients_wake(), "there is no token yet");
        visit(&mut attention, 1_000, 100);
        assert!(attention.clients_wake(), "one visit is no rhythm");
        visit(&mut attention, 1_100, 100);
        assert!(!attention.clients_wake());
        visit(&mut attention, 1_200, 1);
        assert!(attention.clients_wake(), "there are few requests");
        visit(&mut attention, 1_300, 100);
        visit(&mut attention, 2_000, 100);
        assert!(attention.clients_wake(), "the token was held");
    }

    #[test]
    fn a_rare_request_keeps_the_daemon_awake_until_the_token_comes() {
        let mut attention = Attention::new(2);
        assert!(!attention.expects_token(at(0)), "there is no token yet");
        visit(&mut attention, 1_000, 0);
        assert!(
            !attention.expects_token(at(1_010)),
            "one visit is no rhythm"
        );
        visit(&mut attention, 1_100, 0);
        assert!(attention.expects_token(at(1_110)));
        attention.request_served();
        assert!(attention.expects_token(at(1_120)));
        assert!(!attention.expects_token(at(1_600)), "it is late");
        visit(&mut attention, 1_200, 0);
        assert!(!attention.expects_token(at(1_210)), "requests are not rare");
        visit(&mut attention, 1_300, 0);
        assert!(attention.expects_token(at(1_310)));
        visit(&mut attention, 2_300, 0);
        assert!(!attention.expects_token(at(2_310)), "the token was held");
    }

    /// A long message takes many rotations: processors are not for waiting then.
    #[test]
    fn who_has_much_to_send_sleeps() {
        let mut attention = Attention::new(2);
        for us in [1_000, 1_100, 1_200] {
            attention.token_passed(at(us), Left::Something);
            assert!(!attention.expects_token(at(us + 10)));
        }
        attention.token_passed(at(1_300), Left::Nothing);
        assert!(attention.expects_token(at(1_310)));
    }

    #[test]
    fn the_only_processor_is_left_to_others() {
        let mut attention = Attention::new(1);
        visit(&mut attention, 1_000, 0);
        visit(&mut attention, 1_100, 0);
        assert!(!attention.expects_token(at(1_110)));
    }

    #[test]
    fn a_token_that_stays_away_makes_clients_wake_the_daemon() {
        let mut attention = Attention::new(2);
        visit(&mut attention, 1_000, 100);
        visit(&mut attention, 1_100, 100);
        attention.token_is_late();
        assert!(attention.clients_wake());
    }
}

//! Whether this node may shut down: programs that asked to be asked vote on it, once each (`docs/deviations.md`, D-19).
//!
//! ```text
//!          try, nobody to ask                     all yes, or REGARDLESS
//! idle ────────────────────────▶ confirmed     ┌──────────────────────────▶ confirmed
//!   └─────────────────────────▶ voting ────────┤
//!          try, somebody to ask                └──────────────────────────▶ refused
//!                                                 a no; time over is a no
//! ```
//!
//! Who leaves agrees. When the client that wanted the shutdown leaves, the vote is over without a result.

use std::collections::BTreeMap;

use ferrosync_wire::ConnId;
use ferrosync_wire::ipc::CsError;
use ferrosync_wire::ipc::cfg::ShutdownFlags;

/// Who is asked, and what they say.
#[derive(Debug, Default)]
pub(super) struct Shutdown {
    /// Clients that asked to be asked, with their votes in the ballot that goes on.
    trackers: BTreeMap<ConnId, Option<Vote>>,
    ballot: Option<Ballot>,
}

/// A vote that goes on.
#[derive(Clone, Copy, Debug)]
struct Ballot {
    by: ConnId,
    flags: ShutdownFlags,
    /// Those who left meanwhile.
    left: usize,
}

/// What somebody thinks of a shutdown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Vote {
    Yes,
    No,
}

/// What became of the wish to shut down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Tried {
    /// It is done.
    Confirmed,
    /// These are to be asked first.
    Asked(Vec<ConnId>),
}

/// The end of a vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    /// Who wanted to know.
    pub(super) by: ConnId,
    pub(super) outcome: Outcome,
    pub(super) flags: ShutdownFlags,
    pub(super) yes: usize,
    pub(super) no: usize,
}

/// How a vote ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Confirmed,
    Refused,
}

impl Shutdown {
    /// A client wants this node to shut down. While others vote on another client's wish:
    /// [`CsError::Exist`].
    pub(super) fn begin(&mut self, by: ConnId, flags: ShutdownFlags) -> Result<Tried, CsError> {
        if flags == ShutdownFlags::IMMEDIATE {
            return Ok(Tried::Confirmed);
        }
        if self.ballot.is_some() {
            return Err(CsError::Exist);
        }
        self.trackers.values_mut().for_each(|vote| *vote = None);
        let asked: Vec<ConnId> = self.trackers.keys().copied().filter(|c| *c != by).collect();
        if asked.is_empty() {
            return Ok(Tried::Confirmed);
        }
        self.ballot = Some(Ballot { by, flags, left: 0 });
        Ok(Tried::Asked(asked))
    }

    /// A client votes. The first vote of a client that was asked counts; [`CsError::Access`] when there is
    /// nothing to vote on.
    pub(super) fn vote(&mut self, conn: ConnId, vote: Vote) -> Result<Option<Verdict>, CsError> {
        let ballot = self.ballot.ok_or(CsError::Access)?;
        if let Some(mine) = self.trackers.get_mut(&conn)
            && conn != ballot.by
        {
            mine.get_or_insert(vote);
        }
        Ok(self.count())
    }

    /// A client wants to be asked; the flags of the wish, where one is voted on.
    pub(super) fn track_start(&mut self, conn: ConnId) -> Option<ShutdownFlags> {
        if self.trackers.contains_key(&conn) {
            return None;
        }
        self.trackers.insert(conn, None);
        let ballot = self.ballot.filter(|ballot| ballot.by != conn)?;
        Some(ballot.flags)
    }

    /// A client does not want to be asked any more, which is a yes.
    pub(super) fn track_stop(&mut self, conn: ConnId) -> Option<Verdict> {
        self.trackers.remove(&conn)?;
        let ballot = self.ballot.as_mut()?;
        if ballot.by != conn {
            ballot.left += 1;
        }
        self.count()
    }

    /// A client is gone.
    pub(super) fn disconnect(&mut self, conn: ConnId) -> Option<Verdict> {
        self.ballot = self.ballot.filter(|ballot| ballot.by != conn);
        self.track_stop(conn)
    }

    /// Those who did not vote in time said no.
    pub(super) fn time_over(&mut self) -> Option<Verdict> {
        self.ballot?;
        self.trackers.values_mut().for_each(|vote| {
            vote.get_or_insert(Vote::No);
        });
        self.count()
    }

    /// Whether a vote goes on.
    pub(super) const fn is_voting(&self) -> bool {
        self.ballot.is_some()
    }

    /// Ends the vote once everybody has spoken.
    fn count(&mut self) -> Option<Verdict> {
        let Ballot { by, flags, left } = self.ballot?;
        let asked = || self.trackers.iter().filter(|(conn, _)| **conn != by);
        let votes = |vote| asked().filter(|(_, v)| **v == Some(vote)).count();
        let (yes, no) = (votes(Vote::Yes), votes(Vote::No));
        if yes + no < asked().count() {
            return None;
        }
        self.ballot = None;
        let outcome = if no == 0 || flags == ShutdownFlags::REGARDLESS {
            Outcome::Confirmed
        } else {
            Outcome::Refused
        };
        Some(Verdict {
            by,
            outcome,
            flags,
            yes: yes + left,
            no,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BY: ConnId = ConnId(1);
    const A: ConnId = ConnId(2);
    const B: ConnId = ConnId(3);

    fn asking(trackers: &[ConnId], flags: ShutdownFlags) -> Shutdown {
        let mut shutdown = Shutdown::default();
        for conn in trackers {
            assert_eq!(shutdown.track_start(*conn), None);
        }
        let asked = trackers.iter().copied().filter(|c| *c != BY).collect();
        assert_eq!(shutdown.begin(BY, flags), Ok(Tried::Asked(asked)));
        shutdown
    }

    fn outcome(verdict: Option<Verdict>) -> Option<(Outcome, usize, usize)> {
        verdict.map(|v| {
            assert_eq!(v.by, BY);
            (v.outcome, v.yes, v.no)
        })
    }

    #[test]
    fn without_trackers_there_is_no_vote() {
        let mut shutdown = Shutdown::default();
        let tried = shutdown.begin(BY, ShutdownFlags::REQUEST);
        assert_eq!(tried, Ok(Tried::Confirmed));
        assert_eq!(shutdown.vote(A, Vote::Yes), Err(CsError::Access));
        // Who wants it is not asked.
        shutdown.track_start(BY);
        let tried = shutdown.begin(BY, ShutdownFlags::REQUEST);
        assert_eq!(tried, Ok(Tried::Confirmed));
    }

    #[test]
    fn all_must_agree() {
        let mut shutdown = asking(&[A, B], ShutdownFlags::REQUEST);
        assert_eq!(shutdown.vote(A, Vote::Yes), Ok(None));
        let verdict = shutdown.vote(B, Vote::Yes).unwrap();
        assert_eq!(outcome(verdict), Some((Outcome::Confirmed, 2, 0)));
        assert!(!shutdown.is_voting());
    }

    #[test]
    fn one_no_refuses_once_all_have_spoken() {
        let mut shutdown = asking(&[A, B], ShutdownFlags::REQUEST);
        assert_eq!(shutdown.vote(A, Vote::No), Ok(None));
        let verdict = shutdown.vote(B, Vote::Yes).unwrap();
        assert_eq!(outcome(verdict), Some((Outcome::Refused, 1, 1)));
    }

    #[test]
    fn regardless_asks_but_does_not_obey() {
        let mut shutdown = asking(&[A], ShutdownFlags::REGARDLESS);
        let verdict = shutdown.vote(A, Vote::No).unwrap();
        assert_eq!(outcome(verdict), Some((Outcome::Confirmed, 0, 1)));
    }

    #[test]
    fn a_second_wish_waits_but_immediate_does_not() {
        let mut shutdown = asking(&[A], ShutdownFlags::REQUEST);
        let second = shutdown.begin(B, ShutdownFlags::REQUEST);
        assert_eq!(second, Err(CsError::Exist));
        let now = shutdown.begin(B, ShutdownFlags::IMMEDIATE);
        assert_eq!(now, Ok(Tried::Confirmed));
        assert!(shutdown.is_voting());
    }

    #[test]
    fn nobody_votes_twice_or_uninvited() {
        let mut shutdown = asking(&[A, B], ShutdownFlags::REQUEST);
        assert_eq!(shutdown.vote(A, Vote::Yes), Ok(None));
        assert_eq!(shutdown.vote(A, Vote::Yes), Ok(None));
        assert_eq!(shutdown.vote(ConnId(9), Vote::Yes), Ok(None));
        assert_eq!(shutdown.vote(BY, Vote::Yes), Ok(None));
        assert!(shutdown.is_voting());
    }

    #[test]
    fn who_leaves_agrees() {
        let mut shutdown = asking(&[A, B], ShutdownFlags::REQUEST);
        assert_eq!(shutdown.vote(A, Vote::No), Ok(None));
        assert_eq!(shutdown.disconnect(A), None);
        let verdict = shutdown.track_stop(B);
        assert_eq!(outcome(verdict), Some((Outcome::Confirmed, 2, 0)));
    }

    #[test]
    fn a_newcomer_is_asked_too() {
        let mut shutdown = asking(&[A], ShutdownFlags::REGARDLESS);
        assert_eq!(shutdown.track_start(B), Some(ShutdownFlags::REGARDLESS));
        assert_eq!(shutdown.track_start(B), None);
        assert_eq!(shutdown.track_start(BY), None);
        assert_eq!(shutdown.vote(A, Vote::Yes), Ok(None));
        let verdict = shutdown.vote(B, Vote::Yes).unwrap();
        assert_eq!(outcome(verdict), Some((Outcome::Confirmed, 2, 0)));
    }

    #[test]
    fn the_vote_ends_with_its_client() {
        let mut shutdown = asking(&[BY, A], ShutdownFlags::REQUEST);
        assert_eq!(shutdown.disconnect(BY), None);
        assert!(!shutdown.is_voting());
        assert_eq!(shutdown.vote(A, Vote::Yes), Err(CsError::Access));
        assert_eq!(shutdown.time_over(), None);
    }

    #[test]
    fn silence_is_a_no() {
        let mut shutdown = asking(&[A, B], ShutdownFlags::REQUEST);
        assert_eq!(shutdown.vote(A, Vote::Yes), Ok(None));
        let verdict = shutdown.time_over();
        assert_eq!(outcome(verdict), Some((Outcome::Refused, 1, 1)));
    }
}

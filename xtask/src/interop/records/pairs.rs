//! What the records of two clients must have in common.

use std::collections::{BTreeMap, BTreeSet};

use super::check::Violations;
use super::sessions::{Got, Next, Session};
use super::{Coverage, MessageId, Process, Promise, Sender};

/// Two clients saw their common messages in the same order, over all their connections.
pub(super) fn check_order(ours: &[Session<'_>], theirs: &[Session<'_>], found: &mut Violations) {
    let place: BTreeMap<MessageId, usize> = theirs
        .iter()
        .flat_map(Session::deliveries)
        .enumerate()
        .map(|(at, got)| (got.id, at))
        .collect();
    let mut previous: Option<(usize, MessageId)> = None;
    for session in ours {
        for got in session.deliveries() {
            let Some(&at) = place.get(&got.id) else {
                continue;
            };
            if let Some((before, earlier)) = previous
                && at < before
            {
                let (name, line, id) = (session.name, got.line, got.id);
                let other = theirs.first().map_or("the other", |session| session.name);
                found.add(format!(
                    "{name}:{line}: {id} came after {earlier}, before it at {other}"
                ));
            }
            previous = Some((at, got.id));
        }
    }
}

/// Compares what `a` and `b` saw of each ring they both lived in.
pub(super) fn check_rings(
    a: &Session<'_>,
    b: &Session<'_>,
    promise: Promise,
    coverage: &mut Coverage,
    found: &mut Violations,
) {
    for (at, segment) in a.segments.iter().enumerate() {
        let Some(ring) = segment.ring else { continue };
        let other = b
            .segments
            .iter()
            .position(|segment| segment.ring == Some(ring));
        let Some(other) = other else { continue };
        let next = (a.next(at), b.next(other));
        let mut compared = Compared {
            a: with(a, at, b.who.process),
            b: with(b, other, a.who.process),
        };
        if at == 0 || other == 0 {
            compared.align();
        }
        if promise == Promise::Corosync && a.previous(at) != b.previous(other) {
            coverage.torn += compared.drop_torn();
        }
        if matches!(next, (Next::Ring(x), Next::Ring(y)) if x == y) {
            coverage.passages += 1;
        }
        if let Err(why) = compared.judge(a, b, next) {
            let (first, second) = (a.name, b.name);
            found.add(format!(
                "{first} and {second} in ring {}.{}: {why}",
                ring.0, ring.1
            ));
        }
    }
}

/// The messages that `session` saw in its segment `at` while `other` was a member with it.
fn with<'a>(session: &'a Session<'_>, at: usize, other: Process) -> Vec<&'a Got> {
    let got = session.segments[at].got.iter();
    got.filter(|got| session.views[got.view].contains(&other))
        .collect()
}

/// What two clients saw of one ring while both were members.
struct Compared<'a> {
    a: Vec<&'a Got>,
    b: Vec<&'a Got>,
}

impl Compared<'_> {
    /// Drops what came before the first common message. A client that joins while a ring is being installed is told of
    /// that ring at once, the older members only when the installation is done.
    fn align(&mut self) {
        let theirs: BTreeSet<MessageId> = self.b.iter().map(|got| got.id).collect();
        let Some(start) = self.a.iter().position(|got| theirs.contains(&got.id)) else {
            return;
        };
        let first = self.a[start].id;
        let other = self.b.iter().position(|got| got.id == first);
        self.a.drain(..start);
        self.b.drain(..other.unwrap_or(0));
    }

    /// Drops what only one of the two saw of a sender before the first message of that sender that both saw, and all of a
    /// sender of which one saw nothing: corosync throws away packet by packet until one ends with a whole message, and over
    /// knet, where a packet is 64 KiB, a short ring may be over before that. Returns how many messages that were.
    fn drop_torn(&mut self) -> usize {
        let ids = |list: &[&Got]| list.iter().map(|got| got.id).collect::<BTreeSet<_>>();
        let common: BTreeSet<MessageId> =
            ids(&self.a).intersection(&ids(&self.b)).copied().collect();
        let senders = |list: &[&Got]| list.iter().map(|got| got.id.sender).collect();
        let (of_a, of_b): (BTreeSet<Sender>, BTreeSet<Sender>) =
            (senders(&self.a), senders(&self.b));
        let mut shared: BTreeSet<Sender> = common.iter().map(|id| id.sender).collect();
        shared.extend(of_a.symmetric_difference(&of_b));
        let mut dropped = 0;
        for list in [&mut self.a, &mut self.b] {
            let before = list.len();
            let mut torn = shared.clone();
            list.retain(|got| {
                if common.contains(&got.id) {
                    torn.remove(&got.id.sender);
                }
                !torn.contains(&got.id.sender)
            });
            dropped += before - list.len();
        }
        dropped
    }

    fn judge(&self, a: &Session<'_>, b: &Session<'_>, next: (Next, Next)) -> Result<(), String> {
        let same = self
            .a
            .iter()
            .zip(&self.b)
            .take_while(|(x, y)| x.id == y.id)
            .count();
        self.judge_views(a, b, same)?;
        let (x, y) = (self.a.get(same), self.b.get(same));
        match (x, y, next) {
            (None, None, _) => Ok(()),
            (_, _, (Next::Ring(one), Next::Ring(other))) if one == other => Err(format!(
                "both went on to ring {}.{} but saw {} and {}",
                one.0,
                one.1,
                describe(x),
                describe(y)
            )),
            // Whose connection ends may have seen less than the other; it may not have seen something else.
            (Some(x), Some(y), (Next::Nothing, Next::Nothing)) => {
                Err(format!("one saw {} where the other saw {}", x.id, y.id))
            }
            // Ways that part: what each side could still recover is its own.
            (Some(_), Some(_), _) | (Some(_), None, _) | (None, Some(_), _) => Ok(()),
        }
    }

    /// The group had the same members at each of the first `same` messages.
    fn judge_views(&self, a: &Session<'_>, b: &Session<'_>, same: usize) -> Result<(), String> {
        let mut agreed = None;
        for (x, y) in self.a.iter().zip(&self.b).take(same) {
            let views = (x.view, y.view);
            if agreed != Some(views) && a.views[x.view] != b.views[y.view] {
                return Err(format!(
                    "at {} the group had different members (lines {} and {})",
                    x.id, x.line, y.line
                ));
            }
            agreed = Some(views);
        }
        Ok(())
    }
}

fn describe(got: Option<&&Got>) -> String {
    got.map_or_else(
        || "nothing more".to_owned(),
        |got| format!("{} (line {})", got.id, got.line),
    )
}

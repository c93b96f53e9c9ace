//! What one client's record must satisfy; the comparison of two is in [`super::pairs`].

use std::collections::{BTreeMap, BTreeSet};

use super::sessions::{Ending, Session, sessions};
use super::{Body, Condition, Coverage, MAX_VIOLATIONS, MessageId, Promise, Record, Sender, pairs};

/// Checks all records of a run. The error lists the first violations, one per line.
pub(crate) fn check(records: &[Record], promise: Promise) -> Result<Coverage, String> {
    let by_record: Vec<Vec<Session<'_>>> = records.iter().map(sessions).collect();
    let mut found = Violations::default();
    let mut coverage = Coverage::default();
    let sent = Sent::of(&by_record);
    for sessions in &by_record {
        let mut seen = BTreeSet::new();
        for session in sessions {
            check_bodies(session, &sent, &mut found);
            check_duplicates(session, &mut seen, &mut found);
            check_fifo(session, &mut found);
            check_own_messages(session, &mut found);
            coverage.deliveries += session.deliveries().count();
            match session.ending {
                Ending::InOrder { .. } => coverage.ends += 1,
                Ending::Lost => coverage.disconnects += 1,
            }
        }
    }
    for (at, ours) in by_record.iter().enumerate() {
        for theirs in &by_record[at + 1..] {
            pairs::check_order(ours, theirs, &mut found);
            for a in ours {
                for b in theirs {
                    pairs::check_rings(a, b, promise, &mut coverage, &mut found);
                }
            }
        }
    }
    found.into_result(coverage)
}

/// What went wrong in a run.
#[derive(Default)]
pub(super) struct Violations {
    listed: Vec<String>,
    count: usize,
}

impl Violations {
    /// Notes one violation.
    pub(super) fn add(&mut self, violation: String) {
        self.count += 1;
        if self.listed.len() < MAX_VIOLATIONS {
            self.listed.push(violation);
        }
    }

    fn into_result(self, coverage: Coverage) -> Result<Coverage, String> {
        match self.count {
            0 => Ok(coverage),
            count => Err(format!("{count} violation(s):\n{}", self.listed.join("\n"))),
        }
    }
}

/// What every sender's record says it sent.
struct Sent {
    bodies: BTreeMap<MessageId, Body>,
    /// How many messages each sender's daemon accepted, and how its connection ended.
    totals: BTreeMap<Sender, (u32, Ending)>,
}

impl Sent {
    fn of(by_record: &[Vec<Session<'_>>]) -> Self {
        let mut sent = Self {
            bodies: BTreeMap::new(),
            totals: BTreeMap::new(),
        };
        for session in by_record.iter().flatten() {
            let sender = session.who;
            for &(_, seq, body) in &session.sent {
                sent.bodies.insert(MessageId { sender, seq }, body);
            }
            let total = session.sent.last().map_or(0, |&(_, seq, _)| seq + 1);
            sent.totals.insert(sender, (total, session.ending));
        }
        sent
    }

    /// Whether a sender whose record we have could have sent this message although it does not say so: the daemon may
    /// die between taking a message and telling its client.
    fn could_exist(&self, id: MessageId) -> bool {
        match self.totals.get(&id.sender) {
            None => true,
            Some(&(total, Ending::Lost)) => id.seq == total,
            Some((_, Ending::InOrder { .. })) => false,
        }
    }
}

/// Every body arrived as it was sent.
fn check_bodies(session: &Session<'_>, sent: &Sent, found: &mut Violations) {
    for got in session.deliveries() {
        let place = format!("{}:{}: {}", session.name, got.line, got.id);
        if got.condition == Condition::Damaged {
            found.add(format!("{place} is damaged"));
            continue;
        }
        match sent.bodies.get(&got.id) {
            Some(body) if *body == got.body => {}
            Some(_) => found.add(format!("{place} is not what was sent")),
            None if sent.could_exist(got.id) => {}
            None => found.add(format!("{place} was never sent")),
        }
    }
}

/// No message came twice to one client, over all its connections.
fn check_duplicates(session: &Session<'_>, seen: &mut BTreeSet<MessageId>, found: &mut Violations) {
    for got in session.deliveries() {
        if !seen.insert(got.id) {
            let (name, line, id) = (session.name, got.line, got.id);
            found.add(format!("{name}:{line}: {id} came twice"));
        }
    }
}

/// Each sender's messages come in order, and without a gap while the sender stays a member.
fn check_fifo(session: &Session<'_>, found: &mut Violations) {
    /// The last message of a sender, and whether its next must follow without a gap.
    struct Last {
        seq: u32,
        is_member: bool,
    }
    let mut last: BTreeMap<Sender, Last> = BTreeMap::new();
    let mut departures = session.departures.iter().peekable();
    for (at, got) in session.deliveries().enumerate() {
        while let Some((_, gone)) = departures.next_if(|(before, _)| *before <= at) {
            for (sender, last) in &mut last {
                last.is_member &= sender.process != *gone;
            }
        }
        let (sender, seq) = (got.id.sender, got.id.seq);
        if let Some(previous) = last.get(&sender) {
            let gap = previous.is_member && seq > previous.seq + 1;
            if seq <= previous.seq || gap {
                found.add(format!(
                    "{}:{}: {} follows {sender}/{}",
                    session.name, got.line, got.id, previous.seq
                ));
            }
        }
        let is_member = session.views[got.view].contains(&sender.process);
        last.insert(sender, Last { seq, is_member });
    }
}

/// A client that ended in order got back all that its daemon accepted.
fn check_own_messages(session: &Session<'_>, found: &mut Violations) {
    let Ending::InOrder {
        accepted,
        came_back,
    } = session.ending
    else {
        return;
    };
    let name = session.name;
    if usize::try_from(accepted) != Ok(session.sent.len()) {
        let listed = session.sent.len();
        found.add(format!(
            "{name}: counted {accepted} accepted messages, listed {listed}"
        ));
    }
    if accepted != came_back {
        found.add(format!(
            "{name}: {accepted} accepted, {came_back} came back"
        ));
    }
    let sender = session.who;
    let own: BTreeSet<u32> = session
        .deliveries()
        .filter(|got| got.id.sender == sender)
        .map(|got| got.id.seq)
        .collect();
    for (line, seq, _) in session.sent.iter().filter(|(_, seq, _)| !own.contains(seq)) {
        found.add(format!(
            "{name}:{line}: {sender}/{seq} was accepted and never came back"
        ));
    }
}

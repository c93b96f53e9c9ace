//! When a node uses the key that a reload brought, and when it forgets the one before.
//!
//! Every node that loaded another key tells the ring ACTIVATE, and later CLEANUP. Corosync seals with the new key when
//! it hears its own ACTIVATE, tells CLEANUP at once, and refuses everything else when it hears that
//! (`cfg.c:message_handler_req_exec_cfg_reconfig_crypto`, v3.1.7): it waits for nobody. So here a node follows
//! the first that activates, lest it is late behind messages of its own; waits a moment when it is the first itself, for
//! corosync opens packets before it has heard what came before them; and opens the old key's packets until all have
//! activated, and a little longer (`docs/deviations.md`, D-73).

use std::collections::BTreeSet;

use ferrosync_wire::{Duration, NodeId};

use crate::reload::CryptoPhase;

/// How far this node is.
#[derive(Debug, Default)]
pub(super) struct KeyChange {
    stage: Stage,
    /// Who told ACTIVATE since this node loaded its key.
    active: BTreeSet<NodeId>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    /// One key, or none.
    #[default]
    Rest,
    /// It opens packets of both and seals with the old one.
    Loaded,
    /// It seals with the new one.
    Active,
    /// So do all, or enough time has passed; CLEANUP is on its way.
    Ending,
    /// CLEANUP was heard.
    Ended,
}

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// Another key was loaded.
    Loaded,
    /// A node told of its step.
    Heard(NodeId, CryptoPhase),
    /// The time has passed that was to be waited.
    Elapsed,
}

/// What is to be done about it, in this order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Todo {
    /// Seal with the new key, or forget the old one.
    pub(super) step: Option<CryptoPhase>,
    /// Tell the ring.
    pub(super) tell: Option<CryptoPhase>,
    /// Wait so long instead of what was to be waited before.
    pub(super) wait: Option<Duration>,
}

impl KeyChange {
    /// Takes what happened on node `me` of a ring of `members`.
    pub(super) fn take(&mut self, me: NodeId, members: &[NodeId], event: Event) -> Todo {
        match (self.stage, event) {
            (_, Event::Loaded) => {
                self.stage = Stage::Loaded;
                self.active.clear();
                Todo {
                    tell: Some(CryptoPhase::Activate),
                    ..Todo::default()
                }
            }
            (Stage::Loaded | Stage::Active, Event::Heard(from, CryptoPhase::Activate)) => {
                self.active.insert(from);
                self.activate(from != me, members)
            }
            (Stage::Loaded, Event::Elapsed) => self.activate(true, members),
            (Stage::Active, Event::Elapsed) => self.end(),
            (Stage::Ending, Event::Heard(from, CryptoPhase::Cleanup)) if from == me => {
                self.stage = Stage::Ended;
                Todo {
                    wait: Some(LATE_PACKETS),
                    ..Todo::default()
                }
            }
            (Stage::Ended, Event::Elapsed) => {
                self.stage = Stage::Rest;
                Todo {
                    step: Some(CryptoPhase::Cleanup),
                    ..Todo::default()
                }
            }
            (
                Stage::Rest | Stage::Loaded | Stage::Active | Stage::Ending | Stage::Ended,
                Event::Heard(..) | Event::Elapsed,
            ) => Todo::default(),
        }
    }

    /// Somebody tells that it activates; this node does so too if it follows or is alone.
    fn activate(&mut self, follows: bool, members: &[NodeId]) -> Todo {
        let mut todo = Todo::default();
        if self.stage == Stage::Loaded {
            if !follows && members.len() > 1 {
                todo.wait = Some(FIRST);
                return todo;
            }
            self.stage = Stage::Active;
            todo.step = Some(CryptoPhase::Activate);
            todo.wait = Some(SILENT);
        }
        if members.iter().all(|member| self.active.contains(member)) {
            let end = self.end();
            (todo.tell, todo.wait) = (end.tell, end.wait);
        }
        todo
    }

    fn end(&mut self) -> Todo {
        self.stage = Stage::Ending;
        Todo {
            tell: Some(CryptoPhase::Cleanup),
            ..Todo::default()
        }
    }
}

/// What the first to activate waits for others to do so.
const FIRST: Duration = Duration::from_millis(200);
/// Nodes that say nothing so long had nothing to change.
const SILENT: Duration = Duration::from_secs(10);
/// Packets of the old key that are on their way, or sent again for want of what came before them.
const LATE_PACKETS: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    const ME: NodeId = NodeId(1);

    fn event(word: &str) -> Event {
        let from = |digits: &str| NodeId(digits.parse().unwrap());
        match word.split_at(1) {
            ("l", "oaded") => Event::Loaded,
            ("e", "lapsed") => Event::Elapsed,
            ("a", digits) => Event::Heard(from(digits), CryptoPhase::Activate),
            ("c", digits) => Event::Heard(from(digits), CryptoPhase::Cleanup),
            _ => panic!("{word}"),
        }
    }

    fn told(todo: Todo) -> String {
        let word = |what: &str, phase: Option<CryptoPhase>| match phase {
            Some(CryptoPhase::Activate) => format!("{what}-activate "),
            Some(CryptoPhase::Cleanup) => format!("{what}-cleanup "),
            None => String::new(),
        };
        let wait = todo.wait.map_or_else(String::new, |wait| match wait {
            FIRST => "wait-first".into(),
            SILENT => "wait-silent".into(),
            LATE_PACKETS => "wait-late".into(),
            other => panic!("{other:?}"),
        });
        (word("do", todo.step) + &word("tell", todo.tell) + &wait)
            .trim_end()
            .to_owned()
    }

    type Steps = &'static [(&'static str, &'static str)];

    /// Members, then what happens and what is done.
    const TABLE: &[(&[u32], Steps)] = &[
        // The first of three.
        (
            &[1, 2, 3],
            &[
                ("loaded", "tell-activate"),
                ("a1", "wait-first"),
                ("a2", "do-activate wait-silent"),
                ("a3", "tell-cleanup"),
                ("c2", ""),
                ("c1", "wait-late"),
                ("elapsed", "do-cleanup"),
            ],
        ),
        // Its own message is late: it follows, and does not forget before the last of the others.
        (
            &[1, 2, 3],
            &[
                ("loaded", "tell-activate"),
                ("a3", "do-activate wait-silent"),
                ("c3", ""),
                ("a1", ""),
                ("a2", "tell-cleanup"),
                ("c1", "wait-late"),
            ],
        ),
        // The others have nothing to change, or are not heard of.
        (
            &[1, 2],
            &[
                ("loaded", "tell-activate"),
                ("a1", "wait-first"),
                ("elapsed", "do-activate wait-silent"),
                ("elapsed", "tell-cleanup"),
                ("c1", "wait-late"),
                ("elapsed", "do-cleanup"),
            ],
        ),
        // Alone.
        (
            &[1],
            &[
                ("loaded", "tell-activate"),
                ("a1", "do-activate tell-cleanup"),
                ("c1", "wait-late"),
                ("elapsed", "do-cleanup"),
            ],
        ),
        // The next change comes before this one has ended: the old key's slot is taken, nothing is left to forget of it.
        (
            &[1, 2],
            &[
                ("loaded", "tell-activate"),
                ("a2", "do-activate wait-silent"),
                ("a1", "tell-cleanup"),
                ("loaded", "tell-activate"),
                ("c1", ""),
                ("a1", "wait-first"),
                ("a2", "do-activate tell-cleanup"),
                ("c1", "wait-late"),
                ("loaded", "tell-activate"),
                ("elapsed", "do-activate wait-silent"),
            ],
        ),
        // Steps of others, when this node changed nothing.
        (
            &[1, 2],
            &[("a2", ""), ("c2", ""), ("a1", ""), ("elapsed", "")],
        ),
    ];

    #[test]
    fn each_step_waits_for_what_it_needs() {
        for (members, steps) in TABLE {
            let members: Vec<NodeId> = members.iter().map(|id| NodeId(*id)).collect();
            let mut change = KeyChange::default();
            for (n, (word, expected)) in steps.iter().enumerate() {
                let todo = told(change.take(ME, &members, event(word)));
                assert_eq!(todo, *expected, "{members:?}, step {n}: {word}");
            }
        }
    }
}

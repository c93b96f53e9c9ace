//! When a node uses the key that a reload brought, and when it forgets the one before.
//!
//! Every node that loaded another key tells the ring ACTIVATE, and later CLEANUP. Corosync seals with the new key when
//! it hears its own ACTIVATE, tells CLEANUP at once, and refuses everything else when it hears that
//! (`cfg.c:message_handler_req_exec_cfg_reconfig_crypto`, v3.1.7): it waits for nobody. Here a node seals with the new
//! key for those who told ACTIVATE, as they have loaded it; knet adds those whose packets show that they use it. When
//! all have told, the new key is in use, and what the old one sealed is opened a little longer (`docs/deviations.md`,
//! D-73).

use std::collections::BTreeSet;

use ferrosync_wire::{Duration, NodeId};

use crate::reload::CryptoPhase;

/// How far this node is.
#[derive(Debug, Default)]
pub(super) struct KeyChange {
    stage: Stage,
    /// Who told ACTIVATE of the key that this node loaded.
    active: BTreeSet<NodeId>,
    /// Who did so since the ring was told to reload, while this node has not read its files.
    early: Option<BTreeSet<NodeId>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    /// One key, or none.
    #[default]
    Rest,
    /// It opens packets of both and seals for each member with what that one is known to open.
    Loaded,
    /// It seals with the new one; CLEANUP is on its way.
    Active,
    /// CLEANUP was heard.
    Ended,
}

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// All are to reload.
    Asked,
    /// This node did, and has another key.
    Loaded,
    /// This node did, and has no other key.
    Unchanged,
    /// A node told of its step.
    Heard(NodeId, CryptoPhase),
    /// The time has passed that was to be waited.
    Elapsed,
}

/// What is to be done about it, in this order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Todo {
    /// These nodes open what the new key seals.
    pub(super) opens: Vec<NodeId>,
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
            (_, Event::Asked) => {
                self.early.get_or_insert_default();
                Todo::default()
            }
            (_, Event::Unchanged) => {
                self.early = None;
                Todo::default()
            }
            (_, Event::Loaded) => {
                self.stage = Stage::Loaded;
                self.active = self.early.take().unwrap_or_default();
                Todo {
                    opens: self.active.iter().copied().collect(),
                    tell: Some(CryptoPhase::Activate),
                    wait: Some(SILENT),
                    ..Todo::default()
                }
            }
            (Stage::Active, Event::Heard(from, CryptoPhase::Cleanup)) if from == me => {
                self.stage = Stage::Ended;
                Todo {
                    wait: Some(LATE_PACKETS),
                    ..Todo::default()
                }
            }
            // Of the change before.
            (_, Event::Heard(from, CryptoPhase::Cleanup)) if from == me => Todo::default(),
            // Who is done with the change has the new key as well, though ACTIVATE may not have been heard here.
            (stage, Event::Heard(from, CryptoPhase::Activate | CryptoPhase::Cleanup)) => {
                if let Some(early) = &mut self.early {
                    early.insert(from);
                }
                if stage != Stage::Loaded {
                    return Todo::default();
                }
                self.active.insert(from);
                if members.iter().all(|member| self.active.contains(member)) {
                    return self.activate();
                }
                Todo {
                    opens: if from == me { Vec::new() } else { vec![from] },
                    ..Todo::default()
                }
            }
            (Stage::Loaded, Event::Elapsed) => self.activate(),
            (Stage::Ended, Event::Elapsed) => {
                self.stage = Stage::Rest;
                Todo {
                    step: Some(CryptoPhase::Cleanup),
                    ..Todo::default()
                }
            }
            (Stage::Rest | Stage::Active, Event::Elapsed) => Todo::default(),
        }
    }

    fn activate(&mut self) -> Todo {
        self.stage = Stage::Active;
        Todo {
            step: Some(CryptoPhase::Activate),
            tell: Some(CryptoPhase::Cleanup),
            ..Todo::default()
        }
    }
}

/// Nodes that say nothing so long had nothing to change, and open nothing but the old key, or are on their way back.
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
            ("r", "eload") => Event::Asked,
            ("l", "oaded") => Event::Loaded,
            ("s", "ame") => Event::Unchanged,
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
            SILENT => "wait-silent".into(),
            LATE_PACKETS => "wait-late".into(),
            other => panic!("{other:?}"),
        });
        let opens = todo.opens.iter().map(|node| format!("{node}-opens "));
        let opens: String = opens.collect();
        (opens + &word("do", todo.step) + &word("tell", todo.tell) + &wait)
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
                ("loaded", "tell-activate wait-silent"),
                ("a1", ""),
                ("a2", "2-opens"),
                ("c2", "2-opens"),
                ("a3", "do-activate tell-cleanup"),
                ("c3", ""),
                ("c1", "wait-late"),
                ("elapsed", "do-cleanup"),
            ],
        ),
        // Its own message is late: the others, corosync's, have done all their steps.
        (
            &[1, 2, 3],
            &[
                ("loaded", "tell-activate wait-silent"),
                ("a3", "3-opens"),
                ("a2", "2-opens"),
                ("c3", "3-opens"),
                ("c2", "2-opens"),
                ("a1", "do-activate tell-cleanup"),
                ("c1", "wait-late"),
            ],
        ),
        // It could not read its files when the others changed, and loads with a second reload, when they are nearly done.
        (
            &[1, 2, 3],
            &[
                ("reload", ""),
                ("a2", ""),
                ("a3", ""),
                ("same", ""),
                ("reload", ""),
                ("loaded", "tell-activate wait-silent"),
                ("a1", ""),
                ("c2", "2-opens"),
                ("c3", "do-activate tell-cleanup"),
                ("c1", "wait-late"),
            ],
        ),
        // It reads its files when the others have told already.
        (
            &[1, 2, 3],
            &[
                ("reload", ""),
                ("a3", ""),
                ("a2", ""),
                ("loaded", "2-opens 3-opens tell-activate wait-silent"),
                ("a1", "do-activate tell-cleanup"),
                ("c1", "wait-late"),
            ],
        ),
        // Two reloads are done together; one that changes no key comes while others are still to be heard of.
        (
            &[1, 2, 3],
            &[
                ("reload", ""),
                ("a3", ""),
                ("reload", ""),
                ("loaded", "3-opens tell-activate wait-silent"),
                ("a1", ""),
                ("reload", ""),
                ("same", ""),
                ("a2", "do-activate tell-cleanup"),
            ],
        ),
        // What was told of another reload's key says nothing of this one's.
        (
            &[1, 2],
            &[
                ("reload", ""),
                ("a2", ""),
                ("same", ""),
                ("reload", ""),
                ("loaded", "tell-activate wait-silent"),
                ("a1", ""),
                ("a2", "do-activate tell-cleanup"),
            ],
        ),
        // The others have nothing to change, or are not heard of.
        (
            &[1, 2],
            &[
                ("loaded", "tell-activate wait-silent"),
                ("a1", ""),
                ("elapsed", "do-activate tell-cleanup"),
                ("a2", ""),
                ("c1", "wait-late"),
                ("elapsed", "do-cleanup"),
            ],
        ),
        // Alone.
        (
            &[1],
            &[
                ("loaded", "tell-activate wait-silent"),
                ("a1", "do-activate tell-cleanup"),
                ("c1", "wait-late"),
                ("elapsed", "do-cleanup"),
            ],
        ),
        // The next change comes before this one has ended: the old key's slot is taken, nothing is left to forget of it.
        (
            &[1, 2],
            &[
                ("loaded", "tell-activate wait-silent"),
                ("a2", "2-opens"),
                ("a1", "do-activate tell-cleanup"),
                ("loaded", "tell-activate wait-silent"),
                ("c1", ""),
                ("a1", ""),
                ("a2", "do-activate tell-cleanup"),
                ("c1", "wait-late"),
                ("loaded", "tell-activate wait-silent"),
                ("elapsed", "do-activate tell-cleanup"),
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

//! Partitions, written as `1,2/3`, and waiting until the nodes agree with them.

use std::collections::BTreeSet;
use std::fmt;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

/// The sides of a partition.
pub(super) struct Sides(Vec<BTreeSet<u8>>);

impl Sides {
    /// Reads sides such as `1,2/3`.
    pub(super) fn parse(sides: &str) -> anyhow::Result<Self> {
        let side = |side: &str| side.split(',').map(str::parse).collect::<Result<_, _>>();
        let sides = sides.split('/').map(side).collect::<Result<_, _>>()?;
        Ok(Self(sides))
    }

    /// The side of a node.
    pub(super) fn of(&self, node: u8) -> anyhow::Result<&BTreeSet<u8>> {
        let side = self.0.iter().find(|side| side.contains(&node));
        side.with_context(|| format!("node {node} is on no side"))
    }

    /// Each side.
    #[cfg(test)]
    pub(super) fn all(&self) -> &[BTreeSet<u8>] {
        &self.0
    }
}

/// What a node knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct View {
    /// Who it sees, itself included.
    pub(super) members: BTreeSet<u8>,
    /// Whether it has quorum.
    pub(super) quorate: bool,
}

impl fmt::Display for View {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { members, quorate } = self;
        write!(formatter, "members {members:?}, quorate: {quorate}")
    }
}

/// Waits until each of these nodes sees its side, and those of `quorate` and no others have quorum, for as long as
/// `stays`. `look` says what a node knows, nothing where it does not answer.
pub(super) fn settle(
    sides: &str,
    quorate: &[u8],
    nodes: impl Iterator<Item = u8> + Clone,
    stays: Duration,
    look: impl Fn(u8) -> Option<View>,
) -> anyhow::Result<()> {
    let sides = Sides::parse(sides)?;
    let deadline = Instant::now() + SETTLED_WITHIN;
    let mut since = None;
    loop {
        let mut wrong = Vec::new();
        for node in nodes.clone() {
            let expected = View {
                members: sides.of(node)?.clone(),
                quorate: quorate.contains(&node),
            };
            match look(node) {
                Some(view) if view == expected => {}
                Some(view) => wrong.push(format!("{node}: {view}")),
                None => wrong.push(format!("{node} does not answer")),
            }
        }
        match wrong.as_slice() {
            [] if since.get_or_insert_with(Instant::now).elapsed() >= stays => return Ok(()),
            [] => {}
            _ => since = None,
        }
        if Instant::now() >= deadline {
            let wrong = wrong.join("; ");
            bail!("{quorate:?} should stay quorate for {stays:?}, but {wrong}");
        }
        thread::sleep(POLL);
    }
}

/// Generous: two cores may be shared with a build.
const SETTLED_WITHIN: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use super::*;

    fn view(members: &[u8], quorate: bool) -> View {
        View {
            members: members.iter().copied().collect(),
            quorate,
        }
    }

    #[test]
    fn nodes_that_fit_their_sides_are_settled() {
        let look = |node| match node {
            3 => Some(view(&[3], false)),
            _ => Some(view(&[1, 2], true)),
        };
        settle("1,2/3", &[1, 2], 1..=3, Duration::ZERO, look).unwrap();
    }

    #[test]
    fn a_node_on_no_side_and_words_that_are_no_nodes_are_errors() {
        assert!(Sides::parse("1,2/3").unwrap().of(4).is_err());
        assert!(Sides::parse("1,a").is_err());
    }
}

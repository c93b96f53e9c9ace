//! What can happen to a cluster under load.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use super::lab::{DaemonVerb, Lab};

/// One thing that happens to the cluster during a storm.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// Wait until each of these nodes has delivered this many more messages.
    Traffic(Vec<u8>, u64),
    /// Do this to a node's daemon.
    Daemon(DaemonVerb, u8),
    /// Let a node's daemon sleep for a second.
    Nap(u8),
    /// Let links grow old: for ten seconds after they came up, knet gives each more time before it counts as down, and a
    /// ring does not wait that long.
    Age,
    /// Cut the network, as `1,2/3`.
    Partition(String),
    /// Undo the cuts.
    Heal,
    /// Wait until these nodes are one quorate cluster.
    Members(Vec<u8>),
    /// Pull or plug the cable of a node at a link.
    Cable(u8, u8, Cable),
    /// Wait until the node and all others find their link to one another so.
    Linked(u8, u8, Cable),
    /// Take these steps, during which no node may see another ring.
    Still(Vec<Self>),
    /// Check that every daemon has counted some of this in its statistics.
    Counted(&'static str),
    /// Wait until the node and all others find that their link to one another carries this many bytes at once.
    Carries(u8, u8, u64),
    /// Change the corosync.conf of every node, without saying so to its daemon.
    Configure(fn(&str) -> String),
    /// Write the key of the ring, made of this word, to every node, without saying so to its daemon.
    Key(&'static str),
    /// `corosync-cfgtool -R` on this node.
    Reload(u8),
    /// The same, which must be refused.
    Refuses(u8),
    /// Wait until `corosync-cfgtool -s` says this on every node.
    Tells(&'static str),
    /// Wait until it says this on none.
    TellsNot(&'static str),
}

/// Whether a cable is plugged, or a link found to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cable {
    /// Plugged.
    Up,
    /// Pulled.
    Down,
    /// Plugged, but it loses longer packets.
    Narrow(u16),
    /// As wide again as its interfaces.
    Full,
}

/// Takes these steps in a lab of `count` nodes.
pub(super) fn run_steps(lab: &Lab, count: u8, steps: &[Step]) -> anyhow::Result<()> {
    for step in steps {
        run_step(lab, count, step).with_context(|| format!("{step:?}"))?;
    }
    Ok(())
}

fn run_step(lab: &Lab, count: u8, step: &Step) -> anyhow::Result<()> {
    match step {
        Step::Daemon(verb, node) => lab.daemon(*verb, *node),
        Step::Age => {
            thread::sleep(AGE);
            Ok(())
        }
        Step::Nap(node) => {
            lab.daemon(DaemonVerb::Stop, *node)?;
            thread::sleep(NAP);
            lab.daemon(DaemonVerb::Cont, *node)
        }
        Step::Partition(sides) => lab.partition(sides),
        Step::Heal => lab.heal(),
        Step::Members(members) => lab.wait(members),
        Step::Traffic(nodes, messages) => traffic(lab, nodes, *messages),
        Step::Cable(node, link, cable) => lab.cable(*node, &format!("{link} {}", cable.word())),
        Step::Linked(node, link, cable) => {
            let wanted = u64::from(*cable != Cable::Down);
            links_say(lab, count, (*node, *link), ("connected", wanted))
        }
        Step::Carries(node, link, bytes) => links_say(lab, count, (*node, *link), ("mtu", *bytes)),
        Step::Still(steps) => still(lab, count, steps),
        Step::Counted(key) => counted(lab, count, key),
        Step::Configure(change) => configure(lab, count, *change),
        Step::Key(word) => write(lab, count, KEY_FILE, &word.repeat(KEY_WORDS)),
        Step::Reload(node) => lab.output(*node, &["corosync-cfgtool", "-R"]).map(drop),
        Step::Refuses(node) => refuses(lab, *node),
        Step::Tells(text) => tells(lab, count, text, true),
        Step::TellsNot(text) => tells(lab, count, text, false),
    }
}

/// Takes `steps`, during which no node may see another ring.
fn still(lab: &Lab, count: u8, steps: &[Step]) -> anyhow::Result<()> {
    let before = rings(lab, count)?;
    run_steps(lab, count, steps)?;
    let after = rings(lab, count)?;
    if before != after {
        bail!("the membership changed: rings {before:?} became {after:?}");
    }
    Ok(())
}

fn counted(lab: &Lab, count: u8, key: &str) -> anyhow::Result<()> {
    (1..=count).try_for_each(|node| match lab.statistic(node, key)? {
        0 => bail!("{key} of node {node} is 0"),
        _ => Ok(()),
    })
}

/// A reload at this node must end with the exit code that says that the configuration is at fault.
fn refuses(lab: &Lab, node: u8) -> anyhow::Result<()> {
    let output = lab.command(node, "corosync-cfgtool").arg("-R").output()?;
    match output.status.code() {
        Some(INVALID_PARAM) => Ok(()),
        Some(_) | None => bail!("corosync-cfgtool -R ended with {}", output.status),
    }
}

/// Writes what `change` makes of each node's corosync.conf.
fn configure(lab: &Lab, count: u8, change: fn(&str) -> String) -> anyhow::Result<()> {
    let before = lab.output(1, &["cat", CONF])?;
    let after = change(&before);
    if after == before {
        bail!("nothing to change in {CONF}");
    }
    write(lab, count, CONF, &after)
}

fn write(lab: &Lab, count: u8, file: &str, text: &str) -> anyhow::Result<()> {
    for node in 1..=count {
        let script = "printf %s \"$1\" > \"$2\"";
        lab.output(node, &["sh", "-c", script, "sh", text, file])?;
    }
    Ok(())
}

/// Waits until each of `nodes` has delivered so many more messages.
fn traffic(lab: &Lab, nodes: &[u8], messages: u64) -> anyhow::Result<()> {
    let mut goals = Vec::new();
    for node in nodes {
        goals.push((*node, lab.delivered(*node)? + messages));
    }
    let deadline = Instant::now() + TRAFFIC_WITHIN;
    for (node, goal) in goals {
        while lab.delivered(node)? < goal {
            if Instant::now() >= deadline {
                bail!("node {node} does not deliver");
            }
            thread::sleep(POLL);
        }
    }
    Ok(())
}

/// Waits until a node and each of the others say this of their link to one another in their statistics.
fn links_say(
    lab: &Lab,
    count: u8,
    (node, link): (u8, u8),
    (what, wanted): (&str, u64),
) -> anyhow::Result<()> {
    let deadline = Instant::now() + LINKED_WITHIN;
    let key = |peer: u8| format!("stats.knet.node{peer}.link{link}.{what}");
    for other in (1..=count).filter(|other| *other != node) {
        for (at, peer) in [(node, other), (other, node)] {
            loop {
                // A daemon that has just started may not know its peer yet.
                let found = lab.statistic(at, &key(peer)).ok();
                if found == Some(wanted) {
                    break;
                }
                if Instant::now() >= deadline {
                    bail!("node {at}, link {link} to node {peer}: {what} is {found:?}");
                }
                thread::sleep(POLL);
            }
        }
    }
    Ok(())
}

/// Waits until `corosync-cfgtool -s` of every node has this text in it, or has it not.
fn tells(lab: &Lab, count: u8, text: &str, wanted: bool) -> anyhow::Result<()> {
    let deadline = Instant::now() + LINKED_WITHIN;
    for node in 1..=count {
        loop {
            let said = lab.output(node, &["corosync-cfgtool", "-s"])?;
            if said.contains(text) == wanted {
                break;
            }
            if Instant::now() >= deadline {
                bail!("node {node} says: {said}");
            }
            thread::sleep(POLL);
        }
    }
    Ok(())
}

/// The rings that the nodes see. Numbers of rings only grow: what is equal before and after was so in between.
fn rings(lab: &Lab, count: u8) -> anyhow::Result<Vec<String>> {
    let ring = |node| {
        let text = lab.output(node, &["corosync-quorumtool", "-s"])?;
        let line = text.lines().find_map(|line| line.strip_prefix("Ring ID:"));
        let ring = line.map(|ring| ring.trim().to_owned());
        ring.with_context(|| format!("node {node} sees no ring"))
    };
    (1..=count).map(ring).collect()
}

impl Cable {
    fn word(self) -> String {
        match self {
            Self::Up => "up".into(),
            Self::Down => "down".into(),
            Self::Narrow(bytes) => format!("mtu {bytes}"),
            Self::Full => "mtu full".into(),
        }
    }
}

/// What a [`Step::Age`] lasts: the nodes' own clocks count it (`libknet/links.h: KNET_LINK_PONG_TIMEOUT_BACKOFF`, v1.25).
const AGE: Duration = Duration::from_secs(11);
/// What a [`Step::Nap`] lasts: not a deadline but the trouble itself.
const NAP: Duration = Duration::from_secs(1);
const TRAFFIC_WITHIN: Duration = Duration::from_secs(60);
/// Some ping timeouts of knet, or some searches of corosync for a path's MTU.
const LINKED_WITHIN: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);

const CONF: &str = "/etc/corosync/corosync.conf";
const KEY_FILE: &str = "/etc/corosync/authkey";
/// Times that a word is repeated: enough for the shortest key with words of four letters.
const KEY_WORDS: usize = 64;
/// Exit code of `corosync-cfgtool -R` for a configuration that it does not like.
const INVALID_PARAM: i32 = 7;

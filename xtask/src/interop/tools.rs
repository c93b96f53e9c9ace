//! What corosync's tools tell of the links of a ring, on two daemons: every line must be the same but for numbers that
//! count.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use super::calls::difference;
use super::lab::{Lab, Peers, Plan};
use super::{Outcome, Setup};

/// Asks on every node of a cluster of corosync and of one made as `plan` says, and compares.
pub(super) fn run(setup: &Setup, name: &str, plan: &Plan) -> anyhow::Result<Outcome> {
    let theirs = Plan {
        corosync: Peers::ALL,
        ..*plan
    };
    let theirs = answers(setup, &format!("{name}-corosync"), &theirs)?;
    let ours = answers(setup, &format!("{name}-asked"), plan)?;
    match difference(&theirs, &ours) {
        None => Ok(Outcome::Passed(format!(
            "{} lines alike",
            theirs.lines().count()
        ))),
        Some(difference) => bail!("the tools were answered differently:\n{difference}"),
    }
}

/// Everything that the tools say on all nodes, once the links are settled.
fn answers(setup: &Setup, name: &str, plan: &Plan) -> anyhow::Result<String> {
    let lab = Lab::start(setup, name, plan)?;
    settle(&lab, plan)?;
    let mut text = String::new();
    for node in 1..=plan.nodes {
        for argv in ASKED {
            let answer = lab.output(node, argv)?;
            let answer = without_scopes(&answer);
            text += &format!("node {node}: {}\n{answer}", argv.join(" "));
        }
        let map = lab.output(node, &["corosync-cmapctl", "-m", "stats"])?;
        text += &format!("node {node}: statistics of knet\n{}", kinds(&map)?);
    }
    fs::write(setup.dir.join(format!("{name}.answers")), &text)?;
    Ok(text)
}

/// Waits until every link is connected and has found out the longest packet it can carry.
fn settle(lab: &Lab, plan: &Plan) -> anyhow::Result<()> {
    let deadline = Instant::now() + SETTLED_WITHIN;
    for node in 1..=plan.nodes {
        for peer in (1..=plan.nodes).filter(|peer| *peer != node) {
            for link in 0..plan.links {
                let number = |what| {
                    let key = format!("stats.knet.node{peer}.link{link}.{what}");
                    lab.statistic(node, &key).unwrap_or(0)
                };
                while number("connected") != 1 || number("mtu") < MTU_FOUND {
                    if Instant::now() >= deadline {
                        bail!("node {node} does not find link {link} to node {peer}");
                    }
                    thread::sleep(POLL);
                }
            }
        }
    }
    Ok(())
}

/// Without what C prints behind IPv6 addresses, `%2` for the interface of that number (D-63).
fn without_scopes(answer: &str) -> String {
    let mut parts = answer.split('%');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        text + part.trim_start_matches(|c: char| c.is_ascii_digit())
    })
}

/// The keys of knet's statistics with their types, without their values.
fn kinds(map: &str) -> anyhow::Result<String> {
    let mut text = String::new();
    for line in map.lines().filter(|line| line.starts_with("stats.knet.")) {
        let (kind, _) = line.split_once(" = ").context("a key without value")?;
        text += &format!("{kind}\n");
    }
    if text.is_empty() {
        bail!("there are no statistics of knet");
    }
    Ok(text)
}

const ASKED: [&[&str]; 3] = [
    &["corosync-cfgtool", "-s"],
    &["corosync-cfgtool", "-n"],
    &["corosync-cfgtool", "-b"],
];
/// What a new link is believed to carry is a third of this, and what it carries more.
const MTU_FOUND: u64 = 1300;
const SETTLED_WITHIN: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::{kinds, without_scopes};

    #[test]
    fn scopes_of_addresses_do_not_count() {
        let told = "(fd77:1::1%2->fd77:1::2%12) enabled";
        assert_eq!(without_scopes(told), "(fd77:1::1->fd77:1::2) enabled");
        assert_eq!(without_scopes("10.0.0.1\n"), "10.0.0.1\n");
    }

    #[test]
    fn keys_keep_their_types_and_lose_their_values() {
        let map = "stats.ipcs.global.active (u64) = 2\n\
                   stats.knet.handle.rx_crypt_packets (u64) = 17\n\
                   stats.knet.node1.link0.connected (u8) = 1\n";
        assert_eq!(
            kinds(map).unwrap(),
            "stats.knet.handle.rx_crypt_packets (u64)\nstats.knet.node1.link0.connected (u8)\n"
        );
        assert!(kinds("stats.ipcs.global.active (u64) = 2\n").is_err());
    }
}

//! The screen, and JSON.

use std::fmt::Write as _;

use ferrosync_client::cfg::PeerLink;
use serde_json::{Value as Json, json};

use super::look::{Cluster, Node};

/// The screen; with an earlier look also how fast messages go.
pub(super) fn screen(cluster: &Cluster, before: Option<&Cluster>) -> String {
    let lines = [
        head(cluster),
        quorum(cluster),
        nodes(cluster),
        groups(cluster),
    ];
    let mut text = lines.concat();
    text += &traffic(cluster, before);
    let warnings = warnings(cluster);
    if warnings.is_empty() {
        text += &labelled("Warnings", "none");
    }
    for (number, warning) in warnings.iter().enumerate() {
        let label = if number == 0 { "Warnings" } else { "" };
        text += &labelled(label, warning);
    }
    text
}

/// What somebody should look at.
pub(super) fn warnings(cluster: &Cluster) -> Vec<String> {
    let mut warnings = Vec::new();
    if !cluster.quorum.quorate {
        warnings.push("this part of the cluster has no quorum".to_owned());
    }
    for node in cluster.nodes.iter().filter(|node| !node.is_member) {
        warnings.push(format!("node {} is not there", called(node)));
    }
    for node in cluster.nodes.iter().filter(|node| node.is_member) {
        for (number, link) in node.links.iter().filter(|(_, link)| !link.connected) {
            let (from, to) = (&link.source, &link.destination);
            warnings.push(format!(
                "link {number} to node {} is down ({from} to {to})",
                called(node)
            ));
        }
    }
    let lost = cluster.traffic.get("operational_token_lost");
    if lost > 0 {
        warnings.push(format!(
            "the token was lost {lost} times since the daemon started"
        ));
    }
    let sent = cluster.traffic.get("mcast_tx") + cluster.traffic.get("mcast_rx");
    let again = cluster.traffic.get("mcast_retx");
    if again > RETRANSMITTED_FEW && again > sent / RETRANSMITTED_SHARE {
        warnings.push(format!(
            "{again} messages had to be sent again: the network loses packets"
        ));
    }
    warnings
}

/// Everything, for programs (`docs/tools.md`).
pub(super) fn json(cluster: &Cluster) -> Json {
    let votes = cluster.quorum.votes.as_ref().map(|info| {
        json!({
            "expected": info.expected_votes,
            "present": info.total_votes,
            "needed": info.quorum,
        })
    });
    let groups: Vec<Json> = cluster
        .groups
        .iter()
        .map(|(group, members)| {
            json!({ "group": group.as_bytes().escape_ascii().to_string(), "members": members })
        })
        .collect();
    json!({
        "cluster": cluster.name,
        "transport": cluster.transport,
        "node": cluster.local.0,
        "ring_seq": cluster.ring_seq.0,
        "quorate": cluster.quorum.quorate,
        "provider": cluster.quorum.provider,
        "votes": votes,
        "nodes": cluster.nodes.iter().map(|node| node_json(cluster, node)).collect::<Vec<_>>(),
        "groups": groups,
        "traffic": cluster.traffic.counters,
        "warnings": warnings(cluster),
    })
}

fn node_json(cluster: &Cluster, node: &Node) -> Json {
    let link = |(number, link): &(usize, PeerLink)| {
        json!({
            "link": number,
            "connected": link.connected,
            "source": link.source,
            "destination": link.destination,
            "mtu": link.mtu,
        })
    };
    json!({
        "node": node.id.0,
        "name": node.name,
        "local": node.id == cluster.local,
        "member": node.is_member,
        "addresses": node.addresses,
        "links": node.links.iter().map(link).collect::<Vec<_>>(),
    })
}

fn head(cluster: &Cluster) -> String {
    let (name, transport) = (&cluster.name, &cluster.transport);
    let (local, seq) = (cluster.local, cluster.ring_seq);
    let name = if name.is_empty() { "(no name)" } else { name };
    labelled(
        "Cluster",
        &format!("{name}, transport {transport}, node {local}, ring sequence {seq}"),
    )
}

fn quorum(cluster: &Cluster) -> String {
    let quorum = &cluster.quorum;
    let provider = quorum.provider.as_deref().unwrap_or("no provider");
    let word = if quorum.quorate { "yes" } else { "NO" };
    let votes = quorum.votes.as_ref().map_or(String::new(), |info| {
        let (present, expected, needed) = (info.total_votes, info.expected_votes, info.quorum);
        format!(", {present} of {expected} votes, {needed} needed")
    });
    labelled("Quorum", &format!("{word}{votes} ({provider})"))
}

fn nodes(cluster: &Cluster) -> String {
    let there = cluster.nodes.iter().filter(|node| node.is_member).count();
    let mut text = labelled("Nodes", &format!("{there} of {}", cluster.nodes.len()));
    for node in &cluster.nodes {
        let state = match (node.is_member, node.id == cluster.local) {
            (true, true) => "here",
            (true, false) => "member",
            (false, _) => "GONE",
        };
        let links: Vec<String> = node.links.iter().map(link).collect();
        let links = if links.is_empty() {
            node.addresses.join(" ")
        } else {
            links.join(", ")
        };
        let name = node.name.as_deref().unwrap_or("-");
        // What cannot fail is not looked at.
        let _ = writeln!(
            text,
            "{INDENT}{:>10}  {name:<20}  {state:<6}  {links}",
            node.id.0
        );
    }
    text
}

fn link((number, link): &(usize, PeerLink)) -> String {
    let state = if link.connected { "up" } else { "DOWN" };
    format!("{number} {state} {}", link.destination)
}

fn groups(cluster: &Cluster) -> String {
    let shown = cluster.groups.iter().take(GROUPS_SHOWN);
    let names: Vec<String> = shown
        .map(|(group, members)| format!("{} ({members})", group.as_bytes().escape_ascii()))
        .collect();
    let rest = cluster.groups.len().saturating_sub(GROUPS_SHOWN);
    let rest = if rest > 0 {
        format!(" and {rest} more")
    } else {
        String::new()
    };
    let count = cluster.groups.len();
    labelled(
        "Groups",
        format!("{count}  {}{rest}", names.join(", ")).trim_end(),
    )
}

fn traffic(cluster: &Cluster, before: Option<&Cluster>) -> String {
    let words = [
        ("sent", "mcast_tx"),
        ("received", "mcast_rx"),
        ("sent again", "mcast_retx"),
    ];
    let parts: Vec<String> = words
        .into_iter()
        .map(|(word, counter)| {
            let count = cluster.traffic.get(counter);
            let rate = before.and_then(|before| rate(cluster, before, counter));
            let rate = rate.map_or(String::new(), |rate| format!(" ({rate}/s)"));
            format!("{word} {count}{rate}")
        })
        .collect();
    let rings = cluster.traffic.get("operational_entered");
    labelled(
        "Traffic",
        &format!("messages {}; rings formed {rings}", parts.join(", ")),
    )
}

/// Per second since an earlier look; none where too little time has passed, or the daemon is another one.
fn rate(now: &Cluster, before: &Cluster, counter: &str) -> Option<u64> {
    let millis = now
        .traffic
        .at
        .checked_duration_since(before.traffic.at)?
        .as_millis();
    let millis = u64::try_from(millis).ok().filter(|millis| *millis > 0)?;
    let count = now
        .traffic
        .get(counter)
        .checked_sub(before.traffic.get(counter))?;
    Some(count.saturating_mul(1000) / millis)
}

fn called(node: &Node) -> String {
    match &node.name {
        Some(name) => format!("{} ({name})", node.id),
        None => node.id.to_string(),
    }
}

fn labelled(label: &str, text: &str) -> String {
    format!("{label:<10}{text}\n")
}

const INDENT: &str = "          ";
/// Groups that are named.
const GROUPS_SHOWN: usize = 12;
/// Retransmissions that are no reason to worry: so many at all, and one in so many messages.
const RETRANSMITTED_FEW: u64 = 100;
const RETRANSMITTED_SHARE: u64 = 100;

#[cfg(test)]
mod tests;

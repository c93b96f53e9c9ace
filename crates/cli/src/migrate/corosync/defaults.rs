//! What Corosync 1 and 2 did without being told, and Corosync 3 does otherwise.

use std::net::IpAddr;

use super::super::args::Transport;
use super::super::draft::{Draft, LOGGING, TOTEM, interface, node};
use super::super::kind::Kind;
use super::super::tree::Section;
use super::Plan;

/// Writes the old defaults, after everything that the file says.
pub(super) fn write(draft: &mut Draft<'_>, root: &Section, plan: &Plan<'_>) {
    draft.add(TOTEM, ("version", "2"), "every file has it");
    let transport = plan.transport.word();
    draft.add(TOTEM, ("transport", transport), plan.why_transport);
    encryption(draft, plan);
    ip_version(draft, root, plan);
    timers(draft, root, plan);
    ports(draft, root, plan);
    if plan.kind == Kind::Corosync1 && plan.transport == Transport::Udpu {
        let why = "packets of hosts that are not in the list counted before and are dropped now; no is as before";
        draft.add(TOTEM, ("block_unlisted_ips", "yes"), why);
    }
    draft.add(
        LOGGING,
        ("timestamp", "off"),
        "lines had no time by default and have one with milliseconds now",
    );
    watchdog(draft, root, plan);
}

fn encryption(draft: &mut Draft<'_>, plan: &Plan<'_>) {
    if plan.transport != Transport::Knet || !plan.crypto.is_on() {
        return;
    }
    let why = "encryption was on by default and is off now";
    draft.add(TOTEM, ("crypto_cipher", &plan.crypto.cipher), why);
    draft.add(TOTEM, ("crypto_hash", &plan.crypto.hash), why);
}

/// Names of nodes were resolved to IPv4 addresses alone (corosync `totemconfig.c:totem_config_get_ip_version`, v2.4.6), or to
/// whatever the resolver named first, which had to be on the network of `bindnetaddr` (v1.4.9). IPv6 comes first now, and with
/// udp only IPv4 is taken (v3.1.7).
fn ip_version(draft: &mut Draft<'_>, root: &Section, plan: &Plan<'_>) {
    let named = addresses(draft, |address| address.parse::<IpAddr>().is_err());
    let v6 = addresses(draft, |address| {
        address.parse::<IpAddr>().is_ok_and(|ip| ip.is_ipv6())
    });
    let udp = plan.transport == Transport::Udp;
    let network = root
        .named("totem")
        .flat_map(|totem| totem.named("interface"))
        .find_map(|interface| interface.value("bindnetaddr")?.parse::<IpAddr>().ok());
    let (version, why) = match (plan.kind, network) {
        (Kind::Corosync1, Some(IpAddr::V6(_))) if named || udp => {
            ("ipv6", "bindnetaddr is an IPv6 address")
        }
        (Kind::Corosync1, Some(IpAddr::V4(_))) if named && !udp => (
            "ipv4",
            "bindnetaddr is an IPv4 address; names are resolved to IPv6 first now",
        ),
        // Where addresses of both kinds come together, only --node can have brought the others.
        (Kind::Corosync2, _) if named && !udp => (
            if v6 { "ipv4-6" } else { "ipv4" },
            "names were resolved to IPv4 by default, and to IPv6 first now",
        ),
        (Kind::Corosync1 | Kind::Corosync2 | Kind::Corosync3 | Kind::Cman | Kind::Heartbeat, _) => {
            return;
        }
    };
    draft.add(TOTEM, ("ip_version", version), why);
}

/// Whether any address of the new list of nodes is such a one.
fn addresses(draft: &Draft<'_>, is_such: impl Fn(&str) -> bool) -> bool {
    let nodes = draft.conf.count(&[("nodelist", 0)], "node");
    (0..nodes).any(|index| {
        let slot = node(index);
        let mut links = (0..super::super::args::LINKS_MAX)
            .filter_map(|link| draft.conf.get(&slot, &format!("ring{link}_addr")));
        links.any(&is_such)
    })
}

fn timers(draft: &mut Draft<'_>, root: &Section, plan: &Plan<'_>) {
    if root.value_in("totem", "token").is_none() {
        let why = "the default was 1000 ms and is 3000 ms now";
        draft.add(TOTEM, ("token", "1000"), why);
    }
    let scaled = plan.kind == Kind::Corosync2 && root.named("nodelist").next().is_some();
    if !scaled && draft.conf.count(&[("nodelist", 0)], "node") > 2 {
        let why = "the token timeout did not grow with the number of nodes";
        draft.add(TOTEM, ("token_coefficient", "0"), why);
    }
}

/// All rings had one port (corosync `totemconfig.c:totem_config_read`, v2.4.6), or with broadcast every second one; links
/// have one after the other (v3.1.7). Corosync 1 had no default.
fn ports(draft: &mut Draft<'_>, root: &Section, plan: &Plan<'_>) {
    if plan.kind != Kind::Corosync2 || plan.transport != Transport::Knet {
        return;
    }
    let broadcast = root
        .named("totem")
        .flat_map(|totem| totem.named("interface"))
        .any(|interface| interface.value("broadcast") == Some("yes"));
    for link in 1..plan.rings.links() {
        let slot = interface(link);
        if draft.conf.get(&slot, "mcastport").is_some() {
            continue;
        }
        let port = if broadcast { PORT + 2 * link } else { PORT };
        let number = link.to_string();
        let why = "which link this section speaks of";
        draft.add(&slot, ("linknumber", &number), why);
        let why = format!("the default was {port} and is {} now", PORT + link);
        draft.add(&slot, ("mcastport", &port.to_string()), &why);
    }
}

/// `/dev/watchdog` was used where it existed, if the program was built so (corosync `wd.c:watchdog_device`, v2.4.6); none
/// is used now. Files that speak of a watchdog are of those that were.
fn watchdog(draft: &mut Draft<'_>, root: &Section, plan: &Plan<'_>) {
    if plan.kind != Kind::Corosync2 {
        return;
    }
    let resources: Vec<_> = root.named("resources").flat_map(Section::all).collect();
    let wanted = resources.iter().any(|entry| {
        entry.key == "watchdog_timeout" || (entry.key == "recovery" && entry.value == "watchdog")
    });
    let (device, why) = if wanted {
        (
            "/dev/watchdog",
            "it was the default, and without it no watchdog is used now",
        )
    } else {
        (
            "off",
            "a Corosync 2 that was built with it used /dev/watchdog by default; write that where it shall be used",
        )
    };
    draft.add(&[("resources", 0)], ("watchdog_device", device), why);
}

/// The port of the first link (corosync `totemconfig.c:DEFAULT_PORT`).
const PORT: usize = 5405;

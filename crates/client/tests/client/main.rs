//! The client crate against real daemons: this project's and, where it is installed, Corosync's. Each runs alone in
//! namespaces of its own, and every test is made with either.

#[cfg(test)]
mod cfg;
#[cfg(test)]
mod cmap;
#[cfg(test)]
mod cpg;
#[cfg(test)]
mod daemon;
#[cfg(test)]
mod quorum;
#[cfg(test)]
mod sam;
#[cfg(test)]
mod votequorum;

use daemon::{Daemon, Ipc, Kind};

/// What is tested, by name.
const BODIES: &[(&str, fn())] = &[
    ("cpg: messages", cpg::messages_come_back_in_order),
    ("cpg: long messages", cpg::long_messages_come_back_whole),
    ("cpg: flood", cpg::a_flood_is_held_back_but_not_lost),
    ("cpg: join and leave", cpg::who_joins_and_leaves_is_told),
    ("cpg: other processes", cpg::other_processes_come_and_die),
    ("cpg: iteration", cpg::groups_and_processes_are_found),
    ("cpg: ring", cpg::the_ring_is_told_on_request),
    ("cpg: poll loop", cpg::the_descriptor_tells_of_events),
    ("cmap: values", cmap::values_come_back_as_they_were_put),
    ("cmap: errors", cmap::what_does_not_fit_is_refused),
    ("cmap: integers", cmap::integers_are_adjusted),
    ("cmap: iteration", cmap::keys_are_found_in_order),
    ("cmap: tracking", cmap::changes_are_told),
    ("cmap: statistics", cmap::statistics_are_another_map),
    ("cfg: nodes and links", cfg::nodes_and_links_are_known),
    ("cfg: errors", cfg::what_is_not_there_is_refused),
    ("cfg: orders", cfg::orders_are_carried_out),
    ("cfg: shutdown", cfg::a_shutdown_is_voted_on),
    ("quorum: model 0", quorum::model_0_tells_quorum),
    ("quorum: model 1", quorum::model_1_tells_nodes_and_quorum),
    ("sam: ends", sam::programs_end_in_order_or_fail),
    ("sam: health", sam::a_silent_program_is_started_again),
    ("sam: map", sam::the_map_shows_programs),
    ("sam: quorum", sam::quorum_starts_and_ends_programs),
    ("votequorum: info", votequorum::votes_are_known),
    (
        "votequorum: changes",
        votequorum::votes_change_and_trackers_hear,
    ),
    (
        "votequorum: devices",
        votequorum::devices_are_refused_as_unknown,
    ),
];

#[test]
fn with_ferrosync() {
    daemon::in_namespaces(Kind::Ferrosync, Ipc::Shm);
}

#[test]
fn with_ferrosync_over_sockets() {
    daemon::in_namespaces(Kind::Ferrosync, Ipc::Socket);
}

#[test]
fn with_corosync() {
    daemon::in_namespaces(Kind::Corosync, Ipc::Shm);
}

#[test]
fn with_corosync_over_sockets() {
    daemon::in_namespaces(Kind::Corosync, Ipc::Socket);
}

/// Everything that happens in the namespaces; elsewhere nothing.
#[test]
fn inside() {
    let Ok(name) = std::env::var(daemon::INSIDE) else {
        return;
    };
    let kinds = [Kind::Ferrosync, Kind::Corosync];
    let all = kinds
        .into_iter()
        .flat_map(|kind| [(kind, Ipc::Shm), (kind, Ipc::Socket)]);
    let this = all
        .into_iter()
        .find(|(kind, ipc)| daemon::name_of(*kind, *ipc) == name);
    let (kind, ipc) = this.expect("one of those that were started");
    let mut daemon = Daemon::start(kind, ipc);
    for (body_name, body) in BODIES {
        eprintln!("{name}: {body_name}");
        body();
    }
    eprintln!("{name}: the end of the daemon");
    let mut cpg = cpg::connect();
    let mut cmap = cmap::connect();
    let mut quorum = quorum::connect();
    let mut cfg = cfg::connect();
    daemon.kill();
    cpg::is_lost(&mut cpg);
    cmap::is_lost(&mut cmap);
    quorum::is_lost(&mut quorum);
    cfg::is_lost(&mut cfg);
    eprintln!("{}", daemon::ALL_DONE);
}

/// What a child of these tests is to be: [`daemon::as_ferrosyncd`], [`cpg::as_member`] or [`sam::as_supervised`].
#[test]
fn child() {
    match std::env::var(daemon::CHILD).as_deref() {
        Ok("ferrosyncd") => daemon::as_ferrosyncd(),
        Ok("member") => cpg::as_member(),
        Ok("supervised") => sam::as_supervised(),
        Ok(other) => panic!("unknown child {other}"),
        Err(_) => {}
    }
}

//! The statistics map, computed when somebody looks (corosync `exec/stats.c`, v3.1.7).

mod knet;

use std::collections::BTreeMap;

use ferrosync_totem::srp::{CONTINUOUS_GATHER_MAX, SrpStats};
use ferrosync_wire::ipc::CsError;
use ferrosync_wire::ipc::cmap::{TRACK_ADD, TRACK_DELETE, TRACK_PREFIX};
use ferrosync_wire::{ConnId, Value};

use crate::clients::Client;
use crate::core::Core;
use crate::icmap::TrackFlags;
use crate::pauses::milliseconds;
use crate::service::Ctx;

/// Every key with its value now.
pub(super) fn all(core: &Core) -> BTreeMap<String, Value> {
    let mut map = BTreeMap::new();
    pg(core, &mut map);
    srp(core, &mut map);
    if let Some(transport) = core.transport().as_knet() {
        knet::all(transport, &mut map);
    }
    ipcs(core, &mut map);
    pauses(core, &mut map);
    map
}

/// One value, without a look at everything else: tools ask for key after key.
pub(super) fn get(core: &Core, name: &str) -> Option<Value> {
    let mut map = BTreeMap::new();
    let section = name.strip_prefix("stats.")?.split('.').next()?;
    match section {
        "pg" => pg(core, &mut map),
        "srp" => srp(core, &mut map),
        "knet" => knet::all(core.transport().as_knet()?, &mut map),
        "ipcs" => match conn_of(name) {
            Some(conn) => ipcs_conn(conn, core.clients().get(conn)?, &mut map),
            None => ipcs_global(core, &mut map),
        },
        "schedmiss" => pauses(core, &mut map),
        _ => {}
    }
    map.remove(name)
}

/// Whether a tracker of the statistics may want this: of a whole prefix both what comes and what goes, or nothing
/// (corosync `stats.c:stats_map_track_add`, v3.1.7).
pub(super) fn check_flags(flags: TrackFlags) -> Result<(), CsError> {
    if flags.has(TRACK_PREFIX) && !(flags.has(TRACK_ADD) && flags.has(TRACK_DELETE)) {
        return Err(CsError::NotSupported);
    }
    Ok(())
}

/// The keys that a client may write reset counters; all others only tell.
pub(super) fn set(cx: &mut Ctx<'_>, name: &str) -> Result<(), CsError> {
    match name {
        "stats.clear.schedmiss" => cx.clear_pauses(),
        "stats.clear.knet" => cx.clear_link_stats(),
        "stats.clear.totem" => cx.clear_ring_stats(),
        "stats.clear.ipc" => cx.clear_client_stats(),
        "stats.clear.all" => {
            cx.clear_ring_stats();
            cx.clear_client_stats();
            cx.clear_link_stats();
            cx.clear_pauses();
        }
        other if other.starts_with("stats.clear.") => return Err(CsError::NotSupported),
        _ => return Err(CsError::Access),
    }
    Ok(())
}

fn pg(core: &Core, map: &mut BTreeMap<String, Value>) {
    let available = u32::try_from(core.pg().free_frames()).unwrap_or(u32::MAX);
    put(map, "stats.pg.msg_queue_avail", Value::U32(available));
    // Nothing is reserved between two messages: C starts to count at 1.
    put(map, "stats.pg.msg_reserved", Value::U32(1));
}

fn srp(core: &Core, map: &mut BTreeMap<String, Value>) {
    let srp = core.pg().srp();
    let s: &SrpStats = srp.stats();
    let counters = [
        ("orf_token_tx", s.orf_token_tx),
        ("orf_token_rx", s.orf_token_rx),
        ("memb_merge_detect_tx", s.memb_merge_detect_tx),
        ("memb_merge_detect_rx", s.memb_merge_detect_rx),
        ("memb_join_tx", s.memb_join_tx),
        ("memb_join_rx", s.memb_join_rx),
        ("mcast_tx", s.mcast_tx),
        ("mcast_retx", s.mcast_retx),
        ("mcast_rx", s.mcast_rx),
        ("memb_commit_token_tx", s.memb_commit_token_tx),
        ("memb_commit_token_rx", s.memb_commit_token_rx),
        ("token_hold_cancel_tx", s.token_hold_cancel_tx),
        ("token_hold_cancel_rx", s.token_hold_cancel_rx),
        ("operational_entered", s.operational_entered),
        ("operational_token_lost", s.operational_token_lost),
        ("gather_entered", s.gather_entered),
        ("gather_token_lost", s.gather_token_lost),
        ("commit_entered", s.commit_entered),
        ("commit_token_lost", s.commit_token_lost),
        ("recovery_entered", s.recovery_entered),
        ("recovery_token_lost", s.recovery_token_lost),
        ("consensus_timeouts", s.consensus_timeouts),
        ("rx_msg_dropped", s.rx_msg_dropped),
    ];
    for (name, value) in counters {
        put(map, &format!("stats.srp.{name}"), Value::U64(value));
    }
    let since = srp
        .last_token_at()
        .map_or(0, |at| core.now.since(at).as_millis());
    let since = u64::try_from(since).unwrap_or(u64::MAX);
    put(
        map,
        "stats.srp.time_since_token_last_received",
        Value::U64(since),
    );
    let ms = |d: ferrosync_wire::Duration| u32::try_from(d.as_millis()).unwrap_or(u32::MAX);
    let numbers = [
        ("continuous_gather", s.continuous_gather),
        ("continuous_sendmsg_failures", 0),
        ("mtt_rx_token", ms(s.token.rotation)),
        ("avg_token_workload", ms(s.token.workload)),
        ("avg_backlog_calc", s.token.backlog_16 / 16),
    ];
    for (name, value) in numbers {
        put(map, &format!("stats.srp.{name}"), Value::U32(value));
    }
    let blocked = u8::from(s.continuous_gather > CONTINUOUS_GATHER_MAX);
    put(
        map,
        "stats.srp.firewall_enabled_or_nic_failure",
        Value::U8(blocked),
    );
}

fn ipcs(core: &Core, map: &mut BTreeMap<String, Value>) {
    ipcs_global(core, map);
    for (conn, client) in core.clients().iter() {
        ipcs_conn(conn, client, map);
    }
}

fn ipcs_global(core: &Core, map: &mut BTreeMap<String, Value>) {
    let clients = core.clients();
    let active = clients.iter().count() as u64;
    put(map, "stats.ipcs.global.active", Value::U64(active));
    put(
        map,
        "stats.ipcs.global.closed",
        Value::U64(clients.closed()),
    );
}

/// The connection that a key of the statistics is about.
fn conn_of(name: &str) -> Option<ConnId> {
    let number = name.split('.').nth(4)?.strip_prefix("0x")?;
    u64::from_str_radix(number, 16).ok().map(ConnId)
}

fn ipcs_conn(conn: ConnId, client: &Client, map: &mut BTreeMap<String, Value>) {
    // C puts the address of its connection last; ours is told apart by a number as well.
    let prefix = format!(
        "stats.ipcs.service{}.{}.{:#x}",
        client.service.0, client.who.pid, conn.0
    );
    let held = u32::try_from(client.held_events()).unwrap_or(u32::MAX);
    let s = &client.stats;
    let values = [
        ("queueing", Value::I32(i32::from(held > 0))),
        ("queued", Value::U32(held)),
        ("invalid_request", Value::U64(s.invalid_requests)),
        ("overload", Value::U64(0)),
        (
            "sent",
            Value::U32(u32::try_from(s.events).unwrap_or(u32::MAX)),
        ),
        ("procname", Value::str(&client.program)),
        ("requests", Value::U64(s.requests)),
        ("responses", Value::U64(s.responses)),
        ("dispatched", Value::U64(s.events)),
        ("send_retries", Value::U64(s.send_retries)),
        ("recv_retries", Value::U64(s.recv_retries)),
        ("flow_control", Value::U32(client.flow_control as u32)),
        ("flow_control_count", Value::U64(s.flow_control_changes)),
    ];
    for (name, value) in values {
        put(map, &format!("{prefix}.{name}"), value);
    }
}

/// When the process did not run, the youngest first.
fn pauses(core: &Core, map: &mut BTreeMap<String, Value>) {
    for (n, pause) in core.pauses.last().enumerate() {
        let delay = Value::F32(milliseconds(pause.delay));
        put(
            map,
            &format!("{PAUSES}{n}.timestamp"),
            Value::U64(pause.at_ms),
        );
        put(map, &format!("{PAUSES}{n}.delay"), delay);
    }
}

fn put(map: &mut BTreeMap<String, Value>, key: &str, value: Value) {
    map.insert(key.to_owned(), value);
}

/// Where pauses of the process stand.
pub(super) const PAUSES: &str = "stats.schedmiss.";

//! The service in whole nodes, alone and in rings, and against a model of what C does.

use ferrosync_wire::ipc::cpg::{Address, Event, JOIN_INITIAL_TOTEM_CONF, Reason, Request};
use ferrosync_wire::ipc::{CsError, ResponseHeader};
use ferrosync_wire::{Decode, GroupName, Reader, ServiceId};

use crate::testing::{Client, Cluster};

mod bounds;
mod calls;
mod model;
mod rings;
mod zero_copy;

fn group(name: &str) -> GroupName {
    GroupName::new(name.as_bytes()).unwrap()
}

fn join_request(name: &str, pid: u32) -> Request<'static> {
    let group = group(name);
    let flags = 0;
    Request::Join { group, pid, flags }
}

fn leave_request(name: &str) -> Request<'static> {
    let group = group(name);
    Request::Leave { group, pid: 0 }
}

const fn mcast_request(data: &[u8]) -> Request<'_> {
    let guarantee = 2;
    Request::Mcast { guarantee, data }
}

/// How an answer says the call ended, and its id.
fn status(answer: &[u8]) -> (i32, Result<(), CsError>) {
    let header = ResponseHeader::decode(&mut Reader::new(answer)).unwrap();
    assert_eq!(header.size as usize, answer.len());
    (header.id, header.status)
}

#[track_caller]
fn call(cluster: &mut Cluster, client: Client, request: &Request<'_>) -> Result<(), CsError> {
    status(&cluster.call(client, request)).1
}

/// A client in a group. The cluster is let settle, the events so far are not taken.
#[track_caller]
fn joined(cluster: &mut Cluster, node: u32, name: &str, pid: u32) -> Client {
    let client = cluster.connect(node, ServiceId::CPG);
    assert_eq!(call(cluster, client, &join_request(name, pid)), Ok(()));
    cluster.settle();
    client
}

/// The events since the last time, as text.
fn events(cluster: &mut Cluster, client: Client) -> Vec<String> {
    let events = cluster.events(client);
    events.iter().map(|event| text(event)).collect()
}

/// As [`events`], without those about the ring.
fn group_events(cluster: &mut Cluster, client: Client) -> Vec<String> {
    let mut events = events(cluster, client);
    events.retain(|event| !event.starts_with("ring"));
    events
}

/// Takes and forgets the events so far.
fn forget(cluster: &mut Cluster, clients: &[Client]) {
    for client in clients {
        cluster.events(*client);
    }
}

/// An event in one line: `g [members] -[left] +[joined]`, `g node:pid data`, `ring [members]`.
fn text(event: &[u8]) -> String {
    match Event::decode(&mut Reader::new(event)).unwrap() {
        Event::Confchg(e) => {
            let lists = [("", &e.members), (" -", &e.left), (" +", &e.joined)];
            let lists = lists.map(|(sign, list)| match list.is_empty() && !sign.is_empty() {
                true => String::new(),
                false => format!("{sign}[{}]", addresses(list)),
            });
            format!("{} {}", e.group, lists.concat())
        }
        Event::Deliver(e) => {
            format!(
                "{} {}:{} {}",
                e.group,
                e.nodeid,
                e.pid,
                e.data.escape_ascii()
            )
        }
        Event::PartialDeliver(e) => {
            let (kind, size, data) = (e.kind.0, e.msglen, e.data.escape_ascii());
            format!(
                "{} {}:{} {kind} of {size}: {data}",
                e.group, e.nodeid, e.pid
            )
        }
        Event::TotemConfchg(e) => {
            let members: Vec<String> = e.members.iter().map(ToString::to_string).collect();
            format!("ring [{}]", members.join(" "))
        }
    }
}

fn addresses(list: &[Address]) -> String {
    let one = |a: &Address| match reason(a.reason) {
        "" => format!("{}:{}", a.nodeid, a.pid),
        reason => format!("{}:{} {reason}", a.nodeid, a.pid),
    };
    let list: Vec<String> = list.iter().map(one).collect();
    list.join(" ")
}

fn reason(reason: Reason) -> &'static str {
    match reason {
        Reason::UNDEFINED => "",
        Reason::JOIN => "join",
        Reason::LEAVE => "leave",
        Reason::NODEDOWN => "nodedown",
        Reason::NODEUP => "nodeup",
        Reason::PROCDOWN => "procdown",
        _ => "?",
    }
}

/// A client in a group that asked for the ring's membership.
#[track_caller]
fn joined_with_ring(cluster: &mut Cluster, node: u32, name: &str, pid: u32) -> Client {
    let client = cluster.connect(node, ServiceId::CPG);
    let request = Request::Join {
        group: group(name),
        pid,
        flags: JOIN_INITIAL_TOTEM_CONF,
    };
    assert_eq!(call(cluster, client, &request), Ok(()));
    cluster.settle();
    client
}

//! A whole node with clients that ask for anything and members that say anything.

mod clients;
mod machine;

use ferrosync_executive::output::{
    Control, Figure, HostAnswer, HostRequest, Measured, WatchdogAnswer, WatchdogRequest,
};
use ferrosync_wire::ipc::CsError;
use ferrosync_wire::pg::Group;
use ferrosync_wire::{Duration, NodeId, ServiceId};

use crate::feed::Feed;
use crate::puppet::packet;
use machine::{Machine, PUPPET};

/// A node with one correct neighbour, and a sequence of requests, messages and frames.
///
/// Whatever arrives: no panic, effects of one input are bounded, every answer belongs to a request and says how long
/// it is, and nobody gets more than one answer to a request. And when the hostile ones are gone, the node forms a
/// ring of its own, synchronises, and serves a client.
pub fn node_inputs(data: &[u8]) {
    let mut feed = Feed::new(data);
    let mut world = World {
        machine: Machine::start(feed.u8()),
    };
    for _ in 0..STEPS_MAX {
        if feed.is_empty() || world.machine.has_exited() {
            break;
        }
        world.step(&mut feed);
    }
    if !world.machine.has_exited() {
        world.machine.recover();
    }
}

struct World {
    machine: Machine,
}

impl World {
    fn step(&mut self, feed: &mut Feed<'_>) {
        let machine = &mut self.machine;
        match feed.u8() % 16 {
            0 | 1 => {
                let service = ServiceId(u16::from(feed.u8() % SERVICES));
                let uid = u32::from(feed.u8() % 4 / 3);
                machine.connect(service, uid);
            }
            2..=4 => {
                let client = feed.u8();
                machine.request(client, request(feed));
            }
            5 => {
                let client = feed.u8();
                machine.request(client, feed.long_bytes().to_vec());
            }
            6 => machine.close(feed.u8()),
            7 => machine.toggle_reading(feed.u8()),
            8 | 9 => {
                let body = exec_message(feed);
                self.send(&packet(Group::Services.header(), &body));
            }
            10 => {
                let body = sync_message(feed);
                self.send(&packet(Group::Sync.header(), &body));
            }
            11 => self.send(feed.long_bytes()),
            12 => machine.receive(feed.long_bytes()),
            13 => self.change(feed),
            14 => self.answer(feed),
            _ => machine.cooperate(usize::from(feed.u8()) % TURNS_MAX),
        }
    }

    /// The neighbour multicasts, and the token goes round a few times.
    fn send(&mut self, payload: &[u8]) {
        self.machine.puppets.send(PUPPET, payload.to_vec());
        self.machine.cooperate(AFTER_SENDING);
    }

    fn change(&mut self, feed: &mut Feed<'_>) {
        let machine = &mut self.machine;
        match feed.u8() % 8 {
            0 => machine.puppets.alive.clear(),
            1 => {
                machine.puppets.alive.insert(PUPPET);
            }
            2 => machine.control(Control::DumpState),
            3 => machine.control(Control::Shutdown),
            4 => {
                machine.puppets.alive.insert(NodeId(3));
            }
            _ => machine.sleep(Duration::from_millis(feed.u16().into())),
        }
    }

    /// The host did, or could not do, what a service asked for.
    fn answer(&mut self, feed: &mut Feed<'_>) {
        let good = feed.u8().is_multiple_of(2);
        let result = || {
            if good {
                Ok(())
            } else {
                Err(CsError::BadHandle)
            }
        };
        let buffer;
        let answer = match self.machine.next_wish() {
            None => return,
            Some(HostRequest::ZeroCopyAlloc { conn, .. }) => HostAnswer::ZeroCopyMapped {
                conn,
                result: result().map(|()| feed.u64()),
            },
            Some(HostRequest::ZeroCopyFree { conn, .. }) => HostAnswer::ZeroCopyFreed {
                conn,
                result: result(),
            },
            Some(HostRequest::ZeroCopyExecute { conn, .. }) => {
                buffer = zero_copy_buffer(feed);
                HostAnswer::ZeroCopyRead {
                    conn,
                    request: result().map(|()| buffer.as_slice()),
                }
            }
            Some(HostRequest::ReopenLogs { conn }) => HostAnswer::LogsReopened {
                conn,
                result: result(),
            },
            Some(HostRequest::ReadKey) => HostAnswer::KeyRead { key: None },
            Some(HostRequest::ReadConfig { .. }) => HostAnswer::ConfigRead {
                result: match result() {
                    Ok(()) => Ok(Box::new(machine::reread(feed.u8()))),
                    Err(_) => Err("corosync.conf:1: a file that says nothing".to_owned()),
                },
            },
            Some(HostRequest::Measure(figure)) => HostAnswer::Measured(match figure {
                Figure::MemoryUsed => Measured::MemoryUsed(Ok(feed.u8() % 101)),
                Figure::Load15 => Measured::Load15(Ok(f64::from(feed.u32()))),
            }),
            Some(HostRequest::Watchdog(request)) => match watchdog(&request, feed) {
                Some(answer) => HostAnswer::Watchdog(answer),
                None => return,
            },
            Some(HostRequest::Date(pause)) => HostAnswer::Dated {
                pause,
                at_ms: feed.u64(),
            },
            Some(
                HostRequest::SetLogging(_)
                | HostRequest::SetLinks(_)
                | HostRequest::DumpFlightData
                | HostRequest::Machine(_),
            ) => return,
        };
        self.machine.answer(answer);
    }
}

/// A device with a will of its own.
fn watchdog(request: &WatchdogRequest, feed: &mut Feed<'_>) -> Option<WatchdogAnswer> {
    let timeout_s = feed.u8().is_multiple_of(2).then(|| feed.u32());
    match request {
        WatchdogRequest::Open { .. } => Some(match feed.u8() % 4 {
            0 => WatchdogAnswer::Missing,
            1 => WatchdogAnswer::Refused("it bites".to_owned()),
            _ => WatchdogAnswer::Opened { timeout_s },
        }),
        WatchdogRequest::SetTimeout(_) => Some(WatchdogAnswer::TimeoutSet { timeout_s }),
        WatchdogRequest::Tickle | WatchdogRequest::Close => None,
    }
}

/// A request with a header: number, size (right or not), body.
fn request(feed: &mut Feed<'_>) -> Vec<u8> {
    let id = match feed.u8() {
        255 => feed.u32().cast_signed(),
        few => i32::from(few % 24),
    };
    let honest = feed.u8() % 8 != 7;
    let claimed = if honest { 0 } else { feed.u32() };
    let mut body = feed.long_bytes().to_vec();
    // Structures are mostly zeros and longer than what an input says of them.
    let padded = usize::from(feed.u8()) * 8;
    body.resize(body.len().max(padded), 0);
    let size = u32::try_from(HEADER + body.len()).expect("inputs are short");
    let size = if honest { size } else { claimed };
    let mut out = vec![0; HEADER];
    out[..4].copy_from_slice(&id.to_le_bytes());
    out[8..12].copy_from_slice(&size.to_le_bytes());
    out.append(&mut body);
    out
}

/// A message to a service with its header.
fn exec_message(feed: &mut Feed<'_>) -> Vec<u8> {
    let id = u32::from(feed.u8() % SERVICES) << 16 | u32::from(feed.u8() % FUNCTIONS);
    with_exec_header(id, feed)
}

fn sync_message(feed: &mut Feed<'_>) -> Vec<u8> {
    let id = u32::from(feed.u8() % 3);
    with_exec_header(id, feed)
}

fn with_exec_header(id: u32, feed: &mut Feed<'_>) -> Vec<u8> {
    let body = feed.long_bytes();
    let body = &body[..body.len().min(BODY_MAX)];
    let padded = usize::from(feed.u8()) * 8;
    let len = HEADER + body.len().max(padded);
    let mut out = vec![0; HEADER];
    out[..4].copy_from_slice(&id.to_le_bytes());
    out[8..12].copy_from_slice(&u32::try_from(len).expect("a short body").to_le_bytes());
    out.extend_from_slice(body);
    out.resize(len, 0);
    out
}

/// What the host promises of a buffer that it read: the length in it is not more than what follows.
fn zero_copy_buffer(feed: &mut Feed<'_>) -> Vec<u8> {
    let mut out = feed.bytes(ZERO_COPY_HEAD).to_vec();
    out.resize(ZERO_COPY_HEAD, 0);
    let message = feed.long_bytes();
    let len = u32::from(feed.u8()).min(u32::try_from(message.len()).expect("a short message"));
    out[32..36].copy_from_slice(&len.to_le_bytes());
    out[36..40].fill(0);
    out.extend_from_slice(message);
    out
}

/// Operations of one input.
const STEPS_MAX: usize = 300;
/// Turns in which nothing else happens.
const TURNS_MAX: usize = 64;
/// Turns after the neighbour was given something to send.
const AFTER_SENDING: usize = 6;
/// Services 0 to 7 have numbers; one more that nobody has.
const SERVICES: u8 = 9;
/// Functions that services have, and one that none has.
const FUNCTIONS: u8 = 8;
/// Bytes of a request's and of an exec message's header.
const HEADER: usize = 16;
/// What fits a frame with everything around it.
const BODY_MAX: usize = 60_000;
/// `struct req_lib_cpg_mcast` (corosync `ipc_cpg.h`, v3.1.7).
const ZERO_COPY_HEAD: usize = 40;

//! The one loop that carries out a node's outputs, shared by the daemon and the simulator.

use std::net::SocketAddr;

use bytes::Bytes;
use ferrosync_totem::pg::Seen;
use ferrosync_wire::{ConnId, Instant, LinkId, RingSeq};

use crate::log::Record;
use crate::node::Node;
use crate::output::{
    Carries, ExitReason, FlowControl, HostRequest, Keep, LibKind, LibMessage, NodeOutput,
};

/// What a node asks of the machine it runs on.
pub trait Host {
    /// Sends a datagram. Losing one is allowed, waiting is not.
    fn transmit(&mut self, link: LinkId, to: SocketAddr, bytes: Bytes, carries: Carries);
    /// Makes the ring sequence number durable before it returns.
    fn store_ring_seq(&mut self, seq: RingSeq) -> Result<(), StoreFailed>;
    /// Makes something durable before it returns.
    ///
    /// # Errors
    /// It is not, and the node must not go on without.
    fn keep(&mut self, keep: &Keep) -> Result<(), StoreFailed>;
    /// Throws away what waits on the sockets.
    fn discard_received(&mut self);
    /// Lets a client in.
    fn lib_accept(&mut self, conn: ConnId);
    /// Turns a client away.
    fn lib_refuse(&mut self, conn: ConnId, errno: i32);
    /// Gives a client a message, or says that there is no room now.
    fn lib_send(&mut self, message: &LibMessage) -> Result<(), WouldBlock>;
    /// Whether a client that had no room has read anything since then, or since this was asked last.
    fn lib_has_read(&mut self, conn: ConnId) -> bool;
    /// Holds a client back, or not.
    fn lib_flow_control(&mut self, conn: ConnId, level: FlowControl);
    /// Ends a client's connection.
    fn lib_close(&mut self, conn: ConnId);
    /// Requests refused by [`Node::admit`] may be offered again.
    fn gate_opened(&mut self);
    /// Writes a line of log.
    fn log(&mut self, record: &Record);
    /// Services work.
    fn ready(&mut self);
    /// Does something that only the host can; the answer comes back as an input, later.
    fn ask(&mut self, request: HostRequest);
    /// Stops after this turn.
    fn exit(&mut self, reason: ExitReason);
    /// Looks on as the ring's effects pass; the simulator's checkers do.
    fn see(&mut self, _seen: Seen<'_>) {}
}

/// The ring sequence number, or what the node must know after a restart, is not durable: the node must not go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreFailed(pub String);

/// The client has no room for this message now; [`crate::output::LibInput::Writable`] will tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WouldBlock;

/// Applies every pending output to `host`, in order. Called after every mutation.
///
/// # Errors
///
/// [`StoreFailed`]: what followed was not carried out, and must not be.
pub fn drain(node: &mut Node, now: Instant, host: &mut impl Host) -> Result<(), StoreFailed> {
    while let Some(output) = node.poll_output_seen(now, |seen| host.see(seen)) {
        match output {
            NodeOutput::Transmit {
                link,
                to,
                bytes,
                carries,
            } => host.transmit(link, to, bytes, carries),
            NodeOutput::StoreRingSeq(seq) => host.store_ring_seq(seq)?,
            NodeOutput::Keep(keep) => host.keep(&keep)?,
            NodeOutput::DiscardReceived => host.discard_received(),
            NodeOutput::LibAccept(conn) => host.lib_accept(conn),
            NodeOutput::LibRefuse(conn, errno) => host.lib_refuse(conn, errno),
            NodeOutput::LibSend(message) => lib_send(node, message, host),
            NodeOutput::LookAtReaders => look_at_readers(node, host),
            NodeOutput::LibFlowControl(conn, level) => host.lib_flow_control(conn, level),
            NodeOutput::LibClose(conn) => host.lib_close(conn),
            NodeOutput::GateOpened => host.gate_opened(),
            NodeOutput::Log(record) => host.log(&record),
            NodeOutput::Ready => host.ready(),
            NodeOutput::Ask(request) => host.ask(request),
            NodeOutput::Exit(reason) => host.exit(reason),
        }
    }
    Ok(())
}

/// Events keep their order: what finds no room waits, and everything behind it too.
fn lib_send(node: &mut Node, message: LibMessage, host: &mut impl Host) {
    let must_wait = message.kind == LibKind::Event && node.is_holding(message.conn);
    if must_wait || host.lib_send(&message).is_err() {
        if node.is_too_much(&message) && host.lib_has_read(message.conn) {
            node.note_read(message.conn);
        }
        node.hold_back(message);
    }
}

fn look_at_readers(node: &mut Node, host: &mut impl Host) {
    for conn in node.awaited() {
        if host.lib_has_read(conn) {
            node.note_read(conn);
        }
    }
    // How long a client is held back depends on the time, and on what it has read.
    node.update_flow_control();
}

/// Hands a client the events that were held back for it, until it has no room again. [`drain`] has to follow.
pub fn drain_held(node: &mut Node, conn: ConnId, host: &mut impl Host) {
    while let Some(message) = node.next_held(conn) {
        if host.lib_send(&message).is_err() {
            node.put_back(message);
            break;
        }
    }
    // It may be all that keeps the ring busy: nothing else would tell it that it may send again.
    node.update_flow_control();
}

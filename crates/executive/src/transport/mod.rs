//! Where frames go: over plain UDP to the addresses of the ring's members, or through knet.
//!
//! A closed set, so an enum.

mod complaints;
mod keys;
mod knet;
mod peers;
mod udp;

use std::collections::VecDeque;
use std::net::SocketAddr;

use bytes::Bytes;
use ferrosync_totem::srp::{Destination, Transmit};
use ferrosync_wire::{Instant, LinkId, NodeId};

use crate::config::{Config, CryptoConfig, TransportConfig};
use crate::output::{Carries, LinkTrouble, NodeOutput};
use crate::reload::{CryptoChange, CryptoPhase};

pub use ferrosync_knet::crypto::Key as SharedKey;
pub use knet::{KnetTransport, LOOPBACK_MTU, Secrets};
pub use peers::Peers;
pub use udp::Udp;

/// How this node reaches the others.
#[derive(Debug)]
pub enum Transport {
    /// `udpu` and `udp`.
    Udp(Udp),
    /// kronosnet.
    Knet(Box<KnetTransport>),
}

/// The link of the transports that have just one.
pub const ONLY_LINK: LinkId = LinkId(0);

impl Transport {
    /// The transport that a configuration names.
    #[must_use]
    pub fn new(config: &Config, secrets: Secrets, now: Instant) -> Self {
        match &config.transport {
            TransportConfig::Udpu(udpu) => Self::Udp(Udp::to_each(config, udpu)),
            TransportConfig::Udp(udp) => Self::Udp(Udp::to_group(config, udp)),
            TransportConfig::Knet(knet) => {
                Self::Knet(Box::new(KnetTransport::new(config, knet, secrets, now)))
            }
        }
    }

    /// Sends a frame of the ring.
    pub(crate) fn send(
        &mut self,
        now: Instant,
        sent: &Transmit,
        outputs: &mut VecDeque<NodeOutput>,
    ) {
        match self {
            Self::Udp(udp) => udp.route(sent.to, |to, carries| {
                outputs.push_back(NodeOutput::Transmit {
                    link: ONLY_LINK,
                    to,
                    bytes: sent.frame.clone(),
                    carries,
                });
            }),
            Self::Knet(knet) => knet.send(now, sent, outputs),
        }
    }

    /// Takes a datagram; the ring's frame in it, if there is one for this node.
    pub(crate) fn receive(
        &mut self,
        now: Instant,
        from: SocketAddr,
        bytes: Bytes,
        outputs: &mut VecDeque<NodeOutput>,
    ) -> Option<Bytes> {
        match self {
            Self::Udp(udp) => udp.hears(from.ip()).then_some(bytes),
            Self::Knet(knet) => knet.receive(now, from, &bytes, outputs),
        }
    }

    /// Takes note of what the network reports about a datagram that was sent.
    pub(crate) fn trouble(
        &mut self,
        now: Instant,
        trouble: LinkTrouble,
        outputs: &mut VecDeque<NodeOutput>,
    ) {
        match self {
            // Without links to take down: the ring asks again for what is lost.
            Self::Udp(_) => {}
            Self::Knet(knet) => knet.trouble(now, trouble, outputs),
        }
    }

    /// When [`Self::handle_timeout`] is wanted.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        match self {
            Self::Udp(_) => None,
            Self::Knet(knet) => Some(knet.poll_timeout()),
        }
    }

    /// Lets due timers act.
    pub(crate) fn handle_timeout(&mut self, now: Instant, outputs: &mut VecDeque<NodeOutput>) {
        match self {
            Self::Udp(_) => {}
            Self::Knet(knet) => knet.handle_timeout(now, outputs),
        }
    }

    /// Goes over from one configuration to another of the same transport, of which [`crate::reload::links::refusals`] had
    /// nothing to refuse. A new key is only loaded: packets that are sealed with it are opened, none is sealed with it
    /// before [`Self::crypto_phase`], but for nodes that use it or of which [`Self::opens_next_key`] tells.
    pub(crate) fn reload(
        &mut self,
        now: Instant,
        (old, new): (&Config, &Config),
        key: Option<SharedKey>,
        outputs: &mut VecDeque<NodeOutput>,
    ) -> CryptoChange {
        match (self, &new.transport) {
            // Ports and groups are among what stays (`Config::fixed`).
            (Self::Udp(udp), TransportConfig::Udpu(udpu)) => *udp = Udp::to_each(new, udpu),
            (Self::Udp(udp), TransportConfig::Udp(group)) => *udp = Udp::to_group(new, group),
            (Self::Knet(knet), TransportConfig::Knet(config)) => {
                return knet.reload(now, (old, new), config, key, outputs);
            }
            (Self::Udp(_), TransportConfig::Knet(_))
            | (Self::Knet(_), TransportConfig::Udpu(_) | TransportConfig::Udp(_)) => {
                unreachable!("the transport is among what stays")
            }
        }
        CryptoChange::None
    }

    /// Takes one step from the old key to the one that was loaded.
    pub(crate) fn crypto_phase(
        &mut self,
        now: Instant,
        phase: CryptoPhase,
        outputs: &mut VecDeque<NodeOutput>,
    ) {
        match self {
            Self::Udp(_) => {}
            Self::Knet(knet) => knet.crypto_phase(now, phase, outputs),
        }
    }

    /// The node at whose address somebody sends what no key opens, as the last packet showed.
    pub(crate) fn take_unopened(&mut self) -> Option<NodeId> {
        match self {
            Self::Udp(_) => None,
            Self::Knet(knet) => knet.take_unopened(),
        }
    }

    /// Tries a key that may be loaded soon on what comes in; whether it is another one than those that are tried already.
    pub(crate) fn foresee(
        &mut self,
        now: Instant,
        config: &CryptoConfig,
        key: SharedKey,
        outputs: &mut VecDeque<NodeOutput>,
    ) -> bool {
        match self {
            Self::Udp(_) => false,
            Self::Knet(knet) => knet.foresee(now, config, key, outputs),
        }
    }

    /// No longer.
    pub(crate) fn forget_foreseen(&mut self, now: Instant, outputs: &mut VecDeque<NodeOutput>) {
        match self {
            Self::Udp(_) => {}
            Self::Knet(knet) => knet.forget_foreseen(now, outputs),
        }
    }

    /// A node is known to open what the key seals that was loaded last.
    pub(crate) fn opens_next_key(
        &mut self,
        now: Instant,
        node: NodeId,
        outputs: &mut VecDeque<NodeOutput>,
    ) {
        match self {
            Self::Udp(_) => {}
            Self::Knet(knet) => knet.opens_next_key(now, node, outputs),
        }
    }

    /// Whether each member gets a datagram of its own.
    pub(crate) const fn is_udpu(&self) -> bool {
        match self {
            Self::Udp(udp) => udp.is_to_each(),
            Self::Knet(_) => false,
        }
    }

    /// The configured members.
    #[must_use]
    pub const fn peers(&self) -> &Peers {
        match self {
            Self::Udp(udp) => udp.peers(),
            Self::Knet(knet) => knet.peers(),
        }
    }

    /// knet, where frames go through it.
    #[must_use]
    pub fn as_knet(&self) -> Option<&KnetTransport> {
        match self {
            Self::Udp(_) => None,
            Self::Knet(knet) => Some(knet),
        }
    }

    /// Counts links from zero again.
    pub(crate) fn clear_stats(&mut self) {
        match self {
            Self::Udp(_) => {}
            Self::Knet(knet) => knet.clear_stats(),
        }
    }
}

/// What a frame is to the sockets: a token wakes whoever waits for it, and nothing of this node follows before it is
/// back.
const fn carries(to: Destination) -> Carries {
    match to {
        Destination::Ring => Carries::Ring,
        Destination::Node(_) => Carries::Token,
    }
}

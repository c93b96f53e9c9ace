//! The knet transport, wire-compatible with kronosnet 1.x: no socket, no clock, no randomness of its own.

#![forbid(unsafe_code)]

pub mod compress;
pub mod crypto;
pub mod defrag;
pub mod handle;
pub mod host;
pub mod link;
pub mod mtu;
mod outbox;
pub mod pmtud;
mod stamp;
pub mod stats;
pub mod window;

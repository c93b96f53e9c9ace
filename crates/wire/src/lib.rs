//! The vocabulary of Ferrosync and every byte layout that it shares with Corosync.
//!
//! The rule of this crate: *layouts live here, decisions do not*. Nothing here keeps state, knows a timer or
//! drops a message; it says what bytes mean. Numbers are those of corosync 3.1.7, kronosnet 1.25 and libqb
//! 2.0.6 on little-endian machines, each with the place where the C code defines it.

#![forbid(unsafe_code)]

mod aligned;
pub mod capability;
#[cfg(test)]
mod captured;
pub mod codec;
pub mod exec;
pub mod ids;
pub mod ipc;
pub mod knet;
pub mod linear;
pub mod names;
pub mod pg;
#[cfg(test)]
mod testing;
pub mod time;
pub mod totem;
pub mod value;

pub use codec::{Decode, DecodeError, Encode, Reader, Writer};
pub use ids::{ConnId, LinkId, NodeId, RingId, RingSeq, ServiceId};
pub use names::{GroupName, Name};
pub use time::{Duration, Instant};
pub use value::{Key, Text, Value, ValueType};

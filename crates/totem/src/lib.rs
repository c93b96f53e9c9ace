//! Totem single-ring ordering and membership as a state machine without sockets or clock.
//!
//! [`srp::Srp`] is the ring protocol (corosync `exec/totemsrp.c`), [`pg::Pg`] packs application messages into
//! its frames and puts them together again (`exec/totempg.c`). A driver hands in packets and the time and
//! carries out what comes back; the contract is on [`srp::Srp`].
//!
//! ```text
//!            mcast(message)                     packets, time
//!                 |                                  |
//!        +--------v--------+   frames,  +------------v-----------+
//!        |  Pg: pack,      |   lanes    |  Srp: order, flow      |
//!        |  fragment,      +----------->|  control, membership,  |
//!        |  reassemble     |<-----------+  recovery              |
//!        +--------+--------+  payloads, +------------+-----------+
//!                 |           changes                |
//!        messages, changes                 frames to send, ring seq to store
//! ```

#![forbid(unsafe_code)]

pub mod config;
pub mod pg;
pub mod rng;
pub mod srp;

pub use config::SrpConfig;
pub use srp::{NodeSet, Srp};

//! Clusters that run in one thread, without clock, network or disk: the production node, unmodified, in a world
//! that follows from a seed.
//!
//! ```text
//!  options (what may happen)    faults, workload (what does happen, and when)
//!        |                               |
//!        v                               v
//!     Cluster: the events of the world, in the order of virtual time
//!        |                      |                        |
//!     Network                Machine: disk, inbox,    checkers: see every frame, delivery,
//!     loss, delay, cuts      clients, executive::Node    change and client event; keep own models
//! ```
//!
//! A [`swarm`] world first proves safety under faults, then heals and proves liveness. Scenario tests use
//! [`Cluster::quiet`] and the verbs of [`scenario`]. `docs/simulator.md` tells how to run it and read its output.

#![forbid(unsafe_code)]

pub mod checkers;
pub mod cluster;
pub mod faults;
pub mod host;
pub mod network;
pub mod observation;
pub mod options;
pub mod process;
pub mod report;
pub mod sabotage;
pub mod scenario;
pub mod swarm;
pub mod workload;

pub use cluster::Cluster;
pub use options::Options;
pub use report::{Class, Failure, Verbosity};
pub use sabotage::Sabotage;

//! Talks to the cluster engine on this machine, Ferrosync's `ferrosyncd` or Corosync's `corosync`: what C programs
//! do with `libcpg`, `libcmap`, `libquorum`, `libvotequorum` and `libsam`, without C.
//! do with `libcpg`, `libcmap`, `libquorum`, `libvotequorum` and `libcfg`, without C.
//!
//! | module | what it is for | C library |
//! |---|---|---|
//! | [`cpg`] | groups of processes that see the same messages in the same order | `libcpg` |
//! | [`cmap`] | the configuration map and statistics | `libcmap` |
//! | [`quorum`] | whether this part of the cluster may act | `libquorum` |
//! | [`votequorum`] | the votes behind that | `libvotequorum` |
//! | [`sam`] | programs that are started again when they fail | `libsam` |
//! | [`mod@cfg`] | links and nodes, reload, shutdown | `libcfg` |
//!
//! # How it is used
//!
//! Each module has one connection type. A connection belongs to one thread at a time; threads that want to call at
//! the same time open one each. Calls block, but never longer than [`Options::timeout`]. What the daemon has to
//! tell unasked comes out of `dispatch`, one typed event at a time; the connection is [`AsFd`], and its descriptor
//! is readable when `dispatch` has something to do, for programs with a poll loop of their own.
//!
//! ```no_run
//! use ferrosync_client::cpg::{Cpg, Event};
//! use ferrosync_client::{GroupName, Options};
//! use std::time::Duration;
//!
//! let mut cpg = Cpg::connect(&Options::default())?;
//! cpg.join(&GroupName::new(b"greetings")?)?;
//! cpg.mcast(&[b"hello"])?;
//! while let Some(event) = cpg.dispatch(Duration::from_secs(1))? {
//!     if let Event::Message(message) = event {
//!         println!("{}: {}", message.sender, String::from_utf8_lossy(&message.data));
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # When the daemon goes away
//!
//! Calls and `dispatch` then fail with [`ConnectionError::Lost`]. The connection does not come back: open another
//! one, join and track anew.
//!
//! [`AsFd`]: std::os::fd::AsFd

#![forbid(unsafe_code)]

pub mod cfg;
pub mod cmap;
mod connection;
pub mod cpg;
mod error;
pub mod quorum;
pub mod sam;
pub mod votequorum;

pub use connection::Options;
pub use error::ConnectionError;
pub use ferrosync_ipc::Addresses;
pub use ferrosync_wire::ipc::CsError;
pub use ferrosync_wire::{GroupName, NodeId, RingId, RingSeq, Text, Value, ValueType};

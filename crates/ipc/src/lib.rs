//! Client IPC as libqb 2.0.6 speaks it: programs linked against C's `libcpg`, `libcmap` and the others connect
//! to [`Server`] unchanged, and [`Client`] talks to this daemon and to C's alike.
//!
//! A connection starts on a Unix stream socket ([`handshake`]). After that the server alone decides how
//! messages travel ([`Kind`]): in three ring buffers in shared memory ([`ring`], one writer and one reader
//! each), with one byte on the socket to wake the other side, or as datagrams. `docs/ipc.md` has the layouts
//! and says what is checked.
//!
//! Everything that a peer can write is hostile: it may change any shared byte at any time, cut its files short
//! under the mapping, flood, stop reading, or die between any two instructions. None of this harms the process or
//! another connection; the worst that follows is that the connection is closed.
//!
//! Two things of the machine live here because they need memory or calls that have no safe interface: the flight recorder
//! ([`flight`], libqb's as well) and the watchdog device ([`watchdog`]). `unsafe` is in one file, `shm.rs`.

#[cfg(not(all(
    target_os = "linux",
    target_pointer_width = "64",
    target_endian = "little"
)))]
compile_error!("the layout of glibc's sem_t is known here for 64-bit little-endian Linux only");

mod address;
mod client;
mod credentials;
mod files;
pub mod flight;
pub mod handshake;
pub mod ring;
mod server;
#[expect(
    unsafe_code,
    reason = "shared mappings, futexes, the SIGBUS handler and the watchdog's timeout have no safe interface; all of \
              them are here"
)]
mod shm;
pub mod watchdog;

pub use address::Addresses;
pub use client::{Client, ClientError, DEFAULT_MAX_MSG_SIZE};
pub use handshake::{Credentials, Kind, Limits};
pub use server::{
    Admit, ConnInfo, ConnStats, Options, RETRY_INTERVAL, RequestHead, SendError, Server,
    ServerEvent, ZeroCopyError,
};

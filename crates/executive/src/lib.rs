//! The whole node without an operating system.

#![forbid(unsafe_code)]

pub mod config;

mod backlog;
mod capabilities;
pub mod clients;
mod control;
pub mod core;
mod counters;
mod dispatch;
pub mod icmap;
pub mod log;
pub mod node;
pub mod output;
mod own_keys;
mod pauses;
pub mod pump;
pub mod reload;
pub mod service;
pub mod services;
mod shutdown;
mod strangers;
mod sync;
#[cfg(test)]
mod testing;
pub mod transport;

pub use node::{Admit, Boot, Node};

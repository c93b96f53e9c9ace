//! Totem single-ring ordering and membership as a state machine without sockets or clock.

#![forbid(unsafe_code)]

pub mod config;

pub use config::SrpConfig;

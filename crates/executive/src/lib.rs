//! The whole node without an operating system.

#![forbid(unsafe_code)]

pub mod config;

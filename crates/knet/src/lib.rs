//! The knet transport, wire-compatible with kronosnet 1.x: no socket, no clock, no randomness of its own.

#![forbid(unsafe_code)]

pub mod crypto;

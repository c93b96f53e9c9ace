//! Fuzz targets: one plain function of bytes each.
//!
//! A target returns when its input was handled as it should be and panics when it was not. The same functions run
//! under libFuzzer (`cargo +nightly fuzz run TARGET`), over every file of their corpora on a stable compiler
//! (`cargo test`), and over single files (`cargo run --bin TARGET FILE..`). `docs/fuzzing.md` says what each of
//! them promises.

#![forbid(unsafe_code)]

mod conf;
mod feed;
mod handshake;
mod knet;
mod node;
mod pg;
mod puppet;
mod ring;
pub mod seeds;
mod srp;
mod wire;

pub use conf::conf;
pub use handshake::ipc_handshake;
pub use knet::{knet_datagrams, knet_packets, wire_knet};
pub use node::node_inputs;
pub use pg::wire_pg;
pub use ring::ipc_ring;
pub use srp::srp_inputs;
pub use wire::{wire_exec, wire_ipc_request, wire_ipc_response, wire_totem};

/// A target: its name, which is that of its corpus too, and its function.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// `fuzz/corpus/NAME` holds its inputs.
    pub name: &'static str,
    /// Handles one input.
    pub run: fn(&[u8]),
}

/// All targets.
pub const TARGETS: [Target; 13] = [
    Target {
        name: "wire_totem",
        run: wire_totem,
    },
    Target {
        name: "wire_pg",
        run: wire_pg,
    },
    Target {
        name: "wire_exec",
        run: wire_exec,
    },
    Target {
        name: "wire_ipc_request",
        run: wire_ipc_request,
    },
    Target {
        name: "wire_ipc_response",
        run: wire_ipc_response,
    },
    Target {
        name: "wire_knet",
        run: wire_knet,
    },
    Target {
        name: "knet_datagrams",
        run: knet_datagrams,
    },
    Target {
        name: "knet_packets",
        run: knet_packets,
    },
    Target {
        name: "ipc_ring",
        run: ipc_ring,
    },
    Target {
        name: "ipc_handshake",
        run: ipc_handshake,
    },
    Target {
        name: "conf",
        run: conf,
    },
    Target {
        name: "srp_inputs",
        run: srp_inputs,
    },
    Target {
        name: "node_inputs",
        run: node_inputs,
    },
];

/// The whole of a program in `fuzz_targets/`: libFuzzer's entry where that is built, else a replay of the files
/// named on the command line.
#[macro_export]
macro_rules! target {
    ($run:path) => {
        #[cfg(fuzzing)]
        libfuzzer_sys::fuzz_target!(|data: &[u8]| $run(data));

        #[cfg(not(fuzzing))]
        fn main() -> std::io::Result<()> {
            $crate::replay_arguments($run)
        }
    };
}

/// Runs a target over the files named on the command line.
///
/// # Errors
/// A file cannot be read.
pub fn replay_arguments(run: fn(&[u8])) -> std::io::Result<()> {
    for path in std::env::args_os().skip(1) {
        let input = std::fs::read(&path)?;
        println!("{}: {} bytes", path.display(), input.len());
        run(&input);
    }
    Ok(())
}

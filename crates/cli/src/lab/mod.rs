//! A cluster of real daemons on this machine.
//!
//! ```text
//! ferrosync lab                 in a network namespace of its own (and a user namespace, unless root): the hub
//!   |                           bridges l0side0, l0side1, .. for each link; one port per node and link
//!   +- lab-node keeper (node 1) makes network, mount, host name, IPC and process namespaces
//!   |    +- lab-node init       process 1 of the node: mounts, eth0, .., starts and signals the daemon
//!   |         +- daemon         ferrosync's or Debian's corosync
//!   |         +- pacemakerd     with --pacemaker: Debian's
//!   |         +- lab-node probe looks at the daemon and reports
//!   +- lab-node keeper (node 2) ..
//! ```
//!
//! A node lives as long as the pipe from the lab to its init: when the lab ends, in whatever way, every process
//! of every node ends with it, and the kernel takes the namespaces and interfaces away.

pub(crate) mod crypto;
pub(crate) mod fence;
pub(crate) mod links;
pub(crate) mod plan;

mod cluster;
mod conf;
mod control;
mod exec;
mod hub;
mod init;
mod lines;
mod mounts;
mod namespaces;
mod netlink;
mod node;
mod place;
mod probe;
mod report;
mod run;
mod verbs;
mod view;

use std::process::ExitCode;

use crate::args::{LabArgs, MapArgs, NodeArgs};

/// `ferrosync lab`.
pub(crate) fn main(args: LabArgs) -> ExitCode {
    let outcome = match args.verb {
        Some(verb) => verbs::run(verb),
        None => run::run(&args.start),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("ferrosync lab: {error:#}");
        ExitCode::FAILURE
    })
}

/// A process of a node.
pub(crate) fn node_main(args: &NodeArgs) -> ExitCode {
    node::main(args)
}

/// The helper outside the user namespace.
pub(crate) fn map_main(args: &MapArgs) -> ExitCode {
    namespaces::map_main(args)
}

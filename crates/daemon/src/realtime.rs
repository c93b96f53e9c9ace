//! Priority and memory: a cluster engine that waits for the disk or for others loses its token.

use ferrosync_executive::config::{Nice, SystemConfig};
use ferrosync_executive::log::{Priority, Record, Subsystem};
use nix::sys::mman::{MlockAllFlags, mlockall};
use nix::sys::resource::{RLIM_INFINITY, Resource, setrlimit};
use thread_priority::ThreadPriority;
use thread_priority::unix::{
    RealtimeThreadSchedulePolicy, ThreadSchedulePolicy, set_thread_priority_and_policy,
    thread_native_id,
};

/// Takes what the configuration asks for and the system grants, and says what it does not grant.
#[must_use]
pub fn apply(system: &SystemConfig) -> Vec<Record> {
    let mut lines = Vec::new();
    let mut nice = match system.priority {
        Nice::Unchanged => None,
        Nice::Max => Some(NICE_MAX),
        Nice::Min => Some(NICE_MIN),
        Nice::Value(nice) => Some(nice),
    };
    if system.sched_rr {
        match round_robin() {
            Ok(()) => nice = None,
            Err(e) => {
                lines.push(warning(format!(
                    "Could not set SCHED_RR at priority 99: {e}"
                )));
                nice = Some(NICE_MAX);
            }
        }
    }
    if let Some(nice) = nice
        && let Err(e) = renice(nice)
    {
        lines.push(warning(format!("Could not set priority {nice}: {e}")));
    }
    if let Err(e) = lock_memory() {
        lines.push(e);
    }
    lines
}

fn round_robin() -> Result<(), thread_priority::Error> {
    set_thread_priority_and_policy(
        thread_native_id(),
        ThreadPriority::Max,
        ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::RoundRobin),
    )
}

fn renice(nice: i32) -> rustix::io::Result<()> {
    rustix::process::setpriority_pgrp(None, nice)
}

fn lock_memory() -> Result<(), Record> {
    if let Err(e) = setrlimit(Resource::RLIMIT_MEMLOCK, RLIM_INFINITY, RLIM_INFINITY) {
        return Err(warning(format!(
            "Could not increase RLIMIT_MEMLOCK, not locking memory: {}",
            e.desc()
        )));
    }
    mlockall(MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE)
        .map_err(|e| warning(format!("Could not lock memory: {}", e.desc())))
}

#[track_caller]
fn warning(text: String) -> Record {
    Record::new(Subsystem::Main, Priority::Warning, text)
}

const NICE_MAX: i32 = -20;
const NICE_MIN: i32 = 19;

//! Priority and memory: a cluster engine that waits for the disk or for others loses its token.

use std::fs;
use std::path::Path;

use ferrosync_executive::config::{MoveToRootCgroup, Nice, SystemConfig};
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
    if system.move_to_root_cgroup == MoveToRootCgroup::Always {
        lines.push(move_to_root_cgroup(Path::new(CGROUPS)));
    }
    if system.sched_rr {
        let retries = system.move_to_root_cgroup == MoveToRootCgroup::WhenNeeded;
        let first = round_robin();
        let granted = match first {
            // The kernel may give real-time priority to the root group alone (CONFIG_RT_GROUP_SCHED).
            Err(_) if retries => {
                lines.push(move_to_root_cgroup(Path::new(CGROUPS)));
                round_robin()
            }
            other => other,
        };
        match granted {
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

/// Puts this process into the root group of the processor's controller (main.c:corosync_move_to_root_cgroup); the line
/// says what came of it, for nothing depends on it.
fn move_to_root_cgroup(mounted: &Path) -> Record {
    let v1 = mounted.join("cpu/cpu.rt_runtime_us").exists();
    let tasks = mounted.join(if v1 { "cpu/tasks" } else { "cgroup.procs" });
    let debug = |text: String| Record::new(Subsystem::Main, Priority::Debug, text);
    if !tasks.exists() {
        return debug(
            "cpu.rt_runtime_us or cgroup.procs doesn't exist -> system without cgroup or with disabled \
             CONFIG_RT_GROUP_SCHED"
                .to_owned(),
        );
    }
    match fs::write(&tasks, format!("{}\n", std::process::id())) {
        Ok(()) => debug(format!(
            "Moving main pid to cgroup v{} root cgroup",
            if v1 { 1 } else { 2 }
        )),
        Err(e) => warning(format!("Can't write {}: {e}", tasks.display())),
    }
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

/// Where systemd mounts them; so does corosync look for them.
const CGROUPS: &str = "/sys/fs/cgroup";
const NICE_MAX: i32 = -20;
const NICE_MIN: i32 = 19;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_group_of_either_version_gets_the_process() {
        let dir = tempfile::tempdir().expect("a directory");
        let root = dir.path();
        let line = move_to_root_cgroup(root);
        assert!(line.text.contains("without cgroup"), "{}", line.text);
        let own = format!("{}\n", std::process::id());
        let v2 = root.join("cgroup.procs");
        fs::write(&v2, "").expect("written");
        let line = move_to_root_cgroup(root);
        assert!(line.text.contains("v2"), "{}", line.text);
        assert_eq!(fs::read_to_string(&v2).expect("there"), own);
        fs::create_dir(root.join("cpu")).expect("made");
        for file in ["cpu/cpu.rt_runtime_us", "cpu/tasks"] {
            fs::write(root.join(file), "").expect("written");
        }
        let line = move_to_root_cgroup(root);
        assert!(line.text.contains("v1"), "{}", line.text);
        let tasks = root.join("cpu/tasks");
        assert_eq!(fs::read_to_string(&tasks).expect("there"), own);
        fs::remove_file(&tasks).expect("removed");
        fs::create_dir(&tasks).expect("made");
        assert_eq!(move_to_root_cgroup(root).priority, Priority::Warning);
    }
}

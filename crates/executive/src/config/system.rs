//! The process, its resources and the optional network device.

use super::error::Findings;
use super::key_map::KeyMap;
use super::value::integer;

/// The system section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SystemConfig {
    /// `qb_ipc_type`.
    pub ipc: IpcType,
    /// `sched_rr`: ask for real-time scheduling.
    pub sched_rr: bool,
    /// `priority`: used when real-time scheduling is off.
    pub priority: Nice,
    /// `move_to_root_cgroup`.
    pub move_to_root_cgroup: MoveToRootCgroup,
    /// `allow_knet_handle_fallback`: knet without privileges is better than none.
    pub allow_knet_handle_fallback: bool,
    /// `state_dir`: an existing directory.
    pub state_dir: String,
}

/// The state directory when none is named.
pub const STATE_DIR: &str = "/var/lib/corosync";

/// `system.qb_ipc_type`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IpcType {
    /// `native` or `shm`: shared memory, the default.
    #[default]
    SharedMemory,
    /// `socket`.
    Socket,
}

/// `system.priority` as a nice value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Nice {
    /// Left alone, the default.
    #[default]
    Unchanged,
    /// `max`: as low a nice value as the system has.
    Max,
    /// `min`: as high a nice value as the system has.
    Min,
    /// This nice value; the system clamps it.
    Value(i32),
}

/// `system.move_to_root_cgroup`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MoveToRootCgroup {
    /// `yes`: always.
    Always,
    /// `no`: never.
    Never,
    /// `auto`, the default: when real-time scheduling cannot be had otherwise.
    #[default]
    WhenNeeded,
}

/// The resources section.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResourcesConfig {
    /// `watchdog_device`; `None` when unset, empty or `off`.
    pub watchdog_device: Option<String>,
    /// `watchdog_timeout` in seconds, 2 to 120.
    pub watchdog_timeout_s: Option<u32>,
}

/// The nozzle section: a network device over knet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NozzleConfig {
    /// `name`.
    pub name: String,
    /// `ipaddr`.
    pub ipaddr: String,
    /// `ipprefix`.
    pub ipprefix: String,
    /// `macaddr`; a default is derived from the node id.
    pub macaddr: Option<String>,
}

/// Reads the system section.
pub(crate) fn read(keys: &KeyMap, findings: &mut Findings) -> SystemConfig {
    let state_dir = keys.text("system.state_dir").unwrap_or(STATE_DIR);
    if state_dir.is_empty() || state_dir.len() >= PATH_BYTES_END {
        findings.error(
            keys.at("system.state_dir"),
            format!("Cannot chdir to state directory {state_dir}."),
            format!("name an existing directory or remove the key for {STATE_DIR}"),
        );
    }
    SystemConfig {
        ipc: match keys.text("system.qb_ipc_type") {
            Some("socket") => IpcType::Socket,
            _ => IpcType::SharedMemory,
        },
        sched_rr: keys.text("system.sched_rr") != Some("no"),
        priority: priority(keys, findings),
        move_to_root_cgroup: match keys.text("system.move_to_root_cgroup") {
            Some("yes") => MoveToRootCgroup::Always,
            Some("no") => MoveToRootCgroup::Never,
            _ => MoveToRootCgroup::WhenNeeded,
        },
        allow_knet_handle_fallback: keys.text("system.allow_knet_handle_fallback") == Some("yes"),
        state_dir: state_dir.to_owned(),
    }
}

fn priority(keys: &KeyMap, findings: &mut Findings) -> Nice {
    let Some(text) = keys.text("system.priority") else {
        return Nice::Unchanged;
    };
    match (text, integer(text).map(i32::try_from)) {
        ("max", _) => Nice::Max,
        ("min", _) => Nice::Min,
        ("", _) | (_, Some(Ok(0))) => Nice::Unchanged,
        (_, Some(Ok(nice))) => Nice::Value(nice),
        (_, None | Some(Err(_))) => {
            findings.error(
                keys.at("system.priority"),
                format!("Priority value {text} is invalid"),
                "write max, min or a nice value",
            );
            Nice::Unchanged
        }
    }
}

/// Reads the resources section.
pub(crate) fn resources(keys: &KeyMap, findings: &mut Findings) -> ResourcesConfig {
    let timeout = keys.u32("resources.watchdog_timeout");
    if timeout.is_some_and(|seconds| !(2..=120).contains(&seconds)) {
        findings.error(
            keys.at("resources.watchdog_timeout"),
            "Set watchdog_timeout is out of range (2..120).",
            "write a number of seconds in this range",
        );
    }
    ResourcesConfig {
        watchdog_device: keys
            .text("resources.watchdog_device")
            .filter(|device| !device.is_empty() && *device != "off")
            .map(str::to_owned),
        watchdog_timeout_s: timeout,
    }
}

/// Reads the nozzle section; corosync does not use it unless name, address and prefix are there.
pub(crate) fn nozzle(keys: &KeyMap, findings: &mut Findings) -> Option<NozzleConfig> {
    let text = |key: &str| keys.text(&format!("nozzle.{key}")).map(str::to_owned);
    let parts = (text("name"), text("ipaddr"), text("ipprefix"));
    match parts {
        (Some(name), Some(ipaddr), Some(ipprefix)) => {
            findings.warn(
                keys.at("nozzle"),
                format!("No network device {name} is made: nozzle is not supported (D-104)"),
            );
            Some(NozzleConfig {
                name,
                ipaddr,
                ipprefix,
                macaddr: text("macaddr"),
            })
        }
        (None, None, None) => None,
        _ => {
            findings.error(
                keys.at("nozzle"),
                "The nozzle section is incomplete, no device would be created",
                "add name, ipaddr and ipprefix",
            );
            None
        }
    }
}

/// Paths are shorter than this (`PATH_MAX`).
const PATH_BYTES_END: usize = 4_096;

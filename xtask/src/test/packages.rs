//! Installs the Debian packages that the interop tests need, where that is possible.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::bail;

use super::Report;
use crate::process;
use crate::workspace::Workspace;

/// The step: installs what is missing when root on Debian, otherwise says what is missing.
pub(super) fn run(_: &Workspace, report: &mut Report) -> anyhow::Result<()> {
    if !Path::new("/etc/debian_version").exists() || process::find("apt-get").is_none() {
        report.not_run("packages", "this is no Debian, nothing is installed here");
        return Ok(());
    }
    let missing: Vec<&str> = PACKAGES
        .iter()
        .copied()
        .filter(|name| !is_installed(name))
        .collect();
    if missing.is_empty() {
        println!("all {} packages are installed", PACKAGES.len());
        return Ok(());
    }
    if !process::is_root() {
        let why = format!("not root; missing: {}", missing.join(" "));
        report.not_run("packages", &why);
        return Ok(());
    }
    install(report, &missing)
}

/// Installs `missing` and makes sure that no daemon of theirs runs afterwards.
fn install(report: &Report, missing: &[&str]) -> anyhow::Result<()> {
    let before = daemons();
    let policy = ServicePolicy::forbid()?;
    apt_get(report, &["update"])?;
    let mut arguments = vec!["install", "--yes", "--no-install-recommends"];
    arguments.extend(missing);
    apt_get(report, &arguments)?;
    drop(policy);
    let started: Vec<String> = daemons().difference(&before).cloned().collect();
    if !started.is_empty() {
        bail!(
            "the package started corosync (process {}): stop and disable the service, then run again",
            started.join(", ")
        );
    }
    Ok(())
}

fn apt_get(report: &Report, arguments: &[&str]) -> anyhow::Result<()> {
    let mut command = Command::new("apt-get");
    command
        .args(["--quiet", "--option", "DPkg::Lock::Timeout=300"])
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive");
    report.run(&mut command)
}

/// While this lives, installing a package starts no service: invoke-rc.d(8) and systemd's helper ask the policy file.
struct ServicePolicy {
    /// `false` when the machine has a policy of its own, which we leave alone.
    ours: bool,
}

impl ServicePolicy {
    fn forbid() -> anyhow::Result<Self> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o755);
        match options.open(POLICY) {
            Ok(mut file) => {
                file.write_all(POLICY_TEXT.as_bytes())?;
                Ok(Self { ours: true })
            }
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                Ok(Self { ours: false })
            }
            Err(error) => Err(error.into()),
        }
    }
}

impl Drop for ServicePolicy {
    fn drop(&mut self) {
        if self.ours
            && let Err(error) = fs::remove_file(POLICY)
        {
            eprintln!("cannot remove {POLICY}: {error}");
        }
    }
}

fn is_installed(package: &str) -> bool {
    let mut query = Command::new("dpkg-query");
    query.args(["--show", "--showformat", "${db:Status-Status}", package]);
    process::output(&mut query).is_ok_and(|status| status.trim() == "installed")
}

/// Process ids of running corosync daemons, as text.
fn daemons() -> BTreeSet<String> {
    let is_corosync = |pid: &String| {
        fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == "corosync")
    };
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(is_corosync)
        .collect()
}

/// Daemon and tools, the client libraries' headers, what runs on top, and what compiles our C clients.
const PACKAGES: &[&str] = &[
    "corosync",
    "corosync-qdevice",
    "corosync-qnetd",
    "corosync-notifyd",
    // Who listens to it.
    "dbus-bin",
    "dbus-daemon",
    "snmptrapd",
    "libcpg-dev",
    "libcmap-dev",
    "libquorum-dev",
    "libvotequorum-dev",
    "libcfg-dev",
    "libsam-dev",
    "libqb-dev",
    "libqb-tools",
    // What runs on top, and the agents and shells that belong to it.
    "pacemaker",
    "pacemaker-cli-utils",
    "resource-agents",
    "crmsh",
    "pcs",
    "iproute2",
    "gcc",
    "libc6-dev",
];

const POLICY: &str = "/usr/sbin/policy-rc.d";
/// 101: "action forbidden by policy".
const POLICY_TEXT: &str = "#!/bin/sh\nexit 101\n";

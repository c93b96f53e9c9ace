//! Into namespaces of the lab's own, as root or as an ordinary user.

use std::fs;
use std::io::{Read as _, Write as _};
use std::process::{Child, Command, ExitCode, Stdio};

use anyhow::{Context as _, Result, anyhow};
use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{User, getegid, geteuid};

use crate::args::MapArgs;

/// Moves this process, which must have one thread, into a network namespace of its own: directly where it may,
/// otherwise inside a user namespace in which it is root.
pub(super) fn enter_hub() -> Result<()> {
    if geteuid().is_root() {
        match unshare(CloneFlags::CLONE_NEWNET) {
            Ok(()) => return Ok(()),
            // Root of a container that lacks CAP_SYS_ADMIN.
            Err(Errno::EPERM) => {}
            Err(errno) => return Err(errno).context("no network namespace"),
        }
    }
    enter_user_namespace().map_err(explain)?;
    unshare(CloneFlags::CLONE_NEWNET)
        .context("no network namespace inside the user namespace")
        .map_err(explain)
}

/// A range of ids inside the namespace costs a helper that is set-user-id root and an entry in /etc/subuid;
/// without them root is the only user there, which is enough for everything but Pacemaker.
fn enter_user_namespace() -> Result<()> {
    let (uid, gid) = (geteuid(), getegid());
    let helper = Mapper::prepare(uid.as_raw(), gid.as_raw());
    unshare(CloneFlags::CLONE_NEWUSER).context("no user namespace")?;
    if let Some(helper) = helper {
        helper.map();
    }
    if is_unmapped("/proc/self/gid_map") {
        fs::write("/proc/self/setgroups", "deny").context("setgroups cannot be denied")?;
        fs::write("/proc/self/gid_map", format!("0 {gid} 1")).context("group id not mapped")?;
    }
    if is_unmapped("/proc/self/uid_map") {
        fs::write("/proc/self/uid_map", format!("0 {uid} 1")).context("user id not mapped")?;
    }
    Ok(())
}

fn is_unmapped(map: &str) -> bool {
    fs::read_to_string(map).is_ok_and(|lines| lines.trim().is_empty())
}

/// A child that stays outside the user namespace and maps a range of ids into it.
struct Mapper(Child);

impl Mapper {
    fn prepare(uid: u32, gid: u32) -> Option<Self> {
        let name = User::from_uid(uid.into()).ok().flatten()?.name;
        let arguments = |own: u32, file: &str| {
            let (first, count) = sub_ids(&fs::read_to_string(file).ok()?, &name, uid)?;
            Some(format!("0,{own},1,1,{first},{count}"))
        };
        let child = Command::new("/proc/self/exe")
            .arg("lab-map")
            .arg(format!("--pid={}", std::process::id()))
            .arg(format!("--uids={}", arguments(uid, "/etc/subuid")?))
            .arg(format!("--gids={}", arguments(gid, "/etc/subgid")?))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        child.ok().map(Self)
    }

    /// Maps what can be mapped. The maps themselves tell what came of it.
    fn map(mut self) {
        if let Some(mut stdin) = self.0.stdin.take() {
            let _ = stdin.write_all(b"go");
        }
        let _ = self.0.wait();
    }
}

/// The helper: waits until the namespace exists, then maps user ids and group ids.
pub(super) fn map_main(args: &MapArgs) -> ExitCode {
    let mut word = String::new();
    let told = std::io::stdin().read_to_string(&mut word).is_ok() && word == "go";
    let run = |tool: &str, ids: &str| {
        let status = Command::new(tool)
            .arg(args.pid.to_string())
            .args(ids.split(','))
            .status();
        status.is_ok_and(|status| status.success())
    };
    if told && run("newgidmap", &args.gids) && run("newuidmap", &args.uids) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// First id and count of the range that `table` (subuid(5)) gives to the user, at most 65,535 ids.
fn sub_ids(table: &str, name: &str, uid: u32) -> Option<(u32, u32)> {
    let uid = uid.to_string();
    let mut lines = table.lines().filter_map(|line| {
        let mut words = line.trim().split(':');
        let owner = words.next()?;
        let range = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        (owner == name || owner == uid).then_some(range)
    });
    lines
        .next()
        .map(|(first, count): (u32, u32)| (first, count.min(65_535)))
}

/// Adds what to switch on, where the kernel's settings tell.
fn explain(error: anyhow::Error) -> anyhow::Error {
    let setting = |name: &str| fs::read_to_string(format!("/proc/sys/{name}")).ok();
    match remedy(setting) {
        Some(remedy) => anyhow!(
            "user namespaces are switched off on this machine ({error:#}).\n\
             As root, run: {remedy}\n\
             or start the lab as root."
        ),
        None => error.context(
            "cannot enter namespaces of its own; a container may forbid it (seccomp, or no CAP_SYS_ADMIN)",
        ),
    }
}

/// The command that switches user namespaces on, from the settings under /proc/sys that switch them off.
fn remedy(setting: impl Fn(&str) -> Option<String>) -> Option<&'static str> {
    let is = |name: &str, off: &str| setting(name).is_some_and(|value| value.trim() == off);
    if is("kernel/unprivileged_userns_clone", "0") {
        Some("sysctl -w kernel.unprivileged_userns_clone=1")
    } else if is("user/max_user_namespaces", "0") {
        Some("sysctl -w user.max_user_namespaces=15000")
    } else if is("kernel/apparmor_restrict_unprivileged_userns", "1") {
        Some("sysctl -w kernel.apparmor_restrict_unprivileged_userns=0")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_remedy_names_the_setting_that_is_off() {
        let only = |wanted: &'static str, value: &'static str| {
            remedy(move |name| (name == wanted).then(|| format!("{value}\n")))
        };
        assert_eq!(
            only("kernel/unprivileged_userns_clone", "0"),
            Some("sysctl -w kernel.unprivileged_userns_clone=1")
        );
        assert_eq!(
            only("user/max_user_namespaces", "0"),
            Some("sysctl -w user.max_user_namespaces=15000")
        );
        assert_eq!(
            only("kernel/apparmor_restrict_unprivileged_userns", "1"),
            Some("sysctl -w kernel.apparmor_restrict_unprivileged_userns=0")
        );
        assert_eq!(only("user/max_user_namespaces", "96365"), None);
        assert_eq!(only("kernel/unprivileged_userns_clone", "1"), None);
    }

    #[test]
    fn ranges_belong_to_a_name_or_a_number() {
        let table = "daemon:1:2\nann:100000:65536\n1001:165536:10\n";
        assert_eq!(sub_ids(table, "ann", 1000), Some((100_000, 65_535)));
        assert_eq!(sub_ids(table, "bob", 1001), Some((165_536, 10)));
        assert_eq!(sub_ids(table, "eve", 1002), None);
        assert_eq!(sub_ids("ann:x:1\nann", "ann", 1000), None);
    }
}

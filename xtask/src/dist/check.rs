//! Installs, upgrades, removes and purges what was built, each time in a root of its own.
//!
//! The root is an overlay over this machine's, in namespaces without a network, and systemd is played by a script that
//! notes what it was asked for. This machine's packages are not touched.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use super::programs::{Libc, Programs};
use super::{Dist, RELEASE, deb};
use crate::process;
use crate::test::Report;
use crate::workspace::Workspace;

/// The step of a test run.
pub(crate) fn step(workspace: &Workspace, report: &mut Report) -> anyhow::Result<()> {
    if let Some(why) = cannot_build() {
        report.not_run("dist", &why);
        return Ok(());
    }
    let dist = Dist::new(workspace, None, RELEASE)?;
    let mut not_run = Vec::new();
    let outcome = dist
        .deb()
        .and_then(|_| dist.tarball())
        .and_then(|_| run(&dist, &mut not_run));
    for what in not_run {
        report.not_run("dist", &what);
    }
    outcome
}

/// Looks at what lies in the output directory; what cannot be looked at on this machine goes into `not_run`.
pub(super) fn run(dist: &Dist<'_>, not_run: &mut Vec<String>) -> anyhow::Result<()> {
    let package = dist.output.join(format!(
        "ferrosync_{}_{}.deb",
        dist.version,
        deb::architecture()?
    ));
    content(&package)?;
    same_again(dist, &package)?;
    lint(&package, not_run)?;
    if let Some(why) = no_roots() {
        not_run.push(format!("installing in a root of its own: {why}"));
        return Ok(());
    }
    let scratch = dist.scratch("check")?;
    let newer = newer(dist)?;
    let mut packages = vec![package];
    if installed("corosync") && installed("pacemaker") {
        match debians(&scratch) {
            Ok(back) => packages.push(back),
            Err(error) => not_run.push(format!("the way back to Debian's corosync: {error:#}")),
        }
        scenario(&scratch, REPLACE, &packages)?;
    } else {
        not_run.push(
            "replacing Debian's corosync: corosync and pacemaker are not installed".to_owned(),
        );
    }
    packages.truncate(1);
    packages.push(newer);
    scenario(&scratch, ALONE, &packages)?;
    for entry in fs::read_dir(&dist.output)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "gz") {
            scenario(&scratch, TARBALL, &[path])?;
        }
    }
    Ok(())
}

/// What must be in the package, and what must not.
fn content(package: &Path) -> anyhow::Result<()> {
    let list = process::output(Command::new("dpkg-deb").arg("--contents").arg(package))?;
    for path in MUST_HAVE {
        let wanted = |line: &str| {
            line.split(" -> ")
                .next()
                .is_some_and(|line| line.ends_with(path))
        };
        if !list.lines().any(wanted) {
            bail!("the package lacks {path}");
        }
    }
    let strangers: Vec<&str> = list
        .lines()
        .filter(|line| !line.contains(" root/root "))
        .collect();
    if !strangers.is_empty() {
        bail!("not owned by root: {}", strangers.join(", "));
    }
    let fields = process::output(Command::new("dpkg-deb").arg("--field").arg(package))?;
    println!("{fields}");
    for field in [
        "Provides: corosync (= 3.1.7)",
        "Conflicts: corosync",
        "Replaces: corosync",
    ] {
        if !fields.contains(field) {
            bail!("the package does not say `{field}`");
        }
    }
    Ok(())
}

/// The same commit gives the same bytes.
fn same_again(dist: &Dist<'_>, package: &Path) -> anyhow::Result<()> {
    let first = fs::read(package)?;
    let again = Dist {
        output: dist.scratch("again")?,
        version: dist.version.clone(),
        profile: dist.profile.clone(),
        epoch: dist.epoch.clone(),
        workspace: dist.workspace,
    };
    if fs::read(again.deb()?)? != first {
        bail!("the package comes out with other bytes the second time");
    }
    println!("ok: the package comes out with the same bytes again");
    Ok(())
}

fn lint(package: &Path, not_run: &mut Vec<String>) -> anyhow::Result<()> {
    if process::find("lintian").is_none() {
        not_run.push("lintian: it is not installed".to_owned());
        return Ok(());
    }
    let mut lintian = Command::new("lintian");
    lintian
        .args(["--fail-on", "error", "--allow-root"])
        .arg(package);
    process::run(&mut lintian).context("lintian")
}

/// The same package under a newer version.
fn newer(dist: &Dist<'_>) -> anyhow::Result<PathBuf> {
    let programs = Programs::build(dist, Libc::System)?;
    let newer = Dist {
        output: dist.scratch("newer")?,
        version: dist.version.clone(),
        profile: dist.profile.clone(),
        epoch: dist.epoch.clone(),
        workspace: dist.workspace,
    };
    deb::write(&newer, &programs, &format!("{}+newer", dist.version))
}

/// The package of the corosync that is installed here, from where this machine gets its packages.
fn debians(scratch: &Path) -> anyhow::Result<PathBuf> {
    let version = process::output(Command::new("dpkg-query").args([
        "--show",
        "--showformat",
        "${Version}",
        "corosync",
    ]))?;
    let mut apt = Command::new("apt-get");
    apt.args(["--quiet", "download", &format!("corosync={version}")])
        .current_dir(scratch);
    process::output(&mut apt)?;
    for entry in fs::read_dir(scratch)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "deb") {
            return Ok(path);
        }
    }
    bail!("apt-get brought no package")
}

/// Runs a scenario with these packages; what it says goes to standard output.
fn scenario(
    scratch: &Path,
    (name, text): (&str, &str),
    packages: &[PathBuf],
) -> anyhow::Result<()> {
    println!("dist: {name}");
    let work = scratch.join(format!("{name}-root"));
    fs::create_dir_all(&work)?;
    let script = scratch.join(format!("{name}.sh"));
    fs::write(&script, format!("{COMMON}\n{text}"))?;
    let root = scratch.join("root.sh");
    fs::write(&root, ROOT)?;
    let mut unshare = Command::new("unshare");
    unshare
        .args(NAMESPACES)
        .args(["sh", "-eu"])
        .arg(&root)
        .arg(&work)
        .arg(&script)
        .args(packages);
    process::run(&mut unshare).with_context(|| format!("scenario {name}"))
}

/// What keeps packages from being built here.
pub(crate) fn cannot_build() -> Option<String> {
    ["dpkg-deb", "strip", "tar", "gzip"]
        .into_iter()
        .find(|program| process::find(program).is_none())
        .map(|program| format!("{program} is not installed"))
}

/// What keeps this machine from giving us a root of its own.
fn no_roots() -> Option<String> {
    let mut probe = Command::new("unshare");
    probe.args(NAMESPACES).args(["sh", "-eu", "-c", PROBE]);
    process::output(&mut probe)
        .err()
        .map(|error| format!("no overlay over / in namespaces, which needs root: {error:#}"))
}

fn installed(package: &str) -> bool {
    let mut query = Command::new("dpkg-query");
    query.args(["--show", "--showformat", "${db:Status-Status}", package]);
    process::output(&mut query).is_ok_and(|status| status.trim() == "installed")
}

const NAMESPACES: [&str; 7] = [
    "--mount",
    "--net",
    "--uts",
    "--ipc",
    "--pid",
    "--fork",
    "--kill-child",
];
const PROBE: &str = "test \"$(id -u)\" = 0
dir=$(mktemp -d)
mount --make-rprivate /
mount -t tmpfs tmpfs \"$dir\"
mkdir \"$dir/upper\" \"$dir/work\" \"$dir/all\"
mount -t overlay overlay -o \"lowerdir=/,upperdir=$dir/upper,workdir=$dir/work\" \"$dir/all\"
test -x \"$dir/all/usr/bin/apt-get\"
umount \"$dir/all\"
umount \"$dir\"
rmdir \"$dir\"";
const ROOT: &str = include_str!("check/root.sh");
const COMMON: &str = include_str!("check/common.sh");
const REPLACE: (&str, &str) = ("replace", include_str!("check/replace.sh"));
const ALONE: (&str, &str) = ("alone", include_str!("check/alone.sh"));
const TARBALL: (&str, &str) = ("tarball", include_str!("check/tarball.sh"));

pub(super) const MUST_HAVE: [&str; 35] = [
    "./usr/sbin/corosync",
    "./usr/sbin/ferrosyncd",
    "./usr/sbin/corosync-cfgtool",
    "./usr/sbin/corosync-cmapctl",
    "./usr/sbin/corosync-cpgtool",
    "./usr/sbin/corosync-quorumtool",
    "./usr/sbin/corosync-keygen",
    "./usr/sbin/corosync-notifyd",
    "./usr/bin/corosync-blackbox",
    "./usr/bin/ferrosync",
    "./lib/systemd/system/corosync.service",
    "./lib/systemd/system/corosync-notifyd.service",
    "./etc/corosync/uidgid.d/",
    "./var/lib/corosync/",
    "./var/log/corosync/",
    "./usr/share/doc/ferrosync/copyright",
    "./usr/share/doc/ferrosync/changelog.gz",
    "./usr/share/man/man5/corosync.conf.5.gz",
    "./usr/share/man/man5/votequorum.5.gz",
    "./usr/share/man/man7/cmap_keys.7.gz",
    "./usr/share/man/man7/corosync_overview.7.gz",
    "./usr/share/man/man8/corosync.8.gz",
    "./usr/share/man/man8/corosync-blackbox.8.gz",
    "./usr/share/man/man8/corosync-cfgtool.8.gz",
    "./usr/share/man/man8/corosync-cmapctl.8.gz",
    "./usr/share/man/man8/corosync-cpgtool.8.gz",
    "./usr/share/man/man8/corosync-keygen.8.gz",
    "./usr/share/man/man8/corosync-notifyd.8.gz",
    "./usr/share/man/man8/corosync-quorumtool.8.gz",
    "./usr/share/man/man8/ferrosync.8.gz",
    "./usr/share/man/man8/ferrosync-lab.8.gz",
    "./usr/share/man/man8/ferrosync-migrate.8.gz",
    "./usr/share/man/man8/ferrosync-status.8.gz",
    "./usr/share/man/man8/ferrosyncd.8.gz",
    "./usr/share/snmp/mibs/COROSYNC-MIB.txt",
];

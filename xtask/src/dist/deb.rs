//! The Debian package.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;

use super::Dist;
use super::programs::Programs;
use super::tree::{DOC, Tree};
use crate::process;

/// The version of Corosync whose place the package takes, for what other packages depend on.
const COROSYNC: &str = "3.1.7";

/// Writes `ferrosync_VERSION_ARCHITECTURE.deb`; the answer is where it is.
pub(super) fn write(
    dist: &Dist<'_>,
    programs: &Programs,
    version: &str,
) -> anyhow::Result<PathBuf> {
    let root = dist.scratch("deb")?;
    let tree = Tree::lay_out(dist, programs, &root)?;
    documents(dist, &tree, version)?;
    let architecture = architecture()?;
    let control = root.join("DEBIAN");
    fs::create_dir(&control)?;
    let installed = process::output(
        Command::new("du")
            .args(["--summarize", "--apparent-size", "--block-size=1024"])
            .arg(&root),
    )?;
    let size = installed.split_whitespace().next().unwrap_or("0");
    let text = fs::read_to_string(dist.packaging("deb/control"))?
        .replace("@VERSION@", version)
        .replace("@ARCHITECTURE@", &architecture)
        .replace("@INSTALLED_SIZE@", size)
        .replace("@DEPENDS@", &programs.dependencies()?)
        .replace("@COROSYNC@", COROSYNC);
    fs::write(control.join("control"), text)?;
    fs::write(control.join("md5sums"), sums(&root)?)?;
    for script in ["postinst", "prerm", "postrm"] {
        let to = control.join(script);
        fs::copy(dist.packaging("deb").join(script), &to)?;
        fs::set_permissions(&to, fs::Permissions::from_mode(0o755))?;
    }
    plain_modes(&root)?;
    let path = dist
        .output
        .join(format!("ferrosync_{version}_{architecture}.deb"));
    let mut command = Command::new("dpkg-deb");
    command
        .args(["--build", "--root-owner-group", "-Zxz"])
        .arg(&root)
        .arg(&path)
        .env("SOURCE_DATE_EPOCH", &dist.epoch);
    process::output(&mut command)?;
    Ok(path)
}

fn documents(dist: &Dist<'_>, tree: &Tree, version: &str) -> anyhow::Result<()> {
    tree.file(
        &format!("{DOC}/README.Debian"),
        &dist.packaging("deb/README.Debian"),
        0o644,
    )?;
    for name in ["corosync.conf", "default", "logrotate"] {
        let from = dist.packaging("etc").join(name);
        tree.file(&format!("{DOC}/examples/{name}"), &from, 0o644)?;
    }
    let mit = fs::read_to_string(dist.workspace.root.join("LICENSE-MIT"))?;
    let indented: Vec<String> = mit
        .lines()
        .map(|line| {
            if line.is_empty() {
                " .".to_owned()
            } else {
                format!(" {line}")
            }
        })
        .collect();
    let copyright = fs::read_to_string(dist.packaging("deb/copyright"))?;
    let copyright = copyright.replace("@MIT@", &indented.join("\n"));
    fs::write(tree.at(&format!("{DOC}/copyright")), copyright)?;
    let date = date(&dist.epoch)?;
    let changelog = format!(
        "ferrosync ({version}) unstable; urgency=medium\n\n  * See CHANGELOG.md beside this file.\n\n \
         -- The Ferrosync developers <ferrosync@localhost>  {date}\n"
    );
    fs::write(tree.at(&format!("{DOC}/changelog")), changelog)?;
    tree.compress(&format!("{DOC}/changelog"))
}

/// A time as changelogs have it.
fn date(epoch: &str) -> anyhow::Result<String> {
    let mut command = Command::new("date");
    command.args(["--utc", "--rfc-email", &format!("--date=@{epoch}")]);
    Ok(process::output(&mut command)?.trim().to_owned())
}

/// Debian's name of this machine's architecture.
pub(super) fn architecture() -> anyhow::Result<String> {
    let mut dpkg = Command::new("dpkg");
    dpkg.arg("--print-architecture");
    Ok(process::output(&mut dpkg)?.trim().to_owned())
}

/// The sums of all files, with which `dpkg --verify` finds damage.
fn sums(root: &Path) -> anyhow::Result<String> {
    let mut command = Command::new("sh");
    command
        .args([
            "-c",
            "find * -path DEBIAN -prune -o -type f -print0 | sort -z | xargs -0 md5sum",
        ])
        .current_dir(root);
    process::output(&mut command)
}

/// Directories are open to all, whatever the mask of this process.
fn plain_modes(root: &Path) -> anyhow::Result<()> {
    let mut command = Command::new("find");
    command
        .arg(root)
        .args(["-type", "d", "-exec", "chmod", "755", "{}", "+"]);
    process::run(&mut command).context("modes of directories")
}

//! The tarball, for systems without the package.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::Dist;
use super::programs::{Libc, Programs};
use super::tree::Tree;
use crate::process;

/// Writes `ferrosync-VERSION-ARCHITECTURE-linux[-musl].tar.gz`; the answer is where it is.
pub(super) fn write(dist: &Dist<'_>, programs: &Programs) -> anyhow::Result<PathBuf> {
    let libc = match programs.libc {
        Libc::System => "gnu",
        Libc::Static => "musl",
    };
    let name = format!(
        "ferrosync-{}-{}-linux-{libc}",
        dist.version,
        std::env::consts::ARCH
    );
    let scratch = dist.scratch("tarball")?;
    let root = scratch.join(&name).join("root");
    fs::create_dir_all(&root)?;
    Tree::lay_out(dist, programs, &root)?;
    for script in ["install.sh", "uninstall.sh"] {
        fs::copy(
            dist.packaging("tarball").join(script),
            scratch.join(&name).join(script),
        )?;
    }
    for licence in ["LICENSE-APACHE", "LICENSE-MIT"] {
        fs::copy(
            dist.workspace.root.join(licence),
            scratch.join(&name).join(licence),
        )?;
    }
    let path = dist.output.join(format!("{name}.tar.gz"));
    let mut tar = Command::new("tar");
    tar.args([
        "--create",
        "--sort=name",
        "--owner=0",
        "--group=0",
        "--numeric-owner",
    ])
    .arg("--mode=u+rwX,go+rX,go-w")
    .arg(format!("--mtime=@{}", dist.epoch))
    .args(["--use-compress-program", "gzip -9 --no-name", "--file"])
    .arg(&path)
    .arg("--directory")
    .arg(&scratch)
    .arg(&name);
    process::run(&mut tar)?;
    Ok(path)
}

//! The programs, compiled.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, bail};

use super::Dist;
use crate::process::{self, cargo};

/// What the programs are linked against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Libc {
    /// The system's C library, which knows the system's name services.
    System,
    /// musl, within the programs: they run on any Linux.
    Static,
}

impl Libc {
    /// Static where the toolchain can.
    pub(super) fn best(dist: &Dist<'_>) -> Self {
        let mut rustup = Command::new("rustup");
        rustup
            .args(["target", "list", "--installed"])
            .current_dir(&dist.workspace.root);
        let installed = process::output(&mut rustup).unwrap_or_default();
        if installed.lines().any(|target| target == musl()) {
            return Self::Static;
        }
        println!(
            "the tarball needs glibc here: `rustup target add {}` makes it static",
            musl()
        );
        Self::System
    }
}

/// The target for static programs.
fn musl() -> String {
    format!("{}-unknown-linux-musl", std::env::consts::ARCH)
}

/// The two programs.
pub(super) struct Programs {
    /// `ferrosync`, which is all tools.
    pub(super) tool: PathBuf,
    /// `ferrosyncd`.
    pub(super) daemon: PathBuf,
    pub(super) libc: Libc,
}

impl Programs {
    /// Compiles them.
    pub(super) fn build(dist: &Dist<'_>, libc: Libc) -> anyhow::Result<Self> {
        let mut command = cargo(&dist.workspace.root);
        command.args(["build", "--profile", &dist.profile]);
        command.args(["--package", "ferrosync", "--package", "ferrosync-daemon"]);
        // Cargo keeps the profile `dev` under another name.
        let mut dir = dist.workspace.target.clone();
        if libc == Libc::Static {
            command.args(["--target", &musl()]);
            dir.push(musl());
        }
        dir.push(if dist.profile == "dev" {
            "debug"
        } else {
            &dist.profile
        });
        process::run(&mut command)?;
        Ok(Self {
            tool: dir.join("ferrosync"),
            daemon: dir.join("ferrosyncd"),
            libc,
        })
    }

    /// The Debian packages of the shared libraries that they need, with versions.
    ///
    /// # Errors
    /// A program needs a library that is not foreseen, or no version of the C library can be read from it.
    pub(super) fn dependencies(&self) -> anyhow::Result<String> {
        let mut depends = BTreeSet::new();
        let mut newest = (0, 0);
        for program in [&self.tool, &self.daemon] {
            let bytes = fs::read(program).with_context(|| program.display().to_string())?;
            for library in needed(&bytes) {
                depends.insert(package_of(&library)?);
            }
            newest = newest.max(glibc(&bytes));
        }
        if newest == (0, 0) {
            bail!("the programs name no version of the C library");
        }
        depends.remove("libc6");
        let libc = format!("libc6 (>= {}.{})", newest.0, newest.1);
        let all: Vec<&str> = std::iter::once(libc.as_str()).chain(depends).collect();
        Ok(all.join(", "))
    }
}

/// Shared libraries that a program names, found by their form: `lib*.so.N` between NUL bytes.
fn needed(program: &[u8]) -> BTreeSet<String> {
    let words = program.split(|byte| *byte == 0);
    words
        .filter(|word| word.len() < NAME_BYTES_MAX)
        .filter_map(|word| std::str::from_utf8(word).ok())
        .filter(|word| word.starts_with("lib") || word.starts_with("ld-linux"))
        .filter(|word| {
            let version = word.split_once(".so.").map(|(_, version)| version);
            version.is_some_and(|version| version.bytes().all(|byte| byte.is_ascii_digit()))
        })
        .map(str::to_owned)
        .collect()
}

/// The package of a library in Debian.
fn package_of(library: &str) -> anyhow::Result<&'static str> {
    match library {
        "libc.so.6" | "libm.so.6" | "libpthread.so.0" | "libdl.so.2" | "librt.so.1" => Ok("libc6"),
        name if name.starts_with("ld-linux") => Ok("libc6"),
        "libgcc_s.so.1" => Ok("libgcc-s1 (>= 4.2)"),
        other => bail!("a program needs {other}, for which no package is known here"),
    }
}

/// The newest version of glibc's symbols that a program names.
fn glibc(program: &[u8]) -> (u32, u32) {
    let words = program.split(|byte| *byte == 0);
    words
        .filter_map(|word| std::str::from_utf8(word.strip_prefix(b"GLIBC_")?).ok())
        .filter_map(|version| {
            let mut parts = version.split('.');
            let major = parts.next()?.parse().ok()?;
            Some((major, parts.next()?.parse().ok()?))
        })
        .max()
        .unwrap_or_default()
}

/// Longer than any name of a library.
const NAME_BYTES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_and_versions_are_found_in_a_program() {
        let program = b"\x7fELF\0libc.so.6\0GLIBC_2.17\0libgcc_s.so.1\0GLIBC_2.34\0GLIBC_PRIVATE\0libx.so\0xlibc.so.6y\0";
        assert_eq!(glibc(program), (2, 34));
        let found: Vec<String> = needed(program).into_iter().collect();
        assert_eq!(found, ["libc.so.6", "libgcc_s.so.1"]);
        assert!(package_of("libssl.so.3").is_err());
    }
}

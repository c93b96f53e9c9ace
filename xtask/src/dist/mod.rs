//! `cargo xtask dist`: what users install. A Debian package that takes the place of corosync's, and a tarball for
//! other systems.
//!
//! Both hold the same tree (`tree`), below `packaging/` are the files that nobody compiles. Packages are written by
//! dpkg's and tar's own programs, which are on every Debian: what they write is right by definition, and no archive
//! format needs to be kept here. Two runs on one commit write the same bytes.

mod check;
mod deb;
mod licences;
mod programs;
mod tarball;
mod tree;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;

use crate::process;
use crate::workspace::Workspace;
pub(crate) use check::step;
use programs::{Libc, Programs};

/// Options of `cargo xtask dist`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where the package and the tarball go; target/dist unless given.
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Cargo's profile for the programs.
    #[arg(long, default_value = RELEASE, value_name = "PROFILE")]
    profile: String,
    /// The Debian package alone.
    #[arg(long)]
    deb: bool,
    /// The tarball alone.
    #[arg(long, conflicts_with = "deb")]
    tarball: bool,
    /// Install, upgrade, remove and purge what was built, each in a root of its own.
    #[arg(long)]
    check: bool,
}

/// Cargo's profile for what users get.
const RELEASE: &str = "release";

/// What belongs to one build of the packages.
struct Dist<'a> {
    workspace: &'a Workspace,
    output: PathBuf,
    profile: String,
    /// Of the packages, as cargo knows it.
    version: String,
    /// Seconds since 1970 of the commit: the time of every file.
    epoch: String,
}

/// Builds what the options ask for.
pub(crate) fn run(workspace: &Workspace, args: &Args) -> anyhow::Result<()> {
    let dist = Dist::new(workspace, args.output.as_deref(), &args.profile)?;
    let mut written = Vec::new();
    if !args.tarball {
        written.push(dist.deb()?);
    }
    if !args.deb {
        written.push(dist.tarball()?);
    }
    for path in &written {
        println!("{}", path.display());
    }
    if args.check {
        let mut not_run = Vec::new();
        check::run(&dist, &mut not_run)?;
        for what in not_run {
            println!("NOT RUN: {what}");
        }
    }
    Ok(())
}

impl<'a> Dist<'a> {
    fn new(workspace: &'a Workspace, output: Option<&Path>, profile: &str) -> anyhow::Result<Self> {
        let output = output.map_or_else(|| workspace.target.join("dist"), Path::to_owned);
        let output = std::path::absolute(output)?;
        fs::create_dir_all(&output).with_context(|| output.display().to_string())?;
        let mut git = Command::new("git");
        git.args(["log", "-1", "--format=%ct"])
            .current_dir(&workspace.root);
        // An unpacked source without git has no commit; any fixed time will do.
        let epoch = process::output(&mut git).unwrap_or_else(|_| "0".to_owned());
        Ok(Self {
            workspace,
            output,
            profile: profile.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            epoch: epoch.trim().to_owned(),
        })
    }

    /// Builds the Debian package; the answer is where it is.
    fn deb(&self) -> anyhow::Result<PathBuf> {
        let programs = Programs::build(self, Libc::System)?;
        deb::write(self, &programs, &self.version)
    }

    /// Builds the tarball; the answer is where it is.
    fn tarball(&self) -> anyhow::Result<PathBuf> {
        let programs = Programs::build(self, Libc::best(self))?;
        tarball::write(self, &programs)
    }

    /// A file or directory of `packaging/`.
    fn packaging(&self, path: &str) -> PathBuf {
        self.workspace.root.join("packaging").join(path)
    }

    /// An empty directory of that name below the target directory.
    fn scratch(&self, name: &str) -> anyhow::Result<PathBuf> {
        let dir = self.workspace.target.join("dist-work").join(name);
        if dir.exists() {
            fs::remove_dir_all(&dir).with_context(|| dir.display().to_string())?;
        }
        fs::create_dir_all(&dir).with_context(|| dir.display().to_string())?;
        Ok(dir)
    }
}

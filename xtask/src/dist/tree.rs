//! The tree of files that users get, the same in the package and in the tarball.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;

use super::programs::Programs;
use super::{Dist, licences, manual};
use crate::process;

/// The tools that are the program `ferrosync` under other names, where Debian has them.
pub(super) const TOOLS: [&str; 7] = [
    "usr/sbin/corosync-cfgtool",
    "usr/sbin/corosync-cmapctl",
    "usr/sbin/corosync-cpgtool",
    "usr/sbin/corosync-quorumtool",
    "usr/sbin/corosync-keygen",
    "usr/sbin/corosync-notifyd",
    "usr/bin/corosync-blackbox",
];

/// A tree that is being filled.
pub(super) struct Tree {
    root: PathBuf,
}

impl Tree {
    /// Lays out all files below `root`, which is empty.
    pub(super) fn lay_out(
        dist: &Dist<'_>,
        programs: &Programs,
        root: &Path,
    ) -> anyhow::Result<Self> {
        let tree = Self {
            root: root.to_owned(),
        };
        tree.programs(programs)?;
        for (path, from) in FILES {
            tree.file(path, &dist.packaging(from), 0o644)?;
        }
        for directory in DIRECTORIES {
            let path = tree.at(directory);
            fs::create_dir_all(&path).with_context(|| path.display().to_string())?;
        }
        tree.documents(dist)?;
        tree.pages(dist)?;
        tree.generated(programs)?;
        Ok(tree)
    }

    fn programs(&self, programs: &Programs) -> anyhow::Result<()> {
        for (path, from) in [
            ("usr/bin/ferrosync", &programs.tool),
            ("usr/sbin/corosync", &programs.daemon),
        ] {
            self.file(path, from, 0o755)?;
            let mut strip = Command::new("strip");
            strip.arg("--strip-unneeded").arg(self.at(path));
            process::run(&mut strip)?;
        }
        // Programs that look for the daemon's process look for this name.
        self.link("usr/sbin/ferrosyncd", "corosync")?;
        for tool in TOOLS {
            let target = if tool.starts_with("usr/bin/") {
                "ferrosync"
            } else {
                "../bin/ferrosync"
            };
            self.link(tool, target)?;
        }
        Ok(())
    }

    fn documents(&self, dist: &Dist<'_>) -> anyhow::Result<()> {
        let root = &dist.workspace.root;
        for name in ["README.md", "CHANGELOG.md", "SECURITY.md"] {
            self.file(&format!("{DOC}/{name}"), &root.join(name), 0o644)?;
        }
        for name in DOCUMENTS {
            self.file(
                &format!("{DOC}/{name}"),
                &root.join("docs").join(name),
                0o644,
            )?;
        }
        let text = licences::text(dist)?;
        let path = self.at(&format!("{DOC}/THIRD-PARTY.txt"));
        fs::write(&path, text).with_context(|| path.display().to_string())?;
        self.compress(&format!("{DOC}/THIRD-PARTY.txt"))
    }

    /// Manual pages that nobody generates from options.
    fn pages(&self, dist: &Dist<'_>) -> anyhow::Result<()> {
        self.file(
            "usr/share/man/man8/ferrosyncd.8",
            &dist.packaging("man/ferrosyncd.8"),
            0o644,
        )?;
        self.compress("usr/share/man/man8/ferrosyncd.8")?;
        self.link("usr/share/man/man8/corosync.8.gz", "ferrosyncd.8.gz")?;
        for manual in &manual::MANUALS {
            let document = dist.workspace.root.join("docs").join(manual.document);
            let text =
                fs::read_to_string(&document).with_context(|| document.display().to_string())?;
            let path = manual.place();
            make_parent(&self.at(&path))?;
            fs::write(self.at(&path), manual.page(&text))?;
            self.compress(&path)?;
        }
        Ok(())
    }

    /// Manual pages and completions, which the program makes of the declarations of its options.
    fn generated(&self, programs: &Programs) -> anyhow::Result<()> {
        let generate = |what: &str, dir: &Path| {
            let mut command = Command::new(&programs.tool);
            command.args(["generate", what]).arg(dir);
            process::run(&mut command)
        };
        let pages = self.at("usr/share/man");
        fs::create_dir_all(&pages)?;
        generate("man", &pages)?;
        self.sort_pages()?;
        let completions = self.at("usr/share/ferrosync/completions");
        fs::create_dir_all(&completions)?;
        generate("completions", &completions)?;
        self.sort_completions(&completions)
    }

    /// Moves `NAME.8` to `man8/NAME.8.gz`.
    fn sort_pages(&self) -> anyhow::Result<()> {
        for page in files_of(&self.at("usr/share/man"))? {
            let section = page.rsplit('.').next().unwrap_or_default();
            let to = format!("usr/share/man/man{section}/{page}");
            self.rename(&format!("usr/share/man/{page}"), &to)?;
            self.compress(&to)?;
        }
        Ok(())
    }

    /// Puts each shell's completions where that shell looks.
    fn sort_completions(&self, from: &Path) -> anyhow::Result<()> {
        for (shell, place) in COMPLETIONS {
            for name in files_of(&from.join(shell))? {
                let old = format!("usr/share/ferrosync/completions/{shell}/{name}");
                let new = name.strip_suffix(".bash").unwrap_or(&name);
                self.rename(&old, &format!("{place}/{new}"))?;
            }
        }
        fs::remove_dir_all(from).with_context(|| from.display().to_string())
    }

    /// Copies a file to its place.
    pub(super) fn file(&self, path: &str, from: &Path, mode: u32) -> anyhow::Result<()> {
        let to = self.at(path);
        make_parent(&to)?;
        fs::copy(from, &to).with_context(|| from.display().to_string())?;
        fs::set_permissions(&to, fs::Permissions::from_mode(mode))?;
        Ok(())
    }

    /// Compresses a file, without a time of its own.
    pub(super) fn compress(&self, path: &str) -> anyhow::Result<()> {
        let mut gzip = Command::new("gzip");
        gzip.args(["-9", "--no-name"]).arg(self.at(path));
        process::run(&mut gzip)
    }

    fn link(&self, path: &str, target: &str) -> anyhow::Result<()> {
        let to = self.at(path);
        make_parent(&to)?;
        symlink(target, &to).with_context(|| to.display().to_string())
    }

    fn rename(&self, from: &str, to: &str) -> anyhow::Result<()> {
        make_parent(&self.at(to))?;
        fs::rename(self.at(from), self.at(to)).with_context(|| from.to_owned())
    }

    /// Where a path of the tree is on this machine.
    pub(super) fn at(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }
}

fn make_parent(path: &Path) -> anyhow::Result<()> {
    let parent = path
        .parent()
        .expect("every path of the tree has a directory");
    fs::create_dir_all(parent).with_context(|| parent.display().to_string())
}

/// Names of the files in a directory, sorted.
fn files_of(dir: &Path) -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir).with_context(|| dir.display().to_string())? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// Where each shell looks for completions.
const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "usr/share/bash-completion/completions"),
    ("fish", "usr/share/fish/vendor_completions.d"),
    ("zsh", "usr/share/zsh/vendor-completions"),
];

/// Where documents go.
pub(super) const DOC: &str = "usr/share/doc/ferrosync";

/// Files of `packaging/`, by their place.
const FILES: [(&str, &str); 7] = [
    (
        "lib/systemd/system/corosync.service",
        "systemd/corosync.service",
    ),
    (
        "lib/systemd/system/corosync-notifyd.service",
        "systemd/corosync-notifyd.service",
    ),
    (
        "usr/share/ferrosync/defaults/corosync.conf",
        "etc/corosync.conf",
    ),
    ("usr/share/ferrosync/defaults/default", "etc/default"),
    ("usr/share/ferrosync/defaults/logrotate", "etc/logrotate"),
    (
        "usr/share/dbus-1/system.d/corosync-signals.conf",
        "share/corosync-signals.conf",
    ),
    (
        "usr/share/snmp/mibs/COROSYNC-MIB.txt",
        "share/COROSYNC-MIB.txt",
    ),
];

/// Directories that are there even when empty.
const DIRECTORIES: [&str; 3] = [
    "etc/corosync/uidgid.d",
    "var/lib/corosync",
    "var/log/corosync",
];

/// What of `docs/` is for users.
const DOCUMENTS: [&str; 8] = [
    "cmap.md",
    "config.md",
    "deviations.md",
    "lab.md",
    "migrate.md",
    "overview.md",
    "packages.md",
    "quorum.md",
];

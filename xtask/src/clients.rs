//! The C clients of interop/: our own programs against Debian's client libraries.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;

use crate::process;
use crate::workspace::Workspace;

/// The compiled clients.
pub(crate) struct Clients {
    dir: PathBuf,
}

impl Clients {
    /// Compiles every client; a warning is an error.
    pub(crate) fn build(workspace: &Workspace) -> anyhow::Result<Self> {
        let dir = workspace.target.join("interop");
        fs::create_dir_all(&dir).with_context(|| format!("{}", dir.display()))?;
        for (name, libraries) in CLIENTS {
            let source = workspace
                .root
                .join("interop")
                .join(name)
                .with_extension("c");
            let mut compile = Command::new(COMPILER);
            compile
                .args(FLAGS)
                .arg("-o")
                .arg(dir.join(name))
                .arg(source)
                .args(libraries.iter().map(|library| format!("-l{library}")));
            process::run(&mut compile)?;
        }
        Ok(Self { dir })
    }

    /// Where they lie.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The program called `name`.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

/// What keeps the clients from being compiled on this machine, if anything.
pub(crate) fn missing() -> Option<String> {
    if process::find(COMPILER).is_none() {
        return Some(format!("no C compiler ({COMPILER})"));
    }
    HEADERS
        .iter()
        .find(|header| !Path::new("/usr/include/corosync").join(header).exists())
        .map(|header| format!("corosync/{header} is not installed"))
}

const COMPILER: &str = "cc";
const FLAGS: [&str; 6] = ["-std=c11", "-O2", "-g", "-Wall", "-Wextra", "-Werror"];
const HEADERS: &[&str] = &["cpg.h", "cmap.h", "quorum.h", "votequorum.h", "cfg.h"];

/// Programs and the libraries they link.
const CLIENTS: &[(&str, &[&str])] = &[
    ("cpg_probe", &["cpg", "pthread"]),
    ("cpg_storm", &["cpg"]),
    ("cpg_calls", &["cpg"]),
    ("cmap_calls", &["cmap"]),
    ("quorum_calls", &["quorum"]),
    ("votequorum_calls", &["votequorum"]),
    ("cfg_calls", &["cfg"]),
    ("syslog_listen", &[]),
    ("dlm_calls", &["cfg", "cmap", "quorum", "cpg"]),
    ("sbd_calls", &["cmap", "cpg", "votequorum"]),
];

//! What cargo and the work tree say about the workspace.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use cargo_metadata::{DependencyKind, MetadataCommand};

/// The workspace on disk, as cargo describes it.
#[derive(Clone, Debug)]
pub(crate) struct Workspace {
    /// The directory of the root `Cargo.toml`.
    pub(crate) root: PathBuf,
    /// Cargo's target directory.
    pub(crate) target: PathBuf,
    /// The member packages, by name.
    pub(crate) packages: Vec<Package>,
}

/// One member of the workspace.
#[derive(Clone, Debug, Default)]
pub(crate) struct Package {
    /// Its name in `Cargo.toml`.
    pub(crate) name: String,
    /// Its directory, relative to the root.
    pub(crate) dir: String,
    /// Names of the packages it depends on.
    pub(crate) dependencies: Vec<Dependency>,
    /// Root source files of its targets, relative to the workspace root.
    pub(crate) roots: Vec<String>,
}

/// One line of a `[dependencies]` table.
#[derive(Clone, Debug)]
pub(crate) struct Dependency {
    /// The package's name.
    pub(crate) name: String,
    /// Which table it stands in.
    pub(crate) purpose: Purpose,
}

/// What a dependency is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Purpose {
    /// `[dependencies]` and `[build-dependencies]`: part of what ships.
    Ship,
    /// `[dev-dependencies]`: tests only.
    Test,
}

impl Workspace {
    /// Asks cargo for the workspace this program was built in.
    pub(crate) fn load() -> anyhow::Result<Self> {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml");
        let metadata = MetadataCommand::new()
            .manifest_path(manifest)
            .no_deps()
            .exec()
            .context("cargo metadata")?;
        let root = metadata.workspace_root.clone().into_std_path_buf();
        let packages = metadata
            .workspace_packages()
            .into_iter()
            .map(|package| Package::from_metadata(package, &root))
            .collect();
        Ok(Self {
            target: metadata.target_directory.clone().into_std_path_buf(),
            root,
            packages,
        })
    }

    /// Every text file of the work tree by its path relative to the root; build output and git's own files are left out.
    pub(crate) fn text_files(&self) -> anyhow::Result<BTreeMap<String, String>> {
        let mut files = BTreeMap::new();
        let mut pending = vec![self.root.clone()];
        while let Some(dir) = pending.pop() {
            let entries = fs::read_dir(&dir).with_context(|| format!("{}", dir.display()))?;
            for entry in entries {
                let entry = entry?;
                let path = entry.path();
                let kind = entry.file_type()?;
                if is_output(&path) {
                    continue;
                }
                if kind.is_dir() {
                    pending.push(path);
                } else if kind.is_file()
                    && let Ok(text) = String::from_utf8(fs::read(&path)?)
                {
                    files.insert(relative(&path, &self.root), text);
                }
            }
        }
        Ok(files)
    }
}

impl Package {
    fn from_metadata(package: &cargo_metadata::Package, root: &Path) -> Self {
        let dir = package
            .manifest_path
            .parent()
            .expect("a manifest path ends in Cargo.toml");
        Self {
            name: package.name.to_string(),
            dir: relative(dir.as_std_path(), root),
            dependencies: package
                .dependencies
                .iter()
                .map(|dependency| Dependency {
                    name: dependency.name.clone(),
                    purpose: match dependency.kind {
                        DependencyKind::Development => Purpose::Test,
                        DependencyKind::Normal
                        | DependencyKind::Build
                        | DependencyKind::Unknown => Purpose::Ship,
                    },
                })
                .collect(),
            roots: package
                .targets
                .iter()
                .map(|target| relative(target.src_path.as_std_path(), root))
                .collect(),
        }
    }
}

fn is_output(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| OUTPUT.iter().any(|output| name == *output))
}

fn relative(path: &Path, root: &Path) -> String {
    path.strip_prefix(root)
        .unwrap_or(path)
        .to_string_lossy()
        .into_owned()
}

/// Directories whose content nobody wrote; in a second work tree of a repository `.git` is a file.
const OUTPUT: [&str; 2] = [".git", "target"];

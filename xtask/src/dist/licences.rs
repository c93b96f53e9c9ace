//! The licences of everything that is compiled into the programs, whose texts must go with them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::Context as _;
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package, PackageId};

use super::Dist;

/// The text: each library with its licence, then each text once.
pub(super) fn text(dist: &Dist<'_>) -> anyhow::Result<String> {
    let metadata = MetadataCommand::new()
        .manifest_path(dist.workspace.root.join("Cargo.toml"))
        .other_options(vec![
            "--locked".to_owned(),
            "--filter-platform".to_owned(),
            format!("{}-unknown-linux-gnu", std::env::consts::ARCH),
        ])
        .exec()
        .context("cargo metadata")?;
    let mut list = String::from("Libraries in the programs of Ferrosync, and their licences\n\n");
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in linked(&metadata)? {
        let name = format!("{} {}", package.name, package.version);
        let licence = package.license.as_deref().unwrap_or("see its text");
        writeln!(list, "{name}: {licence}")?;
        let dir = package
            .manifest_path
            .parent()
            .context("a manifest has a directory")?;
        for text in licence_files(dir.as_std_path())? {
            texts.entry(text).or_default().push(name.clone());
        }
    }
    for (text, names) in texts {
        writeln!(
            list,
            "\n{}\n{}\n\n{}",
            "-".repeat(72),
            names.join(", "),
            text.trim_end()
        )?;
    }
    Ok(list)
}

/// Packages from outside the workspace that the programs need at run time, by name.
fn linked(metadata: &Metadata) -> anyhow::Result<Vec<&Package>> {
    let resolve = metadata.resolve.as_ref().context("cargo resolves")?;
    let own: BTreeSet<&PackageId> = metadata.workspace_members.iter().collect();
    let programs = metadata.workspace_packages();
    let mut waiting: Vec<&PackageId> = programs
        .iter()
        .filter(|package| ["ferrosync", "ferrosync-daemon"].contains(&package.name.as_str()))
        .map(|package| &package.id)
        .collect();
    let mut seen: BTreeSet<&PackageId> = BTreeSet::new();
    while let Some(id) = waiting.pop() {
        if !seen.insert(id) {
            continue;
        }
        let node = resolve.nodes.iter().find(|node| node.id == *id);
        let node = node.context("every package is resolved")?;
        for dependency in &node.deps {
            let ships = |kind: &cargo_metadata::DepKindInfo| kind.kind == DependencyKind::Normal;
            if dependency.dep_kinds.iter().any(ships) {
                waiting.push(&dependency.pkg);
            }
        }
    }
    let mut packages: Vec<&Package> = metadata
        .packages
        .iter()
        .filter(|package| seen.contains(&package.id) && !own.contains(&package.id))
        .collect();
    packages.sort_by(|a, b| (&a.name, &a.version).cmp(&(&b.name, &b.version)));
    Ok(packages)
}

/// The texts of the licence files in a package's directory.
fn licence_files(dir: &Path) -> anyhow::Result<Vec<String>> {
    let mut texts = BTreeSet::new();
    for entry in fs::read_dir(dir).with_context(|| dir.display().to_string())? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().to_ascii_uppercase();
        let is_licence = ["LICENSE", "LICENCE", "COPYING", "NOTICE", "COPYRIGHT"]
            .iter()
            .any(|word| name.starts_with(word));
        if is_licence && entry.file_type()?.is_file() {
            texts.insert(String::from_utf8_lossy(&fs::read(entry.path())?).into_owned());
        }
    }
    Ok(texts.into_iter().collect())
}

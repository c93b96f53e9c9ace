//! Every member inherits licence, edition, toolchain and lints; every pure crate carries the ban-list of IO and clocks.

use toml::{Table, Value};

use super::{Finding, PURE_CRATES, Tree};

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.files_ending("Cargo.toml") {
        if path.starts_with("crates/") || path.starts_with("xtask/") {
            findings.extend(check_manifest(path, text));
        }
    }
    let reference = format!("{}/clippy.toml", PURE_CRATES[0]);
    for dir in PURE_CRATES {
        let path = format!("{dir}/clippy.toml");
        let exists = tree.files.contains_key(&format!("{dir}/Cargo.toml"));
        if exists && tree.files.get(&path) != tree.files.get(&reference) {
            let message = format!("a pure crate needs the same ban-list as {reference}");
            findings.push(Finding::new(&path, 0, message));
        }
    }
    findings
}

fn check_manifest(path: &str, text: &str) -> Vec<Finding> {
    let manifest: Table = match text.parse() {
        Ok(manifest) => manifest,
        Err(error) => return vec![Finding::new(path, 0, format!("cannot be parsed: {error}"))],
    };
    let package = manifest.get("package").and_then(Value::as_table);
    let key = |name: &str| package.and_then(|package| package.get(name));
    let mut findings = Vec::new();
    for name in INHERITED {
        if !key(name).is_some_and(is_inherited) {
            let message = format!("[package] needs `{name}.workspace = true`");
            findings.push(Finding::new(path, 0, message));
        }
    }
    if key("description")
        .and_then(Value::as_str)
        .is_none_or(str::is_empty)
    {
        findings.push(Finding::new(path, 0, "[package] needs a `description`"));
    }
    if !manifest.get("lints").is_some_and(is_inherited) {
        findings.push(Finding::new(path, 0, "needs `[lints] workspace = true`"));
    }
    for table in DEPENDENCY_TABLES {
        let dependencies = manifest.get(table).and_then(Value::as_table);
        for (name, value) in dependencies.into_iter().flatten() {
            if !is_inherited(value) {
                let message = format!("[{table}] {name}: state the version in the root, once");
                findings.push(Finding::new(path, 0, message));
            }
        }
    }
    findings
}

fn is_inherited(value: &Value) -> bool {
    let flag = value.get("workspace").and_then(Value::as_bool);
    flag.unwrap_or(false)
}

const INHERITED: [&str; 5] = ["version", "edition", "rust-version", "license", "publish"];
const DEPENDENCY_TABLES: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
        [package]
        name = "a"
        description = "An example"
        version.workspace = true
        edition.workspace = true
        rust-version.workspace = true
        license.workspace = true
        publish.workspace = true
        [dependencies]
        bytes = { workspace = true }
        [lints]
        workspace = true
    "#;

    fn messages(text: &str) -> Vec<String> {
        let findings = check(&Tree::of(&[("crates/a/Cargo.toml", text)]));
        findings
            .into_iter()
            .map(|finding| finding.message)
            .collect()
    }

    #[test]
    fn a_good_manifest_passes() {
        assert_eq!(messages(GOOD), [""; 0]);
    }

    #[test]
    fn every_missing_key_is_found() {
        for (line, expected) in [
            ("license.workspace = true", "license"),
            ("rust-version.workspace = true", "rust-version"),
            ("description = \"An example\"", "description"),
            ("[lints]\n        workspace = true", "lints"),
        ] {
            let found = messages(&GOOD.replace(line, ""));
            assert_eq!(found.len(), 1, "{line}");
            assert!(found[0].contains(expected), "{found:?}");
        }
    }

    #[test]
    fn a_version_outside_the_root_is_found() {
        let found = messages(&GOOD.replace("bytes = { workspace = true }", "bytes = \"1\""));
        assert_eq!(found.len(), 1);
    }

    #[test]
    fn a_pure_crate_without_the_ban_list_is_found() {
        let tree = Tree::of(&[
            ("crates/wire/clippy.toml", "a = 1"),
            ("crates/totem/Cargo.toml", GOOD),
        ]);
        assert_eq!(check(&tree).len(), 1);
    }
}

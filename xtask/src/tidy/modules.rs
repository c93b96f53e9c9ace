//! Every Rust file is part of some target: a file no `mod` leads to is dead, however well it reads.

use std::collections::BTreeSet;

use syn::{Attribute, Expr, Item, ItemMod, Lit, Meta};

use super::{Finding, Tree};

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut live = BTreeSet::new();
    let roots = tree.packages.iter().flat_map(|package| &package.roots);
    let fuzz = tree
        .rust()
        .map(|(path, _)| path)
        .filter(|path| is_fuzz_root(path));
    for root in roots.map(String::as_str).chain(fuzz) {
        follow(tree, root, Place::Root, &mut live);
    }
    tree.rust()
        .filter(|(path, _)| !live.contains(*path))
        .map(|(path, _)| Finding::new(path, 0, "no `mod` leads here; wire it in or remove it"))
        .collect()
}

/// How a file finds the files of its own modules.
#[derive(Clone, Copy)]
enum Place {
    /// `lib.rs`, `main.rs`, `mod.rs`: beside itself.
    Root,
    /// `name.rs`: in the folder `name`.
    Named,
}

/// Marks `path` and all files its `mod` items lead to.
fn follow(tree: &Tree, path: &str, place: Place, live: &mut BTreeSet<String>) {
    let Some(source) = tree.files.get(path) else {
        return;
    };
    if !live.insert(path.to_owned()) {
        return;
    }
    let Ok(file) = syn::parse_file(source) else {
        return;
    };
    let dir = path.rsplit_once('/').map_or("", |(dir, _)| dir);
    let children = match place {
        Place::Root => dir.to_owned(),
        Place::Named => path.trim_end_matches(".rs").to_owned(),
    };
    follow_items(tree, &file.items, dir, &children, live);
}

/// Follows the `mod` items of one file or inline module whose own modules lie in `children`.
fn follow_items(
    tree: &Tree,
    items: &[Item],
    dir: &str,
    children: &str,
    live: &mut BTreeSet<String>,
) {
    for item in items {
        let Item::Mod(module) = item else { continue };
        let name = module.ident.to_string();
        if let Some((_, inline)) = &module.content {
            follow_items(tree, inline, dir, &format!("{children}/{name}"), live);
        } else if let Some(file) = path_attribute(module) {
            follow(tree, &format!("{dir}/{file}"), Place::Root, live);
        } else {
            follow(tree, &format!("{children}/{name}.rs"), Place::Named, live);
            follow(
                tree,
                &format!("{children}/{name}/mod.rs"),
                Place::Root,
                live,
            );
        }
    }
}

/// The file named by `#[path = ".."]`.
fn path_attribute(module: &ItemMod) -> Option<String> {
    let value = |attribute: &Attribute| {
        let Meta::NameValue(pair) = &attribute.meta else {
            return None;
        };
        let Expr::Lit(literal) = &pair.value else {
            return None;
        };
        let Lit::Str(file) = &literal.lit else {
            return None;
        };
        pair.path.is_ident("path").then(|| file.value())
    };
    module.attrs.iter().find_map(value)
}

/// The fuzz package stands outside the workspace, so cargo's metadata does not list its targets.
fn is_fuzz_root(path: &str) -> bool {
    let Some(rest) = path.strip_prefix("fuzz/") else {
        return false;
    };
    let one_deep = rest.split_once('/').filter(|(_, file)| !file.contains('/'));
    match one_deep {
        Some(("fuzz_targets" | "tests", _)) => true,
        Some(("src", file)) => matches!(file, "lib.rs" | "main.rs"),
        Some(_) | None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::Package;

    fn dead(files: &[(&str, &str)]) -> Vec<String> {
        let mut tree = Tree::of(files);
        tree.packages.push(Package {
            roots: vec!["a/src/lib.rs".into()],
            ..Package::default()
        });
        check(&tree)
            .into_iter()
            .map(|finding| finding.file)
            .collect()
    }

    #[test]
    fn a_file_without_mod_is_found() {
        let files = [
            ("a/src/lib.rs", "mod b;"),
            ("a/src/b.rs", ""),
            ("a/src/c.rs", ""),
        ];
        assert_eq!(dead(&files), ["a/src/c.rs"]);
    }

    #[test]
    fn every_way_to_reach_a_file_is_followed() {
        let files = [
            (
                "a/src/lib.rs",
                "mod b; mod c; mod d { mod e; } #[path = \"odd.rs\"] mod f;",
            ),
            ("a/src/b.rs", "#[cfg(test)] mod tests;"),
            ("a/src/b/tests.rs", ""),
            ("a/src/c/mod.rs", "mod g;"),
            ("a/src/c/g.rs", ""),
            ("a/src/d/e.rs", ""),
            ("a/src/odd.rs", ""),
            ("fuzz/fuzz_targets/conf.rs", ""),
        ];
        assert_eq!(dead(&files), [""; 0]);
    }

    #[test]
    fn a_mod_in_a_comment_leads_nowhere() {
        let files = [("a/src/lib.rs", "// mod b;"), ("a/src/b.rs", "")];
        assert_eq!(dead(&files), ["a/src/b.rs"]);
    }
}

//! Who may depend on whom: the table of ARCHITECTURE.md, held against cargo's metadata in both directions.

use std::collections::BTreeSet;

use super::{Finding, PURE_CRATES, Tree};
use crate::workspace::{Dependency, Package, Purpose};

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = check_table(tree, &LAYERS);
    for package in &tree.packages {
        findings.extend(check_pure(package));
    }
    findings
}

/// Compares the members' internal dependencies with `layers`.
fn check_table(tree: &Tree, layers: &[Layer]) -> Vec<Finding> {
    let members: BTreeSet<&str> = tree.packages.iter().map(|p| p.name.as_str()).collect();
    let mut findings = Vec::new();
    for package in &tree.packages {
        let manifest = format!("{}/Cargo.toml", package.dir);
        let mut find = |message: String| findings.push(Finding::new(&manifest, 0, message));
        let Some(layer) = layers.iter().find(|layer| layer.name == package.name) else {
            find(format!(
                "{} has no line in the table of layers",
                package.name
            ));
            continue;
        };
        let (real_ship, real_test) = internal(package, &members);
        for extra in real_ship.difference(&layer.ships()) {
            find(format!("{} must not depend on {extra}", package.name));
        }
        for stale in layer.ships().difference(&real_ship) {
            find(format!(
                "{} does not depend on {stale}; mend the table of layers",
                package.name
            ));
        }
        for extra in real_test.difference(&layer.tests()) {
            find(format!(
                "tests of {} must not depend on {extra}",
                package.name
            ));
        }
        for stale in layer.tests().difference(&real_test) {
            let name = &package.name;
            find(format!(
                "tests of {name} do not depend on {stale}; mend the table of layers"
            ));
        }
    }
    for gone in layers.iter().filter(|layer| !members.contains(layer.name)) {
        if !tree.packages.is_empty() {
            let message = format!(
                "the table of layers names {}, which is no member",
                gone.name
            );
            findings.push(Finding::new("Cargo.toml", 0, message));
        }
    }
    findings
}

/// A pure crate may ship only what is listed: nothing that could open a socket or read a clock.
fn check_pure(package: &Package) -> Vec<Finding> {
    if !PURE_CRATES.contains(&package.dir.as_str()) {
        return Vec::new();
    }
    package
        .dependencies
        .iter()
        .filter(|dependency| dependency.purpose == Purpose::Ship)
        .map(|dependency| dependency.name.as_str())
        .filter(|name| !name.starts_with(PREFIX) && !PURE_EXTERNAL.contains(name))
        .map(|name| {
            let manifest = format!("{}/Cargo.toml", package.dir);
            Finding::new(
                &manifest,
                0,
                format!("a pure crate must not depend on {name}"),
            )
        })
        .collect()
}

/// The members that `package` depends on: those it ships with, and those its tests need besides.
fn internal<'a>(
    package: &'a Package,
    members: &BTreeSet<&'a str>,
) -> (BTreeSet<&'a str>, BTreeSet<&'a str>) {
    let of = |purpose: Purpose| -> BTreeSet<&'a str> {
        package
            .dependencies
            .iter()
            .filter(|Dependency { name, purpose: p }| {
                *p == purpose && members.contains(name.as_str()) && *name != package.name
            })
            .map(|dependency| dependency.name.as_str())
            .collect()
    };
    let ship = of(Purpose::Ship);
    let test = of(Purpose::Test).difference(&ship).copied().collect();
    (ship, test)
}

/// One line of the table.
struct Layer {
    name: &'static str,
    ship: &'static [&'static str],
    test: &'static [&'static str],
}

impl Layer {
    const fn new(name: &'static str, ship: &'static [&'static str]) -> Self {
        Self {
            name,
            ship,
            test: &[],
        }
    }

    fn ships(&self) -> BTreeSet<&'static str> {
        self.ship.iter().copied().collect()
    }

    fn tests(&self) -> BTreeSet<&'static str> {
        self.test.iter().copied().collect()
    }
}

const PREFIX: &str = "ferrosync-";

/// What a pure crate may use from outside.
const PURE_EXTERNAL: [&str; 15] = [
    "aes",
    "bytes",
    "bzip2",
    "cbc",
    "chacha20",
    "flate2",
    "hmac",
    "lz4_flex",
    "lzma-rust2",
    "lzokay",
    "md-5",
    "ruzstd",
    "sha1",
    "sha2",
    "zeroize",
];

/// Direct dependencies, exactly; what only tests need stands in `test`.
const LAYERS: [Layer; 10] = [
    Layer::new("ferrosync-wire", &[]),
    Layer::new("ferrosync-totem", &["ferrosync-wire"]),
    Layer::new("ferrosync-knet", &["ferrosync-wire"]),
    Layer::new("ferrosync-ipc", &["ferrosync-wire"]),
    Layer::new(
        "ferrosync-executive",
        &["ferrosync-knet", "ferrosync-totem", "ferrosync-wire"],
    ),
    Layer {
        name: "ferrosync-client",
        ship: &["ferrosync-ipc", "ferrosync-wire"],
        // Its tests bring their own daemon.
        test: &["ferrosync-daemon"],
    },
    Layer {
        name: "ferrosync-sim",
        ship: &["ferrosync-executive", "ferrosync-totem", "ferrosync-wire"],
        // Its tests seal packets that no node of a world sends.
        test: &["ferrosync-knet"],
    },
    Layer::new(
        "ferrosync-daemon",
        &["ferrosync-executive", "ferrosync-ipc", "ferrosync-wire"],
    ),
    Layer::new(
        "ferrosync",
        &[
            "ferrosync-client",
            "ferrosync-daemon",
            "ferrosync-executive",
        ],
    ),
    Layer::new("xtask", &[]),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, dependencies: &[(&str, Purpose)]) -> Package {
        let dependency = |&(name, purpose): &(&str, Purpose)| Dependency {
            name: name.into(),
            purpose,
        };
        Package {
            name: name.into(),
            dir: format!("crates/{}", name.trim_start_matches(PREFIX)),
            dependencies: dependencies.iter().map(dependency).collect(),
            ..Package::default()
        }
    }

    fn messages(packages: Vec<Package>) -> Vec<String> {
        let tree = Tree {
            packages,
            ..Tree::default()
        };
        let layers = [Layer::new("a", &[]), Layer::new("b", &["a"])];
        let findings = check_table(&tree, &layers);
        findings
            .into_iter()
            .map(|finding| finding.message)
            .collect()
    }

    #[test]
    fn the_table_as_it_stands_is_fine() {
        let b = package("b", &[("a", Purpose::Ship), ("a", Purpose::Test)]);
        assert_eq!(messages(vec![package("a", &[]), b]), [""; 0]);
    }

    #[test]
    fn an_upward_edge_is_found() {
        let a = package("a", &[("b", Purpose::Ship)]);
        let b = package("b", &[("a", Purpose::Ship)]);
        assert_eq!(messages(vec![a, b]), ["a must not depend on b"]);
    }

    #[test]
    fn an_edge_that_only_tests_need_must_be_listed_too() {
        let a = package("a", &[("b", Purpose::Test)]);
        let b = package("b", &[("a", Purpose::Ship)]);
        assert_eq!(messages(vec![a, b]), ["tests of a must not depend on b"]);
    }

    #[test]
    fn a_stale_line_of_the_table_is_found() {
        let found = messages(vec![package("a", &[]), package("b", &[])]);
        assert_eq!(found, ["b does not depend on a; mend the table of layers"]);
        let found = messages(vec![package("a", &[])]);
        assert_eq!(found, ["the table of layers names b, which is no member"]);
    }

    #[test]
    fn a_member_without_a_line_is_found() {
        let b = package("b", &[("a", Purpose::Ship)]);
        let found = messages(vec![package("a", &[]), b, package("c", &[])]);
        assert_eq!(found, ["c has no line in the table of layers"]);
    }

    #[test]
    fn a_pure_crate_with_a_socket_library_is_found() {
        let wire = package("ferrosync-wire", &[("nix", Purpose::Ship)]);
        assert_eq!(check_pure(&wire).len(), 1);
        let wire = package(
            "ferrosync-wire",
            &[("nix", Purpose::Test), ("bytes", Purpose::Ship)],
        );
        assert_eq!(check_pure(&wire), []);
    }
}

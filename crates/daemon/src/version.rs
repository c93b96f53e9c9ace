//! What `-v` says (corosync `main.c:show_version_info`, v3.1.7).

use ferrosync_executive::config::keys::{self, Kind};

/// The version of Corosync whose place this daemon takes.
pub(crate) const CLAIMED: &str = "3.1.7";

/// All lines of `-v`. Scripts look for the first one and for the lists.
pub(crate) fn text() -> String {
    format!(
        "Corosync Cluster Engine, version '{CLAIMED}'\nFerrosync {}\n\n\
         Built-in features: {}\nAvailable crypto models: {}\nAvailable compression models: {}\n",
        env!("CARGO_PKG_VERSION"),
        FEATURES.join(" "),
        words_of("totem.crypto_model").join(" "),
        words_of("totem.knet_compression_model").join(" "),
    )
}

/// What a key of the configuration may say: the lists cannot name a model that the daemon would refuse.
fn words_of(path: &str) -> &'static [&'static str] {
    match keys::find(path).map(|spec| &spec.kind) {
        Some(Kind::Words(words)) => words,
        Some(
            Kind::U8
            | Kind::U16
            | Kind::U31
            | Kind::U32
            | Kind::U64
            | Kind::I32
            | Kind::Priority
            | Kind::Text,
        )
        | None => &[],
    }
}

/// Of the features that `configure.ac` (corosync v3.1.7) names, those that hold here, in its order. `augeas`, `xmlconf`,
/// `vqsim` and `nozzle` do not.
pub(crate) const FEATURES: [&str; 8] = [
    "dbus",
    "monitoring",
    "watchdog",
    "systemd",
    "snmp",
    "pie",
    "relro",
    "bindnow",
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::process::Command;

    #[test]
    fn the_lines_are_those_that_scripts_look_for() {
        let text = text();
        let lines: Vec<&str> = text.lines().collect();
        let own = concat!("Ferrosync ", env!("CARGO_PKG_VERSION"));
        assert_eq!(
            lines,
            [
                "Corosync Cluster Engine, version '3.1.7'",
                own,
                "",
                "Built-in features: dbus monitoring watchdog systemd snmp pie relro bindnow",
                "Available crypto models: nss openssl",
                "Available compression models: zlib lz4 lz4hc lzo2 lzma bzip2 zstd",
            ]
        );
    }

    /// The compiler and the linker decide about the last three features; this program is built as the daemon is.
    #[test]
    fn programs_are_linked_as_the_features_say() {
        let program = std::env::current_exe().expect("a program");
        let read = Command::new("readelf")
            .args(["--wide", "--file-header", "--program-headers", "--dynamic"])
            .arg(program)
            .env("LC_ALL", "C")
            .output();
        let Ok(read) = read else {
            let line = "SKIPPED: how programs are linked: readelf is not installed\n";
            // Past the test's own capture, so that the run's end can repeat it.
            let _closed = std::io::stderr().write_all(line.as_bytes());
            return;
        };
        let text = String::from_utf8_lossy(&read.stdout);
        for sign in ["DYN (", "GNU_RELRO", "NOW"] {
            assert!(text.contains(sign), "{sign}: {text}");
        }
    }
}

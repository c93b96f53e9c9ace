//! `ferrosync migrate` on configurations of the kinds that it reads: what it writes and reports, and whether daemons take it.
//!
//! Each directory of `cases` has one input, the options in `args`, and what is expected: the new file in
//! `corosync.conf`, the report in `report` and the exit code at its end. `FERROSYNC_BLESS=1` writes what came out
//! instead, to be read and committed.

mod daemons;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// A directory of `cases`.
struct Case {
    dir: PathBuf,
    input: String,
    args: Vec<String>,
}

impl Case {
    fn all() -> Vec<Self> {
        let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/migrate/cases");
        let mut dirs: Vec<PathBuf> = fs::read_dir(cases)
            .expect("cases")
            .map(|entry| entry.expect("an entry").path())
            .collect();
        dirs.sort();
        assert!(dirs.len() >= 12, "cases got lost");
        dirs.into_iter().map(Self::at).collect()
    }

    fn at(dir: PathBuf) -> Self {
        let known = ["corosync.conf.old", "cluster.conf", "ha.cf", "corosync.xml"];
        let input = known.into_iter().find(|name| dir.join(name).exists());
        let args = fs::read_to_string(dir.join("args")).expect("args");
        Self {
            input: input.expect("an input").to_owned(),
            args: args.split_whitespace().map(str::to_owned).collect(),
            dir,
        }
    }

    fn run(&self, more: &[&str]) -> Output {
        let args: Vec<&str> = self.args.iter().map(String::as_str).collect();
        migrate(
            &self.dir,
            &[&[self.input.as_str()], args.as_slice(), more].concat(),
        )
    }

    fn name(&self) -> String {
        self.dir
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned()
    }
}

fn migrate(dir: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ferrosync"))
        .arg("migrate")
        .args(args)
        .current_dir(dir)
        .stdin(Stdio::null())
        .output()
        .expect("it runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}

#[test]
fn every_case_comes_out_as_expected() {
    let bless = std::env::var_os("FERROSYNC_BLESS").is_some();
    let mut wrong = Vec::new();
    for case in Case::all() {
        let output = case.run(&[]);
        let code = output.status.code().expect("an exit code");
        let report = format!("{}exit code {code}\n", text(&output.stderr));
        for (name, found) in [("corosync.conf", text(&output.stdout)), ("report", report)] {
            let path = case.dir.join(name);
            if bless {
                fs::write(&path, &found).expect("written");
            }
            let expected = fs::read_to_string(&path).unwrap_or_default();
            if found != expected {
                wrong.push(format!("{}: {found}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_key_of_every_case_is_accounted_for_once() {
    for case in Case::all() {
        let output = case.run(&["--format=json"]);
        let report: Value = serde_json::from_slice(&output.stderr).expect("JSON");
        let findings = report["findings"].as_array().expect("findings");
        let from_input = findings.iter().filter(|finding| !finding["line"].is_null());
        let input = fs::read_to_string(case.dir.join(&case.input)).expect("an input");
        assert_eq!(
            from_input.count(),
            keys_of(&case.input, &input),
            "{}",
            case.name()
        );
        for finding in findings {
            let silent = finding["why"] == "" && finding["verdict"] != "copied";
            assert!(!silent, "{}: {finding} gives no reason", case.name());
        }
    }
}

/// Counts the keys of an input by other means than the program's.
fn keys_of(name: &str, text: &str) -> usize {
    match name {
        "corosync.conf.old" => {
            let lines = text.lines().map(str::trim);
            lines
                .filter(|line| !line.starts_with('#') && line.contains(':'))
                .count()
        }
        "ha.cf" => {
            let lines = text.lines().map(str::trim);
            lines
                .filter(|line| !line.starts_with('#') && !line.is_empty())
                .count()
        }
        _ => {
            let body = text.split("?>").last().expect("a part");
            let stray = usize::from(body.contains("stray words"));
            body.matches("=\"").count() + stray
        }
    }
}

#[test]
fn no_password_reaches_the_report() {
    for case in Case::all() {
        for format in ["--format=text", "--format=json"] {
            let output = case.run(&[format]);
            assert!(!text(&output.stderr).contains("hunter2"), "{}", case.name());
            assert!(!text(&output.stdout).contains("hunter2"), "{}", case.name());
        }
    }
}

#[test]
fn a_file_that_is_there_is_not_overwritten() {
    let dir = tempfile::tempdir().expect("a directory");
    let case = Case::all()
        .into_iter()
        .find(|case| case.name() == "corosync2-udpu")
        .expect("the case");
    let path = dir.path().join("new.conf");
    let option = format!("--output={}", path.display());
    let output = case.run(&[&option]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let written = fs::read_to_string(&path).expect("the file");
    assert_eq!(
        written,
        fs::read_to_string(case.dir.join("corosync.conf")).expect("expected")
    );
    assert!(text(&output.stdout).contains("copied"));

    fs::write(&path, "mine\n").expect("written");
    let output = case.run(&[&option]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(fs::read_to_string(&path).expect("the file"), "mine\n");
}

#[test]
fn what_a_node_would_refuse_is_not_written() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("new.conf");
    let case = Case::all()
        .into_iter()
        .find(|case| case.name() == "corosync1-undecided")
        .expect("the case");
    let output = case.run(&[&format!("--output={}", path.display())]);
    assert_eq!(output.status.code(), Some(4));
    assert!(!path.exists());
    assert!(text(&output.stdout).contains("a node would refuse the new file"));
}

#[test]
fn what_cannot_be_read_is_an_error_with_its_line() {
    let dir = tempfile::tempdir().expect("a directory");
    for (name, content, complaint) in [
        (
            "a",
            &b"totem {\n\tversion: 2\n"[..],
            "a:1:1: Missing closing brace",
        ),
        ("b", b"<cluster><a></cluster>", "expected 'a' tag"),
        ("c", b"<!DOCTYPE x><cluster/>", "DTD"),
        ("d", b"<html/>", "say it with --from"),
        ("e", b"hello\nworld\n", "say it with --from"),
        ("f", b"node a\n\xFF\xFE\n", "line 2 is not UTF-8"),
        ("g", b"", "say it with --from"),
    ] {
        fs::write(dir.path().join(name), content).expect("written");
        let output = migrate(dir.path(), &[name]);
        assert_eq!(output.status.code(), Some(1), "{name}");
        assert_eq!(text(&output.stdout), "", "{name}");
        assert!(
            text(&output.stderr).contains(complaint),
            "{name}: {}",
            text(&output.stderr)
        );
    }
    let output = migrate(dir.path(), &["missing"]);
    assert_eq!(output.status.code(), Some(1));
    let output = migrate(dir.path(), &["a", "--node=x"]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn names_are_resolved_as_before() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("corosync.conf");
    for (totem, kind, nodes, expected) in [
        ("transport: udpu", "corosync2", "a,b", Some("ipv4")),
        (
            "transport: udpu\nip_version: ipv6",
            "corosync2",
            "a,b",
            Some("ipv6"),
        ),
        ("transport: udpu", "corosync2", "10.0.0.1,10.0.0.2", None),
        ("transport: udp", "corosync2", "a,b", None),
        ("transport: knet", "corosync2", "a,fd00::1", Some("ipv4-6")),
        (V4, "corosync1", "a,b", Some("ipv4")),
        (V4, "corosync1", "10.0.0.1,10.0.0.2", None),
        (V6, "corosync1", "a,b", Some("ipv6")),
        (V6_UDP, "corosync1", "fd00::1,fd00::2", Some("ipv6")),
        (V6, "corosync1", "fd00::1,fd00::2", None),
    ] {
        let conf = format!("totem {{\nversion: 2\nsecauth: off\n{totem}\n}}\n");
        fs::write(&path, conf).expect("written");
        let kind = format!("--from={kind}");
        let (one, two) = nodes.split_once(',').expect("two nodes");
        let nodes = [format!("--node=one={one}@1"), format!("--node=two={two}@2")];
        let args = ["corosync.conf", &kind, &nodes[0], &nodes[1]];
        let wanted = match totem.split_whitespace().nth(1) {
            Some("knet") => "--transport=knet",
            Some("udp") => "--transport=udp",
            _ => "--transport=udpu",
        };
        let output = migrate(dir.path(), &[&args[..], &[wanted]].concat());
        // The report tells even of files that a node would refuse, as with addresses of both kinds on one link.
        let report = text(&output.stderr);
        let found = report.split_once("totem.ip_version: ");
        let found = found.and_then(|(_, rest)| rest.split_whitespace().next());
        assert_eq!(found, expected, "{totem}: {report}");
    }
}

/// An interface of Corosync 1 on a network of each kind.
const V4: &str =
    "transport: udpu\ninterface {\nringnumber: 0\nbindnetaddr: 10.0.0.0\nmcastport: 5405\n}";
const V6: &str =
    "transport: udpu\ninterface {\nringnumber: 0\nbindnetaddr: fd00::\nmcastport: 5405\n}";
const V6_UDP: &str = "transport: udp\ninterface {\nringnumber: 0\nbindnetaddr: fd00::\nmcastaddr: ff15::1\nmcastport: 5405\n}";

#[test]
fn a_value_cannot_write_lines_of_its_own() {
    let dir = tempfile::tempdir().expect("a directory");
    let evil = "<cluster name=\"a&#10;}&#10;uidgid {&#10;uid: eve\"><clusternodes>\
        <clusternode name=\"n1\" nodeid=\"1\"/></clusternodes></cluster>";
    fs::write(dir.path().join("cluster.conf"), evil).expect("written");
    let output = migrate(dir.path(), &["cluster.conf", "--node=n1=10.0.0.1"]);
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
    assert!(!text(&output.stdout).contains("eve"));
    assert!(text(&output.stderr).contains("control characters"));
}

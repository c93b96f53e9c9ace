//! Small configurations with the expected verdict, compared with Debian's corosync where it is installed.
//!
//! The first line of a file of `testdata/config` is `# expect: accept` or `# expect: reject: FRAGMENT`, with a
//! fragment of our report. When corosync's verdict is another one, the second line says so, with the reason:
//! `# corosync: accept, REASON`; `skip` instead of a verdict keeps the file from it.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ferrosync_executive::config::{Environment, Family, SourceFile, load};

/// The machine that [`in_namespace`] makes, too.
struct Machine {
    addresses: Vec<IpAddr>,
}

const NODE_NAME: &str = "ferro1.example";

impl Environment for Machine {
    fn node_name(&self) -> &str {
        NODE_NAME
    }
    fn local_addresses(&self) -> &[IpAddr] {
        &self.addresses
    }
    fn resolve(&mut self, _name: &str, _family: Family) -> Vec<IpAddr> {
        Vec::new()
    }
    fn reverse(&mut self, _address: IpAddr) -> Option<String> {
        None
    }
    fn user_id(&mut self, name: &str) -> Option<u32> {
        (name == "root").then_some(0)
    }
    fn group_id(&mut self, name: &str) -> Option<u32> {
        (name == "root").then_some(0)
    }
}

/// One file of `testdata/config`.
struct Case {
    path: PathBuf,
    text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Accept,
    Reject,
}

impl Case {
    fn all() -> Vec<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/config");
        let mut cases: Vec<Self> = std::fs::read_dir(folder)
            .expect("the folder of test data")
            .map(|entry| {
                let path = entry.expect("an entry of the folder").path();
                let text = std::fs::read_to_string(&path).expect("a file of text");
                Self { path, text }
            })
            .collect();
        cases.sort_by(|a, b| a.path.cmp(&b.path));
        assert!(cases.len() >= 80, "{} cases only", cases.len());
        cases
    }

    fn name(&self) -> &str {
        self.path
            .file_name()
            .and_then(|name| name.to_str())
            .expect("a plain name")
    }

    /// What we are to say, with a fragment of the report.
    fn expected(&self) -> (Verdict, &str) {
        let first = self.text.lines().next().unwrap_or("");
        match first.strip_prefix("# expect: ") {
            Some("accept") => (Verdict::Accept, ""),
            Some(line) => match line.strip_prefix("reject: ") {
                Some(fragment) if !fragment.is_empty() => (Verdict::Reject, fragment),
                _ => panic!("{}: bad first line", self.name()),
            },
            None => panic!("{}: no verdict in the first line", self.name()),
        }
    }

    /// What corosync is to say; `None` when it must not be asked.
    fn expected_of_corosync(&self) -> Option<Verdict> {
        let second = self.text.lines().nth(1).unwrap_or("");
        let Some(line) = second.strip_prefix("# corosync: ") else {
            return Some(self.expected().0);
        };
        let (word, reason) = line.split_once(", ").expect("a verdict and its reason");
        assert!(!reason.is_empty());
        match word {
            "accept" => Some(Verdict::Accept),
            "reject" => Some(Verdict::Reject),
            "skip" => None,
            other => panic!("{}: unknown verdict {other}", self.name()),
        }
    }
}

#[test]
fn every_file_gets_its_verdict() {
    let addresses = ["127.0.0.1", "::1", "10.9.9.1", "fd09::1"];
    let mut machine = Machine {
        addresses: addresses.map(|text| text.parse().unwrap()).to_vec(),
    };
    let mut wrong = Vec::new();
    for case in Case::all() {
        let file = SourceFile {
            name: case.name(),
            bytes: case.text.as_bytes(),
        };
        let (expected, fragment) = case.expected();
        let (verdict, report) = match load(file, &[], &mut machine) {
            Ok(_) => (Verdict::Accept, String::new()),
            Err(errors) => (Verdict::Reject, errors.to_string()),
        };
        if verdict != expected || !report.contains(fragment) {
            wrong.push(format!("{}: {verdict:?} {report}", case.name()));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn corosync_agrees() {
    if !Path::new(COROSYNC).exists() {
        eprintln!("SKIPPED: {COROSYNC} is not installed");
        return;
    }
    let probe = in_namespace("true", Path::new("/")).output();
    if !probe.is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED: no network namespace to ask {COROSYNC} in");
        return;
    }
    let mut wrong = Vec::new();
    for case in Case::all() {
        let Some(expected) = case.expected_of_corosync() else {
            continue;
        };
        let script = format!("exec timeout 60 {COROSYNC} -t -c \"$0\"");
        let output = in_namespace(&script, &case.path)
            .output()
            .expect("unshare was there before");
        let verdict = if output.status.success() {
            Verdict::Accept
        } else {
            Verdict::Reject
        };
        if verdict != expected {
            let report = String::from_utf8_lossy(&output.stderr).into_owned();
            wrong.push(format!("{}: {verdict:?} {report}", case.name()));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

const COROSYNC: &str = "/usr/sbin/corosync";

/// A shell on a machine of its own name and addresses, without any network; `argument` is its `$0`.
fn in_namespace(script: &str, argument: &Path) -> Command {
    let prepare = format!(
        "ip link set lo up && ip addr add 10.9.9.1/32 dev lo && ip addr add fd09::1/128 dev lo nodad \
         && hostname {NODE_NAME} && {script}"
    );
    let mut command = Command::new("unshare");
    command
        .args(["--user", "--map-root-user", "--net", "--uts", "sh", "-c"])
        .arg(prepare)
        .arg(argument)
        .stdin(Stdio::null());
    command
}

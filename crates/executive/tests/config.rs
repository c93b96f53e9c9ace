//! Small configurations with the expected verdict, compared with Debian's corosync where it is installed.
//!
//! The first line of a file of `testdata/config` is `# expect: accept` or `# expect: reject: FRAGMENT`, with a
//! fragment of our report. When corosync's verdict is another one, the second line says so, with the reason:
//! `# corosync: accept, REASON`; `skip` instead of a verdict keeps the file from it.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ferrosync_executive::config::{Environment, Family, SourceFile, load};
use ferrosync_wire::value::Value;

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

impl Machine {
    fn new() -> Self {
        let addresses = ["127.0.0.1", "::1", "10.9.9.1", "10.8.8.1", "fd09::1"];
        Self {
            addresses: addresses
                .map(|text| text.parse().expect("an address"))
                .to_vec(),
        }
    }
}

#[test]
fn every_file_gets_its_verdict() {
    let mut machine = Machine::new();
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
    if !corosync_can_run() {
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

/// What we refuse while reading and `corosync -t` takes: its service votequorum ends the daemon that runs.
#[test]
fn corosync_stops_where_it_is_said_to() {
    if !corosync_can_run() {
        return;
    }
    let mut wrong = Vec::new();
    let mut stopped = 0;
    for case in Case::all() {
        if !case.text.contains(", it stops later") {
            continue;
        }
        let output = in_namespace(START, &case.path)
            .output()
            .expect("unshare was there before");
        match output.status.code() {
            // Neither running on, which timeout(1) ends with 124, nor an orderly end.
            Some(code) if code != 0 && code < 124 => stopped += 1,
            code => wrong.push(format!("{}: {code:?}", case.name())),
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    assert!(stopped >= 9, "{stopped} files only");
}

/// Runs a node with files of its own until it ends by itself.
const START: &str = r#"
mount -t tmpfs none /run && mount -t tmpfs none /dev/shm && mount -t tmpfs none /var/lib/corosync || exit 125
exec timeout 60 /usr/sbin/corosync -f -c "$0" > /dev/null 2>&1"#;

/// Files whose keys are compared with those of a running corosync; each gets or derives keys in another way.
const PUBLISHED: [&str; 12] = [
    "empty-key.conf",
    "knet-two-links.conf",
    "left-over-keys.conf",
    "logging-all-keys.conf",
    "member-sections-ignored.conf",
    "quorum-device.conf",
    "resources.conf",
    "tuned-timers.conf",
    "udp-broadcast.conf",
    "udp-derived-group.conf",
    "udpu-generated-ids.conf",
    "uidgid.conf",
];

#[test]
fn corosync_publishes_the_same_keys() {
    if !corosync_can_run() {
        return;
    }
    let mut wrong = Vec::new();
    let mut compared = 0;
    for case in Case::all() {
        if !PUBLISHED.contains(&case.name()) {
            continue;
        }
        compared += 1;
        let output = in_namespace(DUMP, &case.path)
            .output()
            .expect("unshare was there before");
        let theirs: Vec<String> = String::from_utf8_lossy(&output.stdout)
            .lines()
            .filter(|line| is_from_the_file(line))
            .map(str::to_owned)
            .collect();
        let ours = our_keys(&case);
        let only = |a: &[String], b: &[String]| -> Vec<String> {
            a.iter().filter(|line| !b.contains(line)).cloned().collect()
        };
        if theirs != ours {
            wrong.push(format!(
                "{}: only corosync {:?}, only we {:?}",
                case.name(),
                only(&theirs, &ours),
                only(&ours, &theirs)
            ));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    assert_eq!(compared, PUBLISHED.len());
}

/// Starts a node with files of its own, prints its configuration map when it has one, and stops it.
const DUMP: &str = r#"
mount -t tmpfs none /run && mount -t tmpfs none /dev/shm && mount -t tmpfs none /var/lib/corosync || exit 1
/usr/sbin/corosync -f -c "$0" > /dev/null 2>&1 &
node=$!
tries=0
until corosync-cmapctl internal_configuration.service.7.name > /dev/null 2>&1; do
    tries=$((tries + 1))
    [ $tries -lt 300 ] || exit 1
    sleep 0.1
done
corosync-cmapctl
kill $node
wait $node"#;

/// Keys that services add when they run are not the configuration's.
fn is_from_the_file(line: &str) -> bool {
    let services = [
        "internal_configuration.",
        "resources.",
        "runtime.blackbox.",
        "runtime.force_gather",
        "runtime.members.",
        "runtime.services.",
        "runtime.votequorum.",
    ];
    !services.iter().any(|prefix| line.starts_with(prefix))
}

/// Our keys as `corosync-cmapctl` prints them.
fn our_keys(case: &Case) -> Vec<String> {
    let file = SourceFile {
        name: case.name(),
        bytes: case.text.as_bytes(),
    };
    let config = load(file, &[], &mut Machine::new()).expect("a file that is accepted");
    config
        .keys
        .iter()
        .map(|(key, value)| match value {
            Value::U8(number) => format!("{key} (u8) = {number}"),
            Value::U16(number) => format!("{key} (u16) = {number}"),
            Value::U32(number) => format!("{key} (u32) = {number}"),
            Value::U64(number) => format!("{key} (u64) = {number}"),
            Value::I32(number) => format!("{key} (i32) = {number}"),
            Value::Str(text) => format!("{key} (str) = {text}"),
            Value::I8(_)
            | Value::I16(_)
            | Value::I64(_)
            | Value::F32(_)
            | Value::F64(_)
            | Value::Bin(_) => panic!("{key} has a type that no file gives"),
        })
        .filter(|line| is_from_the_file(line))
        .collect()
}

/// Whether there is a corosync and a place to run it in; says so if not.
fn corosync_can_run() -> bool {
    if !Path::new(COROSYNC).exists() {
        eprintln!("SKIPPED: {COROSYNC} is not installed");
        return false;
    }
    let probe = in_namespace("true", Path::new("/")).output();
    if !probe.is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED: no namespaces to run {COROSYNC} in");
        return false;
    }
    true
}

const COROSYNC: &str = "/usr/sbin/corosync";

/// A shell on a machine of its own name and addresses, without any network; `argument` is its `$0`.
fn in_namespace(script: &str, argument: &Path) -> Command {
    let prepare = format!(
        "ip link set lo up && ip addr add 10.9.9.1/32 dev lo && ip addr add 10.8.8.1/32 dev lo \
         && ip addr add fd09::1/128 dev lo nodad && hostname {NODE_NAME} && {script}"
    );
    let mut command = Command::new("unshare");
    command
        .args(["--user", "--map-root-user", "--net", "--uts", "--mount"])
        // Whatever the shell leaves behind ends with it.
        .args(["--pid", "--fork", "--kill-child", "sh", "-c"])
        .arg(prepare)
        .arg(argument)
        .stdin(Stdio::null());
    command
}

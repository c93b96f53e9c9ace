//! The new files before the daemons that shall read them: ours, and Debian's where it is installed.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use super::{Case, text};

/// Debian's daemon.
const THEIRS: &str = "/usr/sbin/corosync";
/// Debian's translation of corosync.xml.
const STYLESHEET: &str = "/usr/share/corosync/xml2conf.xsl";

/// Becomes the first node of the file: its name, its addresses, its key, and a resolver that knows every name.
const BECOME: &str = "set -e
hostname \"$NODE\"
ip link set lo up
for address in $ADDRESSES; do ip address add \"$address/32\" dev lo; done
mount -t tmpfs tmpfs /run
cat > /run/hosts
mount --bind /run/hosts /etc/hosts
if [ -d /etc/corosync ]; then
    mount -t tmpfs tmpfs /etc/corosync
    for file in $KEYS; do head -c 256 /dev/urandom > \"$file\"; done
fi
exec \"$@\"";

#[test]
fn daemons_take_what_was_written() {
    let mut daemons = vec![vec![
        env!("CARGO_BIN_EXE_ferrosync").to_owned(),
        "daemon".to_owned(),
    ]];
    if Path::new(THEIRS).exists() {
        daemons.push(vec![THEIRS.to_owned()]);
    } else {
        skip("new files before corosync -t: corosync is not installed");
    }
    if let Err(why) = probe() {
        return skip(&format!("new files before the daemons: {why}"));
    }
    for case in Case::all() {
        let conf = case.dir.join("corosync.conf");
        let written = fs::read_to_string(&conf).expect("expected");
        if written.is_empty() {
            continue;
        }
        for daemon in &daemons {
            let output = in_node(&written, daemon, &["-t", "-c", &conf.to_string_lossy()]);
            let said = text(&output.stderr) + &text(&output.stdout);
            assert!(
                output.status.success(),
                "{} {daemon:?}: {said}",
                case.name()
            );
        }
    }
}

#[test]
fn a_broken_file_is_seen_to_be_refused() {
    if let Err(why) = probe() {
        return skip(&format!("a broken file before the daemons: {why}"));
    }
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("corosync.conf");
    fs::write(&path, "totem {\n    version: 1\n}\n").expect("written");
    let ours = vec![
        env!("CARGO_BIN_EXE_ferrosync").to_owned(),
        "daemon".to_owned(),
    ];
    let mut daemons = vec![ours];
    if Path::new(THEIRS).exists() {
        daemons.push(vec![THEIRS.to_owned()]);
    }
    for daemon in daemons {
        let output = in_node("", &daemon, &["-t", "-c", &path.to_string_lossy()]);
        assert!(!output.status.success(), "{daemon:?}");
    }
}

#[test]
fn corosync_xml_is_translated_as_by_its_stylesheet() {
    if !Path::new(STYLESHEET).exists() || !runs("xsltproc", &["--version"]) {
        return skip("corosync.xml beside its stylesheet: xsltproc or corosync is not installed");
    }
    let cases = Case::all();
    let case = cases
        .iter()
        .find(|case| case.name() == "xml-corosync3")
        .expect("the case");
    let theirs = Command::new("xsltproc")
        .arg(STYLESHEET)
        .arg(case.dir.join(&case.input))
        .output()
        .expect("xsltproc runs");
    assert!(theirs.status.success());
    let ours = fs::read_to_string(case.dir.join("corosync.conf")).expect("expected");
    assert_eq!(plain(&ours), plain(&text(&theirs.stdout)));
}

/// Lines without indentation, empty lines and comments.
fn plain(text: &str) -> Vec<&str> {
    let lines = text.lines().map(str::trim);
    lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect()
}

/// Whether this machine lets us be a node.
fn probe() -> Result<(), String> {
    let output = in_node("", &["true".to_owned()], &[]);
    if output.status.success() {
        Ok(())
    } else {
        Err(text(&output.stderr).trim().replace('\n', "; "))
    }
}

/// Runs a program in namespaces in which this machine is the first node of `conf`.
fn in_node(conf: &str, program: &[String], args: &[&str]) -> Output {
    let values = |wanted: fn(&str) -> bool| -> Vec<&str> {
        let lines = conf.lines().filter_map(|line| line.trim().split_once(": "));
        lines
            .filter(|(key, _)| wanted(key))
            .map(|(_, value)| value)
            .collect()
    };
    let names = values(|key| key == "name" || key.ends_with("_addr"));
    let is_address = |word: &&&str| word.parse::<std::net::IpAddr>().is_ok();
    let addresses: Vec<&str> = names.iter().filter(is_address).copied().collect();
    let hosts: String = (1..)
        .zip(names.iter().filter(|word| !is_address(word)))
        .map(|(number, name)| format!("10.250.0.{number} {name}\n"))
        .collect();
    let own: Vec<&str> = addresses
        .first()
        .copied()
        .into_iter()
        .chain((!hosts.is_empty()).then_some("10.250.0.1"))
        .collect();
    let mut keys = values(|key| key == "keyfile");
    keys.push("/etc/corosync/authkey");
    let mut command = Command::new("unshare");
    command
        .args([
            "--user",
            "--map-root-user",
            "--net",
            "--uts",
            "--mount",
            "sh",
            "-c",
            BECOME,
            "sh",
        ])
        .args(program)
        .args(args)
        .env(
            "NODE",
            values(|key| key == "name")
                .first()
                .copied()
                .unwrap_or("some-node"),
        )
        .env("ADDRESSES", own.join(" "))
        .env("KEYS", keys.join(" "))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let Ok(mut child) = command.spawn() else {
        skip("new files before the daemons: unshare(1) is not installed");
        return Command::new("false").output().expect("false runs");
    };
    let mut stdin = child.stdin.take().expect("piped");
    // A program that has ended already reads nothing.
    let _ended = stdin.write_all(hosts.as_bytes());
    drop(stdin);
    child.wait_with_output().expect("it ends")
}

fn runs(program: &str, args: &[&str]) -> bool {
    Command::new(program)
        .args(args)
        .output()
        .is_ok_and(|output| output.status.success())
}

fn skip(why: &str) {
    let line = format!("SKIPPED: {why}\n");
    std::io::stderr()
        .write_all(line.as_bytes())
        .expect("written");
}

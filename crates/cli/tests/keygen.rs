//! `corosync-keygen` under both of its names beside Debian's: exit codes, files and what they print.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// Debian's program.
const THEIRS: &str = "/usr/sbin/corosync-keygen";

/// A key generator and a directory for what it makes.
struct Tool {
    program: PathBuf,
    first: Option<&'static str>,
    dir: TempDir,
}

impl Tool {
    fn new(program: &Path, first: Option<&'static str>) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        fs::create_dir(dir.path().join("keys")).expect("a directory");
        Self {
            program: program.to_owned(),
            first,
            dir,
        }
    }

    /// `ferrosync keygen`.
    fn verb() -> Self {
        Self::new(Path::new(env!("CARGO_BIN_EXE_ferrosync")), Some("keygen"))
    }

    /// Our program where it has taken the place of corosync's.
    fn link() -> Self {
        let mut tool = Self::new(Path::new(""), None);
        tool.program = tool.dir.path().join("corosync-keygen");
        symlink(env!("CARGO_BIN_EXE_ferrosync"), &tool.program).expect("a link");
        tool
    }

    fn keys(&self) -> PathBuf {
        self.dir.path().join("keys")
    }

    /// Runs it among its keys. No file that it writes may be longer than this many blocks of 512 bytes.
    fn run(&self, blocks: &str, arguments: &[&str]) -> Output {
        let script = "trap '' XFSZ; ulimit -f \"$1\"; shift; exec \"$@\"";
        Command::new("sh")
            .args(["-c", script, "sh", blocks])
            .arg(&self.program)
            .args(self.first)
            .args(arguments)
            .current_dir(self.keys())
            .stdin(Stdio::null())
            .output()
            .expect("it runs")
    }

    /// What a call left.
    fn outcome(&self, blocks: &str, arguments: &[&str]) -> Outcome {
        let output = self.run(blocks, arguments);
        let mut files: Vec<_> = fs::read_dir(self.keys())
            .expect("a directory")
            .map(|entry| {
                let entry = entry.expect("an entry");
                let meta = entry.metadata().expect("a file");
                let name = entry.file_name().to_string_lossy().into_owned();
                (name, meta.mode(), meta.uid(), meta.gid(), meta.len())
            })
            .collect();
        files.sort();
        Outcome {
            code: output.status.code(),
            printed: String::from_utf8_lossy(&output.stdout).into_owned(),
            files,
        }
    }
}

/// Exit code, standard output, and name, mode, owner, group and length of every file.
#[derive(Debug, PartialEq)]
struct Outcome {
    code: Option<i32>,
    printed: String,
    files: Vec<(String, u32, u32, u32, u64)>,
}

/// Calls in this order, each on what the one before has left.
const CALLS: [&[&str]; 22] = [
    &["-k", "key"],
    // A key that is there is replaced.
    &["-k", "key", "-s", "128"],
    &["--key-file=long", "--size=4096"],
    &["--key", "short", "--si", "128"],
    &["-kjoined", "-s200", "-l"],
    &["-k", "old", "-k", "new", "--less-secure"],
    &["-k", "-dash"],
    &["-k", "word", "and", "more"],
    &["-k", "zero", "-r", "/dev/zero"],
    &["-k", "random", "--random-file", "/dev/urandom"],
    &["-k", "none", "-r", "missing"],
    &["-k", "missing/key"],
    &["-k", "."],
    &["-k", "size", "-s", "127"],
    &["-k", "size", "-s", "4097"],
    &["-k", "size", "-s", "-1"],
    &["-k", "size", "-s", "256x"],
    &["-k", "size", "-s", ""],
    &["-x"],
    &["-k"],
    &["--no-such-option"],
    &["-h"],
];

#[test]
fn both_names_do_what_debians_does() {
    if !Path::new(THEIRS).exists() {
        eprintln!("SKIPPED: no {THEIRS} (Debian package `corosync`)");
        return;
    }
    let theirs = Tool::new(Path::new(THEIRS), None);
    let ours = [Tool::verb(), Tool::link()];
    let same = |blocks: &str, arguments: &[&str]| {
        let expected = theirs.outcome(blocks, arguments);
        for tool in &ours {
            let outcome = tool.outcome(blocks, arguments);
            assert_eq!(outcome, expected, "{arguments:?} of {:?}", tool.program);
        }
    };
    for arguments in CALLS {
        same("unlimited", arguments);
    }
    // A full disk: the file is there, and empty.
    same("0", &["-k", "full"]);
}

#[test]
fn a_key_is_for_its_owner_alone_and_never_made_twice() {
    for tool in [Tool::verb(), Tool::link()] {
        for name in ["one", "two"] {
            let output = tool.run("unlimited", &["-k", name]);
            assert!(output.status.success(), "{output:?}");
        }
        let one = fs::metadata(tool.keys().join("one")).expect("a key");
        assert_eq!((one.mode() & 0o7777, one.len()), (0o400, 256));
        // Mode 0400 is readable for who made it.
        let key = |name| fs::read(tool.keys().join(name)).expect("a key");
        assert_ne!(key("one"), key("two"));
    }
}

#[test]
fn a_source_that_ends_too_early_makes_no_key() {
    let tool = Tool::verb();
    fs::write(tool.keys().join("source"), [7; 255]).expect("written");
    let output = tool.run("unlimited", &["-k", "key", "-r", "source"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(!tool.keys().join("key").exists());
    fs::write(tool.keys().join("source"), [7; 300]).expect("written");
    let output = tool.run("unlimited", &["-k", "key", "-r", "source"]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(fs::read(tool.keys().join("key")).expect("a key"), [7; 256]);
}

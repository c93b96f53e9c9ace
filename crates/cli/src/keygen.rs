//! `corosync-keygen`: the key that the nodes of an encrypted ring share.
//!
//! Options, exit codes, and the file's mode are those of `tools/corosync-keygen.c` (v3.1.7); so are the lines on standard
//! output, which people know.

use std::ffi::OsString;
use std::fmt;
use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use rustix::rand::{GetRandomFlags, getrandom};
use zeroize::Zeroizing;

use crate::tools::getopt::{self, Getopt, Opt, Refused, Style};

/// What the program is called where it stands in for corosync's.
pub(crate) const NAME: &str = "corosync-keygen";

/// Bytes of a key unless another size was asked for.
pub(crate) const KEY_LEN: usize = 256;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    KeyFile,
    RandomFile,
    Size,
    LessSecure,
    Help,
}

const OPTIONS: [Opt<What>; 5] = [
    Opt::short(
        What::KeyFile,
        b'k',
        "Write the key to this file instead of /etc/corosync/authkey",
    )
    .or("key-file")
    .with("FILE"),
    Opt::short(What::LessSecure, b'l', "Change nothing; scripts give it").or("less-secure"),
    Opt::short(
        What::RandomFile,
        b'r',
        "Read the key from this file instead of asking the kernel",
    )
    .or("random-file")
    .with("FILE"),
    Opt::short(
        What::Size,
        b's',
        "Bytes of the key, 128 to 4096 instead of 256",
    )
    .or("size")
    .with("BYTES"),
    Opt::short(What::Help, b'h', "Show a summary of the options").or("help"),
];

/// The declaration of the options.
pub(crate) fn command() -> clap::Command {
    getopt::command(NAME, &OPTIONS).about(
        "Makes the key that all nodes of a cluster share, readable by its owner alone. A key that is there is replaced",
    )
}

/// What was asked for.
#[derive(Debug)]
struct Wishes {
    key_file: PathBuf,
    random_file: Option<PathBuf>,
    size: usize,
}

/// Runs `corosync-keygen` with these arguments, the program's name first.
pub(crate) fn main(arguments: Vec<OsString>) -> ExitCode {
    let wishes = match read(arguments) {
        Ok(wishes) => wishes,
        Err(Ended::Helped) => {
            say(USAGE);
            return ExitCode::SUCCESS;
        }
        Err(Ended::Usage(Refused(text))) => {
            // Whoever reads neither learns it from the exit code.
            let _ = io::stderr().write_all(&text);
            say("Error parsing command line options.");
            return ExitCode::from(Failed::EXIT_USAGE);
        }
        Err(Ended::Failed(failed)) => return failed.tell(),
    };
    run(&wishes)
        .err()
        .map_or(ExitCode::SUCCESS, |failed| failed.tell())
}

/// Why no key is made.
enum Ended {
    Helped,
    Usage(Refused),
    Failed(Failed),
}

fn read(arguments: Vec<OsString>) -> Result<Wishes, Ended> {
    let mut getopt = Getopt::new(&OPTIONS, Style::Words, arguments);
    let mut wishes = Wishes {
        key_file: PathBuf::from(KEY_FILE),
        random_file: None,
        size: KEY_LEN,
    };
    while let Some((what, value)) = getopt.next().map_err(Ended::Usage)? {
        match what {
            What::KeyFile => wishes.key_file = PathBuf::from(value),
            What::RandomFile => wishes.random_file = Some(PathBuf::from(value)),
            What::Size => {
                let size = key_size(&value.to_string_lossy());
                wishes.size = size.ok_or(Ended::Failed(Failed::Size))?;
            }
            What::LessSecure => {}
            What::Help => return Err(Ended::Helped),
        }
    }
    Ok(wishes)
}

/// Writes a key to the file and sets its mode to 0400.
fn run(wishes: &Wishes) -> Result<(), Failed> {
    let Wishes { key_file, size, .. } = wishes;
    say("Corosync Cluster Engine Authentication key generator.");
    let source = wishes.random_file.as_deref();
    let source = source.unwrap_or_else(|| Path::new(RANDOM));
    let bits = size * 8;
    say(&format!(
        "Gathering {bits} bits for key from {}.",
        source.display()
    ));
    let key = match &wishes.random_file {
        None => random_key(*size).map_err(|error| Failed::Random("Could not read", error))?,
        Some(source) => key_from(source, *size)?,
    };
    let failed = |step, error| Failed::File(step, key_file.clone(), error);
    let mut file = open(key_file).map_err(|error| failed(Step::Create, error))?;
    let mode = Permissions::from_mode(KEY_MODE);
    file.set_permissions(mode)
        .map_err(|error| failed(Step::Mode, error))?;
    say(&format!("Writing corosync key to {}.", key_file.display()));
    file.write_all(&key)
        .map_err(|error| failed(Step::Write, error))?;
    // Where C looks for a late error in close(), which cannot be asked here.
    file.sync_all()
        .or_else(unless_not_a_disk)
        .map_err(|error| failed(Step::Close, error))
}

/// A key of `size` bytes from the kernel's generator, which answers only when it has been seeded.
pub(crate) fn random_key(size: usize) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut key = Zeroizing::new(vec![0; size]);
    let mut filled = 0;
    while filled < size {
        filled += match getrandom(&mut key[filled..], GetRandomFlags::empty()) {
            Err(rustix::io::Errno::INTR) => 0,
            outcome => outcome?,
        };
    }
    Ok(key)
}

/// A key that is the beginning of a file. C waits for ever at the end of a file that is too short; see D-62.
fn key_from(source: &Path, size: usize) -> Result<Zeroizing<Vec<u8>>, Failed> {
    let mut key = Zeroizing::new(vec![0; size]);
    let failed = |what| move |error| Failed::Random(what, error);
    let mut file = File::open(source).map_err(failed("Failed to open"))?;
    file.read_exact(&mut key)
        .map_err(failed("Could not read"))?;
    Ok(key)
}

/// A size as strtoll(3) reads it, within what corosync takes (`totem.h`, TOTEM_PRIVATE_KEY_LEN_MIN and _MAX).
fn key_size(word: &str) -> Option<usize> {
    let size = word.trim_start().parse().ok()?;
    (128..=4096).contains(&size).then_some(size)
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    options.open(path)
}

/// A terminal, a pipe or /dev/null has nothing to be synchronised.
fn unless_not_a_disk(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::InvalidInput {
        Ok(())
    } else {
        Err(error)
    }
}

/// A reader that has gone does not keep the key from being made.
fn say(line: &str) {
    let _ = writeln!(io::stdout().lock(), "{line}");
}

/// Why there is no key.
#[derive(Debug)]
enum Failed {
    /// The size is no number or out of range; nothing was done.
    Size,
    /// What could not be done with the source of random bytes; nothing was written.
    Random(&'static str, io::Error),
    /// The key file; from [`Step::Mode`] on the old content is gone.
    File(Step, PathBuf, io::Error),
}

/// What was to be done with the key file.
#[derive(Clone, Copy, Debug)]
enum Step {
    Create,
    Mode,
    Write,
    Close,
}

impl Failed {
    const EXIT_USAGE: u8 = 1;

    fn tell(&self) -> ExitCode {
        // Whoever does not read it learns it from the exit code.
        let _ = writeln!(io::stderr().lock(), "{NAME}: {self}");
        ExitCode::from(self.exit_code())
    }

    fn exit_code(&self) -> u8 {
        match self {
            Self::Size | Self::Random(..) => 1,
            Self::File(Step::Create, ..) => 2,
            Self::File(Step::Mode, ..) => 3,
            Self::File(Step::Write, ..) => 4,
            Self::File(Step::Close, ..) => 5,
        }
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // With C's line end of its own.
            Self::Size => f.write_str("Unsupported key size (supported <128,4096>)\n"),
            Self::Random(what, error) => write!(f, "{what} random source: {}", reason(error)),
            Self::File(step, path, error) => {
                let (path, why) = (path.display(), reason(error));
                match step {
                    Step::Create => write!(f, "Could not create {path}: {why}"),
                    Step::Mode => write!(f, "Failed to set key file permissions to 0400: {why}"),
                    Step::Write => write!(f, "Could not write {path}: {why}"),
                    Step::Close => write!(f, "Could not close {path}: {why}"),
                }
            }
        }
    }
}

/// An error in the words of strerror(3).
fn reason(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(number) => nix::errno::Errno::from_raw(number).desc().to_owned(),
        None => error.to_string(),
    }
}

const USAGE: &str = "\
Usage: corosync-keygen [-k <keyfile>] [-s size] [-m <randomfile>] [-l] [-h]
     -k / --key-file=<filename> -  Write to the specified keyfile
            instead of the default /etc/corosync/authkey.
     -r / --random-file -  Random number source file. Default is\x20
            /dev/urandom. As an example /dev/random may be requested
            (that may require user input for entropy).
     -l / --less-secure - Not used, option is kept only
            for compatibility.
     -s / --size -  Length of key.
     -h / --help -  Print basic usage.
";
/// Where corosync looks for the key.
const KEY_FILE: &str = "/etc/corosync/authkey";
/// What the messages call the kernel's generator.
const RANDOM: &str = "/dev/urandom";
/// Only the owner reads it, and nobody writes it by mistake.
const KEY_MODE: u32 = 0o400;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_what_strtoll_reads_and_corosync_takes() {
        for (word, size) in [("128", 128), ("4096", 4096), (" +256", 256), ("0200", 200)] {
            assert_eq!(key_size(word), Some(size), "{word}");
        }
        for word in [
            "",
            "127",
            "4097",
            "-128",
            "256x",
            "256 ",
            "0x100",
            "1e3",
            "99999999999999999999",
        ] {
            assert_eq!(key_size(word), None, "{word}");
        }
    }

    #[test]
    fn keys_are_as_long_as_wanted_and_never_the_same() {
        let key = || random_key(4096).expect("random bytes");
        let (one, other) = (key(), key());
        assert_eq!((one.len(), other.len()), (4096, 4096));
        assert_ne!(one, other);
        // All zero at the end would mean that it was not filled.
        assert_ne!(one[4032..], [0; 64]);
    }
}

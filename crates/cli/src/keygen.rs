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

use clap::{CommandFactory as _, Parser};
use rustix::rand::{GetRandomFlags, getrandom};
use zeroize::Zeroizing;

/// What the program is called where it stands in for corosync's.
pub(crate) const NAME: &str = "corosync-keygen";

/// Bytes of a key unless another size was asked for.
pub(crate) const KEY_LEN: usize = 256;

/// Makes the key that all nodes of a cluster share, readable by its owner alone. A key that is there is replaced.
#[derive(Debug, Parser)]
#[command(
    name = NAME,
    infer_long_args = true,
    args_override_self = true,
    disable_help_subcommand = true
)]
struct KeygenArgs {
    /// Write the key to this file.
    #[arg(short, long, value_name = "FILE", default_value = KEY_FILE, allow_hyphen_values = true)]
    key_file: PathBuf,
    /// Read the key from this file instead of asking the kernel.
    #[arg(short, long, value_name = "FILE", allow_hyphen_values = true)]
    random_file: Option<PathBuf>,
    /// Bytes of the key, 128 to 4096.
    #[arg(short, long, value_name = "BYTES", allow_hyphen_values = true)]
    size: Option<OsString>,
    /// Changes nothing; scripts give it.
    #[arg(short, long)]
    less_secure: bool,
    /// Words without an option are not looked at.
    #[arg(hide = true)]
    ignored: Vec<OsString>,
}

/// The declaration of the options.
pub(crate) fn command() -> clap::Command {
    KeygenArgs::command()
}

/// Runs `corosync-keygen` with these arguments, the program's name first.
pub(crate) fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args = match KeygenArgs::try_parse_from(arguments) {
        Ok(args) => args,
        Err(error) => {
            // Whoever reads neither learns it from the exit code.
            let _ = error.print();
            return if error.use_stderr() {
                ExitCode::from(Failed::EXIT_USAGE)
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failed) => {
            eprintln!("{NAME}: {failed}");
            ExitCode::from(failed.exit_code())
        }
    }
}

/// Writes a key to the file and sets its mode to 0400.
fn run(args: &KeygenArgs) -> Result<(), Failed> {
    let size = match &args.size {
        None => KEY_LEN,
        Some(word) => key_size(&word.to_string_lossy()).ok_or(Failed::Size)?,
    };
    say("Corosync Cluster Engine Authentication key generator.");
    let source = args.random_file.as_deref();
    let source = source.unwrap_or_else(|| Path::new(RANDOM));
    let bits = size * 8;
    say(&format!(
        "Gathering {bits} bits for key from {}.",
        source.display()
    ));
    let key = match &args.random_file {
        None => random_key(size),
        Some(source) => key_from(source, size),
    };
    let key = key.map_err(|error| Failed::Random(source.to_owned(), error))?;

    let failed = |step, error| Failed::File(step, args.key_file.clone(), error);
    let mut file = open(&args.key_file).map_err(|error| failed(Step::Create, error))?;
    let mode = Permissions::from_mode(KEY_MODE);
    file.set_permissions(mode)
        .map_err(|error| failed(Step::Mode, error))?;
    say(&format!(
        "Writing corosync key to {}.",
        args.key_file.display()
    ));
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
fn key_from(source: &Path, size: usize) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut key = Zeroizing::new(vec![0; size]);
    File::open(source)?.read_exact(&mut key)?;
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
    /// The source of random bytes cannot be read; nothing was written.
    Random(PathBuf, io::Error),
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
            Self::Size => f.write_str("a key has 128 to 4096 bytes"),
            Self::Random(source, error) => {
                write!(f, "no random bytes from {}: {error}", source.display())
            }
            Self::File(step, path, error) => {
                let what = match step {
                    Step::Create => "cannot open",
                    Step::Mode => "cannot set the mode 0400 of",
                    Step::Write => "cannot write",
                    Step::Close => "cannot finish writing",
                };
                write!(f, "{what} {}: {error}", path.display())
            }
        }
    }
}

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

//! Setting and deleting keys.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

use ferrosync_client::cmap::Cmap;
use ferrosync_client::{CsError, Text, Value};

use super::key;
use crate::tools::{Output, Stop, scan};

/// `-s`: sets a key.
pub(super) fn set(
    cmap: &mut Cmap,
    name: &OsStr,
    kind: &OsStr,
    word: &OsStr,
    output: &mut Output<'_>,
) -> Result<(), Stop> {
    let value = match parse(kind.as_bytes(), word.as_bytes()) {
        Ok(value) => value,
        Err(Bad::Kind) => {
            output.complain_bytes(&[b"Unknown type ", kind.as_bytes(), b"\n"]);
            return Err(Stop::FAILURE);
        }
        Err(Bad::Value) => {
            let kind = [b" is not valid ", kind.as_bytes(), b" type value\n"].concat();
            output.complain_bytes(&[word.as_bytes(), &kind]);
            return Err(Stop::FAILURE);
        }
        Err(Bad::Range) => {
            let kind = [b" is not valid ", kind.as_bytes(), b" integer\n"].concat();
            output.complain_bytes(&[word.as_bytes(), &kind]);
            return Err(Stop::FAILURE);
        }
        Err(Bad::File(error)) => {
            let reason = c_message(&error);
            return output.fail(format_args!("Can't open input file: {reason}"));
        }
    };
    // C's library takes no value that is nowhere, as that of an empty file is.
    let is_nowhere = matches!(&value, Value::Bin(bytes) if bytes.is_empty());
    let result = if is_nowhere {
        Err(CsError::InvalidParam)
    } else {
        cmap.set(&key(name), &value).map_err(|error| error.code())
    };
    if let Err(error) = result {
        let error = format!(". Error {error}\n");
        output.complain_bytes(&[b"Failed to set key ", name.as_bytes(), error.as_bytes()]);
        return Err(Stop::FAILURE);
    }
    Ok(())
}

/// `-d`: deletes keys; the first that does not exist ends it.
pub(super) fn delete(
    cmap: &mut Cmap,
    keys: &[OsString],
    output: &mut Output<'_>,
) -> Result<(), Stop> {
    for word in keys {
        if !delete_one(cmap, word, output) {
            return Err(Stop::FAILURE);
        }
    }
    Ok(())
}

/// `-D`: deletes what begins like this, and complains about what cannot be deleted.
pub(super) fn delete_prefix(
    cmap: &mut Cmap,
    prefix: &OsStr,
    output: &mut Output<'_>,
) -> Result<(), Stop> {
    let iteration = cmap.iterate(&key(prefix)).or_else(|error| {
        let error = error.code();
        output.fail(format_args!(
            "Failed to initialize iteration. Error {error}"
        ))
    })?;
    let entries = iteration.map_while(Result::ok);
    let keys: Vec<String> = entries.map(|entry| entry.key).collect();
    for key in keys {
        delete_one(cmap, OsStr::new(&key), output);
    }
    Ok(())
}

/// `-p`: does what the lines of a file say: `KEY TYPE VALUE` sets, `^KEY` deletes, `^^PREFIX` deletes all that begin like
/// it.
pub(super) fn load(cmap: &mut Cmap, file: &OsStr, output: &mut Output<'_>) -> Result<(), Stop> {
    let file = match fs::File::open(file) {
        Ok(file) => file,
        Err(error) => {
            // C goes on to its end.
            output.complain(format_args!("Couldn't open file.: {}", c_message(&error)));
            return Ok(());
        }
    };
    let mut lines = BufReader::new(file);
    while let Some(line) = next_line(&mut lines)? {
        let blanks = line
            .iter()
            .take_while(|byte| matches!(byte, b' ' | b'\t'))
            .count();
        if matches!(line[blanks..].first(), None | Some(b'#' | b'\n')) {
            continue;
        }
        let mut words = line[blanks..]
            .split(|byte| matches!(byte, b' ' | b'\n'))
            .filter(|word| !word.is_empty())
            .map(OsStr::from_bytes);
        let Some(name) = words.next() else { continue };
        match name.as_bytes() {
            [b'^', b'^', prefix @ ..] => delete_prefix(cmap, OsStr::from_bytes(prefix), output)?,
            [b'^', name @ ..] => {
                delete_one(cmap, OsStr::from_bytes(name), output);
            }
            _ => match (words.next(), words.next()) {
                (Some(kind), Some(value)) => set(cmap, name, kind, value, output)?,
                _ => {
                    let tail = b" are required\n";
                    output.complain_bytes(&[
                        b"Both type and value for key ",
                        name.as_bytes(),
                        tail,
                    ]);
                    return Err(Stop::FAILURE);
                }
            },
        }
    }
    Ok(())
}

/// `-C`: whether it worked is not told.
pub(super) fn clear(cmap: &mut Cmap, kind: &OsStr) {
    let key = format!("stats.clear.{}", kind.to_string_lossy());
    let _ = cmap.set(&key, &Value::U32(1));
}

/// Deletes a key, or complains.
fn delete_one(cmap: &mut Cmap, name: &OsStr, output: &mut Output<'_>) -> bool {
    match cmap.delete(&key(name)) {
        Ok(()) => true,
        Err(error) => {
            let error = format!(". Error {}\n", error.code());
            output.complain_bytes(&[b"Can't delete key ", name.as_bytes(), error.as_bytes()]);
            false
        }
    }
}

/// What is wrong with a type or value.
#[derive(Debug)]
enum Bad {
    Kind,
    Value,
    Range,
    File(io::Error),
}

fn parse(kind: &[u8], word: &[u8]) -> Result<Value, Bad> {
    let signed = || scan::signed_prefix(word).ok_or(Bad::Value);
    let unsigned = || scan::unsigned_prefix(word).ok_or(Bad::Value);
    let fraction = || scan::float_prefix(word).ok_or(Bad::Value);
    Ok(match kind {
        b"i8" => Value::I8(signed()?.try_into().map_err(|_| Bad::Range)?),
        b"i16" => Value::I16(signed()?.try_into().map_err(|_| Bad::Range)?),
        b"i32" => Value::I32(signed()?.try_into().map_err(|_| Bad::Range)?),
        b"i64" => Value::I64(signed()?),
        b"u8" => Value::U8(unsigned()?.try_into().map_err(|_| Bad::Range)?),
        b"u16" => Value::U16(unsigned()?.try_into().map_err(|_| Bad::Range)?),
        b"u32" => Value::U32(unsigned()?.try_into().map_err(|_| Bad::Range)?),
        b"u64" => Value::U64(unsigned()?),
        b"flt" => Value::F32(fraction()?.parse().map_err(|_| Bad::Value)?),
        b"dbl" => Value::F64(fraction()?.parse().map_err(|_| Bad::Value)?),
        b"str" => Value::Str(Text::new(word)),
        b"bin" => Value::Bin(contents(word).map_err(Bad::File)?.into()),
        _ => return Err(Bad::Kind),
    })
}

/// A file's bytes; `-` is standard input. One more than a value may have shows that it is too long.
fn contents(name: &[u8]) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let most = Value::MAX as u64 + 1;
    if name == b"-" {
        io::stdin().lock().take(most).read_to_end(&mut bytes)?;
    } else {
        let file = fs::File::open(OsString::from_vec(name.to_vec()))?;
        // What opens but cannot be read, such as a directory, is empty to C.
        let _ = file.take(most).read_to_end(&mut bytes);
    }
    Ok(bytes)
}

/// The next line, or as much of it as C's buffer holds.
fn next_line(lines: &mut impl io::BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    lines.take(LINE_MAX).read_until(b'\n', &mut line)?;
    Ok((!line.is_empty()).then_some(line))
}

/// What `perror` says of an error.
fn c_message(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(number) => nix::errno::Errno::from_raw(number).desc().to_owned(),
        None => error.to_string(),
    }
}

/// Bytes that C reads of a line at once.
const LINE_MAX: u64 = 1023;

#[cfg(test)]
mod tests {
    use super::*;

    fn value(kind: &str, word: &str) -> Value {
        parse(kind.as_bytes(), word.as_bytes()).expect("a value")
    }

    #[test]
    fn words_become_values_of_their_type() {
        assert_eq!(value("i8", "-128"), Value::I8(-128));
        assert_eq!(value("u16", "12 monkeys"), Value::U16(12));
        assert_eq!(value("u64", "-1"), Value::U64(u64::MAX));
        assert_eq!(value("flt", "0.5x"), Value::F32(0.5));
        assert_eq!(value("dbl", "inf"), Value::F64(f64::INFINITY));
        assert_eq!(value("str", " x "), Value::str(" x "));
        assert_eq!(value("bin", "/dev/null"), Value::Bin(Box::default()));
    }

    #[test]
    fn what_is_no_value_is_refused() {
        let bad = |kind: &str, word: &str| parse(kind.as_bytes(), word.as_bytes()).unwrap_err();
        assert!(matches!(bad("u8", "256"), Bad::Range));
        assert!(matches!(bad("u8", "-1"), Bad::Range));
        assert!(matches!(bad("i32", "2147483648"), Bad::Range));
        assert!(matches!(bad("i8", "x"), Bad::Value));
        assert!(matches!(bad("dbl", "x"), Bad::Value));
        assert!(matches!(bad("float", "1"), Bad::Kind));
        assert!(matches!(bad("bin", "/nonexistent"), Bad::File(_)));
    }

    #[test]
    fn lines_are_cut_where_c_cuts_them() {
        let text = [vec![b'x'; 1500], b"\nshort\nlast".to_vec()].concat();
        let mut rest = text.as_slice();
        let mut lens = Vec::new();
        while let Some(line) = next_line(&mut rest).unwrap() {
            lens.push(line.len());
        }
        assert_eq!(lens, [1023, 478, 6, 4]);
    }
}

//! Keys and values as they are printed.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;

use ferrosync_client::cmap::Cmap;
use ferrosync_client::{CsError, Value, ValueType};
use serde_json::{Value as Json, json};

use super::key;
use crate::tools::cpgtool::hex;
use crate::tools::getopt::Format;
use crate::tools::{Output, Stop};

/// How keys are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Show {
    /// Binary values too.
    pub(super) binary: bool,
    /// Values alone.
    pub(super) quiet: bool,
    pub(super) format: Format,
}

impl Show {
    /// Prints all keys that begin like one of these; all keys without any. Ends with `EXIT_FAILURE` when none did.
    pub(super) fn print_prefixes(
        self,
        cmap: &mut Cmap,
        prefixes: &[OsString],
        output: &mut Output<'_>,
    ) -> Result<(), Stop> {
        let all = [OsString::new()];
        let asked = if prefixes.is_empty() { &all } else { prefixes };
        let mut found = Vec::new();
        let mut without = 0;
        for prefix in asked {
            let entries = self.entries(cmap, prefix, output)?;
            without += usize::from(entries.is_empty());
            for (name, kind) in entries {
                let value = self.value(cmap, &name, kind);
                match (self.format, value) {
                    (Format::Text, Ok(value)) => {
                        output.bytes(&self.line(name.as_bytes(), value.as_ref()))?;
                    }
                    (Format::Json, Ok(value)) => found.push(item(&name, kind, value.as_ref())),
                    (Format::Text | Format::Json, Err(error)) => {
                        output.complain(format_args!("Can't get value of {name}. Error {error}"))
                    }
                }
            }
        }
        if self.format == Format::Json {
            output.json(&json!({ "keys": found }))?;
        }
        if without > 0 && without >= prefixes.len() {
            return Err(Stop::FAILURE);
        }
        Ok(())
    }

    /// Prints these keys; the first that does not exist ends it.
    pub(super) fn print_keys(
        self,
        cmap: &mut Cmap,
        keys: &[OsString],
        output: &mut Output<'_>,
    ) -> Result<(), Stop> {
        let mut found = Vec::new();
        for word in keys {
            match cmap.get(&key(word)) {
                Ok(value) => match self.format {
                    Format::Text => output.bytes(&self.line(word.as_bytes(), Some(&value)))?,
                    Format::Json => {
                        found.push(item(&key(word), Some(value.kind()), Some(&value)));
                    }
                },
                Err(error) => {
                    let error = format!(". Error {}\n", error.code());
                    output.complain_bytes(&[b"Can't get key ", word.as_bytes(), error.as_bytes()]);
                    return Err(Stop::FAILURE);
                }
            }
        }
        match self.format {
            Format::Text => Ok(()),
            Format::Json => output.json(&json!({ "keys": found })),
        }
    }

    /// The line that shows a key. Without a value it breaks off, as in C.
    pub(super) fn line(self, key: &[u8], value: Option<&Value>) -> Vec<u8> {
        let mut line = Vec::new();
        if !self.quiet {
            line.extend_from_slice(key);
            line.extend_from_slice(b" (");
        }
        match value {
            None => {}
            // The type of a binary value is printed even where types are not.
            Some(Value::Bin(bytes)) => {
                line.extend_from_slice(b"bin)");
                if self.binary {
                    line.extend_from_slice(b" = ");
                    line.extend(bytes.iter().flat_map(|byte| hex(*byte)));
                }
            }
            Some(value) => {
                if !self.quiet {
                    line.extend_from_slice(name_of(value.kind()).as_bytes());
                    line.extend_from_slice(b") = ");
                }
                line.extend(text_of(value));
            }
        }
        line.push(b'\n');
        line
    }

    fn entries(
        self,
        cmap: &mut Cmap,
        prefix: &OsStr,
        output: &mut Output<'_>,
    ) -> Result<Vec<(String, Option<ValueType>)>, Stop> {
        let iteration = cmap.iterate(&key(prefix)).or_else(|error| {
            let error = error.code();
            output.fail(format_args!(
                "Failed to initialize iteration. Error {error}"
            ))
        })?;
        // An iteration that breaks off is at its end.
        let entries = iteration.map_while(Result::ok);
        Ok(entries.map(|entry| (entry.key, entry.kind)).collect())
    }

    /// A key's value; a binary one only where it is shown.
    fn value(
        self,
        cmap: &mut Cmap,
        name: &str,
        kind: Option<ValueType>,
    ) -> Result<Option<Value>, CsError> {
        match kind {
            None => Ok(None),
            Some(ValueType::Bin) if !self.binary => Ok(Some(Value::Bin(Box::default()))),
            Some(_) => cmap.get(name).map(Some).map_err(|error| error.code()),
        }
    }
}

/// A key, its type and its value, for JSON.
pub(super) fn item(key: &str, kind: Option<ValueType>, value: Option<&Value>) -> Json {
    json!({ "key": key, "type": kind.map(name_of), "value": value.map(json_of) })
}

/// A value for JSON: numbers as numbers, binary ones as hexadecimal digits, fractions that are no numbers as text.
pub(super) fn json_of(value: &Value) -> Json {
    match value {
        Value::I8(number) => json!(number),
        Value::U8(number) => json!(number),
        Value::I16(number) => json!(number),
        Value::U16(number) => json!(number),
        Value::I32(number) => json!(number),
        Value::U32(number) => json!(number),
        Value::I64(number) => json!(number),
        Value::U64(number) => json!(number),
        Value::F32(number) if number.is_finite() => json!(number),
        Value::F64(number) if number.is_finite() => json!(number),
        Value::F32(number) => json!(fraction((*number).into())),
        Value::F64(number) => json!(fraction(*number)),
        Value::Str(text) => json!(text.to_string()),
        Value::Bin(bytes) => {
            let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            json!(digits)
        }
    }
}

/// What the tool calls a type.
pub(super) const fn name_of(kind: ValueType) -> &'static str {
    match kind {
        ValueType::I8 => "i8",
        ValueType::U8 => "u8",
        ValueType::I16 => "i16",
        ValueType::U16 => "u16",
        ValueType::I32 => "i32",
        ValueType::U32 => "u32",
        ValueType::I64 => "i64",
        ValueType::U64 => "u64",
        ValueType::F32 => "flt",
        ValueType::F64 => "dbl",
        ValueType::Str => "str",
        ValueType::Bin => "bin",
    }
}

fn text_of(value: &Value) -> Vec<u8> {
    match value {
        Value::I8(number) => number.to_string().into_bytes(),
        Value::U8(number) => number.to_string().into_bytes(),
        Value::I16(number) => number.to_string().into_bytes(),
        Value::U16(number) => number.to_string().into_bytes(),
        Value::I32(number) => number.to_string().into_bytes(),
        Value::U32(number) => number.to_string().into_bytes(),
        Value::I64(number) => number.to_string().into_bytes(),
        Value::U64(number) => number.to_string().into_bytes(),
        Value::F32(number) => fraction((*number).into()).into_bytes(),
        Value::F64(number) => fraction(*number).into_bytes(),
        Value::Str(text) => text.as_bytes().to_vec(),
        Value::Bin(bytes) => bytes.to_vec(),
    }
}

/// A number as `printf("%f")` prints it.
fn fraction(number: f64) -> String {
    if number.is_nan() {
        let sign = if number.is_sign_negative() { "-" } else { "" };
        format!("{sign}nan")
    } else {
        format!("{number:.6}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(show: Show, value: &Value) -> String {
        String::from_utf8(show.line(b"a.key", Some(value))).unwrap()
    }

    #[test]
    fn lines_are_those_of_c() {
        let show = Show::default();
        let quiet = Show {
            quiet: true,
            ..show
        };
        for (value, whole, alone) in [
            (Value::U8(7), "a.key (u8) = 7\n", "7\n"),
            (Value::I64(-7), "a.key (i64) = -7\n", "-7\n"),
            (Value::F32(1.5), "a.key (flt) = 1.500000\n", "1.500000\n"),
            (Value::F64(f64::NAN), "a.key (dbl) = nan\n", "nan\n"),
            (
                Value::F64(f64::NEG_INFINITY),
                "a.key (dbl) = -inf\n",
                "-inf\n",
            ),
            (Value::str("x y"), "a.key (str) = x y\n", "x y\n"),
            (Value::Bin(Box::new([0])), "a.key (bin)\n", "bin)\n"),
        ] {
            assert_eq!(line(show, &value), whole);
            assert_eq!(line(quiet, &value), alone);
        }
        let binary = Show {
            binary: true,
            ..show
        };
        let value = Value::Bin(b"a\\\x01".as_slice().into());
        assert_eq!(line(binary, &value), "a.key (bin) = a\\\\\\x01\n");
        assert_eq!(show.line(b"a.key", None), b"a.key (\n");
    }

    #[test]
    fn json_has_types_and_values() {
        let shown = item(
            "a.key",
            Some(ValueType::Bin),
            Some(&Value::Bin(Box::new([0, 171]))),
        );
        assert_eq!(
            shown.to_string(),
            r#"{"key":"a.key","type":"bin","value":"00ab"}"#
        );
        assert_eq!(json_of(&Value::F32(f32::INFINITY)), json!("inf"));
        assert_eq!(json_of(&Value::U64(u64::MAX)), json!(u64::MAX));
    }
}

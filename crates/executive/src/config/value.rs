//! From the text of a value to its type.

use ferrosync_wire::value::Value;

use super::keys::Kind;

/// Syslog priorities, least urgent last (corosync `logsys.c: prioritynames`, v3.1.7).
pub(crate) const PRIORITIES: &[&str] = &[
    "emerg", "alert", "crit", "err", "warning", "notice", "info", "debug",
];

/// Converts the text of `key`, or says what is wrong and what to write instead.
pub(crate) fn convert(kind: Kind, key: &str, text: &str) -> Result<Value, (String, String)> {
    match kind {
        Kind::U8 => ranged::<u8>(key, text).map(Value::U8),
        Kind::U16 => ranged::<u16>(key, text).map(Value::U16),
        Kind::U32 => ranged::<u32>(key, text).map(Value::U32),
        Kind::I32 => ranged::<i32>(key, text).map(Value::I32),
        Kind::U31 => {
            let number: u32 = ranged(key, text)?;
            if i32::try_from(number).is_ok() {
                Ok(Value::U32(number))
            } else {
                Err(out_of_range(key, text, "0", &i32::MAX.to_string()))
            }
        }
        Kind::U64 => match text.trim_start_matches(C_SPACES).parse() {
            Ok(number) => Ok(Value::U64(number)),
            Err(_) => Err(out_of_range(key, text, "0", &u64::MAX.to_string())),
        },
        Kind::Words(words) if words.contains(&text) => Ok(Value::str(text)),
        Kind::Words(words) => Err(not_a_word(key, text, words)),
        Kind::Priority if priority(text).is_some() => Ok(Value::str(text)),
        Kind::Priority => Err(not_a_word(key, text, PRIORITIES)),
        Kind::Text => Ok(Value::str(text)),
    }
}

/// The number of a syslog priority, 0 (emerg) to 7 (debug); `error` is another word for `err`.
pub(crate) fn priority(text: &str) -> Option<u8> {
    let text = if text.eq_ignore_ascii_case("error") {
        "err"
    } else {
        text
    };
    let index = PRIORITIES
        .iter()
        .position(|name| name.eq_ignore_ascii_case(text))?;
    u8::try_from(index).ok()
}

/// A decimal number as `strtoll` reads it: blanks and one sign may stand in front, nothing behind.
pub(crate) fn integer(text: &str) -> Option<i64> {
    text.trim_start_matches(C_SPACES).parse().ok()
}

/// What C's `isspace` accepts.
const C_SPACES: [char; 6] = [' ', '\t', '\n', '\x0b', '\x0c', '\r'];

fn ranged<T: TryFrom<i64> + Bounds>(key: &str, text: &str) -> Result<T, (String, String)> {
    integer(text)
        .and_then(|number| T::try_from(number).ok())
        .ok_or_else(|| out_of_range(key, text, &T::lowest(), &T::highest()))
}

trait Bounds {
    fn lowest() -> String;
    fn highest() -> String;
}

macro_rules! bounds {
    ($($type:ty),*) => {$(
        impl Bounds for $type {
            fn lowest() -> String {
                Self::MIN.to_string()
            }
            fn highest() -> String {
                Self::MAX.to_string()
            }
        }
    )*};
}

bounds!(u8, u16, u32, i32);

fn out_of_range(key: &str, text: &str, lowest: &str, highest: &str) -> (String, String) {
    let what = format!(
        "Value of key \"{key}\" is expected to be integer in range ({lowest}..{highest}), but \"{text}\" was given"
    );
    (what, "write a decimal number in this range".to_owned())
}

fn not_a_word(key: &str, text: &str, words: &[&str]) -> (String, String) {
    let what = format!("Value \"{text}\" is not valid for key \"{key}\"");
    let instead = match words.split_last() {
        Some((last, [])) => format!("write {last}"),
        Some((last, rest)) => format!("write {} or {last}", rest.join(", ")),
        None => String::new(),
    };
    (what, instead)
}

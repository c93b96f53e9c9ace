//! Numbers as the C library reads them from words.

use std::ffi::OsStr;
use std::ops::RangeInclusive;
use std::os::unix::ffi::OsStrExt as _;

/// A word that is a decimal number within a range, from its first character but blanks to its last
/// (`tools/util.c:util_strtonum`, v3.1.7).
pub(crate) fn number(word: &OsStr, range: RangeInclusive<i64>) -> Option<i64> {
    let digits = decimal(word.as_bytes())?;
    if !digits.rest.is_empty() {
        return None;
    }
    let number = i64::try_from(digits.signed()).ok()?;
    range.contains(&number).then_some(number)
}

/// What `sscanf("%lld")` finds at the beginning of a word: too large a number is the largest.
pub(crate) fn signed_prefix(word: &[u8]) -> Option<i64> {
    let number = decimal(word)?.signed();
    Some(i64::try_from(number).unwrap_or(if number < 0 { i64::MIN } else { i64::MAX }))
}

/// What `sscanf("%llu")` finds at the beginning of a word: a negative number wraps, too large a one is the largest.
pub(crate) fn unsigned_prefix(word: &[u8]) -> Option<u64> {
    let Decimal {
        sign, magnitude, ..
    } = decimal(word)?;
    Some(match (u64::try_from(magnitude), sign) {
        (Ok(number), Sign::Plus) => number,
        (Ok(number), Sign::Minus) => number.wrapping_neg(),
        (Err(_), _) => u64::MAX,
    })
}

/// The text that `sscanf("%lf")` takes from the beginning of a word, for Rust's parser. Hexadecimal fractions are refused
/// (`docs/deviations.md`, D-82).
pub(crate) fn float_prefix(word: &[u8]) -> Option<&str> {
    let word = skip_blanks(word);
    let unsigned = match word {
        [b'+' | b'-', rest @ ..] => rest,
        all => all,
    };
    let sign_len = word.len() - unsigned.len();
    let lower: Vec<u8> = unsigned
        .iter()
        .take(9)
        .map(u8::to_ascii_lowercase)
        .collect();
    let len = if lower.starts_with(b"infinity") {
        8
    } else if lower.starts_with(b"nan") || lower.starts_with(b"inf") {
        // A word that goes on like infinity has to be it.
        (lower.get(3) != Some(&b'i')).then_some(3)?
    } else if lower.starts_with(b"0x") {
        return None;
    } else {
        fraction_len(unsigned)?
    };
    str::from_utf8(&word[..sign_len + len]).ok()
}

/// Bytes of digits with a point and an exponent, if there is a digit.
fn fraction_len(word: &[u8]) -> Option<usize> {
    let whole = digits_len(word);
    let mut len = whole;
    let mut digits = whole;
    if word.get(len) == Some(&b'.') {
        let part = digits_len(&word[len + 1..]);
        digits += part;
        len += 1 + part;
    }
    if digits == 0 {
        return None;
    }
    if let [b'e' | b'E', exponent @ ..] = &word[len..] {
        let signed = usize::from(matches!(exponent, [b'+' | b'-', ..]));
        let part = digits_len(&exponent[signed..]);
        if part > 0 {
            len += 1 + signed + part;
        }
    }
    Some(len)
}

/// A number's parts.
struct Decimal<'a> {
    sign: Sign,
    magnitude: u128,
    rest: &'a [u8],
}

#[derive(Clone, Copy, PartialEq)]
enum Sign {
    Plus,
    Minus,
}

impl Decimal<'_> {
    fn signed(&self) -> i128 {
        let magnitude = i128::try_from(self.magnitude).unwrap_or(i128::MAX);
        match self.sign {
            Sign::Plus => magnitude,
            Sign::Minus => -magnitude,
        }
    }
}

fn decimal(word: &[u8]) -> Option<Decimal<'_>> {
    let (sign, digits) = match skip_blanks(word) {
        [b'-', rest @ ..] => (Sign::Minus, rest),
        [b'+', rest @ ..] => (Sign::Plus, rest),
        all => (Sign::Plus, all),
    };
    let (digits, rest) = digits.split_at(digits_len(digits));
    if digits.is_empty() {
        return None;
    }
    let add = |sum: u128, digit: &u8| sum.saturating_mul(10).saturating_add((digit - b'0').into());
    Some(Decimal {
        sign,
        magnitude: digits.iter().fold(0, add),
        rest,
    })
}

/// What `isspace` calls a blank.
fn skip_blanks(word: &[u8]) -> &[u8] {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t'..=b'\r');
    let blanks = word.iter().take_while(|byte| blank(byte)).count();
    &word[blanks..]
}

fn digits_len(word: &[u8]) -> usize {
    word.iter().take_while(|byte| byte.is_ascii_digit()).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_words_are_numbers_within_their_range() {
        let read = |word: &str| number(OsStr::new(word), 1..=i64::from(u32::MAX));
        for (word, value) in [
            ("1", 1),
            (" +7", 7),
            ("\t007", 7),
            ("4294967295", 4_294_967_295),
        ] {
            assert_eq!(read(word), Some(value), "{word}");
        }
        for word in [
            "",
            "0",
            "-1",
            "4294967296",
            "1 ",
            "0x1",
            "x",
            "99999999999999999999",
        ] {
            assert_eq!(read(word), None, "{word}");
        }
    }

    #[test]
    fn beginnings_of_words_are_numbers() {
        assert_eq!(signed_prefix(b"12abc"), Some(12));
        assert_eq!(signed_prefix(b" -5.5"), Some(-5));
        assert_eq!(signed_prefix(b"99999999999999999999"), Some(i64::MAX));
        assert_eq!(signed_prefix(b"-99999999999999999999"), Some(i64::MIN));
        assert_eq!(signed_prefix(b"abc"), None);
        assert_eq!(signed_prefix(b"-"), None);
        assert_eq!(unsigned_prefix(b"-1"), Some(u64::MAX));
        assert_eq!(unsigned_prefix(b"18446744073709551616"), Some(u64::MAX));
        assert_eq!(unsigned_prefix(b"255"), Some(255));
    }

    #[test]
    fn beginnings_of_words_are_fractions() {
        for (word, text) in [
            ("1.5", "1.5"),
            (" -2.e3x", "-2.e3"),
            (".5e", ".5"),
            ("1e+", "1"),
            ("+1E-2", "+1E-2"),
            ("infinityx", "infinity"),
            ("-INF", "-INF"),
            ("nano", "nan"),
        ] {
            let found = float_prefix(word.as_bytes());
            assert_eq!(found, Some(text), "{word}");
            assert!(found.unwrap().parse::<f64>().is_ok(), "{word}");
        }
        for word in ["", ".", "e5", "infinit", "0x1p3", "-", "x"] {
            assert_eq!(float_prefix(word.as_bytes()), None, "{word}");
        }
    }
}

//! Messages as libqb stores them: the format of `printf`, a NUL, and the arguments in their binary form
//! (libqb `lib/log_format.c: qb_vsnprintf_serialize`, v2.0.6).

use super::dump::until_nul;

/// The message that a format and its arguments make, at most [`MAX`] bytes. Arguments that are missing are 0 or empty.
pub(super) fn expand(stored: &[u8]) -> Vec<u8> {
    let format = until_nul(stored);
    let mut arguments = Arguments(stored.get(format.len() + 1..).unwrap_or_default());
    let mut text = Vec::new();
    let mut rest = format;
    while let Some(at) = rest.iter().position(|byte| *byte == b'%') {
        text.extend_from_slice(&rest[..at]);
        let (directive, after) = Directive::read(&rest[at + 1..], &mut arguments);
        // What libqb does not know it prints without the percent sign and what stood between.
        if let Some(conversion) = directive.conversion {
            text.extend(directive.convert(conversion, &mut arguments));
        }
        rest = after;
    }
    text.extend_from_slice(rest);
    text.truncate(MAX);
    text
}

/// What stands behind a percent sign.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Directive {
    left: bool,
    zeros: bool,
    plus: bool,
    blank: bool,
    alternate: bool,
    width: usize,
    precision: Option<usize>,
    length: Length,
    /// None for one that libqb does not know; it has not been consumed.
    conversion: Option<u8>,
}

/// How long an integer is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Length {
    #[default]
    Int,
    Long,
}

impl Directive {
    /// Reads a directive; what stands behind it is left.
    fn read<'a>(mut rest: &'a [u8], arguments: &mut Arguments<'_>) -> (Self, &'a [u8]) {
        let mut directive = Self::default();
        while let Some((&byte, after)) = rest.split_first() {
            match byte {
                b'-' => directive.left = true,
                b'+' => directive.plus = true,
                b' ' => directive.blank = true,
                b'#' => directive.alternate = true,
                b'\'' | b'I' => {}
                b'.' => directive.precision = Some(0),
                b'0' if directive.width == 0 && directive.precision.is_none() => {
                    directive.zeros = true;
                }
                b'0'..=b'9' => directive.digit(byte - b'0'),
                b'*' => directive.star(arguments.int()),
                b'l' | b'z' | b't' | b'j' => directive.length = Length::Long,
                _ if CONVERSIONS.contains(&byte) => {
                    directive.conversion = Some(byte);
                    return (directive, after);
                }
                _ => break,
            }
            rest = after;
        }
        (directive, rest)
    }

    fn digit(&mut self, digit: u8) {
        let number = self.precision.as_mut().unwrap_or(&mut self.width);
        *number = (*number * 10 + usize::from(digit)).min(MAX);
    }

    /// A width or precision that is an argument.
    fn star(&mut self, number: i32) {
        let size = usize::try_from(number.unsigned_abs())
            .unwrap_or(MAX)
            .min(MAX);
        match (&mut self.precision, number < 0) {
            (Some(precision), false) => *precision = size,
            // A negative precision is none, a negative width is to the left.
            (Some(_), true) => self.precision = None,
            (None, negative) => {
                self.width = size;
                self.left |= negative;
            }
        }
    }

    fn convert(&self, conversion: u8, arguments: &mut Arguments<'_>) -> Vec<u8> {
        match conversion {
            b'd' | b'i' => self.signed(arguments.integer(self.length)),
            b'u' | b'o' | b'x' | b'X' => {
                let number = arguments.integer(self.length);
                let number = match self.length {
                    Length::Int => u64::from(low_half(number)),
                    Length::Long => number.cast_unsigned(),
                };
                self.unsigned(conversion, number)
            }
            b'c' => self.padded(Vec::new(), vec![arguments.byte()], Zeros::Never),
            b's' => {
                let mut text = arguments.text().to_vec();
                text.truncate(self.precision.unwrap_or(MAX));
                self.padded(Vec::new(), text, Zeros::Never)
            }
            b'p' => match arguments.integer(Length::Long) {
                0 => self.padded(Vec::new(), b"(nil)".to_vec(), Zeros::Never),
                number => {
                    let digits = format!("{:x}", number.cast_unsigned());
                    self.padded(b"0x".to_vec(), digits.into(), Zeros::Never)
                }
            },
            // libqb stores the sign itself as well.
            b'%' => {
                arguments.byte();
                b"%".to_vec()
            }
            // Fractions: the daemon logs them with a precision, never as %g or %a.
            _ => self.fraction(arguments.double()),
        }
    }

    fn signed(&self, number: i64) -> Vec<u8> {
        let sign = self.sign(number < 0);
        self.digits(sign, number.unsigned_abs().to_string())
    }

    fn unsigned(&self, conversion: u8, number: u64) -> Vec<u8> {
        let (prefix, digits) = match conversion {
            b'x' => ("0x", format!("{number:x}")),
            b'X' => ("0X", format!("{number:X}")),
            b'o' => ("0", format!("{number:o}")),
            _ => ("", number.to_string()),
        };
        let prefix = if self.alternate && number != 0 {
            prefix
        } else {
            ""
        };
        self.digits(prefix, digits)
    }

    fn digits(&self, prefix: &str, digits: String) -> Vec<u8> {
        match self.precision {
            None => self.padded(prefix.into(), digits.into(), Zeros::Asked),
            // With a precision the flag 0 means nothing.
            Some(precision) => {
                let digits = format!("{digits:0>precision$}");
                self.padded(prefix.into(), digits.into(), Zeros::Never)
            }
        }
    }

    fn fraction(&self, number: f64) -> Vec<u8> {
        let precision = self.precision.unwrap_or(6);
        let sign = self.sign(number.is_sign_negative());
        let digits = format!("{:.precision$}", number.abs());
        self.padded(sign.into(), digits.into(), Zeros::Asked)
    }

    const fn sign(&self, negative: bool) -> &'static str {
        match (negative, self.plus, self.blank) {
            (true, _, _) => "-",
            (false, true, _) => "+",
            (false, false, true) => " ",
            (false, false, false) => "",
        }
    }

    /// Fills up to the width.
    fn padded(&self, prefix: Vec<u8>, text: Vec<u8>, zeros: Zeros) -> Vec<u8> {
        let missing = self.width.saturating_sub(prefix.len() + text.len());
        if self.left {
            [prefix, text, vec![b' '; missing]].concat()
        } else if self.zeros && zeros == Zeros::Asked {
            [prefix, vec![b'0'; missing], text].concat()
        } else {
            [vec![b' '; missing], prefix, text].concat()
        }
    }
}

/// Whether zeros fill the width where the flag asks for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Zeros {
    Asked,
    Never,
}

/// Arguments that are still to be used.
struct Arguments<'a>(&'a [u8]);

impl<'a> Arguments<'a> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        match self.0.split_first_chunk() {
            Some((bytes, rest)) => {
                self.0 = rest;
                *bytes
            }
            None => {
                self.0 = &[];
                [0; N]
            }
        }
    }

    fn byte(&mut self) -> u8 {
        let [byte] = self.take();
        byte
    }

    fn int(&mut self) -> i32 {
        i32::from_ne_bytes(self.take())
    }

    fn integer(&mut self, length: Length) -> i64 {
        match length {
            Length::Int => self.int().into(),
            Length::Long => i64::from_ne_bytes(self.take()),
        }
    }

    fn double(&mut self) -> f64 {
        f64::from_ne_bytes(self.take())
    }

    fn text(&mut self) -> &'a [u8] {
        let text = until_nul(self.0);
        self.0 = self.0.get(text.len() + 1..).unwrap_or_default();
        text
    }
}

/// An `int` that was widened, as an `unsigned int`.
fn low_half(number: i64) -> u32 {
    u32::try_from(number.cast_unsigned() & u64::from(u32::MAX)).unwrap_or(0)
}

const CONVERSIONS: &[u8] = b"diouxXeEfFgGaAcsp%";
/// `QB_LOG_MAX_LEN` without its NUL.
const MAX: usize = 511;

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(format: &str, arguments: &[u8]) -> String {
        let stored = [format.as_bytes(), b"\0", arguments].concat();
        String::from_utf8(expand(&stored)).unwrap()
    }

    #[test]
    fn messages_are_what_printf_makes() {
        let int = |number: i32| number.to_ne_bytes().to_vec();
        let long = |number: i64| number.to_ne_bytes().to_vec();
        assert_eq!(expanded("plain", b""), "plain");
        assert_eq!(
            expanded("%d of %u", &[int(-1), int(-1)].concat()),
            "-1 of 4294967295"
        );
        assert_eq!(
            expanded("[%5d|%-5d|%05d]", &[int(7), int(7), int(-7)].concat()),
            "[    7|7    |-0007]"
        );
        assert_eq!(
            expanded("%#x %X %lx", &[int(255), int(255), long(-1)].concat()),
            "0xff FF ffffffffffffffff"
        );
        assert_eq!(
            expanded("%zu %lld %.3d", &[long(9), long(-9), int(5)].concat()),
            "9 -9 005"
        );
        assert_eq!(
            expanded("%s|%5s|%-5s|%.2s|", b"a\0b\0c\0def\0"),
            "a|    b|c    |de|"
        );
        assert_eq!(
            expanded("%*d|%-*d", &[int(4), int(1), int(3), int(2)].concat()),
            "   1|2  "
        );
        assert_eq!(
            expanded("%p %p", &[long(0x7f00), long(0)].concat()),
            "0x7f00 (nil)"
        );
        assert_eq!(expanded("%c%%%c", b"a%b"), "a%b");
        assert_eq!(expanded("%.2f", &1.5f64.to_ne_bytes()), "1.50");
    }

    #[test]
    fn nonsense_is_bounded() {
        assert_eq!(expanded("%d %s", b""), "0 ");
        assert_eq!(expanded("%y %", b""), "y ");
        assert_eq!(expanded("%999999999999d", &1i32.to_ne_bytes()).len(), MAX);
        assert_eq!(expanded(&"x".repeat(2000), b"").len(), MAX);
    }
}

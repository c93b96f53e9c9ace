//! Names as C's structures carry them: a length and a fixed array.

use core::cmp::Ordering;
use core::fmt;

use crate::aligned::{get_chars, put_chars};
use crate::codec::{Decode, DecodeError, Encode, Reader, Writer};
use crate::value::until_nul;

/// Name of a closed process group (`mar_cpg_name_t`): any bytes, at most 128.
///
/// All 128 bytes of the array are kept and sent on, as C does, because some programs read the name up to a NUL
/// that lies behind its length. Equality and order are C's `mar_name_compare`: shorter names come first, then
/// bytes decide (corosync `include/corosync/ipc_cpg.h`, v3.1.7).
#[derive(Clone)]
pub struct GroupName {
    len: u8,
    value: [u8; Self::MAX],
}

impl GroupName {
    /// Longest name in bytes (`CPG_MAX_NAME_LENGTH`).
    pub const MAX: usize = 128;
    /// Bytes in messages: `length u32`, padding, the array.
    pub const LEN: usize = 136;
    /// The name of length 0, which C has where no group was joined.
    pub const EMPTY: Self = Self {
        len: 0,
        value: [0; Self::MAX],
    };

    /// A name of these bytes.
    pub fn new(name: &[u8]) -> Result<Self, NameTooLong> {
        let mut value = [0; Self::MAX];
        value
            .get_mut(..name.len())
            .ok_or(NameTooLong { len: name.len() })?
            .copy_from_slice(name);
        let len = u8::try_from(name.len()).map_err(|_| NameTooLong { len: name.len() })?;
        Ok(Self { len, value })
    }

    /// The bytes that make the name.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.value[..usize::from(self.len)]
    }

    /// What C sees where it takes the array for a string: everything in front of the first NUL, whatever the
    /// length says. C groups the confchgs of a sync by this (corosync `cpg.c:do_proc_join`, v3.1.7).
    #[must_use]
    pub fn as_c_str(&self) -> &[u8] {
        until_nul(&self.value)
    }

    /// The name as messages carry it.
    pub(crate) fn to_array(&self) -> [u8; Self::LEN] {
        let mut out = [0; Self::LEN];
        out[0] = self.len;
        out[8..].copy_from_slice(&self.value);
        out
    }
}

impl PartialEq for GroupName {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for GroupName {}

impl PartialOrd for GroupName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for GroupName {
    fn cmp(&self, other: &Self) -> Ordering {
        self.len
            .cmp(&other.len)
            .then_with(|| self.as_bytes().cmp(other.as_bytes()))
    }
}

impl fmt::Debug for GroupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.as_bytes().escape_ascii())
    }
}

impl fmt::Display for GroupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(until_nul(self.as_bytes())))
    }
}

impl Decode<'_> for GroupName {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let count = r.u32("group name length")?;
        r.skip(4, "group name")?;
        let value = r.array("group name")?;
        match u8::try_from(count) {
            Ok(len) if usize::from(len) <= Self::MAX => Ok(Self { len, value }),
            Ok(_) | Err(_) => Err(DecodeError::TooMany {
                what: "group name length",
                count,
                max: 128,
            }),
        }
    }
}

impl Encode for GroupName {
    fn encode(&self, w: &mut Writer<'_>) {
        w.bytes(&self.to_array());
    }
}

/// A name that does not fit its array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameTooLong {
    /// Its length in bytes.
    pub len: usize,
}

impl fmt::Display for NameTooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a name of {} bytes is too long", self.len)
    }
}

impl std::error::Error for NameTooLong {}

/// A name of at most 256 bytes (`mar_name_t`, `cs_name_t`), borrowed from its message.
///
/// C takes the array for a string and asks the length only whether there is a name at all
/// (corosync `cmap.c:message_handler_req_lib_cmap_iter_init`, v3.1.7), so both are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name<'a> {
    /// What the length field says; not necessarily the text's length.
    pub length: u16,
    /// The array up to its first NUL; at most 255 bytes.
    pub text: &'a [u8],
}

impl<'a> Name<'a> {
    /// The array's size (`CS_MAX_NAME_LENGTH`); a name is shorter by its NUL.
    pub const ARRAY: usize = 256;
    /// Bytes in messages as `mar_name_t`: `length u16`, padding, the array.
    pub const LEN: usize = 264;
    /// No name.
    pub const NONE: Self = Name {
        length: 0,
        text: &[],
    };

    /// A name for a message of ours; what does not fit the array is cut off when it is written.
    #[must_use]
    pub fn new(text: &'a [u8]) -> Self {
        let text = until_nul(text);
        Self {
            length: u16::try_from(text.len()).unwrap_or(u16::MAX),
            text,
        }
    }

    /// The text, unless the length says that there is none.
    #[must_use]
    pub const fn get(&self) -> Option<&'a [u8]> {
        if self.length == 0 {
            None
        } else {
            Some(self.text)
        }
    }

    /// The text, if it is UTF-8, as every key of the configuration map is.
    #[must_use]
    pub const fn to_str(&self) -> Option<&'a str> {
        match str::from_utf8(self.text) {
            Ok(text) => Some(text),
            Err(_) => None,
        }
    }

    /// Reads a `cs_name_t`: `length u16@0, value[256]@2`.
    pub(crate) fn get_unpadded(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self {
            length: r.u16("name length")?,
            text: get_chars(r, Self::ARRAY, "name")?,
        })
    }

    /// Writes a `cs_name_t`.
    pub(crate) fn put_unpadded(&self, w: &mut Writer<'_>) {
        w.u16(self.length);
        put_chars(w, self.text, Self::ARRAY);
    }
}

impl<'a> Decode<'a> for Name<'a> {
    fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let length = r.u16("name length")?;
        r.skip(6, "name")?;
        let text = get_chars(r, Self::ARRAY, "name")?;
        Ok(Self { length, text })
    }
}

impl Encode for Name<'_> {
    fn encode(&self, w: &mut Writer<'_>) {
        w.u16(self.length);
        w.zeros(6);
        put_chars(w, self.text, Self::ARRAY);
    }
}

#[cfg(test)]
mod tests {
    use super::{GroupName, Name, NameTooLong};
    use crate::codec::{Decode, DecodeError, Encode, Reader};

    fn group(name: &[u8]) -> GroupName {
        GroupName::new(name).unwrap()
    }

    #[test]
    fn groups_compare_by_length_then_bytes() {
        assert!(group(b"z") < group(b"aa"));
        assert!(group(b"aa") < group(b"ab"));
        assert_ne!(group(b"a"), group(b"a\0"));
        assert_eq!(group(b""), GroupName::EMPTY);
    }

    #[test]
    fn what_lies_behind_a_group_name_is_kept_but_not_compared() {
        let mut bytes = group(b"db").to_vec();
        bytes[8 + 2..8 + 5].copy_from_slice(b"xyz");
        let odd = GroupName::decode(&mut Reader::new(&bytes)).unwrap();
        assert_eq!(odd, group(b"db"));
        assert_eq!(odd.as_bytes(), b"db");
        assert_eq!(odd.as_c_str(), b"dbxyz");
        assert_eq!(odd.to_vec(), bytes);
    }

    #[test]
    fn a_group_name_has_at_most_128_bytes() {
        assert_eq!(group(&[7; 128]).as_bytes(), [7; 128]);
        assert_eq!(GroupName::new(&[7; 129]), Err(NameTooLong { len: 129 }));
        for length in [129_u32, 255, 256, u32::MAX] {
            let mut bytes = group(b"x").to_vec();
            bytes[..4].copy_from_slice(&length.to_le_bytes());
            assert!(matches!(
                GroupName::decode(&mut Reader::new(&bytes)),
                Err(DecodeError::TooMany { count, max: 128, .. }) if count == length
            ));
        }
    }

    #[test]
    fn a_name_keeps_its_length_and_its_text_apart() {
        let bytes = Name::new(b"totem.").to_vec();
        assert_eq!(bytes.len(), Name::LEN);
        assert_eq!(&bytes[..2], [6, 0]);
        assert_eq!(&bytes[8..15], b"totem.\0");
        let mut no_length = bytes;
        no_length[0] = 0;
        let name = Name::decode(&mut Reader::new(&no_length)).unwrap();
        assert_eq!(name.text, b"totem.");
        assert_eq!(name.get(), None);
    }

    #[test]
    fn a_name_is_written_with_its_nul() {
        let long = [b'n'; 300];
        let bytes = Name::new(&long).to_vec();
        assert_eq!(bytes.len(), Name::LEN);
        assert_eq!(bytes[Name::LEN - 2..], [b'n', 0]);
    }

    #[test]
    fn a_name_without_a_nul_ends_where_its_nul_should_be() {
        let mut bytes = Name::new(b"n").to_vec();
        bytes[8..].fill(b'n');
        let name = Name::decode(&mut Reader::new(&bytes)).unwrap();
        assert_eq!(name.text, [b'n'; 255]);
        let again = name.to_vec();
        assert_eq!(Name::decode(&mut Reader::new(&again)), Ok(name));
    }
}

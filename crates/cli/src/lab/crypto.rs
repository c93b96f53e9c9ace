//! How a ring is encrypted, as the command line has it.

use std::fmt;
use std::str::FromStr;

use super::plan::BadWord;

/// `totem.crypto_cipher` and `totem.crypto_hash`, written `aes256/sha256`, `none/sha256` or `none`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Crypto {
    pub(crate) cipher: &'static str,
    pub(crate) hash: &'static str,
}

/// What corosync knows (`totemconfig.c:totem_get_crypto`, v3.1.7).
const CIPHERS: [&str; 4] = ["none", "aes128", "aes192", "aes256"];
const HASHES: [&str; 6] = ["none", "md5", "sha1", "sha256", "sha384", "sha512"];

impl Crypto {
    /// Clear text that anybody could have sent.
    pub(crate) const NONE: Self = Self {
        cipher: "none",
        hash: "none",
    };
    /// What a ring has that nobody said more about.
    pub(crate) const STRONG: Self = Self {
        cipher: "aes256",
        hash: "sha256",
    };
}

impl fmt::Display for Crypto {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::NONE {
            f.write_str("none")
        } else {
            write!(f, "{}/{}", self.cipher, self.hash)
        }
    }
}

impl FromStr for Crypto {
    type Err = BadWord;

    fn from_str(word: &str) -> Result<Self, BadWord> {
        let known =
            |words: &[&'static str], wanted| words.iter().copied().find(|word| *word == wanted);
        let (cipher, hash) = word.split_once('/').unwrap_or((word, "none"));
        match (known(&CIPHERS, cipher), known(&HASHES, hash)) {
            (Some(cipher), Some("none")) if cipher != "none" => Err(BadWord::new(format!(
                "`{word}` encrypts without a hash, which corosync refuses: write such as {cipher}/sha256"
            ))),
            (Some(cipher), Some(hash)) => Ok(Self { cipher, hash }),
            (None, _) | (_, None) => Err(BadWord::new(format!(
                "`{word}` is no encryption: write `none` or a cipher ({}) and a hash ({}), such as {}",
                CIPHERS.join(", "),
                HASHES.join(", "),
                Self::STRONG
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encryption_is_a_cipher_and_a_hash_or_none() {
        for word in ["none", "aes256/sha256", "aes128/md5", "none/sha512"] {
            let crypto: Crypto = word.parse().expect("known");
            assert_eq!(crypto.to_string(), word);
        }
        assert_eq!("none/none".parse(), Ok(Crypto::NONE));
        for word in [
            "",
            "aes256",
            "aes256/none",
            "aes/sha1",
            "3des/sha1",
            "aes256/",
            "sha256",
        ] {
            assert!(word.parse::<Crypto>().is_err(), "{word}");
        }
    }
}

//! Which cipher and which hash, and the bytes that they cost.

use core::fmt;

use super::instance::IV_LEN;

/// A combination that can be used: a hash always, a cipher with it or not.
///
/// There is no way to write down a cipher without a hash: `libknet/crypto_openssl.c:opensslcrypto_init` (v1.x)
/// refuses it as well, since CBC alone tells nobody that a packet was tampered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suite {
    cipher: Option<Cipher>,
    hash: Hash,
}

impl Suite {
    /// Packets are signed and can be read by anyone.
    #[must_use]
    pub const fn signed(hash: Hash) -> Self {
        Self { cipher: None, hash }
    }

    /// Packets are encrypted, then signed.
    #[must_use]
    pub const fn encrypted(cipher: Cipher, hash: Hash) -> Self {
        Self {
            cipher: Some(cipher),
            hash,
        }
    }

    /// Reads `crypto_cipher` and `crypto_hash`; `None` when both say `none`, so that nothing is to be protected.
    ///
    /// # Errors
    ///
    /// A name that knet does not know, or a cipher whose packets nobody would authenticate.
    pub fn parse(cipher: &str, hash: &str) -> Result<Option<Self>, SuiteError> {
        let cipher = match cipher {
            NONE => None,
            name => Some(Cipher::parse(name)?),
        };
        let hash = match hash {
            NONE => None,
            name => Some(Hash::parse(name)?),
        };
        match (cipher, hash) {
            (None, None) => Ok(None),
            (Some(cipher), None) => Err(SuiteError::CipherWithoutHash(cipher)),
            (cipher, Some(hash)) => Ok(Some(Self { cipher, hash })),
        }
    }

    /// The cipher, when packets are encrypted.
    #[must_use]
    pub const fn cipher(self) -> Option<Cipher> {
        self.cipher
    }

    /// The hash of the HMAC.
    #[must_use]
    pub const fn hash(self) -> Hash {
        self.hash
    }

    /// What sealing adds to a packet.
    #[must_use]
    pub const fn overhead(self) -> Overhead {
        let hash_len = self.hash.len();
        match self.cipher {
            Some(_) => Overhead {
                salt_len: IV_LEN,
                hash_len,
                block_len: super::cipher::BLOCK_LEN,
            },
            None => Overhead {
                hash_len,
                ..Overhead::NONE
            },
        }
    }
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cipher = self.cipher.map_or(NONE, Cipher::name);
        write!(f, "{cipher}/{}", self.hash.name())
    }
}

/// AES in CBC mode with the padding of PKCS #7, by length of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cipher {
    /// `aes128`: the first 16 bytes of the key.
    Aes128,
    /// `aes192`: the first 24.
    Aes192,
    /// `aes256`: the first 32.
    Aes256,
}

impl Cipher {
    /// Every cipher that knet knows.
    pub const ALL: [Self; 3] = [Self::Aes128, Self::Aes192, Self::Aes256];

    /// The name in `corosync.conf`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Aes128 => "aes128",
            Self::Aes192 => "aes192",
            Self::Aes256 => "aes256",
        }
    }

    fn parse(name: &str) -> Result<Self, SuiteError> {
        Self::ALL
            .into_iter()
            .find(|cipher| cipher.name() == name)
            .ok_or_else(|| SuiteError::UnknownCipher(name.to_owned()))
    }
}

/// The hash under the HMAC, which goes out in full length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    /// `md5`.
    Md5,
    /// `sha1`.
    Sha1,
    /// `sha256`.
    Sha256,
    /// `sha384`.
    Sha384,
    /// `sha512`.
    Sha512,
}

impl Hash {
    /// Every hash that knet knows.
    pub const ALL: [Self; 5] = [
        Self::Md5,
        Self::Sha1,
        Self::Sha256,
        Self::Sha384,
        Self::Sha512,
    ];

    /// The name in `corosync.conf`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Md5 => "md5",
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }

    /// Bytes of the HMAC.
    #[expect(clippy::len_without_is_empty, reason = "no HMAC is empty")]
    #[must_use]
    pub const fn len(self) -> usize {
        match self {
            Self::Md5 => 16,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    fn parse(name: &str) -> Result<Self, SuiteError> {
        Self::ALL
            .into_iter()
            .find(|hash| hash.name() == name)
            .ok_or_else(|| SuiteError::UnknownHash(name.to_owned()))
    }
}

/// What sealing adds to a packet, in the three figures of `libknet/onwire.c` (v1.x).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overhead {
    /// Bytes of IV before the packet, 16 or 0.
    pub salt_len: usize,
    /// Bytes of HMAC after it.
    pub hash_len: usize,
    /// The packet is padded to a multiple of this, by 1 byte at least; 0 without a cipher.
    pub block_len: usize,
}

impl Overhead {
    /// Of a packet that goes out as it is.
    pub const NONE: Self = Self {
        salt_len: 0,
        hash_len: 0,
        block_len: 0,
    };

    /// Bytes on the wire of a packet of `len` bytes (`libknet/onwire.c:calc_data_outlen`, v1.x).
    #[must_use]
    pub const fn sealed_len(self, len: usize) -> usize {
        let padding = match self.block_len {
            0 => 0,
            block_len => block_len - len % block_len,
        };
        self.salt_len + len + padding + self.hash_len
    }
}

/// Why a cipher and a hash cannot be used together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SuiteError {
    /// The cipher's name is none of `none`, `aes128`, `aes192`, `aes256`.
    UnknownCipher(String),
    /// The hash's name is none of `none`, `md5`, `sha1`, `sha256`, `sha384`, `sha512`.
    UnknownHash(String),
    /// Packets would be encrypted but not authenticated.
    CipherWithoutHash(Cipher),
}

impl fmt::Display for SuiteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownCipher(name) => write!(f, "unknown crypto cipher '{name}'"),
            Self::UnknownHash(name) => write!(f, "unknown crypto hash '{name}'"),
            Self::CipherWithoutHash(cipher) => {
                write!(f, "crypto cipher {} needs a crypto hash", cipher.name())
            }
        }
    }
}

impl core::error::Error for SuiteError {}

const NONE: &str = "none";

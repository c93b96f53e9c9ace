//! AES-CBC with the padding of PKCS #7, on key schedules that are computed once.

use aes::cipher::block_padding::Pkcs7;
use aes::cipher::consts::U16;
use aes::cipher::{
    BlockCipherDecrypt, BlockCipherEncrypt, BlockModeDecrypt, BlockModeEncrypt, InnerIvInit,
    KeyInit,
};
use aes::{Aes128, Aes192, Aes256};

use super::instance::IV_LEN;
use super::{Cipher, Key};

/// The key schedules of one cipher; `aes` wipes them on drop.
pub(super) enum AesKey {
    Aes128(Aes128),
    Aes192(Aes192),
    Aes256(Aes256),
}

impl AesKey {
    pub(super) fn new(cipher: Cipher, key: &Key) -> Self {
        match cipher {
            Cipher::Aes128 => Self::Aes128(Aes128::new(key.first::<16>().into())),
            Cipher::Aes192 => Self::Aes192(Aes192::new(key.first::<24>().into())),
            Cipher::Aes256 => Self::Aes256(Aes256::new(key.first::<32>().into())),
        }
    }

    /// Encrypts the first `len` bytes of `buffer` in place, and pads them to its end.
    ///
    /// # Panics
    ///
    /// When `buffer` is not what `len` bytes and their padding fill.
    pub(super) fn encrypt(&self, iv: &[u8; IV_LEN], buffer: &mut [u8], len: usize) {
        match self {
            Self::Aes128(aes) => encrypt(aes, iv, buffer, len),
            Self::Aes192(aes) => encrypt(aes, iv, buffer, len),
            Self::Aes256(aes) => encrypt(aes, iv, buffer, len),
        }
    }

    /// Decrypts `sealed` into `out`, which has the same length, and gives the length without the padding; `None`
    /// when these are no whole blocks with a padding at their end.
    pub(super) fn decrypt(
        &self,
        iv: &[u8; IV_LEN],
        sealed: &[u8],
        out: &mut [u8],
    ) -> Option<usize> {
        match self {
            Self::Aes128(aes) => decrypt(aes, iv, sealed, out),
            Self::Aes192(aes) => decrypt(aes, iv, sealed, out),
            Self::Aes256(aes) => decrypt(aes, iv, sealed, out),
        }
    }
}

fn encrypt<A>(aes: &A, iv: &[u8; IV_LEN], buffer: &mut [u8], len: usize)
where
    A: BlockCipherEncrypt<BlockSize = U16>,
{
    let whole = buffer.len();
    let padded = cbc::Encryptor::inner_iv_init(aes, iv.into())
        .encrypt_padded::<Pkcs7>(buffer, len)
        .expect("the caller left room for the padding");
    assert_eq!(padded.len(), whole, "the padding ends the buffer");
}

fn decrypt<A>(aes: &A, iv: &[u8; IV_LEN], sealed: &[u8], out: &mut [u8]) -> Option<usize>
where
    A: BlockCipherDecrypt<BlockSize = U16>,
{
    cbc::Decryptor::inner_iv_init(aes, iv.into())
        .decrypt_padded_b2b::<Pkcs7>(sealed, out)
        .ok()
        .map(<[u8]>::len)
}

/// Bytes of one AES block.
pub(super) const BLOCK_LEN: usize = 16;

//! One key with one suite: sealing a packet and opening a datagram.

use core::fmt;

use bytes::BytesMut;

use super::cipher::AesKey;
use super::mac::Mac;
use super::{Key, Overhead, Suite};

/// A key made ready for one suite; the keys are wiped when it is dropped.
pub struct Instance {
    suite: Suite,
    aes: Option<AesKey>,
    mac: Mac,
}

impl Instance {
    /// Expands `key` for `suite`; the key itself is not kept.
    #[must_use]
    pub fn new(suite: Suite, key: &Key) -> Self {
        Self {
            suite,
            aes: suite.cipher().map(|cipher| AesKey::new(cipher, key)),
            mac: Mac::new(suite.hash(), key),
        }
    }

    /// The suite of this key.
    #[must_use]
    pub const fn suite(&self) -> Suite {
        self.suite
    }

    /// What [`Self::seal`] adds.
    #[must_use]
    pub const fn overhead(&self) -> Overhead {
        self.suite.overhead()
    }

    /// Appends to `out` the datagram of the packet that `parts` make together.
    ///
    /// `iv` must be unpredictable and new for each packet; it is not used without a cipher. What `out` holds
    /// already stays as it is, so a train of datagrams can be sealed into one buffer; when `out` has room for
    /// [`Overhead::sealed_len`] more bytes nothing is allocated.
    pub fn seal(&self, iv: &[u8; IV_LEN], parts: &[&[u8]], out: &mut BytesMut) {
        let start = out.len();
        let len = parts.iter().map(|part| part.len()).sum();
        out.reserve(self.overhead().sealed_len(len));
        match &self.aes {
            None => append(parts, out),
            Some(aes) => {
                out.extend_from_slice(iv);
                append(parts, out);
                let signature_at =
                    start + self.overhead().sealed_len(len) - self.suite.hash().len();
                out.resize(signature_at, 0);
                aes.encrypt(iv, &mut out[start + IV_LEN..], len);
            }
        }
        self.mac.sign(out, start);
    }

    /// The packet in `datagram`: a part of it, or `scratch` after decryption.
    ///
    /// Nothing is decrypted before the HMAC over all of it proved right.
    ///
    /// # Errors
    ///
    /// See [`OpenError`]; what `scratch` holds is of no use then.
    pub fn open<'a>(
        &self,
        datagram: &'a [u8],
        scratch: &'a mut Vec<u8>,
    ) -> Result<&'a [u8], OpenError> {
        let place = self.open_into(datagram, scratch)?;
        Ok(place.bytes(datagram, scratch))
    }

    /// [`Self::open`] for those who try several keys.
    pub(super) fn open_into(
        &self,
        datagram: &[u8],
        scratch: &mut Vec<u8>,
    ) -> Result<Place, OpenError> {
        let signed = self.authenticate(datagram)?;
        let Some(aes) = &self.aes else {
            return Ok(Place::Datagram(signed.len()));
        };
        let (iv, sealed) = signed.split_first_chunk().ok_or(OpenError::TooShort)?;
        // Only grows: what the last packet left behind need not be cleared.
        scratch.resize(sealed.len(), 0);
        match aes.decrypt(iv, sealed, scratch) {
            Some(len) => Ok(Place::Scratch(len)),
            None => Err(OpenError::Undecipherable),
        }
    }

    /// What the HMAC at the end of `datagram` vouches for.
    fn authenticate<'a>(&self, datagram: &'a [u8]) -> Result<&'a [u8], OpenError> {
        // Both bounds are those of `libknet/crypto_openssl.c:opensslcrypto_authenticate_and_decrypt` (v1.x).
        let signed_len = datagram
            .len()
            .checked_sub(self.suite.hash().len())
            .filter(|&len| len > 0)
            .ok_or(OpenError::TooShort)?;
        if signed_len > MAX_SEALED_LEN {
            return Err(OpenError::TooLong);
        }
        let (signed, tag) = datagram.split_at(signed_len);
        if self.mac.verify(signed, tag) {
            Ok(signed)
        } else {
            Err(OpenError::Forged)
        }
    }
}

impl fmt::Debug for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Instance({})", self.suite)
    }
}

/// Where an opened packet lies, and its length.
#[derive(Clone, Copy)]
pub(super) enum Place {
    /// At the beginning of the datagram.
    Datagram(usize),
    /// At the beginning of the scratch buffer.
    Scratch(usize),
}

impl Place {
    pub(super) fn bytes<'a>(self, datagram: &'a [u8], scratch: &'a [u8]) -> &'a [u8] {
        match self {
            Self::Datagram(len) => &datagram[..len],
            Self::Scratch(len) => &scratch[..len],
        }
    }
}

/// Why a datagram was not opened. It is to be dropped and counted; nothing of it may be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// Not even an IV and an HMAC fit in.
    TooShort,
    /// More than [`MAX_SEALED_LEN`] bytes before the HMAC.
    TooLong,
    /// The HMAC is not that of the key.
    Forged,
    /// The HMAC is right, but the rest was not encrypted with this cipher.
    Undecipherable,
    /// The HMAC is right, but what came out is no packet of knet.
    NoPacket,
    /// Clear traffic is refused and there is no key to open anything with.
    NoKey,
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooShort => "datagram too short to be authenticated",
            Self::TooLong => "datagram too long",
            Self::Forged => "digest does not match, check crypto key and configuration",
            Self::Undecipherable => "authentic datagram does not decrypt, check crypto cipher",
            Self::NoPacket => "authentic datagram holds no packet, check crypto cipher",
            Self::NoKey => "only encrypted packets are accepted, but no crypto is configured",
        })
    }
}

impl core::error::Error for OpenError {}

fn append(parts: &[&[u8]], out: &mut BytesMut) {
    for part in parts {
        out.extend_from_slice(part);
    }
}

/// Bytes of the initialisation vector, which knet calls salt (`libknet/crypto_openssl.c:SALT_SIZE`, v1.x).
pub const IV_LEN: usize = 16;

/// Most bytes before the HMAC of one datagram (`libknet/libknet.h:KNET_MAX_PACKET_SIZE`, v1.x).
pub const MAX_SEALED_LEN: usize = 65536;

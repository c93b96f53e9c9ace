//! HMAC over the hashes that knet knows, with the pads of the key computed once.

use bytes::BytesMut;
use hmac::{Hmac, KeyInit};
use md5::Md5;
use sha1::Sha1;
use sha2::{Sha256, Sha384, Sha512};

use super::{Hash, Key};

/// An HMAC that has taken its key and waits for data; the hashes wipe their state on drop.
pub(super) enum Mac {
    Md5(Hmac<Md5>),
    Sha1(Hmac<Sha1>),
    Sha256(Hmac<Sha256>),
    Sha384(Hmac<Sha384>),
    Sha512(Hmac<Sha512>),
}

impl Mac {
    pub(super) fn new(hash: Hash, key: &Key) -> Self {
        Self::with_bytes(hash, key.whole())
    }

    /// With a key of any length: the published vectors use shorter ones than knet allows.
    pub(super) fn with_bytes(hash: Hash, key: &[u8]) -> Self {
        match hash {
            Hash::Md5 => Self::Md5(keyed(key)),
            Hash::Sha1 => Self::Sha1(keyed(key)),
            Hash::Sha256 => Self::Sha256(keyed(key)),
            Hash::Sha384 => Self::Sha384(keyed(key)),
            Hash::Sha512 => Self::Sha512(keyed(key)),
        }
    }

    /// Appends to `out` the HMAC of `out[from..]`.
    pub(super) fn sign(&self, out: &mut BytesMut, from: usize) {
        match self {
            Self::Md5(mac) => sign(mac, out, from),
            Self::Sha1(mac) => sign(mac, out, from),
            Self::Sha256(mac) => sign(mac, out, from),
            Self::Sha384(mac) => sign(mac, out, from),
            Self::Sha512(mac) => sign(mac, out, from),
        }
    }

    /// Whether `tag` is the HMAC of `data`; takes as long for a wrong tag as for the right one.
    pub(super) fn verify(&self, data: &[u8], tag: &[u8]) -> bool {
        match self {
            Self::Md5(mac) => verify(mac, data, tag),
            Self::Sha1(mac) => verify(mac, data, tag),
            Self::Sha256(mac) => verify(mac, data, tag),
            Self::Sha384(mac) => verify(mac, data, tag),
            Self::Sha512(mac) => verify(mac, data, tag),
        }
    }
}

fn keyed<M: KeyInit>(key: &[u8]) -> M {
    M::new_from_slice(key).expect("HMAC takes keys of any length")
}

fn sign<M: hmac::Mac + Clone>(mac: &M, out: &mut BytesMut, from: usize) {
    let tag = mac.clone().chain_update(&out[from..]).finalize();
    out.extend_from_slice(tag.as_bytes());
}

fn verify<M: hmac::Mac + Clone>(mac: &M, data: &[u8], tag: &[u8]) -> bool {
    mac.clone().chain_update(data).verify_slice(tag).is_ok()
}

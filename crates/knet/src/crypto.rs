//! Encryption and authentication of everything that knet sends: data, pings, pongs and probes alike.
//!
//! ```text
//! IV (16, random) | AES-CBC-PKCS7(the whole packet, header included) | HMAC (everything before it)
//! the whole packet                                                  | HMAC        without a cipher
//! ```
//!
//! `libknet/crypto_openssl.c:opensslcrypto_encrypt_and_signv` and `libknet/crypto_nss.c` (v1.x) write the same
//! bytes, so `crypto_model` changes nothing here. The AES key is the beginning of the shared key, the HMAC key is
//! all of it; there is no derivation and nothing against replay, and adding either would part us from C.
//!
//! The primitives are `RustCrypto`'s: `ring` has neither CBC nor HMAC-MD5, `aws-lc-rs` no HMAC-MD5 and a C build
//! of its own. `aes`, `sha1` and `sha2` look for the processor's instructions at run time (AES-NI, VAES, SHA-NI and
//! the ARM ones); schedules and HMAC pads are computed once per key, so sealing and opening allocate nothing once
//! the buffers have grown.

mod cipher;
mod instance;
mod ivs;
mod key;
mod mac;
mod slots;
mod suite;

pub use instance::{IV_LEN, Instance, MAX_SEALED_LEN, OpenError};
pub use ivs::Ivs;
pub use key::{Key, KeyError, MAX_KEY_LEN, MIN_KEY_LEN};
pub use slots::{ClearTraffic, Crypto, Opened, Opens, Slot, SlotError};
pub use suite::{Cipher, Hash, Overhead, Suite, SuiteError};

#[cfg(test)]
mod tests;

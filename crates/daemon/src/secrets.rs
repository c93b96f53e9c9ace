//! The shared key, and random numbers that nobody can foresee.

use std::fs::File;
use std::io::{self, Read as _};

use ferrosync_executive::config::{Config, CryptoConfig, KeySource, MAX_KEY_LEN, TransportConfig};
use ferrosync_executive::transport::{Secrets, SharedKey};
use zeroize::Zeroizing;

/// What the transport of a configuration needs.
///
/// # Errors
///
/// The key cannot be read or is too short, or the system has no random numbers; says what.
pub(crate) fn gather(config: &Config) -> Result<Secrets, String> {
    let mut secrets = Secrets::NONE;
    let TransportConfig::Knet(knet) = &config.transport else {
        return Ok(secrets);
    };
    if let Some(crypto) = &knet.crypto {
        secrets.key = Some(key(crypto)?);
        random(&mut secrets.ivs)
            .map_err(|e| format!("Cannot read random numbers for encryption: {e}"))?;
    }
    Ok(secrets)
}

/// The key that all nodes share (corosync `totemconfig.c:totem_config_keyread`, v3.1.7).
pub(crate) fn key(config: &CryptoConfig) -> Result<SharedKey, String> {
    let (bytes, name) = match &config.key {
        KeySource::Inline(bytes) => (Zeroizing::new(bytes.clone()), "totem.key".to_owned()),
        KeySource::File(path) => {
            let bytes = read(path).map_err(|e| format!("Could not open {path}: {e}"))?;
            (bytes, path.clone())
        }
    };
    SharedKey::new(&bytes).map_err(|e| format!("Key {name}: {e}; make one with corosync-keygen"))
}

/// As many bytes as count, in memory that is wiped.
fn read(path: &str) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_KEY_LEN));
    let most = MAX_KEY_LEN as u64;
    File::open(path)?.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn random(bytes: &mut [u8]) -> io::Result<()> {
    File::open("/dev/urandom")?.read_exact(bytes)
}

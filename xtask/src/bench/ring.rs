//! The kinds of ring that are compared.

use clap::ValueEnum;

/// `totem.transport`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Transport {
    Udpu,
    Udp,
    Knet,
}

impl Transport {
    /// As corosync.conf has it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Udpu => "udpu",
            Self::Udp => "udp",
            Self::Knet => "knet",
        }
    }
}

/// Cipher and hash of a ring over knet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Crypto {
    None,
    #[value(name = "aes256/sha256")]
    Aes256Sha256,
}

impl Crypto {
    /// As the lab's `--crypto` has it.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Aes256Sha256 => "aes256/sha256",
        }
    }
}

/// How the nodes of a cluster talk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ring {
    pub(super) transport: Transport,
    pub(super) crypto: Crypto,
}

impl Ring {
    /// What tables and pictures call it.
    pub(super) fn label(self) -> String {
        match self.crypto {
            Crypto::None => self.transport.word().into(),
            Crypto::Aes256Sha256 => format!("{} {}", self.transport.word(), self.crypto.words()),
        }
    }
}

/// Every transport, and knet with every encryption; what is named twice is there once.
pub(super) fn rings(transports: &[Transport], cryptos: &[Crypto]) -> Vec<Ring> {
    let mut rings = Vec::new();
    for transport in transports.iter().copied() {
        let cryptos = match transport {
            Transport::Knet => cryptos,
            Transport::Udpu | Transport::Udp => &[Crypto::None],
        };
        for crypto in cryptos.iter().copied() {
            let ring = Ring { transport, crypto };
            if !rings.contains(&ring) {
                rings.push(ring);
            }
        }
    }
    rings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knet_alone_is_encrypted() {
        let both = [Crypto::None, Crypto::Aes256Sha256];
        let rings = rings(&[Transport::Udpu, Transport::Knet, Transport::Udpu], &both);
        let labels: Vec<String> = rings.iter().map(|ring| ring.label()).collect();
        assert_eq!(labels, ["udpu", "knet", "knet aes256/sha256"]);
    }
}

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

/// How the kernel runs the daemons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Priority {
    /// As every other process: all that an ordinary user's lab can have.
    Normal,
    /// With real-time priority, which is corosync's default (`system.sched_rr`); root alone may.
    RealTime,
}

impl Priority {
    /// The setting of corosync.conf.
    pub(super) fn settings(self) -> &'static [&'static str] {
        match self {
            Self::Normal => &["system.sched_rr=no"],
            Self::RealTime => &["system.sched_rr=yes"],
        }
    }
}

/// How the nodes of a cluster talk, and what the kernel thinks of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ring {
    pub(super) transport: Transport,
    pub(super) crypto: Crypto,
    pub(super) priority: Priority,
}

impl Ring {
    /// What tables and pictures call it.
    pub(super) fn label(self) -> String {
        let mut label = self.transport.word().to_owned();
        match self.crypto {
            Crypto::None => {}
            Crypto::Aes256Sha256 => label = format!("{label} {}", self.crypto.words()),
        }
        match self.priority {
            Priority::Normal => label,
            Priority::RealTime => label + ", real-time",
        }
    }
}

/// With every priority every transport, and knet with every encryption; what is named twice is there once.
pub(super) fn rings(
    transports: &[Transport],
    cryptos: &[Crypto],
    priorities: &[Priority],
) -> Vec<Ring> {
    let mut rings = Vec::new();
    let mut add = |ring| {
        if !rings.contains(&ring) {
            rings.push(ring);
        }
    };
    for priority in priorities.iter().copied() {
        for transport in transports.iter().copied() {
            let cryptos = match transport {
                Transport::Knet => cryptos,
                Transport::Udpu | Transport::Udp => &[Crypto::None],
            };
            for crypto in cryptos.iter().copied() {
                add(Ring {
                    transport,
                    crypto,
                    priority,
                });
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
        let transports = [Transport::Udpu, Transport::Knet, Transport::Udpu];
        let priorities = [Priority::Normal, Priority::RealTime];
        let rings = rings(&transports, &both, &priorities);
        let labels: Vec<String> = rings.iter().map(|ring| ring.label()).collect();
        let normal = ["udpu", "knet", "knet aes256/sha256"];
        let expected = [
            normal.map(str::to_owned),
            normal.map(|n| n.to_owned() + ", real-time"),
        ];
        assert_eq!(labels, expected.concat());
    }
}

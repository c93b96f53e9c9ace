//! The interop cases over knet.

use super::cases::{Case, FAST, What};
use super::lab::{Peers, Plan};
use super::step::{Cable, Step};
use super::trouble::{CALM, FATES, Trouble, all_linked, all_old, cables};

/// All of them.
pub(super) const CASES: &[Case] = &[
    Case::storm("knet-plain", "a storm over knet in clear text", KNET),
    encrypted("knet-aes256", "aes256/sha256"),
    encrypted("knet-md5", "aes128/md5").asked(),
    encrypted("knet-sha1", "aes192/sha1").asked(),
    encrypted("knet-sha384", "aes256/sha384").asked(),
    encrypted("knet-sha512", "aes128/sha512").asked(),
    compressed(
        "knet-zlib",
        &["totem.token=1000", "totem.knet_compression_model=zlib"],
    ),
    compressed(
        "knet-lz4",
        &["totem.token=1000", "totem.knet_compression_model=lz4"],
    )
    .asked(),
    compressed(
        "knet-lz4hc",
        &["totem.token=1000", "totem.knet_compression_model=lz4hc"],
    )
    .asked(),
    compressed(
        "knet-lzo2",
        &["totem.token=1000", "totem.knet_compression_model=lzo2"],
    )
    .asked(),
    compressed(
        "knet-lzma",
        &["totem.token=1000", "totem.knet_compression_model=lzma"],
    )
    .asked(),
    compressed(
        "knet-bzip2",
        &[
            "totem.token=1000",
            "totem.knet_compression_model=bzip2",
            // Neither daemon takes the usual level 0 for it.
            "totem.knet_compression_level=1",
        ],
    )
    .asked(),
    compressed(
        "knet-zstd",
        &["totem.token=1000", "totem.knet_compression_model=zstd"],
    )
    .asked(),
    Case::new(
        "knet-links2",
        "two links of which one is pulled at a time: no ring changes",
        What::Storm {
            plan: Plan {
                links: 2,
                settings: &[],
                ..KNET
            },
            trouble: Trouble {
                first: all_old,
                round: cables,
                last: &[],
                bodies: &[],
            },
        },
    ),
    Case::new(
        "knet-links8",
        "a storm over eight links, IPv4 and IPv6 in turn",
        What::Storm {
            plan: Plan {
                links: 8,
                ip: "46",
                ..KNET
            },
            trouble: Trouble {
                first: all_linked,
                ..FATES
            },
        },
    ),
    Case::storm(
        "knet-ipv6",
        "a storm over knet and IPv6",
        Plan { ip: "6", ..KNET },
    )
    .asked(),
    Case::new(
        "knet-tools",
        "what corosync's tools tell of two links, answers of both daemons compared",
        What::Tools(Plan {
            links: 2,
            crypto: "aes256/sha256",
            ip: "46",
            ..KNET
        }),
    ),
    Case::new(
        "knet-keys",
        "key, cipher and hash change under load: no ring changes",
        What::Storm {
            plan: SEALED,
            trouble: Trouble {
                round: keys,
                ..CHANGES
            },
        },
    ),
    Case::new(
        "knet-open",
        "encryption goes and comes under load among daemons of ours: no ring changes",
        What::Storm {
            plan: Plan {
                corosync: Peers::NONE,
                ..SEALED
            },
            trouble: Trouble {
                round: |turn| vec![Step::Still(opened(turn, CALM))],
                ..CHANGES
            },
        },
    ),
    Case::new(
        "knet-open-corosync",
        "encryption goes and comes beside corosync, with few messages: none is lost",
        What::Storm {
            plan: SEALED,
            trouble: Trouble {
                round: |turn| opened(turn, FEW),
                bodies: &["--rate", "20"],
                ..CHANGES
            },
        },
    ),
    Case::new(
        "knet-addresses",
        "a second link comes, moves to another network and goes under load: no ring changes",
        What::Storm {
            plan: Plan { links: 3, ..KNET },
            trouble: Trouble {
                first: all_old,
                round: addresses,
                last: &[],
                bodies: &[],
            },
        },
    ),
    wide("knet-mtu1280", 1280, IN_PARTS, |_| {
        vec![Step::Carries(1, 0, 1226)]
    })
    .asked(),
    wide("knet-mtu1500", 1500, IN_PARTS, |_| {
        vec![Step::Carries(1, 0, 1446)]
    })
    .asked(),
    wide("knet-mtu9000", 9000, IN_PARTS, |_| {
        vec![Step::Carries(1, 0, 8946)]
    })
    .asked(),
    wide("knet-hole", 1500, WHOLE, hole),
];

/// One of corosync among two of ours, with one IPv4 link of clear text.
const KNET: Plan = Plan {
    settings: FAST,
    ..Plan::new(3, Peers::these(&[3]), "knet")
};

/// The same, encrypted.
const SEALED: Plan = Plan {
    crypto: "aes256/sha256",
    ..KNET
};

/// What comes over the links is encrypted at the end.
const CHANGES: Trouble = Trouble {
    first: |_| Vec::new(),
    round: |_| Vec::new(),
    last: &[
        Step::Counted("stats.knet.handle.tx_crypt_packets"),
        Step::Counted("stats.knet.handle.rx_crypt_packets"),
    ],
    bodies: &[],
};

/// A storm whose packets must have been encrypted.
const fn encrypted(name: &'static str, crypto: &'static str) -> Case {
    let trouble = Trouble {
        last: &[
            Step::Counted("stats.knet.handle.tx_crypt_packets"),
            Step::Counted("stats.knet.handle.rx_crypt_packets"),
        ],
        ..FATES
    };
    let plan = Plan { crypto, ..KNET };
    Case::new(
        name,
        "a storm over knet with this encryption",
        What::Storm { plan, trouble },
    )
}

/// A storm whose packets must have been compressed.
const fn compressed(name: &'static str, settings: &'static [&'static str]) -> Case {
    let trouble = Trouble {
        bodies: &["--period", "64"],
        last: &[
            Step::Counted("stats.knet.handle.tx_compressed_packets"),
            Step::Counted("stats.knet.handle.rx_compressed_packets"),
        ],
        ..FATES
    };
    let plan = Plan { settings, ..KNET };
    Case::new(
        name,
        "a storm over knet with this compression",
        What::Storm { plan, trouble },
    )
}

/// Long messages over interfaces of this width; `then` happens in each round, with traffic before and after.
const fn wide(
    name: &'static str,
    mtu: u16,
    bodies: &'static [&'static str],
    then: fn(u8) -> Vec<Step>,
) -> Case {
    let plan = Plan {
        mtu: Some(mtu),
        // Corosync looks for a path's MTU once a minute otherwise.
        settings: &["totem.token=1000", "totem.knet_pmtud_interval=2"],
        ..KNET
    };
    let trouble = Trouble {
        first: |_| vec![Step::Traffic(vec![1, 2, 3], FEW)],
        round: then,
        last: &[],
        bodies,
    };
    Case::new(
        name,
        "the path's MTU is found, and messages of 1 MiB arrive",
        What::Storm { plan, trouble },
    )
}

/// The way to one node swallows packets of more than 1,300 bytes for a time.
fn hole(turn: u8) -> Vec<Step> {
    let all = || vec![1, 2, 3];
    let node = turn % 3 + 1;
    vec![
        Step::Carries(node, 0, 1446),
        Step::Cable(node, 0, Cable::Narrow(1300)),
        Step::Carries(node, 0, 1246),
        Step::Members(all()),
        Step::Traffic(all(), FEW),
        Step::Cable(node, 0, Cable::Full),
        Step::Carries(node, 0, 1446),
        Step::Members(all()),
        Step::Traffic(all(), FEW),
    ]
}

/// Another key, another suite, the first suite again; each reload starts at another node.
fn keys(turn: u8) -> Vec<Step> {
    let word = ["key1", "key2", "key3"][usize::from(turn % 3)];
    let changes = [
        Step::Key(word),
        Step::Configure(|file| suite(file, ["aes256", "sha256"], ["aes128", "sha512"])),
        Step::Configure(|file| suite(file, ["aes128", "sha512"], ["aes256", "sha256"])),
    ];
    vec![Step::Still(reloaded(turn, changes, CALM))]
}

/// No encryption, and the first suite again. Every node is a member after each, whatever happened until then:
/// libknet writes an error for every packet that the key of before does not open, waits up to 6 ms for room in the pipe
/// where corosync is to read it, and corosync reads nothing while it loads the new key (`logging.c:log_msg`,
/// `crypto.c:crypto_authenticate_and_decrypt`, v1.25). A hundred waiting packets are more than half a second.
fn opened(turn: u8, messages: u64) -> Vec<Step> {
    let changes = [
        Step::Configure(|file| suite(file, ["aes256", "sha256"], ["none", "none"])),
        Step::Configure(|file| suite(file, ["none", "none"], ["aes256", "sha256"])),
    ];
    reloaded(turn, changes, messages)
}

/// Makes each change known at another node, and waits for members and messages.
fn reloaded<const N: usize>(turn: u8, changes: [Step; N], messages: u64) -> Vec<Step> {
    let step = |(at, change)| {
        [
            change,
            Step::Reload((at + turn) % 3 + 1),
            Step::Members(vec![1, 2, 3]),
            Step::Traffic(vec![1, 2, 3], messages),
        ]
    };
    (0..).zip(changes).flat_map(step).collect()
}

/// The file with another cipher and hash.
fn suite(file: &str, [cipher, hash]: [&str; 2], to: [&str; 2]) -> String {
    let line = |what, name| format!("crypto_{what}: {name}");
    file.replace(&line("cipher", cipher), &line("cipher", to[0]))
        .replace(&line("hash", hash), &line("hash", to[1]))
}

/// All links but the first go. One comes back, is refused another address while it works, goes, and comes back with that
/// one. Then the third comes back.
fn addresses(turn: u8) -> Vec<Step> {
    let node = |n: u8| (n - 1 + turn) % 3 + 1;
    let changed = |change: fn(&str) -> String, by: u8, then: Step| {
        [
            Step::Configure(change),
            Step::Reload(node(by)),
            then,
            Step::Traffic(vec![1, 2, 3], CALM),
        ]
    };
    let up = |link| Step::Linked(node(1), link, Cable::Up);
    let steps = [
        &changed(without_links, 1, Step::TellsNot("10.77.1."))[..],
        &changed(|file| with_link(file, 1, 1), 2, Step::Tells("10.77.1.")),
        &[up(1)],
        &[Step::Configure(|file| file.replace("10.77.1.", "10.77.2."))],
        &[Step::Refuses(1), Step::Refuses(2), Step::Refuses(3)],
        &changed(without_links, 3, Step::TellsNot("10.77.1.")),
        &changed(|file| with_link(file, 1, 2), 1, Step::Tells("10.77.2.")),
        &changed(|file| with_link(file, 2, 1), 2, Step::Tells("10.77.1.")),
        &[up(1), up(2)],
    ];
    vec![Step::Still(steps.concat())]
}

fn without_links(file: &str) -> String {
    let goes = |line: &str| line.contains("ring1_addr") || line.contains("ring2_addr");
    lines(file.lines().filter(|line| !goes(line)))
}

/// The file with one more address of every node: its link is `link`, on the lab's network of this number.
fn with_link(file: &str, link: u8, network: u8) -> String {
    let of_first = "ring0_addr: 10.77.0.";
    let with = |line: &str| match line.split_once(of_first) {
        Some((indent, node)) => {
            format!("{line}\n{indent}ring{link}_addr: 10.77.{network}.{node}")
        }
        None => line.to_owned(),
    };
    lines(file.lines().map(with))
}

fn lines<T: AsRef<str>>(all: impl Iterator<Item = T>) -> String {
    all.fold(String::new(), |text, line| text + line.as_ref() + "\n")
}

/// A MiB, which libcpg sends in two parts, and gives up when that takes longer than a second or another client joins.
const IN_PARTS: &[&str] = &["--min", "1048576", "--max", "1048576", "--rate", "8"];
/// The longest message that libcpg sends in one piece.
const WHOLE: &[&str] = &["--min", "1047552", "--max", "1047552", "--rate", "8"];
/// Messages of that size between two troubles.
const FEW: u64 = 60;

//! Inputs to start from: captured messages, the configurations of the tests, and short stories.

use std::path::Path;

use ferrosync_ipc::handshake::{Accepted, ConnectRequest, ConnectResponse};
use ferrosync_ipc::{DEFAULT_MAX_MSG_SIZE, Kind};

/// One input.
#[derive(Clone, Debug)]
pub struct Seed {
    /// The target it is for.
    pub target: &'static str,
    /// Its name among those of its target.
    pub name: String,
    /// The input.
    pub bytes: Vec<u8>,
}

impl Seed {
    fn new(target: &'static str, name: impl Into<String>, bytes: Vec<u8>) -> Self {
        Self {
            target,
            name: name.into(),
            bytes,
        }
    }
}

/// All of them.
///
/// # Errors
/// The configurations of the tests cannot be read.
pub fn all() -> std::io::Result<Vec<Seed>> {
    let mut seeds = frames();
    seeds.extend(messages());
    seeds.extend(handshakes());
    seeds.extend(rings());
    seeds.extend(configurations()?);
    seeds.extend(histories());
    seeds.extend(sessions());
    Ok(seeds)
}

fn frames() -> Vec<Seed> {
    let mut seeds = Vec::new();
    for (name, bytes) in vectors(include_str!("../../crates/wire/testdata/totem.txt")) {
        if name.starts_with("mcast") {
            let payload = bytes[ferrosync_wire::totem::Mcast::LEN..].to_vec();
            seeds.push(Seed::new("wire_pg", name, payload));
        }
        seeds.push(Seed::new("wire_totem", name, bytes));
    }
    for (name, bytes) in vectors(include_str!("../../crates/wire/testdata/knet.txt")) {
        let [low, high, ..] = bytes.len().to_le_bytes();
        let story =
            |suite: u8, head: &[u8]| [&[suite], head, &[low, high], &bytes[..], &[0]].concat();
        seeds.push(Seed::new("knet_datagrams", name, story(0, &[])));
        seeds.push(Seed::new("knet_packets", name, story(1, &[0])));
        seeds.push(Seed::new("wire_knet", name, bytes));
    }
    // Time passes, the peers answer, a long message leaves.
    let tick = [4, 200, 0];
    let answers = [7; 8];
    let mut story = vec![0];
    for _ in 0..12 {
        story.extend([&tick[..], &answers].concat());
    }
    story.extend([5, 0xff, 0x7f, 0]);
    seeds.push(Seed::new("knet_packets", "links_come_up", story));
    let fragments = [
        // A message in three pieces of 60,000 bytes, its second sender's packet between them.
        vec![0x00, 1, 0, 1, 2, 0x60, 0xea],
        vec![0x10, 0, 0, 1, 0, 9],
        vec![0x00, 2, 1, 1, 3, 0x60, 0xea],
        vec![0x00, 0, 2, 2, 3, 0x60, 0xea, 1, 40],
    ];
    seeds.push(Seed::new("wire_pg", "fragments", fragments.concat()));
    // More pieces than a message may have.
    let endless: Vec<u8> = (0..24_u8)
        .flat_map(|_| [0, 1, 1, 1, 3, 0xff, 0xff])
        .collect();
    seeds.push(Seed::new("wire_pg", "endless", endless));
    seeds
}

fn messages() -> Vec<Seed> {
    let mut seeds = Vec::new();
    for (name, bytes) in exec_vectors() {
        seeds.push(Seed::new("wire_exec", name, bytes));
    }
    for (name, bytes) in ipc_vectors() {
        let target = if name.contains(".request.") {
            "wire_ipc_request"
        } else {
            "wire_ipc_response"
        };
        seeds.push(Seed::new(target, name, bytes));
    }
    seeds
}

fn handshakes() -> Vec<Seed> {
    let request = ConnectRequest {
        max_msg_size: DEFAULT_MAX_MSG_SIZE,
    };
    let accepted = |kind| {
        ConnectResponse::Accepted(Accepted {
            kind,
            max_msg_size: DEFAULT_MAX_MSG_SIZE,
            connection: 1,
            request: "/dev/shm/qb-1-2-3-abcdef/qb-request-cpg".to_owned(),
            response: String::new(),
            event: String::new(),
        })
    };
    let short = |response: ConnectResponse| {
        let mut bytes = response.encode();
        bytes.truncate(100);
        bytes
    };
    [
        ("request", request.encode().to_vec()),
        ("shm", short(accepted(Kind::Shm))),
        ("socket", short(accepted(Kind::Socket))),
        ("refused", short(ConnectResponse::Refused(11))),
    ]
    .map(|(name, bytes)| Seed::new("ipc_handshake", name, bytes))
    .into()
}

fn rings() -> Vec<Seed> {
    let push = |len: u8| {
        let mut bytes = vec![0, len, 0];
        bytes.splice(2..2, std::iter::repeat_n(b'x', len.into()));
        bytes
    };
    let wrap: Vec<u8> = (0..12).flat_map(|_| [push(21), vec![2]].concat()).collect();
    let full: Vec<u8> = (0..8).flat_map(|_| push(9)).collect();
    let scribbled = [push(30), vec![4, 9, 5, 7, 1, 5, 2], push(3), vec![2]].concat();
    let semaphore = vec![6, 0, 0, 9, 0, 0, 0, 1, 0, 0, 0, 2, 2];
    let lost = [push(5), vec![7, 2, 0, 7, 2]].concat();
    [
        ("wrap", 8, wrap),
        ("full", 0, full),
        ("scribbled", 20, scribbled),
        ("semaphore", 4, semaphore),
        ("lost", 4, lost),
    ]
    .map(|(name, words, steps)| Seed::new("ipc_ring", name, [vec![words], steps].concat()))
    .into()
}

fn configurations() -> std::io::Result<Vec<Seed>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/executive/testdata/config");
    let mut seeds = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        seeds.push(Seed::new("conf", name, std::fs::read(&path)?));
    }
    Ok(seeds)
}

/// Rings that form, lose members, recover and are disturbed.
fn histories() -> Vec<Seed> {
    let ring = vec![0, 255, 0, 255];
    let alone = vec![8, 0];
    let mcasts = [4, 0, 100, 0, 4, 1, 50, 0].repeat(8);
    let stories = [
        ("form", ring.clone()),
        ("alone", [alone.clone(), ring.clone()].concat()),
        (
            "members-leave-and-come",
            [
                ring.clone(),
                alone.clone(),
                ring.clone(),
                vec![8, 0b1010],
                ring.clone(),
            ]
            .concat(),
        ),
        (
            "messages",
            [
                ring.clone(),
                mcasts.clone(),
                vec![5, 0, 0, 80, 9, 3, 1, 2, 3, 0, 80],
            ]
            .concat(),
        ),
        (
            "recovery-with-messages",
            [ring.clone(), vec![5, 0], mcasts, alone, ring.clone()].concat(),
        ),
        ("gather", [ring.clone(), vec![5, 2], ring.clone()].concat()),
        (
            "pause",
            [ring.clone(), vec![3, 0, 8], ring.clone()].concat(),
        ),
        (
            "again",
            [ring, vec![7, 0, 0, 7, 1, 1, 17, 3, 0, 99]].concat(),
        ),
    ];
    let mut seeds = Vec::new();
    for (name, steps) in stories {
        for config in [0_u8, 2, 0xff] {
            let bytes = [vec![4, config], steps.clone()].concat();
            seeds.push(Seed::new("srp_inputs", format!("{name}-{config}"), bytes));
        }
    }
    seeds
}

/// Every captured request of a client, and every captured message of a peer.
fn sessions() -> Vec<Seed> {
    let with_len = |bytes: &[u8]| {
        let len = u16::try_from(bytes.len()).expect("captured messages are short");
        [&len.to_le_bytes(), bytes].concat()
    };
    let mut seeds = Vec::new();
    let mut by_service = std::collections::BTreeMap::<u8, Vec<u8>>::new();
    for (name, bytes) in ipc_vectors() {
        let mut parts = name.split('.');
        let service = match parts.next() {
            Some("cmap") => 0,
            Some("cfg") => 1,
            Some("cpg") => 2,
            Some("quorum") => 3,
            Some("votequorum") => 5,
            _ => continue,
        };
        if parts.next() == Some("request") {
            let steps = [vec![5, 0], with_len(&bytes), vec![15, 4]].concat();
            let alone = [vec![1, 0, service, 0], steps.clone()].concat();
            seeds.push(Seed::new("node_inputs", name, alone));
            let all = by_service.entry(service).or_default();
            // Not what ends the node (killing a node, shutting down).
            if all.len() < 3_000
                && !name.starts_with("cfg.request.2")
                && !name.starts_with("cfg.request.3")
            {
                all.extend(steps);
            }
        }
    }
    for (service, steps) in by_service {
        let bytes = [vec![1, 0, service, 0], steps].concat();
        seeds.push(Seed::new(
            "node_inputs",
            format!("service-{service}"),
            bytes,
        ));
    }
    for (name, bytes) in exec_vectors() {
        let step = if name.starts_with("sync") {
            vec![10, bytes[0]]
        } else {
            vec![8, bytes[2], bytes[0]]
        };
        let steps = [
            vec![1, 0, 2, 0],
            step,
            with_len(&bytes[16..]),
            vec![0, 15, 9],
        ]
        .concat();
        seeds.push(Seed::new("node_inputs", format!("exec-{name}"), steps));
    }
    for (name, steps) in [
        ("neighbour-dies", vec![13, 0, 15, 255, 13, 1, 15, 255]),
        ("shutdown", vec![0, 2, 0, 13, 3, 15, 9]),
        ("slow-reader", vec![0, 3, 0, 7, 0, 13, 0, 15, 255, 7, 0]),
    ] {
        seeds.push(Seed::new("node_inputs", name, [vec![1], steps].concat()));
    }
    seeds
}

fn exec_vectors() -> impl Iterator<Item = (&'static str, Vec<u8>)> {
    vectors(include_str!("../../crates/wire/testdata/exec.txt"))
}

fn ipc_vectors() -> impl Iterator<Item = (&'static str, Vec<u8>)> {
    vectors(include_str!("../../crates/wire/testdata/ipc.txt"))
}

/// A line is a name and the bytes: hexadecimal, and `~N` for N zeros.
fn vectors(text: &'static str) -> impl Iterator<Item = (&'static str, Vec<u8>)> {
    text.lines().map(|line| {
        let mut words = line.split(' ');
        let name = words.next().unwrap_or_default();
        (name, words.flat_map(unpack).collect())
    })
}

fn unpack(word: &str) -> Vec<u8> {
    if let Some(zeros) = word.strip_prefix('~') {
        return vec![0; zeros.parse().expect("a number of zeros")];
    }
    let digits = word.as_bytes().chunks_exact(2);
    digits
        .map(|pair| {
            let pair = str::from_utf8(pair).expect("test data is ASCII");
            u8::from_str_radix(pair, 16).expect("hexadecimal digits")
        })
        .collect()
}

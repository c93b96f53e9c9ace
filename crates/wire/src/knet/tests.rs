use proptest::prelude::*;

use super::*;
use crate::testing::{pin, survives};

#[test]
fn captured_packets_come_back() {
    for (name, bytes) in captured() {
        let frame = decode(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(frame.to_vec(), bytes, "{name}");
    }
}

#[test]
fn captured_packets_mean_what_they_should() {
    let of = |name: &str| captured().find(|(n, _)| *n == name).unwrap().1;
    let bytes = of("ping");
    let Packet::Ping(ping) = decode(&bytes).unwrap().packet else {
        panic!("{bytes:x?}");
    };
    assert_eq!(
        (ping.link, ping.seq, ping.reason),
        (LinkId(0), Seq(0), PingReason::Timer)
    );
    let bytes = of("probe");
    let frame = decode(&bytes).unwrap();
    let size = u16::try_from(bytes.len() + 28).unwrap();
    let probe = Probe {
        link: LinkId(0),
        size,
    };
    assert_eq!(frame.packet, Packet::Probe(probe, bytes.len() - PROBE_LEN));
    let bytes = of("whole");
    let Packet::Data(header, payload) = decode(&bytes).unwrap().packet else {
        panic!("{bytes:x?}");
    };
    assert_eq!((header.seq, header.part), (Seq(2), Part::Whole));
    assert_eq!(payload[..2], [0x70, 0xc0], "totem's magic");
}

#[test]
fn captured_fragments_make_a_message() {
    let mut message = Vec::new();
    for number in 1..=4 {
        let name = format!("fragment_{number}_of_4");
        let (_, bytes) = captured().find(|(n, _)| *n == name).unwrap();
        let Packet::Data(header, payload) = decode(&bytes).unwrap().packet else {
            panic!("{name}");
        };
        assert_eq!(header.part, Part::Fragment { number, count: 4 });
        message.extend_from_slice(payload);
    }
    assert_eq!(message.len(), 3 * 482 + 224);
}

#[test]
fn every_field_has_its_place() {
    let from = HostId(0x1122);
    let ping = Ping {
        link: LinkId(7),
        time: *b"0123456789abcdef",
        seq: Seq(0x3344),
        reason: PingReason::Timer,
    };
    let fields: &[(usize, &[u8])] = &[
        (0, &[1, 0x81, 0x11, 0x22]),
        (6, &[7]),
        (7, b"0123456789abcdef"),
        (23, &[0x33, 0x44, 1]),
    ];
    let packet = Packet::Ping(ping);
    pin!(Frame<'_>, Frame { from, packet }, PING_LEN, fields);
    let pong: &[(usize, &[u8])] = &[(0, &[1, 0x82, 0x11, 0x22]), fields[1], fields[2], fields[3]];
    let packet = Packet::Pong(ping);
    pin!(Frame<'_>, Frame { from, packet }, PING_LEN, pong);
    let probe = Probe {
        link: LinkId(3),
        size: 0x05dc,
    };
    let packet = Packet::ProbeReply(probe);
    pin!(
        Frame<'_>,
        Frame { from, packet },
        PROBE_LEN,
        &[(0, &[1, 0x84, 0x11, 0x22]), (6, &[3, 0xdc, 0x05])]
    );
    let header = DataHeader {
        seq: Seq(0x5566),
        compress: 7,
        cast: Cast::Broadcast,
        part: Part::Fragment {
            number: 2,
            count: 255,
        },
        channel: 31,
    };
    let packet = Packet::Data(header, b"");
    pin!(
        Frame<'_>,
        Frame { from, packet },
        DATA_HEADER_LEN,
        &[
            (0, &[1, 0, 0x11, 0x22]),
            (6, &[0x55, 0x66, 7]),
            (10, &[1, 255, 2, 31])
        ]
    );
}

#[test]
fn a_packet_cut_short_is_refused() {
    for (name, bytes) in captured() {
        let needed = match decode(&bytes).unwrap().packet {
            Packet::Data(..) => DATA_HEADER_LEN,
            Packet::Ping(_) | Packet::Pong(_) => PING_LEN,
            Packet::Probe(..) | Packet::ProbeReply(_) => PROBE_LEN,
        };
        for cut in 0..needed {
            let error = decode(&bytes[..cut]).unwrap_err();
            assert!(
                matches!(error, DecodeError::Truncated { .. }),
                "{name} cut at {cut}: {error}"
            );
        }
        assert!(decode(&bytes[..needed]).is_ok(), "{name}");
    }
}

#[test]
fn what_would_lead_c_astray_is_refused() {
    let data =
        |count, number, channel| vec![1, 0, 0, 1, 0, 0, 0, 9, 0, 0, 0, count, number, channel];
    let ping = |link| [&[1, PING, 0, 1, 0, 0, link][..], &[0; 19]].concat();
    let cases = [
        (
            data(0, 0, 0),
            DecodeError::BadValue {
                what: "fragment count",
            },
        ),
        (
            data(2, 0, 0),
            DecodeError::BadValue {
                what: "fragment number",
            },
        ),
        (
            data(2, 3, 0),
            DecodeError::BadValue {
                what: "fragment number",
            },
        ),
        (data(1, 0, 32), DecodeError::BadValue { what: "channel" }),
        (data(1, 0, 0xff), DecodeError::BadValue { what: "channel" }),
        (ping(8), DecodeError::BadValue { what: "link" }),
        (vec![2, PING, 0, 1, 0, 0], DecodeError::BadVersion(2)),
        (vec![1, 0x85, 0, 1, 0, 0], DecodeError::UnknownType(0x85)),
        (vec![1, 0x01, 0, 1, 0, 0], DecodeError::UnknownType(1)),
    ];
    for (bytes, expected) in cases {
        assert_eq!(decode(&bytes).unwrap_err(), expected, "{bytes:x?}");
    }
    assert!(decode(&data(255, 255, 31)).is_ok());
    assert!(decode(&ping(7)).is_ok());
}

proptest! {
    #[test]
    fn any_bytes_are_a_packet_or_an_error(
        kind in prop::sample::select(vec![DATA, PING, PONG, PROBE, PROBE_REPLY, 0x85]),
        rest in prop::collection::vec(prop_oneof![0_u8..4, any::<u8>()], 0..40),
    ) {
        let bytes = [&[VERSION, kind], &rest[..]].concat();
        survives!(Frame<'_>, &bytes);
    }
}

fn decode(bytes: &[u8]) -> Result<Frame<'_>, DecodeError> {
    Frame::decode(&mut Reader::new(bytes))
}

/// Packets between two nodes of corosync 3.1.7 with libknet1 1.25: a name and the bytes, `~N` for N zeros.
fn captured() -> impl Iterator<Item = (&'static str, Vec<u8>)> {
    include_str!("../../testdata/knet.txt").lines().map(|line| {
        let (name, words) = line.split_once(' ').unwrap();
        (name, words.split(' ').flat_map(unpack).collect())
    })
}

fn unpack(word: &str) -> Vec<u8> {
    if let Some(zeros) = word.strip_prefix('~') {
        return vec![0; zeros.parse().unwrap()];
    }
    let pairs = (0..word.len()).step_by(2);
    pairs
        .map(|at| u8::from_str_radix(&word[at..at + 2], 16).unwrap())
        .collect()
}

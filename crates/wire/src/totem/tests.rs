use super::*;

fn hex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap())
        .collect()
}

/// Frames captured between two C nodes; whatever we read must come out again as the same bytes.
#[test]
fn captured_frames_survive_a_round_trip() {
    for text in include_str!("../../testdata/totem.txt").lines() {
        let Some((name, bytes)) = text.split_once(' ') else {
            continue;
        };
        let bytes = hex(bytes);
        let (header, message) = Message::parse(&bytes).unwrap();
        let again = match message {
            Message::OrfToken(m) => frame(header, &m),
            Message::Mcast(m, payload) => [frame(header, &m), payload.to_vec()].concat(),
            Message::MergeDetect(m) => frame(header, &m),
            Message::Join(m) => frame(header, &m),
            Message::CommitToken(m) => frame(header, &m),
            Message::TokenHoldCancel(m) => frame(header, &m),
        };
        assert_eq!(bytes, again, "{name}");
    }
}

#[test]
fn a_token_with_31_requests_is_refused() {
    let token = OrfToken {
        seq: 1,
        token_seq: 1,
        aru: 1,
        aru_addr: NodeId(0),
        ring: RingId::ZERO,
        backlog: 0,
        fcc: 0,
        retrans_flg: 0,
        rtr: Vec::new(),
    };
    let header = Header::new(Kind::OrfToken, 0, NodeId(1));
    let mut bytes = frame(header, &token);
    let count = bytes.len() - 4;
    bytes[count] = 31;
    bytes.resize(bytes.len() + 31 * 16, 0);
    assert_eq!(
        Message::parse(&bytes),
        Err(DecodeError::TooMany {
            what: "token rtr count",
            count: 31,
            max: 30
        })
    );
}

#[test]
fn join_counts_that_overflow_are_refused() {
    let header = Header::new(Kind::Join, 0, NodeId(1));
    let join = Join {
        system_from: NodeId(1),
        ring_seq: RingSeq(4),
        proc_list: vec![NodeId(1)],
        failed_list: Vec::new(),
    };
    let mut bytes = frame(header, &join);
    bytes[17..21].copy_from_slice(&0xFFFF_FFFFu32.to_le_bytes());
    assert!(matches!(
        Message::parse(&bytes),
        Err(DecodeError::TooMany { .. })
    ));
}

#[test]
fn every_prefix_of_a_commit_token_is_an_error() {
    let bytes = hex(include_str!("../../testdata/totem.txt")
        .lines()
        .find_map(|l| l.strip_prefix("commit2 "))
        .unwrap());
    for n in 0..bytes.len() {
        assert!(Message::parse(&bytes[..n]).is_err(), "{n}");
    }
    assert!(Message::parse(&bytes).is_ok());
}

use super::*;

#[test]
fn fragments_in_order_make_the_message() {
    let mut peer = Peer::default();
    let message = message(1_000);
    let fragments = cut(&message, 300);
    assert_eq!(fragments.len(), 4);
    assert_eq!(peer.feed(1, &fragments[..3]), [const { Outcome::Kept }; 3]);
    assert_eq!(
        peer.feed(1, &fragments[3..]),
        [Outcome::Complete(message.into())]
    );
    assert!(peer.defrag.buffers.is_empty());
}

#[test]
fn every_order_makes_the_message() {
    let message = message(700);
    let fragments = cut(&message, 200);
    for order in permutations(fragments.len()) {
        let mut peer = Peer::default();
        let shuffled: Vec<_> = order.iter().map(|&at| fragments[at]).collect();
        let outcomes = peer.feed(9, &shuffled);
        let (last, before) = outcomes.split_last().unwrap();
        assert_eq!(before, [const { Outcome::Kept }; 3], "{order:?}");
        assert_eq!(
            *last,
            Outcome::Complete(message.clone().into()),
            "{order:?}"
        );
    }
}

#[test]
fn the_largest_message_of_the_most_fragments_fits() {
    let message = message(MESSAGE_MAX);
    let fragments = cut(&message, 258);
    assert_eq!(fragments.len(), 255);
    let mut peer = Peer::default();
    let backwards: Vec<_> = fragments.iter().rev().copied().collect();
    let outcomes = peer.feed(1, &backwards);
    assert_eq!(outcomes[254], Outcome::Complete(message.into()));
}

/// The peer started anew unnoticed and came to the same number again.
#[test]
fn an_old_part_is_not_joined_with_new_ones() {
    let (old, new) = ([1; 400], [2; 400]);
    for (pause, expected) in [(49, false), (50, true)] {
        let mut peer = Peer::default();
        assert_eq!(peer.feed(5, &cut(&old, 300)[1..]), [Outcome::Kept]);
        peer.now += pause * 1_000_000 - 1;
        let outcomes = peer.feed(5, &cut(&new, 300));
        let safe = outcomes == [const { Outcome::Expired }; 2];
        assert_eq!(safe, expected, "after {pause} ms");
    }
}

#[test]
fn copies_over_a_second_link_change_nothing() {
    let message = message(500);
    let fragments = cut(&message, 200);
    let mut peer = Peer::default();
    assert_eq!(peer.feed(1, &fragments[..1]), [Outcome::Kept]);
    assert_eq!(peer.feed(1, &fragments[..1]), [Outcome::Duplicate]);
    assert_eq!(peer.feed(1, &fragments[2..]), [Outcome::Kept]);
    assert_eq!(peer.feed(1, &fragments[2..]), [Outcome::Duplicate]);
    assert_eq!(
        peer.feed(1, &fragments[1..2]),
        [Outcome::Complete(message.clone().into())]
    );
    // The message is delivered or given up; its fragments do not start it again.
    assert_eq!(peer.feed(1, &fragments[..1]), [Outcome::Expired]);
}

#[test]
fn fragments_that_contradict_each_other_are_refused() {
    let long = [7; 300];
    let cases: &[(&str, [Part<'_>; 2])] = &[
        (
            "another count",
            [(1, 4, &long[..200]), (2, 5, &long[..200])],
        ),
        (
            "another length",
            [(1, 4, &long[..200]), (2, 4, &long[..199])],
        ),
        (
            "a last one that is longer",
            [(1, 4, &long[..200]), (4, 4, &long[..201])],
        ),
        (
            "one that is shorter than the last",
            [(4, 4, &long[..201]), (1, 4, &long[..200])],
        ),
    ];
    for (case, parts) in cases {
        let mut peer = Peer::default();
        assert_eq!(
            peer.feed(1, parts),
            [Outcome::Kept, Outcome::Refused],
            "{case}"
        );
    }
}

#[test]
fn fragments_of_no_possible_message_are_refused() {
    let long = vec![7; MESSAGE_MAX + 1];
    let cases: &[Part<'_>] = &[
        (1, 2, &[]),
        (1, 1, &long[..10]),
        (0, 2, &long[..10]),
        (3, 2, &long[..10]),
        (1, 2, &long),
        (2, 2, &long),
        (1, 255, &long[..259]),
        (1, 3, &long[..32_769]),
    ];
    for &part in cases {
        let mut peer = Peer::default();
        assert_eq!(
            peer.feed(1, &[part]),
            [Outcome::Refused],
            "{} of {}",
            part.0,
            part.1
        );
        assert!(peer.defrag.buffers.is_empty());
        assert_eq!(peer.feed(1, &[(1, 2, &long[..10])]), [Outcome::Kept]);
    }
}

#[test]
fn a_peer_that_never_finishes_costs_a_bounded_amount() {
    let mut peer = Peer::default();
    let long = vec![1; MESSAGE_MAX / 2];
    for seq in 1..200 {
        peer.feed(seq, &[(2, 2, &long)]);
        peer.feed(seq, &[(1, 3, &long)]);
        assert!(peer.defrag.buffers.len() <= BUFFERS);
        assert!(peer.memory() <= BUFFERS * MESSAGE_MAX);
    }
    assert_eq!(peer.defrag.buffers.len(), BUFFERS);
}

#[test]
fn a_message_out_of_reach_is_given_up() {
    let message = message(300);
    let fragments = cut(&message, 200);
    for (newest, expected) in [
        (132, Outcome::Complete(message.clone().into())),
        (133, Outcome::Expired),
    ] {
        let mut peer = Peer::default();
        assert_eq!(peer.feed(100, &fragments[..1]), [Outcome::Kept]);
        peer.window.look_up(Seq(newest));
        assert_eq!(peer.feed(100, &fragments[1..]), [expected], "{newest}");
    }
}

#[test]
fn a_message_in_reach_across_the_wrap_is_kept() {
    let message = message(300);
    let fragments = cut(&message, 200);
    let mut peer = Peer::default();
    assert_eq!(peer.feed(65_520, &fragments[..1]), [Outcome::Kept]);
    peer.window.look_up(Seq(10));
    assert_eq!(
        peer.feed(65_520, &fragments[1..]),
        [Outcome::Complete(message.into())]
    );
}

#[test]
fn the_message_that_waited_longest_makes_room() {
    let message = message(300);
    let fragments = cut(&message, 200);
    let mut peer = Peer::default();
    for seq in 100..132 {
        assert_eq!(peer.feed(seq, &fragments[..1]), [Outcome::Kept]);
    }
    // 100 hears of itself again, so 101 is the oldest when a 33rd message in reach comes.
    assert_eq!(peer.feed(100, &fragments[..1]), [Outcome::Duplicate]);
    assert_eq!(peer.feed(132, &fragments[..1]), [Outcome::Kept]);
    assert_eq!(peer.defrag.buffers.len(), BUFFERS);
    assert_eq!(peer.feed(101, &fragments[1..]), [Outcome::Expired]);
    assert_eq!(
        peer.feed(100, &fragments[1..]),
        [Outcome::Complete(message.into())]
    );
}

/// Number, count and payload of a fragment.
type Part<'a> = (u8, u8, &'a [u8]);

#[derive(Default)]
struct Peer {
    window: Window,
    defrag: Defrag,
    now: u64,
}

impl Peer {
    fn feed(&mut self, seq: u16, parts: &[Part<'_>]) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        for &(number, count, payload) in parts {
            self.now += 1;
            let fragment = Fragment {
                seq: Seq(seq),
                number,
                count,
                payload,
            };
            assert_eq!(self.window.look_up(Seq(seq)), Sighting::First);
            let now = Instant::from_nanos(self.now);
            outcomes.push(self.defrag.accept(&mut self.window, now, fragment));
        }
        outcomes
    }

    fn memory(&self) -> usize {
        let buffers = self.defrag.buffers.iter();
        buffers
            .map(|b| b.bytes.capacity() + b.last.capacity())
            .sum()
    }
}

/// Bytes that differ between neighbours and between fragments.
fn message(len: usize) -> Vec<u8> {
    let bytes = (0..len).map(|at| (at * 31 + at / 256) % 251);
    bytes.map(|byte| u8::try_from(byte).unwrap()).collect()
}

fn cut(message: &[u8], size: usize) -> Vec<Part<'_>> {
    let count = u8::try_from(message.len().div_ceil(size)).unwrap();
    (1..=count)
        .zip(message.chunks(size))
        .map(|(number, part)| (number, count, part))
        .collect()
}

fn permutations(len: usize) -> Vec<Vec<usize>> {
    if len == 0 {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for shorter in permutations(len - 1) {
        for at in 0..len {
            let mut longer = shorter.clone();
            longer.insert(at, len - 1);
            all.push(longer);
        }
    }
    all
}

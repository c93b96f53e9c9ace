//! Files made here, whole and broken. What corosync writes is compared with qb-blackbox by `cargo xtask interop tools-same`.

use super::*;

/// A record as libqb writes it.
fn record(function: &str, message: &[u8]) -> Vec<u8> {
    let len = |bytes: usize| u32::try_from(bytes).unwrap().to_ne_bytes();
    [
        &7u32.to_ne_bytes()[..],
        &8u32.to_ne_bytes(),
        &[5],
        &len(function.len() + 1),
        function.as_bytes(),
        &[0],
        &1_700_000_000i64.to_ne_bytes(),
        &748_000_000i64.to_ne_bytes(),
        &len(message.len()),
        message,
    ]
    .concat()
}

/// A file with these records in a ring of so many words, the first one at `read`.
fn file(words: u32, read: u32, records: &[Vec<u8>]) -> Vec<u8> {
    let mut ring = vec![0u8; words as usize * 4];
    let mut at = read as usize * 4;
    let mut put = |bytes: &[u8]| {
        for byte in bytes {
            let len = ring.len();
            ring[at % len] = *byte;
            at += 1;
        }
    };
    for record in records {
        put(&u32::try_from(record.len()).unwrap().to_ne_bytes());
        put(&MAGIC.to_ne_bytes());
        put(record);
        put(&vec![0; record.len().next_multiple_of(4) - record.len()]);
    }
    let write = u32::try_from(at / 4).unwrap() % words;
    let sum = words + write + read + VERSION;
    let head = [words, write, read, VERSION, sum];
    let heads = NEW_HEAD.into_iter().chain(head);
    heads.flat_map(u32::to_ne_bytes).chain(ring).collect()
}

fn read(file: &[u8]) -> Vec<Result<Record, Corrupt>> {
    let dump = Dump::open(file).expect("a head");
    dump.records().collect()
}

#[test]
fn records_come_in_their_order() {
    let records = [
        record("main", b"one\n\0"),
        record("other", b"two %d\0\x02\0\0\0"),
    ];
    let found = read(&file(64, 0, &records));
    let first = Record {
        line: 7,
        tags: 8,
        priority: 5,
        function: b"main".to_vec(),
        seconds: 1_700_000_000,
        nanoseconds: 748_000_000,
        message: b"one".to_vec(),
    };
    assert_eq!(found[0], Ok(first));
    let second = found[1].as_ref().unwrap();
    assert_eq!(
        (second.function.as_slice(), second.message.as_slice()),
        (&b"other"[..], &b"two 2"[..])
    );
    assert_eq!(found.len(), 2);
}

#[test]
fn records_go_over_the_end_of_the_ring() {
    let records = [
        record("main", b"over the end\0"),
        record("main", b"behind\0"),
    ];
    for start in 0..64 {
        let found = read(&file(64, start, &records));
        let messages: Vec<Vec<u8>> = found.into_iter().map(|r| r.unwrap().message).collect();
        assert_eq!(
            messages,
            [b"over the end".to_vec(), b"behind".to_vec()],
            "from {start}"
        );
    }
}

#[test]
fn sizes_are_those_that_libqb_prints() {
    let ring = |words, write, read| Ring { words, write, read };
    let sizes = |ring: Ring| (ring.free(), ring.used());
    assert_eq!(sizes(ring(2_098_176, 19_311, 0)), (8_315_456, 77_244));
    assert_eq!(sizes(ring(100, 10, 20)), (36, 356));
    assert_eq!(sizes(ring(100, 5, 5)), (400, 0));
}

#[test]
fn a_ring_without_an_end_is_read_once() {
    // A record that fills the ring leads to itself.
    let whole = record("main", b"x\0");
    let words = 2 + u32::try_from(whole.len().div_ceil(4)).unwrap();
    assert_eq!(read(&file(words, 0, &[whole])).len(), 1);
}

#[test]
fn broken_files_are_refused() {
    let good = file(64, 0, &[record("main", b"x\0")]);
    for len in [0, 10, 20, 39, 40, good.len() - 1] {
        assert_eq!(
            Dump::open(&good[..len]).map(|_| ()),
            Err(Corrupt::Short),
            "{len}"
        );
    }
    for place in (20..40).step_by(4) {
        let mut bad = good.clone();
        bad[place] ^= 0x40;
        assert_eq!(Dump::open(&bad).map(|_| ()), Err(Corrupt::Head), "{place}");
    }
}

#[test]
fn broken_records_end_it() {
    let ends = |record: Vec<u8>| read(&file(512, 0, &[record, self::record("main", b"x\0")]));
    assert_eq!(ends(vec![0; 26]), [Err(Corrupt::Record)]);
    assert_eq!(ends(vec![0; 1100]), [Err(Corrupt::Record)]);
    let mut long_name = record("main", b"x\0");
    long_name[9..13].copy_from_slice(&100u32.to_ne_bytes());
    assert_eq!(ends(long_name), [Err(Corrupt::Function(100))]);
    let mut long_message = record("main", b"x\0");
    let at = long_message.len() - 6;
    long_message[at..at + 4].copy_from_slice(&600u32.to_ne_bytes());
    assert_eq!(ends(long_message), [Err(Corrupt::Message(600))]);
}

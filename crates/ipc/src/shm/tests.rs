//! Mappings of real files, and files that are cut under them.

use std::io::Write as _;

use super::*;
use crate::ring::{Consumer, Producer, PushError, RingCorrupt};

fn ring_files(data_len: usize) -> (File, File) {
    let header = tempfile::tempfile().unwrap();
    header.set_len(HEADER_FILE_LEN as u64).unwrap();
    let data = tempfile::tempfile().unwrap();
    data.set_len(data_len as u64).unwrap();
    (header, data)
}

#[test]
fn two_mappings_of_a_ring_see_each_other() {
    let len = 2 * page_size();
    let (header, data) = ring_files(len);
    let mut producer = Producer::new(RingMap::new(&header, &data, len).unwrap());
    let mut consumer = Consumer::new(RingMap::new(&header, &data, len).unwrap());
    let mut out = Vec::new();
    // Enough rounds to run over the end of the data, at every alignment.
    for round in 0..300_usize {
        let message: Vec<u8> = (0..page_size() + round)
            .map(|i| (i * 7 + round).to_le_bytes()[0])
            .collect();
        producer.try_push(&[&message]).unwrap();
        let chunk = consumer.peek().unwrap().unwrap();
        out.clear();
        consumer.take(chunk, &mut out).unwrap();
        assert!(out == message, "round {round}");
    }
}

#[test]
fn a_new_ring_says_what_c_wants_to_know() {
    let len = page_size();
    let (header, data) = ring_files(len);
    let map = RingMap::new(&header, &data, len).unwrap();
    map.initialise([(12, "/h"), (4108, "/d")]);
    let mut bytes = Vec::new();
    map.mapping.copy_out(0, HEADER_FILE_LEN, &mut bytes);
    assert_eq!(
        &bytes[8..12],
        &u32::try_from(len / 4).unwrap().to_le_bytes()
    );
    assert_eq!(&bytes[12..15], b"/h\0");
    assert_eq!(&bytes[4108..4111], b"/d\0");
    assert_eq!(&bytes[8204..8208], &1_u32.to_le_bytes());
    assert_eq!(&bytes[8208..8216], &[0; 8]);
    assert_eq!(&bytes[8216..8220], &128_u32.to_le_bytes());
}

#[test]
fn cutting_the_data_loses_the_ring_and_nothing_else() {
    let len = 4 * page_size();
    let (header, data) = ring_files(len);
    let (other_header, other_data) = ring_files(len);
    let mut other = Producer::new(RingMap::new(&other_header, &other_data, len).unwrap());
    let mut producer = Producer::new(RingMap::new(&header, &data, len).unwrap());
    let consumer = Consumer::new(RingMap::new(&header, &data, len).unwrap());
    producer.try_push(&[b"before"]).unwrap();
    data.set_len(0).unwrap();
    assert_eq!(producer.try_push(&[b"after"]), Err(PushError::Corrupt));
    assert_eq!(producer.room(), Err(RingCorrupt));
    assert_eq!(consumer.peek().map(|_| ()), Err(RingCorrupt));
    other.try_push(&[b"unharmed"]).unwrap();
}

#[test]
fn cutting_the_header_loses_the_ring() {
    let len = page_size();
    let (header, data) = ring_files(len);
    let mut producer = Producer::new(RingMap::new(&header, &data, len).unwrap());
    header.set_len(1).unwrap();
    assert_eq!(producer.try_push(&[&[1; 100]]), Err(PushError::Corrupt));
}

#[test]
fn cutting_the_control_file_is_noticed() {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&[0; CONTROL_FILE_LEN]).unwrap();
    let map = ControlMap::new(&file).unwrap();
    map.counter(1).store(2, Ordering::Relaxed);
    assert!(!map.is_lost());
    file.set_len(0).unwrap();
    assert_eq!(map.counter(1).load(Ordering::Relaxed), 0);
    assert!(map.is_lost());
}

#[test]
fn files_that_are_too_short_are_refused() {
    let len = page_size();
    let (header, data) = ring_files(len);
    data.set_len(len as u64 - 1).unwrap();
    assert!(RingMap::new(&header, &data, len).is_err());
    assert!(ControlMap::new(&tempfile::tempfile().unwrap()).is_err());
}

#[test]
fn a_sleeper_is_woken_by_a_message() {
    let len = page_size();
    let (header, data) = ring_files(len);
    let mut producer = Producer::new(RingMap::new(&header, &data, len).unwrap());
    let consumer = Consumer::new(RingMap::new(&header, &data, len).unwrap());
    let sleeper = std::thread::spawn(move || {
        while consumer.peek().unwrap().is_none() {
            consumer.memory().sleep(Duration::from_secs(600));
        }
    });
    while producer.memory().semaphore().load(Ordering::Relaxed) >> SLEEPERS_SHIFT == 0 {
        std::thread::yield_now();
    }
    producer.try_push(&[b"wake up"]).unwrap();
    sleeper.join().unwrap();
}

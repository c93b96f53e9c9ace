//! Recorders of all ages, and what is left of dead ones.

use super::*;

fn record<'a>(line: u32, text: &'a str) -> FlightRecord<'a> {
    FlightRecord {
        time: (1_700_000_000, 123_456_789),
        priority: 5,
        tag: 7,
        function: "services::cpg",
        line,
        text,
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

/// Lines and texts in a dump, read as libqb reads them.
fn read(dump: &[u8]) -> Vec<(u32, String)> {
    let heads: Vec<u32> = (0..10).map(|n| word(dump, n * 4)).collect();
    assert_eq!(heads[..5], [0, 0xCCBB_CCBB, 0xBBCC_BBCC, 2, 0]);
    let [words, write, read, version, hash] = heads[5..] else {
        unreachable!("ten words")
    };
    assert_eq!((read, version, hash), (0, 1, words + write + 1));
    let data = &dump[40..];
    assert_eq!(data.len(), words as usize * 4);
    assert_eq!(data.len() % 4_096, 0);
    let mut found = Vec::new();
    let mut at = 0;
    while word(data, at + 4) == CHUNK_MAGIC {
        let len = word(data, at) as usize;
        let chunk = &data[at + 8..at + 8 + len];
        assert_eq!((word(chunk, 4), chunk[8]), (7, 5));
        let function = word(chunk, 9) as usize;
        let rest = &chunk[13 + function..];
        assert_eq!(word(rest, 16) as usize, rest.len() - 20);
        let text = rest[20..].strip_prefix(FORMAT).unwrap();
        let text = text.strip_suffix(b"\0").unwrap();
        found.push((word(chunk, 0), String::from_utf8(text.to_vec()).unwrap()));
        at += 8 + len.next_multiple_of(4);
    }
    assert_eq!(at / 4, write as usize);
    found
}

#[test]
fn the_oldest_records_give_way_and_the_youngest_stay() {
    let dir = tempfile::tempdir().unwrap();
    let mut recorder = FlightRecorder::with_bytes(dir.path(), 8_192).unwrap();
    assert_eq!(read(&recorder.dump().unwrap()), []);
    let text = |n: u32| format!("{n} {}", "x".repeat(n as usize % 97));
    let mut most = 0;
    for n in 0..2_000 {
        recorder.record(&record(n, &text(n)));
        let found = read(&recorder.dump().unwrap());
        let (first, _) = found[0];
        let expected: Vec<_> = (first..=n).map(|n| (n, text(n))).collect();
        assert_eq!(found, expected);
        most = most.max(found.len());
    }
    assert!((40..200).contains(&most), "{most} records in 8 KiB");
}

#[test]
fn long_and_odd_texts_are_cut_and_nothing_is_allocated_for_them() {
    let dir = tempfile::tempdir().unwrap();
    let mut recorder = FlightRecorder::create(dir.path()).unwrap();
    let long = "ü".repeat(1_000);
    let mut odd = record(1, &long);
    odd.function = &long;
    let capacity = recorder.chunk.capacity();
    for _ in 0..100 {
        recorder.record(&odd);
    }
    assert_eq!(recorder.chunk.capacity(), capacity);
    recorder.record(&record(2, ""));
    recorder.record(&record(3, "before\0behind"));
    let found = read(&recorder.dump().unwrap());
    assert_eq!(found[0].1, "ü".repeat(TEXT_MAX / 2));
    assert_eq!(found[100..], [(2, String::new()), (3, "before".to_owned())]);
}

#[test]
fn what_a_killed_daemon_left_is_found_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut recorder = FlightRecorder::create(dir.path()).unwrap();
    recorder.record(&record(1, "the last words"));
    assert!(take_leftovers(dir.path()).unwrap().is_empty(), "it lives");
    // As the kernel does it: the lock goes, the file stays.
    let path = recorder.path.clone();
    let copy = dir.path().join("copy");
    std::fs::copy(&path, &copy).unwrap();
    drop(recorder);
    assert!(!path.exists(), "an orderly end leaves nothing");
    std::fs::rename(&copy, dir.path().join(format!("{NAME}4711"))).unwrap();
    let found = take_leftovers(dir.path()).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].pid, 4_711);
    assert_eq!(read(&found[0].dump), [(1, "the last words".to_owned())]);
    assert!(take_leftovers(dir.path()).unwrap().is_empty());
    let mut next = FlightRecorder::create(dir.path()).unwrap();
    next.record(&record(2, "a new life"));
}

#[test]
fn a_record_that_was_not_finished_is_not_there() {
    let dir = tempfile::tempdir().unwrap();
    let mut recorder = FlightRecorder::with_bytes(dir.path(), 8_192).unwrap();
    for n in 0..500 {
        recorder.record(&record(n, "whole"));
    }
    let whole = read(&recorder.dump().unwrap());
    // All of a chunk but the word that says where the next one goes.
    let Ring { write, .. } = recorder.ring;
    recorder.store(write, 60);
    recorder.store(recorder.ring.after(write, 1), CHUNK_MAGIC);
    let bytes = std::fs::read(&recorder.path).unwrap();
    assert_eq!(read(&dump_of_file(&bytes).unwrap()), whole);
}

#[test]
fn files_that_are_no_recorders_are_harmless() {
    let dir = tempfile::tempdir().unwrap();
    let name = |n: u32| dir.path().join(format!("{NAME}{n}"));
    std::fs::write(name(1), "").unwrap();
    std::fs::write(name(2), vec![0xFF; HEADER_BYTES + 100]).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", name(3)).unwrap();
    std::fs::create_dir(name(4)).unwrap();
    std::fs::write(dir.path().join(format!("{NAME}x")), "").unwrap();
    assert!(take_leftovers(dir.path()).unwrap().is_empty());
    assert!(!name(1).exists() && !name(2).exists());
    let mut header = vec![0; HEADER_BYTES + 4_096];
    for (at, value) in [(0, MAGIC), (1, VERSION), (2, 1_024), (3, 5), (4, 3)] {
        header[at * 4..at * 4 + 4].copy_from_slice(&value.to_le_bytes());
    }
    assert!(dump_of_file(&header).is_some());
    for (at, value) in [(1, 2), (2, 0), (2, u32::MAX), (3, 1_024), (4, 1_024)] {
        let mut wrong = header.clone();
        wrong[at * 4..at * 4 + 4].copy_from_slice(&u32::to_le_bytes(value));
        assert_eq!(dump_of_file(&wrong), None, "word {at} = {value}");
    }
}

#[test]
fn a_file_that_is_damaged_or_cut_under_the_recorder_does_no_harm() {
    let dir = tempfile::tempdir().unwrap();
    let mut recorder = FlightRecorder::with_bytes(dir.path(), 8_192).unwrap();
    for n in 0..300 {
        recorder.store(n % 2_048, u32::MAX - n);
        recorder.record(&record(n, "somebody writes here too"));
    }
    let file = OpenOptions::new().write(true).open(&recorder.path);
    file.unwrap().set_len(0).unwrap();
    for n in 0..300 {
        recorder.record(&record(n, "nobody hears"));
    }
    assert!(recorder.dump().is_err());
}

#[test]
fn a_dump_gets_a_name_that_always_leads_to_the_last_one() {
    let dir = tempfile::tempdir().unwrap();
    let link = dir.path().join("fdata");
    for name in ["fdata-1", "fdata-2"] {
        let path = dir.path().join(name);
        save_dump(name.as_bytes(), &path, &link).unwrap();
        assert_eq!(std::fs::read(&link).unwrap(), name.as_bytes());
    }
}

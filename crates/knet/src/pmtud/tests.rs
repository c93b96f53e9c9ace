use super::*;

const AES_SHA256: Overhead = Overhead {
    block_len: 16,
    hash_len: 32,
    salt_len: 16,
};
const NONE: Overhead = Overhead::NONE;
const TIMEOUT: Duration = Duration::from_millis(1_000);

#[test]
fn searches_end_where_they_should() {
    let table = include_str!("../../testdata/pmtud.txt");
    let mut cases = 0;
    for case in table.lines().filter(|line| !line.starts_with('#')) {
        let words: Vec<&str> = case.split_whitespace().collect();
        let [family, crypto, interface, kernel, hole, mtu, probes] = words[..] else {
            panic!("{case}");
        };
        let family = match family {
            "v4" => Family::V4,
            "v6" => Family::V6,
            _ => panic!("{case}"),
        };
        let crypto = match crypto {
            "plain" => NONE,
            "aes-sha256" => AES_SHA256,
            _ => panic!("{case}"),
        };
        let path = Path {
            interface: interface.parse().unwrap(),
            kernel: match kernel {
                "tells" => Kernel::TellsMtu,
                "mute" => Kernel::Mute,
                _ => panic!("{case}"),
            },
            hole: hole.parse().unwrap(),
        };
        let mut link = PathMtu::new(family, crypto, None);
        assert_eq!(search(&mut link, path).to_string(), probes, "{case}");
        let found = link
            .mtu()
            .map_or_else(|| "none".to_owned(), |mtu| mtu.to_string());
        assert_eq!(found, mtu, "{case}");
        assert_eq!(link.deadline(), None, "{case}");
        cases += 1;
    }
    assert_eq!(cases, 13);
}

#[test]
fn every_hole_is_found_to_the_byte() {
    for (family, crypto) in [
        (Family::V4, NONE),
        (Family::V6, NONE),
        (Family::V4, AES_SHA256),
        (Family::V6, AES_SHA256),
    ] {
        for hole in 650..1500 {
            let mut link = PathMtu::new(family, crypto, None);
            search(
                &mut link,
                Path {
                    interface: 1500,
                    hole,
                    ..OPEN
                },
            );
            let expected = family.link_mtu(hole, crypto);
            assert_eq!(link.mtu(), Some(expected), "{family:?} {crypto:?} {hole}");
        }
    }
}

#[test]
fn a_probe_is_as_long_as_it_says() {
    for crypto in [NONE, AES_SHA256] {
        let mut link = PathMtu::new(Family::V4, crypto, None);
        link.start(at(0), 26, TIMEOUT);
        let Some(Step::Probe(probe)) =
            link.handle_too_big(at(0), asked(&link), Some(1500), TIMEOUT)
        else {
            panic!("{link:?}");
        };
        let datagram = crypto.sealed_len(PROBE_LEN + probe.filling);
        assert_eq!(usize::from(probe.size), datagram + Family::V4.overhead());
    }
}

#[test]
fn a_link_is_usable_until_a_search_fails_and_again_after_one_that_succeeds() {
    let mut link = PathMtu::new(Family::V4, NONE, None);
    assert_eq!(link.mtu(), Some(522));
    search(
        &mut link,
        Path {
            interface: 1500,
            hole: 0,
            ..OPEN
        },
    );
    assert_eq!(link.mtu(), None);
    assert!(
        link.is_due(at(0), TIMEOUT),
        "a failure is followed by another try"
    );
    search(
        &mut link,
        Path {
            interface: 1500,
            ..OPEN
        },
    );
    assert_eq!(link.mtu(), Some(1446));
}

#[test]
fn a_search_is_due_after_the_interval_and_after_the_link_was_down() {
    let interval = Duration::from_secs(30);
    let mut link = PathMtu::new(Family::V4, NONE, None);
    assert!(link.is_due(at(0), interval));
    link.start(at(0), 26, TIMEOUT);
    assert!(!link.is_due(at(0), interval), "one is under way");
    let done = link.handle_reply(at(5), asked(&link), TIMEOUT);
    assert_eq!(done, Some(Step::Found(65_481)));
    assert!(!link.is_due(at(30_004), interval));
    assert!(link.is_due(at(30_005), interval));
    link.stop();
    assert!(link.is_due(at(6), interval));
    assert_eq!(link.mtu(), Some(65_481));
}

#[test]
fn answers_to_other_probes_change_nothing() {
    let mut link = PathMtu::new(Family::V4, NONE, None);
    assert_eq!(link.handle_reply(at(0), 1500, TIMEOUT), None, "no search");
    assert_eq!(link.handle_too_big(at(0), 1500, Some(1400), TIMEOUT), None);
    assert_eq!(link.handle_timeout(at(0), TIMEOUT), None);
    link.start(at(0), 26, TIMEOUT);
    let first = asked(&link);
    link.handle_too_big(at(0), first, Some(1500), TIMEOUT);
    assert_eq!(link.handle_reply(at(1), first, TIMEOUT), None);
    assert_eq!(link.handle_reply(at(1), 1499, TIMEOUT), None);
    assert_eq!(link.handle_too_big(at(1), first, Some(1400), TIMEOUT), None);
    assert_eq!(link.handle_timeout(at(999), TIMEOUT), None, "too early");
    assert_eq!(
        link.handle_reply(at(999), 1500, TIMEOUT),
        Some(Step::Found(1446))
    );
}

#[test]
fn an_encrypted_probe_is_tried_with_more_patience_before_it_counts_as_lost() {
    let mut link = PathMtu::new(Family::V4, AES_SHA256, None);
    link.start(at(0), 128, TIMEOUT);
    link.handle_too_big(at(0), asked(&link), Some(1500), TIMEOUT);
    let mut waits = Vec::new();
    let mut now = at(0);
    while asked(&link) == 1500 {
        let deadline = link.deadline().unwrap();
        waits.push((deadline - now).as_secs());
        now = deadline;
        link.handle_timeout(now, TIMEOUT);
    }
    assert_eq!(waits, [2, 4, 8]);
    // A later search that gets quick replies needs less.
    link.start(now, 128, TIMEOUT);
    link.handle_too_big(now, asked(&link), Some(1500), TIMEOUT);
    link.handle_reply(now, 1500, TIMEOUT);
    assert_eq!(link.patience, 4);
}

#[derive(Clone, Copy)]
struct Path {
    /// Our interface's MTU.
    interface: usize,
    kernel: Kernel,
    /// Longer packets vanish on the way.
    hole: usize,
}

#[derive(Clone, Copy)]
enum Kernel {
    TellsMtu,
    Mute,
}

const OPEN: Path = Path {
    interface: ON_WIRE_MAX,
    kernel: Kernel::TellsMtu,
    hole: ON_WIRE_MAX,
};

/// Runs a search to its end and returns how many probes it took.
fn search(link: &mut PathMtu, path: Path) -> u32 {
    let ping_len = link.crypto.sealed_len(26);
    let mut now = at(0);
    let mut step = link.start(now, ping_len, TIMEOUT);
    let mut probes = 0;
    while let Step::Probe(ProbeRequest { size, .. }) = step {
        probes += 1;
        assert!(probes <= PROBES_MAX);
        let on_wire = usize::from(size);
        let next = if on_wire > path.interface {
            let kernel_mtu = match path.kernel {
                Kernel::TellsMtu => u16::try_from(path.interface).ok(),
                Kernel::Mute => None,
            };
            link.handle_too_big(now, size, kernel_mtu, TIMEOUT)
        } else if on_wire > path.hole {
            now = link.deadline().unwrap();
            link.handle_timeout(now, TIMEOUT)
        } else {
            link.handle_reply(now, size, TIMEOUT)
        };
        step = next.unwrap();
    }
    probes
}

/// The size that the search waits for.
fn asked(link: &PathMtu) -> u16 {
    let search = link.search.as_ref().unwrap();
    u16::try_from(search.size).unwrap()
}

fn at(ms: u64) -> Instant {
    Instant::from_nanos(ms * 1_000_000)
}

use proptest::prelude::*;
use ruzstd::encoding::CompressionLevel;

use super::*;

/// What the C libraries make of [`short`] and [`long`]: `model.level.payload hex`, a line each.
const REFERENCES: &str = include_str!("../../testdata/compress.txt");

/// Models whose streams have an end, so that a part of one is never taken for a whole.
const WITH_END: [Model; 5] = [
    Model::Zlib,
    Model::Lzo2,
    Model::Lzma,
    Model::Bzip2,
    Model::Zstd,
];

fn compressor(model: Model) -> Compressor {
    let level = if model == Model::Bzip2 { 9 } else { 0 };
    Compressor::new(model.name(), level, 0).unwrap().unwrap()
}

/// Bytes without a pattern that a compressor could use.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    (0..len).map(|_| next()).collect()
}

fn short() -> Vec<u8> {
    b"ring ".repeat(40)
}

/// With a run, text, and something that returns from farther back than 16 KiB.
fn long() -> Vec<u8> {
    let noise = noise(200);
    [&noise[..], &[0; 20_000], &noise, &short(), &noise[..3]].concat()
}

/// Name, model, compressed and plain.
fn references() -> Vec<(&'static str, Model, Vec<u8>, Vec<u8>)> {
    let lines = REFERENCES.lines().filter(|line| !line.starts_with('#'));
    let all: Vec<_> = lines
        .map(|line| {
            let (name, hex) = line.split_once(' ').unwrap();
            let model = name.split('.').next().unwrap();
            let model = Model::ALL.into_iter().find(|known| known.name() == model);
            let plain = if name.ends_with(".short") {
                short()
            } else {
                long()
            };
            let digits = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
            let compressed = (0..hex.len()).step_by(2).map(digits).collect();
            (name, model.unwrap(), compressed, plain)
        })
        .collect();
    for model in Model::ALL {
        assert!(all.iter().any(|reference| reference.1 == model));
    }
    all
}

/// `plain` as the model writes it, however long.
fn compressed_unbounded(model: Model, plain: &[u8]) -> Vec<u8> {
    match model {
        Model::Zlib => {
            let mut out = Vec::with_capacity(plain.len() + 1024);
            let mut zlib = flate2::Compress::new(flate2::Compression::best(), true);
            let status = zlib.compress_vec(plain, &mut out, flate2::FlushCompress::Finish);
            assert!(matches!(status, Ok(flate2::Status::StreamEnd)));
            out
        }
        Model::Lz4 | Model::Lz4hc => lz4_flex::block::compress(plain),
        Model::Lzo2 => lzokay::compress::compress(plain).unwrap(),
        Model::Lzma => {
            let mut options = lzma_rust2::XzOptions::with_preset(0);
            options.set_check_sum_type(lzma_rust2::CheckType::None);
            let mut xz = lzma_rust2::XzWriter::new(Vec::new(), options).unwrap();
            std::io::Write::write_all(&mut xz, plain).unwrap();
            xz.finish().unwrap()
        }
        Model::Bzip2 => {
            let mut out = Vec::with_capacity(plain.len() + 1024);
            let mut bzip2 = bzip2::Compress::new(bzip2::Compression::best(), 0);
            let status = bzip2.compress_vec(plain, &mut out, bzip2::Action::Finish);
            assert_eq!(status, Ok(bzip2::Status::StreamEnd));
            out
        }
        Model::Zstd => ruzstd::encoding::compress_to_vec(plain, CompressionLevel::Fastest),
    }
}

#[test]
fn what_the_c_libraries_compressed_is_read() {
    let mut decompressor = Decompressor::new();
    for (name, model, compressed, expected) in references() {
        let plain = decompressor.decompress(model.id(), &compressed);
        assert_eq!(plain, Ok(&expected[..]), "{name}");
    }
}

#[test]
fn payloads_come_back_through_buffers_that_are_used_again() {
    let mut decompressor = Decompressor::new();
    for model in Model::ALL {
        let mut compressor = compressor(model);
        for len in [1_000, 1446, 65_536, 4_000] {
            // Of few symbols: the encoder for zstd does not see that full noise is better left as it is.
            let mut payload = noise(len / 2);
            payload.iter_mut().for_each(|byte| *byte &= 0x0f);
            payload.resize(len, b'x');
            let Some(compressed) = compressor.compress(&payload) else {
                panic!("{model:?} does not make {len} bytes shorter");
            };
            assert!(compressed.len() < len, "{model:?}, {len} bytes");
            let plain = decompressor.decompress(model.id(), compressed);
            assert_eq!(plain, Ok(&payload[..]), "{model:?}, {len} bytes");
        }
    }
}

#[test]
fn every_level_is_read_again() {
    let payload = long();
    let mut decompressor = Decompressor::new();
    let levels = |model| match model {
        Model::Zlib => -1..=9,
        Model::Lz4 | Model::Lz4hc | Model::Lzo2 | Model::Zstd => -1..=1,
        Model::Lzma => 0..=9,
        Model::Bzip2 => 1..=9,
    };
    for model in Model::ALL {
        for level in levels(model) {
            let mut compressor = Compressor::new(model.name(), level, 0).unwrap().unwrap();
            let compressed = compressor.compress(&payload).unwrap();
            let plain = decompressor.decompress(model.id(), compressed);
            assert_eq!(plain, Ok(&payload[..]), "{model:?}, level {level}");
        }
    }
}

#[test]
fn nothing_goes_out_longer_than_it_was() {
    for model in Model::ALL {
        let mut compressor = compressor(model);
        for len in [101, 1446, 65_536] {
            let out = compressor.compress(&noise(len));
            assert_eq!(out, None, "{model:?}, {len} bytes");
        }
        let out = compressor.compress(&[0; 65_537]);
        assert_eq!(out, None, "{model:?}: no payload of knet");
    }
}

#[test]
fn the_threshold_is_the_longest_payload_that_goes_out_as_it_is() {
    for (threshold, longest) in [(0, 100), (1, 1), (64, 64), (3000, 3000)] {
        let mut compressor = Compressor::new("lz4", 0, threshold).unwrap().unwrap();
        let payload = vec![0; longest + 1];
        assert_eq!(compressor.compress(&payload[1..]), None, "{threshold}");
        let tried = compressor.compress(&payload).is_some();
        assert_eq!(
            tried,
            longest > 1,
            "{threshold}: two bytes do not get shorter"
        );
    }
}

#[test]
fn only_so_much_comes_out() {
    let mut decompressor = Decompressor::new();
    for (len, fits) in [
        (MAX_DECOMPRESSED_LEN, true),
        (MAX_DECOMPRESSED_LEN + 1, false),
        (MAX_DECOMPRESSED_LEN + 2, false),
        (20_000_000, false),
    ] {
        let plain = vec![0; len];
        let expected = if fits {
            Ok(len)
        } else {
            Err(DecompressError::TooLong)
        };
        for model in Model::ALL {
            let bomb = compressed_unbounded(model, &plain);
            let read = decompressor.decompress(model.id(), &bomb).map(<[u8]>::len);
            assert_eq!(read, expected, "{model:?}, {len} bytes");
        }
    }
}

#[test]
fn many_streams_in_a_row_are_bounded_like_one() {
    let mut decompressor = Decompressor::new();
    let frame = compressed_unbounded(Model::Zstd, &[7; 60_000]);
    let read = decompressor.decompress(Model::Zstd.id(), &frame.repeat(2));
    assert_eq!(read, Err(DecompressError::TooLong));
    let frame = compressed_unbounded(Model::Zstd, &[7; 30_000]);
    let read = decompressor.decompress(Model::Zstd.id(), &frame.repeat(2));
    assert_eq!(read, Ok(&[7; 60_000][..]));
}

#[test]
fn memory_that_no_payload_needs_is_refused() {
    let (_, _, xz, expected) = references()
        .into_iter()
        .find(|reference| reference.0 == "lzma.6.short")
        .unwrap();
    let mut decompressor = Decompressor::new();
    // The size of the dictionary in the header of the block, and the checksum of that header.
    let mut read = |size: u8, checksum: [u8; 4]| {
        let mut xz = xz.clone();
        xz[16] = size;
        xz[20..24].copy_from_slice(&checksum);
        decompressor
            .decompress(Model::Lzma.id(), &xz)
            .map(<[u8]>::to_vec)
    };
    assert_eq!(read(0x1c, XZ_CHECKSUM_64_MIB), Ok(expected));
    let refused = Err(DecompressError::TooMuchMemory);
    assert_eq!(read(0x1d, XZ_CHECKSUM_96_MIB), refused);
    assert_eq!(read(0x28, XZ_CHECKSUM_4_GIB), refused);

    // A frame of three bytes, all alike, whose header names a window.
    let mut read = |window: u8| {
        let frame = [0x28, 0xb5, 0x2f, 0xfd, 0, window, 0x1b, 0, 0, b'x'];
        decompressor
            .decompress(Model::Zstd.id(), &frame)
            .map(<[u8]>::to_vec)
    };
    assert_eq!(read(0x38), Ok(b"xxx".to_vec()), "128 KiB");
    let refused = Err(DecompressError::TooMuchMemory);
    assert_eq!(read(0x39), refused, "144 KiB");
    assert_eq!(read(0xb8), refused, "8 GiB");
}

#[test]
fn truncated_payloads_are_refused_and_do_no_lasting_harm() {
    let mut decompressor = Decompressor::new();
    for (name, model, compressed, expected) in references() {
        for len in 0..compressed.len() {
            let Ok(plain) = decompressor.decompress(model.id(), &compressed[..len]) else {
                continue;
            };
            // A block of LZ4 has no end mark: cut between two sequences it is a shorter block.
            assert!(!WITH_END.contains(&model), "{name}, {len} bytes");
            assert!(expected.starts_with(plain), "{name}, {len} bytes");
        }
        let plain = decompressor.decompress(model.id(), &compressed);
        assert_eq!(plain, Ok(&expected[..]), "{name}");
    }
}

#[test]
fn what_follows_the_end_is_treated_as_in_c() {
    let mut decompressor = Decompressor::new();
    for (name, model, mut compressed, expected) in references() {
        compressed.push(0);
        let read = decompressor.decompress(model.id(), &compressed);
        match model {
            Model::Zlib | Model::Lzma | Model::Bzip2 => {
                assert_eq!(read, Ok(&expected[..]), "{name}");
            }
            Model::Lzo2 | Model::Zstd | Model::Lz4 | Model::Lz4hc => {
                assert_eq!(read, Err(DecompressError::Garbled), "{name}");
            }
        }
    }
}

#[test]
fn empty_payloads_are_refused() {
    let mut decompressor = Decompressor::new();
    for model in Model::ALL {
        let read = decompressor.decompress(model.id(), &[]);
        assert_eq!(read, Err(DecompressError::Garbled), "{model:?}");
        let empty = match model {
            Model::Lzo2 => b"\x11\0\0".to_vec(),
            Model::Zlib | Model::Lz4 | Model::Lz4hc | Model::Lzma | Model::Bzip2 | Model::Zstd => {
                compressed_unbounded(model, &[])
            }
        };
        let read = decompressor.decompress(model.id(), &empty);
        assert_eq!(read, Err(DecompressError::Garbled), "{model:?}");
    }
}

#[test]
fn models_have_kronosnets_numbers() {
    let mut decompressor = Decompressor::new();
    for (id, model) in (1_u8..).zip(Model::ALL) {
        assert_eq!(model.id(), id);
    }
    for id in [0, 8, 255] {
        let refused = decompressor.decompress(id, b"anything");
        assert_eq!(refused, Err(DecompressError::UnknownModel(id)));
    }
}

#[test]
fn setups_are_checked() {
    let level = |model, level| Err(SetupError::Level(model, level));
    let cases = [
        ("none", 99, 99_999, Ok(None)),
        ("zlib", 0, 0, Ok(Some(Model::Zlib))),
        ("zlib", -1, 65_536, Ok(Some(Model::Zlib))),
        ("zlib", 9, 1, Ok(Some(Model::Zlib))),
        ("zlib", 10, 0, level(Model::Zlib, 10)),
        ("zlib", -2, 0, level(Model::Zlib, -2)),
        ("lz4", -7, 0, Ok(Some(Model::Lz4))),
        ("lz4hc", 16, 0, Ok(Some(Model::Lz4hc))),
        ("lzo2", 0, 0, Ok(Some(Model::Lzo2))),
        ("lzo2", 999, 0, Ok(Some(Model::Lzo2))),
        ("lzma", 0, 0, Ok(Some(Model::Lzma))),
        ("lzma", 9, 0, Ok(Some(Model::Lzma))),
        ("lzma", i32::MIN + 9, 0, Ok(Some(Model::Lzma))),
        ("lzma", 10, 0, level(Model::Lzma, 10)),
        ("lzma", -1, 0, level(Model::Lzma, -1)),
        ("bzip2", 0, 0, level(Model::Bzip2, 0)),
        ("bzip2", 1, 0, Ok(Some(Model::Bzip2))),
        ("bzip2", 9, 0, Ok(Some(Model::Bzip2))),
        ("bzip2", 10, 0, level(Model::Bzip2, 10)),
        ("zstd", -5, 0, Ok(Some(Model::Zstd))),
        ("zstd", 22, 0, Ok(Some(Model::Zstd))),
        ("lz4", 1, 65_537, Err(SetupError::Threshold(65_537))),
        ("gzip", 1, 0, Err(SetupError::UnknownModel("gzip".into()))),
        ("", 1, 0, Err(SetupError::UnknownModel(String::new()))),
    ];
    for (model, level, threshold, expected) in cases {
        let made = Compressor::new(model, level, threshold);
        let made = made.map(|compressor| compressor.map(|compressor| compressor.model()));
        assert_eq!(
            made, expected,
            "{model}, level {level}, threshold {threshold}"
        );
    }
    let refused = Compressor::new("bzip2", 0, 0).unwrap_err().to_string();
    assert_eq!(refused, "compression model bzip2 has no level 0");
}

/// Payloads with something to find: pieces of few symbols, repeated pieces, noise.
fn payloads() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        (any::<u8>(), 1_usize..5_000).prop_map(|(byte, len)| vec![byte; len]),
        proptest::collection::vec(0_u8..4, 1..2_000),
        proptest::collection::vec(any::<u8>(), 1..2_000),
        (proptest::collection::vec(any::<u8>(), 1..300), 1_usize..20)
            .prop_map(|(bytes, times)| bytes.repeat(times)),
    ];
    proptest::collection::vec((piece, 1_usize..4), 1..6).prop_map(|pieces| {
        let (once, times): (Vec<_>, Vec<_>) = pieces.into_iter().unzip();
        let rounds = times.iter().copied().max().unwrap_or(1);
        let mut all = once.concat().repeat(rounds);
        all.truncate(MAX_PAYLOAD_LEN);
        all
    })
}

fn decompresses_to_a_bounded_length(decompressor: &mut Decompressor, id: u8, bytes: &[u8]) {
    if let Ok(plain) = decompressor.decompress(id, bytes) {
        assert!((1..=MAX_DECOMPRESSED_LEN).contains(&plain.len()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_payload_comes_back(first in payloads(), second in payloads()) {
        let mut decompressor = Decompressor::new();
        for model in Model::ALL {
            let mut compressor = compressor(model);
            for payload in [&first, &second] {
                if let Some(compressed) = compressor.compress(payload) {
                    prop_assert!(compressed.len() < payload.len());
                    let plain = decompressor.decompress(model.id(), compressed);
                    prop_assert_eq!(plain, Ok(&payload[..]), "{:?}", model);
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn random_bytes_do_no_harm(
        id in 1_u8..=7,
        bytes in proptest::collection::vec(any::<u8>(), 0..400),
    ) {
        let mut decompressor = Decompressor::new();
        decompresses_to_a_bounded_length(&mut decompressor, id, &bytes);
        // Behind the beginning of a true stream more of the decoder is reached.
        for (_, model, compressed, _) in references() {
            if model.id() == id {
                let start = [&compressed[..compressed.len().min(24)], &bytes[..]].concat();
                decompresses_to_a_bounded_length(&mut decompressor, id, &start);
            }
        }
    }

    #[test]
    fn mutated_payloads_do_no_harm(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
        again in any::<prop::sample::Index>(),
    ) {
        let mut decompressor = Decompressor::new();
        for (name, model, mut bytes, expected) in references() {
            let intact = bytes.clone();
            for (at, byte) in &changes {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            decompresses_to_a_bounded_length(&mut decompressor, model.id(), &bytes);
            bytes.splice(cut.index(bytes.len()).., intact[again.index(intact.len())..].to_vec());
            decompresses_to_a_bounded_length(&mut decompressor, model.id(), &bytes);
            let plain = decompressor.decompress(model.id(), &intact);
            prop_assert_eq!(plain, Ok(&expected[..]), "{} afterwards", name);
        }
    }
}

const XZ_CHECKSUM_64_MIB: [u8; 4] = [0x10, 0xcf, 0x58, 0xcc];
const XZ_CHECKSUM_96_MIB: [u8; 4] = [0x75, 0xa8, 0xe4, 0x74];
const XZ_CHECKSUM_4_GIB: [u8; 4] = [0xe6, 0xa0, 0x11, 0xb3];

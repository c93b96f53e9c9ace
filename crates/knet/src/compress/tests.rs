use super::*;

/// What Python's `zlib` (level 9) and the `lz4` tool (levels 1 and 9 alike) make of `"ring "`, forty times.
const REFERENCES: [(Model, &[u8]); 3] = [
    (
        Model::Zlib,
        b"\x78\xda\x2b\xca\xcc\x4b\x57\x28\x1a\xfa\x04\x00\x92\x9c\x48\x81",
    ),
    (Model::Lz4, LZ4_BLOCK),
    (Model::Lz4hc, LZ4_BLOCK),
];

const LZ4_BLOCK: &[u8] = b"\x5fring \x05\x00\xab\x50ring ";

const SUPPORTED: [Model; 3] = [Model::Zlib, Model::Lz4, Model::Lz4hc];

fn compressor(model: Model) -> Compressor {
    Compressor::new(model.name(), 0, 0).unwrap().unwrap()
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

#[test]
fn what_others_compressed_is_read() {
    let expected = b"ring ".repeat(40);
    for (model, compressed) in REFERENCES {
        let mut decompressor = Decompressor::new();
        let plain = decompressor.decompress(model.id(), compressed);
        assert_eq!(plain, Ok(&expected[..]), "{model:?}");
    }
}

#[test]
fn payloads_come_back_through_buffers_that_are_used_again() {
    let mut decompressor = Decompressor::new();
    for model in SUPPORTED {
        let mut compressor = compressor(model);
        for len in [101, 1446, 65_536, 4_000] {
            let mut payload = noise(len / 2);
            payload.resize(len, b'x');
            let compressed = compressor.compress(&payload).unwrap();
            assert!(compressed.len() < len, "{model:?}, {len} bytes");
            let plain = decompressor.decompress(model.id(), compressed);
            assert_eq!(plain, Ok(&payload[..]), "{model:?}, {len} bytes");
        }
    }
}

#[test]
fn nothing_goes_out_longer_than_it_was() {
    for model in SUPPORTED {
        let mut compressor = compressor(model);
        for len in [101, 1446, 65_536] {
            assert_eq!(
                compressor.compress(&noise(len)),
                None,
                "{model:?}, {len} bytes"
            );
        }
        assert_eq!(
            compressor.compress(&[0; 65_537]),
            None,
            "{model:?}: no payload of knet"
        );
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
        (50_000_000, false),
    ] {
        let payload = vec![0; len];
        let expected = if fits {
            Ok(len)
        } else {
            Err(DecompressError::TooLong)
        };
        let mut zlib = Vec::with_capacity(len);
        let status = Compress::new(Compression::best(), true).compress_vec(
            &payload,
            &mut zlib,
            FlushCompress::Finish,
        );
        assert!(matches!(status, Ok(Status::StreamEnd)));
        let read = decompressor
            .decompress(Model::Zlib.id(), &zlib)
            .map(<[u8]>::len);
        assert_eq!(read, expected, "zlib, {len} bytes");
        let block = lz4_flex::block::compress(&payload);
        let read = decompressor
            .decompress(Model::Lz4.id(), &block)
            .map(<[u8]>::len);
        assert_eq!(read, expected, "lz4, {len} bytes");
    }
}

#[test]
fn truncated_payloads_are_refused_and_do_no_lasting_harm() {
    let expected = b"ring ".repeat(40);
    let mut decompressor = Decompressor::new();
    for (model, compressed) in REFERENCES {
        for len in 0..compressed.len() {
            // A block of LZ4 has no end mark: cut between two sequences it is a shorter block.
            if let Ok(plain) = decompressor.decompress(model.id(), &compressed[..len]) {
                assert!(
                    model != Model::Zlib && expected.starts_with(plain),
                    "{model:?}, {len} bytes"
                );
            }
        }
        let plain = decompressor.decompress(model.id(), compressed);
        assert_eq!(plain, Ok(&expected[..]), "{model:?}");
    }
}

#[test]
fn garbage_neither_panics_nor_grows() {
    let mut decompressor = Decompressor::new();
    let noise = noise(20_000);
    for start in 0..2_000 {
        let garbage = &noise[start..start + start % 97];
        for model in SUPPORTED {
            if let Ok(plain) = decompressor.decompress(model.id(), garbage) {
                assert!(
                    (1..=MAX_DECOMPRESSED_LEN).contains(&plain.len()),
                    "{model:?} at {start}"
                );
            }
        }
        let mut zlib = REFERENCES[0].1.to_vec();
        zlib[start % 16] ^= noise[start] | 1;
        // A header may say the same in other words; the checksum vouches for the rest.
        if let Ok(plain) = decompressor.decompress(Model::Zlib.id(), &zlib) {
            assert_eq!(plain, b"ring ".repeat(40), "at {start}");
        }
    }
    let empty_block = decompressor.decompress(Model::Lz4.id(), &[0]);
    assert_eq!(empty_block, Err(DecompressError::Garbled));
}

#[test]
fn models_that_are_missing_are_named() {
    let mut decompressor = Decompressor::new();
    for (id, model) in (1_u8..).zip(Model::ALL) {
        assert_eq!(model.id(), id);
        if SUPPORTED.contains(&model) {
            continue;
        }
        let refused = Compressor::new(model.name(), 0, 0).unwrap_err();
        assert_eq!(refused, SetupError::Unsupported(model));
        let message = format!("compression model {} is not supported", model.name());
        assert_eq!(refused.to_string(), message);
        let refused = decompressor.decompress(id, b"anything");
        assert_eq!(refused, Err(DecompressError::Unsupported(model)));
    }
    for id in [0, 8, 255] {
        let refused = decompressor.decompress(id, b"anything");
        assert_eq!(refused, Err(DecompressError::UnknownModel(id)));
    }
}

#[test]
fn setups_are_checked() {
    let cases = [
        ("none", 99, 99_999, Ok(None)),
        ("zlib", 0, 0, Ok(Some(Model::Zlib))),
        ("zlib", -1, 65_536, Ok(Some(Model::Zlib))),
        ("zlib", 9, 1, Ok(Some(Model::Zlib))),
        ("zlib", 10, 0, Err(SetupError::Level(Model::Zlib, 10))),
        ("zlib", -2, 0, Err(SetupError::Level(Model::Zlib, -2))),
        ("lz4", -7, 0, Ok(Some(Model::Lz4))),
        ("lz4hc", 16, 0, Ok(Some(Model::Lz4hc))),
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
}

mod change;
mod vectors;

use bytes::BytesMut;

use super::*;

/// Packet lengths around the block size, and the longest that goes through the IP layer as one datagram.
const LENGTHS: [usize; 9] = [0, 1, 15, 16, 17, 31, 32, 1446, 65_000];

const IV: [u8; IV_LEN] = [
    0xf0, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa, 0xfb, 0xfc, 0xfd, 0xfe, 0xff,
];

fn key_bytes(seed: u8, len: usize) -> Vec<u8> {
    (0_u8..=255)
        .cycle()
        .map(|i| i.wrapping_mul(7).wrapping_add(seed))
        .take(len)
        .collect()
}

fn key(seed: u8) -> Key {
    Key::new(&key_bytes(seed, MIN_KEY_LEN)).unwrap()
}

fn suites() -> impl Iterator<Item = Suite> {
    Hash::ALL.into_iter().flat_map(|hash| {
        let encrypted = Cipher::ALL.map(|cipher| Suite::encrypted(cipher, hash));
        encrypted.into_iter().chain([Suite::signed(hash)])
    })
}

fn sealed(instance: &Instance, packet: &[u8]) -> BytesMut {
    let mut out = BytesMut::new();
    instance.seal(&IV, &[packet], &mut out);
    out
}

#[test]
fn every_suite_opens_what_it_seals_and_costs_what_it_says() {
    for suite in suites() {
        for key_len in [MIN_KEY_LEN, 129, 1024, MAX_KEY_LEN] {
            let instance = Instance::new(suite, &Key::new(&key_bytes(1, key_len)).unwrap());
            let mut scratch = Vec::new();
            for len in LENGTHS {
                // Without a cipher nothing is left of an empty packet, and C refuses it.
                if len == 0 && suite.cipher().is_none() {
                    continue;
                }
                let packet = key_bytes(9, len);
                let datagram = sealed(&instance, &packet);
                assert_eq!(datagram.len(), suite.overhead().sealed_len(len), "{suite}");
                assert_eq!(
                    instance.open(&datagram, &mut scratch),
                    Ok(&packet[..]),
                    "{suite}"
                );
            }
        }
    }
}

#[test]
fn parts_are_one_packet_and_a_train_keeps_its_earlier_datagrams() {
    for suite in suites() {
        let instance = Instance::new(suite, &key(1));
        let packet = key_bytes(9, 100);
        let whole = sealed(&instance, &packet);
        let mut train = BytesMut::from(&b"earlier"[..]);
        instance.seal(&IV, &[&packet[..10], &[], &packet[10..]], &mut train);
        assert_eq!(train, [b"earlier", &whole[..]].concat(), "{suite}");
    }
}

#[test]
fn sealing_into_enough_room_does_not_allocate() {
    for suite in suites() {
        let instance = Instance::new(suite, &key(1));
        let mut out = BytesMut::with_capacity(suite.overhead().sealed_len(1446));
        let before = (out.as_ptr(), out.capacity());
        instance.seal(&IV, &[&key_bytes(9, 1446)], &mut out);
        assert_eq!((out.as_ptr(), out.capacity()), before, "{suite}");
    }
}

#[test]
fn no_truncated_datagram_opens() {
    for suite in suites() {
        let instance = Instance::new(suite, &key(1));
        let datagram = sealed(&instance, &key_bytes(9, 40));
        for len in 0..datagram.len() {
            let refused = instance
                .open(&datagram[..len], &mut Vec::new())
                .unwrap_err();
            let expected = if len <= suite.hash().len() {
                OpenError::TooShort
            } else {
                OpenError::Forged
            };
            assert_eq!(refused, expected, "{suite}, {len} bytes");
        }
    }
}

#[test]
fn no_flipped_bit_passes_and_nothing_is_decrypted_before_that_is_known() {
    for suite in suites() {
        let instance = Instance::new(suite, &key(1));
        let mut datagram = sealed(&instance, &key_bytes(9, 40));
        for bit in 0..datagram.len() * 8 {
            datagram[bit / 8] ^= 1 << (bit % 8);
            let mut scratch = b"untouched".to_vec();
            let opened = instance.open(&datagram, &mut scratch).map(<[u8]>::len);
            assert_eq!(opened, Err(OpenError::Forged), "{suite}, bit {bit}");
            assert_eq!(scratch, b"untouched", "{suite}, bit {bit}");
            datagram[bit / 8] ^= 1 << (bit % 8);
        }
    }
}

#[test]
fn no_appended_byte_and_no_foreign_key_passes() {
    for suite in suites() {
        let instance = Instance::new(suite, &key(1));
        let mut datagram = sealed(&instance, &key_bytes(9, 40));
        let stranger = Instance::new(suite, &key(2));
        let opened = stranger.open(&datagram, &mut Vec::new()).map(<[u8]>::len);
        assert_eq!(opened, Err(OpenError::Forged), "{suite}");
        datagram.extend_from_slice(&[0]);
        let opened = instance.open(&datagram, &mut Vec::new()).map(<[u8]>::len);
        assert_eq!(opened, Err(OpenError::Forged), "{suite}");
    }
}

/// A key may leak or a peer be broken: what it signs must still not lead anywhere.
#[test]
fn authentic_rubbish_is_refused() {
    let signer = Instance::new(Suite::signed(Hash::Sha256), &key(1));
    let opener = Instance::new(Suite::encrypted(Cipher::Aes256, Hash::Sha256), &key(1));
    let cases = [
        (15, OpenError::TooShort, "less than an IV"),
        (16, OpenError::Undecipherable, "an IV alone"),
        (40, OpenError::Undecipherable, "half a block"),
        (48, OpenError::Undecipherable, "blocks without a padding"),
    ];
    for (len, expected, what) in cases {
        let datagram = sealed(&signer, &vec![0; len]);
        let opened = opener.open(&datagram, &mut Vec::new()).map(<[u8]>::len);
        assert_eq!(opened, Err(expected), "{what}");
    }
}

#[test]
fn datagrams_longer_than_any_of_knet_are_not_even_hashed() {
    let instance = Instance::new(Suite::signed(Hash::Sha1), &key(1));
    let longest = sealed(&instance, &vec![1; MAX_SEALED_LEN]);
    assert!(instance.open(&longest, &mut Vec::new()).is_ok());
    let longer = sealed(&instance, &vec![1; MAX_SEALED_LEN + 1]);
    let opened = instance.open(&longer, &mut Vec::new()).map(<[u8]>::len);
    assert_eq!(opened, Err(OpenError::TooLong));
}

#[test]
fn suites_are_read_from_the_configuration() {
    let (aes256, sha256) = (Cipher::Aes256, Hash::Sha256);
    let cases = [
        ("none", "none", Ok(None)),
        ("none", "sha256", Ok(Some(Suite::signed(sha256)))),
        (
            "aes256",
            "sha256",
            Ok(Some(Suite::encrypted(aes256, sha256))),
        ),
        ("aes256", "none", Err(SuiteError::CipherWithoutHash(aes256))),
        (
            "3des",
            "sha256",
            Err(SuiteError::UnknownCipher("3des".into())),
        ),
        (
            "AES256",
            "sha256",
            Err(SuiteError::UnknownCipher("AES256".into())),
        ),
        (
            "aes256",
            "sha3",
            Err(SuiteError::UnknownHash("sha3".into())),
        ),
        ("", "", Err(SuiteError::UnknownCipher(String::new()))),
    ];
    for (cipher, hash, expected) in cases {
        assert_eq!(Suite::parse(cipher, hash), expected, "{cipher}/{hash}");
    }
    for suite in suites() {
        let name = suite.to_string();
        let (cipher, hash) = name.split_once('/').unwrap();
        assert_eq!(Suite::parse(cipher, hash), Ok(Some(suite)), "{name}");
    }
    let half = Suite::parse("aes128", "none").unwrap_err().to_string();
    assert_eq!(half, "crypto cipher aes128 needs a crypto hash");
}

#[test]
fn keys_have_their_bounds_and_are_not_printed() {
    let cases = [
        (0, Err(KeyError::TooShort(0))),
        (127, Err(KeyError::TooShort(127))),
        (128, Ok(())),
        (4096, Ok(())),
        (4097, Err(KeyError::TooLong(4097))),
    ];
    for (len, expected) in cases {
        let made = Key::new(&key_bytes(1, len)).map(drop);
        assert_eq!(made, expected, "{len} bytes");
    }
    assert_eq!(format!("{:?}", key(1)), "Key(128 bytes)");
    let instance = Instance::new(Suite::encrypted(Cipher::Aes192, Hash::Md5), &key(1));
    assert_eq!(format!("{instance:?}"), "Instance(aes192/md5)");
}

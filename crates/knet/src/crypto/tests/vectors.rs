//! Published vectors of the primitives, and whole datagrams that OpenSSL and Python made from the layout.

use super::super::cipher::AesKey;
use super::super::mac::Mac;
use super::*;

/// NIST SP 800-38A, F.2.1, F.2.3 and F.2.5: key, then the four blocks of ciphertext.
const CBC: [(Cipher, &str, &str); 3] = [
    (
        Cipher::Aes128,
        "2b7e151628aed2a6abf7158809cf4f3c",
        "7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b2\
         73bed6b8e3c1743b7116e69e222295163ff1caa1681fac09120eca307586e1a7",
    ),
    (
        Cipher::Aes192,
        "8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b",
        "4f021db243bc633d7178183a9fa071e8b4d9ada9ad7dedf4e5e738763f69145a\
         571b242012fb7ae07fa9baac3df102e008b0e27988598881d920a9e64f5615cd",
    ),
    (
        Cipher::Aes256,
        "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
        "f58c4c04d6e5f1ba779eabfb5f7bfbd69cfc4e967edb808d679f777bc6702c7d\
         39f23369a9d9bacfa530e26304231461b2eb05e2c39be9fcda6c19078c6a9d1b",
    ),
];

const CBC_IV: &str = "000102030405060708090a0b0c0d0e0f";
const CBC_PLAIN: &str = "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51\
                         30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710";

#[test]
fn aes_cbc_is_that_of_nist() {
    let iv: [u8; IV_LEN] = unhex(CBC_IV).try_into().unwrap();
    let plain = unhex(CBC_PLAIN);
    for (cipher, key, expected) in CBC {
        let mut key = unhex(key);
        key.resize(MIN_KEY_LEN, 0);
        let aes = AesKey::new(cipher, &Key::new(&key).unwrap());
        // NIST's blocks are full, so the padding is one block more.
        let mut buffer = plain.clone();
        buffer.resize(plain.len() + 16, 0);
        aes.encrypt(&iv, &mut buffer, plain.len());
        assert_eq!(hex(&buffer[..plain.len()]), expected, "{}", cipher.name());
        let mut out = vec![0; buffer.len()];
        let len = aes.decrypt(&iv, &buffer, &mut out).unwrap();
        assert_eq!(out[..len], plain, "{}", cipher.name());
    }
}

/// RFC 2202 and RFC 4231, case 2: the key `Jefe`.
const HMAC_SHORT: [(Hash, &str); 5] = [
    (Hash::Md5, "750c783e6ab0b503eaa86e310a5db738"),
    (Hash::Sha1, "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"),
    (
        Hash::Sha256,
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
    ),
    (
        Hash::Sha384,
        "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649",
    ),
    (
        Hash::Sha512,
        "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554\
         9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
    ),
];

/// RFC 2202 and RFC 4231, case 6: keys longer than a block of the hash, so many bytes of 0xaa.
const HMAC_LONG: [(Hash, usize, &str); 5] = [
    (Hash::Md5, 80, "6b1ab7fe4bd7bf8f0b62e6ce61b9d0cd"),
    (Hash::Sha1, 80, "aa4ae5e15272d00e95705637ce8a3b55ed402112"),
    (
        Hash::Sha256,
        131,
        "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
    ),
    (
        Hash::Sha384,
        131,
        "4ece084485813e9088d2c63a041bc5b44f9ef1012a2b588f3cd11f05033ac4c60c2ef6ab4030fe8296248df163f44952",
    ),
    (
        Hash::Sha512,
        131,
        "80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f352\
         6b56d037e05f2598bd0fd2215d6a1e5295e64f73f63f0aec8b915a985d786598",
    ),
];

#[test]
fn hmac_is_that_of_the_rfcs() {
    for (hash, expected) in HMAC_SHORT {
        check_hmac(hash, b"Jefe", b"what do ya want for nothing?", expected);
    }
    let data = b"Test Using Larger Than Block-Size Key - Hash Key First";
    for (hash, key_len, expected) in HMAC_LONG {
        check_hmac(hash, &vec![0xaa; key_len], data, expected);
    }
}

fn check_hmac(hash: Hash, key: &[u8], data: &[u8], expected: &str) {
    let mac = Mac::with_bytes(hash, key);
    let mut out = BytesMut::from(&[b"before", data].concat()[..]);
    mac.sign(&mut out, 6);
    let tag = &out[6 + data.len()..];
    assert_eq!(hex(tag), expected, "{}", hash.name());
    assert!(mac.verify(data, tag), "{}", hash.name());
    assert!(
        !mac.verify(data, &tag[1..]),
        "{}: a part of it",
        hash.name()
    );
}

/// A ping of a real ring.
const PING: &str = "01810001000000eb0b000000000000a843d72100000000000001";

const PING_AES256: &str = "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff\
                           6a31ccbaf90291957b5607caabeec9added99175271e9ecf2952ae013ab0fb6f";

/// `openssl enc -aes-N-cbc` and Python's `hmac` over [`PING`] with the key of [`key`]`(3)` and [`IV`].
#[test]
fn datagrams_are_what_other_implementations_make_of_the_layout() {
    let aes = |cipher, hash| Suite::encrypted(cipher, hash);
    let cases = [
        (
            aes(Cipher::Aes128, Hash::Sha256),
            "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff8b7c749b1da379c75f121a4bbfcb8620a40b3493f13716a1068a0fc9c74fbac7",
            "42ff75b288352d7ece9ccb9b70e0e6f8ecf20d4d9e8a3415ba725d9ec7cae570",
        ),
        (
            aes(Cipher::Aes192, Hash::Sha256),
            "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff3c4fe54a1eb78618fdabf80d62109e500c384a7312807e528a03f2c661e681bf",
            "012079e116447b53f00c30578b081a1c540b017c98016582ba83e1477b34ed36",
        ),
        (
            aes(Cipher::Aes256, Hash::Md5),
            PING_AES256,
            "d7e31af9910fcefdee28570df03af141",
        ),
        (
            aes(Cipher::Aes256, Hash::Sha1),
            PING_AES256,
            "35ba1ece18d0eca20ae62b16b9e5d8a8cb5b4596",
        ),
        (
            aes(Cipher::Aes256, Hash::Sha256),
            PING_AES256,
            "dbd5f4aad422df7186ce57e5c560c6594e452fd2207eabd98f7c61047ad5e75d",
        ),
        (
            aes(Cipher::Aes256, Hash::Sha384),
            PING_AES256,
            "93227348cd952ca7bbc9af496e19aa2e2b76412940288db4813305ed3ba0554838c9f8c3f422ca1d6826070e77e386ef",
        ),
        (
            aes(Cipher::Aes256, Hash::Sha512),
            PING_AES256,
            "43a6baf0729b358cbb5b0de352f8455f3211c4cc95e13e3027d0066c134bca83\
             e69ae00f7c6e2f69fdef7fd41319a03e80ceed008a9b01010c6b6432ed3eb678",
        ),
        (
            Suite::signed(Hash::Sha512),
            PING,
            "beac24d13e8ca92495d9b284c16e0a82a29778f61243ed12bb09451e03e81344\
             20a17f0d6c0ffedec68965778a7a753e6f26b036d11fb0b8d2b60e3c611aed98",
        ),
    ];
    for (suite, signed, tag) in cases {
        let datagram = sealed(&Instance::new(suite, &key(3)), &unhex(PING));
        assert_eq!(hex(&datagram), format!("{signed}{tag}"), "{suite}");
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .chars()
        .map(|c| u8::try_from(c.to_digit(16).unwrap()).unwrap())
        .collect();
    digits
        .chunks(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect()
}

//! Two keys at once: what a node that is changing sends, every other one opens.

use super::*;

const AES: Suite = Suite::encrypted(Cipher::Aes256, Hash::Sha256);

fn packet() -> Vec<u8> {
    let mut packet = vec![1, 0x81];
    packet.extend(key_bytes(9, 24));
    packet
}

/// A node after the steps that `slots` and `in_use` tell, which refuses clear traffic.
fn node(slots: [Option<(Suite, u8)>; 2], in_use: Option<Slot>) -> Crypto {
    let mut crypto = Crypto::new();
    for (slot, content) in [Slot::One, Slot::Two].into_iter().zip(slots) {
        let instance = content.map(|(suite, seed)| Instance::new(suite, &key(seed)));
        crypto.set(slot, instance).unwrap();
    }
    crypto.use_slot(in_use).unwrap();
    crypto.set_clear_traffic(ClearTraffic::Refused);
    crypto
}

fn pass(from: &Crypto, to: &Crypto) -> Result<Vec<u8>, OpenError> {
    let mut datagram = BytesMut::new();
    from.seal(Opens::Present, &IV, &[&packet()], &mut datagram);
    assert_eq!(
        datagram.len(),
        from.overhead(Opens::Present).sealed_len(packet().len())
    );
    to.open(&datagram, &mut Vec::new())
        .map(|opened| match opened {
            Opened::Authentic(_, packet) => packet.to_vec(),
            Opened::Clear(_) => panic!("clear traffic was refused"),
        })
}

/// The steps of a change from one key and suite to another, as every node takes them at its own pace.
fn steps(old: (Suite, u8), new: (Suite, u8)) -> [Crypto; 4] {
    [
        node([Some(old), None], Some(Slot::One)),
        node([Some(old), Some(new)], Some(Slot::One)),
        node([Some(old), Some(new)], Some(Slot::Two)),
        node([None, Some(new)], Some(Slot::Two)),
    ]
}

#[test]
fn nodes_one_step_apart_understand_each_other() {
    let kinds = [
        (AES, 1),
        (AES, 2),
        (Suite::encrypted(Cipher::Aes128, Hash::Sha256), 1),
        (Suite::encrypted(Cipher::Aes256, Hash::Md5), 1),
        (Suite::signed(Hash::Sha256), 1),
    ];
    for old in kinds {
        for new in kinds {
            let steps = steps(old, new);
            for (at, pair) in steps.windows(2).enumerate() {
                for (from, to) in [(0, 1), (1, 0), (0, 0), (1, 1)] {
                    let opened = pass(&pair[from], &pair[to]);
                    assert_eq!(opened, Ok(packet()), "{old:?} to {new:?}, step {at}");
                }
            }
        }
    }
}

#[test]
fn a_node_that_missed_the_first_step_hears_nothing_of_the_second() {
    let steps = steps((AES, 1), (AES, 2));
    assert_eq!(pass(&steps[2], &steps[0]), Err(OpenError::Forged));
    assert_eq!(pass(&steps[0], &steps[3]), Err(OpenError::Forged));
}

/// One key in two suites: each passes the other's HMAC, so that alone must not decide.
#[test]
fn noise_behind_a_right_hmac_is_no_packet() {
    let signed = Suite::signed(Hash::Sha256);
    let changing = node([Some((signed, 1)), Some((AES, 1))], Some(Slot::One));
    assert_eq!(
        pass(&node([Some((AES, 1)), None], Some(Slot::One)), &changing),
        Ok(packet())
    );

    let mut datagram = BytesMut::new();
    let instance = Instance::new(signed, &key(1));
    instance.seal(&IV, &[&[2, 0x81, 0, 0]], &mut datagram);
    let mut scratch = Vec::new();
    let refused = changing.open(&datagram, &mut scratch);
    assert_eq!(
        refused,
        Err(OpenError::TooShort),
        "the second key had the last word"
    );
    let opposite = node([Some((signed, 1)), Some((AES, 1))], Some(Slot::Two));
    let refused = opposite.open(&datagram, &mut scratch);
    assert_eq!(refused, Err(OpenError::NoPacket));
}

#[test]
fn slots_are_guarded() {
    let mut crypto = node([Some((AES, 1)), None], Some(Slot::One));
    assert_eq!(
        crypto.set(Slot::One, None),
        Err(SlotError::InUse(Slot::One))
    );
    assert_eq!(
        crypto.use_slot(Some(Slot::Two)),
        Err(SlotError::Empty(Slot::Two))
    );
    assert_eq!(crypto.in_use(), Some(Slot::One));
    let next = Instance::new(AES, &key(2));
    assert_eq!(crypto.set(Slot::One.other(), Some(next)), Ok(()));
    assert_eq!(crypto.use_slot(Some(Slot::Two)), Ok(()));
    assert_eq!(crypto.set(Slot::One, None), Ok(()));
    assert_eq!(
        SlotError::InUse(Slot::Two).to_string(),
        "crypto config 2 is in use"
    );
}

#[test]
fn clear_traffic_is_taken_only_where_it_is_allowed() {
    let clear = node([None, None], None);
    let mut crypto = node([Some((AES, 1)), None], Some(Slot::One));
    assert_eq!(clear.overhead(Opens::Present), Overhead::NONE);
    assert_eq!(pass(&clear, &crypto), Err(OpenError::TooShort));
    assert_eq!(pass(&clear, &clear), Err(OpenError::NoKey));

    crypto.set_clear_traffic(ClearTraffic::Allowed);
    let packet = packet();
    let mut scratch = Vec::new();
    let opened = crypto.open(&packet, &mut scratch);
    assert_eq!(opened, Ok(Opened::Clear(&packet)));
    let without_keys = Crypto::new();
    let opened = without_keys.open(&packet, &mut scratch);
    assert_eq!(opened, Ok(Opened::Clear(&packet)));
}

/// A ring that turns crypto on: who still sends in the clear opens already what the others encrypt.
#[test]
fn a_key_opens_before_any_seals() {
    let ahead = node([Some((AES, 1)), None], Some(Slot::One));
    let behind = node([Some((AES, 1)), None], None);
    assert_eq!(pass(&ahead, &behind), Ok(packet()));
}

#[test]
fn what_is_prepared_seals_for_those_who_open_it() {
    let (old, new) = ((AES, 1), (Suite::signed(Hash::Sha256), 2));
    let mut node = node([Some(old), None], Some(Slot::One));
    assert_eq!(
        node.prepare(Some(Slot::Two)),
        Err(SlotError::Empty(Slot::Two))
    );
    node.set(Slot::Two, Some(Instance::new(new.0, &key(new.1))))
        .unwrap();
    // Nothing was prepared.
    assert_eq!(node.seals(Opens::Next), Some(Slot::One));
    assert!(!node.is_next(Slot::Two));
    node.prepare(Some(Slot::Two)).unwrap();
    assert!(node.is_next(Slot::Two) && !node.is_next(Slot::One));
    assert_eq!(node.seals(Opens::Present), Some(Slot::One));
    assert_eq!(node.seals(Opens::Next), Some(Slot::Two));
    assert_eq!(node.overhead(Opens::Next), new.0.overhead());
    // It is replaced by another one, which has to be prepared itself.
    node.set(Slot::Two, None).unwrap();
    assert_eq!(node.seals(Opens::Next), Some(Slot::One));
    // No encryption can be prepared too.
    node.prepare(None).unwrap();
    assert_eq!(node.seals(Opens::Next), None);
    assert_eq!(node.seals(Opens::Present), Some(Slot::One));
    node.use_slot(Some(Slot::One)).unwrap();
    assert_eq!(node.seals(Opens::Next), Some(Slot::One));
}

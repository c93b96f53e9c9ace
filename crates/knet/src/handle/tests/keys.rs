//! One key after the other, at each host's own pace.

use super::*;

#[test]
fn a_key_changes_while_messages_flow() {
    let suite = Suite::encrypted(Cipher::Aes256, Hash::Sha256);
    let next = Suite::encrypted(Cipher::Aes128, Hash::Sha512);
    let mut net = Net::new(Policy::Passive, 1);
    net.suite = Some(suite);
    net.restart(A);
    net.restart(B);
    net.run(5_000);
    let mut number = 0;
    let mut exchange = |net: &mut Net| {
        number += 1;
        for (from, to) in [(A, B), (B, A)] {
            net.send(from, Destination::One(to), &text(number));
            net.run(1);
            assert_eq!(net.delivered(to), [(from, text(number))]);
        }
    };
    exchange(&mut net);
    let now = net.now;
    let steps: [&dyn Fn(&mut Knet); 3] = [
        &|node| {
            node.set_key(now, Slot::Two, Some(instance(next, 2)))
                .unwrap()
        },
        &|node| node.use_key(now, Some(Slot::Two)).unwrap(),
        &|node| node.set_key(now, Slot::One, None).unwrap(),
    ];
    for step in steps {
        for host in [A, B] {
            step(net.nodes.get_mut(&host).unwrap());
            net.drain();
            exchange(&mut net);
        }
    }
    net.run(5_000);
    assert_eq!(net.nodes[&A].data_mtu(), 1365);
    assert_eq!(net.nodes[&A].drops(), Drops::default());
}

/// B takes its first step when A has taken its last: neither loses what the other sends, as each seals with what the
/// other uses.
#[test]
fn a_host_that_is_late_with_its_key_is_not_cut_off() {
    let [old, new] = [
        Suite::signed(Hash::Md5),
        Suite::encrypted(Cipher::Aes128, Hash::Sha512),
    ];
    let mut net = Net::new(Policy::Passive, 1);
    net.suite = Some(old);
    net.restart(A);
    net.restart(B);
    net.run(5_000);
    let load = |net: &mut Net, host| {
        let now = net.now;
        let node = net.nodes.get_mut(&host).unwrap();
        node.set_key(now, Slot::Two, Some(instance(new, 2)))
            .unwrap();
        node.prepare_key(now, Some(Slot::Two)).unwrap();
    };
    let long = vec![7; 3 * net.nodes[&A].data_mtu()];
    let exchange = |net: &mut Net, (from, to)| {
        net.send(from, Destination::All, &long);
        net.run(1);
        assert_eq!(net.delivered(to), [(from, long.clone())]);
    };
    load(&mut net, A);
    exchange(&mut net, (A, B));
    exchange(&mut net, (B, A));
    load(&mut net, B);
    // The first of corosync to hear its own step seals with the new key, and opens nothing else soon after.
    let now = net.now;
    let b = net.nodes.get_mut(&B).unwrap();
    b.use_key(now, Some(Slot::Two)).unwrap();
    b.set_key(now, Slot::One, None).unwrap();
    net.run(1);
    exchange(&mut net, (B, A));
    exchange(&mut net, (A, B));
    assert_eq!(net.nodes[&A].key_in_use(), Some(Slot::One));
    assert_eq!(net.nodes[&A].drops(), Drops::default());
    assert_eq!(net.nodes[&B].drops(), Drops::default());
}

/// What a host says of itself counts as much as what it sends.
#[test]
fn a_host_that_tells_that_it_opens_the_next_key_gets_it() {
    let suite = Suite::signed(Hash::Sha256);
    let mut net = Net::new(Policy::Passive, 1);
    net.suite = Some(suite);
    net.restart(A);
    net.restart(B);
    net.run(5_000);
    let now = net.now;
    let a = net.nodes.get_mut(&A).unwrap();
    a.set_key(now, Slot::Two, Some(instance(suite, 2))).unwrap();
    a.prepare_key(now, Some(Slot::Two)).unwrap();
    a.host_opens_next(now, B);
    net.send(A, Destination::All, b"sealed with the next key");
    net.run(1);
    assert_eq!(net.delivered(B), []);
    assert_eq!(net.nodes[&B].drops().unauthentic, 1);
    // Another one is prepared: nothing is known of that.
    let now = net.now;
    let a = net.nodes.get_mut(&A).unwrap();
    a.set_key(now, Slot::Two, Some(instance(suite, 3))).unwrap();
    a.prepare_key(now, Some(Slot::Two)).unwrap();
    net.send(A, Destination::All, b"sealed with the present one");
    net.run(1);
    assert_eq!(net.delivered(B).len(), 1);
}

//! Messages in memory that a client shares; the host is played by the test.

use super::*;
use crate::output::{HostAnswer, HostRequest};

const ADDRESS: u64 = 0x7000;

/// What libcpg puts into shared memory behind its header.
fn buffer(data: &[u8], msglen: u32) -> Vec<u8> {
    let mut request = vec![0xee; 40];
    request[32..36].copy_from_slice(&msglen.to_le_bytes());
    request.extend_from_slice(data);
    request
}

fn answered(cluster: &mut Cluster, client: Client) -> (i32, Result<(), CsError>) {
    let answer = cluster.answer(client).expect("an answer");
    assert_eq!(answer.len(), 24);
    status(&answer)
}

#[test]
fn buffers_are_mapped_and_unmapped_by_the_host() {
    let mut cluster = Cluster::start(&[1]);
    let client = cluster.connect(1, ServiceId::CPG);
    let conn = client.conn;
    let alloc = Request::ZeroCopyAlloc {
        map_size: 100,
        path: b"/dev/shm/corosync_zerocopy-abc",
    };
    for result in [Ok(ADDRESS), Err(CsError::NoResources)] {
        cluster.send(client, &alloc);
        let path = b"/dev/shm/corosync_zerocopy-abc".to_vec();
        let size = 100;
        let asked = HostRequest::ZeroCopyAlloc { conn, path, size };
        assert_eq!(cluster.asked(1), Some(asked));
        assert_eq!(cluster.answer(client), None, "the host has not answered");
        cluster.answer_host(1, HostAnswer::ZeroCopyMapped { conn, result });
        assert_eq!(answered(&mut cluster, client), (0, result.map(drop)));
    }
    let free = Request::ZeroCopyFree {
        map_size: 100,
        server_address: ADDRESS,
    };
    for result in [Ok(()), Err(CsError::InvalidParam)] {
        cluster.send(client, &free);
        let (address, size) = (ADDRESS, 100);
        let asked = HostRequest::ZeroCopyFree {
            conn,
            address,
            size,
        };
        assert_eq!(cluster.asked(1), Some(asked));
        cluster.answer_host(1, HostAnswer::ZeroCopyFreed { conn, result });
        assert_eq!(answered(&mut cluster, client), (0, result));
    }
}

#[test]
fn a_message_in_a_buffer_is_sent_as_far_as_its_length_says() {
    let mut cluster = Cluster::start(&[1]);
    let client = joined(&mut cluster, 1, "g", 10);
    forget(&mut cluster, &[client]);
    let conn = client.conn;
    let address = ADDRESS;
    let execute = Request::ZeroCopyExecute {
        server_address: address,
    };
    let read = [
        (Ok(buffer(b"payload and more", 7)), Ok(())),
        (Ok(buffer(b"short", 6)), Err(CsError::InvalidParam)),
        (Ok(vec![0; 39]), Err(CsError::InvalidParam)),
        (
            Ok(buffer(&[0; (1 << 20) + 1], (1 << 20) + 1)),
            Err(CsError::TooBig),
        ),
        (Err(CsError::InvalidParam), Err(CsError::InvalidParam)),
    ];
    for (request, expected) in read {
        cluster.send(client, &execute);
        let asked = HostRequest::ZeroCopyExecute { conn, address };
        assert_eq!(cluster.asked(1), Some(asked));
        let request = request.as_deref().map_err(|e| *e);
        cluster.answer_host(1, HostAnswer::ZeroCopyRead { conn, request });
        assert_eq!(answered(&mut cluster, client), (2, expected));
    }
    cluster.settle();
    assert_eq!(events(&mut cluster, client), ["g 1:10 payload"]);
}

#[test]
fn who_is_in_no_group_does_not_bother_the_host() {
    let mut cluster = Cluster::start(&[1]);
    let client = cluster.connect(1, ServiceId::CPG);
    let execute = Request::ZeroCopyExecute {
        server_address: ADDRESS,
    };
    assert_eq!(call(&mut cluster, client, &execute), Err(CsError::NotExist));
    assert_eq!(cluster.asked(1), None);
}

#[test]
fn answers_for_a_gone_client_are_ignored_and_none_are_sent_during_sync() {
    let mut cluster = Cluster::start(&[1, 2]);
    let client = joined(&mut cluster, 1, "g", 10);
    let conn = client.conn;
    let execute = Request::ZeroCopyExecute {
        server_address: ADDRESS,
    };
    cluster.send(client, &execute);
    assert!(cluster.asked(1).is_some());
    cluster.crash(2);
    cluster.run_until("node 1 synchronises", |c| {
        c.node(1).core().sync.in_progress()
    });
    let bytes = buffer(b"x", 1);
    let request = Ok(bytes.as_slice());
    cluster.answer_host(1, HostAnswer::ZeroCopyRead { conn, request });
    assert_eq!(answered(&mut cluster, client), (2, Err(CsError::TryAgain)));
    cluster.settle();
    cluster.close(client);
    let request = Ok(bytes.as_slice());
    cluster.answer_host(1, HostAnswer::ZeroCopyRead { conn, request });
    cluster.settle();
}

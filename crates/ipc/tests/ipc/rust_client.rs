//! Our client against our server, both kinds: what the C client does too, and what it cannot do.

use std::os::unix::fs::FileExt as _;
use std::time::Duration;

use crate::support::{Command, PATIENCE, TestServer, event, header, id, serve, unique};
use ferrosync_ipc::{Addresses, Client, ClientError, Kind, Limits};

const KINDS: [Kind; 2] = [Kind::Shm, Kind::Socket];

fn connect(server: &TestServer) -> Client {
    Client::connect(&server.name, PATIENCE).unwrap()
}

fn echo(client: &mut Client, body: &[u8]) {
    let mut response = Vec::new();
    let request: [&[u8]; 2] = [&header(id::ECHO, body.len()), body];
    client.request(&request, &mut response, PATIENCE).unwrap();
    assert!(&response[24..] == body);
}

fn ask_events(client: &mut Client, count: u32, len: u32) {
    let body = [count.to_le_bytes(), len.to_le_bytes()].concat();
    let request: [&[u8]; 2] = [&header(id::EVENTS, 8), &body];
    let mut response = Vec::new();
    client.request(&request, &mut response, PATIENCE).unwrap();
}

#[test]
fn requests_of_every_length_come_back() {
    for kind in KINDS {
        let server = TestServer::start(kind, "rust-echo");
        let mut client = connect(&server);
        for len in (0..2000).chain([100_000, 1 << 17]) {
            let body: Vec<u8> = (0..len).map(|i: usize| (i * 13).to_le_bytes()[0]).collect();
            echo(&mut client, &body);
        }
        let seen = server.seen();
        assert_eq!((seen.requests, seen.stats.responses), (2002, 2002));
        assert_eq!(seen.credentials.unwrap().pid, std::process::id());
        assert_eq!(client.server().pid, std::process::id());
        drop(client);
        server.wait_until("the server sees it go", |seen| seen.closed == 1);
        server.wait_until_clean();
    }
}

#[test]
fn the_longest_message_passes_and_a_longer_one_does_not() {
    let server = TestServer::start(Kind::Shm, "rust-longest");
    let mut client = connect(&server);
    let longest = client.max_msg_size() as usize;
    echo(&mut client, &vec![7; longest - 24]);
    let request: [&[u8]; 2] = [&header(id::ECHO, longest), &vec![0; longest]];
    let result = client.request(&request, &mut Vec::new(), PATIENCE);
    assert!(matches!(result, Err(ClientError::TooBig)));
    echo(&mut client, b"still there");
}

/// Far more than the ring and the socket hold: the server has to notice by itself that the client made room.
#[test]
fn events_flow_on_when_a_slow_client_makes_room() {
    for kind in KINDS {
        for (count, len) in [(200_000_u32, 60_u32), (3000, 10_000), (40, 300_000)] {
            let server = TestServer::start(kind, "rust-events");
            let mut client = connect(&server);
            ask_events(&mut client, count, len);
            server.wait_until("the ring is full", |seen| seen.full > 0);
            let mut got = Vec::new();
            for seq in 0..count {
                client.recv_event(&mut got, PATIENCE).unwrap();
                assert!(got == event(seq, len as usize), "{kind:?} {seq}");
            }
            let nothing = client.recv_event(&mut got, Duration::from_millis(1));
            assert!(matches!(nothing, Err(ClientError::TimedOut)));
            let seen = server.wait_until("all is sent", |seen| seen.queued_events == 0);
            assert!(seen.writable > 0);
        }
    }
}

#[test]
fn a_stalled_connection_waits_for_the_gate_and_holds_up_nobody() {
    for kind in KINDS {
        let server = TestServer::start(kind, "rust-stall");
        let (mut stalled, mut other) = (connect(&server), connect(&server));
        server.tell(Command::CloseGate);
        let message = |i: u32| [&header(id::ASYNC, 4)[..], &i.to_le_bytes()].concat();
        for i in 0..5 {
            stalled.send(&[&message(i)]).unwrap();
        }
        server.wait_until("it stalls", |seen| seen.stalled == 1);
        echo(&mut other, b"not held up");
        let seen = server.seen();
        assert_eq!((seen.requests, seen.stalled), (1, 1), "looked at only once");
        server.tell(Command::OpenGate);
        let seen = server.wait_until("they arrive", |seen| seen.async_bodies.len() == 5);
        let expected: Vec<_> = (0..5_u32).map(|i| i.to_le_bytes().to_vec()).collect();
        assert_eq!(seen.async_bodies, expected);
        echo(&mut stalled, b"goes on");
    }
}

#[test]
fn a_full_request_channel_says_try_again() {
    for kind in KINDS {
        let server = TestServer::start(kind, "rust-full");
        let mut client = connect(&server);
        server.tell(Command::CloseGate);
        let body = vec![1; 20_000];
        let mut sent = 0;
        let full = loop {
            let parts: [&[u8]; 2] = [&header(id::ASYNC, body.len()), &body];
            match client.send(&parts) {
                Ok(()) => sent += 1,
                Err(error) => break error,
            }
            assert!(sent < 10_000, "a bound");
        };
        assert!(matches!(full, ClientError::TryAgain), "{full}");
        server.tell(Command::OpenGate);
        server.wait_until("all that was sent", |seen| seen.async_bodies.len() == sent);
        echo(&mut client, b"room again");
    }
}

#[test]
fn flow_control_levels_hold_back_what_they_are_for() {
    for kind in KINDS {
        let server = TestServer::start(kind, "rust-level");
        let mut client = connect(&server);
        let message: [&[u8]; 1] = [&header(id::ASYNC, 0)];
        for (level, may_send, may_request) in [(2, false, true), (1, false, false), (0, true, true)]
        {
            server.tell(Command::SetLevel(level));
            let started = std::time::Instant::now();
            while client.flow_control() != level {
                assert!(started.elapsed() < PATIENCE);
                std::thread::yield_now();
            }
            assert_eq!(client.send(&message).is_ok(), may_send, "{level}");
            let mut response = Vec::new();
            let request: [&[u8]; 1] = [&header(id::ECHO, 0)];
            let result = client.request(&request, &mut response, PATIENCE);
            assert_eq!(result.is_ok(), may_request, "{level}");
        }
    }
}

#[test]
fn requests_of_a_client_that_is_gone_are_still_served() {
    for kind in KINDS {
        let server = TestServer::start(kind, "rust-gone");
        let mut client = connect(&server);
        server.tell(Command::CloseGate);
        for _ in 0..8 {
            client.send(&[&header(id::ASYNC, 0)]).unwrap();
        }
        server.wait_until("it stalls", |seen| seen.stalled == 1);
        server.tell(Command::OpenGate);
        server.wait_until("all are served", |seen| seen.async_bodies.len() == 8);
        // Now without a stall: sent and gone before the server may have looked once.
        let mut sent = 8;
        for _ in 0..200 {
            match client.send(&[&header(id::ASYNC, 0)]) {
                Ok(()) => sent += 1,
                Err(ClientError::TryAgain) => break,
                Err(error) => panic!("{error}"),
            }
        }
        drop(client);
        let seen = server.wait_until("closed", |seen| seen.closed == 1);
        assert_eq!(seen.async_bodies.len(), sent);
    }
}

#[test]
fn a_client_that_dies_while_stalled_is_closed() {
    for kind in KINDS {
        let server = TestServer::start(kind, "rust-die");
        let mut client = connect(&server);
        server.tell(Command::CloseGate);
        client.send(&[&header(id::ASYNC, 0)]).unwrap();
        server.wait_until("it stalls", |seen| seen.stalled == 1);
        drop(client);
        server.wait_until("closed", |seen| seen.closed == 1);
        server.wait_until_clean();
    }
}

#[test]
fn the_end_from_the_servers_side_reaches_the_client() {
    for kind in KINDS {
        for command in [Command::CloseAll, Command::Unlisten] {
            let server = TestServer::start(kind, "rust-end");
            let mut client = connect(&server);
            ask_events(&mut client, 3, 100);
            server.tell(command);
            server.wait_until_clean();
            let mut got = Vec::new();
            for seq in 0..3 {
                client.recv_event(&mut got, PATIENCE).unwrap();
                assert!(got == event(seq, 100), "sent before the end");
            }
            let result = client.recv_event(&mut got, PATIENCE);
            assert!(
                matches!(result, Err(ClientError::NotConnected)),
                "{result:?}"
            );
            let request: [&[u8]; 1] = [&header(id::ECHO, 0)];
            let result = client.request(&request, &mut got, PATIENCE);
            assert!(
                matches!(result, Err(ClientError::NotConnected)),
                "{result:?}"
            );
        }
    }
}

/// C's client looks at nothing else before it writes into the ring.
#[test]
fn a_closed_ring_says_so_in_its_reference_count() {
    let server = TestServer::start(Kind::Shm, "rust-count");
    let _client = connect(&server);
    let [dir] = server.directories().try_into().unwrap();
    let headers: Vec<std::fs::File> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_str().unwrap().ends_with("-header"))
        .map(|path| std::fs::File::open(path).unwrap())
        .collect();
    let counts = || -> Vec<u8> {
        let mut count = [0; 4];
        let read = |header: &std::fs::File| {
            header.read_exact_at(&mut count, 8204).unwrap();
            count[0]
        };
        headers.iter().map(read).collect()
    };
    assert_eq!(counts(), [2, 2, 2]);
    server.tell(Command::CloseAll);
    assert_eq!(counts(), [0, 0, 0]);
}

#[test]
fn a_request_that_ends_the_connection_is_not_waited_for() {
    for kind in KINDS {
        let server = TestServer::start(kind, "rust-close");
        let mut client = connect(&server);
        let request: [&[u8]; 1] = [&header(id::CLOSE, 0)];
        let result = client.request(&request, &mut Vec::new(), PATIENCE);
        assert!(
            matches!(result, Err(ClientError::NotConnected)),
            "{result:?}"
        );
    }
}

#[test]
fn an_unanswered_request_times_out_and_spoils_the_connection_for_others() {
    for kind in KINDS {
        let server = TestServer::start(kind, "rust-timeout");
        let mut client = connect(&server);
        let request: [&[u8]; 1] = [&header(id::ASYNC, 0)];
        let result = client.request(&request, &mut Vec::new(), Duration::from_millis(20));
        assert!(matches!(result, Err(ClientError::TimedOut)), "{result:?}");
        let request: [&[u8]; 1] = [&header(id::ECHO, 0)];
        let result = client.request(&request, &mut Vec::new(), PATIENCE);
        assert!(
            matches!(result, Err(ClientError::NotConnected)),
            "{result:?}"
        );
    }
}

#[test]
fn a_refused_client_learns_why() {
    let server = TestServer::start(Kind::Shm, "rust-refuse");
    for errno in [11, 13] {
        server.tell(Command::RefuseWith(Some(errno)));
        let result = Client::connect(&server.name, PATIENCE);
        assert!(matches!(result, Err(ClientError::Refused(e)) if e == errno));
    }
    server.tell(Command::RefuseWith(None));
    echo(&mut connect(&server), b"let in");
}

#[test]
fn nobody_listens() {
    let result = Client::connect("fs-test-no-such-service", PATIENCE);
    assert!(matches!(result, Err(ClientError::Io(_))));
}

#[test]
fn one_connection_too_many_is_refused() {
    let limits = Limits {
        total: 3,
        per_uid: 3,
    };
    let server = TestServer::start_with(Kind::Shm, "rust-limit", limits);
    let mut clients: Vec<Client> = (0..3).map(|_| connect(&server)).collect();
    let result = Client::connect(&server.name, PATIENCE);
    assert!(matches!(result, Err(ClientError::Refused(24))));
    drop(clients.pop());
    server.wait_until("one is gone", |seen| seen.closed == 1);
    clients.push(connect(&server));
}

#[test]
fn wishes_for_huge_messages_are_cut_to_the_limit() {
    let server = TestServer::start(Kind::Shm, "rust-huge");
    let addresses = Addresses::of_this_machine();
    let client = Client::connect_at(&addresses, &server.name, u32::MAX, PATIENCE).unwrap();
    assert_eq!(client.max_msg_size(), 8 << 20);
    let mut client = Client::connect_at(&addresses, &server.name, 0, PATIENCE).unwrap();
    assert_eq!(client.max_msg_size(), 12328);
    echo(&mut client, b"small rings");
}

#[test]
fn a_flooding_client_gets_no_more_than_its_turn() {
    for kind in KINDS {
        let server = TestServer::start(kind, "rust-fair");
        let name = server.name.clone();
        let flood = std::thread::spawn(move || {
            let mut client = Client::connect(&name, PATIENCE).unwrap();
            let mut sent = 0;
            while sent < 50_000 {
                match client.send(&[&header(id::ASYNC, 0)]) {
                    Ok(()) => sent += 1,
                    Err(ClientError::TryAgain) => std::thread::yield_now(),
                    Err(error) => panic!("{error}"),
                }
            }
            client
        });
        let mut client = connect(&server);
        for _ in 0..200 {
            echo(&mut client, b"in between");
        }
        let flooder = flood.join().unwrap();
        server.wait_until("nothing is lost", |seen| seen.async_bodies.len() == 50_000);
        drop(flooder);
    }
}

#[test]
fn many_clients_at_once() {
    let server = TestServer::start(Kind::Shm, "rust-many");
    let mut clients: Vec<Client> = (0..100).map(|_| connect(&server)).collect();
    for client in &mut clients {
        echo(client, b"hello");
    }
    assert_eq!(server.directories().len(), 100);
    drop(clients);
    server.wait_until("all are gone", |seen| seen.closed == 100);
    server.wait_until_clean();
}

#[test]
fn sockets_in_a_directory_work_too() {
    use ferrosync_ipc::{Admit, Options, Server, ServerEvent};
    use ferrosync_wire::ServiceId;

    let dir = tempfile::tempdir().unwrap();
    let addresses = Addresses::Directory(dir.path().to_owned());
    let mut server = Server::new(Options {
        shm_dir: dir.path().to_owned(),
        kind: Kind::Shm,
        addresses: addresses.clone(),
        limits: Limits::default(),
    })
    .unwrap();
    std::fs::write(dir.path().join("svc"), "left by a dead server").unwrap();
    server.listen(ServiceId::CMAP, "svc").unwrap();
    let client = std::thread::spawn(move || {
        Client::connect_at(&addresses, "svc", 1 << 20, PATIENCE).unwrap()
    });
    let mut buf = Vec::new();
    loop {
        server.poll().unwrap();
        let event = server.next_event(&mut buf, |_, _| Admit::Take);
        if let Some(ServerEvent::Connecting { conn, service, .. }) = event {
            assert_eq!(service, ServiceId::CMAP);
            server.accept(conn).unwrap();
            break;
        }
    }
    client.join().unwrap();
    server.unlisten(ServiceId::CMAP);
    assert!(!dir.path().join("svc").exists());
}

/// A client that reads a little makes no room that is worth a wake-up; that it reads is known all the same.
#[test]
fn a_client_that_reads_slowly_is_seen_to_read() {
    use ferrosync_ipc::{Admit, SendError, ServerEvent};

    for kind in KINDS {
        let shm = tempfile::tempdir_in("/dev/shm").unwrap();
        let name = unique("rust-slow");
        let mut server = serve(kind, shm.path(), &name, Limits::default());
        let connecting = std::thread::spawn(move || Client::connect(&name, PATIENCE).unwrap());
        let mut buf = Vec::new();
        let conn = loop {
            server.poll().unwrap();
            let event = server.next_event(&mut buf, |_, _| Admit::Take);
            if let Some(ServerEvent::Connecting { conn, .. }) = event {
                server.accept(conn).unwrap();
                break conn;
            }
        };
        let mut client = connecting.join().unwrap();
        assert!(!server.has_read(conn), "nothing waits for it");
        let mut sent = 0;
        while server.event(conn, &[&event(sent, 1000)]) != Err(SendError::Full) {
            sent += 1;
        }
        assert!(sent > 1);
        assert!(!server.has_read(conn));
        for seq in 0..sent.min(5) {
            server.flush();
            client.recv_event(&mut buf, PATIENCE).unwrap();
            assert!(buf == event(seq, 1000));
            assert!(server.has_read(conn));
            assert!(!server.has_read(conn), "it was told");
        }
        server.close(conn);
        assert!(!server.has_read(conn));
    }
}

//! Clients that break the rules, and those next to them that must not notice.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::FileExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};

use ferrosync_ipc::{Admit, Client, ClientError, Kind, Limits, RequestHead, ServerEvent};

use crate::support::{PATIENCE, TestServer, directories, header, id, serve, skipped, unique};

/// A client that behaves, to see that the server still works.
struct Neighbour(Client);

impl Neighbour {
    fn new(server: &TestServer) -> Self {
        Self(Client::connect(&server.name, PATIENCE).unwrap())
    }

    #[track_caller]
    fn is_served(&mut self) {
        let mut response = Vec::new();
        let request: [&[u8]; 2] = [&header(id::ECHO, 5), b"hello"];
        self.0.request(&request, &mut response, PATIENCE).unwrap();
        assert_eq!(&response[24..], b"hello");
    }
}

fn padded(name: &str) -> SocketAddr {
    let mut bytes = [0; 107];
    bytes[..name.len()].copy_from_slice(name.as_bytes());
    SocketAddr::from_abstract_name(bytes).unwrap()
}

fn raw_connect(server: &TestServer) -> UnixStream {
    let stream = UnixStream::connect_addr(&padded(&server.name)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn authenticate() -> [u8; 24] {
    let mut request = [0; 24];
    request[..4].copy_from_slice(&(-1_i32).to_le_bytes());
    request[8] = 24;
    request[16..20].copy_from_slice(&(1_u32 << 20).to_le_bytes());
    request
}

/// Connects, and finds the files of the new connection.
fn victim(server: &TestServer) -> (Client, PathBuf) {
    let before = server.directories();
    let client = Client::connect(&server.name, PATIENCE).unwrap();
    let mut now = server.directories();
    now.retain(|dir| !before.contains(dir));
    let [dir] = now.try_into().unwrap();
    (client, dir)
}

fn files(dir: &Path) -> Vec<File> {
    let entries = std::fs::read_dir(dir).unwrap();
    let open = |path| File::options().read(true).write(true).open(path).unwrap();
    entries.map(|entry| open(entry.unwrap().path())).collect()
}

/// Sends what it can: the client's own rings may be spoilt too.
fn poke(client: &mut Client) {
    for _ in 0..3 {
        let _anything = client.send(&[&header(id::ASYNC, 0)]);
    }
}

#[test]
fn nonsense_in_the_handshake_is_the_end_of_it() {
    let server = TestServer::start(Kind::Shm, "hostile-handshake");
    let mut neighbour = Neighbour::new(&server);
    let mut wrong_id = authenticate();
    wrong_id[0] = 7;
    let mut wrong_size = authenticate();
    wrong_size[8] = 25;
    for bytes in [wrong_id, wrong_size, [0xff; 24]] {
        let mut stream = raw_connect(&server);
        stream.write_all(&bytes).unwrap();
        let mut answer = Vec::new();
        let read = stream.read_to_end(&mut answer);
        assert!(read.is_err() || answer.is_empty(), "no answer to nonsense");
        neighbour.is_served();
    }
}

#[test]
fn a_handshake_may_come_byte_by_byte() {
    let server = TestServer::start(Kind::Shm, "hostile-slow");
    let mut neighbour = Neighbour::new(&server);
    let mut stream = raw_connect(&server);
    for byte in authenticate() {
        stream.write_all(&[byte]).unwrap();
        neighbour.is_served();
    }
    let mut answer = vec![0; 12328];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer[16..20], &[0; 4]);
    server.wait_until("it is in", |seen| seen.connected == 2);
}

#[test]
fn silent_connections_make_room_for_others() {
    let server = TestServer::start(Kind::Shm, "hostile-silent");
    let mut silent: Vec<UnixStream> = (0..400).map(|_| raw_connect(&server)).collect();
    Neighbour::new(&server).is_served();
    // The first ones had to go, the last ones are still welcome.
    let mut byte = [0];
    assert_eq!(silent[0].read(&mut byte).unwrap(), 0);
    let newest = silent.last_mut().unwrap();
    newest.write_all(&authenticate()).unwrap();
    let mut answer = vec![0; 12328];
    newest.read_exact(&mut answer).unwrap();
}

#[test]
fn truncated_files_cost_only_their_connection() {
    for len in [0, 1, 4096, 8208] {
        for which in 0..6 {
            let server = TestServer::start(Kind::Shm, "hostile-truncate");
            let mut neighbour = Neighbour::new(&server);
            let (mut client, dir) = victim(&server);
            files(&dir)[which].set_len(len).unwrap();
            poke(&mut client);
            let body = [10_u32.to_le_bytes(), 200_000_u32.to_le_bytes()].concat();
            let _anything = client.send(&[&header(id::EVENTS, 8), &body]);
            neighbour.is_served();
            drop(client);
            server.wait_until("closed", |seen| seen.closed == 1);
            neighbour.is_served();
        }
    }
}

#[test]
fn all_files_truncated_while_events_flow() {
    let server = TestServer::start(Kind::Shm, "hostile-flow");
    let mut neighbour = Neighbour::new(&server);
    let (mut client, dir) = victim(&server);
    let body = [100_000_u32.to_le_bytes(), 100_u32.to_le_bytes()].concat();
    client.send(&[&header(id::EVENTS, 8), &body]).unwrap();
    server.wait_until("the ring is full", |seen| seen.full > 0);
    for file in files(&dir) {
        file.set_len(0).unwrap();
    }
    let mut event = Vec::new();
    while client.recv_event(&mut event, PATIENCE).is_ok() {}
    poke(&mut client);
    neighbour.is_served();
    drop(client);
    server.wait_until("closed", |seen| seen.closed == 1);
    neighbour.is_served();
}

#[test]
fn a_truncated_control_file_costs_only_its_connection() {
    let server = TestServer::start(Kind::Socket, "hostile-control");
    let mut neighbour = Neighbour::new(&server);
    let (mut client, dir) = victim(&server);
    files(&dir)[0].set_len(0).unwrap();
    poke(&mut client);
    neighbour.is_served();
    drop(client);
    server.wait_until("closed", |seen| seen.closed == 1);
    neighbour.is_served();
}

/// Random words at random places of the shared files, above all in the headers and around the indices.
#[test]
fn scribbled_memory_costs_only_its_connection() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let server = TestServer::start(Kind::Shm, "hostile-scribble");
    let mut neighbour = Neighbour::new(&server);
    for round in 0..150 {
        let (mut client, dir) = victim(&server);
        let body = [50_u32.to_le_bytes(), 2000_u32.to_le_bytes()].concat();
        let _anything = client.send(&[&header(id::EVENTS, 8), &body]);
        for file in files(&dir) {
            scribble(&file, &mut random);
        }
        poke(&mut client);
        neighbour.is_served();
        drop(client);
        server.wait_until("closed", |seen| seen.closed == round + 1);
    }
    neighbour.is_served();
}

/// Marsaglia's xorshift: the same bad ideas in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let [.., a, b, c, d] = self.0.to_le_bytes();
        u32::from_le_bytes([a, b, c, d])
    }
}

fn scribble(file: &File, random: &mut Random) {
    let mut next = || random.next();
    let interesting = [0, 4, 8, 8204, 8208, 8212, 8216, 8240];
    let values = [0, 1, 2, 3, 127, 128, 129, u32::MAX, 0xA1A1_A1A1, 1 << 31];
    for _ in 0..8 {
        let at = match next() % 2 {
            0 => interesting[next() as usize % interesting.len()],
            _ => u64::from(next() % 1024) * 4,
        };
        let value = match next() % 2 {
            0 => values[next() as usize % values.len()],
            _ => next(),
        };
        if at + 4 <= file.metadata().unwrap().len() {
            file.write_all_at(&value.to_le_bytes(), at).unwrap();
        }
    }
}

/// With these values in its `sem_t`, glibc's own `sem_post` would wait for ever or abort.
#[test]
fn a_poisoned_semaphore_neither_hangs_nor_kills() {
    let server = TestServer::start(Kind::Shm, "hostile-semaphore");
    let mut neighbour = Neighbour::new(&server);
    for private in [0_u32, 1, 3, 127, 128, 129, u32::MAX] {
        let (mut client, dir) = victim(&server);
        for file in files(&dir) {
            if file.metadata().unwrap().len() < 10_000 {
                file.write_all_at(&1_u32.to_le_bytes(), 8212).unwrap();
                file.write_all_at(&private.to_le_bytes(), 8216).unwrap();
            }
        }
        let mut response = Vec::new();
        let request: [&[u8]; 1] = [&header(id::ECHO, 0)];
        client.request(&request, &mut response, PATIENCE).unwrap();
        neighbour.is_served();
    }
}

#[test]
fn requests_that_are_none_end_the_connection() {
    for kind in [Kind::Shm, Kind::Socket] {
        let server = TestServer::start(kind, "hostile-short");
        let mut neighbour = Neighbour::new(&server);
        let disconnect = header(-3, 0);
        let bad: [&[u8]; 4] = [b"", b"x", &[0; 15], &disconnect];
        for (i, request) in (1..).zip(bad) {
            let (client, _) = victim(&server);
            let mut client = client;
            client.send(&[request]).unwrap();
            server.wait_until("closed", |seen| seen.closed == i);
            let result = client.recv_event(&mut Vec::new(), PATIENCE);
            assert!(matches!(result, Err(ClientError::NotConnected)));
            neighbour.is_served();
        }
    }
}

/// What the daemon decided on must be what it gets, however late the client changes its mind.
#[test]
fn a_request_that_changes_after_the_look_ends_the_connection() {
    let shm = tempfile::tempdir_in("/dev/shm").unwrap();
    let name = unique("hostile-late");
    let mut server = serve(Kind::Shm, shm.path(), &name, Limits::default());
    let sender = std::thread::spawn(move || {
        let mut client = Client::connect(&name, PATIENCE).unwrap();
        client.send(&[&header(id::ASYNC, 0)]).unwrap();
        client
    });
    let mut buf = Vec::new();
    let mut change = |_, head: RequestHead| {
        assert_eq!((head.id, head.len), (id::ASYNC, 16));
        let [dir] = directories(shm.path()).try_into().unwrap();
        let requests = std::fs::read_dir(dir).unwrap().find_map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            let wanted = name.starts_with("qb-request-") && name.ends_with("-data");
            wanted.then(|| File::options().write(true).open(&path).unwrap())
        });
        // The id, behind the two words of the chunk's header.
        let id = id::CLOSE.to_le_bytes();
        requests.unwrap().write_all_at(&id, 8).unwrap();
        Admit::Take
    };
    let give_up = std::time::Instant::now() + PATIENCE;
    let outcome = loop {
        assert!(std::time::Instant::now() < give_up);
        server.poll().unwrap();
        match server.next_event(&mut buf, &mut change) {
            Some(ServerEvent::Connecting { conn, .. }) => server.accept(conn).unwrap(),
            Some(event) => break event,
            None => std::thread::yield_now(),
        }
    };
    assert!(matches!(outcome, ServerEvent::Closed { .. }), "{outcome:?}");
    drop(sender.join().unwrap());
}

#[test]
fn notification_bytes_without_messages_mean_nothing() {
    let server = TestServer::start(Kind::Shm, "hostile-bytes");
    let mut neighbour = Neighbour::new(&server);
    let mut stream = raw_connect(&server);
    stream.write_all(&authenticate()).unwrap();
    let mut answer = vec![0; 12328];
    stream.read_exact(&mut answer).unwrap();
    for _ in 0..300 {
        stream.write_all(&[7; 100]).unwrap();
    }
    neighbour.is_served();
    assert_eq!(server.seen().closed, 0);
    // More of them than requests can be under way.
    while stream.write_all(&[7; 100_000]).is_ok() {}
    server.wait_until("closed", |seen| seen.closed == 1);
    neighbour.is_served();
}

/// Before its first request, a connection is protected by the sender's user id alone, so a stranger has to be
/// another user; the test needs to be root to be one.
#[test]
fn strangers_cannot_speak_for_a_datagram_client() {
    let server = TestServer::start(Kind::Socket, "hostile-stranger");
    let (mut client, dir) = victim(&server);
    let request_socket = format!("{}/qb-{}-request", dir.display(), server.name);
    let address = padded(&request_socket);
    let forged = [&header(id::ASYNC, 6)[..], b"forged"].concat();
    if nix::unistd::geteuid().is_root() {
        send_as_nobody(&request_socket, &forged);
    } else {
        skipped("datagrams of another user, which only root can send");
    }
    client.send(&[&header(id::ASYNC, 4), b"real"]).unwrap();
    let seen = server.wait_until("one", |seen| !seen.async_bodies.is_empty());
    assert_eq!(seen.async_bodies, [b"real"]);
    // From now on the kernel keeps everybody out.
    let stranger = UnixDatagram::unbound().unwrap();
    assert!(stranger.send_to_addr(&forged, &address).is_err());
}

/// In a process of its own, because a user id belongs to the whole process.
fn send_as_nobody(address: &str, datagram: &[u8]) {
    let script = r#"
import os, socket, sys
address, datagram = sys.argv[1].encode(), bytes.fromhex(sys.argv[2])
os.setgid(65534); os.setuid(65534)
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
for _ in range(5):
    s.sendto(datagram, (b"\0" + address).ljust(108, b"\0"))
"#;
    let hex: String = datagram.iter().map(|byte| format!("{byte:02x}")).collect();
    let python = std::process::Command::new("python3")
        .args(["-c", script, address, &hex])
        .status();
    match python {
        Ok(status) => assert!(status.success()),
        Err(_) => skipped("datagrams of another user, without python3"),
    }
}

#[test]
fn a_client_that_never_reads_answers_is_cut_off() {
    let server = TestServer::start(Kind::Shm, "hostile-deaf");
    let mut neighbour = Neighbour::new(&server);
    let (mut client, _) = victim(&server);
    let body = vec![0; 100_000];
    let request: [&[u8]; 2] = [&header(id::ECHO, body.len()), &body];
    let give_up = std::time::Instant::now() + PATIENCE;
    while let Ok(()) | Err(ClientError::TryAgain) = client.send(&request) {
        assert!(std::time::Instant::now() < give_up);
    }
    neighbour.is_served();
}

#[test]
fn a_client_may_remove_or_move_its_directory() {
    let server = TestServer::start(Kind::Shm, "hostile-move");
    let mut neighbour = Neighbour::new(&server);
    let (client, dir) = victim(&server);
    std::fs::remove_dir_all(&dir).unwrap();
    drop(client);
    server.wait_until("closed", |seen| seen.closed == 1);
    let (client, dir) = victim(&server);
    let elsewhere = dir.with_extension("moved");
    std::fs::rename(&dir, &elsewhere).unwrap();
    drop(client);
    server.wait_until("closed", |seen| seen.closed == 2);
    neighbour.is_served();
    std::fs::remove_dir_all(elsewhere).unwrap();
}

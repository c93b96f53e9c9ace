//! Messages captured from corosync 3.1.7, its client libraries and its daemon: what we read must come out again
//! as the same bytes.
//!
//! `testdata/exec.txt` holds messages of services between two daemons, `testdata/ipc.txt` those between clients and
//! a daemon. A line is a name and the bytes: hexadecimal, and `~N` for N zeros. What C leaves unset
//! is zero here, as we write it: padding, arrays behind their strings and lists, bodies of answers that say no; and
//! success stands where it leaves an error field unset (deliveries, zero copy).

use crate::codec::{Decode, Encode, Reader};
use crate::ipc::Answer;
use crate::{exec, ipc};

/// Expects a captured message to decode as this type and to come back byte for byte.
macro_rules! comes_back {
    ($name:expr, $type:ty, $bytes:expr) => {{
        let bytes: &[u8] = $bytes;
        match <$type>::decode(&mut Reader::new(bytes)) {
            Ok(message) => assert_eq!(bytes, message.to_vec(), "{}: {message:?}", $name),
            Err(error) => panic!("{}: {error}", $name),
        }
    }};
}

#[test]
fn messages_of_services_come_back() {
    for (name, bytes) in vectors(include_str!("../testdata/exec.txt")) {
        match name.split('.').next() {
            Some("cpg") => comes_back!(name, exec::cpg::Message<'_>, &bytes),
            Some("cmap") => comes_back!(name, exec::cmap::Message<'_>, &bytes),
            Some("cfg") => comes_back!(name, exec::cfg::Message<'_>, &bytes),
            Some("votequorum") => comes_back!(name, exec::votequorum::Message<'_>, &bytes),
            Some("sync") => comes_back!(name, exec::sync::Message, &bytes),
            _ => panic!("{name}"),
        }
    }
}

#[test]
fn messages_of_clients_come_back() {
    for (name, bytes) in vectors(include_str!("../testdata/ipc.txt")) {
        let mut parts = name.split('.');
        let service = parts.next().unwrap();
        let kind = parts.next().unwrap();
        let id: u32 = parts.next().unwrap().parse().unwrap();
        match (service, kind) {
            ("cpg", "request") => comes_back!(name, ipc::cpg::Request<'_>, &bytes),
            ("cpg", "answer") => cpg_answer(name, id, &bytes),
            ("cpg", "event") => comes_back!(name, ipc::cpg::Event<'_>, &bytes),
            ("cmap", "request") => comes_back!(name, ipc::cmap::Request<'_>, &bytes),
            ("cmap", "answer") => cmap_answer(name, id, &bytes),
            ("cmap", "event") => comes_back!(name, ipc::cmap::Notify<'_>, &bytes),
            ("cfg", "request") => comes_back!(name, ipc::cfg::Request<'_>, &bytes),
            ("cfg", "answer") => cfg_answer(name, id, &bytes),
            ("cfg", "event") => comes_back!(name, ipc::cfg::TestShutdown, &bytes),
            ("quorum", "request") => comes_back!(name, ipc::quorum::Request, &bytes),
            ("quorum", "answer") => quorum_answer(name, id, &bytes),
            ("quorum", "event") => comes_back!(name, ipc::quorum::Event, &bytes),
            ("votequorum", "request") => comes_back!(name, ipc::votequorum::Request<'_>, &bytes),
            ("votequorum", "answer") => votequorum_answer(name, id, &bytes),
            ("votequorum", "event") => comes_back!(name, ipc::votequorum::Event, &bytes),
            _ => panic!("{name}"),
        }
    }
}

fn cpg_answer(name: &str, request: u32, bytes: &[u8]) {
    use ipc::cpg;
    match request {
        0 => comes_back!(name, Answer<cpg::Joined>, bytes),
        1 => comes_back!(name, Answer<cpg::Left>, bytes),
        3 => comes_back!(name, Answer<cpg::Membership>, bytes),
        4 => comes_back!(name, Answer<cpg::LocalNode>, bytes),
        5 => comes_back!(name, Answer<cpg::IterStarted>, bytes),
        6 => comes_back!(name, Answer<cpg::IterItem>, bytes),
        7 => comes_back!(name, Answer<cpg::IterEnded>, bytes),
        8 => comes_back!(name, Answer<cpg::Finalized>, bytes),
        9 | 10 => comes_back!(name, Answer<cpg::ZeroCopyDone>, bytes),
        11 => comes_back!(name, Answer<cpg::Sent>, bytes),
        12 => comes_back!(name, Answer<cpg::PartSent>, bytes),
        _ => panic!("{name}"),
    }
}

fn cmap_answer(name: &str, request: u32, bytes: &[u8]) {
    use ipc::cmap;
    match request {
        0 => comes_back!(name, Answer<cmap::SetDone>, bytes),
        1 => comes_back!(name, Answer<cmap::Deleted>, bytes),
        2 => comes_back!(name, Answer<cmap::Got<'_>>, bytes),
        3 => comes_back!(name, Answer<cmap::Adjusted>, bytes),
        4 => comes_back!(name, Answer<cmap::IterStarted>, bytes),
        5 => comes_back!(name, Answer<cmap::IterItem<'_>>, bytes),
        6 => comes_back!(name, Answer<cmap::IterEnded>, bytes),
        7 => comes_back!(name, Answer<cmap::TrackAdded>, bytes),
        8 => comes_back!(name, Answer<cmap::TrackDeleted>, bytes),
        9 => comes_back!(name, Answer<cmap::MapChosen>, bytes),
        _ => panic!("{name}"),
    }
}

fn cfg_answer(name: &str, request: u32, bytes: &[u8]) {
    use ipc::cfg;
    match request {
        0 => comes_back!(name, Answer<cfg::RingStatus<'_>>, bytes),
        2 => comes_back!(name, Answer<cfg::NodeKilled>, bytes),
        3 => comes_back!(name, Answer<cfg::ShutdownTried>, bytes),
        4 => comes_back!(name, Answer<cfg::ShutdownReplied>, bytes),
        5 => comes_back!(name, Answer<cfg::NodeAddrs>, bytes),
        6 => comes_back!(name, Answer<cfg::LocalNode>, bytes),
        7 => comes_back!(name, Answer<cfg::ConfigReloaded>, bytes),
        8 => comes_back!(name, Answer<cfg::LogFilesReopened>, bytes),
        9 => comes_back!(name, Answer<cfg::NodeStatus<'_>>, bytes),
        10 => comes_back!(name, Answer<cfg::TrackStarted>, bytes),
        11 => comes_back!(name, Answer<cfg::TrackStopped>, bytes),
        _ => panic!("{name}"),
    }
}

fn quorum_answer(name: &str, request: u32, bytes: &[u8]) {
    use ipc::quorum;
    match request {
        0 => comes_back!(name, Answer<quorum::Quorate>, bytes),
        1 => comes_back!(name, Answer<quorum::TrackStarted>, bytes),
        2 => comes_back!(name, Answer<quorum::TrackStopped>, bytes),
        3 => comes_back!(name, Answer<quorum::Type>, bytes),
        4 => comes_back!(name, Answer<quorum::ModelType>, bytes),
        _ => panic!("{name}"),
    }
}

fn votequorum_answer(name: &str, request: u32, bytes: &[u8]) {
    if request == 0 {
        comes_back!(name, Answer<ipc::votequorum::Info<'_>>, bytes);
    } else {
        comes_back!(name, Answer<ipc::votequorum::Status>, bytes);
    }
}

fn vectors(text: &str) -> impl Iterator<Item = (&str, Vec<u8>)> {
    text.lines().map(|line| {
        let mut words = line.split(' ');
        let name = words.next().unwrap();
        (name, words.flat_map(unpack).collect())
    })
}

fn unpack(word: &str) -> Vec<u8> {
    if let Some(zeros) = word.strip_prefix('~') {
        return vec![0; zeros.parse().unwrap()];
    }
    let digits = word.as_bytes().chunks_exact(2);
    assert_eq!(digits.remainder(), b"", "{word}");
    digits
        .map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

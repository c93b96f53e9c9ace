//! The control socket: one request line, one answer, end.

use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::lines::{LineReader, Lines};
use super::links::CableOrder;
use super::node::word;
use super::plan::{Groups, LabName, NodeNumber, NodeSet};
use crate::args::{DaemonKind, Format};
use crate::lab::place::Paths;

/// What a second terminal may ask of a lab.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Request {
    /// Something for the daemon of a node.
    Daemon(DaemonVerb, NodeNumber),
    /// Another daemon in a node.
    Replace(NodeNumber, DaemonKind),
    Partition(Groups),
    Heal,
    Link(NodeNumber, CableOrder),
    Status(Format),
    /// Whether these nodes, or all, see each other and have quorum.
    Formed(Option<NodeSet>),
    /// Process id, on the machine, of a node's init.
    Init(NodeNumber),
    /// End the lab.
    Down,
}

/// What can be done to a daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum DaemonVerb {
    Kill,
    Stop,
    Cont,
    Shutdown,
    Start,
    Restart,
    Off,
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Daemon(verb, node) => write!(f, "daemon {} {node}", word(verb)),
            Self::Replace(node, kind) => write!(f, "replace {node} {}", word(kind)),
            Self::Partition(groups) => write!(f, "partition {groups}"),
            Self::Heal => f.write_str("heal"),
            Self::Link(node, order) => write!(f, "link {node} {order}"),
            Self::Status(format) => write!(f, "status {}", word(format)),
            Self::Formed(None) => f.write_str("formed"),
            Self::Formed(Some(nodes)) => write!(f, "formed {nodes}"),
            Self::Init(node) => write!(f, "init {node}"),
            Self::Down => f.write_str("down"),
        }
    }
}

impl FromStr for Request {
    type Err = anyhow::Error;

    fn from_str(line: &str) -> Result<Self> {
        let words: Vec<&str> = line.split(' ').collect();
        Ok(match words[..] {
            ["daemon", verb, node] => Self::Daemon(value(verb)?, node.parse()?),
            ["replace", node, kind] => Self::Replace(node.parse()?, value(kind)?),
            ["partition", groups] => Self::Partition(groups.parse()?),
            ["heal"] => Self::Heal,
            ["link", node, ref order @ ..] => Self::Link(node.parse()?, order.join(" ").parse()?),
            ["status", format] => Self::Status(value(format)?),
            ["formed"] => Self::Formed(None),
            ["formed", nodes] => Self::Formed(Some(nodes.parse()?)),
            ["init", node] => Self::Init(node.parse()?),
            ["down"] => Self::Down,
            _ => bail!("unknown request `{line}`"),
        })
    }
}

fn value<T: clap::ValueEnum>(word: &str) -> Result<T> {
    T::from_str(word, false).map_err(anyhow::Error::msg)
}

/// Terminals that may be silent at once; another one costs the oldest its connection.
const CONNECTIONS_MAX: usize = 16;

/// The lab's end of the socket.
pub(super) struct Control {
    listener: UnixListener,
    connections: Vec<Connection>,
}

/// A terminal that has not asked yet.
struct Connection {
    stream: UnixStream,
    lines: LineReader,
}

/// A request to be answered.
pub(super) struct Asked {
    pub(super) request: Result<Request>,
    stream: UnixStream,
}

impl Control {
    /// Listens at `path`, in a directory that only this user can enter.
    pub(super) fn bind(path: &Path) -> Result<Self> {
        let listener = UnixListener::bind(path)
            .with_context(|| format!("no control socket at {}", path.display()))?;
        listener.set_nonblocking(true)?;
        Ok(Self {
            listener,
            connections: Vec::new(),
        })
    }

    /// What to wait for.
    pub(super) fn fds(&self) -> Vec<BorrowedFd<'_>> {
        let mut fds: Vec<_> = self.connections.iter().map(|c| c.stream.as_fd()).collect();
        fds.push(self.listener.as_fd());
        fds
    }

    /// Takes what has come. None of it blocks.
    pub(super) fn take(&mut self) -> Vec<Asked> {
        for _ in 0..CONNECTIONS_MAX {
            let Ok((stream, _)) = self.listener.accept() else {
                break;
            };
            if self.connections.len() == CONNECTIONS_MAX {
                self.connections.remove(0);
            }
            if stream.set_nonblocking(true).is_ok() {
                let lines = LineReader::default();
                self.connections.push(Connection { stream, lines });
            }
        }
        let mut asked = Vec::new();
        for mut connection in std::mem::take(&mut self.connections) {
            match connection.lines.read(&connection.stream) {
                Ok(Lines::Some(lines)) => match lines.first() {
                    None => self.connections.push(connection),
                    Some(line) => asked.push(Asked {
                        request: line.parse(),
                        stream: connection.stream,
                    }),
                },
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.connections.push(connection);
                }
                Ok(Lines::End) | Err(_) => {}
            }
        }
        asked
    }
}

impl Asked {
    /// Answers and hangs up. A terminal that has gone misses it.
    pub(super) fn answer(mut self, answer: Result<String>) {
        let text = match answer {
            Ok(text) => format!("ok\n{text}"),
            Err(error) => format!("error {error:#}\n"),
        };
        let _ = self.stream.write_all(text.as_bytes());
    }
}

/// Time for a lab to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Longest answer: the status of all nodes is a tenth of this.
const ANSWER_MAX: u64 = 1024 * 1024;

/// Asks the lab of that name.
pub(super) fn ask(name: &LabName, request: &Request) -> Result<String> {
    let path = Paths::of(name).socket();
    let stream = UnixStream::connect(&path).with_context(|| {
        format!(
            "no lab `{}` runs (start one with `ferrosync lab`)",
            name.as_str()
        )
    })?;
    converse(stream, request)
}

/// Asks the lab whose control socket is at `path`.
pub(super) fn ask_at(path: &Path, request: &Request) -> Result<String> {
    let stream = UnixStream::connect(path)
        .with_context(|| format!("no lab listens at {}", path.display()))?;
    converse(stream, request)
}

fn converse(mut stream: UnixStream, request: &Request) -> Result<String> {
    stream.set_read_timeout(Some(ANSWER_WITHIN))?;
    stream.write_all(format!("{request}\n").as_bytes())?;
    let mut answer = String::new();
    stream
        .take(ANSWER_MAX)
        .read_to_string(&mut answer)
        .context("the lab does not answer")?;
    match answer.split_once('\n') {
        Some(("ok", text)) => Ok(text.to_owned()),
        Some((error, _)) => bail!("{}", error.strip_prefix("error ").unwrap_or(error)),
        None => bail!("the lab has ended"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_survive_the_socket() {
        let node: NodeNumber = "3".parse().expect("a node");
        let requests = [
            Request::Daemon(DaemonVerb::Restart, node),
            Request::Daemon(DaemonVerb::Off, node),
            Request::Replace(node, DaemonKind::Corosync),
            Request::Partition("1,2/3".parse().expect("sides")),
            Request::Heal,
            Request::Link(node, "down".parse().expect("an order")),
            Request::Link(node, "1 mtu 1200".parse().expect("an order")),
            Request::Status(Format::Json),
            Request::Formed(None),
            Request::Formed(Some("1,2".parse().expect("nodes"))),
            Request::Init(node),
            Request::Down,
        ];
        for request in requests {
            let line = request.to_string();
            assert_eq!(line.parse::<Request>().expect("known"), request, "{line}");
        }
        for line in [
            "",
            "daemon",
            "daemon kill 99",
            "link 1 sideways",
            "heal 1",
            "status",
        ] {
            assert!(line.parse::<Request>().is_err(), "{line}");
        }
    }

    #[test]
    fn a_request_is_answered_once_and_silence_kept_waiting() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("control");
        let mut control = Control::bind(&path).expect("listening");
        let silent = UnixStream::connect(&path).expect("connected");
        let mut asking = UnixStream::connect(&path).expect("connected");
        asking.write_all(b"heal\n").expect("written");
        let mut asked = control.take();
        assert_eq!(asked.len(), 1);
        let asked = asked.pop().expect("one request");
        assert_eq!(asked.request.as_ref().expect("known"), &Request::Heal);
        asked.answer(Ok("healed\n".into()));
        let mut answer = String::new();
        asking.read_to_string(&mut answer).expect("answered");
        assert_eq!(answer, "ok\nhealed\n");
        assert_eq!(control.connections.len(), 1);
        drop(silent);
        assert!(control.take().is_empty());
        assert!(control.connections.is_empty());
    }
    #[test]
    fn silent_connections_keep_nobody_out() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("control");
        let mut control = Control::bind(&path).expect("listening");
        let connect = |_| UnixStream::connect(&path).expect("connected");
        let silent: Vec<_> = (0..CONNECTIONS_MAX).map(connect).collect();
        assert!(control.take().is_empty());
        let mut asking = connect(0);
        asking.write_all(b"down\n").expect("written");
        assert_eq!(control.take().len(), 1);
        assert_eq!(control.connections.len(), CONNECTIONS_MAX - 1);
        drop(silent);
    }
}

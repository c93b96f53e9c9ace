//! A lab from its start to its end: one thread that waits for nodes, terminals and signals.

use std::fs;
use std::io::{self, Read as _};
use std::os::fd::AsFd as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::stat::{Mode, umask};

use super::cluster::{Cluster, Common};
use super::conf::corosync_conf;
use super::control::{Asked, Control, Request};
use super::hub::Hub;
use super::init::{COROSYNC, PACEMAKERD};
use super::links::LinkNumber;
use super::namespaces;
use super::place::{Keep, Paths, Place};
use super::plan::{self, NodeNumber, NodeSet};
use super::view::{self, Picture, Style, View};
use crate::args::{DaemonKind, Format, IpVersions, NodeArgs, StartArgs};
use crate::keygen;

/// Runs a lab. The exit code is a failure if `--duration` or `--wait` was given and the nodes never all saw each
/// other with quorum.
pub(super) fn run(args: &StartArgs) -> Result<ExitCode> {
    args.check()?;
    let appended = read_appended(args)?;
    let keep = if args.keep {
        Keep::Files
    } else {
        Keep::Nothing
    };
    // Nodes have users of their own, who must be able to read what is not secret.
    umask(Mode::S_IWGRP | Mode::S_IWOTH);
    let place = Place::take(&args.which.name, keep)?;
    // Signals first: from here on they end the lab in good order.
    let signals = block_signals()?;
    namespaces::enter_hub()?;
    place.prepare()?;
    let control = Control::bind(&place.paths().socket())?;
    let hub = Hub::new(args.links, args.mtu)?;
    let common = Common {
        conf: &corosync_conf(args, &appended),
        hosts: &hosts(args.nodes, args.ip),
        key: &keygen::random_key(keygen::KEY_LEN).context("no key")?,
    };
    let cluster = Cluster::launch(&node_args(args, place.paths())?, &common)?;

    let began = Instant::now();
    let limit = match (args.duration, args.wait) {
        (None, Some(_)) => Some(WAIT_MAX),
        (duration, _) => duration,
    };
    let style = if args.plain {
        Style::Plain
    } else {
        Style::Screen
    };
    let mut lab = Lab {
        args,
        signals,
        control,
        hub,
        cluster,
        view: View::open(style)?,
        began,
        deadline: limit.map(|limit| began + limit),
        formed: None,
    };
    let outcome = lab.run();
    let formed = lab.formed;
    // The screen is given back before anything is said.
    drop(lab);
    if args.keep {
        eprintln!(
            "ferrosync lab: files left in {}",
            place.paths().dir().display()
        );
    }
    drop(place);
    outcome?;
    if limit.is_some() && formed.is_none() {
        bail!(
            "not all {} members with quorum were seen in time",
            args.nodes
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// How long `--wait` waits without `--duration`.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// Time between two pictures when nothing happens.
const TICK: Duration = Duration::from_secs(1);

struct Lab<'a> {
    args: &'a StartArgs,
    signals: SignalFd,
    control: Control,
    hub: Hub,
    cluster: Cluster,
    view: View,
    began: Instant,
    deadline: Option<Instant>,
    /// When all nodes saw each other with quorum for the first time.
    formed: Option<Duration>,
}

/// Whether the lab goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Continue,
    End,
}

/// What is ready to be read.
struct Ready {
    signals: bool,
    control: bool,
    keys: bool,
    nodes: Vec<usize>,
}

impl Lab<'_> {
    fn run(&mut self) -> Result<()> {
        self.view.note(self.began.elapsed(), &self.greeting())?;
        loop {
            let ready = self.wait()?;
            for place in ready.nodes {
                for note in self.cluster.take(place, &mut self.hub)? {
                    self.view.note(self.began.elapsed(), &note)?;
                }
            }
            let mut next = Next::Continue;
            if ready.signals && self.take_signals()? == Next::End {
                next = Next::End;
            }
            if ready.keys && self.take_keys()? == Next::End {
                next = Next::End;
            }
            if ready.control {
                for asked in self.control.take() {
                    if self.serve(asked) == Next::End {
                        next = Next::End;
                    }
                }
            }
            self.look()?;
            let waited = self.args.wait.is_some() && self.formed.is_some();
            let late = self
                .deadline
                .is_some_and(|deadline| Instant::now() >= deadline);
            if next == Next::End || waited || late {
                return Ok(());
            }
        }
    }

    fn greeting(&self) -> String {
        let name = self.args.which.name.as_str();
        let other = match name {
            "default" => String::new(),
            name => format!(" --name {name}"),
        };
        format!(
            "lab `{name}` with {} nodes; from another terminal: ferrosync lab exec 2{other} -- CMD",
            self.args.nodes
        )
    }

    fn wait(&self) -> Result<Ready> {
        let stdin = io::stdin();
        let control = self.control.fds();
        let nodes = self.cluster.fds();
        let mut fds = vec![PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
        fds.extend(control.iter().map(|fd| PollFd::new(*fd, PollFlags::POLLIN)));
        fds.extend(
            nodes
                .iter()
                .map(|(_, fd)| PollFd::new(*fd, PollFlags::POLLIN)),
        );
        if self.view.wants_keys() {
            fds.push(PollFd::new(stdin.as_fd(), PollFlags::POLLIN));
        }
        let left = self
            .deadline
            .map(|deadline| deadline.saturating_duration_since(Instant::now()));
        // One millisecond more: a poll that ends just before the deadline would only be repeated.
        let pause = left.map_or(TICK, |left| TICK.min(left + Duration::from_millis(1)));
        match poll(
            &mut fds,
            PollTimeout::try_from(pause).unwrap_or(PollTimeout::MAX),
        ) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let ready: Vec<bool> = fds.iter().map(|fd| fd.any().unwrap_or(false)).collect();
        let (first, rest) = ready.split_at(1);
        let (for_control, rest) = rest.split_at(control.len());
        let (for_nodes, keys) = rest.split_at(nodes.len());
        let reported = nodes.iter().zip(for_nodes).filter(|(_, ready)| **ready);
        Ok(Ready {
            signals: first.contains(&true),
            control: for_control.contains(&true),
            keys: keys.contains(&true),
            nodes: reported.map(|((place, _), _)| *place).collect(),
        })
    }

    fn take_signals(&mut self) -> Result<Next> {
        let mut next = Next::Continue;
        while let Some(signal) = self.signals.read_signal()? {
            if signal.ssi_signo != Signal::SIGWINCH as u32 {
                next = Next::End;
            }
        }
        Ok(next)
    }

    /// In raw mode Ctrl-C is a key. A terminal that has gone ends the lab like SIGHUP.
    fn take_keys(&mut self) -> Result<Next> {
        let mut keys = [0; 64];
        let len = io::stdin().lock().read(&mut keys)?;
        let quits = |key: &u8| matches!(key, b'q' | b'Q' | 3 | 4);
        Ok(if len == 0 || keys[..len].iter().any(quits) {
            Next::End
        } else {
            Next::Continue
        })
    }

    fn serve(&mut self, mut asked: Asked) -> Next {
        let request = std::mem::replace(&mut asked.request, Ok(Request::Heal));
        let (next, answer) = match request {
            Ok(Request::Down) => (Next::End, Ok(String::new())),
            Ok(request) => (Next::Continue, self.answer(request)),
            Err(error) => (Next::Continue, Err(error)),
        };
        asked.answer(answer);
        next
    }

    fn answer(&mut self, request: Request) -> Result<String> {
        match request {
            Request::Daemon(verb, node) => self.cluster.act(verb, node)?,
            Request::Replace(node, kind) => self.cluster.replace(node, kind)?,
            Request::Partition(groups) => self.hub.partition(groups)?,
            Request::Heal => {
                self.hub.heal()?;
                self.cluster.mend_cables();
            }
            Request::Link(node, order) => {
                self.cluster.change_cables(node, order)?;
                self.hub.change_cables(node, order)?;
            }
            Request::Status(Format::Text) => return Ok(view::status_text(&self.picture())),
            Request::Status(Format::Json) => return Ok(view::status_json(&self.picture())),
            Request::Formed(members) => {
                let formed = self.cluster.formed(members.as_ref());
                return Ok(formed.map_or_else(|why| format!("{why:#}\n"), |()| "yes\n".into()));
            }
            Request::Init(node) => return Ok(format!("{}\n", self.cluster.init(node)?)),
            Request::Down => {}
        }
        Ok(String::new())
    }

    /// Looks whether all nodes have found each other, and shows what there is.
    fn look(&mut self) -> Result<()> {
        let found = self.formed.is_none() && self.cluster.formed(None).is_ok();
        if found {
            self.formed = Some(self.began.elapsed());
        }
        // Not `self.picture()`: the view is borrowed too.
        let picture = Picture {
            name: self.args.which.name.as_str(),
            nodes: self.cluster.nodes(),
            sides: self.hub.sides(),
            elapsed: self.began.elapsed(),
            formed: self.formed,
        };
        self.view.show(&picture)?;
        if found {
            let note = format!("all {} members with quorum", self.args.nodes);
            self.view.note(self.began.elapsed(), &note)?;
        }
        Ok(())
    }

    fn picture(&self) -> Picture<'_> {
        Picture {
            name: self.args.which.name.as_str(),
            nodes: self.cluster.nodes(),
            sides: self.hub.sides(),
            elapsed: self.began.elapsed(),
            formed: self.formed,
        }
    }
}

fn read_appended(args: &StartArgs) -> Result<String> {
    match &args.conf {
        Some(path) => {
            fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
        }
        None => Ok(String::new()),
    }
}

fn block_signals() -> Result<SignalFd> {
    let mut signals = SigSet::empty();
    for signal in [
        Signal::SIGINT,
        Signal::SIGTERM,
        Signal::SIGHUP,
        Signal::SIGWINCH,
    ] {
        signals.add(signal);
    }
    signals.thread_block()?;
    let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
    SignalFd::with_flags(&signals, flags).context("no signals")
}

/// Most milliseconds between two looks at a daemon: the more nodes, the more looks at once.
fn probe_ms(nodes: u8) -> u64 {
    1_000_u64.max(u64::from(nodes) * 150)
}

fn node_args(args: &StartArgs, paths: &Paths) -> Result<Vec<NodeArgs>> {
    let corosync = args.corosync.clone().unwrap_or_default();
    let beyond = corosync.iter().find(|node| node.get() > args.nodes);
    if let Some(node) = beyond
        && corosync != NodeSet::all(plan::NODES_MAX)
    {
        bail!("--corosync names node {node}: the lab has {}", args.nodes);
    }
    if corosync.iter().next().is_some() && !Path::new(COROSYNC).exists() {
        bail!("--corosync needs {COROSYNC} (Debian package `corosync`)");
    }
    if args.pacemaker && !Path::new(PACEMAKERD).exists() {
        bail!("--pacemaker needs {PACEMAKERD} (Debian package `pacemaker`)");
    }
    let node = |number: NodeNumber| NodeArgs {
        stage: crate::args::Stage::Keeper,
        number,
        dir: paths.node(number),
        daemon: if corosync.contains(number) {
            DaemonKind::Corosync
        } else {
            DaemonKind::Ferrosync
        },
        links: args.links,
        ip: args.ip,
        manager: args.manager(),
        probe_ms: probe_ms(args.nodes),
    };
    Ok(NodeNumber::all(args.nodes).map(node).collect())
}

fn hosts(nodes: u8, ip: IpVersions) -> String {
    let link = LinkNumber::FIRST;
    let line = |node: NodeNumber| format!("{} {}\n", node.address(link, ip.of(link)), node.name());
    let lines: String = NodeNumber::all(nodes).map(line).collect();
    format!("127.0.0.1 localhost\n::1 localhost\n{lines}")
}

//! The nodes as the lab knows them: a pipe to each, what it reported last, what it was told.

use std::fmt;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};

use super::control::DaemonVerb;
use super::hub::Hub;
use super::lines::{LineReader, Lines};
use super::links::{CableOrder, Cables};
use super::mounts;
use super::node;
use super::plan::{NodeNumber, NodeSet};
use super::report::{Managed, Order, Report, Seen};
use crate::args::{DaemonKind, Manager, NodeArgs, Stage};

/// A node, seen from the lab.
pub(super) struct Node {
    pub(super) number: NodeNumber,
    pub(super) daemon: DaemonKind,
    pub(super) state: State,
    pub(super) cables: Cables,
    /// What the daemon answered last; nothing while it does not answer.
    pub(super) seen: Option<Seen>,
    /// Why the daemon did not answer last.
    pub(super) silence: Option<String>,
    pub(super) rates: Rates,
    /// What runs on top of the daemon, where something does.
    pub(super) manager: Option<ManagerState>,
    /// What Pacemaker told last; nothing while it does not answer.
    pub(super) managed: Option<Managed>,
    counted: Option<Counted>,
    init: Option<u32>,
    keeper: Child,
    /// Dropping it ends the node.
    orders: Option<ChildStdin>,
    reports: ChildStdout,
    lines: LineReader,
}

/// What a node's daemon does, as far as the lab has told it or was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// The node is being made.
    Booting,
    Running,
    /// Frozen by SIGSTOP.
    Stopped,
    /// Told to end.
    Ending,
    /// Has ended, and how.
    Ended(String),
    /// The node has no power.
    Off,
    /// The node itself is gone.
    Lost,
}

impl State {
    /// One word for it.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Booting => "booting",
            Self::Running => "running",
            Self::Stopped => "stopped",
            Self::Ending => "ending",
            Self::Ended(_) => "ended",
            Self::Off => "off",
            Self::Lost => "lost",
        }
    }

    /// How the daemon has ended, if it has.
    pub(super) fn how_ended(&self) -> Option<&str> {
        match self {
            Self::Ended(how) => Some(how),
            Self::Booting
            | Self::Running
            | Self::Stopped
            | Self::Ending
            | Self::Off
            | Self::Lost => None,
        }
    }

    /// Whether there is a process to be signalled.
    fn is_alive(&self) -> bool {
        match self {
            Self::Running | Self::Stopped | Self::Ending => true,
            Self::Booting | Self::Ended(_) | Self::Off | Self::Lost => false,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())?;
        match self.how_ended() {
            Some(how) => write!(f, " ({how})"),
            None => Ok(()),
        }
    }
}

/// What is known of the process that runs on top of a daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ManagerState {
    /// To be started when the daemon answers.
    Due,
    Running,
    /// Has ended, and how.
    Ended(String),
}

impl fmt::Display for ManagerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Due => f.write_str("waiting"),
            Self::Running => f.write_str("running"),
            Self::Ended(how) => write!(f, "ended ({how})"),
        }
    }
}

/// Messages per second, over the last looks that found a change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Rates {
    pub(super) delivered: u64,
    pub(super) frames: u64,
}

/// Counters of a daemon at a time.
#[derive(Clone, Copy)]
struct Counted {
    at: Instant,
    delivered: u64,
    frames: u64,
}

impl Node {
    /// Makes the node's files and starts its keeper.
    fn launch(args: &NodeArgs, common: &Common<'_>) -> Result<Self> {
        make_files(&args.dir, common)?;
        let mut keeper = node::command(args, Stage::Keeper)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(errors_file(&args.dir)?)
            .spawn()
            .context("cannot start a node")?;
        let pipes = (keeper.stdin.take(), keeper.stdout.take());
        let (Some(orders), Some(reports)) = pipes else {
            bail!("a node without pipes");
        };
        Ok(Self {
            number: args.number,
            daemon: args.daemon,
            state: State::Booting,
            cables: Cables::new(args.links),
            seen: None,
            silence: None,
            rates: Rates::default(),
            manager: match args.manager {
                Manager::None => None,
                Manager::Pacemaker => Some(ManagerState::Due),
            },
            managed: None,
            counted: None,
            init: None,
            keeper,
            orders: Some(orders),
            reports,
            lines: LineReader::default(),
        })
    }

    fn order(&mut self, order: Order) -> Result<()> {
        let gone = || format!("node {} is gone", self.number);
        let orders = self.orders.as_mut().with_context(gone)?;
        orders
            .write_all(format!("{order}\n").as_bytes())
            .with_context(gone)
    }

    fn end(&mut self, order: Order) -> Result<()> {
        self.order(order)?;
        self.state = State::Ending;
        self.forget();
        Ok(())
    }

    /// Applies a report. Returns what an onlooker should read, if anything.
    fn take(&mut self, report: Report, hub: &mut Hub) -> Result<Option<String>> {
        match report {
            Report::Init(pid) => {
                self.init = Some(pid);
                hub.attach(self.number, self.keeper.id())?;
                self.order(Order::Network)?;
            }
            Report::Network => self.order(Order::Start)?,
            Report::Running => {
                self.state = State::Running;
                self.need_manager();
                self.forget();
            }
            Report::Off => {
                self.state = State::Off;
                self.forget();
                self.managed = None;
                if let Some(manager) = &mut self.manager {
                    *manager = ManagerState::Ended("no power".to_owned());
                }
            }
            Report::ManagerEnded(how) => {
                let meant = self.state != State::Running;
                let note = format!("node {}: Pacemaker ended ({how})", self.number);
                self.manager = Some(ManagerState::Ended(how));
                self.managed = None;
                return Ok((!meant).then_some(note));
            }
            Report::Managed(managed) => self.managed = Some(managed),
            Report::Unmanaged => self.managed = None,
            Report::Ended(how) => {
                self.state = State::Ended(how);
                self.forget();
            }
            Report::Failed(why) if self.state == State::Booting => {
                bail!("node {} cannot start: {why}", self.number);
            }
            Report::Failed(why) => return Ok(Some(format!("node {}: {why}", self.number))),
            Report::Seen(seen) => {
                // A look that began before the daemon ended or froze says nothing about now.
                if self.state == State::Running {
                    self.count(&seen, Instant::now());
                    self.seen = Some(seen);
                    self.silence = None;
                    if self.manager == Some(ManagerState::Due) {
                        self.order(Order::Manager)?;
                        self.manager = Some(ManagerState::Running);
                    }
                }
            }
            Report::Unseen(why) => {
                self.forget();
                if self.state == State::Running {
                    self.silence = Some(why);
                }
            }
        }
        Ok(None)
    }

    /// What runs on top of the daemon is started as soon as that answers. Pacemaker that waits for its daemon to come
    /// back finds it itself.
    fn need_manager(&mut self) {
        if let Some(ManagerState::Ended(_)) = self.manager {
            self.manager = Some(ManagerState::Due);
        }
    }

    fn forget(&mut self) {
        self.seen = None;
        self.silence = None;
        self.counted = None;
        self.rates = Rates::default();
    }

    fn count(&mut self, seen: &Seen, now: Instant) {
        let counted = Counted {
            at: now,
            delivered: seen.delivered,
            frames: seen.frames,
        };
        if let Some(before) = self.counted.replace(counted) {
            let ms = u64::try_from((now - before.at).as_millis()).unwrap_or(u64::MAX);
            let rate =
                |new: u64, old: u64| new.saturating_sub(old).saturating_mul(1_000) / ms.max(1);
            self.rates = Rates {
                delivered: rate(seen.delivered, before.delivered),
                frames: rate(seen.frames, before.frames),
            };
        }
    }
}

/// All nodes. Dropping it ends them.
pub(super) struct Cluster {
    nodes: Vec<Node>,
}

/// What all nodes have in common.
pub(super) struct Common<'a> {
    pub(super) conf: &'a str,
    pub(super) hosts: &'a str,
    /// The secret of an encrypted ring; it is there in every lab.
    pub(super) key: &'a [u8],
}

impl Cluster {
    /// Starts the keepers of all nodes; their reports do the rest.
    pub(super) fn launch(nodes: &[NodeArgs], common: &Common<'_>) -> Result<Self> {
        let mut cluster = Self { nodes: Vec::new() };
        for args in nodes {
            cluster.nodes.push(Node::launch(args, common)?);
        }
        Ok(cluster)
    }

    pub(super) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The pipes to wait for, each with the place of its node.
    pub(super) fn fds(&self) -> Vec<(usize, BorrowedFd<'_>)> {
        let nodes = self.nodes.iter().enumerate();
        let there = nodes.filter(|(_, node)| node.state != State::Lost);
        there
            .map(|(place, node)| (place, node.reports.as_fd()))
            .collect()
    }

    /// Takes what the node at `place` has reported. Returns what an onlooker should read. Fails if a node
    /// cannot come up.
    pub(super) fn take(&mut self, place: usize, hub: &mut Hub) -> Result<Vec<String>> {
        let node = &mut self.nodes[place];
        let number = node.number;
        let lines = match node.lines.read(&mut node.reports) {
            Ok(Lines::Some(lines)) => lines,
            Ok(Lines::End) | Err(_) => {
                if node.state == State::Booting {
                    bail!("node {number} did not come up");
                }
                node.state = State::Lost;
                node.forget();
                return Ok(vec![format!("node {number} is gone")]);
            }
        };
        let mut notes = Vec::new();
        for line in lines {
            match line.parse() {
                Ok(report) => notes.extend(node.take(report, hub)?),
                Err(_) => notes.push(format!("node {number} says `{line}`")),
            }
        }
        Ok(notes)
    }

    /// Does something to the daemon of a node. Fails if the daemon's state makes it senseless.
    pub(super) fn act(&mut self, verb: DaemonVerb, number: NodeNumber) -> Result<()> {
        let node = self.node_mut(number)?;
        match (verb, node.state.is_alive()) {
            (DaemonVerb::Off, _) => {
                if matches!(node.state, State::Booting | State::Off | State::Lost) {
                    bail!("node {number} is {}", node.state);
                }
                node.end(Order::Off)
            }
            (DaemonVerb::Start, true) if matches!(node.manager, Some(ManagerState::Ended(_))) => {
                node.need_manager();
                Ok(())
            }
            (DaemonVerb::Start, true) if node.state != State::Ending => {
                bail!("the daemon of node {number} is running")
            }
            (DaemonVerb::Start, _) | (DaemonVerb::Restart, false) => node.order(Order::Start),
            (DaemonVerb::Restart, true) => {
                node.end(Order::Shutdown)?;
                node.order(Order::Start)
            }
            (
                DaemonVerb::Kill | DaemonVerb::Shutdown | DaemonVerb::Stop | DaemonVerb::Cont,
                false,
            ) => bail!("the daemon of node {number} is not running"),
            (DaemonVerb::Kill, true) => node.end(Order::Kill),
            (DaemonVerb::Shutdown, true) => node.end(Order::Shutdown),
            (DaemonVerb::Stop, true) => {
                node.order(Order::Stop)?;
                node.state = State::Stopped;
                node.forget();
                Ok(())
            }
            (DaemonVerb::Cont, true) => {
                node.order(Order::Cont)?;
                if node.state == State::Stopped {
                    node.state = State::Running;
                }
                Ok(())
            }
        }
    }

    /// Shuts the daemon of a node down, if it runs, and starts one of this kind in its place.
    pub(super) fn replace(&mut self, number: NodeNumber, kind: DaemonKind) -> Result<()> {
        self.init(number)?;
        let node = self.node_mut(number)?;
        if node.state.is_alive() && node.state != State::Ending {
            node.end(Order::Shutdown)?;
        }
        node.order(Order::Use(kind))?;
        node.daemon = kind;
        node.order(Order::Start)
    }

    /// Notes what is done to cables of a node. Fails if the node has no such cable, or none yet.
    pub(super) fn change_cables(&mut self, number: NodeNumber, order: CableOrder) -> Result<()> {
        self.init(number)?;
        let links = self.node_mut(number)?.cables.iter().count();
        if let Some(link) = order.link
            && usize::from(link.get()) >= links
        {
            bail!("there is no link {link}: the lab has {links}, counted from 0");
        }
        self.node_mut(number)?.cables.change(order);
        Ok(())
    }

    /// Notes that all cables are as they were at first.
    pub(super) fn mend_cables(&mut self) {
        for node in &mut self.nodes {
            node.cables.mend();
        }
    }

    /// Process id of a node's init.
    pub(super) fn init(&self, number: NodeNumber) -> Result<u32> {
        let node = self.nodes.get(number.index());
        let node = node.with_context(|| self.no_such(number))?;
        match (&node.state, node.init) {
            (State::Lost, _) => bail!("node {number} is gone"),
            // Its files are not in place.
            (State::Booting, _) | (_, None) => bail!("node {number} is not up yet"),
            (_, Some(pid)) => Ok(pid),
        }
    }

    /// Checks that each of `members`, or of all nodes, sees exactly these, on one ring and with quorum. The
    /// error names the first that does not.
    pub(super) fn formed(&self, members: Option<&NodeSet>) -> Result<()> {
        let all = || self.nodes.iter().map(|node| node.number).collect();
        let members = members.cloned().unwrap_or_else(all);
        let mut ring: Option<&str> = None;
        for number in members.iter() {
            let node = self.nodes.get(number.index());
            let node = node.with_context(|| self.no_such(number))?;
            let Some(seen) = &node.seen else {
                let why = node.silence.as_deref();
                let why = why.unwrap_or_else(|| node.state.word());
                bail!("node {number} does not answer: {why}");
            };
            if seen.members != members {
                bail!("node {number} sees {}", seen.members);
            }
            if !seen.quorate {
                bail!("node {number} has no quorum");
            }
            if *ring.get_or_insert(&seen.ring) != seen.ring {
                bail!("node {number} is on ring {}", seen.ring);
            }
        }
        Ok(())
    }

    fn node_mut(&mut self, number: NodeNumber) -> Result<&mut Node> {
        let missing = self.no_such(number);
        self.nodes
            .get_mut(number.index())
            .ok_or_else(|| anyhow!(missing))
    }

    fn no_such(&self, number: NodeNumber) -> String {
        format!(
            "there is no node {number}: the lab has {}",
            self.nodes.len()
        )
    }
}

/// Time for the kernel to end the processes of all nodes.
const END_WITHIN: Duration = Duration::from_secs(10);
const END_STEP: Duration = Duration::from_millis(5);

impl Drop for Cluster {
    fn drop(&mut self) {
        for node in &mut self.nodes {
            node.orders = None;
        }
        let deadline = Instant::now() + END_WITHIN;
        for node in &mut self.nodes {
            while matches!(node.keeper.try_wait(), Ok(None)) {
                if Instant::now() >= deadline {
                    // Its init dies with it.
                    let _ = node.keeper.kill();
                    let _ = node.keeper.wait();
                    break;
                }
                thread::sleep(END_STEP);
            }
        }
    }
}

fn make_files(dir: &Path, common: &Common<'_>) -> Result<()> {
    let make = |dir: PathBuf| {
        DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(&dir)
            .with_context(|| format!("cannot make {}", dir.display()))
    };
    for own in [&mounts::CONF, &mounts::LOG, &mounts::STATE] {
        make(dir.join(own.name))?;
    }
    make(dir.join(mounts::CONF.name).join("uidgid.d"))?;
    let write = |path: PathBuf, mode: u32, bytes: &[u8]| {
        let mut options = OpenOptions::new();
        let file = options.write(true).create_new(true).mode(mode).open(&path);
        file.and_then(|mut file| file.write_all(bytes))
            .with_context(|| format!("cannot write {}", path.display()))
    };
    let conf = dir.join(mounts::CONF.name);
    write(conf.join("corosync.conf"), 0o644, common.conf.as_bytes())?;
    write(conf.join("authkey"), 0o400, common.key)?;
    write(dir.join(mounts::HOSTS), 0o644, common.hosts.as_bytes())
}

/// Where the node's own processes complain, which is not the terminal that shows the lab.
fn errors_file(dir: &Path) -> io::Result<fs::File> {
    let mut options = OpenOptions::new();
    options.create(true).append(true).open(dir.join("lab.log"))
}

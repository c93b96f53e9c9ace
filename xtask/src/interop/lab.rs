//! A cluster for a test: `ferrosync lab`, driven as a user in a second terminal drives it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::str::FromStr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde_json::Value;

use super::Setup;
use crate::process;

/// What a lab is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// How many nodes, numbered from 1.
    pub(crate) nodes: u8,
    /// Which of them run the Corosync of this machine; the others run our daemon.
    pub(crate) corosync: Peers,
    /// `totem.transport`.
    pub(crate) transport: &'static str,
    /// Cipher and hash, such as `aes256/sha256`, or `none`.
    pub(crate) crypto: &'static str,
    /// Networks that connect every node with every other.
    pub(crate) links: u8,
    /// Versions of IP: `4`, `6`, or `46` for both in turn.
    pub(crate) ip: &'static str,
    /// Bytes of the longest packet on every interface, where not the kernel's choice.
    pub(crate) mtu: Option<u16>,
    /// Settings of corosync.conf, such as `totem.token=1000`.
    pub(crate) settings: &'static [&'static str],
    /// What runs on top of the daemons.
    pub(crate) on_top: OnTop,
}

/// What runs on top of the daemons of a lab.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnTop {
    /// Only what a test starts.
    Nothing,
    /// The Pacemaker of this machine.
    Pacemaker,
}

impl Plan {
    /// Nodes with one IPv4 link of clear text and no setting of their own.
    pub(crate) const fn new(nodes: u8, corosync: Peers, transport: &'static str) -> Self {
        Self {
            nodes,
            corosync,
            transport,
            crypto: "none",
            links: 1,
            ip: "4",
            mtu: None,
            settings: &[],
            on_top: OnTop::Nothing,
        }
    }
}

/// Which nodes run the Corosync of this machine; the bit of node 1 is the lowest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Peers(u32);

impl Peers {
    /// None: all are ours.
    pub(crate) const NONE: Self = Self(0);
    /// All.
    pub(crate) const ALL: Self = Self(u32::MAX);

    /// These, numbered from 1 to 32.
    pub(crate) const fn these(mut nodes: &[u8]) -> Self {
        let mut bits = 0;
        while let [node, rest @ ..] = nodes {
            bits |= 1 << (*node - 1);
            nodes = rest;
        }
        Self(bits)
    }

    /// The words of the lab's `--corosync`; `None` where it needs none.
    fn words(self) -> Option<String> {
        let named: Vec<u8> = (1..=32).filter(|n| self.0 & (1 << (n - 1)) != 0).collect();
        match self {
            Self::NONE => None,
            Self::ALL => Some("all".into()),
            Self(_) => Some(list(&named)),
        }
    }
}

impl FromStr for Peers {
    type Err = String;

    /// Reads `all`, `none` or a list such as `1,3`.
    fn from_str(words: &str) -> Result<Self, String> {
        match words {
            "all" => return Ok(Self::ALL),
            "none" => return Ok(Self::NONE),
            _ => {}
        }
        let node = |word: &str| match word.parse() {
            Ok(node) if (1..=32).contains(&node) => Ok(node),
            Ok(_) | Err(_) => Err(format!(
                "`{word}` is no node: write all, none or such as 1,3"
            )),
        };
        let nodes: Vec<u8> = words.split(',').map(node).collect::<Result<_, _>>()?;
        Ok(Self::these(&nodes))
    }
}

/// A running lab; dropping it ends it.
pub(crate) struct Lab {
    program: PathBuf,
    files: PathBuf,
    name: String,
    child: Child,
}

impl Lab {
    /// Starts a lab and waits until all of its nodes are one quorate cluster.
    pub(crate) fn start(setup: &Setup, name: &str, plan: &Plan) -> anyhow::Result<Self> {
        let log_path = setup.dir.join(format!("{name}.lab.log"));
        // Lab names are short; the process id keeps two test runs on one machine apart.
        let name = format!(
            "x{}-{}",
            std::process::id(),
            LABS.fetch_add(1, Ordering::Relaxed)
        );
        let log = File::create(&log_path).with_context(|| format!("{}", log_path.display()))?;
        let files = setup.labs.path().to_owned();
        let mut command = lab_command(&setup.program, &files);
        command.args(["--plain", "--name", &name, "--transport", plan.transport]);
        command.args(["--nodes", &plan.nodes.to_string()]);
        command.args(["--links", &plan.links.to_string()]);
        command.args(["--crypto", plan.crypto, "--ip", plan.ip]);
        if let Some(nodes) = plan.corosync.words() {
            command.args(["--corosync", &nodes]);
        }
        if let Some(mtu) = plan.mtu {
            command.args(["--mtu", &mtu.to_string()]);
        }
        match plan.on_top {
            OnTop::Nothing => {}
            OnTop::Pacemaker => {
                command.arg("--pacemaker");
            }
        }
        for setting in plan.settings {
            command.args(["--set", setting]);
        }
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("cannot start the lab")?;
        let mut lab = Self {
            program: setup.program.clone(),
            files,
            name,
            child,
        };
        lab.come_up()
            .with_context(|| format!("lab did not come up, see {}", log_path.display()))?;
        Ok(lab)
    }

    /// A command inside a node.
    pub(crate) fn command(&self, node: u8, program: &str) -> Command {
        let mut command = self.verb("exec");
        command.args([&node.to_string(), "--", program]);
        command
    }

    /// Runs a command inside a node and returns what it prints.
    pub(crate) fn output(&self, node: u8, argv: &[&str]) -> anyhow::Result<String> {
        let (program, arguments) = argv.split_first().context("no command")?;
        process::output(self.command(node, program).args(arguments))
    }

    /// Kills, starts, stops or continues the daemon of a node, or shuts it down, as the verb says.
    pub(crate) fn daemon(&self, verb: DaemonVerb, node: u8) -> anyhow::Result<()> {
        process::output(self.verb(verb.word()).arg(node.to_string())).map(drop)
    }

    /// Shuts the daemon of a node down and starts one of this kind in its place.
    pub(crate) fn replace(&self, node: u8, kind: DaemonKind) -> anyhow::Result<()> {
        let mut command = self.verb("replace");
        command.args([&node.to_string(), kind.word()]);
        process::output(&mut command).map(drop)
    }

    /// Cuts the network into sides, such as `1,2/3`.
    pub(crate) fn partition(&self, sides: &str) -> anyhow::Result<()> {
        process::output(self.verb("partition").arg(sides)).map(drop)
    }

    /// Does to cables of a node what the words of `ferrosync lab link` say, such as `0 down`.
    pub(crate) fn cable(&self, node: u8, change: &str) -> anyhow::Result<()> {
        let mut command = self.verb("link");
        command.arg(node.to_string()).args(change.split(' '));
        process::output(&mut command).map(drop)
    }

    /// Undoes every cut.
    pub(crate) fn heal(&self) -> anyhow::Result<()> {
        process::output(&mut self.verb("heal")).map(drop)
    }

    /// Waits until each of `members` sees exactly `members` and has quorum.
    pub(crate) fn wait(&self, members: &[u8]) -> anyhow::Result<()> {
        let timeout = format!("{}s", FORMED_WITHIN.as_secs());
        let mut command = self.verb("wait");
        command.args(["--members", &list(members), "--timeout", &timeout]);
        process::output(&mut command).map(drop)
    }

    /// What the lab knows of a node; `Null` for a node it does not have.
    pub(crate) fn status(&self, node: u8) -> anyhow::Result<Value> {
        let status = self.full_status()?;
        let nodes = status["nodes"].as_array().context("status without nodes")?;
        let found = nodes.iter().find(|entry| entry["number"] == node);
        Ok(found.cloned().unwrap_or_default())
    }

    /// Group messages that the node's daemon has delivered since it started.
    pub(crate) fn delivered(&self, node: u8) -> anyhow::Result<u64> {
        Ok(self.status(node)?["delivered"].as_u64().unwrap_or(0))
    }

    /// A number of the statistics that a node's daemon keeps; an error while it does not have it.
    pub(crate) fn statistic(&self, node: u8, key: &str) -> anyhow::Result<u64> {
        let line = self.output(node, &["corosync-cmapctl", "-m", "stats", "-g", key])?;
        let (_, value) = line.split_once('=').context("no value")?;
        Ok(value.trim().parse()?)
    }

    /// Keeps what each daemon logged in `dir`, as `NAME-N.daemon.log`.
    pub(crate) fn keep_logs(&self, dir: &Path, name: &str, nodes: u8) {
        for node in 1..=nodes {
            let file = dir.join(format!("{name}-{node}.daemon.log"));
            let kept = process::output(self.verb("logs").arg(node.to_string()))
                .and_then(|text| Ok(fs::write(&file, text)?));
            if let Err(error) = kept {
                eprintln!("{}: {error:#}", file.display());
            }
        }
    }

    fn verb(&self, verb: &str) -> Command {
        let mut command = lab_command(&self.program, &self.files);
        command.args([verb, "--name", &self.name]);
        command
    }

    fn come_up(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + FORMED_WITHIN;
        loop {
            let mut wait = self.verb("wait");
            // The lab may not listen yet.
            let Err(error) = process::output(wait.args(["--timeout", "5s"])) else {
                return Ok(());
            };
            if let Some(status) = self.child.try_wait()? {
                bail!("it ended with {status}");
            }
            if let Some(how) = self.first_end() {
                bail!("a daemon ended: {how}");
            }
            if Instant::now() >= deadline {
                return Err(error);
            }
            thread::sleep(POLL);
        }
    }

    /// How the first daemon that has ended did so, if one has and the lab answers.
    fn first_end(&self) -> Option<String> {
        let status = self.full_status().ok()?;
        let nodes = status["nodes"].as_array()?;
        nodes.iter().find_map(|node| {
            let how = node["ended"].as_str()?;
            Some(format!("node {}, {how}", node["number"]))
        })
    }

    fn full_status(&self) -> anyhow::Result<Value> {
        let text = process::output(self.verb("status").args(["--format", "json"]))?;
        serde_json::from_str(&text).context("status of the lab")
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if let Err(error) = process::output(&mut self.verb("down")) {
            eprintln!("lab {}: {error:#}", self.name);
        }
        let deadline = Instant::now() + DOWN_WITHIN;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
            thread::sleep(POLL);
        }
        // The nodes end with the lab, however it ends; both calls do nothing when it already has.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// One of the two daemons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DaemonKind {
    /// Ours.
    Ferrosync,
    /// That of this machine.
    Corosync,
}

impl DaemonKind {
    /// What the lab calls it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Ferrosync => "ferrosync",
            Self::Corosync => "corosync",
        }
    }
}

/// What can be done to a node's daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DaemonVerb {
    /// SIGKILL.
    Kill,
    /// Start it again.
    Start,
    /// SIGSTOP.
    Stop,
    /// SIGCONT.
    Cont,
    /// SIGTERM.
    Shutdown,
}

impl DaemonVerb {
    fn word(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Cont => "cont",
            Self::Shutdown => "shutdown",
        }
    }
}

/// `ferrosync lab`, with its files in `files`.
fn lab_command(program: &Path, files: &Path) -> Command {
    let mut command = Command::new(program);
    command.arg("lab").env("XDG_RUNTIME_DIR", files);
    command
}

fn list(nodes: &[u8]) -> String {
    let words: Vec<String> = nodes.iter().map(u8::to_string).collect();
    words.join(",")
}

/// Labs started by this process.
static LABS: AtomicU32 = AtomicU32::new(0);

/// Generous: two cores may be shared with a build.
const FORMED_WITHIN: Duration = Duration::from_secs(90);
const DOWN_WITHIN: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_are_all_none_or_a_list() {
        let words = |text: &str| text.parse::<Peers>().map(Peers::words);
        assert_eq!(words("all"), Ok(Some("all".into())));
        assert_eq!(words("none"), Ok(None));
        assert_eq!(words("3,1,32"), Ok(Some("1,3,32".into())));
        assert_eq!("2,3".parse(), Ok(Peers::these(&[3, 2])));
        for text in ["", "0", "33", "1,", "some"] {
            assert!(words(text).is_err(), "{text}");
        }
    }
}

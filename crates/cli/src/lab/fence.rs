//! `fence_ferrosync_lab`: the fence agent of a lab, run by Pacemaker inside a node.
//!
//! It speaks the fence agent API (ClusterLabs, "Fence Agent API"): options as `key=value` lines on standard input, or on
//! the command line; exit code 0 for done and, of `status`, for on; 2 for off; 1 for anything else. The switch it presses
//! is the lab's: `off` ends every process of a node at once, `on` starts its daemon.

use std::ffi::OsString;
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use clap::{Parser, ValueEnum};
use serde_json::Value;

use super::control::{DaemonVerb, Request, ask_at};
use super::mounts::CONTROL_SOCKET;
use super::node::word;
use super::plan::NodeNumber;
use crate::args::Format;

/// Name of the agent.
pub(crate) const NAME: &str = "fence_ferrosync_lab";

/// Runs the agent.
pub(crate) fn main(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    match run(arguments) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{NAME}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Fences a node of the lab in which this runs.
#[derive(Debug, Default, Parser)]
#[command(name = NAME, version)]
struct Options {
    /// What to do; reboot unless given.
    #[arg(short = 'o', long, value_enum)]
    action: Option<Action>,
    /// The node, such as node2 or 2.
    #[arg(short = 'n', long)]
    plug: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Action {
    On,
    Off,
    Reboot,
    Status,
    List,
    Monitor,
    Metadata,
    #[value(name = "validate-all")]
    Validate,
}

fn run(arguments: impl Iterator<Item = OsString>) -> Result<ExitCode> {
    let arguments: Vec<OsString> = arguments.collect();
    let options = if arguments.len() > 1 {
        Options::parse_from(arguments)
    } else {
        let mut text = String::new();
        io::stdin().take(INPUT_MAX).read_to_string(&mut text)?;
        Options::from_lines(&text)?
    };
    let switch = Switch {
        socket: Path::new(CONTROL_SOCKET),
    };
    let plug = || options.plug().context("no plug was given");
    match options.action.unwrap_or(Action::Reboot) {
        Action::Metadata => tell(&metadata())?,
        Action::Validate => {}
        Action::Monitor => drop(switch.status()?),
        Action::List => tell(&list(&switch.status()?))?,
        Action::On => switch.on(plug()??)?,
        Action::Off => switch.off(plug()??)?,
        Action::Reboot => {
            let node = plug()??;
            switch.off(node)?;
            switch.on(node)?;
        }
        Action::Status => {
            let node = plug()??;
            if !is_on(&switch.status()?, node)? {
                return Ok(ExitCode::from(OFF));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn tell(text: &str) -> io::Result<()> {
    io::stdout().lock().write_all(text.as_bytes())
}

/// Exit code of `status` for a node without power.
const OFF: u8 = 2;
/// Longest input: Pacemaker gives a dozen short lines.
const INPUT_MAX: u64 = 64 * 1024;

impl Options {
    /// Reads `key=value` lines. Keys that are for others, such as `nodename`, are passed over, as every agent does it.
    fn from_lines(text: &str) -> Result<Self> {
        let mut options = Self::default();
        for line in text.lines() {
            let Some((key, value)) = line.trim().split_once('=') else {
                continue;
            };
            match key.trim() {
                "action" | "option" => {
                    let action = Action::from_str(value.trim(), true);
                    options.action = Some(action.map_err(anyhow::Error::msg)?);
                }
                "plug" | "port" => options.plug = Some(value.trim().to_owned()),
                _ => {}
            }
        }
        Ok(options)
    }

    fn plug(&self) -> Option<Result<NodeNumber>> {
        self.plug.as_deref().map(|plug| {
            let number = plug.strip_prefix("node").unwrap_or(plug);
            Ok(number.parse()?)
        })
    }
}

/// The lab, seen from one of its nodes.
struct Switch<'a> {
    socket: &'a Path,
}

impl Switch<'_> {
    fn status(&self) -> Result<Value> {
        let text = ask_at(self.socket, &Request::Status(Format::Json))?;
        serde_json::from_str(&text).context("the lab's status")
    }

    /// Returns when nothing of the node runs any more.
    fn off(&self, node: NodeNumber) -> Result<()> {
        if is_on(&self.status()?, node)? {
            ask_at(self.socket, &Request::Daemon(DaemonVerb::Off, node))?;
        }
        let deadline = Instant::now() + OFF_WITHIN;
        while is_on(&self.status()?, node)? {
            if Instant::now() >= deadline {
                bail!("node {node} does not go off");
            }
            sleep(STEP);
        }
        Ok(())
    }

    fn on(&self, node: NodeNumber) -> Result<()> {
        if !is_on(&self.status()?, node)? {
            ask_at(self.socket, &Request::Daemon(DaemonVerb::Start, node))?;
        }
        Ok(())
    }
}

/// Time for a node to lose its power.
const OFF_WITHIN: Duration = Duration::from_secs(20);
const STEP: Duration = Duration::from_millis(20);

/// Whether a node has power. One whose daemon has crashed has.
fn is_on(status: &Value, node: NodeNumber) -> Result<bool> {
    let nodes = status["nodes"].as_array().context("no nodes")?;
    let found = nodes.iter().find(|entry| entry["number"] == node.get());
    let found = found.with_context(|| format!("the lab has no node {node}"))?;
    Ok(found["state"] != "off")
}

/// The nodes, one a line: name, comma, and no second name.
fn list(status: &Value) -> String {
    let nodes = status["nodes"].as_array().into_iter().flatten();
    let numbers = nodes.filter_map(|node| node["number"].as_u64());
    numbers.map(|number| format!("node{number},\n")).collect()
}

/// What the agent is and takes, as XML.
fn metadata() -> String {
    let mut actions = String::new();
    for action in Action::value_variants() {
        // `automatic` says that a node is not switched on whenever it joins.
        let more = match action {
            Action::On => r#" automatic="0""#,
            Action::Off
            | Action::Reboot
            | Action::Status
            | Action::List
            | Action::Monitor
            | Action::Metadata
            | Action::Validate => "",
        };
        actions += &format!("    <action name=\"{}\"{more}/>\n", word(action));
    }
    format!(
        r#"<?xml version="1.0" ?>
<resource-agent name="{NAME}" shortdesc="Fence agent of a Ferrosync lab">
  <longdesc>Cuts and restores the power of the nodes of `ferrosync lab`, from inside one of them.</longdesc>
  <parameters>
    <parameter name="action" unique="0" required="0">
      <getopt mixed="-o, --action=[action]"/>
      <content type="string" default="reboot"/>
      <shortdesc lang="en">What to do</shortdesc>
    </parameter>
    <parameter name="plug" unique="0" required="1" obsoletes="port">
      <getopt mixed="-n, --plug=[node]"/>
      <content type="string"/>
      <shortdesc lang="en">The node, such as node2</shortdesc>
    </parameter>
    <parameter name="port" unique="0" required="1" deprecated="1">
      <getopt mixed="-n, --plug=[node]"/>
      <content type="string"/>
      <shortdesc lang="en">The node, such as node2</shortdesc>
    </parameter>
  </parameters>
  <actions>
{actions}  </actions>
</resource-agent>
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn options_are_lines_of_which_some_are_for_others() {
        let options = Options::from_lines("nodename=node1\naction=off\nport=node3\n# x\n\n");
        let options = options.expect("options");
        assert_eq!(options.action, Some(Action::Off));
        let node = options.plug().expect("a plug").expect("a node");
        assert_eq!(node.get(), 3);
        assert_eq!(Options::from_lines("").expect("none").action, None);
        assert!(Options::from_lines("action=explode").is_err());
        let other = Options::from_lines("plug=printer").expect("options");
        assert!(other.plug().expect("a plug").is_err());
    }

    #[test]
    fn a_node_whose_daemon_ended_has_power() {
        let status =
            json!({"nodes": [{"number": 1, "state": "ended"}, {"number": 2, "state": "off"}]});
        let on = |node: &str| is_on(&status, node.parse().expect("a node"));
        assert!(on("1").expect("known"));
        assert!(!on("2").expect("known"));
        assert!(on("3").is_err());
        assert_eq!(list(&status), "node1,\nnode2,\n");
    }

    #[test]
    fn the_metadata_is_xml_and_names_every_action() {
        let text = metadata();
        let document = roxmltree::Document::parse(&text).expect("XML");
        let actions = document
            .descendants()
            .filter(|node| node.has_tag_name("action"));
        let names: Vec<_> = actions.filter_map(|node| node.attribute("name")).collect();
        assert_eq!(names.len(), Action::value_variants().len());
        assert!(names.contains(&"validate-all") && names.contains(&"reboot"));
    }
}

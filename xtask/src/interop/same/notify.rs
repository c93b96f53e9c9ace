//! Debian's corosync-notifyd and ours, side by side on one node: the same lines, D-Bus signals and SNMP traps.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use anyhow::Context as _;
use tempfile::TempDir;

use super::super::calls::difference;
use super::super::lab::{DaemonVerb, Plan};
use super::super::wait::wait_for;
use super::{Both, Whose};

/// Lets links, nodes and programs come and go, and compares what both have told.
pub(super) fn compare(both: &Both<'_>, plan: &Plan) -> anyhow::Result<Vec<String>> {
    let dir = tempfile::Builder::new()
        .prefix("ferrosync-notify-")
        .tempdir()?;
    let ears = Ears::open(both, &dir)?;
    let theirs = Notifyd::start(both, &dir, Whose::Debian)?;
    // The bus hears it first.
    wait(&[&theirs], "is now quorate", 1)?;
    let ours = Notifyd::start(both, &dir, Whose::Ours)?;
    let running = [&theirs, &ours];
    wait(&running, "is now quorate", 1)?;
    if plan.transport == "knet" {
        both.lab.cable(OTHER, "0 down")?;
        wait(&running, "is now disconnected", 1)?;
        both.lab.cable(OTHER, "0 up")?;
        wait(&running, "is now operational", 1)?;
    }
    come_and_go(both, &running)?;
    both.lab.daemon(DaemonVerb::Kill, OTHER)?;
    wait(&running, " left\n", 1)?;
    wait(&running, "has lost quorum", 1)?;
    both.lab.daemon(DaemonVerb::Start, OTHER)?;
    both.lab.wait(&[NODE, OTHER])?;
    wait(&running, " joined\n", 1)?;
    wait(&running, "is now quorate", 2)?;
    let mut different = Vec::new();
    let lines = [theirs.lines()?, ours.lines()?];
    different.extend(told("lines", &lines));
    different.extend(told("D-Bus signals", &ears.signals(&lines)?));
    different.extend(told("SNMP traps", &ears.traps()?));
    Ok(different)
}

/// A client connects and leaves. A notifyd looks up who has come, and says nothing of who is gone by then: the client
/// stays until both have looked.
fn come_and_go(both: &Both<'_>, running: &[&Notifyd]) -> anyhow::Result<()> {
    let script = "(read -r end; echo q) | corosync-cmapctl -t totem.version";
    let mut command = both.lab.command(NODE, "sh");
    let mut client = command
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()?;
    let came = wait(running, "corosync-cmapct is now connected", 1);
    // The end of its input lets it go.
    drop(client.stdin.take());
    client.wait()?;
    came?;
    wait(running, "corosync-cmapct is now disconnected", 1)
}

fn told(what: &str, [theirs, ours]: &[String; 2]) -> Option<String> {
    if theirs.is_empty() {
        return Some(format!("corosync-notifyd sent no {what}\n"));
    }
    let difference = difference(theirs, ours)?;
    Some(format!("corosync-notifyd, {what} {difference}"))
}

/// A running notifyd, which prints to a file.
struct Notifyd {
    child: Child,
    printed: PathBuf,
}

impl Notifyd {
    fn start(both: &Both<'_>, dir: &TempDir, whose: Whose) -> anyhow::Result<Self> {
        let name = community(whose);
        let printed = dir.path().join(name);
        let mut command = both.command(NODE, "corosync-notifyd", whose);
        let child = command
            .args(["-f", "-o", "-d", "-n", "-m", "127.0.0.1", "-c", name])
            .env("DBUS_SYSTEM_BUS_ADDRESS", bus(dir.path()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(&printed)?)
            .spawn()?;
        Ok(Self { child, printed })
    }

    /// What it printed about the cluster: without libqb's words about itself (D-84), and of programs only of the one that
    /// both have seen come and go.
    fn lines(&self) -> anyhow::Result<String> {
        let text = fs::read_to_string(&self.printed)?;
        let lines = text.lines().filter(|line| !line.starts_with("[debug]"));
        let lines =
            lines.filter(|line| !line.contains(" 0x") || line.contains(".corosync-cmapct "));
        Ok(sorted(lines.map(|line| format!("{line}\n")).collect()))
    }
}

impl Drop for Notifyd {
    fn drop(&mut self) {
        // `ferrosync lab exec` passes it on; what it says does not matter any more.
        let _ended = terminate(&mut self.child);
    }
}

/// Who listens to both: a bus with a monitor, and an SNMP manager.
struct Ears {
    children: Vec<Child>,
    signals: PathBuf,
    traps: PathBuf,
}

impl Ears {
    fn open(both: &Both<'_>, dir: &TempDir) -> anyhow::Result<Self> {
        let path = dir.path();
        let conf = path.join("bus.conf");
        let address = bus(path);
        fs::write(&conf, BUS_CONF.replace("ADDRESS", &address))?;
        let mut ears = Self {
            children: Vec::new(),
            signals: path.join("signals"),
            traps: path.join("traps"),
        };
        let conf = format!("--config-file={}", conf.display());
        ears.start(
            both,
            &["dbus-daemon", &conf, "--nofork"],
            &path.join("bus.out"),
        )?;
        wait_for("a bus", || Ok(path.join("bus").exists()))?;
        let signals = ears.signals.clone();
        let rule = "type='signal',interface='org.corosync'";
        ears.start(
            both,
            &["dbus-monitor", "--address", &address, rule],
            &signals,
        )?;
        // It says first that it has its name.
        wait_for("a monitor", || Ok(fs::metadata(&signals)?.len() > 0))?;
        let traps = ears.traps.clone();
        let out = path.join("snmptrapd.out");
        let manager = [
            "snmptrapd",
            "-C",
            "-f",
            "-On",
            "-Lf",
            &traps.display().to_string(),
            "--disableAuthorization=yes",
            "-F",
            "%P %v\n",
            "udp:127.0.0.1:162",
        ];
        ears.start(both, &manager, &out)?;
        wait_for("an SNMP manager", || {
            Ok(fs::read_to_string(&traps)
                .unwrap_or_default()
                .contains("NET-SNMP"))
        })?;
        Ok(ears)
    }

    fn start(&mut self, both: &Both<'_>, argv: &[&str], out: &Path) -> anyhow::Result<()> {
        let mut command = both.command(NODE, argv[0], Whose::Debian);
        let child = command
            .args(&argv[1..])
            .stdin(Stdio::null())
            .stdout(fs::File::create(out)?)
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| argv[0].to_owned())?;
        self.children.push(child);
        Ok(())
    }

    /// The signals of either, without who sent them and when, as many as lines tell of.
    fn signals(&self, lines: &[String; 2]) -> anyhow::Result<[String; 2]> {
        let expected = lines
            .iter()
            .map(|lines| lines.lines().count())
            .sum::<usize>();
        let mut found = [String::new(), String::new()];
        let outcome = wait_for("all signals", || {
            let text = fs::read_to_string(&self.signals)?;
            found = by_sender(&text);
            let count = |text: &String| text.matches("member=").count();
            // The first line of each is the warning that two targets are unusual.
            Ok(found.iter().map(count).sum::<usize>() + 2 >= expected)
        });
        let [theirs, ours] = &found;
        outcome.with_context(|| {
            format!(
                "after the lines\n{}and the signals\n{theirs}\nof theirs and\n{ours}\nof ours",
                lines.concat()
            )
        })?;
        Ok(found)
    }

    /// The traps of either, without the time.
    fn traps(&self) -> anyhow::Result<[String; 2]> {
        let mut found = [String::new(), String::new()];
        wait_for("traps of both", || {
            let text = fs::read_to_string(&self.traps)?;
            found = [Whose::Debian, Whose::Ours].map(|whose| traps_of(&text, community(whose)));
            let [theirs, ours] = &found;
            Ok(theirs.contains("quorate") && theirs.lines().count() == ours.lines().count())
        })?;
        Ok(found)
    }
}

impl Drop for Ears {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ended = terminate(child);
        }
    }
}

/// Signals by the one who sent them, the first sender first, that is Debian's; of programs only the one that both saw.
fn by_sender(text: &str) -> [String; 2] {
    let mut senders: Vec<String> = Vec::new();
    let mut found = [Vec::new(), Vec::new()];
    for signal in text.split("signal time=").skip(1) {
        let Some((head, body)) = signal.split_once('\n') else {
            continue;
        };
        let word = |name: &str| {
            head.split([' ', ';'])
                .find_map(|part| part.strip_prefix(name))
        };
        // The bus itself tells the monitor of its names.
        let (Some(sender), Some("org.corosync")) = (word("sender="), word("interface=")) else {
            continue;
        };
        let at = senders
            .iter()
            .position(|known| known == sender)
            .unwrap_or_else(|| {
                senders.push(sender.to_owned());
                senders.len() - 1
            });
        let is_program = word("member=") == Some("ConnectionStateChange");
        if is_program && !body.contains(".corosync-cmapct\"") {
            continue;
        }
        if let Some(found) = found.get_mut(at) {
            let (path, interface) = (word("path="), word("interface="));
            let member = word("member=");
            found.push(format!("{path:?} {interface:?} member={member:?}\n{body}"));
        }
    }
    found.map(sorted)
}

/// The pieces in an order of their own: the two hear of some things in another one.
fn sorted(mut pieces: Vec<String>) -> String {
    pieces.sort_unstable();
    pieces.concat()
}

/// Traps with this community, one on a line, without the time.
fn traps_of(text: &str, community: &str) -> String {
    let own = format!("community {community} ");
    let traps = text
        .lines()
        .filter_map(|line| line.split_once(own.as_str()));
    let objects = traps.map(|(_, objects)| {
        let fields = objects.split('\t');
        let kept: Vec<&str> = fields
            .filter(|field| !field.trim_start().starts_with(".1.3.6.1.2.1.1.3.0 "))
            .collect();
        kept.join("\t") + "\n"
    });
    sorted(objects.collect())
}

fn community(whose: Whose) -> &'static str {
    match whose {
        Whose::Debian => "theirs",
        Whose::Ours => "ours",
    }
}

fn bus(dir: &Path) -> String {
    format!("unix:path={}", dir.join("bus").display())
}

/// Waits until all have printed something so often.
fn wait(running: &[&Notifyd], what: &str, times: usize) -> anyhow::Result<()> {
    wait_for(what.trim(), || {
        for notifyd in running {
            if notifyd.lines()?.matches(what).count() < times {
                return Ok(false);
            }
        }
        Ok(true)
    })
}

fn terminate(child: &mut Child) -> anyhow::Result<()> {
    let pid = child.id().to_string();
    std::process::Command::new("kill").arg(pid).status()?;
    child.wait()?;
    Ok(())
}

/// Where both run, and the node that comes and goes.
const NODE: u8 = super::NODE;
const OTHER: u8 = 1;

/// Whoever can connect may send and listen.
const BUS_CONF: &str =
    "<!DOCTYPE busconfig PUBLIC \"-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN\" \
    \"http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd\">
<busconfig>
  <type>system</type>
  <listen>ADDRESS</listen>
  <auth>EXTERNAL</auth>
  <policy context=\"default\">
    <allow send_destination=\"*\" eavesdrop=\"true\"/>
    <allow eavesdrop=\"true\"/>
    <allow own=\"*\"/>
    <allow user=\"*\"/>
  </policy>
</busconfig>
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_told_apart_by_their_sender() {
        let text = "signal time=1.4 sender=org.freedesktop.DBus -> destination=:1.0 serial=2 path=/org/freedesktop/DBus; \
                    interface=org.freedesktop.DBus; member=NameLost\n   string \":1.0\"\n\
                    signal time=1.5 sender=:1.1 -> destination=(null destination) serial=2 path=/org/corosync; \
                    interface=org.corosync; member=QuorumStateChange\n   string \"a\"\n\
                    signal time=1.6 sender=:1.2 -> destination=(null destination) serial=9 path=/org/corosync; \
                    interface=org.corosync; member=QuorumStateChange\n   string \"b\"\n\
                    signal time=1.7 sender=:1.1 -> destination=(null destination) serial=3 path=/org/corosync; \
                    interface=org.corosync; member=ConnectionStateChange\n   string \"0x1.7.crmd\"\n";
        let [theirs, ours] = by_sender(text);
        assert!(
            theirs.contains("\"a\"") && !theirs.contains("crmd"),
            "{theirs}"
        );
        assert!(
            ours.contains("\"b\"") && ours.contains("QuorumStateChange"),
            "{ours}"
        );
    }

    #[test]
    fn traps_are_told_apart_by_their_community() {
        let text = "TRAP2, SNMP v2c, community theirs .1.3.6.1.2.1.1.3.0 = Timeticks: (5)\t.1.3 = STRING: \"x\"\n\
                    TRAP2, SNMP v2c, community ours .1.3 = STRING: \"y\"\n";
        assert_eq!(traps_of(text, "theirs"), ".1.3 = STRING: \"x\"\n");
        assert_eq!(traps_of(text, "ours"), ".1.3 = STRING: \"y\"\n");
    }
}
